"""Image files, masks and lam from the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..images.colour import luma_studio
from ..model.dictionary import Dictionary
from ..tasks.decomposition import symbols
from ..types import Floats
from ..values.ranges import ValueRange
from .given import read_given, tell_ranges, with_ranges


@dataclass(frozen=True, eq=False)
class Signal:
    """An image to be decomposed, with its mask."""

    symbol: str
    """``x``, ``y``, or ``x1``, ``x2``, ... of more than two."""
    name: str
    """For titles and the table."""
    image: Floats
    """Shape (C, H, W)."""
    mask: Floats | None = None
    """Weights (1 or C, H, W), 0 where the image is unknown."""
    source: dict[str, Any] = field(default_factory=dict)
    """Where it came from, for ``result.json``."""
    value_range: ValueRange | None = None
    """Values of `image` that stand for 0 and 1."""

    @property
    def label(self) -> str:
        """For titles of pictures."""
        return f"{self.symbol}, {self.name}"


def read_signals(
    paths: Sequence[Path],
    masks: Mapping[int, Sequence[str]],
    *,
    grey: bool,
    precision: str,
    ranges: Sequence[ValueRange] = (),
) -> list[Signal]:
    """Read images and their masks; refuse what does not go together, by file name.

    `masks` maps the index of an image to words of the option --mask; `ranges` are those of --range.
    """
    given = with_ranges(
        [
            read_given(path, masks.get(m, ()), option=f"--mask {m + 1}=nan")
            for m, path in enumerate(paths)
        ],
        ranges,
        measured=False,
        doubtful=True,
    )
    tell_ranges(given)
    for g in given:
        if grey and len(g.image.pixels) not in (1, 3):
            raise InvalidValueError(
                f"--grey: {g.name} has {len(g.image.pixels)} channels; luma is of 3 (1 stays as it "
                "is)"
            )
    if len({g.image.pixels.shape[1:] for g in given}) > 1:
        listed = ", ".join(f"{g.name} is {_size(g.image.pixels.shape)}" for g in given)
        raise InvalidValueError(
            f"images differ in size, want registered ones of one size: {listed}"
        )
    signals = []
    for m, (symbol, g) in enumerate(zip(symbols(len(paths)), given, strict=True)):
        pixels: Floats = g.image.pixels.astype(precision)
        mask = g.mask
        if mask is not None:
            pixels = np.where(mask > 0, pixels, 0).astype(pixels.dtype)
        if grey and len(pixels) == 3:
            pixels = luma_studio(pixels)
            if mask is not None and len(mask) == 3:
                mask = mask.min(axis=0, keepdims=True)
        source = {
            "file": g.name,
            "bit_depth": g.image.bit_depth,
            "mask": list(masks[m]) if m in masks else None,
            "range": [g.values.low, g.values.high],
            "full_scale": g.unit,
        }
        signals.append(Signal(symbol, g.image.path.stem, pixels, mask, source, g.value_range))
    return signals


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[-2]} x {shape[-1]}"


def read_dictionary(path: Path | None, signals: Sequence[Signal]) -> Dictionary:
    """Load a dictionary that fits the images, or make the starter."""
    channels = tuple(len(signal.image) for signal in signals)
    if path is None:
        from ..model.starter import dct_dictionary

        return dct_dictionary(channels)
    dictionary = Dictionary.load(path)
    if dictionary.channels != channels:
        hint = ""
        if dictionary.channels == tuple(1 for _ in channels) and set(channels) <= {1, 3}:
            hint = "; --grey takes the luma of colour images"
        raise InvalidValueError(
            f"{path} is a dictionary for {_channels(dictionary.channels)}, the images are "
            f"{_channels(channels)}{hint}"
        )
    return dictionary


def _channels(channels: tuple[int, ...]) -> str:
    counts = ", ".join(map(str, channels))
    images = "1 image" if len(channels) == 1 else f"{len(channels)} images"
    return f"{images} of {counts} channel{'' if channels == (1,) else 's'}"
