r"""Convolutions as convolutions along the columns of an image with unfolded rows.

The library's convolution is made for many channels and is slow where an image has one to three. So
each pixel is given the s pixels of its row that a filter sees at once, as channels: an image of C
channels becomes one of C s, s times as large where patches would be s^2 times, and filters of
s x s become filters of s x 1. The adjoint makes an image of C s channels of maps and adds what
belongs to one pixel. All is stored with the channels last, as oneDNN and cuDNN prefer it, and
multiplied in the type of the tensors: bfloat16 where the device has it, with sums in float32.

With E of shape (K, C, s, s), seen as in `unfolded.engines`, and an image of shape (n, H, W, C):

============================  =========================================================
``analyse(columns, weight)``   maps (n, H, W, K) of ``unfold``'s columns, by `analysis_of`
``synthesise(maps, weight)``   image (n, H, W, C) of maps, by `synthesis_of`: the adjoint
``gradient(columns, maps)``    the gradient in E of <maps, analyse(columns, E)>
============================  =========================================================
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsc.types import Floats

from .steps import margins


def has_bfloat16() -> bool:
    """Return True if this processor multiplies in bfloat16 itself; without, float32 is faster."""
    if hasattr(torch.cpu, "get_capabilities"):
        return any(there and "bf16" in name for name, there in torch.cpu.get_capabilities().items())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # PyTorch before 2.10


def in_bfloat16(kind: str = "cpu") -> bool:
    """Return True if autocast asks for products in bfloat16 on a kind of device."""
    return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16


def by_numba(tensor: Tensor) -> bool:
    """Return True if Numba's kernels can work on a tensor; else PyTorch or Triton does."""
    return tensor.device.type == "cpu"


def floats(
    *shape: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Tensor:
    """Return an empty tensor of a shape on a device, whatever the caller's defaults are."""
    return torch.empty(shape, dtype=dtype, device=device)


def bits(tensor: Tensor) -> Floats:
    """Return a contiguous tensor as an array; of bfloat16, which NumPy lacks, the bits."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def pixels(maps: Tensor) -> Floats:
    """Return maps (n, H, W, K), contiguous, as an array (n, H W, K); see `bits`."""
    return bits(maps.view(maps.shape[0], -1, maps.shape[-1]))


def last(image: Tensor) -> Tensor:
    """Return an image (n, C, H, W) with its channels last, contiguous."""
    return image.permute(0, 2, 3, 1).contiguous()


def first(image: Tensor) -> Tensor:
    """Return an image (n, H, W, C) as a view (n, C, H, W)."""
    return image.permute(0, 3, 1, 2)


def unfold(image: Tensor, size: int, dtype: torch.dtype, strip: slice | None = None) -> Tensor:
    """Return the columns (n, H + s - 1, W, s C or more) of an image (n, H, W, C) in float32.

    Those of a strip of H rows of it, if one is given.
    """
    if not by_numba(image):
        return _unfolded(image, size, dtype, strip)
    from . import numba_kernels as kernels

    n, height, width, channels = image.shape
    top, bottom = (0, height) if strip is None else (strip.start, strip.stop)
    seen = size * channels + _missing(size * channels, dtype)
    out = floats(n, bottom - top + size - 1, width, seen, dtype=dtype)
    kernels.unfold_rows(bits(image), size, top, bits(out))
    return out


def _unfolded(image: Tensor, size: int, dtype: torch.dtype, strip: slice | None) -> Tensor:
    """`unfold` by PyTorch: where rows are contiguous, so is what a filter sees of one."""
    before, after = margins(size)
    padded = F.pad(image.to(dtype), (0, 0, before, after, before, after))
    if strip is not None:
        padded = padded[:, strip.start : strip.stop + size - 1]
    n, height, width, channels = padded.shape
    seen = size * channels
    rows = padded.as_strided((n, height, width - size + 1, seen), padded.stride())
    missing = _missing(seen, dtype)
    return F.pad(rows, (0, missing)) if missing else rows.contiguous()


def _folded(columns: Tensor, size: int, channels: int) -> Tensor:
    """The adjoint of `_unfolded` on the image's own rows: (n, H, W, s C or more) to (n, H, W, C).

    Pixel w is the sum over t of number t, from the right, of column w + t - s // 2.
    """
    before, after = margins(size)
    padded = F.pad(columns, (0, 0, after, before))
    n, height, width, stride = padded.shape
    rows, row, _, _ = padded.stride()
    seen = padded.as_strided(
        (n, height, width - size + 1, size, channels),
        (rows, row, stride, stride - channels, 1),
        padded.storage_offset() + (size - 1) * channels,
    )
    return seen.sum(3, dtype=torch.float32)


def analysis_of(weight: Tensor) -> Tensor:
    """Filters E (K, C, s, s) for `analyse`, (K, s C, s, 1)."""
    k, c, s, _ = weight.shape
    return _compact(weight.permute(0, 3, 1, 2).reshape(k, s * c, s, 1))


def adjoint_of_synthesis(weight: Tensor) -> Tensor:
    """The filters of the adjoint of flipped filters D (C, K, s, s), for `analyse`."""
    return analysis_of(weight.flip(2, 3).transpose(0, 1))


def synthesis_of(weight: Tensor) -> Tensor:
    """Flipped filters D (C, K, s, s) for `synthesise`, (s C, K, s, 1)."""
    c, k, s, _ = weight.shape
    return _compact(weight.flip(3).permute(3, 0, 1, 2).reshape(s * c, k, s, 1))


def adjoint_of_analysis(weight: Tensor) -> Tensor:
    """The filters of the adjoint of filters E (K, C, s, s), for `synthesise`."""
    return synthesis_of(weight.flip(2, 3).transpose(0, 1))


def _missing(channels: int, dtype: torch.dtype) -> int:
    """Channels to add before a convolution.

    In bfloat16 oneDNN (3.12, with AMX) gives wrong numbers for some filters on fewer than 16
    channels: 8 channels and 8 x 1 pixels, say. Whole multiples of 16 are its usual way.
    """
    return -channels % 16 if dtype == torch.bfloat16 else 0


def _compact(weight: Tensor) -> Tensor:
    more = _missing(weight.shape[1], weight.dtype)
    return F.pad(weight, (0, 0, 0, 0, 0, more)).contiguous(memory_format=torch.channels_last)


def analyse(columns: Tensor, weight: Tensor) -> Tensor:
    """Return maps (n, H, W, K) of columns (n, H + s - 1, W, s C)."""
    return last(torch.conv2d(first(columns), weight))


def synthesise(maps: Tensor, weight: Tensor, size: int, *, padded: bool = False) -> Tensor:
    """Return the image (n, H, W, C), float32, of maps (n, H, W, K).

    Of padded maps, with s // 2 rows more above and below.
    """
    n, height, width, _ = maps.shape
    more = size // 2
    if padded:
        height -= 2 * more
    if missing := _missing(maps.shape[-1], maps.dtype):
        maps = F.pad(maps, (0, missing))
    columns = last(torch.conv2d(first(maps), weight, padding=(0 if padded else more, 0)))
    channels = columns.shape[-1] // size
    if not by_numba(maps):
        return _folded(columns[:, :height], size, channels)
    from . import numba_kernels as kernels

    image = floats(n, height, width, channels)
    kernels.fold_rows(bits(columns), size, image.numpy())
    return image


def gradient(columns: Tensor, maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the gradient, float32, of <maps, analyse(columns, E)> in E of a shape (K, C, s, s)."""
    k, c, size, _ = shape
    like = maps.new_empty((k, columns.shape[-1], size, 1))
    _, found, _ = torch.ops.aten.convolution_backward(
        first(maps), first(columns), like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
        [False, True, False],
    )  # fmt: skip
    return found[:, : size * c].float().reshape(k, size, c, size).permute(0, 2, 3, 1)  # type: ignore[no-any-return]
