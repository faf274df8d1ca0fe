"""Codes: the common and unique feature maps, kept sparse until they are asked for dense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, is_array, namespace, to_numpy
from ..errors import InvalidTypeError, InvalidValueError
from ..files import read_npz, write_npz
from .dictionary import Dictionary

_FORMAT = 1


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
class _SparseGroup:
    shape: tuple[int, int, int, int]
    index: Array  # flat, sorted
    value: Array

    def dense(self) -> Array:
        xp = namespace(self.value)
        flat = xp.zeros((int(np.prod(self.shape)),), dtype=self.value.dtype)
        flat[self.index] = self.value
        return xp.reshape(flat, self.shape)


@dataclass(frozen=True, eq=False)
class Codes:
    """Sparse feature maps of all code groups.

    Made by `mcsc.solve` or, from dense arrays, by `Codes.from_dense`.

    Attributes
    ----------
    common : array (N, K, H, W) or None
        ``c``, dense, made at the first access.
    unique : tuple of M (array (N, K_m, H, W) or None)
        ``(u, v, ...)``, dense, made at the first access.
    """

    _common: _SparseGroup | None
    _unique: tuple[_SparseGroup | None, ...]

    @classmethod
    def from_dense(cls, common: Array | None = None, unique: Sequence[Array | None] = ()) -> Codes:
        """Make codes from dense arrays (N, K, H, W); an entry of `unique` may be None.

        Raises
        ------
        TypeError
            An entry is not an array, not of floating-point numbers, or libraries are mixed.
        ValueError
            There are no maps, shapes do not fit, or values are not finite.
        """
        groups = [g for g in (common, *unique) if g is not None]
        if not groups:
            raise InvalidValueError("codes have no maps: give common, unique or both")
        for name, g in [("common", common), *((f"unique[{m}]", g) for m, g in enumerate(unique))]:
            if g is not None:
                _check_dense(name, g)
        namespace(*groups)
        grids = {(g.shape[0], *g.shape[2:]) for g in groups}
        if len(grids) > 1:
            raise InvalidValueError(
                "code groups lie on different grids: "
                + ", ".join(str(tuple(g.shape)) for g in groups)
            )
        return cls(
            None if common is None else _sparsify(common),
            tuple(None if g is None else _sparsify(g) for g in unique),
        )

    @classmethod
    def from_stacked(cls, maps: Array, dictionary: Dictionary) -> Codes:
        """Make codes from all maps stacked (N, K, H, W) in the order of `dictionary.groups`."""
        parts = {g.name: _sparsify(maps[:, g.maps, ...]) for g in dictionary.groups}
        unique = tuple(parts.get(f"unique[{m}]") for m in range(dictionary.n_signals))
        return cls(parts.get("common"), unique)

    @classmethod
    def from_coordinates(
        cls,
        parts: dict[str, tuple[Array, Array, Array, Array, Array]],
        dictionary: Dictionary,
        grid: tuple[int, int, int],
    ) -> Codes:
        """Make codes from (sample, map, row, column, value) of every group, in any order."""
        n, h, w = grid
        groups = {}
        for g in dictionary.groups:
            shape = (n, len(g.bank), h, w)
            sample, number, row, column, value = parts[g.name]
            wide = [a.astype(np.int64) for a in (sample, number, row, column)]
            index = np.ravel_multi_index(tuple(wide), shape)
            order = np.argsort(index)
            groups[g.name] = _SparseGroup(shape, index[order], value[order])
        unique = tuple(groups.get(f"unique[{m}]") for m in range(dictionary.n_signals))
        return cls(groups.get("common"), unique)

    def stacked(self, dictionary: Dictionary) -> Array:
        """Return all maps as one dense array (N, K, H, W) in the order of `dictionary.groups`."""
        groups = self._groups()
        xp = namespace(groups[0].value)
        return xp.concat([g.dense() for g in groups], axis=1)

    def _groups(self) -> list[_SparseGroup]:
        return [g for g in (self._common, *self._unique) if g is not None]

    @cached_property
    def common(self) -> Array | None:
        """Common maps ``c``, dense (N, K, H, W), or None."""
        return None if self._common is None else self._common.dense()

    @cached_property
    def unique(self) -> tuple[Array | None, ...]:
        """Unique maps ``(u, v, ...)``, dense (N, K_m, H, W) each, or None."""
        return tuple(None if g is None else g.dense() for g in self._unique)

    @property
    def nnz(self) -> int:
        """Number of nonzero coefficients in all groups."""
        return sum(int(g.index.shape[0]) for g in self._groups())

    @property
    def nnz_common(self) -> int:
        """Number of nonzero common coefficients."""
        return 0 if self._common is None else int(self._common.index.shape[0])

    @property
    def nnz_unique(self) -> tuple[int, ...]:
        """Number of nonzero unique coefficients of each signal."""
        return tuple(0 if g is None else int(g.index.shape[0]) for g in self._unique)

    @property
    def size(self) -> int:
        """Number of coefficients, zeros included."""
        return sum(int(np.prod(g.shape)) for g in self._groups())

    @property
    def grid(self) -> tuple[int, int, int]:
        """Samples, height and width (N, H, W)."""
        n, _, h, w = self._groups()[0].shape
        return n, h, w

    @property
    def dtype(self) -> Any:
        """Floating-point type of the values."""
        return self._groups()[0].value.dtype

    def coordinates(self) -> tuple[Coordinates | None, tuple[Coordinates | None, ...]]:
        """Return the nonzero coefficients as (common, unique); nothing dense is made."""

        def split(g: _SparseGroup | None) -> Coordinates | None:
            if g is None:
                return None
            xp = namespace(g.value)
            _, k, h, w = g.shape
            rest, column = g.index // w, g.index % w
            rest, row = rest // h, rest % h
            return Coordinates(rest // k, rest % k, row, column, xp.asarray(g.value, copy=True))

        return split(self._common), tuple(split(g) for g in self._unique)

    def __repr__(self) -> str:
        n, h, w = self.grid
        maps = sum(g.shape[1] for g in self._groups())
        share = 100.0 * self.nnz / self.size
        return f"Codes({n}x{maps} maps of {h}x{w}, {self.nnz} nonzero, {share:.3g} %)"

    # ------------------------------------------------------------------ files
    def save(self, path: str | Path) -> None:
        """Write the nonzero coefficients to an ``.npz`` file (temporary name, then renamed)."""
        names = ["common", *(f"unique_{m}" for m in range(len(self._unique)))]
        arrays: dict[str, Any] = {}
        shapes: dict[str, list[int] | None] = {}
        for name, g in zip(names, (self._common, *self._unique), strict=True):
            shapes[name] = None if g is None else list(g.shape)
            if g is not None:
                arrays[f"{name}_index"] = to_numpy(g.index)
                arrays[f"{name}_value"] = to_numpy(g.value)
        write_npz(path, "mcsc.Codes", _FORMAT, arrays, shapes=shapes)

    @classmethod
    def load(cls, path: str | Path) -> Codes:
        """Read codes that `save` wrote, as NumPy arrays. Nothing is unpickled."""
        header, arrays = read_npz(path, "mcsc.Codes", _FORMAT)
        try:
            groups = {
                name: None
                if shape is None
                else _checked(shape, arrays[f"{name}_index"], arrays[f"{name}_value"])
                for name, shape in header["shapes"].items()
            }
            common = groups.pop("common")
            codes = cls(common, tuple(groups.values()))
            grids = {(g.shape[0], *g.shape[2:]) for g in codes._groups()}
            if len(grids) != 1:
                raise InvalidValueError(f"its groups lie on {len(grids)} grids")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(f"{path} holds no usable codes: {error}") from error
        return codes


def _checked(shape: Any, index: np.ndarray, value: np.ndarray) -> _SparseGroup:
    """Return the group that was read, after a look at whether its parts fit."""
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
    return _SparseGroup(tuple(shape), index, value)


def _check_dense(name: str, maps: Any) -> None:
    if not is_array(maps):
        raise InvalidTypeError(f"{name} must be an array (N, K, H, W), found {type(maps).__name__}")
    xp = namespace(maps)
    if maps.dtype not in (xp.float32, xp.float64):
        raise InvalidTypeError(f"{name} has dtype {maps.dtype}: codes are float32 or float64")
    shape = tuple(int(n) for n in maps.shape)
    if len(shape) != 4 or 0 in shape:
        raise InvalidValueError(f"{name} has shape {shape}: codes are (N, K, H, W)")
    if not bool(xp.all(xp.isfinite(maps))):
        raise InvalidValueError(f"{name} holds NaN or Inf")


def _sparsify(maps: Array) -> _SparseGroup:
    xp = namespace(maps)
    shape: Any = tuple(int(n) for n in maps.shape)
    flat = xp.reshape(maps, (-1,))
    index = xp.nonzero(flat)[0]
    return _SparseGroup(shape, index, flat[index])
