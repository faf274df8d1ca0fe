"""What a solver returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import warn_user
from ..model.codes import Codes

Stop: TypeAlias = Literal["converged", "max_iter", "callback", "interrupted", "overflow"]


class ConvergenceWarning(UserWarning):
    """A solver stopped before the certified gap reached the tolerance."""


@dataclass(frozen=True)
class History:
    """One entry for every evaluation of the certificate, as Python numbers."""

    iteration: list[int] = field(default_factory=list)
    """Number of iterations before the evaluation."""
    seconds: list[float] = field(default_factory=list)
    """Wall time since the call, evaluations included."""
    objective: list[float] = field(default_factory=list)
    """Value of Eq. 5, float64."""
    gap: list[float] = field(default_factory=list)
    """Relative duality gap, with the best dual bound so far."""

    def drop_last(self) -> None:
        """Remove the last entry."""
        for column in (self.iteration, self.seconds, self.objective, self.gap):
            column.pop()


@dataclass(frozen=True)
class Progress:
    """State of a solver, which a callback gets at every evaluation of the certificate."""

    method: str
    """Name of the solver."""
    iteration: int
    """Number of iterations so far."""
    seconds: float
    """Wall time since the call, evaluations included."""
    objective: float
    """Value of Eq. 5 at the current codes, float64."""
    gap: float
    """Relative duality gap, with the best dual bound so far."""


@dataclass(frozen=True, eq=False)
class Result:
    """Result of `solve`: codes with their certificate."""

    codes: Codes
    """Sparse codes of all groups, in the array library of the signals."""
    objective: float
    """Value of Eq. 5 at `codes`, float64."""
    gap: float
    """Certified relative duality gap, ``(objective - dual_bound) / objective``."""
    dual_bound: float
    """Lower bound on the optimal objective; ``objective - dual_bound`` is the absolute gap."""
    converged: bool
    """Whether the gap is at most the tolerance that was asked for."""
    method: str
    """Name of the solver: the one that `method="auto"` chose, or the one that was named."""
    iterations: int
    """Number of iterations."""
    seconds: float
    """Wall time of the call, evaluations included."""
    stopped: Stop
    """Why the solver stopped, in one word."""
    message: str
    """Why the solver stopped, in a sentence, with what `method="auto"` chose and why."""
    history: History = field(repr=False)
    """Objective and gap at every evaluation of the certificate."""


def warn_unless_converged(result: Result) -> None:
    """Say, at the line that called this function's caller, that a solver stopped too early."""
    if not result.converged:
        warn_user(f"{result.method} {result.message}", ConvergenceWarning)
