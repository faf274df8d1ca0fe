"""Seconds of an iteration, and memory: ADMM and FISTA here against SPORCO's ADMM and PGM.

The same periodic problem, the same iteration on paper, no statistics on either side, equal threads.
The two solvers take turns in one process; what goes first changes with every turn. Memory is what
a fresh process needs on top of the loaded signals and dictionary.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..common import memory, peers, timing
from ..common.problems import FILTERS, QUICK_FILTERS, QUICK_SIZE, pair_names, quiet, setting
from ..common.results import Data, command, number, table

COMPARISONS: tuple[tuple[str, str, str, dict[str, Any], float], ...] = (
    ("admm", "SPORCO ADMM", "SPORCO ADMM", {}, 2.5),
    (
        "admm",
        "SPORCO ADMM",
        "SPORCO ADMM, rho fixed",
        {"AutoRho": {"Enabled": False}, "rho": 1.0},
        2.5,
    ),
    ("fista", "SPORCO PGM", "SPORCO PGM, constant step", {"StepSizePolicy": None}, 1.5),
)
"""Ours, SPORCO's, what that is, changes of its settings, and the ratio that is wanted."""
WITH_MEMORY = (0, 2)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=256, help="side of the image")
    parser.add_argument("--repeats", type=int, default=11, help="turns")
    parser.add_argument("--iterations", type=int, default=5, help="iterations a turn")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")


def measure(arguments: argparse.Namespace) -> Data:
    size, repeats, each = arguments.size, arguments.repeats, arguments.iterations
    filters = FILTERS
    if arguments.quick:
        size, filters, repeats, each = QUICK_SIZE, QUICK_FILTERS, 2, 2
    name = pair_names(1)[0]
    rows = []
    with peers.equal_threads(arguments.threads):
        compiled = timing.warm_up(("admm", "fista"))
        peers.check_agreement(name)
        s = setting(name, size, filters=filters)
        peers.warm_up(s.problem(arguments.fraction))
        for ours, theirs, label, changes, wanted in COMPARISONS:
            own_seconds, peer_seconds = _take_turns(
                s.problem(arguments.fraction), ours, theirs, changes, repeats, each
            )
            ratios = np.array(peer_seconds) / np.array(own_seconds)
            rows.append(
                {
                    "own": ours,
                    "peer": theirs,
                    "label": label,
                    "wanted": wanted,
                    "own_seconds": own_seconds,
                    "peer_seconds": peer_seconds,
                    "ratio": [float(q) for q in np.quantile(ratios, (0.0, 0.5, 1.0))],
                }
            )
        with_numexpr = peers.uses_numexpr()
    for index in WITH_MEMORY:
        ours, theirs, _, changes, _ = COMPARISONS[index]
        rows[index]["memory"] = {
            method: memory.measure(
                {
                    "method": method,
                    "pair": name,
                    "size": size,
                    "filters": filters,
                    "fraction": arguments.fraction,
                    "threads": arguments.threads,
                    "iterations": 4,
                    "changes": changes if method == theirs else {},
                }
            )
            for method in (ours, theirs)
        }
    return {
        "pair": name, "size": size, "filters": filters, "threads": arguments.threads,
        "warm_up": compiled, "numexpr": with_numexpr, "rows": rows,
    }  # fmt: skip


def _take_turns(
    problem: Any, ours: str, theirs: str, changes: dict[str, Any], repeats: int, each: int
) -> tuple[list[float], list[float]]:
    own = timing.make_solver(problem, ours)
    peer = peers.make(theirs, problem, each, **changes)

    def run_own() -> None:
        for _ in range(each):
            own.step()

    def run_peer() -> None:
        with quiet():
            peer.solve()  # goes on where it was

    def seconds(function: Callable[[], None]) -> float:
        started = time.perf_counter()
        function()
        return (time.perf_counter() - started) / each

    run_own()  # the first changes of rho, and the first touch of memory
    run_peer()
    own_seconds, peer_seconds = [], []
    for turn in range(repeats):
        if turn % 2:
            peer_seconds.append(seconds(run_peer))
        own_seconds.append(seconds(run_own))
        if not turn % 2:
            peer_seconds.append(seconds(run_peer))
    return own_seconds, peer_seconds


def summary(data: Data) -> str:
    rows = []
    for row in data["rows"]:
        low, middle, high = row["ratio"]
        cells = [row["own"], row["label"]]
        cells += [number(1e3 * float(np.median(row[k]))) for k in ("own_seconds", "peer_seconds")]
        cells += [f"{middle:.2f} ({low:.2f}–{high:.2f})", f"≥ {row['wanted']}"]
        found = row.get("memory")
        cells += [f"{found[row[k]]['extra'] / 2**20:.0f}" if found else "" for k in ("own", "peer")]
        rows.append(cells)
    headers = [
        "mcsc", "SPORCO", "mcsc, ms", "SPORCO, ms", "ratio (range)", "target",
        "mcsc, MiB", "SPORCO, MiB",
    ]  # fmt: skip
    return (
        f"One iteration, {data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} "
        f"filters of 8x8, float32, {data['threads']} threads ({data['pair']}).\n\n"
        + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.iterations", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
