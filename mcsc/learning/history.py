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
    """How learning converged: an entry for each complete pass and one for the last coding."""

    seconds: list[float] = field(default_factory=list)
    """Seconds since the call (of all runs, where a checkpoint was resumed)."""
    objective: list[float] = field(default_factory=list)
    """Eq. 5 summed over the windows, each as it was when it was coded."""
    nonzero: list[float] = field(default_factory=list)
    """Share of coefficients that are not zero."""
    replaced: list[int] = field(default_factory=list)
    """Number of unused atoms that were replaced after the pass."""


@dataclass(frozen=True)
class LearningProgress:
    """State of `learn` or `learn_targets`, which a callback gets after every step."""

    stage: Stage
    """What is being done: learning filters, a last coding, or fitting target filters."""
    step: int
    """Number of steps of the stage so far: coded batches and, in "targets", fits."""
    steps: int
    """Number of steps of the stage in all."""
    seconds: float
    """Seconds since the call (of all runs, where a checkpoint was resumed)."""
    objective: float
    """Eq. 5 summed over the windows in the last complete pass; NaN before there is one."""
