"""Fusion of stacks of any number of sources, one of them in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ..baselines.stacks import Largest
from ..coding.images import CodingOptions, SolverFunction, code, warn_if_nothing_is_coded
from ..coding.shared import shared_filters
from ..images.planes import Planes
from ..images.split import lowpass_split
from ..model.dictionary import Dictionary
from ..solvers.driver import deferred_interrupt
from ..solvers.result import Stop
from ..types import Floats
from .bases import lumas_of, on_base
from .rules import Selection

__all__ = ["Chosen", "blend_chosen", "fuse_one_by_one"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """What was fused, without the parts and weights of every source."""

    image: Floats
    """(C, H, W)."""
    base: Floats
    """Low-pass part of its luma, (1, H, W)."""
    index: NDArray[np.int32]
    """Which source was chosen, (H, W)."""
    gap: float
    """Certified relative duality gap, the worst of all sources."""
    nonzero: float
    """Share of coefficients that are not zero."""
    stopped: Stop
    """Why the solver stopped, where it stopped first for another reason than that it was done.
    Stopped on the way, sources that were not reached have no share in the image."""


@dataclass(frozen=True, eq=False)
class _Choice:
    """Which source was chosen, and the numbers of the codes that say so."""

    largest: Largest
    gap: float
    nonzeros: int
    coefficients: int
    stopped: Stop


def fuse_one_by_one(
    sources: Sequence[Floats],
    dictionary: Dictionary,
    lam: Any,
    selection: Selection,
    *,
    strength: float,
    brightest: bool,
    solver: SolverFunction,
    **how: Unpack[CodingOptions],
) -> Chosen:
    """Fuse sources by a rule that chooses between them.

    Parameters
    ----------
    sources : sequence of arrays, shape (C, H, W)
        All of 1 or of 3 channels. It is gone through three times, with the base of an exposure
        fusion five times, and may make an image whenever it is asked for.
    dictionary : Dictionary
        A dictionary for signals of one channel; each source is coded with the filters that any
        signal has alone.
    lam
        Weight of the l1 norm, as the dictionary takes it.
    selection : Selection
        How the rule chooses between sources.
    strength, brightest
        As in `mcsc.fusion.bases`.
    solver, **how
        As `mcsc.coding.images.code` takes them.

    Returns
    -------
    Chosen

    Notes
    -----
    Coded alone, a source has no common part: what it shares with the others is among its codes. The
    choice sees the others by their mean. On synthetic focus stacks of five frames it is as good as
    that of the joint problem, to 0.1 dB.

    Memory: that of coding one source, and some ten planes of an image.
    """
    total: Any = 0.0
    for source in sources:
        total = total + lumas_of(source)[0].astype(np.float64)
    choice = _choice(sources, total, dictionary, lam, selection, strength, solver, how)
    image, low = blend_chosen(
        sources, choice.largest.index, selection, strength=strength, brightest=brightest
    )
    return Chosen(
        image=image,
        base=low,
        index=choice.largest.index,
        gap=choice.gap,
        nonzero=choice.nonzeros / choice.coefficients,
        stopped=choice.stopped,
    )


def blend_chosen(
    sources: Sequence[Floats],
    index: NDArray[np.int32],
    selection: Selection,
    *,
    strength: float,
    brightest: bool,
) -> tuple[Floats, Floats]:
    """Make the image of sources of which it is known which one is chosen where.

    Parameters
    ----------
    sources, selection, strength, brightest
        As in `fuse_one_by_one`.
    index : array of int, (H, W)
        Which source is chosen.

    Returns
    -------
    image : array (C, H, W)
    base : array (1, H, W)
        Low-pass part of its luma.
    """
    image: Any = 0.0
    low: Any = 0.0
    dtype: Any = None
    for number in np.unique(index):
        source, weights = sources[int(number)], selection.weights(index, int(number))
        split = lowpass_split(lumas_of(source), strength)
        dtype = source.dtype
        image = image + weights * (source if selection.pixels else split.high)
        low = low + weights * split.low
    if not selection.pixels:
        image, low = on_base(sources, image.astype(dtype), strength, brightest=brightest)
    return image.astype(dtype), low.astype(dtype)


def _choice(
    sources: Sequence[Floats],
    total: Planes,
    dictionary: Dictionary,
    lam: Any,
    selection: Selection,
    strength: float,
    solver: SolverFunction,
    how: CodingOptions,
) -> _Choice:
    """Code every source alone, and say pixel by pixel which one has the most evidence."""
    alone, each = shared_filters(dictionary, 1, lam)
    largest = Largest(last=True)
    gap, nonzeros, coefficients, detail = 0.0, 0, 0, 0.0
    stopped: Stop = "converged"
    with deferred_interrupt() as interrupt:
        for number, source in enumerate(sources):
            luma = lumas_of(source)
            high = lowpass_split(luma, strength).high
            # A source that is out of focus everywhere has few codes, and may.
            coded = code((high[None],), alone, each, "signals", warn=False, solver=solver, **how)
            plane = luma[0].astype(np.float64)
            others = (total - plane) / (len(sources) - 1)
            largest.offer(number, selection.judged(plane, others, coded.models[0][0, 0]))
            gap = max(gap, coded.gap)
            nonzeros, coefficients = nonzeros + coded.nonzeros, coefficients + coded.coefficients
            detail = max(detail, float(np.abs(high).max()))
            if not coded.converged and stopped == "converged":
                stopped = coded.stopped
            if interrupt.asked and number < len(sources) - 1:
                stopped = "interrupted"
            if stopped in ("callback", "interrupted"):
                gap = max(gap, 1.0)  # that of codes of zero
                break
    if stopped == "converged":
        warn_if_nothing_is_coded(nonzeros, coefficients, len(sources) * total.size, lam, detail)
    return _Choice(largest, gap, nonzeros, coefficients, stopped)
