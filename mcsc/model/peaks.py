r"""What the dual constraints ask of correlations: their largest ratio to lam, and what exceeds it.

For a dual point with weighted image :math:`v = w\theta` the certificate needs, of each sample,
the largest :math:`|D_k^T v| / \lambda_k` over the maps without a square, and
:math:`\sum (|D_k^T v| - \lambda_k)_+^2 / (2 \mu_k)` over those with one, both in float64. Where
codes must not be negative, :math:`D_k^T v` counts instead of its absolute value.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..backend import Array, Backend, get_num_threads, to_numpy
from ..backend.base import Tile
from ..backend.threads import map_in_threads
from ..lazy import cached_property
from ..types import Boundary, Region
from .convolution import LARGEST_DIRECT_FILTER, DirectOperator, Operator
from .dictionary import Group
from .penalty import Penalty

CELL = 8
"""Side of the cells, in pixels, of which the largest ratio is kept."""
_SIDE = 32  # of a tile, in pixels; a multiple of the cells'


class Look(NamedTuple):
    """What one image v gives; NumPy arrays."""

    largest: np.ndarray
    """Largest ratio of each sample over maps without a square, (N,)."""
    excess: np.ndarray
    """Sum over maps with one of ``(|g| - lam)_+^2 / (2 mu)``, of each sample, (N,)."""
    cells: np.ndarray
    """Largest ratio in every cell, as `largest`, to few digits, (N, H', W')."""


def in_cells(pixels: np.ndarray, first: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return the largest value of every cell of images (N, H, W), at least 0.

    `first` is the place in its cell, row and column, at which an image begins.
    """
    n, h, w = pixels.shape
    top, left = first
    tall, wide = -(-(top + h) // CELL), -(-(left + w) // CELL)
    padded = np.zeros((n, tall * CELL, wide * CELL), dtype=pixels.dtype)
    padded[:, top : top + h, left : left + w] = pixels
    found: np.ndarray = padded.reshape(n, tall, CELL, wide, CELL).max((2, 4))
    return found


class Peaks(Protocol):
    """Looks at images v (N, C, H, W)."""

    def look(self, image: Array) -> Look:
        """Compute all correlations of an image, and reduce them at once."""
        ...


class SweepPeaks:
    """Peaks by sweeps of an operator in float64, for any array library."""

    def __init__(self, operator: Operator, penalty: Penalty, backend: Backend) -> None:
        self._operator = operator
        self._penalty = penalty
        self._backend = backend
        self._xp = backend.xp

    def look(self, image: Array) -> Look:
        """See `Peaks`. One analysis."""
        xp, penalty = self._xp, self._penalty
        n = int(image.shape[0])
        best = xp.zeros((n, *self._operator.shape), dtype=xp.float64)

        def note(tile: Tile, ratio: Array) -> None:
            best[tile.samples, tile.rows, :] = xp.maximum(best[tile.samples, tile.rows, :], ratio)

        def visit(tile: Tile, g: Array) -> tuple[None, tuple[Array]]:
            excess = xp.zeros((n,), dtype=xp.float64)
            lam = penalty.on(tile)
            if penalty.plain:
                note(tile, self._backend.ratio_image(g, lam))
                return None, (excess,)
            g = penalty.pull(g, tile)
            mu = penalty.mu[tile.maps]
            if np.any(mu > 0):
                # A slab may be of several groups, some of them without a square.
                squares = xp.asarray(np.where(mu > 0, mu, np.inf).reshape(1, -1, 1, 1))
                over = xp.maximum(g - lam, xp.zeros((), dtype=xp.float64))
                excess[tile.samples] = xp.sum(over * over / (2 * squares), axis=(1, 2, 3))
            hard = xp.asarray((mu == 0).astype(np.float64).reshape(1, -1, 1, 1))
            note(tile, xp.max(hard * (g / lam), axis=1))
            return None, (excess,)

        _, (excess,) = self._operator.sweep(image, visit, samples=n, synthesise=False)
        largest = xp.maximum(xp.max(best, axis=(1, 2)), xp.zeros((), dtype=xp.float64))
        return Look(to_numpy(largest), to_numpy(excess), in_cells(to_numpy(best)))


class PatchPeaks:
    """Peaks of CuPy arrays, of the l1 norm with one lam a map: no map is ever written.

    For filters and numbers of channels that `PatchPeaks.takes`. See `mcsc.backend.cuda.peaks`.
    """

    def __init__(self, groups: Sequence[Group], boundary: Boundary, penalty: Penalty) -> None:
        self._groups = sorted(groups, key=lambda g: g.maps.start)
        self._periodic = boundary == "periodic"
        self._lam = penalty.lam_maps

    @staticmethod
    def takes(groups: Sequence[Group], backend: Backend) -> bool:
        """Whether it is for this library, these filters and so many channels."""
        if backend.name != "CuPy" or groups[0].bank.shape[2] > LARGEST_DIRECT_FILTER:
            return False
        from ..backend.cuda.peaks import Peaks

        return Peaks.fit(max(g.channels.stop for g in groups), groups[0].bank.shape[2])

    @staticmethod
    def memory(samples: int, shape: tuple[int, int]) -> int:
        """Bytes that a look takes on the device."""
        from ..backend.cuda.peaks import Peaks

        return Peaks.memory(samples, shape)

    @cached_property
    def _kernels(self) -> Any:
        # Made at the first look: an objective needs none.
        from ..backend.cuda.peaks import Peaks

        banks = [(g.bank, g.channels.start) for g in self._groups]
        return Peaks(banks, self._lam, periodic=self._periodic)

    def look(self, image: Array) -> Look:
        """See `Peaks`. Two launches, ``2 s^2`` operations a pixel and pair (map, channel)."""
        largest, cells = self._kernels.look(image)
        return Look(largest, np.zeros_like(largest), cells)


class TilePeaks:
    r"""Peaks of NumPy arrays: products in float32, and what comes near the largest in float64.

    A product of n float32 numbers is right to :math:`\gamma_n \|d_k\| \|v_p\|`, with
    :math:`\gamma_n = n u / (1 - n u)`, u the unit of rounding and :math:`v_p` the patch
    (N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). What lies within
    twice that of a tile's largest ratio is computed again in float64, so that the result is the
    one of float64 at half its cost. Where too much lies so near, the whole tile is.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        shape: tuple[int, int],
        boundary: Boundary,
        backend: Backend,
        penalty: Penalty,
    ) -> None:
        self._exact = DirectOperator(groups, shape, boundary, backend, np.float64)
        self._penalty = penalty
        self._size = self._exact.size
        self._shape = shape
        counts = [len(g.bank) for g in groups]
        wide = [g.bank.shape[1] for g in groups]
        self._filters = np.concatenate([g.bank.reshape(-1) for g in groups]).astype(np.float64)
        self._channel = np.repeat([g.channels.start for g in groups], counts)
        self._channels = np.repeat(wide, counts)
        lengths = self._channels * self._size**2
        self._first = np.cumsum(lengths) - lengths
        norms = np.sqrt(np.add.reduceat(self._filters**2, self._first))
        self._norms = np.maximum(norms, 1e-300)
        # Of unit norm, so that float32 neither overflows nor underflows.
        self._coarse = [
            (maps, rows, np.ascontiguousarray(matrix / self._norms[maps, None], dtype=np.float32))
            for maps, _, rows, matrix in self._exact.matrices
        ]
        n = int(lengths.max()) + 4
        unit = 2.0**-24
        self._rounding = 1.01 * n * unit / (1 - n * unit)
        self._tiny = float(n) * 2.0**-125  # also where the processor flushes denormal numbers
        self._free = penalty.mu > 0
        self._signed = penalty.nonnegative
        self._lam_of_maps: np.ndarray | None = None
        if penalty.per_map:
            lam = penalty.on(Tile(slice(0, 1), slice(0, self._exact.n_maps), slice(0, 1)))
            self._lam_of_maps = np.asarray(lam, dtype=np.float64).reshape(-1, 1)

    @staticmethod
    def memory(groups: Sequence[Group], samples: int, shape: tuple[int, int]) -> int:
        """Bytes that a look takes: padded images, a tile for each thread, tables of filters."""
        h, w = shape
        size, channels = groups[0].bank.shape[2], max(g.channels.stop for g in groups)
        maps = sum(len(g.bank) for g in groups)
        area = min(_SIDE, h) * min(_SIDE, w)
        tile = 4 * area * (channels * size * size + 2 * maps)
        image = 8 * samples * channels * (h + size - 1) * (w + size - 1)
        filters = sum(g.bank.size for g in groups) * 20
        return int(get_num_threads() * tile + 1.5 * image + filters)

    def look(
        self, image: np.ndarray, inside: Region | None = None, place: tuple[int, int] = (0, 0)
    ) -> Look:
        """See `Peaks`. Results do not depend on the number of threads.

        Parameters
        ----------
        image : array (N, C, H, W)
            v.
        inside : (slice, slice), optional
            Codes whose correlations count. Default: all.
        place : (row, column)
            Where the image begins on that of which it is a part, and on which cells lie: those of
            `Look` are the ones that `inside` touches.
        """
        rows, columns = inside or (slice(0, self._shape[0]), slice(0, self._shape[1]))
        n, (down, right) = image.shape[0], place
        first = (rows.start + down) % CELL, (columns.start + right) % CELL
        tall = -(-(first[0] + rows.stop - rows.start) // CELL)
        wide = -(-(first[1] + columns.stop - columns.start) // CELL)
        bound = float(np.abs(image).max())
        cells = np.zeros((n, tall, wide), dtype=np.float32)
        if bound == 0 or not np.isfinite(bound):
            found = np.full(n, bound)
            return Look(found, found.copy(), cells)
        # Powers of two scale without rounding.
        scale = 2.0 ** np.floor(np.log2(bound))
        padded = self._exact.pad(image)
        rough = (padded / scale).astype(np.float32)
        # The tiles of a part are those of the whole, as far as they lie in it.
        tiles = [
            (sample, (part, other))
            for sample in range(n)
            for part in _cuts(rows, down)
            for other in _cuts(columns, right)
        ]
        origin = rows.start - first[0], columns.start - first[1]  # of the cells, on the image
        peaks, excesses = np.zeros(len(tiles)), np.zeros(len(tiles))

        def work(part: np.ndarray) -> None:
            buffers = self._buffers()
            for index in part:
                sample, tile = tiles[index]
                peaks[index], excesses[index], best = self._tile(
                    padded[sample], rough[sample], scale, sample, tile, buffers
                )
                i, j = tile[0].start - origin[0], tile[1].start - origin[1]
                found = in_cells(best, (i % CELL, j % CELL))[0]
                i, j = i // CELL, j // CELL
                cells[sample, i : i + found.shape[0], j : j + found.shape[1]] = found

        map_in_threads(
            work, np.array_split(np.arange(len(tiles)), min(len(tiles), 4 * get_num_threads()))
        )
        each = len(tiles) // n
        return Look(peaks.reshape(n, each).max(1), excesses.reshape(n, each).sum(1), cells)

    def _buffers(self) -> tuple[np.ndarray, ...]:
        area = min(_SIDE, self._shape[0]) * min(_SIDE, self._shape[1])
        depth = self._exact.n_channels * self._size**2
        maps = self._exact.n_maps
        return (
            np.empty(depth * area, np.float32),
            np.empty(maps * area, np.float32),
            np.empty(area, np.float32),
            np.empty(maps, np.float32),
        )

    def _tile(
        self,
        padded: np.ndarray,
        rough: np.ndarray,
        scale: float,
        sample: int,
        tile: Region,
        buffers: tuple[np.ndarray, ...],
    ) -> tuple[float, float, np.ndarray]:
        """Return the peak and the excess of one tile, and its largest ratios (1, rows, columns)."""
        from ..backend import peak_kernels as kernels
        from ..backend.cpu_kernels import gather_patches

        size, maps = self._size, self._exact.n_maps
        top, left = tile[0].start, tile[1].start
        rows, cols = tile[0].stop - top, tile[1].stop - left
        area = rows * cols
        lam = self._lam(sample, top, left, rows, cols)
        # Ratios are products of unit filters times these; lam is the tile's smallest.
        factors = scale * self._norms / lam.min(1)
        patches = buffers[0][: rough.shape[0] * size * size * area].reshape(-1, area)
        ratio = buffers[1][: maps * area].reshape(maps, area)
        best, largest = buffers[2][:area], buffers[3]
        reached = rough[:, top : top + rows + size - 1, left : left + cols + size - 1]
        energy = float(np.sqrt(np.einsum("cij,cij->", reached, reached, dtype=np.float64)))
        error = factors * (self._rounding * energy + self._tiny)
        threshold = np.zeros(maps, dtype=np.float32)
        count = maps * area
        if factors.max() < 1e30:
            gather_patches(rough, top, left, rows, cols, size, patches)
            for m, patch_rows, matrix in self._coarse:
                np.matmul(matrix, patches[patch_rows], out=ratio[m])
            if self._penalty.per_map:
                ratio *= factors.astype(np.float32)[:, None]
            else:
                ratio *= (scale * self._norms[:, None] / lam).astype(np.float32)
            kernels.reduce_ratios(ratio, self._signed, self._free, best, largest)
            hard = ~self._free
            peak = float(largest[hard].max()) if hard.any() else 0.0
            slack = float(error[hard].max()) if hard.any() else 0.0
            # A little more, for the roundings of the factors and of these numbers themselves.
            wanted = np.where(hard, (peak - 2 * slack) * (1 - 1e-6), (1 - error) * (1 - 1e-6))
            wanted[largest < wanted] = np.inf
            threshold = wanted.astype(np.float32)
            count = int(kernels.count_above(ratio, threshold))
        if 32 * count <= maps * area:
            found = kernels.exact_above(
                ratio, threshold, self._signed, self._penalty.mu, lam, padded,
                top, left, cols, size, self._filters, self._first, self._channel, self._channels,
            )  # fmt: skip
            return float(found[0]), float(found[1]), best.reshape(1, rows, cols)
        exact = np.empty((padded.shape[0] * size * size, area))
        gather_patches(padded, top, left, rows, cols, size, exact)
        g = np.empty((maps, area))
        for m, _, patch_rows, matrix in self._exact.matrices:
            np.matmul(matrix, exact[patch_rows], out=g[m])
        found = kernels.exact_all(g, self._signed, self._penalty.mu, lam)
        if factors.max() >= 1e30:
            best[...] = min(found[0], 1e30)
        return float(found[0]), float(found[1]), best.reshape(1, rows, cols)

    def _lam(self, sample: int, top: int, left: int, rows: int, cols: int) -> np.ndarray:
        """Return lam on a tile, broadcast to (K, T)."""
        maps = self._exact.n_maps
        if self._lam_of_maps is not None:  # one look for thousands of tiles
            return np.broadcast_to(self._lam_of_maps, (maps, rows * cols))
        tile = Tile(slice(sample, sample + 1), slice(0, maps), slice(top, top + rows))
        lam = np.asarray(self._penalty.on(tile), dtype=np.float64)
        if lam.shape[3] > 1:
            lam = lam[..., left : left + cols]
        full = np.broadcast_to(lam[0], (maps, rows, cols)).reshape(maps, rows * cols)
        return np.broadcast_to(full, full.shape)  # read-only, as above: one compiled kernel


def _cuts(part: slice, shift: int) -> list[slice]:
    """Cut a part of an axis where tiles of the whole begin, whose first pixel lies at -shift."""
    inner = range(part.start + -(part.start + shift) % _SIDE, part.stop, _SIDE)
    edges = [part.start, *(edge for edge in inner if edge > part.start), part.stop]
    return [slice(a, b) for a, b in pairwise(edges)]
