"""Calls of a GPU's kernels, launched all at once.

Nothing here needs a GPU to be imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mcsc.errors import warn_user

SMALL = 2**19
"""Pixels up to which a call is launched as one graph: launching its kernels one by one would take
longer than they do."""


class Graphed:
    """Calls that launch all kernels at once for small images, as a CUDA graph of the last size."""

    def __init__(self, run: Callable[..., Tensor], device: torch.device) -> None:
        self._run, self._device = run, device
        self._lock = threading.Lock()
        self._key: Any = None
        self._graph: Any = None
        self._inputs: tuple[Tensor, ...] | None = None
        self._out: Tensor | None = None
        self._done: Any = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the kernels' image of x, y, and what else they take."""
        x = inputs[0]
        if x.shape[0] * x.shape[2] * x.shape[3] > SMALL:
            return self._run(*inputs)
        with torch.cuda.device(self._device), self._lock:
            key = tuple(tuple(tensor.shape) for tensor in inputs)
            if key != self._key:
                # The first call of a size compiles; the second is worth recording.
                image = self._run(*inputs)
                self._key, self._graph, self._inputs, self._out = key, None, None, None
                return image
            if self._graph is None:
                self._record(inputs)
            assert self._inputs is not None
            assert self._out is not None
            # The last call may have been on another stream, and not be over.
            if self._done is not None:
                torch.cuda.current_stream().wait_event(self._done)
            for mine, given in zip(self._inputs, inputs, strict=True):
                mine.copy_(given)
            self._graph.replay()
            image = self._out.clone()
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record()
            return image

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        kept = tuple(tensor.clone() for tensor in inputs)
        graph = torch.cuda.CUDAGraph()
        # A stream of this device: the default one is of the device that recorded first.
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._out = self._run(*kept)
        self._graph, self._inputs = graph, kept


class _Holder(nn.Module):
    """Stands in for the network: what is recorded replaces the `forward` of this one."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*inputs)  # type: ignore[no-any-return]


class GraphedPass:
    """A network's pass forward and backward in training, launched as two graphs.

    Batches of the first size that is seen are. A step on patches takes less time than launching its
    hundreds of kernels one by one.

    A graph works on the memory that it was recorded with: weights must be changed in place, as
    optimisers do. Where recording fails the network is called as it is, with a warning.

    Parameters
    ----------
    net : Module
    recordable : bool
        False: call it as it is. The Python code of hooks and of layers of others may do anything.
    """

    def __init__(self, net: nn.Module, *, recordable: bool = True) -> None:
        self._net, self._recordable = net, recordable
        self._holder: Any = None
        self._sizes: Any = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the target image of x, y, and what else the network takes."""
        sizes = [(tuple(tensor.shape), tensor.dtype) for tensor in inputs]
        if self._sizes is None:
            self._sizes = sizes
            if self._recordable:
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
