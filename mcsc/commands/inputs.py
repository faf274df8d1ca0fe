"""Image files, masks and lam from the words of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..images.colour import luma_studio
from ..images.files import read_image
from ..model.dictionary import Dictionary
from ..tasks.decomposition import symbols
from ..types import Floats


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

    @property
    def label(self) -> str:
        """For titles of pictures."""
        return f"{self.symbol}, {self.name}"


def read_signals(
    paths: Sequence[Path], masks: dict[int, str], *, grey: bool, precision: str
) -> list[Signal]:
    """Read images and their masks; refuse what does not go together, by file name.

    `masks` maps the index of an image to ``"zeros"``, ``"nan"`` or the name of a file.
    """
    images = []
    for path in paths:
        image = read_image(path)
        pixels: Floats = image.pixels.astype(precision)
        if grey and len(pixels) not in (1, 3):
            raise InvalidValueError(
                f"--grey: {path} has {len(pixels)} channels; luma is of 3 (1 stays as it is)"
            )
        images.append((image, luma_studio(pixels) if grey and len(pixels) == 3 else pixels))
    sizes = {pixels.shape[1:] for _, pixels in images}
    if len(sizes) > 1:
        listed = ", ".join(
            f"{p} is {_size(x.shape)}" for p, (_, x) in zip(paths, images, strict=True)
        )
        raise InvalidValueError(
            f"images differ in size, want registered ones of one size: {listed}"
        )

    signals = []
    for m, (symbol, path, (image, pixels)) in enumerate(
        zip(symbols(len(paths)), paths, images, strict=True)
    ):
        mask = read_mask(masks[m], pixels, path) if m in masks else None
        if mask is None:
            require_finite(path, pixels, f"--mask {m + 1}=nan")
        if mask is not None:
            pixels = np.where(mask > 0, pixels, 0).astype(pixels.dtype)
        source = {"file": str(path), "bit_depth": image.bit_depth, "mask": masks.get(m)}
        signals.append(Signal(symbol, path.stem, pixels, mask, source))
    return signals


def require_finite(path: Path, pixels: Floats, words: str) -> None:
    """Refuse NaN and Inf; `words` say on the command line that they are unknown pixels."""
    if not np.isfinite(pixels).all():
        raise InvalidValueError(
            f"{path} holds NaN or Inf; if these are unknown pixels, say {words}"
        )


def read_mask(word: str, pixels: Floats, path: Path) -> Floats:
    """Return the weights of an image, (1 or C, H, W), of ``zeros``, ``nan`` or an image file."""
    if word == "nan":
        mask: Floats = np.all(np.isfinite(pixels), axis=0, keepdims=True).astype(pixels.dtype)
    elif word == "zeros":
        # NaN is not zero: then the signal is refused, as it is without a mask.
        mask = np.any(pixels != 0, axis=0, keepdims=True).astype(pixels.dtype)
    else:
        mask = read_image(word).pixels.astype(pixels.dtype)
        if len(mask) == 3 and (mask == mask[:1]).all():
            mask = mask[:1]
        if mask.shape[1:] != pixels.shape[1:] or len(mask) not in (1, len(pixels)):
            raise InvalidValueError(
                f"--mask {word} has shape {mask.shape}, {path} {pixels.shape}: want the same "
                "height and width, and one channel or as many"
            )
        if not np.isfinite(mask).all() or (mask < 0).any():
            raise InvalidValueError(f"--mask {word} holds NaN, Inf or negative weights")
    if not (mask > 0).any(axis=(1, 2)).all():
        raise InvalidValueError(f"--mask {word}: no pixel of {path} is known")
    if not np.isfinite(pixels[np.broadcast_to(mask > 0, pixels.shape)]).all():
        raise InvalidValueError(
            f"{path} holds NaN or Inf where --mask {word} says that it is known"
        )
    return mask


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
