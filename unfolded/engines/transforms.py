"""Whether somebody differentiates or maps a computation by more than PyTorch's backward pass."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def transformed() -> bool:
    """Return True within `torch.func`'s transforms and within forward-mode differentiation.

    What works on the numbers themselves, as NumPy's view of a tensor does, loses derivatives there,
    and functions with a backward pass of their own have no other.
    """
    return bool(
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0  # no_grad does not end this one
    )
