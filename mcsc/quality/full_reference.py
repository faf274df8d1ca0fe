"""How close an image is to a reference.

Images are arrays of floats in [0, 1], shape (H, W) or (C, H, W). Nothing is rounded to 8 bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..checks import check_image, check_number
from ..errors import InvalidValueError
from ..images.planes import planes
from ..types import Floats

__all__ = ["psnr", "rmse", "ssim"]

_WINDOW = 11


def rmse(image: Floats, reference: Floats, scale: float = 255.0) -> float:
    r"""Root mean square error :math:`s \sqrt{\mathrm{mean}\,(z - z^*)^2}` over all samples.

    Parameters
    ----------
    image, reference : array of floats, shape (H, W) or (C, H, W)
        :math:`z` and :math:`z^*`, of one shape.
    scale : float
        :math:`s`; 255 gives grey levels of 8 bits.

    Returns
    -------
    float
        In the unit of `scale`. Nothing is clipped or rounded.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or empty, the shapes differ, or `scale` is not positive.
    """
    _check_pair(image, reference)
    check_number("scale", scale)
    difference = np.asarray(image, np.float64) - reference
    return float(scale) * math.sqrt(float(np.mean(difference * difference)))


def psnr(image: Floats, reference: Floats) -> float:
    r"""Peak signal-to-noise ratio :math:`-20 \log_{10} \mathrm{rmse}` in dB, for a peak of 1.

    Parameters
    ----------
    image, reference : array of floats, shape (H, W) or (C, H, W)
        Of one shape. The error is averaged over pixels and channels, then taken to dB.

    Returns
    -------
    float
        Infinite for equal images.

    Raises
    ------
    TypeError, ValueError
        As :func:`rmse`.
    """
    error = rmse(image, reference, 1.0)
    return math.inf if error == 0 else -20 * math.log10(error)


def ssim(image: Floats, reference: Floats) -> float:
    """Mean structural similarity, with the settings of its authors.

    A Gaussian window of standard deviation 1.5 on 11 x 11 pixels, population covariances, K1 =
    0.01, K2 = 0.03, data range 1, each channel on its own and their mean. Only windows that lie
    within the image count. The work is done by :func:`skimage.metrics.structural_similarity`.

    Parameters
    ----------
    image, reference : array of floats, shape (H, W) or (C, H, W)
        Of one shape, at least 11 x 11 pixels.

    Returns
    -------
    float
        At most 1, for equal images.

    Raises
    ------
    TypeError, ValueError
        As :func:`rmse`; or an image is smaller than the window.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error
    visibility to structural similarity", IEEE TIP 13(4), 2004. doi:10.1109/TIP.2003.819861
    """
    import skimage.metrics

    _check_pair(image, reference)
    _check_window("image", image.shape)
    value = skimage.metrics.structural_similarity(  # type: ignore[no-untyped-call]
        planes(image),
        planes(reference),
        data_range=1.0,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def _check_pair(image: Any, reference: Any) -> None:
    check_image("image", image)
    check_image("reference", reference)
    if image.shape != reference.shape:
        raise InvalidValueError(
            f"image has shape {image.shape}, reference {reference.shape}; want one shape"
        )


def _check_window(name: str, shape: tuple[int, ...]) -> None:
    if min(shape[-2:]) < _WINDOW:
        raise InvalidValueError(
            f"{name} has shape {shape}; want at least {_WINDOW} x {_WINDOW} pixels"
        )
