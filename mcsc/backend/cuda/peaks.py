r"""Largest ratios of correlations to lam on a GPU, without the correlations: ``peaks.cu``.

A product of n float32 numbers is right to :math:`\gamma_n \|d_k\| \|v_p\|`, with
:math:`\gamma_n = n u / (1 - n u)`, u the unit of rounding and :math:`v_p` the patch of the image
(N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), in whatever order it is
summed. Pixels where the largest ratio of an image may lie by that are looked at again in float64,
so that the result is the one of float64. What moves is the image, not its K maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from ...types import Array
from .kernels import launch

__all__ = ["Peaks"]

_GRID = np.dtype(
    [(name, np.int32) for name in ("channels", "height", "width", "origin", "periodic")]
)
_TILE, _CELL = 32, 8
_SHARED = 48 * 1024 - 256
_BLOCKS = 1024
"""What a GPU should get at least: maps are divided where an image has fewer tiles."""


class Peaks:
    """Filters and lam as the kernels take them, on the current device.

    Parameters
    ----------
    banks : sequence of (array (K, C, s, s), int)
        Filters of each group, and the first channel that they act on.
    lam : array (K,)
        Weight lam of each map.
    periodic : bool
        What lies beyond the edges of an image: its other side, or zero.
    """

    def __init__(
        self, banks: Sequence[tuple[np.ndarray, int]], lam: np.ndarray, *, periodic: bool
    ) -> None:
        self._size = size = int(banks[0][0].shape[2])
        self._channels = max(first + bank.shape[1] for bank, first in banks)
        self._periodic = periodic
        self._maps = sum(len(bank) for bank, _ in banks)
        norms = np.concatenate([np.sqrt((bank**2).sum((1, 2, 3))) for bank, _ in banks])
        norms = np.maximum(norms, 1e-300)
        ratios = norms / lam
        self._scale = float(ratios.max())
        fours, weights, table, of_maps = [], [], [], []
        exact = np.zeros((self._channels * size * size, self._maps))
        done = filled = 0
        for bank, first in banks:
            count, channels = bank.shape[:2]
            maps = slice(done, done + count)
            more = -count % 4  # zero filters
            unit = np.pad(bank / norms[maps, None, None, None], ((0, more), *[(0, 0)] * 3))
            # Four maps at a time: (fours, C, column, row, 4).
            unit = unit.reshape(-1, 4, channels, size, size).transpose(0, 2, 4, 3, 1)
            fours.append(unit.astype(np.float32).reshape(-1))
            weights.append(np.pad(ratios[maps] / self._scale, (0, more)).astype(np.float32))
            for _ in range(len(unit)):
                table.append((filled, first, channels))
                filled += channels * size * size
            exact[: channels * size * size, maps] = bank.reshape(count, -1).T
            of_maps += [(first, channels)] * count
            done += count
        self._fours = len(table)
        self._rough = tuple(
            cupy.asarray(a)
            for a in (
                np.concatenate(fours), np.asarray(table, np.int32), np.concatenate(weights),
            )
        )  # fmt: skip
        self._exact = tuple(
            cupy.asarray(a)
            for a in (exact, np.asarray(lam, np.float64), np.asarray(of_maps, np.int32))
        )
        taps = self._channels * size * size
        n, unit_of_rounding = taps + 4, 2.0**-24
        # The norm of a patch is computed in float32 as well.
        self._rounding = 1.02 * n * unit_of_rounding / (1 - n * unit_of_rounding)
        self._tiny = float(n) * 2.0**-125  # also where denormal numbers are flushed

    @staticmethod
    def fit(channels: int, size: int) -> bool:
        """Whether a tile of images of so many channels fits where the kernels keep it."""
        return channels * (_TILE + size - 1) ** 2 * 4 <= _SHARED

    @staticmethod
    def memory(samples: int, shape: tuple[int, int]) -> int:
        """Bytes that a look takes on the device: two images and the cells."""
        h, w = shape
        return 8 * samples * (2 * h * w + -(-h // _CELL) * -(-w // _CELL) + 2)

    def look(self, image: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest ratio of each image, (N,), and of every cell, (N, H', W').

        Parameters
        ----------
        image : array (N, C, H, W)
            float64.
        """
        image = cupy.ascontiguousarray(image)
        n, channels, h, w = image.shape
        numbers = (channels, h, w, (self._size - 1) // 2, self._periodic)
        grid: Any = np.array([numbers], dtype=_GRID)[0]
        down, across = -(-h // _CELL), -(-w // _CELL)
        # One array, so that one launch sets it to zero and one copy brings what is asked for.
        buffer = cupy.zeros(n * (2 + h * w + down * across), np.float64)
        least, found = buffer[:n], buffer[n : 2 * n]
        cells = buffer[2 * n : n * (2 + down * across)]
        best = buffer[n * (2 + down * across) :]
        error = cupy.empty((n, h, w), np.float64)
        wide = -(-w // _TILE)
        tiles = -(-h // _TILE) * wide
        held = max(1, self._fours * n * tiles // _BLOCKS)
        parts = -(-self._fours // held)
        block = (_TILE, _CELL)
        arguments = (
            image, grid, *self._rough, best, error, least, *map(np.int32, (
                wide, tiles, self._fours, held,
            )), *map(np.float64, (self._scale, self._rounding, self._tiny)),
        )  # fmt: skip
        launch(
            "rough_peaks", image.dtype, (n * tiles, parts), block, arguments, self._size, channels
        )
        tiles = down * wide
        arguments = (
            image, grid, *self._exact, best, error, least, found, cells,
            *map(np.int32, (wide, tiles, self._maps, self._size)),
        )  # fmt: skip
        launch("exact_peaks", image.dtype, (n * tiles,), block, arguments)
        numbers = buffer[n : n * (2 + down * across)].get()
        return numbers[:n], numbers[n:].reshape(n, down, across)
