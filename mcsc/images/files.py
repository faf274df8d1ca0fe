"""Image files to arrays of floats in [0, 1] and back, without losing depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_unmasked
from ..files import atomic_write, check_writable
from .formats import encode
from .formats.base import ImageFileError, Request, Samples, full_scale, is_scaled, told_white
from .formats.exr import read_exr
from .formats.floats import read_npy, read_pfm, read_pnm, read_radiance
from .formats.kinds import kind_of
from .formats.matlab import read_matlab, read_matlab_73
from .formats.medical import read_slice
from .formats.metadata import Metadata
from .formats.pictures import read_picture, sure_shape_of_picture
from .formats.raw import read_raw
from .formats.tiff import read_tiff, sure_shape_of_tiff

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "Image",
    "ImageFileError",
    "read_image",
    "sure_shape",
    "write_image",
    "write_samples",
]

_READERS: dict[str, Callable[[Request], Samples]] = {
    "PNG": lambda request: read_picture(request, "PNG"),
    "JPEG": lambda request: read_picture(request, "JPEG"),
    "BMP": lambda request: read_picture(request, "BMP"),
    "TIFF": read_tiff,
    "PNM": read_pnm,
    "PFM": read_pfm,
    "OpenEXR": read_exr,
    "Radiance": read_radiance,
    "NPY": read_npy,
    "MATLAB": read_matlab,
    "MATLAB 7.3": read_matlab_73,
    "NIfTI": lambda request: read_slice(request, "NIfTI"),
    "DICOM": lambda request: read_slice(request, "DICOM"),
    "RAW": read_raw,
}
_SURE: dict[str, Callable[[Path], tuple[int, int, int] | None]] = {
    "PNG": lambda path: sure_shape_of_picture(path, "PNG"),
    "JPEG": lambda path: sure_shape_of_picture(path, "JPEG"),
    "TIFF": sure_shape_of_tiff,
}
_NAMED = ("OpenEXR", "MATLAB", "MATLAB 7.3")


@dataclass(frozen=True, eq=False)
class Image:
    """An image that was read from a file, with what the file says about it."""

    pixels: NDArray[np.float32]
    """Shape (C, H, W); in [0, 1] where the samples are unsigned, of up to 16 bits, else in the unit
    of the file."""
    bit_depth: int
    """Bits of a sample in the file: 1, 8, 12, 16, ...; 32 for floats of any size."""
    path: Path
    """The file."""
    alpha: NDArray[np.float32] | None = None
    """Opacity in [0, 1], shape (1, H, W); None where all is opaque."""
    nodata: float | None = None
    """Value of unknown samples in the unit of the file, where it says so (GDAL_NODATA)."""
    significant_bits: int | None = None
    """How many of `bit_depth` are used, where the file says so (sBIT of PNG, MaxSampleValue)."""
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    """Type of the samples in the file; those of fewer than 8 bits are uint8."""
    metadata: Metadata = field(default_factory=Metadata)
    """Colour profile, EXIF and resolution."""
    white: int | None = None
    """The count that is white, where it is another than the largest of `bit_depth` bits (PGM)."""
    note: str = ""
    """What was done to the samples that the user should know of; most often nothing."""

    @property
    def full_scale(self) -> float:
        """White in the unit of the file, for unsigned integers of up to 16 bits; else 1.

        `pixels` are the samples over that.
        """
        return full_scale(self.dtype, self.bit_depth, self.white)

    @property
    def told_white(self) -> int | None:
        """White in integers that do not fill their type, where the file says so."""
        return told_white(self.dtype, self.bit_depth, self.significant_bits, self.white)

    @property
    def samples(self) -> NDArray[Any]:
        """The samples in the unit of the file, shape (C, H, W): integers, or floats.

        Those of one bit are 0 and 255. Integers beyond 2^24 are rounded as floats are.
        """
        if self.dtype.kind == "f":
            return self.pixels
        if not is_scaled(self.dtype):
            # The largest float32 below the end of int32 is not within it.
            info = np.iinfo(self.dtype)
            rounded = np.rint(self.pixels.astype(np.float64)).clip(info.min, info.max)
            whole: NDArray[Any] = rounded.astype(self.dtype)
            return whole
        full = np.float32(self.full_scale)
        levels: NDArray[Any] = np.rint(self.pixels * full).astype(self.dtype)
        return levels


def read_image(
    path: str | PathLike[str],
    *,
    page: int | None = None,
    variable: str | None = None,
    keep_alpha: bool = False,
) -> Image:
    """Read an image file as floats.

    Parameters
    ----------
    path : path
        PNG, JPEG (8 and 12 bits, and without loss), BMP; TIFF of integers and floats of any size,
        grey, colour, palette or bands; PGM, PPM, PFM, Radiance; NumPy's .npy, MATLAB's .mat. With
        extras of the package OpenEXR ``[exr]``, .mat of format 7.3 ``[matlab]``, slices of NIfTI
        and DICOM ``[medical]``, raw photographs ``[raw]``. The content counts, not the suffix.
    page : int, optional
        Page of a TIFF file with several, counted from 1, reduced copies left out; a slice of a
        volume, a channel of an array, a part of OpenEXR. Default: all pages of a TIFF, as channels.
    variable : str, optional
        Name of a variable of a .mat file, or of a channel of OpenEXR. Default: the only one.
    keep_alpha : bool
        Return transparency as `Image.alpha`. Otherwise an image with transparent pixels is refused.

    Returns
    -------
    Image
        ``pixels``: float32, shape (C, H, W). Unsigned integers of up to 16 bits are divided by the
        full range of the file (1, 255, 4095, 65535, or what a PGM says); floats, signed and larger
        integers are kept as they are, NaN included. Palettes are expanded to RGB, an opaque alpha
        channel is dropped, and the orientation that EXIF or TIFF asks for is applied.

    Raises
    ------
    ImageFileError
        The file is missing, a folder, empty, truncated or damaged, or of a kind that is not read;
        or it holds what has no one reading as (C, H, W): transparency that is not asked for, CMYK,
        pages of several sizes, several colour pages, animation, several variables.
    MemoryError
        The image does not fit into memory, by what the file says.
    ModuleNotFoundError
        The kind needs an extra of the package that is not installed.

    Notes
    -----
    Nothing larger than a file of its size can hold is allocated. Memory: the samples as they are
    stored, and once more as float32.
    """
    path = Path(path)
    kind = kind_of(path)
    if variable is not None and kind not in _NAMED:
        raise ImageFileError(f"{path}: is {kind}, which has no variables or channels by name")
    found = _READERS[kind](Request(path, page, variable))
    if found.alpha is not None and not keep_alpha:
        raise ImageFileError(
            f"{path}: has transparent pixels; want an image without (put it on a background), or, "
            "where masks are taken, the mask 'alpha'"
        )
    pixels, note = _in_float32(found.values), found.note
    if found.values.dtype.kind == "f" and (np.isinf(pixels) & np.isfinite(found.values)).any():
        note = "; ".join(
            [*([note] if note else []), "values beyond what float32 holds are read as Inf"]
        )
    # Those of one bit are 0 and 1 here.
    if is_scaled(found.values.dtype) and found.bit_depth > 1:
        pixels /= np.float32(full_scale(found.values.dtype, found.bit_depth, found.white))
    return Image(
        _upright(pixels, found.orientation),
        found.bit_depth,
        path,
        alpha=None if found.alpha is None else _upright(found.alpha, found.orientation),
        nodata=found.nodata,
        significant_bits=found.significant_bits,
        white=found.white,
        dtype=np.dtype(np.uint8) if found.values.dtype == bool else _native(found.values.dtype),
        metadata=found.metadata.turned(found.orientation),
        note=note,
    )


def sure_shape(path: Path) -> tuple[int, int, int] | None:
    """Return the shape (C, H, W) that an image file is read in, if its header vouches for it.

    That takes about a millisecond. It holds for PNG, JPEG and TIFF of unsigned integers without
    transparency that end where they should; whether the pixels between are damaged it does not say.
    None stands for every other file: only `read_image` tells whether it can be read, and as what.
    """
    try:
        look = _SURE.get(kind_of(path))
        return None if look is None else look(path)
    except Exception:  # whatever is wrong with it, `read_image` says it in words
        return None


def _in_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    # NumPy would warn of values that are too large, which become Inf.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    # What is no integer has become float32, as the pixels.
    return np.dtype(np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")


def _upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(-1, -2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[..., ::-1, :]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[..., ::-1]
    return np.ascontiguousarray(pixels)


def write_image(
    path: str | PathLike[str],
    pixels: ArrayLike,
    bit_depth: int = 8,
    *,
    metadata: Metadata | None = None,
) -> None:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in .png (8, 16 bits), .tif or .tiff (8, 16, 32 bits), .jpg or .jpeg (8 bits, quality
        95: not lossless), or, of 32 bits, .pfm, .exr (the extra ``[exr]``) or .npy. An existing
        file is replaced once the new one is complete.
    pixels : array of floats, shape (H, W) or (C, H, W)
        1 or 3 channels; TIFF and .npy take any number, TIFF writes 3 as one RGB page, others as
        grey pages. Values are clipped to [0, 1] and rounded to the nearest step of the file.
    bit_depth : {8, 16, 32}
        Bits of a sample. 32 are floats, which keep the values as they are, not clipped.
    metadata : Metadata, optional
        Profile, EXIF and resolution, as far as the format holds them. A profile for another number
        of channels is left out.

    Raises
    ------
    ImageFileError
        The suffix is not one of those above or does not go with `bit_depth` or the channels;
        `pixels` are not floats, not finite, or of another shape; the folder is missing or cannot
        be written to.
    """
    path = Path(path)
    kind = encode.kind_of_name(path)
    if bit_depth not in encode.DEPTHS[kind]:
        depths = " or ".join(map(str, encode.DEPTHS[kind]))
        raise ImageFileError(f"{path}: {kind} cannot hold bit_depth {bit_depth!r}; want {depths}")
    check_unmasked("pixels", pixels)
    values = encode.quantised(path, kind, np.asarray(pixels), bit_depth)
    _write(path, kind, values, metadata)


def write_samples(
    path: str | PathLike[str], samples: ArrayLike, *, metadata: Metadata | None = None
) -> None:
    """Write samples as they are, whole or not at all.

    Parameters
    ----------
    path : path
        As `write_image` takes it.
    samples : array, shape (H, W) or (C, H, W)
        uint8, uint16, int16 (TIFF and .npy only), or floats, which are written as float32 (TIFF,
        .npy, .pfm and .exr).
    metadata : Metadata, optional
        As in `write_image`.

    Raises
    ------
    ImageFileError
        As in `write_image`; or the format does not hold samples of that type.
    """
    path = Path(path)
    kind = encode.kind_of_name(path)
    check_unmasked("samples", samples)
    values = np.asarray(samples)
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
        if 32 not in encode.DEPTHS[kind]:
            raise ImageFileError(
                f"{path}: {kind} cannot hold floats; want .tif, .npy, .pfm or .exr"
            )
    _write(path, kind, encode.require_fitting(path, kind, values), metadata)


def _write(path: Path, kind: str, values: NDArray[Any], metadata: Metadata | None) -> None:
    try:
        check_writable(path)
        content = encode.encoded(path, kind, values, (metadata or Metadata()).fitting(len(values)))
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        reason = f"{path}: cannot be written: {error.strerror}" if error.strerror else str(error)
        raise ImageFileError(reason) from error
