"""From signals to their parts: the work that `mcsc demo` and `mcsc solve` share."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..figures.panels import SignalParts
from ..images.split import lowpass_split
from ..model.dictionary import Dictionary
from ..model.problem import lambda_max
from ..model.reconstruction import signal_parts
from ..solvers.front import solve
from ..solvers.result import Result
from ..types import Boundary, Floats
from .options import LAM_RELATIVE, STRENGTH


@dataclass(frozen=True, eq=False)
class Signal:
    """An image to be decomposed, with its mask."""

    symbol: str
    """``x``, ``y``, or ``x1``, ``x2``, ... of more than two."""
    name: str
    """For titles and the table."""
    image: Floats
    """Shape (C, H, W)."""
    mask: Floats | None = None
    """Weights (1 or C, H, W), 0 where the image is unknown."""
    source: dict[str, Any] = field(default_factory=dict)
    """Where it came from, for ``result.json``."""


@dataclass(frozen=True)
class Settings:
    """How to decompose; named as the options of the command line."""

    lam: tuple[float, ...] | None = None
    lam_relative: float = LAM_RELATIVE
    method: str = "auto"
    boundary: Boundary = "zero"
    tol: float = 1e-3
    max_iter: int | None = None
    device: str = "cpu"
    strength: float | None = STRENGTH
    """Of the low-pass split; None: no split."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What came out."""

    result: Result
    parts: list[SignalParts]
    lam: float | tuple[float, ...]
    lambda_max: float

    @property
    def interrupted(self) -> bool:
        """True after Ctrl-C."""
        return self.result.stopped == "interrupted"


def symbols(count: int) -> list[str]:
    """Names of the signals in formulas, tables and files."""
    return ["x", "y"][:count] if count <= 2 else [f"x{m + 1}" for m in range(count)]


def decompose(
    signals: list[Signal], dictionary: Dictionary, settings: Settings, announce: Any
) -> Decomposition:
    """Split, choose lam, solve, and put the parts together.

    `announce` is called with a line of text before the long part.
    """
    masks = [signal.mask for signal in signals]
    low: list[Floats | None] = [None] * len(signals)
    detail = [signal.image for signal in signals]
    if settings.strength is not None:
        splits = [lowpass_split(s.image, settings.strength, s.mask) for s in signals]
        low, detail = [s.low for s in splits], [s.high for s in splits]

    largest = lambda_max(detail, dictionary, masks=masks, boundary=settings.boundary)
    lam: float | tuple[float, ...]
    if settings.lam is None:
        # The split leaves rounding errors of a constant, and lam would follow them.
        if largest <= 100 * float(np.finfo(detail[0].dtype).eps):
            raise InvalidValueError(
                f"the images hold no detail that the dictionary could code: lambda_max = "
                f"{largest:.1g}; choose --lam"
            )
        lam = settings.lam_relative * largest
        announce(
            f"{dictionary.n_maps} maps, lam = {lam:.3g}, "
            f"{settings.lam_relative:g} of lambda_max = {largest:.3g}"
        )
    else:
        lam = settings.lam[0] if len(settings.lam) == 1 else settings.lam
        shown = ", ".join(f"{value:g}" for value in settings.lam)
        above = ": all codes are zero" if min(settings.lam) >= largest else ""
        announce(f"{dictionary.n_maps} maps, lam = {shown}, lambda_max = {largest:.3g}{above}")
    result = solve(
        detail,
        dictionary,
        lam,
        method=settings.method,
        boundary=settings.boundary,
        tol=settings.tol,
        masks=masks,
        device=settings.device,
        max_iter=settings.max_iter,
        progress=sys.stderr.isatty(),
    )

    parts = []
    for m, part in enumerate(signal_parts(result.codes, dictionary, boundary=settings.boundary)):
        signal, own = signals[m], part.unique[m]
        parts.append(
            SignalParts(
                label=f"{signal.symbol}, {signal.name}",
                image=signal.image,
                common=None if part.common is None else part.common[0],
                unique=None if own is None else own[0],
                low=low[m],
                mask=signal.mask,
            )
        )
    return Decomposition(result, parts, lam, largest)
