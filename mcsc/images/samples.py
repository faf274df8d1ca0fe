"""Real, measured sample images that come with scikit-image, so that examples need no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import is_whole
from ..errors import InvalidValueError
from .colour import luma_studio

__all__ = ["DISPARITY_RANGE", "Pair", "motorcycle"]

DISPARITY_RANGE = 64.0
"""Pixels of disparity that :func:`motorcycle` maps to 1 (the largest measured one is 59.9)."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two registered images of one scene."""

    x: NDArray[np.float32]
    """Image to restore, shape (C_x, H, W), in [0, 1]; 0 where `mask` is 0."""
    y: NDArray[np.float32]
    """Guide, shape (C_y, H, W), in [0, 1]."""
    mask: NDArray[np.float32]
    """1 where x is known, 0 in its holes, shape (1, H, W)."""
    guide_rgb: NDArray[np.float32]
    """The guide in colour, shape (3, H, W), in [0, 1]."""
    names: tuple[str, str]
    """What x and y are, for titles."""
    description: str
    """Source and units, one sentence each."""


def motorcycle(size: tuple[int, int, int, int] | None = None) -> Pair:
    """Measured disparity and photograph of a motorcycle (Middlebury 2014).

    Disparity is inverse depth: larger is nearer. About 7 % of its pixels are holes that the
    structured light did not reach, real ones.

    Parameters
    ----------
    size : (top, left, height, width), optional
        Part to cut out, in pixels of the whole image of 500 x 741.

    Returns
    -------
    Pair
        ``x``: disparity of the left view in pixels divided by 64 (`DISPARITY_RANGE`), (1, H, W);
        ``y``: studio-range luma of the left photograph, (1, H, W); ``mask``; ``guide_rgb``.

    Raises
    ------
    ValueError
        `size` is not four integers that lie within the image.

    Notes
    -----
    Reads ``skimage.data.stereo_motorcycle()``, whose files are part of the scikit-image wheel.

    References
    ----------
    D. Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth",
    GCPR 2014. doi:10.1007/978-3-319-11752-2_3

    Examples
    --------
    >>> from mcsc.images import motorcycle
    >>> pair = motorcycle(size=(100, 200, 256, 256))
    >>> pair.x.shape, pair.y.shape
    ((1, 256, 256), (1, 256, 256))
    """
    import skimage.data

    left, _, disparity = skimage.data.stereo_motorcycle()  # type: ignore[no-untyped-call]
    window = _window(size, disparity.shape)
    disparity = disparity[window]
    # The file marks holes by Inf, scikit-image's documentation says NaN, Middlebury's often 0.
    known = np.isfinite(disparity) & (disparity > 0)
    x = np.where(known, disparity / np.float32(DISPARITY_RANGE), np.float32(0))[None]
    photograph = np.ascontiguousarray(left[window].transpose(2, 0, 1))
    guide = photograph.astype(np.float32) / np.float32(255)
    return Pair(
        x=x.astype(np.float32),
        y=luma_studio(guide),
        mask=known[None].astype(np.float32),
        guide_rgb=guide,
        names=("disparity", "photograph"),
        description=(
            "The pair Motorcycle of Middlebury stereo 2014, reduced by 4, as it comes with "
            f"scikit-image: x is the measured disparity in pixels divided by {DISPARITY_RANGE:g}, "
            "with holes; y is the luma of the left photograph."
        ),
    )


def _window(size: Any, shape: tuple[int, ...]) -> tuple[slice, slice]:
    if size is None:
        return slice(None), slice(None)
    if len(size) == 4 and all(map(is_whole, size)):
        top, left, height, width = size
        inside = top >= 0 and left >= 0 and top + height <= shape[0] and left + width <= shape[1]
        if inside and height > 0 and width > 0:
            return slice(top, top + height), slice(left, left + width)
    raise InvalidValueError(
        f"size must be (top, left, height, width) within {shape[0]} x {shape[1]} pixels; "
        f"found {size!r}"
    )
