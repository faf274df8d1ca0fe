"""Fusion of volumes, slice by slice, with one range of values for all slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        Volumes are of other shapes, or as `fuse` raises.

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
    if value_ranges is None:
        ranges = [find_range([array], name=n) for n, array in zip(labels, arrays, strict=True)]
    else:
        ranges = [ValueRange.of(given) for given in value_ranges]
    if len(ranges) != len(arrays):
        raise InvalidValueError(
            f"value_ranges holds {len(ranges)} ranges for {len(arrays)} volumes; want one for each"
        )
    made, gaps, seconds, converged = [], [], 0.0, True
    with ProgressBar("slices", len(arrays[0]), shown=progress) as bar:
        for number in range(len(arrays[0])):
            found = fuse(
                [array[number].astype(np.float32) for array in arrays], task,
                value_range=ranges, names=[f"{n}, slice {number + 1}" for n in labels], **options,
            )  # fmt: skip
            made.append(np.asarray(found.image, np.float32))
            gaps += [] if found.gap is None else [found.gap]
            seconds += found.seconds
            converged = converged and found.converged
            bar.advance()
    return VolumeFusion(np.stack(made), tuple(ranges), max(gaps, default=None), converged, seconds)
