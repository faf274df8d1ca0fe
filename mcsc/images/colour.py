r"""Luma and chroma after ITU-R BT.601, in its two ranges.

Full range is :math:`Y = 0.299 R + 0.587 G + 0.114 B`, black 0 and white 1: MATLAB's ``rgb2gray``,
in which fused images are measured. Studio range has black 16/255 and white 235/255:

.. math::

    \begin{pmatrix} Y \\ C_b \\ C_r \end{pmatrix} = \frac{1}{255} \left[
    \begin{pmatrix} 16 \\ 128 \\ 128 \end{pmatrix} +
    \begin{pmatrix} 65.481 & 128.553 & 24.966 \\ -37.797 & -74.203 & 112 \\
    112 & -93.786 & -18.214 \end{pmatrix}
    \begin{pmatrix} R \\ G \\ B \end{pmatrix} \right]

These are the numbers of MATLAB's ``rgb2ycbcr``, whose Y the paper takes as the guide of depth.

In both ranges a grey image counts as a colour image of three equal channels.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..checks import check_floats
from ..errors import InvalidValueError

__all__ = ["luma_full", "luma_studio", "rgb", "ycbcr"]

_F = TypeVar("_F", bound=np.floating[Any])

_BT601 = np.array([0.299, 0.587, 0.114])
_BLACK, _WHITE = 16 / 255, 235 / 255

_MATRIX: NDArray[np.float64] = np.stack(
    [
        (_WHITE - _BLACK) * _BT601,
        np.array([-37.797, -74.203, 112.0]) / 255,
        np.array([112.0, -93.786, -18.214]) / 255,
    ]
)
_OFFSET = np.array([_BLACK, 128 / 255, 128 / 255]).reshape(3, 1, 1)
_INVERSE: NDArray[np.float64] = np.asarray(np.linalg.inv(_MATRIX), np.float64)


def luma_full(image: NDArray[_F]) -> NDArray[_F]:
    """Full-range luma of a colour image; a grey image is its own.

    Parameters
    ----------
    image : array of floats, shape (..., 3, H, W) or (..., 1, H, W)
        Colours or grey, channels on the third axis from the end.

    Returns
    -------
    array, shape (..., 1, H, W)
        From 0, black, to 1, white; of the dtype of `image`. A grey image is returned as it is.

    Raises
    ------
    TypeError
        `image` is not an array of floats.
    ValueError
        `image` has neither 3 nor 1 channels.
    """
    _check("image", image, (3, 1))
    if image.shape[-3] == 1:
        return image
    return _transform(_BT601[None], image, 0.0)


def luma_studio(image: NDArray[_F]) -> NDArray[_F]:
    """Studio-range luma of a colour or grey image.

    Parameters
    ----------
    image : array of floats, shape (..., 3, H, W) or (..., 1, H, W)
        Colours or grey in [0, 1], channels on the third axis from the end.

    Returns
    -------
    array, shape (..., 1, H, W)
        From 16/255, black, to 235/255, white; of the dtype of `image`. A grey image is compressed
        to that range, too, as are the three equal channels that show the same.

    Raises
    ------
    TypeError
        `image` is not an array of floats.
    ValueError
        `image` has neither 3 nor 1 channels.
    """
    _check("image", image, (3, 1))
    weights = _MATRIX[:1] if image.shape[-3] == 3 else _MATRIX[:1].sum(axis=1, keepdims=True)
    return _transform(weights, image, _OFFSET[:1])


def ycbcr(rgb: NDArray[_F]) -> NDArray[_F]:
    """Studio-range luma and chroma of a colour image; the inverse of :func:`rgb`.

    Parameters
    ----------
    rgb : array of floats, shape (..., 3, H, W)
        Colours in [0, 1].

    Returns
    -------
    array, shape (..., 3, H, W)
        Y in 16/255 .. 235/255, Cb and Cr in 16/255 .. 240/255 with 128/255 for grey, of the
        dtype of `rgb`.

    Raises
    ------
    TypeError
        `rgb` is not an array of floats.
    ValueError
        `rgb` does not have 3 channels.
    """
    _check("rgb", rgb, (3,))
    return _transform(_MATRIX, rgb, _OFFSET)


def rgb(ycbcr: NDArray[_F]) -> NDArray[_F]:
    """Colour image of studio-range luma and chroma; the inverse of :func:`ycbcr`.

    Parameters
    ----------
    ycbcr : array of floats, shape (..., 3, H, W)
        Y, Cb, Cr as :func:`ycbcr` gives them.

    Returns
    -------
    array, shape (..., 3, H, W)
        Colours, of the dtype of `ycbcr`. Not clipped: a luma that was changed without its chroma
        can lead outside [0, 1].

    Raises
    ------
    TypeError
        `ycbcr` is not an array of floats.
    ValueError
        `ycbcr` does not have 3 channels.
    """
    _check("ycbcr", ycbcr, (3,))
    return _transform(_INVERSE, ycbcr, -np.einsum("ij,jhw->ihw", _INVERSE, _OFFSET))


def _transform(
    matrix: NDArray[np.float64], image: NDArray[_F], offset: NDArray[np.float64] | float
) -> NDArray[_F]:
    # In float64 whatever the input, so that a round trip costs one rounding each way.
    result: NDArray[_F] = (
        np.einsum("ij,...jhw->...ihw", matrix, image.astype(np.float64)) + offset
    ).astype(image.dtype)
    return result


def _check(name: str, image: Any, channels: tuple[int, ...]) -> None:
    check_floats(name, image)
    if image.ndim < 3 or image.shape[-3] not in channels:
        wanted = " or ".join(f"(..., {c}, H, W)" for c in channels)
        raise InvalidValueError(f"{name} has shape {image.shape}; want {wanted}")
