"""The networks on a GPU: Table 8, and where the time goes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from ..common.problems import ROOT
from ..common.results import Data, load, number, table
from .job import Job
from .solvers import stages

ARITHMETICS = ("tf32", "bfloat16")
KERNELS = ("triton", "compiled", "layers")


def table8(job: Job) -> None:
    """``pytest --benchmark`` in each arithmetic with each kind of kernel, each on its own."""
    device = job.torch_device()
    runs = [(a, k) for a in ARITHMETICS for k in KERNELS] if device == "cuda" else [("", "")]
    data: Data = {"device": device, "runs": []}
    for place, (arithmetic, kernels) in enumerate(runs):
        out = job.out / "table8" / ("-".join(filter(None, (arithmetic, kernels))) or "cpu")
        words = [
            "-m",
            "pytest",
            "--benchmark",
            f"--benchmark-record={out}",
            "-p",
            "no:cacheprovider",
        ]
        words += ["-k", "test_network and medical" if job.quick else "test_network"]
        words += ["--benchmark-quick"] if job.quick else []
        if device == "cuda":
            words += ["--benchmark-device", "cuda", "--benchmark-arithmetic", arithmetic]
            words += ["--benchmark-kernels", kernels]
        run: Data = {"arithmetic": arithmetic or "float32", "kernels": kernels or "auto"}
        # What is left is shared among the runs that are left.
        limit = max(job.left, 1.0) / (len(runs) - place)
        try:
            done = subprocess.run([sys.executable, *words], cwd=ROOT, timeout=limit)
            run["exit_status"] = done.returncode
        except subprocess.TimeoutExpired:
            run["exit_status"] = "cut off"
        run["seconds"] = {}
        for record in load("speed_table", out):
            for row in record["data"]["rows"]:
                times = sorted(row["seconds"])
                run["seconds"][row["task"]] = times[len(times) // 2]
        data["runs"].append(run)
        data["text"] = _table8(data)
        job.write(data)
    print(data["text"])
    if not any(run["seconds"] for run in data["runs"]):
        raise SystemExit("no run has measured anything")


def _table8(data: Data) -> str:
    tasks = list(dict.fromkeys(task for run in data["runs"] for task in run["seconds"]))
    rows = [
        (
            run["arithmetic"], run["kernels"], run["exit_status"],
            *(number(run["seconds"].get(task)) for task in tasks),
        )
        for run in data["runs"]
    ]  # fmt: skip
    return f"Seconds an image, medians, on {data['device']}.\n\n" + table(
        ("arithmetic", "kernels", "exit", *tasks), rows
    )


def profile(job: Job) -> None:
    """Stages of a solver's sweep, and the kernels of one call of a network."""
    import torch

    data: Data = {"sweep": stages(job)}
    rows = [
        (r["stage"], number(r["milliseconds"]), number(r["GB/s"])) for r in data["sweep"]["rows"]
    ]
    data["text"] = "FISTA, one sweep, and the certificate's looks:\n\n" + table(
        ("stage", "ms", "GB/s"), rows
    )
    job.write(data)
    device = job.torch_device()
    net, images = _network(job, device)
    with torch.inference_mode():
        for _ in range(3):
            net(*images)
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if device == "cuda":
            torch.cuda.synchronize()
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=kinds) as found:
            net(*images)
            if device == "cuda":
                torch.cuda.synchronize()
    key = "cuda_time_total" if device == "cuda" else "cpu_time_total"
    text = found.key_averages().table(sort_by=key, row_limit=12, max_name_column_width=60)
    data["network"] = text
    data["text"] += f"\n\nOne call of a network on {device}:\n\n```\n{text}\n```"
    job.write(data)
    print(data["text"])


def _network(job: Job, device: str) -> tuple[Any, list[Any]]:
    import torch

    import unfolded

    size = 32 if job.quick else 512
    if job.quick:
        net = unfolded.CUNet(filters=4, kernel_size=5, blocks=1).eval()
    else:
        net = unfolded.CUNet(filters=64, kernel_size=8, blocks=4).eval()
    fast = unfolded.accelerate(net, device, precision="tf32" if device == "cuda" else "float32")
    return fast, [torch.rand(1, 1, size, size, device=device) for _ in range(2)]
