"""Iterative against unfolded on one axis: how good an image is after how many seconds.

For each task, on one scene and with the dictionary that comes with the package: exact coding by
each method to certified gaps of 0.1, 0.01 and 0.001; one sweep of the paper's alternation; the
untrained network from the same dictionary, which computes what such a sweep does; and the trained
network that comes with the package, if there is one (or one given with --weights). All but the last
go through the same restoration or fusion of `mcsc.images`, with the same signals, filters and lam,
so that the codes are the only thing that differs; the trained network makes its image itself.

Scenes are crops of real ones where the data lie beside the repository, else synthetic. Seconds are
those of the whole call: codes, and what is made of them. Certificates are evaluated with the clock
stopped, everything is compiled beforehand, and networks are timed three times, of which the median
counts.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mcsc
import unfolded
from mcsc.solvers.result import History
from mcsc.synthetic import scenes
from mcsc.tasks import (
    TASKS,
    Method,
    SparseCoding,
    Task,
    find_scenes,
    fuse,
    restore,
    shipped_dictionary,
)
from unfolded.method import make_method

from ..common import network_plots
from ..common.problems import DATA, crop
from ..common.results import Data, command, number, table
from ..common.timing import Judge, Stop, Trace, make_solver, trace_own
from .cunet_inference import network_threads

METHODS = ("working-set", "fista", "admm", "alternating")
GAPS = (1e-1, 1e-2, 1e-3)
REFERENCE_GAP = 1e-4
BLOCKS = (4, 16)
"""LCSC blocks of the untrained networks; 4 are the paper's."""
SCENES = {
    "depth-sr": ("depth_sr", "art"),
    "multispectral-sr": ("multispectral_sr", "jelly_beans"),
    "flash-denoise": ("flash_denoise", "minion"),
    "multi-exposure": ("multi_exposure", "house"),
    "multi-focus": ("multi_focus", "lytro02"),
    "medical": ("medical", "mr01"),
}
FIRST_MEASURE = {"depth-sr": "RMSE", "multispectral-sr": "PSNR", "flash-denoise": "PSNR"}
QUICK_TASKS = ("depth-sr", "multi-focus")

Solve = Callable[..., mcsc.Result]
State = tuple[float | None, float, mcsc.Codes, float]
"""Gap that was asked for (None: it was not met), seconds, codes, gap that there was."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", nargs="+", choices=tuple(SCENES), default=tuple(SCENES))
    parser.add_argument("--size", type=int, default=256, help="side of the crops")
    parser.add_argument("--cap", type=float, default=12.0, help="seconds a method")
    parser.add_argument(
        "--weights", nargs="+", default=(), metavar="TASK=FILE",
        help="weights of a trained network, instead of those that come with the package",
    )  # fmt: skip
    parser.add_argument("--figure", type=Path, help="draw it into this PNG at once")


def measure(arguments: argparse.Namespace) -> Data:
    tasks, size, cap = tuple(arguments.tasks), arguments.size, arguments.cap
    if arguments.quick:
        tasks, size, cap = QUICK_TASKS, 48, 0.2
    weights = dict(pair.split("=", 1) for pair in arguments.weights)
    found = []
    with network_threads(arguments.threads), torch.inference_mode():
        for name in tasks:
            scene = find_scene(TASKS[name], size)
            found.append(_measure_task(scene, cap, weights.get(name)))
    data = {
        "tasks": found, "size": size, "cap": cap, "threads": arguments.threads,
        "torch": torch.__version__,
    }  # fmt: skip
    if arguments.figure is not None:
        network_plots.unrolling(data, arguments.figure)
    return data


# ----------------------------------------------------------------------------------- scene
@dataclass(frozen=True)
class TaskScene:
    """A scene with the dictionary of its task."""

    task: Task
    name: str
    x: np.ndarray
    y: np.ndarray
    truth: np.ndarray | None
    dictionary: mcsc.Dictionary

    def image(self, solver: Solve) -> np.ndarray:
        """The restored or fused image, with codes of this solver."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
            return self.made_by(SparseCoding(self.task, self.dictionary, solver=solver))

    def made_by(self, method: str | Method) -> np.ndarray:
        """The restored or fused image, by a method."""
        if self.task.kind == "fusion":
            return fuse((self.x, self.y), self.task, method=method).image
        return restore(self.x, self.y, self.task, method=method).image

    def measures(self, image: np.ndarray) -> dict[str, float]:
        """What an image of the task is measured by."""
        reference = (self.x, self.y) if self.truth is None else self.truth
        shown = np.clip(image, 0, 1) if self.task.display else image
        return {m.name: float(m.function(shown, reference)) for m in self.task.measures}

    def problem(self) -> tuple[tuple[np.ndarray, ...], Any]:
        """Signals and lam that the solver is asked with."""
        asked: list[Any] = []

        def listen(signals: Any, dictionary: Any, lam: Any, **_: Any) -> mcsc.Result:
            asked.extend((signals, lam))
            shape = (len(signals[0]), dictionary.n_maps, *signals[0].shape[-2:])
            zeros = np.zeros(shape, signals[0].dtype)
            return as_result(mcsc.Codes.from_stacked(zeros, dictionary))

        self.image(listen)
        signals, lam = asked
        return signals, lam


def find_scene(task: Task, size: int) -> TaskScene:
    """A crop of a real scene, or a synthetic one."""
    dictionary = shipped_dictionary(task.name).astype("float32")
    folder, name = SCENES[task.name]
    if (DATA / folder).is_dir():
        first, second = (
            crop(image, (size, size))
            for image in find_scenes(DATA / folder, task, [name])[0].read()
        )
        if task.kind == "fusion":
            return TaskScene(task, name, first, second, None, dictionary)
        return TaskScene(task, name, task.degrade(first), second, first, dictionary)
    pair = next(iter(scenes(task.synthetic, 1, (size, size), seed=7)))
    truth = None if task.kind == "fusion" else pair.target
    return TaskScene(task, "synthetic", pair.x, pair.y, truth, dictionary)


def as_result(codes: mcsc.Codes) -> mcsc.Result:
    """Codes without a certificate, as a solver would return them."""
    return mcsc.Result(
        codes=codes, objective=np.nan, gap=np.inf, dual_bound=-np.inf, converged=False,
        method="given", iterations=0, seconds=0.0, stopped="max_iter", message="",
        history=History(),
    )  # fmt: skip


# ----------------------------------------------------------------------------- measurement
def _measure_task(scene: TaskScene, cap: float, weights: str | None) -> Data:
    signals, lam = scene.problem()
    _warm_up(scene, signals, lam)

    def make() -> mcsc.Problem:
        return mcsc.Problem(signals, scene.dictionary, lam, boundary="zero")

    judge, rows = Judge(make(), gap=True), []
    optimum = known_to = np.inf

    def add(method: str, codes: mcsc.Codes, seconds: float, **more: Any) -> None:
        started = time.perf_counter()
        image = scene.image(lambda *_, **__: as_result(codes))
        rest = time.perf_counter() - started
        rows.append({
            "method": method, "codes": seconds, "seconds": seconds + rest,
            "objective": judge.problem.objective(codes), "nonzero": codes.nnz / codes.size,
            "measures": scene.measures(image), **more,
        })  # fmt: skip
        print(f"{scene.task.name}, {method}: {rows[-1]['seconds']:.3g} s", flush=True)

    for method in METHODS:
        trace, states = _trace(method, make, judge, cap)
        if method == "working-set":
            # Within 0.01 % of it, of this objective or of this lower bound.
            known_to = trace.gap[-1]
            optimum = trace.objective[-1] if known_to <= REFERENCE_GAP else trace.dual[-1]
        for gap, seconds, codes, reached in states:
            add(method, codes, seconds, gap=gap, reached=reached)
    add("one sweep", *_one_sweep(make))
    for blocks in BLOCKS:
        codes, seconds = _from_dictionary(scene, signals, lam, blocks)
        add(f"CU-Net, J = {blocks}, untrained", codes, seconds, blocks=blocks)
    trained = _trained(scene, weights)
    if trained is not None:
        rows.append(trained)
    baselines = {"fusion": "mean", "restoration": "bicubic" if scene.task.factor else "input"}
    baseline = baselines[scene.task.kind]
    image = scene.made_by(baseline)
    return {
        "task": scene.task.name, "scene": scene.name, "shape": scene.x.shape[1:],
        "channels": scene.dictionary.channels, "maps": scene.dictionary.n_maps,
        "filter_size": scene.dictionary.filter_size, "lam": lam,
        "optimum": optimum, "known_to": known_to,
        "measure": _first_measure(scene.task),
        "baseline": {"method": baseline, "measures": scene.measures(image)}, "rows": rows,
    }  # fmt: skip


def _first_measure(task: Task) -> Data:
    name = FIRST_MEASURE.get(task.name, task.measures[0].name)
    (found,) = (m for m in task.measures if m.name == name)
    return {"name": found.name, "larger_is_better": found.larger_is_better}


def _warm_up(scene: TaskScene, signals: tuple[np.ndarray, ...], lam: Any) -> None:
    """Compile and load what the methods use for these filters and channels."""
    small = tuple(np.ascontiguousarray(s[..., :48, :48]) for s in signals)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
        for method in METHODS:
            # The working set takes its last kernel up near the solution only.
            options = {} if method == "working-set" else {"max_iter": 5}
            mcsc.solve(small, scene.dictionary, lam, method=method, tol=REFERENCE_GAP, **options)


def _trace(
    method: str, make: Callable[[], mcsc.Problem], judge: Judge, cap: float
) -> tuple[Trace, list[State]]:
    """The states at the gaps, and the one at the cap if a gap was not met."""
    states: list[State] = []
    last: list[State] = []

    def seen(trace: Trace, codes: mcsc.Codes) -> None:
        if last and last[0][1] >= cap:
            return
        seconds, reached = trace.seconds[-1], trace.gap[-1]
        last[:] = [(None, seconds, codes, reached)]
        met = [gap for gap in GAPS[len(states) :] if reached <= gap]
        states.extend((gap, seconds, codes, reached) for gap in met)

    stop = Stop(seconds=cap, gap=GAPS[-1])
    if method == "working-set":  # beyond the cap for the optimum's sake alone
        stop = Stop(seconds=5 * cap, gap=REFERENCE_GAP)
    trace = trace_own(method, make, judge, stop, seen=seen)
    return trace, states if len(states) == len(GAPS) else [*states, *last]


def _one_sweep(make: Callable[[], mcsc.Problem]) -> tuple[mcsc.Codes, float]:
    """Codes of one alternation over u, v, c with 5 steps each, and the median of its seconds."""
    seconds, codes = [], None
    for _ in range(3):
        started = time.perf_counter()
        solver = make_solver(make(), "alternating", inner_steps=BLOCKS[0] + 1)
        solver.step()
        seconds.append(time.perf_counter() - started)
        codes = solver.codes()
    assert codes is not None
    return codes, float(np.median(seconds))


def _from_dictionary(
    scene: TaskScene, signals: tuple[np.ndarray, ...], lam: Any, blocks: int
) -> tuple[mcsc.Codes, float]:
    """Codes of the untrained network, and the median of the seconds that its images take."""
    d = scene.dictionary
    if d.target_common is None:
        assert d.common is not None
        assert d.unique is not None
        d = replace(d, target_common=d.common[0], target_unique=d.unique)
    net = unfolded.CUNet.from_dictionary(d, lam, blocks=blocks, task=scene.task.kind)
    x, y = (torch.from_numpy(np.array(s)) for s in signals)
    seconds = median_seconds(lambda: net.split(x, y))
    c, unique = net.codes(x, y)
    return mcsc.Codes.from_dense(c.numpy(), [a.numpy() for a in unique]), seconds


def median_seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Median of some runs, after one to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def _trained(scene: TaskScene, weights: str | None) -> Data | None:
    """The trained network, which takes the images as they are."""
    try:
        method = make_method(scene.task, weights)
    except ValueError:
        if weights is not None:
            raise
        return None  # no weights come with the package for this task
    image = scene.made_by(method)
    seconds = median_seconds(lambda: scene.made_by(method))
    return {
        "method": "CU-Net, trained" + (f" ({Path(weights).stem})" if weights else ""),
        "codes": None, "seconds": seconds, "objective": None, "nonzero": None,
        "measures": scene.measures(image), "blocks": method.net.configuration.blocks,
        "trained": True,
    }  # fmt: skip


# --------------------------------------------------------------------------------- summary
def summary(data: Data) -> str:
    parts = [
        f"{data['size']}x{data['size']}, float32, zero boundary, {data['threads']} threads, "
        f"{data['cap']:g} s a method, PyTorch {data['torch']}:"
    ]
    return "\n\n".join([*parts, *(_task_table(found) for found in data["tasks"])])


def _task_table(found: Data) -> str:
    task = TASKS[found["task"]]
    measures = task.measures[:3]
    rows = []
    for row in found["rows"]:
        rows.append([
            row["method"], _gap(row), number(row["seconds"]), number(row["codes"]),
            _above(row["objective"], found["optimum"]),
            "–" if row["nonzero"] is None else f"{number(100 * row['nonzero'], 2)} %",
            *(f"{row['measures'][m.name]:.{m.digits}f}" for m in measures),
        ])  # fmt: skip
    base = found["baseline"]
    values = [f"{base['measures'][m.name]:.{m.digits}f}" for m in measures]
    rows.append([base["method"], *["–"] * 5, *values])
    headers = [
        "method", "certified gap", "seconds", "of which codes", "objective above the optimum",
        "nonzero", *(m.name for m in measures),
    ]  # fmt: skip
    c_x, c_y = found["channels"]
    doubt = ""
    if found["known_to"] > REFERENCE_GAP:
        doubt = f" (the optimum is known to {number(100 * found['known_to'], 2)} %: upper bounds)"
    return (
        f"{found['task']} ({found['scene']}), {found['maps']} maps of "
        f"{found['filter_size']}x{found['filter_size']}, {c_x} + {c_y} channels, "
        f"lam {found['lam']:g}{doubt}:\n\n" + table(headers, rows)
    )


def _gap(row: Data) -> str:
    if "gap" not in row:
        return "–"
    return f"{row['gap']:g}" if row["gap"] is not None else f"({row['reached']:.2g} at the cap)"


def _above(objective: float | None, optimum: float) -> str:
    if objective is None:
        return "–"
    return f"{number(100 * max(objective - optimum, 0.0) / optimum, 2)} %"


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.unrolling", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
