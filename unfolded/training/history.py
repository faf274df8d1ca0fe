"""What is seen on the way through a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainingHistory:
    """How training converged: one entry for each epoch."""

    step: list[int] = field(default_factory=list)
    """Number of steps of the optimiser so far."""
    seconds: list[float] = field(default_factory=list)
    """Seconds of training so far, with the preparation of patches and without validation; a
    resumed run adds to those before it."""
    loss: list[float] = field(default_factory=list)
    """Mean of the loss over the patches of the epoch."""
    validation: list[float] = field(default_factory=list)
    """Root mean square error on the validation scenes, as these are given, in grey levels of 255;
    empty without such scenes."""

    @property
    def best_step(self) -> int | None:
        """The last step of the epoch of the smallest validation error, the first of equal ones."""
        known = [(e, s) for e, s in zip(self.validation, self.step, strict=False) if e == e]
        return min(known)[1] if known else None


@dataclass(frozen=True)
class TrainingProgress:
    """State of a training, which a callback gets after every epoch."""

    epoch: int
    """Number of epochs so far."""
    step: int
    """Number of steps of the optimiser so far."""
    seconds: float
    """Seconds of training so far, as in `TrainingHistory`."""
    loss: float
    """Mean of the loss over the patches of the epoch."""
    validation: float | None
    """Root mean square error on the validation scenes, as these are given, in grey levels of 255;
    None without such scenes."""


Callback = Callable[[TrainingProgress], Any]
"""Called after every epoch; a true value or StopIteration stops the training."""
