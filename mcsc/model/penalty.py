r"""The penalty of the codes: weighted l1, with a square and a sign where they are asked for.

.. math::

    \sum_k \sum_p \lambda_k(p)\,|a_k(p)| + \tfrac{\mu_k}{2}\,a_k(p)^2,
    \qquad a_k \ge 0 \text{ where the group is non-negative.}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace, to_numpy
from ..backend.base import Shrinkage, Tile
from ..checks import check_number, is_number
from ..errors import InvalidTypeError, InvalidValueError
from .lam import lam_arrays

__all__ = ["Penalty"]


@dataclass(frozen=True, eq=False)
class Penalty:
    """lam, mu and sign of every map, in the order of the dictionary's groups."""

    groups: tuple[slice, ...]
    """Maps of each group."""
    lam: tuple[Array, ...]
    """lam of each group: an array that broadcasts to (N, K, H, W), of four axes."""
    lam_maps: np.ndarray
    """lam of each map, (K,), float64; where it differs within a map, its mean."""
    mu: np.ndarray
    """Weight of the square of each map, (K,), float64."""
    nonnegative: np.ndarray
    """True for maps that must not be negative, (K,)."""

    @classmethod
    def make(
        cls,
        lam: Any,
        mu: Any,
        nonnegative: Any,
        maps: Mapping[str, int],
        grid: Sequence[int],
        xp: Any,
    ) -> Penalty:
        """Check what was given for groups of so many maps on a grid (N, H, W).

        Raises
        ------
        TypeError, ValueError
            It is not what `Problem` says.
        """
        ends = np.cumsum([0, *maps.values()])
        groups = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
        counts = list(maps.values())
        arrays = lam_arrays(lam, maps, grid, xp)
        return cls(
            groups,
            arrays,
            _mean_of_maps(arrays, maps),
            np.repeat(_squares(mu, maps), counts),
            np.repeat(_signs(nonnegative, maps), counts),
        )

    # ------------------------------------------------------------------- shape
    @property
    def per_map(self) -> bool:
        """True if lam does not differ within a map."""
        return all(tuple(lam.shape[a] for a in (0, 2, 3)) == (1, 1, 1) for lam in self.lam)

    @property
    def plain(self) -> bool:
        """True for the l1 norm alone, with one lam a map."""
        return self.per_map and not self.elastic and not self.signed

    @property
    def elastic(self) -> bool:
        """True if any map has a square."""
        return bool(np.any(self.mu > 0))

    @property
    def signed(self) -> bool:
        """True if any map must not be negative."""
        return bool(np.any(self.nonnegative))

    # ------------------------------------------------------------------ values
    def on(self, tile: Tile) -> Array:
        """Return lam on a tile of the codes, as an array that broadcasts to it."""
        start, stop = tile.maps.start or 0, tile.maps.stop
        parts = []
        for maps, lam in zip(self.groups, self.lam, strict=True):
            first, last = max(start, maps.start), min(stop, maps.stop)
            if first >= last:
                continue
            samples = tile.samples if lam.shape[0] > 1 else slice(None)
            rows = tile.rows if lam.shape[2] > 1 else slice(None)
            chosen = slice(first - maps.start, last - maps.start)
            if lam.shape[1] == 1:
                chosen = slice(None)
            part = lam[samples, chosen, rows, :]
            parts.append((last - first, part))
        if len(parts) == 1:
            return parts[0][1]
        xp = namespace(parts[0][1])
        full = np.broadcast_shapes(*((p.shape[0], 1, *p.shape[2:]) for _, p in parts))
        dtype = xp.result_type(*(p.dtype for _, p in parts))
        whole = [
            xp.broadcast_to(xp.astype(p, dtype), (full[0], count, *full[2:])) for count, p in parts
        ]
        return xp.concat(whole, axis=1)

    def at(self, n: np.ndarray, k: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return lam of single coefficients, float64; NumPy only."""
        out = np.empty(len(k))
        for maps, lam in zip(self.groups, self.lam, strict=True):
            mine = (k >= maps.start) & (k < maps.stop)
            places = (n[mine], k[mine] - maps.start, i[mine], j[mine])
            out[mine] = lam[
                tuple(
                    p if size > 1 else np.zeros_like(p)
                    for p, size in zip(places, lam.shape, strict=True)
                )
            ]
        return out

    def of_values(
        self, value: np.ndarray, n: np.ndarray, k: np.ndarray, i: np.ndarray, j: np.ndarray
    ) -> float:
        """Return the penalty of single coefficients, float64; NumPy only."""
        if np.any((value < 0) & self.nonnegative[k]):
            return np.inf
        lam = self.at(n, k, i, j)
        total = float(np.dot(lam, np.abs(value)))
        return total + 0.5 * float(np.dot(self.mu[k], value * value)) if self.elastic else total

    def squares(self, tile: Tile, xp: Any, dtype: Any) -> Array:
        """Return mu on a tile, (1, k, 1, 1)."""
        return xp.asarray(self.mu[tile.maps].reshape(1, -1, 1, 1), dtype=dtype)

    def value(self, a: Array, tile: Tile) -> Array:
        """Return the penalty of codes on a tile, a number of their library."""
        xp = namespace(a)
        total = xp.sum(self.on(tile) * xp.abs(a))
        if self.elastic:
            total = total + 0.5 * xp.sum(self.squares(tile, xp, a.dtype) * a * a)
        if self.signed:
            one_sided = xp.asarray(self.nonnegative[tile.maps].reshape(1, -1, 1, 1))
            if bool(xp.any(one_sided & (a < 0))):
                return xp.asarray(np.inf, dtype=a.dtype)
        return total

    def shrinkage(self, step: float, dtype: Any) -> Array | Shrinkage:
        """Return the proximal map of `step` times the penalty, as backends take it.

        Parameters
        ----------
        step : float
        dtype : dtype
            Type of the codes, in their library.
        """
        xp = namespace(*self.lam)
        if self.plain:
            return xp.asarray(self.lam_maps * step, dtype=dtype)

        def levels(tile: Tile) -> Array:
            return xp.astype(self.on(tile) * step, dtype)

        return Shrinkage(
            levels,
            xp.asarray(1.0 / (1.0 + step * self.mu), dtype=dtype),
            xp.asarray(self.nonnegative),
        )

    def extended(self, grid: tuple[int, int]) -> Penalty:
        """Return the penalty on a larger grid (H, W), where what is new has a lam of one."""

        def wider(lam: Array) -> Array:
            xp = namespace(lam)
            n, k, h, w = lam.shape
            shape = (n, k, grid[0] if h > 1 else 1, grid[1] if w > 1 else 1)
            if shape == (n, k, h, w):
                return lam
            out = xp.ones(shape, dtype=lam.dtype)
            out[..., :h, :w] = lam
            return out

        return replace(self, lam=tuple(wider(lam) for lam in self.lam))

    def feasible(self, a: Array) -> Array:
        """Return codes (N, K, H, W) without what must not be negative; new where it changes."""
        if not self.signed:
            return a
        xp = namespace(a)
        one_sided = xp.asarray(self.nonnegative.reshape(1, -1, 1, 1))
        return xp.where(one_sided & (a < 0), xp.zeros((), dtype=a.dtype), a)

    def pull(self, g: Array, tile: Tile) -> Array:
        """Return what of correlations counts against lam: ``|g|``, or g where codes are >= 0."""
        xp = namespace(g)
        if not np.any(self.nonnegative[tile.maps]):
            return xp.abs(g)
        one_sided = xp.asarray(self.nonnegative[tile.maps].reshape(1, -1, 1, 1))
        return xp.where(one_sided, g, xp.abs(g))


def _mean_of_maps(arrays: Sequence[Array], maps: Mapping[str, int]) -> np.ndarray:
    found = []
    for lam, count in zip(arrays, maps.values(), strict=True):
        xp = namespace(lam)
        mean = lam[0, :, 0, 0]
        if tuple(lam.shape[axis] for axis in (0, 2, 3)) != (1, 1, 1):
            mean = xp.mean(xp.astype(lam, xp.float64), axis=(0, 2, 3))
        found.append(np.broadcast_to(to_numpy(mean), (count,)))
    return np.concatenate(found).astype(np.float64)


def _per_group(name: str, given: Any, maps: Mapping[str, int]) -> list[Any]:
    """Spread one entry over all groups, or take one per group."""
    if is_array(given):
        given = to_numpy(given).tolist()
    if isinstance(given, str) or not isinstance(given, Sequence):
        return [given] * len(maps)
    if len(given) != len(maps):
        names = ", ".join(maps)
        raise InvalidValueError(
            f"{name} has {len(given)} entries: give one, or one for each group [{names}]"
        )
    return list(given)


def _squares(mu: Any, maps: Mapping[str, int]) -> np.ndarray:
    entries = _per_group("mu", mu, maps)
    for entry in entries:
        if not is_number(entry):
            raise InvalidTypeError(f"mu must be a number, or one for each group, found {mu!r}")
    return np.array([check_number("mu", e, zero=True) for e in entries], dtype=np.float64)


def _signs(nonnegative: Any, maps: Mapping[str, int]) -> np.ndarray:
    entries = _per_group("nonnegative", nonnegative, maps)
    if not all(isinstance(e, bool | np.bool_) for e in entries):
        raise InvalidTypeError(
            f"nonnegative must be True or False, or one of them for each group, "
            f"found {nonnegative!r}"
        )
    return np.array(entries, dtype=bool)
