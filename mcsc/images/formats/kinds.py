"""What kind of file it is, by its content; and what to do with kinds that are not read."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from .base import ImageFileError

__all__ = ["READABLE", "kind_of"]

READABLE = "want PNG, JPEG, BMP, TIFF, PGM, PPM, PFM, OpenEXR, Radiance, .npy, .mat, NIfTI or DICOM"

_HEAD = 4096  # bytes that are looked at


class _Kind(NamedTuple):
    name: str
    offset: int
    magic: bytes
    advice: str | None = None
    """What to do about a file of a kind that is refused; None for kinds that are read."""


_PICTURE = "convert it to PNG or TIFF, with ImageMagick for one"
_FLOATS = "convert it to TIFF, OpenEXR or .npy"
_SCAN = "convert it to NIfTI, with SimpleITK or 3D Slicer for one"
_VIDEO = "take frames out of it as PNG, with ffmpeg for one"
_ARCHIVE = "unpack it first"

# The first that fits counts.
_KINDS = (
    _Kind("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    _Kind("JPEG-LS", 0, b"\xff\xd8\xff\xf7", _PICTURE),
    _Kind("JPEG", 0, b"\xff\xd8\xff"),
    _Kind("BMP", 0, b"BM"),
    _Kind("TIFF", 0, b"II*\0"),
    _Kind("TIFF", 0, b"MM\0*"),
    _Kind("TIFF", 0, b"II+\0"),
    _Kind("TIFF", 0, b"MM\0+"),
    _Kind("PNM", 0, b"P5"),
    _Kind("PNM", 0, b"P6"),
    _Kind("PFM", 0, b"Pf"),
    _Kind("PFM", 0, b"PF"),
    _Kind("OpenEXR", 0, b"v/1\x01"),
    _Kind("Radiance", 0, b"#?RADIANCE"),
    _Kind("Radiance", 0, b"#?RGBE"),
    _Kind("NPY", 0, b"\x93NUMPY"),
    _Kind("MATLAB", 0, b"MATLAB 5.0 MAT-file"),
    _Kind("MATLAB 7.3", 0, b"MATLAB 7.3 MAT-file"),
    _Kind("DICOM", 128, b"DICM"),
    _Kind("NIfTI", 344, b"n+1\0"),
    _Kind("NIfTI", 4, b"n+2\0\r\n\x1a\n"),
    _Kind("RAW", 0, b"IIRO"),  # Olympus
    _Kind("RAW", 0, b"IIRS"),
    _Kind("RAW", 0, b"IIU\0"),  # Panasonic
    _Kind("RAW", 0, b"FUJIFILMCCD-RAW"),
    _Kind("RAW", 4, b"ftypcrx "),  # Canon
    # Refused
    _Kind("NIfTI pair", 344, b"ni1\0", "save it as one file, .nii or .nii.gz"),
    _Kind("plain PBM, PGM or PPM", 0, b"P1", "save it in the binary form (P5, P6) or as PNG"),
    _Kind("plain PBM, PGM or PPM", 0, b"P2", "save it in the binary form (P5, P6) or as PNG"),
    _Kind("plain PBM, PGM or PPM", 0, b"P3", "save it in the binary form (P5, P6) or as PNG"),
    _Kind("PBM", 0, b"P4", _PICTURE),
    _Kind("PAM", 0, b"P7", _PICTURE),
    _Kind("AVIF", 4, b"ftypavif", _PICTURE),
    _Kind("HEIF (HEIC)", 4, b"ftyphei", "export it as PNG or JPEG, or convert it by heif-convert"),
    _Kind("HEIF (HEIC)", 4, b"ftyphev", "export it as PNG or JPEG, or convert it by heif-convert"),
    _Kind("HEIF (HEIC)", 4, b"ftypmif1", "export it as PNG or JPEG, or convert it by heif-convert"),
    _Kind("HEIF (HEIC)", 4, b"ftypmsf1", "export it as PNG or JPEG, or convert it by heif-convert"),
    _Kind("a video (MP4, MOV)", 4, b"ftyp", _VIDEO),
    _Kind("a video (Matroska, WebM)", 0, b"\x1aE\xdf\xa3", _VIDEO),
    _Kind("a video (AVI)", 8, b"AVI ", _VIDEO),
    _Kind("WebP", 8, b"WEBP", _PICTURE),
    _Kind("GIF", 0, b"GIF8", _PICTURE),
    _Kind("JPEG 2000", 0, b"\0\0\0\x0cjP  ", _PICTURE),
    _Kind("JPEG 2000", 0, b"\xff\x4f\xff\x51", _PICTURE),
    _Kind("JPEG XL", 0, b"\0\0\0\x0cJXL ", _PICTURE),
    _Kind("JPEG XL", 0, b"\xff\x0a", _PICTURE),
    _Kind("JPEG XR", 0, b"II\xbc", _PICTURE),
    _Kind("Photoshop (PSD)", 0, b"8BPS", "save it as TIFF, flattened"),
    _Kind("GIMP (XCF)", 0, b"gimp xcf", "export it as PNG or TIFF"),
    _Kind("DirectDraw (DDS)", 0, b"DDS ", _PICTURE),
    _Kind("an icon", 0, b"\0\0\x01\0", _PICTURE),
    _Kind("QOI", 0, b"qoif", _PICTURE),
    _Kind("Sintel's depth or flow (.dpt, .flo)", 0, b"PIEH", _FLOATS),
    _Kind("HDF5", 0, b"\x89HDF\r\n\x1a\n", "save the one array as .npy or TIFF"),
    _Kind("NetCDF", 0, b"CDF\x01", "save the one array as .npy or TIFF"),
    _Kind("NetCDF", 0, b"CDF\x02", "save the one array as .npy or TIFF"),
    _Kind("FITS", 0, b"SIMPLE  =", "save the one array as .npy or TIFF"),
    _Kind("MetaImage", 0, b"ObjectType", _SCAN),
    _Kind("NRRD", 0, b"NRRD", _SCAN),
    _Kind("a point cloud (PLY)", 0, b"ply\n", "project it to a depth map first"),
    _Kind("a point cloud (PLY)", 0, b"ply\r\n", "project it to a depth map first"),
    _Kind("a point cloud (PCD)", 0, b"# .PCD", "project it to a depth map first"),
    _Kind("PDF", 0, b"%PDF", "export its pictures as PNG"),
    _Kind("PostScript", 0, b"%!PS", _PICTURE),
    _Kind("a NumPy archive (.npz) or ZIP", 0, b"PK\x03\x04", "save the one array as .npy"),
    _Kind("a RAR archive", 0, b"Rar!", _ARCHIVE),
    _Kind("a 7z archive", 0, b"7z\xbc\xaf", _ARCHIVE),
    _Kind("compressed by bzip2", 0, b"BZh", _ARCHIVE),
    _Kind("compressed by xz", 0, b"\xfd7zXZ", _ARCHIVE),
    _Kind("compressed by zstd", 0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    _Kind("compressed by gzip", 0, b"\x1f\x8b", _ARCHIVE),
    _Kind("a pickle of Python", 0, b"\x80\x04\x95", "save the array as .npy"),
    _Kind(
        "a pointer of Git LFS", 0, b"version https://git-lfs", "fetch the file itself: git lfs pull"
    ),
)
_TEXT = {b"<svg": "SVG", b"<!doctype html": "a web page", b"<html": "a web page", b"<?xml": "XML"}

# These are TIFF inside, with a small picture as its first page.
_RAW_SUFFIXES = {
    ".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".nef", ".nrw", ".pef", ".rwl", ".sr2", ".srf", ".srw",
}  # fmt: skip


def kind_of(path: Path) -> str:
    """Name of the kind of file, of those that are read.

    Raises
    ------
    ImageFileError
        It is missing, a folder, a pipe, empty, cannot be opened, or of a kind that is not read.
    """
    if path.is_dir():
        raise ImageFileError(f"{path}: is a folder, not an image file; {READABLE}")
    if path.exists() and not path.is_file():
        # To open a pipe is to wait until somebody writes to it.
        raise ImageFileError(f"{path}: is a pipe or a device; want a file on disk")
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        raise ImageFileError(f"{path}: no such file{_why_none(path)}") from None
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be opened: {error.strerror}") from error
    if not head:
        raise ImageFileError(f"{path}: is empty; {READABLE}")
    if head.startswith(b"\x1f\x8b") and _unzipped(head)[344:348] == b"n+1\0":
        return "NIfTI"
    kind = next((k for k in _KINDS if head.startswith(k.magic, k.offset)), None)
    if kind is None:
        named = next((n for word, n in _TEXT.items() if head.lower().lstrip().startswith(word)), "")
        if named:
            raise ImageFileError(f"{path}: is {named}, not an image of pixels; {READABLE}")
        if path.suffix.lower() == ".mat":  # of MATLAB's format 4, or Octave's own
            raise ImageFileError(
                f"{path}: is no MATLAB file of the formats 5 to 7.3; save it with -v7, as "
                "MATLAB and Octave can"
            )
        raise ImageFileError(f"{path}: not an image of a known kind; {READABLE}")
    if kind.advice is not None:
        raise ImageFileError(f"{path}: is {kind.name}, which is not read: {kind.advice}")
    if kind.name == "TIFF" and path.suffix.lower() in _RAW_SUFFIXES:
        return "RAW"
    return kind.name


def _why_none(path: Path) -> str:
    """Why a name leads nowhere: a link to nothing, or what only other programs understand."""
    if path.is_symlink():
        return f"; it is a link to {path.readlink()}"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # not the C: of Windows
        return "; want one on this machine by its path, not an address"
    return "; only a shell knows ~: want the whole path" if str(path).startswith("~") else ""


def _unzipped(head: bytes) -> bytes:
    """The first bytes of what gzip packed."""
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, 1024)
    except (zlib.error, gzip.BadGzipFile):
        return b""
