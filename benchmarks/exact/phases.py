"""Where the working set's time goes: seconds of the processor by phase, on one thread.

A phase is what some methods of the solver spend, less what other phases spend inside of them. What
runs on several threads where there are some is marked; the rest bounds what they can gain.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import mcsc
from mcsc.model.certificate import Certificate
from mcsc.solvers.working_set import WorkingSet
from mcsc.sparse.active_set import ActiveSet
from mcsc.sparse.scan import CorrelationScan

from ..common import timing
from ..common.problems import FILTERS, QUICK_FILTERS, QUICK_SIZE, pair_names, setting
from ..common.results import Data, command, number, table

TOLS = (1e-2, 1e-4)
PHASES: dict[str, tuple[bool, tuple[tuple[type, str], ...]]] = {
    "coordinate descent": (True, ((ActiveSet, "descend"),)),
    "conjugate gradients": (True, ((ActiveSet, "solve"),)),
    "scans": (True, ((CorrelationScan, "update"),)),
    "certificates": (True, ((WorkingSet, "evaluate"), (Certificate, "evaluate_image"))),
    "correlations, images of the codes": (
        True,
        ((ActiveSet, "correlate"), (ActiveSet, "add")),
    ),
    "inserting, dropping and choosing coefficients": (
        False,
        tuple((ActiveSet, name) for name in ("insert", "prune", "subset", "take_values")),
    ),
    "all else: objectives, trial steps, the estimate of the gap": (
        False,
        ((WorkingSet, "__init__"), (WorkingSet, "step"), (WorkingSet, "codes")),
    ),
}
"""Whether a phase runs on several threads, and the methods that it is."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=384, help="side of the images")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")


class Clock:
    """Seconds of the processor by phase."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(PHASES, 0.0)
        self._inner: list[float] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what the methods of all phases spend meanwhile."""
        with ExitStack() as stack:
            for phase, (_, methods) in PHASES.items():
                for owner, name in methods:
                    own = getattr(owner, name)
                    stack.callback(setattr, owner, name, own)
                    setattr(owner, name, self._timed(phase, own))
            yield

    def _timed(self, phase: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            try:
                return method(*arguments, **options)
            finally:
                seconds = time.process_time() - started
                self.spent[phase] += seconds - self._inner.pop()
                if self._inner:
                    self._inner[-1] += seconds

        return timed


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, repeats = arguments.size, FILTERS, arguments.repeats
    if arguments.quick:
        size, filters, repeats = QUICK_SIZE, QUICK_FILTERS, 1
    before = mcsc.get_num_threads()
    mcsc.set_num_threads(1)
    rows = []
    try:
        timing.warm_up(("working-set",))
        name = pair_names(1)[0]
        s = setting(name, size, filters=filters, boundary="zero")
        for tol in TOLS:
            runs = []
            for _ in range(repeats):
                clock, started = Clock(), time.process_time()
                with clock.watching():
                    result = s.solve(arguments.fraction, method="working-set", tol=tol)
                runs.append((time.process_time() - started, dict(clock.spent)))
            seconds, spent = min(runs, key=lambda run: run[0])
            rows.append(
                {
                    "tol": tol, "seconds": seconds, "phases": spent, "gap": result.gap,
                    "iterations": result.iterations, "nonzeros": result.codes.nnz,
                }
            )  # fmt: skip
            print(f"{tol:g}: {number(seconds)} s", flush=True)
    finally:
        mcsc.set_num_threads(before)
    return {
        "pair": name, "size": size, "filters": filters, "fraction": arguments.fraction,
        "repeats": repeats, "rows": rows,
    }  # fmt: skip


def summary(data: Data) -> str:
    rows, headers = [], ["phase", "on several threads"]
    for r in data["rows"]:
        headers += [f"to {r['tol']:g}, s", "share"]
    for phase, (threaded, _) in PHASES.items():
        cells = [phase, "yes" if threaded else "no"]
        for r in data["rows"]:
            spent = r["phases"].get(phase, 0.0)
            cells += [number(spent), f"{100 * spent / r['seconds']:.0f} %"]
        rows.append(cells)
    total = ["all", ""]
    for r in data["rows"]:
        total += [number(r["seconds"]), ""]
    rows.append(total)
    bounds = []
    for r in data["rows"]:
        shared = sum(r["phases"].get(p, 0.0) for p, (threaded, _) in PHASES.items() if threaded)
        bound = 1 / (1 - shared / r["seconds"] + shared / r["seconds"] / 2)
        bounds.append(f"{bound:.2f} times (to {r['tol']:g})")
    return (
        f"Working set at {100 * data['fraction']:g} % of lambda_max, "
        f"{data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters of 8x8, "
        f"float32, zero boundary ({data['pair']}, {data['rows'][-1]['nonzeros']} nonzeros), "
        f"seconds of the processor on one thread, the fastest of {data['repeats']}:\n\n"
        + table(headers, rows)
        + f"\n\nIf all that is shared took half the time, two threads would be faster by "
        f"{' and '.join(bounds)}."
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.phases", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
