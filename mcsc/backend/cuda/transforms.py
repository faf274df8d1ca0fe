"""Real 2-D transforms of CuPy arrays by cuFFT's plans, without what CuPy does round them.

``cupy.fft`` copies the input of an inverse, divides afterwards and takes 20 to 50 microseconds of
Python for a call; a plan alone takes one or two.
"""

from __future__ import annotations

from functools import lru_cache
from threading import get_ident
from typing import Any

import cupy
import numpy as np
from cupy.cuda import cufft

from ...types import Array

_REAL = {"f": cufft.CUFFT_R2C, "d": cufft.CUFFT_D2Z}
_COMPLEX = {"F": cufft.CUFFT_C2R, "D": cufft.CUFFT_Z2D}
_OTHER = {
    "f": np.dtype(np.complex64), "d": np.dtype(np.complex128),
    "F": np.dtype(np.float32), "D": np.dtype(np.float64),
}  # fmt: skip
_KEPT = 16


@lru_cache(maxsize=_KEPT)
def _plan(device: int, thread: int, code: str, batch: int, shape: tuple[int, int]) -> Any:
    # A plan has a work area of its own: threads must not share it.
    h, w = shape
    half = (h, w // 2 + 1)
    if code in _REAL:
        inside, outside, kind, last = shape, half, _REAL[code], w // 2 + 1
    else:
        inside, outside, kind, last = half, shape, _COMPLEX[code], w
    return cufft.PlanNd(
        shape, inside, 1, inside[0] * inside[1], outside, 1, outside[0] * outside[1],
        kind, batch, "C", 1, last,
    )  # fmt: skip


def forward(array: Array, *, keep: bool = True) -> Array:
    """Return the spectra (..., H, W // 2 + 1) of contiguous real arrays (..., H, W).

    With `keep` the plan, and its work area, stay for the next call.
    """
    *lead, h, w = array.shape
    out = cupy.empty((*lead, h, w // 2 + 1), _OTHER[array.dtype.char])
    _run(array, out, (h, w), lead, keep)
    return out


def backward(spectrum: Array, shape: tuple[int, int]) -> Array:
    """Return the arrays (..., H, W) of contiguous spectra, H W times too large.

    The spectra are overwritten: cuFFT does.
    """
    lead = spectrum.shape[:-2]
    out = cupy.empty((*lead, *shape), _OTHER[spectrum.dtype.char])
    _run(spectrum, out, shape, lead)
    return out


def _run(
    source: Array, target: Array, shape: tuple[int, int], lead: Any, keep: bool = True
) -> None:
    batch = 1
    for n in lead:
        batch *= n
    device = cupy.cuda.runtime.getDevice()
    make: Any = _plan if keep else _plan.__wrapped__
    make(device, get_ident(), source.dtype.char, batch, shape).fft(source, target, None)
