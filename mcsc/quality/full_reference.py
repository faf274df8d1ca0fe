"""How close an image is to a reference.

Images are arrays of floats in [0, 1], shape (H, W) or (C, H, W). Nothing is rounded to 8 bits. What
a method made may overshoot, but not be of another scale.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_floats, check_image, check_number
from ..errors import InvalidValueError
from ..images.planes import planes
from ..images.split import fill_holes
from ..types import Floats
from .scale import check_scale

__all__ = ["psnr", "rmse", "ssim"]

_WINDOW = 11


def rmse(
    image: Floats,
    reference: Floats,
    scale: float = 255.0,
    *,
    mask: NDArray[Any] | None = None,
) -> float:
    r"""Root mean square error :math:`s \sqrt{\mathrm{mean}\,(z - z^*)^2}` over all samples.

    Parameters
    ----------
    image, reference : array of floats, shape (H, W) or (C, H, W)
        :math:`z` and :math:`z^*`, of one shape.
    scale : float
        :math:`s`; 255 gives grey levels of 8 bits. With 1 the error is in the unit of the images,
        which then may be any, as metres.
    mask : array, optional
        Broadcasts to the images; where it is 0, pixels do not count and may hold anything.

    Returns
    -------
    float
        In the unit of `scale`. Nothing is clipped or rounded.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or empty, the shapes differ, `scale` is not positive, or no pixel
        counts; or, with another scale than 1, an image is not in [0, 1].
    """
    image, reference, known = _pair(image, reference, mask)
    if check_number("scale", scale) != 1:
        _check_scales(image, reference, known)
    difference = (np.asarray(image, np.float64) - reference)[known]
    return float(scale) * math.sqrt(float(np.mean(difference * difference)))


def psnr(image: Floats, reference: Floats, *, mask: NDArray[Any] | None = None) -> float:
    r"""Peak signal-to-noise ratio :math:`-20 \log_{10} \mathrm{rmse}` in dB, for a peak of 1.

    Parameters
    ----------
    image, reference : array of floats, shape (H, W) or (C, H, W)
        In [0, 1], of one shape. The error is averaged over pixels and channels, then taken to dB.
    mask : array, optional
        As in :func:`rmse`.

    Returns
    -------
    float
        Infinite for equal images.

    Raises
    ------
    TypeError, ValueError
        As in :func:`rmse`.
    """
    image, reference, known = _pair(image, reference, mask)
    _check_scales(image, reference, known)
    error = rmse(image, reference, 1.0, mask=known)
    return math.inf if error == 0 else -20 * math.log10(error)


def ssim(image: Floats, reference: Floats, *, mask: NDArray[Any] | None = None) -> float:
    """Mean structural similarity, with the settings of its authors.

    A Gaussian window of standard deviation 1.5 on 11 x 11 pixels, population covariances, K1 =
    0.01, K2 = 0.03, data range 1, each channel on its own and their mean. Only windows that lie
    within the image count. The work is done by :func:`skimage.metrics.structural_similarity`.

    Parameters
    ----------
    image, reference : array of floats, shape (H, W) or (C, H, W)
        In [0, 1], of one shape, at least 11 x 11 pixels.
    mask : array, optional
        As in :func:`rmse`. Holes are filled by the reference, smoothly continued, in both images;
        windows count whose centre is known.

    Returns
    -------
    float
        At most 1, for equal images.

    Raises
    ------
    TypeError, ValueError
        As in :func:`rmse`; or an image is smaller than the window.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error
    visibility to structural similarity", IEEE TIP 13(4), 2004. doi:10.1109/TIP.2003.819861
    """
    import skimage.metrics

    image, reference, known = _pair(image, reference, mask)
    _check_window("image", image.shape)
    _check_scales(image, reference, known)
    if not known.all():
        reference = fill_holes(reference, known)
        image = np.where(known, image, reference)
    _, values = skimage.metrics.structural_similarity(  # type: ignore[no-untyped-call]
        planes(image),
        planes(reference),
        data_range=1.0,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inside = (..., slice(_WINDOW // 2, -(_WINDOW // 2)), slice(_WINDOW // 2, -(_WINDOW // 2)))
    counted = known.reshape(values.shape)[inside]
    if not counted.any():
        raise InvalidValueError("no window lies within the image whose centre is known")
    return float(values[inside][counted].mean(dtype=np.float64))


def _pair(image: Any, reference: Any, mask: Any) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The images, 0 where they are unknown, and where they are known."""
    if mask is None:
        _check_pair(image, reference)
        return image, reference, np.ones(image.shape, bool)
    check_floats("image", image)
    check_floats("reference", reference)
    try:
        known = np.broadcast_to(np.asarray(mask) > 0, image.shape)
    except ValueError:
        raise InvalidValueError(
            f"mask has shape {np.shape(mask)}, image {image.shape}: want one that broadcasts to it"
        ) from None
    if not known.any():
        raise InvalidValueError("mask is 0 everywhere: no pixel counts")
    if reference.shape == image.shape:
        image = np.where(known, image, 0)
        reference = np.where(known, reference, 0)
    _check_pair(image, reference)
    return image, reference, known


def _check_pair(image: Any, reference: Any) -> None:
    check_image("image", image)
    check_image("reference", reference)
    if image.shape != reference.shape:
        raise InvalidValueError(
            f"image has shape {image.shape}, reference {reference.shape}; want one shape"
        )


def _check_scales(image: Any, reference: Any, known: Any) -> None:
    check_scale("image", image, known, result=True)
    check_scale("reference", reference, known)


def _check_window(name: str, shape: tuple[int, ...]) -> None:
    if min(shape[-2:]) < _WINDOW:
        raise InvalidValueError(
            f"{name} has shape {shape}; want at least {_WINDOW} x {_WINDOW} pixels"
        )
