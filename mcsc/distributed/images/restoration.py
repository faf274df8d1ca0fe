"""`restore_blocks`: `mcsc.tasks.restore` for an image of any size, by the model."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Unpack

import numpy as np

from ...errors import InvalidValueError
from ...images.enlarging import check_factor, find_factor
from ...model.dictionary import Dictionary
from ...solvers.result import Stop
from ...tasks.methods import check_method_fits
from ...tasks.preparation import coded_jointly, mixes_guide
from ...tasks.restoration import warn_of_sharpness
from ...tasks.sparse_coding import base_of, checked_lam, lam_of, reach_of_base
from ...tasks.task import Task
from ...types import Lam, Region
from ...values.forms import ImageForm
from ...values.ranges import ValueRange
from ..arrays import as_blocks
from ..cluster import Workers
from ..result import BlockResult
from .coding import BlockOptions, CodedBlocks, Signals
from .local import BlockGrid, halo_of_split, layers_around, made_of_blocks, reach_of
from .prepared import LocalRestoration
from .sums import survey_mixture, survey_sharpness
from .survey import Survey, survey

__all__ = ["BlockRestoration", "restore_blocks"]

_HOLES = 64
"""Pixels around a block from which its holes are filled."""
_BACK = 20
"""Reach of the steps back from the large image to the known one, in pixels of the latter: four
steps."""


@dataclass(frozen=True, eq=False)
class BlockRestoration:
    """A restored image and what it is made of, as in `mcsc.tasks.Restoration`.

    Images are Dask arrays (C, H, W) of floats in the unit of x, made block by block when they are
    asked for: `mcsc.distributed.write_blocks` writes them.
    """

    image: Any
    """The restored image."""
    base: Any
    """Image that the parts are added to."""
    common: Any
    """What both images share."""
    unique: Any
    """What x has alone."""
    factor: int | None
    """How many times x was enlarged; None where the task enlarges nothing."""
    lam: Lam
    """Weight of the l1 norm that was used."""
    gap: float
    """Certified relative duality gap of the whole image; if bands are coded one by one, the largest
    of them."""
    nonzero: float
    """Share of coefficients that are not zero."""
    converged: bool
    """Whether the gap is at most the tolerance that was asked for."""
    stopped: Stop
    """Why the solver stopped, as in `mcsc.Result`."""
    seconds: float
    """Time that the codes took, in seconds."""
    value_range: ValueRange
    """Values of x that stood for 0 and 1."""
    stretched: tuple[int, ...]
    """Bands of x that span less than half of that range, and were stretched to all of it."""
    coded: tuple[BlockResult, ...] = field(repr=False)
    """The codes, with their certificate: one result for all bands, or one for each band."""


def restore_blocks(
    x: Any,
    y: Any,
    task: str | Task,
    *,
    dictionary: Dictionary | str | PathLike[str] | None = None,
    mask: Any = None,
    guide_mask: Any = None,
    factor: float | None = None,
    sigma: float | None = None,
    lam: Any = None,
    value_range: ValueRange | tuple[float, float] | None = None,
    names: tuple[str, str] = ("x", "y"),
    **how: Unpack[BlockOptions],
) -> BlockRestoration:
    r"""Restore an image of any size with the help of a registered guide, block by block.

    The result is that of `mcsc.tasks.restore` with the method "mcsc", solved as one problem:
    `solve_blocks` codes the whole image, and everything else depends on what is near alone.

    Parameters
    ----------
    x, y : arrays (H, W) or (C, H, W)
        Arrays of Dask, zarr or NumPy (memory-mapped ones, too), of floats or integers, in any unit.
        In super-resolution x is smaller than y by a whole factor that divides y's sides, or
        enlarged already.
    task, dictionary, factor, sigma, lam
        As in `mcsc.tasks.restore`.
    mask, guide_mask : array (H, W), (1, H, W) or (C, H, W), optional
        Weights of x on its own grid, and of y: booleans, or numbers in [0, 1]; 0 is unknown.
    value_range : (low, high), optional
        Values of x that stand for 0 and 1. Default: as `mcsc.values.ranges.find_range` finds it by
        the smallest and the largest known value.
    names : (str, str)
        What messages call x and y.
    **how
        `BlockOptions`: how it is worked on in blocks.

    Returns
    -------
    BlockRestoration

    Raises
    ------
    TypeError, ValueError, MemoryError, RuntimeError
        As `mcsc.tasks.restore` and `solve_blocks`; or the factor does not divide the sides.

    Warns
    -----
    ConvergenceWarning
        The codes did not reach `tol`.
    UserWarning
        x is enlarged by a factor far from the one that the dictionary was learned for; or it is as
        large as y but sharper than an enlarged image, and so reduced and enlarged first.

    Notes
    -----
    Images are read once to look at their values, once to make the signals, which are written to
    the folder (four bytes a value), and once more for the result; in super-resolution of an x as
    large as y, once more to tell whether it was enlarged. A worker's memory is bounded by
    its block with what is around it: 46 pixels for the low-pass split of strength 5, 220 pixels for
    strength 120; two radii of the guided filter, where that makes the base; 20 times the factor in
    super-resolution. Holes are filled from the 64 pixels around a block; what is farther from all
    that is known gets the mean of the nearest block. Contradictions of x and y are not looked for,
    as with ``ghosts=False``.

    Examples
    --------
    >>> import numpy as np
    >>> from distributed import Client
    >>> from mcsc.distributed import restore_blocks
    >>> from mcsc.synthetic import make_pair
    >>> pair = make_pair("flash", 0, (96, 128))
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     found = restore_blocks(
    ...         pair.x, pair.y, "flash-denoise", block=64, tol=0.05, client=client
    ...     )
    ...     image = found.image.compute()
    >>> image.shape, found.gap <= 0.05
    ((3, 96, 128), True)
    """
    started = time.perf_counter()
    coding = CodedBlocks.of(task, "restoration", dictionary, **how)
    task, model, block = coding.task, coding.model, coding.block
    filters = model.dictionary
    sigma = task.check_sigma(sigma)
    task.check_factor(factor)
    chosen = lam_of(filters, task, sigma) if lam is None else checked_lam(lam, filters)
    images = [as_blocks(name, given, block) for name, given in zip(names, (x, y), strict=True)]
    known = [
        None if m is None else _mask(name, m, image, block)
        for name, m, image in zip(names, (mask, guide_mask), images, strict=True)
    ]
    small, shape = (image.shape[1:] for image in images)
    check_method_fits(model, names[1], shape)
    factor, ratio = _geometry(task, small, shape, factor, names)
    model.warn_of_factor(factor)
    halo = halo_of_split(model.kept.strength)
    if any(m is not None for m in known):
        halo = max(halo, _HOLES)
    halo += reach_of_base(filters, task, sigma)
    halo += 5 * ratio  # what bicubic interpolation reaches, and more
    counts = len(images[0]), len(images[1])
    mixes = mixes_guide(task, filters.channels, base_of(filters, task), counts)
    if mixes:  # the guide is made smaller, and enlarged again
        halo += 5 * (factor or 0)
    grid = BlockGrid(shape, block, halo, factor or 1)
    given = [(images[0], ratio), (images[1], 1)]
    given += [None if m is None else (m, s) for m, s in zip(known, (ratio, 1), strict=True)]  # type: ignore[misc]
    with coding.opened() as cluster:
        looks = [
            survey(Workers(cluster), grid, name, image, m, scale)
            for name, image, m, scale in zip(names, images, known, (ratio, 1), strict=True)
        ]
        forms = _forms(looks, images, value_range, task, filters, sigma)
        local = LocalRestoration(filters, task, forms, factor, ratio, sigma)
        fallbacks = [look.fallback(grid) for look in looks]
        if factor is not None and ratio == 1:
            near = replace(grid, halo=10 * factor)
            alone = [given[0], None, given[2], None]
            if survey_sharpness(Workers(cluster), near, local, alone, fallbacks):
                warn_of_sharpness(factor, (shape[0] // factor, shape[1] // factor), task, names)
                local = replace(local, sharp=True)
                grid = replace(grid, halo=halo + 5 * factor)
        if mixes:
            mixture = survey_mixture(Workers(cluster), grid, local, given, fallbacks)
            local = replace(local, mixture=mixture)
        bands = local.bands(images, known)

        def told(number: int, around: Region) -> tuple[Any, ...]:
            return (tuple(f[number] for f in fallbacks),)

        made = made_of_blocks(grid, local.signals, given, told, bands.signals)
        lam_of_each = bands.lam(chosen, task)
        coded = coding.code(
            cluster, grid, made, filters,
            [
                Signals((f"x{n}", local.guide_name(n)), (f"mask{n}", "guide_mask"), lam_of_each)
                for n in range(bands.count)
            ],
        )  # fmt: skip
    reach = reach_of(filters)

    def words(number: int, around: Region) -> tuple[Any, ...]:
        layers = [layers_around(band, around, reach) for band in coded]
        return *told(number, around), layers, around

    ends = replace(grid, halo=grid.halo + _BACK * (factor or 0))
    out = made_of_blocks(ends, local.restored, given, words, bands.made)
    worst = min(coded, key=lambda band: (band.converged, -band.gap))
    return BlockRestoration(
        image=out["image"], base=out["base"], common=out["common"], unique=out["unique"],
        factor=factor, lam=chosen,
        # Of bands that were not reached no more is known than that the dual value is not negative.
        gap=max(band.gap for band in coded) if len(coded) == bands.count else 1.0,
        nonzero=sum(b.nonzeros for b in coded) / (bands.count * math.prod(shape) * filters.n_maps),
        converged=worst.converged and len(coded) == bands.count, stopped=worst.stopped,
        seconds=time.perf_counter() - started, value_range=forms[0].values,
        stretched=forms[0].stretched_bands, coded=tuple(coded),
    )  # fmt: skip


def _mask(name: str, mask: Any, image: Any, chunk: int) -> Any:
    found = as_blocks(f"the mask of {name}", mask, chunk)
    if found.shape[1:] != image.shape[1:] or found.shape[0] not in (1, image.shape[0]):
        raise InvalidValueError(
            f"the mask of {name} has shape {mask.shape}, {name} {image.shape}: want the same "
            "height and width, and one channel or as many"
        )
    if found.dtype.kind not in "bfiu":
        raise InvalidValueError(f"the mask of {name} has dtype {found.dtype}; want numbers")
    return found


def _geometry(
    task: Task, small: tuple[int, int], shape: tuple[int, int], factor: float | None,
    names: tuple[str, str],
) -> tuple[int | None, int]:  # fmt: skip
    """Return the factor of super-resolution, and how many times smaller x is than y as given."""
    if task.factor is None:
        if small != shape:
            raise InvalidValueError(
                f"{names[0]} is {small[0]} x {small[1]}, {names[1]} is {shape[0]} x {shape[1]}: "
                "want registered images of one size"
            )
        return None, 1
    if small == shape:
        times = task.factor if factor is None else check_factor(factor)
    else:
        times = find_factor(small, shape, factor=factor, usual=task.factor, names=names)
    found = int(times)
    if (
        found != times
        or any(length % found for length in shape)
        or (small != shape and any(m * found != n for m, n in zip(small, shape, strict=True)))
    ):
        raise InvalidValueError(
            f"{names[1]} is {shape[0]} x {shape[1]}: in blocks, an image is enlarged by a whole "
            f"factor that divides its sides, and {times:g} does not; crop it, and {names[0]} to "
            "match"
        )
    return found, 1 if small == shape else found


def _forms(
    looks: Sequence[Survey], images: Sequence[Any], given: Any, task: Task, filters: Dictionary,
    sigma: float | None,
) -> tuple[ImageForm, ImageForm]:  # fmt: skip
    """Return how both images are given, their ranges, and what they span of these."""
    if given is None:
        noise = task.sigma if sigma is None else sigma
        first = looks[0].range(display=task.display, sigma=noise)
    else:
        first = ValueRange.of(given)
    ranges = first, looks[1].range(display=True)
    x, y = (
        ImageForm.of(look.name, np.zeros((len(image), 1, 1), image.dtype), values)
        for look, image, values in zip(looks, images, ranges, strict=True)
    )
    if task.stretched:
        jointly = coded_jointly(len(images[0]), filters.channels), True
        x, y = (
            replace(form, contrast=look.contrast(form, jointly=j))
            for form, look, j in zip((x, y), looks, jointly, strict=True)
        )
    return x, y
