"""From images to the signals that a dictionary or a network takes, and what its answer is added to.

Both learn and are used on the same signals: the detail that a low-pass split leaves (`base`
"input", "low", "guided", "injected" or "mean"), or the images as they are ("none", as the paper's
authors feed theirs). Of a noisy x with the base "guided" it is what the guided filter takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..baselines.exposure import exposure_fusion
from ..baselines.guided import guided_filter
from ..baselines.injection import (
    MixtureSums,
    as_coarse,
    injected,
    luma_weights,
    mixed,
    mixture_sums,
)
from ..checks import check_choice, check_number
from ..errors import InvalidValueError
from ..images.colour import luma_full, luma_studio
from ..images.split import fill_holes, lowpass_split
from ..types import Base, Floats, FusionBase, RestorationBase

if TYPE_CHECKING:
    from .task import Task

__all__ = [
    "Kept", "Prepared", "alike", "coarse_guide", "coded_jointly", "kept_with", "mixes_guide",
    "mixture_for", "mixture_of", "one_by_one", "prepare_fusion", "prepare_restoration",
    "smoothing_for",
]  # fmt: skip

_FAINT = 10.0
"""Noise, of 255, below which it is smoothed no less."""


@dataclass(frozen=True)
class Kept:
    """What is kept with a dictionary or a network about the images that it learned from."""

    task: str | None
    """Name of the task; None: not said."""
    strength: float
    """Strength of the low-pass split, in squared pixels."""
    base: Base
    """What the answer is added to."""
    smoothing: tuple[float, float]
    """Radius and edge of the base "guided", as in `mcsc.tasks.Task`."""
    sigma: float | None
    """Standard deviation of the noise, of 255; None: not said."""
    noise_levels: tuple[float, float] | None
    """Least and most noise that a network was trained for, of 255; None: of one strength."""
    rule: str
    """Fusion: how parts become an image."""


def kept_with(
    metadata: Mapping[str, Any],
    task: Task,
    *,
    base: Base | None = None,
    any_base: bool = False,
) -> Kept:
    """Read from its metadata how images are to be prepared for a dictionary or a network.

    Parameters
    ----------
    metadata : mapping
        Those of a `mcsc.Dictionary` or an `unfolded.CUNet`, which may come from a file that anyone
        has written. What they do not say, or say to be None, the task says.
    task : Task
        What the images are prepared for.
    base : str, optional
        The base where the metadata name none; by default the task's.
    any_base : bool
        The base is not used, and may be one of the other kind of task.

    Raises
    ------
    ValueError
        Something is not of its kind, or no base of such a task.
    """

    def number(name: str) -> float | None:
        given = metadata.get(name)
        return None if given is None else check_number(f"{name} in its metadata", given)

    def word(name: str) -> str | None:
        given = metadata.get(name)
        if given is None or (isinstance(given, str) and given):
            return given
        raise InvalidValueError(f"{name} in its metadata must be a word, found {given!r}")

    def two(name: str, *, zero: bool = False) -> tuple[float, float] | None:
        given = metadata.get(name)
        if given is None:
            return None
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 2:
            raise InvalidValueError(f"{name} in its metadata must be two numbers, found {given!r}")
        first, second = (check_number(f"{name} in its metadata", n, zero=zero) for n in given)
        return first, second

    found = metadata.get("base")
    found = (base or task.base) if found is None else found
    of_kind = RestorationBase if task.kind == "restoration" else FusionBase
    check_choice("base in its metadata", found, Base if any_base else of_kind)
    levels = two("noise_levels", zero=True)
    if levels is not None and (levels[0] > levels[1] or levels[1] == 0):
        raise InvalidValueError(
            f"noise_levels in its metadata must be (least, most), found {list(levels)}"
        )
    return Kept(
        word("task"), number("strength") or task.strength, found,
        two("smoothing") or task.smoothing,
        number("sigma"), levels, word("rule") or task.rule,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prepared:
    """The signals of the model, and what its answer is added to."""

    signals: tuple[Floats, Floats]
    """Signals of x and of y, (N, C, H, W)."""
    base: Floats
    """(C, H, W) of the image that is made."""
    masks: tuple[Floats | None, Floats | None] | None = None
    """Weights of the signals, (N, C, H, W), 0 where one is unknown; None if all is known."""
    copies: int = 1
    """Channels of x's signal that are one band of x, which had to be repeated."""
    known: Floats | None = None
    """Where x has holes and no noise: x, and its low-pass part in them, (C, H, W)."""
    smoothed: Callable[[Floats], Floats] | None = None
    """What makes the base of such an x; None: it is the base."""

    def filled_base(self, mask: Floats, model: Floats) -> Floats:
        """Return the base with the holes of x filled by what codes make of its detail."""
        assert self.known is not None
        filled: Floats = self.known + (1 - mask) * self.as_bands(model)
        return filled if self.smoothed is None else self.smoothed(filled)

    def as_bands(self, answer: Floats) -> Floats:
        """Bring what is made of the signals, (N, C, H, W), to the axes of the base.

        Where a band was repeated, it is the mean of its copies.
        """
        if self.copies > 1:
            answer = answer.mean(axis=1)
        return answer.reshape(self.base.shape)


def prepare_restoration(
    x: Floats,
    y: Floats,
    channels: Sequence[int],
    *,
    strength: float,
    base: Base,
    mask: Floats | None = None,
    guide_mask: Floats | None = None,
    smoothing: Sequence[float] | None = None,
    sigma: float | None = None,
    mixture: NDArray[np.float64] | None = None,
    known_shape: tuple[int, int] | None = None,
) -> Prepared:
    r"""Split both images, bring the guide to the channels wanted, and stack bands.

    Parameters
    ----------
    x, y : arrays of floats, shape (C, H, W), (C', H, W)
        The image to restore and its guide.
    channels : (int, int)
        Numbers of channels of the signals. If x has as many, its bands are taken jointly; otherwise
        they are taken one by one, each with the guide, and repeated where three channels are
        wanted. Three channels of guide become luma where one is wanted, any other number their
        mean, which is repeated where three are.
    strength : float
        Strength of the low-pass split, in squared pixels.
    base : {"none", "input", "low", "guided", "injected"}
        What the answer is added to: nothing, x, x's low-pass part, x smoothed by the guided filter
        (`mcsc.baselines.guided`), or x with the detail of its mixed guide that x lacks:
        :math:`x + m - U R m`, R reducing to `known_shape` and U enlarging again. With "none" the
        signals are the images themselves. With "guided" the signal of a noisy x is what the filter
        takes away from it. With "injected" that of x has the injected detail, too.
    mask : array, shape (C, H, W) or (1, H, W), optional
        Weights w of x in [0, 1]; 0 where it is unknown. The base "input" is ``low + w * high``.
    guide_mask : array, shape (C', H, W) or (1, H, W), optional
        Weights of the guide, likewise; a luma is unknown where any channel is.
    smoothing : (radius, edge), optional
        For the base "guided": side of the filter's windows, :math:`2 r + 1` pixels, and
        :math:`\sqrt\epsilon`; if x is noisy, both are for noise of one grey level.
    sigma : float, optional
        For the base "guided": standard deviation of the noise of x, in grey levels of 255. None:
        x has no noise.
    mixture : array (C, C'), optional
        Weights of the guide's channels for each band, in place of those of the luma, where bands
        are taken one by one, each with one channel of guide; see `mixture_for`.
    known_shape : (height, width), optional
        For the base "injected", which wants it and a mixture: size at which x was known.

    Raises
    ------
    ValueError
        The images differ in size, there is no such base, or it lacks what it wants; or channels do
        not fit: bands are repeated as three, which colours are, and as no other number.
    """
    _check_sizes(x, y)
    check_choice("base", base, RestorationBase)
    first, second = channels
    check_channels(channels, (len(x), len(y)))
    if guide_mask is not None:
        if len(y) != second and len(guide_mask) > 1:
            guide_mask = guide_mask.min(axis=0, keepdims=True)
        y = np.where(guide_mask > 0, y, 0).astype(y.dtype)
    guide = _guide_of(y, second) if mixture is None else mixed(y, mixture)
    if base == "injected":
        if mixture is None or known_shape is None:
            raise InvalidValueError(
                "the base 'injected' is for super-resolution of bands one by one, with one channel "
                "of guide each"
            )
        whole = guide
        if guide_mask is not None:
            whole = fill_holes(guide, guide_mask.min(axis=0, keepdims=True))
        x = injected(x, whole, known_shape)
    if base == "none":
        high = x if mask is None else np.where(mask > 0, x, 0).astype(x.dtype)
        detail, known = guide, x
        bottom = np.zeros_like(x)
    else:
        low, high = lowpass_split(x, strength, mask)
        detail = lowpass_split(guide, strength, guide_mask).high
        bottom = low if base == "low" else x if mask is None else low + mask * high
        known = bottom
    smoothed = None
    if base == "guided":
        smoothed = _smoother(y, guide_mask, smoothing, sigma)
        bottom = smoothed(bottom)
        if sigma is not None:
            high = (known - bottom).astype(x.dtype)
    copies = 1 if first == len(x) else first
    stacked = high[None] if first == len(x) > 1 else np.repeat(high[:, None], copies, axis=1)
    each = detail[None] if mixture is None else detail[:, None]
    repeated = np.broadcast_to(each, (len(stacked), *each.shape[1:]))
    masks = None
    if mask is not None or guide_mask is not None:
        own = None if mask is None else np.broadcast_to(mask, x.shape).astype(x.dtype)
        if own is not None:
            own = own[None] if first == len(x) > 1 else np.repeat(own[:, None], copies, axis=1)
        other = None
        if guide_mask is not None:
            other = np.broadcast_to(guide_mask, (second, *guide.shape[1:])).astype(guide.dtype)[
                None
            ]
        masks = own, other
    lacking = base in ("input", "injected") or (base == "guided" and sigma is None)
    filled = known if lacking and mask is not None else None
    return Prepared(
        (stacked, np.ascontiguousarray(repeated)), bottom, masks, copies, filled, smoothed
    )


def mixture_for(
    task: Task,
    channels: Sequence[int],
    base: Base,
    x: Floats,
    y: Floats,
    mask: Floats | None = None,
    guide_mask: Floats | None = None,
    known_shape: tuple[int, int] | None = None,
) -> NDArray[np.float64] | None:
    """Return how the guide's channels are mixed for each band of x, (C, C'); None: they are not.

    They are in tasks that say so (`Task.mixed_guide`) and for the base "injected", where bands are
    taken one by one with one channel of a guide of several. Arguments are those of
    `prepare_restoration`; x is at full size.
    """
    if not mixes_guide(task, channels, base, (len(x), len(y))):
        return None
    seen = y if known_shape is None else coarse_guide(y, guide_mask, known_shape)
    return mixture_of(mixture_sums(x, seen, mask, guide_mask), len(y), base)


def mixture_of(sums: MixtureSums, channels: int, base: Base) -> NDArray[np.float64]:
    """Return the mixture (C, C') of a guide of C' channels by sums over the whole image."""
    luma = luma_weights(channels)
    return sums.weights(luma, np.zeros_like(luma) if base == "injected" else None)


def coarse_guide(guide: Floats, guide_mask: Floats | None, known_shape: tuple[int, int]) -> Floats:
    """Return a guide, whose holes are filled smoothly, at the resolution at which x was known."""
    filled = guide if guide_mask is None else fill_holes(guide, guide_mask)
    return as_coarse(filled, known_shape)


def mixes_guide(task: Task, channels: Sequence[int], base: Base, counts: tuple[int, int]) -> bool:
    """Whether the channels of a guide are mixed for each band: see `mixture_for`."""
    if not one_by_one(channels, counts[0]):
        return False
    # What is injected of a guide of one channel must be as strong as it is in x.
    return base == "injected" or (task.mixed_guide and base != "none" and counts[1] > 1)


def one_by_one(channels: Sequence[int], bands: int) -> bool:
    """Whether a model of so many channels takes each band with one channel of guide."""
    first, second = channels
    return second == 1 and (first != bands or bands == 1)


def prepare_fusion(
    x: Floats,
    y: Floats,
    channels: Sequence[int],
    *,
    strength: float,
    base: Base,
    brightest: bool = False,
) -> Prepared:
    """Split two sources, as lumas or with their colours.

    Parameters
    ----------
    x, y : arrays of floats, shape (C, H, W)
        Sources of one size, 1 or 3 channels.
    channels : (int, int)
        (1, 1): lumas, a grey source beside a colour one being its own; (3, 3): all channels, grey
        sources repeated.
    strength : float
        Strength of the low-pass split, in squared pixels.
    base : {"none", "low", "mean"}
        What the answer is added to: nothing; the low-pass part of what the sources look like
        together (`mcsc.fusion.bases`); or the mean of the sources. With "none" the signals are the
        images themselves.
    brightest : bool
        As in `mcsc.fusion.bases`.

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
    if channels[0] == 1:
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
    elif brightest:
        bottom = np.maximum(splits[0].low, splits[1].low)
    else:
        blended = exposure_fusion((x, y) if len(x) == len(y) else pair)
        bottom = lowpass_split(_as_channels(blended, channels[0], "the base"), strength).low
    return Prepared((splits[0].high[None], splits[1].high[None]), bottom.astype(x.dtype))


def check_channels(
    channels: Sequence[int],
    counts: Sequence[int],
    labels: Sequence[str] = ("the image to restore", "the guide"),
    called: str = "the model",
) -> None:
    """Refuse an image and a guide of which a model codes another number of channels.

    Parameters
    ----------
    channels : (int, int)
        What the model codes; 1 and 3 can be made of any number, others of as many.
    counts : (int, int)
        What the images have.
    labels, called
        What messages call the images and the model.

    Raises
    ------
    ValueError
        They do not fit.
    """
    for coded, count, label in zip(channels, counts, labels, strict=True):
        if coded not in (1, 3, count):
            raise InvalidValueError(
                f"{called} codes {_count(coded)} of {label}, which has {count}: want another "
                "dictionary or other weights"
            )


def coded_jointly(bands: int, channels: Sequence[int] | None) -> bool:
    """Whether a method that codes so many channels takes all bands of an image together."""
    return bands > 1 and channels is not None and channels[0] == bands


def alike(images: Sequence[Floats]) -> list[Floats]:
    """Give all images (C, H, W) one number of channels: grey beside colour, all become lumas.

    In full range, so that white is white in all of them.

    Raises
    ------
    ValueError
        Channels differ, and are not 1 and 3.
    """
    counts = {len(image) for image in images}
    if len(counts) == 1:
        return list(images)
    if counts != {1, 3}:
        found = " and ".join(map(str, sorted(counts)))
        raise InvalidValueError(f"images of {found} channels cannot be fused; want 1, 3, or both")
    return [luma_full(image) for image in images]


def smoothing_for(smoothing: Sequence[float] | None, sigma: float | None) -> tuple[int, float]:
    """Return radius and edge of the base "guided" for x with such noise, of 255; None: without.

    The base depends on what is within two radii.

    Raises
    ------
    ValueError
        `smoothing` is None, or not two positive numbers.
    """
    if not isinstance(smoothing, Sequence) or len(smoothing) != 2:
        raise InvalidValueError("the base 'guided' wants smoothing=(radius, edge)")
    level = 1.0 if sigma is None else max(sigma, _FAINT)
    radius, edge = (level * check_number("smoothing", number) for number in smoothing)
    return max(1, round(radius)), edge


def _smoother(
    guide: Floats, mask: Floats | None, smoothing: Sequence[float] | None, sigma: float | None
) -> Callable[[Floats], Floats]:
    """Return the guided filter by a guide, whose holes are filled smoothly."""
    radius, edge = smoothing_for(smoothing, sigma)
    if len(guide) not in (1, 3):
        guide = guide.mean(axis=0, keepdims=True, dtype=guide.dtype)
    if mask is not None:
        known = mask if len(mask) in (1, len(guide)) else mask.min(axis=0, keepdims=True)
        guide = fill_holes(guide, known)
    return partial(guided_filter, guide=guide, radius=radius, eps=edge**2)


def _guide_of(image: Floats, channels: int) -> Floats:
    """A guide of any number of channels as one, or as three."""
    if len(image) not in (1, 3, channels):
        image = image.mean(axis=0, keepdims=True, dtype=image.dtype)
    return _as_channels(image, channels, "the guide")


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
