"""The kernels of the files ``.cu``: compiled when they are first called; how maps are laid out."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import cupy
import numpy as np

from ...errors import InvalidValueError
from ...types import Array

THREADS = 256
"""Threads of a block; the kernels' sums over a block rely on this number."""

_TYPES = {"f": "float", "d": "double", "F": "float", "D": "double"}
_LAYOUT = np.dtype(
    [
        (name, np.int32)
        for name in (
            "maps", "height", "width", "all_maps", "first_map", "grid_height", "grid_width",
            "rows", "strips",
        )
    ]
)  # fmt: skip
_Block = tuple[int, ...]


@cache
def _source() -> str:
    names = ("kernels.cu", "peaks.cu")
    return "\n".join((files("mcsc.backend") / n).read_text(encoding="utf-8") for n in names)


@cache
def _kernel(device: int, name: str) -> Any:
    # One module a kernel: what is not used is not compiled. CuPy keeps the results on disk.
    module = cupy.RawModule(code=_source(), options=("--std=c++17",), name_expressions=(name,))
    return module.get_function(name)


@cache
def _expression(name: str, code: str, *rest: int) -> str:
    return f"{name}<{', '.join((_TYPES[code], *map(str, rest)))}>"


def launch(
    name: str, dtype: np.dtype, grid: _Block, block: _Block, arguments: tuple[Any, ...], *rest: int
) -> None:
    """Launch a kernel of numbers of a type (real or complex) on the current device and stream.

    `rest` are its further template arguments.
    """
    kernel = _kernel(cupy.cuda.runtime.getDevice(), _expression(name, dtype.char, *rest))
    kernel(grid, block, arguments)


@lru_cache(maxsize=256)
def _layout(
    samples: int,
    maps: int,
    shape: tuple[int, int],
    all_maps: int,
    first: int,
    grid: tuple[int, int],
    itemsize: int,
) -> tuple[np.void, tuple[int], tuple[int, int], int]:
    widest = 16 // itemsize
    pack = next(v for v in (4, 2, 1) if v <= widest and shape[1] % v == 0 and grid[1] % v == 0)
    # Threads along a row, as many as it has packs, the others on further rows.
    across = min(THREADS, 1 << max(0, -(-grid[1] // pack) - 1).bit_length())
    down = THREADS // across
    rows = 8 * down
    strips = -(-grid[0] // rows)
    numbers = (maps, *shape, all_maps, first, *grid, rows, strips)
    layout = np.array([numbers], dtype=_LAYOUT)[0]
    return layout, (samples * maps * strips,), (across, down), pack


class Maps:
    """Where a launch works: maps of `x`, the whole codes, that lie in `g` on a larger grid.

    Attributes
    ----------
    layout : numpy.void
        As ``struct Layout`` of the kernels.
    grid, block : tuple of int
        Size of the launch; a map has ``strips`` blocks.
    pack : int
        Numbers that a thread moves at a time.
    whole : array (N, k, H', W')
        What `g` is cropped from: kernels set it to zero beyond `g`.
    """

    __slots__ = ("block", "grid", "layout", "pack", "whole")

    def __init__(self, x_maps: int, first: int, g: Array) -> None:
        n, k, h, w = g.shape
        item = g.dtype.itemsize
        size, across, row, column = g.strides
        if column != item or (k > 1 and across % row) or (n > 1 and size != k * across):
            raise InvalidValueError("kernels need maps that lie one after the other, row by row")
        wide = row // item
        tall = across // row if k > 1 or n > 1 else h
        if wide == w and tall == h:
            self.whole = g
        else:
            self.whole = cupy.ndarray((n, k, tall, wide), g.dtype, memptr=g.data)
        self.layout, self.grid, self.block, self.pack = _layout(
            n, k, (h, w), x_maps, first, (tall, wide), item
        )
