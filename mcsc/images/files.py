"""Image files to arrays of floats in [0, 1] and back, without losing depth."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import PIL.Image
import tifffile
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidValueError, OutOfMemoryError
from ..files import atomic_write, check_writable
from .suffixes import WRITABLE

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Image", "ImageFileError", "read_image", "write_image"]

_PNG = b"\x89PNG\r\n\x1a\n"
_SIGNATURES = {
    _PNG: "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_READABLE = "want PNG, JPEG, BMP or TIFF"
_DEPTHS = {"PNG": (8, 16), "JPEG": (8,), "TIFF": (8, 16, 32)}
_ORIENTATION = 274  # EXIF and TIFF use one tag number
_LARGEST = 281
_NODATA = 42113  # GDAL's, ASCII
_ALPHA = (1, 2)  # ExtraSamples: associated, unassociated

# What tifffile logs about a damaged file becomes the message of an ImageFileError; without any
# handler, Python would print it on stderr a second time.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class ImageFileError(InvalidValueError):
    """An image file cannot be read or written; the message is one line that names the file."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image and where it came from."""

    pixels: NDArray[np.float32]
    """Shape (C, H, W); in [0, 1], except from float TIFF."""
    bit_depth: int
    """Bits of a sample in the file: 1, 8, 16, or 32 for float TIFF."""
    path: Path
    """The file."""
    alpha: NDArray[np.float32] | None = None
    """Opacity in [0, 1], shape (1, H, W); None where all is opaque."""
    nodata: float | None = None
    """Value of unknown samples in the file's own unit, where the file says so (GDAL_NODATA)."""
    significant_bits: int | None = None
    """How many of `bit_depth` are used, where the file says so (sBIT of PNG, MaxSampleValue)."""

    @property
    def samples(self) -> NDArray[Any]:
        """The samples in the file's own unit, shape (C, H, W): uint8, uint16, or floats.

        Samples of 1 bit are 0 and 255.
        """
        if self.bit_depth >= 32:
            return self.pixels
        dtype = np.uint16 if self.bit_depth > 8 else np.uint8
        samples: NDArray[Any] = np.rint(self.pixels * np.float32(np.iinfo(dtype).max)).astype(dtype)
        return samples


def read_image(path: str | PathLike[str], *, keep_alpha: bool = False) -> Image:
    """Read an image file as floats.

    Parameters
    ----------
    path : path
        PNG (1 to 16 bits, grey, RGB or palette), JPEG, BMP, or TIFF (1, 8, 16 bits, or float; one
        colour page, or any number of grey pages of one size). The content counts, not the suffix.
    keep_alpha : bool
        Return transparency as `Image.alpha`. Otherwise an image with transparent pixels is refused.

    Returns
    -------
    Image
        ``pixels``: float32, shape (C, H, W), the pages of a TIFF as channels. Integers are divided
        by the full range of the file (1, 255 or 65535); floats are kept as they are, NaN included.
        Palettes are expanded to RGB, an opaque alpha channel is dropped, and the orientation that
        EXIF or TIFF asks for is applied.

    Raises
    ------
    ImageFileError
        The file is missing, a folder, empty, not an image, truncated or damaged; or it holds what
        has no one reading as (C, H, W): transparency that is not asked for, CMYK, pages of several
        sizes, several colour pages, animation, other sample types.
    MemoryError
        The image does not fit into memory, by what the file says.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageFileError(f"{path}: is a folder, not an image file; {_READABLE}")
    try:
        with open(path, "rb") as file:
            head = file.read(25)
    except FileNotFoundError:
        raise ImageFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be opened: {error.strerror}") from error
    if not head:
        raise ImageFileError(f"{path}: is empty; {_READABLE}")
    kind = next((k for magic, k in _SIGNATURES.items() if head.startswith(magic)), None)
    if kind is None:
        raise ImageFileError(f"{path}: not an image of a known kind; {_READABLE}")

    if kind == "TIFF":
        found = _read_tiff(path)
    else:
        # Byte 24 of a PNG is its bit depth. Pillow cuts 16-bit colours down to 8 bits.
        deep = kind == "PNG" and head[24:] == b"\x10"
        found = _read_picture(path, kind, deep)

    def upright(values: NDArray[Any]) -> NDArray[np.float32]:
        pixels = values.astype(np.float32)
        if found.bit_depth < 32:
            pixels /= np.float32(2**found.bit_depth - 1)
        return np.ascontiguousarray(_upright(pixels, found.orientation))

    alpha = None if found.alpha is None else upright(found.alpha)
    if alpha is not None and not keep_alpha:
        raise ImageFileError(
            f"{path}: has transparent pixels; want an image without (put it on a background), or, "
            "where masks are taken, the mask 'alpha'"
        )
    return Image(
        upright(found.channels), found.bit_depth, path, alpha, found.nodata, found.significant_bits
    )


@contextmanager
def _decoding(path: Path, kind: str) -> Iterator[None]:
    """Refuse a file that a decoder fails on; in it stand calls of decoders only.

    They raise anything at all on damaged data, and a mistake of our own must not look like it.
    """
    try:
        yield
    except ImageFileError:
        raise
    except MemoryError as error:
        reason = str(error) or "it would not fit"
        raise OutOfMemoryError(f"{path}: there is too little memory: {reason}") from error
    except PIL.Image.DecompressionBombError as error:
        raise ImageFileError(f"{path}: is too large: {error}") from error
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ImageFileError(f"{path}: truncated or damaged {kind}: {reason}") from error


@dataclass(frozen=True)
class _Found:
    """What a decoder found in a file."""

    channels: NDArray[Any]
    """Samples (C, H, W)."""
    bit_depth: int
    orientation: int
    alpha: NDArray[Any] | None = None
    """(1, H, W); None where all is opaque."""
    nodata: float | None = None
    significant_bits: int | None = None


def _read_picture(path: Path, kind: str, deep: bool) -> _Found:
    """Decode a PNG, JPEG or BMP."""
    with _decoding(path, kind):
        opened = PIL.Image.open(path, formats=("PNG", "JPEG", "BMP"))
    with opened as picture:
        if picture.format == "PNG" and getattr(picture, "is_animated", False):
            raise ImageFileError(f"{path}: is an animation; want one image")
        with _decoding(path, kind):
            orientation = int(picture.getexif().get(_ORIENTATION, 1))
        if deep:
            with _decoding(path, kind):
                values = imagecodecs.png_decode(path.read_bytes())
            samples = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
            mode = samples[1 if values.ndim == 2 else values.shape[2]]
        else:
            mode = picture.mode
            if mode == "P" or picture.has_transparency_data:
                grey = mode in ("1", "L", "LA")
                mode = ("LA" if grey else "RGBA") if picture.has_transparency_data else "RGB"
            if mode not in ("1", "L", "LA", "RGB", "RGBA"):
                raise ImageFileError(
                    f"{path}: colour mode {mode} is not supported; convert it to grey or RGB"
                )
            with _decoding(path, kind):
                values = np.asarray(picture if mode == picture.mode else picture.convert(mode))
    channels = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    bit_depth = 16 if deep else 1 if mode == "1" else 8
    alpha = None
    if mode in ("LA", "RGBA"):
        channels, alpha = _split_alpha(channels, len(channels) - 1, 2**bit_depth - 1)
    bits = _significant_bits(path, bit_depth) if kind == "PNG" else None
    return _Found(channels, bit_depth, orientation, alpha, significant_bits=bits)


def _significant_bits(path: Path, bit_depth: int) -> int | None:
    """What the chunk sBIT of a PNG says, if it says less than the bit depth."""
    with open(path, "rb") as file:
        file.seek(len(_PNG))
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"sBIT" and 1 <= length <= 4:
                bits = max(file.read(length))
                return bits if 1 <= bits < bit_depth else None
            file.seek(length + 4, io.SEEK_CUR)
    return None


@dataclass(frozen=True)
class _Tiff:
    """What a TIFF says of its pages, which are all alike."""

    pages: NDArray[Any]
    axes: str
    channels: int
    """Of a page."""
    bit_depth: int
    photometric: int
    extra: tuple[int, ...]
    """What the last channels of a page are."""
    orientation: int
    nodata: float | None
    largest: int | None
    """MaxSampleValue."""


def _open_tiff(path: Path) -> _Tiff:
    # The metadata of microscopes may point to other files; one file is one image here.
    with _decoding(path, "TIFF"), tifffile.TiffFile(path, is_ome=False, is_mmstack=False) as tif:
        _require_all_pages(path, tif)
        if len(tif.series) != 1:
            raise ImageFileError(
                f"{path}: holds {len(tif.series)} images of different size or type; "
                "want pages that are all alike"
            )
        page = tif.series[0].keyframe
        if page.axes not in ("YX", "YXS", "SYX"):
            raise ImageFileError(f"{path}: pages have axes {page.axes}; want flat images")
        pages = tif.series[0].asarray().reshape(-1, *page.shape)
        if pages.size == 0:
            raise ImageFileError(f"{path}: truncated or damaged TIFF: it holds no pixels")
        return _Tiff(
            pages=pages,
            axes=page.axes,
            channels=page.samplesperpixel,
            bit_depth=page.bitspersample,
            photometric=page.photometric,
            extra=tuple(page.extrasamples),
            orientation=int(page.tags.valueof(_ORIENTATION, 1)),
            nodata=_number(page.tags.valueof(_NODATA)),
            largest=_whole(page.tags.valueof(_LARGEST)),
        )


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _whole(found: Any) -> int | None:
    """The largest of what a tag holds, one number or one a channel."""
    values = found if isinstance(found, tuple) else (found,)
    return max(values) if all(isinstance(v, int) for v in values) else None


def _read_tiff(path: Path) -> _Found:
    """Decode a TIFF."""
    tiff = _open_tiff(path)
    if tiff.axes == "YX":
        channels = tiff.pages
    elif len(tiff.pages) > 1:
        raise ImageFileError(
            f"{path}: holds {len(tiff.pages)} pages of {tiff.channels} channels each; "
            "want one such page, or pages of one channel"
        )
    else:
        channels = tiff.pages[0] if tiff.axes == "SYX" else tiff.pages[0].transpose(2, 0, 1)

    is_float = channels.dtype.kind == "f"
    bit_depth = 32 if is_float else tiff.bit_depth
    is_unsigned = channels.dtype.kind in "bu" and bit_depth in (1, 8, 16)
    if not (is_float or is_unsigned):
        raise ImageFileError(
            f"{path}: samples are {bit_depth}-bit {channels.dtype}; "
            "want 1, 8 or 16 bits unsigned, or float"
        )
    full = 1 if is_float else 2**bit_depth - 1
    if tiff.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not is_float:
        channels = full - channels.astype(np.uint16)
    elif tiff.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
        name = getattr(tiff.photometric, "name", tiff.photometric)
        raise ImageFileError(
            f"{path}: photometric interpretation {name} is not supported; convert it to grey or RGB"
        )
    opacity = None
    for back in [i for i, kind in enumerate(reversed(tiff.extra)) if kind in _ALPHA]:
        channels, found = _split_alpha(channels, tiff.channels - 1 - back, full)
        opacity = found if opacity is None else opacity
    bits = None
    if not is_float and tiff.largest is not None and 0 < tiff.largest < 2 ** (bit_depth - 1):
        bits = tiff.largest.bit_length()
    return _Found(channels, bit_depth, tiff.orientation, opacity, tiff.nodata, bits)


def _require_all_pages(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuse a file whose chain of pages is broken: tifffile reads on with those before."""
    where = tif.pages.next_page_offset
    if where is None:
        raise ImageFileError(f"{path}: truncated or damaged TIFF: it has no pages")
    tif.filehandle.seek(where)
    if tif.filehandle.read(tif.tiff.offsetsize) != bytes(tif.tiff.offsetsize):
        raise ImageFileError(
            f"{path}: truncated or damaged TIFF: no page after the first {len(tif.pages)}, "
            "but the file says that there are more"
        )


def _split_alpha(
    channels: NDArray[Any], index: int, full: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Channels without the one of opacity, and that one, if anything is transparent."""
    alpha = channels[index : index + 1]
    return np.delete(channels, index, axis=0), None if (alpha == full).all() else alpha


def _upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(-1, -2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[..., ::-1, :]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[..., ::-1]
    return pixels


def write_image(path: str | PathLike[str], pixels: ArrayLike, bit_depth: int = 8) -> None:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in .png (8, 16 bits), .tif or .tiff (8, 16, 32 bits), or .jpg or .jpeg (8 bits,
        quality 95: not lossless). An existing file is replaced once the new one is complete.
    pixels : array of floats, shape (H, W) or (C, H, W)
        1 or 3 channels; TIFF takes any number, 3 as one RGB page, others as grey pages.
        Values are clipped to [0, 1] and rounded to the nearest step of the file.
    bit_depth : {8, 16, 32}
        Bits of a sample. 32 is float TIFF, which keeps the values as they are, not clipped.

    Raises
    ------
    ImageFileError
        The suffix is not one of those above or does not go with `bit_depth` or the channels;
        `pixels` are not floats, not finite, or of another shape; the folder is missing or cannot
        be written to.
    """
    path = Path(path)
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise ImageFileError(f"{path}: cannot be written; want a name in {', '.join(WRITABLE)}")
    if bit_depth not in _DEPTHS[kind]:
        depths = " or ".join(map(str, _DEPTHS[kind]))
        raise ImageFileError(f"{path}: {kind} cannot hold bit_depth {bit_depth!r}; want {depths}")
    values = _samples(path, kind, np.asarray(pixels), bit_depth)
    try:
        check_writable(path)
        content = _encode(kind, values)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        reason = f"{path}: cannot be written: {error.strerror}" if error.strerror else str(error)
        raise ImageFileError(reason) from error


def _samples(path: Path, kind: str, pixels: NDArray[Any], bit_depth: int) -> NDArray[Any]:
    """Samples of the file's type, shape (C, H, W)."""
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageFileError(f"{path}: pixels are {pixels.dtype}; want floats in [0, 1]")
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ImageFileError(
            f"{path}: pixels have shape {pixels.shape}; want (H, W) or (C, H, W), not empty"
        )
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    if kind != "TIFF" and len(pixels) not in (1, 3):
        raise ImageFileError(
            f"{path}: pixels of shape {pixels.shape} have {len(pixels)} channels; want (C, H, W) "
            f"with 1 or 3 channels for {kind} (TIFF takes any number)"
        )
    if not np.isfinite(pixels).all():
        raise ImageFileError(f"{path}: pixels hold NaN or Inf; want finite values")
    if bit_depth == 32:
        return pixels.astype(np.float32)
    full = 2**bit_depth - 1
    steps = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * full)
    samples: NDArray[Any] = steps.astype(np.uint8 if bit_depth == 8 else np.uint16)
    return samples


def _encode(kind: str, values: NDArray[Any]) -> bytes:
    """The content of the file for samples (C, H, W)."""
    colours = np.ascontiguousarray(values.transpose(1, 2, 0)) if len(values) == 3 else None
    picture = values[0] if colours is None else colours
    if kind != "TIFF" and picture.dtype == np.uint16:
        return bytes(imagecodecs.png_encode(picture))
    file = io.BytesIO()
    if kind == "TIFF":
        with tifffile.TiffWriter(file) as tif:
            for page in values if colours is None else [colours]:
                tif.write(
                    page,
                    photometric="minisblack" if colours is None else "rgb",
                    compression="zlib",
                    predictor=True,
                    metadata=None,
                )
    elif kind == "PNG":
        PIL.Image.fromarray(picture).save(file, format="PNG")
    else:
        PIL.Image.fromarray(picture).save(file, format="JPEG", quality=95, subsampling=0)
    return file.getvalue()
