"""The active coefficients of the working-set solver, sorted by tile and map."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import get_num_threads, sparse_kernels
from ..backend.threads import map_in_threads
from ..model.codes import Codes
from ..model.problem import Problem
from . import band_kernels
from .bands import Bands
from .filters import FilterTable
from .tiles import TileGrid


class ActiveSet:
    """Coefficients that may be nonzero, with kernels that run over them on all cores.

    Images of this class, (N, C, H', W'), are padded: with zero weights at the zero boundary, with
    copies of the other side on the periodic one. Patches that leave the image so need no special
    case when they are read. Holds 41 bytes per coefficient in float32. Results are independent of
    the number of threads (see `band_kernels`).
    """

    def __init__(self, problem: Problem, grid: TileGrid, dtype: Any) -> None:
        self.problem = problem
        self.grid = grid
        self.dtype = np.dtype(dtype)
        self.tiles = np.arange(grid.count)
        self.table = FilterTable(problem.dictionary, dtype)
        s = problem.dictionary.filter_size
        self.filter_rows = (0,) * s
        """Carries the filter size into the kernels' types."""
        h, w = problem.shape
        o = (s - 1) // 2
        self._periodic = problem.boundary == "periodic"
        # Periodic images carry copies of their edges, so wide that the copy of every patch that
        # another patch can read has room.
        self._before, after = (o + s - 1, 2 * s - 2 - o) if self._periodic else (o, s - 1 - o)
        self._after = after
        self._shift = o - self._before  # from where a patch begins to where its coefficient is
        self.shape = (h + self._before + after, w + self._before + after)
        self.signal = self.pad(problem.stacked)
        # Squared weights; none where all are one.
        self.weights = np.zeros((0, self.signal.shape[1], 1, 1), dtype=dtype)
        if problem.weights is not None:
            self.weights = self.pad(problem.weights) ** 2
        elif not self._periodic:
            self.weights = self.pad(np.ones(problem.stacked.shape, dtype=dtype))
        self._flat_weights = self.weights.reshape(-1)
        never = 4 * max(self.shape)
        period = problem.shape if self._periodic else (never, never)
        self.extent = (self.signal.shape[1], *self.shape, *period)
        self._key = np.zeros(0, dtype=np.int64)
        self.n = np.zeros(0, dtype=np.int32)
        self.k = np.zeros(0, dtype=np.int32)
        self._i = np.zeros(0, dtype=np.int32)  # where the patch begins
        self._j = np.zeros(0, dtype=np.int32)
        self.kind = np.zeros(0, dtype=np.uint8)
        self.curvature = np.zeros(0, dtype=dtype)
        self.lam = np.zeros(0, dtype=dtype)
        self.value = np.zeros(0, dtype=dtype)
        self.mu = problem.penalty.mu.astype(dtype)
        self.signed = problem.penalty.nonnegative
        self.bounds = np.zeros(grid.count + 1, dtype=np.int64)
        self._bands: Bands | None = None
        self._windows = self._owned_windows()

    @property
    def size(self) -> int:
        """Number of active coefficients."""
        return len(self.k)

    @property
    def i(self) -> np.ndarray:
        """Row of each coefficient on the grid of the codes."""
        return self._i + self._shift

    @property
    def j(self) -> np.ndarray:
        """Column of each coefficient on the grid of the codes."""
        return self._j + self._shift

    @property
    def places(self) -> tuple[np.ndarray, ...]:
        """What every kernel takes: sample, map, row and column where the patch begins, kind."""
        return self.n, self.k, self._i, self._j, self.kind

    def pad(self, image: np.ndarray) -> np.ndarray:
        """Return an image (N, C, H, W) in this class's layout and precision."""
        edges = (self._before, self._after)
        mode: Any = "wrap" if self._periodic else "constant"
        image = np.asarray(image, dtype=self.dtype)
        return np.ascontiguousarray(np.pad(image, ((0, 0), (0, 0), edges, edges), mode=mode))

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Return the view of a padded image on the signals' grid."""
        h, w = self.problem.shape
        b = self._before
        return image[:, :, b : b + h, b : b + w]

    def weighted(self, image: np.ndarray) -> np.ndarray:
        """``w^2 image``."""
        return image * self.weights if len(self.weights) else image

    # ------------------------------------------------------------------ content
    def insert(
        self, n: np.ndarray, k: np.ndarray, i: np.ndarray, j: np.ndarray, value: np.ndarray
    ) -> None:
        """Add coefficients that are not yet active, at rows i and columns j of the codes' grid."""
        fresh = len(k)
        kind = np.zeros(fresh, dtype=np.uint8)
        curvature = np.zeros(fresh, dtype=self.dtype)
        height, width = self.problem.shape
        # Sorted by tile, then map, then place. A tile's residual stays in the cache, a filter is
        # read once, and one coefficient seldom waits for the pixels that the last one wrote.
        tile = self.grid.of(n, i, j)
        key = ((tile * self.problem.dictionary.n_maps + k) * height + i) * width + j
        lam = self._lam_at(n, k, i, j).astype(self.dtype)
        n, k, i, j = (
            np.ascontiguousarray(a, dtype=np.int32)
            for a in (n, k, i - self._shift, j - self._shift)
        )
        value = np.ascontiguousarray(value, dtype=self.dtype)

        def measure(part: slice) -> None:
            sparse_kernels.measure(
                self.filter_rows,
                self._flat_weights, self.extent, *self.table.arguments, self.table.norms,
                n[part], k[part], i[part], j[part], kind[part], curvature[part],
            )  # fmt: skip

        map_in_threads(measure, _parts(fresh))
        # A column that no known pixel sees cannot be coded, and would divide by zero. One that is
        # hardly seen, or seen with small weights, can.
        seen = np.flatnonzero(curvature > np.finfo(self.dtype).tiny)
        new = key, n, k, i, j, kind, curvature, lam, value
        order = np.argsort(np.concatenate([self._key, key[seen]]), kind="stable")

        def merge(pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
            old, fresh = pair
            return np.concatenate([old, fresh[seen]])[order]

        self._set(_each(merge, list(zip(self._arrays(), new, strict=True)), len(order)))

    def insert_codes(self, codes: Codes) -> None:
        """Add the nonzeros of codes that fit the problem, but for those of a forbidden sign."""
        groups = {g.name: g.maps.start for g in self.problem.dictionary.groups}
        common, unique = codes.coordinates()
        parts = {"common": common} | {f"unique[{m}]": c for m, c in enumerate(unique)}
        found = [
            (c.sample, c.map + groups[name], c.row, c.column, c.value)
            for name, c in parts.items()
            if c is not None
        ]
        n, k, i, j, value = (np.concatenate(column) for column in zip(*found, strict=True))
        fit = (value >= 0) | ~self.signed[k]
        self.insert(n[fit], k[fit], i[fit], j[fit], value[fit])

    def prune(self) -> None:
        """Drop the coefficients that are zero."""
        self.keep(self.value != 0)

    def keep(self, chosen: np.ndarray) -> None:
        """Drop all but the chosen coefficients."""
        if not chosen.all():
            self._set(self._taken(np.flatnonzero(chosen)))

    def subset(self, tiles: np.ndarray) -> ActiveSet:
        """Return the coefficients of some tiles; images, weights and filters are shared."""
        part = copy.copy(self)
        part.tiles = tiles
        part._set(self._taken(self._on(tiles)))
        return part

    def take_values(self, part: ActiveSet) -> None:
        """Copy the values of a `subset` back."""
        self.value[self._on(part.tiles)] = part.value

    def _on(self, tiles: np.ndarray) -> np.ndarray:
        """Return which coefficients lie on some tiles."""
        chosen = np.zeros(self.grid.count, dtype=bool)
        chosen[tiles] = True
        return np.flatnonzero(np.repeat(chosen, np.diff(self.bounds)))

    def _taken(self, index: np.ndarray) -> list[np.ndarray]:
        return _each(lambda a: a[index], self._arrays(), len(index))

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return (
            self._key, self.n, self.k, self._i, self._j, self.kind, self.curvature, self.lam,
            self.value,
        )  # fmt: skip

    def _owned_windows(self) -> np.ndarray:
        """Sample, top, left, bottom, right of every tile's part of a padded image, (tiles, 5)."""
        windows = np.array([self.grid.window(t) for t in range(self.grid.count)], dtype=np.int64)
        # The edge belongs to the tiles at it.
        for begin, end, axis in ((1, 3, 0), (2, 4, 1)):
            first, last = windows[:, begin].min(), windows[:, end].max()
            at_first, at_last = windows[:, begin] == first, windows[:, end] == last
            windows[:, [begin, end]] += self._before
            windows[at_first, begin] = 0
            windows[at_last, end] = self.shape[axis]
        return windows

    def _lam_at(self, n: np.ndarray, k: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return lam of coefficients on the grid of the codes, float64."""
        penalty = self.problem.penalty
        return self.problem.lam_maps[k] if penalty.per_map else penalty.at(n, k, i, j)

    def _set(self, arrays: list[np.ndarray]) -> None:
        (
            self._key, self.n, self.k, self._i, self._j, self.kind, self.curvature, self.lam,
            self.value,
        ) = arrays  # fmt: skip
        height, width = self.problem.shape
        stride = height * width * self.problem.dictionary.n_maps
        self.bounds = np.searchsorted(self._key, np.arange(self.grid.count + 1) * stride)
        self._bands = None

    def astype(self, dtype: Any) -> ActiveSet:
        """Return the same set in another precision."""
        other = ActiveSet(self.problem, self.grid, dtype)
        other.insert(self.n, self.k, self.i, self.j, self.value.astype(dtype))
        return other

    # ---------------------------------------------------------------- operators
    @property
    def bands(self) -> Bands:
        """The tiles, cut for as many threads as there are."""
        if self._bands is None or self._bands.threads != get_num_threads():
            # Patches reach into the tiles around, which are cleared and waited for, too.
            tiles = self.grid.with_neighbours(self.tiles)
            self._bands = Bands(self.grid, tiles, np.diff(self.bounds))
        return self._bands

    def descend(
        self, residual: np.ndarray, sweeps: int, passes: int = 1, calm: float = 0.0
    ) -> tuple[float, int]:
        """Coordinate descent, `residual` = s - D value kept up.

        In each of some passes a tile is swept some times before its neighbours have their turn; the
        first sweep says which coefficients the others pass over (`calm`, see `band_kernels`).
        Returns the largest violation over lam in the last sweep, and how often a coefficient became
        zero or nonzero in the last pass.
        """
        t = self.table
        flat = residual.reshape(-1)
        worst = np.zeros(self.grid.count)
        changed = np.zeros(self.grid.count, dtype=np.int64)
        moved = np.empty(self.size, dtype=self.dtype)
        share = self.dtype.type(calm)

        def work(_: int, *band: Any) -> bool:
            finished: bool = band_kernels.descend(
                self.filter_rows, *band,
                passes, sweeps, share, self.bounds, flat, self._flat_weights, self.extent,
                *t.arguments, self.mu, self.signed,
                *self.places, self.curvature, self.lam, self.value, moved, worst, changed,
            )  # fmt: skip
            return finished

        self.bands.run(work)
        return float(worst.max(initial=0.0)), int(changed.sum())

    def solve(
        self, r: np.ndarray, scale: np.ndarray, steps: int, goal: float, image: np.ndarray
    ) -> np.ndarray:
        """Solve ``(D^T w^2 D + mu) x = r`` for the coefficients at which `scale` is not zero.

        By conjugate gradients with the diagonal `scale` as their preconditioner, until
        ``max |r| / lam <= goal`` or for some steps. What `image`, as large as the residual, holds
        before or afterwards is meaningless.
        """
        r = r.copy()
        x, p, q = np.zeros_like(r), scale * r, np.empty_like(r)
        flat = image.reshape(-1)
        first = float(np.dot(r, p))
        if first <= 0 or float((np.abs(r) / self.lam).max(initial=0.0)) <= goal:
            return x
        products, worst = np.zeros((self.grid.count, 2)), np.zeros(self.grid.count)
        bands = self.bands
        numbers = np.full((bands.count, 3), first)
        arrived = np.zeros(bands.count, dtype=np.int64)

        def work(band: int, *where: Any) -> bool:
            finished: bool = band_kernels.conjugate_gradients(
                self.filter_rows, *where,
                band, arrived, numbers, self._windows, steps, goal, self.bounds, flat,
                self._flat_weights, self.extent, *self.table.arguments, self.mu, *self.places,
                self.lam, scale, p, q, r, x, products, worst,
            )  # fmt: skip
            return finished

        bands.run(work)
        return x

    def synthesise(self, value: np.ndarray, image: np.ndarray) -> np.ndarray:
        """``image += D value``, in place (what lies off the image is meaningless)."""
        self.add(image, self.table.arguments, self.extent, value)
        return image

    def add(
        self, image: np.ndarray, filters: tuple[np.ndarray, ...], extent: tuple[int, ...],
        value: np.ndarray,
    ) -> None:  # fmt: skip
        """``image += D value`` with filters and an extent that may be others than this set's."""
        flat = image.reshape(-1)

        def work(_: int, *band: Any) -> bool:
            finished: bool = band_kernels.add(
                self.filter_rows, *band,
                self.bounds, flat, extent, *filters, *self.places, value,
            )  # fmt: skip
            return finished

        self.bands.run(work)

    def correlate(self, image: np.ndarray) -> np.ndarray:
        """``D^T w^2 image`` at the active coefficients."""
        out = np.empty(self.size, dtype=self.dtype)
        flat = image.reshape(-1)

        def work(part: slice) -> None:
            sparse_kernels.correlate(
                self.filter_rows,
                part.start, part.stop, flat, self._flat_weights, self.extent,
                *self.table.arguments,
                *self.places, out,
            )  # fmt: skip

        map_in_threads(work, _parts(self.size))
        return out

    def residual(self) -> np.ndarray:
        """``s - D value``, from scratch."""
        return self.synthesise(-self.value, self.signal.copy())

    def penalty(self, value: np.ndarray | None = None) -> float:
        """The penalty of the values in float64, of other values if some are given."""
        given = self.value if value is None else value
        penalty, shift = self.problem.penalty, self._shift

        def of(part: slice) -> float:
            v, k = given[part].astype(np.float64, copy=False), self.k[part]
            lam = self._lam_at(self.n[part], k, self._i[part] + shift, self._j[part] + shift)
            total = float(np.dot(lam, np.abs(v)))
            if penalty.elastic:
                total += 0.5 * float(np.dot(penalty.mu[k], v * v))
            return total

        return math.fsum(map_in_threads(of, _pieces(self.size)))

    def energy(self, residual: np.ndarray) -> float:
        """``|w r|^2 / 2`` of a residual."""
        return math.fsum(map_in_threads(lambda rows: self._energy(residual, rows), self.strips))

    def _energy(self, residual: np.ndarray, rows: slice) -> float:
        r, weights = self.crop(residual)[:, :, rows], self.rows_of_weights(rows)
        # Dot products are of what lies together.
        r = np.ascontiguousarray(r)
        return 0.5 * float(np.vdot(r, r if weights is None else r * weights))

    @property
    def strips(self) -> list[slice]:
        """Rows of the signals' grid in parts whose number does not depend on that of threads."""
        height = self.problem.shape[0]
        return [slice(a, min(a + _STRIP, height)) for a in range(0, height, _STRIP)]

    def rows_of_weights(self, rows: slice) -> np.ndarray | None:
        """Return the squared weights of some rows of the signals' grid; None where all are one."""
        return self.crop(self.weights)[:, :, rows] if len(self.weights) else None

    def exact_image(self, value: np.ndarray) -> np.ndarray:
        """``D value`` in float64 on the signals' grid, whatever the precision of the set."""
        table = FilterTable(self.problem.dictionary, np.float64)
        image = np.zeros(self.signal.shape)
        self.add(image, table.arguments, self.extent, value.astype(np.float64, copy=False))
        return self.crop(image)


# Below this many coefficients handing work to another thread costs more than it saves.
_WORTH_A_THREAD = 8192
# Sums are made of parts of these sizes, in whatever order, and so do not depend on the threads.
_STRIP = 64  # rows
_PIECE = 32_768  # coefficients


def _each(
    function: Callable[[Any], np.ndarray], items: Sequence[Any], length: int
) -> list[np.ndarray]:
    """Apply `function` to arrays of so many coefficients, on all cores if that pays."""
    if length < _WORTH_A_THREAD:
        return [function(item) for item in items]
    return map_in_threads(function, items)


def _pieces(length: int) -> list[slice]:
    return [slice(a, min(a + _PIECE, length)) for a in range(0, length, _PIECE)]


def _parts(length: int) -> list[slice]:
    count = max(1, min(2 * get_num_threads(), length // _WORTH_A_THREAD))
    edges = np.linspace(0, length, count + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]
