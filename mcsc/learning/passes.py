"""Passes over the windows: coding, filter updates, dead atoms, checkpoints."""

from __future__ import annotations

import math
import time
import warnings
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..solvers.front import solve
from ..solvers.result import ConvergenceWarning, Result
from ..solvers.working_set import WorkingSet
from ..sparse.active_set import ActiveSet, TileGrid
from . import checkpoint as checkpoints
from .atoms import Layout
from .history import LearningHistory, LearningProgress
from .options import Options
from .progress import LearningBar
from .update import update_filters
from .windows import Batch, Images, Window, batches


class Passes:
    """The state between two batches; all of it is in a checkpoint."""

    def __init__(self, images: Images, layout: Layout, options: Options, init: Any) -> None:
        self.images, self.layout, self.options = images, layout, options
        self.rng = np.random.default_rng(options.seed)
        windows = images.windows(options.window)
        if options.max_windows is not None and len(windows) > options.max_windows:
            chosen = self.rng.choice(len(windows), options.max_windows, replace=False)
            windows = [windows[i] for i in np.sort(chosen)]
        self.batches: list[list[Window]] = batches(windows, options.batch_size)
        self.filters = layout.start(init, images, self.rng)
        self.codes: list[Codes | None] = [None] * len(self.batches)
        self.recent: deque[int] = deque()
        self.order = self.rng.permutation(len(self.batches))
        self.step = 0
        self.history = LearningHistory()
        maps = sum(shape[0] for shape in layout.shapes)
        self.objective, self.nonzero, self.size = 0.0, 0, 0
        self.use = np.zeros(maps)
        self._active: dict[int, ActiveSet] = {}
        self._worst: list[tuple[float, np.ndarray]] = []

    # ------------------------------------------------------------------ passes
    def run(
        self, started: float, path: Any, settings: dict[str, Any], callback: Any, progress: bool
    ) -> bool:
        """Go through what is left of the passes; False if something stopped them."""
        total = self.options.passes * len(self.batches)
        saved = time.perf_counter()
        with LearningBar(total, self.step, shown=progress) as bar:
            while self.step < total:
                try:
                    done = self._batch(int(self.order[self.step % len(self.batches)]))
                except KeyboardInterrupt:  # between two solves; they defer it themselves
                    done = False
                if not done:
                    return False
                end_of_pass = self.step % len(self.batches) == 0
                if end_of_pass:
                    self._end_pass(time.perf_counter() - started)
                due = end_of_pass or time.perf_counter() - saved > 60
                if path is not None and due:
                    self.save(path, settings, time.perf_counter() - started)
                    saved = time.perf_counter()
                last = self.history.objective[-1] if self.history.objective else math.nan
                bar.update(self.step, last)
                if callback is not None:
                    state = LearningProgress(
                        self.step, self.step / len(self.batches),
                        time.perf_counter() - started, last,
                    )  # fmt: skip
                    if callback(state):
                        return False
        return True

    def _batch(self, index: int) -> bool:
        """Code one batch and update the filters; False if coding was interrupted."""
        batch = self.images.read(self.batches[index])
        result = self._code(index, batch, self.layout.dictionary(self.filters))
        if result.stopped == "interrupted":
            return False
        self._count(result)
        self.codes[index] = result.codes
        self._remember(index, batch)
        updated = update_filters(
            [self._active[b] for b in self.recent], self.filters, self.layout.project,
            self.layout.per_filter, self.options.update_steps,
        )  # fmt: skip
        change = self.options.relaxation * (updated - self.filters)
        self.filters = self.layout.project(self.filters + change)
        self.step += 1
        return True

    def _code(self, index: int, batch: Batch, dictionary: Dictionary) -> Result:
        with warnings.catch_warnings():
            # A window that is not certified to tol is no reason to stop learning.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return solve(
                batch.signals, dictionary, self.options.lam, masks=batch.masks,
                method="working-set", boundary=self.options.boundary, tol=self.options.tol,
                init=self.codes[index],
            )  # fmt: skip

    def _count(self, result: Result) -> None:
        self.objective += result.objective
        self.nonzero += result.codes.nnz
        self.size += result.codes.size

    def _remember(self, index: int, batch: Batch) -> None:
        """Put a batch into the update, and drop the oldest beyond its size."""
        if index in self.recent:
            self.recent.remove(index)
        self.recent.append(index)
        active = self._activate(batch, self.codes[index])
        self._active[index] = active
        self.use += np.bincount(
            active.k, weights=np.abs(active.value, dtype=np.float64), minlength=len(self.use)
        )
        self._note_residuals(active)
        while len(self.recent) > 1 and self._pixels() > self.options.memory:
            del self._active[self.recent.popleft()]

    def _pixels(self) -> int:
        return sum(a.problem.n_samples * math.prod(a.problem.shape) for a in self._active.values())

    def _activate(self, batch: Batch, codes: Codes | None) -> ActiveSet:
        dictionary = self.layout.dictionary(self.filters)
        problem = Problem(
            batch.signals, dictionary, self.options.lam, batch.masks, self.options.boundary
        )
        grid = TileGrid(
            problem.n_samples, problem.shape, dictionary.filter_size, WorkingSet.tile_side
        )
        active = ActiveSet(problem, grid, problem.dtype)
        if codes is not None:
            active.insert_codes(codes)
        return active

    # ------------------------------------------------------------------ dead atoms
    def _note_residuals(self, active: ActiveSet) -> None:
        """Keep the patches that are explained worst, from which dead atoms start again."""
        residual = active.crop(active.weighted(active.residual())).astype(np.float64)
        s = self.layout.size
        rows, cols = residual.shape[2] // s, residual.shape[3] // s
        blocks = residual[:, :, : rows * s, : cols * s]
        blocks = blocks.reshape(*residual.shape[:2], rows, s, cols, s).transpose(0, 2, 4, 1, 3, 5)
        blocks = blocks.reshape(-1, residual.shape[1], s, s)
        energy = (blocks**2).sum((1, 2, 3))
        for b in np.argsort(-energy, kind="stable")[:4]:
            self._worst.append((float(energy[b]), blocks[b]))

    def _end_pass(self, seconds: float) -> None:
        h = self.history
        replaced = (
            self._replace_dead() if self.step < self.options.passes * len(self.batches) else 0
        )
        h.seconds.append(seconds)
        h.objective.append(self.objective)
        h.nonzero.append(self.nonzero / self.size)
        h.replaced.append(replaced)
        self.objective, self.nonzero, self.size = 0.0, 0, 0
        self.use[...] = 0
        self._worst = []
        self.order = self.rng.permutation(len(self.batches))

    def _replace_dead(self) -> int:
        """Give atoms that no window used the worst patches; none twice."""
        dead = np.flatnonzero(self.use == 0)
        worst = sorted(self._worst, key=lambda entry: -entry[0])
        edges = np.cumsum([0, *self.images.channels])
        starts = np.cumsum([0, *(shape[0] for shape in self.layout.shapes)])
        banks = self.layout.banks(self.filters)
        replaced = 0
        for k, (energy, patch) in zip(dead, worst, strict=False):
            if energy <= 0:
                break
            g = int(np.searchsorted(starts, k, side="right")) - 1
            group = self.layout.groups[g]
            part = patch if group == 0 else patch[edges[group - 1] : edges[group]]
            norm = float(np.sqrt((part**2).sum()))
            if norm > 0:
                banks[g][k - starts[g]] = part / norm
                replaced += 1
        self.filters = self.layout.project(self.filters)
        return replaced

    # ------------------------------------------------------------------ end
    def finish(self, started: float) -> tuple[Dictionary, float, np.ndarray]:
        """Code everything once more with the final filters."""
        dictionary = self.layout.dictionary(self.filters)
        self.objective, self.nonzero, self.size = 0.0, 0, 0
        use = np.zeros_like(self.use)
        for index in range(len(self.batches)):
            batch = self.images.read(self.batches[index])
            result = self._code(index, batch, dictionary)
            self._count(result)
            self.codes[index] = result.codes
            common, unique = result.codes.coordinates()
            start = 0
            for part, count in zip(
                (common, *unique), (dictionary.n_common, *dictionary.n_unique), strict=True
            ):
                if part is not None:
                    use[start : start + count] += np.bincount(
                        part.map, weights=np.abs(part.value), minlength=count
                    )
                start += count
        h = self.history
        h.seconds.append(time.perf_counter() - started)
        h.objective.append(self.objective)
        h.nonzero.append(self.nonzero / max(self.size, 1))
        h.replaced.append(0)
        return dictionary, self.objective, use

    # ------------------------------------------------------------------ checkpoint
    def save(self, path: Any, settings: dict[str, Any], seconds: float) -> None:
        """Write everything that a later batch depends on."""
        checkpoints.write(
            path, settings, self.codes, self.layout.dictionary(self.filters),
            arrays={
                "filters": self.filters, "order": self.order, "use": self.use,
                "recent": np.array(self.recent, dtype=np.int64),
                "worst": np.array([p for _, p in self._worst]),
                "worst_energy": np.array([e for e, _ in self._worst]),
            },
            numbers={
                "step": self.step, "objective": self.objective, "nonzero": self.nonzero,
                "size": self.size, "rng": self.rng.bit_generator.state, "seconds": seconds,
                "history": self.history.__dict__,
            },
        )  # fmt: skip

    def resume(self, path: Path, settings: dict[str, Any]) -> float:
        """Go back to a checkpoint; returns the seconds that it took to get there."""
        numbers, arrays, self.codes = checkpoints.read(path, settings, len(self.batches))
        self.filters, self.order, self.use = arrays["filters"], arrays["order"], arrays["use"]
        self.step, self.objective = numbers["step"], numbers["objective"]
        self.nonzero, self.size = numbers["nonzero"], numbers["size"]
        self.rng.bit_generator.state = numbers["rng"]
        self.history = LearningHistory(**numbers["history"])
        self._worst = list(zip(arrays["worst_energy"].tolist(), arrays["worst"], strict=True))
        for index in arrays["recent"].tolist():
            self.recent.append(index)
            batch = self.images.read(self.batches[index])
            self._active[index] = self._activate(batch, self.codes[index])
        return float(numbers["seconds"])
