"""What a network for a task starts from, and what is kept with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mcsc import Dictionary
from mcsc.errors import InvalidValueError, naming, warn_user
from mcsc.tasks.learning import TaskSettings
from mcsc.tasks.preparation import kept_with
from mcsc.tasks.shipped import shipped_dictionary
from mcsc.tasks.task import TASKS, Task
from mcsc.types import Base

from ..network.configuration import Configuration, Thresholds
from ..network.cunet import CUNet
from ..network.weight_file import SUFFIX
from .weights import load
from .widened import widened

STARTS = ("dictionary", "xavier")


@dataclass(frozen=True, eq=False)
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
    kernel_size: int | None = None,
    blocks: int = 4,
    base: Base | None = None,
    sigma: float | None = None,
    seed: int = 0,
    sweeps: int | None = None,
    thresholds: Thresholds | None = None,
    noise_aware: bool = False,
) -> Start:
    """Return the network that a training starts from.

    Parameters
    ----------
    task : Task
        What it is for.
    what : {"dictionary", "xavier"}, path, or Dictionary
        The dictionary that comes with the package; random filters; a dictionary (``.npz``); or a
        trained network (``.safetensors``).
    filters, blocks : int
        K and J of random filters; of a dictionary's network, `blocks` counts.
    kernel_size : int, optional
        Side s of random filters, by default 8. Smaller filters of a dictionary or a trained
        network get a frame of zeros; see `unfolded.widened`.
    base : {"none", "input", "low", "guided", "mean"}, optional
        What the network's answer is added to; see `mcsc.tasks.preparation`. Default: the task's
        `network_base`, if it has one and `what` is no trained network; else that of `what`.
    sigma : float, optional
        Denoising: standard deviation of the noise, of 255.
    seed : int
        Seed of random filters. PyTorch's global random state is neither used nor changed.
    sweeps : int, optional
        As in `CUNet`. Default: 1, or the number that the weights have. Weights with fewer sweeps
        get those that they lack; see `unfolded.widened`.
    thresholds : {"scalar", "map"}, optional
        As in `CUNet`. Default: "scalar", or what the weights have.
    noise_aware : bool
        As in `CUNet`; the thresholds begin in proportion to the noise, if `what` is for noise of
        one strength.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such start, or it does not fit the task: it was made for one of the other kind,
        or for other images than a task of this kind has; or what is kept with it is damaged.

    Warns
    -----
    UserWarning
        It was made for another task.
    """
    if isinstance(what, (str, Path)) and str(what).lower().endswith(SUFFIX):
        net = load(what).float()  # training is in float32, whatever the weights were kept in
        metadata = dict(net.metadata)
        _check_task(what, "a network", metadata, task)
        _check_network(what, net.configuration, task)
        _check_kept(what, metadata, task)
        net = _widened(
            what, net, sweeps=sweeps, thresholds=thresholds, noise_aware=noise_aware or None,
            kernel_size=kernel_size,
        )  # fmt: skip
        words = str(Path(what).name)
    elif str(what) == "xavier":
        settings = TaskSettings().complete(task)
        x = 3 if settings.all_channels else 1
        y = x if task.kind == "fusion" else 3 if settings.colour_guide else 1
        net = _random((x, y), x, task, filters, kernel_size or 8, blocks, seed, sweeps, thresholds)
        words, metadata = "random filters (Xavier)", {}
    else:
        dictionary, words = _dictionary(task, what)
        metadata = dict(dictionary.metadata)
        given = isinstance(what, Dictionary)
        name = "the given one" if given else words if str(what) in STARTS else what
        _check_task(name, "a dictionary", metadata, task)
        _check_dictionary(name, dictionary)
        _check_kept(name, metadata, task)
        lam: Any = task.lam if dictionary.lam is None else dictionary.lam
        if dictionary.target_common is None and task.kind == "fusion":
            dictionary = _without_targets(dictionary)
        net = CUNet.from_dictionary(
            dictionary, lam, blocks=blocks, task=task.kind, balanced=True, sweeps=sweeps or 1,
            thresholds=thresholds or "scalar",
        ).float()  # fmt: skip
        _check_network(name, net.configuration, task)
        net = _widened(name, net, kernel_size=kernel_size)
        net.metadata = {"sigma": metadata.get("sigma") or task.sigma}
    if noise_aware and not net.configuration.noise_aware:
        net = widened(net, noise_aware=True)
    return Start(net, _settings(task, net, metadata, base, sigma, seed), words)


def _check_task(what: object, noun: str, metadata: dict[str, Any], task: Task) -> None:
    """Refuse what was made for the other kind of task, and warn of another task of the same kind.

    To go on from what depth needs is a good way to a task of one's own that is like it.
    """
    made_for = metadata.get("task")
    if made_for is None or made_for == task.name:
        return
    other = TASKS.find(made_for) if made_for in TASKS else None
    if other is not None and other.kind != task.kind:
        raise InvalidValueError(
            f"{what} is {noun} for {made_for}, a {other.kind}; {task.name} is a {task.kind}: want "
            f"one of this kind, or {' or '.join(STARTS)}"
        )
    warn_user(f"{what} is {noun} for {made_for}, and a training for {task.name} starts from it")


def _check_kept(what: object, metadata: dict[str, Any], task: Task) -> None:
    """Refuse what is kept with a file and nobody can use, by its name; the base comes later."""
    with naming(what):
        kept_with(metadata, task, any_base=True)


def _check_dictionary(what: object, dictionary: Dictionary) -> None:
    count = len(dictionary.channels)
    if count != 2 or dictionary.common is None:
        without = " without common filters" if dictionary.common is None else ""
        raise InvalidValueError(
            f"{what} is a dictionary of {count} image{'s' * (count > 1)}{without}: a network "
            "starts from common and unique filters of two images"
        )


def _check_network(what: object, configuration: Configuration, task: Task) -> None:
    """Refuse channels that no scene of the task has; others are compared with the scenes."""
    if configuration.kind != task.kind:
        raise InvalidValueError(
            f"{what} is a network for {configuration.kind}, {task.name} is a {task.kind}"
        )
    first, second = configuration.channels
    made = configuration.out_channels
    # Sources of one channel each are the lumas of both.
    if made != first or (task.kind == "fusion" and first == 1 < second):
        wanted = second if task.kind == "restoration" else first
        raise InvalidValueError(
            f"{what} takes images of {first} and {second} channels and makes one of {made}; "
            f"{task.name} needs {first}, {wanted} and {first}"
        )


def _widened(what: object, net: CUNet, **how: Any) -> CUNet:
    with naming(what):
        return widened(net, **how)


def describe(net: CUNet, task: Task, settings: TaskSettings, **more: Any) -> None:
    """Write into the network's metadata how images are to be prepared for it."""
    net.metadata = {
        "task": task.name,
        "strength": settings.strength,
        "base": settings.base,
        "smoothing": settings.smoothing,
        "sigma": settings.sigma,
        "weights": True,
        **more,
    }


def _random(
    channels: tuple[int, int], out_channels: int, task: Task, filters: int, kernel_size: int,
    blocks: int, seed: int, sweeps: int | None, thresholds: Thresholds | None,
) -> CUNet:  # fmt: skip
    # Layers draw from the global generator, which is the caller's: it is put back.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return CUNet(
            channels, out_channels, task.kind, filters, kernel_size, blocks, sweeps=sweeps or 1,
            thresholds=thresholds or "scalar",
        )  # fmt: skip


def _settings(
    task: Task, net: CUNet, metadata: dict[str, Any], base: Base | None, sigma: float | None,
    seed: int,
) -> TaskSettings:  # fmt: skip
    usual = task.network_base
    if "weights" in metadata:  # a trained network goes on with the base it has
        usual = None
    first, second = net.configuration.channels
    base = base or usual or metadata.get("base")
    strength = metadata.get("strength")
    if metadata.get("base") == "guided" != base and task.sigma is not None:
        strength = None  # the dictionary's is of its guide alone
    wanted = TaskSettings(
        strength=strength,
        base=base,
        smoothing=metadata.get("smoothing"),
        sigma=sigma,
        all_channels=first > 1,
        colour_guide=second > 1,
        seed=seed,
    )
    return wanted.complete(task)


def _dictionary(task: Task, what: str | Path | Dictionary) -> tuple[Dictionary, str]:
    if isinstance(what, Dictionary):
        return what, "a dictionary"
    if str(what) == "dictionary":
        return shipped_dictionary(task.name), f"the dictionary {task.name} of the package"
    if Path(what).suffix.lower() == ".npz":
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
