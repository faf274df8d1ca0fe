"""Many small scenes on 1 and 2 workers: seconds, and what giving them out costs the processor.

Each scene is a sparse decomposition to a gap, as `mcsc restore` does many; workers have loaded and
compiled everything before the clock starts. All of docs/distributed.md on many scenes:

    python -m benchmarks.exact.many_scenes

How long that takes is told after some scenes on one worker.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

import numpy as np

import mcsc

from ..common.results import Data, command, number, table

WANTED = 1.8  # times as fast with two workers as with one


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--side", type=int, default=128, help="of a scene")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])


def one(seed: int, side: int) -> float:
    """Decompose a pair of noise with the same optimum on every machine; return its gap."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, side, side)).astype(np.float32)
    dictionary = mcsc.dct_dictionary((1, 1))
    lam = 0.3 * mcsc.lambda_max((x, y), dictionary)
    return mcsc.solve((x, y), dictionary, lam, tol=1e-2).gap


def spent() -> float:
    """Processor seconds of a process."""
    return sum(os.times()[:2])


def run(count: int, side: int, workers: int, *, last: bool) -> Data:
    """Do all scenes on a cluster of so many workers."""
    from distributed import Client, LocalCluster

    from mcsc.distributed import Scene, map_scenes

    names = ("OMP", "OPENBLAS", "MKL")
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0",
            env={f"{name}_NUM_THREADS": "1" for name in names},
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        warm = [Scene(f"warm{k}", (k, side)) for k in range(4 * workers)]
        map_scenes(one, warm, client=client)
        start = time.perf_counter()
        map_scenes(one, warm, client=client)
        each = (time.perf_counter() - start) / len(warm)
        if not last:
            print(f"About {each * count * 1.5 / 60:.1f} minutes for all.", flush=True)
        before, mine, start = client.run(spent), spent(), time.perf_counter()
        done = map_scenes(one, [Scene(str(k), (k, side)) for k in range(count)], client=client)
        wall, mine, after = time.perf_counter() - start, spent() - mine, client.run(spent)
    assert done.complete
    print(f"{count} scenes, {workers} workers: {wall:.1f} s", flush=True)
    return {
        "workers": workers, "wall_seconds": wall,
        "cpu_seconds_of_workers": [after[w] - before[w] for w in after],
        "cpu_seconds_of_caller": mine, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def measure(arguments: argparse.Namespace) -> Data:
    count, side, workers = arguments.scenes, arguments.side, arguments.workers
    if arguments.quick:
        count, side, workers = 4, 32, workers[:1]
    rows = [run(count, side, w, last=w == workers[-1]) for w in workers]
    return {"scenes": count, "side": side, "rows": rows}


def summary(data: Data) -> str:
    first = data["rows"][0]
    rows = [
        [
            r["workers"], number(r["wall_seconds"]),
            f"{first['wall_seconds'] / r['wall_seconds']:.2f}",
            number(sum(r["cpu_seconds_of_workers"])), number(r["cpu_seconds_of_caller"]),
        ]
        for r in data["rows"]
    ]  # fmt: skip
    headers = ["workers", "seconds", "times as fast", "of the workers' processors", "caller's"]
    return (
        f"{data['scenes']} scenes of {data['side']} x {data['side']} (target: two workers "
        f"{WANTED} times as fast as one):\n\n{table(headers, rows)}"
    )


def main(argv: Sequence[str] | None = None) -> Data:
    return command("exact.many_scenes", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
