"""Fusion of focus stacks by a map that says which source is sharp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage

from ..checks import check_number
from ..images.planes import Planes
from ..types import Floats
from .stacks import Largest, Sources

__all__ = ["decision_map_fusion"]


def decision_map_fusion(sources: Sequence[Floats], sigma: float = 5.0) -> Floats:
    r"""Take every pixel from the sharpest source: for focus stacks.

    Sharpness is the energy of the Laplacian of the grey image, :math:`G_\sigma * (\Delta y)^2`;
    the map that says for a source where it is the sharpest, 0 or 1, is smoothed by
    :math:`G_{\sigma/2}` and weights its pixels.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape, of 1 or 3 channels.
    sigma : float
        Standard deviation of the Gaussian, in pixels: how far around a pixel its sharpness is
        judged.

    Returns
    -------
    array, shape of each source
        Within the range of the sources.

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, one is not finite or has neither 1 nor 3
        channels; or `sigma` is not a positive number.

    References
    ----------
    W. Huang, Z. Jing, "Evaluation of focus measures in multi-focus image fusion", Pattern
    Recognition Letters 28(4), 2007 (energy of the Laplacian). doi:10.1016/j.patrec.2006.09.005
    """
    images = Sources(sources)
    sigma = check_number("sigma", sigma)
    best = Largest()
    for number, (_, y) in enumerate(images):
        best.offer(number, _gaussian(scipy.ndimage.laplace(y) ** 2, sigma))
    weighted: Any = 0.0
    total: Any = 0.0
    for number, (image, _) in enumerate(images):
        weights = _gaussian((best.index == number).astype(float), sigma / 2)
        weighted, total = weighted + weights * image, total + weights
    return images.result(weighted / total)


def _gaussian(plane: Planes, sigma: float) -> Planes:
    return np.asarray(scipy.ndimage.gaussian_filter(plane, sigma, mode="reflect"), np.float64)
