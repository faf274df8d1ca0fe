"""CU-Net as a method of mcsc: ``method="cunet"``, ``--method cunet --weights FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
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
from mcsc.tasks.preparation import Prepared, mixture_for, prepare_fusion, prepare_restoration
from mcsc.tasks.protocol import MethodResult
from mcsc.tasks.task import Task
from mcsc.types import Device, Floats

from .network.accelerated import Accelerated, accelerate
from .network.configuration import Configuration
from .network.cunet import CUNet
from .network.devices import torch_device
from .network.orientations import average_of_orientations
from .network.tiling import radius, work_of_tiles
from .starts.opening import open_weights

_MUCH_WORK = 16.0
"""Times that the pixels of an image are computed in tiles, from which on a warning is due."""

_LARGEST = 3.0
"""Times that an answer may be larger than its signals together; beyond that, layers diverged.

On 96 ordinary scenes, of depth, bands, flash and exposures, it was 1.5 times as large at most."""

_NEGLIGIBLE = 0.02
"""An answer up to this is none that diverged. Beside the tiny signals of a flat image anything is
large, such as what a negative threshold adds to each coefficient: a grey level of 255 and less."""

_HALVINGS = 3
"""How often signals are halved for a network that diverges on them."""

_OWN = "sum"
"""The rule by which a network's answer is the image as it is: the sum of its parts, Eq. 4."""


def make_method(task: Task, file: str | Path | None) -> CUNetMethod:
    """Return the network as a method for a task; entry point of the group ``mcsc.methods``.

    Parameters
    ----------
    task : Task
        Task that the method is for.
    file : path or None
        Weights: ``.safetensors`` as `CUNet.save` wrote them, or the authors' ``.pth``. None: the
        weights that come with the package.

    Raises
    ------
    ValueError
        The network is of the other kind (restoration, fusion) than the task, or for another task.
    """
    net = open_weights(task.name if file is None else file)
    if net.configuration.kind != task.kind:
        raise InvalidValueError(
            f"{file}: a network for {net.configuration.kind}, {task.name} is a {task.kind}"
        )
    if "base" not in net.metadata and Path(str(file)).suffix == ".safetensors":
        warn_user(
            f"{file} does not say what it was trained for: it is taken as the authors' networks, "
            "which see the images themselves"
        )
    trained_for = net.metadata.get("task", task.name)
    if trained_for != task.name:
        raise InvalidValueError(f"{file}: a network for {trained_for}, not for {task.name}")
    return CUNetMethod(net.eval(), task)


class CUNetMethod:
    """A network with a task's preparation, as a `mcsc.tasks.Method`.

    A network of one channel restores the bands of x one by one and fuses lumas (for the colours see
    `mcsc.fusion.bases`); a grey guide, and grey sources, are repeated for one of three. Of more
    than two sources each goes through it beside the mean of the others: `fused_one_by_one`. With
    ``device="cuda"`` the network runs as `unfolded.accelerate` makes it, in float32.

    Of two sources its answer says which one is taken where, by the rule of the task or another one
    that chooses, or it is the image as it is (the rule "sum"): `fused`.

    Parameters
    ----------
    net : CUNet
        In evaluation mode.
    task : Task
        What it is for.
    """

    name = "cunet"

    def __init__(self, net: CUNet, task: Task) -> None:
        self.net, self.task = net, task
        self._accelerated: Accelerated | None = None
        own = ("rule",) if task.kind == "fusion" else ("known_shape", "sigma")
        self.options = frozenset({"device", "tile", "orientations", *own})

    def __call__(
        self,
        *images: Any,
        known_shape: tuple[int, int] | None = None,
        sigma: float | None = None,
        rule: str | None = None,
        device: Device = "auto",
        tile: int | None = None,
        orientations: int | None = None,
    ) -> MethodResult:
        """Restore x with the guide y, or fuse sources; see `mcsc.tasks.Method`.

        Raises
        ------
        ValueError
            Channels do not fit, or a network has no such rule.
        RuntimeError
            ``device="cuda"`` and PyTorch finds none.
        """
        net = self._on(device)
        how: dict[str, Any] = {"tile": tile, "orientations": orientations or 1}
        if tile is not None:
            first = images[0] if isinstance(images[0], np.ndarray) else images[0][0]
            _warn_of_work(net.configuration, first.shape[-2:], tile)
        if self.task.kind == "restoration":
            return restored(net, self.task, *images, known_shape=known_shape, sigma=sigma, **how)
        (sources,) = images
        self.check_count(len(sources), rule)
        how["rule"] = self.rule_name(rule)
        selection = RULES.find(how["rule"]).selection
        if len(sources) == 2 and (selection is None or selection.by_answer is not None):
            return fused(net, self.task, *sources, **how)
        return fused_one_by_one(net, self.task, sources, **how)

    def rule_name(self, rule: str | None) -> str:
        """Return the rule that is asked for, or that of the task, if it chooses."""
        if rule is not None:
            return rule
        return self.task.rule if RULES.find(self.task.rule).selection else _OWN

    def check_count(self, count: int | None, rule: str | None = None) -> None:
        """Refuse a rule that a network does not have; see `mcsc.tasks.Method`.

        Raises
        ------
        ValueError
            The rule neither chooses between sources nor adds up their parts.
        """
        if rule is not None and rule != _OWN and RULES.find(rule).selection is None:
            have = [n for n, r in RULES.available().items() if n == _OWN or r.selection]
            raise InvalidValueError(
                f"rule must be one of {', '.join(have)} of the method {self.name}; found {rule!r}"
            )

    def chooses(self, rule: str | None = None, count: int = 2) -> bool:
        """Whether its result says which source was chosen, with this rule."""
        return RULES.find(self.rule_name(rule)).selection is not None

    @property
    def channels(self) -> tuple[int, int]:
        """Numbers of channels of the images that the network sees."""
        return self.net.configuration.channels

    @property
    def base(self) -> str:
        """What its answer is added to."""
        return str(self.net.metadata.get("base", "none"))

    @property
    def only_factor(self) -> int | None:
        """The factor that the network was trained for, of super-resolution."""
        return self.task.factor

    def check_device(self, device: Device) -> None:
        """Refuse "cuda" where PyTorch finds none."""
        if device != "auto":
            torch_device(device)

    def _on(self, device: Device) -> CUNet | Accelerated:
        """The network where it is to run: on a GPU its accelerated form, made at the first call."""
        if device == "cuda":
            torch_device(device)  # refuses before the network is copied
            if self._accelerated is None:
                self._accelerated = accelerate(self.net, device)
            return self._accelerated
        return self.net if device == "auto" else self.net.to(torch_device(device))


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
    base = net.metadata.get("base", "none")
    strength = float(net.metadata.get("strength") or task.strength)
    channels = net.configuration.channels
    if task.kind == "restoration":
        return prepare_restoration(
            x, y, channels, strength=strength, base=base,
            smoothing=net.metadata.get("smoothing") or task.smoothing,
            sigma=sigma or net.metadata.get("sigma") or task.sigma,
            mixture=mixture_for(task, channels, base, x, y, known_shape=known_shape),
            known_shape=known_shape,
        )  # fmt: skip
    return prepare_fusion(
        x, y, channels, strength=strength, base=base, brightest=task.brightest_base
    )


def _warn_of_work(configuration: Configuration, shape: tuple[int, int], tile: int) -> None:
    """Say so if small tiles make much work."""
    times = work_of_tiles(configuration, shape, tile)
    if times > _MUCH_WORK:
        warn_user(
            f"tiles of {tile} pixels take {times:.0f} times the work of the whole image, as each "
            f"brings {radius(configuration)} pixels along on every side: larger ones take less"
        )


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
    if known_shape is not None and net.metadata.get("base") in ("input", "injected"):
        image = back_project(image, x, known_shape)
    return MethodResult(image.astype(x.dtype), (image - detail).astype(x.dtype), common, unique[:1])


def fused(
    net: CUNet | Accelerated,
    task: Task,
    x: Floats,
    y: Floats,
    *,
    rule: str = _OWN,
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
        strength = float(net.metadata.get("strength") or task.strength)
        seen = (x, y) if net.configuration.channels[0] != 1 else (lumas_of(x), lumas_of(y))
        if net.metadata.get("base") == "low":
            index = _chosen(
                selection, detail, tuple(made.as_bands(signal) for signal in made.signals)
            )
        elif selection.pixels:
            index = _chosen(selection, image, seen)
        else:
            found, *highs = (lowpass_split(i, strength).high for i in (image, *seen))
            index = _chosen(selection, found, highs)
        image, base = blend_chosen(
            (x, y), index, selection, strength=strength, brightest=task.brightest_base
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
    trained_for = net.metadata.get("sigma")
    root = copies**0.5
    if net.configuration.noise_aware:
        strength = root * (sigma or task.sigma or 0.0)
        low, high = net.metadata.get("noise_levels") or (trained_for, trained_for)
        seen = min(max(strength, float(low or 0)), float(high or strength))
        return (seen / strength if strength else 1.0), seen / 255
    if not (task.sigma and trained_for):
        return 1.0, None
    return float(trained_for) / (root * (sigma or float(trained_for))), None


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
            f"tile is for two sources of the method {CUNetMethod.name}, found {len(sources)}: "
            "tiles give no parts, and more than two sources are fused by their parts"
            if len(sources) > 2
            else f"tile is not for the rule {rule}, which takes parts: tiles give none"
        )
    selection = RULES.find(rule).selection
    strength = float(net.metadata.get("strength") or task.strength)
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
