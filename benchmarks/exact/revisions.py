"""What the solver of an earlier revision takes, and today's: seconds and memory, side by side.

The earlier package is taken out of the repository's history into a temporary folder; each side
solves the same problems in processes of its own, in turn, and the medians count. Problems: sparse
coding with 64 filters of 8x8 a group to gaps of 1e-2 and 1e-4, and with the dictionary of 12x12
that comes with the package to 1e-2, as restorations of depth do. What a first call compiles is not
counted. Needs git and the history (not a shallow clone).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mcsc.tasks.shipped import shipped_dictionary

from ..common import history, solve_once
from ..common.problems import FILTERS, QUICK_FILTERS, ROOT, Setting, pair_names, setting
from ..common.results import Data, command, number, table

SHIPPED = "depth-sr"
NOW = "today"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--revision", default=history.BEFORE, help=f"the earlier one ({history.BEFORE})"
    )
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--repeats", type=int, default=3, help="runs, whose median counts")


def measure(arguments: argparse.Namespace) -> Data:
    name, fraction, repeats = pair_names(1)[0], arguments.fraction, arguments.repeats
    revision = NOW + " again" if arguments.quick else arguments.revision
    problems = [
        ("8x8", setting(name, 384, filters=FILTERS, boundary="zero"), (1e-2, 1e-4)),
        ("12x12", _shipped(name, 512), (1e-2,)),
        ("12x12", _shipped(name, 600), (1e-2,)),
    ]
    if arguments.quick:
        quick = setting(name, 64, filters=QUICK_FILTERS, boundary="zero")
        problems, repeats = [("8x8", quick, (1e-1,))], 1
    rows = []
    with tempfile.TemporaryDirectory(prefix="mcsc-revision-") as folder:
        earlier = Path(folder) / "earlier"
        if arguments.quick:
            earlier = ROOT  # compiling another one takes minutes
        else:
            history.take_out(revision, earlier)
        sides = {revision: earlier, NOW: ROOT}
        for filters, s, tols in problems:
            file = Path(folder) / "problem.npz"
            _write(file, s, fraction, tols, arguments.threads)
            runs: dict[str, list[list[Data]]] = {side: [] for side in sides}
            for _ in range(repeats):
                for side, tree in sides.items():  # in turn: what disturbs, disturbs both
                    runs[side].append(_run(file, tree, Path(folder) / "kernels"))
            for index, tol in enumerate(tols):
                row: Data = {"filters": filters, "size": s.signals[0].shape[-1], "tol": tol}
                row["sides"] = {
                    side: {
                        key: _median([run[index][key] for run in runs[side]])
                        for key in ("seconds", "processor", "extra", "gap")
                    }
                    for side in sides
                }
                rows.append(row)
                print(" | ".join(map(str, _cells(row))), flush=True)
    return {
        "revision": revision, "pair": name, "fraction": fraction, "repeats": repeats,
        "threads": arguments.threads, "rows": rows,
    }  # fmt: skip


def _shipped(name: str, size: int) -> Setting:
    return setting(name, size, bank=shipped_dictionary(SHIPPED), boundary="zero")


def _write(
    path: Path, s: Setting, fraction: float, tols: Sequence[float], threads: int
) -> None:  # fmt: skip
    common, unique = s.dictionary.common, s.dictionary.unique
    if common is None or any(filters is None for filters in unique):
        raise SystemExit("the dictionary lacks a group")
    np.savez(
        path, first=s.signals[0], second=s.signals[1], lam=fraction * s.lambda_max,
        boundary=s.boundary, tols=np.asarray(tols), threads=threads,
        common_first=common[0], common_second=common[1],
        unique_first=np.asarray(unique[0]), unique_second=np.asarray(unique[1]),
    )  # fmt: skip


def _run(problem: Path, tree: Path, kernels: Path) -> list[Data]:
    """Solve a problem with the package of a folder; what each of its solves cost."""
    printed = history.run(tree, [solve_once.__file__, str(problem)], kernels)
    answer: Data = json.loads(printed.splitlines()[-1])
    if Path(answer["package"]) != tree / "mcsc":
        raise RuntimeError(f"{answer['package']} was measured instead of {tree / 'mcsc'}")
    runs: list[Data] = answer["runs"]
    return runs


def _median(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return median(known) if known else None


def _cells(row: Data) -> list[Any]:
    (before, now) = row["sides"].values()
    cells = [f"{row['size']}x{row['size']}", row["filters"], f"{row['tol']:g}"]
    for side in (before, now):
        cells.append(number(side["seconds"]))
    cells.append(f"{before['seconds'] / now['seconds']:.1f}")
    for side in (before, now):
        cells.append("–" if side["extra"] is None else number(side["extra"] / 2**20))
    return cells


def summary(data: Data) -> str:
    earlier = data["revision"]
    headers = [
        "image", "filters", "gap", f"{earlier}, seconds", "today, seconds", "times faster",
        f"{earlier}, MiB", "today, MiB",
    ]  # fmt: skip
    return (
        f"Working set at {100 * data['fraction']:g} % of lambda_max, 2 x 1 channel, zero boundary, "
        f"float32, {data['threads']} threads ({data['pair']}), medians of {data['repeats']} runs "
        "of each side in turn; memory is the peak on top of what was held before the solve:\n\n"
        + table(headers, [_cells(row) for row in data["rows"]])
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.revisions", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
