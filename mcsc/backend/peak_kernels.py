"""Kernels on the correlations of a tile: their largest ratios to lam, looked at again in float64.

Compiled by Numba, one thread each, without the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiling import compiled

_jit: Any = compiled(fastmath={"reassoc", "contract", "nsz"})


@_jit
def reduce_ratios(ratio, signed, free, best, largest):  # type: ignore[no-untyped-def]
    """Largest ratio of every pixel and of every map, from ratios (K, T).

    Of a `signed` map negative ratios do not count. `free` maps, whose codes have a square, are
    left out of `best`.
    """
    for q in range(ratio.shape[1]):
        best[q] = 0
    for k in range(ratio.shape[0]):
        row = ratio[k]
        top = ratio.dtype.type(0)
        if signed[k]:
            for q in range(ratio.shape[1]):
                top = max(top, row[q])
        else:
            for q in range(ratio.shape[1]):
                row[q] = abs(row[q])
                top = max(top, row[q])
        largest[k] = top
        if not free[k]:
            for q in range(ratio.shape[1]):
                best[q] = max(best[q], row[q])


@_jit
def count_above(ratio, threshold):  # type: ignore[no-untyped-def]
    """How many ratios (K, T) reach the threshold of their map."""
    count = 0
    for k in range(ratio.shape[0]):
        row = ratio[k]
        t = threshold[k]
        if t < np.inf:
            for q in range(ratio.shape[1]):
                count += row[q] >= t
    return count


@_jit
def exact_above(  # type: ignore[no-untyped-def]
    ratio, threshold, signed, mu, lam, image, top, left, cols, size,
    filters, first, channel, channels,
):  # fmt: skip
    """Compute in float64 what reaches the threshold of its map.

    `image` is a padded sample (C, ., .), `lam` broadcast to (K, T); filters lie one after the other
    (see `sparse_kernels`). Returns the largest ratio of maps without a square, and the sum of
    ``(|g| - lam)^2 / (2 mu)``, where that is positive, over those with one.
    """
    peak = 0.0
    excess = 0.0
    for k in range(ratio.shape[0]):
        t = threshold[k]
        if not t < np.inf:
            continue
        for q in range(ratio.shape[1]):
            if ratio[k, q] < t:
                continue
            i, j = top + q // cols, left + q % cols
            g = 0.0
            for c in range(channels[k]):
                for p in range(size):
                    row = image[channel[k] + c, i + p, j : j + size]
                    begin = first[k] + (c * size + p) * size
                    f = filters[begin : begin + size]
                    for m in range(size):
                        g += f[m] * row[m]
            if not signed[k]:
                g = abs(g)
            if mu[k] > 0:
                over = max(g - lam[k, q], 0.0)
                excess += over * over / (2 * mu[k])
            else:
                peak = max(peak, g / lam[k, q])
    return peak, excess


@_jit
def exact_all(g, signed, mu, lam):  # type: ignore[no-untyped-def]
    """Compute the same largest ratios from correlations (K, T) in float64."""
    peak = 0.0
    excess = 0.0
    for k in range(g.shape[0]):
        for q in range(g.shape[1]):
            value = g[k, q] if signed[k] else abs(g[k, q])
            if mu[k] > 0:
                over = max(value - lam[k, q], 0.0)
                excess += over * over / (2 * mu[k])
            else:
                peak = max(peak, value / lam[k, q])
    return peak, excess
