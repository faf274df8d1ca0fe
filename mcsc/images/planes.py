"""Images as stacks of planes in float64, the arithmetic of baselines and measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..types import Floats
from .colour import luma_full

__all__ = ["Planes", "luma_plane", "planes"]

Planes = NDArray[np.float64]


def planes(image: Floats) -> Planes:
    """The image in float64 with a channel axis, shape (C, H, W)."""
    return np.asarray(image, np.float64).reshape(-1, *image.shape[-2:])


def luma_plane(image: Floats) -> Planes:
    """Full-range luma of an image (H, W), (1, H, W) or (3, H, W), shape (H, W), float64."""
    return np.asarray(luma_full(planes(image))[0], np.float64)
