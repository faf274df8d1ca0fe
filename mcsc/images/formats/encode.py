"""Samples to the content of a file."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import PIL.TiffImagePlugin
import tifffile
from numpy.typing import NDArray

from ..suffixes import DTYPES, WRITABLE
from .base import ImageFileError
from .exr import write_exr
from .metadata import Metadata, exif_directories, png_with

__all__ = ["DEPTHS", "encoded", "kind_of_name", "quantised", "require_fitting", "words_of_tiff"]

DEPTHS = {
    "PNG": (8, 16), "JPEG": (8,), "TIFF": (8, 16, 32), "PFM": (32,), "OpenEXR": (32,),
    "NPY": (8, 16, 32),
}  # fmt: skip
_ANY_CHANNELS = ("TIFF", "NPY")
_EXIF, _GPS = 34665, 34853
_LARGE = 2**31


def kind_of_name(path: Path) -> str:
    """Name of the format that a suffix asks for.

    Raises
    ------
    ImageFileError
        Files of that name are not written.
    """
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise ImageFileError(f"{path}: cannot be written; want a name in {', '.join(WRITABLE)}")
    return kind


def quantised(path: Path, kind: str, pixels: NDArray[Any], bit_depth: int) -> NDArray[Any]:
    """Samples of the file's type, shape (C, H, W), of floats in [0, 1]."""
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageFileError(f"{path}: pixels are {pixels.dtype}; want floats in [0, 1]")
    pixels = require_fitting(path, kind, pixels)
    if bit_depth == 32:
        return pixels.astype(np.float32)
    full = 2**bit_depth - 1
    steps = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * full)
    samples: NDArray[Any] = steps.astype(np.uint8 if bit_depth == 8 else np.uint16)
    return samples


def require_fitting(path: Path, kind: str, pixels: NDArray[Any]) -> NDArray[Any]:
    """The pixels as (C, H, W), or a refusal of what the format cannot hold."""
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ImageFileError(
            f"{path}: pixels have shape {pixels.shape}; want (H, W) or (C, H, W), not empty"
        )
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    if kind not in _ANY_CHANNELS and len(pixels) not in (1, 3):
        raise ImageFileError(
            f"{path}: pixels of shape {pixels.shape} have {len(pixels)} channels; want (C, H, W) "
            f"with 1 or 3 channels for {kind} (TIFF takes any number)"
        )
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise ImageFileError(f"{path}: pixels hold NaN or Inf; want finite values")
    elif pixels.dtype.name not in DTYPES[kind]:
        raise ImageFileError(
            f"{path}: samples are {pixels.dtype}, which {kind} does not hold here; want "
            f"{', '.join(DTYPES[kind])}"
        )
    return pixels


def encoded(path: Path, kind: str, values: NDArray[Any], metadata: Metadata) -> bytes:
    """The content of the file for samples (C, H, W)."""
    colours = np.ascontiguousarray(values.transpose(1, 2, 0)) if len(values) == 3 else None
    picture = np.ascontiguousarray(values[0]) if colours is None else colours
    if kind == "TIFF":
        return _tiff(values if colours is None else colours[None], colours is not None, metadata)
    if kind == "PNG":
        if picture.dtype == np.uint16:
            return png_with(bytes(imagecodecs.png_encode(picture)), metadata)
        file = io.BytesIO()
        PIL.Image.fromarray(picture).save(file, format="PNG")
        return png_with(file.getvalue(), metadata)
    if kind == "JPEG":
        return _jpeg(picture, metadata)
    if kind == "OpenEXR":
        return write_exr(path, values)
    if kind == "PFM":
        height, width = values.shape[1:]
        head = f"{'Pf' if len(values) == 1 else 'PF'}\n{width} {height}\n-1.0\n".encode()
        return head + picture[::-1].astype("<f4").tobytes()
    file = io.BytesIO()
    np.save(file, values[0] if len(values) == 1 else values, allow_pickle=False)
    return file.getvalue()


def _jpeg(picture: NDArray[Any], metadata: Metadata) -> bytes:
    words: dict[str, Any] = {}
    if metadata.icc is not None:
        words["icc_profile"] = metadata.icc
    if metadata.exif is not None and len(metadata.exif) < 65500:  # what one segment holds
        words["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.dpi is not None:
        words["dpi"] = tuple(min(65535, max(1, round(value))) for value in metadata.dpi)
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, format="JPEG", quality=95, subsampling=0, **words)
    return file.getvalue()


def _tiff(pages: NDArray[Any], colour: bool, metadata: Metadata) -> bytes:
    large = pages.nbytes >= _LARGE
    words, directories = words_of_tiff(metadata)
    tags = words.pop("extratags")
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=large) as tif:
        for number, page in enumerate(pages):
            tif.write(
                page,
                photometric="rgb" if colour else "minisblack",
                compression="zlib",
                predictor=True,
                metadata=None,
                extratags=_place(metadata) if number else tags,
                **words,
            )
    content = bytearray(file.getvalue())
    if directories and not large:
        _add_directories(content, directories)
    return bytes(content)


def words_of_tiff(metadata: Metadata) -> tuple[dict[str, Any], dict[int, dict[int, Any]]]:
    """Arguments of `tifffile.TiffWriter.write` that keep metadata, and what it cannot write.

    Returns
    -------
    words : dict
    directories : dict
        Directories of EXIF by the tag that points to them: exposure and GPS.
    """
    first, *inner = ({}, {}, {}) if metadata.exif is None else exif_directories(metadata.exif)
    tags = [tag for code, value in first.items() if (tag := _tag(code, value)) is not None]
    tags += _place(metadata)
    words: dict[str, Any] = {"extratags": tags, "iccprofile": metadata.icc, "software": False}
    if metadata.dpi is not None:
        words |= {"resolution": metadata.dpi, "resolutionunit": "INCH"}
    return words, {code: f for code, f in zip((_EXIF, _GPS), inner, strict=True) if f}


def _place(metadata: Metadata) -> list[tuple[int, str, int, Any, bool]]:
    return [] if metadata.place is None else metadata.place.tags()


def _tag(code: int, value: Any) -> tuple[int, str, int, Any, bool] | None:
    """A tag of the first directory as tifffile takes it, if it is of a type that such tags have."""
    if isinstance(value, str):
        return code, "s", 0, value.encode(), True
    if isinstance(value, bytes) and value:
        return code, "B", len(value), value, True
    if isinstance(value, int) and 0 <= value < 2**16:
        return code, "H", 1, value, True
    return None


def _add_directories(content: bytearray, directories: dict[int, dict[int, Any]]) -> None:
    """Add directories of EXIF to the first page of a TIFF, which tifffile does not write.

    They and a new directory of the page, which points to them, are put at the end.
    """
    order = "<" if content[:2] == b"II" else ">"
    (place,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, place)
    end = place + 2 + 12 * count
    entries = [bytes(content[start : start + 12]) for start in range(place + 2, end, 12)]
    next_page = bytes(content[end : end + 4])
    for code, tags in directories.items():
        content += b"\0" * (len(content) % 2)
        entries.append(struct.pack(order + "HHII", code, 4, 1, len(content)))
        head = bytes(content[:4]) + bytes(4)
        directory = PIL.TiffImagePlugin.ImageFileDirectory_v2(head)
        for tag, value in tags.items():
            directory[tag] = value
        content += directory.tobytes(len(content))
    content += b"\0" * (len(content) % 2)
    struct.pack_into(order + "I", content, 4, len(content))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    content += struct.pack(order + "H", len(entries)) + b"".join(entries) + next_page
