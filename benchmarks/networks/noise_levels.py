"""One network for noise of any strength, against a network for each of three.

Networks for flash denoising start from the dictionary that comes with the package and are trained
on the same synthetic scenes: one whose thresholds follow the noise, on strengths from 10 to 90; and
one of the same kind for each of 25, 50 and 75 (of 255, one more or less), once with as many steps
each, three times the work, and once with a third of them each, which is as much work together. Each
has other patches for other seeds.
PSNR at the three strengths, on synthetic scenes that were not trained on and, where the data lie
beside the repository, on real ones that choices may be made on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import unfolded
from mcsc.tasks.scenes import Reader, find_scenes, synthetic_scenes
from mcsc.tasks.task import Task, get_task
from unfolded.starts.task_start import start
from unfolded.training.evaluation import rmse
from unfolded.training.scenes import TaskTriples
from unfolded.training.target_filters import refit_on_scenes

from ..common.problems import DATA
from ..common.results import Data, command, table
from .cunet_inference import network_threads
from .yardstick import REALITY

TASK = "flash-denoise"
RANGE = (10.0, 90.0)
STRENGTHS = (25.0, 50.0, 75.0)
SIDE, PATCH, BATCH = 256, 64, 8
TRAINING_SEED, HELD_OUT_SEED = 31, 32
ONE, SEPARATE, THIRDS = "one network", "three networks", "three networks, a third of the steps"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=300, help="steps of Adam of the one network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate")
    parser.add_argument("--photographs", type=Path, help="folder of photographs for the scenes")


def measure(arguments: argparse.Namespace) -> Data:
    task = get_task(TASK)
    steps, seeds, count, side, patch = arguments.steps, arguments.seeds, 48, SIDE, PATCH
    if arguments.quick:
        steps, seeds, count, side, patch = 3, 2, 2, 64, 16
    shape, photographs = (side, side), arguments.photographs
    readers = synthetic_scenes(task, count, shape, TRAINING_SEED, photographs)
    judged: dict[str, Sequence[Reader]] = {
        "synthetic": synthetic_scenes(
            task, max(1, count // 6), shape, HELD_OUT_SEED, photographs
        )
    }  # fmt: skip
    real = REALITY[TASK]
    if (DATA / real.folder).is_dir() and not arguments.quick:
        judged["real"] = find_scenes(DATA / real.folder, task, real.scenes)
    rows = []
    with network_threads(arguments.threads):
        for seed in range(seeds):
            one = _trained(task, readers, RANGE, steps, patch, arguments.rate, seed)
            row: Data = {ONE: _errors(one, task, judged, STRENGTHS)}
            for name, each in ((SEPARATE, steps), (THIRDS, max(1, steps // len(STRENGTHS)))):
                row[name] = {where: {} for where in judged}
                for sigma in STRENGTHS:
                    net = _trained(
                        task, readers, (sigma - 1, sigma + 1), each, patch, arguments.rate, seed
                    )
                    for where, found in _errors(net, task, judged, (sigma,)).items():
                        row[name][where] |= found
            rows.append(row)
            print(row, flush=True)
    return {
        "steps": steps, "seeds": seeds, "rate": arguments.rate, "scenes": count, "side": side,
        "patch": patch, "batch": BATCH, "photographs": photographs is not None, "rows": rows,
        "threads": arguments.threads,
    }  # fmt: skip


def _trained(
    task: Task, readers: Sequence[Reader], levels: tuple[float, float], steps: int, patch: int,
    rate: float, seed: int,
) -> unfolded.CUNet:  # fmt: skip
    """Train a network for noise of this range; all begin with the same thresholds."""
    first = start(task, "dictionary", noise_aware=True)
    training = TaskTriples(task, readers, first.settings, levels)
    refit_on_scenes(first.net, training)
    recipe = unfolded.Recipe(
        epochs=1, patches_per_epoch=steps * BATCH, patch=patch, batch_size=BATCH,
        learning_rate=rate, schedule="cosine", seed=seed, clip_norm=0.1,
    )  # fmt: skip
    started = time.process_time()
    unfolded.train(first.net, training, recipe=recipe, device="cpu", precision="bf16-mixed")
    print(f"{levels}: {steps} steps in {time.process_time() - started:.0f} CPU s", flush=True)
    return first.net


def _errors(
    net: unfolded.CUNet, task: Task, judged: dict[str, Sequence[Reader]], strengths: Sequence[float]
) -> Data:
    """PSNR of a mean squared error of all scenes, in dB, by set and strength."""
    settings = start(task, "dictionary", noise_aware=True).settings
    # Other noise than in training.
    settings = replace(settings, seed=settings.seed + 1_000_003)
    found: Data = {}
    for where, readers in judged.items():
        found[where] = {}
        for sigma in strengths:
            scenes = TaskTriples(task, readers, settings, (sigma, sigma), spread=True)
            found[where][f"{sigma:g}"] = float(20 * np.log10(255 / rmse(net, scenes)))
    return found


# ----------------------------------------------------------------------------------- summary
def summary(data: Data) -> str:
    sets = list(data["rows"][0][ONE])
    strengths = [f"{s:g}" for s in STRENGTHS]
    rows = []
    for name in (ONE, SEPARATE, THIRDS):
        cells: list[Any] = [name]
        for where in sets:
            for s in strengths:
                values = np.array([row[name][where][s] for row in data["rows"]])
                against = values - np.array([row[ONE][where][s] for row in data["rows"]])
                cells.append(f"{values.mean():.2f}")
                if name != ONE:
                    cells[-1] += f" ({against.mean():+.2f} ± {against.std(ddof=1):.2f})"
        rows.append(cells)
    headers = ["", *(f"{where}, {s}" for where in sets for s in strengths)]
    return (
        f"PSNR in dB at noise of {', '.join(strengths)} (of 255), {data['seeds']} seeds, "
        f"{data['steps']} steps of {data['batch']} patches of {data['patch']}x{data['patch']} out "
        f"of {data['scenes']} scenes of {data['side']}x{data['side']}"
        + (" made of photographs" if data["photographs"] else "")
        + f", bf16-mixed, Adam at {data['rate']:g} with a cosine; in brackets the difference to "
        "the one network with the same seed, its mean and standard deviation:\n\n"
        + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.noise_levels", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
