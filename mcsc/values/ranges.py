"""Ranges of values: which numbers of an image stand for the model's 0 and 1.

The model, its dictionaries and its networks work on [0, 1]. Files and arrays hold metres as floats,
millimetres in 16 bits, 12 bits of a camera in 16, Hounsfield units below zero. A `ValueRange` leads
from the one to the other and back; `find_range` finds it where the user does not give it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError, warn_user
from ..types import Floats
from ..words import percent

__all__ = ["Contrast", "ValueRange", "beyond", "find_range", "is_much", "quantised", "shortest"]

_BEYOND, _FAR = 0.25, 1.0
"""Floats in [0, 1] may lie this far outside, few of them so far: enlarged images overshoot."""
_FEW_BEYOND = 0.05
_DEVIATIONS = 6
"""Standard deviations of noise by which values may lie beyond, for the same reason."""
_BITS = (8, 10, 12, 14, 16, 24, 32)
"""That cameras and scanners fill of a larger sample."""
_FEW = 1e-3
"""Share of the values at either end that should not decide about the range."""
_CROWDED = 0.1
"""Share of the range that all others lie in, from which on a warning is due."""
_NARROW = 0.5
"""Share of its range that a band spans, below which it is stretched to all of it."""
_UNVARIED = 1e-3
"""Width of the range of a constant, as a share of its size."""
_HEADROOM = 8.0
"""How many times larger than the range what is computed of it may be: results overshoot."""
_MUCH_CUT = 0.01
"""Share of values that are cut off to what a dtype holds, from which on a warning is due."""
_FAR_CUT = 0.1
"""And share of the range by which any of them is cut: ringing beside edges of photographs stays
below it, but for single pixels; parts that were summed or exposures that were blended do not."""
_APART = 0.1
"""Distance of one value from all others, as a share of their range or of their size, that makes it
a word for "unknown" rather than a measurement."""


@dataclass(frozen=True)
class ValueRange:
    """The two values that stand for 0 and 1, in the unit of the caller."""

    low: float = 0.0
    """Value that stands for 0, black."""
    high: float = 1.0
    """Value that stands for 1, white."""

    @classmethod
    def of(cls, given: ValueRange | Sequence[float] | None) -> ValueRange:
        """Return a checked range; None is [0, 1].

        Raises
        ------
        ValueError
            It is not two finite numbers, the first below the second.
        """
        if given is None:
            return cls()
        if isinstance(given, ValueRange):
            given = (given.low, given.high)
        try:
            # A string is a sequence, too: "12" would be 1 and 2.
            low, high = (math.nan, math.nan) if isinstance(given, str) else map(float, given)
        except (TypeError, ValueError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InvalidValueError(
                f"value_range must be two finite numbers (low, high), low < high; found {given!r}"
            )
        return cls(low, high)

    @classmethod
    def of_each(cls, given: Any, count: int) -> list[ValueRange | None]:
        """Return the ranges of images: one for all, or one each, None where it is to be found.

        Raises
        ------
        ValueError
            A range is none, or there are not as many as images.
        """
        if given is None:
            return [None] * count
        several = isinstance(given, Sequence) and not isinstance(given, str)
        each = several and any(
            one is None or isinstance(one, ValueRange | Sequence) for one in given
        )
        if each and len(given) != count:
            raise InvalidValueError(
                f"value_range holds {len(given)} ranges for {count} sources; want one, or one each"
            )
        return [
            None if one is None else cls.of(one) for one in (given if each else [given] * count)
        ]

    @property
    def is_plain(self) -> bool:
        """Whether it is [0, 1], so that nothing is to be done."""
        return self.low == 0 and self.high == 1

    def fits(self, dtype: Any) -> bool:
        """Whether what is computed of it in a dtype of floats stays finite."""
        largest = float(np.finfo(dtype).max) / _HEADROOM
        return max(abs(self.low), abs(self.high), self.high / 2 - self.low / 2) <= largest / 2

    @property
    def words(self) -> str:
        """The two ends, for people: ``0 is 0.4, 1 is 6``."""
        return f"0 is {self.low:.6g}, 1 is {self.high:.6g}"

    def scaled(self, image: Floats) -> Floats:
        """Bring values of the caller to [0, 1].

        Raises
        ------
        ValueError
            The range is too wide for the dtype of the image.
        """
        if self.is_plain:
            return image
        if not self.fits(dtype := image.dtype if image.dtype.kind == "f" else np.float64):
            raise InvalidValueError(
                f"{self.low:.6g} to {self.high:.6g} is too wide a range to compute with in "
                f"{np.dtype(dtype)}"
            )
        return (image - self.low) / (self.high - self.low)

    def restored(self, image: Floats) -> Floats:
        """Bring values in [0, 1] back to the unit of the caller."""
        return image if self.is_plain else self.low + (self.high - self.low) * image

    def restored_part(self, part: Floats) -> Floats:
        """Bring a part of an image that is added to another one back to the unit of the caller."""
        return part if self.is_plain else (self.high - self.low) * part


@dataclass(frozen=True, eq=False)
class Contrast:
    """What bands span of [0, 1], and the way to all of it and back.

    Thresholds of codes and networks are shares of [0, 1]. Of a dark band, or of a relief far away,
    which span a small part of it, they would leave nothing.
    """

    low: Floats
    """Value of each band that becomes 0, (C, 1, 1)."""
    span: Floats
    """And how far above it lies what becomes 1, (C, 1, 1)."""

    @classmethod
    def of(
        cls, low: NDArray[Any], high: NDArray[Any], dtype: Any, *, jointly: bool
    ) -> Contrast | None:
        """Look at the ends (C,) of bands; None if each spans half of [0, 1] or more.

        Parameters
        ----------
        low, high : arrays (C,)
            Smallest and largest known value of each band; of one that is unknown the one above the
            other.
        dtype : dtype
            Type of the images that they were found in.
        jointly : bool
            Bands are coded together, and are stretched alike.
        """
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        unknown = ~(low <= high)
        low, high = np.where(unknown, 0.0, low), np.where(unknown, 1.0, high)
        if jointly:
            low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        span = np.where(_constant(low, high, dtype), _UNVARIED, high - low)
        narrow = span < _NARROW
        if not narrow.any():
            return None
        return cls(
            np.where(narrow, low, 0.0)[:, None, None], np.where(narrow, span, 1.0)[:, None, None]
        )

    @classmethod
    def of_image(cls, image: Floats, known: NDArray[np.bool_], *, jointly: bool) -> Contrast | None:
        """Look at the known values of an image (C, H, W), see `of`."""
        low = np.min(image, axis=(1, 2), where=known, initial=np.inf)
        high = np.max(image, axis=(1, 2), where=known, initial=-np.inf)
        return cls.of(low, high, image.dtype, jointly=jointly)

    @property
    def bands(self) -> tuple[int, ...]:
        """Numbers of the bands that are stretched."""
        return tuple(np.flatnonzero(self.span[:, 0, 0] < 1).tolist())

    def stretched(self, image: Floats) -> Floats:
        """Bring values (C, H, W) to all of [0, 1]."""
        out: Floats = ((image - self.low) / self.span).astype(image.dtype)
        return out

    def restored(self, image: Floats) -> Floats:
        """Bring values (C, H, W) back."""
        return self.low + self.span * image

    def restored_part(self, part: Floats) -> Floats:
        """Bring a part of an image that is added to another one back."""
        return self.span * part


def find_range(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any] | None] | None = None,
    *,
    name: str = "the image",
    display: bool = True,
    doubtful: bool | None = None,
    sigma: float | None = None,
    white: float | None = None,
) -> ValueRange:
    """Find the one range of images of one unit.

    Parameters
    ----------
    images : sequence of arrays, shape (C, H, W)
        Images of one dtype: integers, or floats.
    masks : sequence of (array or None), optional
        Weights; where one is 0 the value is no measurement. NaN and Inf never are.
    name : str
        What warnings call the images.
    display : bool
        Pictures, in which 0 is black: the range begins there (unless values are negative), and
        integers fill as many bits as a camera has. Otherwise values are measurements, as of depth,
        and the range is that of the known ones.
    doubtful : bool, optional
        Warn of values that may stand for unknown. Default: of measurements.
    sigma : float, optional
        Standard deviation of noise, of 255, by which floats in [0, 1] may lie outside.
    white : float, optional
        Value of white in integers that do not fill their type, where a file says so. Of
        measurements it counts in 8 bits alone, as white itself does.

    Returns
    -------
    ValueRange
        8 bits: 0 to 255. Floats about [0, 1]: just that. Everything else: as above.

    Raises
    ------
    ValueError
        Values are so large that what is computed of them would not be finite, as those are that
        stand for unknown in some files.

    Warns
    -----
    UserWarning
        Where `doubtful`: many are one value far from all others, as unknown pixels are that are 0
        or -9999; or few values stretch the range to ten times what all others need.
    """
    dtype = images[0].dtype
    known = _known(images, masks)
    if known.size and dtype.kind == "f":
        _refuse_immense(known, name)
    if known.size and (not display if doubtful is None else doubtful):
        _warn_of_strangers(known, name)
    if dtype.kind in "iu" and white is not None and (display or dtype == np.uint8):
        return ValueRange(0, float(white))
    if dtype == np.uint8:
        return ValueRange(0, 255)
    if known.size == 0:  # refused elsewhere; nothing to scale
        return ValueRange(0, float(np.iinfo(dtype).max)) if dtype.kind in "iu" else ValueRange()
    low, high = float(known.min()), float(known.max())
    if dtype.kind == "f":
        noise = _DEVIATIONS * (sigma or 0.0) / 255
        if -_FAR - noise <= low and high <= 1 + _FAR + noise:
            beyond = _BEYOND + noise
            if np.mean((known < -beyond) | (known > 1 + beyond)) <= _FEW_BEYOND:
                return ValueRange()
    elif display and low >= 0:
        return ValueRange(0, 2.0 ** next(b for b in (*_BITS, 64) if high < 2.0**b) - 1)
    if display:
        low = min(low, 0.0)
    if _constant(low, high, dtype):
        # Of what it spans nothing is known; little, so that no contrast comes from a guide.
        high = low + (_UNVARIED * abs(low) or 1.0)
    return ValueRange(low, high)


def quantised(values: NDArray[Any], dtype: Any) -> tuple[NDArray[Any], float]:
    """Round values to integers of a dtype, those beyond its ends to these.

    Returns
    -------
    samples : array of that dtype
    cut : float
        Share of the values that lay beyond an end, by more than rounding.
    """
    info = np.iinfo(dtype)
    rounded = np.rint(values.astype(np.float64))
    cut = float(np.mean((rounded < info.min) | (rounded > info.max)))
    highest = float(info.max)
    if int(highest) > info.max:  # of 64 bits: the next float would be cast to the other end
        highest = np.nextafter(highest, 0)
    return np.clip(rounded, info.min, highest).astype(dtype), cut


def beyond(values: NDArray[Any], dtype: Any) -> float:
    """Return by how much the furthest of the values lies beyond the ends of integers of a dtype."""
    info = np.iinfo(dtype)
    return max(0.0, float(info.min - values.min()), float(values.max() - info.max))


def is_much(cut: float, furthest: float, values: ValueRange) -> bool:
    """Whether so much was cut off that people should be warned.

    Parameters
    ----------
    cut : float
        Share of the values that were cut off, see `quantised`: more than 1 % are many.
    furthest : float
        By how much the furthest of them was, see `beyond`: more than a tenth of the range is far.
    values : ValueRange
        The range of the values.
    """
    return cut > _MUCH_CUT or (cut > 0 and furthest > _FAR_CUT * (values.high - values.low))


def _known(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any] | None] | None
) -> NDArray[Any]:
    found = []
    for image, mask in zip(images, masks or [None] * len(images), strict=True):
        known = np.isfinite(image) if image.dtype.kind == "f" else np.ones(image.shape, bool)
        found.append(image[known if mask is None else known & (mask > 0)].ravel())
    return found[0] if len(found) == 1 else np.concatenate(found)


def _constant(low: Any, high: Any, dtype: Any) -> Any:
    """Whether ends differ by a few roundings of their dtype at most, if that is one of floats."""
    finest = 4 * float(np.finfo(dtype).eps) if np.dtype(dtype).kind == "f" else 0.0
    return ~(high - low > finest * np.maximum(np.abs(low), np.abs(high)))


def shortest(value: float, dtype: Any) -> str:
    """Return the shortest words for a value of a dtype that are read as that very value."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return str(int(value))
    exact = np.float64(value) if dtype.kind != "f" else dtype.type(value)
    short = f"{float(exact):.6g}"
    return short if dtype.type(float(short)) == exact or exact != exact else str(exact)


def _refuse_immense(known: NDArray[Any], name: str) -> None:
    low, high = float(known.min()), float(known.max())
    dtype = np.dtype(np.float64 if known.dtype == np.float64 else np.float32)
    if known.dtype.kind == "f" and not ValueRange(low, high).fits(dtype):
        value = shortest(high if high > -low else low, known.dtype)
        raise InvalidValueError(
            f"{name} has values of {value}, which are too large to compute with in {dtype}: if "
            f"these are unknown pixels, mask them (on the command line by --mask {value})"
        )


def _warn_of_strangers(known: NDArray[Any], name: str) -> None:
    low, high = float(known.min()), float(known.max())
    for end in (low, high):
        others = known[known != end]
        share = 1 - others.size / known.size
        # One thing that is near or far is no word for unknown: that is said more than twice.
        if others.size == 0 or known.size - others.size <= 2 or share < _FEW / 10:
            continue
        first, last = float(others.min()), float(others.max())
        distance = first - end if end == low else end - last
        size = max(abs(first), abs(last)) if end == 0 else last - first
        if distance > _APART * size and (end == 0 or distance > last - first):
            value = shortest(end, known.dtype)
            word = "zeros" if end == 0 else value
            warn_user(
                f"{percent(share)} of the values of {name} are {value}, the others lie "
                f"between {first:.6g} and {last:.6g}: if these are unknown pixels, mask them (on "
                f"the command line by --mask {word})"
            )
            return
    first, last = np.quantile(known[:: max(1, known.size // 1_000_000)], (_FEW, 1 - _FEW))
    if 0 < last - first < _CROWDED * (high - low):
        warn_user(
            f"values of {name} lie between {first:.6g} and {last:.6g}, but for a few from "
            f"{low:.6g} to {high:.6g}, which stretch its range: if these are not measurements, "
            "mask them (on the command line by --mask); otherwise give the range of the others "
            "(--range)"
        )
