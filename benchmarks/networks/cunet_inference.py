"""CU-Net on a CPU: our inference against the authors' formulation, same weights, one run.

The authors' formulation is their released code's, layer by layer: a `conv2d` for each of E and D,
``sign(t) * relu(|t| - lam)`` for each threshold, sums as they are written. Both run without
gradients, with the same threads, turn by turn; medians count. bfloat16 is asked for by autocast on
our side, and measured against the formulation in float32; what it costs is the distance of the two
images in dB.

The networks have 64 filters of 8x8, 4 blocks and the start from a dictionary (speed does not depend
on the weights), or are read from --weights: a .pth file of the authors' or a .safetensors file of
ours.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits

import mcsc
import unfolded

from ..common.problems import (
    FILTERS,
    QUICK_FILTERS,
    QUICK_SIZE,
    crop,
    natural_filters,
    pair_names,
    pictures,
)
from ..common.results import Data, command, number, table

COLOURS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, nargs="+", default=(512,), help="sides of the images")
    parser.add_argument("--repeats", type=int, default=5, help="runs, whose median counts")
    parser.add_argument("--weights", type=Path, nargs="+", default=(), help="files instead")


@contextmanager
def network_threads(count: int) -> Iterator[None]:
    """`count` threads for PyTorch, for this package's kernels and for BLAS."""
    before = torch.get_num_threads(), mcsc.get_num_threads()
    torch.set_num_threads(count)
    mcsc.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before[0])
        mcsc.set_num_threads(before[1])


def measure(arguments: argparse.Namespace) -> Data:
    sizes, repeats, filters = tuple(arguments.size), arguments.repeats, FILTERS
    if arguments.quick:
        sizes, repeats, filters = (QUICK_SIZE,), 1, QUICK_FILTERS
    nets = {p.name: _load(p) for p in arguments.weights} or {
        f"{c} channel{'s' if c > 1 else ''}": network(c, filters) for c in (1, 3)
    }
    with network_threads(arguments.threads):
        rows = []
        for name, net in nets.items():
            for size in sizes:
                rows.append({"network": name, "size": size, **_compare(net, size, repeats)})
                print(_progress(rows[-1]), flush=True)
    return {
        "threads": arguments.threads, "repeats": repeats, "torch": torch.__version__, "rows": rows,
    }  # fmt: skip


def _load(path: Path) -> unfolded.CUNet:
    return unfolded.load_official(path) if path.suffix == ".pth" else unfolded.load(path)


def network(channels: int, filters: int, task: str = "restoration") -> unfolded.CUNet:
    """A network from natural filters, of several colours if there are three channels.

    It has the paper's 8x8 filters and 4 blocks; the target is the model of x, in fusion of both.
    """
    bank = natural_filters(filters)
    if channels == 3:
        bank = bank * COLOURS[np.arange(len(bank)) % 3][:, :, None, None]
    shared = bank / math.sqrt(2.0)
    targets = {"target_common": shared, "target_unique": (bank, bank)} if task == "fusion" else {}
    d = mcsc.Dictionary(common=(shared, shared), unique=(bank, bank), **targets)
    return unfolded.CUNet.from_dictionary(d, 0.02, task=task).float()


def as_published(net: unfolded.CUNet, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The network as the authors' code has it."""

    def shrink(t: torch.Tensor, lam: torch.Tensor) -> torch.Tensor:
        return torch.sign(t) * F.relu(torch.abs(t) - lam)

    def lcsc(module: Any, image: torch.Tensor) -> torch.Tensor:
        p1 = module.first(image)
        maps = shrink(p1, module.thresholds[0])
        for (down, up), lam in zip(module.layers(), module.thresholds[1:], strict=True):
            maps = shrink(torch.add(p1, maps - up(down(maps))), lam)
        return maps

    u, v = lcsc(net.unique[0], x), lcsc(net.unique[1], y)
    left = torch.cat((x - net.explained[0](u), y - net.explained[1](v)), 1)
    z = net.target_common(lcsc(net.common, left))
    for layer, maps in zip(net.target_unique, (u, v), strict=False):
        z = z + layer(maps)
    return torch.as_tensor(z)


def images(net: unfolded.CUNet, shape: tuple[int, int]) -> list[torch.Tensor]:
    """A real pair of this (height, width), grey, repeated for a network of three channels."""
    found = [crop(p, shape) for p in pictures(pair_names(1)[0])]
    return [
        torch.from_numpy(np.repeat(image, c, axis=0)[None])
        for image, c in zip(found, net.configuration.channels, strict=True)
    ]


def _compare(net: unfolded.CUNet, size: int, repeats: int) -> Data:
    x, y = images(net, (size, size))

    def in_bfloat16() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return net(x, y)

    ways: dict[str, Callable[[], torch.Tensor]] = {
        "published": lambda: as_published(net, x, y),
        "float32": lambda: net(x, y),
        "bfloat16": in_bfloat16,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    with torch.no_grad():
        for way in ways.values():
            way()
        for _ in range(repeats):
            for name, way in ways.items():
                started = time.perf_counter()
                found[name] = way()
                seconds[name].append(time.perf_counter() - started)
    error = (found["bfloat16"] - found["published"]).square().mean().item()
    c_x, c_y = net.configuration.channels
    per_pixel = (
        2
        * net.configuration.kernel_size**2
        * sum(p.shape[0] * p.shape[1] for p in net.parameters() if p.dim() == 4)
    )
    return {
        "channels": [c_x, c_y],
        "gflop": per_pixel * size * size / 1e9,
        **{name: float(np.median(s)) for name, s in seconds.items()},
        "difference": float((found["float32"] - found["published"]).abs().max()),
        "bfloat16_psnr": 10 * math.log10(1 / error) if error else None,
    }


def _progress(row: Data) -> str:
    return (
        f"{row['network']}, {row['size']}x{row['size']}: published {row['published']:.3g} s, "
        f"{row['published'] / row['float32']:.2f} times faster in float32, "
        f"{row['published'] / row['bfloat16']:.2f} in bfloat16"
    )


def summary(data: Data) -> str:
    rows = []
    for r in data["rows"]:
        rows.append([
            r["network"], f"{r['size']}x{r['size']}",
            *(f"{number(r[k])} s" for k in ("published", "float32", "bfloat16")),
            *(f"{r['published'] / r[k]:.2f}" for k in ("float32", "bfloat16")),
            number(r["gflop"] / r["float32"]),
            number(r["difference"], 2),
            "–" if r["bfloat16_psnr"] is None else f"{r['bfloat16_psnr']:.1f} dB",
        ])  # fmt: skip
    headers = [
        "network", "image", "published", "float32", "bfloat16", "faster, float32",
        "faster, bfloat16", "GFLOP/s, float32", "largest difference, float32", "bfloat16 agrees to",
    ]  # fmt: skip
    return (
        f"PyTorch {data['torch']}, {data['threads']} threads, medians of {data['repeats']} runs:"
        "\n\n" + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("networks.cunet_inference", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
