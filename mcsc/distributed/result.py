"""What `solve_blocks` returns: numbers, and codes that stay where the workers wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np

from ..checks import check_choice
from ..lazy import cached_property
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.reconstruction import Parts, reconstruct
from ..solvers.result import Stop
from ..types import Kind, Region
from .layers import Layers
from .store import CodeStore, Places
from .tasks import Job, named_parts, parts_of_block, reach_of_targets

__all__ = ["BlockHistory", "BlockResult", "channels_of_parts"]


@dataclass(frozen=True)
class BlockHistory:
    """How `solve_blocks` converged: one entry for every sweep, as Python numbers."""

    seconds: list[float] = field(default_factory=list)
    """Wall time since the call."""
    objective: list[float] = field(default_factory=list)
    """Value of Eq. 5, float64, summed over blocks."""
    gap: list[float] = field(default_factory=list)
    """Certified relative duality gap, with the best dual bound so far."""
    visits: list[int] = field(default_factory=list)
    """Number of regions in which codes changed."""
    bytes_read: list[int] = field(default_factory=list)
    """Bytes of signals and codes that all workers read for coding."""
    bytes_written: list[int] = field(default_factory=list)
    """Bytes of codes that all workers wrote."""


@dataclass(frozen=True, eq=False)
class BlockResult:
    """Result of `solve_blocks`: codes of a large image, with certificate, as in `mcsc.Result`."""

    objective: float
    """Value of Eq. 5 at the codes, float64, summed over blocks."""
    gap: float
    """Certified relative duality gap of the whole image."""
    dual_bound: float
    """Lower bound on the optimal objective."""
    converged: bool
    """Whether the gap is at most the tolerance that was asked for."""
    sweeps: int
    """Number of sweeps over the blocks."""
    seconds: float
    """Wall time of the call."""
    stopped: Stop
    """Why the solver stopped, in one word."""
    message: str
    """Why the solver stopped, in a sentence."""
    nonzeros: int
    """Number of coefficients that are not zero."""
    history: BlockHistory = field(repr=False)
    """Objective and gap after every sweep."""
    layers: Layers = field(repr=False)
    """Files of the codes, by regions."""
    job: Job = field(repr=False)
    """Problem, blocks and store, as the workers get them."""

    @property
    def method(self) -> str:
        """Name of the solver."""
        return "working-set"

    @property
    def _store(self) -> CodeStore:
        return self.job.store

    @property
    def folder(self) -> Path:
        """Folder of the codes; removed with this result if it was not named in the call."""
        return self.job.store.folder

    @property
    def dictionary(self) -> Dictionary:
        """Dictionary that the codes belong to."""
        return self._store.problem().dictionary

    @property
    def blocks(self) -> list[Region]:
        """Rows and columns of the blocks, row by row."""
        return self._store.problem().cover.blocks

    @cached_property
    def codes(self) -> Codes:
        """All codes, sparse, in this process's memory: 16 bytes per nonzero, or 20 in float64."""
        height, width = self._store.problem().cover.shape
        return self.codes_of((slice(0, height), slice(0, width)))

    def codes_of(self, region: Region) -> Codes:
        """Return the codes of a part of the image, on its grid."""
        store = self._store
        record = store.problem()
        places = store.within(region, self.layers.within(region), record.cover)
        return places.codes(region, record.dictionary)

    def reconstruct(self, task: Kind = "restoration") -> Parts:
        """Return the target image (Eqs. 3 and 4) as Dask arrays, with one chunk for each block.

        Parameters
        ----------
        task : {"restoration", "fusion"}
            As in `mcsc.reconstruct`.

        Returns
        -------
        Parts
            As `mcsc.reconstruct` returns, with images (C, H, W) instead of (N, C, H, W). Nothing is
            computed before it is asked for, block by block.

        Raises
        ------
        ValueError
            `task` is unknown, or the dictionary lacks target filters that it needs.
        """
        check_choice("task", task, Kind)
        record, store = self._store.problem(), self._store
        like = channels_of_parts(record.dictionary, task)
        cover = record.cover
        tasks = []
        for block in cover.blocks:
            layers = self.layers.within(reach_of_targets(store, block))
            tasks.append(dask.delayed(parts_of_block, pure=False)(self.job, block, layers, task))
        made = {
            name: None if channels is None else self._assemble(tasks, name, channels, record.dtype)
            for name, channels in like.items()
        }
        unique = tuple(made[f"unique{m}"] for m in range(record.dictionary.n_signals))
        return Parts(made["image"], made["common"], unique)

    def _assemble(self, tasks: Sequence[Any], name: str, channels: int, dtype: str) -> Any:
        """One image of the blocks' parts of that name."""
        cover = self._store.problem().cover
        across = len(cover.columns) - 1
        pieces = [
            da.from_delayed(
                task[name],
                (channels, rows.stop - rows.start, columns.stop - columns.start),
                dtype=np.dtype(dtype),
            )
            for task, (rows, columns) in zip(tasks, cover.blocks, strict=True)
        ]
        rows = [pieces[k : k + across] for k in range(0, len(pieces), across)]
        return da.concatenate([da.concatenate(row, axis=2) for row in rows], axis=1)


def channels_of_parts(dictionary: Dictionary, task: Kind) -> dict[str, int | None]:
    """Return how many channels each part of a target has; None where there is no such part."""
    banks = (dictionary.target_common, *(dictionary.target_unique or ()))
    side = max([dictionary.filter_size, *(b.shape[2] for b in banks if b is not None)])
    nothing = np.zeros(0, dtype=np.int32)
    places = Places(nothing, nothing, nothing, np.zeros(0))
    codes = places.codes((slice(0, side), slice(0, side)), dictionary)
    found = named_parts(reconstruct(codes, dictionary, task))
    return {name: None if part is None else part.shape[1] for name, part in found.items()}
