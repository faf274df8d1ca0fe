"""Clusters of Dask for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster


@contextmanager
def local_client(
    workers: int = 1, threads: int = 1, *, processes: bool = False, active: bool = False
) -> Iterator[Client]:
    """Start a cluster, of threads of this process unless `processes`; `active`: all find it."""
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=threads, processes=processes,
            dashboard_address=":0", silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=active) as client,
    ):  # fmt: skip
        yield client
