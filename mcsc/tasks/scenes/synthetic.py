"""Synthetic scenes, each made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from ...lazy import Recent
from ...synthetic.photographs import Photographs
from ...types import Floats
from ..task import Task, get_task
from .readers import Reader

__all__ = ["synthetic_scenes", "unseen_scenes"]

_MOST_UNSEEN = 8
_OTHER_SEED = 1_000_003
_CACHE_BYTES = 500_000_000


@dataclass(frozen=True)
class _Synthetic:
    """One synthetic scene."""

    task: Task
    number: int
    shape: tuple[int, int]
    seed: int
    photographs: Photographs | None
    recent: Recent[tuple[Floats, ...]]
    is_part = True
    """It shows a part of a scene as large as a photograph: see `mcsc.synthetic.make_scene`."""

    @property
    def name(self) -> str:
        return f"synthetic scene {self.number}"

    def __call__(self) -> tuple[Floats, ...]:
        return self.recent.get(self.number, self._make, lambda made: sum(i.nbytes for i in made))

    def _make(self) -> tuple[Floats, ...]:
        # A pair has a size that the factor divides; what is asked for is a part of it.
        factor = self.task.factor or 1
        height, width = self.shape
        shape = (height + -height % factor, width + -width % factor)
        pair = self.task.synthetic_pair(self.number, shape, self.seed, self.photographs)
        target, y = pair.target[:, :height, :width], pair.y[:, :height, :width]
        if self.task.kind == "restoration":
            return target, y
        return pair.x, y, target


def synthetic_scenes(
    task: str | Task,
    count: int,
    shape: tuple[int, int] = (256, 256),
    seed: int = 0,
    photographs: Photographs | None = None,
) -> list[Reader]:
    """Return readers of synthetic scenes, each of which makes its scene when it is called.

    `photographs` are those of `Task.synthetic_pair`.
    """
    task = get_task(task)
    recent: Recent[tuple[Floats, ...]] = Recent(_CACHE_BYTES)
    return [_Synthetic(task, number, shape, seed, photographs, recent) for number in range(count)]


def unseen_scenes(
    task: Task, count: int, share: float, seed: int = 0, photographs: Photographs | None = None
) -> list[Reader]:
    """Readers of synthetic scenes to measure on, none of which are among `synthetic_scenes`.

    A `share` of `count`, from one to eight, and none if it is 0; the other arguments are those that
    the `count` scenes are made with.
    """
    if not share:
        return []
    # Other seeds are other scenes.
    wanted = max(1, min(_MOST_UNSEEN, round(share * count)))
    return synthetic_scenes(task, wanted, seed=seed + _OTHER_SEED, photographs=photographs)
