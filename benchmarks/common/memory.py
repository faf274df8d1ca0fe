"""Peak memory of one solver, or of a network, in a process of its own.

A process's high-water mark cannot be read for a part of its life, and the one of a child begins
with its parent's. So each measurement is a fresh process that loads and compiles everything on a
small problem, hands freed memory back, resets the mark (Linux: ``/proc/self/clear_refs``), and only
then builds the solver. Elsewhere the mark is not reset, and the figure is a lower bound.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mcsc.tasks.shipped import shipped_dictionary

from . import timing
from .problems import ROOT, setting


def measure(specification: dict[str, Any]) -> dict[str, Any]:
    """Run `specification` (see `_run`) in a fresh process; bytes on top, at the peak and before."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "benchmarks.common.memory",
            json.dumps(specification),
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _resident(field: str) -> int:
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(rf"^{field}:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        if found:
            return int(found.group(1)) * 1024
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _reset_peak() -> bool:
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return False
    return True


def peak_of(function: Callable[[], object]) -> dict[str, Any]:
    """Bytes that a call needs at its peak on top of what the process held; see above."""
    reset = _reset_peak()
    before = _resident("VmRSS")
    function()
    peak = _resident("VmHWM")
    return {"before": before, "peak": peak, "extra": peak - before, "reset": reset}


NETWORKS = ("CU-Net", "CU-Net, plain conv2d")


def _run_network(specification: dict[str, Any]) -> dict[str, Any]:
    """Run a network of the paper's shape: memory of the first run, seconds of the next ones.

    `specification`: method (one of `NETWORKS`), size, filters, channels, threads, repeats.
    """
    import torch

    from ..networks.cunet_inference import as_published, images, network, network_threads

    net = network(specification["channels"], specification["filters"])
    plain = specification["method"] != NETWORKS[0]
    height, width = specification["size"]

    def run() -> object:
        return as_published(net, x, y) if plain else net(x, y)

    with network_threads(specification["threads"]), torch.inference_mode():
        x, y = images(net, (130, 130))
        run()
        x, y = images(net, (height, width))
        found = peak_of(run)
        seconds = []
        for _ in range(specification["repeats"]):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
    return {**found, "seconds": seconds}


def _holes(height: int, width: int, share: float) -> tuple[np.ndarray, None] | None:
    """Weights with a share of zeros, at random places, for the first of two images."""
    if not share:
        return None
    known = np.random.default_rng(0).random((1, height, width)) >= share
    return known.astype(np.float32), None


def _run(specification: dict[str, Any]) -> dict[str, Any]:
    """Build and run one solver.

    `specification`: method, pair, size, filters, fraction, boundary, threads, changes of a peer's
    settings, and iterations or (with this package's `solve`) tol. With `task` the dictionary is
    the one that comes with the package for it, with `holes` that share of the first image unknown.
    """
    if specification["method"] in NETWORKS:
        return _run_network(specification)
    from . import peers

    method, iterations = specification["method"], specification.get("iterations")
    filters = specification["filters"]
    with peers.equal_threads(specification["threads"]):
        timing.warm_up(() if method in peers.PEERS else (method,))
        if method in peers.PEERS:
            peers.warm_up(setting(specification["pair"], 32, filters=4).problem(0.1))
        size = specification["size"]
        height, width = (size, size) if isinstance(size, int) else size
        boundary, task = specification.get("boundary", "periodic"), specification.get("task")
        bank = None if task is None else shipped_dictionary(task)
        s = setting(
            specification["pair"], (height, width), filters=filters, boundary=boundary,
            masks=_holes(height, width, specification.get("holes", 0.0)), bank=bank,
        )  # fmt: skip
        if bank is not None:  # kernels of this size of filters
            small = setting(specification["pair"], 48, boundary=boundary, bank=bank)
            small.solve(0.1, method=method, tol=1e-2)
        fraction = specification["fraction"]
        estimate = None
        if method not in peers.PEERS:
            estimate = s.problem(fraction).memory_estimate(method)
        reset = _reset_peak()
        before = _resident("VmRSS")
        extra: dict[str, Any] = {}
        if method in peers.PEERS:
            problem = s.problem(fraction)
            changes = specification.get("changes", {})
            peers.make(method, problem, specification["iterations"], **changes).solve()
        elif iterations is not None:
            solver = timing.make_solver(s.problem(fraction), method)
            for _ in range(iterations):
                solver.step()
        else:
            result = s.solve(fraction, method=method, tol=specification["tol"])
            extra = {"seconds": result.seconds, "nnz": result.codes.nnz, "gap": result.gap}
        peak = _resident("VmHWM")
    return {
        "before": before, "peak": peak, "extra": peak - before, "estimate": estimate,
        "reset": reset, **extra,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_run(json.loads(sys.argv[1]))))
