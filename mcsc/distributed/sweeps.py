"""The loop over sweeps: colours of regions, then the certificate of the whole image."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..errors import OutOfMemoryError
from ..model.certificate import Bounds, Envelope, relative_gap
from ..model.peaks import CELL
from ..progress import GapBar
from ..solvers.driver import asks_to_stop, deferred_interrupt
from ..solvers.result import Progress, Stop
from ..types import Region
from .arrays import cut
from .cluster import FieldTask
from .layers import Layer, Layers, key_of
from .result import BlockHistory, BlockResult
from .store import CodeStore, ProblemRecord
from .sums import Sums, join_cells
from .tasks import Job, Part, Visit, certify, code

__all__ = ["Sweeps", "TaskRunner"]

_FIRST = 0.03  # accuracy of the first sweep; finer, or coarser, took longer
_FINER = 0.06  # accuracy of a sweep, as a share of the gap before it
_FINEST = 0.4  # of what the tolerance allows
_STALLED = 0.7  # the gap must fall below this share of the last, or the accuracy is halved


class TaskRunner(Protocol):
    """Who does the tasks: `mcsc.distributed.cluster.Workers`."""

    def each(
        self, items: Iterable[Any], task: Callable[[Any], FieldTask]
    ) -> Iterator[tuple[Any, Any]]:
        """Do a task for each item, and give them with their futures as they end."""
        ...


@dataclass
class Sweeps:
    """The loop over sweeps; what lasts is in the store."""

    workers: TaskRunner
    store: CodeStore
    record: ProblemRecord
    job: Job
    images: Sequence[Any]
    weights: Sequence[Any]
    lams: Sequence[Any]
    layers: Layers
    tol: float
    started: float
    history: BlockHistory = field(default_factory=BlockHistory)
    number: int = 0
    """Number of files and visits so far, so that no name is used twice."""

    def __post_init__(self) -> None:
        self._settled: dict[tuple[int, ...], tuple[float, int]] = {}
        names = [layer.name for layer in self.layers if layer.name]
        self.number = max((int(name[6:-4]) for name in names), default=0)
        self._changed = {key_of(layer.region): self.number for layer in self.layers}

    def run(self, max_sweeps: int, callback: Any, *, progress: bool) -> BlockResult:
        """Sweep until the certificate says so, or something stops it; returns what there is."""
        accuracy, best, gap, objective = _FIRST, 0.0, math.inf, 0.0
        nonzeros, sweep = 0, 0
        stopped: Stop = "max_iter"
        with (
            deferred_interrupt() as interrupt,
            GapBar(f"{len(self.record.cover.blocks)} blocks", self.tol, shown=progress) as bar,
        ):
            certified = bool(self.layers)  # of an earlier run: perhaps all is done
            while True:
                if not certified:
                    for colour in self.record.cover.colours:
                        self._code(colour, accuracy, interrupt)
                        if interrupt.asked:
                            break
                    sweep += 1
                certified = False
                bounds, penalty, nonzeros = self._certificate()
                objective, before = bounds.objective, gap
                if math.isfinite(bounds.dual):
                    best = max(best, bounds.dual)
                gap = relative_gap(objective, best)
                self._note(objective, gap)
                bar.show(gap, sweep)
                seconds = time.perf_counter() - self.started
                state = Progress("working-set", sweep, seconds, objective, gap)
                asked = callback is not None and asks_to_stop(callback, state)
                if gap <= self.tol:
                    stopped = "converged"
                elif interrupt.asked:
                    stopped = "interrupted"
                elif asked:
                    stopped = "callback"
                elif not math.isfinite(objective):
                    stopped = "overflow"
                elif sweep < max_sweeps:
                    allowed = objective / max(penalty, 1e-300)
                    finest = _FINEST * self.tol * allowed
                    finer = max(finest, _FINER * gap * allowed)
                    accuracy = min(accuracy, finer)
                    if gap > _STALLED * before:
                        accuracy /= 2
                    continue
                break
        reasons = {
            "interrupted": "interrupted", "callback": "stopped by the callback",
            "max_iter": f"reached max_sweeps = {max_sweeps}",
            "overflow": "numbers overflow: scale the signals",
        }  # fmt: skip
        converged = stopped == "converged"
        message = f"certified relative gap {gap:.2g}"
        if converged:
            message = f"converged: {message} <= tol = {self.tol:g}"
        else:
            message = f"not converged ({reasons[stopped]}): {message}, wanted {self.tol:g}"
        return BlockResult(
            objective, gap, best, converged, sweep, time.perf_counter() - self.started, stopped,
            message, nonzeros, self.history, self.layers, self.job,
        )  # fmt: skip

    def _note(self, objective: float, gap: float) -> None:
        h = self.history
        h.seconds.append(time.perf_counter() - self.started)
        h.objective.append(objective)
        h.gap.append(gap)
        while len(h.visits) < len(h.gap):  # a certificate without a sweep before it
            h.visits.append(0)
            h.bytes_read.append(0)
            h.bytes_written.append(0)

    def _task(self, function: Any, region: Region, *words: Any) -> FieldTask:
        """Return what is to be done to a region, with its field."""
        cover = self.record.cover
        pixels = cover.field(region)
        layers = self.layers.within(cover.reach(pixels))
        images = tuple(
            [None if image is None else cut(image, pixels) for image in each]
            for each in (self.images, self.weights, self.lams)
        )
        return FieldTask(partial(function, self.job, region, layers, *words), images)

    def _code(self, colour: Sequence[Region], accuracy: float, interrupt: Any) -> None:
        """Code the regions of a colour; those that are settled are left alone."""
        due = [region for region in colour if not self._is_settled(region, accuracy)]
        names = {}
        for region in due:
            self.number += 1
            names[key_of(region)] = f"codes-{self.number}.npz"

        def task(region: Region) -> Any:
            return self._task(code, region, accuracy, names[key_of(region)])

        found: dict[tuple[int, ...], Visit] = {}
        for region, future in self.workers.each(due, task):
            found[key_of(region)] = _result(future, region)
            if interrupt.asked:
                break
        # In the order of the regions, whichever came first.
        for region in due:
            visit = found.get(key_of(region))
            if visit is None:
                continue
            if visit.name is not None:
                self.layers.put(Layer(region, visit.name))
                self._changed[key_of(region)] = self.number
            self._settled[key_of(region)] = visit.after, self.number
        self.store.keep(self.layers)
        h, visits = self.history, found.values()
        if len(h.visits) == len(h.gap):
            h.visits.append(0)
            h.bytes_read.append(0)
            h.bytes_written.append(0)
        h.visits[-1] += sum(v.name is not None for v in visits)
        h.bytes_read[-1] += sum(v.read for v in visits)
        h.bytes_written[-1] += sum(v.written for v in visits)

    def _is_settled(self, region: Region, accuracy: float) -> bool:
        """Whether nothing changed around a region since it was coded as well as is wanted now."""
        if key_of(region) not in self._settled:
            return False
        after, when = self._settled[key_of(region)]
        cover = self.record.cover
        near = self.layers.within(cover.reach(cover.field(region)))
        return after <= accuracy and all(self._changed[key_of(n.region)] <= when for n in near)

    def _certificate(self) -> tuple[Bounds, float, int]:
        """Return objective and dual value, the penalty, and how many codes are not zero."""
        cover = self.record.cover
        bounding = self.record.penalty.bounding(self.record.dictionary.filter_norms())
        cells = np.zeros([-(-length // CELL) for length in cover.shape], dtype=np.float32)
        sums, nonzeros = self._summed(cells, None)
        dual = sums.dual(bounding)
        envelope = Envelope(cover.shape, cover.filter_size, cover.boundary)
        shrink = envelope.of(cells[None])
        if shrink.any() or not math.isfinite(dual):
            nearly, _ = self._summed(None, partial(self._around, envelope, shrink))
            dual = max(dual, nearly.dual(bounding))
        return Bounds(sums.objective, dual), sums.penalty, nonzeros

    def _around(self, envelope: Envelope, shrink: np.ndarray, block: Region) -> np.ndarray:
        return np.asarray(envelope.around(shrink, self.record.cover.field(block))[0])

    def _summed(
        self, cells: np.ndarray | None, around: Callable[[Region], np.ndarray] | None
    ) -> tuple[Sums, int]:
        """Sum the certificate over all blocks, in their order; note the ratios in their cells."""
        blocks = self.record.cover.blocks

        def task(block: Region) -> FieldTask:
            return self._task(certify, block, None if around is None else around(block))

        found: dict[tuple[int, ...], Part] = {}
        for block, future in self.workers.each(blocks, task):
            part = found[key_of(block)] = _result(future, block)
            if cells is not None:
                join_cells(cells, part.cells, block)
        parts = [found[key_of(block)] for block in blocks]
        sums = parts[0].sums
        for part in parts[1:]:
            sums = sums + part.sums
        return sums, sum(part.nonzeros for part in parts)


def _result(future: Any, region: Region) -> Any:
    """Return what a task found; say where it was if workers died of it."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        rows, columns = region
        raise OutOfMemoryError(
            f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}: "
            "every worker that took them ended, perhaps because it had too little memory; take "
            "smaller blocks"
        ) from error
