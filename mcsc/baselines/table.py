"""The table of baselines: what this package compares the model and networks with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..checks import check_called, check_choice, check_flags
from ..tables import Table
from ..types import Floats, Kind
from .bilateral import joint_bilateral
from .decision_map import decision_map_fusion
from .exposure import exposure_fusion
from .guided import guided_filter
from .injection import hyper_sharpening
from .mean import mean_fusion
from .pyramids import laplacian_fusion
from .wavelets import wavelet_fusion

__all__ = ["BASELINES", "Baseline"]


@dataclass(frozen=True)
class Baseline:
    """A well-known method to compare with: a function of the images alone.

    Attributes
    ----------
    kind : {"restoration", "fusion"}
        Kind of the tasks that it is for.
    function : callable
        In a restoration it is called with the image and its guide, arrays (C, H, W) of one size in
        [0, 1]; in a fusion, with a list of sources of one shape. The settings that a task has for
        it come as keywords, each of which must have a default. It returns the image, (C, H, W).
    takes_sigma : bool
        Whether, in denoising, it is also called with ``sigma=``, the standard deviation of the
        noise in grey levels of 255.
    takes_known_shape : bool
        Whether, in super-resolution, it is also called with ``known_shape=``, the height and width
        at which x was known.
    super_resolution : bool or None
        True: for super-resolution only; False: for all other tasks; None: for all tasks.
    """

    kind: Kind
    function: Callable[..., Floats]
    takes_sigma: bool = False
    takes_known_shape: bool = False
    super_resolution: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a kind that no task has, and what could not be called."""
        check_choice("kind of a baseline", self.kind, Kind)
        check_flags(
            "a baseline", takes_sigma=self.takes_sigma, takes_known_shape=self.takes_known_shape
        )
        if self.super_resolution is not None:
            check_flags("a baseline", super_resolution=self.super_resolution)
        images = ("x", "y") if self.kind == "restoration" else ("sources",)
        told = {"sigma": self.takes_sigma, "known_shape": self.takes_known_shape}
        check_called(
            "function of a baseline",
            self.function,
            images,
            [n for n, there in told.items() if there],
        )

    @property
    def settings(self) -> tuple[str, ...] | None:
        """Names of the settings that its function takes; None: any."""
        parameters = inspect.signature(self.function).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return None
        images = 2 if self.kind == "restoration" else 1
        named = [p for p in parameters if p.kind is not p.VAR_POSITIONAL][images:]
        told = {"sigma": self.takes_sigma, "known_shape": self.takes_known_shape}
        return tuple(p.name for p in named if not told.get(p.name, False))

    def serves(self, kind: Kind, factor: int | None) -> bool:
        """Return whether it is for a task of that kind and factor."""
        wanted = self.super_resolution
        return self.kind == kind and (wanted is None or wanted == (factor is not None))


def _input(x: Floats, y: Floats) -> Floats:
    return x


def _guided(
    x: Floats,
    y: Floats,
    *,
    radius: float | None = None,
    edge: float | None = None,
    sigma: float | None = None,
) -> Floats:
    """`edge` is the square root of eps; in denoising both are for noise of one grey level."""
    level = 1.0 if sigma is None else sigma
    usual = (8, 0.02) if sigma is None else (0.1, 0.1 / 255)
    radius, edge = usual[0] if radius is None else radius, usual[1] if edge is None else edge
    return guided_filter(x, y, radius=max(1, round(radius * level)), eps=(edge * level) ** 2)


def _bilateral(
    x: Floats,
    y: Floats,
    *,
    space: float | None = None,
    edge: float = 0.1,
    sigma: float | None = None,
) -> Floats:
    """`space` is in pixels, in denoising for noise of one grey level."""
    if sigma is None:
        space = 3.0 if space is None else space
    else:
        space = max(1.0, (0.12 if space is None else space) * sigma)
    return joint_bilateral(x, y, sigma_space=space, sigma_range=edge)


BASELINES: Table[Baseline] = Table(
    "baseline", group="mcsc.baselines", kind=Baseline,
    wanted="a mcsc.baselines.table.Baseline, as Baseline('restoration', function)",
)  # fmt: skip
"""All baselines by name, in the order of tables and help; `mcsc.tables.Table.add` adds one."""

BASELINES.add("bicubic", Baseline("restoration", _input, super_resolution=True))
BASELINES.add("input", Baseline("restoration", _input, super_resolution=False))
BASELINES.add("guided-filter", Baseline("restoration", _guided, takes_sigma=True))
BASELINES.add("joint-bilateral", Baseline("restoration", _bilateral, takes_sigma=True))
BASELINES.add(
    "hyper-sharpening",
    Baseline("restoration", hyper_sharpening, takes_known_shape=True, super_resolution=True),
)

_FUSIONS: dict[str, Callable[[Sequence[Floats]], Floats]] = {
    "mean": mean_fusion,
    "laplacian": laplacian_fusion,
    "wavelet": wavelet_fusion,
    "decision-map": decision_map_fusion,
    "exposure-fusion": exposure_fusion,
}
for _name, _function in _FUSIONS.items():
    BASELINES.add(_name, Baseline("fusion", _function))
