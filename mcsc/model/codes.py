"""Codes: the common and unique feature maps, kept sparse until they are asked for dense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace, to_numpy
from ..errors import InvalidTypeError, InvalidValueError
from ..files import read_npz, write_npz
from ..lazy import cached_property
from ..words import percent
from .banks import read_only
from .dictionary import Dictionary
from .sparse_maps import Coordinates, SparseMaps

__all__ = ["Codes", "Coordinates"]

_FORMAT = 1


def check_is_codes(given: Any) -> None:
    """Refuse what is no `Codes`."""
    if not isinstance(given, Codes):
        raise InvalidTypeError(f"codes must be mcsc.Codes, found {type(given).__name__}")


@dataclass(frozen=True, eq=False)
class Codes:
    """Sparse feature maps of all code groups.

    Made by `mcsc.solve` or, from dense arrays, by `Codes.from_dense`: also from changed copies of
    the dense maps, which are themselves read-only (in NumPy), as nothing else follows them.

    Attributes
    ----------
    common : array (N, K, H, W) or None
        ``c``, dense, made at the first access; read-only.
    unique : tuple of M (array (N, K_m, H, W) or None)
        ``(u, v, ...)``, dense, made at the first access; read-only.
    """

    sparse_common: SparseMaps | None
    """Common maps, sparse."""
    sparse_unique: tuple[SparseMaps | None, ...]
    """Unique maps of each signal, sparse."""

    @classmethod
    def from_dense(
        cls, common: Array | None = None, unique: Sequence[Array | None] | None = ()
    ) -> Codes:
        """Make codes from dense arrays (N, K, H, W); an entry of `unique` may be None.

        Raises
        ------
        TypeError
            An entry is not an array, not of floating-point numbers, or libraries are mixed; or
            `unique` is no sequence of them.
        ValueError
            There are no maps, shapes do not fit, or values are not finite.
        """
        unique = () if unique is None else unique
        if is_array(unique) or isinstance(unique, str) or not isinstance(unique, Sequence):
            raise InvalidTypeError(
                "unique must be a tuple with an array (N, K, H, W) or None for every signal, found "
                f"{type(unique).__name__}; for one signal write (unique,)"
            )
        groups = [g for g in (common, *unique) if g is not None]
        if not groups:
            raise InvalidValueError("codes have no maps: give common, unique or both")
        named = [("common", common), *((f"unique[{m}]", g) for m, g in enumerate(unique))]
        parts = [None if g is None else SparseMaps.from_dense(name, g) for name, g in named]
        namespace(*groups)
        grids = {(g.shape[0], *g.shape[2:]) for g in groups}
        if len(grids) > 1:
            raise InvalidValueError(
                "code groups lie on different grids: "
                + ", ".join(str(tuple(g.shape)) for g in groups)
            )
        return cls(parts[0], tuple(parts[1:]))

    @classmethod
    def from_stacked(cls, maps: Array, dictionary: Dictionary) -> Codes:
        """Make codes from all maps stacked (N, K, H, W) in the order of `dictionary.groups`."""
        parts = {g.name: SparseMaps.nonzeros(maps[:, g.maps, ...]) for g in dictionary.groups}
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
            groups[g.name] = SparseMaps(shape, index[order], value[order])
        unique = tuple(groups.get(f"unique[{m}]") for m in range(dictionary.n_signals))
        return cls(groups.get("common"), unique)

    def stacked(self, dictionary: Dictionary) -> Array:
        """Return all maps as one dense array (N, K, H, W) in the order of `dictionary.groups`."""
        xp = namespace(self.present[0].value)
        return xp.concat([g.dense() for g in self.present], axis=1)

    @property
    def present(self) -> list[SparseMaps]:
        """The groups that have maps: common, unique of x, unique of y, ..."""
        return [g for g in (self.sparse_common, *self.sparse_unique) if g is not None]

    def maps_for(
        self, dictionary: Dictionary
    ) -> tuple[SparseMaps | None, tuple[SparseMaps | None, ...]]:
        """Return the sparse (common, unique), an entry for every signal of a dictionary.

        Raises
        ------
        ValueError
            The numbers of maps and of filters differ.
        """
        unique = self.sparse_unique or (None,) * dictionary.n_signals
        found = [0 if maps is None else maps.shape[1] for maps in (self.sparse_common, *unique)]
        wanted = [dictionary.n_common, *dictionary.n_unique]
        if found != wanted:
            raise InvalidValueError(
                f"codes have {found} maps per group, the dictionary has {wanted}"
            )
        return self.sparse_common, unique

    def to(self, like: Array) -> Codes:
        """Return these codes in the array library of `like`; only the nonzeros move."""

        def moved(group: SparseMaps | None) -> SparseMaps | None:
            return None if group is None else group.to(like)

        return Codes(moved(self.sparse_common), tuple(moved(g) for g in self.sparse_unique))

    @cached_property
    def common(self) -> Array | None:
        """Common maps ``c``, dense (N, K, H, W), or None; read-only, see `from_dense`."""
        return None if self.sparse_common is None else read_only(self.sparse_common.dense())

    @cached_property
    def unique(self) -> tuple[Array | None, ...]:
        """Unique maps ``(u, v, ...)``, dense (N, K_m, H, W) each, or None; read-only likewise."""
        return tuple(None if g is None else read_only(g.dense()) for g in self.sparse_unique)

    def __getstate__(self) -> dict[str, Any]:
        # Dense maps are large, and a pickle would let them be written to.
        return {"sparse_common": self.sparse_common, "sparse_unique": self.sparse_unique}

    @property
    def nnz(self) -> int:
        """Number of nonzero coefficients in all groups."""
        return sum(g.nnz for g in self.present)

    @property
    def nnz_common(self) -> int:
        """Number of nonzero common coefficients."""
        return 0 if self.sparse_common is None else self.sparse_common.nnz

    @property
    def nnz_unique(self) -> tuple[int, ...]:
        """Number of nonzero unique coefficients of each signal."""
        return tuple(0 if g is None else g.nnz for g in self.sparse_unique)

    @property
    def size(self) -> int:
        """Number of coefficients, zeros included."""
        return sum(g.size for g in self.present)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Samples, height and width (N, H, W)."""
        n, _, h, w = self.present[0].shape
        return n, h, w

    @property
    def dtype(self) -> Any:
        """Floating-point type of the values."""
        return self.present[0].value.dtype

    def coordinates(self) -> tuple[Coordinates | None, tuple[Coordinates | None, ...]]:
        """Return the nonzero coefficients as (common, unique); nothing dense is made."""

        def split(g: SparseMaps | None) -> Coordinates | None:
            return None if g is None else g.coordinates()

        return split(self.sparse_common), tuple(split(g) for g in self.sparse_unique)

    def __repr__(self) -> str:
        n, h, w = self.grid
        maps = sum(g.shape[1] for g in self.present)
        share = percent(self.nnz / self.size, 3)
        return f"Codes({n}x{maps} maps of {h}x{w}, {self.nnz} nonzero, {share})"

    # ------------------------------------------------------------------ files
    def save(self, path: str | Path) -> None:
        """Write the nonzero coefficients to an ``.npz`` file (temporary name, then renamed)."""
        names = ["common", *(f"unique_{m}" for m in range(len(self.sparse_unique)))]
        arrays: dict[str, Any] = {}
        shapes: dict[str, list[int] | None] = {}
        for name, g in zip(names, (self.sparse_common, *self.sparse_unique), strict=True):
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
                else SparseMaps.from_file(shape, arrays[f"{name}_index"], arrays[f"{name}_value"])
                for name, shape in header["shapes"].items()
            }
            common = groups.pop("common")
            codes = cls(common, tuple(groups.values()))
            grids = {(g.shape[0], *g.shape[2:]) for g in codes.present}
            if len(grids) != 1:
                raise InvalidValueError(f"its groups lie on {len(grids)} grids")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(f"{path} holds no usable codes: {error}") from error
        return codes
