"""Images as Dask arrays: from arrays in memory or mapped into it, and from zarr."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from ..checks import check_whole
from ..errors import InvalidTypeError, InvalidValueError
from ..files import check_readable
from ..images.formats.base import decoding
from ..images.formats.tiff import StoredImage, check_stored, look_at_tiff, unknown_value
from ..types import Region
from ..values.forms import check_axes

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

__all__ = ["as_blocks", "cut", "image_pages", "open_image", "same_chunks", "unknown_value_of"]


class _MappedFile:
    """A file that is mapped into memory by whoever reads it; of a memmap, a pickle is all of it."""

    def __init__(self, mapped: np.memmap[Any, Any]) -> None:
        self.shape, self.dtype, self.ndim = mapped.shape, mapped.dtype, mapped.ndim
        self._where = (str(mapped.filename), mapped.offset)
        self._order = "C" if mapped.flags.c_contiguous else "F"

    def __getitem__(self, index: Any) -> np.ndarray:
        name, offset = self._where
        order: Any = self._order
        whole = np.memmap(name, self.dtype, "r", offset, self.shape, order)
        return np.array(whole[index])


class _Stored(ABC):
    """An array in a file, of which whoever reads it decodes what is asked for."""

    kind: str
    """What the file is, for messages."""

    def __init__(self, path: Path) -> None:
        # Of workers, which may run in another folder; messages have the name that was given.
        self._path, self._called = path.resolve(), path
        with self._opened() as array:
            self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
            self.chunks = getattr(array, "shards", None) or array.chunks

    @abstractmethod
    def _opened(self) -> AbstractContextManager[Any]:
        """Open the array for reading."""

    def __getitem__(self, index: Any) -> np.ndarray:
        # Workers come upon damage that is seen in the pixels alone.
        with decoding(self._called, self.kind), self._opened() as array:
            return np.asarray(array[index])


class _TiffPage(_Stored):
    """A page of a TIFF file."""

    kind = "TIFF"

    def __init__(self, path: Path, page: int) -> None:
        self._page = page
        super().__init__(path)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import tifffile
        import zarr

        with tifffile.TiffFile(self._path) as file, file.pages[self._page].aszarr() as store:
            yield zarr.open(store, mode="r")


class _ZarrFolder(_Stored):
    """A folder of zarr that holds one array."""

    kind = "zarr array"

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import zarr

        yield zarr.open_array(str(self._path), mode="r")


def open_image(path: str | PathLike[str], *, page: int = 0, chunk: int = 1024) -> DaskArray:
    """Open an image that need not fit in memory, as a Dask array (H, W) or (C, H, W).

    Parameters
    ----------
    path : path
        Path of a ``.zarr`` folder that holds one array, or of a TIFF or BigTIFF file; all workers
        must see it.
    page : int
        Page of a TIFF file, counted from 0. Colours that are stored pixel by pixel come first here,
        as everywhere in this package.
    chunk : int
        About the side of the chunks that a TIFF file is read in: whole tiles or strips of it.

    Returns
    -------
    Dask array
        With the file's own numbers: integers are not scaled.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no such file, or has no such page; or the array has other than two or three axes.
    """
    path = Path(path)
    if not path.is_dir():
        check_readable(path, "image file")
    page = check_whole("page", page, least=0)
    chunk = check_whole("chunk", chunk)
    if path.is_dir():
        import zarr

        try:
            source = _ZarrFolder(path)
        except (zarr.errors.BaseZarrError, FileNotFoundError, TypeError, ValueError) as error:
            raise InvalidValueError(f"{path} holds no zarr array") from error
        found = da.from_array(source, source.chunks, name=False)
    else:
        found = _tiff(path, page, chunk)
    if found.ndim not in (2, 3):
        raise InvalidValueError(f"{path} has shape {found.shape}: want (H, W) or (C, H, W)")
    return found


def image_pages(path: Path) -> list[StoredImage]:
    """Return what a TIFF file says of its images: pages that are no reduced ones and no masks.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no TIFF file, or is damaged; or an image has transparency, is neither grey, with 0 as
        black, nor RGB, or is stored turned or mirrored, which is not understood in blocks.
    """
    check_readable(path, "image file")
    found = look_at_tiff(path)
    if not found:
        raise InvalidValueError(f"{path} holds reduced images and masks only, none of full size")
    for image in found:
        called = f"{path}, page {image.number + 1},"
        if image.transparent:
            raise InvalidValueError(
                f"{called} has an alpha channel, which is not understood in blocks: want an image "
                "without"
            )
        if image.kind not in ("MINISBLACK", "RGB"):
            raise InvalidValueError(
                f"{called} is of the kind {image.kind}: in blocks want grey, of which 0 is black, "
                "or RGB"
            )
        if image.orientation != 1:
            raise InvalidValueError(
                f"{called} is stored turned or mirrored (orientation {image.orientation}), which "
                "is not understood in blocks: want it upright"
            )
    return found


def unknown_value_of(path: Path, page: int = 0) -> float | None:
    """Return the value that a TIFF file calls unknown (GDAL_NODATA); None if it says nothing."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        found: Any = file.pages[page]
        return unknown_value(found)


def _tiff(path: Path, page: int, chunk: int) -> DaskArray:
    import tifffile

    with decoding(path, "TIFF"):
        with tifffile.TiffFile(path) as file:
            pages = len(file.pages)
            if page >= pages:
                raise InvalidValueError(
                    f"{path} has {pages} pages, counted from 0: none has the number {page}"
                )
            chosen: Any = file.pages[page]
            check_stored(path, chosen)
            axes = chosen.axes
        source = _TiffPage(path, page)
    # Whole tiles: a part of one costs as much as all of it.
    sizes = [
        own if n == "S" else min(length, max(own, chunk // own * own))
        for n, own, length in zip(axes, source.chunks, source.shape, strict=True)
    ]
    found = da.from_array(source, tuple(sizes), name=False)
    return da.moveaxis(found, -1, 0) if axes.endswith("S") else found


def as_blocks(name: str, given: Any, chunk: int, *, last: bool = False) -> DaskArray:
    """Return an image as a Dask array (C, H, W).

    Parameters
    ----------
    name : str
        For messages.
    given : array (H, W) or (C, H, W)
        An array of Dask, NumPy (in memory or mapped) or zarr.
    chunk : int
        Side of the chunks where it has none.
    last : bool
        The last of three axes is that of the channels.

    Raises
    ------
    TypeError, ValueError
        It is something else.
    """
    if isinstance(given, da.Array):
        found = given
    elif isinstance(given, np.memmap) and not isinstance(given.base, np.ndarray):
        found = da.from_array(_MappedFile(given), _chunks(given, chunk, last), name=False)
    elif isinstance(given, np.ndarray):
        found = da.from_array(given, _chunks(given, chunk, last), name=False)
    elif hasattr(given, "chunks") and hasattr(given, "store"):
        found = da.from_zarr(given)
    else:
        raise InvalidTypeError(
            f"{name} must be an array of Dask, NumPy or zarr, found {type(given).__name__}"
        )
    if found.dtype not in (np.float32, np.float64) and name.startswith("signals"):
        raise InvalidTypeError(
            f"{name} has dtype {found.dtype}: signals are float32 or float64; of integers write "
            "x.astype('float32') / 255, or what stands for one"
        )
    if found.ndim not in (2, 3) or 0 in found.shape or any(np.isnan(n) for n in found.shape):
        raise InvalidValueError(
            f"{name} has shape {found.shape}: an image is (H, W) or (C, H, W), and not empty"
        )
    if last and found.ndim == 3:
        return da.moveaxis(found, -1, 0)
    check_axes(name, found.shape)
    return found[None] if found.ndim == 2 else found


def _chunks(given: Any, side: int, last: bool) -> tuple[int, ...]:
    height, width = (0, 1) if last and given.ndim == 3 else (given.ndim - 2, given.ndim - 1)
    return tuple(min(n, side) if a in (height, width) else n for a, n in enumerate(given.shape))


def same_chunks(names: Sequence[str], arrays: Sequence[DaskArray]) -> None:
    """Refuse images whose chunks differ: each would be read many times over."""
    first = arrays[0].chunks[-2:]
    for name, array in zip(names[1:], arrays[1:], strict=True):
        if array.shape[-2:] == arrays[0].shape[-2:] and array.chunks[-2:] != first:
            shown = [" x ".join(str(max(c)) for c in a.chunks[-2:]) for a in (arrays[0], array)]
            raise InvalidValueError(
                f"{names[0]} has chunks of {shown[0]}, {name} of {shown[1]}, or at other places: "
                "rechunk one of them as the other"
            )


def cut(array: DaskArray, region: Region) -> DaskArray:
    """Return a region of an image (C, H, W); on a periodic image it may leave it on any side."""
    for axis, (part, length) in enumerate(zip(region, array.shape[-2:], strict=True), -2):
        pieces = []
        start = part.start
        while start < part.stop:
            first = start % length
            last = min(first + part.stop - start, length)
            index: list[Any] = [slice(None)] * array.ndim
            index[axis] = slice(first, last)
            pieces.append(array[tuple(index)])
            start += last - first
        array = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=axis)
    return array
