"""Triton kernels of `unfolded.engines.pointwise`. Import it only where Triton is installed."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_jit: Any = triton.jit


@_jit  # type: ignore[untyped-decorator]
def _step(  # type: ignore[no-untyped-def]
    maps, drive, change, thresholds, out, count, pixels,
    GO_ON: tl.constexpr, MAPS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """``out <- S(maps - change + drive)``; without GO_ON ``S(change)``. Maps are (n, P, K)."""
    sample = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    number = tl.arange(0, MAPS)
    here = (sample * pixels + pixel)[:, None] * count + number[None, :]
    inside = (pixel < pixels)[:, None] & (number < count)[None, :]
    value = tl.load(change + here, mask=inside, other=0.0).to(tl.float32)
    if GO_ON:
        value = tl.load(maps + here, mask=inside, other=0.0).to(tl.float32) - value
        value += tl.load(drive + here, mask=inside, other=0.0).to(tl.float32)
    lam = tl.load(thresholds + sample * count + number, mask=number < count, other=0.0)
    size = tl.maximum(tl.abs(value) - lam[None, :], 0.0)
    # A negative threshold leaves zeros alone.
    made = tl.where(value > 0, size, tl.where(value < 0, -size, 0.0))
    tl.store(out + here, made.to(out.dtype.element_ty), mask=inside)


@_jit  # type: ignore[untyped-decorator]
def _gate(  # type: ignore[no-untyped-def]
    maps, grad, more, total, sums, count, pixels,
    MORE: tl.constexpr, TOTAL: tl.constexpr, MAPS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """`pointwise.gate`; `sums` (n, programs, K) are those of each program's pixels."""
    sample = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    number = tl.arange(0, MAPS)
    here = (sample * pixels + pixel)[:, None] * count + number[None, :]
    inside = (pixel < pixels)[:, None] & (number < count)[None, :]
    there = tl.load(maps + here, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(grad + here, mask=inside, other=0.0).to(tl.float32)
    if MORE:
        value += tl.load(more + here, mask=inside, other=0.0).to(tl.float32)
    value = tl.where(there != 0, value, 0.0)
    tl.store(grad + here, value.to(grad.dtype.element_ty), mask=inside)
    if TOTAL:
        before = tl.load(total + here, mask=inside, other=0.0).to(tl.float32)
        tl.store(total + here, (before + value).to(total.dtype.element_ty), mask=inside)
    signed = tl.sum(tl.where(there > 0, value, -value), axis=0)
    place = (sample * tl.num_programs(0) + tl.program_id(0)) * count + number
    tl.store(sums + place, signed, mask=number < count)


def step(
    maps: Tensor | None, drive: Tensor | None, change: Tensor, lam: Tensor, out: Tensor, block: int
) -> None:
    """`pointwise.step`, and without maps and drive `pointwise.threshold`."""
    n, pixels, count = _sizes(out)
    goes_on = maps is not None
    _step[(triton.cdiv(pixels, block), n)](
        maps if goes_on else change, drive if goes_on else change, change, lam, out, count, pixels,
        GO_ON=goes_on, MAPS=triton.next_power_of_2(count), PIXELS=block,
    )  # fmt: skip


def gate(
    maps: Tensor, grad: Tensor, more: Tensor | None, total: Tensor | None, block: int
) -> Tensor:
    """`pointwise.gate`."""
    n, pixels, count = _sizes(grad)
    programs = triton.cdiv(pixels, block)
    sums = torch.empty((n, programs, count), dtype=torch.float32, device=grad.device)
    _gate[(programs, n)](
        maps, grad, grad if more is None else more, grad if total is None else total, sums,
        count, pixels, MORE=more is not None, TOTAL=total is not None,
        MAPS=triton.next_power_of_2(count), PIXELS=block,
    )  # fmt: skip
    return sums.sum(1, dtype=torch.float64)


def _sizes(maps: Tensor) -> tuple[int, int, int]:
    n, height, width, count = maps.shape
    return n, height * width, count
