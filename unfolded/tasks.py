"""The six tasks for a network: what it starts from, what it sees, and its use on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcsc import Dictionary
from mcsc.errors import InvalidValueError
from mcsc.tasks.learning import TaskSettings
from mcsc.tasks.preparation import Prepared, coloured, prepare_fusion, prepare_restoration
from mcsc.tasks.restoration import back_project
from mcsc.tasks.scenes import Reader
from mcsc.tasks.shipped import load_pretrained
from mcsc.tasks.task import Task
from mcsc.types import Floats

from .network.cunet import CUNet
from .starts.weights import load
from .training.data import Patches, TaskTriples

STARTS = ("dictionary", "xavier")
FITTED_PATCHES = 48
"""Patches that target filters are fitted to at the start; their codes are all in memory."""


@dataclass(frozen=True)
class Start:
    """An untrained network, and how images are prepared for it."""

    net: CUNet
    settings: TaskSettings
    words: str
    """What it is, for people."""


def start(
    task: Task,
    what: str | Path | Dictionary = "dictionary",
    *,
    filters: int = 64,
    kernel_size: int = 8,
    blocks: int = 4,
    base: str | None = None,
    sigma: float | None = None,
    seed: int = 0,
) -> Start:
    """Return the network that a training starts from.

    Parameters
    ----------
    task : Task
        What it is for.
    what : {"dictionary", "xavier"}, path, or Dictionary
        The dictionary that comes with the package; random filters; a dictionary (``.npz``); or a
        trained network (``.safetensors``).
    filters, kernel_size, blocks : int
        K, s and J of random filters; of a dictionary's network, `blocks` counts.
    base : {"none", "input", "low", "mean"}, optional
        What the network's answer is added to; see `mcsc.tasks.preparation`. Default: as the
        dictionary was learned; the mean of the sources in multi-focus fusion.
    sigma : float, optional
        Denoising: standard deviation of the noise, of 255.
    seed : int
        Of random filters.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such start, or it does not fit the task.
    """
    if isinstance(what, (str, Path)) and str(what).endswith(".safetensors"):
        net = load(what)
        if net.configuration.task != task.kind:
            raise InvalidValueError(
                f"{what} is a network for {net.configuration.task}, {task.name} is a {task.kind}"
            )
        words = str(Path(what).name)
        metadata = dict(net.metadata)
    elif str(what) == "xavier":
        settings = TaskSettings().complete(task)
        x = 3 if settings.joint else 1
        y = x if task.kind == "fusion" else 3 if settings.colour_guide else 1
        torch.manual_seed(seed)
        net = CUNet((x, y), x, task.kind, filters, kernel_size, blocks)
        words, metadata = "random filters (Xavier)", {}
    else:
        dictionary, words = _dictionary(task, what)
        metadata = dict(dictionary.metadata)
        lam = float(metadata.get("lam", task.lam))
        if dictionary.target_common is None and task.kind == "fusion":
            dictionary = _without_targets(dictionary)
        net = CUNet.from_dictionary(
            dictionary, lam, blocks=blocks, task=task.kind, balanced=True
        ).float()
    return Start(net, _settings(task, net, metadata, base, sigma, seed), words)


def _settings(
    task: Task, net: CUNet, metadata: dict[str, Any], base: str | None, sigma: float | None,
    seed: int,
) -> TaskSettings:  # fmt: skip
    usual = "mean" if task.name == "multi-focus" else None
    if "weights" in metadata:  # a trained network goes on with the base it has
        usual = None
    first, second = net.configuration.channels
    wanted = TaskSettings(
        strength=metadata.get("strength"),
        base=base or usual or metadata.get("base"),
        sigma=sigma,
        joint=first > 1,
        colour_guide=second > 1,
        seed=seed,
    )
    return wanted.complete(task)


def _dictionary(task: Task, what: str | Path | Dictionary) -> tuple[Dictionary, str]:
    if isinstance(what, Dictionary):
        return what, "a dictionary"
    if str(what) == "dictionary":
        return load_pretrained(task.name), f"the dictionary {task.name} of the package"
    if Path(what).suffix == ".npz":
        return Dictionary.load(what), f"the dictionary {Path(what).name}"
    raise InvalidValueError(
        f"a training starts from {', '.join(STARTS)}, a file .npz or .safetensors; found {what!r}"
    )


def _without_targets(dictionary: Dictionary) -> Dictionary:
    """A fusion's target filters before any are fitted: each source's model of itself, halved."""
    assert dictionary.common is not None
    assert dictionary.unique is not None
    dc, hc = dictionary.common
    du, hv = dictionary.unique
    return replace(dictionary, target_common=(dc + hc) / 2, target_unique=(du / 2, hv / 2))  # type: ignore[operator]


def fit_targets(net: CUNet, scenes: TaskTriples, seed: int = 0, side: int = 64) -> int:
    """Fit the target filters to the network's own codes on some patches."""
    from .starts.refit import refit

    patches = Patches(scenes, side, seed, net.configuration)
    drawn = [patches[i] for i in range(FITTED_PATCHES)]
    x, y, z = (torch.stack(images) for images in zip(*drawn, strict=True))
    # Training goes on from here: a rough fit will do.
    return refit(net, [(x, y, z)], tol=1e-3, max_iter=30)


def triples(task: Task, readers: Sequence[Reader], settings: TaskSettings) -> TaskTriples:
    """Return scenes as the network sees them."""
    return TaskTriples(task, readers, settings)


def describe(net: CUNet, task: Task, settings: TaskSettings, **more: Any) -> None:
    """Write into the network's metadata how images are to be prepared for it."""
    net.metadata = {
        "task": task.name,
        "strength": settings.strength,
        "base": settings.base,
        "sigma": settings.sigma,
        "weights": True,
        **more,
    }


def prepare(net: CUNet, task: Task, x: Floats, y: Floats) -> Prepared:
    """Make the network's signals of two images (C, H, W), as its metadata say.

    Weights without metadata, as the authors' are, take the images themselves.
    """
    base = str(net.metadata.get("base", "none"))
    strength = float(net.metadata.get("strength") or task.strength)
    make = prepare_fusion if task.kind == "fusion" else prepare_restoration
    return make(x, y, net.configuration.channels, strength=strength, base=base)


def apply(
    net: CUNet, task: Task, x: Floats, y: Floats, *, sigma: float | None = None,
    tile: int | None = None,
) -> Floats:  # fmt: skip
    """Restore or fuse two images with a network.

    Parameters
    ----------
    net : CUNet
        In evaluation mode.
    task : Task
        What it is for.
    x, y : arrays of floats, shape (C, H, W)
        In [0, 1]. A network of one channel restores the bands of x one by one and fuses lumas
        (the colours are those of Mertens' exposure fusion); a grey guide, and grey sources, are
        repeated for one of three.
    sigma : float, optional
        Denoising: standard deviation of the noise, of 255. The images are scaled so that the
        network sees the noise it was trained for.
    tile : int, optional
        Work on tiles of that side, one at a time: `CUNet.tiled`.

    Returns
    -------
    array (C, H, W)

    Notes
    -----
    A network whose answer is added to a low-resolution image honours that image: the result is
    back-projected (`mcsc.tasks.restoration.back_project`).
    """
    made = prepare(net, task, x, y)
    weight = net.target_common.weight
    scale = 1.0
    trained_for = net.metadata.get("sigma")
    if task.sigma is not None and sigma and trained_for:
        scale = float(trained_for) / sigma
    found = []
    with torch.inference_mode():
        for n in range(len(made.signals[0])):
            first, second = (
                (torch.from_numpy(np.array(s[n : n + 1])) * scale).to(weight) for s in made.signals
            )
            image = net(first, second) if tile is None else net.tiled(first, second, tile)
            found.append(image.cpu().numpy()[0] / scale)
    detail = np.concatenate(found).astype(x.dtype)
    image = made.base + detail
    if task.kind == "fusion":
        return coloured(image, x, y).astype(x.dtype) if len(image) == 1 else image
    if task.factor is not None and net.metadata.get("base") == "input":
        image = back_project(image, x, task.factor)
    return image.astype(x.dtype)
