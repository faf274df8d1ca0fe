"""The table of fusion rules: how the parts of two sources become one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, laplace

from ..images.split import LowpassSplit
from ..tables import Table
from ..types import Floats
from .coding import Coded
from .preparation import blended_exposures, coloured, fused_base

__all__ = ["RULES", "Blend", "CodedPair", "Rule"]

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
class CodedPair:
    """What a rule makes an image of."""

    sources: tuple[Floats, Floats]
    """Two images (C, H, W) in [0, 1], both of 1 or of 3 channels."""
    lumas: tuple[Floats, Floats]
    """(1, H, W); a grey source's is the source."""
    splits: tuple[LowpassSplit, LowpassSplit]
    """Of the lumas: smooth part and the detail that was coded."""
    coded: Coded
    """Images of the codes; its sample 0 is the only one. See `Rule.targets`."""
    strength: float
    """Of the low-pass split."""


@dataclass(frozen=True, eq=False)
class Blend:
    """What a rule makes."""

    image: Floats
    """The fused image, (C, H, W)."""
    base: Floats
    """Low-pass part of its luma, (1, H, W)."""
    weights: Floats | None = None
    """Share of each source in each pixel, (2, H, W), if the rule has such."""


@dataclass(frozen=True)
class Rule:
    """A function of a `CodedPair` that returns a `Blend`, and when to take it."""

    function: Callable[[CodedPair], Blend]
    words: str
    """What it does, for --help: "every pixel from the source that is more active there"."""
    targets: bool = False
    """It takes the image that the dictionary's learned target filters make (Eq. 4); otherwise the
    parts are those of the sources themselves, the common part that of the stronger one."""


RULES: Table[Rule] = Table("rule", group="mcsc.rules")
"""All fusion rules by name; ``RULES.add(name, Rule(function, words))`` adds one."""


def choose(pair: CodedPair) -> Blend:
    r"""Take every pixel from the source that is more active there: for focus.

    The source x with more evidence of being in focus, against the other source y,

    .. math::

        \sum_\sigma \log G_\sigma * (|\sum_k d_k * u_k| + |\Delta x| / 2)
        + \log G_\sigma * |x - G_2 * y|,

    :math:`\sigma` = 1, 2, 4, 8: its unique codes are active (the Laplacian of its luma standing for
    detail too faint for them), and the other source, blurred, does not explain it. The choice is
    softened a little at its borders. Colours are those of the sources.
    """
    unique = tuple(None if u is None else u[0] for u in pair.coded.unique)
    first, second = (y[0].astype(np.float64) for y in pair.lumas)
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
    weights = np.stack([share, 1 - share])
    low = weights[:1] * pair.splits[0].low + weights[1:] * pair.splits[1].low
    image = weights[:1] * pair.sources[0] + weights[1:] * pair.sources[1]
    return Blend(image, low, weights)


def detail(pair: CodedPair) -> Blend:
    """Add the detail of the source whose codes make more of it there: for exposures.

    Common and unique codes count. The base is the low-pass part of Mertens' exposure fusion of
    colour sources, and of grey sources the brighter low-pass part.
    """
    energy = [gaussian_filter(np.abs(m[0, 0]), _NEIGHBOURHOOD) for m in pair.coded.models]
    share = gaussian_filter((energy[0] > energy[1]).astype(np.float64), _SOFTENED)
    weights = np.stack([share, 1 - share])
    return _on_base(pair, share * pair.splits[0].high + (1 - share) * pair.splits[1].high, weights)


def add(pair: CodedPair) -> Blend:
    """Add common part and all unique parts, on the base of `detail`: for medical images."""
    return _on_base(pair, pair.coded.image[0])


def _on_base(pair: CodedPair, added: Floats, weights: Floats | None = None) -> Blend:
    blended = blended_exposures(pair.sources)
    base = fused_base(blended, [split.low for split in pair.splits], pair.strength)
    return Blend(coloured(base + added, blended), base, weights)


RULES.add("choose", Rule(choose, "every pixel from the source that is more active there"))
RULES.add("detail", Rule(detail, "the detail of the source that is more active there"))
RULES.add("sum", Rule(add, "the sum of all parts"))
RULES.add("targets", Rule(add, "learned target filters on all codes", targets=True))
