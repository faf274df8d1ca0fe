r"""Training: an LCSC module and its gradient, in float32 or with products in bfloat16.

Each layer, threshold and sum of PyTorch reads and writes all maps, forward and backward, and its
convolution is slow where many maps become an image of few channels. Here one function does the
whole module, on a CPU for a few samples at a time: per block two convolutions forward and four
backward (`unfolded.engines.rows`), thresholds and sums in one pass each
(`unfolded.engines.pointwise`).

What is kept for the gradient are the maps :math:`U_0 \ldots U_J` and the images between them, not
what led to them: by its result alone a soft threshold says where it let the gradient through.

Under ``torch.autocast(..., torch.bfloat16)``, on a GPU or on a processor that multiplies in it,
maps are stored and multiplied in bfloat16; sums, thresholds, images and the gradients of the
weights stay in float32.

On a CPU samples are summed in their order, so gradients do not depend on the number of threads.

A gradient that is to be differentiated itself (``create_graph=True``), or that is taken for many
vectors at once, is computed by `unfolded.engines.reference` instead, in float32, from the images
and weights: it takes the time and the memory of PyTorch's own layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from . import pointwise, reference, rows
from .steps import Steps, numbers
from .threads import Map, torch_threads
from .transforms import transformed

SAMPLES = 4
"""At a time on a CPU: a call of the library takes as long as half a sample."""


def serves(image: Tensor, *, training: bool) -> bool:
    """Return True if this engine is allowed: in training, with gradients, in these precisions."""
    kind = image.device.type
    if not training or kind not in ("cpu", "cuda") or not torch.is_grad_enabled():
        return False
    if torch.is_autocast_enabled(kind):
        known = (torch.float32, torch.bfloat16)
        able = kind == "cuda" or rows.has_bfloat16()
        return rows.in_bfloat16(kind) and able and image.dtype in known
    return image.dtype == torch.float32


def maps(steps: Steps, image: Tensor, start: Tensor | None = None) -> Tensor:
    """Return the maps (N, K, H, W) of an LCSC module, differentiable.

    Parameters
    ----------
    steps : Steps
        Regular, float32 on the image's device.
    image : tensor (N, C, H, W)
        x.
    start : tensor (N, K, H, W), optional
        Maps to go on from.

    Returns
    -------
    tensor
        Float32; bfloat16 under autocast. Its channels are last in memory.
    """
    flat = [weight for pair in zip(steps.down, steps.up, strict=True) for weight in pair]
    out: Tensor = _Lcsc.apply(image, steps.thresholds, start, steps.residual, steps.first, *flat)  # type: ignore[no-untyped-call]
    return out


def synthesise(maps: Tensor, weight: Tensor) -> Tensor:
    """Return the image (N, C, H, W), float32, of maps (N, K, H, W), differentiable."""
    out: Tensor = _Synthesis.apply(maps, weight)  # type: ignore[no-untyped-call]
    return out


def _type(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if rows.in_bfloat16(device.type) else torch.float32


def _parts(tensor: Tensor) -> list[slice]:
    """Samples that are computed together; a GPU is kept busy by all of them at once."""
    n, at_once = len(tensor), SAMPLES if rows.by_numba(tensor) else len(tensor)
    return [slice(i, min(i + at_once, n)) for i in range(0, n, at_once)]


@contextmanager
def _threads(tensor: Tensor) -> Iterator[Map]:
    if rows.by_numba(tensor):
        with torch_threads() as run:
            yield run
    else:
        yield lambda function, items: [function(item) for item in items]


def _by_reference(grad: Tensor) -> bool:
    """Return True in a backward pass that needs more than numbers: see the module's docstring."""
    # `torch.autograd.grad(is_grads_batched=True)` is no transform of `torch.func`.
    several = torch._C._functorch.is_legacy_batchedtensor(grad)
    return torch.is_grad_enabled() or transformed() or several


def _reference_gradients(
    function: Callable[..., Tensor], inputs: list[Tensor | None], needed: list[bool], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of a function at those inputs that need one, themselves differentiable."""
    further = torch.is_grad_enabled()
    with torch.enable_grad(), torch.autocast(grad.device.type, enabled=False):
        # Each its own view: tied blocks share tensors, and each use has a gradient of its own.
        seen = [None if t is None else t.view_as(t) for t in inputs]
        out = function(*(None if t is None else t.float() for t in seen))
        at = [t for t, n in zip(seen, needed, strict=True) if n and t is not None]
        found = iter(torch.autograd.grad(out, at, grad.float(), create_graph=further))
    return tuple(next(found) if n else None for n in needed)


def _unrolled(
    image: Tensor, thresholds: Tensor, start: Tensor | None, first: Tensor, *flat: Tensor,
    residual: bool,
) -> Tensor:  # fmt: skip
    """`reference.unroll` of what `_Lcsc` is given."""
    blocks = [
        (partial(reference.synthesise, weight=down), partial(reference.analyse, weight=up))
        for down, up in zip(flat[::2], flat[1::2], strict=True)
    ]
    head = partial(reference.analyse, weight=first)
    return reference.unroll(image, head, blocks, thresholds, residual=residual, start=start)


class _Lcsc(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, thresholds: Tensor, start: Tensor | None, residual: bool,
        first: Tensor, *flat: Tensor,
    ) -> Tensor:  # fmt: skip
        device = image.device
        dtype, blank = _type(device), partial(rows.floats, device=device)
        x = rows.last(image.detach().float())
        n, height, width, channels = x.shape
        filters, _, size, _ = first.shape
        up = [rows.analysis_of(w.to(dtype)) for w in (first, *flat[1::2])]
        down = [rows.synthesis_of(w.to(dtype)) for w in flat[::2]]
        lam = numbers(thresholds, n, filters)
        maps = blank(len(up), n, height, width, filters, dtype=dtype)
        between = blank(len(up), n, height, width, channels)
        between[0] = x
        own = int(start is None)
        if start is not None:
            maps[0] = start.detach().permute(0, 2, 3, 1)

        def work(part: slice) -> None:
            drive = rows.analyse(rows.unfold(x[part], size, dtype), up[0])
            if own:
                pointwise.threshold(drive, lam[0, part], maps[0, part])
            for j in range(1, len(up)):
                old, new = maps[j - 1, part], maps[j, part]
                made = between[j, part] = rows.synthesise(old, down[j - 1], size)
                change = rows.analyse(rows.unfold(made, size, dtype), up[j])
                number = lam[j - 1 + own, part]
                if residual:
                    pointwise.step(old, drive, change, number, new)
                else:
                    pointwise.threshold(change, number, new)

        with _threads(x) as run:
            run(work, _parts(x))
        out = rows.first(maps[-1])
        ctx.kept = maps[:-1], between, size, residual, own
        ctx.save_for_backward(image, thresholds, start, first, *flat, out)  # changed: an error
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        image, thresholds, start, first, *flat, out = ctx.saved_tensors
        before, between, size, residual, own = ctx.kept
        if _by_reference(grad):
            needed = ctx.needs_input_grad
            found = _reference_gradients(
                partial(_unrolled, residual=residual),
                [image, thresholds, start, first, *flat],
                [*needed[:3], *needed[4:]],
                grad,
            )
            return *found[:3], None, *found[3:]
        dtype, blank = out.dtype, partial(rows.floats, device=out.device)
        maps = [*before, rows.last(out.detach())]
        n, height, width, filters = maps[-1].shape
        channels, last = between.shape[-1], len(maps) - 1
        up = [rows.adjoint_of_analysis(w.to(dtype)) for w in (first, *flat[1::2])]
        down = [rows.adjoint_of_synthesis(w.to(dtype)) for w in flat[::2]]
        sign = -1.0 if residual else 1.0
        parts = _parts(maps[-1])
        shape = (filters, channels, size, size)
        for_up = blank(last + 1, len(parts), *shape)
        for_down = blank(last, len(parts), *shape)
        for_lam = blank(n, last + own, filters, dtype=torch.float64)
        for_image = blank(n, height, width, channels) if ctx.needs_input_grad[0] else None
        for_start = torch.empty_like(maps[0]) if ctx.needs_input_grad[2] else None

        def work(number: int) -> None:
            part = parts[number]
            # A copy: it is changed.
            g = grad[part].permute(0, 2, 3, 1).to(dtype, copy=True).contiguous()
            # What reaches E_0 x: of a module without residuals only through U_0.
            drive = torch.zeros_like(g) if residual else None
            more: Tensor | None = None

            def gate(j: int) -> None:
                signed = pointwise.gate(maps[j][part], g, more if residual else None, drive)
                for_lam[part, j - 1 + own] = -signed

            for j in range(last, 0, -1):
                gate(j)
                columns = rows.unfold(between[j, part], size, dtype)
                for_up[j, number] = sign * rows.gradient(columns, g, shape)
                left = sign * rows.synthesise(g, up[j], size)
                columns = rows.unfold(left, size, dtype)
                for_down[j - 1, number] = rows.gradient(columns, maps[j - 1][part], shape)
                more = rows.analyse(columns, down[j - 1])
                if not residual:
                    g = more
            if own:
                gate(0)
            elif for_start is not None:
                for_start[part] = g if more is None else g + more
            first_drive = g if drive is None else drive
            columns = rows.unfold(between[0, part], size, dtype)
            for_up[0, number] = rows.gradient(columns, first_drive, shape)
            if for_image is not None:
                for_image[part] = rows.synthesise(first_drive, up[0], size)

        with _threads(maps[-1]) as run:
            run(work, list(range(len(parts))))
        weights = [for_up[0].sum(0)]
        for j in range(last):
            weights.append(for_down[j].sum(0).flip(2, 3).transpose(0, 1))
            weights.append(for_up[j + 1].sum(0))
        return (
            None if for_image is None else rows.first(for_image),
            for_lam.sum_to_size(thresholds.shape).to(thresholds.dtype),
            None if for_start is None else rows.first(for_start).to(start.dtype),
            None,
            *(w.contiguous() for w in weights),
        )


def product_synthesis(maps: Tensor, weight: Tensor) -> Tensor:
    """`reference.synthesise` by this engine, without gradients."""
    dtype = _type(maps.device)
    a = rows.last(maps.detach().to(dtype))
    filters = rows.synthesis_of(weight.detach().to(dtype))
    out = rows.floats(*a.shape[:3], weight.shape[0], device=a.device)

    def work(part: slice) -> None:
        out[part] = rows.synthesise(a[part], filters, weight.shape[-1])

    with _threads(a) as run:
        run(work, _parts(a))
    return rows.first(out).contiguous()


def product_gradient(maps: Tensor, image: Tensor, size: int) -> Tensor:
    """`reference.synthesis_gradient` by this engine."""
    return _synthesis_gradients(maps, image, size, None)[1]


def _synthesis_gradients(
    maps: Tensor, image: Tensor, size: int, weight: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """Gradients at an image in the maps, if the filters are given, and in the filters."""
    dtype = maps.dtype
    a, at = rows.last(maps.detach()), rows.last(image.detach().float())
    filters = None if weight is None else rows.adjoint_of_synthesis(weight.detach().to(dtype))
    for_maps = None if weight is None else torch.empty_like(a)
    parts = _parts(a)
    shape = (a.shape[-1], at.shape[-1], size, size)
    sums = rows.floats(len(parts), *shape, device=a.device)

    def work(number: int) -> None:
        part = parts[number]
        columns = rows.unfold(at[part], size, dtype)
        sums[number] = rows.gradient(columns, a[part], shape)
        if for_maps is not None and filters is not None:
            for_maps[part] = rows.analyse(columns, filters)

    with _threads(a) as run:
        run(work, list(range(len(parts))))
    for_weight = sums.sum(0).flip(2, 3).transpose(0, 1).contiguous()
    return None if for_maps is None else rows.first(for_maps), for_weight


class _Synthesis(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.dtype = _type(maps.device)
        return product_synthesis(maps, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        maps, weight = ctx.saved_tensors
        if _by_reference(grad):
            return _reference_gradients(
                reference.synthesise, [maps, weight], list(ctx.needs_input_grad), grad
            )
        for_maps, for_weight = _synthesis_gradients(
            maps.to(ctx.dtype), grad, weight.shape[-1], weight
        )
        assert for_maps is not None
        return for_maps.to(maps.dtype), for_weight
