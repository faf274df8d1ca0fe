"""Structural similarity of a fused image to its sources (MEF-SSIM)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.ndimage

from ..checks import check_whole
from ..errors import InvalidValueError
from ..images.planes import Planes
from ..types import Floats
from .lumas import lumas

__all__ = ["mef_ssim"]

_WINDOW = 11
# Wang, Simoncelli, Bovik 2003: the finest three of the five exponents of multi-scale SSIM.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001)


def mef_ssim(fused: Floats, sources: Sequence[Floats], *, scales: int = 3) -> float:
    r"""Structural similarity of the fused image to the best patches of its sources.

    For every window of 11 x 11 pixels, with :math:`\tilde x_k` the patch of source k less its
    mean, the desired patch combines the highest contrast and a mean of the structures:

    .. math::

        \hat x & = \max_k \|\tilde x_k\| \, \frac{\bar s}{\|\bar s\|}, \\
        \bar s & = \frac{\sum_k \|\tilde x_k\|^p \, \tilde x_k / \|\tilde x_k\|}
                   {\sum_k \|\tilde x_k\|^p}, \\
        p & = \tan \frac{\pi R}{2}, \\
        R & = \frac{\|\sum_k \tilde x_k\|}{\sum_k \|\tilde x_k\|},

    and is compared with the patch y of the fused image by
    :math:`(2 \sigma_{\hat x y} + C) / (\sigma_{\hat x}^2 + \sigma_y^2 + C)`, with variances under
    a Gaussian window of standard deviation 1.5 and C = 0.03². The measure is the mean over
    windows; over scales, each half as large as the one before, their product with exponents
    0.0448, 0.2856, 0.3001 divided by their sum. Mean intensities are not compared, in the paper
    neither.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        The image to judge, in [0, 1].
    sources : sequence of such arrays
        Two or more, of the height and width of `fused`.
    scales : int
        1, 2 or 3 = the published measure, ``MEF-SSIM``; 1 is its single-scale part.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or not in [0, 1], has neither 1 nor 3 channels, another size, or
        less than 11 pixels on the coarsest scale; `scales` is none of 1, 2, 3.

    Notes
    -----
    p is capped at 10, as by the authors, and :math:`\|\cdot\|` is unweighted. Windows lie within
    the image. The patches are never formed: each is linear in the sources, so their covariances
    suffice, (M + 1)(M + 2) filterings of two windows for M sources and as many planes.

    References
    ----------
    K. Ma, K. Zeng, Z. Wang, "Perceptual quality assessment for multi-exposure image fusion", IEEE
    TIP 24(11), 2015. doi:10.1109/TIP.2015.2442920
    """
    target, images = lumas(fused, sources, least=2)
    count = check_whole("scales", scales)
    if count > len(_SCALE_WEIGHTS):
        raise InvalidValueError(f"scales must be 1, 2 or 3; found {scales!r}")
    smallest = [math.ceil(n / 2 ** (count - 1)) for n in target.shape]
    if min(smallest) < _WINDOW:
        raise InvalidValueError(
            f"fused has shape {fused.shape}, on the coarsest of {count} scales {smallest}; want at "
            f"least {_WINDOW} pixels there, of a larger image or fewer scales"
        )
    weights = np.array(_SCALE_WEIGHTS[:count]) / sum(_SCALE_WEIGHTS[:count])
    value = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            target, *images = (_halved(plane) for plane in (target, *images))
        # Only a nearly inverted image has a negative mean, whose power would not be real.
        value *= max(float(_structure_map(target, np.stack(images)).mean()), 0.0) ** weight
    return value


def _halved(plane: Planes) -> Planes:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    height, width = plane.shape
    even = np.pad(plane, [(0, height % 2), (0, width % 2)], mode="edge")
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float64)


def _structure_map(fused: Planes, sources: Planes) -> Planes:
    """Similarity of each window of the fused image to the desired patch, without the border."""
    n = _WINDOW
    box = np.full(n, 1 / n)
    bell = np.exp(-((np.arange(n) - n // 2) ** 2) / (2 * 1.5**2))
    bell /= bell.sum()

    def window(plane: Planes, weights: Planes) -> Planes:
        for axis in (0, 1):
            plane = scipy.ndimage.convolve1d(plane, weights, axis=axis)
        return plane[n // 2 : -(n // 2), n // 2 : -(n // 2)]

    def covariances(left: Planes, right: Planes, weights: Planes) -> Planes:
        # Shifted by one constant, which no covariance sees, to lose fewer digits.
        left, right = left - 0.5, right - 0.5
        means = [[window(x, weights) for x in stack] for stack in (left, right)]
        return np.array(
            [
                [window(x * y, weights) - mx * my for y, my in zip(right, means[1], strict=True)]
                for x, mx in zip(left, means[0], strict=True)
            ]
        )

    inner = n * n * covariances(sources, sources, box)  # products of the patches less their means
    norms = np.sqrt(np.maximum(np.einsum("kkhw->khw", inner), 0))
    largest, total = norms.max(axis=0), norms.sum(axis=0)
    flat = largest == 0
    together = np.sqrt(np.maximum(inner.sum(axis=(0, 1)), 0))
    consistency = np.minimum(together / np.where(flat, 1, total), 1)
    p = np.minimum(np.tan(math.pi / 2 * consistency), 10)
    # x_hat = sum_k mix_k x_k: relative norms to the power p, the unit structures among them.
    relative = norms / np.where(flat, 1, largest)
    mix = relative**p / np.where(norms > 0, norms, np.inf)
    length = np.sqrt(np.maximum(np.einsum("jhw,jkhw,khw->hw", mix, inner, mix), 0))
    mix *= np.where(length > 0, largest / np.where(length > 0, length, 1), 0)

    y = fused[None]
    variance = np.einsum("jhw,jkhw,khw->hw", mix, covariances(sources, sources, bell), mix)
    shared = np.einsum("khw,khw->hw", mix, covariances(sources, y, bell)[:, 0])
    c = 0.03**2
    similarity: Planes = (2 * shared + c) / (variance + covariances(y, y, bell)[0, 0] + c)
    return similarity
