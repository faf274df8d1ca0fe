r"""Hyper-sharpening: the guide of a band, mixed of several channels, and the detail it lends.

A red band looks more like the red of a photograph than like its luma. So the channels of the guide
are mixed for each band, by least squares where both are known: at the resolution of the band.
Selva et al. do so with the bands of another sensor (Hyper-sharpening, 2015,
doi:10.1109/JSTARS.2015.2440092). Here it is the differences of neighbouring cells that are fitted,
so that edges count and not the brightness of large areas:

.. math::

    \min_a \; \sum_{p \sim q} \bigl( X_p - X_q - a^\top (Y_p - Y_q) \bigr)^2
        + \rho \, \| a - g \, l \|^2,

with the means X, Y of cells of 4 x 4 pixels of the band, which was enlarged, and of the guide, made
as coarse as it; neighbours p, q; the luma l (of any number of channels but three, the mean) and its
own best factor g. The small :math:`\rho` decides where channels are alike, as those of a grey
photograph are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..images.colour import luma_studio
from ..images.resize import imresize
from ..types import Floats

__all__ = [
    "CELL", "MixtureSums", "as_coarse", "hyper_sharpening", "injected", "luma_weights", "mixed",
    "mixture_sums",
]  # fmt: skip

CELL = 4
"""Side of a cell, in pixels."""

_RIDGE = 1e-3
"""Relative to the mean energy of a channel's differences."""
_KNOWN = 0.5
"""Cells of which less is known are left out."""


@dataclass(frozen=True, eq=False)
class MixtureSums:
    """Sums of products of differences, of an image or of a part of it; they can be added."""

    guide: NDArray[np.float64]
    """Products of the guide's channels with each other, (C, C', C') for C bands."""
    both: NDArray[np.float64]
    """Products of the guide's channels with the bands, (C, C')."""

    def __add__(self, other: MixtureSums) -> MixtureSums:
        return MixtureSums(self.guide + other.guide, self.both + other.both)

    def weights(
        self, luma: NDArray[np.float64], unmeasured: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the mixture of each band, (C, C').

        Parameters
        ----------
        luma : array (C',)
            What a mixture is drawn to.
        unmeasured : array (C',), optional
            The mixture where there is nothing to tell it from: a constant guide, or no two cells
            known beside each other. Default: the luma. What is to be injected must not be of an
            unknown strength and sign: it wants 0.
        """
        found = []
        for guide, both in zip(self.guide, self.both, strict=True):
            trace = float(np.trace(guide))
            if not trace > 0:
                found.append(luma if unmeasured is None else unmeasured)
                continue
            energy = float(luma @ guide @ luma)
            own = luma * (luma @ both / energy) if energy > 0 else np.zeros_like(luma)
            ridge = _RIDGE * trace / len(luma)
            found.append(np.linalg.solve(guide + ridge * np.eye(len(luma)), both + ridge * own))
        return np.stack(found)


def mixture_sums(
    x: Floats,
    y: Floats,
    mask: Floats | None = None,
    guide_mask: Floats | None = None,
    cells: tuple[int, int] | None = None,
) -> MixtureSums:
    """Sum up products of the differences of cells and of those to their right and below them.

    Parameters
    ----------
    x, y : arrays (C, H, W), (C', H, W)
        The bands, at full size, and the guide, as sharp as they are. Cells begin at their first
        pixel; what is left over at their ends is none.
    mask, guide_mask : arrays (C or 1, H, W), (C' or 1, H, W), optional
        0 where one is unknown. Cells are means of pixels where both are known.
    cells : (rows, columns), optional
        How many cells count, from the first; the others are their neighbours alone. Default: all.
    """
    there = np.ones((1, *x.shape[1:]), bool) if mask is None else mask > 0
    if guide_mask is not None:
        there = there & (guide_mask > 0).all(axis=0, keepdims=True)
    known = _means(there.astype(np.float32))
    guides, boths = [], []
    for n in range(len(x)):
        m = min(n, len(there) - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = _means(np.where(there[m], np.concatenate((x[n : n + 1], y)), 0)) / known[m]
        means[:, known[m] < _KNOWN] = np.nan
        rows, columns = means.shape[1:] if cells is None else cells
        right = np.diff(means, axis=2)[:, :rows, :columns]
        below = np.diff(means, axis=1)[:, :rows, :columns]
        apart = np.concatenate((right.reshape(len(means), -1), below.reshape(len(means), -1)), 1)
        apart = apart[:, np.isfinite(apart).all(axis=0)]
        guides.append(apart[1:] @ apart[1:].T)
        boths.append(apart[1:] @ apart[0])
    return MixtureSums(np.stack(guides), np.stack(boths))


def _means(image: Floats) -> NDArray[np.float64]:
    """Means of the whole cells of an image (C, H, W), in float64."""
    rows, columns = (length // CELL for length in image.shape[1:])
    whole = image[:, : rows * CELL, : columns * CELL]
    shape = (len(image), rows, CELL, columns, CELL)
    return np.asarray(whole.reshape(shape).mean(axis=(2, 4), dtype=np.float64))


def luma_weights(channels: int) -> NDArray[np.float64]:
    """Return the weights by which so many channels of a guide become one without a mixture.

    Those of the luma, of three; of any other number those of the mean.
    """
    if channels != 3:
        return np.full(channels, 1 / channels)
    unit = np.concatenate((np.eye(3), np.zeros((3, 1))), axis=1)[:, None]
    grey = luma_studio(unit)[0, 0]
    return np.asarray(grey[:-1] - grey[-1])


def mixed(guide: Floats, mixture: NDArray[np.float64]) -> Floats:
    """Return a guide for each band, (C, H, W), of one (C', H, W) and weights (C, C')."""
    return np.tensordot(mixture.astype(guide.dtype), guide, 1)


def as_coarse(guide: Floats, known_shape: tuple[int, int]) -> Floats:
    """Return a guide (C', H, W) at the resolution of an image that was known at a size."""
    return imresize(imresize(guide, known_shape), guide.shape[1:])


def injected(x: Floats, guides: Floats, known_shape: tuple[int, int]) -> Floats:
    """Return bands with the detail of their guides, (C, H, W) each, that is lost at that size."""
    return x + (guides - as_coarse(guides, known_shape)).astype(x.dtype)


def hyper_sharpening(x: Floats, y: Floats, *, known_shape: tuple[int, int]) -> Floats:
    r"""Inject into each band the detail of the mixture of the guide that is most like it.

    .. math:: z = x + m - U R m, \qquad m = a^\top y,

    with R reducing to the known size and U enlarging again.

    Parameters
    ----------
    x, y : arrays of floats, shape (C, H, W), (C', H, W)
        The bands, enlarged, and the guide.
    known_shape : (height, width)
        Size at which x was known.

    Returns
    -------
    array (C, H, W)
    """
    sums = mixture_sums(x, as_coarse(y, known_shape))
    luma = luma_weights(len(y))
    return injected(x, mixed(y, sums.weights(luma, np.zeros_like(luma))), known_shape)
