"""What restored and fused images are measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..types import Floats
from . import metrics

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True)
class Measure:
    """A number that says how good an image is."""

    name: str
    function: Callable[[Floats, Any], float]
    """Of the image and of the target (restoration) or the sources (fusion)."""
    larger_is_better: bool = True
    digits: int = 3


_RESTORATION = (
    Measure("RMSE", metrics.rmse, larger_is_better=False),
    Measure("PSNR", metrics.psnr, digits=2),
    Measure("SSIM", metrics.ssim, digits=4),
)
_FUSION = (
    Measure("QABF", metrics.qabf),
    Measure("MI", metrics.mutual_information),
    Measure("MEF-SSIM", metrics.mef_ssim),
    Measure("SF", lambda image, _: metrics.spatial_frequency(image), digits=2),
    Measure("EN", lambda image, _: metrics.entropy(image)),
)

MEASURES = {"restoration": _RESTORATION, "fusion": _FUSION}
"""By the kind of a task."""
