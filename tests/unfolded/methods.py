"""Networks and images for the tests of `unfolded.method`."""

from __future__ import annotations

import numpy as np

from tests.unfolded.nets import torch
from unfolded import CUNet


def images(seed=0, channels=(3, 3), shape=(24, 28)):
    rng = np.random.default_rng(seed)
    return tuple(rng.random((c, *shape), dtype=np.float32) for c in channels)


def trained(task, channels=(1, 1), out=1, **metadata):
    torch.manual_seed(1)
    net = CUNet(channels, out, task.kind, filters=4, kernel_size=3, blocks=1).eval()
    with torch.no_grad():  # as of a trained network, its answers are in proportion to its signals
        for target in (net.target_common, *net.target_unique):
            target.weight *= 0.3
    net.metadata = metadata
    return net


def detail(net, made, n=0):
    with torch.no_grad():
        return net(*(torch.from_numpy(np.array(s[n : n + 1])) for s in made.signals)).numpy()[0]
