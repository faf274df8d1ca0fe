"""Which array library an array belongs to."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import array_api_compat
import numpy as np

from ..errors import InvalidTypeError, InvalidValueError
from ..types import Array


def is_array(value: Any) -> bool:
    """True for an array of any library that follows the array API standard."""
    if value is None or isinstance(value, bool | int | float | str):
        return False  # at once, also where CuPy is there but cannot be loaded
    return bool(array_api_compat.is_array_api_obj(value))


def namespace(*arrays: Array) -> Any:
    """Return the array API namespace that all `arrays` share.

    Raises
    ------
    TypeError
        The arrays come from different libraries.
    ValueError
        They are CuPy's, and lie on different devices.
    """
    try:
        found = array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        names = sorted({type(a).__module__.split(".")[0] for a in arrays})
        raise InvalidTypeError(
            f"arrays of different libraries were mixed ({', '.join(names)}): convert them to one"
        ) from error
    if array_api_compat.is_cupy_array(arrays[0]) and len(arrays) > 1:
        devices = sorted({int(a.device.id) for a in arrays})
        if len(devices) > 1:
            listed = ", ".join(f"cuda:{device}" for device in devices)
            raise InvalidValueError(
                f"arrays of different devices were mixed ({listed}): move them to one"
            )
    return found


def device(array: Array) -> Any:
    """Return the device of an array, to be compared with those of others of its library."""
    return array_api_compat.device(array)


def on_device_of(array: Any) -> AbstractContextManager[Any]:
    """Return a context in which the device of a CuPy array is the current one.

    CuPy allocates and launches on the current device, wherever its arrays are; for all others the
    context does nothing.
    """
    if array_api_compat.is_cupy_array(array):
        return cast("AbstractContextManager[Any]", array.device)
    return nullcontext()


def native(array: Array) -> Array:
    """Return `array` in the byte order of this machine; arrays from files may have the other."""
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array


def to_numpy(array: Array) -> np.ndarray:
    """Return `array` as a NumPy array (copied from a GPU where it is there)."""
    if array_api_compat.is_cupy_array(array):
        with on_device_of(array):
            return np.asarray(array.get())
    return np.asarray(array)
