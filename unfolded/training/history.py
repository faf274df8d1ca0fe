"""What is seen on the way through a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainingHistory:
    """What was seen on the way: one entry a round."""

    step: list[int] = field(default_factory=list)
    """Steps of the optimiser so far."""
    seconds: list[float] = field(default_factory=list)
    """Of training so far, with the cutting of patches, without validation; a resumed run adds to
    those before it."""
    loss: list[float] = field(default_factory=list)
    """Mean of what is minimised, on the patches of the round."""
    validation: list[float] = field(default_factory=list)
    """Root mean square error on the validation scenes, of 255; empty without such scenes."""


@dataclass(frozen=True)
class TrainingProgress:
    """What a callback sees after every round."""

    epoch: int
    """Rounds so far."""
    step: int
    """Steps of the optimiser so far."""
    seconds: float
    """Of training so far, as in `TrainingHistory`."""
    loss: float
    """Mean of what is minimised, on the patches of the round."""
    validation: float | None
    """Root mean square error on the validation scenes, of 255; None without such scenes."""


Callback = Callable[[TrainingProgress], Any]
"""Called after every round; a true value or StopIteration stops the training."""
