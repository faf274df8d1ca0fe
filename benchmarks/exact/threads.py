"""How much faster the working set is on several threads.

The same solve on 1, 2, 4, ... threads: a pair of 256x256 to a certified gap of 1e-4, and one of
1024x1024 to 1e-2. Wall seconds, of several runs the fastest (whatever else runs on a machine
disturbs several threads more than one), and the processor's seconds of that run: what they exceed
those of one thread is waiting at the borders of bands, and caches that are shared. Every thread has
a core of its own where the system lets a process choose: beside busy processes Linux may leave two
threads on one core for seconds.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Sequence

import mcsc
from mcsc.backend.threads import map_in_threads

from ..common import timing
from ..common.problems import FILTERS, QUICK_FILTERS, large_name, pair_names, setting
from ..common.results import Data, command, number, table

WANTED = (1.7, 1.85)
"""Times faster that two threads should be, of the small and of the large pair."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")


def measure(arguments: argparse.Namespace) -> Data:
    cases = [(pair_names(1)[0], 256, 1e-4), (large_name(), 1024, 1e-2)]
    filters, repeats = FILTERS, arguments.repeats
    if arguments.quick:
        cases, filters, repeats = [(pair_names(1)[0], 64, 1e-2)], QUICK_FILTERS, 1
    counts = [1]
    while counts[-1] < arguments.threads:
        counts.append(min(2 * counts[-1], arguments.threads))
    before = mcsc.get_num_threads()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    rows = []
    try:
        timing.warm_up(("working-set",))
        for name, size, tol in cases:
            s = setting(name, size, filters=filters, boundary="zero")
            runs: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
            for _ in range(repeats):
                for count in counts:  # in turn: what disturbs, disturbs all
                    mcsc.set_num_threads(count)
                    _place(count, cores)
                    spent = time.process_time()
                    result = s.solve(arguments.fraction, method="working-set", tol=tol)
                    runs[count].append((result.seconds, time.process_time() - spent))
            for count in counts:
                seconds, processor = min(runs[count])
                row = {
                    "pair": name, "size": size, "tol": tol, "threads": count, "seconds": seconds,
                    "processor": processor, "faster": min(runs[1])[0] / seconds, "gap": result.gap,
                }  # fmt: skip
                rows.append(row)
                print(f"{size}x{size}, {count} threads: {number(seconds)} s", flush=True)
    finally:
        mcsc.set_num_threads(before)
        if cores:
            os.sched_setaffinity(0, cores)
    return {"filters": filters, "fraction": arguments.fraction, "repeats": repeats, "rows": rows}


def _place(count: int, cores: list[int]) -> None:
    """Give each thread of the pool, and this one, a core of its own."""
    if not cores:
        return
    met = threading.Barrier(count)  # so that no thread takes two

    def settle(index: int) -> None:
        os.sched_setaffinity(0, {cores[index % len(cores)]})
        met.wait(60)

    map_in_threads(settle, range(count))


def summary(data: Data) -> str:
    rows = [
        [
            f"{r['size']}x{r['size']}",
            f"{r['tol']:g}",
            r["threads"],
            number(r["seconds"]),
            number(r["processor"]),
            f"{r['faster']:.2f}",
        ]
        for r in data["rows"]
    ]
    headers = ["image", "gap", "threads", "seconds", "of the processor", "times faster"]
    names = ", ".join(dict.fromkeys(r["pair"] for r in data["rows"]))
    small, large = WANTED
    return (
        f"Working set at {100 * data['fraction']:g} % of lambda_max, 2 x 1 channel, 3 x "
        f"{data['filters']} filters of 8x8, float32, zero boundary ({names}), the fastest of "
        f"{data['repeats']} runs (target of two threads: {small:g} times the speed of one for the "
        f"small image, {large:g} for the large one):\n\n" + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.threads", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
