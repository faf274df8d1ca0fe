"""Fused images and their sources as the measures of fusion look at them.

Colours are turned into full-range luma, which is what the field's MATLAB code takes (`rgb2gray`);
studio range would compress the contrast by 0.86. A fused image in colour may be compared with grey
sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_count, check_image, check_sources
from ..errors import InvalidValueError
from ..images.planes import Planes, luma_plane
from ..types import Floats
from .scale import check_scale

__all__ = ["fused_luma", "lumas"]


def fused_luma(fused: Floats) -> Planes:
    """Luma of a fused image, (H, W); refuse what is none, or not in [0, 1]."""
    check_image("fused", fused, channels=(1, 3))
    check_scale("fused", fused, strict=True)
    return luma_plane(fused)


def lumas(
    fused: Floats, sources: Sequence[Floats], *, least: int = 1, mask: NDArray[Any] | None = None
) -> tuple[Planes, list[Planes]]:
    """Lumas of a fused image and of its sources, (H, W) each; refuse what does not go together.

    Where `mask` (H, W) is 0, images may hold anything.
    """
    if mask is not None:
        check_count(sources, least=least)
        fused, *sources = (_without_unknown(image, mask) for image in (fused, *sources))
    target = fused_luma(fused)
    images = check_sources(sources, least=least, alike=False, channels=(1, 3))
    if images[0].shape[-2:] != fused.shape[-2:]:
        raise InvalidValueError(
            f"fused has shape {fused.shape}, sources[0] {images[0].shape}; "
            "want one height and width"
        )
    for index, image in enumerate(images):
        check_scale(f"sources[{index}]", image, strict=True)
    return target, [luma_plane(image) for image in images]


def _without_unknown(image: Any, mask: NDArray[Any]) -> Any:
    """The image, 0 where it is unknown; what the mask does not fit is left to the checks."""
    plain = isinstance(image, np.ndarray) and not isinstance(image, np.ma.MaskedArray)
    if not plain or image.shape[-2:] != np.shape(mask):
        return image
    return np.where(np.asarray(mask) > 0, image, np.zeros((), image.dtype))
