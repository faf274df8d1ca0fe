"""Which settings of SPORCO's solvers are the fastest here, so that `peers` may use them.

Seconds until the objective is within 1 % and 0.1 % of the optimum, on a pair that the comparisons
do not use: ADMM with its adaptive rho and with fixed ones; PGM with each of its momentum rules and
step-size policies; both with and without numexpr and threads. Iterations can be compared on a busy
machine, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..common import peers
from ..common.problems import FILTERS, QUICK_FILTERS, QUICK_SIZE, Setting, have, setting
from ..common.results import Data, command, number, table
from ..common.timing import Judge, Stop

ACCURACIES = (0.01, 0.001)


def candidates() -> list[tuple[str, str, dict[str, Any]]]:
    """Peer, what is changed, and the changes."""
    momentum = peers.sporco().pgm.momentum
    policy = peers.sporco().pgm.stepsize
    fixed = {"Enabled": False}
    still: dict[str, Any] = {"StepSizePolicy": None}
    return [
        ("SPORCO ADMM", "adaptive rho", {}),
        ("SPORCO ADMM", "adaptive rho, target 1", {"AutoRho": {"RsdlTarget": 1.0}}),
        ("SPORCO ADMM", "adaptive rho, every 10", {"AutoRho": {"Period": 10}}),
        *(
            ("SPORCO ADMM", f"rho {rho:g}", {"AutoRho": fixed, "rho": rho})
            for rho in (0.1, 0.3, 1.0, 3.0, 10.0)
        ),
        ("SPORCO ADMM", "adaptive rho, relaxation 1.6", {"RelaxParam": 1.6}),
        ("SPORCO PGM", "Nesterov", still),
        *(
            ("SPORCO PGM", name, {**still, "Momentum": rule})
            for name, rule in (
                ("linear, b = 3", momentum.MomentumLinear(3.0)),
                ("linear, b = 20", momentum.MomentumLinear(20.0)),
                ("generalised, 50, 2", momentum.MomentumGenLinear(50.0, 2.0)),
                ("generalised, 80, 20", momentum.MomentumGenLinear(80.0, 20.0)),
            )
        ),
        ("SPORCO PGM", "Nesterov, Cauchy", {"StepSizePolicy": policy.StepSizePolicyCauchy()}),
        ("SPORCO PGM", "Nesterov, BB", {}),
        ("SPORCO PGM", "Nesterov, monotone", {**still, "Monotone": True}),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=128, help="side of the image")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--cap", type=float, default=60.0, help="seconds a run")
    parser.add_argument("--iterations", type=int, default=1000, help="and iterations")


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, cap = arguments.size, FILTERS, arguments.cap
    if arguments.quick:
        size, filters, cap = QUICK_SIZE, QUICK_FILTERS, 0.2
    name = "kodim03" if have("kodim03") else "chelsea"
    s = setting(name, size, filters=filters)
    reference = s.solve(arguments.fraction, tol=1e-6)
    limits = Stop(seconds=cap, iterations=arguments.iterations)
    rows = []
    with peers.equal_threads(arguments.threads):
        peers.warm_up(s.problem(arguments.fraction))
        for peer, what, changes in candidates():
            rows.append(
                _run(s, arguments.fraction, reference.dual_bound, limits, peer, what, changes)
            )
            print(_progress(rows[-1]), flush=True)
    plain: list[tuple[str, int, bool]] = [
        ("with numexpr", arguments.threads, True),
        ("without numexpr", arguments.threads, False),
        ("one thread, with numexpr", 1, True),
        ("one thread, without numexpr", 1, False),
    ]
    for what, threads, numexpr in plain:
        with peers.equal_threads(threads):
            peers.warm_up(s.problem(arguments.fraction))
            peers.use_numexpr(numexpr)
            for peer in peers.PEERS:
                rows.append(
                    _run(s, arguments.fraction, reference.dual_bound, limits, peer, what, {})
                )
                print(_progress(rows[-1]), flush=True)
    return {
        "pair": name, "size": size, "filters": filters, "fraction": arguments.fraction,
        "threads": arguments.threads, "rows": rows,
    }  # fmt: skip


def _run(
    s: Setting,
    fraction: float,
    optimum: float,
    limits: Stop,
    peer: str,
    what: str,
    changes: dict[str, Any],
) -> Data:
    judge = Judge(s.problem(fraction))
    stop = replace(limits, objective=optimum * (1 + min(ACCURACIES)))
    trace = peers.trace_peer(peer, lambda: s.problem(fraction), judge, stop, **changes)
    return {
        "peer": peer,
        "settings": what,
        "iterations": trace.iteration[-1],
        "per_iteration": (trace.seconds[-1] - trace.set_up) / trace.iteration[-1],
        "excess": trace.objective[-1] / optimum - 1,
        "reached": {
            str(a): trace.seconds_to(optimum * (1 + a), interpolate=True) for a in ACCURACIES
        },
        "reached_iterations": {
            str(a): trace.iterations_to(optimum * (1 + a)) for a in ACCURACIES
        },
    }  # fmt: skip


def _progress(row: Data) -> str:
    return f"{row['peer']}, {row['settings']}: {row['excess']:.1e} after {row['iterations']}"


def summary(data: Data) -> str:
    rows = [
        [
            r["peer"],
            r["settings"],
            number(1e3 * r["per_iteration"]),
            *(number(r["reached_iterations"][str(a)]) for a in ACCURACIES),
            *(number(r["reached"][str(a)]) for a in ACCURACIES),
            f"{r['excess']:.1e} after {r['iterations']}",
        ]
        for r in data["rows"]
    ]
    headers = ["solver", "settings", "ms an iteration"]
    headers += [f"iterations to {100 * a:g} %" for a in ACCURACIES]
    headers += [f"seconds to {100 * a:g} %" for a in ACCURACIES]
    headers += ["excess at the end"]
    return (
        f"SPORCO at {100 * data['fraction']:g} % of lambda_max, {data['size']}x{data['size']}, "
        f"2 x 1 channel, 3 x {data['filters']} filters of 8x8, {data['threads']} threads unless "
        f"said otherwise ({data['pair']}):\n\n" + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.peer_settings", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
