"""Threads: one pool, single-threaded BLAS inside its tasks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from ..checks import check_whole
from ..errors import InvalidValueError

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_threads: int | None = None
_pool: ThreadPoolExecutor | None = None
_controller: Any = None
_blas_users = 0
_blas_limit: Any = None


def get_num_threads() -> int:
    """Number of threads that the CPU solvers use.

    As `set_num_threads` set it, else the environment's ``MCSC_NUM_THREADS``, else the number of
    cores that this process may run on.
    """
    global _threads
    if _threads is None:
        asked = os.environ.get("MCSC_NUM_THREADS", "")
        if asked and not (asked.isdecimal() and int(asked) >= 1):
            raise InvalidValueError(
                f"MCSC_NUM_THREADS must be a whole number >= 1, found {asked!r}"
            )
        if asked:
            _threads = int(asked)
        elif hasattr(os, "sched_getaffinity"):
            _threads = len(os.sched_getaffinity(0))
        else:
            _threads = os.cpu_count() or 1
    return _threads


def set_num_threads(n: int) -> None:
    """Set the number of threads that the CPU solvers use from now on (n >= 1)."""
    global _threads, _pool
    n = check_whole("the number of threads", n)
    with _lock:
        _threads = n
        _pool = None


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(get_num_threads(), thread_name_prefix="mcsc")
        return _pool


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread: the tasks of the pool already use every core.

    The setting is the process's own, so overlapping users share one limit, and the last one out
    puts back what was found.
    """
    global _controller, _blas_users, _blas_limit
    with _lock:
        if _controller is None:
            from threadpoolctl import ThreadpoolController

            _controller = ThreadpoolController()
        if _blas_users == 0:
            _blas_limit = _controller.limit(limits=1, user_api="blas")
        _blas_users += 1
    try:
        yield
    finally:
        with _lock:
            _blas_users -= 1
            if _blas_users == 0:
                _blas_limit.restore_original_limits()


def map_in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Apply `function` to every item on the pool; results in the order of the items.

    Each thread takes the next item when it is free, so items may differ in cost. An exception in
    one task, or Ctrl-C, stops the others before their next item and is raised when all are still.
    """
    results: list[Any] = [None] * len(items)
    workers = min(get_num_threads(), len(items))
    if workers <= 1:
        with single_threaded_blas():
            return [function(item) for item in items]
    stop = threading.Event()
    queue = iter(range(len(items)))  # next() on it is atomic under the GIL
    queue_lock = threading.Lock()

    def work() -> None:
        while not stop.is_set():
            with queue_lock:
                i = next(queue, None)
            if i is None:
                return
            try:
                results[i] = function(items[i])
            except BaseException:
                stop.set()
                raise

    with single_threaded_blas():
        pool = _executor()
        futures: list[Future[None]] = [pool.submit(work) for _ in range(workers - 1)]
        try:
            work()
        finally:
            # The tasks write into arrays of the caller's: none may still run when this returns.
            wait(futures)
        for future in futures:
            future.result()
    return results
