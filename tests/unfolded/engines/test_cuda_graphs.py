"""Small images on a GPU: recorded once, replayed afterwards."""

from __future__ import annotations

import contextlib
import itertools
from typing import get_args
from unittest.mock import MagicMock

import pytest

from tests.unfolded.nets import DEVICE, make_images, make_net, torch
from unfolded import accelerate
from unfolded.engines import gpu
from unfolded.engines.cuda_graphs import Graphed


class Graph:
    """Stands for a CUDA graph: it does again what was done while it was recorded."""

    def __init__(self, calls):
        self.calls = calls

    def replay(self):
        self.calls.append("replay")
        self.out.copy_(self.work())


@pytest.mark.skipif(DEVICE == "cuda", reason="the GPU's own graphs are tested")
def test_small_images_are_recorded_once_and_replayed(monkeypatch):
    calls = []

    def run(x, y):
        calls.append("run")
        graph.work = lambda: x + 2 * y  # on the tensors of this call
        graph.out = x + 2 * y
        return graph.out

    graph = Graph(calls)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    for name in ("graph", "device", "Stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "Event", MagicMock)
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock)
    graphed = Graphed(run, torch.device("cpu"))
    results = []
    for n in range(4):
        x, y = torch.full((1, 1, 3, 4), float(n)), torch.ones(1, 1, 3, 4)
        results.append(graphed(x, y))
    assert calls == ["run", "run", "replay", "replay", "replay"]
    assert [float(r[0, 0, 0, 0]) for r in results] == [2, 3, 4, 5]  # each its own
    graphed(torch.ones(1, 1, 5, 4), torch.ones(1, 1, 5, 4))  # another size begins anew
    assert calls[5:] == ["run"]
    large = torch.ones(1, 1, 1, 1).expand(1, 1, 1024, 1024)
    for _ in range(3):
        graphed(large, large)
    assert calls[6:] == ["run"] * 3


def test_a_size_that_failed_is_not_recorded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())

    def run(x, y):
        if fails:
            raise MemoryError
        return x

    graphed = Graphed(run, torch.device("cpu"))
    graphed._record = pytest.fail
    x, fails = torch.ones(1, 1, 3, 4), True
    with contextlib.suppress(MemoryError):
        graphed(x, x)
    fails = False
    assert graphed(x, x) is x


@pytest.mark.gpu("torch")
@pytest.mark.parametrize("precision", get_args(gpu.Precision))
def test_one_graph_for_small_images(precision):
    net = make_net(dtype=torch.float32, filters=8, kernel_size=8, blocks=2)
    fast = accelerate(net, precision=precision, kernels="triton")
    for shape, n in itertools.product(((40, 60), (33, 70)), range(3)):
        x, y = (i.cuda() for i in make_images(net, shape, seed=n))
        wanted = gpu.TritonNetwork(fast.net.steps(), precision)(x, y)
        torch.testing.assert_close(fast(x, y), wanted, rtol=0, atol=0)
