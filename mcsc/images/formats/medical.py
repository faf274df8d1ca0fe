"""NIfTI and DICOM: volumes of slices with their place in space."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ...backend.limits import available_memory
from ...errors import MissingExtraError
from ...files import atomic_write, check_writable
from .base import ImageFileError, Request, Samples, check_size, decoding, pick
from .dicom import DicomHeader, DicomSlice, places_of
from .kinds import kind_of

__all__ = ["Volume", "is_volume", "read_slice", "read_volume", "same_grid", "write_volume"]

_SUFFIXES = (".nii", ".nii.gz")
_PACKING = 1032  # of deflate
_LOOKED_AT = 200  # files of a folder that may hold a series
_ALIKE = 1e-3  # millimetres by which places of voxels may differ


@dataclass(frozen=True, eq=False)
class Volume:
    """Slices of a body and where they lie."""

    slices: NDArray[np.float32]
    """Shape (slices, H, W), in the unit of the file: Hounsfield units for CT."""
    affine: NDArray[np.float64]
    """From the indices of `grid` to millimetres, right, anterior, superior: 4 x 4, as NIfTI has."""
    dtype: np.dtype[Any]
    """Type of the samples in the file."""
    path: Path
    note: str = ""
    """What was done to the samples."""

    @property
    def grid(self) -> NDArray[np.float32]:
        """The voxels in NIfTI's order (i, j, k): k is the slice, j the row."""
        return self.slices.transpose(2, 1, 0)


def is_volume(path: Path) -> bool:
    """Whether it is NIfTI, DICOM, or a folder with DICOM files among its first ones."""
    if path.is_dir():
        files = itertools.islice((p for p in path.rglob("*") if p.is_file()), _LOOKED_AT)
        return any(_is_dicom(p) for p in files)
    try:
        return kind_of(path) in ("NIfTI", "DICOM")
    except ImageFileError:
        return False


def read_slice(request: Request, kind: str) -> Samples:
    """Read one slice as an image."""
    path = request.path
    volume = read_volume(path) if kind == "NIfTI" else _read_dicom([path], path, picked=True)
    index = pick(request, len(volume.slices), "slice")
    if index is None and len(volume.slices) > 1:
        raise ImageFileError(
            f"{path}: holds {len(volume.slices)} slices: want one of them, as a page, or "
            "mcsc fuse, which takes volumes"
        )
    values = volume.slices[index or 0][None]
    if volume.dtype.kind in "iu" and volume.dtype.itemsize <= 2:
        depth = 8 * volume.dtype.itemsize
        return Samples(values.astype(volume.dtype), depth, note=volume.note)
    return Samples(values, 32, note=volume.note)


def read_volume(path: Path) -> Volume:
    """Read a volume: a NIfTI file, a DICOM file, or a folder of one DICOM series.

    Returns
    -------
    Volume
        Samples by the slope and intercept that the files tell.

    Raises
    ------
    ImageFileError
        It is no such file or folder, damaged, or not one volume: several series, four dimensions,
        slices missing.
    ModuleNotFoundError
        nibabel or pydicom is not installed.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and _is_dicom(p))
        if not files:
            raise ImageFileError(f"{path}: is a folder without DICOM files")
        return _read_dicom(files, path)
    return _read_nifti(path) if kind_of(path) == "NIfTI" else _read_dicom([path], path)


def same_grid(first: Volume, second: Volume) -> str:
    """Why two volumes cannot be taken voxel by voxel; empty if they can."""
    if first.slices.shape != second.slices.shape:
        a, b = (" x ".join(map(str, v.grid.shape)) for v in (first, second))
        return f"{second.path} is {b} voxels, {first.path} is {a}"
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in first.grid.shape], [1])).reshape(4, -1)
    apart = np.abs((first.affine - second.affine) @ corners).max()
    if apart > _ALIKE * max(1.0, np.abs(first.affine[:3, :3]).max()):
        return f"{second.path} lies up to {apart:.3g} mm beside {first.path}"
    return ""


def write_volume(path: Path, volume: Volume) -> float:
    """Write a volume as NIfTI, whole or not at all.

    Integers of up to 16 bits stay what they are, all else is written as floats of 32 bits.

    Returns
    -------
    float
        Share of the values that lay beyond the ends of the integers, and were cut off there.
    """
    nibabel = _nibabel(path)
    check_writable(path)
    grid: NDArray[Any] = volume.grid
    cut = 0.0
    if volume.dtype.kind in "iu" and volume.dtype.itemsize <= 2:
        limits = np.iinfo(volume.dtype)
        rounded = np.rint(grid)
        cut = float(np.mean((rounded < limits.min) | (rounded > limits.max)))
        grid = np.clip(rounded, limits.min, limits.max).astype(volume.dtype)
    image = nibabel.Nifti1Image(grid, volume.affine)
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    with atomic_write(path) as file:
        file.write(gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)
    return cut


# ------------------------------------------------------------------------------------- NIfTI
def _nibabel(path: Path) -> Any:
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: NIfTI needs nibabel: install mcsc[medical]") from error
    return nibabel


def _read_nifti(path: Path) -> Volume:
    nibabel = _nibabel(path)
    with decoding(path, "NIfTI file"):
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        content = _unzipped(path) if packed else path.read_bytes()
        version = nibabel.Nifti2Image if content[:4] in _SECOND else nibabel.Nifti1Image
        image = version.from_bytes(content)
        shape, dtype = tuple(int(n) for n in image.shape), np.dtype(image.get_data_dtype())
    if dtype.kind not in "iuf":
        raise ImageFileError(f"{path}: holds {dtype} voxels; want integers or floats")
    flat = shape + (1,) * (3 - len(shape))
    if len(flat) > 3 and set(flat[3:]) <= {1}:
        flat = flat[:3]
    if len(flat) != 3:
        raise ImageFileError(
            f"{path}: has {len(shape)} dimensions, {' x '.join(map(str, shape))}; want one volume "
            "of three: take one out with nibabel's four_to_three"
        )
    check_size(path, "NIfTI file", flat, dtype.itemsize, packing=_PACKING if packed else 1)
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    if not np.isfinite([slope, intercept]).all():
        raise ImageFileError(f"{path}: truncated or damaged NIfTI file: its slope is {slope}")
    scaled = (slope, intercept) != (1, 0)
    with decoding(path, "NIfTI file"):
        grid = np.asanyarray(image.dataobj).reshape(flat)
        affine = np.asarray(image.affine, np.float64)
    with np.errstate(over="ignore"):  # what float32 does not hold becomes Inf
        slices = np.ascontiguousarray(grid.transpose(2, 1, 0), np.float32)
    note = f"scaled by its slope {slope:g} and intercept {intercept:g}" if scaled else ""
    return Volume(slices, affine, np.dtype(np.float32) if scaled else dtype, path, note)


_SECOND = ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))


def _unzipped(path: Path) -> bytes:
    """What gzip packed, unless it is more than fits into memory."""
    free = available_memory()
    most = 2**62 if free is None else free // 3
    packer = zlib.decompressobj(16 + zlib.MAX_WBITS)
    content = bytearray(packer.decompress(path.read_bytes(), most))
    if packer.unconsumed_tail:
        raise MemoryError(f"it holds more than {most / 2**30:.1f} GiB")
    if not packer.eof:
        raise ValueError("its packed data end early")
    return bytes(content)


# ------------------------------------------------------------------------------------- DICOM
def _is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


# By transfer syntax; pydicom needs further packages for these.
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    **{f"1.2.840.10008.1.2.4.{n}": imagecodecs.jpeg8_decode for n in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{n}": imagecodecs.jpegls_decode for n in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{n}": imagecodecs.jpeg2k_decode for n in (90, 91)},
}


def _read_dicom(files: Sequence[Path], place: Path, *, picked: bool = False) -> Volume:
    """Read the files of one series as a volume.

    `picked` says that one slice is taken, of what need be no volume, such as a series of times;
    slices are in the order of the file then.
    """
    try:
        import pydicom
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{place}: DICOM needs pydicom: install mcsc[medical]") from error
    sets = []
    for file in files:
        with decoding(file, "DICOM file"):
            found = pydicom.dcmread(file)
            # A folder of a patient holds an index and reports, too.
            if "Rows" in found and "PixelData" in found:
                sets.append((file, found, DicomHeader.of(found)))
    if not sets:
        raise ImageFileError(f"{place}: holds no DICOM image")
    headers = [header for _, _, header in sets]
    series = {header.series for header in headers}
    if len(series) > 1:
        names = sorted({header.title for header in headers})
        raise ImageFileError(
            f"{place}: holds {len(series)} series ({', '.join(names[:6])}); want a folder with one"
        )
    sizes = {(header.rows, header.columns) for header in headers}
    if len(sizes) > 1:
        raise ImageFileError(f"{place}: holds slices of {len(sizes)} sizes; want one")
    if len(sets) > 1 and any(header.frames > 1 for header in headers):
        raise ImageFileError(f"{place}: holds files of several frames each; want one such file")
    slices = [found for header in headers for found in header.slices]
    try:
        order, affine = places_of(place, slices)
    except ImageFileError:
        if not picked:
            raise
        order, affine = list(range(len(slices))), np.eye(4)
    pictures, dtypes, notes = [], set(), set()
    for path, found, header in sets:
        values, dtype, note = _pixels(path, found, header)
        pictures += np.array_split(values, len(header.slices))
        dtypes.add(dtype)
        notes.add(note)
    dtype = dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float32)
    notes.add(_scaling(slices, headers[0].modality))
    window = slices[order[0]].window
    if window is not None:
        notes.add(f"the window of its own is {window[0]:g} to {window[1]:g}")
    note = "; ".join(sorted(notes - {""}))
    return Volume(np.concatenate([pictures[i] for i in order]), affine, dtype, place, note)


def _scaling(slices: Sequence[DicomSlice], modality: str) -> str:
    """What slopes and intercepts did to the samples, in words."""
    if {(found.slope, found.intercept) for found in slices} == {(1.0, 0.0)}:
        return ""
    slopes, intercepts = (
        f"s {min(each):g} to {max(each):g}" if len(each) > 1 else f" {min(each):g}"
        for each in ({found.slope for found in slices}, {found.intercept for found in slices})
    )
    unit = " to Hounsfield units" if modality == "CT" else ""
    return f"scaled by its slope{slopes} and intercept{intercepts}{unit}"


def _pixels(
    path: Path, found: Any, header: DicomHeader
) -> tuple[NDArray[np.float32], np.dtype[Any], str]:
    """Frames (F, H, W) by slope and intercept, their dtype, and what else was done."""
    if header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageFileError(
            f"{path}: photometric interpretation {header.photometric} is not supported; want grey "
            "values"
        )
    shape = (header.frames, header.rows, header.columns)
    packing = _PACKING if header.compressed else 1
    check_size(path, "DICOM file", shape, header.bits / 8, packing=packing)
    slope, intercept = np.array([(s.slope, s.intercept) for s in header.slices]).T
    words = ""
    with decoding(path, "DICOM file"):
        stored = _stored(found, header).reshape(shape)
        if stored.size == 0:
            raise ValueError("it holds no pixels")
        values = stored.astype(np.float32)
        if header.photometric == "MONOCHROME1":
            signed = stored.dtype.kind == "i"
            values = np.float32(-1 if signed else 2 ** int(found.BitsStored) - 1) - values
            words = "inverted, as its low values are white (MONOCHROME1)"
    values *= slope.astype(np.float32)[:, None, None]
    values += intercept.astype(np.float32)[:, None, None]
    below = intercept.min() < 0 or stored.dtype.kind == "i"
    as_stored = (slope == 1).all() and (intercept == 0).all()
    plain = as_stored and stored.dtype == np.uint8
    dtype: np.dtype[Any] = np.dtype(np.uint8 if plain else np.int16 if below else np.uint16)
    limits = np.iinfo(dtype)
    whole = (np.array([slope, intercept]) % 1 == 0).all() and stored.dtype.kind in "iu"
    if not (whole and limits.min <= values.min() and values.max() <= limits.max):
        dtype = np.dtype(np.float32)
    return values, dtype, words


def _stored(found: Any, header: DicomHeader) -> NDArray[Any]:
    """Samples of all frames as they are stored, unpacked."""
    decode = _DECODERS.get(str(found.file_meta.TransferSyntaxUID))
    if decode is None:
        return np.asarray(found.pixel_array)
    from pydicom.encaps import generate_frames

    frames = generate_frames(found.PixelData, number_of_frames=header.frames)
    stored = np.stack([np.asarray(decode(frame)) for frame in frames])
    if int(found.PixelRepresentation) == 1 and stored.dtype.kind == "u":
        # The decoder knows of no sign: it is the highest of the bits that are used.
        unused = 8 * stored.dtype.itemsize - int(found.BitsStored)
        signed = (stored << unused).view(np.dtype(f"i{stored.dtype.itemsize}"))
        stored = signed >> unused
    return stored
