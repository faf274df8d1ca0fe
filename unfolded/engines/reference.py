"""The reference: PyTorch's own convolutions and thresholds, differentiable, on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from .steps import margins
from .transforms import transformed

Layer = Callable[[Tensor], Tensor]


def synthesise(maps: Tensor, weight: Tensor) -> Tensor:
    """Return the image (N, C, H, W) of maps (N, K, H, W) by flipped filters (C, K, s, s)."""
    size = weight.shape[-1]
    image = F.conv2d(maps, weight, padding=size // 2)
    if size % 2:
        return image
    # Padding both sides by s // 2 and cropping the few channels of the image beats a padded copy
    # of the many maps.
    return image[..., : maps.shape[-2], : maps.shape[-1]]


def synthesis_gradient(maps: Tensor, image: Tensor, size: int) -> Tensor:
    """Return the adjoint of `synthesise` in its filters, (C, K, s, s), at an image (N, C, H, W)."""
    cropped = 1 - size % 2
    shape = (image.shape[1], maps.shape[1], size, size)
    return conv2d_weight(  # type: ignore[no-untyped-call, no-any-return]
        maps, shape, F.pad(image, (0, cropped, 0, cropped)), padding=size // 2
    )


def analyse(image: Tensor, weight: Tensor) -> Tensor:
    """Return the maps (N, K, H, W) of an image (N, C, H, W) by filters (K, C, s, s)."""
    size = weight.shape[-1]
    if size % 2:
        return F.conv2d(image, weight, padding=size // 2)
    before, after = margins(size)
    return F.conv2d(F.pad(image, (before, after, before, after)), weight)


class _SoftThreshold(torch.autograd.Function):
    """The threshold with one map kept for the gradient (its result) instead of four."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, threshold: Tensor) -> Tensor:
        out = maps.abs().sub_(threshold).clamp_(min=0).mul_(maps.sign())
        ctx.save_for_backward(out)
        ctx.shape = threshold.shape
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (out,) = ctx.saved_tensors
        sign = out.sign()
        for_maps = grad * sign.abs() if ctx.needs_input_grad[0] else None
        for_threshold = -(grad * sign).sum_to_size(ctx.shape) if ctx.needs_input_grad[1] else None
        return for_maps, for_threshold


def soft_threshold(maps: Tensor, threshold: Tensor) -> Tensor:
    r"""Return :math:`S(t) = \operatorname{sign}(t) \max(|t| - \lambda, 0)`.

    As released by the authors, a negative threshold, which training may produce, makes \|t\| grow.

    Parameters
    ----------
    maps : tensor
        The values t.
    threshold : tensor () or (N or 1, K or 1, 1, 1)
        The threshold, for all maps or for each.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling() and not transformed():
        out: Tensor = _SoftThreshold.apply(maps, threshold)  # type: ignore[no-untyped-call]
        return out
    return maps.sign() * F.relu(maps.abs() - threshold)


def unroll(
    image: Tensor, first: Layer, blocks: Iterable[tuple[Layer, Layer]], thresholds: Tensor, *,
    residual: bool, start: Tensor | None = None,
) -> Tensor:  # fmt: skip
    r"""Return the maps (N, K, H, W) of an image (N, C, H, W).

    Parameters
    ----------
    image : tensor (N, C, H, W)
        x.
    first : callable
        :math:`E_0`, from an image to maps.
    blocks : iterable of (callable, callable)
        :math:`D_j`, :math:`E_j`. They are called, so a module's hooks are.
    thresholds : tensor (N or 1, T, K or 1)
        As in `Steps`.
    residual : bool
        As in `Steps`.
    start : tensor (N, K, H, W), optional
        Maps to go on from.
    """
    drive = first(image)
    numbers = iter(thresholds[..., None, None].unbind(1))
    if image.dim() == 3:  # no batch
        numbers = iter(thresholds[0, ..., None, None])
    maps = soft_threshold(drive, next(numbers)) if start is None else start
    for down, up in blocks:
        change = up(down(maps))
        maps = soft_threshold(maps - change + drive if residual else change, next(numbers))
    return maps
