"""What the image functions ask of their arguments, and the grey image that they compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidTypeError, InvalidValueError
from .types import Floats

__all__ = ["check_image", "check_number", "check_sources", "check_whole", "grey", "planes"]

# Full range, unlike the studio range of `mcsc.images.luma`; MATLAB's rgb2gray to 4 digits.
_BT601 = np.array([0.299, 0.587, 0.114])


def check_image(name: str, image: Any) -> None:
    """Refuse what is not a finite, non-empty array of floats of shape (H, W) or (C, H, W)."""
    if not (isinstance(image, np.ndarray) and np.issubdtype(image.dtype, np.floating)):
        found = getattr(image, "dtype", type(image).__name__)
        raise InvalidTypeError(f"{name} must be a NumPy array of floats; found {found}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise InvalidValueError(
            f"{name} has shape {image.shape}; want (H, W) or (C, H, W), not empty"
        )
    if not np.isfinite(image).all():
        raise InvalidValueError(f"{name} holds NaN or Inf; fill or mask the unknown pixels first")


def check_sources(sources: Any, *, least: int = 2, alike: bool = True) -> list[Floats]:
    """Return the source images as a list; refuse too few, and ones that do not fit together.

    They must be of one shape, or with ``alike=False`` of one height and width.
    """
    if isinstance(sources, np.ndarray) or not isinstance(sources, Sequence):
        found = getattr(sources, "shape", None)
        what = type(sources).__name__ if found is None else f"one array of shape {found}"
        raise InvalidTypeError(f"sources must be a tuple or list of images; found {what}")
    if len(sources) < least:
        raise InvalidValueError(f"sources holds {len(sources)} images; want at least {least}")
    for index, image in enumerate(sources):
        check_image(f"sources[{index}]", image)
        found, wanted = image.shape, sources[0].shape
        if not alike:
            found, wanted = found[-2:], wanted[-2:]
        if found != wanted:
            raise InvalidValueError(
                f"sources[{index}] has shape {image.shape}, sources[0] {sources[0].shape}; "
                f"want one {'shape' if alike else 'height and width'}"
            )
    return list(sources)


def check_number(name: str, given: Any, *, zero: bool = False) -> float:
    """Return a finite positive number (with ``zero``: or 0) as a float."""
    number = isinstance(given, int | float | np.integer | np.floating) and not isinstance(
        given, bool
    )
    if not (number and math.isfinite(given) and (given > 0 or (zero and given == 0))):
        raise InvalidValueError(
            f"{name} must be a finite number {'>=' if zero else '>'} 0; found {given!r}"
        )
    return float(given)


def check_whole(name: str, given: Any) -> int:
    """Return a positive integer."""
    if not isinstance(given, int | np.integer) or isinstance(given, bool) or given < 1:
        raise InvalidValueError(f"{name} must be a positive integer; found {given!r}")
    return int(given)


def planes(image: Floats) -> NDArray[np.float64]:
    """The image in float64 with a channel axis, shape (C, H, W)."""
    return np.asarray(image, np.float64).reshape(-1, *image.shape[-2:])


def grey(name: str, image: Floats) -> NDArray[np.float64]:
    """Full-range BT.601 luma 0.299 R + 0.587 G + 0.114 B, (H, W), float64; grey stays as it is.

    Raises
    ------
    ValueError
        The image has neither 1 nor 3 channels.
    """
    stack = planes(image)
    if len(stack) == 1:
        return np.asarray(stack[0], np.float64)
    if len(stack) != 3:
        raise InvalidValueError(
            f"{name} has shape {image.shape}; want 1 or 3 channels, to tell its luma: pick one band"
        )
    return np.asarray(np.einsum("c,chw->hw", _BT601, stack), np.float64)
