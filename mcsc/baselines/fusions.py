"""Well-known ways to fuse images of one scene: what a new method is compared with.

Each takes two or more sources, arrays of floats in [0, 1] of one shape, (H, W) or (C, H, W), and
returns an image of that shape and of the sources' dtype. Choices between sources are made on their
grey images (luma of 3 channels) and hold for all channels, so that no colour appears that is in
no source. Sums of chosen details may leave [0, 1]; nothing is clipped. The arithmetic is float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_number, check_sources, check_whole, grey, planes
from ..errors import InvalidValueError
from ..types import Floats

__all__ = [
    "decision_map_fusion",
    "exposure_fusion",
    "laplacian_fusion",
    "mean_fusion",
    "wavelet_fusion",
]

Stack = NDArray[np.float64]

_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def mean_fusion(sources: Sequence[Floats]) -> Floats:
    """The mean of the sources: what any method should beat.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape.

    Returns
    -------
    array, shape of each source

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, or one is not finite.
    """
    return _finish(_stack(sources).mean(axis=0), sources)


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
    to the image without loss. Continued by reflection; any size.

    References
    ----------
    P. J. Burt, R. J. Kolczynski, "Enhanced image capture through fusion", ICCV 1993.
    doi:10.1109/ICCV.1993.378222
    """
    smooth = _stack(sources)
    luma = _luma(sources)
    result = np.zeros(smooth.shape[1:])
    for level in range(check_whole("levels", levels)):
        taps = np.zeros(4 * 2**level + 1)
        taps[:: 2**level] = _BINOMIAL
        coarse, coarse_luma = _filter(smooth, taps), _filter(luma, taps)
        result += _chosen(smooth - coarse, np.abs(luma - coarse_luma))
        smooth, luma = coarse, coarse_luma
    return _finish(result + smooth.mean(axis=0), sources)


def wavelet_fusion(sources: Sequence[Floats], wavelet: str = "bior2.2", levels: int = 4) -> Floats:
    """Stationary wavelet transform, choose-max.

    Every detail coefficient is taken from the source where its grey value is largest in
    magnitude; the approximations are averaged.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape, of 1 or 3 channels.
    wavelet : str
        A discrete wavelet of PyWavelets.
    levels : int
        Levels of the transform.

    Returns
    -------
    array, shape of each source

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, one is not finite or has neither 1 nor 3
        channels; `wavelet` is no discrete wavelet; or `levels` is not a positive integer.

    Notes
    -----
    The transform is periodic; reflected margins keep its wrap-around away from the image. Memory:
    ``3 levels + 1`` planes for each channel and source.

    References
    ----------
    O. Rockinger, "Image sequence fusion using a shift-invariant wavelet transform", ICIP 1997.
    doi:10.1109/ICIP.1997.632093
    """
    import pywt

    stack = _stack(sources)
    luma = _luma(sources)
    count = check_whole("levels", levels)
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise InvalidValueError(
            f"wavelet must name a discrete wavelet of PyWavelets, as 'bior2.2'; found {wavelet!r}"
        )
    height, width = stack.shape[-2:]
    # Half the reach of the cascade, there and back.
    margin = pywt.Wavelet(wavelet).dec_len * (2**count - 1)
    extra = [(margin, margin + -(n + 2 * margin) % 2**count) for n in (height, width)]

    def transform(images: Stack) -> list[Any]:
        wide = np.pad(images, [(0, 0)] * (images.ndim - 2) + extra, mode="symmetric")
        return list(pywt.swt2(wide, wavelet, count, trim_approx=True, axes=(-2, -1)))

    (base, *details), (_, *decisions) = transform(stack), transform(luma)
    fused = [base.mean(axis=0)]
    for three, three_luma in zip(details, decisions, strict=True):
        fused.append(tuple(_chosen(d, np.abs(y)) for d, y in zip(three, three_luma, strict=True)))
    whole = pywt.iswt2(fused, wavelet, axes=(-2, -1))
    return _finish(whole[:, margin : margin + height, margin : margin + width], sources)


def decision_map_fusion(sources: Sequence[Floats], sigma: float = 5.0) -> Floats:
    r"""Take every pixel from the sharpest source: for focus stacks.

    Sharpness is the energy of the Laplacian of the grey image, :math:`G_\sigma * (\Delta y)^2`;
    the map that says for a source where it is the sharpest, 0 or 1, is smoothed by
    :math:`G_{\sigma/2}` and weights its pixels.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape, of 1 or 3 channels.
    sigma : float
        Standard deviation of the Gaussian, in pixels: how far around a pixel its sharpness is
        judged.

    Returns
    -------
    array, shape of each source
        Within the range of the sources.

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, one is not finite or has neither 1 nor 3
        channels; or `sigma` is not a positive number.

    References
    ----------
    W. Huang, Z. Jing, "Evaluation of focus measures in multi-focus image fusion", Pattern
    Recognition Letters 28(4), 2007 (energy of the Laplacian). doi:10.1016/j.patrec.2006.09.005
    """
    stack, luma = _stack(sources), _luma(sources)
    sigma = check_number("sigma", sigma)
    energy = np.stack([_gaussian(scipy.ndimage.laplace(y) ** 2, sigma) for y in luma])
    best = np.argmax(energy, axis=0)
    weights = np.stack([_gaussian((best == m).astype(float), sigma / 2) for m in range(len(luma))])
    weights /= weights.sum(axis=0)
    return _finish(np.einsum("mhw,mchw->chw", weights, stack), sources)


def exposure_fusion(sources: Sequence[Floats], sigma: float = 0.2) -> Floats:
    r"""Exposure fusion of Mertens, Kautz and Van Reeth.

    Weights are contrast times saturation times well-exposedness,

    .. math::

        |\Delta y| \cdot \operatorname{std}_c(x_c) \cdot
        \prod_c \exp\left(-\frac{(x_c - 1/2)^2}{2 \sigma^2}\right),

    normalised over the sources; their Gaussian pyramids weight the Laplacian pyramids of the
    sources, down to where the shorter side is one pixel. Grey sources have no saturation, and the
    factor is left out.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one shape, of 1 or 3 channels, in [0, 1], sRGB-like (not linear).
    sigma : float
        Tolerance of well-exposedness.

    Returns
    -------
    array, shape of each source

    Raises
    ------
    TypeError
        `sources` is no tuple or list of arrays of floats.
    ValueError
        There are fewer than two, their shapes differ, one is not finite or has neither 1 nor 3
        channels; or `sigma` is not a positive number.

    References
    ----------
    T. Mertens, J. Kautz, F. Van Reeth, "Exposure fusion", Pacific Graphics 2007.
    doi:10.1109/PG.2007.17
    """
    stack, luma = _stack(sources), _luma(sources)
    sigma = check_number("sigma", sigma)
    weights = np.stack([np.abs(scipy.ndimage.laplace(y, mode="nearest")) for y in luma])
    if stack.shape[1] == 3:
        weights *= stack.std(axis=1)
    weights *= np.exp(-((stack - 0.5) ** 2).sum(axis=1) / (2 * sigma**2))
    weights += 1e-12  # where no source has any weight, all count alike
    weights /= weights.sum(axis=0)

    weights = weights[:, None]
    details = []
    for _ in range(int(math.log2(min(stack.shape[-2:])))):
        smaller = _reduce(stack)
        detail = stack - _expand(smaller, stack.shape[-2:])
        details.append((weights * detail).sum(axis=0))
        stack, weights = smaller, _reduce(weights)
    result = (weights * stack).sum(axis=0)
    for detail in reversed(details):
        result = _expand(result, detail.shape[-2:]) + detail
    return _finish(result, sources)


# --------------------------------------------------------------------------- parts
def _stack(sources: Sequence[Floats]) -> Stack:
    """Shape (M, C, H, W), float64."""
    return np.stack([planes(image) for image in check_sources(sources)])


def _luma(sources: Sequence[Floats]) -> Stack:
    """Shape (M, H, W), float64."""
    return np.stack([grey(f"sources[{m}]", image) for m, image in enumerate(sources)])


def _finish(result: Stack, sources: Sequence[Floats]) -> Floats:
    return result.reshape(sources[0].shape).astype(np.result_type(*sources))


def _chosen(stack: Stack, importance: Stack) -> Stack:
    """From (M, C, H, W) the source of the largest importance (M, H, W) at every pixel."""
    best = np.argmax(importance, axis=0)[None, None]
    return np.asarray(np.take_along_axis(stack, best, axis=0)[0], np.float64)


def _filter(stack: Stack, taps: NDArray[np.float64]) -> Stack:
    for axis in (-2, -1):
        stack = scipy.ndimage.convolve1d(stack, taps, axis=axis, mode="reflect")
    return stack


def _gaussian(plane: Stack, sigma: float) -> Stack:
    return np.asarray(scipy.ndimage.gaussian_filter(plane, sigma, mode="reflect"), np.float64)


def _reduce(stack: Stack) -> Stack:
    """Half as many rows and columns, rounded up, after the binomial filter."""
    return _filter(stack, _BINOMIAL)[..., ::2, ::2]


def _expand(stack: Stack, shape: tuple[int, ...]) -> Stack:
    """Back to a shape: the binomial filter between zeros, twice as strong on each axis."""
    wide = np.zeros((*stack.shape[:-2], *shape))
    wide[..., ::2, ::2] = stack
    # Over the weights that arrive, so that a constant stays one at the border, too.
    arrived = np.zeros(shape)
    arrived[::2, ::2] = 1
    return np.asarray(_filter(wide, _BINOMIAL) / _filter(arrived, _BINOMIAL), np.float64)
