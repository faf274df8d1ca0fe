"""Fusion of images in the wavelet domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import check_whole
from ..errors import InvalidValueError
from ..images.planes import Planes
from ..types import Floats
from .stacks import chosen, like_sources, stacked, stacked_lumas

__all__ = ["wavelet_fusion"]


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

    stack = stacked(sources, channels=(1, 3))
    luma = stacked_lumas(sources)
    count = check_whole("levels", levels)
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise InvalidValueError(
            f"wavelet must name a discrete wavelet of PyWavelets, as 'bior2.2'; found {wavelet!r}"
        )
    height, width = stack.shape[-2:]
    # Half the reach of the cascade, there and back.
    margin = pywt.Wavelet(wavelet).dec_len * (2**count - 1)
    extra = [(margin, margin + -(n + 2 * margin) % 2**count) for n in (height, width)]

    def transform(images: Planes) -> list[Any]:
        wide = np.pad(images, [(0, 0)] * (images.ndim - 2) + extra, mode="symmetric")
        return list(pywt.swt2(wide, wavelet, count, trim_approx=True, axes=(-2, -1)))

    (base, *details), (_, *decisions) = transform(stack), transform(luma)
    fused = [base.mean(axis=0)]
    for three, three_luma in zip(details, decisions, strict=True):
        fused.append(tuple(chosen(d, np.abs(y)) for d, y in zip(three, three_luma, strict=True)))
    whole = pywt.iswt2(fused, wavelet, axes=(-2, -1))
    return like_sources(whole[:, margin : margin + height, margin : margin + width], sources)
