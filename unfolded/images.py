"""Images through a network: restored or fused, prepared by what is kept with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsc import Parts
from mcsc.baselines.stacks import Largest
from mcsc.errors import InvalidValueError, warn_user
from mcsc.fusion.bases import coloured, lumas_of, on_base
from mcsc.fusion.one_by_one import blend_chosen
from mcsc.fusion.rules import RULES, Selection
from mcsc.images.enlarging import back_project
from mcsc.images.split import lowpass_split
from mcsc.tasks.preparation import (
    Kept,
    Prepared,
    kept_with,
    mixture_for,
    prepare_fusion,
    prepare_restoration,
)
from mcsc.tasks.protocol import MethodResult
from mcsc.tasks.task import Task
from mcsc.types import Floats

from .network.accelerated import Accelerated
from .network.cunet import CUNet
from .network.orientations import average_of_orientations

_LARGEST = 3.0
"""Times that an answer may be larger than its signals together; beyond that, layers diverged.

On 96 ordinary scenes, of depth, bands, flash and exposures, it was 1.5 times as large at most."""

_NEGLIGIBLE = 0.02
"""An answer up to this is none that diverged. Beside the tiny signals of a flat image anything is
large, such as what a negative threshold adds to each coefficient: a grey level of 255 and less."""

_HALVINGS = 3
"""How often signals are halved for a network that diverges on them."""

OWN_RULE = "sum"
"""The rule by which a network's answer is the image as it is: the sum of its parts, Eq. 4."""


def prepare_for_network(
    net: CUNet | Accelerated,
    task: Task,
    x: Floats,
    y: Floats,
    sigma: float | None = None,
    known_shape: tuple[int, int] | None = None,
) -> Prepared:
    """Make the network's signals of two images (C, H, W), as its metadata say.

    Weights without metadata, as the authors' are, take the images themselves. `sigma` is the noise
    of x, of 255; by default that of the network. `known_shape` is the size at which x was known, of
    super-resolution.
    """
    kept, channels = kept_with_network(net, task), net.configuration.channels
    if task.kind == "restoration":
        return prepare_restoration(
            x, y, channels, strength=kept.strength, base=kept.base, smoothing=kept.smoothing,
            sigma=sigma or kept.sigma or task.sigma,
            mixture=mixture_for(task, channels, kept.base, x, y, known_shape=known_shape),
            known_shape=known_shape,
        )  # fmt: skip
    return prepare_fusion(
        x, y, channels, strength=kept.strength, base=kept.base, brightest=task.brightest_base
    )


def kept_with_network(net: CUNet | Accelerated, task: Task) -> Kept:
    """How images are prepared for a network; the authors' see the images themselves."""
    return kept_with(net.metadata, task, base="none")


def restored(
    net: CUNet | Accelerated,
    task: Task,
    x: Floats,
    y: Floats,
    *,
    known_shape: tuple[int, int] | None = None,
    sigma: float | None = None,
    tile: int | None = None,
    orientations: int = 1,
) -> MethodResult:
    """Restore an image with a network.

    Parameters
    ----------
    net : CUNet or Accelerated
        In evaluation mode.
    task : Task
        What it is for.
    x, y : arrays of floats, shape (C, H, W)
        In [0, 1], of one size.
    known_shape : (height, width), optional
        Super-resolution: size at which x was known. A network whose answer is added to x honours
        it: the result is back-projected (`mcsc.images.enlarging.back_project`).
    sigma : float, optional
        Denoising: standard deviation of the noise, of 255; by default the task's. The images are
        scaled so that the network sees noise that it was trained for: one strength, or any of a
        range for a network whose thresholds follow it.
    tile : int, optional
        Work on tiles of that side, one at a time: `CUNet.tiled`. Then there are no parts.
    orientations : {1, 2, 4, 8}
        Average over so many orientations of the images, `unfolded.network.orientations`.
    """
    made = prepare_for_network(net, task, x, y, sigma, known_shape)
    scale, level = _noise(net, task, sigma, made.copies)
    detail, common, unique = _answer(net, made, scale, level, tile=tile, orientations=orientations)
    image: Floats = made.base + detail
    if known_shape is not None and kept_with_network(net, task).base in ("input", "injected"):
        image = back_project(image, x, known_shape)
    return MethodResult(image.astype(x.dtype), (image - detail).astype(x.dtype), common, unique[:1])


def fused(
    net: CUNet | Accelerated,
    task: Task,
    x: Floats,
    y: Floats,
    *,
    rule: str = OWN_RULE,
    tile: int | None = None,
    orientations: int = 1,
) -> MethodResult:
    """Fuse two sources (C, H, W) with a network.

    Parameters
    ----------
    net, task, tile, orientations
        As in `restored`.
    x, y : arrays of floats, shape (C, H, W)
        In [0, 1], of one size.
    rule : str
        "sum": the image is the network's answer. A rule that chooses: each pixel, or the detail
        there, is that of the source that the rule finds more of in the answer
        (`mcsc.fusion.rules.Selection.by_answer`). Details are compared where pixels cannot be: what
        detail of two exposures is added to is neither source's brightness.
    """
    made = prepare_for_network(net, task, x, y)
    detail, common, unique = _answer(net, made, tile=tile, orientations=orientations)
    image: Floats = made.base + detail
    selection = RULES.find(rule).selection
    if selection is not None:
        kept = kept_with_network(net, task)
        seen = (x, y) if net.configuration.channels[0] != 1 else (lumas_of(x), lumas_of(y))
        if kept.base == "low":
            index = _chosen(
                selection, detail, tuple(made.as_bands(signal) for signal in made.signals)
            )
        elif selection.pixels:
            index = _chosen(selection, image, seen)
        else:
            found, *highs = (lowpass_split(i, kept.strength).high for i in (image, *seen))
            index = _chosen(selection, found, highs)
        image, base = blend_chosen(
            (x, y), index, selection, strength=kept.strength, brightest=task.brightest_base
        )
        weights = np.stack([selection.weights(index, m) for m in range(2)])
        return MethodResult(image, base, common, unique, weights, index, rule=rule)
    if len(image) == 1:
        image = coloured(image, (x, y), brightest=task.brightest_base)
    elif len(x) == 1:
        image = image.mean(axis=0, keepdims=True)
    return MethodResult(image.astype(x.dtype), made.base.astype(x.dtype), common, unique, rule=rule)


def _chosen(selection: Selection, answer: Floats, sources: Sequence[Floats]) -> NDArray[np.int32]:
    """Which source is chosen by a network's answer, pixel by pixel; all of them are (C, H, W)."""
    largest = Largest(last=True)
    for number, source in enumerate(sources):
        largest.offer(number, selection.answered(answer, source))
    return largest.index


def _as_numpy(part: torch.Tensor) -> Floats:
    """NumPy has no bfloat16: what a network of that precision gives becomes float32."""
    part = part.cpu()
    found: Floats = (part.float() if part.dtype == torch.bfloat16 else part).numpy()
    return found


def _noise(
    net: CUNet | Accelerated, task: Task, sigma: float | None, copies: int
) -> tuple[float, float | None]:
    """What images are multiplied by, and the noise that a network is told, on its scale.

    Noise of a band that is repeated does not average out over its `copies`.
    """
    kept = kept_with_network(net, task)
    root = copies**0.5
    if net.configuration.noise_aware:
        strength = root * (sigma or task.sigma or 0.0)
        low, high = kept.noise_levels or (kept.sigma or 0.0, kept.sigma or strength)
        seen = min(max(strength, low), high)
        return (seen / strength if strength else 1.0), seen / 255
    if not (task.sigma and kept.sigma):
        return 1.0, None
    return kept.sigma / (root * (sigma or kept.sigma)), None


def fused_one_by_one(
    net: CUNet | Accelerated,
    task: Task,
    sources: Sequence[Floats],
    *,
    rule: str,
    tile: int | None = None,
    orientations: int = 1,
) -> MethodResult:
    """Fuse more than two sources: each goes through the network beside the mean of the others.

    Its parts stand for those of sparse codes: by the rule the source whose unique part
    is the most active is chosen, or that whose parts make most of it, or all unique parts are
    summed up; see `mcsc.fusion.rules`. The base and the colours are those of all sources at once.

    Parameters
    ----------
    net, task
        As in `restored`.
    sources : sequence of arrays, shape (C, H, W)
        In any order; gone through three times and more, one in memory at a time.
    rule : str
        One that chooses, or "sum".
    tile : int, optional
        Refused: tiles give no parts.
    orientations : {1, 2, 4, 8}
        As in `restored`.

    Notes
    -----
    M sources take M passes of the network. Two by two, one result after the other, each pass would
    add detail to what has it already: on a stack of five frames that was 15 dB worse than this.
    """
    if tile is not None:
        raise InvalidValueError(
            f"tile is for two sources of the method cunet, found {len(sources)}: "
            "tiles give no parts, and more than two sources are fused by their parts"
            if len(sources) > 2
            else f"tile is not for the rule {rule}, which takes parts: tiles give none"
        )
    selection = RULES.find(rule).selection
    strength = kept_with_network(net, task).strength
    colour = net.configuration.channels[0] != 1
    total: Any = 0.0
    for source in sources:
        total = total + (source if colour else lumas_of(source)).astype(np.float64)
    largest = Largest(last=True)
    shared: Any = 0.0
    alone: Any = 0.0
    for number, source in enumerate(sources):
        x = source if colour else lumas_of(source)
        others = ((total - x) / (len(sources) - 1)).astype(x.dtype)
        made = prepare_for_network(net, task, x, others)
        _, common, unique = _answer(net, made, orientations=orientations)
        assert common is not None
        assert unique[0] is not None
        if selection is None:
            shared, alone = shared + common / len(sources), alone + unique[0]
            continue
        part = unique[0] if selection.unique else common + unique[0]
        planes = (i.mean(axis=0, dtype=np.float64) for i in (x, others, part))
        largest.offer(number, selection.judged(*planes))
    if selection is None:
        added = (shared + alone).mean(axis=0, keepdims=True)
        image, base = on_base(sources, added, strength, brightest=task.brightest_base)
        return MethodResult(image.astype(source.dtype), base.astype(source.dtype), rule=rule)
    image, base = blend_chosen(
        sources, largest.index, selection, strength=strength, brightest=task.brightest_base
    )
    return MethodResult(image, base, index=largest.index, rule=rule)


def _answer(
    net: CUNet | Accelerated,
    made: Prepared,
    scale: float = 1.0,
    level: float | None = None,
    *,
    tile: int | None = None,
    orientations: int = 1,
) -> tuple[Floats, Floats | None, tuple[Floats | None, ...]]:
    """What the network adds to the base, and its common and unique parts, all (C, H, W).

    Samples, as bands one by one are, go through it one at a time. Nothing bounds what trained
    layers do to signals of more contrast than they were trained on: each may enlarge what the one
    before it left. A sample whose answer is out of proportion is computed again at half its
    contrast, and that is told.
    """
    weight = next(net.parameters())
    dtype = made.base.dtype
    samples: list[tuple[Floats | None, ...]] = []
    most = 0

    def answer(first: Tensor, second: Tensor, noise: float | None) -> Parts:
        if tile is None:
            return net.split(first, second, noise)
        return Parts(net.tiled(first, second, tile, noise), None, (None, None))

    with torch.inference_mode():
        for n in range(len(made.signals[0])):
            both = [np.array(s[n : n + 1]) for s in made.signals]
            limit = max(_LARGEST * sum(float(np.abs(s).max()) for s in both), _NEGLIGIBLE)
            for halvings in (*range(_HALVINGS + 1), 0):  # none helps: it is no matter of contrast
                smaller = scale / 2**halvings
                noise = None if level is None else level / 2**halvings
                first, second = (torch.from_numpy(s * smaller).to(weight) for s in both)
                split = average_of_orientations(
                    partial(answer, noise=noise), first, second, orientations
                )
                parts = (split.image, split.common, *split.unique)
                found = tuple(None if p is None else _as_numpy(p) / smaller for p in parts)
                assert found[0] is not None
                if np.abs(found[0]).max() <= limit:
                    break
            most = max(most, halvings)
            samples.append(found)
    if most:
        warn_user(
            "the network diverged on the contrast of these images, and was given "
            f"1/{2**most} of it: the method mcsc has no such limit"
        )

    def stacked(parts: tuple[Floats | None, ...]) -> Floats | None:
        planes = [p for p in parts if p is not None]
        return made.as_bands(np.concatenate(planes)).astype(dtype) if planes else None

    image, common, *unique = (stacked(parts) for parts in zip(*samples, strict=True))
    assert image is not None
    return image, common, tuple(unique)
