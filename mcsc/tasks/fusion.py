"""`fuse`: one image of several, by any method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace
from ..errors import InvalidTypeError, InvalidValueError
from ..model.dictionary import Dictionary
from ..types import Device, Lam
from .methods import check_options, find_method, name_of_method, run_method
from .preparation import alike
from .protocol import TOL, Method
from .rules import RULES
from .task import Task, get_task
from .values import ImageForm, ValueRange

__all__ = ["Fusion", "fuse"]


@dataclass(frozen=True, eq=False)
class Fusion:
    """A fused image and what it is made of (Fig. 2).

    Images are of the sources' axes and unit, and of the dtype and array library of the first one.
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
    seconds: float
    """Of the method."""


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
    value_range: ValueRange | tuple[float, float] | None = None,
    device: Device = "auto",
    tile: int | None = None,
    progress: bool = False,
    names: Sequence[str] | None = None,
) -> Fusion:
    """Fuse two or more registered images of one scene.

    By the model, the detail of the sources' lumas is coded jointly (Eq. 5), and a rule makes an
    image of the parts: see `mcsc.tasks.rules`.

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W), (1, H, W) or (3, H, W)
        Two or more of one height and width. A grey one beside one of three channels counts as
        colour, so that white stays white.
    task : str or Task
        One of `mcsc.tasks.TASKS` that is a fusion: "multi-exposure", "multi-focus", "medical", or
        what was added.
    dictionary : Dictionary or path, optional
        Of the method "mcsc": filters for two signals of one channel. Default: those that come with
        the package.
    method, weights_file, lam, tol, device, tile, progress
        As in `restore`.
    rule : str, optional
        Of the method "mcsc": one of `mcsc.tasks.RULES`. Default: what the dictionary's metadata
        say, or the task's.
    value_range : (low, high), optional
        Values of all sources that stand for 0 and 1. The result is in their unit.
    names : sequence of str, optional
        What messages call the sources: file names, for example.

    Returns
    -------
    Fusion

    Raises
    ------
    TypeError
        A source is no array of floats, or arrays of two libraries are mixed.
    ValueError
        There are fewer than two sources, sizes or channels do not fit, a source is not finite;
        there is no such task, method or rule; or the method does not have an option that was set.
    RuntimeError
        ``device="cuda"`` without CuPy or a usable driver.

    Warns
    -----
    ConvergenceWarning
        The codes did not reach `tol`.
    UserWarning
        A source lies far outside its range.

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
    labels = [f"sources[{m}]" for m in range(len(sources))] if names is None else list(names)
    if len(labels) != len(sources):
        raise InvalidValueError(f"names holds {len(labels)} names for {len(sources)} sources")
    values = ValueRange.of(value_range)
    forms = [ImageForm.of(n, s, values) for n, s in zip(labels, sources, strict=True)]
    namespace(*sources)
    form = replace(forms[0], axes=max(f.axes for f in forms))
    options = {
        "rule": rule, "lam": lam, "tol": tol, "device": form.device(device), "tile": tile,
        "progress": progress,
    }  # fmt: skip
    check_options(chosen, called, options)
    images = [form.taken(source) for form, source in zip(forms, sources, strict=True)]
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
    prepared = alike([image.astype(dtype) for image in images])
    found, seconds = run_method(chosen, called, prepared, options)
    unique = found.unique or (None,) * len(prepared)
    return Fusion(
        image=form.returned(found.image),
        base=None if found.base is None else form.returned(found.base),
        common=form.returned_part(found.common),
        unique=tuple(form.returned_part(u) for u in unique),
        weights=None if found.weights is None else form.as_given(found.weights),
        method=called,
        rule=found.rule,
        lam=found.lam,
        gap=found.gap,
        nonzero=found.nonzero,
        converged=found.converged,
        seconds=seconds,
    )
