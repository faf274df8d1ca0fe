r"""Inference on a GPU by Triton kernels: a block moves each map through memory three times at most.

Block j of an LCSC module needs the maps :math:`U_{j-1}` and the image :math:`d = D_j * U_{j-1}`:

.. math:: U_j = S_\lambda(U_{j-1} + [E_0 \; {-E_j}] * (x, d)).

`lift` reads and writes the maps once. The next :math:`D * U` reads them a third time: `reduce_rows`
sums over maps and along rows on the tensor cores, which leaves s C images instead of K maps;
`add_rows` sums those over rows. (A direct convolution from K maps to one channel would leave 15 of
16 lines of a tensor core's tile empty.) No atomics: the same bits at every call.

The drive :math:`E_0 * x` is multiplied anew in every block, together with :math:`E_j * d`, where x
has few channels: the patches of x are in the cache, the drive's maps would come from memory. With
more channels the multiplications take longer than that, and the drive is kept, to be read once a
block.

Memory: one set of maps, ``K H W`` numbers, two with a drive that is kept, three of a network of
several sweeps, and ``s C H W`` of row sums for a sample.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mcsc.errors import InvalidValueError

from .steps import NetworkSteps, Steps, margins, numbers

Precision = Literal["float32", "tf32", "bfloat16"]
"""Precision of products: all 24 bits, 11 bits on tensor cores, or 8 bits."""

# Of a program: maps, pixels, numbers of a patch multiplied at a time, and warps. With four warps
# the compiler spills registers (looked up in the machine code for sm_90).
MAPS, PIXELS, STEP, WARPS = 64, 128, 32, 8
ANEW = 2
"""Channels up to which the drive is multiplied anew and not read: 2 C K s^2 operations a pixel or
4 K bytes. By the data sheet of an H200, at half the rate of its TF32 tensor cores, both take the
same time for 8x8 filters and C = 1.6."""

# Lines of `reduce_rows` a program at most.
LINES = 64

# The matrices are multiplied by tensor cores in tiles of at least this side.
_SIDE = 16


def runs_on(device: torch.device) -> bool:
    """Return True where the kernels run: Triton is installed, and it is a GPU or interpreted."""
    try:
        from . import triton_kernels
    except ImportError:
        return False
    return device.type == "cuda" or triton_kernels.INTERPRETED


def dot_precision(precision: str, device: torch.device) -> str:
    """Return what Triton calls the products of a precision on a device.

    Float32 itself is three products of TF32 (Markidis et al., 2018), as exact as its own on tensor
    cores, where a GPU has these.
    """
    if precision == "tf32":
        return "tf32"
    cores = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if precision == "float32" and cores and torch.version.hip is None:
        return "tf32x3"
    return "ieee"


def to_tf32(values: Tensor) -> Tensor:
    """Round float32 to the 11 bits of TF32, as `triton_kernels.to_tf32` does."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


def interpreted() -> bool:
    """Return True where NumPy runs the kernels."""
    from . import triton_kernels

    return triton_kernels.INTERPRETED


class TritonNetwork:
    """A network's matrices on a device, and its answer by the kernels of `triton_kernels`.

    Parameters
    ----------
    steps : NetworkSteps
        Regular, float32 on the device; the tensors are copied.
    precision : {"float32", "tf32", "bfloat16"}
        Precision of the products; with the last, maps are kept in bfloat16 too.
    """

    def __init__(self, steps: NetworkSteps, precision: Precision = "float32") -> None:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        dot = dot_precision(precision, steps.target_common.device)
        self._sweeps = [
            [
                _Matrices(module, last, dtype, dot)
                for module, last in zip(
                    sweep.modules, (*steps.after_unique(k), steps.after_common(k)), strict=True
                )
            ]
            for k, sweep in enumerate(steps.sweeps)
        ]

    def __call__(self, x: Tensor, y: Tensor, *thresholds: Tensor) -> Tensor:
        """Return the target image of x and y, float32 (N, C_z, H, W).

        `thresholds`, those of the modules in their order, stand in for the ones of the steps.
        """
        common, unique = self.parts(x, y, *thresholds)
        return sum(unique, start=common)

    def parts(self, x: Tensor, y: Tensor, *thresholds: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what the target image is the sum of: its common part and its unique ones."""
        with torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext():
            return self._parts(x, y, thresholds)

    def _parts(
        self, x: Tensor, y: Tensor, thresholds: tuple[Tensor, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        given = iter(thresholds)
        kept: list[Tensor | None] = [None, None, None]
        parts: list[Tensor] = []
        image = x

        def run(sweep: int, m: int, signal: Tensor) -> Tensor:
            made, maps = self._sweeps[sweep][m].run(signal, kept[m], next(given, None))
            # Where nothing goes on from them, their memory serves the next.
            kept[m] = None if sweep == len(self._sweeps) - 1 else maps
            return made

        for sweep in range(len(self._sweeps)):
            left = []
            for m, signal in enumerate((x, y)):
                seen = signal
                if sweep > 0:
                    seen = signal - (image[:, : x.shape[1]], image[:, x.shape[1] :])[m]
                made = run(sweep, m, seen)
                left.append(signal - made[:, : signal.shape[1]])
                if made.shape[1] > signal.shape[1]:
                    parts.append(made[:, signal.shape[1] :])
            image = run(sweep, 2, torch.cat(left, dim=1))
        return image, parts


@dataclass(frozen=True)
class _Block:
    """A block: maps from the image by `up`, then the next image from the maps by `down`."""

    up: Tensor
    planes: tuple[int, int]
    """First and last, exclusive, of the image whose patches `up` takes."""
    number: int
    """Which of the thresholds."""
    goes_on: bool
    drive: Literal["adds", "keeps", ""]
    """What `lift` does with it."""
    down: Tensor
    channels: int


class _Matrices:
    """An LCSC module and the filters that its last maps are convolved with."""

    def __init__(self, steps: Steps, last: Tensor, dtype: torch.dtype, dot: str) -> None:
        self.count, self.channels, self.size = steps.filters, steps.channels, steps.size
        self.dtype, self.dot = dtype, dot
        channels = self.channels
        first = steps.first.detach()
        downs = [down.detach() for down in (*steps.down, last)]
        self.thresholds = steps.thresholds.detach().clone()
        # A module that goes on has no block that could leave the drive: it multiplies it anew.
        self.keeps_drive = (
            steps.residual and channels > ANEW and len(steps.up) > 0 and not steps.goes_on
        )
        kept: Literal["keeps", ""] = "keeps" if self.keeps_drive else ""
        own = not steps.goes_on
        self.blocks = []
        self.before: _Block | None = None
        if own:
            self.blocks.append(self._block(first, (0, channels), 0, False, kept, downs[0]))
        else:
            # Of this one only `down` is used.
            self.before = self._block(first, (0, channels), 0, False, "", downs[0])
        for j, (up, down) in enumerate(zip(steps.up, downs[1:], strict=True)):
            weight, planes = up.detach(), (channels, 2 * channels)
            drive: Literal["adds", ""] = ""
            if self.keeps_drive:
                weight, drive = -weight, "adds"
            elif steps.residual:
                weight, planes = torch.cat((first, -weight), dim=1), (0, 2 * channels)
            self.blocks.append(self._block(weight, planes, j + own, steps.residual, drive, down))

    def _block(
        self, up: Tensor, planes: tuple[int, int], number: int, goes_on: bool,
        drive: Literal["adds", "keeps", ""], down: Tensor,
    ) -> _Block:  # fmt: skip
        matrix = _filled(up.reshape(self.count, -1), MAPS, STEP)
        channels = down.shape[0]
        # From (C, K, dy, dx) to (dx, (dy, C), K).
        lines = down.permute(3, 2, 0, 1).reshape(self.size, -1, self.count)
        lines = _filled(lines, _lines(lines.shape[1]), STEP)
        if self.dot == "tf32":
            matrix, lines = to_tf32(matrix), to_tf32(lines)
        return _Block(
            matrix.to(self.dtype).contiguous(),
            planes,
            number,
            goes_on,
            drive,
            lines.to(self.dtype).contiguous(),
            channels,
        )

    def run(
        self, signal: Tensor, maps: Tensor | None = None, thresholds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the last filters' image of a signal (N, C, H, W), and the maps.

        The `maps` of a module that goes on are overwritten.
        """
        samples, _, height, width = signal.shape
        given = self.thresholds if thresholds is None else thresholds
        lam = numbers(given, samples, self.count)
        canvas = _Canvas(to_tf32(signal) if self.dot == "tf32" else signal, self.size)
        if self.before is None:
            maps = signal.new_empty((samples, self.count, height, width), dtype=self.dtype)
        assert maps is not None
        if self.before is not None:
            self._lower(self.before, maps, canvas)
        # One that is not kept is not looked at.
        drive = torch.empty_like(maps) if self.keeps_drive else maps
        for block in self.blocks[:-1]:
            self._lift(block, canvas, maps, drive, lam)
            self._lower(block, maps, canvas)
        block = self.blocks[-1]
        self._lift(block, canvas, maps, drive, lam)
        return self._lower(block, maps), maps

    def _lift(
        self, block: _Block, canvas: _Canvas, maps: Tensor, drive: Tensor, lam: Tensor
    ) -> None:
        from . import triton_kernels

        samples, _, height, width = maps.shape
        lines, taps = block.up.shape
        image = canvas.image
        triton_kernels.lift[(height * canvas.tiles, lines // MAPS, samples)](
            image, block.up, canvas.offsets(block.planes, taps), maps, drive,
            lam[block.number],
            self.count, height, width, canvas.tiles, image.stride(2), image.stride(0),
            TAPS=taps, GO_ON=block.goes_on, DRIVE=block.drive, PRECISION=self.dot,
            MAPS=MAPS, PIXELS=PIXELS, STEP=STEP, num_warps=WARPS,
        )  # fmt: skip

    def _lower(self, block: _Block, maps: Tensor, canvas: _Canvas | None = None) -> Tensor:
        """Return ``D * maps``; with a canvas, it is on it, beside the signal."""
        from . import triton_kernels

        samples, _, height, width = maps.shape
        if canvas is None:
            size = (samples, block.channels, height, width)
            image, margin = torch.empty(size, dtype=torch.float32, device=maps.device), 0
        else:
            image, margin = canvas.image[:, self.channels :], canvas.margin
        tiles = -(-width // PIXELS)
        sums = self.size * block.channels
        rows = image.new_empty((samples, sums, height, width))
        _, all_lines, filters = block.down.shape
        lines = _lines(sums)
        triton_kernels.reduce_rows[(height * tiles, samples, all_lines // lines)](
            maps, block.down, rows, self.count, height, width, tiles,
            SIZE=self.size, SUMS=sums, ALL_LINES=all_lines, FILTERS=filters,
            PRECISION=self.dot, LINES=lines, PIXELS=PIXELS, STEP=STEP, num_warps=WARPS,
        )  # fmt: skip
        triton_kernels.add_rows[(height * tiles, block.channels, samples)](
            rows, image, height, width, tiles,
            image.stride(2), image.stride(0), image.stride(1), margin,
            SIZE=self.size, CHANNELS=block.channels, PIXELS=PIXELS,
            ROUND=self.dot == "tf32" and canvas is not None,
        )  # fmt: skip
        return image


class _Canvas:
    """The signal x and beside it d = D * U, with zeros around them: every patch is inside."""

    def __init__(self, signal: Tensor, size: int) -> None:
        samples, channels, height, width = signal.shape
        self.size = size
        self.margin = margin = margins(size)[0]
        self.tiles = -(-width // PIXELS)
        pitch = self.tiles * PIXELS + _SIDE * -(-(size - 1) // _SIDE)
        shape = (samples, 2 * channels, height + size - 1, pitch)
        if math.prod(shape[1:]) >= 2**31:
            raise InvalidValueError(
                f"images of {height} x {width} are too large for the kernels at once: use tiled()"
            )
        self.image = signal.new_zeros(shape)
        inside = self.image[:, :channels, margin : margin + height, margin : margin + width]
        inside.copy_(signal)
        self._offsets: dict[tuple[int, int], Tensor] = {}

    def offsets(self, planes: tuple[int, int], taps: int) -> Tensor:
        """Return where a patch's numbers are, from its first one on; `taps` of them.

        Made on the device: nothing is copied to it, which a graph of calls could not hold.
        """
        if planes not in self._offsets:
            device = self.image.device
            _, across, down, _ = self.image.stride()
            side = torch.arange(self.size, device=device, dtype=torch.int32)
            plane = torch.arange(*planes, device=device, dtype=torch.int32)
            found = plane[:, None, None] * across + side[:, None] * down + side
            filled = found.new_zeros(taps)
            filled[: found.numel()] = found.flatten()
            self._offsets[planes] = filled
        return self._offsets[planes]


def _filled(matrix: Tensor, rows: int, columns: int) -> Tensor:
    """The matrix with zeros up to multiples of so many rows and columns."""
    r, c = matrix.shape[-2:]
    return torch.nn.functional.pad(matrix, (0, -c % columns, 0, -r % rows))


def _lines(sums: int) -> int:
    """Lines of `reduce_rows` a program, a power of two."""
    return min(LINES, max(_SIDE, 1 << (sums - 1).bit_length()))
