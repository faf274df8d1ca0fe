"""How real are scenes? Networks that were trained on real pairs say it, and statistics do.

The authors' released weights were trained on photographs. On scenes like the world they leave the
same share of the input's error as on real ones (depth x4), and are as far ahead of other weights
(flash, sigma 50). Printed are this share and this lead on synthetic scenes and on real ones that
choices may be made on; and, for multispectral images and exposures too, how far statistics of the
synthetic scenes are from those of the real ones: of histograms the share of samples that lie in
other bins, of numbers the difference.

Sets: scenes of 128x128 and 256x256, as networks are trained on; cuts of 256x256 out of scenes of
512x512 and 1024x1024; cuts of real ones around their middles; and of folders, as `mcsc evaluate`
reads them (``--also TASK LABEL DIR``): rendered worlds, or scenes that another program made. With
``--before REVISION`` the scenes that an earlier revision made of the same seed stand beside. Real
scenes lie in ../shared/data beside the repository, the authors' weights in
../shared/official_weights; what is not there is left out, and the table says why.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

import unfolded
from mcsc.quality import full_reference
from mcsc.tasks.scenes import find_scenes, synthetic_scenes
from mcsc.tasks.task import Task, get_task
from unfolded.images import restored

from ..common import history
from ..common.problems import DATA
from ..common.results import Data, command, table
from .cunet_inference import network_threads
from .scene_statistics import STATISTICS

OFFICIAL = DATA.parent / "official_weights"
REAL = "real"


@dataclass(frozen=True)
class Reality:
    """Real scenes of a task that the paper does not test on, and the authors' weights."""

    folder: str
    scenes: tuple[str, ...]
    judge: str = ""


REALITY = {
    "depth-sr": Reality(
        "depth_sr", ("cones", "teddy", "dolls", "wood2", "cloth3", "sintel06"), "depth_ks9.pth"
    ),
    "flash-denoise": Reality(
        "flash_denoise",
        ("mid01", "mid02", "mid03", "mid05", "petschnigg_carpet", "petschnigg_lamp"),
        "denoise50.pth",
    ),
    "multispectral-sr": Reality(
        "multispectral_sr",
        ("balloons", "beads", "cloth", "flowers", "pompoms", "thread_spools"),
    ),
    "multi-exposure": Reality(
        "multi_exposure",
        tuple(f"train_fusiondn{n}" for n in ("01", "03", "07", "11", "17", "19")),
    ),
}
HOLES = ("wood2", "cloth3")
SETS = {"128": (128, 128), "256": (256, 256), "256 of 512": (512, 256), "256 of 1024": (1024, 256)}
QUICK_SETS = {"64": (64, 64), "48 of 64": (64, 48)}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", nargs="+", choices=tuple(REALITY), default=tuple(REALITY))
    parser.add_argument("--scenes", type=int, default=12, help="synthetic scenes a set")
    parser.add_argument("--seed", type=int, default=71, help="of the synthetic scenes")
    parser.add_argument("--photographs", type=Path, help="folder for textures and pictures")
    parser.add_argument("--side", type=int, default=384, help="of the cuts of real scenes")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=tuple(SETS))
    parser.add_argument(
        "--also", nargs=3, metavar=("TASK", "LABEL", "DIR"), action="append", default=[],
        help="judge the scenes in this folder too, cut as the real ones are",
    )  # fmt: skip
    parser.add_argument(
        "--before", metavar="REVISION",
        help="judge the scenes that an earlier revision made, too, such as "
        f"{history.BEFORE}; needs git and the history",
    )  # fmt: skip
    parser.add_argument("--ours", type=Path, help="weights to judge by the side of the authors'")


def measure(arguments: argparse.Namespace) -> Data:
    sets = QUICK_SETS if arguments.quick else {name: SETS[name] for name in arguments.sets}
    count = 2 if arguments.quick else arguments.scenes
    folders = _folders(arguments.also, arguments.tasks)
    found: Data = {}
    with network_threads(arguments.threads), tempfile.TemporaryDirectory() as temporary:
        if arguments.before:
            history.take_out(arguments.before, Path(temporary) / "earlier")
        for name in arguments.tasks:
            task = get_task(name)
            judge, why = _judge(name)
            ours = unfolded.load(arguments.ours) if arguments.ours else unfolded.pretrained(name)
            rows: dict[str, Any] = {}
            statistics: dict[str, list[list[float]]] = {}
            for label, (side, cut) in sets.items():
                readers = synthetic_scenes(
                    task, count, (side, side), arguments.seed, arguments.photographs
                )
                pairs = [_cut(reader(), cut) for reader in readers]
                _add(rows, statistics, label, task, judge, ours, pairs)
                if arguments.before:
                    earlier = scenes_of(
                        Path(temporary) / "earlier", task, count, side, arguments.seed
                    )
                    pairs = [_cut(pair, cut) for pair in earlier]
                    before = f"{label} ({arguments.before})"
                    _add(rows, statistics, before, task, judge, ours, pairs)
            for label, scenes in folders.get(name, []):
                pairs = [_cut(scene.read(), arguments.side) for scene in scenes]
                _add(rows, statistics, label, task, judge, ours, pairs)
            real, reason = _real(task, 64 if arguments.quick else arguments.side)
            if real:
                _add(rows, statistics, REAL, task, judge, ours, real)
            missing = [text for text in (why, reason) if text]
            found[name] = {"rows": rows, "statistics": statistics, "missing": missing}
    return {
        "tasks": found, "scenes": count, "seed": arguments.seed, "before": arguments.before,
        "photographs": arguments.photographs is not None,
    }  # fmt: skip


_MAKE_SCENES = """\
import sys
import numpy as np
try:
    from mcsc.synthetic import scenes
except ImportError:  # where it once was
    from mcsc.imaging.synthetic import scenes
kind, count, side, seed, path = sys.argv[1:]
shape = int(side), int(side)
made = [(pair.target, pair.y) for pair in scenes(kind, int(count), shape, int(seed))]
np.savez(path, **{f"{n}_{m}": image for n, pair in enumerate(made) for m, image in enumerate(pair)})
"""


def scenes_of(tree: Path, task: Task, count: int, side: int, seed: int) -> list[tuple[Any, ...]]:
    """Target and guide of scenes that the package of a folder makes, from its own sources."""
    path = tree / "scenes.npz"
    arguments = [task.synthetic, str(count), str(side), str(seed), str(path)]
    history.run(tree, ["-c", _MAKE_SCENES, *arguments], tree / "kernels")
    with np.load(path, allow_pickle=False) as held:
        return [(held[f"{n}_0"], held[f"{n}_1"]) for n in range(count)]


def _folders(
    given: Sequence[tuple[str, str, str]], tasks: Sequence[str]
) -> dict[str, list[tuple[str, Sequence[Any]]]]:
    """Find all scenes before any work."""
    found: dict[str, list[tuple[str, Sequence[Any]]]] = {}
    for name, label, folder in given:
        if name not in tasks:
            raise SystemExit(f"--also {name} {label} {folder}: {name} is none of --tasks")
        if label in (*SETS, *QUICK_SETS, REAL):
            raise SystemExit(
                f"--also {name} {label} {folder}: the table has a line {label} already"
            )
        scenes = find_scenes(Path(folder), get_task(name), None)
        found.setdefault(name, []).append((label, scenes))
    return found


def _judge(name: str) -> tuple[unfolded.CUNet | None, str]:
    path = OFFICIAL / REALITY[name].judge
    if not REALITY[name].judge:
        return None, ""
    if not path.is_file():
        return None, f"The authors' weights {path.name} are not there."
    return unfolded.load_official(path), ""


def _real(task: Task, side: int) -> tuple[list[tuple[Any, ...]], str]:
    folder = DATA / REALITY[task.name].folder
    if not folder.is_dir():
        return [], f"There are no real scenes of {task.name}."
    pairs = []
    for scene in find_scenes(folder, task, REALITY[task.name].scenes):
        first, second = scene.read()
        if scene.name in HOLES:
            first = _filled(first)
        pairs.append(_cut((first, second), side))
    return pairs, ""


def _filled(depth: Any) -> Any:
    """Holes, which are 0, take the value of the nearest pixel that is known."""
    places = scipy.ndimage.distance_transform_edt(
        depth[0] == 0, return_distances=False, return_indices=True
    )
    return depth[:, places[0], places[1]]


def _cut(images: Sequence[Any], side: int) -> tuple[Any, ...]:
    """The middle, of a size that is a multiple of 16."""
    h, w = images[0].shape[1:]
    rows, columns = (min(n, side) // 16 * 16 for n in (h, w))
    top, left = (h - rows) // 2, (w - columns) // 2
    return tuple(i[:, top : top + rows, left : left + columns] for i in images)


def _add(
    rows: dict[str, Any], statistics: dict[str, Any], label: str, task: Task, judge: Any,
    ours: Any, pairs: Sequence[tuple[Any, ...]],
) -> None:  # fmt: skip
    if task.kind == "restoration":
        rows[label] = _measured(task, judge, ours, pairs)
        print(f"{task.name}, {label}: {np.round(np.mean(rows[label], axis=0), 3)}", flush=True)
    # Of a restoration guide and target, of a fusion both sources.
    shown = [p[:2] if task.kind == "fusion" else (p[1], p[0]) for p in pairs]
    statistics[label] = [s.measure(shown) for s in STATISTICS[task.synthetic]]


def _measured(
    task: Task, judge: Any, ours: Any, pairs: Sequence[tuple[Any, ...]]
) -> list[list[float]]:
    """Errors of the input, of our weights and of the authors'."""
    error = full_reference.rmse if task.factor else full_reference.psnr
    errors = []
    for n, (target, guide) in enumerate(pairs):
        x = task.degrade(target, seed=n)
        images = [x, restored(ours, task, x, guide).image]
        if judge is not None:
            images.append(restored(judge, task, x, guide).image)
        errors.append([float(error(image.astype(target.dtype), target)) for image in images])
    return errors


def shares(errors: Sequence[Sequence[float]]) -> list[float]:
    """Mean errors over the input's mean error."""
    means = np.mean(errors, axis=0)
    return [float(v) for v in means / means[0]]


def summary(data: Data) -> str:
    parts = [
        f"{data['scenes']} synthetic scenes a set from seed {data['seed']}, against real scenes "
        "that the paper does not test on."
    ]
    for name, found in data["tasks"].items():
        parts.append(f"{get_task(name).title}:")
        if found["rows"]:
            parts.append(_errors(name, found))
        parts += found["missing"]
        if REAL in found["statistics"]:
            parts.append(_distances(name, found["statistics"]))
    return "\n\n".join(parts)


def _errors(name: str, found: Data) -> str:
    depth = get_task(name).factor is not None
    lines = []
    for label, errors in found["rows"].items():
        means = np.mean(errors, axis=0)
        values: list[str] = [f"{m:.2f}" for m in means] + ["–"] * (3 - len(means))
        if depth:
            values += [f"{s:.2f}" for s in shares(errors)[1:]] + ["–"] * (3 - len(means))
        else:
            gains = [means[2] - means[0], means[2] - means[1]] if len(means) == 3 else []
            values += [f"{g:.2f}" for g in gains] or ["–"] * 2
        lines.append([label, len(errors), *values])
    last = ["ours / input", "authors / input"] if depth else ["authors' gain", "authors - ours"]
    unit = "RMSE" if depth else "dB"
    heads = ["scenes", "number", *(f"{unit}, {w}" for w in ("input", "ours", "authors")), *last]
    return table(heads, lines)


def _distances(name: str, statistics: dict[str, list[list[float]]]) -> str:
    real = statistics[REAL]
    labels = [label for label in statistics if label != REAL]
    lines = []
    for i, statistic in enumerate(STATISTICS[get_task(name).synthetic]):
        value = "histogram" if statistic.bins else f"{real[i][0]:.2f}"
        apart = [statistic.distance(real[i], statistics[label][i]) for label in labels]
        sign = "" if statistic.bins else "+"
        lines.append([statistic.name, value, *(f"{a:{sign}.2f}" for a in apart)])
    return table(["distance of", REAL, *labels], lines)


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.yardstick", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
