"""Scenes and a network that a training test takes no time with."""

from __future__ import annotations

import numpy as np

from tests.unfolded.nets import torch
from unfolded import CUNet


def make_scenes(count=3, shape=(40, 44), seed=0):
    """x is y with noise; what is wanted is y's blurred negative: linear, and to be learned."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        y = rng.random((1, *shape), dtype=np.float32)
        z = 0.5 - 0.25 * (y + np.roll(y, 1, axis=2))
        out.append((y + 0.1 * rng.standard_normal(y.shape, dtype=np.float32), y, z))
    return out


def small(seed=0):
    torch.manual_seed(seed)
    return CUNet(filters=6, kernel_size=3, blocks=1)
