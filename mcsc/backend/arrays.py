"""Which array library an array belongs to."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ..errors import InvalidTypeError
from ..types import Array


def is_array(value: Any) -> bool:
    """True for an array of any library that follows the array API standard."""
    return bool(array_api_compat.is_array_api_obj(value))


def namespace(*arrays: Array) -> Any:
    """Return the array API namespace that all `arrays` share.

    Raises
    ------
    TypeError
        The arrays come from different libraries.
    """
    try:
        return array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        found = sorted({type(a).__module__.split(".")[0] for a in arrays})
        raise InvalidTypeError(
            f"arrays of different libraries were mixed ({', '.join(found)}): convert them to one"
        ) from error


def to_numpy(array: Array) -> np.ndarray:
    """Return `array` as a NumPy array (copied from a GPU where it is there)."""
    if array_api_compat.is_cupy_array(array):
        return np.asarray(array.get())
    return np.asarray(array)
