r"""How much to shrink a dual point, from place to place, so that it becomes feasible.

A residual r violates :math:`|D_k^T w r| \le \lambda_k` at a few places only. Scaling all of it by
the largest violation would give away what the rest of the image proves; here it is divided by
:math:`1 + e`, with e a smooth envelope of the violations that falls off from each within the size
of a filter. What little may still be violated is scaled away globally afterwards, so that the
result is feasible whatever e is.
"""

from __future__ import annotations

import numpy as np

from ..types import Boundary

CELL = 8
"""Side of the cells, in pixels, of which the largest violation is looked at."""
_REACH = 0.5  # in filters: at this distance the envelope has fallen to 1/e


class Envelope:
    """Envelopes on one grid.

    Parameters
    ----------
    shape : (H, W)
        Of the images.
    filter_size : int
    boundary : {"zero", "periodic"}
    """

    def __init__(self, shape: tuple[int, int], filter_size: int, boundary: Boundary) -> None:
        self._periodic = boundary == "periodic"
        self._fall = float(np.exp(-CELL / (_REACH * filter_size)))
        # A violation is one of all pixels under a filter: the cell's neighbours are as much to
        # blame.
        self._around = max(1, round(filter_size / (2 * CELL)))
        self.rows, self.columns = (self._interpolation(length) for length in shape)

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Return the envelope of cells' largest ratios (N, H', W'), on those cells, >= 0."""
        e = np.maximum(np.nan_to_num(cells.astype(np.float64), nan=0.0, posinf=1e300) - 1.0, 0.0)
        if not e.any():
            return e
        for axis in (1, 2):
            e = self._dilated(np.moveaxis(e, axis, 0), self._around)
            e = np.moveaxis(e, 0, axis)
        # Twice: what comes round a corner.
        for axis in (1, 2, 1, 2):
            e = np.moveaxis(self._decayed(np.moveaxis(e, axis, 0)), 0, axis)
        return e

    def _dilated(self, e: np.ndarray, steps: int) -> np.ndarray:
        for _ in range(steps):
            wide = np.pad(e, ((1, 1), (0, 0), (0, 0)), mode="wrap" if self._periodic else "edge")
            e = np.maximum(np.maximum(wide[:-2], wide[2:]), e)
        return e

    def _decayed(self, e: np.ndarray) -> np.ndarray:
        e = e.copy()
        count = len(e)
        turns = 2 * count if self._periodic else count
        for i in range(1, turns):
            np.maximum(e[i % count], self._fall * e[(i - 1) % count], out=e[i % count])
        for i in range(turns - 2, -1, -1):
            np.maximum(e[i % count], self._fall * e[(i + 1) % count], out=e[i % count])
        return e

    def _interpolation(self, length: int) -> np.ndarray:
        """The matrix (length, cells) that interpolates linearly between the cells' middles."""
        count = -(-length // CELL)
        place = (np.arange(length) + 0.5) / CELL - 0.5
        low = np.floor(place).astype(int)
        share = place - low
        matrix = np.zeros((length, count))
        for index, part in ((low, 1 - share), (low + 1, share)):
            found = index % count if self._periodic else np.clip(index, 0, count - 1)
            np.add.at(matrix, (np.arange(length), found), part)
        return matrix


def in_cells(pixels: np.ndarray) -> np.ndarray:
    """Return the largest value of every cell of images (N, H, W)."""
    n, h, w = pixels.shape
    tall, wide = -(-h // CELL), -(-w // CELL)
    padded = np.zeros((n, tall * CELL, wide * CELL), dtype=pixels.dtype)
    padded[:, :h, :w] = pixels
    found: np.ndarray = padded.reshape(n, tall, CELL, wide, CELL).max((2, 4))
    return found
