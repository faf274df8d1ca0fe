"""Fusion of volumes, slice by slice, with one range of values for all slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_unmasked
from ..errors import InvalidTypeError, InvalidValueError
from ..progress import ProgressBar
from ..types import Floats
from ..values.ranges import ValueRange, find_range
from .fusion import fuse
from .task import Task, get_task

__all__ = ["VolumeFusion", "fuse_volumes"]


@dataclass(frozen=True, eq=False)
class VolumeFusion:
    """Result of `fuse_volumes`: the fused volume and its certificate."""

    image: Floats
    """Shape (slices, H, W), in the unit of the first volume."""
    value_ranges: tuple[ValueRange, ...]
    """Values of each volume that stood for 0 and 1."""
    gap: float | None
    """Certified relative duality gap: the worst of all slices."""
    converged: bool
    """False if the gap of a slice stayed above what was asked for."""
    seconds: float
    """Time that all slices took."""


def fuse_volumes(
    volumes: Sequence[Floats],
    task: str | Task = "medical",
    *,
    masks: Sequence[NDArray[Any] | None] | None = None,
    value_ranges: Sequence[ValueRange | tuple[float, float]] | None = None,
    names: Sequence[str] | None = None,
    progress: bool = False,
    **options: Any,
) -> VolumeFusion:
    """Fuse registered volumes of one grid.

    Slices are fused one by one, so that the memory is that of one slice. One range of values for
    all slices of a volume keeps its brightness the same from slice to slice.

    Parameters
    ----------
    volumes : sequence of arrays, shape (slices, H, W)
        Two or more, each in a unit of its own: Hounsfield units, MR signal.
    task : str or Task
        A fusion.
    masks : sequence of (array of booleans or numbers, shape (slices, H, W), or None), optional
        Where one is 0 the volume is unknown, may hold anything, and is filled from the others. What
        no volume knows comes out as the first one has it.
    value_ranges : sequence of (low, high), optional
        Values of each volume that stand for 0 and 1. Default: the range of all of its slices.
    names : sequence of str, optional
        What messages call the volumes.
    progress : bool
        Show a progress bar on standard error.
    **options
        Options of `fuse`: `dictionary`, `method`, `rule`, `lam`, `tol`, `device`.

    Returns
    -------
    VolumeFusion

    Raises
    ------
    TypeError, ValueError
        Volumes are of other shapes, hold NaN or Inf where they are known, or are known nowhere; or
        as `fuse` raises.

    Examples
    --------
    >>> import numpy as np
    >>> from mcsc.tasks import fuse_volumes
    >>> ct = np.linspace(-1000, 1000, 2 * 40 * 40).reshape(2, 40, 40).astype(np.float32)
    >>> found = fuse_volumes([ct, ct[:, :, ::-1].copy()], method="laplacian")
    >>> found.image.shape, found.value_ranges[0].low
    ((2, 40, 40), -1000.0)
    """
    task = get_task(task, "fusion")
    arrays = [np.asarray(volume) for volume in volumes]
    labels = [f"volumes[{m}]" for m in range(len(arrays))] if names is None else list(names)
    for name, given, array in zip(labels, volumes, arrays, strict=True):
        check_unmasked(name, given)
        if array.dtype.kind not in "fiu":
            raise InvalidTypeError(f"{name} has dtype {array.dtype}; want floats or integers")
        if array.ndim != 3 or array.size == 0 or array.shape != arrays[0].shape:
            raise InvalidValueError(
                f"{name} has shape {array.shape}, {labels[0]} {arrays[0].shape}: want volumes "
                "(slices, H, W) of one shape"
            )
    known = _known(arrays, masks, labels)
    if value_ranges is None:
        ranges = [
            find_range([array], [mask], name=name)
            for name, array, mask in zip(labels, arrays, known, strict=True)
        ]
    else:
        ranges = [ValueRange.of(given) for given in value_ranges]
    if len(ranges) != len(arrays):
        raise InvalidValueError(
            f"value_ranges holds {len(ranges)} ranges for {len(arrays)} volumes; want one for each"
        )
    made, gaps, seconds, converged = [], [], 0.0, True
    with ProgressBar("slices", len(arrays[0]), shown=progress) as bar:
        for number in range(len(arrays[0])):
            slices = [array[number].astype(np.float32) for array in arrays]
            first = slices[0]
            there = [None if mask is None else mask[number] for mask in known]
            nowhere = np.logical_and.reduce(
                [np.zeros(first.shape, bool) if m is None else ~m for m in there]
            )
            if nowhere.all():
                made.append(first)
                bar.advance()
                continue
            slices, there = _filled(slices, there, ranges)
            found = fuse(
                slices, task, masks=there, value_range=ranges,
                names=[f"{n}, slice {number + 1}" for n in labels], **options,
            )  # fmt: skip
            made.append(np.where(nowhere, first, np.asarray(found.image, np.float32)))
            gaps += [] if found.gap is None else [found.gap]
            seconds += found.seconds
            converged = converged and found.converged
            bar.advance()
    return VolumeFusion(np.stack(made), tuple(ranges), max(gaps, default=None), converged, seconds)


def _known(
    arrays: Sequence[NDArray[Any]], masks: Any, labels: Sequence[str]
) -> list[NDArray[np.bool_] | None]:
    """Where volumes are known, None where that is everywhere; refuse what is not finite there."""
    given = [None] * len(arrays) if masks is None else list(masks)
    if len(given) != len(arrays):
        raise InvalidValueError(f"masks holds {len(given)} entries for {len(arrays)} volumes")
    found: list[NDArray[np.bool_] | None] = []
    for name, array, mask in zip(labels, arrays, given, strict=True):
        known = None if mask is None else np.asarray(mask) != 0
        if known is not None and known.shape != array.shape:
            raise InvalidValueError(
                f"the mask of {name} has shape {known.shape}, {name} {array.shape}: want one shape"
            )
        if known is not None and not known.any():
            raise InvalidValueError(f"the mask of {name} is 0 everywhere: no voxel is known")
        wrong = ~np.isfinite(array) if known is None else ~np.isfinite(array) & known
        if wrong.any():
            where = "" if mask is None else " where its mask is not 0"
            raise InvalidValueError(
                f"{name} holds NaN or Inf{where} ({int(wrong.sum())} voxels in "
                f"{int(wrong.any(axis=(1, 2)).sum())} of {len(array)} slices): if these are "
                "unknown, give a mask that is 0 there, as numpy.isfinite makes one"
            )
        found.append(None if known is None or known.all() else known)
    return found


def _filled(
    slices: Sequence[Floats],
    known: Sequence[NDArray[np.bool_] | None],
    ranges: Sequence[ValueRange],
) -> tuple[list[Floats], list[NDArray[np.bool_] | None]]:
    """Slices and masks as `fuse` takes them: one that is known nowhere is as another one there."""
    source = next(m for m, mask in enumerate(known) if mask is None or mask.any())
    shown = ranges[source].scaled(slices[source])
    made, masks = list(slices), [None if m is None or m.all() else m for m in known]
    for m, mask in enumerate(known):
        if mask is not None and not mask.any():
            made[m], masks[m] = ranges[m].restored(shown), masks[source]
    return made, masks
