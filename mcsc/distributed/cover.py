"""How an image is cut, and in which order its parts are coded.

Codes reach beyond their pixel by less than a filter. Two parts whose *fields*, the pixels that
their codes touch, are disjoint can be coded at the same time; a set of such parts is a colour. Cut
along both axes, an image is covered by four colours: blocks, which leave a strip of s - 1 pixels
free between them; the seams where blocks meet on the left and right, a few filters wide; those
where they meet above and below; and the squares where seams cross. That they overlap is what makes
few sweeps enough: what a block could not know at its edge lies in the middle of a seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from ..errors import InvalidValueError
from ..lazy import cached_property
from ..types import Boundary, Region

__all__ = ["Cover", "edges_of_blocks"]

_HALF_SEAM = 5
"""Filters from the middle of a seam to its edge: 2 take twice, 0 ten times as many sweeps."""


def edges_of_blocks(length: int, side: int, filter_size: int) -> tuple[int, ...]:
    """Cut a length into equal blocks of at most `side` pixels, but none below a filter."""
    count = max(1, min(-(-length // side), length // filter_size))
    return tuple(int(n) for n in np.linspace(0, length, count + 1).round())


@dataclass(frozen=True)
class Cover:
    """An image cut along rows and columns.

    Regions are rows and columns, (slice, slice); on a periodic image they may begin before 0.

    Parameters
    ----------
    rows, columns : tuple of int
        Where blocks begin, and the image's height or width at last.
    filter_size : int
        Side s of the filters.
    boundary : {"zero", "periodic"}
        Boundary of the image.

    Raises
    ------
    ValueError
        A block is smaller than the filters, or halos do not fit on a periodic image.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    filter_size: int
    boundary: Boundary

    def __post_init__(self) -> None:
        s, (height, width) = self.filter_size, self.smallest
        if min(height, width) < s and not self.alone:
            raise InvalidValueError(
                f"blocks are smaller than the filters: the smallest has {height} x {width} pixels, "
                f"filters have {s} x {s}"
            )
        _ = self.colours

    # ------------------------------------------------------------------- geometry
    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.rows[-1], self.columns[-1]

    @property
    def smallest(self) -> tuple[int, int]:
        """Least height and width of a block."""
        height, width = (min(b - a for a, b in pairwise(e)) for e in (self.rows, self.columns))
        return height, width

    @property
    def largest(self) -> tuple[int, int]:
        """Greatest height and width of a block."""
        height, width = (max(b - a for a, b in pairwise(e)) for e in (self.rows, self.columns))
        return height, width

    @property
    def alone(self) -> bool:
        """Whether one block is the whole image, which is then solved as it is."""
        return len(self.rows) == len(self.columns) == 2

    @cached_property
    def blocks(self) -> list[Region]:
        """The blocks, row by row: together they are the image, and none overlaps another."""
        return _regions(list(pairwise(self.rows)), list(pairwise(self.columns)))

    @cached_property
    def colours(self) -> list[list[Region]]:
        """What is coded, colour by colour; together they cover the image."""
        if self.alone:
            return [self.blocks]
        along = [self._along(self.rows, "rows"), self._along(self.columns, "columns")]
        return [_regions(rows, columns) for rows, columns in product(*along)]

    def _along(self, edges: tuple[int, ...], name: str) -> list[list[tuple[int, int]]]:
        """Intervals of an axis, colour by colour; fields of one colour are disjoint."""
        s, length, blocks = self.filter_size, edges[-1], list(pairwise(edges))
        around = self.boundary == "periodic"
        if len(blocks) == 1 and not around:
            return [blocks]
        before, after = self.halo
        least = max(before, after)  # of half a seam, to cover what blocks leave free
        half = min(_HALF_SEAM * s, (min(b - a for a, b in blocks) - (s - 1)) // 2)
        if half >= least:
            inner = [
                (a + (before if a > 0 or around else 0), b - (after if b < length or around else 0))
                for a, b in blocks
            ]
            cuts = edges[:-1] if around else edges[1:-1]
            return [inner, [(cut - half, cut + half) for cut in cuts]]
        if len(blocks) == 1:
            raise InvalidValueError(
                f"halos do not fit: a periodic image of {length} {name} is too small for blocks "
                f"with filters of {s} pixels; leave it in one block"
            )
        # Blocks of less than two filters have no room for seams: every other one.
        colour = [k % 2 for k in range(len(blocks))]
        if around and len(blocks) % 2:
            colour[-1] = 2  # between the last but one and the first
        return [
            [b for b, c in zip(blocks, colour, strict=True) if c == k] for k in sorted({*colour})
        ]

    @property
    def halo(self) -> tuple[int, int]:
        """Pixels before and after a code that it touches."""
        return _halo(self.filter_size)

    def field(self, region: Region) -> Region:
        """Return the pixels that the codes of a region touch."""
        return self._grown(region, *self.halo)

    def reach(self, region: Region, filter_size: int | None = None) -> Region:
        """Return where codes lie that touch some pixels, by filters of another size if it says."""
        before, after = _halo(self.filter_size if filter_size is None else filter_size)
        return self._grown(region, after, before)

    def _grown(self, region: Region, before: int, after: int) -> Region:
        if self.alone:
            return region
        found = []
        for part, length in zip(region, self.shape, strict=True):
            start, stop = part.start - before, part.stop + after
            if self.boundary == "zero":
                start, stop = max(start, 0), min(stop, length)
            found.append(slice(start, stop))
        return found[0], found[1]

    def shifts(self) -> list[tuple[int, int]]:
        """By how much the image repeats itself, as far as regions can reach."""
        if self.boundary == "zero" or self.alone:
            return [(0, 0)]
        height, width = self.shape
        return list(product((-height, 0, height), (-width, 0, width)))


def _halo(size: int) -> tuple[int, int]:
    return (size - 1) // 2, size // 2


def _regions(rows: Sequence[tuple[int, int]], columns: Sequence[tuple[int, int]]) -> list[Region]:
    return [(slice(*r), slice(*c)) for r in rows for c in columns]
