"""Many small scenes on workers: seconds, and what giving them out costs the processor.

Each scene is a sparse decomposition to a gap, as `mcsc restore` does many. Run, for the table of
docs/distributed.md:

    python -m benchmarks.exact.many_scenes --scenes 200 --workers 1 2
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np

import mcsc


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


def measure(count: int, side: int, workers: int) -> dict:
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
        warm = [Scene(f"warm{k}", (k, side)) for k in range(2 * workers)]
        map_scenes(one, warm, client=client)
        before, mine, start = client.run(spent), spent(), time.perf_counter()
        table = map_scenes(one, [Scene(str(k), (k, side)) for k in range(count)], client=client)
        wall, mine, after = time.perf_counter() - start, spent() - mine, client.run(spent)
    assert table.complete
    return {
        "scenes": count, "side": side, "workers": workers, "wall_seconds": wall,
        "cpu_seconds_of_workers": [after[w] - before[w] for w in after],
        "cpu_seconds_of_client_and_scheduler": mine, "load": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    for workers in asked.workers:
        print(json.dumps(measure(asked.scenes, asked.side, workers)), flush=True)


if __name__ == "__main__":
    main()
