"""How good an image is: against a reference, or, fused, against its sources.

Images are arrays of floats in [0, 1], shape (H, W) or (C, H, W). The measures of fusion look at
grey images: colours are turned into full-range BT.601 luma, ``0.299 R + 0.587 G + 0.114 B``, which
is what the field's MATLAB code takes (`rgb2gray`); :func:`mcsc.images.luma` is studio range and
would compress the contrast by 0.86. A fused image in colour may be compared with grey sources.
Nothing is rounded to 8 bits first, except in the histograms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_image, check_number, check_sources, check_whole, grey, planes
from ..errors import InvalidValueError
from ..types import Floats

__all__ = [
    "entropy",
    "mef_ssim",
    "mutual_information",
    "psnr",
    "qabf",
    "rmse",
    "spatial_frequency",
    "ssim",
]

Plane = NDArray[np.float64]

_LEVELS = 256
_SSIM_WINDOW = 11
# Wang, Simoncelli, Bovik 2003: the finest three of the five exponents of multi-scale SSIM.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001)


# --------------------------------------------------------------------------- with a reference
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


# --------------------------------------------------------------------------- fused, no reference
def qabf(fused: Floats, sources: Sequence[Floats]) -> float:
    r"""Edge information of the sources that the fused image F keeps, Q^{AB/F}.

    With the strength g and orientation :math:`\alpha \in (-\pi/2, \pi/2]` of Sobel gradients, for
    every source A

    .. math::

        Q^{AF} = \frac{0.9994}{1 + e^{-15 (G - 0.5)}} \cdot \frac{0.9879}{1 + e^{-22 (A - 0.8)}},
        \quad G = \frac{\min(g_A, g_F)}{\max(g_A, g_F)},
        \quad A = 1 - \frac{|\alpha_A - \alpha_F|}{\pi / 2},

    and the measure is the mean of :math:`Q^{AF}` over sources and pixels, weighted by
    :math:`g_A`.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        F.
    sources : sequence of such arrays
        A, B, ...: one or more, of the height and width of `fused`.

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
        An image is not finite, has neither 1 nor 3 channels or another size; or all sources are
        constant, so that there are no edges to keep.

    Notes
    -----
    Two choices that the paper leaves open: images continue by reflection, which makes no edge at
    the border, and equal strengths count as equal (G = 1) where they are zero, too. As in the
    paper and in all code that published figures come from, two nearly vertical gradients of
    :math:`\alpha` just above :math:`-\pi/2` and just below :math:`\pi/2` count as unlike.

    References
    ----------
    C. S. Xydeas, V. Petrovic, "Objective image fusion performance measure", Electronics Letters
    36(4), 2000. doi:10.1049/el:20000267
    """
    target, images = _grey_all(fused, sources)
    strength_f, angle_f = _edges(target)
    kept = total = 0.0
    for image in images:
        strength, angle = _edges(image)
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
    fused: Floats, sources: Sequence[Floats], *, normalised: bool = False
) -> float:
    r"""How much the grey levels of the fused image F tell about those of its sources.

    .. math::

        \sum_A I(A; F) \qquad\text{or, normalised,}\qquad
        2 \sum_A \frac{I(A; F)}{H(A) + H(F)}

    with mutual information I and entropies H of histograms of 256 levels.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        F.
    sources : sequence of such arrays
        A, B, ...: one or more, of the height and width of `fused`.
    normalised : bool
        False: the sum of Qu et al. in bits, which favours sources of high entropy. True: the form
        of Hossny et al., between 0 and the number of sources.

    Returns
    -------
    float
        Values outside [0, 1] count as the nearest end. A constant pair shares no information: 0.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite, or has neither 1 nor 3 channels or another size.

    References
    ----------
    G. Qu, D. Zhang, P. Yan, "Information measure for performance of image fusion", Electronics
    Letters 38(7), 2002. doi:10.1049/el:20020212.
    M. Hossny, S. Nahavandi, D. Creighton, "Comments on 'Information measure for performance of
    image fusion'", Electronics Letters 44(18), 2008. doi:10.1049/el:20081754
    """
    target, images = _grey_all(fused, sources)
    levels = _quantised(target)
    h_f = _bits(np.bincount(levels, minlength=_LEVELS))
    total = 0.0
    for image in images:
        other = _quantised(image)
        joint = np.bincount(_LEVELS * other + levels, minlength=_LEVELS**2)
        h_a = _bits(np.bincount(other, minlength=_LEVELS))
        shared = h_a + h_f - _bits(joint)
        if not normalised:
            total += shared
        elif h_a + h_f > 0:
            total += 2 * shared / (h_a + h_f)
    return total


def mef_ssim(fused: Floats, sources: Sequence[Floats], *, scales: int = 3) -> float:
    r"""Structural similarity of the fused image to the best patches of its sources.

    For every window of 11 x 11 pixels, with :math:`\tilde x_k` the patch of source k less its
    mean, the desired patch combines the highest contrast and a mean of the structures:

    .. math::

        \hat x = \max_k \|\tilde x_k\| \, \frac{\bar s}{\|\bar s\|}, \quad
        \bar s = \frac{\sum_k \|\tilde x_k\|^p \, \tilde x_k / \|\tilde x_k\|}
                 {\sum_k \|\tilde x_k\|^p}, \quad
        p = \tan \frac{\pi R}{2}, \quad
        R = \frac{\|\sum_k \tilde x_k\|}{\sum_k \|\tilde x_k\|},

    and is compared with the patch y of the fused image by
    :math:`(2 \sigma_{\hat x y} + C) / (\sigma_{\hat x}^2 + \sigma_y^2 + C)`, with variances under
    a Gaussian window of standard deviation 1.5 and C = 0.03². The measure is the mean over
    windows; over scales, each half as large as the one before, their product with exponents
    0.0448, 0.2856, 0.3001 divided by their sum. Mean intensities are not compared, in the paper
    neither.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
    sources : sequence of such arrays
        Two or more, of the height and width of `fused`.
    scales : int
        1, 2 or 3 = the published measure, ``MEF-SSIM``; 1 is its single-scale part.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite, has neither 1 nor 3 channels, another size, or less than 11 pixels
        on the coarsest scale; `scales` is none of 1, 2, 3.

    Notes
    -----
    p is capped at 10, as by the authors, and :math:`\|\cdot\|` is unweighted. Windows lie within
    the image. The patches are never formed: each is linear in the sources, so their covariances
    suffice, (M + 1)(M + 2) filterings of two windows for M sources and as many planes.

    References
    ----------
    K. Ma, K. Zeng, Z. Wang, "Perceptual quality assessment for multi-exposure image fusion", IEEE
    TIP 24(11), 2015. doi:10.1109/TIP.2015.2442920
    """
    target, images = _grey_all(fused, sources, least=2)
    count = check_whole("scales", scales)
    if count > len(_SCALE_WEIGHTS):
        raise InvalidValueError(f"scales must be 1, 2 or 3; found {scales!r}")
    smallest = [math.ceil(n / 2 ** (count - 1)) for n in target.shape]
    if min(smallest) < _SSIM_WINDOW:
        raise InvalidValueError(
            f"fused has shape {fused.shape}, on the coarsest of {count} scales {smallest}; want at "
            f"least {_SSIM_WINDOW} pixels there, of a larger image or fewer scales"
        )
    weights = np.array(_SCALE_WEIGHTS[:count]) / sum(_SCALE_WEIGHTS[:count])
    value = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            target, *images = (_halved(plane) for plane in (target, *images))
        # Only a nearly inverted image has a negative mean, whose power would not be real.
        value *= max(float(_structure_map(target, np.stack(images)).mean()), 0.0) ** weight
    return value


def spatial_frequency(fused: Floats, scale: float = 255.0) -> float:
    r"""Strength of the differences between neighbours, :math:`\sqrt{RF^2 + CF^2}`.

    :math:`RF^2` and :math:`CF^2` are the sums of squared differences along rows and along columns,
    over the number of pixels: the activity of an image, wanted or noise.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
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
        `fused` is not finite or has neither 1 nor 3 channels; `scale` is not positive.

    References
    ----------
    A. M. Eskicioglu, P. S. Fisher, "Image quality measures and their performance", IEEE Trans.
    Communications 43(12), 1995. doi:10.1109/26.477498
    """
    check_image("fused", fused)
    check_number("scale", scale)
    plane = grey("fused", fused)
    squares = float(np.sum(np.diff(plane, axis=0) ** 2) + np.sum(np.diff(plane, axis=1) ** 2))
    return float(scale) * math.sqrt(squares / plane.size)


def entropy(fused: Floats) -> float:
    r"""Entropy :math:`-\sum_i p_i \log_2 p_i` of the histogram of 256 grey levels, in bits.

    Parameters
    ----------
    fused : array of floats, shape (H, W), (1, H, W) or (3, H, W)
        Values outside [0, 1] count as the nearest end.

    Returns
    -------
    float
        From 0, a constant image, to 8.

    Raises
    ------
    TypeError
        `fused` is not an array of floats.
    ValueError
        `fused` is not finite or has neither 1 nor 3 channels.
    """
    check_image("fused", fused)
    return _bits(np.bincount(_quantised(grey("fused", fused)), minlength=_LEVELS))


# --------------------------------------------------------------------------- parts
def _check_pair(image: Any, reference: Any) -> None:
    check_image("image", image)
    check_image("reference", reference)
    if image.shape != reference.shape:
        raise InvalidValueError(
            f"image has shape {image.shape}, reference {reference.shape}; want one shape"
        )


def _check_window(name: str, shape: tuple[int, ...]) -> None:
    if min(shape[-2:]) < _SSIM_WINDOW:
        raise InvalidValueError(
            f"{name} has shape {shape}; want at least {_SSIM_WINDOW} x {_SSIM_WINDOW} pixels"
        )


def _grey_all(
    fused: Floats, sources: Sequence[Floats], *, least: int = 1
) -> tuple[Plane, list[Plane]]:
    check_image("fused", fused)
    images = check_sources(sources, least=least, alike=False)
    if images[0].shape[-2:] != fused.shape[-2:]:
        raise InvalidValueError(
            f"fused has shape {fused.shape}, sources[0] {images[0].shape}; "
            "want one height and width"
        )
    planes = [grey(f"sources[{index}]", image) for index, image in enumerate(images)]
    return grey("fused", fused), planes


def _edges(plane: Plane) -> tuple[Plane, Plane]:
    """Strength, and orientation in (-pi/2, pi/2], of the Sobel gradient."""
    rows = scipy.ndimage.sobel(plane, axis=0, mode="reflect")
    columns = scipy.ndimage.sobel(plane, axis=1, mode="reflect")
    # Rounding errors must not decide between +pi/2 and -pi/2; a step of 16 bits is 1.5e-5.
    upright = np.abs(columns) < 1e-6
    angle = np.where(upright, math.pi / 2, np.arctan(rows / np.where(upright, 1.0, columns)))
    return np.hypot(rows, columns), angle


def _quantised(plane: Plane) -> NDArray[np.int64]:
    return np.rint(np.clip(plane, 0, 1) * (_LEVELS - 1)).astype(np.int64).ravel()


def _bits(histogram: NDArray[Any]) -> float:
    p = histogram[histogram > 0] / histogram.sum()
    return float(np.sum(p * np.log2(1 / p)))


def _halved(plane: Plane) -> Plane:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    height, width = plane.shape
    even = np.pad(plane, [(0, height % 2), (0, width % 2)], mode="edge")
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float64)


def _structure_map(fused: Plane, sources: NDArray[np.float64]) -> Plane:
    """Similarity of each window of the fused image to the desired patch, without the border."""
    n = _SSIM_WINDOW
    box = np.full(n, 1 / n)
    bell = np.exp(-((np.arange(n) - n // 2) ** 2) / (2 * 1.5**2))
    bell /= bell.sum()

    def window(plane: Plane, weights: NDArray[np.float64]) -> Plane:
        for axis in (0, 1):
            plane = scipy.ndimage.convolve1d(plane, weights, axis=axis)
        return plane[n // 2 : -(n // 2), n // 2 : -(n // 2)]

    def covariances(
        left: NDArray[np.float64], right: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        # Shifted by one constant, which no covariance sees, to lose fewer digits.
        left, right = left - 0.5, right - 0.5
        means = [[window(x, weights) for x in stack] for stack in (left, right)]
        return np.array(
            [
                [window(x * y, weights) - mx * my for y, my in zip(right, means[1], strict=True)]
                for x, mx in zip(left, means[0], strict=True)
            ]
        )

    inner = n * n * covariances(sources, sources, box)  # products of the patches less their means
    norms = np.sqrt(np.maximum(np.einsum("kkhw->khw", inner), 0))
    largest, total = norms.max(axis=0), norms.sum(axis=0)
    flat = largest == 0
    together = np.sqrt(np.maximum(inner.sum(axis=(0, 1)), 0))
    consistency = np.minimum(together / np.where(flat, 1, total), 1)
    p = np.minimum(np.tan(math.pi / 2 * consistency), 10)
    # x_hat = sum_k mix_k x_k: relative norms to the power p, the unit structures among them.
    relative = norms / np.where(flat, 1, largest)
    mix = relative**p / np.where(norms > 0, norms, np.inf)
    length = np.sqrt(np.maximum(np.einsum("jhw,jkhw,khw->hw", mix, inner, mix), 0))
    mix *= np.where(length > 0, largest / np.where(length > 0, length, 1), 0)

    y = fused[None]
    variance = np.einsum("jhw,jkhw,khw->hw", mix, covariances(sources, sources, bell), mix)
    shared = np.einsum("khw,khw->hw", mix, covariances(sources, y, bell)[:, 0])
    c = 0.03**2
    similarity: Plane = (2 * shared + c) / (variance + covariances(y, y, bell)[0, 0] + c)
    return similarity
