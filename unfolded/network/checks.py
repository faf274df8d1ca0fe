"""What a network refuses: images, and noise, that do not fit it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mcsc.checks import check_number
from mcsc.errors import InvalidTypeError, InvalidValueError


def check_images(
    x: Tensor, y: Tensor, channels: tuple[int, int], weight: Tensor, *, values: bool = True
) -> None:
    """Refuse a pair of images that a network with such channels and weights cannot take.

    Parameters
    ----------
    x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
        The images.
    channels : (int, int)
        Wanted.
    weight : tensor
        One of the network's, of its dtype and on its device.
    values : bool
        Look for NaN and Inf, too; never done under a compiler, where there are no values yet.

    Raises
    ------
    TypeError
        x or y is no tensor of the network's floating-point type.
    ValueError
        Channels, batch or image sizes do not fit, or a value is NaN or infinite.
    """
    for name, image, wanted in zip("xy", (x, y), channels, strict=True):
        if not isinstance(image, Tensor):
            raise InvalidTypeError(f"{name} must be a torch tensor, found {type(image).__name__}")
        if image.dtype != weight.dtype:
            raise InvalidTypeError(
                f"{name} has dtype {image.dtype}, the network {weight.dtype}: convert one of "
                "them (integer images are to be scaled to 0..1)"
            )
        if image.dim() != 4 or image.shape[1] != wanted or 0 in image.shape:
            raise InvalidValueError(
                f"{name} has shape {tuple(image.shape)}: wanted (N, {wanted}, H, W), as the "
                f"network has channels={channels}"
            )
        if image.device != weight.device:
            raise InvalidValueError(f"{name} is on {image.device}, the network on {weight.device}")
    if x.shape[0] != y.shape[0] or x.shape[2:] != y.shape[2:]:
        raise InvalidValueError(
            "x and y must be registered images of one size: found shapes "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not values or torch.compiler.is_compiling():
        return
    for name, image in (("x", x), ("y", y)):
        if not bool(image.isfinite().all()):
            raise InvalidValueError(f"{name} holds NaN or Inf")


def check_sigma(sigma: Any, x: Tensor, *, noise_aware: bool) -> Tensor | None:
    """Return the noise of a network whose thresholds follow it, (N,) or (1,); None of any other.

    Parameters
    ----------
    sigma : float or tensor () or (N,), or None
        As it was given.
    x : tensor (N, C, H, W)
        The image.
    noise_aware : bool
        Whether the network takes it.

    Raises
    ------
    TypeError
        It is given and not taken, or the other way round; or it is no number.
    ValueError
        It is negative, not finite, or there are not as many as samples.
    """
    if not noise_aware:
        if sigma is not None:
            raise InvalidTypeError("sigma is for a network that is noise_aware; this one is not")
        return None
    if sigma is None:
        raise InvalidTypeError(
            "the network's thresholds follow the noise: give sigma, its standard deviation on the "
            "images' scale"
        )
    if isinstance(sigma, Tensor):
        if not sigma.is_floating_point() or sigma.dim() > 1:
            raise InvalidTypeError(
                f"sigma must be a number or a float tensor (N,), found {sigma.dtype} of shape "
                f"{tuple(sigma.shape)}"
            )
        found = sigma.to(x).reshape(-1)
    else:
        found = x.new_full((1,), check_number("sigma", sigma, zero=True))
    if found.shape[0] not in (1, x.shape[0]):
        raise InvalidValueError(f"sigma has {found.shape[0]} values for {x.shape[0]} samples")
    # On a GPU, looking at values would wait for the device.
    seen = isinstance(sigma, Tensor) and not (torch.compiler.is_compiling() or found.is_cuda)
    if seen and not bool((found.isfinite() & (found >= 0)).all()):
        raise InvalidValueError("sigma holds a negative number, NaN or Inf")
    return found
