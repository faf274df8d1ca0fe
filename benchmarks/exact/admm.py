"""ADMM where its quadratic step has no closed form: how many conjugate-gradient steps it needs.

Iterations and seconds to a certified gap of 1e-2 with 1, 2, 4, 8 inner steps (`Admm.inner_steps`)
on the zero boundary, with the real holes of a measured disparity map (Middlebury's Motorcycle, from
scikit-image), and with both; the periodic problem without holes, closed form, for comparison. Also
the usual remedy, mask decoupling, which splits the data term as well: SPORCO's `ConvBPDNMaskDcpl`
on the periodic problem with holes, with its own rule for rho and with fixed ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mcsc.images.samples import motorcycle
from mcsc.images.split import lowpass_split
from mcsc.solvers.admm import Admm

from ..common import peers, timing
from ..common.problems import FILTERS, QUICK_FILTERS, QUICK_SIZE, Setting, from_signals, quiet
from ..common.results import Data, command, number, table
from ..common.timing import Judge, Schedule, Stop, Stopwatch, Trace

INNER_STEPS = (1, 2, 4, 8)
CASES = (("periodic", False), ("zero", False), ("periodic", True), ("zero", True))
RHOS = (None, 0.1, 1.0, 10.0)
"""Of mask decoupling; None: SPORCO's adaptive rule."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=128, help="side of the image")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--gap", type=float, default=1e-2, help="certified gap")
    parser.add_argument("--cap", type=float, default=150.0, help="seconds a run")


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, cap = arguments.size, FILTERS, arguments.cap
    if arguments.quick:
        size, filters, cap = QUICK_SIZE, QUICK_FILTERS, 0.3
    rows: list[Data] = []
    with peers.equal_threads(arguments.threads):
        timing.warm_up(("admm",))
        for boundary, holes in CASES:
            s = _setting(size, filters, boundary, holes)
            judge = Judge(s.problem(arguments.fraction), gap=True)
            stop = Stop(seconds=cap, gap=arguments.gap)
            for steps in INNER_STEPS if boundary == "zero" or holes else (0,):
                with _inner_steps(steps):
                    trace = timing.trace_own(
                        "admm",
                        lambda s=s: s.problem(arguments.fraction),  # type: ignore[misc]
                        judge,
                        stop,
                        ratio=1.05,
                    )
                name = f"{steps} inner steps" if steps else "closed form"
                rows.append(_row(boundary, holes, name, trace, arguments.gap))
            if boundary == "periodic" and holes:
                for rho in RHOS:
                    trace = _decoupled(s, arguments.fraction, judge, stop, rho)
                    name = "mask decoupling, " + ("rho adaptive" if rho is None else f"rho {rho:g}")
                    rows.append(_row(boundary, holes, name, trace, arguments.gap))
    return {
        "size": size, "filters": filters, "fraction": arguments.fraction, "gap": arguments.gap,
        "cap": cap, "threads": arguments.threads, "in_use": Admm.inner_steps, "rows": rows,
    }  # fmt: skip


def _setting(size: int, filters: int, boundary: str, holes: bool) -> Setting:
    """Disparity and luma of Motorcycle; without `holes` they are filled by the smooth part."""
    pair = motorcycle(size=(100, 200, size, size))
    x = lowpass_split(pair.x, mask=pair.mask).high
    y = lowpass_split(pair.y).high
    masks = (pair.mask, None) if holes else None
    return from_signals("motorcycle", (x, y), filters=filters, boundary=boundary, masks=masks)


@contextmanager
def _inner_steps(count: int) -> Iterator[None]:
    before = Admm.inner_steps
    Admm.inner_steps = count
    try:
        yield
    finally:
        Admm.inner_steps = before


def _decoupled(s: Setting, fraction: float, judge: Judge, stop: Stop, rho: float | None) -> Trace:
    """SPORCO's mask decoupling; the codes are its second block."""
    kind = peers.sporco().admm.cbpdn.ConvBPDNMaskDcpl
    problem = s.problem(fraction)
    weights = np.asarray(problem.weights)[0].transpose(1, 2, 0)
    trace, schedule = Trace("mask decoupling"), Schedule(1.05)

    def callback(solver: Any) -> bool:
        seconds = clock.seconds
        with clock.paused():
            trace.every_iteration.append(seconds)
            iteration = len(trace.every_iteration)
            ends = seconds >= stop.seconds
            if not (schedule.due(iteration) or ends):
                return False
            found = judge(peers.to_codes(solver.var_y1(), problem.dictionary))
            trace.add(iteration, seconds, *found)
            return ends or stop.reached(trace)

    adaptive = {
        "Enabled": rho is None, "Period": 1, "AutoScaling": True, "Scaling": 1000.0,
        "RsdlRatio": 1.2, "RsdlTarget": 1.0,
    }  # fmt: skip
    settings = {
        "FastSolve": True, "MaxMainIter": 10**9, "RelStopTol": 0.0, "Callback": callback,
        "AutoRho": adaptive, "rho": 1.0 if rho is None else rho,
    }  # fmt: skip
    filters, signal = peers.to_sporco(problem)
    lam = float(problem.lam_maps[0])
    with quiet():
        planned = {**settings, "MaxMainIter": 2, "Callback": None}
        kind(filters, signal, lam, weights, kind.Options(planned), dimK=0).solve()
        clock = Stopwatch()
        kind(filters, signal, lam, weights, kind.Options(settings), dimK=0).solve()
    return trace


def _row(boundary: str, holes: bool, name: str, trace: Trace, level: float) -> Data:
    """The first evaluation below `level`, at most 5 % more iterations than were needed."""
    reached = trace.gap[-1] <= level
    print(f"{boundary}{', holes' if holes else ''}, {name}: gap {trace.gap[-1]:.1e}", flush=True)
    return {
        "boundary": boundary, "holes": holes, "name": name, "reached": reached,
        "iterations": trace.iteration[-1], "seconds": trace.seconds[-1], "gap": trace.gap[-1],
    }  # fmt: skip


def summary(data: Data) -> str:
    rows = [
        [
            r["boundary"],
            "real" if r["holes"] else "none",
            r["name"],
            r["iterations"] if r["reached"] else f">{r['iterations']} (gap {r['gap']:.1e})",
            number(r["seconds"]) if r["reached"] else f">{number(r['seconds'])}",
        ]
        for r in data["rows"]
    ]
    return (
        f"ADMM to a certified gap of {data['gap']:g} at {100 * data['fraction']:g} % of "
        f"lambda_max, {data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters "
        f"of 8x8, float32, {data['threads']} threads (motorcycle); mcsc takes {data['in_use']} "
        "inner steps:\n\n"
        + table(["boundary", "holes", "quadratic step", "iterations", "seconds"], rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.admm", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
