"""The guided filter."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_number, check_whole
from ..types import Floats
from .stacks import image_and_guide

__all__ = ["guided_filter"]


def guided_filter(image: Floats, guide: Floats, radius: int = 8, eps: float = 0.02**2) -> Floats:
    r"""Guided filter: in every window the result is an affine function of the guide.

    .. math::

        a_k & = (\Sigma_k + \epsilon I)^{-1} \operatorname{cov}_k(g, x), \\
        b_k & = \bar x_k - a_k^T \bar g_k, \\
        z_i & = \bar a_i^T g_i + \bar b_i

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
    x, g = image_and_guide(image, guide)
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


def _sums(stack: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Means over the window with zeros outside the image, on the last two axes."""
    size = 2 * radius + 1
    for axis in (-2, -1):
        stack = scipy.ndimage.uniform_filter1d(stack, size, axis=axis, mode="constant")
    return stack


def _identity(count: int) -> NDArray[np.float64]:
    return np.eye(count)[:, :, None, None]
