"""One large image in blocks: sweeps, seconds, bytes and memory against the block and the workers.

The image is a synthetic pair of a focus stack, its detail mirrored again and again to the size that
is asked for, in zarr arrays on disk. First a small image, with blocks of several sizes: sweeps and
bytes. Then the large one: seconds and the peak memory of each worker. All of docs/distributed.md on
blocks that is measured:

    python -m benchmarks.exact.blocks

How long that takes is estimated, and told, before the large image: from the small one.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mcsc
from mcsc.images import lowpass_split
from mcsc.synthetic import make_pair

from ..common.results import Data, command, number, table

WANTED_BYTES = 1.5e9  # of a worker
CHUNK = 256
SETTLED = ("OMP", "OPENBLAS", "MKL")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--side", type=int, default=8192, help="of the large image")
    parser.add_argument("--block", type=int, default=1024, help="of the large image")
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--small-side", type=int, default=1024, help="of the small image; 0: none")
    parser.add_argument("--small-block", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--fraction", type=float, default=0.03, help="lam over lambda_max")
    parser.add_argument("--tol", type=float, default=1e-2, help="certified gap")
    parser.add_argument("--folder", type=Path, help="for image and codes, on a disk with room")


def make_image(folder: Path, side: int) -> tuple[list[np.ndarray], list[Any]]:
    """Write both signals, a chunk at a time; return a tile, and the zarr arrays."""
    import zarr

    pair = make_pair("focus", 0, (CHUNK, CHUNK))
    tiles = [
        lowpass_split(np.asarray(a).mean(0, keepdims=True).astype(np.float32), 5.0).high[0]
        for a in (pair.x, pair.y)
    ]
    arrays = []
    for name, tile in zip("xy", tiles, strict=True):
        array = zarr.create_array(
            folder / f"{name}.zarr", shape=(side, side), chunks=(CHUNK, CHUNK), dtype="f4"
        )
        for i in range(0, side, CHUNK):
            for j in range(0, side, CHUNK):
                part = tile[:: 1 - 2 * (i // CHUNK % 2), :: 1 - 2 * (j // CHUNK % 2)]
                h, w = min(CHUNK, side - i), min(CHUNK, side - j)
                array[i : i + h, j : j + w] = part[:h, :w]
        arrays.append(array)
    return tiles, arrays


def spent() -> tuple[float, int]:
    """Processor seconds and peak bytes of a worker."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return sum(os.times()[:2]), used.ru_maxrss * 1024


def warm_up() -> None:
    """Load and compile what a worker needs."""
    x, y = np.random.default_rng(0).standard_normal((2, 32, 32)).astype(np.float32)
    d = mcsc.dct_dictionary((1, 1))
    mcsc.solve((x, y), d, 0.3 * mcsc.lambda_max((x, y), d), tol=0.1)


def run(folder: Path, side: int, block: int, workers: int, asked: argparse.Namespace) -> Data:
    """Solve one image on a cluster of so many workers."""
    from distributed import Client, LocalCluster

    from mcsc.distributed import solve_blocks

    dictionary = mcsc.dct_dictionary((1, 1))
    images = Path(tempfile.mkdtemp(dir=folder))
    try:
        tiles, signals = make_image(images, side)
        lam = asked.fraction * mcsc.lambda_max(tuple(tiles), dictionary)
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0",
                env={f"{name}_NUM_THREADS": "1" for name in SETTLED},
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            client.run(warm_up)
            before, mine = client.run(spent), spent()[0]
            found = solve_blocks(
                signals, dictionary, lam, block=block, tol=asked.tol, client=client,
                folder=images / "codes",
            )  # fmt: skip
            mine, after = spent()[0] - mine, client.run(spent)
    finally:
        shutil.rmtree(images, ignore_errors=True)
    h = found.history
    row: Data = {
        "side": side, "block": block, "workers": workers, "gap": found.gap,
        "sweeps": found.sweeps, "objective": found.objective, "nonzeros": found.nonzeros,
        "filters": dictionary.n_maps, "wall_seconds": found.seconds,
        "cpu_seconds_of_workers": [after[w][0] - before[w][0] for w in after],
        "cpu_seconds_of_caller": mine, "peak_bytes": [after[w][1] for w in after],
        "bytes_before": [before[w][1] for w in before], "gaps": h.gap, "visits": h.visits,
        "bytes_read": h.bytes_read, "bytes_written": h.bytes_written,
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    print(
        f"{side} x {side}, blocks of {block}, {workers} workers: {found.sweeps} sweeps, gap "
        f"{found.gap:.1e}, {found.seconds:.0f} s",
        flush=True,
    )
    return row


def measure(arguments: argparse.Namespace) -> Data:
    side, block, workers = arguments.side, arguments.block, arguments.workers
    small, blocks = arguments.small_side, arguments.small_block
    if arguments.quick:
        side, block, workers, small, blocks = 192, 96, [1], 128, [64]
    folder = Path(tempfile.mkdtemp(prefix="mcsc-blocks-", dir=arguments.folder))
    rows: Data = {"small": [], "large": [], "tol": arguments.tol, "fraction": arguments.fraction}
    try:
        if small:
            for each in blocks:
                rows["small"].append(run(folder, small, each, max(workers), arguments))
            of_all = sum(rows["small"][-1]["cpu_seconds_of_workers"]) * (side / small) ** 2
            estimate = sum(of_all / w for w in workers)
            print(
                f"{side} x {side} with {' and '.join(map(str, workers))} workers: about "
                f"{estimate / 60:.0f} minutes on cores that do nothing else",
                flush=True,
            )
        for count in workers:
            rows["large"].append(run(folder, side, block, count, arguments))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def summary(data: Data) -> str:
    def megabytes(values: Sequence[float]) -> str:
        return number(max(values, default=0) / 1e6)

    rows = [
        [
            r["side"], r["block"], r["workers"], r["sweeps"],
            ", ".join(f"{g:.2g}" for g in r["gaps"]), number(r["wall_seconds"]),
            number(sum(r["cpu_seconds_of_workers"])), megabytes(r["peak_bytes"]),
            megabytes(r["bytes_before"]), megabytes(r["bytes_read"]),
            megabytes(r["bytes_written"]),
        ]
        for r in (*data["small"], *data["large"])
    ]  # fmt: skip
    headers = [
        "side", "block", "workers", "sweeps", "gap after each", "seconds", "of processors",
        "peak MB of a worker", "before", "MB read a sweep", "written",
    ]  # fmt: skip
    large = data["large"]
    said = ""
    if len(large) > 1:
        first, last = large[0], large[-1]
        said = (
            f" {last['workers']} workers are {first['wall_seconds'] / last['wall_seconds']:.2f} "
            f"times as fast as {first['workers']}."
        )
    return (
        f"lam at {100 * data['fraction']:g} % of lambda_max, gap {data['tol']:g}, float32 (target: "
        f"a worker below {WANTED_BYTES / 1e9:g} GB):\n\n{table(headers, rows)}\n\nSweeps' bytes "
        f"are those of the largest.{said}"
    )


def main(argv: Sequence[str] | None = None) -> Data:
    return command("exact.blocks", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
