"""Holes of images that others of the same scene know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..images.split import fill_holes
from ..types import Floats

__all__ = ["fill_from_others"]


def fill_from_others(images: Sequence[Floats], masks: Sequence[Floats | None]) -> list[Floats]:
    r"""Fill what is unknown in one image by what the others know there.

    With o the mean of the others where they are known, an unknown pixel of x becomes

    .. math:: o + S(x - o),

    S(.) being the smooth continuation of what is known (`mcsc.images.fill_holes`): there is no
    step at the border of a hole, though one image be darker than the other. What is unknown in all
    images is continued smoothly.

    Parameters
    ----------
    images : sequence of arrays, shape (C, H, W)
        Images of one shape.
    masks : sequence of (array (1, H, W) or (C, H, W), or None)
        Weights, 0 where an image is unknown.

    Returns
    -------
    list of arrays
        The images, where they are known, and what was filled in.
    """
    if all(mask is None for mask in masks):
        return list(images)
    known = [
        np.ones(x.shape, bool) if m is None else np.broadcast_to(m > 0, x.shape)
        for x, m in zip(images, masks, strict=True)
    ]
    count = np.sum(known, axis=0)
    total = np.sum([np.where(k, x, 0) for x, k in zip(images, known, strict=True)], axis=0)
    filled = []
    for x, k in zip(images, known, strict=True):
        others = count - k
        mean = np.where(others > 0, total - np.where(k, x, 0), 0) / np.maximum(others, 1)
        both = k & (others > 0)
        if both.any(axis=(1, 2)).all():
            step = fill_holes((np.where(both, x, 0) - mean).astype(x.dtype), both)
            mean = mean + np.where(others > 0, step, 0)
        guess = np.where(k, x, mean).astype(x.dtype)
        there = k | (others > 0)
        filled.append(guess if there.all() else fill_holes(guess, there))
    return filled
