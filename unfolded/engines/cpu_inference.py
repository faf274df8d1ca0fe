r"""Inference on a CPU: each block once over the maps, a strip of rows at a time.

An LCSC block needs of the one before its maps and the image ``D * U`` of few channels. For a strip
of rows, ``E * d`` is a convolution along columns (`unfolded.engines.rows`), added to the maps,
which are thresholded in place while they are in cache; then ``D * U`` of each strip, which sees
some rows of its neighbours.

Under ``torch.autocast("cpu", torch.bfloat16)``, on a processor that multiplies in it, maps are kept
and multiplied in bfloat16; sums, thresholds and images stay in float32.

Memory: two sets of maps (:math:`E_0 * x` and :math:`U_j`, ``2 K H W`` numbers for one image at a
time), whatever J is; four of a network of several sweeps.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import rows
from .steps import NetworkSteps, Steps, numbers
from .threads import Map, torch_threads

LEAST_PIXELS = 128 * 128
"""Smaller images take milliseconds anyway, and keep the layers' own order of summation."""

PIXELS_PER_STRIP = 8192
LEAST_ROWS = 16


def serves(image: Tensor, *, training: bool) -> bool:
    """Return True if this engine is allowed, and faster than the layers themselves."""
    return (
        not training
        and image.shape[-2] * image.shape[-1] >= LEAST_PIXELS
        and not torch.is_grad_enabled()
        and image.device.type == "cpu"
        and image.dtype == torch.float32
    )


def parts(steps: NetworkSteps, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return ``gc * c`` and the unique parts, (N, C_z, H, W) each.

    Parameters
    ----------
    steps : NetworkSteps
        Regular, float32 on the CPU.
    x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
        Finite, float32 on the CPU, of one size.
    """
    # Without the products in the processor, float32 is faster.
    half = rows.in_bfloat16() and rows.has_bfloat16()
    dtype = torch.bfloat16 if half else torch.float32
    n, _, height, width = x.shape
    images = [rows.last(image.detach()) for image in (x, y)]
    common_part = rows.floats(n, height, width, steps.target_common.shape[0])
    unique_parts = [torch.empty_like(common_part) for _ in steps.target_unique]
    network = _Network(steps, n, dtype, (height, width))
    with torch_threads() as run:
        for i in range(n):
            found = network.sample([image[i : i + 1] for image in images], i, run)
            common_part[i] = found[0][0]
            for part, its in zip(unique_parts, found[1], strict=True):
                part[i] = its[0]
    made, *unique = (rows.first(part).contiguous() for part in (common_part, *unique_parts))
    return made, unique


class _Network:
    """A network's filters as they are multiplied, and memory for one image."""

    def __init__(
        self, steps: NetworkSteps, samples: int, dtype: torch.dtype, shape: tuple[int, int]
    ) -> None:
        self._steps, self._dtype = steps, dtype
        self._modules = [
            [_Module(module, samples, dtype) for module in sweep.modules] for sweep in steps.sweeps
        ]
        number = range(len(steps.sweeps))
        self._after_unique = [
            [rows.synthesis_of(w.detach().to(dtype)) for w in steps.after_unique(k)] for k in number
        ]
        self._after_common = [
            rows.synthesis_of(steps.after_common(k).detach().to(dtype)) for k in number
        ]
        self._grid = _Grid(*shape, steps.size)
        filters = [module.filters for module in steps.sweeps[0].modules]
        pixels = shape[0] * shape[1]
        self._drive = _blank(max(filters) * pixels, dtype)
        if len(number) > 1:  # all maps are gone on from
            self._maps = [_blank(k * pixels, dtype) for k in filters]
        else:
            self._maps = [_blank(max(filters) * pixels, dtype)] * 3

    def sample(self, images: list[Tensor], i: int, run: Map) -> tuple[Tensor, list[Tensor]]:
        """Return the common part (1, H, W, C_z) and the unique ones, of images (1, H, W, C)."""
        channels = [image.shape[-1] for image in images]
        known: list[Tensor] | None = None
        unique: list[Tensor] = []
        made = images[0]
        for k, modules in enumerate(self._modules):
            left = []
            for m, image in enumerate(images):
                signal = image if known is None else image - known[m]
                maps = self._run(modules[m], m, signal, i, run)
                found = self._grid.lower(maps, self._after_unique[k][m], run)
                left.append(image - found[..., : channels[m]])
                if found.shape[-1] > channels[m]:
                    unique.append(found[..., channels[m] :])
            maps = self._run(modules[2], 2, torch.cat(left, dim=-1), i, run)
            made = self._grid.lower(maps, self._after_common[k], run)
            known = [made[..., : channels[0]], made[..., channels[0] :]]
        return made, unique

    def _run(self, module: _Module, m: int, signal: Tensor, i: int, run: Map) -> Tensor:
        shape = (1, self._grid.height, self._grid.width, module.filters)
        count = shape[1] * shape[2] * shape[3]
        maps, drive = (a[:count].view(shape) for a in (self._maps[m], self._drive))
        module.run(self._grid, signal, maps, drive, i, run)
        return maps


class _Module:
    """An LCSC module's filters and thresholds."""

    def __init__(self, steps: Steps, samples: int, dtype: torch.dtype) -> None:
        self.filters = steps.filters
        self._residual, self._goes_on, self._dtype = steps.residual, steps.goes_on, dtype
        self._first, *self._up = (
            rows.analysis_of(w.detach().to(dtype)) for w in (steps.first, *steps.up)
        )
        self._down = [rows.synthesis_of(w.detach().to(dtype)) for w in steps.down]
        self._numbers = numbers(steps.thresholds, samples, steps.filters).numpy()

    def run(
        self, grid: _Grid, signal: Tensor, maps: Tensor, drive: Tensor, i: int, run: Map
    ) -> None:
        """Make the maps (1, H, W, K) of sample i, or go on from those that are there."""
        from . import numba_kernels as kernels

        lam = self._numbers[:, i : i + 1]

        def begin(strip: slice) -> None:
            made = grid.lift(signal, self._first, strip, self._dtype)
            drive[:, strip] = made
            if not self._goes_on:
                kernels.threshold_maps(rows.pixels(made), lam[0], rows.pixels(maps[:, strip]))

        run(begin, grid.strips)
        for j, (down, up) in enumerate(zip(self._down, self._up, strict=True)):
            image = grid.lower(maps, down, run)
            number = lam[j if self._goes_on else j + 1]

            def block(
                strip: slice, up: Tensor = up, image: Tensor = image, number: object = number
            ) -> None:
                change = rows.pixels(grid.lift(image, up, strip, self._dtype))
                there = rows.pixels(maps[:, strip])
                if self._residual:
                    kernels.step_maps(there, rows.pixels(drive[:, strip]), change, number, there)
                else:
                    kernels.threshold_maps(change, number, there)

            run(block, grid.strips)


class _Grid:
    """An image cut into strips of rows.

    They do not depend on the number of threads, and neither do the results.
    """

    def __init__(self, height: int, width: int, size: int) -> None:
        self.height, self.width, self.size = height, width, size
        step = max(LEAST_ROWS, PIXELS_PER_STRIP // width)
        self.strips = [slice(i, min(i + step, height)) for i in range(0, height, step)]

    def lift(self, image: Tensor, weight: Tensor, strip: slice, dtype: torch.dtype) -> Tensor:
        """Return the maps of a strip."""
        return rows.analyse(rows.unfold(image, self.size, dtype, strip), weight)

    def lower(self, maps: Tensor, weight: Tensor, run: Map) -> Tensor:
        """Return the image (1, H, W, C) of maps."""
        image = rows.floats(1, self.height, self.width, weight.shape[0] // self.size)
        reach = self.size // 2

        def work(strip: slice) -> None:
            top, bottom = strip.start - reach, strip.stop + reach
            seen = maps[:, max(top, 0) : min(bottom, self.height)]
            if top < 0 or bottom > self.height:
                above, below = max(-top, 0), max(bottom - self.height, 0)
                seen = F.pad(seen, (0, 0, 0, 0, above, below))
            image[:, strip] = rows.synthesise(seen, weight, self.size, padded=True)

        run(work, self.strips)
        return image


def _blank(numbers: int, dtype: torch.dtype) -> Tensor:
    # NumPy's memory is what Python can account for.
    kind = np.uint16 if dtype == torch.bfloat16 else np.float32
    return torch.from_numpy(np.empty(numbers, kind)).view(dtype)
