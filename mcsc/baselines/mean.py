"""The mean of images of one scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..types import Floats
from .stacks import Sources

__all__ = ["mean_fusion"]


def mean_fusion(sources: Sequence[Floats]) -> Floats:
    """The mean of the sources: what any method should beat.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape.

    Returns
    -------
    array, shape of each source

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, or one is not finite.
    """
    images = Sources(sources, channels=None, luma=False)
    total: Any = 0.0
    for image, _ in images:
        total = total + image
    return images.result(total / len(images))
