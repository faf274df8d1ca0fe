"""Thresholds and sums of maps in one pass each: by Numba on a CPU, by Triton or PyTorch on a GPU.

Maps are (n, H, W, K), contiguous, in float32 or bfloat16; thresholds are (n, K), one of each map of
each sample. Numbers are computed in float32 and rounded once.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from mcsc.errors import warn_user

from . import rows

PIXELS = 64
"""Pixels of a program of a Triton kernel; it has all their maps."""


def threshold(values: Tensor, lam: Tensor, out: Tensor) -> None:
    """``out <- S(values)``."""
    if rows.by_numba(out):
        from . import numba_kernels as kernels

        kernels.threshold_maps(rows.pixels(values), lam.numpy(), rows.pixels(out))
    elif _by_triton(out.device.type):
        from . import triton_training

        triton_training.step(None, None, values, lam, out, PIXELS)
    else:
        out.copy_(_shrunk(values.float(), lam))


def step(maps: Tensor, drive: Tensor, change: Tensor, lam: Tensor, out: Tensor) -> None:
    """``out <- S(maps - change + drive)``; `out` may be `maps`."""
    if rows.by_numba(out):
        from . import numba_kernels as kernels

        arrays = [rows.pixels(a) for a in (maps, drive, change)]
        kernels.step_maps(*arrays, lam.numpy(), rows.pixels(out))
    elif _by_triton(out.device.type):
        from . import triton_training

        triton_training.step(maps, drive, change, lam, out, PIXELS)
    else:
        out.copy_(_shrunk(maps.float() - change + drive, lam))


def gate(maps: Tensor, grad: Tensor, more: Tensor | None, total: Tensor | None) -> Tensor:
    """Gradient through ``maps = S(...)``: 0 where the maps are.

    ``grad <- gated(grad + more); total <- total + grad``, without `more`, `total` where they are
    None. Returns the sums over pixels of sign(maps) grad, (n, K) in float64: minus the gradients in
    the thresholds.
    """
    if rows.by_numba(grad):
        from . import numba_kernels as kernels

        there, changed, back, sums = (
            None if a is None else rows.pixels(a) for a in (maps, grad, more, total)
        )
        return torch.from_numpy(kernels.gate_maps(there, changed, back, sums))
    if _by_triton(grad.device.type):
        from . import triton_training

        return triton_training.gate(maps, grad, more, total, PIXELS)
    return _gate(maps, grad, more, total)


def _gate(maps: Tensor, grad: Tensor, more: Tensor | None, total: Tensor | None) -> Tensor:
    """`gate` by PyTorch."""
    sign = maps.sign().float()
    value = (grad.float() if more is None else grad.float() + more) * sign.abs()
    grad.copy_(value)
    if total is not None:
        total.copy_(total.float() + value)
    return (value * sign).sum((1, 2), dtype=torch.float64)


def _shrunk(values: Tensor, lam: Tensor) -> Tensor:
    """S; a negative threshold leaves zeros alone."""
    return values.sign() * torch.relu(values.abs() - lam[:, None, None])


@functools.cache
def _by_triton(kind: str) -> bool:
    """True on a kind of device where Triton's kernels run and agree with PyTorch."""
    try:
        from . import triton_training  # noqa: F401
    except ImportError:
        return False
    return kind == "cuda" and checked(torch.device(kind))


def checked(device: torch.device) -> bool:
    """Return True if Triton's kernels do what PyTorch does on a device; warn if they do not.

    Warns
    -----
    RuntimeWarning
        They fail, or their numbers are others.
    """
    from . import triton_training

    random = torch.Generator("cpu").manual_seed(0)

    def maps() -> Tensor:
        return torch.randn(2, 5, 7, 12, generator=random).to(device)

    lam = torch.rand(2, 12, generator=random).to(device)
    old, drive, change, back = maps(), maps(), maps(), maps()
    wanted, found = torch.empty_like(old), torch.empty_like(old)
    wanted.copy_(_shrunk(old - change + drive, lam))
    gates = [(change.clone(), drive.clone()) for _ in range(2)]
    sums = _gate(wanted, gates[0][0], back, gates[0][1])
    try:
        triton_training.step(old, drive, change, lam, found, 16)
        made = triton_training.gate(wanted, gates[1][0], back, gates[1][1], 16)
        pairs = [(found, wanted), (made, sums), *zip(gates[1], gates[0], strict=True)]
        good = all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)
        problem = "disagree with PyTorch"
    except Exception as failure:  # a compiler's error can be of any kind
        good, problem = False, f"fail here ({type(failure).__name__}: {failure})"
    if not good:
        warn_user(f"the Triton kernels {problem}; training is slower without", RuntimeWarning)
    return good
