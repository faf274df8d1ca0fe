"""Images larger than memory, written to zarr or to a tiled BigTIFF, block by block."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from ..errors import InvalidTypeError, InvalidValueError
from ..files import check_writable
from ..images.formats.encode import words_of_tiff
from ..images.formats.metadata import Metadata
from ..values.ranges import quantised
from .cluster import opened

if TYPE_CHECKING:
    from dask.array import Array as DaskArray
    from distributed import Client

__all__ = ["check_new_image", "write_blocks"]

_TILE = 256  # pixels; a multiple of 16, as TIFF wants
_TOGETHER = 64_000_000  # bytes that are fetched at a time


def write_blocks(
    path: str | os.PathLike[str],
    image: DaskArray,
    *,
    dtype: Any = None,
    metadata: Metadata | None = None,
    client: Client | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> float:
    """Write an image that need not fit in memory, whole or not at all.

    Parameters
    ----------
    path : path
        Path of a ``.zarr`` folder, which the workers write to and must see, or of a ``.tif`` file,
        which this process writes: a BigTIFF of tiles of 256 x 256 pixels. It must not exist.
    image : Dask array (H, W) or (C, H, W)
        As `BlockResult.reconstruct` returns; its numbers are written as they are.
    dtype : dtype, optional
        Type to write instead of the image's own. For integers, values are rounded, and those beyond
        the range of the type are cut off at its ends.
    metadata : Metadata, optional
        Profile, resolution, place on a map and the first directory of EXIF (author, camera, date),
        for TIFF. The others of EXIF (exposure, GPS) are not written, and nothing of it to zarr.
    client, scheduler, workers
        As in `solve_blocks`.

    Returns
    -------
    float
        Share of the values that were cut off.

    Raises
    ------
    TypeError, ValueError
        `image` is not such an array; or the name has another ending, exists already, or lies in a
        folder that does not exist.
    """
    path = Path(path)
    if not isinstance(image, da.Array):
        raise InvalidTypeError(f"image must be a Dask array, found {type(image).__name__}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InvalidValueError(f"image has shape {image.shape}: want (H, W) or (C, H, W)")
    check_new_image(path)
    kind = None if dtype is None else np.dtype(dtype)
    if kind is not None and kind.kind not in "fiu":
        raise InvalidTypeError(f"dtype must be one of floats or integers, found {kind}")
    temporary = path.with_name(f".mcsc-{secrets.token_hex(6)}-{path.name}")
    try:
        with opened(client, scheduler, workers) as cluster:
            if path.suffix.lower() == ".zarr":
                cut = _write_zarr(temporary.resolve(), image.rechunk(_even(image)), kind, cluster)
            else:
                cut = _write_tiff(temporary, image, kind, metadata or Metadata(), cluster)
        os.replace(temporary, path)
        return cut / float(np.prod(image.shape, dtype=np.float64))
    finally:
        with suppress(OSError):
            if temporary.is_dir():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


def check_new_image(path: Path) -> None:
    """Refuse a place where `write_blocks` could not write, or would write over something.

    Raises
    ------
    OSError, ValueError
        The name ends in something else, exists, or its folder does not or is not to be written to.
    """
    if path.suffix.lower() not in (".zarr", ".tif", ".tiff"):
        raise InvalidValueError(f"{path}: want a name that ends in .zarr, .tif or .tiff")
    if path.exists():
        raise InvalidValueError(f"{path} is there already; want a new name")
    if not path.resolve().parent.is_dir():
        raise InvalidValueError(f"{path}: there is no folder {path.resolve().parent}")
    check_writable(path)


def _samples(block: np.ndarray, dtype: np.dtype[Any] | None) -> tuple[np.ndarray, float]:
    """Return values in that dtype, and how many of them were cut off."""
    if dtype is None or dtype == block.dtype:
        return block, 0.0
    if dtype.kind == "f":
        return block.astype(dtype), 0.0
    samples, share = quantised(block, dtype)
    return samples, share * block.size


def _counted(block: np.ndarray, dtype: np.dtype[Any] | None) -> np.ndarray:
    return np.full((1,) * block.ndim, _samples(block, dtype)[1])


def _write_zarr(path: Path, image: DaskArray, dtype: np.dtype[Any] | None, client: Client) -> float:
    samples = image.map_blocks(
        lambda block: _samples(block, dtype)[0], dtype=image.dtype if dtype is None else dtype
    )
    ones = tuple((1,) * len(chunks) for chunks in image.chunks)
    counts = image.map_blocks(_counted, dtype, dtype=np.float64, chunks=ones)
    # In one go, so that each block is made once.
    done = [samples.to_zarr(str(path), compute=False), counts.sum()]
    return float(client.gather(client.compute(done))[1])


def _even(image: DaskArray) -> tuple[int, ...]:
    """Zarr wants chunks of one size, but for the last."""
    return tuple(max(chunks) for chunks in image.chunks)


def _write_tiff(
    path: Path,
    image: DaskArray,
    dtype: np.dtype[Any] | None,
    metadata: Metadata,
    client: Client,
) -> float:
    from tifffile import TiffWriter

    cut = 0.0
    planes = image[None] if image.ndim == 2 else image
    channels, height, width = planes.shape

    def tiles() -> Iterator[np.ndarray]:
        nonlocal cut
        across = -(-width // _TILE)
        rows = max(1, _TOGETHER // (_TILE * width * planes.dtype.itemsize)) * _TILE
        for plane in planes:
            for top in range(0, height, rows):
                strip: Any = client.compute(plane[top : top + rows]).result()
                strip, lost = _samples(strip, dtype)
                cut += lost
                for i in range(0, strip.shape[0], _TILE):
                    for j in range(across):
                        # The last ones are cut off, and filled up by the writer.
                        yield np.ascontiguousarray(
                            strip[i : i + _TILE, j * _TILE : (j + 1) * _TILE]
                        )

    with TiffWriter(path, bigtiff=True) as writer:
        writer.write(
            tiles(),
            shape=image.shape,
            dtype=planes.dtype if dtype is None else dtype,
            tile=(_TILE, _TILE),
            photometric="rgb" if channels == 3 else "minisblack",
            planarconfig="separate" if channels > 1 else None,
            compression="zlib",
            metadata=None,  # tifffile's own description, in place of that of the image
            **words_of_tiff(metadata.fitting(channels))[0],
        )
    return cut
