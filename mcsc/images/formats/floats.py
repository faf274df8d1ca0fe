"""Formats of floats and of plain samples: PGM, PPM, PFM, Radiance, NumPy's .npy."""

from __future__ import annotations

import math
import re
from typing import IO, Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from .base import ImageFileError, Request, Samples, check_size, decoding, pick

__all__ = ["read_npy", "read_pfm", "read_pnm", "read_radiance", "samples_of_array"]

_LONGEST = 65536  # bytes of a header
_RADIANCE_SIZE = re.compile(
    rb"^([-+])([XY])[ \t]+(\d{1,9})[ \t]+([-+])(?!\2)[XY][ \t]+(\d{1,9})[ \t\r]*\n", re.MULTILINE
)


def read_pfm(request: Request) -> Samples:
    """Read a portable float map: one channel or three, rows from the bottom up.

    The sign of its scale tells the byte order. Its size is not applied: programs use it for what
    they like.
    """
    path = request.path
    pick(request, 1, "page")
    with open(path, "rb") as file:
        words = _header(file, 4)
        with decoding(path, "PFM"):
            channels = {b"Pf": 1, b"PF": 3}[words[0]]
            width, height, scale = int(words[1]), int(words[2]), float(words[3])
            _positive(width, height)
        check_size(path, "PFM", (channels, height, width), 4)
        with decoding(path, "PFM"):
            values = np.frombuffer(file.read(), "<f4" if scale < 0 else ">f4")
            values = values[: height * width * channels].reshape(height, width, channels)
    return Samples(values[::-1].transpose(2, 0, 1), 32)


def read_pnm(request: Request) -> Samples:
    """Read a binary PGM or PPM; white is its largest value, whatever that is."""
    path = request.path
    pick(request, 1, "page")
    with open(path, "rb") as file:
        words = _header(file, 4)
        with decoding(path, "PNM"):
            channels = {b"P5": 1, b"P6": 3}[words[0]]
            width, height, full = (int(word) for word in words[1:])
            _positive(width, height)
            if not 1 <= full <= 65535:
                raise ValueError(f"its largest value is {full}; want 1 to 65535")
        dtype = np.dtype(np.uint8 if full < 256 else ">u2")
        check_size(path, "PNM", (channels, height, width), dtype.itemsize)
        with decoding(path, "PNM"):
            values = np.frombuffer(file.read(), dtype)
            values = values[: height * width * channels].reshape(height, width, channels)
            if values.max() > full:
                raise ValueError(f"it holds {values.max()}, above its largest value {full}")
    bits = full.bit_length()
    return Samples(values.transpose(2, 0, 1), bits, white=None if full == 2**bits - 1 else full)


def read_radiance(request: Request) -> Samples:
    """Read a Radiance picture: colours of a high dynamic range as floats."""
    path = request.path
    pick(request, 1, "page")
    with decoding(path, "Radiance picture"):
        content = path.read_bytes()
        found = _RADIANCE_SIZE.search(content[:_LONGEST])
        if found is None:
            raise ValueError("it has no size")
        first, second = int(found[3]), int(found[5])
    # A run is two bytes for 127 samples of one channel.
    check_size(path, "Radiance picture", (4, first, second), 1, packing=64)
    with decoding(path, "Radiance picture"):
        # The decoder knows of one layout alone: rows from the top down, each from the left.
        usual = b"-Y %d +X %d\n" % (first, second)
        head, rows = content[: found.start()], content[found.end() :]
        values: NDArray[Any] = np.asarray(imagecodecs.rgbe_decode(head + usual + rows))
    rows_first = found[2] == b"Y"
    down, right = (found[1], found[4]) if rows_first else (found[4], found[1])
    values = values if rows_first else values.swapaxes(0, 1)
    values = values[:: 1 if down == b"-" else -1, :: 1 if right == b"+" else -1]
    return Samples(values.transpose(2, 0, 1), 32)


def read_npy(request: Request) -> Samples:
    """Read an array that NumPy saved: (H, W), (C, H, W), or (H, W, C) with few channels."""
    path = request.path
    with open(path, "rb") as file:
        with decoding(path, "NumPy array"):
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ImageFileError(f"{path}: holds Python objects, which are never unpickled")
        start = file.tell()
        count = math.prod(shape)
        if count * dtype.itemsize != path.stat().st_size - start:
            raise ImageFileError(
                f"{path}: truncated or damaged NumPy array: it declares {shape} of {dtype}"
            )
        check_size(path, "NumPy array", shape or (0,), dtype.itemsize)
        with decoding(path, "NumPy array"):
            values = np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran else "C")
    return samples_of_array(request, values)


def samples_of_array(request: Request, values: NDArray[Any], *, last: bool = False) -> Samples:
    """An array of a file as an image.

    Parameters
    ----------
    request : Request
    values : array
        (H, W), or with an axis for channels: the first or the last, whichever is shorter than both
        others.
    last : bool
        Channels are on the last axis, as in MATLAB.

    Raises
    ------
    ImageFileError
        It is of another shape or no array of numbers, or its axes cannot be told.
    """
    path = request.path
    name = f"{path}: " if request.variable is None else f"{path}: {request.variable} "
    if values.dtype.kind not in "bufi" or values.dtype.itemsize > 8:
        raise ImageFileError(f"{name}holds {values.dtype}; want integers or floats")
    if values.ndim not in (2, 3) or values.size == 0:
        raise ImageFileError(
            f"{name}holds an array of shape {values.shape}; want (H, W), or (H, W) and channels"
        )
    if values.ndim == 2:
        channels = values[None]
    elif last or channels_are_last(name, values.shape):
        channels = values.transpose(2, 0, 1)
    else:
        channels = values
    index = pick(request, len(channels), "channel") if request.page is not None else None
    if index is not None:
        channels = channels[index : index + 1]
    depth = {"b": 1, "f": 32}.get(values.dtype.kind, 8 * values.dtype.itemsize)
    return Samples(channels, depth)


def channels_are_last(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the last of three axes of an array in a file is that of the channels, not the first.

    Raises
    ------
    ImageFileError
        Neither is shorter than both others; the message begins with `name`.
    """
    if shape[2] < min(shape[:2]):
        return True
    if shape[0] < min(shape[1:]):
        return False
    raise ImageFileError(
        f"{name}holds an array of shape {shape}, of which the axis of channels cannot be told: "
        "want it to be shorter than height and width"
    )


def _header(file: IO[bytes], count: int) -> list[bytes]:
    """Words of a header, comments left out, and the one white byte that ends it."""
    words: list[bytes] = []
    word = b""
    for _ in range(_LONGEST):
        byte = file.read(1)
        if byte == b"#" and not word:
            file.readline(_LONGEST)
        elif byte.strip():
            word += byte
        else:
            if word:
                words.append(word)
            if len(words) == count or not byte:
                break
            word = b""
    return [*words, *[b""] * (count - len(words))]


def _positive(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"it declares {height} x {width} pixels")
