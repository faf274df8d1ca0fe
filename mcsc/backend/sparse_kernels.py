"""Kernels on sparse codes: correlation and its transpose at given coefficients.

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
from .vector_rows import patch_dot, patch_weighted_dot, row_add, row_take, start

WEIGHTED, EDGE = 1, 2

_FAST: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}


# Inlined by Numba: LLVM would not, and a call costs more than a patch.


@compiled(inline="always", **_FAST)
def dot(rows, image, weights, shape, filters, first, c0, nc, n, i, j, kind):  # type: ignore[no-untyped-def]
    """``D^T w^2 image`` at one coefficient."""
    all_channels, h, w, _, _ = shape
    place = ((n * all_channels + c0) * h + i) * w + j
    if kind & WEIGHTED:
        return patch_weighted_dot(rows, image, weights, place, w, h * w, nc, filters, first)
    return patch_dot(rows, image, place, w, h * w, nc, filters, first)


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
