"""Fusion of images in Laplacian pyramids, and the filters that pyramids are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_whole
from ..images.planes import Planes
from ..types import Floats
from .stacks import Largest, Sources

__all__ = ["expanded", "laplacian_fusion", "reduced"]

_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def laplacian_fusion(sources: Sequence[Floats], levels: int = 5) -> Floats:
    r"""Undecimated Laplacian pyramid, choose-max.

    With :math:`S_0` a source and :math:`S_{j+1} = h_j * S_j`, :math:`h_j` the binomial filter
    (1, 4, 6, 4, 1)/16 on rows and columns with :math:`2^j - 1` zeros between its taps, every detail
    :math:`S_j - S_{j+1}` is taken, pixel by pixel, from the source where its grey value is largest
    in magnitude. The last :math:`S_J` of the sources are averaged.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape, of 1 or 3 channels.
    levels : int
        J.

    Returns
    -------
    array, shape of each source

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, one is not finite or has neither 1 nor 3
        channels; or `levels` is not a positive integer.

    Notes
    -----
    Nothing is subsampled, so the result moves with the image, and the details of a level sum up
    to the image without loss. Continued by reflection; any size. Memory: a plane for each level
    and channel, and for its importance, however many sources there are.

    References
    ----------
    P. J. Burt, R. J. Kolczynski, "Enhanced image capture through fusion", ICCV 1993.
    doi:10.1109/ICCV.1993.378222
    """
    images = Sources(sources)
    largest = [Largest() for _ in range(check_whole("levels", levels))]
    details: list[Any] = [0.0] * len(largest)
    base: Any = 0.0
    for number, (image, grey) in enumerate(images):
        smooth, luma = image, grey
        for level, importance in enumerate(largest):
            coarse, coarse_luma = _smoother(smooth, 2**level), _smoother(luma, 2**level)
            better = importance.offer(number, np.abs(luma - coarse_luma))
            details[level] = np.where(better, smooth - coarse, details[level])
            smooth, luma = coarse, coarse_luma
        base = base + smooth
    return images.result(sum(details, base / len(images)))


def reduced(stack: Planes) -> Planes:
    """Half as many rows and columns, rounded up, after the binomial filter."""
    return _filtered(stack, _BINOMIAL)[..., ::2, ::2]


def expanded(stack: Planes, shape: tuple[int, ...]) -> Planes:
    """Back to a shape: the binomial filter between zeros, twice as strong on each axis."""
    wide = np.zeros((*stack.shape[:-2], *shape))
    wide[..., ::2, ::2] = stack
    # Over the weights that arrive, so that a constant stays one at the border, too.
    arrived = np.zeros(shape)
    arrived[::2, ::2] = 1
    return np.asarray(_filtered(wide, _BINOMIAL) / _filtered(arrived, _BINOMIAL), np.float64)


def _filtered(stack: Planes, taps: NDArray[np.float64]) -> Planes:
    for axis in (-2, -1):
        stack = scipy.ndimage.convolve1d(stack, taps, axis=axis, mode="reflect")
    return stack


def _smoother(stack: Planes, step: int) -> Planes:
    """The binomial filter with its taps `step` pixels apart, which may be more than there are."""
    for axis in (-2, -1):
        side = stack.shape[axis]
        # Continued by reflection, an image comes again after twice its side.
        places = [(np.arange(side) + n * step % (2 * side)) % (2 * side) for n in range(-2, 3)]
        taken = [stack.take(np.minimum(p, 2 * side - 1 - p), axis) for p in places]
        stack = np.tensordot(_BINOMIAL, np.stack(taken), 1)
    return stack
