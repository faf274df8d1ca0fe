"""Dictionary start against Xavier start: the same scenes, patches, seeds and budgets.

Networks of one shape for depth super-resolution x4 begin from a dictionary that is learned here,
from the training scenes, on the clock, with its target filters fitted to the network's own codes;
and from random filters, at each of the learning rates, of which the best counts. All are trained by
`unfolded.train` at a short and at a long budget of steps, each with its own cosine schedule, and
measured after every round on synthetic scenes that are held out and, where the data lie beside the
repository, at the end on two real scenes that choices may be made on (cones, teddy) and on the
paper's test scenes, which are only reported. What a network gives is added to the bicubic image on
both sides.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unfolded
from mcsc.learning import LearnOptions
from mcsc.quality import full_reference
from mcsc.tasks import find_scenes, get_task, restore, synthetic_scenes
from mcsc.tasks.learning import TaskSettings, learn_task
from unfolded.method import CUNetMethod
from unfolded.starts.task_start import Start, describe, start
from unfolded.training.scenes import TaskTriples
from unfolded.training.target_filters import refit_on_scenes

from ..common.problems import DATA
from ..common.results import Data, command, number, table
from .ablations import TEST, VALIDATION
from .cunet_inference import network_threads

TASK = get_task("depth-sr")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, nargs="+", default=(150, 900), help="budgets")
    parser.add_argument("--batch", type=int, default=8, help="patches a step")
    parser.add_argument("--filters", type=int, default=32, help="filters a module")
    parser.add_argument("--kernel-size", type=int, default=8, help="side of the filters")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=(3e-4, 1e-3), help="of the Xavier start"
    )
    parser.add_argument("--rate", type=float, default=3e-4, help="of the dictionary start")


def measure(arguments: argparse.Namespace) -> Data:
    budgets, filters, size, shape = (
        tuple(arguments.steps), arguments.filters, arguments.kernel_size, (256, 256),
    )  # fmt: skip
    training, held_out, windows, patch, rates = 60, 6, 80, 64, tuple(arguments.rates)
    if arguments.quick:
        budgets, filters, size, shape = (2, 4), 4, 4, (64, 64)
        training, held_out, windows, patch, rates = 2, 1, 2, 32, rates[:1]
    with network_threads(arguments.threads):
        readers = synthetic_scenes(TASK, training, shape, seed=21)
        apart = synthetic_scenes(TASK, held_out, shape, seed=22)
        settings = TaskSettings().complete(TASK)
        for reader in readers:
            reader()  # scenes are made off the clock
        before = time.perf_counter()
        learned = learn_task(
            TASK, readers, n_common=filters, n_unique=filters, filter_size=size, passes=2,
            window=min(96, *shape), seed=1, options=LearnOptions(max_windows=windows),
        )  # fmt: skip
        begin = start(TASK, learned.dictionary)
        scenes = TaskTriples(TASK, readers, begin.settings)
        refit_on_scenes(begin.net, scenes, seed=1, side=patch)
        preparation = time.perf_counter() - before
        validation = [TaskTriples(TASK, apart, begin.settings)[i] for i in range(held_out)]
        print(f"dictionary and target filters: {preparation:.0f} s", flush=True)
        random = start(TASK, "xavier", filters=filters, kernel_size=size, blocks=4, seed=1)
        runs: list[Data] = []
        starts: list[tuple[str, Start, float, float]] = [
            ("dictionary", begin, arguments.rate, preparation),
            *(("Xavier", random, rate, 0.0) for rate in rates),
        ]
        for steps in budgets:
            for name, first, rate, offset in starts:
                runs.append(
                    _run(name, first, rate, offset, steps, arguments.batch, patch, scenes,
                         validation, settings, quick=arguments.quick)
                )  # fmt: skip
                print(_progress(runs[-1]), flush=True)
        untrained = _net_errors(begin.net, begin.settings, validation, quick=arguments.quick)
    return {
        "runs": runs, "untrained": untrained, "preparation": preparation,
        "inputs": _input_errors(validation, quick=arguments.quick),
        "filters": filters, "size": size, "batch": arguments.batch, "patch": patch,
        "scenes": training, "threads": arguments.threads, "torch": torch.__version__,
    }  # fmt: skip


def _run(
    name: str, first: Start, rate: float, offset: float, steps: int, batch: int, patch: int,
    scenes: Any, validation: Sequence[Any], settings: TaskSettings, *, quick: bool,
) -> Data:  # fmt: skip
    net = copy.deepcopy(first.net)
    rounds = min(6, steps)
    recipe = unfolded.Recipe(
        epochs=rounds, patches_per_epoch=steps * batch // rounds, patch=patch, batch_size=batch,
        learning_rate=rate, schedule="cosine", seed=1,
    )  # fmt: skip
    trained = unfolded.train(net, scenes, validation=validation, recipe=recipe, device="cpu")
    history = trained.history
    return {
        "start": name, "rate": rate, "steps": steps, "offset": offset,
        "seconds": [offset + s for s in history.seconds], "validation": history.validation,
        "errors": _net_errors(net, settings, validation, quick=quick),
        "density": _density(net, validation[0]),
    }  # fmt: skip


def _density(net: unfolded.CUNet, triple: Any) -> list[float]:
    """Share of nonzero codes of c, u, v: thresholds that silence them look like bicubic."""
    x, y, _ = (torch.from_numpy(np.array(i)) for i in triple)
    with torch.no_grad():
        c, uv = net.codes(x, y)
    return [float((maps != 0).float().mean()) for maps in (c, *uv)]


def _net_errors(
    net: unfolded.CUNet, settings: TaskSettings, validation: Sequence[Any], *, quick: bool
) -> dict[str, float]:
    from unfolded.training.evaluation import rmse

    errors = {"synthetic": rmse(net, validation)}
    net = copy.deepcopy(net)
    describe(net, TASK, settings)
    for name, pairs in _real(quick=quick).items():
        method = CUNetMethod(net, TASK)
        found = [
            full_reference.rmse(restore(x, y, TASK, method=method).image, z) for x, y, z in pairs
        ]
        errors[name] = float(np.mean(found))
    return errors


def _input_errors(validation: Sequence[Any], *, quick: bool) -> dict[str, float]:
    # Targets are what is to be added to the input.
    powers = [255 * float(np.sqrt(np.square(z).mean())) for _, _, z in validation]
    errors = {"synthetic": float(np.mean(powers))}
    for name, pairs in _real(quick=quick).items():
        errors[name] = float(np.mean([full_reference.rmse(x, z) for x, _, z in pairs]))
    return errors


def _real(*, quick: bool) -> dict[str, list[Any]]:
    folder: Path = DATA / "depth_sr"
    if quick or not folder.is_dir():
        return {}
    sets: dict[str, list[Any]] = {}
    for name, wanted in (("validation", VALIDATION), ("test", TEST)):
        sets[name] = []
        for scene in find_scenes(folder, TASK, wanted):
            truth, guide = scene.read()
            sets[name].append((TASK.degrade(truth), guide, truth))
    return sets


def best(data: Data) -> list[Data]:
    """Of each start and budget the run with the best held-out error."""
    found: dict[Any, Data] = {}
    for run in data["runs"]:
        key = (run["steps"], run["start"])
        if key not in found or run["validation"][-1] < found[key]["validation"][-1]:
            found[key] = run
    return list(found.values())


def _progress(run: Data) -> str:
    shown = ", ".join(f"{name} {error:.2f}" for name, error in run["errors"].items())
    return f"{run['start']} at {run['rate']:g}, {run['steps']} steps: RMSE {shown}"


def summary(data: Data) -> str:
    sets = list(data["inputs"])
    rows: list[list[Any]] = [
        ["bicubic", "–", "–", "–", *(f"{data['inputs'][s]:.2f}" for s in sets), "–"],
        [
            "dictionary, untrained", "–", 0, number(data["preparation"]),
            *(f"{data['untrained'][s]:.2f}" for s in sets), "–",
        ],
    ]  # fmt: skip
    for run in data["runs"]:
        rows.append([
            run["start"], f"{run['rate']:g}", run["steps"], number(run["seconds"][-1]),
            *(f"{run['errors'][s]:.2f}" for s in sets),
            " / ".join(f"{100 * d:.1f}" for d in run["density"]),
        ])  # fmt: skip
    headers = [
        "start", "rate", "steps", "seconds in all", *(f"RMSE, {s}" for s in sets),
        "nonzero codes of c / u / v, %",
    ]  # fmt: skip
    return (
        f"Depth x4, {data['filters']} filters of {data['size']}x{data['size']} a module, "
        f"{data['scenes']} synthetic scenes, {data['batch']} patches of {data['patch']}x"
        f"{data['patch']} a step, {data['threads']} threads, PyTorch {data['torch']}; learning the "
        f"dictionary and fitting target filters took {number(data['preparation'])} s, which count:"
        "\n\n" + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.starts", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
