"""What fused detail is added to: one smooth base of all sources, with its colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..baselines.exposure import exposure_fusion
from ..images.colour import rgb, ycbcr
from ..images.split import lowpass_split
from ..types import Floats
from .chroma import Chroma

__all__ = ["coloured", "lumas_of", "on_base"]


def on_base(
    sources: Sequence[Floats], added: Floats, strength: float, *, brightest: bool
) -> tuple[Floats, Floats]:
    """Add fused detail to the base of its sources.

    Parameters
    ----------
    sources : sequence of arrays, shape (C, H, W)
        All of 1 or of 3 channels; gone through once or twice, one in memory at a time.
    added : array (1, H, W)
        Detail of the luma.
    strength : float
        Strength of the low-pass split, in squared pixels.
    brightest : bool
        The base is pixel by pixel the brightest low-pass part, as of medical images, in which dark
        is where there is nothing; otherwise that of the exposure fusion of the sources.

    Returns
    -------
    image : array (C, H, W)
        With the colours that go with the base: those of the exposure fusion, or the mean of the
        sources' chroma, weighted by itself.
    base : array (1, H, W)
        Studio-range luma of colours, else grey.
    """
    if not brightest:
        fused = exposure_fusion(sources)
        base = lowpass_split(lumas_of(fused), strength).low
        return _with_chroma(base + added, ycbcr(fused)[1:] if len(fused) == 3 else None), base
    low: Any = None
    for source in sources:
        own = lowpass_split(lumas_of(source), strength).low
        low = own if low is None else np.maximum(low, own)
    return _with_chroma(low + added, _chroma(sources, brightest=True)), low


def coloured(luma: Floats, sources: Sequence[Floats], *, brightest: bool) -> Floats:
    """Give a fused luma (1, H, W) the colours that `on_base` gives to its own."""
    return _with_chroma(luma, _chroma(sources, brightest=brightest))


def lumas_of(source: Floats) -> Floats:
    """Studio-range luma of a colour image, (1, H, W); a grey image is its own."""
    return ycbcr(source)[:1] if len(source) == 3 else source


def _chroma(sources: Sequence[Floats], *, brightest: bool) -> Floats | None:
    """Cb and Cr of what the sources look like together; None of grey ones."""
    if len(sources[0]) != 3:
        return None
    if not brightest:
        return ycbcr(exposure_fusion(sources))[1:]
    chroma = Chroma()
    for source in sources:
        chroma.add(source)
    return ycbcr(chroma.mean())[1:]


def _with_chroma(luma: Floats, chroma: Floats | None) -> Floats:
    if chroma is None:
        return luma
    return rgb(np.concatenate([luma.astype(chroma.dtype), chroma]))
