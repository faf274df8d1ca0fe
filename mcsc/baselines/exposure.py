"""Fusion of exposures by weights that say where a source shows something."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.ndimage

from ..checks import check_number
from ..types import Floats
from .pyramids import expanded, reduced
from .stacks import like_sources, stacked, stacked_lumas

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
    stack, luma = stacked(sources, channels=(1, 3)), stacked_lumas(sources)
    sigma = check_number("sigma", sigma)
    weights = np.stack([np.abs(scipy.ndimage.laplace(y, mode="nearest")) for y in luma])
    if stack.shape[1] == 3:
        weights *= stack.std(axis=1)
    weights *= np.exp(-((stack - 0.5) ** 2).sum(axis=1) / (2 * sigma**2))
    weights += 1e-12  # where no source has any weight, all count alike
    weights /= weights.sum(axis=0)

    weights = weights[:, None]
    details = []
    for _ in range(int(math.log2(min(stack.shape[-2:])))):
        smaller = reduced(stack)
        detail = stack - expanded(smaller, stack.shape[-2:])
        details.append((weights * detail).sum(axis=0))
        stack, weights = smaller, reduced(weights)
    result = (weights * stack).sum(axis=0)
    for detail in reversed(details):
        result = expanded(result, detail.shape[-2:]) + detail
    return like_sources(result, sources)
