"""The nonzero coefficients of one code group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend import (
    Array,
    backend_for,
    device,
    is_array,
    namespace,
    native,
    on_device_of,
    to_numpy,
)
from ..checks import check_unmasked
from ..errors import InvalidTypeError, InvalidValueError
from ..types import Boundary
from .convolution import fold


class Coordinates(NamedTuple):
    """The nonzero coefficients of one code group."""

    sample: Array
    """Index into the batch, shape (nnz,)."""
    map: Array
    """Index of the map within its group, shape (nnz,)."""
    row: Array
    """Row, shape (nnz,)."""
    column: Array
    """Column, shape (nnz,)."""
    value: Array
    """Value, shape (nnz,), sorted by sample, map, row, column."""


@dataclass(frozen=True, eq=False)
class SparseMaps:
    """Maps (N, K, H, W) by their nonzeros; the arrays are shared, not to be written to."""

    shape: tuple[int, int, int, int]
    index: Array
    """Places in the flattened maps, sorted, (nnz,), int64."""
    value: Array
    """Values there, (nnz,)."""

    @classmethod
    def from_dense(cls, name: str, maps: Any) -> SparseMaps:
        """Take the nonzeros of an array (N, K, H, W); refuse what is none, naming it."""
        if not is_array(maps):
            raise InvalidTypeError(
                f"{name} must be an array (N, K, H, W), found {type(maps).__name__}"
            )
        check_unmasked(name, maps)
        maps = native(maps)
        xp = namespace(maps)
        if maps.dtype not in (xp.float32, xp.float64):
            raise InvalidTypeError(f"{name} has dtype {maps.dtype}: codes are float32 or float64")
        shape = tuple(int(n) for n in maps.shape)
        if len(shape) != 4 or 0 in shape:
            raise InvalidValueError(f"{name} has shape {shape}: codes are (N, K, H, W)")
        with on_device_of(maps):
            finite = bool(xp.all(xp.isfinite(maps)))
        if not finite:
            raise InvalidValueError(f"{name} holds NaN or Inf")
        return cls.nonzeros(maps)

    @classmethod
    def nonzeros(cls, maps: Array) -> SparseMaps:
        """Take the nonzeros of maps (N, K, H, W) that need no check."""
        xp = namespace(maps)
        n, k, h, w = (int(n) for n in maps.shape)
        with on_device_of(maps):
            flat = xp.reshape(maps, (-1,))
            index = xp.nonzero(flat)[0]
            return cls((n, k, h, w), index, flat[index])

    @classmethod
    def from_file(cls, shape: Any, index: np.ndarray, value: np.ndarray) -> SparseMaps:
        """Return what was read from a file, after a look at whether its parts fit."""
        if len(shape) != 4 or not all(isinstance(n, int) and n > 0 for n in shape):
            raise InvalidValueError(f"shape {shape}")
        if index.ndim != 1 or index.shape != value.shape or index.dtype.kind != "i":
            raise InvalidValueError(
                f"index {index.dtype}{index.shape}, value {value.dtype}{value.shape}"
            )
        if value.dtype not in (np.float32, np.float64) or not np.all(np.isfinite(value)):
            raise InvalidValueError(f"values of dtype {value.dtype}, or not finite")
        ends = np.concatenate([[-1], index, [math.prod(shape)]])
        if np.any(np.diff(ends) <= 0):
            raise InvalidValueError("indices out of order or range")
        return cls(tuple(shape), index, value)

    @property
    def nnz(self) -> int:
        """Number of nonzeros."""
        return int(self.index.shape[0])

    @property
    def size(self) -> int:
        """Number of coefficients, zeros included."""
        return math.prod(self.shape)

    def dense(self) -> Array:
        """Return the maps as one array (N, K, H, W)."""
        xp = namespace(self.value)
        if backend_for(self.value).name == "array API":  # the standard has no scatter
            return xp.asarray(self.to(np.zeros(0)).dense())
        with on_device_of(self.value):
            flat = xp.zeros((self.size,), dtype=self.value.dtype)
            flat[self.index] = self.value
        return xp.reshape(flat, self.shape)

    def coordinates(self) -> Coordinates:
        """Return where the nonzeros lie, and a copy of their values."""
        xp = namespace(self.value)
        _, k, h, w = self.shape
        with on_device_of(self.value):
            rest, column = self.index // w, self.index % w
            rest, row = rest // h, rest % h
            value = xp.asarray(self.value, copy=True)
            return Coordinates(rest // k, rest % k, row, column, value)

    def to(self, like: Array) -> SparseMaps:
        """Return the same maps in the library, and on the device, of `like`; only nonzeros move."""
        xp = namespace(like)
        if namespace(self.value) is xp and device(self.value) == device(like):
            return self
        with on_device_of(like):
            index, value = (xp.asarray(to_numpy(a)) for a in (self.index, self.value))
        return SparseMaps(self.shape, index, value)

    def image(self, filters: np.ndarray, boundary: Boundary) -> np.ndarray:
        """``sum_k filters_k * maps_k``, (N, C, H, W), float64; NumPy only.

        Costs C s s additions a nonzero, and memory of a few images: no map is made dense.
        """
        n, _, h, w = self.shape
        _, channels, size, _ = filters.shape
        tall, wide = h + size - 1, w + size - 1
        image = np.zeros((channels, n * tall * wide))
        sample, number, row, column = np.unravel_index(self.index, self.shape)
        corner = (sample * tall + row) * wide + column
        for i, j in np.ndindex(size, size):
            place = corner + i * wide + j
            for c in range(channels):
                weights = self.value * filters[number, c, i, j]
                image[c] += np.bincount(place, weights, image.shape[1])
        padded = np.ascontiguousarray(image.reshape(channels, n, tall, wide).swapaxes(0, 1))
        return fold(padded, (h, w), (size - 1) // 2, boundary)
