"""What a training step takes on a GPU: its primitives, by layers, by the engine, as graphs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from ..common.results import Data, number, table
from .job import Job

CASES = {"multispectral-sr": (2, 8, 16), "flash-denoise": (2, 8, 16)}
"""Patches a step, of networks with one channel and filters of 12x12, and with three and 8x8."""
SIDE, QUICK_SIDE = 128, 16


def steps(job: Job) -> None:
    """Milliseconds of a step of each kind of network, and of what it consists of."""
    import torch

    torch.backends.cudnn.benchmark = True
    data: Data = {"device": job.torch_device(), "rows": [], "parts": []}
    for task, batches in CASES.items():
        for batch in batches[:1] if job.quick else batches:
            for way in ("layers", "engine", *(["graphs"] if data["device"] == "cuda" else [])):
                data["rows"].append(_row(job, data["device"], task, batch, way))
                data["text"] = _text(data)
                job.write(data)
        data["parts"] += _parts(job, data["device"], task)
        data["text"] = _text(data)
        job.write(data)
        if job.left < 0:
            break
    print(data["text"])


def _timed(job: Job, device: str, action: Callable[[], Any]) -> float:
    """Milliseconds of an action."""
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    count = 1 if job.quick else 20
    for _ in range(1 if job.quick else 3):
        action()
    wait()
    started = time.perf_counter()
    for _ in range(count):
        action()
    wait()
    return 1e3 * (time.perf_counter() - started) / count


def _row(job: Job, device: str, task: str, batch: int, way: str) -> Data:
    import torch
    import torch.nn.functional as F

    import unfolded
    from unfolded.engines.cuda_graphs import GraphedPass
    from unfolded.network import engine_choice

    net = unfolded.pretrained(task).train().requires_grad_().to(device)
    c = net.configuration
    side = QUICK_SIDE if job.quick else SIDE
    random = torch.Generator("cpu").manual_seed(0)
    x, y, z = (
        0.1 * torch.randn(batch, n, side, side, generator=random).to(device)
        for n in (*c.channels, c.out_channels)
    )
    more = (torch.full((batch,), 0.1, device=device),) if c.noise_aware else ()
    run: Any = GraphedPass(net) if way == "graphs" else net
    adam = torch.optim.Adam(net.parameters(), lr=1e-5)
    losses = []

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            image = run(x, y, *more)
        loss = F.l1_loss(image.float(), z)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        adam.step()
        losses.append(loss.detach())

    serves = copy.copy(engine_choice._SERVES)
    if way == "layers":
        engine_choice._SERVES["training"] = lambda *_, **__: False
    try:
        milliseconds = _timed(job, device, step)
    finally:
        engine_choice._SERVES.update(serves)
    return {
        "task": task, "batch": batch, "way": way, "milliseconds": milliseconds,
        "first_loss": float(losses[0]), "last_loss": float(losses[-1]),
    }  # fmt: skip


def _parts(job: Job, device: str, task: str) -> list[Data]:
    """Convolutions and passes over the maps of one block, of eight patches."""
    import torch

    import unfolded
    from unfolded.engines import pointwise, rows

    steps = unfolded.pretrained(task).to(device).steps().sweeps[0].unique[0]
    size, filters, channels = steps.size, steps.filters, steps.channels
    side, batch = (QUICK_SIDE, 2) if job.quick else (SIDE, 8)
    half = torch.bfloat16
    if device == "cpu" and not rows.has_bfloat16():
        half = torch.float32
    random = torch.Generator("cpu").manual_seed(0)

    def noise(*shape: int) -> Any:
        return torch.randn(*shape, generator=random).to(device)

    image = noise(batch, side, side, channels)
    maps = noise(batch, side, side, filters).to(half)
    out, lam = torch.empty_like(maps), torch.full((batch, filters), 0.1, device=device)
    up = rows.analysis_of(steps.first.detach().to(half))
    down = rows.synthesis_of(steps.down[0].detach().to(half))
    wide = torch.nn.functional.pad(down, (0, 0, 0, 0, 0, 0, 0, -down.shape[0] % 16))
    wide = wide.contiguous(memory_format=torch.channels_last)
    columns = rows.unfold(image, size, half)
    rows_of = rows.first(maps)
    shape = (filters, channels, size, size)
    actions: dict[str, Callable[[], Any]] = {
        "unfold": lambda: rows.unfold(image, size, half),
        "analyse": lambda: rows.analyse(columns, up),
        "synthesise": lambda: rows.synthesise(maps, down, size),
        "its convolution": lambda: torch.conv2d(rows_of, down, padding=(size // 2, 0)),
        "the same to 16 n channels": lambda: torch.conv2d(rows_of, wide, padding=(size // 2, 0)),
        "gradient": lambda: rows.gradient(columns, maps, shape),
        "step": lambda: pointwise.step(maps, maps, maps, lam, out),
        "gate": lambda: pointwise.gate(maps, out, maps, out),
    }
    return [
        {"task": task, "part": name, "milliseconds": _timed(job, device, action)}
        for name, action in actions.items()
    ]


def _text(data: Data) -> str:
    heads = ("task", "patches", "by", "ms a step", "first loss", "last loss")
    keys = ("milliseconds", "first_loss", "last_loss")
    rows = [(r["task"], r["batch"], r["way"], *(number(r[k]) for k in keys)) for r in data["rows"]]
    parts = [(r["task"], r["part"], number(r["milliseconds"])) for r in data["parts"]]
    return (
        f"Patches of {SIDE} x {SIDE} in bfloat16 on {data['device']}.\n\n{table(heads, rows)}\n\n"
        f"Of one block, for eight patches:\n\n{table(('task', 'part', 'ms'), parts)}"
    )
