"""How the working set grows: seconds a megapixel, and peak memory of a 1320x1080 pair.

The same content at every size: the middle 1024x1024 of a photograph (luma and red) whole, cut into
four of 512x512, and into sixteen of 256x256, all at one lam, each solved to a gap of 1e-2. Memory
is the peak of a fresh process that solves 1320x1080 (the size of the paper's depth images) to 1e-2,
against what `Problem.memory_estimate` had promised.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import mcsc

from ..common import memory, timing
from ..common.problems import (
    FILTERS,
    QUICK_FILTERS,
    Setting,
    crop,
    detail,
    from_signals,
    large_name,
    pictures,
)
from ..common.results import Data, command, number, table

WANTED_GROWTH, WANTED_GIB, WANTED_ESTIMATE = 1.2, 3.0, 0.3


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=1024, help="largest side; halved twice")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--tol", type=float, default=1e-2, help="certified gap")
    parser.add_argument("--repeats", type=int, default=3, help="runs, whose median counts")
    parser.add_argument("--boundary", choices=("periodic", "zero"), default="zero")
    parser.add_argument("--pair", default=large_name(), help="a pair of more than a megapixel")
    parser.add_argument(
        "--memory-shape", type=int, nargs=2, default=(1080, 1320), metavar=("H", "W")
    )


def measure(arguments: argparse.Namespace) -> Data:
    largest, filters, repeats = arguments.size, FILTERS, arguments.repeats
    shape = tuple(arguments.memory_shape)
    if arguments.quick:
        largest, filters, repeats, shape = 128, QUICK_FILTERS, 1, (72, 88)
    before = mcsc.get_num_threads()
    mcsc.set_num_threads(arguments.threads)
    try:
        timing.warm_up(("working-set",))
        signals = tuple(detail(crop(i, (largest, largest))) for i in pictures(arguments.pair))
        whole = from_signals(
            arguments.pair, (signals[0], signals[1]), filters=filters, boundary=arguments.boundary
        )
        lam = arguments.fraction * whole.lambda_max
        rows = []
        for parts in (4, 2, 1):
            rows.append(_time(whole, parts, lam, arguments.tol, repeats))
            print(f"{rows[-1]['size']}: {rows[-1]['per_megapixel']:.2f} s/MP", flush=True)
    finally:
        mcsc.set_num_threads(before)
    found = memory.measure(
        {
            "method": "working-set",
            "pair": arguments.pair,
            "size": shape,
            "filters": filters,
            "fraction": arguments.fraction,
            "boundary": arguments.boundary,
            "threads": arguments.threads,
            "tol": arguments.tol,
        }
    )
    pixels = shape[0] * shape[1]
    found |= {"shape": shape, "nonzero": found["nnz"] / (3 * filters * pixels)}
    return {
        "pair": arguments.pair, "filters": filters, "fraction": arguments.fraction,
        "tol": arguments.tol, "boundary": arguments.boundary, "threads": arguments.threads,
        "rows": rows, "memory": found,
    }  # fmt: skip


def _time(whole: Setting, parts: int, lam: float, tol: float, repeats: int) -> Data:
    """Solve all of the `parts` x `parts` pieces; seconds of their sum."""
    side = whole.signals[0].shape[-1] // parts
    totals, nonzeros, worst = [], 0, 0.0
    for _ in range(repeats):
        seconds, nonzeros = 0.0, 0
        for i, j in np.ndindex(parts, parts):
            window: Any = (..., slice(i * side, (i + 1) * side), slice(j * side, (j + 1) * side))
            x, y = (np.ascontiguousarray(image[window]) for image in whole.signals)
            result = mcsc.solve(
                (x, y), whole.dictionary, lam,
                method="working-set", tol=tol, boundary=whole.boundary,
            )  # fmt: skip
            seconds += result.seconds
            nonzeros += result.codes.nnz
            worst = max(worst, result.gap)
        totals.append(seconds)
    megapixels = (parts * side) ** 2 / 1e6
    return {
        "size": side,
        "pieces": parts**2,
        "seconds": totals,
        "per_megapixel": float(np.median(totals)) / megapixels,
        "nonzero": nonzeros / (whole.dictionary.n_maps * megapixels * 1e6),
        "gap": worst,
    }


def summary(data: Data) -> str:
    first = data["rows"][0]["per_megapixel"]
    rows = [
        [
            f"{r['size']}x{r['size']}",
            r["pieces"],
            f"{number(100 * r['nonzero'], 2)} %",
            number(r["per_megapixel"]),
            f"{r['per_megapixel'] / first:.2f}",
        ]
        for r in data["rows"]
    ]
    headers = ["size", "pieces", "nonzero", "seconds a megapixel", "of the first"]
    found = data["memory"]
    h, w = found["shape"]
    ratio = found["estimate"] / found["extra"]
    gib = 2**30
    return (
        f"Working set to a gap of {data['tol']:g} at {100 * data['fraction']:g} % of lambda_max, "
        f"2 x 1 channel, 3 x {data['filters']} filters of 8x8, float32, {data['boundary']} "
        f"boundary, {data['threads']} threads ({data['pair']}, one content at all sizes; target: "
        f"the last at most {WANTED_GROWTH} of the first):\n\n"
        + table(headers, rows)
        + f"\n\nMemory at {w}x{h}: peak {found['peak'] / gib:.2f} GiB resident (target: below "
        f"{WANTED_GIB:g} GB), of which {found['extra'] / gib:.2f} GiB on top of the process before "
        f"`solve`; `Problem.memory_estimate` says {found['estimate'] / gib:.2f} GiB, {ratio:.2f} "
        f"of it (target: within {100 * WANTED_ESTIMATE:.0f} %). {number(found['seconds'])} s, "
        f"{number(100 * found['nonzero'], 2)} % nonzero."
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.scaling", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
