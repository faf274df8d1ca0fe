"""Kernels that compute all correlations of tiles of an image, and reduce them at once."""

from __future__ import annotations

from typing import Any

import numpy as np

# `np.dot` in a kernel calls the BLAS that SciPy brings: it must be there when threads are limited.
import scipy.linalg.cython_blas  # noqa: F401

from ..backend.compiling import compiled
from ..backend.cpu_kernels import gather_patches
from ..backend.threads import note_new_blas

note_new_blas()

_FAST: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}


@compiled(**_FAST)
def scan(  # type: ignore[no-untyped-def]
    g, inverse, mu, signed, active_k, active_pixel, active_value, active_lam, best, best_map, every
):
    """Reduce correlations (K, T) times `inverse` to the largest of the inactive maps at each pixel.

    Of `signed` maps negative ones do not count. `every` gets the largest of all maps, those of
    active coefficients after the pull of their square, mu times the value over lam.
    Returns the largest violation of the optimality conditions over lam, of the active coefficients.
    Their correlations are overwritten by zero.
    """
    violation = 0.0
    for q in range(g.shape[1]):
        best[q] = 0
        best_map[q] = 0
        every[q] = 0
    for t in range(active_k.shape[0]):
        k, q, value = active_k[t], active_pixel[t], active_value[t]
        normal = g[k, q] * inverse[k] - mu[k] * value / active_lam[t]
        ratio = normal if signed[k] else abs(normal)
        every[q] = max(every[q], ratio)
        if value > 0:
            violation = max(violation, abs(float(normal) - 1.0))
        elif value < 0:
            violation = max(violation, abs(float(normal) + 1.0))
        else:
            violation = max(violation, float(ratio) - 1.0)
        g[k, q] = 0
    for k in range(g.shape[0]):
        row = g[k]
        factor = inverse[k]
        if signed[k]:
            for q in range(g.shape[1]):
                r = row[q] * factor
                better = r > best[q]
                best[q] = r if better else best[q]
                best_map[q] = k if better else best_map[q]
        else:
            for q in range(g.shape[1]):
                r = abs(row[q]) * factor
                better = r > best[q]
                best[q] = r if better else best[q]
                best_map[q] = k if better else best_map[q]
    for q in range(g.shape[1]):
        every[q] = max(every[q], best[q])
    return violation


@compiled(**_FAST)
def pick(best, best_map, width, cell, most, threshold, out_pixel, out_map):  # type: ignore[no-untyped-def]
    """Choose up to `most` pixels with the largest ratio > threshold in every cell of a strip.

    `best` is (rows * width); returns how many were chosen.
    """
    rows = best.shape[0] // width
    count = 0
    for top in range(0, rows, cell):
        for left in range(0, width, cell):
            bottom, right = min(top + cell, rows), min(left + cell, width)
            for _ in range(most):
                place = -1
                largest = threshold
                for i in range(top, bottom):
                    for j in range(left, right):
                        if best[i * width + j] > largest:
                            largest = best[i * width + j]
                            place = i * width + j
                if place < 0:
                    break
                out_pixel[count] = place
                out_map[count] = best_map[place]
                best[place] = 0
                count += 1
    return count


@compiled(**_FAST)
def look(  # type: ignore[no-untyped-def]
    tiles, windows, padded, size, matrices, groups, largest, inverse, lam, mu, signed,
    bounds, active_k, active_i, active_j, active_value, active_lam,
    cell, most, threshold, ratio, inside, outside, found_pixel, found_map, found,
):  # fmt: skip
    """Compute all correlations on some tiles, one after the other, and what a scan wants of them.

    `padded` (N, C, H', W') holds the patch of every pixel; `matrices` are the filters of all
    groups, and a row of `groups` says which maps and which rows of patches one has (begin, end
    each), and where it begins. `lam` (1, K, h, w) is that of the one tile where it differs within a
    map, else empty. Of every tile, by its number, `inside` and `outside` get the largest
    violations, `ratio` the largest ratio at every pixel; `found_pixel` and `found_map`, by its
    place in `tiles`, the worst violators, `found` of them.
    """
    dtype = padded.dtype
    maps, depth = inverse.shape[0], padded.shape[1] * size * size
    # One set of buffers: fresh megabyte arrays for every tile would page-fault.
    patches = np.empty(depth * largest, dtype)
    block = np.empty(maps * largest, dtype)
    best, every = np.empty(largest, dtype), np.empty(largest, dtype)
    best_map = np.empty(largest, np.int32)
    pixel = np.empty(largest, np.int64)
    for u in range(tiles.shape[0]):
        tile = tiles[u]
        n, top, left, bottom, right = windows[tile]
        rows, cols = bottom - top, right - left
        area = rows * cols
        view = patches[: depth * area].reshape(depth, area)
        gather_patches(padded[n], top, left, rows, cols, size, view)
        g = block[: maps * area].reshape(maps, area)
        for group in range(groups.shape[0]):
            m0, m1, p0, p1, first = groups[group]
            matrix = matrices[first : first + (m1 - m0) * (p1 - p0)].reshape(m1 - m0, p1 - p0)
            np.dot(matrix, view[p0:p1], g[m0:m1])
        if lam.size > 0:
            for k in range(maps):
                for q in range(area):
                    g[k, q] /= lam[0, k, q // cols, q % cols]
        a, b = bounds[tile], bounds[tile + 1]
        if b - a > pixel.shape[0]:
            pixel = np.empty(b - a, np.int64)
        for t in range(a, b):
            pixel[t - a] = (active_i[t] - top) * cols + (active_j[t] - left)
        inside[tile] = scan(
            g, inverse, mu, signed, active_k[a:b], pixel[: b - a], active_value[a:b],
            active_lam[a:b], best[:area], best_map[:area], every[:area],
        )  # fmt: skip
        peak = best[0]
        for q in range(area):
            peak = max(peak, best[q])
            ratio[n, top + q // cols, left + q % cols] = every[q]
        outside[tile] = float(peak) - 1.0
        found[u] = pick(
            best[:area], best_map[:area], cols, cell, most, threshold, found_pixel[u], found_map[u]
        )
