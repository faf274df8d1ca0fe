"""MATLAB's .mat files: arrays by the name of their variable."""

from __future__ import annotations

import math
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
_DTYPES = {"double": "f8", "single": "f4", "logical": "u1"}
# Of format 5: types of elements and of stored numbers, a flag, and bytes in which heads stand.
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
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
        values = _array(path, name, shape, np.dtype(_DTYPES.get(kind, kind)))
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


def _array(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read a numeric array of a file of format 5 to 7.

    SciPy's reader believes types and flags, and takes the process down if these are damaged.

    Raises
    ------
    ValueError
        It is complex, there is no such array, or its data are not what its head declares.
    """
    count = math.prod(shape)
    most = _HEAD + count * dtype.itemsize  # numbers may be stored as smaller ones
    with path.open("rb") as file:
        order = "<" if file.read(128)[126:] == b"IM" else ">"
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            following = file.tell() + size
            content = file.read(min(size, most))
            if kind == _COMPRESSED:
                content = zlib.decompressobj().decompress(content, most)
                kind, content = struct.unpack_from(order + "I", content)[0], content[8:]
            if kind == _MATRIX:
                flags, dimensions = (
                    struct.unpack_from(order + "I", content, n)[0] for n in (8, 20)
                )
                _, label, place = _element(content, 24 + _padded(dimensions), order)
                if label.decode("latin-1") == name:
                    if flags & _COMPLEX:
                        raise ImageFileError(
                            f"{path}: {_shown(name)} holds complex numbers; want real ones, as "
                            "their absolute values"
                        )
                    stored, data, _ = _element(content, place, order)
                    if stored not in _STORED:
                        raise ValueError(f"numbers of type {stored}, which there is not")
                    values = np.frombuffer(data, order + _STORED[stored])
                    if values.size != count:
                        raise ValueError(f"{values.size} numbers, want {count}")
                    return values.astype(dtype).reshape(shape, order="F")
            file.seek(following)
    raise ValueError(f"no data of {_shown(name)}")


def _element(content: bytes, place: int, order: str) -> tuple[int, bytes, int]:
    """Type and bytes of an element, and where the next one is; up to four bytes are in its tag."""
    kind, size = struct.unpack_from(order + "II", content, place)
    if short := kind >> 16:
        return kind & 0xFFFF, content[place + 4 :][: min(short, 4)], place + 8
    return kind, content[place + 8 :][:size], place + 8 + _padded(size)


def _padded(size: int) -> int:
    return -(-size // 8) * 8


def _shown(name: str) -> str:
    """A name as MATLAB allows it: 63 letters of one line."""
    return name[:63] if name.isprintable() else ascii(name[:63])


def _choose(request: Request, shapes: dict[str, tuple[int, ...]]) -> str:
    """The variable that is asked for, or the only one that can be an image."""
    path, asked = request.path, request.variable
    images = {n: s for n, s in shapes.items() if len(s) in (2, 3) and min(s[:2], default=0) > 1}
    listed = ", ".join(
        f"{_shown(n)} ({' x '.join(map(str, s))})" for n, s in list(shapes.items())[:20]
    )
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
