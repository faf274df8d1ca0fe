"""Fusion of images in the wavelet domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend.limits import available_memory
from ..checks import check_whole
from ..errors import InvalidValueError, OutOfMemoryError
from ..images.planes import Planes
from ..types import Floats
from .stacks import Largest, Sources

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
    MemoryError
        An estimate of the memory exceeds what is free.

    Notes
    -----
    The transform is periodic; reflected margins keep its wrap-around away from the image. Memory:
    ``3 levels + 1`` planes for each channel, however many sources there are, with margins that
    double with every level.

    References
    ----------
    O. Rockinger, "Image sequence fusion using a shift-invariant wavelet transform", ICIP 1997.
    doi:10.1109/ICIP.1997.632093
    """
    import pywt

    images = Sources(sources)
    count = check_whole("levels", levels)
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise InvalidValueError(
            f"wavelet must name a discrete wavelet of PyWavelets, as 'bior2.2'; found {wavelet!r}"
        )
    # Half the reach of the cascade, there and back.
    margin = pywt.Wavelet(wavelet).dec_len * (2**count - 1)

    def check_memory(shape: tuple[int, int], channels: int) -> None:
        pixels = (shape[0] + 2 * margin + 2**count) * (shape[1] + 2 * margin + 2**count)
        # A transform at a time, what is chosen in each channel, and how large it is in the luma.
        needed = 8 * pixels * (3 * count + 1) * (channels + 3)
        free = available_memory()
        if free is not None and needed > free:
            raise OutOfMemoryError(
                f"wavelet_fusion in {count} levels, of {shape[0]} x {shape[1]} pixels, needs more "
                f"than the {free / 2**30:.1f} GiB of memory that are free: want fewer levels"
            )

    def transform(plane: Planes) -> tuple[Planes, list[Planes]]:
        extra = [(margin, margin + -(n + 2 * margin) % 2**count) for n in plane.shape]
        wide = np.pad(plane, extra, mode="symmetric")
        base, *threes = pywt.swt2(wide, wavelet, count, trim_approx=True)
        return base, [detail for three in threes for detail in three]

    best = [Largest() for _ in range(3 * count)]
    for number, (image, luma) in enumerate(images):
        if number == 0:
            check_memory(luma.shape, len(image))
        for largest, detail in zip(best, transform(luma)[1], strict=True):
            largest.offer(number, np.abs(detail))
    bases: list[Any] = []
    details: list[Any] = []
    for number, (image, luma) in enumerate(images):
        height, width = luma.shape
        bases = bases or [0.0] * len(image)
        details = details or [[0.0] * len(best) for _ in image]
        for c, plane in enumerate(image):
            base, own = transform(plane)
            bases[c] = bases[c] + base
            for k, detail in enumerate(own):
                details[c][k] = np.where(best[k].index == number, detail, details[c][k])
    fused = [
        pywt.iswt2([base / len(images), *zip(*[iter(own)] * 3, strict=True)], wavelet)
        for base, own in zip(bases, details, strict=True)
    ]
    inside = (slice(None), slice(margin, margin + height), slice(margin, margin + width))
    return images.result(np.stack(fused)[inside])
