"""Finding the backend of an array."""

from __future__ import annotations

from functools import cache
from typing import Any

import array_api_compat

from ..errors import InvalidTypeError, UnavailableError
from ..types import Array
from .arrays import namespace
from .base import Backend

_EXTRA = (
    "install CuPy for your CUDA version: pip install 'mcsc[cuda12]' or pip install 'mcsc[cuda13]'"
)


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
    from .numpy_backend import NumpyBackend

    return NumpyBackend()


@cache
def _cupy() -> Backend:
    from .cupy_backend import CupyBackend

    backend: Backend = CupyBackend()
    return backend


def cupy_or_reason() -> tuple[Any, str]:
    """Return (cupy, "") if a CUDA device can be used, else (None, why not)."""
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
    return cupy, ""


def move_to_cuda(array: Array) -> Array:
    """Return a NumPy array as a CuPy array on the current device; CuPy arrays pass through.

    Raises
    ------
    RuntimeError
        CuPy or a usable driver is missing; the message names the extra to install.
    """
    cupy, why = cupy_or_reason()
    if cupy is None:
        raise UnavailableError(f"device='cuda' cannot be used: {why}")
    return cupy.asarray(array)
