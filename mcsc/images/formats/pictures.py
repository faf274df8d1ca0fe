"""PNG, JPEG and BMP."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.BmpImagePlugin
import PIL.Image
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
from numpy.typing import NDArray

from .base import ImageFileError, Request, Samples, check_size, decoding, opacity, pick
from .metadata import Metadata, exif_of_picture, exif_read, png_chunk

__all__ = ["read_picture", "sure_shape_of_picture"]

# These classes, not PIL.Image.open, which refuses large images by a limit of its own.
_OPENERS: dict[str, Callable[[Path], PIL.Image.Image]] = {
    "PNG": PIL.PngImagePlugin.PngImageFile,
    "JPEG": PIL.JpegImagePlugin.JpegImageFile,
    "BMP": PIL.BmpImagePlugin.BmpImageFile,
}
# Deflate packs 1032 bytes into one; a JPEG takes a bit for 8 x 8 samples; a run of a BMP, two
# bytes for 255 samples.
_PACKING = {"PNG": 1032, "JPEG": 1024, "BMP": 128}
_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# What Pillow calls samples without opacity, of 8 bits and fewer or of 16: how many channels.
_OPAQUE = {"1": 1, "L": 1, "I;16": 1, "P": 3, "RGB": 3}
# First row, first column, and steps of both, of the passes of an interlaced PNG.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip
# The last chunk of a PNG; the last marker of a JPEG, after which programs may add their own data.
_LAST_CHUNK, _LAST_MARKER, _ADDED = b"\0\0\0\0IEND\xaeB`\x82", b"\xff\xd9", 65536


def read_picture(request: Request, kind: str) -> Samples:
    """Read a PNG, JPEG or BMP of any depth."""
    path = request.path
    pick(request, 1, "page")
    deep, significant = False, None
    if kind == "PNG":
        deep, significant = _png_depth(path)
    elif kind == "JPEG":
        frame = _jpeg_frame(path)
        if frame is not None and (frame.precision != 8 or frame.lossless):
            return _read_deep_jpeg(path, frame)
    with decoding(path, kind):
        opened = _OPENERS[kind](path)
    with opened as picture:
        if kind == "PNG" and getattr(picture, "is_animated", False):
            raise ImageFileError(f"{path}: is an animation; want one image")
        _check(path, kind, picture, deep)
        with decoding(path, kind):
            orientation, exif = exif_of_picture(picture)
            icc = picture.info.get("icc_profile") or None
            metadata = Metadata(icc, exif, _dpi(picture))
        if deep:
            with decoding(path, kind):
                values = _deep_png(path.read_bytes())
            mode = _CHANNELS[1 if values.ndim == 2 else values.shape[2]]
        else:
            mode = picture.mode
            with decoding(path, kind):
                transparent = picture.has_transparency_data
            if mode == "P" or transparent:
                grey = mode in ("1", "L", "LA")
                mode = ("LA" if grey else "RGBA") if transparent else "RGB"
            if mode not in ("1", "L", "LA", "RGB", "RGBA"):
                raise ImageFileError(
                    f"{path}: colour mode {mode} is not supported; convert it to grey or RGB"
                )
            with decoding(path, kind):
                values = np.asarray(picture if mode == picture.mode else picture.convert(mode))
    channels = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    bit_depth = 16 if deep else 1 if mode == "1" else 8
    alpha = None
    if mode in ("LA", "RGBA"):
        alpha = opacity(channels[-1], 2**bit_depth - 1)
        channels = channels[:-1]
        # A BMP of 32 bits without opacity at all: the fourth byte is not used.
        if kind == "BMP" and alpha is not None and not alpha.any():
            alpha = None
    if significant is not None and _is_scaled(channels, significant, bit_depth):
        significant = None
    return Samples(
        channels, bit_depth, orientation, alpha, significant_bits=significant, metadata=metadata
    )


def _is_scaled(channels: NDArray[Any], bits: int, depth: int) -> bool:
    """Whether samples of fewer bits were scaled to all of them, as the standard of PNG wants.

    There sBIT only says how many of the upper bits came from the camera, and white is that of the
    depth. Others write 12 bits as they are, and mean by sBIT that white is 4095.
    """
    if channels.dtype.kind != "u" or int(channels.max(initial=0)) > 2**bits - 1:
        return True
    # A dark picture that was scaled: its lower bits repeat the upper ones, or are zero.
    upper, lower = channels >> (depth - bits), channels & (2 ** (depth - bits) - 1)
    repeated = _repeated(upper, bits, depth) & (2 ** (depth - bits) - 1)
    return bool(((lower == 0) | (lower == repeated)).all()) and bool(channels.any())


def _repeated(upper: NDArray[Any], bits: int, depth: int) -> NDArray[Any]:
    """Fill lower bits with the upper ones, from the left, as often as they go."""
    found, left = np.zeros_like(upper), depth
    while left > 0:
        left -= bits
        found |= upper << left if left >= 0 else upper >> -left
    return found


def sure_shape_of_picture(path: Path, kind: str) -> tuple[int, int, int] | None:
    """Shape (C, H, W) of a PNG or JPEG by its header, if that and its end are in order.

    None where the pixels decide, or `read_picture` says what is wrong.
    """
    deep, start = False, 0
    if kind == "PNG":
        deep, _ = _png_depth(path)
    else:
        frame = _jpeg_frame(path)
        if frame is None or frame.precision != 8 or frame.lossless:
            return None
        start = frame.end  # before it stand thumbnails, which have an end of their own
    with open(path, "rb") as file:
        file.seek(max(start, path.stat().st_size - _ADDED))
        end = file.read()
    if not (end.endswith(_LAST_CHUNK) if kind == "PNG" else _LAST_MARKER in end):
        return None
    with _OPENERS[kind](path) as picture:
        if getattr(picture, "is_animated", False) or picture.has_transparency_data:
            return None
        _check(path, kind, picture, deep)
        orientation, _ = exif_of_picture(picture)
        width, height = picture.size[::-1] if orientation >= 5 else picture.size
        return (_OPAQUE[picture.mode], height, width) if picture.mode in _OPAQUE else None


def _check(path: Path, kind: str, picture: PIL.Image.Image, deep: bool) -> None:
    samples = {"1": 1 / 8, "L": 1, "P": 1 / 8, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
    stored = samples.get(picture.mode, 1) * (2 if deep else 1)
    check_size(path, kind, picture.size[::-1], stored, packing=_PACKING[kind])


def _dpi(picture: PIL.Image.Image) -> tuple[float, float] | None:
    found = picture.info.get("dpi")
    try:
        across, down = (float(value) for value in found or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def _deep_png(content: bytes) -> NDArray[Any]:
    """Samples of a PNG of 16 bits, (H, W) or (H, W, C).

    libpng prints a warning about those that are interlaced, which the decoder cannot keep it from.
    So each of their seven passes, which is filtered by itself, is decoded as a PNG of its own.
    """
    width, height, _, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    if not interlaced:
        return np.asarray(imagecodecs.png_decode(content))
    chunks = list(_png_chunks(content))
    data = b"".join(chunk for name, chunk in chunks if name == b"IDAT")
    kept = b"".join(png_chunk(name, chunk) for name, chunk in chunks if name == b"tRNS")
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    sizes = [
        (len(range(top, height, down)), len(range(left, width, right)))
        for top, left, down, right in _PASSES
    ]
    lengths = [h * (1 + 2 * channels * w) if w else 0 for h, w in sizes]
    unpacker = zlib.decompressobj()
    lines = unpacker.decompress(data, sum(lengths) + 1)
    if len(lines) != sum(lengths) or not unpacker.eof:
        raise ValueError("its data end early, or late")
    values: NDArray[Any] | None = None
    for (top, left, down, right), (h, w), length in zip(_PASSES, sizes, lengths, strict=True):
        if not length:
            continue
        header = struct.pack(">IIBBBBB", w, h, 16, colour, 0, 0, 0)
        part = png_chunk(b"IHDR", header) + kept
        part += png_chunk(b"IDAT", zlib.compress(lines[:length], 1)) + png_chunk(b"IEND", b"")
        found = np.asarray(imagecodecs.png_decode(content[:8] + part))
        if values is None:
            values = np.empty((height, width, *found.shape[2:]), found.dtype)
        values[top::down, left::right] = found
        lines = lines[length:]
    if values is None:
        raise ValueError("it holds no pixels")
    return values


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of the chunks of a PNG."""
    place = 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 8 + length
        name, data = content[place + 4 : place + 8], content[place + 8 : end]
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(name + data)):
            raise ValueError(f"the check sum of its chunk {name!r} is wrong")
        yield name, data
        if name == b"IEND":  # what programs add after it is none of the picture
            return
        place = end + 4


def _png_depth(path: Path) -> tuple[bool, int | None]:
    """Whether samples have 16 bits, and how many of them are used, if the file says fewer."""
    with open(path, "rb") as file:
        header = file.read(25)
        deep = header[24:] == b"\x10"  # Pillow cuts 16-bit colours down to 8 bits
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"sBIT" and 1 <= length <= 4:
                bits = max(file.read(length), default=0)
                return deep, bits if 1 <= bits < (16 if deep else 8) else None
            file.seek(length + 4, io.SEEK_CUR)
    return deep, None


@dataclass(frozen=True)
class _Frame:
    """What stands before the data of a JPEG."""

    precision: int
    height: int
    width: int
    components: int
    lossless: bool
    end: int
    """Where the header ends."""
    exif: bytes | None
    icc: bytes | None


def _jpeg_frame(path: Path) -> _Frame | None:
    """The first frame header, or None if there is none where it should be."""
    exif, icc = None, b""
    with open(path, "rb") as file:
        file.seek(2)
        while len(marker := file.read(2)) == 2 and marker[0] == 0xFF:
            if marker[1] == 0xFF:  # a fill byte
                file.seek(-1, io.SEEK_CUR)
                continue
            if marker[1] in (0x01, *range(0xD0, 0xD8)):  # without a segment
                continue
            size = int.from_bytes(file.read(2), "big")
            if size < 2 or marker[1] in (0xD9, 0xDA):
                return None
            data = file.read(size - 2)
            if marker[1] == 0xE1 and data.startswith(b"Exif\0\0"):
                exif = data[6:]
            elif marker[1] == 0xE2 and data.startswith(b"ICC_PROFILE\0"):
                icc += data[14:]
            elif 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                if len(data) < 6:
                    return None
                precision, height, width, components = struct.unpack(">BHHB", data[:6])
                lossless = marker[1] in (0xC3, 0xC7, 0xCB)
                return _Frame(
                    precision, height, width, components, lossless, file.tell(), exif, icc or None
                )
    return None


def _read_deep_jpeg(path: Path, frame: _Frame) -> Samples:
    """A JPEG of 12 bits, or one without loss, of 2 to 16 bits: Pillow reads neither."""
    kind = f"JPEG of {frame.precision} bits"
    if not 2 <= frame.precision <= 16 or frame.components not in (1, 3):
        raise ImageFileError(
            f"{path}: is a {kind} and {frame.components} components, which is not read: convert it "
            "to PNG or TIFF"
        )
    shape = (frame.components, frame.height, frame.width)
    check_size(path, kind, shape, 2, packing=_PACKING["JPEG"])
    with decoding(path, kind):
        content = path.read_bytes()
        if content.find(b"\xff\xd9", frame.end) < 0:  # the decoder would fill what is missing
            raise ValueError("its data end early")
        values: NDArray[Any] = np.asarray(imagecodecs.jpeg8_decode(content))
        orientation, exif = (1, None) if frame.exif is None else exif_read(frame.exif)
    channels = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    metadata = Metadata(icc=frame.icc, exif=exif)
    return Samples(channels, frame.precision, orientation, metadata=metadata)
