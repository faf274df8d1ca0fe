"""TIFF: pages of any sample type, grey, colour, palettes, JPEG inside, masks of pixels."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from .base import ImageFileError, Request, Samples, check_size, decoding, opacity, pick
from .geotiff import place_of_page
from .metadata import Metadata, exif_block, exif_directory, text_of

__all__ = [
    "StoredImage", "check_stored", "exif_of_tiff", "look_at_tiff", "read_tiff",
    "sure_shape_of_tiff",
]  # fmt: skip

_COLOUR = tifffile.PHOTOMETRIC
_PACKING = tifffile.COMPRESSION
_ALPHA = (1, 2)  # ExtraSamples: associated, unassociated
_ORIENTATION, _LARGEST, _ICC, _EXIF, _GPS, _NODATA = 274, 281, 34675, 34665, 34853, 42113
_ACROSS, _DOWN, _UNIT, _OLD_KIND = 282, 283, 296, 255
_CALLED = {
    "SEPARATED": "it is CMYK; convert it to RGB",
    "CFA": "it is a raw photograph; give its name the ending of the camera's, as .dng",
}
_INCHES = {2: 1.0, 3: 2.54}
# How many times smaller a compression makes samples at most. Others have no such limit.
_TIGHTEST = {int(_PACKING.NONE): 1, int(_PACKING.PACKBITS): 64, int(_PACKING.JPEG): 1024}
_TIGHTER = 40_000
# A file of holes, as GDAL writes them, holds fewer bytes than it declares; there is no harm in it.
_HARMLESS = 2**26

# What tifffile logs about a damaged file becomes the message of an ImageFileError; without any
# handler, Python would print it on stderr a second time.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def read_tiff(request: Request) -> Samples:
    """Read the one image of a TIFF, or the page that is asked for.

    Pages that are marked as reduced, thumbnails and overviews, are none; a page that is marked as
    a mask says which pixels are known.
    """
    path = request.path
    with decoding(path, "TIFF"):
        # The metadata of microscopes may point to other files; one file is one image here.
        opened = tifffile.TiffFile(path, is_ome=False, is_mmstack=False)
    with opened as tif:
        with decoding(path, "TIFF"):
            _require_all_pages(path, tif)
            every = [page for page in tif.pages if isinstance(page, tifffile.TiffPage)]
            pages = [p for p in every if not _is_reduced(p) and not p.is_mask]
        if not pages:
            raise ImageFileError(
                f"{path}: holds reduced images and masks only, no image of full size"
            )
        values, keyframe = _stack(request, tif, pages, whole=len(every) == len(pages))
        found = _samples(path, values, keyframe)
        with decoding(path, "TIFF"):
            found = replace(found, metadata=_metadata(tif, keyframe))
            masks = [p for p in every if p.is_mask and p.shape[:2] == keyframe.shape[:2]]
            known = np.asarray(masks[0].asarray()) if masks else None
        if known is not None and found.alpha is None:
            found = replace(found, alpha=opacity(known, 2 ** masks[0].bitspersample - 1))
    return found


def sure_shape_of_tiff(path: Path) -> tuple[int, int, int] | None:
    """Shape (C, H, W) of a TIFF of one page by its header, if all its data are there.

    None where the pixels decide, or `read_tiff` says what is wrong.
    """
    with tifffile.TiffFile(path, is_ome=False, is_mmstack=False) as tif:
        _require_all_pages(path, tif)
        page = tif.pages.first
        ends = [a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if (
            len(tif.pages) != 1
            or page.axes not in ("YX", "YXS", "SYX")
            or str(page.dtype) not in ("uint8", "uint16")
            or page.photometric not in (_COLOUR.MINISBLACK, _COLOUR.RGB)
            or page.extrasamples
            or unknown_value(page) is not None
            or _is_reduced(page)
            or page.is_mask
            or max(ends, default=0) > path.stat().st_size
        ):
            return None
        _check_pages(path, page)
        _check_room(path, page, (1, *page.shape))
        height, width = page.imagelength, page.imagewidth
        turned = (width, height) if orientation_of(page) >= 5 else (height, width)
        return (page.samplesperpixel, *turned)


def exif_of_tiff(path: Path) -> Metadata:
    """What the first page of a TIFF says of camera and time; nothing if the file is none.

    For raw photographs, most of which are TIFF inside.
    """
    try:
        with tifffile.TiffFile(path, is_ome=False, is_mmstack=False) as tif:
            return Metadata(exif=_metadata(tif, tif.pages.first).exif)
    except Exception:  # of what is no TIFF, or damaged; the picture itself was read
        return Metadata()


def _is_reduced(page: tifffile.TiffPage) -> bool:
    return bool(page.is_reduced) or page.tags.valueof(_OLD_KIND) == 2


def _stack(
    request: Request, tif: tifffile.TiffFile, pages: Sequence[tifffile.TiffPage], *, whole: bool
) -> tuple[NDArray[Any], tifffile.TiffPage]:
    """Pages as one array, and one of them, which speaks for all.

    `whole` says that these are all pages.
    """
    path = request.path
    with decoding(path, "TIFF"):
        series = tif.series
    alike = len({page.shape for page in pages}) == 1  # not the levels of a pyramid
    if whole and alike and len(series) == 1 and (request.page is None or len(pages) == 1):
        # Programs that write one directory for all pages say by other means how many there are.
        keyframe = series[0].keyframe
        _check_pages(path, keyframe)
        count = math.prod(series[0].shape) // max(1, math.prod(keyframe.shape))
        _check_room(path, keyframe, (count, *keyframe.shape))
        with decoding(path, "TIFF"):
            values = series[0].asarray().reshape(-1, *keyframe.shape)
        index = pick(request, len(values), "page")
        return values if index is None else values[index : index + 1], keyframe
    index = pick(request, len(pages), "page")
    chosen = pages if index is None else [pages[index]]
    if len({(p.shape, p.dtype, p.photometric, p.axes) for p in chosen}) > 1:
        sizes = ", ".join(" x ".join(map(str, p.shape)) for p in pages[:4])
        more = ", ..." if len(pages) > 4 else ""
        raise ImageFileError(
            f"{path}: holds {len(pages)} images of different size or type ({sizes}{more}): want "
            "one of them by its page, or pages that are all alike"
        )
    _check_pages(path, chosen[0])
    _check_room(path, chosen[0], (len(chosen), *chosen[0].shape))
    with decoding(path, "TIFF"):
        values = np.stack([page.asarray() for page in chosen])
    return values, chosen[0]


def _check_pages(path: Path, page: tifffile.TiffPage) -> None:
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ImageFileError(f"{path}: pages have axes {page.axes}; want flat images")
    kinds = page.bitspersample, page.compression, page.photometric
    if (
        math.prod(page.shape) == 0
        or page.dtype is None
        or not all(isinstance(k, int) for k in kinds)
    ):
        raise ImageFileError(f"{path}: truncated or damaged TIFF: it holds no pixels")


def _check_room(path: Path, page: tifffile.TiffPage, shape: Sequence[int]) -> None:
    packing: float = _TIGHTEST.get(int(page.compression), _TIGHTER)
    if math.prod(shape) * page.bitspersample / 8 <= _HARMLESS:
        packing = math.inf
    last = page.axes == "YXS"
    planes = (shape[0], shape[3], shape[1], shape[2]) if last else shape
    check_size(path, "TIFF", planes, page.bitspersample / 8, packing=packing)


def _samples(path: Path, pages: NDArray[Any], page: tifffile.TiffPage) -> Samples:
    if page.axes == "YX":
        channels = pages
    elif len(pages) > 1:
        raise ImageFileError(
            f"{path}: holds {len(pages)} pages of {page.samplesperpixel} channels each; "
            "want one of them by its page, or pages of one channel"
        )
    else:
        channels = pages[0] if page.axes == "SYX" else pages[0].transpose(2, 0, 1)
    if channels.dtype.kind not in "bufi":
        raise ImageFileError(f"{path}: samples are {channels.dtype}; want integers or floats")
    is_float = channels.dtype.kind == "f"
    bit_depth = 32 if is_float else page.bitspersample
    counted = channels.dtype.kind in "bu" and bit_depth <= 16
    full = 2**bit_depth - 1 if counted else 1
    if page.photometric == _COLOUR.PALETTE and counted and page.colormap is not None:
        channels, bit_depth = _resolved(path, channels, np.asarray(page.colormap))
        full = 2**bit_depth - 1
    elif page.photometric == _COLOUR.MINISWHITE:
        if counted and not _is_python_bool(page):
            channels = (full - channels.astype(np.uint16)).astype(
                np.uint8 if full < 256 else np.uint16
            )
    elif not (
        page.photometric in (_COLOUR.MINISBLACK, _COLOUR.RGB)
        # The decoder makes RGB of it.
        or (page.photometric == _COLOUR.YCBCR and page.compression == _PACKING.JPEG)
    ):
        name = str(getattr(page.photometric, "name", page.photometric))
        known = _CALLED.get(name, "convert it to grey or RGB")
        raise ImageFileError(f"{path}: photometric interpretation {name} is not supported: {known}")
    alpha = None
    extra = [(kind, place - len(page.extrasamples)) for place, kind in enumerate(page.extrasamples)]
    for kind, place in extra:
        if kind in _ALPHA and len(channels) > 1:
            index = page.samplesperpixel + place
            alpha = opacity(channels[index], full)
            channels = np.delete(channels, index, axis=0)
            if kind == 1 and alpha is not None:
                channels = _divided(channels, alpha, full)
            break
    return Samples(
        channels,
        bit_depth,
        orientation=orientation_of(page),
        alpha=alpha,
        nodata=unknown_value(page),
        significant_bits=_significant(page, bit_depth) if counted else None,
    )


def _is_python_bool(page: tifffile.TiffPage) -> bool:
    """Whether tifffile wrote booleans: it says that 0 is white, and writes True as 1."""
    return bool(page.bitspersample == 1 and str(page.software).startswith("tifffile"))


def _resolved(path: Path, pages: NDArray[Any], colours: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Colours of a palette, (3, H, W), and their depth."""
    if pages.ndim != 3 or len(pages) > 1:
        raise ImageFileError(
            f"{path}: holds {len(pages)} pages of colours; want one of them by its page"
        )
    indices = pages[0].astype(np.intp)
    if colours.ndim != 2 or len(colours) != 3 or indices.max() >= colours.shape[1]:
        raise ImageFileError(f"{path}: truncated or damaged TIFF: its palette is too short")
    if (colours <= 255).all():  # by programs that took its 16 bits for 8
        return colours.astype(np.uint8)[:, indices], 8
    if any((colours % step == 0).all() for step in (256, 257)):  # 8 bits, in either way
        return (colours >> 8).astype(np.uint8)[:, indices], 8
    return colours[:, indices], 16


def _divided(channels: NDArray[Any], alpha: NDArray[np.float32], full: float) -> NDArray[Any]:
    """Colours of which the file holds the product with their opacity."""
    plain = np.where(alpha > 0, channels / np.maximum(alpha, 1e-6), 0)
    if channels.dtype.kind != "f":
        plain = np.minimum(np.rint(plain), full)
    return plain.astype(channels.dtype)


def _significant(page: tifffile.TiffPage, bit_depth: int) -> int | None:
    largest = _whole(page.tags.valueof(_LARGEST))
    if largest is None or not 0 < largest < 2 ** (bit_depth - 1):
        return None
    return largest.bit_length()


def _metadata(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Metadata:
    icc = page.tags.valueof(_ICC)
    names: dict[int, str | bytes | int] = {}
    for tag in page.tags:  # of two descriptions the first is people's
        if isinstance(tag.value, str | bytes | int):
            value = text_of(tag.value) if isinstance(tag.value, str) else tag.value
            names.setdefault(tag.code, value)
    inner = [_directory(tif, page, number) for number in (_EXIF, _GPS)]
    scale = _INCHES.get(_whole(page.tags.valueof(_UNIT)) or 2)
    dpi = None
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (
            page.tags.valueof(code)[0] / page.tags.valueof(code)[1] for code in (_ACROSS, _DOWN)
        )
        if scale is not None and 1 < across < 1e6 and 1 < down < 1e6:
            dpi = (across * scale, down * scale)
    profile = icc if isinstance(icc, bytes) and icc else None
    return Metadata(profile, exif_block(names, *inner), dpi, place_of_page(page))


def _directory(tif: tifffile.TiffFile, page: tifffile.TiffPage, code: int) -> dict[int, Any]:
    """A directory of EXIF, by tag."""
    tag = page.tags.get(code)
    if tag is None or tif.is_bigtiff:
        return {}
    tif.filehandle.seek(tag.offset + 8)
    order: Literal["little", "big"] = "little" if tif.byteorder == "<" else "big"
    offset = int.from_bytes(tif.filehandle.read(4), order)
    return exif_directory(tif.filehandle, tif.byteorder, offset)


def orientation_of(page: tifffile.TiffPage) -> int:
    """Return how a page is stored, 1 to 8 as TIFF and EXIF count; 1 is upright."""
    return _whole(page.tags.valueof(_ORIENTATION)) or 1


def unknown_value(page: tifffile.TiffPage) -> float | None:
    """Return the value that GDAL's tag says is no measurement; None if there is no such tag."""
    return _number(page.tags.valueof(_NODATA))


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _whole(found: Any) -> int | None:
    """The largest of what a tag holds, one number or one per channel."""
    values = found if isinstance(found, tuple) else (found,)
    return max(values) if values and all(isinstance(v, int) for v in values) else None


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


# ------------------------------------------------------------------- without reading pixels
@dataclass(frozen=True)
class StoredImage:
    """What a TIFF says of one of its images, for readers that do not read it whole."""

    number: int
    """Number of its page among all pages, counted from 0."""
    kind: str
    """Photometric interpretation of what the decoder makes of it."""
    transparent: bool
    """Whether it has a channel of opacity."""
    orientation: int
    """As TIFF and EXIF number them; 1 is upright."""
    bit_depth: int
    """Bits of a sample."""
    significant_bits: int | None
    """How many of them are used, if fewer, where the file says so."""
    metadata: Metadata
    """Profile, EXIF, resolution and place."""
    mask: int | None
    """Number of the page that says which of its pixels are known; None if there is none."""


def look_at_tiff(path: Path) -> list[StoredImage]:
    """Return what a TIFF says of its images, as `read_tiff` counts them: no copies, no masks.

    Raises
    ------
    ImageFileError
        It is no TIFF, or damaged; or it says by other means than directories that it holds more.
    """
    with decoding(path, "TIFF"):
        opened = tifffile.TiffFile(path, is_ome=False, is_mmstack=False)
    with opened as tif, decoding(path, "TIFF"):
        _require_all_pages(path, tif)
        every = [(n, p) for n, p in enumerate(tif.pages) if isinstance(p, tifffile.TiffPage)]
        if len(every) == 1 and tif.series[0].size > math.prod(every[0][1].shape):
            raise ImageFileError(
                f"{path}: holds several images behind one directory, which is not understood in "
                "parts: want a directory for each"
            )
        found = []
        for number, page in every:
            if _is_reduced(page) or page.is_mask:
                continue
            decoded = page.photometric == _COLOUR.YCBCR and page.compression == _PACKING.JPEG
            size = page.imagelength, page.imagewidth
            masks = [n for n, p in every if p.is_mask and (p.imagelength, p.imagewidth) == size]
            bits = page.bitspersample if isinstance(page.bitspersample, int) else 0
            counted = page.dtype is not None and page.dtype.kind in "bu" and bits <= 16
            found.append(
                StoredImage(
                    number,
                    "RGB" if decoded else str(getattr(page.photometric, "name", page.photometric)),
                    any(kind in _ALPHA for kind in page.extrasamples),
                    orientation_of(page),
                    bits,
                    _significant(page, bits) if counted else None,
                    _metadata(tif, page),
                    masks[0] if masks else None,
                )
            )
    return found


def check_stored(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse a page whose pixels are not all in the file, or that holds none.

    Raises
    ------
    ImageFileError
        The file ends before they do.
    """
    _check_pages(path, page)
    places = zip(page.dataoffsets, page.databytecounts, strict=True)
    end, size = max((a + n for a, n in places), default=0), path.stat().st_size
    if end > size:
        raise ImageFileError(
            f"{path}: truncated or damaged TIFF: its pixels go on to byte {end}, and it has {size}"
        )
