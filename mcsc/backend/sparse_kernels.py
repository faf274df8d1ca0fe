"""Kernels on sparse codes: coordinate descent, synthesis and correlation at given coefficients.

A coefficient t stands for map ``k[t]``; it touches the s x s patch of its channels that begins at
row ``i[t]`` and column ``j[t]`` of the image, in sample ``n[t]``. Filters lie one after the other
in `filters`: that of map k begins at ``first[k]`` and has ``channels[k]`` channels from
``channel[k]`` on.
``kind[t]`` has the bit `WEIGHTED` where the patch meets squared weights other than one, and `EDGE`
where it must be added to the copies of its pixels on the other side of a periodic image.

Images are 1-D views of (N, C, H', W'), padded so that no patch leaves them; ``shape`` is
(C, H', W', period_h, period_w), the periods larger than the image where it is not periodic. An
empty array of weights means that all are one.

`rows` carries the filter size in its type (see `vector_rows`), so that a row of a patch is one
vector: the kernels are compiled once for each size and precision, and cached on disk.
"""

from __future__ import annotations

from typing import Any

from .compiling import compiled
from .vector_rows import row_add, row_dot, row_take, row_weighted_dot, start

WEIGHTED, EDGE = 1, 2

_FAST: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}


# Inlined by Numba: LLVM would not, and a call costs more than a patch.


@compiled(inline="always", **_FAST)
def dot(rows, image, weights, shape, filters, first, c0, nc, n, i, j, kind):  # type: ignore[no-untyped-def]
    """``D^T w^2 image`` at one coefficient."""
    s = len(rows)
    all_channels, h, w, _, _ = shape
    place = ((n * all_channels + c0) * h + i) * w + j
    if kind & WEIGHTED:
        total = row_weighted_dot(rows, image, weights, place, w, filters, first)
        for c in range(1, nc):
            offset = place + c * h * w
            total += row_weighted_dot(rows, image, weights, offset, w, filters, first + c * s * s)
    else:
        total = row_dot(rows, image, place, w, filters, first)
        for c in range(1, nc):
            total += row_dot(rows, image, place + c * h * w, w, filters, first + c * s * s)
    return total


@compiled(inline="always", **_FAST)
def put(rows, image, shape, filters, first, c0, nc, n, i, j, kind, value):  # type: ignore[no-untyped-def]
    """Add `value` times a filter to its patch and, on a periodic image, to its copies."""
    s = len(rows)
    all_channels, h, w, _, _ = shape
    place = ((n * all_channels + c0) * h + i) * w + j
    for c in range(nc):
        row_add(rows, image, place + c * h * w, w, filters, first + c * s * s, value)
    if kind & EDGE:
        put_copies(rows, image, shape, filters, first, c0, nc, n, i, j, value)


@compiled(**_FAST)
def put_copies(rows, image, shape, filters, first, c0, nc, n, i, j, value):  # type: ignore[no-untyped-def]
    """Add to the copies of a patch one period away."""
    s = len(rows)
    all_channels, h, w, period_h, period_w = shape
    for di in (-period_h, 0, period_h):
        if i + di < 0 or i + di + s > h:
            continue
        for dj in (-period_w, 0, period_w):
            if j + dj < 0 or j + dj + s > w or (di == 0 and dj == 0):
                continue
            place = ((n * all_channels + c0) * h + i + di) * w + j + dj
            for c in range(nc):
                row_add(rows, image, place + c * h * w, w, filters, first + c * s * s, value)


@compiled(**_FAST)
def descend(  # type: ignore[no-untyped-def]
    rows,
    tiles,
    bounds,
    sweeps,
    residual,
    weights,
    shape,
    filters,
    first,
    channel,
    channels,
    mu,
    signed,
    n,
    k,
    i,
    j,
    kind,
    curvature,
    lam,
    value,
):
    """Cyclic coordinate descent on the coefficients of each tile.

    `lam` is one number per coefficient, `mu` and `signed` (values must not be negative) are one per
    map. Returns the largest change of a correlation relative to lam in the last sweep.
    """
    zero = filters.dtype.type(0)
    residual, weights, filters = start(residual), start(weights), start(filters)
    worst = 0.0
    for tile in tiles:
        for sweep in range(sweeps):
            largest = zero
            for t in range(bounds[tile], bounds[tile + 1]):
                m = k[t]
                g = dot(
                    rows,
                    residual,
                    weights,
                    shape,
                    filters,
                    first[m],
                    channel[m],
                    channels[m],
                    n[t],
                    i[t],
                    j[t],
                    kind[t],
                )
                old = value[t]
                z = old * curvature[t] + g
                h = curvature[t] + mu[m]
                new = max(z - lam[t], zero) / h
                if not signed[m]:
                    new += min(z + lam[t], zero) / h
                change = new - old
                if change != zero:
                    value[t] = new
                    put(
                        rows,
                        residual,
                        shape,
                        filters,
                        first[m],
                        channel[m],
                        channels[m],
                        n[t],
                        i[t],
                        j[t],
                        kind[t],
                        -change,
                    )
                    largest = max(largest, abs(change) * h / lam[t])
            if sweep == sweeps - 1:
                worst = max(worst, float(largest))
    return worst


@compiled(**_FAST)
def add(  # type: ignore[no-untyped-def]
    rows, tiles, bounds, image, shape, filters, first, channel, channels, n, k, i, j, kind, value
):
    """``image += D value`` for the coefficients of the tiles."""
    image, filters = start(image), start(filters)
    for tile in tiles:
        for t in range(bounds[tile], bounds[tile + 1]):
            if value[t] != 0:
                m = k[t]
                put(
                    rows,
                    image,
                    shape,
                    filters,
                    first[m],
                    channel[m],
                    channels[m],
                    n[t],
                    i[t],
                    j[t],
                    kind[t],
                    value[t],
                )


@compiled(**_FAST)
def correlate(  # type: ignore[no-untyped-def]
    rows,
    begin,
    end,
    image,
    weights,
    shape,
    filters,
    first,
    channel,
    channels,
    n,
    k,
    i,
    j,
    kind,
    out,
):
    """``out[t] = (D^T w^2 image)[t]`` for coefficients begin .. end."""
    image, weights, filters = start(image), start(weights), start(filters)
    for t in range(begin, end):
        m = k[t]
        out[t] = dot(
            rows,
            image,
            weights,
            shape,
            filters,
            first[m],
            channel[m],
            channels[m],
            n[t],
            i[t],
            j[t],
            kind[t],
        )


@compiled(**_FAST)
def take(rows, begin, end, image, shape, first, channel, channels, n, k, i, j, value, out):  # type: ignore[no-untyped-def]
    """``out_k += sum_t value[t] image[patch of t]`` over the coefficients t of map k.

    The transpose of synthesis as a linear map of the filters, which `out` is laid out as.
    """
    s = len(rows)
    all_channels, h, w, _, _ = shape
    image, out = start(image), start(out)
    for t in range(begin, end):
        m = k[t]
        place = ((n[t] * all_channels + channel[m]) * h + i[t]) * w + j[t]
        for c in range(channels[m]):
            row_take(rows, image, place + c * h * w, w, out, first[m] + c * s * s, value[t])


@compiled(**_FAST)
def measure(  # type: ignore[no-untyped-def]
    rows, weights, shape, filters, first, channel, channels, norms, n, k, i, j, kind, out
):
    """Set ``kind`` and the squared norm of every coefficient's weighted column."""
    weighted = weights.shape[0] > 0
    s = len(rows)
    all_channels, h, w, period_h, period_w = shape
    one = filters.dtype.type(1)
    for t in range(k.shape[0]):
        m = k[t]
        kind[t] = 0
        copied = i[t] >= period_h or j[t] >= period_w
        if i[t] + period_h + s <= h or j[t] + period_w + s <= w or copied:
            kind[t] = EDGE
        out[t] = norms[m]
        if not weighted:
            continue
        total = filters.dtype.type(0)
        plain = True
        for c in range(channels[m]):
            begin = (n[t] * all_channels + channel[m] + c) * h
            for p in range(s):
                for q in range(s):
                    weight = weights[(begin + i[t] + p) * w + j[t] + q]
                    plain = plain and weight == one
                    f = filters[first[m] + (c * s + p) * s + q]
                    total += weight * f * f
        if not plain:
            out[t] = total
            kind[t] |= WEIGHTED


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
def clear(image, windows):  # type: ignore[no-untyped-def]
    """Set windows (sample, top, left, bottom, right) of an image (N, C, H, W) to zero."""
    for m in range(windows.shape[0]):
        n, top, left, bottom, right = windows[m]
        for c in range(image.shape[1]):
            for i in range(top, bottom):
                row = image[n, c, i]
                for j in range(left, right):
                    row[j] = 0


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
