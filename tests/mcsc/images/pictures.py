"""Image files of all kinds, for the tests of reading and writing them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import tifffile


def colours(dtype=np.uint8, shape=(11, 13, 3)):
    """Random samples, (H, W, C), with both ends of the range."""
    full = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, full, shape, dtype, endpoint=True)
    values.flat[:2] = 0, full
    return values


def planes(values):
    """What read_image should give for samples (H, W, C) or (H, W)."""
    full = np.float32(np.iinfo(values.dtype).max)
    return np.atleast_3d(values).transpose(2, 0, 1).astype(np.float32) / full


def save(path, values, **options):
    PIL.Image.fromarray(values).save(path, **options)
    return path


def opened(path):
    with PIL.Image.open(path) as picture:
        picture.load()
    return picture


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples, depth, colour_type, extra=b""):
    """A PNG file of rows of bytes, for what no library here writes."""
    height = len(samples)
    width = 8 * len(samples[0]) // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type])
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row for row in samples)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def deep_png(values, colour_type, extra=b""):
    return png([row.astype(">u2").tobytes() for row in values], 16, colour_type, extra)


def interlaced_png(values, colour_type, extra=b""):
    """The same in the seven passes of Adam7."""
    rows = b""
    for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):  # fmt: skip
        part = values[top::down, left::right]
        rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part if row.size)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 1)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def dng(path, values):
    """A raw photograph without compression: a Bayer mosaic, after a thumbnail."""
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Maker Model", True),
        (272, "s", 0, "Maker Model", True),
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50714, "H", 1, 0, True),  # BlackLevel
        (50717, "H", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),
    ]
    tifffile.imwrite(path, values, photometric=32803, metadata=None, extratags=tags)
    return path
