"""The paper's ablations (Tables 5, 6, 7) on a small budget: residual lines, filter size, depth.

Networks for depth super-resolution x4 are trained on patches of synthetic scenes, all with the same
number of steps on the same patches, and measured by the RMSE of whole images, in grey levels of
255: on synthetic scenes that were not trained on and, where the data lie beside the repository, on
two scenes that choices may be made on (cones, teddy) and on the paper's test scenes that are there,
which are only reported.

They are trained with Muon: with Adam, as many steps put filters of 8 and 9 and more than three
blocks behind smaller ones, which have less to learn. The budget is minutes where the paper has 200
epochs of 150,000 patches, so the figures are not the paper's; what may be compared is the order.
Networks start from a dictionary of cosines, for from random filters so few steps do not even reach
the input (--start random shows it); the non-residual network starts from the same filters, which
suit it worse.

Counts of parameters are those of the paper's networks, 64 filters a module; training is on narrower
ones (--filters).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

import mcsc
import unfolded
from mcsc.images.colour import luma_studio
from mcsc.quality import full_reference
from mcsc.synthetic import scenes
from mcsc.tasks.scenes import find_scenes
from mcsc.tasks.task import get_task
from unfolded.training.recipe import Arithmetic, Optimiser

from ..common.problems import DATA
from ..common.results import Data, command, number, table
from .cunet_inference import network_threads

PAPERS: dict[str, Any] = {"filters": 64, "kernel_size": 8, "blocks": 4, "residual": True}
VALIDATION = ("cones", "teddy")
TEST = ("ambush", "market", "art", "books", "moebius")
PATCH = 48
SCENE = 192
TRAINING_SEED, HELD_OUT_SEED = 11, 12
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Table:
    """One of the paper's tables: RMSE, PSNR, SSIM for values of one option."""

    number: int
    option: str
    title: str
    published: dict[Any, tuple[float, float, float]]


TABLES = (
    Table(
        5, "residual", "Residual lines",
        {True: (1.88, 44.65, 0.9936), False: (2.03, 43.22, 0.9898)},
    ),
    Table(
        6, "kernel_size", "Filter size",
        {
            3: (2.13, 43.45, 0.9915), 4: (2.05, 43.94, 0.9921), 5: (1.96, 44.24, 0.9931),
            6: (1.93, 44.39, 0.9934), 7: (1.90, 44.51, 0.9935), 8: (1.88, 44.65, 0.9936),
            9: (1.92, 44.44, 0.9934),
        },
    ),
    Table(
        7, "blocks", "LCSC blocks",
        {
            1: (2.07, 43.88, 0.9920), 2: (1.98, 44.18, 0.9930), 3: (1.94, 44.35, 0.9933),
            4: (1.88, 44.65, 0.9936), 5: (1.84, 44.90, 0.9938), 6: (1.81, 45.12, 0.9940),
        },
    ),
)  # fmt: skip
PAPERS_SIZES = {1: 66, 2: 99, 3: 132, 4: 165, 5: 198, 6: 231}
"""Table 7's 'model size': 33 (J + 1), filter weights in thousands, rounded block by block."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=400, help="steps, for every network")
    parser.add_argument("--batch", type=int, default=4, help="patches a step")
    parser.add_argument(
        "--optimiser", choices=get_args(Optimiser), default="muon",
        help="muon gains the more, the more there is to learn (default: muon)",
    )  # fmt: skip
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--filters", type=int, default=16, help="filters a module, in training")
    parser.add_argument("--start", choices=("dictionary", "random"), default="dictionary")
    parser.add_argument(
        "--precision", choices=get_args(Arithmetic), default="32-true",
        help="of products in training (default: 32-true)",
    )  # fmt: skip
    parser.add_argument("--photographs", type=Path, help="folder of photographs for the scenes")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each, whose mean counts")
    parser.add_argument(
        "--tables", type=int, nargs="+", choices=(5, 6, 7), default=(5, 6, 7), help="only these"
    )


def measure(arguments: argparse.Namespace) -> Data:
    filters, seeds = arguments.filters, arguments.seeds
    recipe = unfolded.Recipe(
        epochs=1, patches_per_epoch=arguments.steps * arguments.batch, patch=PATCH,
        batch_size=arguments.batch, optimiser=arguments.optimiser, learning_rate=arguments.rate,
        schedule="cosine", clip_norm=0.05,
    )  # fmt: skip
    count, tables = 120, [t for t in TABLES if t.number in arguments.tables]
    values = {t.option: list(t.published) for t in tables}
    if arguments.quick:
        filters, seeds, count = 2, 1, 2
        recipe = replace(recipe, patches_per_epoch=2, batch_size=1)
        values = {t.option: list(t.published)[:2] for t in tables}
    training = synthetic(count, TRAINING_SEED, arguments.photographs)
    sets = held_out(arguments.photographs, quick=arguments.quick)
    done: dict[tuple[Any, ...], Data] = {}
    found = []
    with network_threads(arguments.threads):
        for t in tables:
            rows = []
            for value in values[t.option]:
                options = {**PAPERS, "filters": filters, t.option: value}
                key = tuple(options.values())
                if key not in done:
                    done[key] = _mean([
                        _one(
                            options, arguments.start, training, sets, replace(recipe, seed=seed),
                            arguments.precision,
                        )
                        for seed in range(seeds)
                    ])  # fmt: skip
                    print(_progress(options, done[key]), flush=True)
                rmse, psnr, ssim = t.published[value]
                rows.append({
                    "value": value, "paper": {"RMSE": rmse, "PSNR": psnr, "SSIM": ssim},
                    "parameters": parameters({**PAPERS, t.option: value}), **done[key],
                })  # fmt: skip
            found.append({"number": t.number, "option": t.option, "title": t.title, "rows": rows})
    return {
        "tables": found, "inputs": {name: _scores(None, pairs) for name, pairs in sets.items()},
        "scenes": {name: len(pairs) for name, pairs in sets.items()},
        "steps": recipe.patches_per_epoch // recipe.batch_size, "batch": recipe.batch_size,
        "optimiser": recipe.optimiser, "rate": recipe.learning_rate, "patch": PATCH,
        "filters": filters, "seeds": seeds,
        "start": arguments.start, "photographs": arguments.photographs is not None,
        "precision": arguments.precision, "threads": arguments.threads,
        "torch": torch.__version__,
    }  # fmt: skip


# ----------------------------------------------------------------------------------- scenes
def synthetic(count: int, seed: int, photographs: Path | None) -> list[Triple]:
    """Depth, reduced and enlarged; luma; depth: (1, H, W) each."""
    pairs = scenes("depth", count, (SCENE, SCENE), seed, photographs=photographs or False)
    return [(p.x, luma_studio(p.y), p.target) for p in pairs]


def held_out(photographs: Path | None, *, quick: bool) -> dict[str, list[Triple]]:
    """Scenes to measure on, by what they may be used for."""
    sets = {"synthetic": synthetic(1 if quick else 12, HELD_OUT_SEED, photographs)}
    folder = DATA / "depth_sr"
    if quick or not folder.is_dir():
        return sets
    task = get_task("depth-sr")
    for name, wanted in (("validation", VALIDATION), ("test", TEST)):
        sets[name] = []
        for scene in find_scenes(folder, task, wanted):
            truth, guide = scene.read()
            sets[name].append((task.degrade(truth), luma_studio(guide), truth))
    return sets


# ---------------------------------------------------------------------------------- networks
def parameters(options: dict[str, Any]) -> Data:
    """How many numbers a network has, without making them: filters, and thresholds."""
    with torch.device("meta"):
        net = unfolded.CUNet(**options)
    filters = sum(p.numel() for p in net.parameters() if p.dim() == 4)
    return {"filters": filters, "all": sum(p.numel() for p in net.parameters())}


def make(options: dict[str, Any], start: str, seed: int) -> unfolded.CUNet:
    """A network to train, with random filters or from a dictionary."""
    torch.manual_seed(seed)
    net = unfolded.CUNet(**options)
    if start == "random":
        return net
    bank = cosines(options["kernel_size"], options["filters"], seed)
    shared = bank / np.sqrt(2.0)
    d = mcsc.Dictionary(common=(shared, shared), unique=(bank, bank)).astype("float32")
    made = unfolded.CUNet.from_dictionary(d, 0.005, blocks=options["blocks"], balanced=True)
    net.load_state_dict(made.state_dict())
    return net


def cosines(size: int, count: int, seed: int) -> np.ndarray:
    """Filters (K, 1, s, s) of unit norm: cosines by rising frequency, the mean first.

    Where there are fewer than K, random ones of zero mean follow.
    """
    place = (np.arange(size) + 0.5) * np.pi / size
    waves = [np.outer(np.cos(k * place), np.cos(l * place)) for k, l in _frequencies(size)]
    rng = np.random.default_rng(seed)
    while len(waves) < count:
        noise = rng.standard_normal((size, size))
        waves.append(noise - noise.mean())
    bank = np.stack(waves[:count])[:, None]
    return bank / np.sqrt((bank**2).sum(axis=(1, 2, 3), keepdims=True))


def _frequencies(size: int) -> list[tuple[int, int]]:
    pairs = [(k, l) for k in range(size) for l in range(size)]
    return sorted(pairs, key=lambda pair: (sum(pair), pair))


def _one(
    options: dict[str, Any], start: str, training: Sequence[Triple], sets: dict[str, list[Triple]],
    recipe: unfolded.Recipe, precision: Arithmetic,
) -> Data:  # fmt: skip
    """Train one network and measure it: on the same patches for one seed, whatever the network."""
    net = make(options, start, recipe.seed)
    started = time.process_time()
    unfolded.train(net, training, recipe=recipe, device="cpu", precision=precision)
    seconds = time.process_time() - started
    return {"seconds": seconds, "scores": {name: _scores(net, p) for name, p in sets.items()}}


def _scores(net: unfolded.CUNet | None, pairs: Sequence[Triple]) -> dict[str, float]:
    """Mean RMSE, PSNR and SSIM of a network's images, or of its inputs."""
    rows = []
    for x, y, truth in pairs:
        image = x
        if net is not None:
            with torch.inference_mode():
                image = net(torch.from_numpy(x[None]), torch.from_numpy(y[None]))[0].numpy()
        image = np.clip(image, 0, 1)
        measures = (full_reference.rmse, full_reference.psnr, full_reference.ssim)
        rows.append([measure(image, truth) for measure in measures])
    return dict(zip(("RMSE", "PSNR", "SSIM"), map(float, np.mean(rows, axis=0)), strict=True))


def _mean(runs: Sequence[Data]) -> Data:
    """Means over seeds, with the RMSE of each."""
    scores = {
        name: {m: float(np.mean([r["scores"][name][m] for r in runs])) for m in first}
        for name, first in runs[0]["scores"].items()
    }
    each = {name: [r["scores"][name]["RMSE"] for r in runs] for name in scores}
    return {"seconds": float(np.mean([r["seconds"] for r in runs])), "scores": scores, "each": each}


def _progress(options: dict[str, Any], found: Data) -> str:
    shown = ", ".join(f"{name} {s['RMSE']:.2f}" for name, s in found["scores"].items())
    return f"{options}: RMSE {shown} ({found['seconds']:.0f} s)"


# ----------------------------------------------------------------------------------- summary
def summary(data: Data) -> str:
    sets = list(data["scenes"])
    parts = [
        f"Depth x4, {data['steps']} steps of {data.get('optimiser', 'adam').title()} at "
        f"{data.get('rate', 1e-3):g}, {data['batch']} patches of {data['patch']}x"
        f"{data['patch']} each, {data['filters']} filters a module, start: {data['start']}, "
        f"{data['seeds']} seed{'s' if data['seeds'] > 1 else ''}, "
        f"{data.get('precision', '32-true')}, "
        f"{data['threads']} thread{'s' if data['threads'] > 1 else ''}"
        f"{', scenes made of photographs' if data.get('photographs') else ''}, "
        f"PyTorch {data['torch']}. RMSE of the input (bicubic): "
        + ", ".join(f"{name} {s['RMSE']:.2f}" for name, s in data["inputs"].items())
        + " ("
        + ", ".join(f"{count} {name}" for name, count in data["scenes"].items())
        + " scenes)."
    ]
    for found in data["tables"]:
        rows = []
        for row in found["rows"]:
            paper = row["paper"]
            rows.append([
                {True: "with", False: "without"}[row["value"]]
                if isinstance(row["value"], bool)
                else row["value"],
                f"{paper['RMSE']:.2f}", f"{paper['PSNR']:.2f}", f"{paper['SSIM']:.4f}",
                *(_with_spread(row["scores"][name]["RMSE"], row["each"][name]) for name in sets),
                f"{row['scores'][sets[-1]]['PSNR']:.2f}", f"{row['scores'][sets[-1]]['SSIM']:.4f}",
                f"{row['parameters']['filters']:,}", *_papers_size(found, row),
                number(row["seconds"]),
            ])  # fmt: skip
        headers = [
            found["title"], "paper: RMSE", "PSNR", "SSIM",
            *(f"here: {name}" for name in sets), f"PSNR, {sets[-1]}", f"SSIM, {sets[-1]}",
            "filter weights, K = 64", *(["paper, thousands"] if found["number"] == 7 else []),
            "training, CPU-s",
        ]  # fmt: skip
        parts.append(f"Table {found['number']}:\n\n" + table(headers, rows))
    return "\n\n".join(parts)


def _with_spread(mean: float, each: Sequence[float]) -> str:
    """The mean, and the standard deviation over the seeds where there are several."""
    return f"{mean:.2f}" + (f" ± {np.std(each, ddof=1):.2f}" if len(each) > 1 else "")


def _papers_size(found: Data, row: Data) -> list[int]:
    return [PAPERS_SIZES[row["value"]]] if found["number"] == 7 else []


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.ablations", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
