"""Kernels of the CPU path, compiled by Numba (cached on disk), one thread each, without the GIL."""

from __future__ import annotations

from typing import Any

from numba import njit

_jit: Any = njit(nogil=True, cache=True, fastmath={"contract", "nsz"}, error_model="numpy")


@_jit
def threshold(values, lam, out):  # type: ignore[no-untyped-def]
    """``out <- S(values)``, flat arrays; a negative lam makes the values grow."""
    zero = values.dtype.type(0)
    if lam >= zero:
        for i in range(values.size):
            t = values[i]
            out[i] = max(t - lam, zero) + min(t + lam, zero)
    else:
        for i in range(values.size):
            t = values[i]
            out[i] = t - lam if t > zero else (t + lam if t < zero else zero)


@_jit
def step(maps, drive, change, lam):  # type: ignore[no-untyped-def]
    """``maps <- S(maps - change + drive)``, flat arrays."""
    zero = maps.dtype.type(0)
    if lam >= zero:
        for i in range(maps.size):
            t = maps[i] - change[i] + drive[i]
            maps[i] = max(t - lam, zero) + min(t + lam, zero)
    else:
        for i in range(maps.size):
            t = maps[i] - change[i] + drive[i]
            maps[i] = t - lam if t > zero else (t + lam if t < zero else zero)
