"""From when on the FFT methods win on a CPU: the working set against FISTA and ADMM as lam -> 0.

Seconds of `mcsc.solve` to a certified gap of 1e-3 for lam from 1e-1 to 1e-4 of lambda_max, on both
boundaries. A method that was late twice running is not asked for smaller lam.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import mcsc

from ..common import timing
from ..common.problems import FILTERS, QUICK_FILTERS, QUICK_SIZE, Setting, pair_names, setting
from ..common.results import Data, command, number, table

FRACTIONS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
METHODS = ("working-set", "fista", "admm")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=256, help="side of the image")
    parser.add_argument(
        "--filters", type=int, default=FILTERS, help="a group; few make the solution dense"
    )
    parser.add_argument("--tol", type=float, default=1e-3, help="certified gap")
    parser.add_argument("--cap", type=float, default=120.0, help="seconds a run")
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS)


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, tol, cap = arguments.size, arguments.filters, arguments.tol, arguments.cap
    fractions = sorted(arguments.fractions, reverse=True)
    if arguments.quick:
        size, filters, tol, cap, fractions = QUICK_SIZE, QUICK_FILTERS, 1e-2, 1.0, [1e-1, 1e-2]
    name = pair_names(1)[0]
    before = mcsc.get_num_threads()
    mcsc.set_num_threads(arguments.threads)
    rows: list[Data] = []
    try:
        timing.warm_up(METHODS)
        for boundary in ("periodic", "zero"):
            s = setting(name, size, filters=filters, boundary=boundary)
            for method in METHODS:
                late = 0
                for fraction in fractions:
                    if late == 2:
                        break
                    rows.append(_run(s, boundary, method, fraction, tol, cap))
                    print(_progress(rows[-1]), flush=True)
                    late = 0 if rows[-1]["converged"] else late + 1
    finally:
        mcsc.set_num_threads(before)
    return {
        "pair": name, "size": size, "filters": filters, "tol": tol, "cap": cap,
        "threads": arguments.threads, "rows": rows,
    }  # fmt: skip


def _run(s: Setting, boundary: str, method: str, fraction: float, tol: float, cap: float) -> Data:
    # The callback is called at every certificate: dense methods end within twenty iterations.
    result = s.solve(
        fraction, method=method, tol=tol, callback=lambda state: state.seconds > cap,
        max_iter=10**6,
    )  # fmt: skip
    return {
        "boundary": boundary, "method": method, "fraction": fraction, "seconds": result.seconds,
        "gap": result.gap, "converged": result.converged, "iterations": result.iterations,
        "nonzero": result.codes.nnz / result.codes.size,
    }  # fmt: skip


def _progress(row: Data) -> str:
    return (
        f"{row['boundary']}, {row['method']}, {row['fraction']:g}: {number(row['seconds'])} s, "
        f"gap {row['gap']:.1e}"
    )


def summary(data: Data) -> str:
    text = [
        f"Seconds to a certified gap of {data['tol']:g}, {data['size']}x{data['size']}, 2 x 1 "
        f"channel, 3 x {data['filters']} filters of 8x8, float32, {data['threads']} threads "
        f"({data['pair']}); in brackets the gap where {data['cap']:g} s were not enough:"
    ]
    for boundary in dict.fromkeys(r["boundary"] for r in data["rows"]):
        by = {(r["method"], r["fraction"]): r for r in data["rows"] if r["boundary"] == boundary}
        rows = []
        for fraction in sorted({f for _, f in by}, reverse=True):
            row = [f"{fraction:g}"]
            nonzero = [r["nonzero"] for (_, f), r in by.items() if f == fraction and r["converged"]]
            row.append(f"{number(100 * nonzero[0], 2)} %" if nonzero else "–")
            for method in METHODS:
                run = by.get((method, fraction))
                late = run is not None and not run["converged"]
                row.append(
                    "–"
                    if run is None
                    else number(run["seconds"]) + (f" ({run['gap']:.1e})" if late else "")
                )
            rows.append(row)
        headers = ["lam / lambda_max", "nonzero", *METHODS]
        text.append(f"{boundary.capitalize()} boundary:\n\n" + table(headers, rows))
    return "\n\n".join(text)


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.crossover", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
