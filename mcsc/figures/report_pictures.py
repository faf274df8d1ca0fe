"""Images as parts of an HTML page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ..checks import check_image
from ..errors import InvalidValueError
from ..images.planes import planes
from ..types import Floats
from .drawing import colour_map

__all__ = ["Picture", "colour_scale", "mapped_picture", "picture"]


@dataclass(frozen=True)
class Picture:
    """What an ``img`` needs."""

    uri: str
    width: int
    height: int


def picture(name: str, image: Floats) -> Picture:
    """An image in [0, 1] of 1 or 3 channels; `name` is for messages."""
    check_image(name, image)
    stack = planes(image)
    if len(stack) not in (1, 3):
        raise InvalidValueError(
            f"{name} has shape {image.shape}: pictures have 1 or 3 channels; show bands one by one"
        )
    pixels = np.rint(255 * np.clip(stack, 0, 1)).astype(np.uint8)
    return _embedded(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def mapped_picture(
    plane: Floats,
    colours: str,
    low: float,
    high: float,
    known: NDArray[np.bool_] | None = None,
) -> Picture:
    """A plane (H, W) in a colour map; what is not known has the colour of unknown pixels."""
    shade = np.ma.masked_array(
        np.clip((plane - low) / (high - low), 0, 1), mask=False if known is None else ~known
    )
    return _embedded(np.asarray(colour_map(colours)(shade, bytes=True))[..., :3])


def colour_scale(colours: str, low: float, high: float, what: str) -> dict[str, Any]:
    """A strip of colours, and the numbers at its ends and middle."""
    strip = mapped_picture(np.linspace(low, high, 256)[None], colours, low, high)
    ticks = [f"{t:.2g}".replace("-", "−") for t in (low, 0.5 * (low + high), high)]
    return {
        "uri": strip.uri,
        "ticks": ticks,
        "label": f"Colours of the {what}, from {ticks[0]} to {ticks[-1]}",
    }


def _embedded(pixels: NDArray[np.uint8]) -> Picture:
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", optimize=False)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(uri, pixels.shape[1], pixels.shape[0])
