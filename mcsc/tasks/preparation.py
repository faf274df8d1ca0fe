"""From images to the signals that a dictionary or a network takes, and what its answer is added to.

Both learn and are used on the same signals: the detail that a low-pass split leaves (`base`
"input", "low" or "mean"), or the images as they are ("none", as the paper's authors feed theirs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..baselines.exposure import exposure_fusion
from ..checks import check_choice
from ..errors import InvalidValueError
from ..images.colour import luma_studio, rgb, ycbcr
from ..images.split import lowpass_split
from ..types import Base, Floats, FusionBase, RestorationBase

__all__ = [
    "Prepared",
    "alike",
    "blended_exposures",
    "coloured",
    "fused_base",
    "prepare_fusion",
    "prepare_restoration",
]


@dataclass(frozen=True, eq=False)
class Prepared:
    """The signals of the model, and what its answer is added to."""

    signals: tuple[Floats, Floats]
    """Of x and of y, (N, C, H, W)."""
    base: Floats
    """(C, H, W) of the image that is made."""
    masks: tuple[Floats | None, Floats | None] | None = None
    """Weights of the signals, (N, C, H, W), 0 where one is unknown; None if all is known."""


def prepare_restoration(
    x: Floats,
    y: Floats,
    channels: Sequence[int],
    *,
    strength: float,
    base: Base,
    mask: Floats | None = None,
    guide_mask: Floats | None = None,
) -> Prepared:
    """Split both images, bring the guide to the channels wanted, and stack bands.

    Parameters
    ----------
    x, y : arrays of floats, shape (C, H, W), (C', H, W)
        The image to restore and its guide.
    channels : (int, int)
        Of the signals. One for x: its bands are taken one by one, each with the guide; as many as
        x has: jointly. Three channels of guide become luma where one is wanted; a grey guide is
        repeated where three are.
    strength : float
        Of the low-pass split.
    base : {"none", "input", "low"}
        What the answer is added to: nothing, x, or x's low-pass part. With "none" the signals are
        the images themselves.
    mask : array, shape (C, H, W) or (1, H, W), optional
        Weights w of x in [0, 1]; 0 where it is unknown. The base "input" is ``low + w * high``.
    guide_mask : array, shape (C', H, W) or (1, H, W), optional
        The same of the guide; a luma is unknown where a channel is.

    Raises
    ------
    ValueError
        Channels do not fit, the images differ in size, or there is no such base.
    """
    _check_sizes(x, y)
    check_choice("base", base, RestorationBase)
    first, second = channels
    if first not in (1, len(x)):
        raise InvalidValueError(
            f"the model codes {_count(first)} of the image to restore, which has {len(x)}"
        )
    if guide_mask is not None:
        if len(y) != second and len(guide_mask) > 1:
            guide_mask = guide_mask.min(axis=0, keepdims=True)
        y = np.where(guide_mask > 0, y, 0).astype(y.dtype)
    guide = _as_channels(y, second, "the guide")
    if base == "none":
        high = x if mask is None else np.where(mask > 0, x, 0).astype(x.dtype)
        detail, bottom = guide, np.zeros_like(x)
    else:
        low, high = lowpass_split(x, strength, mask)
        detail = lowpass_split(guide, strength, guide_mask).high
        bottom = low if base == "low" else x if mask is None else low + mask * high
    one_by_one = first == 1
    stacked = high[:, None] if one_by_one else high[None]
    repeated = np.broadcast_to(detail[None], (len(stacked), *detail.shape))
    masks = None
    if mask is not None or guide_mask is not None:
        masks = (
            None if mask is None else _stacked(mask, x, one_by_one=one_by_one),
            None if guide_mask is None else _stacked(guide_mask, guide, one_by_one=False),
        )
    return Prepared((stacked, np.ascontiguousarray(repeated)), bottom, masks)


def prepare_fusion(
    x: Floats, y: Floats, channels: Sequence[int], *, strength: float, base: Base
) -> Prepared:
    """Split two sources, as lumas or with their colours.

    Parameters
    ----------
    x, y : arrays of floats, shape (C, H, W)
        Sources of one size, 1 or 3 channels.
    channels : (int, int)
        (1, 1): lumas, all of one range: a grey source beside a colour one counts as colour; (3, 3):
        all channels, grey sources repeated.
    strength : float
        Of the low-pass split.
    base : {"none", "low", "mean"}
        What the answer is added to: nothing; the low-pass part of Mertens' exposure fusion of
        colour sources, and of grey sources the brighter low-pass part; or the mean of the sources.
        With "none" the signals are the images themselves.

    Raises
    ------
    ValueError
        Channels do not fit, the images differ in size, or there is no such base.
    """
    _check_sizes(x, y)
    check_choice("base", base, FusionBase)
    if len(set(channels)) != 1:
        raise InvalidValueError(
            f"sources are fused with equally many channels each; found {channels}"
        )
    x, y = alike((x, y))
    pair = tuple(
        _as_channels(image, n, "the image") for image, n in zip((x, y), channels, strict=True)
    )
    if base == "none":
        return Prepared((pair[0][None], pair[1][None]), np.zeros_like(pair[0]))
    splits = [lowpass_split(image, strength) for image in pair]
    bottom: Floats
    if base == "mean":
        bottom = (pair[0] + pair[1]) / 2
    else:
        blended = blended_exposures((x, y))
        bottom = fused_base(blended, [s.low for s in splits], strength)
    return Prepared((splits[0].high[None], splits[1].high[None]), bottom.astype(x.dtype))


def alike(images: Sequence[Floats]) -> list[Floats]:
    """Give all images (C, H, W) as many channels as the one with most: grey ones are repeated.

    So that a grey image beside a colour one has a luma of the same range, and white stays white.

    Raises
    ------
    ValueError
        An image has neither one channel nor as many.
    """
    channels = max(len(i) for i in images)
    for number, image in enumerate(images):
        if len(image) not in (1, channels):
            raise InvalidValueError(
                f"images of {len(image)} and of {channels} channels cannot be fused (number "
                f"{number + 1} of {len(images)}); want grey ones beside others alike"
            )
    return [np.repeat(i, channels, axis=0) if len(i) < channels else i for i in images]


def blended_exposures(sources: Sequence[Floats]) -> Floats | None:
    """Mertens' exposure fusion of colour sources (3, H, W); None of grey ones.

    It gives fused images their colours, and their brightness.
    """
    sources = alike(sources)
    return exposure_fusion(sources) if len(sources[0]) == 3 else None


def fused_base(blended: Floats | None, lows: Sequence[Floats], strength: float) -> Floats:
    """What fused detail is added to, of the channels of `lows`.

    The low-pass part of what `blended_exposures` made of the sources; of grey sources, the
    brightest of their own low-pass parts `lows`.
    """
    if blended is None:
        brightest: Floats = np.maximum.reduce(list(lows))
        return brightest
    return lowpass_split(_as_channels(blended, len(lows[0]), "the image"), strength).low


def coloured(luma: Floats, blended: Floats | None) -> Floats:
    """Give a fused luma (1, H, W) the colours of what `blended_exposures` made of the sources."""
    if blended is None:
        return luma
    colours = ycbcr(blended)[1:]
    return rgb(np.concatenate([luma.astype(colours.dtype), colours]))


def _stacked(mask: Floats, image: Floats, *, one_by_one: bool) -> Floats:
    weights = np.broadcast_to(mask, image.shape).astype(image.dtype)
    return weights[:, None] if one_by_one else weights[None]


def _check_sizes(x: Floats, y: Floats) -> None:
    if x.shape[-2:] != y.shape[-2:]:
        raise InvalidValueError(
            f"images differ in size: x is {x.shape[-2]} x {x.shape[-1]}, y is {y.shape[-2]} x "
            f"{y.shape[-1]}"
        )


def _as_channels(image: Floats, channels: int, name: str) -> Floats:
    if len(image) == channels:
        return image
    if channels == 1 and len(image) == 3:
        return luma_studio(image)
    if channels == 3 and len(image) == 1:
        return np.repeat(image, 3, axis=0)
    raise InvalidValueError(f"the model codes {_count(channels)} of {name}, which has {len(image)}")


def _count(channels: int) -> str:
    return f"{channels} channel{'s' * (channels > 1)}"
