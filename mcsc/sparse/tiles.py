"""The tiles that images are cut into, and their colours."""

from __future__ import annotations

import numpy as np

from ..lazy import cached_property
from ..types import Region


class TileGrid:
    """Tiles of about `side` pixels, coloured so that tiles of one colour touch no common pixel.

    Patches reach s - 1 pixels beyond a tile, so tiles must be at least that wide, and on a
    periodic grid their number along an axis must be even (or one).

    With a region, rows and columns, tiles cover that part of the grid alone: no coefficient is
    looked for elsewhere.
    """

    def __init__(
        self,
        samples: int,
        shape: tuple[int, int],
        filter_size: int,
        side: int,
        region: Region | None = None,
    ) -> None:
        self.samples = samples
        self.shape = shape
        side = max(side, filter_size)
        self.edges = []
        region = region or (slice(0, shape[0]), slice(0, shape[1]))
        for part in region:
            length = part.stop - part.start
            count = 2 * (length // (2 * side)) if length >= 2 * side else 1
            self.edges.append(np.linspace(part.start, part.stop, count + 1).astype(np.int64))
        rows, cols = (len(e) - 1 for e in self.edges)
        self.rows, self.cols = rows, cols
        self.count = samples * rows * cols
        index = np.arange(self.count)
        colour = 2 * ((index // cols) % rows % 2) + (index % cols) % 2
        self.colour = colour
        self.colours = [index[colour == c] for c in range(4) if np.any(colour == c)]
        # Row and column of pixels to row and column of tiles.
        self._row_of = np.searchsorted(self.edges[0], np.arange(shape[0]), side="right") - 1
        self._col_of = np.searchsorted(self.edges[1], np.arange(shape[1]), side="right") - 1

    def of(self, n: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Tile of every pixel."""
        tile: np.ndarray = (n * self.rows + self._row_of[i]) * self.cols + self._col_of[j]
        return tile

    @cached_property
    def neighbours(self) -> np.ndarray:
        """The eight tiles around each, across the edges too, (tiles, 8)."""
        n, rest = np.divmod(np.arange(self.count), self.rows * self.cols)
        r, c = np.divmod(rest, self.cols)
        found = [
            (n * self.rows + (r + dr) % self.rows) * self.cols + (c + dc) % self.cols
            for dr in (-1, 0, 1)
            for dc in (-1, 0, 1)
            if (dr, dc) != (0, 0)
        ]
        return np.stack(found, axis=1)

    def with_neighbours(self, tiles: np.ndarray) -> np.ndarray:
        """Return the tiles and those around them (across the edges too), sorted."""
        return np.union1d(tiles, self.neighbours[tiles])

    @property
    def largest(self) -> int:
        """Pixels of the largest tile."""
        rows, cols = (int(np.diff(e).max()) for e in self.edges)
        return rows * cols

    def window(self, tile: int) -> tuple[int, int, int, int, int]:
        """Sample, top, left, bottom, right of a tile."""
        n, rest = divmod(tile, self.rows * self.cols)
        r, c = divmod(rest, self.cols)
        rows, cols = self.edges
        return n, int(rows[r]), int(cols[c]), int(rows[r + 1]), int(cols[c + 1])
