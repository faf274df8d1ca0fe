"""What a network refuses: images, and noise, that do not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mcsc.checks import check_number
from mcsc.errors import InvalidTypeError, InvalidValueError

from ..engines.transforms import transformed, without_values
from .configuration import Configuration

PRECISIONS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""What networks are made and kept in: smaller types are for storage, and compute nothing."""


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
        Look for NaN and Inf, too; never done where there are no values (under a compiler, on the
        device "meta", of fake tensors), nor under `torch.func`'s transforms, where there may be
        many.

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
    if not values or torch.compiler.is_compiling() or transformed():
        return
    for name, image in (("x", x), ("y", y)):
        finite = image.isfinite().all()
        if not without_values(finite) and not bool(finite):
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
    unseen = torch.compiler.is_compiling() or found.is_cuda or transformed()
    seen = isinstance(sigma, Tensor) and not unseen
    good = (found.isfinite() & (found >= 0)).all() if seen else None
    if good is not None and not without_values(good) and not bool(good):
        raise InvalidValueError("sigma holds a negative number, NaN or Inf")
    return found


def check_state(configuration: Configuration, state: Any) -> None:
    """Refuse what cannot be the weights of a network, before one is made.

    Parameters
    ----------
    configuration : Configuration
        What the network is.
    state : mapping of str to tensor
        Names and weights.

    Raises
    ------
    TypeError
        An argument is something else.
    ValueError
        Weights have no values, are of several types or devices, or are far too few.
    """
    if not isinstance(configuration, Configuration):
        raise InvalidTypeError(
            f"configuration must be a Configuration, found {type(configuration).__name__}"
        )
    if not isinstance(state, Mapping):
        raise InvalidTypeError(
            "state must be a mapping of names to tensors, as net.state_dict() is; found "
            f"{type(state).__name__}"
        )
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise InvalidTypeError(f"{key} must be a torch tensor, found {type(value).__name__}")
        if value.is_meta or value.layout is not torch.strided:
            raise InvalidValueError(
                f"{key} must hold all its numbers, found {value.layout} on {value.device}"
            )
    # A network of a thousand million blocks would take for ever to refuse.
    least = configuration.sweeps * (1 if configuration.tied else max(configuration.blocks, 1))
    if least > len(state):
        raise InvalidValueError(
            f"its weights do not fit its configuration: {len(state)} tensors are too few for "
            f"blocks={configuration.blocks}, sweeps={configuration.sweeps}"
        )
    types = {v.dtype for v in state.values()}
    if len(types) != 1 or not types <= set(PRECISIONS):
        raise InvalidValueError(
            f"its weights have dtypes {sorted(map(str, types))}; want one of "
            f"{', '.join(map(str, PRECISIONS))}"
        )
    devices = {v.device for v in state.values()}
    if len(devices) != 1:
        raise InvalidValueError(f"its weights are on {', '.join(sorted(map(str, devices)))}")


def check_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights of other names or shapes than a network has.

    Raises
    ------
    ValueError
        The message names the first that does not fit.
    """
    found = {k: tuple(v.shape) for k, v in state.items()}
    if found == wanted:
        return
    wrong = min(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    raise InvalidValueError(
        f"its weights do not fit its configuration, first at {wrong} (found "
        f"{found.get(wrong, 'nothing')}, wanted {wanted.get(wrong, 'nothing')})"
    )
