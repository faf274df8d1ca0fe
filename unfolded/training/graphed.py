"""A network's pass forward and backward in training, launched as two CUDA graphs.

On a GPU a step on patches takes less time than launching its hundreds of kernels one by one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mcsc.errors import warn_user

from ..network.cunet import CUNet
from ..network.engine_choice import is_as_written


class _Holder(nn.Module):
    """Stands in for the network: what is recorded replaces the `forward` of this one."""

    def __init__(self, net: CUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*inputs)  # type: ignore[no-any-return]


class GraphedPass:
    """Calls a network in training; batches of the first size that is seen by graphs.

    A graph works on the memory that it was recorded with: weights must be changed in place, as
    optimisers do. Networks with hooks or layers of others, whose Python code may do anything, are
    called as they are, and so are all where recording fails, with a warning.
    """

    def __init__(self, net: CUNet) -> None:
        self._net = net
        self._holder: Any = None
        self._sizes: Any = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the target image of x, y, and what else the network takes."""
        sizes = [(tuple(tensor.shape), tensor.dtype) for tensor in inputs]
        if self._sizes is None:
            self._sizes = sizes
            if is_as_written(self._net):
                self._holder = self._recorded(inputs)
        if self._holder is None or sizes != self._sizes:
            return self._net(*inputs)  # type: ignore[no-any-return]
        return self._holder(*inputs)  # type: ignore[no-any-return]

    def _recorded(self, inputs: tuple[Tensor, ...]) -> Any:
        holder = _Holder(self._net)
        kind = inputs[0].device.type
        # The cache of autocast would keep copies of weights that change.
        uncached = torch.autocast(
            kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), False
        )
        try:
            with uncached:
                torch.cuda.make_graphed_callables(holder, inputs)
        except RuntimeError as error:
            problem = f"CUDA graphs fail here ({error}); training is slower without"
            warn_user(problem, RuntimeWarning)
            return None
        return holder
