"""Fusion of exposures by weights that say where a source shows something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage

from ..checks import check_number
from ..images.planes import Planes
from ..types import Floats
from .pyramids import expanded, reduced
from .stacks import Sources

__all__ = ["exposure_fusion"]


def exposure_fusion(sources: Sequence[Floats], sigma: float = 0.2) -> Floats:
    r"""Exposure fusion of Mertens, Kautz and Van Reeth.

    Weights are contrast times saturation times well-exposedness,

    .. math::

        |\Delta y| \cdot \operatorname{std}_c(x_c) \cdot
        \prod_c \exp\left(-\frac{(x_c - 1/2)^2}{2 \sigma^2}\right),

    normalised over the sources; their Gaussian pyramids weight the Laplacian pyramids of the
    sources, down to where the shorter side is one pixel. Grey sources have no saturation, and the
    factor is left out.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape, of 1 or 3 channels, in [0, 1], sRGB-like (not linear).
    sigma : float
        Tolerance of well-exposedness.

    Returns
    -------
    array, shape of each source

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, one is not finite or has neither 1 nor 3
        channels; or `sigma` is not a positive number.

    References
    ----------
    T. Mertens, J. Kautz, F. Van Reeth, "Exposure fusion", Pacific Graphics 2007.
    doi:10.1109/PG.2007.17
    """
    images = Sources(sources)
    sigma = check_number("sigma", sigma)
    total: Any = 0.0
    for image, y in images:
        total = total + _weights(image, y, sigma)
    pyramid: list[Any] = []
    for image, y in images:
        smooth, weights = image, (_weights(image, y, sigma) / total)[None]
        levels = int(math.log2(min(image.shape[-2:])))
        pyramid = pyramid or [0.0] * (levels + 1)
        for level in range(levels):
            smaller = reduced(smooth)
            detail = smooth - expanded(smaller, smooth.shape[-2:])
            pyramid[level] = pyramid[level] + weights * detail
            smooth, weights = smaller, reduced(weights)
        pyramid[-1] = pyramid[-1] + weights * smooth
    result = pyramid.pop()
    for detail in reversed(pyramid):
        result = expanded(result, detail.shape[-2:]) + detail
    return images.result(result)


def _weights(image: Planes, luma: Planes, sigma: float) -> Planes:
    """Not yet normalised, (H, W)."""
    weights = np.abs(scipy.ndimage.laplace(luma, mode="nearest"))
    if len(image) == 3:
        weights *= image.std(axis=0)
    weights *= np.exp(-((image - 0.5) ** 2).sum(axis=0) / (2 * sigma**2))
    # Where no source has any weight, all count alike.
    return np.asarray(weights + 1e-12, np.float64)
