"""Whether somebody does more with a computation than to run it and PyTorch's backward pass."""

from __future__ import annotations

import sys

import torch
from torch import Tensor
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


def dispatched() -> bool:
    """Return True where a mode looks at, or stands in for, each operation of PyTorch.

    As `torch.utils.flop_counter.FlopCounterMode` and fake tensors do.
    """
    return bool(torch._C._len_torch_dispatch_stack())


def without_values(tensor: Tensor) -> bool:
    """Return True if a tensor has a shape alone: under a compiler, on "meta", or a fake one."""
    fakes = sys.modules.get("torch._subclasses.fake_tensor")
    fake = fakes is not None and isinstance(tensor, fakes.FakeTensor)
    return torch.compiler.is_compiling() or tensor.is_meta or fake
