"""The table of measures of the quality of restored and fused images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..checks import check_called, check_choice, check_flags, check_whole, check_word
from ..tables import Table
from ..types import Kind
from . import full_reference, no_reference
from .mef_ssim import mef_ssim

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True)
class Measure:
    """A measure of the quality of a restored or fused image."""

    name: str
    """Name in tables."""
    kind: Kind
    """Kind of the tasks that it is for."""
    function: Callable[..., float]
    """Function of the image and of the target (restoration) or the sources (fusion)."""
    larger_is_better: bool = True
    """Whether a larger value means a better image."""
    digits: int = 3
    """Number of digits after the decimal point, in tables."""
    takes_mask: bool = False
    """The function has a keyword `mask`, 0 where pixels do not count. Images are filled alike in
    holes before another function sees them."""

    def __post_init__(self) -> None:
        """Refuse what could not be a measure."""
        check_word("name of a measure", self.name)
        measure = f"the measure {self.name}"
        check_choice(f"kind of {measure}", self.kind, Kind)
        check_flags(measure, larger_is_better=self.larger_is_better, takes_mask=self.takes_mask)
        check_whole(f"digits of {measure}", self.digits, least=0)
        other = "target" if self.kind == "restoration" else "sources"
        keywords = ("mask",) if self.takes_mask else ()
        check_called(f"function of {measure}", self.function, ("image", other), keywords)


MEASURES: Table[Measure] = Table(
    "measure", group="mcsc.measures", kind=Measure,
    wanted="a mcsc.quality.measures.Measure, as Measure(name, 'restoration', function)",
)  # fmt: skip
"""All measures, in the order of tables; ``MEASURES.add(measure.name, measure)`` adds one."""

for _measure in (
    Measure("RMSE", "restoration", full_reference.rmse, larger_is_better=False, takes_mask=True),
    Measure("PSNR", "restoration", full_reference.psnr, digits=2, takes_mask=True),
    Measure("SSIM", "restoration", full_reference.ssim, digits=4, takes_mask=True),
    Measure("QABF", "fusion", no_reference.qabf, takes_mask=True),
    Measure("MI", "fusion", no_reference.mutual_information, takes_mask=True),
    Measure("MEF-SSIM", "fusion", mef_ssim),
    Measure("SF", "fusion", lambda image, _: no_reference.spatial_frequency(image), digits=2),
    Measure("EN", "fusion", lambda image, _: no_reference.entropy(image)),
):
    MEASURES.add(_measure.name, _measure)
