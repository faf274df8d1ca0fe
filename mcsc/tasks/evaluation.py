"""`evaluate`: tables of methods and scenes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..backend import is_array
from ..checks import check_callback, check_choice, check_tol, check_whole, made_number, what_is
from ..errors import InvalidTypeError, InvalidValueError, Refusal
from ..files import write_json, write_text
from ..fusion.rules import RULES
from ..images.split import fill_holes
from ..model.dictionary import Dictionary
from ..progress import ProgressBar
from ..quality.measures import Measure
from ..solvers.driver import Callback, deferred_interrupt
from ..types import Device, Floats
from ..values.holes import fill_from_others
from .fusion import Fusion, fuse
from .methods import (
    check_method,
    check_method_takes,
    check_orientations,
    check_rule,
    methods_by_name,
)
from .preparation import alike
from .protocol import TOL, Method
from .restoration import Restoration, restore
from .scenes import Reader, check_scene, find_scenes, name_of
from .task import Task, get_task

__all__ = ["Evaluation", "Row", "evaluate"]


Ending: TypeAlias = Literal["completed", "callback", "interrupted"]


@dataclass(frozen=True)
class Row:
    """Measures of one method on one scene."""

    scene: str
    """Name of the scene."""
    method: str
    """Name of the method."""
    measures: dict[str, float]
    """Values of the measures by their names."""
    seconds: float
    """Time that the method took."""


@dataclass(frozen=True)
class Evaluation:
    """Table of measures: one row for each scene and method."""

    task: str
    """Name of the task."""
    measures: tuple[str, ...]
    """Names of the measures."""
    rows: list[Row] = field(default_factory=list)
    """Measures and time of each run, in their order."""
    stopped: Ending = "completed"
    """What ended the evaluation; rows are missing if it was Ctrl-C or the callback."""

    def methods(self) -> list[str]:
        """Names in the order in which they were run."""
        return list(dict.fromkeys(r.method for r in self.rows))

    def mean(self, method: str) -> dict[str, float]:
        """Mean of every measure over the scenes where it is finite.

        The PSNR of an image without error is infinite; such scenes are left out of the mean, unless
        there are no others.
        """
        mine = [r.measures for r in self.rows if r.method == method]
        means = {}
        for name in self.measures:
            values = np.array([m[name] for m in mine])
            finite = values[np.isfinite(values)]
            means[name] = float(np.mean(finite if finite.size else values))
        return means

    def seconds(self, method: str) -> float:
        """Mean time of a scene, in seconds."""
        return float(np.mean([r.seconds for r in self.rows if r.method == method]))

    def write_csv(self, path: str | Path) -> None:
        """Write one line per scene and method, and the means."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["scene", "method", *self.measures, "seconds"])
        for row in self.rows:
            values = [row.measures[n] for n in self.measures]
            writer.writerow([row.scene, row.method, *values, row.seconds])
        for method in self.methods():
            mean = self.mean(method)
            values = [mean[n] for n in self.measures]
            writer.writerow(["mean", method, *values, self.seconds(method)])
        write_text(path, text.getvalue())

    def write_json(self, path: str | Path, **extra: Any) -> None:
        """Write all rows and means as JSON; values that are not finite become null."""
        content = {
            "task": self.task,
            "stopped": self.stopped,
            "rows": [row.__dict__ for row in self.rows],
            "mean": {method: self.mean(method) for method in self.methods()},
            **extra,
        }
        write_json(path, content)


def evaluate(
    scenes: str | PathLike[str] | Sequence[Reader],
    task: str | Task,
    methods: Sequence[str] | Mapping[str, Method] | None = None,
    *,
    dictionary: Dictionary | str | PathLike[str] | None = None,
    weights_file: str | PathLike[str] | None = None,
    sigma: float | None = None,
    tol: float = TOL,
    max_iter: int | None = None,
    device: Device = "auto",
    orientations: int | None = None,
    rule: str | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    progress: bool = False,
    each: Callable[[Row, Floats, Floats, Floats, Floats | None], None] | None = None,
    skip: Callable[[str, Exception], None] | None = None,
) -> Evaluation:
    """Run methods on scenes and measure the results.

    In a restoration, the first image of a scene is the true image, from which the input is made; in
    a fusion both images are inputs, and the measures need no true image. Methods are
    measured as they are: ghosts are not looked for.

    Parameters
    ----------
    scenes : path, or sequence of callables
        A folder of files ``scene_ROLE.png``, or what `mcsc.tasks.find_scenes` or
        `mcsc.tasks.synthetic_scenes` return: each returns the images of both roles, arrays
        (C, H, W) in [0, 1], NaN where one is unknown: such pixels weigh nothing and are not
        measured.
    task : str or Task
        The task, which has the degradation and the measures.
    methods : sequence of str, or mapping of str to Method, optional
        Names as in `restore`, or a mapping of names to methods. Default: the baselines and "mcsc".
    dictionary : Dictionary or path, optional
        Filters for the method "mcsc", as in `restore` and `fuse`.
    weights_file : path, optional
        File of weights for a method of another package, such as "cunet".
    sigma : float, optional
        Denoising: standard deviation of the noise, in grey levels of 255. Default: the task's.
    tol, max_iter, device, orientations, rule
        As in `restore` and `fuse`, for the methods that have such an option.
    seed : int
        Seed of the noise that is added; scene number n takes ``seed + n``.
    callback : callable, optional
        As in `restore`, for the methods that have such an option; to stop means to stop all.
    progress : bool
        Show progress bars on standard error: of the runs, and of methods that have one.
    each : callable, optional
        Called after every run with the row, x, y, the result and the truth (None in fusion).
    skip : callable, optional
        Called with the name of a scene that cannot be read or measured, and with the reason; then
        the other scenes follow. Without it, the error is raised.

    Returns
    -------
    Evaluation
        Ctrl-C, or the callback, returns the rows that were done.

    Raises
    ------
    TypeError
        A scene is not a callable that returns images, or a method is not a method.
    ValueError
        There is no such folder, task or method, or no scene; or no method takes the dictionary,
        the weights, or an option that was set.

    Examples
    --------
    >>> from mcsc.tasks import evaluate, get_task, synthetic_scenes
    >>> scenes = synthetic_scenes(get_task("depth-sr"), 2, (128, 128), seed=3)
    >>> table = evaluate(scenes, "depth-sr", ["bicubic", "guided-filter"])
    >>> table.mean("guided-filter")["RMSE"] < table.mean("bicubic")["RMSE"]
    True
    """
    task = get_task(task)
    for word, function in (("each", each), ("skip", skip)):
        if not (function is None or callable(function)):
            raise InvalidTypeError(f"{word} must be callable, found {what_is(function)}")
    check_callback(callback)
    check_whole("seed", seed, least=0)
    sigma = task.check_sigma(sigma)
    if isinstance(methods, Mapping):
        if dictionary is not None or weights_file is not None:
            raise InvalidValueError(
                "dictionary and weights_file are for methods given by their names"
            )
        chosen = dict(methods)
        for name, method in chosen.items():
            if not isinstance(name, str):
                raise InvalidTypeError(f"methods must be named by words, found {what_is(name)}")
            check_method(f"methods[{name!r}] must be", method, task)
    else:
        chosen = methods_by_name(methods, task, dictionary=dictionary, weights_file=weights_file)
    if not chosen:
        raise InvalidValueError("methods is empty: want one at least")
    _check_how(
        chosen, tol=tol, max_iter=max_iter, device=device, orientations=orientations, rule=rule
    )
    if isinstance(scenes, str | PathLike):
        scenes = find_scenes(scenes, task)
    _check_scenes(scenes)
    level = task.sigma if sigma is None else sigma
    found = Evaluation(task.name, tuple(m.name for m in task.measures))
    options = {
        "tol": tol, "max_iter": max_iter, "device": device,
        "orientations": orientations, "rule": rule, "callback": callback, "progress": progress,
    }  # fmt: skip
    total = len(scenes) * len(chosen)
    with (
        deferred_interrupt() as interrupt,
        ProgressBar("runs", total=total, shown=progress) as bar,
    ):
        for number, reader in enumerate(scenes):
            scene = name_of(reader, number)
            images = None
            labels = (f"the first image of {scene}", f"the second image of {scene}")
            for name, method in chosen.items():
                try:
                    if images is None:
                        images = _inputs(task, reader, scene, level, seed + number)
                        for one, other in chosen.items():
                            check_method_takes(other, one, task, images[:2], labels)
                    made, reference, mask = _run(task, method, images, level, options, labels)
                    if made.stopped in ("callback", "interrupted"):
                        # What it measures is the interruption.
                        return replace(found, stopped=made.stopped)
                    shown = np.clip(made.image, 0, 1) if task.display else made.image
                    values = {m.name: _measured(m, shown, reference, mask) for m in task.measures}
                except (Refusal, OSError) as error:
                    if skip is None:
                        raise
                    skip(scene, error)
                    break
                row = Row(scene, name, values, made.seconds)
                found.rows.append(row)
                bar.advance(f"{row.scene}, {name}")
                # What the callable cannot do, as to write, is no fault of the scene.
                if each is not None:
                    each(row, images[0], images[1], made.image, images[2])
                if interrupt.asked and len(found.rows) < total:
                    return replace(found, stopped="interrupted")
    return found


def _check_how(
    methods: Mapping[str, Method],
    *,
    tol: Any,
    max_iter: Any,
    device: Any,
    orientations: Any,
    rule: Any,
) -> None:
    """Refuse options that are no such thing, and ones that were set and that no method has."""
    check_tol(tol)
    check_choice("device", device, Device)
    if max_iter is not None:
        check_whole("max_iter", max_iter)
    check_orientations(orientations)
    if rule is not None:
        RULES.find(rule)
    for method in methods.values():
        check_rule(method, 2, rule)
    given = {
        "tol": tol != TOL, "max_iter": max_iter is not None, "device": device == "cuda",
        "orientations": orientations not in (None, 1), "rule": rule is not None,
    }  # fmt: skip
    for option, is_set in given.items():
        if is_set and not any(option in method.options for method in methods.values()):
            raise InvalidValueError(f"none of the methods {', '.join(methods)} has {option}")


def _check_scenes(scenes: Any) -> None:
    """Refuse what is no sequence of readers, and an empty one."""
    if is_array(scenes) or not isinstance(scenes, Sequence):
        raise InvalidTypeError(
            "scenes must be a folder or a sequence of callables that return the images of a scene, "
            f"found {type(scenes).__name__}"
        )
    if not len(scenes):
        raise InvalidValueError("scenes is empty: want one at least")
    for scene in scenes:
        if not callable(scene):
            raise InvalidTypeError(
                "scenes must hold callables, each of which returns the images of a scene, as "
                f"lambda: (x, y); found {type(scene).__name__}"
            )


def _run(
    task: Task,
    method: Method,
    images: tuple[Floats, Floats, Floats | None],
    sigma: float | None,
    given: Mapping[str, Any],
    names: tuple[str, str],
) -> tuple[Restoration | Fusion, Any, NDArray[np.bool_] | None]:
    """What a method makes of a scene, what that is measured against, and where."""
    x, y, truth = images
    options: Any = {o: value for o, value in given.items() if o in method.options}
    known = [None if not np.isnan(i).any() else np.isfinite(i) for i in (x, y)]
    mask = None
    if truth is not None:
        if not np.isfinite(truth).all():
            mask = np.isfinite(truth)
        return restore(
            x, y, task, method=method, mask=known[0], guide_mask=known[1], sigma=sigma,
            value_range=(0, 1), ghosts=False, names=names, **options,
        ), truth, mask  # fmt: skip
    made = fuse(
        (x, y), task, method=method, masks=known, value_range=(0, 1), ghosts=False, names=names,
        **options,
    )  # fmt: skip
    filled = fill_from_others(alike([x, y]), known)
    if any(k is not None for k in known):
        mask = np.logical_and.reduce([k.all(axis=0) for k in known if k is not None])
    return made, tuple(np.clip(i, 0, 1) if task.display else i for i in filled), mask


def _measured(measure: Measure, image: Floats, reference: Any, mask: Any) -> float:
    if mask is not None and not measure.takes_mask and not isinstance(reference, tuple):
        reference = fill_holes(reference, mask)
        image = np.where(mask, image, reference)
    how = {"mask": mask} if mask is not None and measure.takes_mask else {}
    found = measure.function(image, reference, **how)
    return made_number(f"the measure {measure.name}", "a number", found)


def _inputs(
    task: Task, reader: Reader, name: str, sigma: float | None, seed: int
) -> tuple[Floats, Floats, Floats | None]:
    """The input, the other image, and in restoration the truth."""
    first, second, *_ = check_scene(reader(), name, task.kind)
    if task.kind == "fusion":
        return first, second, None
    first, second = task.cropped(first, second)
    return task.degrade(first, sigma=sigma, seed=seed), second, first
