"""Processes that work for another one: how many threads their solvers take."""

from __future__ import annotations

import os
import uuid

from .threads import get_num_threads, set_num_threads

__all__ = ["this_process", "worker_threads"]

_THIS = uuid.uuid4().hex


def this_process() -> str:
    """Return what tells this process from others, on whatever machine."""
    return _THIS


def worker_threads(threads: int, caller: str) -> None:
    """Let the solvers of a worker take so many threads.

    The environment's ``MCSC_NUM_THREADS`` goes before, and the caller's own process, where a worker
    may be a thread, is left as it is.

    Parameters
    ----------
    threads : int
    caller : str
        What `this_process` says where the work is given out.
    """
    if caller == _THIS or os.environ.get("MCSC_NUM_THREADS"):
        return
    if get_num_threads() != threads:
        set_num_threads(threads)
