"""The joint bilateral filter."""

from __future__ import annotations

import math

import numpy as np

from ..checks import check_number
from ..types import Floats
from .stacks import image_and_guide

__all__ = ["joint_bilateral"]


def joint_bilateral(
    image: Floats, guide: Floats, sigma_space: float = 3.0, sigma_range: float = 0.1
) -> Floats:
    r"""Joint (cross) bilateral filter: means over neighbours that look alike in the guide.

    .. math::

        z_i & = \frac{\sum_j w_{ij} x_j}{\sum_j w_{ij}}, \\
        w_{ij} & = \exp\left(-\frac{|i - j|^2}{2 \sigma_s^2}
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
    x, g = image_and_guide(image, guide)
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
