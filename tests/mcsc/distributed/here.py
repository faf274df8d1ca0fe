"""Blocks without a cluster: each task is done when its turn comes."""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import Future

import dask

from mcsc.backend.processes import this_process
from mcsc.distributed.layers import Layers
from mcsc.distributed.solve import prepared
from mcsc.distributed.store import CodeStore
from mcsc.distributed.sweeps import Sweeps
from mcsc.distributed.tasks import Job

_MEMORY = "/dev/shm"


class Here:
    """A `TaskRunner` of this process."""

    def each(self, items, task):
        for item in items:
            future = Future()
            function, arrays = task(item)
            future.set_result(function(*arrays))
            yield item, future


def solve_here(
    signals, dictionary, lam, boundary, block, *, tol=1e-4, masks=None, max_sweeps=200, folder=None,
    mu=0.0, nonnegative=False,
):  # fmt: skip
    """`solve_blocks` in this process."""
    images, weights, lams, record = prepared(
        signals, dictionary, lam, boundary, masks, block, mu=mu, nonnegative=nonnegative
    )
    # The same arrays without Dask, whose graphs cost more than such small images.
    images, weights, lams = dask.compute(images, weights, lams, scheduler="synchronous")
    if folder is None:
        # In memory where the system has such a folder: a disk takes longer than such small blocks.
        made = tempfile.mkdtemp(dir=_MEMORY if os.path.isdir(_MEMORY) else None)
        store = CodeStore(made, temporary=True)
    else:
        store = CodeStore(folder)
    layers = store.begin(record)
    job = Job(store, 1, this_process())
    started = time.perf_counter()
    sweeps = Sweeps(
        Here(),
        store,
        record,
        job,
        images,
        weights,
        lams,
        Layers(record.cover, layers),
        tol,
        started,
    )
    return sweeps.run(max_sweeps, None, progress=False)
