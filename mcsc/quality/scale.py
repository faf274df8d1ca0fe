"""Whether images are in [0, 1], as measures with constants of that scale need them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidValueError

__all__ = ["check_scale"]

_BEYOND = 1e-3
"""Rounding leads this far beyond [0, 1]."""
_MUCH = 0.5
_FEW = 0.1
"""Share of the values of a result that may lie anywhere: a method that goes wrong is measured."""


def check_scale(
    name: str, image: Any, mask: Any = None, *, strict: bool = False, result: bool = False
) -> None:
    """Refuse an image that is not in [0, 1].

    Parameters
    ----------
    name : str
        What messages call it.
    image : array of floats
    mask : array, optional
        Where it is 0, values do not count.
    strict : bool
        Refuse all values outside, as histograms count none; otherwise an overshoot of edges by up
        to a half is let pass.
    result : bool
        It is what a method made: refuse it only if many values are far outside, as those of 0 to
        255 are.

    Raises
    ------
    ValueError
        The message says which values it has.
    """
    known = image if mask is None else image[np.broadcast_to(np.asarray(mask) > 0, image.shape)]
    if known.size == 0:
        return
    low, high, beyond = float(known.min()), float(known.max()), _BEYOND if strict else _MUCH
    if low < -beyond or high > 1 + beyond:
        outside = np.mean((known < -beyond) | (known > 1 + beyond))
        if result and outside <= _FEW:
            return
        raise InvalidValueError(
            f"{name} has values from {low:.6g} to {high:.6g}; measures want images in [0, 1]: "
            "divide by the value of white, or cut off what is beyond"
        )
