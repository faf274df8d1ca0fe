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


# Maps are (n, P, K): samples, pixels, maps. Thresholds are (n, K), one of each map of each sample.


@_jit
def threshold_maps(values, lam, out):  # type: ignore[no-untyped-def]
    """``out <- S(values)``."""
    for n in range(values.shape[0]):
        numbers = lam[n]
        for i in range(values.shape[1]):
            v, o = values[n, i], out[n, i]
            for k in range(numbers.size):
                o[k] = _narrow(_shrink(_widen(v[k]), numbers[k]), o)


@_jit
def step_maps(maps, drive, change, lam, out):  # type: ignore[no-untyped-def]
    """``out <- S(maps - change + drive)``; `out` may be `maps`."""
    # Through a line of its own: a loop that may write what it reads is not vectorised, and takes
    # forty times as long.
    line = np.empty(maps.shape[2], np.float32)
    for n in range(maps.shape[0]):
        numbers = lam[n]
        for i in range(maps.shape[1]):
            m, d, c, o = maps[n, i], drive[n, i], change[n, i], out[n, i]
            for k in range(numbers.size):
                t = _widen(m[k]) - _widen(c[k]) + _widen(d[k])
                line[k] = _shrink(t, numbers[k])
            for k in range(numbers.size):
                o[k] = _narrow(line[k], o)


@_jit
def gate_maps(maps, grad, more, total):  # type: ignore[no-untyped-def]
    """Gradient through ``maps = S(...)``: 0 where the maps are.

    ``grad <- gated(grad + more); total <- total + grad``, without `more`, `total` where they are
    None. Returns the sums over pixels of sign(maps) grad, (n, K): minus the gradients in the
    thresholds.
    """
    count = maps.shape[2]
    signed = np.zeros((maps.shape[0], count))
    part = np.zeros(count, np.float32)
    for n in range(maps.shape[0]):
        # Sums of 256 pixels in single precision, their sum in double.
        for start in range(0, maps.shape[1], 256):
            part[:] = 0
            for i in range(start, min(start + 256, maps.shape[1])):
                m, g = maps[n, i], grad[n, i]
                for k in range(count):
                    value = _widen(g[k])
                    if more is not None:
                        value += _widen(more[n, i, k])
                    sign = _widen(m[k])
                    value = value if sign != _ZERO else _ZERO
                    part[k] += value if sign > _ZERO else -value
                    g[k] = _narrow(value, g)
                    if total is not None:
                        total[n, i, k] = _narrow(_widen(total[n, i, k]) + value, total)
            for k in range(count):
                signed[n, k] += part[k]
    return signed


@_jit
def unfold_rows(image, size, top, out):  # type: ignore[no-untyped-def]
    """Give each pixel the s pixels of its row that filters see: (n, H, W, C) to (n, ., W, s C).

    The rows are those that filters see from row `top` on. Zeros outside the image and in channels
    beyond s C.
    """
    n, height, width, channels = image.shape
    before = (size - 1) // 2
    line = np.zeros((width + size - 1) * channels, out.dtype)
    for b in range(n):
        for r in range(out.shape[1]):
            i = top + r - before
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
