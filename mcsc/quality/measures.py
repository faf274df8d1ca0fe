"""What restored and fused images are measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidTypeError, InvalidValueError
from ..types import Floats, Kind
from . import full_reference, no_reference
from .mef_ssim import mef_ssim

__all__ = ["MEASURES", "Measure", "add_measure", "measures_of", "remove_measure"]


@dataclass(frozen=True)
class Measure:
    """A number that says how good an image is."""

    name: str
    """Head of its column in a table."""
    kind: Kind
    """Of the images that it measures: restored or fused ones."""
    function: Callable[[Floats, Any], float]
    """Of the image and of the target (restoration) or the sources (fusion)."""
    larger_is_better: bool = True
    digits: int = 3
    """Decimal places in a table."""


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("RMSE", "restoration", full_reference.rmse, larger_is_better=False),
        Measure("PSNR", "restoration", full_reference.psnr, digits=2),
        Measure("SSIM", "restoration", full_reference.ssim, digits=4),
        Measure("QABF", "fusion", no_reference.qabf),
        Measure("MI", "fusion", no_reference.mutual_information),
        Measure("MEF-SSIM", "fusion", mef_ssim),
        Measure("SF", "fusion", lambda image, _: no_reference.spatial_frequency(image), digits=2),
        Measure("EN", "fusion", lambda image, _: no_reference.entropy(image)),
    )
}
"""By name, in the order of a table's columns."""


def add_measure(measure: Measure) -> None:
    """Add a measure to `MEASURES`: tables of its kind then have its column, as the last one.

    Parameters
    ----------
    measure : Measure

    Raises
    ------
    TypeError
        `measure` is something else.
    ValueError
        There is one of that name already, or its kind is neither "restoration" nor "fusion".

    Examples
    --------
    >>> import numpy as np
    >>> from mcsc.quality.measures import Measure, add_measure, measures_of, remove_measure
    >>> def mean_error(image, target):
    ...     return float(np.mean(np.abs(image - target)))
    >>> add_measure(Measure("MAE", "restoration", mean_error, larger_is_better=False))
    >>> [measure.name for measure in measures_of("restoration")]
    ['RMSE', 'PSNR', 'SSIM', 'MAE']
    >>> remove_measure("MAE").digits
    3
    """
    if not isinstance(measure, Measure):
        raise InvalidTypeError(f"measure must be a Measure, found {type(measure).__name__}")
    if measure.kind not in ("restoration", "fusion"):
        raise InvalidValueError(
            f"the kind of measure {measure.name} must be 'restoration' or 'fusion', found "
            f"{measure.kind!r}"
        )
    if measure.name in MEASURES:
        raise InvalidValueError(f"there is a measure {measure.name} already")
    MEASURES[measure.name] = measure


def remove_measure(name: str) -> Measure:
    """Take a measure out of `MEASURES` and return it.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if name not in MEASURES:
        raise InvalidValueError(f"there is no measure {name}: want one of {', '.join(MEASURES)}")
    return MEASURES.pop(name)


def measures_of(kind: Kind) -> tuple[Measure, ...]:
    """Measures of restored or of fused images, in the order of a table's columns."""
    return tuple(measure for measure in MEASURES.values() if measure.kind == kind)
