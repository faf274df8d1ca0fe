"""Kernels of the CPU path, compiled by Numba (cached on disk), one thread each, without the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from mcsc.backend.compiling import compiled

_ZERO = np.float32(0)

# reassoc lets the sum in `gate_maps` be vectorised.
_jit: Any = compiled(fastmath={"contract", "nsz", "reassoc"})


def _widen(value: Any) -> Any:
    """A number of an array as float32; integers are the bits of a bfloat16."""


def _narrow(value: Any, like: Any) -> Any:
    """The inverse of `_widen` for an array, rounded to the nearest, ties to even."""


@overload(_widen, inline="always")
def _widen_of(value):  # type: ignore[no-untyped-def]
    if isinstance(value, types.Integer):
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


@overload(_narrow, inline="always")
def _narrow_of(value, like):  # type: ignore[no-untyped-def]
    if not isinstance(like.dtype, types.Integer):
        return lambda value, like: value

    def rounded(value, like):  # type: ignore[no-untyped-def]
        found = np.float32(value).view(np.uint32)
        odd = (found >> np.uint32(16)) & np.uint32(1)
        return np.uint16((found + np.uint32(0x7FFF) + odd) >> np.uint32(16))

    return rounded


@_jit
def _shrink(value, lam):  # type: ignore[no-untyped-def]
    """S of one number."""
    size = max(abs(value) - lam, _ZERO)
    return size if value > _ZERO else (-size if value < _ZERO else _ZERO)


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
def gate_maps(maps, grad, more, total):  # type: ignore[no-untyped-def]
    """Gradient through ``maps = S(...)``, all (P, K): 0 where the maps are.

    ``grad <- gated(grad + more); total <- total + grad``, without `more`, `total` where they are
    None. Returns the sums of sign(maps) grad for each map: minus the gradients in its threshold.
    """
    count = maps.shape[1]
    signed = np.zeros(count)
    part = np.zeros(count, np.float32)
    # Sums of 256 pixels in single precision, their sum in double.
    for start in range(0, maps.shape[0], 256):
        part[:] = 0
        for i in range(start, min(start + 256, maps.shape[0])):
            m, g = maps[i], grad[i]
            for k in range(count):
                value = _widen(g[k])
                if more is not None:
                    value += _widen(more[i, k])
                sign = _widen(m[k])
                value = value if sign != _ZERO else _ZERO
                part[k] += value if sign > _ZERO else -value
                g[k] = _narrow(value, g)
                if total is not None:
                    total[i, k] = _narrow(_widen(total[i, k]) + value, total)
        for k in range(count):
            signed[k] += part[k]
    return signed


@_jit
def threshold_maps(values, lam, out):  # type: ignore[no-untyped-def]
    """``out <- S(values)``, (P, K) with a threshold for each map, (K,)."""
    for i in range(values.shape[0]):
        v, o = values[i], out[i]
        for k in range(lam.size):
            o[k] = _narrow(_shrink(_widen(v[k]), lam[k]), o)


@_jit
def step_maps(maps, drive, change, lam, out):  # type: ignore[no-untyped-def]
    """``out <- S(maps - change + drive)``, (P, K) with a threshold for each map, (K,)."""
    for i in range(maps.shape[0]):
        m, d, c, o = maps[i], drive[i], change[i], out[i]
        for k in range(lam.size):
            t = _widen(m[k]) - _widen(c[k]) + _widen(d[k])
            o[k] = _narrow(_shrink(t, lam[k]), o)


@_jit
def unfold_rows(image, size, out):  # type: ignore[no-untyped-def]
    """Give each pixel the s pixels of its row that filters see: (n, H, W, C) to (n, ., W, s C).

    Zeros outside the image and in channels beyond s C; s - 1 rows more than the image has.
    """
    n, height, width, channels = image.shape
    before = (size - 1) // 2
    line = np.zeros((width + size - 1) * channels, out.dtype)
    for b in range(n):
        for r in range(height + size - 1):
            i = r - before
            if i < 0 or i >= height:
                out[b, r] = 0
                continue
            source = image[b, i].ravel()
            target = line[before * channels : (before + width) * channels]
            for j in range(source.size):
                target[j] = _narrow(source[j], target)
            for j in range(width):
                one, seen = out[b, r, j], line[j * channels : (j + size) * channels]
                for t in range(seen.size):
                    one[t] = seen[t]
                for t in range(seen.size, one.size):
                    one[t] = 0


@_jit
def fold_rows(columns, size, image):  # type: ignore[no-untyped-def]
    """The adjoint of `unfold_rows` on the image's own rows: (n, ., W, s C) to (n, H, W, C)."""
    n, height, width, channels = image.shape
    before = (size - 1) // 2
    line = np.empty((width + size - 1) * channels, np.float32)
    for b in range(n):
        for i in range(height):
            line[:] = 0
            for j in range(width):
                one, seen = columns[b, i, j], line[j * channels : (j + size) * channels]
                for t in range(seen.size):
                    seen[t] += _widen(one[t])
            source = line[before * channels : (before + width) * channels]
            target = image[b, i].ravel()
            for j in range(target.size):
                target[j] = source[j]
