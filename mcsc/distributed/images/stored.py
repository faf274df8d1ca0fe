"""Signals of a large image, made once and kept in zarr arrays while they are coded."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da

from ...errors import InvalidValueError
from ..cluster import require_seen
from .local import BlockGrid

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["room_for_signals", "stored_signals"]

_CHUNK = 256
"""Pixels of a side of what is read at a time: regions overlap chunks on all sides."""


@contextmanager
def room_for_signals(folder: str | Path | None) -> Iterator[Path]:
    """Give a new folder inside of one, or a temporary one, and remove it afterwards.

    Raises
    ------
    ValueError
        There can be no such folder.
    """
    parent = dask.config.get("temporary-directory", None) if folder is None else Path(folder)
    try:
        if parent is not None:
            Path(parent).mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="mcsc-signals-", dir=parent)).resolve()
    except OSError as error:
        raise InvalidValueError(f"folder {parent}: {error.strerror}") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def stored_signals(
    made: Mapping[str, Any], folder: Path, client: Client, grid: BlockGrid
) -> dict[str, Any]:
    """Write Dask arrays, in one go, and return those that read what was written.

    Parameters
    ----------
    made : mapping of str to (Dask array (C, H, W) or None)
        In the blocks of the grid.
    folder : Path
        All workers see it.
    client : distributed.Client
    grid : BlockGrid

    Returns
    -------
    dict
        Without what is None.
    """
    import zarr

    require_seen(client, folder)
    there = {name: array for name, array in made.items() if array is not None}
    targets = []
    for name, array in there.items():
        sides = (_chunk(edges[1] - edges[0]) for edges in grid.edges)
        targets.append(
            zarr.create_array(
                folder / f"{name}.zarr", shape=array.shape, dtype=array.dtype,
                chunks=(array.shape[0], *sides),
            )
        )  # fmt: skip
    # Blocks are whole chunks, so that no two tasks write to one.
    client.gather(
        client.compute(da.store(list(there.values()), targets, lock=False, compute=False))
    )
    return {name: da.from_zarr(target) for name, target in zip(there, targets, strict=True)}


def _chunk(side: int) -> int:
    """The largest part of a side that is small enough, or all of it if none is."""
    parts = range(-(-side // _CHUNK), side // 16 + 1)
    return next((side // n for n in parts if side % n == 0), side)
