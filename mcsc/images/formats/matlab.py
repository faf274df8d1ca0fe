"""MATLAB's .mat files: arrays by the name of their variable."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtraError
from .base import ImageFileError, Request, Samples, check_size, decoding
from .floats import samples_of_array

__all__ = ["read_matlab", "read_matlab_73"]

_NUMBERS = {
    "double": 8, "single": 4, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4,
    "uint32": 4, "int64": 8, "uint64": 8, "logical": 1,
}  # fmt: skip
# Deflate packs 1032 bytes into one; doubles that are small whole numbers are stored as bytes.
_PACKING = 8 * 1032
# Of format 5: types of elements, a flag of arrays, and bytes in which their heads stand.
_MATRIX, _COMPRESSED, _COMPLEX, _HEAD = 14, 15, 0x800, 4096


def read_matlab(request: Request) -> Samples:
    """Read a variable of a file that MATLAB saved in its format 5 to 7."""
    import scipy.io

    path = request.path
    with decoding(path, "MATLAB file"):
        found = scipy.io.whosmat(path)
    there = {name: (shape, kind) for name, shape, kind in found if kind in _NUMBERS}
    name = _choose(request, {n: shape for n, (shape, _) in there.items()})
    shape, kind = there[name]
    check_size(path, "MATLAB file", shape[::-1], _NUMBERS[kind], packing=_PACKING)
    with decoding(path, "MATLAB file"):
        is_complex = name in _complex_names(path)
    if is_complex:
        # SciPy would crash on one without its imaginary part.
        raise ImageFileError(
            f"{path}: {name} holds complex numbers; want real ones, as abs({name})"
        )
    with decoding(path, "MATLAB file"):
        values = scipy.io.loadmat(path, variable_names=[name])[name]
    if kind == "logical":
        values = values.astype(bool)
    return samples_of_array(Request(path, request.page, name), values, last=True)


def read_matlab_73(request: Request) -> Samples:
    """Read a variable of a file that MATLAB saved in its format 7.3, which is HDF5."""
    path = request.path
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path}: is a MATLAB file of format 7.3, which needs h5py: install mcsc[matlab], or "
            "save it in MATLAB with save(..., '-v7')"
        ) from error
    with decoding(path, "MATLAB file"), h5py.File(path, "r") as file:
        there = {
            name: item
            for name, item in file.items()
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "bufi"
        }
        name = _choose(request, {n: item.shape[::-1] for n, item in there.items()})
        item = there[name]
        check_size(path, "MATLAB file", item.shape, item.dtype.itemsize, packing=_PACKING)
        # Columns first in MATLAB, rows first here: the axes are the other way round.
        values: NDArray[Any] = np.asarray(item[()]).T
        if item.attrs.get("MATLAB_class") == b"logical":
            values = values.astype(bool)
    return samples_of_array(Request(path, request.page, name), values, last=True)


def _complex_names(path: Path) -> set[str]:
    """Names of the complex arrays of a file of format 5, by the heads of its elements.

    What ends early is found out by whoever reads it.
    """
    found: set[str] = set()
    with path.open("rb") as file:
        head = file.read(128)
        if head[126:128] not in (b"IM", b"MI"):  # format 4
            return found
        order = "<" if head[126:128] == b"IM" else ">"
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            following = file.tell() + size
            start = file.read(min(size, _HEAD))
            if kind == _COMPRESSED:
                start = zlib.decompressobj().decompress(start, _HEAD)
                kind, start = struct.unpack_from(order + "I", start)[0], start[8:]
            if kind == _MATRIX:
                flags, dimensions = (struct.unpack_from(order + "I", start, n)[0] for n in (8, 20))
                if flags & _COMPLEX:
                    found.add(_name_at(start, 24 + -(-dimensions // 8) * 8, order))
            file.seek(following)
    return found


def _name_at(start: bytes, place: int, order: str) -> str:
    """Name of an array; those of up to four letters stand in their tag."""
    kind, size = struct.unpack_from(order + "II", start, place)
    short = kind >> 16
    name = start[place + 4 :][:short] if short else start[place + 8 :][:size]
    return name.decode("latin-1")


def _choose(request: Request, shapes: dict[str, tuple[int, ...]]) -> str:
    """The variable that is asked for, or the only one that can be an image."""
    path, asked = request.path, request.variable
    images = {n: s for n, s in shapes.items() if len(s) in (2, 3) and min(s[:2], default=0) > 1}
    listed = ", ".join(f"{n} ({' x '.join(map(str, s))})" for n, s in list(shapes.items())[:20])
    if asked is not None:
        if asked not in shapes:
            raise ImageFileError(
                f"{path}: has no array {asked}; it holds {listed or 'no array of numbers'}"
            )
        return asked
    if len(images) == 1:
        return next(iter(images))
    if not images:
        raise ImageFileError(f"{path}: holds no image; it holds {listed or 'no array of numbers'}")
    raise ImageFileError(f"{path}: holds {listed}: want the name of one, --variable NAME")
