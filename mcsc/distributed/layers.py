"""The codes of regions as they were found one after the other, and which of them lie where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from ..types import Region
from .cover import Cover

__all__ = ["Layer", "Layers", "key_of", "moved", "overlap"]


class Layer(NamedTuple):
    """The codes of a region as they were found; a later layer is what counts where it lies."""

    region: Region
    name: str
    """Name of the file; empty: no code in the region is active."""


class Layers:
    """Layers of an image, one a region, oldest first.

    To find those near a place, or to put one, takes as long with a million of them as with ten.

    Parameters
    ----------
    cover : Cover
    layers : iterable of Layer
    """

    def __init__(self, cover: Cover, layers: Iterable[Layer] = ()) -> None:
        self._cover = cover
        self._side = max(cover.largest)
        self._kept: dict[tuple[int, ...], tuple[int, Layer]] = {}
        self._near: defaultdict[tuple[int, int], set[tuple[int, ...]]] = defaultdict(set)
        self._number = 0
        for layer in layers:
            self.put(layer)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Layer]:
        return (layer for _, layer in self._kept.values())

    def put(self, layer: Layer) -> None:
        """Add a layer as the newest one, in the place of an older one of its region."""
        key = key_of(layer.region)
        if self._kept.pop(key, None) is None:
            for shift in self._cover.shifts():
                for place in self._places(moved(layer.region, shift)):
                    self._near[place].add(key)
        self._number += 1
        self._kept[key] = self._number, layer

    def within(self, region: Region) -> list[Layer]:
        """Return the layers that lie in a region, oldest first."""
        keys = set().union(*(self._near.get(place, ()) for place in self._places(region)))
        shifts = self._cover.shifts()
        found = [self._kept[key] for key in keys]
        return [
            layer
            for _, layer in sorted(found, key=lambda entry: entry[0])
            if any(overlap(moved(layer.region, shift), region) for shift in shifts)
        ]

    def _places(self, region: Region) -> Iterator[tuple[int, int]]:
        """Squares that a region touches."""
        rows, columns = (
            range(part.start // self._side, (part.stop - 1) // self._side + 1) for part in region
        )
        return product(rows, columns)


def key_of(region: Region) -> tuple[int, ...]:
    """Return a region as what can be looked up."""
    return tuple(n for part in region for n in (part.start, part.stop))


def moved(region: Region, shift: tuple[int, int]) -> Region:
    """Return a region so many rows and columns further."""
    rows, columns = (slice(p.start + d, p.stop + d) for p, d in zip(region, shift, strict=True))
    return rows, columns


def overlap(one: Region, other: Region) -> bool:
    """Whether two regions share a pixel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))
