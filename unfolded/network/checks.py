"""What a network refuses: images that do not fit it."""

from __future__ import annotations

import torch
from torch import Tensor

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
