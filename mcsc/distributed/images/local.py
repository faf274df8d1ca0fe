"""What is done to a large image block by block, each with as much around it as it depends on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import dask
import dask.array as da
import numpy as np

from ...model.codes import Codes
from ...model.dictionary import Dictionary
from ...types import Region
from ..arrays import cut
from ..cover import Cover
from ..layers import Layer
from ..result import BlockResult
from ..tasks import Job

__all__ = [
    "BlockCodes", "BlockGrid", "Shapes", "box_in", "codes_around", "halo_of_split", "layers_around",
    "made_of_blocks", "reach_of", "smaller",
]  # fmt: skip

_ACCURACY = 20.0
"""Exponent to which the influence of a pixel on a low-pass split has fallen at the halo's end."""

Shapes: TypeAlias = Mapping[str, tuple[int, Any] | None]
"""Channels and dtype of each image that is made, None where there is none."""


def halo_of_split(strength: float) -> int:
    r"""Pixels around a block on which its low-pass split depends, to about 2e-9.

    The influence of a pixel falls as :math:`e^{-\kappa d}` along an axis, with
    :math:`\cosh\kappa = 1 + 1 / (2 \mu)`: see `mcsc.images.split.lowpass_split`.
    """
    return math.ceil(_ACCURACY / math.acosh(1 + 1 / (2 * strength))) if strength > 0 else 0


@dataclass(frozen=True)
class BlockGrid:
    """An image cut into blocks, of which each is worked on with what is around it.

    Parameters
    ----------
    shape : (H, W)
    side : int
        Side of the blocks, in pixels.
    halo : int
        Pixels around a block.
    factor : int
        Blocks and halos are multiples of it, so that they are whole pixels of a smaller image.
    """

    shape: tuple[int, int]
    side: int
    halo: int
    factor: int = 1

    @property
    def edges(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where blocks begin, along rows and columns, and the image's height and width."""
        side = -(-self.side // self.factor) * self.factor
        rows, columns = ((*range(0, length, side), length) for length in self.shape)
        return rows, columns

    @property
    def blocks(self) -> list[Region]:
        """The blocks, row by row."""
        rows, columns = (list(pairwise(edges)) for edges in self.edges)
        return [(slice(*r), slice(*c)) for r in rows for c in columns]

    def around(self, block: Region) -> Region:
        """Return a block with its halo, as far as the image goes."""
        halo = -(-self.halo // self.factor) * self.factor
        rows, columns = (
            slice(max(part.start - halo, 0), min(part.stop + halo, length))
            for part, length in zip(block, self.shape, strict=True)
        )
        return rows, columns


def box_in(region: Region, around: Region) -> Region:
    """Return a region by its places in a larger one."""
    rows, columns = (
        slice(r.start - a.start, r.stop - a.start) for r, a in zip(region, around, strict=True)
    )
    return rows, columns


def smaller(region: Region, factor: int) -> Region:
    """Return a region on an image that is so many times smaller."""
    rows, columns = (slice(r.start // factor, r.stop // factor) for r in region)
    return rows, columns


def made_of_blocks(
    grid: BlockGrid,
    function: Callable[..., Mapping[str, Any]],
    images: Sequence[tuple[Any, int] | None],
    words: Callable[[int, Region], tuple[Any, ...]],
    shapes: Shapes,
) -> dict[str, Any]:
    """Return Dask arrays (C, H, W) that a function makes, block by block, when they are asked for.

    Parameters
    ----------
    grid : BlockGrid
    function : callable
        Called with a list of NumPy arrays, what `words` says of a block, and the block's place in
        these; returns the arrays of the block by name.
    images : sequence of (Dask array (C, H, W), factor) or None
        And how many times smaller each is than the grid.
    words : callable
        Function of the number of a block and of its place with its halo, which returns further
        arguments.
    shapes : mapping
        What is made.
    """
    tasks = []
    for number, block in enumerate(grid.blocks):
        around = grid.around(block)
        parts = [None if g is None else cut(g[0], smaller(around, g[1])) for g in images]
        tasks.append(
            dask.delayed(function, pure=False)(parts, words(number, around), box_in(block, around))
        )
    across = len(grid.edges[1]) - 1
    made: dict[str, Any] = {}
    for name, shape in shapes.items():
        if shape is None:
            made[name] = None
            continue
        channels, dtype = shape
        pieces = [
            da.from_delayed(
                task[name],
                (channels, rows.stop - rows.start, columns.stop - columns.start),
                dtype=np.dtype(dtype),
            )
            for task, (rows, columns) in zip(tasks, grid.blocks, strict=True)
        ]
        lines = [pieces[k : k + across] for k in range(0, len(pieces), across)]
        made[name] = da.concatenate([da.concatenate(line, axis=2) for line in lines], axis=1)
    return made


@dataclass(frozen=True)
class BlockCodes:
    """Which codes of a large image lie where: what a task is told of them."""

    job: Job
    layers: Sequence[Layer]
    reach: int
    """Pixels beyond which no code touches another."""


def reach_of(dictionary: Dictionary) -> int:
    """Return pixels beyond which no code touches another, by any filter."""
    banks = [dictionary.target_common, *(dictionary.target_unique or ())]
    sizes = (int(bank.shape[2]) for bank in banks if bank is not None)
    return max(dictionary.filter_size, *sizes, 0)


def layers_around(found: BlockResult, around: Region, reach: int) -> BlockCodes:
    """Return which codes touch a region."""
    cover: Cover = found.job.store.problem().cover
    region = BlockGrid(cover.shape, 1, reach).around(around)
    return BlockCodes(found.job, found.layers.within(region), reach)


def codes_around(given: BlockCodes, around: Region) -> tuple[Codes, Region]:
    """Read the codes that touch a region, on a grid of their own, and its place there."""
    store = given.job.store
    record = store.problem()
    region = BlockGrid(record.cover.shape, 1, given.reach).around(around)
    places = store.within(region, given.layers, record.cover)
    return places.codes(region, record.dictionary), box_in(around, region)
