"""Threads: one pool, single-threaded BLAS inside its tasks, and both anew in a forked process.

``fork`` copies the thread that calls it and no other: the child's pool would wait for threads that
are not there, its locks might be held by them, and BLAS might be left at one thread. So whoever
forks waits until this module's state is whole, and the child begins with a fresh one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from ..checks import check_whole
from ..errors import InvalidValueError
from .limits import usable_cores

T = TypeVar("T")
R = TypeVar("R")


class _Shared:
    """What the threads of one process share; `lock` guards the rest."""

    def __init__(self, threads: int | None = None) -> None:
        # A signal handler may fork while its own thread holds the lock.
        self.lock = threading.RLock()
        self.threads = threads
        self.pool: ThreadPoolExecutor | None = None
        self.blas_users = 0
        self.blas_limit: Any = None


shared = _Shared()
"""What the threads of this process share; a forked child has its own."""
_controller: Any = None
_held_over_forks: list[Any] = []
_held: list[Any] = []


def get_num_threads() -> int:
    """Number of threads that the CPU solvers use.

    It is the number that `set_num_threads` set; otherwise that of the environment variable
    ``MCSC_NUM_THREADS``; otherwise the number of cores that this process may use: its affinity, or
    a container's quota if that is less.
    """
    if shared.threads is None:
        asked = os.environ.get("MCSC_NUM_THREADS", "")
        if asked and not (asked.isdecimal() and int(asked) >= 1):
            raise InvalidValueError(
                f"MCSC_NUM_THREADS must be a whole number >= 1, found {asked!r}"
            )
        shared.threads = int(asked) if asked else usable_cores()
    return shared.threads


def set_num_threads(n: int) -> None:
    """Set the number of threads that the CPU solvers use from now on (n >= 1)."""
    n = check_whole("the number of threads", n)
    with shared.lock:
        shared.threads = n
        shared.pool = None


def _executor() -> ThreadPoolExecutor:
    with shared.lock:
        if shared.pool is None:
            shared.pool = ThreadPoolExecutor(get_num_threads(), thread_name_prefix="mcsc")
        return shared.pool


@contextmanager
def not_forked_meanwhile() -> Iterator[None]:
    """Let other threads fork only afterwards.

    Needed round the first import of a module: the child can never import what another thread was
    importing when it was forked, since that thread, which holds the module's lock, is not there.
    """
    with shared.lock:
        yield


def _blas() -> Any:
    """Return what limits BLAS; made once, since it looks through all loaded libraries."""
    global _controller
    found = _controller  # another thread may forget it meanwhile: `note_new_blas`
    if found is None:
        with not_forked_meanwhile():
            from threadpoolctl import ThreadpoolController

            found = _controller = ThreadpoolController()
    return found


def note_new_blas() -> None:
    """Look for libraries again: a BLAS was loaded that may not have been there the last time."""
    global _controller
    _controller = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread: the tasks of the pool already use every core.

    The setting is the process's own, so overlapping users share one limit, and the last one out
    puts back what was found.
    """
    controller, state = _blas(), shared
    with state.lock:
        if state.blas_users == 0:
            state.blas_limit = controller.limit(limits=1, user_api="blas")
        state.blas_users += 1
    try:
        yield
    finally:
        if state is shared:  # not in a child, which was given all of BLAS when it was forked
            with state.lock:
                state.blas_users -= 1
                if state.blas_users == 0:
                    state.blas_limit.restore_original_limits()


def hold_over_forks(lock: Any) -> None:
    """Let whoever forks wait until no other thread holds `lock`, which its child could never have.

    The lock must be reentrant, since a signal handler may fork while its own thread holds it.
    """
    _held_over_forks.append(lock)


def _before_fork() -> None:
    global _held
    shared.lock.acquire()
    _held = list(_held_over_forks)  # another one may come before they are let go
    for lock in _held:
        lock.acquire()


def _after_fork_in_parent() -> None:
    for lock in _held:
        lock.release()
    shared.lock.release()


def _after_fork_in_child() -> None:
    global shared
    for lock in _held:
        lock.release()
    old, shared = shared, _Shared(shared.threads)
    if old.blas_users:
        old.blas_limit.restore_original_limits()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


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
