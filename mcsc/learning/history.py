"""What learning reports on its way."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LearningHistory:
    """One entry for every pass over the windows, and one for the final coding; Python numbers."""

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
    """What a callback sees after every batch."""

    step: int
    """Batches so far."""
    passes: float
    """Passes so far; 2.5 is halfway through the third."""
    seconds: float
    objective: float
    """Of the last complete pass; NaN in the first."""
