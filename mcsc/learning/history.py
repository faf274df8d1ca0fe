"""What learning reports on its way and when it stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["passes", "coding", "targets"]
"""Passes that change the filters, the last coding with the final ones, the fit of targets."""
Stop: TypeAlias = Literal["completed", "callback", "interrupted"]
"""All was done; or a callback or Ctrl-C asked to stop, and the rest was left out."""


@dataclass(frozen=True)
class LearningHistory:
    """One entry for every complete pass, and one for the last coding; Python numbers."""

    seconds: list[float] = field(default_factory=list)
    """Since the call (of all runs, where a checkpoint was resumed)."""
    objective: list[float] = field(default_factory=list)
    """Eq. 5 summed over the windows, each as it was when it was coded."""
    nonzero: list[float] = field(default_factory=list)
    """Share of coefficients that are not zero."""
    replaced: list[int] = field(default_factory=list)
    """Dead atoms replaced after the pass."""


@dataclass(frozen=True)
class LearningProgress:
    """What a callback sees after every step of `learn` and `learn_targets`."""

    stage: Stage
    step: int
    """Steps of the stage so far: batches that were coded, and in "targets" fits, too."""
    steps: int
    """Of so many."""
    seconds: float
    """Since the call (of all runs, where a checkpoint was resumed)."""
    objective: float
    """Eq. 5 summed over the windows in the last complete pass; NaN before there is one."""
