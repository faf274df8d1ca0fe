"""How time and memory grow with pixels and filters: CU-Net, its plain formulation, exact coding.

Each measurement is a process of its own: everything is compiled on a small image, the peak of
memory is that of the first full run, the seconds are those of the next ones (the working set, whose
runs are long, is timed in that first run). Images have one content, the middle of a photograph,
mirrored where it is smaller; lam is 1 % of each problem's lambda_max. The exponent p is fitted to
all points of a series, seconds or bytes proportional to size^p. Beyond 64 filters, they are the
same turned by 90 degrees.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from ..common import memory
from ..common.problems import FILTERS, large_name, pair_names
from ..common.results import Data, command, number, table

SHAPES = ((128, 128), (256, 256), (512, 512), (1024, 1024), (1080, 1320))
COUNTS = (16, 32, 64, 128)
EXACT = "working-set"
SERIES = (*memory.NETWORKS, EXACT)
QUICK_SHAPES, QUICK_COUNTS = ((40, 40), (56, 56)), (4,)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--side", type=int, default=512, help="side at which filters are varied")
    parser.add_argument("--repeats", type=int, default=3, help="runs, whose median counts")
    parser.add_argument("--tol", type=float, default=1e-2, help="gap of the working set")
    parser.add_argument("--fraction", type=float, default=0.01, help="lam over lambda_max")
    parser.add_argument("--series", choices=SERIES, nargs="+", default=SERIES, help="only these")


def measure(arguments: argparse.Namespace) -> Data:
    shapes, counts, side = SHAPES, COUNTS, (arguments.side, arguments.side)
    filters, repeats = FILTERS, arguments.repeats
    if arguments.quick:
        shapes, counts, side, filters, repeats = QUICK_SHAPES, QUICK_COUNTS, (40, 40), 4, 1
    points = [("pixels", shape, filters) for shape in shapes]
    points += [("filters", side, count) for count in counts]
    rows: list[Data] = []
    seen: dict[tuple[str, tuple[int, int], int], Data] = {}
    for series in arguments.series:
        for axis, shape, count in points:
            key = (series, shape, count)
            if key not in seen:
                seen[key] = _one(series, shape, count, repeats, arguments)
            rows.append({
                "series": series, "axis": axis, "shape": shape, "filters": count, **seen[key],
            })  # fmt: skip
            print(_progress(rows[-1]), flush=True)
    return {
        "rows": rows, "threads": arguments.threads, "repeats": repeats, "tol": arguments.tol,
        "fraction": arguments.fraction,
    }  # fmt: skip


def _one(
    series: str, shape: tuple[int, int], filters: int, repeats: int, arguments: argparse.Namespace
) -> Data:
    wanted = {"method": series, "size": shape, "filters": filters, "threads": arguments.threads}
    if series == EXACT:
        wanted |= {
            "pair": large_name() if not arguments.quick else pair_names(1)[0],
            "boundary": "zero", "fraction": arguments.fraction, "tol": arguments.tol,
        }  # fmt: skip
        found = memory.measure(wanted)
        return {"seconds": [found["seconds"]], "extra": found["extra"], "nnz": found["nnz"]}
    found = memory.measure(wanted | {"channels": 1, "repeats": repeats})
    return {"seconds": found["seconds"], "extra": found["extra"]}


def _progress(row: Data) -> str:
    h, w = row["shape"]
    return f"{row['series']}, {w}x{h}, {row['filters']} filters: {np.median(row['seconds']):.3g} s"


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Slope of the line through the points on two logarithmic axes, by least squares."""
    kept = [(s, v) for s, v in zip(sizes, values, strict=True) if v > 0]
    if len({s for s, _ in kept}) < 2:
        return None
    return float(np.polyfit(*np.log(np.array(kept)).T, 1)[0])


def size_of(row: Data) -> int:
    """What a row's axis counts: pixels, or filters a module."""
    return int(np.prod(row["shape"])) if row["axis"] == "pixels" else int(row["filters"])


def fits(data: Data) -> list[Data]:
    """Exponents of every series along both axes."""
    found = []
    for axis in ("pixels", "filters"):
        for series in dict.fromkeys(r["series"] for r in data["rows"]):
            rows = [r for r in data["rows"] if (r["series"], r["axis"]) == (series, axis)]
            sizes = [size_of(r) for r in rows]
            seconds = [float(np.median(r["seconds"])) for r in rows]
            found.append({
                "axis": axis, "series": series, "seconds": exponent(sizes, seconds),
                "extra": exponent(sizes, [r["extra"] for r in rows]),
            })  # fmt: skip
    return found


def summary(data: Data) -> str:
    parts = [
        f"2 x 1 channel, filters of 8x8, 4 blocks, float32, {data['threads']} threads, medians of "
        f"{data['repeats']} runs; the working set to a gap of {data['tol']:g} at "
        f"{100 * data['fraction']:g} % of lambda_max, once:"
    ]
    for axis, title in (("pixels", "image"), ("filters", "filters a module")):
        rows = [r for r in data["rows"] if r["axis"] == axis]
        series = list(dict.fromkeys(r["series"] for r in rows))
        by = {(r["series"], size_of(r)): r for r in rows}
        lines = []
        for size in sorted({size_of(r) for r in rows}):
            mine = [by[s, size] for s in series]
            h, w = mine[0]["shape"]
            lines.append([
                f"{w}x{h}" if axis == "pixels" else size,
                *(number(float(np.median(r["seconds"]))) for r in mine),
                *(number(r["extra"] / 2**20) for r in mine),
            ])  # fmt: skip
        mine = [f for s in series for f in fits(data) if (f["axis"], f["series"]) == (axis, s)]
        lines.append([
            "exponent", *(_power(f["seconds"]) for f in mine), *(_power(f["extra"]) for f in mine)
        ])  # fmt: skip
        h, w = rows[0]["shape"]
        note = f"{rows[0]['filters']} filters a module" if axis == "pixels" else f"At {w}x{h}"
        heads = [title, *(f"{s}, s" for s in series), *(f"{s}, MiB" for s in series)]
        parts.append(f"{note}:\n\n" + table(heads, lines))
    return "\n\n".join(parts)


def _power(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.growth", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
