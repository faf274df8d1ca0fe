"""SPORCO's solvers on the same problem: the stacked dictionary, two channels.

Brendt Wohlberg's SPORCO (https://github.com/bwohlberg/sporco, BSD-3-Clause) solves the same convex
problem when it is given all filters as one multichannel dictionary with zeros where a filter does
not act. It gets what makes it fast: float32, pyFFTW with planning done beforehand, numexpr where
that is faster than NumPy, no statistics, the exact Lipschitz constant, and the settings that
`benchmarks.exact.peer_settings` found best: ADMM's own adaptive rho, and for PGM Nesterov's
momentum with Barzilai-Borwein steps, which take a third fewer iterations than the constant step
(without its guarantee). An ADMM iterate is judged by the better of its two variables.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import mcsc

from .problems import from_signals, quiet, setting
from .timing import Judge, MakeProblem, Schedule, Stop, Stopwatch, Trace

PEERS = ("SPORCO ADMM", "SPORCO PGM")

ADMM: dict[str, Any] = {
    "FastSolve": True,
    "HighMemSolve": True,  # has no effect with more than one channel
    "LinSolveCheck": False,
    "RelaxParam": 1.8,
    "AutoRho": {"Enabled": True},
    "RelStopTol": 0.0,
    "AbsStopTol": 0.0,
}
PGM: dict[str, Any] = {"FastSolve": True}


@functools.cache
def sporco() -> Any:
    """SPORCO's modules (admm, pgm, fft), or ImportError that says what is missing."""
    for name in ("pyfftw", "numexpr"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(f"SPORCO is slower without {name}: pip install {name}")
    with quiet():
        import sporco.admm.cbpdn
        import sporco.fft
        import sporco.pgm.cbpdn
        import sporco.pgm.momentum
        import sporco.pgm.stepsize
    from pyfftw.interfaces import cache

    cache.set_keepalive_time(1e5)  # what is planned beforehand stays planned
    return sporco


@contextmanager
def equal_threads(count: int) -> Iterator[None]:
    """`count` threads for every pool on both sides: ours, FFTW, numexpr, BLAS, OpenMP."""
    import numexpr

    package = sporco()
    before = mcsc.get_num_threads(), package.fft.pyfftw_threads, uses_numexpr()
    mcsc.set_num_threads(count)
    package.fft.pyfftw_threads = count
    was = numexpr.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        mcsc.set_num_threads(before[0])
        package.fft.pyfftw_threads = before[1]
        use_numexpr(before[2])
        numexpr.set_num_threads(was)


# ---------------------------------------------------------------------------------- layout
def stacked_filters(dictionary: mcsc.Dictionary, dtype: Any) -> np.ndarray:
    """All filters as SPORCO takes them: (s, s, C, K), zero where a filter does not act."""
    s = dictionary.filter_size
    out = np.zeros((s, s, sum(dictionary.channels), dictionary.n_maps), dtype=dtype)
    for g in dictionary.groups:
        out[:, :, g.channels, g.maps] = g.bank.transpose(2, 3, 1, 0)
    return out


def to_codes(maps: np.ndarray, dictionary: mcsc.Dictionary) -> mcsc.Codes:
    """Codes from SPORCO's maps (H, W, 1, 1, K).

    Its filters begin at the pixel, ours are centred: ``c[i - p + o] = X[i - p]``.
    """
    o = (dictionary.filter_size - 1) // 2
    ours = maps[:, :, 0, 0].transpose(2, 0, 1)
    return mcsc.Codes.from_stacked(np.roll(ours, (o, o), axis=(1, 2))[None], dictionary)


def iterates(solver: Any) -> list[np.ndarray]:
    """The variables of a SPORCO solver that are codes: X and Y of ADMM, X of PGM."""
    is_admm = isinstance(solver, sporco().admm.cbpdn.GenericConvBPDN)
    return [solver.X, solver.Y] if is_admm else [solver.X]


# --------------------------------------------------------------------------------- solvers
def make(
    peer: str,
    problem: mcsc.Problem,
    iterations: int,
    *,
    callback: Callable[[Any], bool] | None = None,
    arrays: tuple[np.ndarray, np.ndarray] | None = None,
    **changes: Any,
) -> Any:
    """One of SPORCO's solvers for a periodic problem with one lam, in the problem's precision.

    `arrays` are filters and signal in its layout, if they are already made.
    """
    if problem.boundary != "periodic" or problem.weights is not None:
        raise ValueError("SPORCO's ConvBPDN is periodic and has no masks")
    filters, signal = arrays or to_sporco(problem)
    lam = float(problem.lam_maps[0])
    common = {"MaxMainIter": iterations, "Callback": callback}
    with quiet():
        if peer == "SPORCO ADMM":
            kind = sporco().admm.cbpdn.ConvBPDN
            settings = {**ADMM, **common, **changes}
        else:
            kind = sporco().pgm.cbpdn.ConvBPDN
            steps = sporco().pgm.stepsize.StepSizePolicyBB()  # has a state of its own
            own = {"L": problem.lipschitz, "StepSizePolicy": steps}
            settings = {**PGM, **own, **common, **changes}
        return kind(filters, signal, lam, kind.Options(settings), dimK=0)


def to_sporco(problem: mcsc.Problem) -> tuple[np.ndarray, np.ndarray]:
    """Filters (s, s, C, K) and signal (H, W, C)."""
    signal = np.ascontiguousarray(problem.stacked[0].transpose(1, 2, 0))
    return stacked_filters(problem.dictionary, problem.dtype), signal


def warm_up(problem: mcsc.Problem) -> None:
    """Plan the FFTs of this size, and settle on numexpr or NumPy, outside of any timing."""
    rng = np.random.default_rng(0)
    shape = (*problem.shape, 1, 1, problem.dictionary.n_maps)
    values = rng.standard_normal(shape, dtype=np.float32)
    seconds = {}
    for used in (True, False):
        use_numexpr(used)
        runs = []
        for _ in range(4):
            started = time.perf_counter()
            _shrinkage().prox_l1(values, np.float32(0.5))
            runs.append(time.perf_counter() - started)
        seconds[used] = min(runs[1:])
    # On two cores numexpr took three times as long as NumPy; on many it may well be the faster.
    use_numexpr(seconds[True] < seconds[False])
    for peer in PEERS:
        with quiet():
            make(peer, problem, 2).solve()


def _shrinkage() -> Any:
    sporco()
    return sys.modules["sporco.prox._lp"]


def uses_numexpr() -> bool:
    """True if SPORCO's soft threshold goes through numexpr."""
    return bool(_shrinkage().have_numexpr)


def use_numexpr(used: bool) -> None:
    """Let SPORCO's soft threshold go through numexpr, or through NumPy."""
    _shrinkage().have_numexpr = used


def trace_peer(
    peer: str,
    make_problem: MakeProblem,
    judge: Judge,
    stop: Stop,
    ratio: float = 1.1,
    **changes: Any,
) -> Trace:
    """Run one of SPORCO's solvers; the clock stands still in its callback."""
    trace, schedule = Trace(peer), Schedule(ratio)
    problem = make_problem()
    arrays = to_sporco(problem)
    problem.lipschitz  # noqa: B018  (known beforehand, at no cost to PGM)

    def callback(solver: Any) -> bool:
        seconds = clock.seconds
        with clock.paused():
            trace.every_iteration.append(seconds)
            iteration = len(trace.every_iteration)
            ends = seconds >= stop.seconds or iteration >= stop.iterations
            if not (schedule.due(iteration) or ends):
                return False
            found = [judge(to_codes(a, problem.dictionary)) for a in iterates(solver)]
            objectives, duals = zip(*found, strict=True)
            trace.add(iteration, seconds, min(objectives), max(duals))
            return ends or stop.reached(trace)

    clock = Stopwatch()
    solver = make(peer, problem, 10**9, callback=callback, arrays=arrays, **changes)
    trace.set_up = clock.seconds
    with quiet():
        solver.solve()
    return trace


def check_objectives(problem: mcsc.Problem, rtol: float = 1e-6) -> float:
    """Largest relative difference of SPORCO's objective to ours on its own iterates.

    Raises AssertionError above `rtol`. `problem` should be small and in float64.
    """
    worst = 0.0
    for peer in PEERS:
        with quiet():
            solver = make(peer, problem, 4, FastSolve=False)
            solver.solve()
        theirs = float(solver.getitstat().ObjFun[-1])  # of X
        ours = problem.objective(to_codes(solver.X, problem.dictionary))
        worst = max(worst, abs(ours - theirs) / theirs)
    assert worst <= rtol, f"objectives differ by {worst:.1e} of their size"
    return worst


def check_agreement(name: str) -> None:
    """`check_objectives` on a small part of a pair, in float64."""
    small = setting(name, 32, filters=8)
    x, y = (a.astype(np.float64) for a in small.signals)
    check_objectives(from_signals(name, (x, y), filters=8).problem(0.03))
