"""Bicubic resizing as MATLAB's ``imresize`` does it, and the degraded input of super-resolution."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ..checks import check_floats, check_whole, is_number, is_whole
from ..errors import InvalidValueError

__all__ = ["degrade", "imresize", "resize_known"]

_F = TypeVar("_F", bound=np.floating[Any])


def imresize(image: NDArray[_F], scale_or_shape: float | tuple[int, int]) -> NDArray[_F]:
    r"""Resize by cubic convolution, antialiased when shrinking.

    With Keys' kernel k of parameter a = -1/2, and :math:`s` the scale of an axis, sample i of the
    result is

    .. math::

        z_i & = \frac{\sum_j k(\sigma (t_i - j)) \, x_j}{\sum_j k(\sigma (t_i - j))}, \\
        t_i & = \frac{i + 1/2}{s} - \frac12, \quad \sigma = \min(s, 1),

    where x continues beyond its borders by reflection (edge sample repeated). This is MATLAB's
    ``imresize(image, ..., 'bicubic')``.

    Parameters
    ----------
    image : array of floats, shape (..., H, W)
        Every plane of the last two axes is resized on its own.
    scale_or_shape : float, or (height, width)
        Scale, or size of the result. A scale gives ``ceil(scale * H), ceil(scale * W)`` pixels, as
        in MATLAB. A size sets the scale of each axis to the ratio of the sizes.

    Returns
    -------
    array, shape (..., height, width)
        Resized image, of the dtype of `image`; the arithmetic is float32 at its inputs and outputs.
        Cubic convolution overshoots, and nothing is clipped.

    Raises
    ------
    TypeError
        `image` is not an array of floats.
    ValueError
        `image` has fewer than two axes, is empty or not finite; the scale is not a finite
        positive number, or the shape not two positive integers.

    Notes
    -----
    Cost: two one-dimensional passes of 4 (shrinking: 4/s) multiplications a sample, done by
    Pillow, whose BICUBIC filter is this one. Pillow cuts the kernel off at the borders instead of
    reflecting, hence the padding here. It also takes the places of samples in single precision:
    at a scale that is no simple fraction they are off by up to 1e-7 of the image's size.

    References
    ----------
    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP
    29(6), 1981. doi:10.1109/TASSP.1981.1163711

    Examples
    --------
    >>> import numpy as np
    >>> from mcsc.images import imresize
    >>> imresize(np.zeros((3, 270, 480)), 0.25).shape
    (3, 68, 120)
    """
    _check(image)
    height, width = image.shape[-2:]
    if isinstance(scale_or_shape, tuple | list):
        shape = _shape(scale_or_shape)
        scales = shape[0] / height, shape[1] / width
    else:
        scale = _scale(scale_or_shape)
        scales = scale, scale
        # Rounded first: 3.0000000000000004 pixels are three.
        shape = math.ceil(round(scale * height, 9)), math.ceil(round(scale * width, 9))
    margins = [math.ceil(2 / min(s, 1)) + math.ceil(1 / s) + 1 for s in scales]
    box = (
        margins[1],
        margins[0],
        margins[1] + shape[1] / scales[1],
        margins[0] + shape[0] / scales[0],
    )
    planes = image.astype(np.float32).reshape(-1, height, width)
    result = np.empty((len(planes), *shape), image.dtype)
    for plane, target in zip(planes, result, strict=True):
        padded = np.pad(plane, [(m, m) for m in margins], mode="symmetric")
        target[...] = PIL.Image.fromarray(padded).resize(
            shape[::-1], PIL.Image.Resampling.BICUBIC, box=box
        )
    return result.reshape(*image.shape[:-2], *shape)


def degrade(image: NDArray[_F], factor: int) -> NDArray[_F]:
    """Shrink by an integer factor and enlarge again: the input x of the super-resolution tasks.

    Parameters
    ----------
    image : array of floats, shape (..., H, W)
        Every plane of the last two axes is shrunk on its own.
    factor : int
        Must divide H and W.

    Returns
    -------
    array, shape (..., H, W)
        ``imresize(imresize(image, 1 / factor), factor)``, of the dtype of `image`.

    Raises
    ------
    TypeError
        `image` is not an array of floats.
    ValueError
        `factor` is not a positive integer or does not divide H and W; or as :func:`imresize`.
    """
    _check(image)
    factor = check_whole("factor", factor)
    height, width = image.shape[-2:]
    if factor > min(height, width):
        raise InvalidValueError(
            f"factor {factor} would leave nothing of an image of {height} x {width} pixels"
        )
    if height % factor or width % factor:
        raise InvalidValueError(
            f"factor {factor} does not divide the image of {height} x {width} pixels; "
            f"crop it to {height - height % factor} x {width - width % factor} first"
        )
    small = imresize(image, (height // factor, width // factor))
    return imresize(small, (height, width))


def resize_known(
    image: NDArray[_F], mask: NDArray[Any], shape: tuple[int, int]
) -> tuple[NDArray[_F], NDArray[_F]]:
    r"""Resize an image with holes: what is unknown is never averaged into its neighbours.

    With the known pixels k (1 where the mask is not 0, else 0) and :func:`imresize` R,

    .. math::

        z = \frac{R\,(k x)}{R\,k},

    which is normalised convolution.

    Parameters
    ----------
    image : array of floats, shape (..., H, W)
        x; whatever it holds where the mask is 0, NaN included, is not looked at.
    mask : array, broadcasts to the shape of `image`
        Weights >= 0, or booleans; 0 marks an unknown pixel.
    shape : (height, width)
        To enlarge to, or to reduce to.

    Returns
    -------
    image : array, shape (..., height, width)
        0 where it is unknown.
    mask : array of that shape
        Enlarging: the weight of the pixel that each one lies in. Reducing: 1 where at least half
        of what comes in is known, else 0.

    Raises
    ------
    TypeError, ValueError
        As in :func:`imresize`.

    Notes
    -----
    Cubic convolution has negative lobes. Where they leave less than a quarter of the weight, the
    pixel that contains the place is taken instead.

    References
    ----------
    H. Knutsson, C.-F. Westin, "Normalized and differential convolution", CVPR 1993.
    doi:10.1109/CVPR.1993.341081
    """
    weight = np.broadcast_to(np.asarray(mask), image.shape)
    known = weight > 0
    filled = np.where(known, image, 0).astype(image.dtype)
    share = imresize(known.astype(image.dtype), shape)
    rows, columns = (
        np.minimum(((np.arange(m) + 0.5) * n / m).astype(int), n - 1)
        for m, n in zip(shape, image.shape[-2:], strict=True)
    )
    nearest = filled[..., rows[:, None], columns]
    if shape[0] >= image.shape[-2]:
        weights = weight[..., rows[:, None], columns].astype(image.dtype)
    else:
        weights = (share >= 0.5).astype(image.dtype)
    reliable = share > 0.25
    values = np.where(
        reliable, imresize(filled, shape) / np.where(reliable, share, 1), nearest
    ).astype(image.dtype)
    return np.where(weights > 0, values, 0).astype(image.dtype), weights


def _check(image: Any) -> None:
    check_floats("image", image)
    if image.ndim < 2 or image.size == 0:
        raise InvalidValueError(
            f"image has shape {image.shape}; want (H, W) or (..., H, W), not empty"
        )
    if not np.isfinite(image).all():
        raise InvalidValueError("image holds NaN or Inf; fill or mask the unknown pixels first")


def _shape(given: tuple[int, int] | list[int]) -> tuple[int, int]:
    if len(given) != 2 or not all(is_whole(n) and n > 0 for n in given):
        raise InvalidValueError(
            f"shape must be two positive integers (height, width); found {given!r}"
        )
    return int(given[0]), int(given[1])


def _scale(given: Any) -> float:
    if not (is_number(given) and given > 0):
        raise InvalidValueError(
            f"scale must be a positive number, or a shape (height, width); found {given!r}"
        )
    return float(given)
