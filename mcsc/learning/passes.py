"""Passes over the windows: coding, filter updates, dead atoms, checkpoints."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from ..model.codes import Codes
from ..solvers.result import Result
from ..sparse.active_set import ActiveSet
from .atoms import Layout
from .checkpoint import Checkpoint
from .history import LearningHistory
from .images import Batch, Images
from .options import Settings
from .update import update_filters
from .watch import Stopped, Watch
from .windows import Window, batches, cover, draw
from .workers import make_coder

if TYPE_CHECKING:
    from distributed import Client

_SAVE_EVERY = 60.0  # seconds


class Passes:
    """The state between two batches; all of it is in a checkpoint.

    Parameters
    ----------
    images : Images
        What is learned from.
    layout : Layout
        The filters.
    settings : Settings
        Complete.
    client : distributed.Client, optional
        Whose workers code the windows.
    """

    def __init__(
        self, images: Images, layout: Layout, settings: Settings, client: Client | None = None
    ) -> None:
        self.images, self.layout, self.settings = images, layout, settings
        options = settings.options
        self.rng = np.random.default_rng(settings.seed)
        self.coder = make_coder(client, settings.lam, settings.tol, options)
        windows = draw(cover(images.sizes, settings.window), options.max_windows, self.rng)
        self.batches: list[list[Window]] = batches(windows, options.batch_size)
        self.filters = layout.start(options.init, images, self.rng)
        self.codes: list[Codes | None] = [None] * len(self.batches)
        self.recent: deque[int] = deque()
        self.order = self.rng.permutation(len(self.batches))
        self.step = 0
        self.steps = settings.passes * len(self.batches)
        self.history = LearningHistory()
        maps = sum(shape[0] for shape in layout.shapes)
        self.objective, self.nonzero, self.size = 0.0, 0, 0
        self.use = np.zeros(maps)
        self._active: dict[int, ActiveSet] = {}
        self._worst: list[tuple[float, np.ndarray]] = []
        self._saved = time.perf_counter()

    # ------------------------------------------------------------------ passes
    def run(self, watch: Watch, checkpoint: Checkpoint | None) -> None:
        """Go through what is left of the passes.

        Raises
        ------
        Stopped
            The callback or a Ctrl-C asked for it; the last step is in the checkpoint.
        """
        if checkpoint is not None and self.step == 0:
            self.save(checkpoint, watch)  # what cannot be written is refused before any work
        try:
            while self.step < self.steps:
                watch.go_on()
                self._batch(int(self.order[self.step % len(self.batches)]), watch)
                end_of_pass = self.step % len(self.batches) == 0
                if end_of_pass:
                    self._end_pass(watch.seconds())
                due = end_of_pass or time.perf_counter() - self._saved > _SAVE_EVERY
                if checkpoint is not None and due:
                    self.save(checkpoint, watch)
                watch.report("passes", self.step, self.steps, self._last_objective())
        except Stopped:
            if checkpoint is not None:
                self.save(checkpoint, watch)
            raise

    def passes(self) -> float:
        """Return how many passes were done; 2.5 is halfway through the third."""
        done = self.step / len(self.batches)
        return int(done) if done.is_integer() else round(done, 3)

    def _last_objective(self) -> float:
        return self.history.objective[-1] if self.history.objective else math.nan

    def _batch(self, index: int, watch: Watch) -> None:
        """Code one batch and update the filters; a Ctrl-C in coding leaves all as it was."""
        batch = self.images.read(self.batches[index])
        result = self.coder.code(batch, self.layout.dictionary(self.filters), self.codes[index])
        self.codes[index] = codes = watch.coded(result)
        self._count(result)
        self._remember(index, batch, codes)
        updated = update_filters(
            [self._active[b] for b in self.recent],
            self.filters,
            project=self.layout.project,
            per_filter=self.layout.per_filter,
            steps=self.settings.options.update_steps,
        )
        change = self.settings.options.relaxation * (updated - self.filters)
        self.filters = self.layout.project(self.filters + change)
        self.step += 1

    def _count(self, result: Result) -> None:
        self.objective += result.objective
        self.nonzero += result.codes.nnz
        self.size += result.codes.size

    def _remember(self, index: int, batch: Batch, codes: Codes) -> None:
        """Put a batch into the update, and drop the oldest beyond its size."""
        if index in self.recent:
            self.recent.remove(index)
        self.recent.append(index)
        active = self.coder.activate(batch, self.layout.dictionary(self.filters), codes)
        self._active[index] = active
        self.use += np.bincount(
            active.k, weights=np.abs(active.value, dtype=np.float64), minlength=len(self.use)
        )
        self._note_residuals(active)
        while len(self.recent) > 1 and self._pixels() > self.settings.options.update_pixels:
            del self._active[self.recent.popleft()]

    def _pixels(self) -> int:
        return sum(a.problem.n_samples * math.prod(a.problem.shape) for a in self._active.values())

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
        replaced = self._replace_dead() if self.step < self.steps else 0
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
        filters = self.filters.copy()
        given, old = self.layout.banks(filters), self.layout.banks(self.filters)
        replaced = []
        for k, (energy, patch) in zip(dead, worst, strict=False):
            if energy <= 0:
                break
            g = int(np.searchsorted(starts, k, side="right")) - 1
            group = self.layout.groups[g]
            part = patch if group == 0 else patch[edges[group - 1] : edges[group]]
            norm = float(np.sqrt((part**2).sum()))
            if norm > 0:
                given[g][k - starts[g]] = part / norm
                replaced.append((g, k - starts[g]))
        filters = self.layout.project(filters)
        found = self.layout.banks(filters)
        count = 0
        for g, k in replaced:
            # Of a patch, the constraint can leave nothing: its middle may be unknown, or flat.
            if np.abs(found[g][k]).max() > 1e-6:
                count += 1
            else:
                found[g][k] = old[g][k]
        self.filters = filters
        return count

    # ------------------------------------------------------------------ end
    def finish(self, watch: Watch) -> float:
        """Code everything once more with the final filters; return the objective.

        Raises
        ------
        Stopped
            The callback or a Ctrl-C asked for it.
        """
        dictionary = self.layout.dictionary(self.filters)
        last = self._last_objective()
        self.objective, self.nonzero, self.size = 0.0, 0, 0
        for index in range(len(self.batches)):
            watch.go_on()
            batch = self.images.read(self.batches[index])
            result = self.coder.code(batch, dictionary, self.codes[index])
            self.codes[index] = watch.coded(result)
            self._count(result)
            watch.report("coding", index + 1, len(self.batches), last)
        h = self.history
        h.seconds.append(watch.seconds())
        h.objective.append(self.objective)
        h.nonzero.append(self.nonzero / self.size)
        h.replaced.append(0)
        return self.objective

    def sums(self) -> np.ndarray:
        """Sum of absolute codes of each map over all windows, each as it was coded last, (K,)."""
        found = np.zeros_like(self.use)
        edges = np.cumsum([0, *self.layout.maps.values()])
        for codes in self.codes:
            if codes is None:
                continue
            common, unique = codes.coordinates()
            parts = [part for part in (common, *unique) if part is not None]
            for part, start, stop in zip(parts, edges[:-1], edges[1:], strict=True):
                found[start:stop] += np.bincount(
                    part.map, weights=np.abs(part.value), minlength=stop - start
                )
        return found

    # ------------------------------------------------------------------ checkpoint
    def save(self, checkpoint: Checkpoint, watch: Watch) -> None:
        """Write everything that a later batch depends on."""
        self._saved = time.perf_counter()
        checkpoint.write(
            self.layout.dictionary(self.filters),
            self.codes,
            arrays={
                "filters": self.filters,
                "order": self.order,
                "use": self.use,
                "recent": np.array(self.recent, dtype=np.int64),
                "worst": np.array([p for _, p in self._worst]),
                "worst_energy": np.array([e for e, _ in self._worst]),
            },
            numbers={
                "step": self.step,
                "objective": self.objective,
                "nonzero": self.nonzero,
                "size": self.size,
                "rng": self.rng.bit_generator.state,
                "seconds": watch.seconds(),
                "history": asdict(self.history),
            },
        )

    def resume(self, checkpoint: Checkpoint) -> float:
        """Go back to a checkpoint; returns the seconds that it took to get there."""
        state = checkpoint.read(self.layout)
        arrays, numbers, self.codes = state.arrays, state.numbers, state.codes
        self.filters, self.order, self.use = arrays["filters"], arrays["order"], arrays["use"]
        self.step, self.objective = numbers["step"], numbers["objective"]
        self.nonzero, self.size = numbers["nonzero"], numbers["size"]
        self.rng.bit_generator.state = numbers["rng"]
        self.history = LearningHistory(**numbers["history"])
        self._worst = list(zip(arrays["worst_energy"].tolist(), arrays["worst"], strict=True))
        for index in arrays["recent"].tolist():
            self.recent.append(index)
            codes = self.codes[index]
            assert codes is not None
            self._active[index] = self.coder.activate(
                self.images.read(self.batches[index]), self.layout.dictionary(self.filters), codes
            )
        return float(numbers["seconds"])
