"""Fusion of registered images by the model alone (Eqs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter, laplace

from ..baselines.exposure import exposure_fusion
from ..checks import check_sources
from ..errors import InvalidValueError
from ..images.colour import rgb, ycbcr
from ..images.split import lowpass_split
from ..model.dictionary import Dictionary
from ..solvers.front import solve
from ..solvers.result import Result
from ..types import Floats
from .coding import Coded, code
from .task import Task

__all__ = ["RULES", "Fused", "fuse"]

RULES = ("choose", "detail", "sum", "targets")

# Standard deviations in pixels, chosen on photographs that were blurred in part and on synthetic
# scenes. Of "detail": details are compared over this neighbourhood, and the choice is softened at
# its borders.
_NEIGHBOURHOOD = 2.0
_SOFTENED = 1.5
# Of "choose": small neighbourhoods find the borders of what is in focus, large ones decide where
# there is little detail.
_SCALES = (1.0, 2.0, 4.0, 8.0)
# Blur by which one source is to explain the other. What counts is that it blurs: results are the
# same to 0.0003 of Q^AB/F from 1 to 5 pixels.
_BLUR = 2.0
_NARROW = 1.0
"""Of the evidence, against lone pixels, and of the choice's borders, against steps."""
_NOTHING = 1e-3
"""Below this, in units of the image, differences are noise."""
# Share of the Laplacian in the activity: detail so faint that lam keeps it out of the codes.
_FINEST = 0.5


@dataclass(frozen=True, eq=False)
class Fused:
    """A fused image and what it is made of (Fig. 2)."""

    image: Floats
    """Point 4, (C, H, W)."""
    base: Floats
    """Low-pass part of the luma, (1, H, W)."""
    common: Floats | None
    """Point 1: what the sources share."""
    unique: tuple[Floats | None, ...]
    """Points 2, 3: what each source has alone. Of more than two, of the last pair."""
    weights: Floats | None
    """With "choose" and "detail": share of each source in each pixel, (M, H, W)."""
    rule: str
    lam: float
    gap: float
    nonzero: float
    seconds: float
    converged: bool


def fuse(
    sources: Sequence[Floats],
    dictionary: Dictionary,
    task: Task,
    *,
    rule: str | None = None,
    lam: float | None = None,
    tol: float = 1e-3,
    tile: int | None = None,
    progress: bool = False,
    solver: Callable[..., Result] = solve,
) -> Fused:
    r"""Fuse two or more sources.

    The detail of the sources' lumas is coded jointly; each source has its unique codes. Then

    - "choose" (for focus): every pixel is taken from the source x with more evidence of being in
      focus there, against the other source y

      .. math::

          \sum_\sigma \log G_\sigma * (|\sum_k d_k * u_k| + |\Delta x| / 2)
          + \log G_\sigma * |x - G_2 * y|,

      :math:`\sigma` = 1, 2, 4, 8: its unique codes are active (the Laplacian of its luma standing
      for detail too faint for them), and the other source, blurred, does not explain it. The
      choice is softened a little at its borders. Colours are those of the sources.
    - "detail" (for exposures): base + the detail of the source whose codes, common and unique,
      make more of it there. The base is the low-pass part of Mertens' exposure fusion of colour
      sources, and of grey sources the brighter low-pass part.
    - "sum" (for medical images): base + common part + all unique parts. The common part is that of
      the source where it is stronger.
    - "targets": Eq. 4 with the dictionary's learned target filters, on the same base.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (C, H, W)
        Two or more of one size, in [0, 1]; each grey or of three channels.
    dictionary : Dictionary
        For two signals of one channel.
    task : Task
        Preprocessing; what the dictionary's metadata say has precedence.
    rule : {"choose", "detail", "sum", "targets"}, optional
        Default: what the dictionary's metadata say, or the task's.
    lam, tol, tile, progress, solver
        As in `restore`.

    Notes
    -----
    More than two sources are fused one after the other, the result so far being one of the pair.
    The weights are those of all sources nevertheless, as the shares multiply.
    """
    images = check_sources(sources, alike=False)
    if dictionary.channels != (1, 1):
        raise InvalidValueError(
            "fusion codes the lumas of two images: want a dictionary of channels (1, 1), found "
            f"{dictionary.channels}"
        )
    rule = rule or str(dictionary.metadata.get("rule", task.rule))
    if rule not in RULES:
        raise InvalidValueError(f"rule must be one of {', '.join(RULES)}; found {rule!r}")
    chosen = float(dictionary.metadata.get("lam", task.lam)) if lam is None else lam
    images = [i[None] if i.ndim == 2 else i for i in images]
    channels = max(len(i) for i in images)
    images = [np.repeat(i, channels, axis=0) if len(i) < channels else i for i in images]
    found = images[0]
    weights = np.ones((1, *found.shape[1:]))
    result: Fused | None = None
    for image in images[1:]:
        result = _fuse_pair(
            found, image, dictionary, task, rule, chosen, tol, tile, progress, solver
        )
        found = result.image
        if result.weights is not None:
            weights = np.concatenate([weights * result.weights[:1], result.weights[1:]])
    assert result is not None
    return result if result.weights is None else replace(result, weights=weights)


def _fuse_pair(
    first: Floats,
    second: Floats,
    dictionary: Dictionary,
    task: Task,
    rule: str,
    lam: float,
    tol: float,
    tile: int | None,
    progress: bool,
    solver: Callable[..., Result],
) -> Fused:
    pair = (first, second)
    base: Floats
    image: Floats
    lumas = [ycbcr(i)[:1] if len(i) == 3 else i for i in pair]
    strength = float(dictionary.metadata.get("strength", task.strength))
    splits = [lowpass_split(i, strength) for i in lumas]
    signals = tuple(s.high[None] for s in splits)
    wanted = "fusion" if rule == "targets" else "signals"
    coded: Coded = code(
        signals, dictionary, lam, wanted, tol=tol, tile=tile, progress=progress, solver=solver
    )
    common = None if coded.common is None else coded.common[0]
    unique = tuple(None if u is None else u[0] for u in coded.unique)
    weights = None
    if rule == "choose":
        weights = _choice(unique, lumas)
        image = weights[:1] * first + weights[1:] * second
        base = (weights[:1] * splits[0].low + weights[1:] * splits[1].low).astype(first.dtype)
    else:
        detail = coded.image[0]
        if rule == "detail":
            energy = [gaussian_filter(np.abs(m[0, 0]), _NEIGHBOURHOOD) for m in coded.models]
            share = gaussian_filter((energy[0] > energy[1]).astype(np.float64), _SOFTENED)
            weights = np.stack([share, 1 - share])
            detail = share * splits[0].high + (1 - share) * splits[1].high
        if first.shape[0] == 3:
            blended = ycbcr(exposure_fusion(pair))
            base = lowpass_split(blended[:1], strength).low
            image = rgb(np.concatenate([base + detail, blended[1:]]))
        else:
            base = np.maximum(splits[0].low, splits[1].low)
            image = base + detail
    return Fused(
        image.astype(first.dtype), base, common, unique, weights, rule, lam, coded.gap,
        coded.nonzero, coded.seconds, coded.converged,
    )  # fmt: skip


def _choice(unique: tuple[Floats | None, ...], lumas: list[Floats]) -> Floats:
    """Share of each source in each pixel, (2, H, W)."""
    first, second = (y[0].astype(np.float64) for y in lumas)
    evidence = np.zeros(first.shape)
    for sign, u, own, other in ((1, unique[0], first, second), (-1, unique[1], second, first)):
        activity = _FINEST * np.abs(laplace(own))
        if u is not None:
            activity += np.abs(u[0])
        # Beside a strong edge the blurred source is the more active one, by its halo. But a blur
        # leads from the sharp source to the halo, and none from the halo to the sharp source.
        unexplained = np.abs(own - gaussian_filter(other, _BLUR))
        for scale in _SCALES:
            for kind in (activity, unexplained):
                # Logarithms: ratios count, not contrast, and no scale or kind outvotes the others.
                evidence += sign * np.log(gaussian_filter(kind, scale) + _NOTHING)
    share = gaussian_filter((gaussian_filter(evidence, _NARROW) > 0).astype(np.float64), _NARROW)
    weights: Floats = np.stack([share, 1 - share])
    return weights
