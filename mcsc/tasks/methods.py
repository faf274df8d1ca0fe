"""The table of methods: this package's own, what others add, and the baselines beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from os import PathLike, fspath
from typing import Any, TypeAlias

import numpy as np

from ..baselines.table import BASELINES, Baseline
from ..checks import (
    check_callback,
    check_called,
    check_choice,
    check_tol,
    check_whole,
    what_is,
)
from ..errors import InvalidTypeError, InvalidValueError, naming, warn_user
from ..model.dictionary import Dictionary
from ..model.signals import check_filters_fit
from ..solvers.result import ConvergenceWarning, Stop
from ..tables import Table
from ..types import Device, Floats, Kind
from .preparation import check_channels, one_by_one
from .protocol import (
    METHOD_OPTIONS,
    ORIENTATIONS,
    TOL,
    Method,
    MethodResult,
    check_attributes,
    check_result,
)
from .shipped import opened_dictionary
from .sparse_coding import SparseCoding, checked_lam
from .task import Task, get_task

__all__ = [
    "METHODS",
    "OWN",
    "MethodMaker",
    "baseline_names",
    "check_device",
    "check_method",
    "check_method_channels",
    "check_method_enlarges",
    "check_method_fits",
    "check_method_takes",
    "check_options",
    "check_orientations",
    "check_rule",
    "chooses",
    "find_method",
    "gives_parts",
    "method_names",
    "methods_by_name",
    "name_of_method",
    "run_method",
]

File: TypeAlias = str | PathLike[str]
MethodMaker: TypeAlias = Callable[[Task, Any], Method]
"""Makes a method for a task, of a file of weights, or of None: its own."""

OWN = "mcsc"
"""Name of this package's method."""

# What tells about the images, and how to show progress: methods that do not need it do without.
_CIRCUMSTANCES = frozenset({"known_shape", "factor", "sigma", "progress"})
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "tol": (TOL,), "device": ("auto", "cpu"), "orientations": (1,),
}  # fmt: skip
"""What asks for nothing that a method could lack."""


_WHY: dict[Stop | None, str] = {
    "interrupted": ", interrupted",
    "callback": ", stopped by the callback",
    "max_iter": ", at its most iterations",
}


def _own(task: Task, dictionary: Dictionary | File | None) -> SparseCoding:
    if dictionary is not None and not isinstance(dictionary, Dictionary):
        loaded = opened_dictionary(dictionary)
        path = fspath(dictionary)
        with naming(path):
            model = SparseCoding(task, loaded)
        made_for = model.kept.task
        if made_for is not None and made_for != task.name:
            warn_user(f"{path} was learned for {made_for} and is used for {task.name}")
        return model
    return SparseCoding(task, dictionary)


class _MethodTable(Table[MethodMaker]):
    """The table of what makes methods."""

    def check(self, name: str, entry: Any) -> None:
        """Refuse what makes no method, and a method itself."""
        super().check(name, entry)
        if not isinstance(entry, type) and hasattr(entry, "options"):
            raise InvalidTypeError(
                f"the method {name} must be {self.wanted}; found a method itself: want what "
                "returns it, as lambda task, weights: method"
            )
        check_called(f"the method {name}", entry, ("task", "weights"))


METHODS: Table[MethodMaker] = _MethodTable(
    "method", group="mcsc.methods", kind=Callable,
    wanted="a function of a mcsc.tasks.Task and a file of weights, or None, that returns a method",
    named=False,  # the name of a class that makes methods is that of the method
)  # fmt: skip
"""Methods by name, besides the baselines; see `mcsc.tasks.protocol.Method` on how to add one."""

METHODS.add(OWN, _own)


class _BaselineMethod:
    """A baseline with a task's settings, as a `Method`."""

    def __init__(self, baseline: Baseline, task: Task, name: str) -> None:
        self.baseline, self.task, self.name = baseline, task, name
        self.settings = dict(task.baselines.get(name, {}))
        told = {
            "sigma": baseline.takes_sigma and task.sigma,
            "known_shape": baseline.takes_known_shape and task.factor,
        }
        self.options = frozenset(name for name, there in told.items() if there)

    def __call__(
        self,
        *images: Any,
        sigma: float | None = None,
        known_shape: tuple[int, int] | None = None,
    ) -> Floats:
        settings: dict[str, Any] = dict(self.settings)
        if "known_shape" in self.options:
            settings["known_shape"] = known_shape
        if "sigma" in self.options:
            settings["sigma"] = self.task.sigma if sigma is None else sigma
        return self.baseline.function(*images, **settings)


def gives_parts(method: Method) -> bool:
    """Whether a method may give parts of its image, as far as that is known before it runs."""
    return not isinstance(method, _BaselineMethod)


def method_names(task: str | Task) -> list[str]:
    """Return the names of the methods for a task: baselines, "mcsc", those of other packages."""
    task = get_task(task)
    return [*baseline_names(task), *METHODS]


def baseline_names(task: Task) -> list[str]:
    """Return the names of the baselines for a task."""
    served = BASELINES.available().items()
    return [name for name, b in served if b.serves(task.kind, task.factor)]


def _is_baseline(name: str, task: Task) -> bool:
    """Whether a baseline of this name is for a task; no others are loaded to tell it."""
    return name in BASELINES and BASELINES.find(name).serves(task.kind, task.factor)


def find_method(
    name: str | Method,
    task: str | Task,
    *,
    dictionary: Dictionary | File | None = None,
    weights_file: File | None = None,
) -> Method:
    """Return a method by its name.

    Parameters
    ----------
    name : str or Method
        One of `method_names`; a method is returned as it is.
    task : str or Task
        The task that the method is for.
    dictionary : Dictionary or path, optional
        Filters for the method "mcsc". Default: those that come with the package.
    weights_file : path, optional
        File of weights for a method of another package. Default: those that come with it.

    Raises
    ------
    ValueError
        There is no such method for this task, or it takes no dictionary or no weights.
    ModuleNotFoundError
        It needs a package that is not installed.
    """
    task = get_task(task)
    if not isinstance(name, str):
        check_method("method must be a name or", name, task)
        _refuse(name_of_method(name), dictionary=dictionary, weights=weights_file)
        return name
    if _is_baseline(name, task):
        _refuse(name, dictionary=dictionary, weights=weights_file)
        return _BaselineMethod(BASELINES.find(name), task, name)
    if name not in METHODS:
        raise InvalidValueError(
            f"{task.name} has no method {name!r}: want {', '.join(method_names(task))}"
        )
    if name == OWN:
        _refuse(name, weights=weights_file)
        return METHODS.find(name)(task, dictionary)
    _refuse(name, dictionary=dictionary)
    made = METHODS.find(name)(task, weights_file)
    check_method(f"what makes the method {name} must return", made, task)
    return made


def methods_by_name(
    names: Sequence[str] | None,
    task: Task,
    *,
    dictionary: Dictionary | File | None = None,
    weights_file: File | None = None,
) -> dict[str, Method]:
    """Return several methods for a task, each with the file that it takes.

    Parameters
    ----------
    names : sequence of str, optional
        Some of `method_names`. Default: the baselines and this package's method.
    task, dictionary, weights_file
        As in `find_method`.

    Raises
    ------
    ValueError
        As in `find_method`, or none of the methods takes the dictionary or the weights.
    """
    if isinstance(names, str):
        raise InvalidTypeError(f"methods must be a sequence of names, as [{names!r}]")
    if names is not None and not isinstance(names, Iterable):
        raise InvalidTypeError(f"methods must be a sequence of names, found {type(names).__name__}")
    wanted = [*baseline_names(task), OWN] if names is None else list(names)
    for name in wanted:
        if not isinstance(name, str):
            raise InvalidTypeError(
                f"methods must hold names, found {what_is(name)}: methods themselves come in a "
                "mapping, by their names"
            )
    others = [n for n in wanted if n in METHODS and n != OWN and not _is_baseline(n, task)]
    if dictionary is not None and OWN not in wanted:
        raise InvalidValueError(f"a dictionary is for the method {OWN}, which is not asked for")
    if weights_file is not None and not others:
        raise InvalidValueError("weights are for methods of other packages; none is asked for")
    return {
        name: find_method(
            name,
            task,
            dictionary=dictionary if name == OWN else None,
            weights_file=weights_file if name in others else None,
        )
        for name in wanted
    }


def _refuse(method: str, **given: Any) -> None:
    for option, value in given.items():
        if value is not None:
            raise InvalidValueError(f"the method {method} takes no {option}")


def name_of_method(method: str | Method) -> str:
    """Return what to call a method in messages and results."""
    if isinstance(method, str):
        return method
    named = (getattr(method, word, None) for word in ("name", "__name__"))
    return next((name for name in named if isinstance(name, str)), type(method).__name__)


def check_method(said: str, method: Any, task: Task) -> None:
    """Refuse what is no `Method` for a task, with a message that begins with `said`.

    Raises
    ------
    TypeError
        It cannot be called, or not with the images of the task and its options; or it does not say
        by ``options`` which of `METHOD_OPTIONS` it has; or another attribute is none of its kind.
    ValueError
        It claims an option that is unknown.
    """
    options = getattr(method, "options", None)
    fits = callable(method) and not isinstance(method, type) and isinstance(options, Iterable)
    if not fits or isinstance(options, str) or not all(isinstance(o, str) for o in options or ()):
        raise InvalidTypeError(
            f"{said} a mcsc.tasks.Method, which can be called and has the attribute "
            f"options, names of those that it takes; found {what_is(method)}"
        )
    assert options is not None
    name = name_of_method(method)
    unknown = sorted(set(options) - set(METHOD_OPTIONS))
    if unknown:
        raise InvalidValueError(
            f"the method {name} claims options {', '.join(unknown)}; there are "
            f"{', '.join(METHOD_OPTIONS)}"
        )
    images = ("x", "y") if task.kind == "restoration" else ("sources",)
    check_called(f"the method {name}", method, images, sorted(options))
    check_attributes(f"the method {name}", method, task.kind)


def check_options(method: Method, name: str, options: dict[str, Any]) -> None:
    """Refuse options that are no such thing, or were set and that a method does not have.

    That needs no image, so it can be done before any is read.

    Raises
    ------
    ValueError
        The message says which, and what the method has; or lam does not fit its dictionary.
    RuntimeError
        The device cannot be used.
    """
    check_tol(options["tol"])
    check_choice("device", options["device"], Device)
    check_callback(options["callback"])
    if options["max_iter"] is not None:
        check_whole("max_iter", options["max_iter"])
    if options["tile"] is not None:
        check_whole("tile", options["tile"])
    check_orientations(options["orientations"])
    for option, value in options.items():
        harmless = option in _CIRCUMSTANCES or value in _DEFAULTS.get(option, ())
        if not (value is None or harmless or option in method.options):
            has = ", ".join(sorted(set(method.options) - _CIRCUMSTANCES)) or "none of its own"
            raise InvalidValueError(f"the method {name} has no option {option}; it has {has}")
    if isinstance(method, SparseCoding) and options["lam"] is not None:
        checked_lam(options["lam"], method.dictionary)
    check_device(method, options["device"])


def check_device(method: Method, device: Device) -> None:
    """Refuse a device that a method cannot use, if it says so; see `Method`."""
    check = getattr(method, "check_device", None)
    if check is not None:
        check(device)


def check_rule(method: Method, count: int | None, rule: str | None) -> None:
    """Refuse a number of sources, or a rule for them, that a method does not have; see `Method`.

    None: any number.
    """
    check = getattr(method, "check_count", None)
    if "rule" in method.options and check is not None:
        check(count, rule)


def chooses(method: Method, rule: str | None, count: int) -> bool:
    """Whether the result of a method says which source was chosen; see `Method`."""
    asked = getattr(method, "chooses", None)
    return asked is not None and bool(asked(rule, count))


def check_orientations(orientations: Any) -> None:
    """Refuse a number of orientations that is none of 1, 2, 4, 8 (or None).

    Raises
    ------
    TypeError, ValueError
        It is no whole number, or another one.
    """
    if orientations is not None and check_whole("orientations", orientations) not in ORIENTATIONS:
        want = ", ".join(map(str, ORIENTATIONS))
        raise InvalidValueError(f"orientations must be one of {want}; found {orientations}")


def check_method_fits(method: Method, label: str, shape: Sequence[int]) -> None:
    """Refuse an image of this height and width that is smaller than the filters of a method.

    Raises
    ------
    ValueError
        The message calls the image by `label`.
    """
    check_filters_fit(getattr(method, "filter_size", 1), shape, label)


def check_method_enlarges(method: Method, called: str, label: str, factor: float) -> None:
    """Refuse a factor other than the only one by which a method enlarges, if it has one.

    Raises
    ------
    ValueError
        The message calls the image by `label`.
    """
    only = getattr(method, "only_factor", None)
    if only is not None and factor != only:
        raise InvalidValueError(
            f"{called} enlarges {only:g} times, {label} is {factor:g} times smaller than its guide"
        )


def check_method_channels(
    method: Method, called: str, labels: Sequence[str], counts: Sequence[int]
) -> None:
    """Refuse an image and a guide of numbers of channels that a method for restoration lacks.

    Raises
    ------
    ValueError
        The message calls the images by `labels`.
    """
    channels = getattr(method, "channels", None)
    if channels is not None:
        check_channels(channels, counts, labels, called)
        if getattr(method, "base", None) == "injected" and not one_by_one(channels, counts[0]):
            raise InvalidValueError(
                f"{called} adds to the base 'injected', which is for bands one by one with one "
                f"channel of guide each; it codes {channels[0]} and {channels[1]} channels, and "
                f"{labels[0]} has {counts[0]}: want another dictionary or other weights"
            )


def check_method_takes(
    method: Method,
    called: str,
    task: Task,
    images: Sequence[Floats],
    labels: tuple[str, str] = ("the first image of the scene", "the second image of the scene"),
) -> None:
    """Refuse images of a scene, (C, H, W), that a method would refuse after other work.

    Raises
    ------
    ValueError
        They are smaller than its filters, or of other numbers of channels than it codes.
    """
    check_method_fits(method, labels[0], images[0].shape[1:])
    if task.kind == "restoration":
        counts = [len(image) for image in images]
        check_method_channels(method, f"the method {called}", labels, counts)


def run_method(
    method: Method, name: str, images: Sequence[Any], options: dict[str, Any]
) -> tuple[MethodResult, float]:
    """Call a method with those of the options that it has, and tell the seconds.

    Warns
    -----
    ConvergenceWarning
        It stopped before it was done.
    """
    started = time.perf_counter()
    found = method(*images, **{option: options.get(option) for option in method.options})
    seconds = time.perf_counter() - started
    if not isinstance(found, MethodResult):
        found = MethodResult(found)
    # Sources of a fusion come in one sequence.
    restored = isinstance(images[0], np.ndarray)
    kind: Kind = "restoration" if restored else "fusion"
    check_result(found, images[:1] if restored else images[0], name, kind)
    if not found.converged:
        gap = "" if found.gap is None else f": the certified gap is {found.gap:.1e}"
        why = _WHY.get(found.stopped, "")
        warn_user(
            f"{name} did not converge to tol = {options['tol']:g}{why}{gap}", ConvergenceWarning
        )
    return found, seconds
