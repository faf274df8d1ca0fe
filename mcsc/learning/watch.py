"""What is done after every step: a progress bar, a callback, and the question whether to go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from ..model.codes import Codes
from ..progress import ProgressBar
from ..solvers.driver import Interrupt, asks_to_stop, deferred_interrupt
from ..solvers.result import Result
from .history import LearningProgress, Stage, Stop

Callback: TypeAlias = Callable[[LearningProgress], Any]


_TITLES: dict[Stage, str] = {
    "passes": "learning",
    "coding": "coding with the final filters",
    "targets": "fitting target filters",
}


class Stopped(Exception):
    """Raised within a call that was asked to stop; `learn` and `learn_targets` catch it."""

    def __init__(self, how: Stop) -> None:
        super().__init__(how)
        self.how = how


class Watch:
    """Clock, progress bar, callback and Ctrl-C of one call; `watching` makes one.

    Attributes
    ----------
    seconds_before : float
        Added to the time since the call: of runs that a checkpoint was resumed from.
    """

    def __init__(
        self, started: float, callback: Callback | None, interrupt: Interrupt, bar: ProgressBar
    ) -> None:
        self._started = started
        self._callback = callback
        self._interrupt = interrupt
        self._bar = bar
        self._stop: Stop | None = None
        self.seconds_before = 0.0

    def seconds(self) -> float:
        """Time since the call, and before."""
        return self.seconds_before + time.perf_counter() - self._started

    def report(self, stage: Stage, step: int, steps: int, objective: float = math.nan) -> None:
        """Show a step that is done; whether it is to be the last, `go_on` says."""
        note = "" if math.isnan(objective) else f"objective {objective:.5g}"
        self._bar.update(step, note, total=steps, title=_TITLES[stage])
        if self._callback is None:
            return
        state = LearningProgress(stage, step, steps, self.seconds(), objective)
        try:
            if asks_to_stop(self._callback, state):
                self._stop = "callback"
        except KeyboardInterrupt:
            if self._interrupt.asked:  # the second Ctrl-C
                raise
            self._stop = "interrupted"

    def go_on(self) -> None:
        """Raise `Stopped` if the callback or a Ctrl-C asked for it: to be called before a step."""
        if self._interrupt.asked:
            self._stop = "interrupted"
        if self._stop is not None:
            raise Stopped(self._stop)

    def coded(self, result: Result) -> Codes:
        """Return the codes; raise `Stopped` if a Ctrl-C left them half done."""
        if result.stopped == "interrupted":
            raise Stopped("interrupted")
        return result.codes


@contextmanager
def watching(started: float, callback: Callback | None, *, progress: bool) -> Iterator[Watch]:
    """Defer Ctrl-C and show a progress bar while steps are done.

    Parameters
    ----------
    started : float
        Time at which learning started, as `time.perf_counter` gives it.
    callback : callable or None
        Called with a `LearningProgress` after every step.
    progress : bool
        Show the bar.
    """
    with deferred_interrupt() as interrupt, ProgressBar("learning", shown=progress) as bar:
        yield Watch(started, callback, interrupt, bar)
