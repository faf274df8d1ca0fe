"""Peak memory of the working set, and what `Problem.memory_estimate` says of it beforehand.

Each row is a process of its own that has compiled and loaded everything (`common.memory`): what a
solve needs on top, for the 64 filters of 8x8 a group and for the dictionary of 12x12 that comes
with the package, either boundary, with and without unknown pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import product
from typing import Any

from ..common import memory
from ..common.problems import FILTERS, QUICK_FILTERS, pair_names
from ..common.results import Data, command, number, table

WANTED = 0.3
"""By how much the estimate may be wrong, as a share of the peak."""
SHIPPED = "depth-sr"
HOLES = 0.3


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=600, help="side of the images")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--tol", type=float, default=1e-2, help="certified gap")


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, tol = arguments.size, FILTERS, arguments.tol
    if arguments.quick:
        size, filters, tol = 80, QUICK_FILTERS, 0.3
    cases = product((None, SHIPPED), ("zero", "periodic"), (0.0, HOLES))
    rows = []
    for task, boundary, holes in list(cases)[:: 3 if arguments.quick else 1]:
        specification: dict[str, Any] = {
            "method": "working-set", "pair": pair_names(1)[0], "size": size, "filters": filters,
            "fraction": arguments.fraction, "tol": tol, "boundary": boundary,
            "threads": arguments.threads, "task": task, "holes": holes,
        }  # fmt: skip
        found = memory.measure(specification)
        rows.append({"task": task, "boundary": boundary, "holes": holes} | found)
        print(" | ".join(map(str, _cells(rows[-1]))), flush=True)
    return {
        "pair": pair_names(1)[0], "size": size, "filters": filters, "tol": tol,
        "fraction": arguments.fraction, "threads": arguments.threads, "rows": rows,
    }  # fmt: skip


def _cells(row: Data) -> list[Any]:
    mib = 2**20
    return [
        "8x8" if row["task"] is None else f"12x12 ({row['task']})",
        row["boundary"],
        f"{100 * row['holes']:g} %" if row["holes"] else "none",
        number(row["extra"] / mib),
        number(row["estimate"] / mib),
        f"{row['estimate'] / row['extra']:.2f}",
        row["nnz"],
    ]


def summary(data: Data) -> str:
    headers = [
        "filters", "boundary", "unknown", "peak, MiB", "estimate, MiB", "estimate / peak",
        "nonzeros",
    ]  # fmt: skip
    return (
        f"Working set to a gap of {data['tol']:g} at {100 * data['fraction']:g} % of lambda_max, "
        f"{data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters of 8x8 or "
        f"3 x 32 of 12x12, float32, {data['threads']} threads ({data['pair']}); peak on top of the "
        f"loaded problem (target: the estimate within {100 * WANTED:.0f} %):\n\n"
        + table(headers, [_cells(row) for row in data["rows"]])
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.peak_memory", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
