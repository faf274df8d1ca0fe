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
from .cluster import opened

if TYPE_CHECKING:
    from dask.array import Array as DaskArray
    from distributed import Client

__all__ = ["write_blocks"]

_TILE = 256  # pixels; a multiple of 16, as TIFF wants
_TOGETHER = 64_000_000  # bytes that are fetched at a time


def write_blocks(
    path: str | os.PathLike[str],
    image: DaskArray,
    *,
    client: Client | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> None:
    """Write an image that need not fit in memory, whole or not at all.

    Parameters
    ----------
    path : path
        Path of a ``.zarr`` folder, which the workers write to and must see, or of a ``.tif`` file,
        which this process writes: a BigTIFF of tiles of 256 x 256 pixels. It must not exist.
    image : Dask array (H, W) or (C, H, W)
        As `BlockResult.reconstruct` returns; its numbers are written as they are.
    client, scheduler, workers
        As in `solve_blocks`.

    Raises
    ------
    TypeError, ValueError
        The image is something else; or the name ends in something else, exists, or its folder does
        not.
    """
    path = Path(path)
    if not isinstance(image, da.Array):
        raise InvalidTypeError(f"image must be a Dask array, found {type(image).__name__}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InvalidValueError(f"image has shape {image.shape}: want (H, W) or (C, H, W)")
    suffix = path.suffix.lower()
    if suffix not in (".zarr", ".tif", ".tiff"):
        raise InvalidValueError(f"{path}: want a name that ends in .zarr, .tif or .tiff")
    if path.exists():
        raise InvalidValueError(f"{path} is there already; want a new name")
    if not path.resolve().parent.is_dir():
        raise InvalidValueError(f"{path}: there is no folder {path.resolve().parent}")
    temporary = path.with_name(f".mcsc-{secrets.token_hex(6)}-{path.name}")
    try:
        with opened(client, scheduler, workers) as cluster:
            if suffix == ".zarr":
                done = image.rechunk(_even(image)).to_zarr(str(temporary.resolve()), compute=False)
                cluster.compute(done).result()
            else:
                _write_tiff(temporary, image, cluster)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            if temporary.is_dir():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


def _even(image: DaskArray) -> tuple[int, ...]:
    """Zarr wants chunks of one size, but for the last."""
    return tuple(max(chunks) for chunks in image.chunks)


def _write_tiff(path: Path, image: DaskArray, client: Client) -> None:
    from tifffile import TiffWriter

    planes = image[None] if image.ndim == 2 else image
    channels, height, width = planes.shape

    def tiles() -> Iterator[np.ndarray]:
        across = -(-width // _TILE)
        rows = max(1, _TOGETHER // (_TILE * width * planes.dtype.itemsize)) * _TILE
        for plane in planes:
            for top in range(0, height, rows):
                strip: Any = client.compute(plane[top : top + rows]).result()
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
            dtype=planes.dtype,
            tile=(_TILE, _TILE),
            photometric="minisblack",
            planarconfig="separate" if channels > 1 else None,
            compression="zlib",
        )
