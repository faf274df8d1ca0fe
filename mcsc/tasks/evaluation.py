"""Tables of methods and scenes."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write
from ..types import Floats
from .folders import SceneFiles
from .methods import Method
from .task import Task

__all__ = ["Evaluation", "Row", "evaluate"]


@dataclass(frozen=True)
class Row:
    """One method on one scene."""

    scene: str
    method: str
    measures: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """All rows; `mean` over scenes."""

    task: str
    measures: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)

    def methods(self) -> list[str]:
        """Names in the order in which they were run."""
        return list(dict.fromkeys(r.method for r in self.rows))

    def mean(self, method: str) -> dict[str, float]:
        """Mean of every measure over the scenes."""
        mine = [r.measures for r in self.rows if r.method == method]
        return {name: float(np.mean([m[name] for m in mine])) for name in self.measures}

    def write_csv(self, path: str | Path) -> None:
        """Write one line a scene and method, and the means."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["scene", "method", *self.measures, "seconds"])
        for row in self.rows:
            values = [row.measures[n] for n in self.measures]
            writer.writerow([row.scene, row.method, *values, row.seconds])
        for method in self.methods():
            mean = self.mean(method)
            seconds = float(np.mean([r.seconds for r in self.rows if r.method == method]))
            writer.writerow(["mean", method, *(mean[n] for n in self.measures), seconds])
        with atomic_write(path) as file:
            file.write(text.getvalue().encode())

    def write_json(self, path: str | Path, **extra: Any) -> None:
        """Write everything."""
        content = {
            "task": self.task,
            "rows": [r.__dict__ for r in self.rows],
            "mean": {m: self.mean(m) for m in self.methods()},
            **extra,
        }
        with atomic_write(path) as file:
            file.write(json.dumps(content, indent=1).encode())


def evaluate(
    task: Task,
    scenes: Sequence[SceneFiles],
    methods: Mapping[str, Method],
    *,
    sigma: float | None = None,
    seed: int = 0,
    each: Callable[[Row, Floats, Floats, Floats, Floats | None], None] | None = None,
) -> Evaluation:
    """Run methods on scenes and measure what comes out.

    In restoration the first image of a scene is the truth, from which the input is made; in fusion
    both images are inputs and measures need no truth.

    Parameters
    ----------
    task : Task
        Degradation and measures.
    scenes : sequence of SceneFiles
        As `find_scenes` gives them.
    methods : mapping of name to Method
        As `resolve_method` gives them.
    sigma : float, optional
        Denoising: standard deviation of the noise, of 255.
    seed : int
        Of the noise; scene number n of the folder has the seed plus n.
    each : callable, optional
        Called after every run with the row, x, y, the result and the truth (None in fusion).

    Returns
    -------
    Evaluation
    """
    found = Evaluation(task.name, tuple(m.name for m in task.measures))
    for number, scene in enumerate(scenes):
        for x, y, truth in _inputs(task, scene, sigma, seed + number):
            for name, method in methods.items():
                started = time.perf_counter()
                image = method(x, y, sigma=sigma if task.sigma is not None else None)
                seconds = time.perf_counter() - started
                reference = (x, y) if truth is None else truth
                shown = np.clip(image, 0, 1) if task.display else image
                values = {m.name: float(m.function(shown, reference)) for m in task.measures}
                row = Row(scene.name, name, values, seconds)
                found.rows.append(row)
                if each is not None:
                    each(row, x, y, image, truth)
    return found


def _inputs(
    task: Task, scene: SceneFiles, sigma: float | None, seed: int
) -> Iterator[tuple[Floats, Floats, Floats | None]]:
    first, second = scene.read()
    if task.kind == "fusion":
        yield first, second, None
        return
    if task.factor is not None:
        # The authors' images are cut to multiples of the factor, too.
        h, w = (n - n % task.factor for n in first.shape[1:])
        first, second = first[:, :h, :w], second[:, :h, :w]
    yield task.degrade(first, sigma=sigma, seed=seed), second, first
