"""All correlations of an image with the filters, tile by tile, for what optimality asks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import get_num_threads
from ..backend.base import Tile
from ..backend.cpu_kernels import gather_patches
from ..backend.sparse_kernels import pick, scan
from ..backend.threads import map_in_threads
from ..model.convolution import DirectOperator
from .active_set import ActiveSet

Candidates = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class CorrelationScan:
    r"""The largest ratios :math:`|D_k^T w^2 r| / \lambda_k`, of an active set and outside of it.

    Correlations are matrix products of the filters with the patches of a tile; they are reduced
    at once, and never exist whole. What is found is kept for every tile until it is scanned again.

    Parameters
    ----------
    active : ActiveSet
        In whose precision the correlations are computed; its problem and grid of tiles.
    cell : int
        Side of the cells of pixels, of which `most` may bring a candidate each.
    most : int
        Candidates of a cell at most, one per pixel.

    Attributes
    ----------
    candidates : list of (sample, map, row, column)
        The worst violators outside of the active set.
    ratio : array (N, H, W)
        Largest ratio at every pixel; of active coefficients after the pull of their square.
    outside : array (tiles,)
        Largest ratio outside of the active set, minus one.
    inside : array (tiles,)
        Largest violation of the optimality conditions in the active set, over lam.
    """

    def __init__(self, active: ActiveSet, *, cell: int, most: int) -> None:
        self._cell, self._most = cell, most
        count = active.grid.count
        nothing = np.zeros(0, dtype=np.int32)
        self.candidates: list[Candidates] = [(nothing,) * 4] * count
        problem = active.problem
        self.ratio = np.zeros((problem.n_samples, *problem.shape), dtype=np.float32)
        self.outside, self.inside = np.zeros(count), np.zeros(count)
        self._make_operator(active)

    def _make_operator(self, active: ActiveSet) -> None:
        p = active.problem
        self._inverse = (1 / p.lam_maps if p.penalty.per_map else np.ones(len(p.lam_maps))).astype(
            active.dtype
        )
        self._operator = DirectOperator(
            p.dictionary.groups, p.shape, p.boundary, p.backend, active.dtype
        )

    @property
    def violation(self) -> np.ndarray:
        """Largest violation of the optimality conditions in each tile, over lam."""
        return np.maximum(self.inside, self.outside)

    def update(
        self, active: ActiveSet, residual: np.ndarray, tiles: np.ndarray, margin: float
    ) -> None:
        """Look at some tiles again.

        Parameters
        ----------
        active : ActiveSet
            Active set of the same problem and grid; its precision may have changed.
        residual : array
            ``s - D a`` in the active set's layout.
        tiles : array of int
            Which ones.
        margin : float
            Candidates have ratios above ``1 + margin``.
        """
        if active.dtype != self._operator.dtype:
            self._make_operator(active)
        padded = self._operator.pad(active.crop(active.weighted(residual)))
        place = active.i, active.j

        def work(part: np.ndarray) -> None:
            self._scan(active, padded, place, part, active.dtype.type(1.0 + margin))

        map_in_threads(work, np.array_split(tiles, min(len(tiles), 4 * get_num_threads())))

    def _scan(
        self,
        active: ActiveSet,
        padded: np.ndarray,
        place: tuple[np.ndarray, np.ndarray],
        tiles: np.ndarray,
        threshold: np.floating[Any],
    ) -> None:
        # One set of buffers a task: fresh megabyte arrays for every tile would page-fault.
        grid, dtype, size = active.grid, active.dtype, self._operator.size
        maps, depth = self._operator.n_maps, padded.shape[1] * size * size
        largest = grid.largest
        patches = np.empty(depth * largest, dtype)
        block = np.empty(maps * largest, dtype)
        best, every = np.empty(largest, dtype), np.empty(largest, dtype)
        best_map = np.empty(largest, dtype=np.int32)
        pixels = np.empty(largest, dtype=np.int64)
        chosen = np.empty(largest, dtype=np.int32)
        for tile in tiles:
            n, top, left, bottom, right = grid.window(int(tile))
            rows, cols = bottom - top, right - left
            area = rows * cols
            view = patches[: depth * area].reshape(-1, area)
            gather_patches(padded[n], top, left, rows, cols, size, view)
            g = block[: maps * area].reshape(maps, area)
            for m, _, patch_rows, matrix in self._operator.matrices:
                np.matmul(matrix, view[patch_rows], out=g[m])
            a, b = active.bounds[tile], active.bounds[tile + 1]
            pixel = (place[0][a:b] - top) * np.int64(cols) + (place[1][a:b] - left)
            if not active.problem.penalty.per_map:
                where = Tile(slice(n, n + 1), slice(0, maps), slice(top, bottom))
                lam = active.problem.penalty.on(where)
                lam = lam[..., left:right] if lam.shape[3] > 1 else lam
                g.reshape(1, maps, rows, cols)[...] /= lam
            self.inside[tile] = scan(
                g, self._inverse, active.mu, active.signed, active.k[a:b], pixel,
                active.value[a:b], active.lam[a:b], best[:area], best_map[:area], every[:area],
            )  # fmt: skip
            self.outside[tile] = float(best[:area].max()) - 1.0
            self.ratio[n, top:bottom, left:right] = every[:area].reshape(rows, cols)
            count = pick(
                best[:area], best_map[:area], cols, self._cell, self._most,
                threshold, pixels, chosen,
            )  # fmt: skip
            i, j = np.divmod(pixels[:count], cols)
            sample = np.full(count, n, dtype=np.int32)
            self.candidates[tile] = (sample, chosen[:count].copy(), i + top, j + left)
