"""`mcsc info`: what a report of a problem should say."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

from .._version import __version__

_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "array-api-compat",
    "scikit-image",
    "pywavelets",
    "pillow",
    "tifffile",
    "imagecodecs",
    "matplotlib",
)
_OPTIONAL = ("torch", "triton", "lightning", "safetensors")
"""What the network needs."""


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of what results depend on."""
    found = {"mcsc": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@click.command()
def info() -> None:
    """Show the versions, libraries and hardware that are in use.

    Run it where a problem occurs, and paste what it prints into the report.
    """
    rows = versions()
    for name in _OPTIONAL:
        with contextlib.suppress(PackageNotFoundError):
            rows[name] = version(name)
    rows["platform"] = platform.platform()
    rows["FFT"] = f"pocketfft of SciPy {rows['scipy']}"
    parts = {"BLAS": _blas, "cores": _cores, "threads": _threads, "memory": _memory, "GPU": _gpu}
    for name, tell in parts.items():
        try:
            rows[name] = tell()
        except Exception as error:  # a broken installation is what a report is about
            rows[name] = f"unknown: {type(error).__name__}: {' '.join(str(error).split())}"
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")


def _blas() -> str:
    import numpy  # noqa: F401  (loads its BLAS)
    from threadpoolctl import threadpool_info

    found = [
        f"{pool['internal_api']} {pool.get('version') or 'of unknown version'}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return ", ".join(dict.fromkeys(found)) or "unknown"


def _cores() -> str:
    from ..backend.limits import usable_cores

    total, usable = os.cpu_count() or 1, usable_cores()
    return str(total) if usable == total else f"{usable} of {total}"


def _threads() -> str:
    from ..backend import get_num_threads

    asked = os.environ.get("MCSC_NUM_THREADS")
    return f"{get_num_threads()} ({'by MCSC_NUM_THREADS' if asked else 'one for each core'})"


def _memory() -> str:
    import numpy as np

    from ..backend import backend_for

    available = backend_for(np.zeros(1)).available_memory()
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        total = None
    texts = [
        f"{size / 2**30:.1f} GiB{word}"
        for size, word in ((total, ""), (available, " free"))
        if size is not None
    ]
    return ", ".join(texts) or "unknown"


def _gpu() -> str:
    from ..backend.select import cupy_or_reason

    cupy, why = cupy_or_reason()
    if cupy is None:
        return f"none: {why}"
    runtime = cupy.cuda.runtime
    names = []
    for device in range(runtime.getDeviceCount()):
        properties = runtime.getDeviceProperties(device)
        size = properties["totalGlobalMem"] / 2**30
        names.append(f"{properties['name'].decode()} ({size:.0f} GiB)")
    return f"{', '.join(names)}; CuPy {cupy.__version__}, CUDA {runtime.runtimeGetVersion()}"
