"""Whether an image shows the scene of another one from much further aside than a stack does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from ..images.registration import CONFIDENT, edges, grey
from ..images.resize import imresize
from ..types import Floats
from .motion import REACH

__all__ = ["DistantShift", "distant_shift"]

Plane = NDArray[np.float64]

_FINEST = 400  # pixels of the longer side in which it is looked for
_SMALLEST = 32
_LEAST = 0.15  # share of an image that must lie on the other one
_LOBE = 5  # pixels around a peak that belong to it
_CHANCE = 7.0  # standard deviations that unrelated images do not reach
_FAINT = 0.05  # of an image's own strength: parts with less say nothing


@dataclass(frozen=True)
class DistantShift:
    """A displacement that is distinct, and further than frames of one stack are apart."""

    rows: float
    """Pixels by which the moving image is to be moved down to lie on its reference."""
    columns: float
    """Pixels by which it is to be moved to the right."""
    size: tuple[int, int]
    """(H, W) of the reference."""

    @property
    def words(self) -> str:
        """For people."""
        h, w = self.size
        return f"by about {self.rows:+.0f} rows and {self.columns:+.0f} columns of {h} x {w} pixels"


def distant_shift(moving: Floats, reference: Floats) -> DistantShift | None:
    r"""Return the displacement of an image if it is distinct and further than can be believed.

    With :math:`f, g` the strength of gradients as in `mcsc.images.registration`, and :math:`m` 1 in
    the image and 0 outside, the correlation

    .. math::

        c(s) = \frac{\langle f,\, g(\cdot - s) \rangle}
            {\|f \, m(\cdot - s)\| \, \|m \, g(\cdot - s)\|} \sqrt{\langle m, m(\cdot - s) \rangle}

    of the parts that lie on each other is taken at all shifts that leave 15 % of the image; the
    root makes chance equally likely everywhere. A displacement is distinct where the highest value
    is well above any other, that without a displacement included, and above chance.

    Parameters
    ----------
    moving, reference : arrays of floats, shape (H, W) or (C, H, W)
        Two images of one height and width, with any numbers of channels, without unknown values.

    Returns
    -------
    DistantShift or None
        None: it is a quarter of the height and of the width or less, or none is distinct, as of
        images that repeat, that show little, that are too small or that have nothing in common.

    Notes
    -----
    Cost: six FFTs of 800 x 800 pixels at most.
    """
    height, width = reference.shape[-2:]
    factor = max(1.0, max(height, width) / _FINEST)
    shape = (round(height / factor), round(width / factor))
    if min(shape) < _SMALLEST:
        return None
    f, g = (edges(_reduced(grey(image), shape)) for image in (reference, moving))
    found = _highest(f, g)
    if found is None:
        return None
    rows, columns = found[0] * height / shape[0], found[1] * width / shape[1]
    if max(abs(rows) / height, abs(columns) / width) <= REACH:
        return None
    return DistantShift(rows, columns, (height, width))


def _reduced(plane: Plane, shape: tuple[int, int]) -> Plane:
    return plane if plane.shape == shape else np.asarray(imresize(plane, shape), np.float64)


def _highest(f: Plane, g: Plane) -> tuple[int, int] | None:
    """Shift of g, in whole pixels, that fits far better than any other."""
    size = [scipy.fft.next_fast_len(2 * n - 1, real=True) for n in f.shape]

    def transformed(plane: Plane) -> NDArray[np.complex128]:
        return np.asarray(scipy.fft.rfft2(plane, size))

    def correlated(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> Plane:
        """All shifts, none of them in the middle."""
        found = scipy.fft.irfft2(a * np.conj(b), size)
        return np.asarray(np.roll(found, [n - 1 for n in f.shape], axis=(0, 1)))[
            : 2 * f.shape[0] - 1, : 2 * f.shape[1] - 1
        ]

    mask = transformed(np.ones_like(f))
    area = np.multiply.outer(*(n - np.abs(np.arange(1 - n, n)) for n in f.shape)) / f.size
    ours = correlated(transformed(f**2), mask)
    theirs = correlated(mask, transformed(g**2))
    least = [_FAINT * float((plane**2).sum()) * area for plane in (f, g)]
    norms = np.maximum(ours, least[0]) * np.maximum(theirs, least[1])
    if not norms.max() > 0:
        return None
    tried = area >= _LEAST
    cross = correlated(transformed(f), transformed(g))
    fits = np.where(tried, cross * np.sqrt(area / np.maximum(norms, norms.max() * 1e-12)), 0.0)
    i, j = np.unravel_index(np.argmax(fits), fits.shape)
    highest = float(fits[i, j])
    tried[max(i - _LOBE, 0) : i + _LOBE + 1, max(j - _LOBE, 0) : j + _LOBE + 1] = False
    others = fits[tried]
    rival = max(float(others.max()), float(others.mean() + _CHANCE * others.std()))
    if highest <= 0 or 1 - rival / highest < CONFIDENT:
        return None
    return int(i) - (f.shape[0] - 1), int(j) - (f.shape[1] - 1)
