"""One look at a large image before any work: its ends, its mean, what of it is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...checks import nowhere_known
from ...errors import InvalidValueError
from ...types import Region
from ...values.forms import ImageForm
from ...values.ranges import Contrast, ValueRange, find_range
from ..arrays import cut
from ..cluster import FieldTask, Workers
from .local import BlockGrid, smaller

__all__ = ["Survey", "block_key", "of_all_blocks", "survey"]


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of an image (C, H, W), block by block in their order."""

    name: str
    dtype: Any
    known: np.ndarray
    """Number of known values, (blocks, C)."""
    total: np.ndarray
    """Their sum, likewise."""
    low: np.ndarray
    """The smallest of them."""
    high: np.ndarray
    """And the largest."""

    @property
    def mean(self) -> float:
        """Mean of all known values."""
        return float(self.total.sum() / max(self.known.sum(), 1))

    def range(self, *, display: bool, sigma: float | None = None) -> ValueRange:
        """Find the range of values from the ends: see `mcsc.values.ranges.find_range`."""
        return range_of([self], display=display, sigma=sigma)

    def contrast(self, form: ImageForm, *, jointly: bool) -> Contrast | None:
        """Return what bands span of the range of a form, where that is little: see `Contrast`."""
        low, high = (form.values.scaled(v.astype(np.float64)) for v in self._ends())
        return Contrast.of(low, high, np.float64 if form.double else np.float32, jointly=jointly)

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest known value of each channel, (C,)."""
        known = self.known > 0
        least, most = _limits(self.dtype)
        return (
            np.min(self.low, axis=0, where=known, initial=most),
            np.max(self.high, axis=0, where=known, initial=least),
        )

    def fallback(self, grid: BlockGrid) -> np.ndarray:
        """What stands for a block without known pixels: the mean of the nearest, (blocks, C)."""
        mean = self.total / np.maximum(self.known, 1)
        centres = np.array(
            [[(r.start + r.stop) / 2, (c.start + c.stop) / 2] for r, c in grid.blocks]
        )
        for channel in range(mean.shape[1]):
            there = np.flatnonzero(self.known[:, channel])
            for block in np.flatnonzero(self.known[:, channel] == 0):
                away = np.abs(centres[there] - centres[block]).sum(1)
                mean[block, channel] = mean[there[away.argmin()], channel]
        return np.asarray(mean)


def range_of(surveys: Sequence[Survey], *, display: bool, sigma: float | None = None) -> ValueRange:
    """Find the one range of images of one dtype."""
    ends = [
        np.array([s.low[s.known > 0].min(), s.high[s.known > 0].max()], s.dtype).reshape(1, 1, 2)
        for s in surveys
    ]
    name = surveys[0].name if len(surveys) == 1 else "the sources"
    return find_range(ends, name=name, display=display, doubtful=False, sigma=sigma)


def survey(
    workers: Workers, grid: BlockGrid, name: str, image: Any, mask: Any = None, factor: int = 1
) -> Survey:
    """Look at an image once, block by block.

    Parameters
    ----------
    workers : Workers
    grid : BlockGrid
    name : str
        For messages.
    image : Dask array (C, H, W)
    mask : Dask array (1 or C, H, W), optional
    factor : int
        How many times smaller both are than the grid.

    Raises
    ------
    ValueError
        It holds NaN or Inf where it is known, weights outside of [0, 1], or no known pixel.
    """

    def task(block: Region) -> FieldTask:
        part = smaller(block, factor)
        given = [cut(image, part), None if mask is None else cut(mask, part)]
        return FieldTask(partial(_look, name), (given,))

    found = of_all_blocks(workers, grid, task)
    known, total, low, high = (np.stack(column) for column in zip(*found, strict=True))
    if (where := nowhere_known(known.sum(0)[:, None, None] > 0)) is not None:
        raise InvalidValueError(f"the mask of {name} is 0 {where}: no pixel is known")
    return Survey(name, image.dtype, known, total, low, high)


def of_all_blocks(
    workers: Workers, grid: BlockGrid, task: Callable[[Region], FieldTask]
) -> list[Any]:
    """Return what workers make of all blocks of a grid, in the order of the blocks."""
    numbers = {block_key(block): n for n, block in enumerate(grid.blocks)}
    found: list[Any] = [None] * len(numbers)
    for block, future in workers.each(grid.blocks, task):
        found[numbers[block_key(block)]] = future.result()
    return found


def block_key(block: Region) -> tuple[int, int]:
    """Where a block begins, by which it is known."""
    return block[0].start, block[1].start


def _look(name: str, given: Sequence[Any]) -> tuple[np.ndarray, ...]:
    image, mask = given
    if mask is not None and not ((mask >= 0) & (mask <= 1)).all():
        raise InvalidValueError(
            f"the mask of {name} holds values outside [0, 1]: weights are not scaled; for a mask "
            "image write mask > 0"
        )
    there = np.broadcast_to(True if mask is None else mask > 0, image.shape)
    if image.dtype.kind == "f" and not np.isfinite(image[there]).all():
        raise InvalidValueError(
            f"{name} holds NaN or Inf: if these pixels are unknown, give a mask that is 0 there "
            "(on the command line by --mask nan)"
        )
    known = there.sum((1, 2))
    zero = np.zeros((), image.dtype)
    total = np.where(there, image, zero).sum((1, 2), dtype=np.float64)
    ends: list[Any] = []
    for reduce, start in zip((np.max, np.min), _limits(image.dtype), strict=True):
        ends.insert(0, reduce(image, axis=(1, 2), where=there, initial=start))
    return known, total, ends[0], ends[1]


def _limits(dtype: Any) -> tuple[Any, Any]:
    """Least and largest number of a dtype."""
    info: Any = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return info.min, info.max
