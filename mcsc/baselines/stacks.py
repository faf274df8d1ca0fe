"""Images as the baselines take them: what is asked of them, and their arithmetic.

Filters by a guide take images of any number of channels. A way to fuse takes two or more sources,
arrays of floats in [0, 1] of one shape, (H, W) or (C, H, W), and returns an image of that shape and
of the sources' dtype. Choices between sources are made on their full-range lumas and hold for all
channels, so that no colour appears that is in no source. Sums of chosen details may leave [0, 1];
nothing is clipped. The arithmetic is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import check_image, check_sources
from ..errors import InvalidValueError
from ..images.planes import Planes, luma_plane, planes
from ..types import Floats

__all__ = ["chosen", "image_and_guide", "like_sources", "stacked", "stacked_lumas"]


def image_and_guide(image: Any, guide: Any) -> tuple[Planes, Planes]:
    """Both in float64, (C, H, W); refuse what is no image, and two sizes."""
    check_image("image", image)
    check_image("guide", guide)
    if image.shape[-2:] != guide.shape[-2:]:
        raise InvalidValueError(
            f"guide has shape {guide.shape}, image {image.shape}; want one height and width"
        )
    return planes(image), planes(guide)


def stacked(sources: Sequence[Floats], *, channels: tuple[int, ...] | None = None) -> Planes:
    """The sources as one array of shape (M, C, H, W), float64; refuse what is none."""
    return np.stack([planes(image) for image in check_sources(sources, channels=channels)])


def stacked_lumas(sources: Sequence[Floats]) -> Planes:
    """Their full-range lumas, shape (M, H, W), float64."""
    return np.stack([luma_plane(image) for image in sources])


def like_sources(result: Planes, sources: Sequence[Floats]) -> Floats:
    """A result (C, H, W) in the shape and dtype of the sources."""
    return result.reshape(sources[0].shape).astype(np.result_type(*sources))


def chosen(stack: Planes, importance: Planes) -> Planes:
    """From (M, C, H, W) the source of the largest importance (M, H, W) at every pixel."""
    best = np.argmax(importance, axis=0)[None, None]
    return np.asarray(np.take_along_axis(stack, best, axis=0)[0], np.float64)
