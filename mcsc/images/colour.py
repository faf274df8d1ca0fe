r"""Luma and chroma after ITU-R BT.601, studio range.

.. math::

    \begin{pmatrix} Y \\ C_b \\ C_r \end{pmatrix} = \frac{1}{255} \left[
    \begin{pmatrix} 16 \\ 128 \\ 128 \end{pmatrix} +
    \begin{pmatrix} 65.481 & 128.553 & 24.966 \\ -37.797 & -74.203 & 112 \\
    112 & -93.786 & -18.214 \end{pmatrix}
    \begin{pmatrix} R \\ G \\ B \end{pmatrix} \right]

These are the numbers of MATLAB's ``rgb2ycbcr``, whose Y the paper takes as the guide of depth.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTypeError, InvalidValueError

__all__ = ["luma", "rgb", "ycbcr"]

_F = TypeVar("_F", bound=np.floating[Any])

_MATRIX: NDArray[np.float64] = (
    np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    / 255
)
_OFFSET = np.array([16.0, 128.0, 128.0]).reshape(3, 1, 1) / 255
_INVERSE: NDArray[np.float64] = np.asarray(np.linalg.inv(_MATRIX), np.float64)


def luma(rgb: NDArray[_F]) -> NDArray[_F]:
    """Luma Y of a colour image; a grey image passes unchanged.

    Parameters
    ----------
    rgb : array of floats, shape (..., 3, H, W) or (..., 1, H, W)
        Colours in [0, 1], channels on the third axis from the end.

    Returns
    -------
    array, shape (..., 1, H, W)
        Y in 16/255 .. 235/255, of the dtype of `rgb`. A grey image is returned as it is, not
        compressed to that range.

    Raises
    ------
    TypeError
        `rgb` is not an array of floats.
    ValueError
        `rgb` has neither 3 nor 1 channels.
    """
    _check("rgb", rgb, (3, 1))
    if rgb.shape[-3] == 1:
        return rgb
    return _transform(_MATRIX[:1], rgb, _OFFSET[:1])


def ycbcr(rgb: NDArray[_F]) -> NDArray[_F]:
    """Luma and chroma of a colour image; the inverse of :func:`rgb`.

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
    """Colour image of luma and chroma; the inverse of :func:`ycbcr`.

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
    matrix: NDArray[np.float64], image: NDArray[_F], offset: NDArray[np.float64]
) -> NDArray[_F]:
    # In float64 whatever the input, so that a round trip costs one rounding each way.
    result: NDArray[_F] = (
        np.einsum("ij,...jhw->...ihw", matrix, image.astype(np.float64)) + offset
    ).astype(image.dtype)
    return result


def _check(name: str, image: Any, channels: tuple[int, ...]) -> None:
    if not (isinstance(image, np.ndarray) and np.issubdtype(image.dtype, np.floating)):
        found = getattr(image, "dtype", type(image).__name__)
        raise InvalidTypeError(f"{name} must be a NumPy array of floats in [0, 1]; found {found}")
    if image.ndim < 3 or image.shape[-3] not in channels:
        wanted = " or ".join(f"(..., {c}, H, W)" for c in channels)
        raise InvalidValueError(f"{name} has shape {image.shape}; want {wanted}")
