r"""The penalty of the codes: weighted l1, with a square and a sign where they are asked for.

.. math::

    \sum_k \sum_p \lambda_k(p)\,|a_k(p)| + \tfrac{\mu_k}{2}\,a_k(p)^2,
    \qquad a_k \ge 0 \text{ where the group is non-negative.}

Of groups that are joined, lam weighs the l2 norm over their coefficients of one number k and one
place p instead, :math:`\lambda_k(p) \sqrt{\sum_g a_{gk}(p)^2}`. Its dual norm is the l2 norm again,
so :math:`\sqrt{\sum_g |D_{gk}^T \theta|^2} \le \lambda_k` takes the place of
:math:`|D_k^T \theta| \le \lambda_k`, and the proximal map shrinks whole vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace, to_numpy
from ..backend.base import Shrinkage, Tile, joint_norm, parts_of
from ..checks import check_number, check_unmasked, is_number
from ..errors import InvalidTypeError, InvalidValueError
from .lam import lam_arrays

__all__ = ["Penalty", "check_terms"]

_NO_SQUARE = 1e-9
"""Share of the squared norm of the smallest filter: a mu up to it does not count in bounds."""


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
    joined: tuple[slice, ...] = ()
    """Maps of the groups that are joined, all equally many; none, or two and more."""

    @classmethod
    def make(
        cls,
        lam: Any,
        mu: Any,
        nonnegative: Any,
        maps: Mapping[str, int],
        grid: Sequence[int],
        xp: Any,
        joint: Any = False,
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
        squares = _squares(mu, maps)
        chosen = np.flatnonzero(_truths("joint", joint, maps))
        if len(chosen):
            _check_joined(chosen, arrays, squares, maps)
        return cls(
            groups,
            arrays,
            _mean_of_maps(arrays, maps),
            np.repeat(squares, counts),
            np.repeat(_truths("nonnegative", nonnegative, maps), counts),
            tuple(groups[g] for g in chosen),
        )

    # ------------------------------------------------------------------- shape
    @property
    def per_map(self) -> bool:
        """True if lam does not differ within a map."""
        return all(tuple(lam.shape[a] for a in (0, 2, 3)) == (1, 1, 1) for lam in self.lam)

    @property
    def plain(self) -> bool:
        """True for the l1 norm alone, with one lam a map."""
        return self.per_map and not (self.elastic or self.signed or self.joined)

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
        total = float(np.dot(lam, self.sizes(value, n, k, i, j)))
        return total + 0.5 * float(np.dot(self.mu[k], value * value)) if self.elastic else total

    def sizes(
        self, value: np.ndarray, n: np.ndarray, k: np.ndarray, i: np.ndarray, j: np.ndarray
    ) -> np.ndarray:
        """Return ``|value|``; of joined coefficients their norm at one, zero at the others.

        NumPy only, as `at`.
        """
        sizes: np.ndarray = np.abs(value)
        member = np.full(len(k), -1)
        for maps in self.joined:
            mine = (k >= maps.start) & (k < maps.stop)
            member[mine] = k[mine] - maps.start
        mine = np.flatnonzero(member >= 0)
        if len(mine):
            keys = np.stack([n[mine], member[mine], i[mine], j[mine]])
            _, first, which = np.unique(keys, axis=1, return_index=True, return_inverse=True)
            norms = np.sqrt(np.bincount(which.reshape(-1), weights=value[mine] ** 2))
            sizes[mine] = 0
            sizes[mine[first]] = norms
        return sizes

    def squares(self, tile: Tile, xp: Any, dtype: Any) -> Array:
        """Return mu on a tile, (1, k, 1, 1)."""
        return xp.asarray(self.mu[tile.maps].reshape(1, -1, 1, 1), dtype=dtype)

    def value(self, a: Array, tile: Tile) -> Array:
        """Return the penalty of codes on a tile, a number of their library."""
        xp = namespace(a)
        total = xp.sum(self.on(tile) * self._norms(xp.abs(a), tile))
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
            # lam may be of less precision than the codes: thresholds must not be.
            lam = self.on(tile)
            return xp.astype(xp.astype(lam, xp.result_type(lam.dtype, dtype)) * step, dtype)

        return Shrinkage(
            levels,
            xp.asarray(1.0 / (1.0 + step * self.mu), dtype=dtype),
            xp.asarray(self.nonnegative),
            self.joined,
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

    def bounding(self, norms: np.ndarray) -> Penalty:
        """Return the penalty that bounds from below are computed for, at most this one.

        A tiny square bounds nothing by itself: roundings of correlations that exceed lam, squared
        and divided by mu, would be larger than the objective. Without it the bound is less by a
        share of some 1e-9.

        Parameters
        ----------
        norms : array (K,)
            Norm of the filter of each map.
        """
        smallest = float(norms[norms > 0].min(initial=np.inf))
        tiny = (self.mu > 0) & (self.mu <= _NO_SQUARE * min(smallest, 1e150) ** 2)
        return replace(self, mu=np.where(tiny, 0.0, self.mu)) if tiny.any() else self

    def feasible(self, a: Array) -> Array:
        """Return codes (N, K, H, W) without what must not be negative; new where it changes."""
        if not self.signed:
            return a
        xp = namespace(a)
        one_sided = xp.asarray(self.nonnegative.reshape(1, -1, 1, 1))
        return xp.where(one_sided & (a < 0), xp.zeros((), dtype=a.dtype), a)

    def pull(self, g: Array, tile: Tile) -> Array:
        """Return what of correlations counts against lam: ``|g|``, or g where codes are >= 0.

        Where maps are joined, the first of them holds the norm over all, and the others hold zero.
        """
        xp = namespace(g)
        size = xp.abs(g)
        if np.any(self.nonnegative[tile.maps]):
            one_sided = xp.asarray(self.nonnegative[tile.maps].reshape(1, -1, 1, 1))
            size = xp.where(one_sided, g, size)
        return self._norms(size, tile)

    def _norms(self, size: Array, tile: Tile) -> Array:
        """Put the norm of what of `size` is positive at the first of the joined maps, else zero."""
        if not self.joined:
            return size
        xp = namespace(size)
        zero = xp.zeros((), dtype=size.dtype)
        norm = joint_norm([xp.maximum(part, zero) for part in parts_of(size, self.joined, tile)])
        out = xp.asarray(size, copy=True)
        for maps in self.joined:
            out[:, maps, ...] = zero
        out[:, self.joined[0], ...] = norm
        return out


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
        check_unmasked(name, given)
        given = to_numpy(given).tolist()
    if isinstance(given, str) or not isinstance(given, Sequence):
        return [given] * len(maps)
    if len(given) != len(maps):
        names = ", ".join(maps)
        raise InvalidValueError(
            f"{name} has {len(given)} entries: give one, or one for each group [{names}]"
        )
    return list(given)


def check_terms(mu: Any, nonnegative: Any, maps: Mapping[str, int]) -> None:
    """Refuse a mu or signs that do not fit so many maps of these groups, as `Penalty.make` does."""
    _squares(mu, maps)
    _truths("nonnegative", nonnegative, maps)


def _squares(mu: Any, maps: Mapping[str, int]) -> np.ndarray:
    entries = _per_group("mu", mu, maps)
    for entry in entries:
        if not is_number(entry):
            raise InvalidTypeError(f"mu must be a number, or one for each group, found {mu!r}")
    return np.array([check_number("mu", e, zero=True) for e in entries], dtype=np.float64)


def _truths(name: str, given: Any, maps: Mapping[str, int]) -> np.ndarray:
    entries = _per_group(name, given, maps)
    if not all(isinstance(e, bool | np.bool_) for e in entries):
        raise InvalidTypeError(
            f"{name} must be True or False, or one of them for each group, found {given!r}"
        )
    return np.array(entries, dtype=bool)


def _check_joined(
    chosen: np.ndarray, lam: Sequence[Array], squares: np.ndarray, maps: Mapping[str, int]
) -> None:
    """Refuse groups that cannot be joined."""
    names = [list(maps)[g] for g in chosen]
    if len(names) == 1:
        raise InvalidValueError(f"joint is for two groups or more, found {names[0]} alone")
    counts = [maps[name] for name in names]
    if len(set(counts)) > 1:
        found = ", ".join(f"{name} ({count})" for name, count in zip(names, counts, strict=True))
        raise InvalidValueError(f"joint groups must have equally many maps, found {found}")
    first, *others = (lam[g] for g in chosen)
    xp = namespace(first)
    if not all(bool(xp.all(first == other)) for other in others):
        raise InvalidValueError(f"lam must be the same for the joint groups {', '.join(names)}")
    if len(set(squares[chosen])) > 1:
        raise InvalidValueError(f"mu must be the same for the joint groups {', '.join(names)}")
