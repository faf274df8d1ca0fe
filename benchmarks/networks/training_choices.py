"""What a choice in training is worth: kinds of networks and options of the recipe, one at a time.

A network for a task is trained several times on the same synthetic scenes, each time with one thing
changed, each with other patches for other seeds. All have the same CPU-seconds: those of a step are
measured first, the number of steps follows, and the cosine comes down to nothing at the last one.
So what makes steps dearer has fewer of them. What counts is the difference to the plain network
with the same seed, its mean and spread over the seeds, on synthetic scenes that were not trained on
and, where the data lie beside the repository, on scenes that choices may be made on.

Networks of other kinds start from the plain network's start, which they equal at first. With
`--photographs` the scenes are made of those.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

import unfolded
from mcsc.tasks.scenes import find_scenes, synthetic_scenes
from mcsc.tasks.task import get_task
from unfolded.starts.task_start import Start, start
from unfolded.training.evaluation import rmse
from unfolded.training.recipe import Arithmetic
from unfolded.training.scenes import TaskTriples
from unfolded.training.target_filters import refit_on_scenes

from ..common.problems import DATA
from ..common.results import Data, command, number, table
from .cunet_inference import network_threads

PLAIN = "plain"
CHOICES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "average 0.99": {"average": 0.99},
    "average 0.999": {"average": 0.999},
    "l1 first": {"loss": "l1"},
    "charbonnier first": {"loss": "charbonnier"},
    "Adam at 1e-3": {"learning_rate": 1e-3},
    "Muon at 1e-3": {"optimiser": "muon", "learning_rate": 1e-3},
    "Muon at 3e-4": {"optimiser": "muon", "learning_rate": 3e-4},
    "scaled Muon at 5e-3": {"optimiser": "scaled-muon", "learning_rate": 5e-3},
    "three candidates": {"candidates": 3},
    "no warm-up": {"warm_up": 0},
    "longer warm-up": {"warm_up": 0.1},
    "unit ball": {"unit_ball": True},
    "no clipping": {"clip_norm": None},
    "float32": {"precision": "32-true"},
    "two sweeps": {"sweeps": 2},
    "thresholds of maps": {"thresholds": "map"},
}
"""What is changed; a `warm_up` below 1 is a share of the steps."""

REAL = {"depth-sr": ("depth_sr", ("cones", "teddy"))}
"""Folders and scenes of ``shared/data`` that are in no table of the paper."""

SIDE, PATCH, BATCH = 256, 64, 8
TRAINING_SEED, HELD_OUT_SEED = 21, 22
TIMED = 4
"""Steps that the others' number is told from, after as many to warm up."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="depth-sr")
    parser.add_argument("--budget", type=float, default=120.0, help="CPU-seconds of a training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate")
    parser.add_argument("--start", default="dictionary", help="as of mcsc train")
    parser.add_argument(
        "--precision", choices=get_args(Arithmetic), default="bf16-mixed",
        help="of all trainings but that in float32",
    )  # fmt: skip
    parser.add_argument("--photographs", type=Path, help="folder of photographs for the scenes")
    parser.add_argument(
        "--choices", nargs="+", choices=list(CHOICES), default=list(CHOICES), metavar="CHOICE",
        help=f"only these beside the plain network: {', '.join(CHOICES)}",
    )  # fmt: skip


def measure(arguments: argparse.Namespace) -> Data:
    task = get_task(arguments.task)
    budget, seeds, count, side = arguments.budget, arguments.seeds, 48, SIDE
    names = [PLAIN, *(name for name in arguments.choices if name != PLAIN)]
    if arguments.quick:
        budget, seeds, count, side, names = 0.0, 2, 2, 96, [PLAIN, "average 0.99", "two sweeps"]
    photographs = arguments.photographs
    with network_threads(arguments.threads):
        first = start(task, arguments.start)
        shape = (side, side)
        readers = synthetic_scenes(task, count, shape, TRAINING_SEED, photographs)
        training = TaskTriples(task, readers, first.settings)
        apart = replace(first.settings, seed=first.settings.seed + 1_000_003)
        held_out = synthetic_scenes(task, max(1, count // 6), shape, HELD_OUT_SEED, photographs)
        sets = {"synthetic": TaskTriples(task, held_out, apart)}
        folder, real = REAL.get(task.name, ("", ()))
        if real and not arguments.quick and (DATA / folder).is_dir():
            sets["real"] = TaskTriples(task, find_scenes(DATA / folder, task, real), apart)
        if arguments.start == "dictionary":
            refit_on_scenes(first.net, training)
        inputs = {name: rmse(first.net, scenes) for name, scenes in sets.items()}
        rows = []
        for name in names:
            runs = [
                _one(
                    first,
                    {"precision": arguments.precision, **CHOICES[name]},
                    training,
                    sets,
                    budget,
                    arguments.rate,
                    seed,
                )
                for seed in range(seeds)
            ]
            rows.append({"choice": name, "runs": runs})
            print(name, [run["errors"] for run in runs], flush=True)
    return {
        "task": task.name, "budget": budget, "seeds": seeds, "rate": arguments.rate,
        "start": first.words, "scenes": count, "side": side, "patch": PATCH, "batch": BATCH,
        "photographs": photographs is not None, "precision": arguments.precision,
        "before": inputs, "rows": rows, "threads": arguments.threads, "torch": torch.__version__,
    }  # fmt: skip


def _one(
    first: Start, choice: dict[str, Any], training: TaskTriples, sets: dict[str, TaskTriples],
    budget: float, rate: float, seed: int,
) -> Data:  # fmt: skip
    """Train one network and measure it."""
    options = dict(choice)
    kinds = {name: options.pop(name) for name in ("sweeps", "thresholds") if name in options}
    precision: Arithmetic = options.pop("precision")
    net = unfolded.widened(first.net, **kinds)
    each = _seconds_of_a_step(net, training, precision)
    steps = max(2, int(budget / each))
    warm_up = options.pop("warm_up", None)
    if warm_up is not None and 0 < warm_up < 1:
        warm_up = max(1, round(warm_up * steps))
    recipe = unfolded.Recipe(**{
        "epochs": 1, "patches_per_epoch": steps * BATCH, "patch": PATCH, "batch_size": BATCH,
        "learning_rate": rate, "schedule": "cosine", "seed": seed, "clip_norm": 0.1,
        "warm_up": warm_up, **options,
    })  # fmt: skip
    started = time.process_time()
    unfolded.train(net, training, recipe=recipe, device="cpu", precision=precision)
    seconds = time.process_time() - started
    errors = {name: rmse(net, scenes) for name, scenes in sets.items()}
    return {"steps": steps, "seconds": seconds, "errors": errors}


def _seconds_of_a_step(net: unfolded.CUNet, scenes: TaskTriples, precision: Arithmetic) -> float:
    """CPU-seconds, of a copy; the first call of a round makes scenes and starts threads."""
    copy = unfolded.widened(net)
    marks: list[float] = []
    recipe = unfolded.Recipe(
        epochs=2 * TIMED, patches_per_epoch=BATCH, patch=PATCH, batch_size=BATCH, learning_rate=1e-9
    )
    unfolded.train(
        copy, scenes, recipe=recipe, device="cpu", precision=precision,
        callback=lambda _: marks.append(time.process_time()),
    )  # fmt: skip
    return (marks[-1] - marks[TIMED - 1]) / TIMED


# ----------------------------------------------------------------------------------- summary
def summary(data: Data) -> str:
    sets = list(data["before"])
    plain = data["rows"][0]["runs"]
    rows = []
    for row in data["rows"]:
        cells: list[Any] = [row["choice"], number(np.mean([run["steps"] for run in row["runs"]]))]
        for name in sets:
            found = np.array([run["errors"][name] for run in row["runs"]])
            usual = np.array([run["errors"][name] for run in plain])
            change = 100 * (found / usual - 1)
            cells += [f"{found.mean():.3f}", f"{found.std(ddof=1):.3f}"]
            cells.append(
                "" if row["choice"] == PLAIN
                else f"{change.mean():+.2f} ± {change.std(ddof=1):.2f} %"
            )  # fmt: skip
        rows.append([*cells, number(np.mean([run["seconds"] for run in row["runs"]]))])
    headers = ["choice", "steps"]
    for name in sets:
        headers += [f"{name}: RMSE", "spread", "to plain"]
    before = ", ".join(f"{name} {error:.3f}" for name, error in data["before"].items())
    return (
        f"{data['task']}, {number(data['budget'])} CPU-seconds a training, {data['seeds']} seeds, "
        f"{data['batch']} patches of {data['patch']}x{data['patch']} a step out of "
        f"{data['scenes']} scenes of {data['side']}x{data['side']}"
        + (" made of photographs" if data["photographs"] else "")
        + f", {data['precision']}, Adam at {data['rate']:g} with a cosine, from {data['start']}, "
        f"{data['threads']} thread{'s' * (data['threads'] > 1)}, PyTorch {data['torch']}. "
        f"RMSE of 255 before: {before}. Spreads are standard deviations over the seeds.\n\n"
        + table([*headers, "CPU-seconds"], rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.training_choices", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
