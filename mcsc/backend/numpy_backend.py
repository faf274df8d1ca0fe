"""NumPy: SciPy's multithreaded FFT and kernels compiled by Numba."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import scipy.fft

from ..types import Array
from . import cpu_kernels as kernels
from .base import Backend, Pairs, Tile
from .limits import available_memory
from .threads import get_num_threads


def _origin(tile: Tile) -> tuple[int, int, int]:
    return tile.samples.start or 0, tile.maps.start or 0, tile.rows.start or 0


def _workers(array: Array) -> int:
    # SciPy starts its threads at every call, which small transforms do not repay.
    return get_num_threads() if array.size > 1 << 16 else 1


class NumpyBackend(Backend):
    """Fused kernels for NumPy arrays; each call is single-threaded and releases the GIL.

    Parallelism is over tiles, so the FFTs of a tile use one thread and those of whole signals
    all of them.
    """

    name = "NumPy"

    def __init__(self) -> None:
        super().__init__(xp)

    def rfft2(self, array: Array, shape: tuple[int, int]) -> Array:
        """Real 2-D FFT over the last two axes, zero-padded to `shape`."""
        return scipy.fft.rfft2(array, s=shape, workers=_workers(array))

    def irfft2(self, spectrum: Array, shape: tuple[int, int]) -> Array:
        """See `Backend.irfft2`."""
        workers = _workers(spectrum)
        return scipy.fft.irfft2(spectrum, s=shape, norm="forward", workers=workers)

    def synthesise_spectra(self, pairs: Pairs, maps: Array, out: Array | None = None) -> Array:
        """See `Backend.synthesise_spectra`; without a temporary of the maps' size."""
        if out is None:
            out = np.zeros((maps.shape[0], pairs.channels, *maps.shape[2:]), dtype=maps.dtype)
        for piece in pairs.pieces:
            filters = self.filters_of(pairs, piece)
            for n in range(maps.shape[0]):
                for c in range(piece.width):
                    product = np.einsum("khw,khw->hw", filters[:, c], maps[n, piece.maps])
                    out[n, piece.channels.start + c] += product
        return out

    def ista_update(self, x: Array, g: Array, tile: Tile, step: Any, thresholds: Array) -> Array:
        """See `Backend.ista_update`; overwrites and returns `g`."""
        g = np.ascontiguousarray(g)
        kernels.ista_update(x, g, *_origin(tile), g.dtype.type(step), thresholds)
        return g

    def fista_update(
        self,
        x: Array,
        previous: Array,
        g: Array,
        tile: Tile,
        step: Any,
        thresholds: Array,
        beta: Any,
    ) -> tuple[Array, Any]:
        """See `Backend.fista_update`; overwrites and returns `g`."""
        g = np.ascontiguousarray(g)
        real = g.dtype.type
        uphill = kernels.fista_update(
            x, previous, g, *_origin(tile), real(step), thresholds, real(beta)
        )
        return g, uphill

    def admm_update(
        self,
        v: Array,
        g: Array,
        tile: Tile,
        thresholds: Array,
        penalty: Array | None,
        alpha: float,
        *,
        sums: bool,
    ) -> tuple[Array, tuple[Any, ...] | None]:
        """See `Backend.admm_update`; overwrites and returns `g`. The sums cost nothing here."""
        g = np.ascontiguousarray(g)
        if penalty is None:
            penalty = np.ones((1, 1), dtype=g.dtype)
        return g, kernels.admm_update(
            v, g, *_origin(tile), thresholds, penalty, g.dtype.type(alpha)
        )

    def available_memory(self) -> int | None:
        """Bytes that the system and a container's limit leave."""
        return available_memory()
