"""Scenes of a fusion that come without a target: what another method makes of them is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcsc.tasks.fusion import fuse
from mcsc.tasks.scenes import Reader, name_of
from mcsc.tasks.task import Task
from mcsc.types import Floats

__all__ = ["Taught", "taught"]


@dataclass(frozen=True)
class Taught:
    """A scene whose target a method makes: a `Reader` of both sources and it.

    A network that is trained on such scenes learns to do in one pass what the method does
    (distillation: Hinton, Vinyals and Dean, 2015, https://arxiv.org/abs/1503.02531).
    """

    reader: Reader
    """Reader of the sources; a target that a scene has itself is left out."""
    task: Task
    method: str
    """The teacher: one of `mcsc.tasks.methods.method_names`."""
    name: str
    rule: str | None = None
    """Rule of the teacher; None: its own, or the task's."""

    def __call__(self) -> tuple[Floats, ...]:
        """Return both sources, unknown pixels NaN, and what the method makes of them."""
        x, y = self.reader()[:2]
        known = [~np.isnan(image).any(axis=0) for image in (x, y)]
        masks = None if all(k.all() for k in known) else [k.astype(np.float32) for k in known]
        # The scenes are in [0, 1] already: no range is to be found for each. A network sees them as
        # they are, so that its teacher does too: ghosts are not looked for.
        made = fuse(
            [x, y], self.task, method=self.method, rule=self.rule, masks=masks,
            value_range=(0.0, 1.0), ghosts=False,
        )  # fmt: skip
        return x, y, np.asarray(made.image, np.float32)


def taught(
    readers: Sequence[Reader], task: Task, method: str, rule: str | None = None
) -> list[Taught]:
    """Give every scene a target that a method makes, by a rule, when the scene is read."""
    return [
        Taught(reader, task, method, name_of(reader, n), rule) for n, reader in enumerate(readers)
    ]
