"""Table 8 of the paper: seconds that CU-Net takes for an image of each of the six tasks.

Run it by ``pytest --benchmark``; the measurements are in ``test_speed.py``. The networks are the
paper's, with 64 filters of 8x8 and 4 blocks. Their weights are those that come with the package
where these have that shape, else the start from a dictionary: speed does not depend on them.

**Channels.** The text of the paper gives both inputs of a network the same m channels ("accept
multi-channel inputs": D_u and D_v have m, D_c has 2m). Depth has m = 1 with the luma as guide, in
words; multispectral images are taken to be restored band by band, m = 1, for 31 bands with three of
RGB would not fit that rule. Colour photographs (flash, exposures, focus) have m = 3, and so have
the authors' released weights. Medical images go through the network for focus, fine-tuned, which
has m = 3 too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import unfolded

from ..common import memory
from ..common.problems import FILTERS, QUICK_FILTERS, Setting, pair_names, setting
from ..common.results import Data, cores, cpu_model, number, table
from .cunet_inference import as_published, images, network, network_threads

PAPERS_DEVICE = "GTX 1080 Ti"


@dataclass(frozen=True)
class Case:
    """A column of Table 8."""

    task: str
    width: int
    height: int
    published: float
    """Seconds."""
    channels: int
    kind: str = "restoration"


CASES = (
    Case("depth-sr", 1320, 1080, 0.85, 1),
    Case("multispectral-sr", 512, 512, 0.24, 1),
    Case("flash-denoise", 900, 600, 0.38, 3),
    Case("multi-exposure", 900, 600, 0.42, 3, "fusion"),
    Case("multi-focus", 520, 520, 0.27, 3, "fusion"),
    Case("medical", 256, 256, 0.09, 3, "fusion"),
)
PLAIN = ("multispectral-sr", "medical")
"""Tasks that the plain formulation is measured on as well: it takes several times as long."""
LIMITS = {"float32": 1e-3, "tf32": 1e-3, "bfloat16": 0.2}
"""Differences, on a GPU, of an image from that of float32, beyond which nothing is measured."""
EXACT_SIZE, EXACT_TOLS, EXACT_FRACTION = 256, (1e-1, 1e-2), 0.01


class DeviceClock:
    """Seconds on the GPU's own clock: an event is recorded in the stream and waited for."""

    def __init__(self) -> None:
        self._last = self._event()
        self._total = 0.0

    def __call__(self) -> float:
        now = self._event()
        self._total += self._last.elapsed_time(now) / 1e3
        self._last = now
        return self._total

    @staticmethod
    def _event() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        event.synchronize()
        return event


@dataclass(frozen=True)
class Setup:
    """How a run measures."""

    device: str = "cpu"
    precision: str = "float32"
    """On a GPU: of the products; see `unfolded.accelerate`."""
    kernels: str = "auto"
    """On a GPU: what computes; see `unfolded.accelerate`."""
    threads: int | None = None
    rounds: int = 5
    quick: bool = False

    @property
    def count(self) -> int:
        """Threads."""
        return cores() if self.threads is None else self.threads

    @property
    def filters(self) -> int:
        """Maps a module."""
        return QUICK_FILTERS if self.quick else FILTERS

    @property
    def repeats(self) -> int:
        """Timed runs."""
        return 1 if self.quick else self.rounds

    @contextmanager
    def ready(self) -> Iterator[float]:
        """Set threads and precision; load and compile all that will run. Gives seconds of that."""
        precision = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with network_threads(self.count), torch.inference_mode():
                started = time.perf_counter()
                for channels in (1, 3):
                    net = network(channels, 4).to(self.device)
                    x, y = (i.to(self.device) for i in images(net, (130, 130)))
                    net(x, y)
                if self.device == "cuda":
                    torch.cuda.synchronize()
                yield time.perf_counter() - started
        finally:
            torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = precision

    def network(self, case: Case) -> tuple[unfolded.CUNet, str]:
        """The paper's network for a task, and where its weights come from."""
        net, origin = network(case.channels, self.filters, case.kind), "dictionary"
        found = pretrained(case.task)
        if found is not None and found.configuration == net.configuration:
            net, origin = found, "pretrained"
        return net.float().to(self.device).eval(), origin

    def fast(self, net: unfolded.CUNet) -> Callable[..., torch.Tensor]:
        """The network as one would use it on the device."""
        if self.device == "cpu":
            return net
        return unfolded.accelerate(net, self.device, precision=self.precision, kernels=self.kernels)

    def error(
        self, net: unfolded.CUNet, image: torch.Tensor, *given: torch.Tensor | float
    ) -> float | None:
        """Largest difference, on a GPU, of an image from that of PyTorch's layers in float32."""
        if self.device == "cpu":
            return None
        error = float((image - net(*given)).abs().max())
        if not error <= LIMITS[self.precision]:  # NaN, too
            raise AssertionError(f"the network's image is off by {error:g}")
        return error

    def shape(self, case: Case) -> tuple[int, int]:
        """Height and width of a task's images; in a quick run an eighth of them."""
        step = 8 if self.quick else 1
        return case.height // step, case.width // step

    def images(self, net: unfolded.CUNet, case: Case) -> list[torch.Tensor]:
        """A pair of the task's size."""
        return [i.to(self.device) for i in images(net, self.shape(case))]

    def given(self, net: unfolded.CUNet, case: Case) -> list[torch.Tensor | float]:
        """A pair and, if its thresholds follow the noise, the level of it."""
        level = [50 / 255] if net.configuration.noise_aware else []
        return [*self.images(net, case), *level]

    def exact(self) -> Setting:
        """A problem for the exact solver, on the CPU."""
        size = 40 if self.quick else EXACT_SIZE
        return setting(pair_names(1)[0], size, filters=self.filters, boundary="zero")

    def warm(self, run: Callable[..., object], *images: torch.Tensor | float) -> int | None:
        """Run it for the first time; bytes at the peak. On a GPU again: that records a graph."""
        extra = self.peak(lambda: run(*images))
        if self.device == "cuda":
            run(*images)
            torch.cuda.synchronize()
        return extra

    def peak(self, function: Callable[[], object]) -> int | None:
        """Run it once; bytes at the peak on top of what there was, None where unknown."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            function()
            torch.cuda.synchronize()
            return int(torch.cuda.max_memory_allocated() - before)
        found = memory.peak_of(function)
        return int(found["extra"]) if found["reset"] else None

    def describe(self, compiling: float) -> Data:
        """What the table says of the run as a whole."""
        name = torch.cuda.get_device_name() if self.device == "cuda" else cpu_model()
        return {
            "device": self.device, "device_name": name, "precision": self.precision,
            "kernels": self.kernels,
            "threads": self.count, "rounds": self.repeats, "torch": torch.__version__,
            "compiling": compiling, "filters": self.filters, "quick": self.quick,
        }  # fmt: skip


def pretrained(task: str) -> unfolded.CUNet | None:
    """The network that comes with the package for a task, if there is one."""
    try:
        return unfolded.pretrained(task)
    except ValueError:
        return None


def plain(net: unfolded.CUNet, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same network in the authors' formulation."""
    return as_published(net, x, y)


# ----------------------------------------------------------------------------------- table
def as_read_back(about: Data, rows: list[Data]) -> Data:
    """The data as the JSON file will give them, so that the same is printed now and then."""
    kept = json.dumps({**about, "rows": rows}, default=float)
    data: Data = json.loads(kept, parse_float=lambda text: float(f"{float(text):.7g}"))
    return data


def summary(data: Data) -> str:
    """Table 8, with the exact solver below it."""
    by_kind: dict[str, list[Data]] = {}
    for row in data["rows"]:
        by_kind.setdefault(row["kind"], []).append(row)
    name = data["device_name"]
    on_gpu = data["device"] != "cpu"
    threads = ", device events" if on_gpu else f", {data['threads']} threads"
    parts = ["(A quick run: the images are not of the paper's size.)"] if data["quick"] else []
    if "network" in by_kind:
        parts.append(
            f"CU-Net with {data['filters']} filters of 8x8 and 4 blocks on {name}{threads}, "
            f"{data['precision']}, PyTorch {data['torch']}; medians of {data['rounds']} runs "
            f"(least to most), one pair an image, 2 x m channels in:\n\n" + _networks(by_kind)
        )
        if on_gpu:
            kernels = ", ".join(dict.fromkeys(row["kernels"] for row in by_kind["network"]))
            worst = max(row["error"] for row in by_kind["network"])
            parts.append(
                f"Kernels: {kernels}. Largest difference from PyTorch's layers in float32 without "
                f"TF32, on the whole images: {number(worst)}."
            )
    if "shipped" in by_kind:
        parts.append(
            "Networks that come with the package, where they differ from the paper's:\n\n"
            + _shipped(by_kind["shipped"])
        )
    if "exact" in by_kind:
        parts.append(
            f"The iterative side on the CPU ({data['threads']} threads): `mcsc.solve` with 3 x "
            f"{data['filters']} filters of 8x8, 2 x 1 channel, lam = {100 * EXACT_FRACTION:g} % of "
            "lambda_max:\n\n" + _exact(by_kind["exact"])
        )
    parts.append(
        "Not in these times: compiling, and the runs to warm up; memory is that of the first run."
        if on_gpu
        else f"Not in these times: loading and compiling, {number(data['compiling'])} s, and one "
        "run to warm up, which the memory is measured on."
    )
    return "\n\n".join(parts)


def _times(row: Data) -> list[str]:
    seconds = row["seconds"]
    return [
        number(float(np.median(seconds))),
        f"{number(min(seconds))}–{number(max(seconds))}",
    ]


def _mebibytes(row: Data | None) -> str:
    return "–" if row is None or row["extra"] is None else f"{row['extra'] / 2**20:.0f}"


def _networks(by_kind: dict[str, list[Data]]) -> str:
    plains = {row["task"]: row for row in by_kind.get("plain", ())}
    rows = []
    for row in by_kind["network"]:
        other = plains.get(row["task"])
        median = float(np.median(row["seconds"]))
        theirs = None if other is None else float(np.median(other["seconds"]))
        rows.append([
            row["task"], f"{row['width']}x{row['height']}", row["channels"],
            f"{row['published']:.2f}", *_times(row), number(median / row["published"]),
            number(theirs), "–" if theirs is None else f"{theirs / median:.2f}",
            _mebibytes(row), _mebibytes(other), row["weights"],
        ])  # fmt: skip
    headers = [
        "task", "image", "m", f"paper, {PAPERS_DEVICE}, s", "here, s", "range, s", "here / paper",
        "plain conv2d, s", "plain / here", "memory, MiB", "plain, MiB", "weights",
    ]  # fmt: skip
    return table(headers, rows)


def _shipped(found: list[Data]) -> str:
    rows = [
        [
            row["task"],
            f"{row['width']}x{row['height']}",
            row["network"],
            f"{row['published']:.2f}",
            *_times(row), number(float(np.median(row["seconds"])) / row["published"]),
            _mebibytes(row),
        ]
        for row in found
    ]  # fmt: skip
    headers = [
        "task", "image", "network", f"paper, {PAPERS_DEVICE}, s", "here, s", "range, s",
        "here / paper", "memory, MiB",
    ]  # fmt: skip
    return table(headers, rows)


def _exact(found: list[Data]) -> str:
    rows = [
        [f"{row['size']}x{row['size']}", row["method"], f"{row['tol']:g}", *_times(row)]
        for row in found
    ]
    return table(["image", "method", "certified gap", "here, s", "range, s"], rows)
