"""Kernels compiled by Numba (cached on disk), one thread each, without the GIL.

Each is the fused form of the `Backend` method of the same name. Arrays of codes are whole and
C-contiguous, (N, K, H, W), addressed at an offset: a strided view would not be vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiling import compiled

# reassoc and contract let sums and multiply-adds be vectorised; infinities stay meaningful
# because nnan and ninf are not given (thresholds are infinite off the grid).
_jit: Any = compiled(fastmath={"reassoc", "contract", "nsz"})


@_jit
def ista_update(x, g, n0, k0, i0, step, thresholds):  # type: ignore[no-untyped-def]
    """``x, g <- S(x + step g)``."""
    zero = g.dtype.type(0)
    for n in range(g.shape[0]):
        for k in range(g.shape[1]):
            t = thresholds[k0 + k]
            for i in range(g.shape[2]):
                xr = x[n0 + n, k0 + k, i0 + i]
                gr = g[n, k, i]
                for j in range(g.shape[3]):
                    value = xr[j] + step * gr[j]
                    new = max(value - t, zero) + min(value + t, zero)
                    xr[j] = new
                    gr[j] = new


@_jit
def fista_update(x, previous, g, n0, k0, i0, step, thresholds, beta):  # type: ignore[no-untyped-def]
    """``p = x + beta (x - previous); previous, g <- S(p + step g)``; returns <p - new, new - x>."""
    zero = g.dtype.type(0)
    total = 0.0
    for n in range(g.shape[0]):
        for k in range(g.shape[1]):
            t = thresholds[k0 + k]
            for i in range(g.shape[2]):
                xr = x[n0 + n, k0 + k, i0 + i]
                pr = previous[n0 + n, k0 + k, i0 + i]
                gr = g[n, k, i]
                row = zero
                for j in range(g.shape[3]):
                    point = xr[j] + beta * (xr[j] - pr[j])
                    value = point + step * gr[j]
                    new = max(value - t, zero) + min(value + t, zero)
                    row += (point - new) * (new - xr[j])
                    pr[j] = new
                    gr[j] = new
                total += row
    return total


@_jit
def admm_update(v, g, n0, k0, i0, thresholds, penalty, alpha):  # type: ignore[no-untyped-def]
    """Over-relaxed ADMM update of v = y + u; `g` becomes y - u; returns the five sums."""
    zero = g.dtype.type(0)
    one = g.dtype.type(1)
    everywhere = penalty.shape[0] == 1 and penalty.shape[1] == 1
    primal = dual = free = sparse = scaled = 0.0
    ones = np.ones(g.shape[3], dtype=g.dtype)
    for n in range(g.shape[0]):
        for k in range(g.shape[1]):
            t = thresholds[k0 + k]
            for i in range(g.shape[2]):
                vr = v[n0 + n, k0 + k, i0 + i]
                gr = g[n, k, i]
                w = ones if everywhere else penalty[i0 + i]
                r1 = r2 = r3 = r4 = r5 = zero
                for j in range(g.shape[3]):
                    tj = t * w[j]
                    old = vr[j]
                    y = max(old - tj, zero) + min(old + tj, zero)
                    u = old - y
                    a = y - u + gr[j]
                    new = y + (one - alpha) * u + alpha * gr[j]
                    y_new = max(new - tj, zero) + min(new + tj, zero)
                    u_new = new - y_new
                    vr[j] = new
                    gr[j] = y_new - u_new
                    r1 += (a - y_new) * (a - y_new)
                    r2 += (y_new - y) * (y_new - y)
                    r3 += a * a
                    r4 += y_new * y_new
                    r5 += u_new * u_new
                primal += r1
                dual += r2
                free += r3
                sparse += r4
                scaled += r5
    return primal, dual, free, sparse, scaled


# Both cut slices that are indexed from zero: a sum as an index could be negative for all the
# compiler knows, and the loop would not be vectorised.


@_jit
def gather_patches(padded, top, left, rows, width, size, out):  # type: ignore[no-untyped-def]
    """Copy the s x s patches of a window of a padded image (C, ., .) to (C s s, rows width)."""
    for c in range(padded.shape[0]):
        for p in range(size):
            for q in range(size):
                for i in range(rows):
                    source = padded[c, top + i + p, left + q : left + q + width]
                    target = out[(c * size + p) * size + q, i * width : (i + 1) * width]
                    for j in range(width):
                        target[j] = source[j]


@_jit
def scatter_patches(patches, rows, width, size, top, left, image):  # type: ignore[no-untyped-def]
    """Add patches (C s s, rows width) onto an image (C, ., .) whose window begins at top, left."""
    for c in range(patches.shape[0] // (size * size)):
        for i in range(rows):
            for p in range(size):
                for q in range(size):
                    source = patches[(c * size + p) * size + q, i * width : (i + 1) * width]
                    target = image[c, top + i + p, left + q : left + q + width]
                    for j in range(width):
                        target[j] += source[j]
