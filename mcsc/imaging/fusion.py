"""Fusion of registered images by the model alone (Eqs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, laplace

from ..dictionary import Dictionary
from ..solvers.front import solve
from ..solvers.result import Result
from .checks import check_sources
from .coding import Coded, code
from .colour import rgb, ycbcr
from .fusing import exposure_fusion
from .split import lowpass_split
from .tasks import Floats, Task

__all__ = ["RULES", "Fused", "fuse"]

RULES = ("choose", "detail", "sum", "targets")

# Of the choice between sources, standard deviations in pixels: activities are compared over this
# neighbourhood, and the choice is softened at its borders. Chosen on photographs that were blurred
# in part and on synthetic scenes.
_NEIGHBOURHOOD = 2.0
_SOFTENED = 1.5
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

    - "choose" (for focus): every pixel is taken from the source whose unique codes are more
      active around it, :math:`G_\sigma * (|\sum_k d_k * u_k| + |\Delta y| / 2)`, the Laplacian
      of its luma standing for detail too faint for the codes; the choice is softened a little at
      its borders. Colours are those of the sources.
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
    """
    images = check_sources(sources, alike=False)
    if dictionary.channels != (1, 1):
        raise ValueError(
            "fusion codes the lumas of two images: want a dictionary of channels (1, 1), found "
            f"{dictionary.channels}"
        )
    rule = rule or str(dictionary.metadata.get("rule", task.rule))
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}; found {rule!r}")
    chosen = float(dictionary.metadata.get("lam", task.lam)) if lam is None else lam
    images = [i[None] if i.ndim == 2 else i for i in images]
    channels = max(len(i) for i in images)
    images = [np.repeat(i, channels, axis=0) if len(i) < channels else i for i in images]
    found = images[0]
    result: Fused | None = None
    for image in images[1:]:
        result = _fuse_pair(
            found, image, dictionary, task, rule, chosen, tol, tile, progress, solver
        )
        found = result.image
    assert result is not None
    return result


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
    activity = []
    for u, y in zip(unique, lumas, strict=True):
        own = _FINEST * np.abs(laplace(y[0].astype(np.float64)))
        if u is not None:
            own += np.abs(u[0])
        activity.append(gaussian_filter(own, _NEIGHBOURHOOD))
    share = gaussian_filter((activity[0] > activity[1]).astype(np.float64), _SOFTENED)
    weights: Floats = np.stack([share, 1 - share])
    return weights
