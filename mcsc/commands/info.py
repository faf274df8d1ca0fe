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
    """Show versions, FFT library, BLAS, cores, memory and GPU.

    Paste it into a report of a problem.
    """
    rows = versions()
    for name in _OPTIONAL:
        with contextlib.suppress(PackageNotFoundError):
            rows[name] = version(name)
    rows["platform"] = platform.platform()
    rows["FFT"] = f"pocketfft of SciPy {rows['scipy']}"
    rows["BLAS"] = _blas()
    rows["cores"], rows["threads"] = _cores()
    rows["memory"] = _memory()
    rows["GPU"] = _gpu()
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


def _cores() -> tuple[str, str]:
    from ..backend import get_num_threads

    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    threads = get_num_threads()
    why = "MCSC_NUM_THREADS" if os.environ.get("MCSC_NUM_THREADS") else "one a core"
    return (str(total) if usable == total else f"{usable} of {total}"), f"{threads} ({why})"


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
