"""The six tasks of the paper: roles of the files, degradation, preprocessing, measures.

A new task is one more entry in `TASKS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidValueError
from ..types import Floats, Kind

if TYPE_CHECKING:
    from ..quality.measures import Measure

Roles = tuple[str, ...]

__all__ = ["TASKS", "Task", "get_task"]

# The table of tasks is read by the command line's --help: what is heavy is imported by need.


@dataclass(frozen=True)
class Task:
    """What distinguishes a task from the others.

    Attributes
    ----------
    name : str
        Of the command line.
    title : str
        For people.
    kind : {"restoration", "fusion"}
        Eq. 3 or Eq. 4.
    roles : (tuple of str, tuple of str)
        Endings of the file names of x and of y, ``scene_ROLE.png``, the first that exists. In
        restoration the file of x is the clean one: x is made from it by `degrade`.
    factor : int or None
        Super-resolution: how much smaller the known image is along each axis.
    sigma : float or None
        Denoising: the noise's standard deviation that is taken if none is given, of 255.
    strength : float
        Of the low-pass split of the signals that are coded.
    base : {"input", "low"}
        What the coded part is added to: x itself, or x's low-pass part (noise is not kept).
    lam : float
        Weight of the l1 norm in coding; times sigma / `sigma` in denoising.
    guide_weight : float
        Weight of y in learning.
    rule : str
        Fusion: how parts become an image, as `mcsc.tasks.fusion.fuse` says.
    joint, colour_guide : bool
        Learning: filters of all channels of x together, of the guide's three channels.
    synthetic : str
        Name of the synthetic scenes that go with the task.
    display : bool
        Values end at black and white, 0 and 1: what is beyond is cut off before it is measured.
        Depth has no white.
    """

    name: str
    title: str
    kind: Kind
    roles: tuple[Roles, Roles]
    synthetic: str
    strength: float = 5.0
    base: str = "low"
    lam: float = 0.02
    guide_weight: float = 1.0
    factor: int | None = None
    sigma: float | None = None
    rule: str = "sum"
    joint: bool = False
    colour_guide: bool = False
    display: bool = True

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What images of this task are measured by."""
        from ..quality.measures import measures_of

        return measures_of(self.kind)

    def degrade(self, target: Floats, *, sigma: float | None = None, seed: int = 0) -> Floats:
        """Make the input x from the clean image, as the authors' released scripts do.

        Super-resolution: bicubic (antialiased) down by the factor and up again. Denoising: white
        Gaussian noise of standard deviation `sigma` (of 255), not clipped, drawn by `seed`. Fusion
        has no degradation: its files are the inputs.

        Raises
        ------
        ValueError
            The size is not a multiple of the factor, or the task is a fusion.
        """
        if self.factor is not None:
            from ..images.resize import degrade

            return degrade(target, self.factor)
        if self.sigma is not None:
            level = (self.sigma if sigma is None else sigma) / 255
            noise = np.random.default_rng(seed).standard_normal(target.shape)
            return (target + level * noise).astype(target.dtype)
        raise InvalidValueError(f"{self.name} is a fusion: its inputs are not made from a target")


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "depth-sr", "Depth super-resolution with a photograph", "restoration",
            (("depth",), ("rgb",)), "depth", base="input", lam=0.04,
            guide_weight=0.3, factor=4, display=False,
        ),
        Task(
            "multispectral-sr", "Multispectral super-resolution with a photograph", "restoration",
            (("ms640", "ms"), ("rgb",)), "multispectral", base="input", lam=0.02, guide_weight=0.5,
            factor=4,
        ),
        Task(
            "flash-denoise", "Denoising of an ambient photograph with a flash photograph",
            "restoration", (("ambient",), ("flash",)), "flash", strength=120.0,
            lam=0.5, sigma=50.0, joint=True, colour_guide=True,
        ),
        Task(
            "multi-exposure", "Fusion of an over- and an under-exposed photograph", "fusion",
            (("over",), ("under",)), "exposure", lam=0.02, rule="detail",
        ),
        Task(
            "multi-focus", "Fusion of photographs in focus near and far", "fusion",
            (("near",), ("far",)), "focus", lam=0.02, rule="choose",
        ),
        Task(
            "medical", "Fusion of two kinds of medical images", "fusion",
            (("t1", "t1gad", "ct"), ("t2",)), "medical", lam=0.02,
        ),
    )
}  # fmt: skip


def get_task(name: str) -> Task:
    """Return a task by its name.

    Raises
    ------
    ValueError
        There is no such task; the message lists those there are.
    """
    if name not in TASKS:
        raise InvalidValueError(f"task must be one of {', '.join(TASKS)}; found {name!r}")
    return TASKS[name]
