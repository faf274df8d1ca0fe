"""Well-known filters that restore an image by a guide: what a new method is compared with.

Images are arrays of floats in [0, 1], shape (H, W) or (C, H, W), of any number of channels. The
arithmetic is float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_image, check_number, check_whole, planes
from ..errors import InvalidValueError
from ..types import Floats

__all__ = ["guided_filter", "joint_bilateral"]


def guided_filter(image: Floats, guide: Floats, radius: int = 8, eps: float = 0.02**2) -> Floats:
    r"""Guided filter: in every window the result is an affine function of the guide.

    .. math::

        a_k = (\Sigma_k + \epsilon I)^{-1} \operatorname{cov}_k(g, x), \quad
        b_k = \bar x_k - a_k^T \bar g_k, \quad
        z_i = \bar a_i^T g_i + \bar b_i

    with means over the windows of :math:`(2r+1)^2` pixels, cut off at the border of the image, and
    the covariance :math:`\Sigma_k` of the guide's channels: a variance for a grey guide, 3 x 3 for
    a colour one.

    Parameters
    ----------
    image : array of floats, shape (H, W) or (C, H, W)
        x; each channel is filtered on its own.
    guide : array of floats, shape (H, W) or (C_g, H, W)
        g; `image` itself smooths and keeps edges.
    radius : int
        r, in pixels.
    eps : float
        :math:`\epsilon > 0`: edges of the guide of a variance much above it are kept. The defaults
        are the authors' for flash and ambient pairs.

    Returns
    -------
    array, shape and dtype of `image`
        It may leave [0, 1]; nothing is clipped.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite, sizes differ, `radius` is not a positive integer, or `eps` not a
        positive number.

    Notes
    -----
    Cost: :math:`(C_g + 1)(C_g + 2 C) + C` window means of a time that does not grow with r, and a
    small system of equations a pixel; about :math:`C_g (C_g + 2 C)` planes of memory.

    References
    ----------
    K. He, J. Sun, X. Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013, Eqs. 8 and 19-21.
    doi:10.1109/TPAMI.2012.213
    """
    x, g = _check(image, guide)
    r = check_whole("radius", radius)
    eps = check_number("eps", eps)
    count = _sums(np.ones(x.shape[1:]), r)

    def mean(stack: NDArray[np.float64]) -> NDArray[np.float64]:
        return _sums(stack, r) / count

    mean_x, mean_g = mean(x), mean(g)
    covariance = mean(g[:, None] * g) - mean_g[:, None] * mean_g + eps * _identity(len(g))
    shared = mean(g[:, None] * x) - mean_g[:, None] * mean_x
    # Pixels first, as linalg.solve wants its matrices last; solved for all channels of x at once.
    solved = np.linalg.solve(covariance.transpose(2, 3, 0, 1), shared.transpose(2, 3, 0, 1))
    a = np.asarray(solved.transpose(2, 3, 0, 1), np.float64)
    b = mean_x - np.einsum("gchw,ghw->chw", a, mean_g)
    result = np.einsum("gchw,ghw->chw", mean(a), g) + mean(b)
    return np.asarray(result.reshape(image.shape), image.dtype)


def joint_bilateral(
    image: Floats, guide: Floats, sigma_space: float = 3.0, sigma_range: float = 0.1
) -> Floats:
    r"""Joint (cross) bilateral filter: means over neighbours that look alike in the guide.

    .. math::

        z_i = \frac{\sum_j w_{ij} x_j}{\sum_j w_{ij}}, \qquad
        w_{ij} = \exp\left(-\frac{|i - j|^2}{2 \sigma_s^2}
                 - \frac{\|g_i - g_j\|^2}{2 \sigma_r^2}\right)

    over the pixels j of the image within :math:`\lceil 2 \sigma_s \rceil` rows and columns of i.

    Parameters
    ----------
    image : array of floats, shape (H, W) or (C, H, W)
        x; all channels get the same weights.
    guide : array of floats, shape (H, W) or (C_g, H, W)
        g; `image` itself gives the bilateral filter.
    sigma_space : float
        :math:`\sigma_s`, in pixels.
    sigma_range : float
        :math:`\sigma_r`, in the unit of the guide; for several channels of their Euclidean
        distance.

    Returns
    -------
    array, shape and dtype of `image`

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite, sizes differ, or a sigma is not a positive number.

    Notes
    -----
    Cost: one exponential a pixel and neighbour, 169 neighbours for the default; a few planes of
    memory.

    References
    ----------
    G. Petschnigg et al., "Digital photography with flash and no-flash image pairs", ACM TOG 23(3),
    2004, Eq. 3. doi:10.1145/1015706.1015777
    """
    x, g = _check(image, guide)
    space = check_number("sigma_space", sigma_space)
    g = g / (math.sqrt(2) * check_number("sigma_range", sigma_range))
    height, width = x.shape[1:]
    rows, columns = (min(math.ceil(2 * space), n - 1) for n in (height, width))
    # Weights are symmetric: half of the window does for both ends of each pair; (0, 0) has 1.
    total, weights = x.copy(), np.ones((height, width))
    for i in range(rows + 1):
        for j in range(-columns if i else 1, columns + 1):
            here = slice(0, height - i), slice(max(-j, 0), width - max(j, 0))
            there = slice(i, height), slice(max(j, 0), width - max(-j, 0))
            distance = np.sum((g[:, *here] - g[:, *there]) ** 2, axis=0)
            w = np.exp(-distance - (i * i + j * j) / (2 * space * space))
            total[:, *here] += w * x[:, *there]
            total[:, *there] += w * x[:, *here]
            weights[here] += w
            weights[there] += w
    return (total / weights).reshape(image.shape).astype(image.dtype)


def _check(image: Any, guide: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    check_image("image", image)
    check_image("guide", guide)
    if image.shape[-2:] != guide.shape[-2:]:
        raise InvalidValueError(
            f"guide has shape {guide.shape}, image {image.shape}; want one height and width"
        )
    return planes(image), planes(guide)


def _sums(stack: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Means over the window with zeros outside the image, on the last two axes."""
    size = 2 * radius + 1
    for axis in (-2, -1):
        stack = scipy.ndimage.uniform_filter1d(stack, size, axis=axis, mode="constant")
    return stack


def _identity(count: int) -> NDArray[np.float64]:
    return np.eye(count)[:, :, None, None]
