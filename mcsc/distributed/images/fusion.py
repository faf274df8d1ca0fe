"""`fuse_blocks`: `mcsc.tasks.fuse` for images of any size, by the model."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Unpack

import numpy as np

from ...coding.shared import shared_filters
from ...errors import InvalidTypeError, InvalidValueError
from ...fusion import JOINTLY
from ...fusion.rules import RULES, Rule
from ...model.dictionary import Dictionary
from ...solvers.result import Stop
from ...tasks.methods import check_method_fits
from ...tasks.sparse_coding import SparseCoding, checked_lam, lam_of
from ...tasks.task import Task
from ...types import Lam, Region
from ...values.forms import ImageForm
from ...values.ranges import ValueRange
from ..arrays import as_blocks, same_chunks
from ..cluster import Workers
from ..result import BlockResult
from .blended import LocalFusion
from .coding import BlockOptions, CodedBlocks, Signals
from .local import BlockGrid, halo_of_split, layers_around, made_of_blocks, reach_of
from .survey import Survey, range_of, survey

__all__ = ["BlockFusion", "fuse_blocks"]

_RULES = 64
"""Pixels around a block on which a rule's choice depends: Gaussians, cut off at four standard
deviations, of 2, 8, 1 and 1 pixels, one after the other."""


@dataclass(frozen=True, eq=False)
class BlockFusion:
    """A fused image and what it is made of, as in `mcsc.tasks.Fusion`.

    Images are Dask arrays (C, H, W) of floats in the unit of the first source, made block by block
    when they are asked for: `mcsc.distributed.write_blocks` writes them.
    """

    image: Any
    """The fused image."""
    base: Any
    """Low-pass part of the luma."""
    common: Any
    """What the sources share."""
    unique: tuple[Any, ...]
    """What each source has alone, in their order."""
    index: Any
    """Which source was chosen in each pixel, (1, H, W), int32; None if the rule chooses none."""
    rule: str
    """Name of the fusion rule."""
    lam: Lam
    """Weight of the l1 norm that was used."""
    gap: float
    """Certified relative duality gap of the whole image."""
    nonzero: float
    """Share of coefficients that are not zero."""
    converged: bool
    """Whether the gap is at most the tolerance that was asked for."""
    stopped: Stop
    """Why the solver stopped, as in `mcsc.Result`."""
    seconds: float
    """Time that the codes took, in seconds."""
    value_ranges: tuple[ValueRange, ...]
    """Values of each source that stood for 0 and 1."""
    coded: BlockResult = field(repr=False)
    """The codes, with their certificate."""


def fuse_blocks(
    sources: Sequence[Any],
    task: str | Task,
    *,
    dictionary: Dictionary | str | PathLike[str] | None = None,
    rule: str | None = None,
    lam: Any = None,
    value_range: Any = None,
    names: Sequence[str] | None = None,
    **how: Unpack[BlockOptions],
) -> BlockFusion:
    """Fuse two to eight registered images of any size, block by block.

    The result is that of `mcsc.tasks.fuse` with the method "mcsc", solved as one problem:
    `solve_blocks` codes the whole images, and everything else depends on what is near alone.

    Parameters
    ----------
    sources : sequence of arrays (H, W), (1, H, W) or (3, H, W)
        Arrays of Dask, zarr or NumPy (memory-mapped ones, too), of floats or integers, all of one
        size and one number of channels, and known everywhere.
    task, dictionary, rule, lam
        As in `mcsc.tasks.fuse`. The base of an exposure fusion depends on the whole image; tasks
        that have it, as "multi-exposure", want a rule that takes pixels, as "choose".
    value_range : (low, high), or a sequence of them, optional
        As in `mcsc.tasks.fuse`; what is found is found by the smallest and the largest value.
    names : sequence of str, optional
        What messages call the sources.
    **how
        `BlockOptions`: how they are worked on in blocks.

    Returns
    -------
    BlockFusion

    Raises
    ------
    TypeError, ValueError, MemoryError, RuntimeError
        As `mcsc.tasks.fuse` and `solve_blocks`; or the rule's base depends on the whole image.

    Warns
    -----
    ConvergenceWarning
        The codes did not reach `tol`.

    Notes
    -----
    As for `restore_blocks`, but 64 pixels more are read around each block: the choice between the
    sources depends on them.

    Examples
    --------
    >>> from distributed import Client
    >>> from mcsc.distributed import fuse_blocks
    >>> from mcsc.synthetic import make_pair
    >>> pair = make_pair("focus", 0, (96, 128))
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     found = fuse_blocks([pair.x, pair.y], "multi-focus", block=64, tol=0.05, client=client)
    ...     image = found.image.compute()
    >>> image.shape, found.index.shape, found.rule
    ((3, 96, 128), (1, 96, 128), 'choose')
    """
    started = time.perf_counter()
    coding = CodedBlocks.of(task, "fusion", dictionary, **how)
    task, model, block = coding.task, coding.model, coding.block
    filters = model.dictionary
    name, applied = _rule(model, rule, task)
    chosen = lam_of(filters, task) if lam is None else checked_lam(lam, filters)
    labels, images = _images(sources, names, block)
    count = len(images)
    each: Any = chosen
    if count != filters.n_signals:
        if applied.targets:
            raise InvalidValueError(
                f"the rule {name} takes the target filters of a dictionary, and this one is for "
                f"{filters.n_signals} sources; found {count}"
            )
        filters, each = shared_filters(filters, count, chosen)
    shape = images[0].shape[1:]
    check_method_fits(model, labels[0], shape)
    strength = model.kept.strength
    halo = halo_of_split(strength)
    grid = BlockGrid(shape, block, halo)
    with coding.opened() as cluster:
        looks = [
            survey(Workers(cluster), grid, label, image)
            for label, image in zip(labels, images, strict=True)
        ]
        # As `mcsc.tasks.fuse` has it: of sources without roles none is the first.
        forms = _forms(looks, images, value_range, task)
        order = list(range(count))
        if count != model.roles or task.brighter_first:
            # Sources may be of several units.
            bright = [
                (look.mean - form.values.low) / (form.values.high - form.values.low)
                for look, form in zip(looks, forms, strict=True)
            ]
            order.sort(key=lambda m: -bright[m])
        local = LocalFusion(
            filters, applied, name, tuple(forms[m] for m in order), forms[0].values, strength,
            task.brightest_base, tuple(order),
        )  # fmt: skip
        given = [(images[m], 1) for m in order]
        likes = {f"x{m}": (1, local.dtype) for m in range(count)}
        made = made_of_blocks(grid, local.signals, given, lambda number, around: (), likes)
        [coded] = coding.code(cluster, grid, made, filters, [Signals(tuple(likes), None, each)])
    reach = reach_of(filters)

    def words(number: int, around: Region) -> tuple[Any, ...]:
        return layers_around(coded, around, reach), around

    ends = BlockGrid(shape, block, halo + _RULES)
    out = made_of_blocks(ends, local.fused, given, words, local.made(len(images[0])))
    return BlockFusion(
        image=out["image"], base=out["base"], common=out["common"],
        unique=tuple(out[f"unique{m}"] for m in range(count)), index=out["index"], rule=name,
        lam=chosen, gap=coded.gap, converged=coded.converged, stopped=coded.stopped,
        nonzero=coded.nonzeros / (math.prod(shape) * filters.n_maps),
        seconds=time.perf_counter() - started, value_ranges=tuple(f.values for f in forms),
        coded=coded,
    )  # fmt: skip


def _rule(model: SparseCoding, rule: str | None, task: Task) -> tuple[str, Rule]:
    name = model.rule_name(rule)
    applied = RULES.find(name)
    local = task.brightest_base or (applied.selection is not None and applied.selection.pixels)
    if not local:
        pixels = [n for n, r in RULES.available().items() if r.selection and r.selection.pixels]
        raise InvalidValueError(
            f"the rule {name} of {task.name} adds to the base of an exposure fusion, which depends "
            f"on the whole image and is not made in blocks; want the rule {' or '.join(pixels)}"
        )
    return name, applied


def _images(sources: Any, names: Sequence[str] | None, chunk: int) -> tuple[list[str], list[Any]]:
    if hasattr(sources, "shape") or not isinstance(sources, Sequence):
        raise InvalidTypeError(
            f"sources must be a list or tuple of images, found {type(sources).__name__}"
        )
    if not 2 <= len(sources) <= JOINTLY:
        raise InvalidValueError(
            f"sources holds {len(sources)} images; want 2 to {JOINTLY} in blocks"
        )
    labels = [f"sources[{m}]" for m in range(len(sources))] if names is None else list(names)
    if len(labels) != len(sources):
        raise InvalidValueError(f"names holds {len(labels)} names for {len(sources)} sources")
    images = [
        as_blocks(label, source, chunk) for label, source in zip(labels, sources, strict=True)
    ]
    first = images[0].shape
    for label, image in zip(labels, images, strict=True):
        if image.shape[0] not in (1, 3):
            raise InvalidValueError(f"{label} has {image.shape[0]} channels; want 1 or 3")
        if image.shape[1:] != first[1:]:
            raise InvalidValueError(
                f"{label} is {image.shape[1]} x {image.shape[2]}, {labels[0]} is {first[1]} x "
                f"{first[2]}: want registered images of one size"
            )
        if image.shape[0] != first[0]:
            raise InvalidValueError(
                f"{label} has {image.shape[0]} channels, {labels[0]} has {first[0]}: in blocks "
                "want all sources grey, or all in colour"
            )
    same_chunks(labels, images)
    return labels, images


def _forms(
    looks: Sequence[Survey], images: Sequence[Any], given: Any, task: Task
) -> list[ImageForm]:
    """Return how the sources are given, and their ranges."""
    if given is None and task.one_unit and len({str(look.dtype) for look in looks}) == 1:
        given = range_of(looks, display=True)
    ranges = [
        range_of([look], display=True) if one is None else one
        for look, one in zip(looks, ValueRange.of_each(given, len(looks)), strict=True)
    ]
    return [
        ImageForm.of(look.name, np.zeros((len(image), 1, 1), image.dtype), values)
        for look, image, values in zip(looks, images, ranges, strict=True)
    ]
