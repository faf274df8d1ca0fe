"""Threads of the CPU engines, also in a process that was forked.

After ``fork`` no thread of the parent is there: neither those of this module nor those of PyTorch
(OpenMP), whose next parallel loop in the child would wait for them for ever. So a forked child
starts with one thread, as PyTorch gives those of its `DataLoader`; `torch.set_num_threads` in the
child is the caller's own risk. Processes that are spawned have all threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from mcsc.backend.threads import single_threaded_blas

Map = Callable[[Callable[[Any], Any], list[Any]], list[Any]]

# Threads that stay, by their number: a training step calls for them a dozen times.
_pools: dict[int, ThreadPoolExecutor] = {}


def _after_fork_in_child() -> None:
    _pools.clear()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _alone() -> None:
    torch.get_num_threads()  # a thread takes the common number at its first call, not before
    torch.set_num_threads(1)


def _pool(count: int) -> ThreadPoolExecutor:
    """Threads in which PyTorch starts none of its own, all of them started."""
    # PyTorch's number of threads belongs to the calling thread, but what it was set to last is
    # what threads that come later begin with: it is put back.
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "unfolded", initializer=_alone)
    everyone = threading.Barrier(count)
    list(pool.map(lambda _: everyone.wait(), range(count)))
    torch.set_num_threads(before)
    return pool


def _as_here(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function in the calling thread's inference mode, which other threads do not have."""
    mode = torch.is_inference_mode_enabled()

    def run(item: Any) -> Any:
        with torch.inference_mode(mode):
            return function(item)

    return run


@contextmanager
def torch_threads() -> Iterator[Map]:
    """As many threads as PyTorch has, in each of which PyTorch and BLAS work alone."""
    count = torch.get_num_threads()
    with single_threaded_blas():
        if count == 1:
            yield lambda function, items: [function(item) for item in items]
            return
        pool = _pools.get(count) or _pools.setdefault(count, _pool(count))
        yield lambda function, items: list(pool.map(_as_here(function), items))
