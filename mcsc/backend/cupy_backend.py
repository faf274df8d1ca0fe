"""CuPy: cuFFT with cached plans, pointwise work in the fused kernels of ``kernels.cu``.

CuPy keeps a cache of cuFFT plans by shape, so iterations reuse them. Nothing here waits for the
device: sums stay 0-d arrays there until a solver asks for a number.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import array_api_compat.cupy as xp
import cupy
import numpy as np

from ..errors import InvalidValueError
from ..types import Array
from .base import Backend, Tile

_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_NAMES = ("ista_update", "fista_update", "admm_update", "analyse_spectra", "synthesise_spectra")
_THREADS = 256


@cache
def _module() -> Any:
    code = (files("mcsc.backend") / "kernels.cu").read_text(encoding="utf-8")
    names = tuple(f"{name}<{t}>" for name in _NAMES for t in _TYPES.values())
    return cupy.RawModule(code=code, options=("--std=c++17",), name_expressions=names)


@cache
def _kernel(name: str, dtype: np.dtype) -> Any:
    return _module().get_function(f"{name}<{_TYPES[dtype]}>")


@cache
def _blocks() -> int:
    # A few blocks a multiprocessor keep memory busy; more only make more partial sums.
    return 8 * int(cupy.cuda.Device().attributes["MultiProcessorCount"])


@cache
def _integers_on(device: int, values: tuple[int, ...]) -> Any:
    with cupy.cuda.Device(device):
        return cupy.asarray(np.asarray(values, dtype=np.int64))


def _integers(values: tuple[int, ...]) -> Any:
    """Small integers on the current device; iterations pass the same ones again and again."""
    return _integers_on(cupy.cuda.Device().id, values)


class CupyBackend(Backend):
    """Transforms and fused kernels for CuPy arrays on the current device and stream."""

    name = "CuPy"

    def __init__(self) -> None:
        super().__init__(xp)

    def _layout(self, x: Array, g: Array, tile: Tile) -> Any:
        item = g.dtype.itemsize
        if g.strides[3] != item or not x.flags.c_contiguous:
            raise InvalidValueError("kernels need contiguous codes and rows")
        n, k, h, w = g.shape
        first = tile.maps.start or 0
        strides = (s // item for s in g.strides[:3])
        return _integers((n, k, h, w, x.shape[1], first, *strides))

    def ista_update(self, x: Array, g: Array, tile: Tile, step: Any, thresholds: Array) -> Array:
        """See `Backend.ista_update`; overwrites and returns `g`."""
        kernel = _kernel("ista_update", g.dtype)
        kernel(
            (_blocks(),),
            (_THREADS,),
            (x, g, self._layout(x, g, tile), g.dtype.type(step), thresholds),
        )
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
        sums = cupy.empty(_blocks(), dtype=np.float64)
        beta = cupy.asarray(beta, dtype=g.dtype)
        layout = self._layout(x, g, tile)
        arguments = (x, previous, g, layout, g.dtype.type(step), thresholds, beta, sums)
        _kernel("fista_update", g.dtype)((_blocks(),), (_THREADS,), arguments)
        return g, cupy.sum(sums)

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
        """See `Backend.admm_update`; overwrites and returns `g`."""
        null = np.uintp(0)
        partial = cupy.empty((_blocks(), 5), dtype=np.float64) if sums else null
        arguments = (
            v,
            g,
            self._layout(v, g, tile),
            thresholds,
            null if penalty is None else penalty,
            g.dtype.type(alpha),
            partial,
        )
        _kernel("admm_update", g.dtype)((_blocks(),), (_THREADS,), arguments)
        return g, tuple(cupy.sum(partial, axis=0)) if sums else None

    def analyse_spectra(self, filters: Array, signal: Array) -> Array:
        """See `Backend.analyse_spectra`; one pass over filters, signal and result."""
        k, c, h, w = filters.shape
        n = signal.shape[0]
        out = cupy.empty((n, k, h, w), dtype=filters.dtype)
        size = _integers((n, k, c, h * w, signal.strides[0] // signal.dtype.itemsize))
        kernel = _kernel("analyse_spectra", filters.real.dtype)
        kernel((4 * _blocks(),), (_THREADS,), (filters, signal, out, size))
        return out

    def synthesise_spectra(self, filters: Array, maps: Array, out: Array) -> None:
        """See `Backend.synthesise_spectra`; one pass over the maps a channel."""
        k, c, h, w = filters.shape
        n = maps.shape[0]
        maps = cupy.ascontiguousarray(maps)
        size = _integers((n, k, c, h * w, out.strides[0] // out.dtype.itemsize))
        kernel = _kernel("synthesise_spectra", filters.real.dtype)
        kernel((-(-h * w // 32), n * c), (32, 8), (filters, maps, out, size))

    def available_memory(self) -> int | None:
        """Free bytes on the current device, those in CuPy's pool included."""
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free) + int(cupy.get_default_memory_pool().free_bytes())
