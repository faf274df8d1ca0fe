"""NumPy and CuPy behind one small interface.

Everything that is not a fused kernel is written once against the Python array API standard; a
`Backend` adds the transforms and the pointwise kernels that are worth writing for one library.
"""

from __future__ import annotations

from ..types import Array
from .arrays import device, is_array, namespace, native, on_device_of, to_numpy
from .base import Backend
from .select import backend_for, move_to_cuda, require_cuda
from .threads import get_num_threads, set_num_threads

__all__ = [
    "Array",
    "Backend",
    "backend_for",
    "device",
    "get_num_threads",
    "is_array",
    "move_to_cuda",
    "namespace",
    "native",
    "on_device_of",
    "require_cuda",
    "set_num_threads",
    "to_numpy",
]
