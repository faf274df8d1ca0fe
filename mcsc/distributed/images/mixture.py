"""How the channels of a guide are mixed for each band of a large image: sums over its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...baselines.injection import CELL, MixtureSums
from ...tasks.preparation import mixture_of
from ...tasks.sparse_coding import base_of
from ...types import Region
from ..arrays import cut
from ..cluster import FieldTask, Workers
from .local import BlockGrid, box_in, smaller
from .prepared import LocalRestoration

__all__ = ["survey_mixture"]


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
    numbers = {block: n for n, block in enumerate(map(_key, grid.blocks))}

    def task(block: Region) -> FieldTask:
        around = grid.around(block)
        cells = [_cells(part, length) for part, length in zip(block, grid.shape, strict=True)]
        window = tuple(slice(c.start * CELL, end * CELL) for c, end in cells)
        own = tuple(c.stop - c.start for c, _ in cells)
        parts = [None if g is None else cut(g[0], smaller(around, g[1])) for g in images]
        words = tuple(f[numbers[_key(block)]] for f in fallbacks)
        box = box_in((window[0], window[1]), around)
        return FieldTask(partial(_sums, local, words, box, own), (parts,))

    total: MixtureSums | None = None
    found: list[Any] = [None] * len(numbers)
    for block, future in workers.each(grid.blocks, task):
        found[numbers[_key(block)]] = future.result()
    for sums in found:  # in one order, so that rounding is the same at every time
        total = sums if total is None else total + sums
    assert total is not None
    given = images[1]
    assert given is not None
    return mixture_of(total, len(given[0]), base_of(local.dictionary, local.task))


def _cells(part: slice, length: int) -> tuple[slice, int]:
    """The cells that begin in a part of an axis, and the end of those and their neighbours."""
    first, last, count = -(-part.start // CELL), -(-part.stop // CELL), length // CELL
    first, last = min(first, count), min(last, count)
    return slice(first, last), min(last + 1, count)


def _key(region: Region) -> tuple[int, int]:
    return region[0].start, region[1].start


def _sums(
    local: LocalRestoration,
    fallback: Sequence[NDArray[Any]],
    box: Region,
    own: tuple[int, int],
    parts: Sequence[Any],
) -> MixtureSums:
    return local.mixture_sums(parts, fallback, box, own)
