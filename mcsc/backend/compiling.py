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


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator `numba.njit` with these options, a disk cache, and without the GIL.

    In an installation that cannot be written to, of a user without a home folder (containers,
    modules of a cluster), Numba finds no place for its cache and refuses to compile. There kernels
    are compiled anew by every process, and a warning says so once.

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
            return njit(nogil=True, cache=True, error_model="numpy", **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
        if not _told:
            _told.append(function.__name__)
            warn_user(
                "there is no folder in which compiled kernels could be kept: they are compiled "
                "anew, which takes some seconds each time; NUMBA_CACHE_DIR may name one",
                RuntimeWarning,
            )
        return njit(nogil=True, error_model="numpy", **options)(function)

    return decorate
