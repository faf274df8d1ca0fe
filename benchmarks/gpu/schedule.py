"""The parts in their order, each in a process with a share of the time that is left."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.problems import ROOT
from ..common.results import Data, table
from .job import Job, read_json, write_json

ENDING = 10.0
"""Seconds that a part gets to end after it was asked to."""


@dataclass(frozen=True)
class Part:
    """A function ``module:name`` of this package, and its share of the time that is left."""

    where: str
    share: float
    what: str

    def function(self) -> Callable[..., None]:
        """Load it."""
        module, _, name = self.where.partition(":")
        found: Callable[..., None] = getattr(
            importlib.import_module(f"{__package__}.{module}"), name
        )
        return found


PARTS: Mapping[str, Part] = {
    "versions": Part("checks:versions", 0.1, "device, drivers, packages"),
    "tests": Part("checks:tests", 0.25, "pytest -m gpu"),
    "iterations": Part("solvers:iterations", 0.15, "an iteration against its memory traffic"),
    "solve": Part("solvers:solve", 0.25, "time to a certified gap; the CPU beside it"),
    "table8": Part("networks:table8", 0.4, "Table 8 in each arithmetic and by each kind of kernel"),
    "profile": Part("networks:profile", 0.2, "where an iteration and a network spend their time"),
    "steps": Part("steps:steps", 0.3, "a training step: by layers, by the engine, as graphs"),
    "training": Part("training:train_all", 1.0, "the six networks, from the weights that ship"),
}


def command_of(job: Job, name: str, seconds: float) -> list[str]:
    """The command of a part's process."""
    words = ["-m", "benchmarks.gpu", "--out", str(job.out.resolve()), "--one", name]
    words += ["--seconds", f"{seconds:.1f}"]
    if job.prepared is not None:
        words += ["--prepared", str(job.prepared.resolve())]
    return [sys.executable, *words, *(["--quick"] if job.quick else [])]


def run_all(
    job: Job,
    names: Sequence[str],
    command: Callable[[Job, str, float], list[str]] = command_of,
    parts: Mapping[str, Part] = PARTS,
) -> int:
    """Do the parts; 1 if one of them failed or was cut off."""
    job.out.mkdir(parents=True, exist_ok=True)
    done: list[Data] = []
    for name in names:
        # What is last may have all that is left.
        share = 1.0 if name == names[-1] else parts[name].share
        box = max(job.left, 1.0) * share
        print(f"{name}: {parts[name].what}; {box:.0f} s", flush=True)
        status, seconds = run_boxed(
            command(job, name, box), box, job.out / f"{name}.log", environment(job)
        )
        done.append({"part": name, "status": status, "seconds": round(seconds, 1)})
        print(f"    {status}, {seconds:.1f} s", flush=True)
        write_json(job.out / "summary.json", {"minutes": job.seconds / 60, "parts": done})
        (job.out / "summary.md").write_text(_summary(job, done), encoding="utf-8")
    print(job.out / "summary.md")
    return int(any(part["status"] != "done" for part in done))


def environment(job: Job) -> dict[str, str]:
    """Of a part's process: what was prepared stands in for packages that are not there."""
    found = dict(os.environ)
    if job.prepared is not None:
        found["MCSC_PREPARED"] = str(job.prepared.resolve())
    return found


def run_boxed(
    words: Sequence[str], seconds: float, log: Any, environment: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """Run a command for so many seconds at most; how it ended, and after how many."""
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(seconds + ENDING)
            status = "done" if code == 0 else f"failed (exit status {code})"
        except subprocess.TimeoutExpired:
            status = "cut off"
        finally:
            _end(process)
    return status, time.monotonic() - started


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started: they are a group of their own."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _summary(job: Job, done: Sequence[Data]) -> str:
    """Markdown: how the parts ended, and what each says of itself."""
    rows = [(part["part"], part["status"], part["seconds"]) for part in done]
    texts = [table(("part", "status", "seconds"), rows)]
    for part in done:
        found = read_json(job.out / f"{part['part']}.json")
        if found is not None and found.get("text"):
            texts.append(f"## {part['part']}\n\n{found['text']}")
    rehearsed = " (a rehearsal: tiny sizes)" if job.quick else ""
    return f"# On a GPU{rehearsed}\n\n" + "\n\n".join(texts) + "\n"
