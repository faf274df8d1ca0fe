"""Where the working set's time goes: seconds of the processor by phase, on one thread.

A phase is what some methods of the solver spend, less what other phases spend inside of them. Of
each, the part is counted that one thread does alone, however many there are: it bounds what they
can gain.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import mcsc
from mcsc.backend.threads import map_in_threads
from mcsc.model.certificate import Certificate
from mcsc.solvers.working_set import WorkingSet
from mcsc.sparse.active_set import ActiveSet
from mcsc.sparse.scan import CorrelationScan

from ..common import timing
from ..common.problems import FILTERS, QUICK_FILTERS, QUICK_SIZE, pair_names, setting
from ..common.results import Data, command, number, table

TOLS = (1e-2, 1e-4)
PHASES: dict[str, tuple[tuple[type, str], ...]] = {
    "coordinate descent": ((ActiveSet, "descend"),),
    "conjugate gradients": ((ActiveSet, "solve"),),
    "scans": ((CorrelationScan, "update"),),
    "certificates": ((WorkingSet, "evaluate"), (Certificate, "evaluate_image")),
    "correlations, images of the codes": ((ActiveSet, "correlate"), (ActiveSet, "add")),
    "inserting, dropping and choosing coefficients": tuple(
        (ActiveSet, name) for name in ("insert", "prune", "subset", "take_values")
    ),
    "all else: objectives, trial steps, the estimate of the gap": (
        (WorkingSet, "__init__"), (WorkingSet, "step"), (WorkingSet, "codes")
    ),
}  # fmt: skip
"""The methods that a phase is."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=384, help="side of the images")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")


class Clock:
    """Seconds of the processor by phase, and those of them that threads share."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(PHASES, 0.0)
        self.shared = dict.fromkeys(PHASES, 0.0)
        self._inner: list[float] = []
        self._phases: list[str] = []
        self._sharing = False
        self._pool, self._name = map_in_threads, map_in_threads.__name__

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what the methods of all phases spend meanwhile."""
        with ExitStack() as stack:
            for phase, methods in PHASES.items():
                for owner, name in methods:
                    own = getattr(owner, name)
                    stack.callback(setattr, owner, name, own)
                    setattr(owner, name, self._timed(phase, own))
            for module in list(sys.modules.values()):
                if getattr(module, self._name, None) is self._pool:
                    stack.callback(setattr, module, self._name, self._pool)
                    setattr(module, self._name, self._share)
            yield

    def _share(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Call `map_in_threads`, which has but one thread here."""
        if self._sharing or not self._phases:
            return self._pool(function, items)
        self._sharing, started = True, time.process_time()
        try:
            return self._pool(function, items)
        finally:
            self.shared[self._phases[-1]] += time.process_time() - started
            self._sharing = False

    def _timed(self, phase: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            self._phases.append(phase)
            try:
                return method(*arguments, **options)
            finally:
                self._phases.pop()
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
                runs.append((time.process_time() - started, clock.spent, clock.shared))
            seconds, spent, shared = min(runs, key=lambda run: run[0])
            rows.append(
                {
                    "tol": tol, "seconds": seconds, "phases": spent, "shared": shared,
                    "gap": result.gap,
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
    rows, headers = [], ["phase"]
    for r in data["rows"]:
        headers += [f"to {r['tol']:g}, s", "share", "alone"]
    for phase in PHASES:
        cells = [phase]
        for r in data["rows"]:
            spent = r["phases"].get(phase, 0.0)
            alone = max(spent - r["shared"].get(phase, 0.0), 0.0)
            cells += [number(spent), *(f"{100 * s / r['seconds']:.1f} %" for s in (spent, alone))]
        rows.append(cells)
    total = ["all"]
    for r in data["rows"]:
        alone = 1 - sum(r["shared"].values()) / r["seconds"]
        total += [number(r["seconds"]), "", f"{100 * alone:.1f} %"]
    rows.append(total)
    bounds = []
    for r in data["rows"]:
        shared = sum(r["shared"].values()) / r["seconds"]
        bound = 1 / (1 - shared + shared / 2)
        bounds.append(f"{bound:.2f} times (to {r['tol']:g})")
    return (
        f"Working set at {100 * data['fraction']:g} % of lambda_max, "
        f"{data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters of 8x8, "
        f"float32, zero boundary ({data['pair']}, {data['rows'][-1]['nonzeros']} nonzeros), "
        f"seconds of the processor on one thread, the fastest of {data['repeats']}; "
        "alone: what one thread does however many there are:\n\n"
        + table(headers, rows)
        + f"\n\nIf all that is shared took half the time, two threads would be faster by "
        f"{' and '.join(bounds)}."
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.phases", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
