"""Dictionaries for a task: from scenes to signals and targets, and `mcsc.learn` on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import check_number, what_is
from ..errors import InvalidTypeError, InvalidValueError
from ..images.colour import luma_full, luma_studio
from ..images.split import fill_holes, lowpass_split
from ..learning import Learned, LearningProgress, LearnOptions, check_learning, learn
from ..types import Base, Floats
from ..values.holes import fill_from_others
from ..values.ranges import Contrast
from .preparation import (
    alike,
    mixture_for,
    prepare_fusion,
    prepare_restoration,
    smoothing_for,
)
from .scenes import Reader, check_scene, flipped, is_part, name_of
from .task import Task, get_task

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["TaskScenes", "TaskSettings", "check_learn_task", "learn_task"]


@dataclass(frozen=True)
class TaskSettings:
    """What a dictionary is learned with, and what its metadata keep; None: the task's own."""

    strength: float | None = None
    """Strength of the low-pass split, in squared pixels; None: the task's."""
    base: Base | None = None
    """What the coded part is added to, as in `mcsc.tasks.preparation`."""
    smoothing: tuple[float, float] | None = None
    """Radius and edge of the base "guided", as in `Task`."""
    lam: float | Sequence[float] | None = None
    """Weight of the l1 norm, as in `mcsc.learn`."""
    guide_weight: float | None = None
    """Weight of the second signal in the data term."""
    sigma: float | None = None
    """Denoising: standard deviation of the noise, of 255."""
    all_channels: bool | None = None
    """Code all channels of x together; otherwise one by one."""
    colour_guide: bool | None = None
    """Keep three channels of the guide; otherwise its luma."""
    flips: bool = True
    """Learn from every scene upside down, mirrored, and both, too."""
    seed: int = 0
    """Seed of the noise."""

    def complete(self, task: Task) -> TaskSettings:
        """Fill in what the task says.

        Raises
        ------
        ValueError, TypeError
            Something is not of its kind, or no base of such a task (`Task.check_base`).
        """
        found = {
            name: getattr(task, name) if getattr(self, name) is None else getattr(self, name)
            for name in (
                "strength", "base", "smoothing", "lam", "guide_weight", "sigma", "all_channels",
                "colour_guide",
            )
        }  # fmt: skip
        complete = replace(self, **found)
        task.check_base("base", complete.base, bool(complete.colour_guide))
        for name in ("strength", "guide_weight"):
            check_number(name, found[name])
        task.check_sigma(complete.sigma)
        if complete.base == "guided":
            smoothing_for(complete.smoothing, complete.sigma)
        return complete


class TaskScenes(Sequence[tuple[Floats, ...]]):
    """Signals of scenes, made when they are asked for; `targets` goes with them.

    Parameters
    ----------
    task : Task
        Degradation.
    readers : sequence of callables
        Each returns the images of both roles.
    settings : TaskSettings
        Complete.
    """

    def __init__(self, task: Task, readers: Sequence[Reader], settings: TaskSettings) -> None:
        self._task, self._readers, self._settings = task, readers, settings
        self._last: tuple[int, _Made] | None = None
        self._first: tuple[str, tuple[int, ...]] | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def __getitem__(self, index: Any) -> Any:
        return self.scene(index).signals

    @property
    def masks(self) -> Sequence[Any]:
        """Weights of the signals of every scene; None where all of it is known."""
        return _Masks(self)

    @property
    def targets(self) -> Sequence[Floats] | None:
        """What is to be added to the base, (N, C_z, H, W) a scene; None if a scene has no truth.

        Fusions have none, unless readers give three images. With the base "low" the target of a
        fusion is its own detail: its low-pass part is not that of the sources.
        """
        known = self._task.kind == "restoration" or self.scene(0).target is not None
        return _Targets(self) if known else None

    def scene(self, index: int) -> _Made:
        """Return signals, their weights, and target of a scene."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        if self._last is None or self._last[0] != index:
            images = check_scene(self._readers[index](), self.name(index), self._task.kind)
            self._check(images, index)
            self._last = (index, self.make(images, index))
        return self._last[1]

    def _check(self, images: tuple[Floats, ...], index: int) -> None:
        """Refuse, by its name, a scene that cannot be learned from together with the first."""
        name = self.name(index)
        if any(np.isinf(image).any() for image in images):
            raise InvalidValueError(f"{name} holds Inf; unknown pixels are NaN")
        channels = tuple(len(image) for image in images[:2])
        if self._first is None:
            self._first = name, channels
        first, wanted = self._first
        s = self._settings
        # What is coded channel by channel, or as a luma, may differ.
        together = (
            s.all_channels,
            s.all_channels if self._task.kind == "fusion" else s.colour_guide,
        )
        if any(t and a != b for t, a, b in zip(together, channels, wanted, strict=True)):
            raise InvalidValueError(
                f"{name} has images of {channels[0]} and {channels[1]} channels, {first} of "
                f"{wanted[0]} and {wanted[1]}: all scenes must have as many"
            )

    def name(self, index: int) -> str:
        """Return what to call a scene in a message."""
        return name_of(self._readers[index], index)

    def make(self, images: tuple[Floats, ...], index: int) -> _Made:
        """Return what is learned from a scene's images; the noise is that of scene `index`.

        Whole images are stretched as `restore` does it, parts of larger ones are not. NaN is
        unknown: it weighs nothing in the signals. What a target is to be there is the smooth
        continuation of what is known, of sources of a fusion what the other one knows.
        """
        task, s = self._task, self._settings
        assert s.strength is not None
        assert s.base is not None
        first, second, *truth = images
        if task.kind == "fusion":
            known = [_known(image) for image in (first, second)]
            if any(k is not None for k in known):
                first, second = fill_from_others(alike([first, second]), known)
            channels = (len(first), len(second)) if s.all_channels else (1, 1)
            made = prepare_fusion(
                first,
                second,
                channels,
                strength=s.strength,
                base=s.base,
                brightest=task.brightest_base,
            )
            if not truth:
                return _Made(made.signals, None, None)
            # As the lumas of the sources: grey beside colour is in full range.
            mixed = len(images[0]) != len(images[1])
            luma = luma_full if mixed else _grey
            target = _filled(truth[0] if s.all_channels else luma(truth[0]))
            if s.base == "low":
                return _Made(made.signals, None, lowpass_split(target, s.strength).high[None])
            return _Made(made.signals, None, (target - made.base)[None])
        first, second = task.cropped(first, second)
        x, contrast = self._degraded(first, index)
        if contrast is not None:
            x, first = contrast.stretched(x), contrast.stretched(first)
        if self._is_stretched(index):
            own = Contrast.of_image(second, np.isfinite(second), jointly=True)
            second = second if own is None else own.stretched(second)
        channels = (len(x) if s.all_channels else 1, len(second) if s.colour_guide else 1)
        masks = _known(x), _known(second)
        small = task.known_shape(x.shape[1:])
        mixture = mixture_for(task, channels, s.base, x, second, *masks, small)
        made = prepare_restoration(
            x, second, channels, strength=s.strength, base=s.base, mask=masks[0],
            guide_mask=masks[1], smoothing=s.smoothing, sigma=s.sigma, mixture=mixture,
            known_shape=small,
        )  # fmt: skip
        target = _filled(first) - made.base
        return _Made(made.signals, made.masks, target[None] if s.all_channels else target[:, None])

    def span(self, images: tuple[Floats, ...], index: int) -> float:
        """Return what an image of a scene spans of its range before it is stretched to all of it.

        1 if it is not stretched; of several bands the least. Errors of what `make` returns are that
        much too large for the image as it was given.
        """
        if not self._is_stretched(index):
            return 1.0
        _, contrast = self._degraded(self._task.cropped(images[0])[0], index)
        return 1.0 if contrast is None else float(contrast.span.min())

    def _degraded(self, truth: Floats, index: int) -> tuple[Floats, Contrast | None]:
        """A restoration's input, and how `mcsc.tasks.restore` would stretch it, if at all."""
        s = self._settings
        x = self._task.degrade(truth, sigma=s.sigma, seed=s.seed + index)
        if not self._is_stretched(index):
            return x, None
        return x, Contrast.of_image(x, np.isfinite(x), jointly=bool(s.all_channels))

    def _is_stretched(self, index: int) -> bool:
        return self._task.stretched and not is_part(self._readers[index])


class _Made(NamedTuple):
    """What is learned from a scene."""

    signals: tuple[Floats, ...]
    masks: tuple[Floats | None, ...] | None
    """Weights of the signals; None where all of it is known."""
    target: Floats | None
    """None where it has no truth."""


class _Masks(Sequence[Any]):
    def __init__(self, scenes: TaskScenes) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: Any) -> Any:
        return self._scenes.scene(index).masks


def _known(image: Floats) -> Floats | None:
    known = np.isfinite(image)
    return None if known.all() else known.astype(image.dtype)


def _filled(image: Floats) -> Floats:
    known = _known(image)
    return image if known is None else fill_holes(image, known)


class _Targets(Sequence[Floats]):
    def __init__(self, scenes: TaskScenes) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: Any) -> Any:
        return self._scenes.scene(index).target


def _grey(image: Floats) -> Floats:
    return luma_studio(image) if len(image) == 3 else image


def check_learn_task(
    task: str | Task,
    settings: TaskSettings | None = None,
    *,
    n_common: int = 64,
    n_unique: int | Sequence[int] = 64,
    filter_size: int | Sequence[int] = 8,
    passes: int = 10,
    window: int = 96,
    tol: float = 1e-2,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    options: LearnOptions | None = None,
) -> None:
    """Refuse, before any scene is read, what `learn_task` refuses whatever the scenes are.

    Parameters
    ----------
    task, settings, n_common, n_unique, filter_size, passes, window, tol, seed, checkpoint, options
        As in `learn_task`.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As `mcsc.learning.check_learning`.
    """
    task = get_task(task)
    s = _completed(task, settings)
    check_learning(
        lam=s.lam, n_common=n_common, n_unique=n_unique, filter_size=filter_size, passes=passes,
        window=window, tol=tol, seed=seed, options=_options(task, s, options),
        checkpoint=checkpoint,
    )  # fmt: skip


def _completed(task: Task, settings: TaskSettings | None) -> TaskSettings:
    """Fill in what the task says; refuse what a dictionary is not learned with."""
    if not (settings is None or isinstance(settings, TaskSettings)):
        raise InvalidTypeError(f"settings must be a TaskSettings, found {what_is(settings)}")
    given = settings or TaskSettings()
    complete = given.complete(task)
    channels = bool(complete.all_channels)
    task.check_base("base", complete.base, bool(complete.colour_guide), channels)
    if task.kind == "fusion":
        if given.colour_guide:
            raise InvalidValueError(f"colour_guide is for restorations: {task.name} has no guide")
        if channels:
            raise InvalidValueError(
                f"{task.name} is a fusion, which codes the lumas of images and takes their colours "
                "from the sources: no fusion takes a dictionary that is learned with all_channels; "
                "want TaskSettings(all_channels=False), or --single-channels"
            )
    return complete


def _options(task: Task, settings: TaskSettings, options: LearnOptions | None) -> LearnOptions:
    """Options with what is the task's own."""
    options = LearnOptions() if options is None else options
    if not isinstance(options, LearnOptions):
        raise InvalidTypeError(f"options must be a LearnOptions, found {type(options).__name__}")
    if options.signal_weights is not None:
        raise InvalidValueError(
            "options.signal_weights are the task's: set TaskSettings.guide_weight instead"
        )
    assert settings.guide_weight is not None
    return replace(options, kind=task.kind, signal_weights=(1.0, settings.guide_weight))


def learn_task(
    task: str | Task,
    readers: Sequence[Reader],
    settings: TaskSettings | None = None,
    *,
    n_common: int = 64,
    n_unique: int | Sequence[int] = 64,
    filter_size: int | Sequence[int] = 8,
    passes: int = 10,
    window: int = 96,
    tol: float = 1e-2,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    callback: Callable[[LearningProgress], Any] | None = None,
    progress: bool = False,
    options: LearnOptions | None = None,
    description: str = "",
    client: Client | None = None,
) -> Learned:
    """Learn a dictionary, and for a restoration target filters, from scenes of a task.

    Parameters
    ----------
    task : str or Task
        Degradation and preprocessing.
    readers : sequence of callables
        Scenes; each returns the images of both roles.
    settings : TaskSettings, optional
        What differs from the task's own: lam and the weight of the guide, too.
    n_common, n_unique, filter_size, passes, window, tol, seed
        As in `mcsc.learn`.
    checkpoint, callback, progress, client
        As in `mcsc.learn`.
    options : LearnOptions, optional
        As in `mcsc.learn`, but for `kind` and `signal_weights`, which are the task's.
    description : str
        Description of the data; kept in the metadata.

    Returns
    -------
    Learned
        Its dictionary's metadata say how to use it. Stopped as `mcsc.learn` is.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work.

    Notes
    -----
    With `TaskSettings.flips` the windows that ridges are compared on are of images which, turned
    otherwise, are among those that filters are fitted to.
    """
    task = get_task(task)
    s = _completed(task, settings)
    options = _options(task, s, options)
    if s.flips:
        readers = flipped(readers)
    scenes = TaskScenes(task, readers, s)
    learned = learn(
        scenes,
        scenes.targets if task.kind == "restoration" else None,
        masks=scenes.masks,
        lam=s.lam,
        n_common=n_common,
        n_unique=n_unique,
        filter_size=filter_size,
        passes=passes,
        window=window,
        tol=tol,
        seed=seed,
        checkpoint=checkpoint,
        callback=callback,
        progress=progress,
        options=options,
        client=client,
    )
    metadata = {
        **learned.dictionary.metadata,
        "task": task.name,
        "strength": s.strength,
        "base": s.base,
        "smoothing": s.smoothing,
        "sigma": s.sigma,
        "data": description,
    }
    dictionary = replace(learned.dictionary, metadata=metadata)
    fit = learned.target_fit
    return replace(
        learned,
        dictionary=dictionary,
        target_fit=None if fit is None else replace(fit, dictionary=dictionary),
    )
