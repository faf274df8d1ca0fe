r"""Inference on a CPU: matrix products on patches, a strip of rows at a time.

An LCSC block is one pass over the feature maps. For a tile of T pixels, ``E * d`` is the (K, C s s)
filter matrix times the (C s s, T) matrix of d's patches; threshold and residual are applied while
the result is in cache; the next block's ``D * U`` is the (C s s, K) matrix times the new maps,
followed by a shifted sum. Between passes there is only the C-channel image ``D * U``. The last
pass multiplies with the filters of the target too.

The library's convolution, by contrast, does well where an image with few channels becomes many
maps and badly the other way round, and each of its layers, thresholds and sums reads and writes all
maps.

In bfloat16 the products alone are rounded to 8 bits; maps, thresholds and sums stay in float32.

Memory: two sets of maps (:math:`E_0 * x` and :math:`U_j`, ``2 K H W`` numbers for one image at a
time), whatever J is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcsc.types import Floats

from .products import (
    analysis_matrix,
    array,
    blank,
    clear_margin,
    crop,
    pad,
    synthesis_matrix,
)
from .steps import NetworkSteps, Steps
from .threads import Map, torch_threads

PIXELS_PER_TILE = 512
PIXELS_PER_TILE_IN_BFLOAT16 = 2048  # the products are shorter, the calls are not
LEAST_PIXELS = 128 * 128
"""Smaller images take milliseconds anyway, and keep the layers' own order of summation."""

PIXELS_PER_TASK = 8192


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
    half = _in_bfloat16()
    n, _, height, width = x.shape
    size = steps.size
    filters = max(module.filters for module in (*steps.unique, steps.common))
    pixels = PIXELS_PER_TILE_IN_BFLOAT16 if half else PIXELS_PER_TILE
    grid = _Grid(height, width, size, pixels)
    buffers = tuple(np.empty(filters * height * width, np.float32) for _ in range(2))
    unique = [
        _Matrices(module, array(last), half)
        for module, last in zip(steps.unique, steps.after_unique(), strict=True)
    ]
    common = _Matrices(steps.common, array(steps.target_common), half)
    common_part = np.empty((n, steps.target_common.shape[0], height, width), np.float32)
    unique_parts = [np.empty_like(common_part) for _ in steps.target_unique]
    with torch_threads(keep=half) as run:
        for sample in range(n):
            left = []
            for m, image in enumerate((x, y)):
                signal = pad(array(image[sample]), size)
                made = unique[m].run(grid, signal, buffers, run)
                channels = signal.shape[0]
                left.append(signal - made[:channels])
                if m < len(unique_parts):
                    unique_parts[m][sample] = crop(made[channels:], size)
            made = common.run(grid, np.concatenate(left), buffers, run)
            common_part[sample] = crop(made, size)
    return torch.from_numpy(common_part), [torch.from_numpy(part) for part in unique_parts]


def _in_bfloat16() -> bool:
    """True if autocast asks for it and the processor multiplies in it; else float32 is faster."""
    return (
        torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


@dataclass(frozen=True)
class _Tile:
    top: int
    left: int
    rows: int
    width: int
    first: int
    """Pixels in the tiles before this one."""

    @property
    def pixels(self) -> int:
        return self.rows * self.width

    def of(self, buffer: Floats, maps: int) -> Floats:
        """The tile's maps (K, T): contiguous, as maps are stored tile by tile."""
        start = maps * self.first
        return buffer[start : start + maps * self.pixels].reshape(maps, self.pixels)


class _Grid:
    """An image cut into tiles of so many pixels, whole rows where they are not longer."""

    def __init__(self, height: int, width: int, size: int, pixels: int) -> None:
        self.height, self.width, self.size = height, width, size
        columns = -(-width // pixels)
        wide = -(-width // columns)
        rows = max(1, pixels // wide)
        tiles = []
        first = 0
        for top in range(0, height, rows):
            for left in range(0, width, wide):
                tile = _Tile(top, left, min(rows, height - top), min(wide, width - left), first)
                tiles.append(tile)
                first += tile.pixels
        # A task is some strips of rows. It does not depend on the number of threads, and neither
        # do the results.
        step = columns * max(1, PIXELS_PER_TASK // pixels // columns)
        self.tasks = [tiles[i : i + step] for i in range(0, len(tiles), step)]

    def assemble(self, strips: list[Floats]) -> Floats:
        """The padded image from the tasks' overlapping strips, zero outside the image again."""
        out = blank(strips[0].shape[0], self.height, self.width, self.size)
        for task, strip in zip(self.tasks, strips, strict=True):
            out[:, task[0].top : task[0].top + strip.shape[1]] += strip
        return clear_margin(out, self.size)


class _Matrices:
    """An LCSC module and the filters that its last maps are multiplied with, as matrices."""

    def __init__(self, steps: Steps, last: Floats, half: bool) -> None:
        self.residual = steps.residual
        self.up: list[Any] = [analysis_matrix(array(e)) for e in (steps.first, *steps.up)]
        self.down: list[Any] = [synthesis_matrix(array(d)) for d in steps.down]
        self.down.append(synthesis_matrix(last))
        self.thresholds = list(array(steps.thresholds))
        self.maps = steps.filters
        self.half = half
        if half:
            self.up = [torch.from_numpy(a).bfloat16() for a in self.up]
            self.down = [torch.from_numpy(a).bfloat16() for a in self.down]

    def run(self, grid: _Grid, signal: Floats, buffers: tuple[Floats, ...], run: Map) -> Floats:
        """Return the last filters' image (padded) for a padded signal."""
        image = signal
        for j in range(len(self.up)):
            work = partial(self._pass, j, grid, self._factor(image), buffers)
            image = grid.assemble(run(work, grid.tasks))
        return image

    def _factor(self, image: Floats) -> Floats:
        """The image as it is multiplied; NumPy has no bfloat16, so its bits are integers there."""
        if not self.half:
            return image
        return torch.from_numpy(image).bfloat16().view(torch.int16).numpy()

    def _pass(
        self,
        j: int,
        grid: _Grid,
        image: Floats,
        buffers: tuple[Floats, ...],
        task: list[_Tile],
    ) -> Floats:
        """Do block j on some tiles: maps from the image before, their image after."""
        from mcsc.backend.cpu_kernels import gather_patches, scatter_patches

        from . import pointwise_kernels as kernels

        up, down, lam = self.up[j], self.down[j], self.thresholds[j]
        scratch = _Scratch(task, up.shape[1], self.maps, len(down), self.half)
        rows = task[-1].top + task[-1].rows - task[0].top
        strip = blank(len(down) // grid.size**2, rows, grid.width, grid.size)
        for tile in task:
            drive, maps = (tile.of(buffer, self.maps) for buffer in buffers)
            patches = scratch.patches(tile.pixels)
            gather_patches(image, tile.top, tile.left, tile.rows, tile.width, grid.size, patches)
            change = scratch.multiply("change", up, patches, out=drive if j == 0 else None)
            if j > 0 and self.residual:
                kernels.step(maps.ravel(), drive.ravel(), change.ravel(), lam, maps.ravel())
            else:
                kernels.threshold(change.ravel(), lam, maps.ravel())
            products = scratch.multiply("products", down, maps)
            top = tile.top - task[0].top
            scatter_patches(products, tile.rows, tile.width, grid.size, top, tile.left, strip)
        return strip


class _Scratch:
    """A task's buffers: fresh megabyte arrays for every tile would page-fault."""

    def __init__(self, task: list[_Tile], patch: int, maps: int, products: int, half: bool) -> None:
        most = max(tile.pixels for tile in task)
        self._half = half
        sizes = {"patches": patch, "change": maps, "products": products, "maps": maps}
        self._single = {name: np.empty(n * most, np.float32) for name, n in sizes.items()}
        self._bfloat16 = (
            {name: torch.empty(n * most, dtype=torch.bfloat16) for name, n in sizes.items()}
            if half
            else {}
        )
        self._most = most

    def patches(self, pixels: int) -> Floats:
        if self._half:
            buffer = self._bfloat16["patches"].view(torch.int16).numpy()
        else:
            buffer = self._single["patches"]
        return buffer[: len(buffer) // self._most * pixels].reshape(-1, pixels)

    def multiply(self, name: str, matrix: Any, factor: Floats, out: Floats | None = None) -> Floats:
        """``matrix @ factor`` in float32, into a buffer of that name if not into `out`."""
        shape = (len(matrix), factor.shape[1])
        if out is None:
            out = self._single[name][: shape[0] * shape[1]].reshape(shape)
        if not self._half:
            return np.matmul(matrix, factor, out=out)
        if factor.dtype == np.int16:
            right = torch.from_numpy(factor).view(torch.bfloat16)
        else:
            right = self._bfloat16["maps"][: factor.size].view(factor.shape)
            right.copy_(torch.from_numpy(factor))
        rounded = self._bfloat16[name][: shape[0] * shape[1]].view(shape)
        torch.mm(matrix, right, out=rounded)
        torch.from_numpy(out).copy_(rounded)
        return out
