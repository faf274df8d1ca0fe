"""All correlations of an image with the filters, tile by tile, for what optimality asks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import get_num_threads
from ..backend.base import Tile
from ..backend.threads import map_in_threads
from ..model.convolution import DirectOperator
from . import scan_kernels
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
        self._problem = problem = active.problem
        self._windows = np.array([active.grid.window(t) for t in range(count)], dtype=np.int64)
        tall, wide = (self._windows[:, 3:] - self._windows[:, 1:3]).max(axis=0)
        self._most_of_a_tile = min(-(-tall // cell) * -(-wide // cell) * most, tall * wide)
        self._no_lam = np.zeros((0, 0, 0, 0))
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
        # The filters of all groups in one vector: so a kernel is compiled for any number of them.
        parts = [matrix.reshape(-1) for *_, matrix in self._operator.matrices]
        first = np.cumsum([0, *(len(p) for p in parts)])
        self._matrices = np.concatenate(parts)
        self._groups = np.array(
            [
                (maps.start, maps.stop, rows.start, rows.stop, begin)
                for (maps, _, rows, _), begin in zip(self._operator.matrices, first, strict=False)
            ],
            dtype=np.int64,
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
        threshold = active.dtype.type(1.0 + margin)

        place = active.i, active.j

        def work(part: np.ndarray) -> None:
            if active.problem.penalty.per_map:
                self._look(active, place, padded, part, self._no_lam, threshold)
            else:
                for tile in part:
                    one = np.array([tile])
                    self._look(active, place, padded, one, self._lam_on(tile), threshold)

        map_in_threads(work, np.array_split(tiles, min(len(tiles), 4 * get_num_threads())))

    def _lam_on(self, tile: int) -> np.ndarray:
        """Return lam on a tile, (1, K, h, w)."""
        problem = self._problem
        n, top, left, bottom, right = self._windows[tile]
        where = Tile(slice(n, n + 1), slice(0, self._operator.n_maps), slice(top, bottom))
        lam = problem.penalty.on(where)
        lam = lam[..., left:right] if lam.shape[3] > 1 else lam
        whole = (1, self._operator.n_maps, bottom - top, right - left)
        return np.ascontiguousarray(np.broadcast_to(lam, whole), dtype=np.float64)

    def _look(
        self,
        active: ActiveSet,
        place: tuple[np.ndarray, np.ndarray],
        padded: np.ndarray,
        tiles: np.ndarray,
        lam: np.ndarray,
        threshold: np.floating[Any],
    ) -> None:
        most = self._most_of_a_tile
        pixel = np.empty((len(tiles), most), dtype=np.int32)
        chosen = np.empty((len(tiles), most), dtype=np.int32)
        found = np.zeros(len(tiles), dtype=np.int64)
        scan_kernels.look(
            tiles, self._windows, padded, self._operator.size, self._matrices, self._groups,
            active.grid.largest, self._inverse, lam, active.mu, active.signed,
            active.bounds, active.k, *place, active.value, active.lam,
            self._cell, self._most, threshold, self.ratio, self.inside, self.outside,
            pixel, chosen, found,
        )  # fmt: skip
        for u, tile in enumerate(tiles):
            n, top, left, _, right = self._windows[tile]
            row, column = np.divmod(pixel[u, : found[u]], np.int32(right - left))
            sample = np.full(found[u], n, dtype=np.int32)
            self.candidates[tile] = sample, chosen[u, : found[u]].copy(), row + top, column + left
