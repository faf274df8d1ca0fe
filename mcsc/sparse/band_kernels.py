"""Kernels on sparse codes that several threads run together, each on a band of tiles.

Tiles that touch a common pixel, neighbours, take their turns in the order of their colours, in
every pass over the image. So results are those of one thread, to the last digit, and no thread
waits for another but at the border of their bands: ``done[tile]`` counts the passes that a tile has
behind it, and a tile waits until its neighbours have come as far as the order of colours asks.

A kernel works until its band is finished, and returns True; or until it has looked `patience` times
for a neighbour in vain, and returns False. Called again, it goes on where it was (`state`). So
there is always a band that can go on, however few threads there are.

Arguments are those of `backend.sparse_kernels`, and ``order[begin:end]``, the tiles of the band,
sorted by colour; ``neighbours`` (tiles, 8) and ``colour`` (tiles,).
"""

from __future__ import annotations

from typing import Any

from ..backend.compiling import compiled
from ..backend.sparse_kernels import dot, put
from ..backend.vector_rows import start
from .atomics import load_acquire, store_release

_FAST: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}

# Of a band: which pass it is in, and how many of its tiles it has behind it there.
PASS, PLACE = 0, 1
CLEAR, ADD, CORRELATE, UPDATE, DECIDE = range(5)  # the passes of a step of conjugate gradients


@compiled(inline="always", **_FAST)
def _ready(tile, neighbours, colour, done, earlier, later):  # type: ignore[no-untyped-def]
    """Whether neighbours of lower colours have done `earlier` passes, and the others `later`."""
    for m in neighbours[tile]:
        if load_acquire(done, m) < (earlier if colour[m] < colour[tile] else later):
            return False
    return True


@compiled(inline="always", **_FAST)
def _wait(tile, neighbours, colour, done, earlier, later, patience):  # type: ignore[no-untyped-def]
    """Wait until a tile is ready; False if patience is at an end."""
    tries = 0
    while not _ready(tile, neighbours, colour, done, earlier, later):
        tries += 1
        if tries >= patience:
            return False
    return True


@compiled(**_FAST)
def descend(  # type: ignore[no-untyped-def]
    rows, begin, end, order, neighbours, colour, state, done, patience,
    passes, sweeps, calm, bounds, residual, weights, shape, filters, first, channel, channels,
    mu, signed, n, k, i, j, kind, curvature, lam, value, moved, worst, changed,
):  # fmt: skip
    """Cyclic coordinate descent: in each of some passes, some sweeps of every tile.

    After the first sweep of a visit those are passed over that `moved` less, by the last change of
    their correlation over lam, than the share `calm` of the most that one did in that sweep.

    `lam` is one number per coefficient, `mu` and `signed` (values must not be negative) are one per
    map. Of every tile, `worst` gets the largest change of a correlation relative to lam in the last
    sweep, and `changed` how often one became zero or nonzero in the last pass.
    """
    zero, one = filters.dtype.type(0), filters.dtype.type(1)
    residual, weights, filters, done = start(residual), start(weights), start(filters), start(done)
    while state[PASS] < passes:
        for place in range(begin + state[PLACE], end):
            tile = order[place]
            behind = state[PASS]
            if not _wait(tile, neighbours, colour, done, behind + 1, behind, patience):
                state[PLACE] = place - begin
                return False
            largest = zero
            least = zero
            turns = 0
            for sweep in range(sweeps):
                if sweep == 1:
                    least = calm * largest
                largest = zero
                for t in range(bounds[tile], bounds[tile + 1]):
                    if sweep > 0 and moved[t] < least:
                        continue
                    m = k[t]
                    f, c, nc = first[m], channel[m], channels[m]
                    g = dot(
                        rows, residual, weights, shape, filters, f, c, nc,
                        n[t], i[t], j[t], kind[t],
                    )  # fmt: skip
                    old = value[t]
                    z = old * curvature[t] + g
                    h = curvature[t] + mu[m]
                    new = max(z - lam[t], zero)
                    if not signed[m]:
                        new += min(z + lam[t], zero)
                    new *= one / h  # known before z is
                    change = new - old
                    moved[t] = abs(change) * h / lam[t]
                    if change != zero:
                        value[t] = new
                        put(
                            rows, residual, shape, filters, f, c, nc,
                            n[t], i[t], j[t], kind[t], -change,
                        )  # fmt: skip
                        largest = max(largest, moved[t])
                        turns += (old == zero) != (new == zero)
            worst[tile] = largest
            changed[tile] = turns
            store_release(done, tile, behind + 1)
        state[PASS] += 1
        state[PLACE] = 0
    return True


@compiled(**_FAST)
def add(  # type: ignore[no-untyped-def]
    rows, begin, end, order, neighbours, colour, state, done, patience,
    bounds, image, shape, filters, first, channel, channels, n, k, i, j, kind, value,
):  # fmt: skip
    """``image += D value``."""
    image, filters, done = start(image), start(filters), start(done)
    for place in range(begin + state[PLACE], end):
        tile = order[place]
        if not _wait(tile, neighbours, colour, done, 1, 0, patience):
            state[PLACE] = place - begin
            return False
        for t in range(bounds[tile], bounds[tile + 1]):
            if value[t] != 0:
                m = k[t]
                put(
                    rows, image, shape, filters, first[m], channel[m], channels[m],
                    n[t], i[t], j[t], kind[t], value[t],
                )  # fmt: skip
        store_release(done, tile, 1)
    state[PLACE] = end - begin
    return True


@compiled(**_FAST)
def conjugate_gradients(  # type: ignore[no-untyped-def]
    rows, begin, end, order, neighbours, colour, state, done, patience,
    band, arrived, numbers, windows, steps, goal, bounds, image, weights, shape,
    filters, first, channel, channels, mu, n, k, i, j, kind, lam, scale, p, q, r, x,
    products, worst,
):  # fmt: skip
    """Minimise ``1/2 <x, A x> - <r, x>`` with ``A = D^T w^2 D + mu``, where `scale` is not zero.

    `scale` is the preconditioner, `p` begins as ``scale r``. It ends after `steps` steps, at
    ``max |r| / lam <= goal``, or when ``<r, scale r>`` is 1e-8 of what it was at first.
    ``numbers[band]`` holds that at first, now, and before; `arrived` counts how often each band has
    come to where all must wait for all; `products` and `worst` have an entry a tile.
    """
    zero = filters.dtype.type(0)
    all_channels, height, width, _, _ = shape
    image, weights, filters = start(image), start(weights), start(filters)
    done, arrived_at = start(done), start(arrived)
    mine = numbers[band]
    while True:
        step_number, phase = state[PASS] // 5, state[PASS] % 5
        behind = 3 * step_number  # passes that every tile had behind it when this step began
        alpha = zero
        if phase in (UPDATE, DECIDE):
            for b in range(arrived.shape[0]):
                tries = 0
                while load_acquire(arrived_at, b) < 2 * step_number + phase - CORRELATE:
                    tries += 1
                    if tries > patience:
                        return False
            # Of all tiles in one order, so that the number of bands does not matter.
            total = 0.0
            for tile in range(products.shape[0]):
                total += products[tile, phase - UPDATE]
            if phase == UPDATE:
                if total <= 0:
                    return True
                alpha = lam.dtype.type(mine[1] / total)
            else:
                largest = 0.0
                for tile in range(worst.shape[0]):
                    largest = max(largest, worst[tile])
                mine[2], mine[1] = mine[1], total
                if step_number + 1 >= steps or total <= 1e-8 * mine[0] or largest <= goal:
                    return True
        beta = lam.dtype.type(mine[1] / mine[2]) if step_number > 0 else zero
        last = begin if phase == DECIDE else end
        for place in range(begin + state[PLACE], last):
            tile = order[place]
            t0, t1 = bounds[tile], bounds[tile + 1]
            if phase == CLEAR:
                if step_number > 0:
                    for t in range(t0, t1):
                        # z = scale r
                        p[t] = scale[t] * r[t] + beta * p[t]
                sample, top, left, bottom, right = windows[tile]
                for c in range(all_channels):
                    for row in range(top, bottom):
                        at = ((sample * all_channels + c) * height + row) * width
                        for column in range(left, right):
                            image[at + column] = zero
                store_release(done, tile, behind + 1)
            elif phase == ADD:
                if not _wait(tile, neighbours, colour, done, behind + 2, behind + 1, patience):
                    state[PLACE] = place - begin
                    return False
                for t in range(t0, t1):
                    if p[t] != zero:
                        m = k[t]
                        put(
                            rows, image, shape, filters, first[m], channel[m], channels[m],
                            n[t], i[t], j[t], kind[t], p[t],
                        )  # fmt: skip
                store_release(done, tile, behind + 2)
            elif phase == CORRELATE:
                if not _wait(tile, neighbours, colour, done, behind + 2, behind + 2, patience):
                    state[PLACE] = place - begin
                    return False
                total = 0.0
                for t in range(t0, t1):
                    q[t] = zero
                    if scale[t] != zero:
                        m = k[t]
                        g = dot(
                            rows, image, weights, shape, filters, first[m], channel[m],
                            channels[m], n[t], i[t], j[t], kind[t],
                        )  # fmt: skip
                        q[t] = g + mu[m] * p[t]
                        total += p[t] * q[t]
                products[tile, 0] = total
                store_release(done, tile, behind + 3)
            elif phase == UPDATE:
                total = 0.0
                largest = zero
                for t in range(t0, t1):
                    x[t] += alpha * p[t]
                    left_over = r[t] - alpha * q[t]
                    r[t] = left_over
                    total += left_over * scale[t] * left_over
                    largest = max(largest, abs(left_over) / lam[t])
                products[tile, 1] = total
                worst[tile] = largest
        state[PLACE] = 0
        state[PASS] += 1
        if phase in (CORRELATE, UPDATE):
            store_release(arrived_at, band, 2 * step_number + phase - CORRELATE + 1)
