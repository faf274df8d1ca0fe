"""Errors of a network on whole scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..network.cunet import CUNet
from ..network.modes import evaluating
from .scenes import as_scene


def rmse(net: CUNet, scenes: Sequence[Any]) -> float:
    """Return the root mean square error of 255, mean over scenes, as training validates by.

    Parameters
    ----------
    net : CUNet
        On any device; left in the mode it is in, also when a scene is refused.
    scenes : sequence of (x, y, z)
        As `unfolded.train` takes them.
    """
    weight = net.target_common.weight
    errors = []
    with evaluating(net), torch.inference_mode():
        for i in range(len(scenes)):
            scene = as_scene(scenes[i], f"scene {i}", net.configuration).alone()
            x, y, z, *sigma = (t.to(weight) for t in scene)
            errors.append(255 * float((net(x, y, *sigma) - z).square().mean().sqrt()))
    return sum(errors) / len(errors)
