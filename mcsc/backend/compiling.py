"""Compilation of kernels by Numba, kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import njit
from numba.core.compiler_lock import global_compiler_lock

from ..errors import UnavailableError, warn_user
from . import threads

__all__ = ["compiled"]

_told: list[str] = []

threads.hold_over_forks(global_compiler_lock)


def _refused(*given: Any, **options: Any) -> Any:
    raise UnavailableError(
        "NUMBA_DISABLE_JIT is set, but the kernels of mcsc work compiled only: unset it"
    )


def _tell_once(name: str, reason: str) -> None:
    if not _told:
        _told.append(name)
        warn_user(
            f"{reason}: they are compiled anew, which takes some seconds each time; "
            "NUMBA_CACHE_DIR may name another folder",
            RuntimeWarning,
        )


def _let_saving_fail(kernel: Any) -> None:
    """Let a kernel that is compiled run, though its machine code cannot be written to the cache."""
    cache = kernel._cache
    save = cache.save_overload

    def saved(*given: Any) -> None:
        try:
            save(*given)
        except OSError as error:
            reason = error.strerror or error
            _tell_once(
                kernel.__name__, f"compiled kernels cannot be kept in {cache.cache_path} ({reason})"
            )

    cache.save_overload = saved


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator `numba.njit` with these options, a disk cache, and without the GIL.

    In an installation that cannot be written to, of a user without a home folder (containers,
    modules of a cluster), Numba finds no place for its cache and refuses to compile. There kernels
    are compiled anew by every process, and a warning says so once. So they are where the folder of
    the cache is full, which Numba notices only when it has compiled.

    Parameters
    ----------
    **options
        Options of `numba.njit`.

    Warns
    -----
    RuntimeWarning
        There is no place for the cache.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return _refused
        try:
            made = njit(nogil=True, cache=True, error_model="numpy", **options)(function)
            _let_saving_fail(made)
            return made
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
        _tell_once(function.__name__, "there is no folder in which compiled kernels could be kept")
        return njit(nogil=True, error_model="numpy", **options)(function)

    return decorate
