"""Kernels of the CPU path, compiled by Numba (cached on disk), one thread each, without the GIL."""

from __future__ import annotations

from typing import Any

from mcsc.backend.compiling import compiled

# reassoc lets the sum in `gate` be vectorised.
_jit: Any = compiled(fastmath={"contract", "nsz", "reassoc"})


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
def step(maps, drive, change, lam, out):  # type: ignore[no-untyped-def]
    """``out <- S(maps - change + drive)``, flat arrays; `out` may be `maps`."""
    zero = maps.dtype.type(0)
    if lam >= zero:
        for i in range(maps.size):
            t = maps[i] - change[i] + drive[i]
            out[i] = max(t - lam, zero) + min(t + lam, zero)
    else:
        for i in range(maps.size):
            t = maps[i] - change[i] + drive[i]
            out[i] = t - lam if t > zero else (t + lam if t < zero else zero)


@_jit
def gate(maps, grad, total):  # type: ignore[no-untyped-def]
    """Gradient through ``maps = S(...)``: `grad` <- 0 where maps are, `total` <- total + grad.

    Returns the sum of sign(maps) grad: minus the gradient in the threshold.
    """
    zero = maps.dtype.type(0)
    signed = 0.0
    # Sums of a row of 512 in single precision, their sum in double.
    for start in range(0, maps.size, 512):
        m, g, t = maps[start : start + 512], grad[start : start + 512], total[start : start + 512]
        part = zero
        for i in range(m.size):
            value = g[i] if m[i] != zero else zero
            part += value if m[i] > zero else -value
            g[i] = value
            t[i] += value
        signed += part
    return signed
