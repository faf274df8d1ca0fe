"""How good a fused image is, by its sources or by itself.

Images are arrays of floats in [0, 1], shape (H, W), (1, H, W) or (3, H, W), of which the full-range
lumas are measured. Nothing is rounded to 8 bits first, except in the histograms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_number
from ..errors import InvalidValueError
from ..images.planes import Planes
from ..types import Floats
from .lumas import fused_luma, lumas

__all__ = ["entropy", "mutual_information", "qabf", "spatial_frequency"]

_LEVELS = 256
_BORDERS = {"reflect": "reflect", "zero": "constant"}
"""Modes of `scipy.ndimage`."""


def qabf(
    fused: Floats,
    sources: Sequence[Floats],
    *,
    border: Literal["reflect", "zero"] = "reflect",
    mask: NDArray[Any] | None = None,
) -> float:
    r"""Edge information of the sources that the fused image F keeps, :math:`Q^{AB/F}`.

    With the strength g and orientation :math:`\alpha \in (-\pi/2, \pi/2]` of Sobel gradients, for
    every source A

    .. math::

        Q^{AF} & = \frac{0.9994}{1 + e^{-15 (G - 0.5)}}
                   \cdot \frac{0.9879}{1 + e^{-22 (A - 0.8)}}, \\
        G & = \frac{\min(g_A, g_F)}{\max(g_A, g_F)}, \\
        A & = 1 - \frac{|\alpha_A - \alpha_F|}{\pi / 2},

    and the measure is the mean of :math:`Q^{AF}` over sources and pixels, weighted by
    :math:`g_A`.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        F, in [0, 1].
    sources : sequence of such arrays
        A, B, ...: one or more, of the height and width of `fused`.
    border : {"reflect", "zero"}
        How images continue beyond their border: by reflection, which makes no edge there; or by
        black, as MATLAB's ``conv2`` has it in the code that published figures come from. The second
        counts the frame as an edge that every fusion keeps or loses: values are 0.02 to 0.07
        higher.
    mask : array, shape (H, W), optional
        Where it is 0, pixels do not count, nor their neighbours, and may hold anything.

    Returns
    -------
    float
        Between 0 and 0.9748, the value for a fused image that equals all its sources: the
        paper's sigmoids end below 1.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or not in [0, 1], has neither 1 nor 3 channels or another size; or
        all sources are constant, so that there are no edges to keep.

    Notes
    -----
    The paper leaves open the border, see there, and flat places: equal strengths count as equal
    (G = 1) where they are zero, too. As in the
    paper and in all code that published figures come from, two nearly vertical gradients of
    :math:`\alpha` just above :math:`-\pi/2` and just below :math:`\pi/2` count as unlike.

    References
    ----------
    C. S. Xydeas, V. Petrovic, "Objective image fusion performance measure", Electronics Letters
    36(4), 2000. doi:10.1049/el:20000267
    """
    if border not in _BORDERS:
        raise InvalidValueError(f"border must be 'reflect' or 'zero', found {border!r}")
    target, images = lumas(fused, sources, mask=mask)
    counted = scipy.ndimage.binary_erosion(
        _known(mask, target.shape), np.ones((3, 3)), border_value=1
    )
    strength_f, angle_f = _edges(target, _BORDERS[border])
    kept = total = 0.0
    for image in images:
        strength, angle = _edges(image, _BORDERS[border])
        strength = strength * counted
        largest = np.maximum(strength, strength_f)
        flat = largest == 0
        g = np.where(flat, 1.0, np.minimum(strength, strength_f) / np.where(flat, 1.0, largest))
        a = 1 - np.abs(angle - angle_f) / (math.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (g - 0.5))) * 0.9879 / (1 + np.exp(-22 * (a - 0.8)))
        kept += float(np.sum(quality * strength))
        total += float(np.sum(strength))
    if total == 0:
        raise InvalidValueError(
            "sources are all constant: there are no edges for the fused image to keep"
        )
    return kept / total


def mutual_information(
    fused: Floats,
    sources: Sequence[Floats],
    *,
    normalised: bool = False,
    mask: NDArray[Any] | None = None,
) -> float:
    r"""How much the grey levels of the fused image F tell about those of its sources.

    .. math::

        & \sum_A I(A; F) \\
        \text{or, normalised,} \quad & 2 \sum_A \frac{I(A; F)}{H(A) + H(F)}

    with mutual information I and entropies H of histograms of 256 levels.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        F, in [0, 1].
    sources : sequence of such arrays
        A, B, ...: one or more, of the height and width of `fused`.
    normalised : bool
        False: the sum of Qu et al. in bits, which favours sources of high entropy. True: the form
        of Hossny et al., between 0 and the number of sources.
    mask : array, shape (H, W), optional
        Where it is 0, pixels do not count and may hold anything.

    Returns
    -------
    float
        A constant pair shares no information: 0.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or not in [0, 1], or has neither 1 nor 3 channels or another size.

    References
    ----------
    G. Qu, D. Zhang, P. Yan, "Information measure for performance of image fusion", Electronics
    Letters 38(7), 2002. doi:10.1049/el:20020212.
    M. Hossny, S. Nahavandi, D. Creighton, "Comments on 'Information measure for performance of
    image fusion'", Electronics Letters 44(18), 2008. doi:10.1049/el:20081754
    """
    target, images = lumas(fused, sources, mask=mask)
    known = _known(mask, target.shape)
    levels = _quantised(target[known])
    h_f = _bits(np.bincount(levels, minlength=_LEVELS))
    total = 0.0
    for image in images:
        other = _quantised(image[known])
        joint = np.bincount(_LEVELS * other + levels, minlength=_LEVELS**2)
        h_a = _bits(np.bincount(other, minlength=_LEVELS))
        shared = h_a + h_f - _bits(joint)
        if not normalised:
            total += shared
        elif h_a + h_f > 0:
            total += 2 * shared / (h_a + h_f)
    return total


def spatial_frequency(fused: Floats, scale: float = 255.0) -> float:
    r"""Strength of the differences between neighbours, :math:`\sqrt{RF^2 + CF^2}`.

    :math:`RF^2` and :math:`CF^2` are the sums of squared differences along rows and along columns,
    over the number of pixels: the activity of an image, wanted or noise.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        The image to judge, in [0, 1].
    scale : float
        255 gives grey levels of 8 bits, as published figures are.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        `fused` is not an array of floats.
    ValueError
        `fused` is not finite or not in [0, 1], or has neither 1 nor 3 channels; `scale` is not
        positive.

    References
    ----------
    A. M. Eskicioglu, P. S. Fisher, "Image quality measures and their performance", IEEE Trans.
    Communications 43(12), 1995. doi:10.1109/26.477498
    """
    check_number("scale", scale)
    plane = fused_luma(fused)
    squares = float(np.sum(np.diff(plane, axis=0) ** 2) + np.sum(np.diff(plane, axis=1) ** 2))
    return float(scale) * math.sqrt(squares / plane.size)


def entropy(fused: Floats) -> float:
    r"""Entropy :math:`-\sum_i p_i \log_2 p_i` of the histogram of 256 grey levels, in bits.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        The image to judge, in [0, 1].

    Returns
    -------
    float
        From 0, a constant image, to 8.

    Raises
    ------
    TypeError
        `fused` is not an array of floats.
    ValueError
        `fused` is not finite or not in [0, 1], or has neither 1 nor 3 channels.
    """
    return _bits(np.bincount(_quantised(fused_luma(fused)), minlength=_LEVELS))


def _known(mask: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where pixels count, (H, W)."""
    if mask is None:
        return np.ones(shape, bool)
    known = np.asarray(mask) > 0
    if known.shape != shape:
        raise InvalidValueError(f"mask has shape {known.shape}, the images {shape}: want one shape")
    if not known.any():
        raise InvalidValueError("mask is 0 everywhere: no pixel counts")
    return known


def _edges(plane: Planes, mode: str) -> tuple[Planes, Planes]:
    """Strength, and orientation in (-pi/2, pi/2], of the Sobel gradient."""
    rows = scipy.ndimage.sobel(plane, axis=0, mode=mode)
    columns = scipy.ndimage.sobel(plane, axis=1, mode=mode)
    # Rounding errors must not decide between +pi/2 and -pi/2; a step of 16 bits is 1.5e-5.
    upright = np.abs(columns) < 1e-6
    angle = np.where(upright, math.pi / 2, np.arctan(rows / np.where(upright, 1.0, columns)))
    return np.hypot(rows, columns), angle


def _quantised(plane: Planes) -> NDArray[np.int64]:
    return np.rint(np.clip(plane, 0, 1) * (_LEVELS - 1)).astype(np.int64).ravel()


def _bits(histogram: NDArray[Any]) -> float:
    p = histogram[histogram > 0] / histogram.sum()
    return float(np.sum(p * np.log2(1 / p)))
