"""Clocks that stand still during an evaluation, and what solvers reach by when."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import mcsc
from mcsc.model.certificate import Bounds

from .problems import ROOT, Setting, from_signals

OWN_METHODS = ("working-set", "admm", "fista", "alternating", "ista")
MakeProblem = Callable[[], mcsc.Problem]


class Stopwatch:
    """Seconds, without those spent in `paused`."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._paused = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started - self._paused

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - before


class Schedule:
    """Iterations 1, 2, 3, ... that lie further and further apart, by `ratio`."""

    def __init__(self, ratio: float = 1.1) -> None:
        self._ratio = ratio
        self._next = 1

    def due(self, iteration: int) -> bool:
        if iteration < self._next:
            return False
        self._next = max(iteration + 1, round(iteration * self._ratio))
        return True


class Judge:
    """Evaluates codes in float64, off the clock, on a problem of its own."""

    def __init__(self, problem: mcsc.Problem, *, gap: bool = False) -> None:
        self.problem = problem
        self.gap = gap
        self._certificate = problem.certificate()

    def __call__(self, codes: mcsc.Codes) -> tuple[float, float]:
        """Objective, and the dual value (-inf unless it is asked for)."""
        if not self.gap:
            return self.problem.objective(codes), -np.inf
        found: Bounds = self._certificate.evaluate(codes.stacked(self.problem.dictionary))
        return found.objective, found.dual


@dataclass
class Trace:
    """What a solver had reached after how many seconds."""

    name: str
    iteration: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    """Best so far."""
    dual: list[float] = field(default_factory=list)
    """Best lower bound so far; -inf where it was not evaluated."""
    set_up: float = 0.0
    """Seconds of the construction, which `seconds` include."""
    every_iteration: list[float] = field(default_factory=list)
    """Seconds at the end of every iteration."""

    def add(self, iteration: int, seconds: float, objective: float, dual: float) -> None:
        self.iteration.append(iteration)
        self.seconds.append(seconds)
        self.objective.append(min([objective, *self.objective[-1:]]))
        self.dual.append(max([dual, *self.dual[-1:]]))

    @property
    def gap(self) -> list[float]:
        """Relative duality gap of the best objective and the best bound so far."""
        return [
            max(p - d, 0.0) / p if p > 0 else 0.0
            for p, d in zip(self.objective, self.dual, strict=True)
        ]

    def seconds_to(self, level: float, *, interpolate: bool = False) -> float | None:
        """Seconds until the objective was at most `level`; None if it never was.

        With `interpolate`, where the line through the two evaluations around it crosses the level.
        """
        return self._to(level, self.seconds, interpolate)

    def iterations_to(self, level: float) -> float | None:
        """Iterations until the objective was at most `level`, interpolated."""
        return self._to(level, self.iteration, True)

    def _to(self, level: float, what: Sequence[float], interpolate: bool) -> float | None:
        for i, value in enumerate(self.objective):
            if value > level:
                continue
            if not interpolate or i == 0:
                return what[i]
            above = self.objective[i - 1]
            return what[i - 1] + (what[i] - what[i - 1]) * (above - level) / (above - value)
        return None

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        kept = ("name", "iteration", "seconds", "objective", "dual", "set_up")
        data = {key: getattr(self, key) for key in kept}
        data["dual"] = [d if np.isfinite(d) else None for d in self.dual]
        return data


@dataclass(frozen=True)
class Stop:
    """When a trace ends: at the objective, the gap, the seconds on the clock, or the iterations."""

    seconds: float = np.inf
    objective: float = -np.inf
    gap: float = 0.0
    iterations: int = 10**9

    def reached(self, trace: Trace) -> bool:
        """True if objective and gap are both what was wanted."""
        return trace.objective[-1] <= self.objective or trace.gap[-1] <= self.gap


def make_solver(problem: mcsc.Problem, method: str, inner_steps: int = 10) -> Any:
    """One of this package's solvers, started from zero; `inner_steps` are of "alternating"."""
    from mcsc.solvers import SOLVERS

    options = {"inner_steps": inner_steps} if method == "alternating" else {}
    return SOLVERS[method](problem, None, **options)


def trace_own(
    method: str,
    make_problem: MakeProblem,
    judge: Judge,
    stop: Stop,
    ratio: float = 1.1,
    seen: Callable[[Trace, mcsc.Codes], None] | None = None,
) -> Trace:
    """Run one of this package's solvers; its construction and that of the problem count.

    `seen` is called, with the clock stopped, with what is evaluated.
    """
    trace, schedule = Trace(method), Schedule(1.0 if method == "working-set" else ratio)
    clock = Stopwatch()
    solver = make_solver(make_problem(), method)
    trace.set_up = clock.seconds
    iteration = 0
    while True:
        solver.step()
        iteration += 1
        seconds = clock.seconds
        trace.every_iteration.append(seconds)
        ends = seconds >= stop.seconds or iteration >= stop.iterations
        if not (schedule.due(iteration) or ends):
            continue
        with clock.paused():
            codes = solver.codes()
            trace.add(iteration, seconds, *judge(codes))
            if seen is not None:
                seen(trace, codes)
        if ends or stop.reached(trace):
            return trace


# --------------------------------------------------------------------------------- warm-up
def warm_up(methods: Sequence[str] = OWN_METHODS) -> float:
    """Compile and load all that these methods use, for filters of 8x8; seconds that it took."""
    started = time.perf_counter()
    rng = np.random.default_rng(0)
    # The working set goes on in float64 where float32 is the limit.
    for dtype in (np.float32, np.float64) if "working-set" in methods else (np.float32,):
        x, y = rng.standard_normal((2, 1, 48, 48)).astype(dtype)
        for boundary in ("periodic", "zero"):
            small: Setting = from_signals("noise", (x, y), filters=2, boundary=boundary)
            for method in methods:
                small.solve(0.3, method=method, tol=1e-3, max_iter=5)
    return time.perf_counter() - started


def compile_seconds() -> dict[str, float]:
    """Seconds that the first call costs a new process: with an empty cache, and with a full one.

    Numba keeps what it compiled beside the package, so a machine pays the first figure once.
    """
    code = (
        "import time; started = time.perf_counter()\n"
        "import numpy as np\n"
        "from benchmarks.common.problems import from_signals\n"
        "x, y = np.random.default_rng(0).standard_normal((2, 1, 48, 48)).astype('float32')\n"
        "small = from_signals('noise', (x, y), filters=2)\n"
        "started = time.perf_counter()\n"
        "small.solve(0.3, method='working-set', tol=1e-3)\n"
        "print(time.perf_counter() - started)\n"
    )
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        for name in ("empty cache", "full cache"):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                cwd=ROOT,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            seconds[name] = float(done.stdout)
    return seconds
