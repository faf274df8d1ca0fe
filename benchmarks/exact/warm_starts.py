"""Does a first guess help? From nothing, CU-Net's codes, a larger lam, an image of half the size.

CU-Net with the dictionary's own filters (`CUNet.from_dictionary`) computes codes of the same
problem in one pass, which `mcsc.solve` takes as `init`. Seconds until the certified gap is 1e-2 and
1e-4, without and with the seconds of that pass. Trained networks have filters of their own: their
codes are none of this problem. The solution at twice the lam is what a path of lam starts from.
That of the images at half their size, at every other pixel, is what a pyramid would start from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

import mcsc

from ..common import timing
from ..common.problems import (
    FILTERS,
    QUICK_FILTERS,
    QUICK_SIZE,
    Setting,
    from_signals,
    pair_names,
    setting,
)
from ..common.results import Data, command, number, table

TOLS = (1e-2, 1e-4)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=256, help="side of the image")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--blocks", type=int, nargs="+", default=(4, 16), help="of the networks")
    parser.add_argument("--repeats", type=int, default=3, help="runs, whose median counts")


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, blocks = arguments.size, FILTERS, tuple(arguments.blocks)
    repeats = arguments.repeats
    if arguments.quick:
        size, filters, blocks, repeats = QUICK_SIZE, QUICK_FILTERS, (2,), 1
    before = mcsc.get_num_threads()
    mcsc.set_num_threads(arguments.threads)
    try:
        timing.warm_up(("working-set",))
        name = pair_names(1)[0]
        s = setting(name, size, filters=filters, boundary="zero")
        fraction = arguments.fraction
        starts: dict[str, Callable[[], mcsc.Codes | None]] = {"nothing": lambda: None}
        for count in blocks:
            starts[f"CU-Net, {count} blocks"] = _network(s, fraction, count, arguments.threads)
        starts["the solution at twice the lam"] = lambda: s.solve(2 * fraction, tol=1e-2).codes
        starts["the solution at half the size"] = lambda: _half_size(s, fraction)
        rows = [_run(s, fraction, label, start, repeats) for label, start in starts.items()]
    finally:
        mcsc.set_num_threads(before)
    return {
        "pair": name, "size": size, "filters": filters, "fraction": fraction,
        "threads": arguments.threads, "repeats": repeats, "rows": rows,
    }  # fmt: skip


def _network(s: Setting, fraction: float, blocks: int, threads: int) -> Callable[[], mcsc.Codes]:
    import torch

    import unfolded

    torch.set_num_threads(threads)
    net = unfolded.CUNet.from_dictionary(s.dictionary, fraction * s.lambda_max, blocks=blocks)
    net = net.float().eval()
    x, y = (torch.from_numpy(image[None]) for image in s.signals)

    def start() -> mcsc.Codes:
        with torch.no_grad():
            c, (u, v) = net.codes(x, y)
        return mcsc.Codes.from_dense(c.numpy(), (u.numpy(), v.numpy()))

    start()
    return start


def _half_size(s: Setting, fraction: float) -> mcsc.Codes:
    """Codes of the images at half their size, each at twice its row and column."""
    x, y = (a.reshape(1, a.shape[1] // 2, 2, a.shape[2] // 2, 2).mean((2, 4)) for a in s.signals)
    small = from_signals(s.name, (x, y), filters=s.dictionary.n_common, boundary=s.boundary)
    # lam itself stays: the detail of half the size is no weaker.
    codes = small.solve(fraction * s.lambda_max / small.lambda_max, tol=1e-2).codes
    found = codes.stacked(s.dictionary)
    wide = np.zeros((*found.shape[:2], *s.signals[0].shape[-2:]), dtype=found.dtype)
    wide[..., ::2, ::2] = found
    return mcsc.Codes.from_stacked(wide, s.dictionary)


def _run(
    s: Setting, fraction: float, label: str, start: Callable[[], mcsc.Codes | None], repeats: int
) -> Data:
    before, spent = [], {tol: [] for tol in TOLS}
    for _ in range(repeats):
        began = time.perf_counter()
        init = start()
        before.append(time.perf_counter() - began)
        for tol in TOLS:
            result = s.solve(fraction, method="working-set", tol=tol, init=init)
            spent[tol].append(result.seconds)
    problem = s.problem(fraction)
    row: Data = {
        "start": label,
        "before": float(np.median(before)),
        "seconds": {str(tol): float(np.median(spent[tol])) for tol in TOLS},
        "iterations": result.iterations,
        "nonzero": None if init is None else init.nnz,
        "solution": result.codes.nnz,
        "above": None if init is None else problem.objective(init) / result.objective - 1.0,
    }
    print(f"{label}: " + ", ".join(number(v) for v in row["seconds"].values()) + " s", flush=True)
    return row


def summary(data: Data) -> str:
    plain = data["rows"][0]["seconds"]
    rows = []
    for r in data["rows"]:
        cells = [r["start"]]
        cells.append("–" if r["nonzero"] is None else f"{r['nonzero'] / r['solution']:.1f}")
        cells.append("–" if r["above"] is None else f"{100 * r['above']:.0f} %")
        cells.append(number(r["before"]))
        for tol in map(str, TOLS):
            whole = r["seconds"][tol] + (r["before"] if r["nonzero"] is not None else 0.0)
            cells += [number(r["seconds"][tol]), f"{plain[tol] / whole:.2f}"]
        rows.append(cells)
    headers = ["start", "nonzeros, of the solution's", "above the optimum", "the start, s"]
    for tol in TOLS:
        headers += [f"to {tol:g}, s", "times faster, start included"]
    return (
        f"Working set at {100 * data['fraction']:g} % of lambda_max, "
        f"{data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters of 8x8, "
        f"float32, zero boundary, {data['threads']} threads ({data['pair']}), median of "
        f"{data['repeats']}:\n\n" + table(headers, rows) + "\n\n" + _verdict(data)
    )


def _verdict(data: Data) -> str:
    """Whether a network's codes were worth their time."""
    plain, *others = data["rows"]
    tol = str(TOLS[-1])
    networks = [r for r in others if r["start"].startswith("CU-Net")]
    best = min(r["seconds"][tol] + r["before"] for r in networks)
    alone = min(r["seconds"][tol] for r in networks)
    if best < 0.95 * plain["seconds"][tol]:
        return "The network's codes help."
    if alone < 0.95 * plain["seconds"][tol]:
        return "The network's codes save less than they cost."
    return "The network's codes do not help: nothing is a better start."


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.warm_starts", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
