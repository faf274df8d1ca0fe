"""The loop that all solvers share: timing, certificate, history, callback, progress, Ctrl-C."""

from __future__ import annotations

import math
import signal as signals
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..model.certificate import relative_gap
from ..model.problem import Problem
from ..progress import GapBar
from .base import Solver
from .result import History, Progress, Result, Stop

Callback: TypeAlias = Callable[[Progress], Any]


@dataclass
class Interrupt:
    """The handler of a deferred Ctrl-C, which notes the first and lets the second through."""

    asked: bool = False
    depth: int = 0
    """Loops inside the one that the handler was set for."""

    def __call__(self, number: int, frame: Any) -> None:
        """Take a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Turn the first Ctrl-C into a flag, so that a step is never left half done.

    A second Ctrl-C interrupts at once. Loops within loops share the flag of the outermost, so that
    one Ctrl-C ends them all, also where the inner one was just done. Only the main thread can do
    this; elsewhere, or where the program has a handler of its own, that stays in force. SIGTERM is
    taken alike where it does what Ctrl-C does by Python's default: it must end a job in the
    background, too, in which a shell has Ctrl-C ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signals.getsignal(number) for number in (signals.SIGINT, signals.SIGTERM)}
    outer = next((known for known in before.values() if isinstance(known, Interrupt)), None)
    if main and outer is not None:
        outer.depth += 1
        try:
            yield outer
        finally:
            outer.depth -= 1
        return
    flag = Interrupt()
    mine = [n for n, known in before.items() if main and known is signals.default_int_handler]
    for number in mine:
        signals.signal(number, flag)
    try:
        yield flag
    finally:
        for number in mine:
            signals.signal(number, signals.default_int_handler)


def asks_to_stop(callback: Callable[[Any], Any], state: Any) -> bool:
    """Show a callback the state; True if it wants to stop: a true value, or StopIteration."""
    try:
        return bool(callback(state))
    except StopIteration:
        return True


def run(
    problem: Problem,
    solver: Solver,
    *,
    started: float,
    tol: float,
    max_iter: int,
    callback: Callback | None,
    progress: bool,
    title: str,
    note: str = "",
) -> Result:
    """Iterate `solver` until the certified gap is at most `tol`, or something stops it.

    `title` is shown beside the progress bar, `note` is appended to the result's message.
    """
    certificate = problem.certificate()
    history = History()
    best_dual = 0.0  # theta = 0 is always feasible
    iteration = 0
    stopped: Stop = "converged"
    objective = gap = 0.0

    def evaluate() -> None:
        nonlocal best_dual, objective, gap
        evaluation = solver.evaluate(certificate)
        objective = evaluation.objective
        if math.isfinite(evaluation.dual):
            best_dual = max(best_dual, evaluation.dual)
        gap = relative_gap(objective, best_dual)
        history.iteration.append(iteration)
        history.seconds.append(time.perf_counter() - started)
        history.objective.append(objective)
        history.gap.append(gap)

    def report() -> bool:
        bar.show(gap, iteration)
        if callback is None:
            return False
        state = Progress(solver.name, iteration, history.seconds[-1], objective, gap)
        return asks_to_stop(callback, state)

    with deferred_interrupt() as interrupt, GapBar(title, tol, shown=progress) as bar:
        evaluated = False
        try:
            evaluate()
            evaluated = True
            stop = report()
            while not (
                gap <= tol
                or stop
                or interrupt.asked
                or iteration >= max_iter
                or not math.isfinite(objective)
            ):
                evaluated = False
                while not evaluated:
                    solver.step()
                    iteration += 1
                    bar.show(gap, iteration)
                    if interrupt.asked or iteration >= max_iter or solver.due(iteration, tol):
                        break
                evaluate()
                evaluated = True
                stop = report()
            if gap > tol:
                if interrupt.asked:
                    stopped = "interrupted"
                elif stop:
                    stopped = "callback"
                elif not math.isfinite(objective):
                    stopped = "overflow"
                else:
                    stopped = "max_iter"
        except KeyboardInterrupt:
            if interrupt.depth and interrupt.asked:  # the second: the loop around this one ends too
                raise
            # From the callback, or outside the main thread: what is there is still certified.
            stopped = "interrupted"
            if not evaluated:
                evaluate()
        if gap > tol and solver.uncertified:
            history.drop_last()
            evaluate()
    converged = gap <= tol
    reasons = {
        "interrupted": "interrupted",
        "callback": "stopped by the callback",
        "max_iter": f"reached max_iter = {max_iter}",
        "overflow": "numbers overflow or underflow: scale the signals",
    }
    if converged:
        stopped = "converged"
        message = f"converged: certified relative gap {gap:.2g} <= tol = {tol:g}"
    else:
        message = (
            f"not converged ({reasons[stopped]}): certified relative gap {gap:.2g}, wanted {tol:g}"
        )
    return Result(
        codes=solver.codes(),
        objective=objective,
        gap=gap,
        dual_bound=best_dual,
        converged=converged,
        method=solver.name,
        iterations=iteration,
        seconds=time.perf_counter() - started,
        stopped=stopped,
        message=message + note,
        history=history,
    )
