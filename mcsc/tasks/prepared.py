"""Sources of a fusion: looked at once, and prepared when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, to_numpy
from ..errors import InvalidValueError
from ..fusion import JOINTLY
from ..fusion.chroma import Chroma
from ..images.colour import luma_full
from ..images.split import fill_holes
from ..types import Floats
from ..values.forms import ImageForm, plain_array
from ..values.holes import fill_from_others
from ..values.ranges import ValueRange, find_range

__all__ = ["Look", "PreparedSources", "in_range", "look_at"]

_GREY = 3 / 255
"""Difference of channels that JPEG makes of a grey photograph, of the range of values."""
_SHOWN = 0.2
"""Contrast with which an image without colours is a grey one, not merely a dark one."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of a source that was looked at, and need not be in memory any more."""

    form: ImageForm
    shape: tuple[int, int, int]
    """(C, H, W)."""
    ends: NDArray[Any]
    """Smallest and largest known value, of the source's dtype, (1, 1, 2)."""
    brightness: float
    """Mean of the known values; once their range is known, on its scale from 0 to 1."""
    digest: bytes
    """Digest of its values: two sources that differ have different ones."""
    spread: float
    """Largest difference of its channels in any pixel."""
    holes: bool
    array: Array
    """One pixel of it: its library, and where it is."""

    @property
    def coloured(self) -> bool:
        """Whether it shows colours, once its range is known."""
        return self.spread > _GREY * self._width

    @property
    def grey(self) -> bool:
        """Whether it surely is grey. A photograph that is nearly black shows no colours either."""
        if self.shape[0] == 1:
            return True
        contrast = float(np.ptp(self.ends.astype(np.float64))) if self.ends.size else 0.0
        return not self.coloured and contrast >= _SHOWN * self._width

    @property
    def _width(self) -> float:
        return self.form.values.high - self.form.values.low


def look_at(name: str, source: Array, mask: Array | None) -> Look:
    """Look at a source (H, W) or (C, H, W), or a masked array.

    Raises
    ------
    TypeError
        It is no array of floats or integers.
    ValueError
        Its shape is none of an image, it has neither 1 nor 3 channels, or its mask does not fit.
    """
    image, mask = plain_array(name, source, mask)
    form = ImageForm.of(name, image)
    known = None if mask is None else form.weights(mask, image.shape)
    values = to_numpy(image)
    values = values.reshape(-1, *values.shape[-2:])
    channels, height, width = values.shape
    if channels not in (1, 3):
        raise InvalidValueError(f"{name} has {channels} channels; want 1 or 3")
    seen = values if known is None else values[np.broadcast_to(known > 0, values.shape)]
    seen = seen[np.isfinite(seen)] if seen.dtype.kind == "f" else seen
    ends = np.array([seen.min(), seen.max()] if seen.size else [], seen.dtype)
    return Look(
        form=form,
        shape=(channels, height, width),
        ends=ends.reshape(1, 1, -1),
        brightness=float(seen.mean(dtype=np.float64)) if seen.size else 0.0,
        digest=hashlib.blake2b(np.ascontiguousarray(values).data).digest(),
        spread=float(np.ptp(values, axis=0).max()) if channels > 1 else 0.0,
        holes=known is not None,
        array=form.xp.asarray(image[..., :1, :1], copy=True),  # a view would keep all of it
    )


def in_range(looks: Sequence[Look], given: Any, *, one_unit: bool) -> list[Look]:
    """Give the form of every source its range of values.

    Parameters
    ----------
    looks : sequence of Look
    given : (low, high), a sequence of them, or None
        Range of values of all sources, or of each. None, for all or one: what
        `mcsc.values.ranges.find_range` finds.
    one_unit : bool
        Sources of one dtype have one range.

    Raises
    ------
    ValueError
        A range is none, or there are not as many as sources.
    """
    if given is None and one_unit and len({str(look.form.dtype) for look in looks}) == 1:
        given = find_range([look.ends for look in looks], name="the sources")
    ranges = [
        find_range([look.ends], name=look.form.name) if one is None else one
        for look, one in zip(looks, ValueRange.of_each(given, len(looks)), strict=True)
    ]
    return [
        replace(
            look,
            form=replace(look.form, values=values),
            # Sources may be of several units.
            brightness=(look.brightness - values.low) / (values.high - values.low),
        )
        for look, values in zip(looks, ranges, strict=True)
    ]


class PreparedSources(Sequence[Floats]):
    """Sources as methods take them, made one at a time: (C, H, W) in [0, 1], all alike.

    Parameters
    ----------
    sources, masks : sequences of arrays
        As `mcsc.tasks.fuse` takes them.
    looks : sequence of Look
        With ranges.
    order : sequence of int
        Which source comes first, second, and so on.

    Notes
    -----
    Where some sources are grey and some are not, all are fused as full-range lumas, and `coloured`
    gives what comes out the chroma of those that have any. Three channels all alike are grey.

    What is unknown in one is filled by the mean of the others, less their mean difference; `loaded`
    does that better.
    """

    def __init__(
        self,
        sources: Sequence[Array],
        masks: Sequence[Array | None],
        looks: Sequence[Look],
        order: Sequence[int],
    ) -> None:
        self._sources, self._masks, self._looks, self._order = sources, masks, looks, order
        double = any(look.form.double for look in looks)
        self._dtype = np.dtype(np.float64 if double else np.float32)
        self._channels = max(look.shape[0] for look in looks)
        coloured = [look.coloured for look in looks]
        self.grey = not any(coloured) or any(look.grey for look in looks)
        """Whether all are fused as one channel."""
        self._last: tuple[int, Floats] | None = None
        self._chroma = Chroma()
        if self.grey:
            for number in np.flatnonzero(coloured):
                self._chroma.add(self._taken(int(number))[0])
        self._total: Any = 0.0
        self._count: Any = 0
        self.holes = any(look.holes for look in looks)
        """Whether anything is unknown in any of them."""
        if self.holes and len(order) > JOINTLY:
            for place in order:
                image, known = self._alike(place)
                there = np.broadcast_to(True if known is None else known > 0, image.shape)
                self._total = self._total + np.where(there, image, 0)
                self._count = self._count + there

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[m] for m in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        number = self._order[index]
        if self._last is None or self._last[0] != number:
            self._last = number, self._filled(*self._alike(number))
        return self._last[1]

    def loaded(self) -> list[Floats]:
        """Return all of them, what is unknown being filled by `fill_from_others`."""
        pairs = [self._alike(number) for number in self._order]
        return fill_from_others([image for image, _ in pairs], [known for _, known in pairs])

    def known(self, index: int) -> Floats | None:
        """Return the weights of a source, (1 or C, H, W); None where all of it is known."""
        number = self._order[index]
        return self._alike(number)[1] if self._looks[number].holes else None

    def leaving_out(self, maps: Sequence[NDArray[np.bool_]]) -> PreparedSources:
        """Return the same sources, unknown besides where the maps (H, W) of each are True."""
        masks, looks = list(self._masks), list(self._looks)
        for place, number in enumerate(self._order):
            if not maps[place].any():
                continue
            keep = (~maps[place]).astype(self._dtype)
            given = masks[number]
            combined = keep if given is None else to_numpy(given) * keep
            masks[number] = looks[number].form.xp.asarray(combined)
            looks[number] = replace(looks[number], holes=True)
        return PreparedSources(self._sources, masks, looks, self._order)

    def coloured(self, image: Floats) -> Floats:
        """Return a fused image with the colours of the sources, if these were fused as lumas."""
        if self._chroma.count:
            return self._chroma.coloured(image[:1])
        return np.repeat(image, self._channels, axis=0) if self.grey else image

    def _taken(self, number: int) -> tuple[Floats, Floats | None]:
        form = self._looks[number].form
        image, mask = plain_array(form.name, self._sources[number], self._masks[number])
        known = None if mask is None else form.weights(mask, image.shape)
        return form.taken(image, known).astype(self._dtype, copy=False), known

    def _alike(self, number: int) -> tuple[Floats, Floats | None]:
        image, known = self._taken(number)
        if not self.grey:
            return image, known
        if known is not None and len(known) > 1:
            known = known.min(axis=0, keepdims=True)
        return luma_full(image), known

    def _filled(self, image: Floats, known: Floats | None) -> Floats:
        if known is None:
            return image
        there = np.broadcast_to(known > 0, image.shape)
        others = self._count - there
        mean = np.where(others > 0, self._total - np.where(there, image, 0), 0)
        mean = mean / np.maximum(others, 1)
        both = there & (others > 0)
        away = np.where(both, image - mean, 0).sum(axis=(1, 2), keepdims=True)
        away = away / np.maximum(both.sum(axis=(1, 2), keepdims=True), 1)
        guess = np.where(there, image, mean + away).astype(image.dtype)
        known_anywhere = there | (others > 0)
        return guess if known_anywhere.all() else fill_holes(guess, known_anywhere)
