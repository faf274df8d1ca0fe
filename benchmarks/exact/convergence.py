"""Certified gap against seconds: every method here, and SPORCO's ADMM and PGM, on one pair.

Certificates are evaluated in float64 with the clock stopped. Each method is credited with its best
objective and its best lower bound so far; SPORCO's ADMM with the better of its two variables.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..common import peers, timing
from ..common.plots import convergence
from ..common.problems import BUNDLED_PAIRS, FILTERS, QUICK_FILTERS, QUICK_SIZE, pair_names, setting
from ..common.results import Data, command, number, table
from ..common.timing import Judge, Stop, Trace

LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=256, help="side of the images")
    parser.add_argument("--pair", help="name of the pair (the first of the comparisons)")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--cap", type=float, default=150.0, help="seconds a method")
    parser.add_argument("--figure", type=Path, help="draw it into this PNG at once")


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, cap, fraction = arguments.size, FILTERS, arguments.cap, arguments.fraction
    name = arguments.pair or pair_names(1)[0]
    if arguments.quick:
        size, filters, cap, name = QUICK_SIZE, QUICK_FILTERS, 0.3, BUNDLED_PAIRS[2]
    traces: list[Trace] = []
    with peers.equal_threads(arguments.threads):
        timing.warm_up()
        peers.check_agreement(name)
        s = setting(name, size, filters=filters)
        peers.warm_up(s.problem(fraction))
        with_numexpr = peers.uses_numexpr()
        reference = s.solve(fraction, tol=1e-6)
        judge = Judge(s.problem(fraction), gap=True)
        stop = Stop(seconds=cap, gap=5e-6)
        for method in (*timing.OWN_METHODS, *peers.PEERS):
            run = peers.trace_peer if method in peers.PEERS else timing.trace_own
            traces.append(run(method, lambda: s.problem(fraction), judge, stop, ratio=1.15))
            last = traces[-1]
            print(f"{method}: gap {last.gap[-1]:.1e} after {last.seconds[-1]:.1f} s", flush=True)
    data = {
        "pair": s.name,
        "size": size,
        "filters": filters,
        "fraction": fraction,
        "threads": arguments.threads,
        "numexpr": with_numexpr,
        "optimum": reference.dual_bound,
        "traces": [t.as_dict() for t in traces],
    }
    if arguments.figure is not None:
        convergence(data, arguments.figure)
    return data


def summary(data: Data) -> str:
    rows = []
    for trace in data["traces"]:
        points = zip(trace["seconds"], trace["objective"], trace["dual"], strict=True)
        gaps = [(t, (p - d) / p) for t, p, d in points if d is not None]
        reached = [next((t for t, gap in gaps if gap <= level), None) for level in LEVELS]
        rows.append([trace["name"], str(trace["iteration"][-1]), *map(number, reached)])
    return (
        f"Seconds to a certified gap at lam = {100 * data['fraction']:g} % of lambda_max, "
        f"{data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters of 8x8, "
        f"float32, periodic, {data['threads']} threads ({data['pair']}):\n\n"
        + table(["method", "iterations", *(f"{level:g}" for level in LEVELS)], rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.convergence", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
