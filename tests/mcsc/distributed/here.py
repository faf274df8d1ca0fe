"""Blocks without a cluster: each task is done when its turn comes."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import Future

import dask

from mcsc.distributed.cluster import run_here
from mcsc.distributed.solve import prepared
from mcsc.distributed.store import CodeStore
from mcsc.distributed.sweeps import Sweeps
from mcsc.distributed.tasks import Job


class Here:
    """A `TaskRunner` of this process."""

    def each(self, items, task):
        for item in items:
            future = Future()
            (found,) = dask.compute(task(item), scheduler="synchronous")
            future.set_result(found)
            yield item, future


def solve_here(
    signals, dictionary, lam, boundary, block, *, tol=1e-4, masks=None, max_sweeps=200, folder=None
):
    """`solve_blocks` in this process."""
    images, weights, record = prepared(signals, dictionary, lam, boundary, masks, block)
    temporary = None
    if folder is None:
        temporary = tempfile.TemporaryDirectory()
        folder = temporary.name
    store = CodeStore(folder)
    layers = store.begin(record)
    job = Job(str(folder), 1, run_here())
    sweeps = Sweeps(
        Here(), store, record, job, images, weights, layers, tol, time.perf_counter()
    )
    return sweeps.run(max_sweeps, None, progress=False, temporary=temporary)
