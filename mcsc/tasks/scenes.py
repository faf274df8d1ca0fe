"""Scenes that are read when they are asked for: callables that return the images of both roles.

A reader may have a ``name``, for messages. Those here can be pickled, as other processes want them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from ..types import Floats
from .task import Task

__all__ = ["Reader", "Recent", "flipped", "name_of", "synthetic_scenes"]

V = TypeVar("V")

Reader = Callable[[], tuple[Floats, ...]]
"""Returns the images of both roles: the clean image and the guide, or both sources.

Of a fusion, the image that is to be made of them may come third.
"""

_GRID = 16  # pixels; a multiple of every task's factor
_MEMORY = 500_000_000


class Recent(Generic[V]):
    """What was made lately, up to so many bytes, and the last one in any case.

    Parameters
    ----------
    memory : int
        Bytes.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """Return what was made for the key, or make it; `size` gives its bytes."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        made = make()
        self._kept[key] = made, size(made)
        self._bytes += self._kept[key][1]
        while self._bytes > self.memory and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][1]
        return made

    def __getstate__(self) -> dict[str, Any]:
        # Another process makes its own.
        return {"memory": self.memory, "_kept": OrderedDict(), "_bytes": 0}


def name_of(reader: Reader, number: int) -> str:
    """Return what to call a scene in a message."""
    return str(getattr(reader, "name", f"scene {number}"))


@dataclass(frozen=True)
class _Synthetic:
    """One synthetic scene."""

    task: Task
    number: int
    shape: tuple[int, int]
    seed: int
    recent: Recent[tuple[Floats, ...]]

    @property
    def name(self) -> str:
        return f"synthetic scene {self.number}"

    def __call__(self) -> tuple[Floats, ...]:
        return self.recent.get(self.number, self._make, lambda made: sum(i.nbytes for i in made))

    def _make(self) -> tuple[Floats, ...]:
        from ..synthetic import make_pair

        pair = make_pair(self.task.synthetic, self.number, self.shape, self.seed)
        if self.task.kind == "restoration":
            return pair.target, pair.y
        return pair.x, pair.y, pair.target


def synthetic_scenes(
    task: Task, count: int, shape: tuple[int, int] = (256, 256), seed: int = 0
) -> list[Reader]:
    """Readers of synthetic scenes, which are made when they are asked for, and kept for a while."""
    recent: Recent[tuple[Floats, ...]] = Recent(_MEMORY)
    return [_Synthetic(task, number, shape, seed, recent) for number in range(count)]


@dataclass(frozen=True)
class _Turned:
    """A scene upside down, mirrored, or both."""

    reader: Reader
    number: int
    down: bool
    across: bool

    @property
    def name(self) -> str:
        return name_of(self.reader, self.number)

    def __call__(self) -> tuple[Floats, ...]:
        images = self.reader()
        # Cut first, so that degradations see the same grid of pixels.
        height, width = (n - n % _GRID for n in images[0].shape[1:])
        rows = slice(None, None, -1 if self.down else 1)
        columns = slice(None, None, -1 if self.across else 1)
        return tuple(np.ascontiguousarray(i[:, :height, :width][:, rows, columns]) for i in images)


def flipped(readers: Sequence[Reader]) -> list[Reader]:
    """The scenes, and each upside down, mirrored, and both: four times as much to learn from."""
    turns = [(False, False), (True, False), (False, True), (True, True)]
    return [_Turned(reader, n, *how) for how in turns for n, reader in enumerate(readers)]
