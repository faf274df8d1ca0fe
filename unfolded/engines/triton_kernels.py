"""Triton kernels of `unfolded.engines.gpu`. Import it only where Triton is installed.

``TRITON_INTERPRET=1`` in the environment, before this is imported, runs them on a CPU, slowly.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from triton import knobs

_jit: Any = triton.jit

INTERPRETED = bool(knobs.runtime.interpret)
"""True: NumPy runs the kernels, on any device."""


@_jit
def to_tf32(values):  # type: ignore[no-untyped-def]
    """Round float32 to the 11 bits of TF32; tensor cores would cut the others off."""
    return ((values.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)


@_jit  # type: ignore[untyped-decorator]
def lift(  # type: ignore[no-untyped-def]
    image, filters, offsets, maps, drive, thresholds,
    count, height, width, tiles, pitch, image_size,
    TAPS: tl.constexpr, GO_ON: tl.constexpr, DRIVE: tl.constexpr, PRECISION: tl.constexpr,
    MAPS: tl.constexpr, PIXELS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """``maps <- S(maps + filters @ patches(image))``; without GO_ON, without the maps before.

    DRIVE "adds": those are added to what is in S, too. "keeps": what is in S becomes the drive.

    A program makes MAPS maps of PIXELS pixels of a row. The image is padded, so that every patch is
    inside; `offsets` are those of a patch's TAPS numbers from its first, and `filters` are
    (maps, TAPS), filled up with zeros to multiples of STEP and MAPS. For TF32 both are rounded.
    `thresholds` are (samples, maps).
    """
    place = tl.program_id(0)
    row = place // tiles
    column = place % tiles * PIXELS
    sample = tl.program_id(2).to(tl.int64)
    pixel = tl.arange(0, PIXELS)
    number = tl.program_id(1) * MAPS + tl.arange(0, MAPS)

    corner = image + sample * image_size + row * pitch + column
    taken = tl.arange(0, STEP)
    left = filters + number[:, None] * TAPS
    change = tl.zeros((MAPS, PIXELS), tl.float32)
    for first in range(0, TAPS, STEP):
        a = tl.load(left + (first + taken)[None, :])
        offset = tl.load(offsets + first + taken)
        b = tl.load(corner + offset[:, None] + pixel[None, :])
        change = tl.dot(a, b.to(a.dtype), change, input_precision=PRECISION)

    plane = (sample * count + number)[:, None] * height + row
    here = plane * width + (column + pixel)[None, :]
    inside = (number < count)[:, None] & (column + pixel < width)[None, :]
    if GO_ON:
        change += tl.load(maps + here, mask=inside, other=0.0).to(tl.float32)
    if DRIVE == "adds":
        change += tl.load(drive + here, mask=inside, other=0.0).to(tl.float32)
    if DRIVE == "keeps":
        tl.store(drive + here, change.to(drive.dtype.element_ty), mask=inside)
    found = tl.load(thresholds + sample * count + number, mask=number < count, other=0.0)
    size = tl.maximum(tl.abs(change) - found[:, None], 0.0)
    # As sign(t) max(|t| - lambda, 0): a negative threshold leaves zeros alone.
    made = tl.where(change > 0, size, tl.where(change < 0, -size, 0.0))
    tl.store(maps + here, made.to(maps.dtype.element_ty), mask=inside)


@_jit  # type: ignore[untyped-decorator]
def reduce_rows(  # type: ignore[no-untyped-def]
    maps, filters, rows,
    count, height, width, tiles,
    SIZE: tl.constexpr, SUMS: tl.constexpr, ALL_LINES: tl.constexpr, FILTERS: tl.constexpr,
    PRECISION: tl.constexpr, LINES: tl.constexpr, PIXELS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Convolve maps along rows and add them up: ``rows[dy, c] = sum_k,dx w[dx, (dy, c), k] maps``.

    A program makes LINES of the SUMS = SIZE x channels images, PIXELS pixels of a row; `filters`
    are (SIZE, ALL_LINES, FILTERS), with zeros where the last two are more than there are.
    """
    place = tl.program_id(0)
    row = place // tiles
    column = place % tiles * PIXELS
    sample = tl.program_id(1).to(tl.int64)
    pixel = column + tl.arange(0, PIXELS)
    line = tl.program_id(2) * LINES + tl.arange(0, LINES)
    number = tl.arange(0, STEP)

    found = tl.zeros((LINES, PIXELS), tl.float32)
    for dx in range(0, SIZE):
        source = pixel + dx - SIZE // 2
        seen = (source >= 0) & (source < width)
        for first in range(0, FILTERS, STEP):
            k = first + number
            a = tl.load(filters + (dx * ALL_LINES + line[:, None]) * FILTERS + k[None, :])
            plane = ((sample * count + k)[:, None] * height + row) * width
            b = tl.load(
                maps + plane + source[None, :], mask=(k < count)[:, None] & seen[None, :], other=0.0
            )
            if PRECISION == "tf32":
                b = to_tf32(b)
            found = tl.dot(a, b, found, input_precision=PRECISION)

    plane = ((sample * SUMS + line)[:, None] * height + row) * width
    tl.store(rows + plane + pixel[None, :], found, mask=(line < SUMS)[:, None] & (pixel < width))


@_jit  # type: ignore[untyped-decorator]
def add_rows(  # type: ignore[no-untyped-def]
    rows, image,
    height, width, tiles, pitch, image_size, plane_size, margin,
    SIZE: tl.constexpr, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, ROUND: tl.constexpr,
):  # fmt: skip
    """``image[c, y] <- sum_dy rows[dy, c, y + dy - SIZE // 2]``, into an image with a margin.

    With ROUND, as `lift` multiplies it in TF32.
    """
    place = tl.program_id(0)
    row = place // tiles
    pixel = place % tiles * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1).to(tl.int64)
    sample = tl.program_id(2).to(tl.int64)
    total = tl.zeros((PIXELS,), tl.float32)
    for dy in range(0, SIZE):
        source = row + dy - SIZE // 2
        plane = (sample * SIZE + dy) * CHANNELS + channel
        seen = (pixel < width) & (source >= 0) & (source < height)
        total += tl.load(rows + (plane * height + source) * width + pixel, mask=seen, other=0.0)
    if ROUND:
        total = to_tf32(total)
    start = sample * image_size + channel * plane_size + (row + margin) * pitch + margin
    tl.store(image + start + pixel, total, mask=pixel < width)
