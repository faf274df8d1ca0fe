"""Finding the backend of an array."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import array_api_compat

from ..errors import InvalidTypeError, UnavailableError
from ..types import Array
from .arrays import namespace
from .base import Backend
from .threads import not_forked_meanwhile

_PIP = "pip install 'mcsc[cuda12]' or pip install 'mcsc[cuda13]'"
_EXTRA = f"install CuPy for your CUDA version: {_PIP}"


def backend_for(array: Array) -> Backend:
    """Return the backend of `array`'s library.

    Raises
    ------
    TypeError
        The library is neither NumPy nor CuPy (nor the standard's own test library).
    """
    xp = namespace(array)
    if array_api_compat.is_numpy_array(array):
        return _numpy()
    if array_api_compat.is_cupy_array(array):
        return _cupy()
    if type(array).__module__.startswith("array_api_strict"):
        return Backend(xp)
    raise InvalidTypeError(
        f"arrays of {type(array).__module__.split('.')[0]} are not supported: pass NumPy or CuPy "
        "arrays"
    )


@cache
def _numpy() -> Backend:
    with not_forked_meanwhile():
        from . import peak_kernels  # noqa: F401  used by the certificate, which takes it from here
        from .numpy_backend import NumpyBackend

        return NumpyBackend()


@cache
def _cupy() -> Backend:
    from .cupy_backend import CupyBackend

    backend: Backend = CupyBackend()
    return backend


def cupy_or_reason() -> tuple[Any, str]:
    """Return (cupy, "") if a CUDA device can be used, else (None, why not).

    CuPy's wheel alone finds a device, and then lacks NVIDIA's compiler, cuFFT or CUDA's headers,
    which it loads at the first use: so all of them are tried, once in a process.
    """
    try:
        import cupy
    except ImportError:
        return None, f"CuPy is not installed; {_EXTRA}"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDARuntimeError, or a loader's OSError
        return None, f"CuPy finds no usable CUDA driver ({error}); {_EXTRA}"
    if devices == 0:
        return None, "CuPy finds no CUDA device"
    for part, attempt in _PARTS.items():
        try:
            _try(cupy, attempt)
        except Exception as error:  # of the loader, of the compiler, of the device
            first = " ".join(str(error).split("\n", 1)[0].split())
            return None, (
                f"CuPy cannot use {part} here ({type(error).__name__}: {first}); all that it needs "
                f"comes with {_PIP}"
            )
    return cupy, ""


def _transform(cupy: Any) -> None:
    cupy.fft.rfft(cupy.ones(2, dtype=cupy.float32)).get()


_PARTS: dict[str, Callable[[Any], Any]] = {
    "NVRTC, NVIDIA's compiler": lambda cupy: cupy.cuda.nvrtc.getVersion(),
    "cuFFT": lambda cupy: cupy.cuda.cufft.getVersion(),
    # The kernel that fills an array with ones is compiled with CUDA's headers.
    "the device": _transform,
}


@cache
def _try(cupy: Any, attempt: Callable[[Any], Any]) -> None:
    """Attempt it unless that worked before: what raises is not cached."""
    attempt(cupy)


def require_cuda() -> Any:
    """Return CuPy, if a CUDA device can be used.

    Raises
    ------
    RuntimeError
        CuPy, what it needs or a usable driver is missing; the message names the extra to install.
    """
    cupy, why = cupy_or_reason()
    if cupy is None:
        raise UnavailableError(f"device='cuda' cannot be used: {why}")
    return cupy


def move_to_cuda(array: Array) -> Array:
    """Return a NumPy array as a CuPy array on the current device; CuPy arrays pass through.

    Raises
    ------
    RuntimeError
        As in `require_cuda`.
    """
    cupy = require_cuda()
    return array if isinstance(array, cupy.ndarray) else cupy.asarray(array)
