"""Data that are made before, on a CPU, so that nothing on the GPU waits for it: below 60 MiB.

- ``solvers.npz``: a pair of images and filters, the problem of `benchmarks.exact.sparse_coding`;
- ``TASK.npz``: scenes for the training of a task, as its network sees them, in 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mcsc
from mcsc.files import atomic_write
from mcsc.tasks import TASKS, get_task, synthetic_scenes

from ..common.problems import FILTERS, Setting, pair_names, setting
from ..common.results import Data, commit
from .job import write_json

SIZE, QUICK_SIZE, QUICK_FILTERS = 256, 32, 4
MOST_BYTES = 60 * 2**20
SIDE = 128
HELD_OUT = 4
"""Scenes of a task to measure on; they come last."""


@dataclass(frozen=True)
class Coded:
    """A pair of images, (1, H, W) each, and a dictionary."""

    signals: tuple[np.ndarray, ...]
    dictionary: mcsc.Dictionary


def prepare(folder: Path, *, quick: bool = False) -> str:
    """Write all of it; returns what there is."""
    folder.mkdir(parents=True, exist_ok=True)
    s = setting(pair_names(1)[0], SIZE)
    bank = s.dictionary.unique[0]  # type: ignore[index]
    _save(folder / "solvers.npz", {"x": s.signals[0], "y": s.signals[1], "filters": bank})
    tasks = list(TASKS)
    room = (MOST_BYTES - (folder / "solvers.npz").stat().st_size) / len(tasks)
    counts = {}
    for name in tasks[:1] if quick else tasks:
        scenes = _scenes(name, 6 if quick else None, room)
        _save(folder / f"{name}.npz", scenes)
        counts[name] = len({key.split("_")[0] for key in scenes})
    about = {"commit": commit(), "scenes": counts, "side": SIDE}
    write_json(folder / "about.json", about)
    size = sum(p.stat().st_size for p in folder.iterdir())
    if size > MOST_BYTES:
        raise SystemExit(f"{folder} has {size / 2**20:.0f} MiB, more than 60")
    return f"{folder}: {size / 2**20:.1f} MiB, scenes {counts}"


def _scenes(name: str, count: int | None, room: float) -> dict[str, np.ndarray]:
    """Scenes as ``N_x, N_y, N_z``: integers of 16 bits, and as ``N_range`` what they stand for."""
    from unfolded import pretrained
    from unfolded.starts.task_start import start
    from unfolded.training.prepared import pack
    from unfolded.training.scenes import TaskTriples

    task = get_task(name)
    shipped = Path(mcsc.__file__).parents[1] / "unfolded" / "weights_data" / f"{name}.safetensors"
    settings = start(task, shipped).settings
    net = pretrained(name)
    channels = sum(net.configuration.channels) + 1
    # A network for noise of any strength sees every scene at one of its own.
    levels = tuple(net.metadata["noise_levels"]) if net.configuration.noise_aware else None
    if count is None:  # of noisy images hardly anything can be compressed away
        count = min(160, int(room / (2 * channels * SIDE * SIDE)))
    triples = TaskTriples(
        task, synthetic_scenes(task, count, (SIDE, SIDE), seed=7), settings, levels, spread=True
    )
    found: dict[str, np.ndarray] = {}
    for number in range(count):
        found |= pack(triples[number], f"{number}_")
    return found


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def coded_pair(prepared: Path | None, *, quick: bool) -> Coded:
    """The problem of the solvers, as it was prepared, or made now; tiny for a rehearsal."""
    if prepared is None:
        s: Setting = setting(pair_names(1)[0], SIZE)
        x, y, bank = s.signals[0], s.signals[1], s.dictionary.unique[0]  # type: ignore[index]
    else:
        with np.load(prepared / "solvers.npz", allow_pickle=False) as file:
            x, y, bank = file["x"], file["y"], file["filters"]
    bank = np.asarray(bank)
    if quick:
        x, y = (a[:, :QUICK_SIZE, :QUICK_SIZE].copy() for a in (x, y))
        bank = bank[:QUICK_FILTERS]
    assert len(bank) == (QUICK_FILTERS if quick else FILTERS)
    shared = bank / np.sqrt(2.0)
    return Coded((x, y), mcsc.Dictionary(common=(shared, shared), unique=(bank, bank)))


def read_scenes(prepared: Path, name: str) -> list[tuple[Any, ...]]:
    """The scenes of a task as `unfolded.train` takes them: x, y, z, perhaps the noise of x."""
    from unfolded.training.prepared import unpack

    with np.load(prepared / f"{name}.npz", allow_pickle=False) as file:
        count = sum(key.endswith("_range") for key in file.files)
        return [unpack(file, f"{number}_") for number in range(count)]


def tasks_of(prepared: Path) -> list[str]:
    """Tasks whose scenes were prepared."""
    return [name for name in TASKS if (prepared / f"{name}.npz").is_file()]


def describe(data: Data) -> str:
    """What a training says of its data."""
    return f"{data['scenes']} prepared synthetic scenes of {SIDE} x {SIDE}"
