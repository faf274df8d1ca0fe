"""What is known of a large image from sums over its blocks, once its range is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...baselines.injection import CELL, MixtureSums
from ...images.enlarging import seems_sharp
from ...tasks.preparation import mixture_of
from ...tasks.sparse_coding import base_of
from ...types import Region
from ..arrays import cut
from ..cluster import FieldTask, Workers
from .local import BlockGrid, box_in, smaller
from .prepared import LocalRestoration
from .survey import block_key, of_all_blocks

__all__ = ["survey_mixture", "survey_sharpness"]

_Found = TypeVar("_Found")
_Fallback: TypeAlias = Sequence[NDArray[Any]]
_Parts: TypeAlias = Sequence[Any]


def survey_mixture(
    workers: Workers,
    grid: BlockGrid,
    local: LocalRestoration,
    images: Sequence[tuple[Any, int] | None],
    fallbacks: Sequence[NDArray[Any]],
) -> NDArray[np.float64]:
    """Return the mixture of each band, (C, C'): that of the whole image.

    Parameters
    ----------
    workers : Workers
    grid : BlockGrid
        Its halo holds two cells and what is around them on which their pixels depend.
    local : LocalRestoration
    images : sequence of (Dask array (C, H, W), factor) or None
        x, y and their masks, and how many times smaller each is than the grid.
    fallbacks : sequence of arrays
        What `Survey.fallback` gives of x and y.
    """

    def sums(block: Region, around: Region) -> Callable[..., MixtureSums]:
        cells = [_cells(part, length) for part, length in zip(block, grid.shape, strict=True)]
        rows, columns = (slice(c.start * CELL, end * CELL) for c, end in cells)
        own = tuple(c.stop - c.start for c, _ in cells)
        return partial(_mixture_sums, local, box_in((rows, columns), around), own)

    found = _each(workers, grid, images, fallbacks, sums)
    total: MixtureSums = found[0]
    for more in found[1:]:  # in one order, so that rounding is the same at every time
        total = total + more
    given = images[1]
    assert given is not None
    return mixture_of(total, len(given[0]), base_of(local.dictionary, local.task))


def survey_sharpness(
    workers: Workers,
    grid: BlockGrid,
    local: LocalRestoration,
    images: Sequence[tuple[Any, int] | None],
    fallbacks: Sequence[NDArray[Any]],
) -> bool:
    """Return True if x, which is as large as y, has detail that no enlarged image has.

    Parameters are those of `survey_mixture`; the answer is that of `mcsc.images.enlarging.is_sharp`
    for the whole image.
    """

    def sums(block: Region, around: Region) -> Callable[..., tuple[float, float]]:
        return partial(_sharpness_sums, local, box_in(block, around))

    found = _each(workers, grid, images, fallbacks, sums)
    first, second = (math.fsum(column) for column in zip(*found, strict=True))
    return seems_sharp(first, second)


def _each(
    workers: Workers,
    grid: BlockGrid,
    images: Sequence[tuple[Any, int] | None],
    fallbacks: Sequence[NDArray[Any]],
    function: Callable[[Region, Region], Callable[..., _Found]],
) -> list[_Found]:
    """Return what a function of a block, and of the block with its halo, makes of all of them.

    It returns a function of what `Survey.fallback` gives of the block, and of the images around it.
    """
    numbers = {block: n for n, block in enumerate(map(block_key, grid.blocks))}

    def task(block: Region) -> FieldTask:
        around = grid.around(block)
        parts = [None if g is None else cut(g[0], smaller(around, g[1])) for g in images]
        words = tuple(f[numbers[block_key(block)]] for f in fallbacks)
        return FieldTask(partial(function(block, around), words), (parts,))

    return of_all_blocks(workers, grid, task)


def _cells(part: slice, length: int) -> tuple[slice, int]:
    """The cells that begin in a part of an axis, and the end of those and their neighbours."""
    first, last, count = -(-part.start // CELL), -(-part.stop // CELL), length // CELL
    first, last = min(first, count), min(last, count)
    return slice(first, last), min(last + 1, count)


def _mixture_sums(
    local: LocalRestoration, box: Region, own: tuple[int, int], fallback: _Fallback, parts: _Parts
) -> MixtureSums:
    return local.mixture_sums(parts, fallback, box, own)


def _sharpness_sums(
    local: LocalRestoration, box: Region, fallback: _Fallback, parts: _Parts
) -> tuple[float, float]:
    return local.sharpness_sums(parts, fallback, box)
