"""What a restoration and a fusion in blocks share: options, and the codes of their signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ...checks import check_callback, check_tol, check_whole
from ...model.dictionary import Dictionary
from ...solvers.result import Progress
from ...tasks.methods import find_method
from ...tasks.protocol import TOL
from ...tasks.sparse_coding import SparseCoding
from ...tasks.task import Task, get_task
from ...types import Kind
from ..cluster import opened
from ..result import BlockResult
from ..solve import block_sides, check_blocks, solve_blocks
from .local import BlockGrid
from .stored import room_for_signals, stored_signals

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["BlockOptions", "CodedBlocks", "Signals"]


class BlockOptions(TypedDict, total=False):
    """Options of `restore_blocks` and `fuse_blocks`; each may be left out."""

    tol: float
    """Certified relative duality gap of the whole image. Default: that of `mcsc.tasks`."""
    block: int
    """Side of the blocks in pixels. Default: 512."""
    folder: str | Path | None
    """Where codes are kept, on a file system that all workers see; a second call with it goes on.
    Signals that were made of the images are there as long as they are coded. Default: a temporary
    folder of this machine."""
    max_sweeps: int
    """Largest number of sweeps over the blocks."""
    client: Client | None
    """Client of the cluster to use. Default: the active client, or a local cluster."""
    scheduler: str | None
    """Address of a cluster's scheduler instead."""
    workers: int | None
    """Number of processes of a local cluster. Default: one for each core."""
    threads: int
    """Number of threads of the solver in each task."""
    callback: Callable[[Progress], Any] | None
    """Called with a `Progress` after every sweep; a true value or StopIteration stops."""
    progress: bool
    """Whether to show a progress bar on standard error."""


class Signals(NamedTuple):
    """A problem: names of its signals and of their masks among what is made, and its lam."""

    names: tuple[str, ...]
    masks: tuple[str, ...] | None
    lam: Any


@dataclass(frozen=True, eq=False)
class CodedBlocks:
    """Options that were checked, and who codes by them."""

    task: Task
    model: SparseCoding
    tol: float
    block: int
    folder: Path | None
    max_sweeps: int
    client: Client | None
    scheduler: str | None
    workers: int | None
    threads: int
    callback: Callable[[Progress], Any] | None
    progress: bool

    @classmethod
    def of(
        cls,
        task: str | Task,
        kind: Kind,
        dictionary: Dictionary | str | PathLike[str] | None,
        *,
        tol: float = TOL,
        block: int = 512,
        folder: str | Path | None = None,
        max_sweeps: int = 100,
        client: Client | None = None,
        scheduler: str | None = None,
        workers: int | None = None,
        threads: int = 1,
        callback: Callable[[Progress], Any] | None = None,
        progress: bool = False,
    ) -> CodedBlocks:
        """Check the options of a call: `BlockOptions`."""
        check_tol(tol)
        check_callback(callback)
        block = check_whole("block", block)
        found = get_task(task, kind)
        model = find_method("mcsc", found, dictionary=dictionary)
        assert isinstance(model, SparseCoding)
        block_sides(block, model.dictionary.filter_size)
        return cls(
            found, model, tol, block, None if folder is None else Path(folder), max_sweeps, client,
            scheduler, workers, threads, callback, progress,
        )  # fmt: skip

    def opened(self) -> AbstractContextManager[Client]:
        """Give the client that was asked for."""
        return opened(self.client, self.scheduler, self.workers)

    def code(
        self,
        cluster: Client,
        grid: BlockGrid,
        made: Mapping[str, Any],
        filters: Dictionary,
        problems: Sequence[Signals],
    ) -> list[BlockResult]:
        """Make all signals, and solve the problems one after the other.

        Parameters
        ----------
        cluster : distributed.Client
        grid : BlockGrid
            Blocks of the signals.
        made : mapping of str to (Dask array (C, H, W) or None)
            Signals and masks.
        filters : Dictionary
        problems : sequence of Signals
            Refused, all of them, before any signal is made.

        Returns
        -------
        list of BlockResult
            Fewer than there are problems where a callback or Ctrl-C stopped it.
        """

        def terms(n: int) -> dict[str, Any]:
            folder = None if self.folder is None else self.folder / f"codes-{n}"
            return {"block": self.block, "folder": folder, **filters.terms}

        def chosen(source: Mapping[str, Any], problem: Signals) -> tuple[Any, Any]:
            masks = None
            if problem.masks is not None:
                masks = tuple(source.get(name) for name in problem.masks)
                masks = None if all(mask is None for mask in masks) else masks
            return tuple(source[name] for name in problem.names), masks

        found: list[BlockResult] = []
        with room_for_signals(self.folder) as place:
            for n, problem in enumerate(problems):
                signals, masks = chosen(made, problem)
                check_blocks(cluster, signals, filters, problem.lam, masks=masks, **terms(n))
            there = stored_signals(made, place, cluster, grid)
            for n, problem in enumerate(problems):
                signals, masks = chosen(there, problem)
                found.append(
                    solve_blocks(
                        signals, filters, problem.lam, masks=masks, tol=self.tol, client=cluster,
                        max_sweeps=self.max_sweeps, threads=self.threads, callback=self.callback,
                        progress=self.progress, **terms(n),
                    )
                )  # fmt: skip
                if found[-1].stopped in ("interrupted", "callback"):
                    break
        return found
