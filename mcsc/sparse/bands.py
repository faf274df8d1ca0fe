"""Tiles in bands, one for each thread, that are worked on at the same time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from ..backend import get_num_threads
from ..backend.threads import map_in_threads
from .tiles import TileGrid

# A band of fewer coefficients is not worth a thread: handing it over takes longer.
_WORTH_A_THREAD = 4096
# Looks at another band before a thread gives its core away: about a millisecond.
_PATIENCE = 100_000
_NEVER_WAITED_FOR = 2**62


class Bands:
    """Bands of tiles with about equally many coefficients each, as `band_kernels` takes them.

    Parameters
    ----------
    grid : TileGrid
        All tiles.
    tiles : array of int
        Those that have a part in it, sorted.
    sizes : array (tiles of the grid,)
        Coefficients of every tile.
    """

    def __init__(self, grid: TileGrid, tiles: np.ndarray, sizes: np.ndarray) -> None:
        self._grid = grid
        total = np.cumsum(sizes[tiles])
        most = int(total[-1]) // _WORTH_A_THREAD if len(tiles) else 0
        self.threads = get_num_threads()
        self.count = max(1, min(self.threads, most, len(tiles)))
        cuts = np.linspace(0, total[-1] if len(tiles) else 0, self.count + 1)[1:-1]
        edges = [0, *np.searchsorted(total, cuts), len(tiles)]
        self._edges = np.maximum.accumulate(edges)
        band = np.repeat(np.arange(self.count), np.diff(self._edges))
        of = np.full(grid.count, -1)
        of[tiles] = band
        # What others wait for comes first: then they seldom have to.
        others = of[grid.neighbours[tiles]]
        inner = np.all((others == band[:, None]) | (others < 0), axis=1)
        order = np.lexsort((tiles, inner, grid.colour[tiles], band))
        self._order = tiles[order]
        self._absent = of < 0

    def run(self, work: Callable[..., bool]) -> None:
        """Call ``work(band, *arguments)`` for every band, on all cores, until each is finished.

        The arguments are those that every kernel has in common; it returns whether it is finished.
        """
        grid = self._grid
        done = np.where(self._absent, _NEVER_WAITED_FOR, 0)
        state = np.zeros((self.count, 2), dtype=np.int64)
        patience = _PATIENCE if self.count > 1 else 1
        waiting = deque(range(self.count))
        failed: list[BaseException] = []

        def go_on(band: int) -> bool:
            return work(
                band, int(self._edges[band]), int(self._edges[band + 1]), self._order,
                grid.neighbours, grid.colour, state[band], done, patience,
            )  # fmt: skip

        def take(_: int) -> None:
            while not failed:
                try:
                    band = waiting.popleft()
                except IndexError:
                    return  # the others have the rest
                try:
                    if not go_on(band):
                        waiting.append(band)
                        time.sleep(0)  # whom it waits for may need this core
                except BaseException as error:
                    failed.append(error)
                    raise

        map_in_threads(take, range(self.count))
