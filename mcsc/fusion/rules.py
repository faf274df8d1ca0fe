"""The table of fusion rules: how the parts of sources become one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, gaussian_filter, laplace

from ..baselines.stacks import Largest
from ..checks import (
    check_called,
    check_flags,
    check_made,
    check_number,
    check_shares,
    check_word,
    what_is,
)
from ..coding.images import CodedImages
from ..errors import InvalidTypeError
from ..images.planes import Planes
from ..images.split import LowpassSplit
from ..tables import Table
from ..types import Floats
from .bases import on_base

__all__ = ["RULES", "Blend", "CodedSources", "Rule", "Selection"]

# Standard deviations in pixels, chosen on photographs that no table is measured on and on synthetic
# scenes. Of "detail": edges are compared over this neighbourhood, and the choice is softened at its
# borders.
_NEIGHBOURHOOD = 1.5
_SOFTENED = 1.0
# The same two of "activity".
_ACTIVE = 2.0
_ACTIVE_SOFTENED = 1.5
# Of "choose": small neighbourhoods find the borders of what is in focus, large ones decide where
# there is little detail.
_SCALES = (1.0, 2.0, 4.0, 8.0)
# Blur by which the other sources are to explain one. What counts is that it blurs: results are the
# same to 0.0003 of Q^AB/F from 1 to 5 pixels.
_BLUR = 2.0
_NARROW = 1.0
"""Blur of the evidence, against lone pixels, and of the choice's borders, against steps."""
_NOTHING = 1e-3
"""Below this, in units of the image, differences are noise."""
# Share of the Laplacian in the activity: detail so faint that lam keeps it out of the codes.
_FINEST = 0.5
# Over which a network's image is compared with the sources, and over which neighbours have a say.
# Over 1.5 pixels without neighbours, Q^AB/F is lower by 0.0002 to 0.0009 (four sets of synthetic
# pairs), and the error differs by less than 1 %, either way.
_NEAR = 1.0
_AROUND = 2.0


@dataclass(frozen=True, eq=False)
class CodedSources:
    """Input of a fusion rule: the sources and their codes."""

    sources: tuple[Floats, ...]
    """M images (C, H, W) in [0, 1], all of 1 or of 3 channels."""
    lumas: tuple[Floats, ...]
    """Lumas of the sources, (1, H, W); the luma of a grey source is the source itself."""
    splits: tuple[LowpassSplit, ...]
    """Low-pass splits of the lumas: the smooth part, and the detail that was coded."""
    coded: CodedImages
    """Images of the codes; its sample 0 is the only one. See `Rule.targets`."""
    strength: float
    """Strength of the low-pass split, in squared pixels."""
    brightest: bool = False
    """Whether the base is the brightest low-pass part, instead of that of an exposure fusion."""


@dataclass(frozen=True, eq=False)
class Blend:
    """Output of a fusion rule: the fused image, and how it came about."""

    image: Floats
    """The fused image, (C, H, W)."""
    base: Floats
    """Low-pass part of its luma, (1, H, W)."""
    weights: Floats | None = None
    """Share of each source in each pixel, (M, H, W), if the rule has such shares."""
    index: NDArray[np.int32] | None = None
    """Which source was chosen in each pixel, (H, W), if the rule chooses."""


@dataclass(frozen=True)
class Selection:
    """A choice between sources, pixel by pixel: the most evidence wins.

    Every source is judged by itself and by the mean of the others, so the choice can be made with
    one source in memory at a time.
    """

    evidence: Callable[[Planes, Planes, Planes], Planes]
    """Function of three images (H, W): luma, mean luma of the other sources, image of the codes."""
    unique: bool
    """Whether only the unique codes count; otherwise all codes of the source do."""
    softened: float
    """Standard deviation of the Gaussian that softens the borders of the choice, in pixels."""
    pixels: bool
    """Whether pixels of the sources are taken; otherwise their detail is, and added to a base."""
    by_answer: Callable[[Floats, Floats], Planes] | None = None
    """Evidence (H, W) for one of two sources from the image that a network makes of both: function
    of that image and of the source, (C, H, W), both images or both detail. None: the network's
    parts stand for the codes in `evidence`."""

    def __post_init__(self) -> None:
        """Refuse what could not choose."""
        check_flags("a selection", unique=self.unique, pixels=self.pixels)
        check_number("softened of a selection", self.softened, zero=True)
        check_called("evidence of a selection", self.evidence, ("luma", "others", "model"))
        if self.by_answer is not None:
            check_called("by_answer of a selection", self.by_answer, ("answer", "source"))

    def judged(self, luma: Planes, others: Planes, model: Planes) -> Planes:
        """Return the evidence for a source, looked at: see `evidence`."""
        found = self.evidence(luma, others, model)
        check_made("evidence of a selection", "an image", found, luma.shape)
        return found

    def answered(self, answer: Floats, source: Floats) -> Planes:
        """Return the evidence for a source by a network's answer, looked at: see `by_answer`."""
        assert self.by_answer is not None
        found = self.by_answer(answer, source)
        check_made("by_answer of a selection", "an image", found, source.shape[1:])
        return found

    def weights(self, index: NDArray[np.int32], number: int) -> Planes:
        """Share of a source in each pixel; those of all add up to one."""
        return np.asarray(gaussian_filter((index == number).astype(np.float64), self.softened))


@dataclass(frozen=True)
class Rule:
    """A fusion rule: a function of `CodedSources` that returns a `Blend`."""

    function: Callable[[CodedSources], Blend]
    """The function."""
    words: str
    """What it does, for ``--help``: "every pixel from the source that is more active there"."""
    targets: bool = False
    """Whether it takes the image that the dictionary's learned target filters make (Eq. 4).
    Otherwise the parts are those of the sources themselves, and the common part is that of the
    strongest source."""
    selection: Selection | None = None
    """How it chooses between sources, if that is all it does. Stacks of any number of sources are
    then fused one source at a time; otherwise all of them are held in memory."""

    def __post_init__(self) -> None:
        """Refuse what could not be a rule."""
        check_called("function of a rule", self.function, ("coded",))
        check_word("words of a rule", self.words)
        check_flags("a rule", targets=self.targets)
        if not (self.selection is None or isinstance(self.selection, Selection)):
            raise InvalidTypeError(
                "selection of a rule must be a mcsc.tasks.Selection or None; found "
                f"{what_is(self.selection)}"
            )

    def blend(self, name: str, given: CodedSources) -> Blend:
        """Return what the function makes of coded sources, looked at; `name` is the rule's.

        Raises
        ------
        TypeError, ValueError
            It is no `Blend`, or one of other images than is wanted.
        """
        found, whose = self.function(given), f"the rule {name}"
        if not isinstance(found, Blend):
            raise InvalidTypeError(
                f"{whose} must return a mcsc.tasks.Blend, as Blend(image, base) of images "
                f"(C, H, W) and (1, H, W); found {what_is(found)}"
            )
        _, height, width = given.sources[0].shape
        check_made(whose, "the image", found.image, given.sources[0].shape)
        check_made(whose, "the base", found.base, (1, height, width))
        check_shares(whose, found.weights, found.index, (len(given.sources), height, width))
        return found


RULES: Table[Rule] = Table(
    "rule", group="mcsc.rules", kind=Rule, wanted="a mcsc.tasks.Rule, as Rule(function, words)"
)
"""All fusion rules by name; ``RULES.add(name, Rule(function, words))`` adds one."""


def _sharpness(luma: Planes, others: Planes, unique: Planes) -> Planes:
    r"""Evidence that a source is in focus.

    .. math::

        \sum_\sigma \log G_\sigma * (|\sum_k d_k * u_k| + |\Delta x| / 2)
        + \log G_\sigma * |x - G_2 * \bar y|,

    :math:`\sigma` = 1, 2, 4, 8: its unique codes are active (the Laplacian of its luma standing for
    detail too faint for them), and the mean :math:`\bar y` of the others, blurred, does not explain
    it.
    """
    activity = _FINEST * np.abs(laplace(luma)) + np.abs(unique)
    # Beside a strong edge a blurred source is the more active one, by its halo. But a blur leads
    # from the sharp source to the halo, and none from the halo to the sharp source.
    unexplained = np.abs(luma - gaussian_filter(others, _BLUR))
    evidence = np.zeros(luma.shape)
    for scale in _SCALES:
        for kind in (activity, unexplained):
            # Logarithms: ratios count, not contrast, and no scale or kind outvotes the others.
            evidence += np.log(gaussian_filter(kind, scale) + _NOTHING)
    return np.asarray(gaussian_filter(evidence, _NARROW))


def _activity(luma: Planes, others: Planes, model: Planes) -> Planes:
    r"""How much the codes make of a source.

    .. math::

        G_2 * |\sum_k d_k * z_k|
    """
    return np.asarray(gaussian_filter(np.abs(model), _ACTIVE))


def _gradient(plane: Planes) -> tuple[Planes, Planes]:
    """Differences of the neighbours above and below, and of those on either side, halved."""
    across, along = (
        correlate1d(plane, [-0.5, 0.0, 0.5], axis=axis, mode="nearest") for axis in (0, 1)
    )
    return np.asarray(across), np.asarray(along)


def _edges(luma: Planes, others: Planes, model: Planes) -> Planes:
    r"""How strong the edges are that the codes make of a source.

    .. math::

        G_{1.5} * |\nabla \sum_k d_k * z_k|
    """
    strength = np.hypot(*_gradient(np.asarray(model, np.float64)))
    return np.asarray(gaussian_filter(strength, _NEIGHBOURHOOD))


def _kept_edges(answer: Floats, source: Floats) -> Planes:
    r"""How much of a source's edges there is in what a network makes of it and of another.

    .. math::

        G_{1.5} * \frac{\nabla z \cdot \nabla x}{|\nabla z|}

    The strongest edge in the direction of the answer wins, not the one that is nearest to it:
    answers are somewhat fainter than their sources.
    """
    strength = np.zeros(answer.shape[1:])
    for z, x in zip(answer.astype(np.float64), source.astype(np.float64), strict=True):
        (zy, zx), (xy, xx) = _gradient(z), _gradient(x)
        strength += (zy * xy + zx * xx) / (np.hypot(zy, zx) + _NOTHING)
    return np.asarray(gaussian_filter(strength, _NEIGHBOURHOOD))


def _nearness(answer: Floats, source: Floats) -> Planes:
    r"""How near a source is to what a network makes of it and of another.

    .. math::

        -G_2 * \log G_1 * |z - x|

    Logarithms as in `_sharpness`: in each pixel ratios count, so that lone pixels of contrast do
    not outvote their neighbours.
    """
    apart = gaussian_filter(np.abs(answer - source).mean(axis=0, dtype=np.float64), _NEAR)
    return np.asarray(-gaussian_filter(np.log(apart + _NOTHING), _AROUND))


_IN_FOCUS = Selection(_sharpness, unique=True, softened=_NARROW, pixels=True, by_answer=_nearness)
_DETAIL = Selection(_edges, unique=False, softened=_SOFTENED, pixels=False, by_answer=_kept_edges)
_ACTIVITY = Selection(
    _activity, unique=False, softened=_ACTIVE_SOFTENED, pixels=False, by_answer=_nearness
)


def choose(given: CodedSources) -> Blend:
    """Take every pixel from the source that is more active there: for focus.

    The evidence is that of `_sharpness`. The choice is softened a little at its borders. Colours
    are those of the sources.
    """
    return _selected(given, _IN_FOCUS)


def detail(given: CodedSources) -> Blend:
    """Add the detail of the source of which the codes make the stronger edges there.

    For exposures and medical images. Common and unique codes count. The base is that of
    `mcsc.fusion.bases`.
    """
    return _selected(given, _DETAIL)


def activity(given: CodedSources) -> Blend:
    """Add the detail of the source of which the codes make more there: of which they are active.

    As `detail`, but what is strong and blurred counts as much as what is strong and sharp. The
    networks of exposures and medical images that come along learned from what it makes.
    """
    return _selected(given, _ACTIVITY)


def add(given: CodedSources) -> Blend:
    """Add common part and all unique parts, on the base of `detail`.

    That is Eq. 4 with the dictionary's own filters. Opposite edges cancel, as of what is dark in
    one image and bright in the other.
    """
    image, base = on_base(
        given.sources, given.coded.image[0], given.strength, brightest=given.brightest
    )
    return Blend(image, base)


def _selected(given: CodedSources, selection: Selection) -> Blend:
    lumas = [y[0].astype(np.float64) for y in given.lumas]
    total = np.sum(lumas, axis=0)
    coded = given.coded
    largest = Largest(last=True)
    for m, luma in enumerate(lumas):
        part = coded.unique[m] if selection.unique else coded.models[m]
        shown = np.zeros(luma.shape) if part is None else part[0, 0]
        others = (total - luma) / (len(lumas) - 1)
        largest.offer(m, selection.judged(luma, others, shown))
    index = largest.index
    weights = np.stack([selection.weights(index, m) for m in range(len(lumas))])
    if selection.pixels:
        image = sum(w * x for w, x in zip(weights, given.sources, strict=True))
        low = sum(w * s.low for w, s in zip(weights, given.splits, strict=True))
        return Blend(np.asarray(image), np.asarray(low), weights, index)
    added = sum(w * s.high for w, s in zip(weights, given.splits, strict=True))
    whole, base = on_base(
        given.sources, np.asarray(added), given.strength, brightest=given.brightest
    )
    return Blend(whole, base, weights, index)


RULES.add(
    "choose",
    Rule(choose, "every pixel from the source that is more active there", selection=_IN_FOCUS),
)
RULES.add(
    "detail",
    Rule(detail, "the detail of the source with the stronger edges there", selection=_DETAIL),
)
RULES.add(
    "activity",
    Rule(activity, "the detail of the source of which the codes make more", selection=_ACTIVITY),
)
RULES.add("sum", Rule(add, "the sum of all parts"))
RULES.add("targets", Rule(add, "learned target filters on all codes", targets=True))
