"""Target filters, fitted before a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..network.cunet import CUNet
from ..network.refit import refit
from .patches import Patches

FITTED_PATCHES = 48
"""Patches that target filters are fitted to; their codes are all in memory."""


def refit_on_scenes(net: CUNet, scenes: Sequence[Any], seed: int = 0, side: int = 64) -> int:
    """Fit the target filters to the network's own codes on some patches.

    Parameters
    ----------
    net : CUNet
        Its target filters are overwritten.
    scenes : sequence of (x, y, z)
        Where patches are drawn.
    seed : int
        Seed of the choice of patches.
    side : int
        Side of the patches, in pixels.

    Returns
    -------
    int
        Iterations of `unfolded.network.refit.refit`.
    """
    patches = Patches(scenes, side, seed, net.configuration)
    drawn = [patches[i] for i in range(FITTED_PATCHES)]
    images = tuple(torch.stack(images) for images in zip(*drawn, strict=True))
    # Training goes on from here: a rough fit will do.
    return refit(net, [images], tol=1e-3, max_iter=30)
