"""Splitting an image into a smooth base and the detail that sparse codes are good at."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.sparse.linalg
from numpy.typing import NDArray

from ..checks import check_floats, check_number, check_unmasked, nowhere_known
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..types import Floats

__all__ = ["LowpassSplit", "fill_holes", "lowpass_split"]

_RTOL = 1e-10
_MAX_ITER = 2000


class LowpassSplit(NamedTuple):
    """Result of :func:`lowpass_split`; it unpacks as ``low, high``."""

    low: Floats
    """Smooth part, shape of the image."""
    high: Floats
    """Detail, ``image - low``; zero where the mask is zero."""


def lowpass_split(
    image: Floats, strength: float = 5.0, mask: NDArray[Any] | None = None
) -> LowpassSplit:
    r"""Split an image into a smooth part and detail by Tikhonov regularisation.

    .. math::

        \mathrm{low} & = \arg\min_l \tfrac12 \|w (l - x)\|^2
            + \tfrac{\mu}{2} \|\nabla l\|^2, \\
        \mathrm{high} & = x - \mathrm{low}

    with forward differences and no difference across the border (Neumann), so nothing wraps
    around. A constant is all low.

    Parameters
    ----------
    image : array of floats, shape (..., H, W)
        x; every plane of the last two axes is split on its own.
    strength : float
        :math:`\mu \ge 0`, in squared pixels: structures much smaller than
        :math:`2\pi\sqrt\mu` pixels go to high. 0: everything is low.
    mask : array, optional
        w, non-negative weights or booleans that broadcast to the shape of `image`; 0 marks an
        unknown pixel (hole), whose value in `image` is ignored, NaN included.

    Returns
    -------
    LowpassSplit
        ``low``, defined in holes too, and ``high``, zero in holes; shape and dtype of `image`.
        ``low + high`` is `image` to rounding wherever w > 0.

    Raises
    ------
    TypeError
        `image` is not an array of floats, or `mask` not numeric.
    ValueError
        `image` has fewer than two axes, is empty, or is not finite where it is known; `strength`
        is negative or not finite; `mask` does not fit, is negative, not finite, or leaves a plane
        without a known pixel; `strength` is 0 and there are holes to fill.

    Warns
    -----
    RuntimeWarning
        Conjugate gradients did not reach a relative residual of 1e-10 (mask only).

    Notes
    -----
    The cosine transform (DCT-II) diagonalises the Neumann Laplacian, with eigenvalues
    :math:`\omega_{kl} = 4 \sin^2(\pi k / 2H) + 4 \sin^2(\pi l / 2W)`. Without a mask, or with one
    that is the same everywhere, low is exact: two DCTs a plane and a division by
    :math:`1 + \mu\omega / w^2`. With a mask,
    :math:`(w^2 + \mu \nabla^T\nabla) l = w^2 x` is solved in float64 by conjugate gradients,
    preconditioned with that division: two DCTs an iteration, some ten to a hundred iterations (the
    more the larger the holes are against :math:`\sqrt\mu`), and about ten planes of memory.

    Examples
    --------
    >>> import numpy as np
    >>> from mcsc.images import lowpass_split
    >>> image = np.ones((1, 8, 8))
    >>> image[0, 4, 4] = np.nan
    >>> low, high = lowpass_split(image, mask=np.isfinite(image))
    >>> bool(np.allclose(low, 1)), bool(np.allclose(high, 0))
    (True, True)
    """
    strength = _check(image, strength)
    if mask is None:
        if not np.isfinite(image).all():
            raise InvalidValueError("image holds NaN or Inf; give a mask that is 0 there")
        low = _solve(image, strength, 1.0)
        return LowpassSplit(low, image - low)

    weight = _weight(mask, image)
    known = weight > 0
    if strength == 0 and not known.all():
        raise InvalidValueError("strength is 0, so holes cannot be filled; want strength > 0")
    filled = np.where(known, image, 0)
    if not np.isfinite(filled).all():
        raise InvalidValueError("image holds NaN or Inf where mask is not 0; set mask to 0 there")
    low = np.empty_like(image)
    planes = (-1, *image.shape[-2:])
    for x, w, target in zip(
        filled.reshape(planes), weight.reshape(planes), low.reshape(planes), strict=True
    ):
        target[...] = _solve_weighted(x, w, strength)
    return LowpassSplit(low, np.where(known, filled - low, 0))


def fill_holes(image: Floats, mask: NDArray[Any], strength: float = 5.0) -> Floats:
    """Fill unknown pixels by the smooth part of the known ones; these stay as they are.

    Parameters
    ----------
    image, strength, mask
        As in :func:`lowpass_split`.

    Returns
    -------
    array
        Shape and dtype of `image`.

    Raises
    ------
    TypeError, ValueError
        As in :func:`lowpass_split`.
    """
    low = lowpass_split(image, strength, mask).low
    return np.where(_weight(mask, image) > 0, image, low)


def fill_nearest(image: Floats, mask: NDArray[Any]) -> Floats:
    """Fill unknown pixels with the nearest known one of their plane.

    Unlike `fill_holes` it makes no value that was not measured, and keeps edges; what it makes of
    large holes is coarse.

    Parameters
    ----------
    image, mask
        As in :func:`lowpass_split`.

    Returns
    -------
    array
        Shape and dtype of `image`.

    Raises
    ------
    TypeError, ValueError
        As in :func:`lowpass_split`.
    """
    _check(image, 1.0)
    known = _weight(mask, image) > 0
    filled = image.copy()
    planes = (-1, *image.shape[-2:])
    for plane, there in zip(filled.reshape(planes), known.reshape(planes), strict=True):
        if not there.all():
            rows, columns = scipy.ndimage.distance_transform_edt(
                ~there, return_distances=False, return_indices=True
            )
            plane[...] = plane[rows, columns]
    if not np.isfinite(filled).all():
        raise InvalidValueError("image holds NaN or Inf where mask is not 0; set mask to 0 there")
    return filled


def _solve(right: Floats, strength: float, weight: float) -> Floats:
    """Solve ``(weight + strength grad^T grad) l = right`` on the last two axes."""
    height, width = right.shape[-2:]
    rows = 4 * np.sin(np.pi * np.arange(height) / (2 * height)) ** 2
    columns = 4 * np.sin(np.pi * np.arange(width) / (2 * width)) ** 2
    divisor = weight + strength * (rows[:, None] + columns)
    spectrum = scipy.fft.dctn(right, axes=(-2, -1), norm="ortho")
    spectrum /= divisor.astype(right.dtype)
    solution: Floats = scipy.fft.idctn(spectrum, axes=(-2, -1), norm="ortho", overwrite_x=True)
    return solution


def _solve_weighted(image: Floats, weight: Floats, strength: float) -> Floats:
    """Solve ``(w^2 + strength grad^T grad) l = w^2 x`` for one plane, in float64."""
    squared = weight.astype(np.float64) ** 2
    x = image.astype(np.float64)
    level = float(squared[squared > 0].mean())
    if squared.min() == squared.max():
        return _solve(squared * x, strength, level)

    def normal(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        low = flat.reshape(x.shape)
        result = squared * low
        for axis in (0, 1):
            # grad^T grad: every difference is taken from one neighbour and given to the other.
            step = strength * np.diff(low, axis=axis)
            lower, upper = (np.moveaxis(result, axis, 0)[s] for s in (slice(-1), slice(1, None)))
            step = np.moveaxis(step, axis, 0)
            lower -= step
            upper += step
        return result.ravel()

    def precondition(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        return _solve(flat.reshape(x.shape), strength, level).astype(np.float64).ravel()

    size = (x.size, x.size)
    operator = scipy.sparse.linalg.LinearOperator(size, matvec=normal, dtype=np.float64)
    inverse = scipy.sparse.linalg.LinearOperator(size, matvec=precondition, dtype=np.float64)
    # From the mean of the known pixels, so that a constant costs no iteration.
    start = np.full(x.size, np.average(x, weights=squared))
    low, failed = scipy.sparse.linalg.cg(
        operator, (squared * x).ravel(), x0=start, rtol=_RTOL, maxiter=_MAX_ITER, M=inverse
    )
    if failed:
        warn_user(
            f"lowpass_split: conjugate gradients stopped after {_MAX_ITER} iterations above a "
            f"relative residual of {_RTOL:g}",
            RuntimeWarning,
        )
    solution: Floats = low.reshape(x.shape)
    return solution


def _check(image: Any, strength: float) -> float:
    check_floats("image", image)
    if image.ndim < 2 or image.size == 0:
        raise InvalidValueError(
            f"image has shape {image.shape}; want (H, W) or (..., H, W), not empty"
        )
    return check_number("strength", strength, zero=True)


def _weight(mask: NDArray[Any], image: Floats) -> Floats:
    check_unmasked("mask", mask)
    weight = np.asarray(mask)
    if weight.dtype.kind not in "bfiu":
        raise InvalidTypeError(f"mask must hold numbers or booleans; found {weight.dtype}")
    try:
        weight = np.broadcast_to(weight.astype(np.float64), image.shape)
    except ValueError:
        raise InvalidValueError(
            f"mask has shape {weight.shape}, image {image.shape}; want one that "
            "broadcasts to the shape of the image"
        ) from None
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise InvalidValueError("mask must be finite and >= 0 everywhere")
    if (where := nowhere_known(weight > 0)) is not None:
        raise InvalidValueError(f"mask is 0 {where}: nothing is known there")
    return weight
