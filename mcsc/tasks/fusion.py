"""`fuse`: one image of several, by any method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, is_array, namespace
from ..errors import InvalidTypeError, InvalidValueError
from ..fusion import JOINTLY
from ..fusion.rules import RULES
from ..model.dictionary import Dictionary
from ..solvers.driver import Callback
from ..solvers.result import Stop
from ..types import Device, Floats, Lam
from ..values.ranges import ValueRange
from .ghosts import ghosts_wanted, sources_without_ghosts
from .methods import (
    check_method_fits,
    check_options,
    check_rule,
    find_method,
    name_of_method,
    run_method,
)
from .prepared import Look, PreparedSources, in_range, look_at
from .protocol import TOL, Method
from .task import Task, get_task

__all__ = ["Fusion", "fuse"]

_ROLES = 2
"""Sources of a method that does not say how many have a role of their own."""


@dataclass(frozen=True, eq=False)
class Fusion:
    """A fused image and what it is made of (Fig. 2).

    Images have the unit, the dtype and the array library of the first source; parts of an image of
    integers are floats. A part or number that the method does not have is None.
    """

    image: Array
    """Point 4: (H, W) if all sources are, else (C, H, W) with the channels of the one with most."""
    base: Array | None
    """Low-pass part of the luma."""
    common: Array | None
    """Point 1: what the sources share."""
    unique: tuple[Array | None, ...]
    """Points 2, 3, ...: what each source has alone, in their order. Empty where sources of a stack
    were coded one by one: see the notes of `fuse`."""
    weights: Array | None
    """Share of each source in each pixel, (M, H, W), if the rule chooses between sources and they
    were coded jointly, or are two of a network."""
    index: NDArray[np.int32] | None
    """Which source was chosen in each pixel, (H, W), counted from 0 in the order they were given:
    for a focus stack, the sharpest one. A NumPy array, whatever the sources are."""
    method: str
    """Name of the method."""
    rule: str | None
    """Name of the fusion rule."""
    lam: Lam | None
    """Weight of the l1 norm that was used."""
    gap: float | None
    """Certified relative duality gap of the codes: the worst of all tiles, and of all problems."""
    nonzero: float | None
    """Share of coefficients that are not zero."""
    converged: bool
    """False if a gap stayed above what was asked for; a method without codes is always done."""
    stopped: Stop | None
    """Why the solver stopped, as `mcsc.Result` says; None where there is none."""
    seconds: float
    """Time that the method took."""
    value_ranges: tuple[ValueRange, ...]
    """Values of each source that stood for 0 and 1."""
    cut: float
    """Share of the image's values that lay beyond what integers of the first source's dtype hold,
    and were cut off there; 0 for floats, which keep all."""
    ghosts: NDArray[np.bool_] | None
    """Where sources contradict each other, (H, W), and one of them was kept; None where it was not
    looked for. A NumPy array, whatever the sources are."""


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
    orientations: int | None = None,
    ghosts: bool | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    names: Sequence[str] | None = None,
) -> Fusion:
    """Fuse two or more registered images of one scene.

    By the model, the detail of the sources' lumas is coded jointly (Eq. 5), and a rule makes an
    image of the parts: see `mcsc.fusion.rules`.

    Parameters
    ----------
    sources : sequence of arrays of floats or integers, shape (H, W), (1, H, W) or (3, H, W)
        Two or more of one height and width, in any unit. A masked array of NumPy is unknown where
        it is masked. A sequence that is neither a list nor a tuple may make an image, or read its
        file, whenever an item is asked for: see the notes.
    task : str or Task
        One of `mcsc.tasks.TASKS` that is a fusion: "multi-exposure", "multi-focus", "medical", or
        what was added.
    dictionary : Dictionary or path, optional
        For the method "mcsc": filters for signals of one channel. Those of two signals serve any
        number of sources (`mcsc.coding.shared.shared_filters`). Default: those that come with the
        package.
    method, weights_file, lam, tol, max_iter, device, tile, orientations, callback, progress
        As in `restore`.
    rule : str, optional
        One of `mcsc.tasks.RULES`, for methods that have this option. Default of "mcsc": what the
        dictionary's metadata say, or the task's. Of "cunet": the task's, by which what the network
        makes of two sources says which of them is taken where; "sum" returns it as it is.
    masks : sequence of (array or None), optional
        Weights of each source, (H, W), (1, H, W) or (C, H, W); where one is 0 the source is
        unknown, may hold anything, and is filled from the others, before any method sees it.
    value_range : (low, high), or a sequence of them, optional
        Values of all sources, or of each, that stand for 0 and 1. The result is in the unit of the
        first. Default: found by `mcsc.values.ranges.find_range`, for all sources together where
        they are of one dtype and the task says that they are of one unit; in a sequence, None
        stands for the range that is found of this source alone.
    ghosts : bool, optional
        Look for places where sources contradict each other, as things that moved do, and keep one
        source there: of two the first, of more the one of middle brightness, or another where that
        one is black or white. Default: if the task says how its images differ, as "multi-exposure"
        does, and there are not more than eight.
    names : sequence of str, optional
        What messages call the sources: file names, for example.

    Returns
    -------
    Fusion
        After Ctrl-C it is what was computed so far, and ``stopped`` says so: sources that were not
        reached yet have no share in the image.

    Raises
    ------
    TypeError
        A source is not an array of floats or integers, or arrays of two libraries are mixed.
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
        A source lies far outside its range, a few extreme values stretch the range that was found,
        integers were cut off, or sources contradict each other.

    Notes
    -----
    Two sources have the roles that the task names: near and far, T1 and T2; over- and under-exposed
    in any order. Among more than two none comes first: the result does not depend on their order.

    Symbols and parts are explained on :doc:`the page of the model </explanations/model>`, ranges of
    values and holes on :doc:`another one </explanations/values>`.

    Up to eight sources are coded as **one** problem, with one base and a set of weights for each.
    If there are more, a rule that chooses between sources codes each of them alone and keeps
    `index` instead of weights and parts, which would not fit into memory for hundreds of sources.
    Then `sources` is read several times, and one source is in memory at a time.

    Where some sources show colours and others are grey, as a PET image beside an MR image, all are
    fused by their lumas, and the result gets the chroma of those that have one. It is kept as it
    is, but paler where the fused luma leaves no room for it.

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
    kind = ghosts_wanted(ghosts, task, len(sources))
    labels = _labels(names, len(sources))
    given = _weights(masks, len(sources))
    # By number: a sequence need not know its end otherwise.
    looks = [look_at(labels[m], sources[m], given[m]) for m in range(len(sources))]
    listed = given if isinstance(given, list | tuple) else ()
    namespace(*(look.array for look in looks), *(m for m in listed if is_array(m)))
    _check_sizes(looks)
    check_method_fits(chosen, labels[0], looks[0].shape[1:])
    looks = in_range(looks, value_range, one_unit=task.one_unit)
    form = replace(looks[0].form, axes=max(look.form.axes for look in looks))
    options = {
        "rule": rule, "lam": lam, "tol": tol, "max_iter": max_iter, "device": form.device(device),
        "tile": tile, "orientations": orientations, "callback": callback, "progress": progress,
    }  # fmt: skip
    check_options(chosen, called, options)
    check_rule(chosen, len(sources), rule)
    order = _order(looks, task, roles=getattr(chosen, "roles", _ROLES))
    prepared = PreparedSources(sources, given, looks, order)
    few = len(sources) <= JOINTLY
    contradictions = None
    if kind is not None:
        prepared, contradictions = sources_without_ghosts(prepared, kind, order, labels)
    found, seconds = run_method(chosen, called, (prepared.loaded() if few else prepared,), options)
    index = None if found.index is None else _known_only(found.index, prepared)
    place = np.argsort(order)
    unique = found.unique or (None,) * (len(order) if few else 0)
    shares = found.weights
    if shares is not None:
        shares = _shares(shares, prepared)
        shares = form.as_floats(shares[place])
    made = form.returned(prepared.coloured(found.image))
    return Fusion(
        image=made,
        base=form.returned_base(found.base),
        common=form.returned_part(found.common),
        unique=tuple(form.returned_part(unique[m]) for m in place) if unique else (),
        weights=shares,
        index=None if found.index is None else np.asarray(order, np.int32)[index],
        method=called,
        rule=found.rule,
        lam=found.lam,
        gap=found.gap,
        nonzero=found.nonzero,
        converged=found.converged,
        stopped=found.stopped,
        seconds=seconds,
        value_ranges=tuple(look.form.values for look in looks),
        cut=form.cut[0] if form.cut else 0.0,
        ghosts=contradictions,
    )


def _check_sizes(looks: Sequence[Look]) -> None:
    (_, tall, wide), first = looks[0].shape, looks[0].form.name
    for look in looks:
        _, h, w = look.shape
        if (h, w) != (tall, wide):
            raise InvalidValueError(
                f"{look.form.name} is {h} x {w}, {first} is {tall} x {wide}: want registered "
                "images of one size"
            )


def _order(looks: Sequence[Look], task: Task, *, roles: int) -> list[int]:
    """In which order sources go through a method.

    As many as it has roles keep theirs. Of others none is the first: the order is that of their
    brightness, and of what is in them, so that the result does not depend on how they were given.
    """
    numbers = list(range(len(looks)))
    if len(looks) != roles:
        return sorted(numbers, key=lambda m: (-looks[m].brightness, looks[m].digest))
    if task.brighter_first:
        return sorted(numbers, key=lambda m: -looks[m].brightness)
    return numbers


def _labels(names: Sequence[str] | None, count: int) -> list[str]:
    if isinstance(names, str):
        raise InvalidTypeError(
            f"names must be a sequence of names, one per source; found {names!r}"
        )
    labels = [f"sources[{m}]" for m in range(count)] if names is None else list(names)
    if len(labels) != count:
        raise InvalidValueError(f"names holds {len(labels)} names for {count} sources")
    return labels


def _weights(masks: Any, count: int) -> Sequence[Array | None]:
    if masks is None:
        return [None] * count
    if is_array(masks) or not isinstance(masks, Sequence) or isinstance(masks, str):
        raise InvalidTypeError(
            "masks must be a list or tuple with an array or None for each source, found "
            f"{type(masks).__name__}"
        )
    if len(masks) != count:
        raise InvalidValueError(f"masks holds {len(masks)} entries for {count} sources")
    return masks


def _shares(weights: Floats, sources: PreparedSources) -> Floats:
    """Shares of the sources, none of it to one that is unknown there."""
    known = [_there(sources, m, weights.shape[1:]) for m in range(len(sources))]
    there = np.stack([k.astype(weights.dtype) for k in known])
    left = weights * there
    # Where the choice fell on what was filled, all that is known has an equal share.
    left = np.where(left.sum(axis=0) > 0, left, there)
    total = left.sum(axis=0)
    return np.where(total > 0, left / np.where(total > 0, total, 1), weights)


def _known_only(index: NDArray[np.int32], sources: PreparedSources) -> NDArray[np.int32]:
    """Which source was chosen, and where that one is unknown the first one that is not."""
    found = index.copy()
    if not sources.holes:
        return found
    wrong = np.zeros(index.shape, bool)
    for m in range(len(sources)):
        wrong |= (index == m) & ~_there(sources, m, index.shape)
    for m in range(len(sources)):
        better = wrong & _there(sources, m, index.shape)
        found[better] = m
        wrong &= ~better
    return found


def _there(sources: PreparedSources, number: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a source is known, (H, W)."""
    known = sources.known(number)
    return np.ones(shape, bool) if known is None else np.asarray((known > 0).all(axis=0))
