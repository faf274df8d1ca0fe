"""One large image in blocks: sweeps, processor seconds, bytes and memory against the block.

The image is a synthetic pair of a focus stack, its detail mirrored again and again to the size that
is asked for, in a zarr array on disk. Run, for the table of docs/distributed.md:

    python -m benchmarks.exact.blocks --side 1024 --block 256 512 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

import numpy as np

import mcsc
from mcsc.images import lowpass_split
from mcsc.synthetic import make_pair


def make_image(folder: Path, side: int, chunk: int) -> list:
    """Write both signals, a chunk at a time; return them as zarr arrays."""
    import zarr

    pair = make_pair("focus", 0, (chunk, chunk))
    tiles = [
        lowpass_split(np.asarray(a).mean(0, keepdims=True).astype(np.float32), 5.0).high[0]
        for a in (pair.x, pair.y)
    ]
    arrays = []
    for name, tile in zip("xy", tiles, strict=True):
        array = zarr.create_array(
            folder / f"{name}.zarr", shape=(side, side), chunks=(chunk, chunk), dtype="f4"
        )
        for i in range(0, side, chunk):
            for j in range(0, side, chunk):
                part = tile[:: 1 - 2 * (i // chunk % 2), :: 1 - 2 * (j // chunk % 2)]
                h, w = min(chunk, side - i), min(chunk, side - j)
                array[i : i + h, j : j + w] = part[:h, :w]
        arrays.append(array)
    return [tiles, arrays]


def spent() -> tuple[float, int]:
    """Processor seconds and peak bytes of a worker."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return sum(os.times()[:2]), used.ru_maxrss * 1024


def measure(signals: list, dictionary, lam: float, tol: float, block: int, workers: int) -> dict:
    from distributed import Client, LocalCluster

    from mcsc.distributed import solve_blocks

    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", env=one
        ) as cluster,
        Client(cluster) as client,
    ):
        before = client.run(spent)
        found = solve_blocks(signals, dictionary, lam, block=block, tol=tol, client=client)
        after = client.run(spent)
    cpu = [after[w][0] - before[w][0] for w in after]
    h = found.history
    return {
        "side": signals[0].shape[0], "block": block, "workers": workers, "tol": tol,
        "gap": found.gap, "sweeps": found.sweeps, "objective": found.objective,
        "nonzeros": found.nonzeros, "wall_seconds": found.seconds, "cpu_seconds": sum(cpu),
        "peak_bytes_of_a_worker": max(a[1] for a in after.values()),
        "idle_bytes_of_a_worker": max(b[1] for b in before.values()),
        "bytes_read_a_sweep": h.bytes_read, "bytes_written_a_sweep": h.bytes_written,
        "visits_a_sweep": h.visits, "gaps": h.gap,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--block", type=int, nargs="+", default=[256])
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--lam", type=float, default=0.03, help="of lambda_max")
    parser.add_argument("--tol", type=float, default=1e-2)
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    dictionary = mcsc.dct_dictionary((1, 1))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        tiles, signals = make_image(Path(name), asked.side, asked.chunk)
        lam = asked.lam * mcsc.lambda_max(tuple(tiles), dictionary)
        for workers in asked.workers:
            for block in asked.block:
                row = measure(signals, dictionary, lam, asked.tol, block, workers)
                print(json.dumps(row), flush=True)
                rows.append(row)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
