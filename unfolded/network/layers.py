r"""Layers of the network: convolutions with the design's centring, and the soft threshold.

Centred true convolution with filters of side s is :math:`(d*c)[i] = \sum_p d[p]\, c[i - p + o]`,
:math:`o = \lfloor (s-1)/2 \rfloor`, zero outside the image. PyTorch's layer correlates, so with
flipped filters the maps are padded by ``s - 1 - o`` before and ``o`` after; the adjoint pads the
other way round. For odd s both are ``(s - 1) / 2``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from ..engines import cpu_training as fast_training


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


class Synthesis(nn.Module):
    r"""Filters from maps to an image, :math:`\sum_k d_k * a_k` (D, and the G of the target).

    Parameters
    ----------
    filters : int
        Number of maps K.
    channels : int
        Channels C of the image.
    size : int
        Side s of the filters.

    Attributes
    ----------
    weight : parameter (C, K, s, s)
        As `torch.nn.functional.conv2d` takes it: the filters d, flipped.
    """

    def __init__(self, filters: int, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, filters, size, size))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the image (N, C, H, W) of maps (N, K, H, W)."""
        if fast_training.applies(self, maps):
            return fast_training.synthesise(maps, self.weight)
        return synthesise(maps, self.weight)


class Analysis(nn.Module):
    r"""Filters from an image to maps (E): the adjoint of `Synthesis` for flipped weights.

    Parameters
    ----------
    channels, filters, size : int
        C, K and s.

    Attributes
    ----------
    weight : parameter (K, C, s, s)
        As `torch.nn.functional.conv2d` takes it. With ``weight = d`` the layer is
        :math:`D^T r = \sum_c \tilde d_{kc} * r_c`, where :math:`\tilde d` is the flipped filter.
    """

    def __init__(self, channels: int, filters: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, channels, size, size))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Return the maps (N, K, H, W) of an image (N, C, H, W)."""
        size = self.weight.shape[-1]
        if size % 2:
            return F.conv2d(image, self.weight, padding=size // 2)
        before, after = (size - 1) // 2, size // 2
        return F.conv2d(F.pad(image, (before, after, before, after)), self.weight)


class _SoftThreshold(torch.autograd.Function):
    """The threshold with one map kept for the gradient (its result) instead of four."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, threshold: Tensor) -> Tensor:
        out = maps.abs().sub_(threshold).clamp_(min=0).mul_(maps.sign())
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (out,) = ctx.saved_tensors
        sign = out.sign()
        for_maps = grad * sign.abs() if ctx.needs_input_grad[0] else None
        for_threshold = -(grad * sign).sum() if ctx.needs_input_grad[1] else None
        return for_maps, for_threshold


def soft_threshold(maps: Tensor, threshold: Tensor) -> Tensor:
    r"""Return :math:`S(t) = \operatorname{sign}(t) \max(|t| - \lambda, 0)`.

    As released by the authors, a negative threshold, which training may produce, makes \|t\| grow.

    Parameters
    ----------
    maps : tensor
        The values t.
    threshold : tensor ()
        The threshold, for all maps.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        out: Tensor = _SoftThreshold.apply(maps, threshold)  # type: ignore[no-untyped-call]
        return out
    return maps.sign() * F.relu(maps.abs() - threshold)
