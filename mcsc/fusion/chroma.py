"""Colours of fused images whose sources are grey in part."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..images.colour import luma_full
from ..images.planes import Planes, planes
from ..types import Floats

__all__ = ["Chroma"]


class Chroma:
    r"""The chroma of several colour images, one at a time.

    With the chroma :math:`q_m = x_m - Y(x_m)` of source m, Y being its full-range luma, it is

    .. math:: q = \frac{\sum_m |q_m| q_m}{\sum_m |q_m|},

    the mean that is common in the field: where one source is coloured and the others are grey it is
    the chroma of that one.
    """

    def __init__(self) -> None:
        self.count = 0
        """Number of images that were added."""
        self._weighted: Any = 0.0
        self._total: Any = 0.0

    def add(self, image: Floats) -> None:
        """Add a colour image (3, H, W)."""
        work = planes(image)
        own = work - luma_full(work)
        length = np.sqrt((own**2).sum(axis=0))
        self._weighted = self._weighted + length * own
        self._total = self._total + length
        self.count += 1

    def mean(self) -> Planes:
        """q, (3, H, W), whose luma is 0."""
        total = np.where(self._total > 0, self._total, 1)
        return np.asarray(self._weighted / total, np.float64)

    def coloured(self, luma: Floats) -> Floats:
        """Give a fused full-range luma (1, H, W) this chroma: an image (3, H, W).

        The luma is kept. Where the colour would leave [0, 1] by it, it is paler: its chroma is
        multiplied by the largest factor up to 1 that keeps it inside.
        """
        own, grey = self.mean(), planes(luma)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(own > 0, (1 - grey) / own, np.where(own < 0, -grey / own, np.inf))
        factor = np.clip(room.min(axis=0), 0, 1)
        return np.asarray(grey + factor * own, luma.dtype)
