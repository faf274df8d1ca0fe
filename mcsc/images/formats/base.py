"""What the readers of all kinds of files share: result, errors, how much may be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backend.limits import available_memory
from ...errors import InvalidValueError, OutOfMemoryError, Refusal
from .metadata import Metadata

__all__ = [
    "ImageFileError",
    "Request",
    "Samples",
    "check_size",
    "decoding",
    "full_scale",
    "is_scaled",
    "opacity",
    "pick",
    "told_white",
]


class ImageFileError(InvalidValueError):
    """An image file cannot be read or written; the message is one line that names the file."""


@dataclass(frozen=True)
class Request:
    """Which image of a file that may hold several."""

    path: Path
    page: int | None = None
    """Counted from 1: a page, a slice."""
    variable: str | None = None
    """Name of a variable of a MATLAB file, or of a channel of an OpenEXR file."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What a file holds, before anything is scaled or turned."""

    values: NDArray[Any]
    """Shape (C, H, W), of the type of the file."""
    bit_depth: int
    """Bits of a sample; 32 where they are floats."""
    orientation: int = 1
    """As EXIF and TIFF number them; 1 is upright."""
    alpha: NDArray[np.float32] | None = None
    """Opacity in [0, 1], shape (1, H, W), float32; None where all is opaque."""
    nodata: float | None = None
    """The value of samples that are unknown."""
    significant_bits: int | None = None
    """How many bits of a sample are used, if fewer."""
    white: int | None = None
    """The count that is white, where it is another than the largest of `bit_depth` bits."""
    metadata: Metadata = field(default_factory=Metadata)
    note: str = ""
    """What the user should be told of how the values came to be."""


# ------------------------------------------------------------------------ what counts mean
def is_scaled(dtype: np.dtype[Any]) -> bool:
    """Return True if the samples of a picture of this type are shares of its white."""
    return dtype.kind in "bu" and dtype.itemsize <= 2


def full_scale(dtype: np.dtype[Any], bit_depth: int, white: int | None = None) -> float:
    """Return white in the unit of the file, for unsigned integers of up to 16 bits; else 1.

    `white` is the count that is white, where it is another than the largest of `bit_depth` bits.
    Pictures of one bit are those of 8 that are black and white.
    """
    if not is_scaled(dtype):
        return 1.0
    if bit_depth == 1:
        return 255.0
    return 2.0**bit_depth - 1 if white is None else float(white)


def told_white(
    dtype: np.dtype[Any], bit_depth: int, significant_bits: int | None, white: int | None = None
) -> int | None:
    """Return white in integers that do not fill their type, where their file says so.

    See `Samples` for what it may say.
    """
    if significant_bits is not None:
        return (1 << significant_bits) - 1
    full = int(full_scale(dtype, bit_depth, white))
    fills = not is_scaled(dtype) or full == np.iinfo(dtype).max
    return None if fills else full


@contextmanager
def decoding(path: Path, kind: str) -> Iterator[None]:
    """Refuse a file that a decoder fails on; in it stand calls of decoders only.

    They raise anything at all on damaged data, and a mistake of our own must not look like it.
    """
    try:
        yield
    except Refusal:
        raise
    except MemoryError as error:
        reason = str(error) or "it would not fit"
        raise OutOfMemoryError(f"{path}: there is too little memory: {reason}") from error
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ImageFileError(f"{path}: truncated or damaged {kind}: {reason}") from error


def check_size(
    path: Path, kind: str, shape: Sequence[int], sample_bytes: float, *, packing: float = 1.0
) -> None:
    """Refuse to read what a file cannot hold, or what does not fit into memory.

    Decoders allocate what a header declares before they look at the data.

    Parameters
    ----------
    path : Path
    kind : str
        Name of the format.
    shape : sequence of int
        Shape of all that will be read; height and width come last.
    sample_bytes : float
        Bytes of a sample before it was packed.
    packing : float
        How many times smaller than that a file can be at most.

    Raises
    ------
    ImageFileError
        The file is too small for what it declares.
    MemoryError
        There is less memory free than the samples, and the same as float32, take.
    """
    stored = path.stat().st_size
    count = math.prod(int(n) for n in shape)
    size = " x ".join(str(n) for n in shape[-2:])
    if count * sample_bytes > packing * stored:
        raise ImageFileError(
            f"{path}: truncated or damaged {kind}: it declares {size} pixels, which its {stored} "
            "bytes cannot hold"
        )
    needed, free = count * (sample_bytes + 4), available_memory()
    if free is not None and needed > free:
        raise OutOfMemoryError(
            f"{path}: is {size} pixels, {_bytes(4 * count)} as floats: to read it takes "
            f"{_bytes(needed)}, and {_bytes(free)} of memory are free"
        )


def opacity(alpha: NDArray[Any], full: float) -> NDArray[np.float32] | None:
    """Samples of alpha, shape (H, W), as opacity (1, H, W), or None if all is opaque."""
    if (alpha == full).all():
        return None
    return (alpha[None] / np.float32(full)).astype(np.float32)


def pick(request: Request, count: int, what: str) -> int | None:
    """Index of the page that is asked for, or None if none is.

    Raises
    ------
    ImageFileError
        There is no such page.
    """
    if request.page is None:
        return None
    if not 1 <= request.page <= count:
        there = f"there is 1 {what}" if count == 1 else f"there are {count} {what}s"
        raise ImageFileError(
            f"{request.path}: has no {what} {request.page}: {there}, counted from 1"
        )
    return request.page - 1


def _bytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
