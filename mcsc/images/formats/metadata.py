"""What a file says of an image besides its pixels: profile, EXIF, resolution, place."""

from __future__ import annotations

import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageCms

if TYPE_CHECKING:
    from .geotiff import MapPlace

__all__ = [
    "Metadata",
    "describe_profile",
    "exif_block",
    "exif_directories",
    "exif_directory",
    "exif_of_picture",
    "exif_read",
    "png_chunk",
    "png_with",
    "same_colours",
    "text_of",
]

_EXIF, _GPS = int(PIL.ExifTags.IFD.Exif), int(PIL.ExifTags.IFD.GPSInfo)
# Of the first directory: description, maker, model, software, date, artist, host, copyright,
# rating, and Windows' title, comment, author, keywords, subject. All else there is of the file.
_KEPT = {270, 271, 272, 305, 306, 315, 316, 33432, 18246, 18249, *range(0x9C9B, 0x9CA0)}
# Of the second: size of the image; and what has places in the old file: maker's notes, an index.
_DROPPED = {0xA002, 0xA003, 0x927C, 0xA005}
# Programs that keep their own description of the file in the field for people's.
_OWN = ("{", "ImageJ=", "<?xml")
_ORIENTATION = 274
_SPACES = {1: b"GRAY", 3: b"RGB "}
_VISIBLE = 2  # levels of 255

Tags: TypeAlias = Mapping[int, Any]


class Text(str):
    """Text of a tag as Pillow reads it, a letter for each byte, which is written as these bytes.

    EXIF says ASCII, and cameras and editors write UTF-8; Pillow would write question marks.
    """

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        """Return the bytes of the file, whatever encoding is asked for."""
        return super().encode("latin-1", "replace")


@dataclass(frozen=True)
class Metadata:
    """Metadata that are copied from an image file to the results."""

    icc: bytes | None = None
    """ICC profile, which says what the numbers mean as colours."""
    exif: bytes | None = None
    """A block of EXIF as in a JPEG, from its byte order on; without orientation, size, thumbnail
    and maker's notes."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, across and down."""
    place: MapPlace | None = None
    """Where it lies on a map."""

    def turned(self, orientation: int) -> Metadata:
        """Return the metadata of the image once it is turned upright."""
        turned = self if orientation == 1 else replace(self, place=None)
        if self.dpi is None or orientation not in (5, 6, 7, 8):
            return turned
        return replace(turned, dpi=self.dpi[::-1])

    def enlarged(self, rows: float, columns: float) -> Metadata:
        """Return the metadata of the image with more pixels, which shows as much as before."""
        dpi = None if self.dpi is None else (self.dpi[0] * columns, self.dpi[1] * rows)
        place = None if self.place is None else self.place.enlarged(rows, columns)
        return replace(self, dpi=dpi, place=place)

    def fitting(self, channels: int) -> Metadata:
        """Return the metadata without a profile that is for another number of channels."""
        if self.icc is None or self.icc[16:20] == _SPACES.get(channels):
            return self
        return replace(self, icc=None)


def exif_block(tags: Tags, exif: Tags, gps: Tags) -> bytes | None:
    """Bytes of those tags that hold for any image made of this one, or None if there are none.

    Parameters
    ----------
    tags, exif, gps : mapping of number to value
        The three directories, as Pillow gives their values.
    """
    block = PIL.Image.Exif()
    for tag, value in tags.items():
        own = tag == 270 and str(value).startswith(_OWN)
        if tag in _KEPT and not own:
            block[tag] = _text(value)
    for number, directory in ((_EXIF, exif), (_GPS, gps)):
        kept = {tag: _text(value) for tag, value in directory.items() if tag not in _DROPPED}
        if kept:
            block.get_ifd(number).update(kept)
    try:
        written = block.tobytes()
    except Exception:  # values that no file can hold, from a file that is damaged
        return None
    # Without any tag: header, count and end.
    return None if len(written) <= 6 + 8 + 2 + 4 else bytes(written[6:])


def _text(value: Any) -> Any:
    return Text(value) if isinstance(value, str) else value


def text_of(decoded: str) -> Text:
    """Text of a reader that decodes it, as it is written in UTF-8."""
    return Text(decoded.encode(errors="replace").decode("latin-1"))


def exif_of_picture(picture: PIL.Image.Image) -> tuple[int, bytes | None]:
    """Orientation of a picture that Pillow opened, and its block of EXIF without."""
    with _quiet():
        return _taken(picture.getexif())


def exif_read(block: bytes) -> tuple[int, bytes | None]:
    """Orientation that a block of EXIF asks for, and the block without."""
    found = PIL.Image.Exif()
    with _quiet():
        found.load(b"Exif\0\0" + block)
        return _taken(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Pillow warns of: tags that are damaged, of which it skips the one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _taken(found: PIL.Image.Exif) -> tuple[int, bytes | None]:
    block = exif_block(dict(found), found.get_ifd(_EXIF), found.get_ifd(_GPS))
    return int(found.get(_ORIENTATION, 1)), block


def exif_directory(file: Any, order: str, offset: int) -> dict[int, Any]:
    """Tags of a directory at a place of a TIFF; none if it is damaged."""
    found = PIL.Image.Exif()
    found.endian = order
    try:
        with _quiet():
            found.load_from_fp(file, offset)
            return dict(found)
    except Exception:  # whatever Pillow raises on damaged data
        return {}


def exif_directories(block: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Tags of the block by directory: the first, that of EXIF, that of GPS."""
    found = PIL.Image.Exif()
    found.load(b"Exif\0\0" + block)
    inner = found.get_ifd(_EXIF), found.get_ifd(_GPS)
    first = {t: v for t, v in found.items() if t not in (_EXIF, _GPS)}
    first, exif, gps = ({t: _text(v) for t, v in tags.items()} for tags in (first, *inner))
    return first, exif, gps


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(content: bytes, metadata: Metadata) -> bytes:
    """A PNG file with a profile, EXIF and resolution added."""
    chunks = []
    if metadata.icc is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi is not None:
        across, down = (min(2**31 - 1, round(value / 0.0254)) for value in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif))
    added = b"".join(png_chunk(name, data) for name, data in chunks)
    after = 8 + 4 + 4 + 13 + 4  # signature and IHDR, which comes first
    return content[:after] + added + content[after:]


def describe_profile(icc: bytes | None) -> str:
    """What to call a profile in a message."""
    if icc is None:
        return "no colour profile, which counts as sRGB"
    try:
        name = PIL.ImageCms.getProfileDescription(PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except Exception:  # whatever a damaged profile makes of it
        name = ""
    return f"the colour profile {' '.join(name.split()) or 'without a name'}"


def same_colours(first: bytes | None, second: bytes | None) -> bool:
    """Whether the same numbers are the same colours to the eye, of two profiles for RGB.

    Two files of one profile may differ, in their date for one. So a cube of colours is brought from
    the one to the other. No profile counts as sRGB; a damaged one is another.
    """
    if first == second:
        return True
    grid = np.array(list(itertools.product((0, 64, 128, 192, 255), repeat=3)), np.uint8)
    try:
        profiles = [
            PIL.ImageCms.createProfile("sRGB")
            if icc is None
            else PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc))
            for icc in (first, second)
        ]
        brought = PIL.ImageCms.profileToProfile(
            PIL.Image.fromarray(grid[None]), profiles[0], profiles[1]
        )
    except Exception:
        return False
    difference = np.abs(np.asarray(brought, np.int16)[0] - grid)
    return bool(difference.max() <= _VISIBLE)
