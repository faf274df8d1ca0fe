"""Training of all networks in the time that is left, side by side where the card has room."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from typing import Any

from ..common.problems import ROOT
from ..common.results import Data, number, table
from .job import Job, read_json
from .prepare import HELD_OUT, describe, read_scenes, tasks_of

ROOM = 6 * 2**30
"""Bytes of the card that a training may take."""
RESERVE = 20.0
"""Seconds that are kept for starting, measuring and writing."""

# As in the Makefile's `weights`, with larger batches.
RECIPES: dict[str, dict[str, Any]] = {
    "depth-sr": {"learning_rate": 3e-4, "clip_norm": 0.1, "loss": "l1", "average": 0.998},
    "flash-denoise": {"learning_rate": 3e-4, "clip_norm": 0.05, "average": 0.998},
    "multi-focus": {
        "learning_rate": 3e-4, "clip_norm": 0.05, "loss": "l1", "average": 0.995, "soften": 1.0,
    },
    "multi-exposure": {
        "learning_rate": 3e-4, "clip_norm": 0.1, "loss": "contrast", "squared_from": 1.0,
        "average": 0.997, "soften": 1.0,
    },
    "multispectral-sr": {"learning_rate": 3e-4, "clip_norm": 0.1, "loss": "l1", "average": 0.998},
    "medical": {
        "learning_rate": 3e-4, "clip_norm": 0.1, "loss": "l1", "squared_from": 1.0,
        "average": 0.997,
    },
}  # fmt: skip


def train_all(job: Job, task: str | None = None) -> None:
    """Start a process a task; wait for them. With a task, be that process."""
    if task is not None:
        train_one(job, task)
        return
    if job.prepared is None:
        raise SystemExit("training needs --prepared DIR: make it by --prepare DIR")
    tasks = tasks_of(job.prepared)
    together = _at_a_time(job, len(tasks))
    rounds = -(-len(tasks) // together)
    data: Data = {"at a time": together, "tasks": {}}
    waiting = list(tasks)
    while waiting:
        now, waiting = waiting[:together], waiting[together:]
        box = max(job.left - RESERVE / 2, 5.0) / rounds
        rounds -= 1
        running = {task: _start(job, task, box) for task in now}
        for task, process in running.items():
            try:
                code: Any = process.wait(max(job.left, 1.0) if not waiting else box + RESERVE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = "cut off"
            found = read_json(job.out / f"train-{task}.json")
            data["tasks"][task] = {"exit_status": code, **(found or {})}
            data["text"] = _text(data)
            job.write(data)
    print(data["text"])
    if any(found["exit_status"] != 0 for found in data["tasks"].values()):
        raise SystemExit(1)


def _at_a_time(job: Job, tasks: int) -> int:
    import torch

    if job.torch_device() == "cpu":
        return 1
    free, _ = torch.cuda.mem_get_info()
    return max(1, min(tasks, free // ROOM))


def _start(job: Job, task: str, seconds: float) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "benchmarks.gpu", "--out", str(job.out), "--one"]
    words += [f"training:{task}", "--seconds", f"{seconds:.1f}", "--prepared", str(job.prepared)]
    words += ["--quick"] if job.quick else []
    log = (job.out / f"train-{task}.log").open("wb")
    with log:
        return subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def train_one(job: Job, task: str) -> None:
    """Train one network until the time is over; write its weights and what they are worth."""
    import torch

    import unfolded
    from unfolded.training.evaluation import rmse

    assert job.prepared is not None
    job = job.named(f"train:{task}")
    scenes = read_scenes(job.prepared, task)
    seen, held_out = scenes[:-HELD_OUT], scenes[-HELD_OUT:]
    device: Any = job.torch_device()
    net = unfolded.pretrained(task)
    half = device == "cuda" and torch.cuda.is_bf16_supported()
    options: dict[str, Any] = {"device": device, "precision": "bf16-mixed" if half else "32-true"}
    size = {"patch": 16, "batch_size": 2} if job.quick else {"patch": 128, "batch_size": 8}
    data: Data = {"task": task, "device": device, "before": rmse(net, held_out)}
    job.write(data)

    def recipe(epochs: int, steps: int) -> unfolded.Recipe:
        return unfolded.Recipe(
            epochs=epochs, patches_per_epoch=steps * size["batch_size"], schedule="cosine",
            **size, **RECIPES.get(task, {}),
        )  # fmt: skip

    # A schedule needs to know its end: a few steps of a copy tell how many fit in.
    steps = 2 if job.quick else 10
    trial = copy.deepcopy(net)
    unfolded.train(trial, seen, recipe=recipe(1, steps), **options)
    started = time.perf_counter()
    unfolded.train(trial, seen, recipe=recipe(1, steps), **options)
    pace = (time.perf_counter() - started) / steps
    total = max(steps, int(0.8 * max(job.left - RESERVE, 0.0) / pace))
    if job.quick:
        total = min(total, 4)
    epochs = max(1, min(20, total // steps))

    def late(_: Any) -> bool:
        return job.left < RESERVE / 2

    started = time.perf_counter()
    trained = unfolded.train(
        net, seen, validation=held_out, recipe=recipe(epochs, max(1, total // epochs)),
        callback=late, **options,
    )  # fmt: skip
    data |= {
        "steps": trained.history.step[-1] if trained.history.step else 0,
        "seconds": time.perf_counter() - started,
        "after": rmse(net, held_out),
        "seconds_a_step": pace,
        "data": describe({"scenes": len(seen)}),
    }
    weights = job.out / "weights" / f"{task}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    net.save(weights)
    job.write(data)


def _text(data: Data) -> str:
    rows = [
        (
            task, found["exit_status"], found.get("steps", "–"), number(found.get("seconds")),
            number(found.get("before"), 4), number(found.get("after"), 4),
        )
        for task, found in data["tasks"].items()
    ]  # fmt: skip
    heads = ("task", "exit", "steps", "seconds", "error before, of 255", "after")
    return f"{data['at a time']} at a time, on {HELD_OUT} scenes held out:\n\n" + table(heads, rows)
