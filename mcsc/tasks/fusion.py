"""`fuse`: one image of several, by any method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace, to_numpy
from ..errors import InvalidTypeError, InvalidValueError
from ..model.dictionary import Dictionary
from ..solvers.driver import Callback
from ..solvers.result import Stop
from ..types import Device, Floats, Lam
from ..values.forms import ImageForm, plain_array
from ..values.holes import fill_from_others
from ..values.ranges import ValueRange, find_range
from .methods import check_options, find_method, name_of_method, run_method
from .preparation import alike
from .protocol import TOL, Method
from .rules import RULES
from .task import Task, get_task

__all__ = ["Fusion", "fuse"]


@dataclass(frozen=True, eq=False)
class Fusion:
    """A fused image and what it is made of (Fig. 2).

    Images are of the unit, the dtype and the array library of the first source; parts of integers
    are floats.
    Where a method has no such part or number, it is None.
    """

    image: Array
    """Point 4: (H, W) if all sources are, else (C, H, W) with the channels of the one with most."""
    base: Array | None
    """Low-pass part of the luma."""
    common: Array | None
    """Point 1: what the sources share; of more than two, what the last one shares with the fusion
    of those before it."""
    unique: tuple[Array | None, ...]
    """Points 2, 3, ...: what each source has alone, in their order. The first two against each
    other; a later one against the fusion of those before it."""
    weights: Array | None
    """Share of each source in each pixel, (M, H, W), if the rule chooses between sources."""
    method: str
    rule: str | None
    lam: Lam | None
    gap: float | None
    """Certified relative duality gap of the codes: the worst of all pairs and tiles."""
    nonzero: float | None
    """Share of coefficients that are not zero, over all pairs."""
    converged: bool
    """False if a gap stayed above what was asked for; a method without codes is always done."""
    stopped: Stop | None
    """Why the solver stopped, as `mcsc.Result` says; None where there is none."""
    seconds: float
    """Of the method."""
    value_ranges: tuple[ValueRange, ...]
    """Values of each source that stood for 0 and 1."""
    cut: float
    """Share of the image's values that lay beyond what integers of the first source's dtype hold,
    and were cut off there; 0 for floats, which keep all."""


def fuse(
    sources: Sequence[Array],
    task: str | Task,
    *,
    dictionary: Dictionary | str | PathLike[str] | None = None,
    method: str | Method = "mcsc",
    weights_file: str | PathLike[str] | None = None,
    rule: str | None = None,
    lam: Any = None,
    tol: float = TOL,
    max_iter: int | None = None,
    masks: Sequence[Array | None] | None = None,
    value_range: Any = None,
    device: Device = "auto",
    tile: int | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    names: Sequence[str] | None = None,
) -> Fusion:
    """Fuse two or more registered images of one scene.

    By the model, the detail of the sources' lumas is coded jointly (Eq. 5), and a rule makes an
    image of the parts: see `mcsc.tasks.rules`.

    Parameters
    ----------
    sources : sequence of arrays of floats or integers, shape (H, W), (1, H, W) or (3, H, W)
        Two or more of one height and width, in any unit. A grey one beside one of three channels
        counts as colour, so that white stays white. A masked array of NumPy is unknown where it is
        masked.
    task : str or Task
        One of `mcsc.tasks.TASKS` that is a fusion: "multi-exposure", "multi-focus", "medical", or
        what was added.
    dictionary : Dictionary or path, optional
        Of the method "mcsc": filters for two signals of one channel. Default: those that come with
        the package.
    method, weights_file, lam, tol, max_iter, device, tile, callback, progress
        As in `restore`.
    rule : str, optional
        Of the method "mcsc": one of `mcsc.tasks.RULES`. Default: what the dictionary's metadata
        say, or the task's.
    masks : sequence of (array or None), optional
        Weights of each source, (H, W), (1, H, W) or (C, H, W); where one is 0 the source is
        unknown, may hold anything, and is filled from the others, before any method sees it.
    value_range : (low, high), or a sequence of them, optional
        Values of all sources, or of each, that stand for 0 and 1. The result is in the unit of the
        first. Default: found by `mcsc.values.ranges.find_range`, for all sources together where
        they are of one dtype and the task says that they are of one unit.
    names : sequence of str, optional
        What messages call the sources: file names, for example.

    Returns
    -------
    Fusion
        Ctrl-C returns what there is, and ``stopped`` says so: sources that were not reached have no
        share in the image.

    Raises
    ------
    TypeError
        A source is no array of floats or integers, or arrays of two libraries are mixed.
    ValueError
        There are fewer than two sources, sizes or channels do not fit, a source is not finite where
        it is known; there is no such task, method or rule; or the method does not have an option
        that was set.
    RuntimeError
        ``device="cuda"`` without CuPy or a usable driver.

    Warns
    -----
    ConvergenceWarning
        The codes did not reach `tol`.
    UserWarning
        A source lies far outside its range, few values stretch that, or integers were cut off.

    Notes
    -----
    By the model and by networks, more than two sources are fused one after the other.

    Examples
    --------
    >>> from mcsc.synthetic import make_pair
    >>> from mcsc.tasks import fuse
    >>> pair = make_pair("focus", 0, (64, 64))
    >>> found = fuse([pair.x, pair.y], "multi-focus", tol=0.05)
    >>> found.image.shape, found.weights.shape, found.rule
    ((3, 64, 64), (2, 64, 64), 'choose')
    """
    task = get_task(task, "fusion")
    called = name_of_method(method)
    chosen = find_method(method, task, dictionary=dictionary, weights_file=weights_file)
    if rule is not None:
        RULES.find(rule)
    if is_array(sources) or not isinstance(sources, Sequence):
        raise InvalidTypeError(
            f"sources must be a list or tuple of images, found {type(sources).__name__}"
        )
    if len(sources) < 2:
        raise InvalidValueError(f"sources holds {len(sources)} images; want at least 2")
    labels = _labels(names, len(sources))
    given = _weights(masks, len(sources))
    plain = [plain_array(*one) for one in zip(labels, sources, given, strict=True)]
    forms = [ImageForm.of(n, s) for n, (s, _) in zip(labels, plain, strict=True)]
    namespace(*(s for s, _ in plain), *(m for _, m in plain if is_array(m)))
    known = [
        None if m is None else f.weights(m, s.shape) for f, (s, m) in zip(forms, plain, strict=True)
    ]
    arrays = [s for s, _ in plain]
    forms = _in_range(forms, arrays, known, value_range, one_unit=task.one_unit)
    form = replace(forms[0], axes=max(f.axes for f in forms))
    options = {
        "rule": rule, "lam": lam, "tol": tol, "max_iter": max_iter, "device": form.device(device),
        "tile": tile, "callback": callback, "progress": progress,
    }  # fmt: skip
    check_options(chosen, called, options)
    images = [f.taken(*one) for f, *one in zip(forms, arrays, known, strict=True)]
    for name, image in zip(labels, images, strict=True):
        if len(image) not in (1, 3):
            raise InvalidValueError(f"{name} has {len(image)} channels; want 1 or 3")
        if image.shape[1:] != images[0].shape[1:]:
            (h, w), (tall, wide) = image.shape[1:], images[0].shape[1:]
            raise InvalidValueError(
                f"{name} is {h} x {w}, {labels[0]} is {tall} x {wide}: want registered images of "
                "one size"
            )
    dtype = np.result_type(*images)
    prepared = fill_from_others(alike([image.astype(dtype) for image in images]), known)
    found, seconds = run_method(chosen, called, prepared, options)
    unique = found.unique or (None,) * len(prepared)
    made = form.returned(found.image)
    return Fusion(
        image=made,
        base=form.returned_base(found.base),
        common=form.returned_part(found.common),
        unique=tuple(form.returned_part(u) for u in unique),
        weights=None if found.weights is None else form.as_floats(_shares(found.weights, known)),
        method=called,
        rule=found.rule,
        lam=found.lam,
        gap=found.gap,
        nonzero=found.nonzero,
        converged=found.converged,
        stopped=found.stopped,
        seconds=seconds,
        value_ranges=tuple(f.values for f in forms),
        cut=form.cut[0] if form.cut else 0.0,
    )


def _labels(names: Sequence[str] | None, count: int) -> list[str]:
    if isinstance(names, str):
        raise InvalidTypeError(f"names must be a sequence of names, one a source; found {names!r}")
    labels = [f"sources[{m}]" for m in range(count)] if names is None else list(names)
    if len(labels) != count:
        raise InvalidValueError(f"names holds {len(labels)} names for {count} sources")
    return labels


def _weights(masks: Any, count: int) -> list[Array | None]:
    if masks is None:
        return [None] * count
    if is_array(masks) or not isinstance(masks, Sequence) or isinstance(masks, str):
        raise InvalidTypeError(
            "masks must be a list or tuple with an array or None for each source, found "
            f"{type(masks).__name__}"
        )
    if len(masks) != count:
        raise InvalidValueError(f"masks holds {len(masks)} entries for {count} sources")
    return list(masks)


def _in_range(
    forms: list[ImageForm],
    sources: Sequence[Array],
    known: Sequence[Floats | None],
    given: Any,
    *,
    one_unit: bool,
) -> list[ImageForm]:
    """Give every form its range of values."""
    if given is not None:
        each = not isinstance(given, ValueRange | str) and any(
            isinstance(one, ValueRange | Sequence) for one in given
        )
        if each and len(given) != len(forms):
            raise InvalidValueError(
                f"value_range holds {len(given)} ranges for {len(forms)} sources; want one, or "
                "one each"
            )
        ranges = [ValueRange.of(one) for one in (given if each else [given] * len(forms))]
    elif one_unit and len({str(f.dtype) for f in forms}) == 1:
        planes = [to_numpy(s).reshape(-1, *s.shape[-2:]) for s in sources]
        ranges = [find_range(planes, known, name="the sources")] * len(forms)
    else:
        return [f.measured(s, k) for f, s, k in zip(forms, sources, known, strict=True)]
    return [replace(form, values=values) for form, values in zip(forms, ranges, strict=True)]


def _shares(weights: Floats, known: Sequence[Floats | None]) -> Floats:
    """Shares of the sources, none of it to one that is unknown there."""
    there = np.stack(
        [
            np.ones(weights.shape[1:]) if k is None else (k > 0).all(axis=0).astype(float)
            for k in known
        ]
    )
    if there.all():
        return weights
    # Where a rule chose what was filled in, it is due to those who know it.
    shares = np.where((weights * there).sum(axis=0) > 0, weights * there, there)
    total = shares.sum(axis=0)
    return np.where(total > 0, shares / np.where(total > 0, total, 1), weights)
