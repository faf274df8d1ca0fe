"""Patches that are drawn from scenes: patch i is a function of the seed and i alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from mcsc.errors import InvalidValueError
from mcsc.lazy import Recent

from ..network.configuration import Configuration
from .scenes import Scene, as_float, as_scene, check_size, scene_name

CACHE_BYTES = 1_000_000_000
"""Prepared scenes that are kept in memory; more of them take turns."""

ROUND = 8192
"""Patches that are drawn from the scenes in memory before others take their turn."""

_PROBED = 8


class Patches(Dataset[tuple[Tensor, ...]]):
    """Square patches of scenes, each turned or mirrored at random: patch i is always the same.

    A scene is read when a patch of it is wanted, and kept. Where not all fit into memory, as many
    as would fit if all were like the largest of some serve for a while, then others.

    Parameters
    ----------
    scenes : sequence of (x, y, z)
        Arrays (N, C, H, W) or (C, H, W); for a network that is `noise_aware` as `unfolded.train`
        says: its patches have their noise, drawn between that of two, as a fourth tensor.
    side : int
        Side of the patches, in pixels.
    seed : int
        Seed of all random choices.
    configuration : Configuration, optional
        Scenes must have the channels of such a network.
    cache_bytes : int
        Bytes of scenes that are kept.
    soften, noise, candidates
        As in `unfolded.Recipe`.

    Raises
    ------
    ValueError
        When a scene is read: it is smaller than a patch, its images differ in size, or its
        channels are not the network's.
    """

    def __init__(
        self,
        scenes: Sequence[Any],
        side: int,
        seed: int,
        configuration: Configuration | None = None,
        cache_bytes: int = CACHE_BYTES,
        soften: float = 0.0,
        noise: float = 0.0,
        candidates: int = 1,
    ) -> None:
        if len(scenes) == 0:
            raise InvalidValueError("scenes is empty: give at least one (x, y, z)")
        self._scenes, self._side, self._seed = scenes, side, seed
        self._configuration, self._soften, self._noise = configuration, soften, noise
        self._candidates = candidates
        self._recent: Recent[Scene] = Recent(cache_bytes)
        # Which scenes serve must not depend on what was read before: the same for every worker.
        some = range(0, len(scenes), -(-len(scenes) // _PROBED))
        largest = max(self._scene(number).nbytes for number in some)
        self._capacity = min(len(scenes), max(1, cache_bytes // largest))

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self._seed, index])
        number = int(rng.integers(self._capacity))
        if self._capacity < len(self._scenes):
            turn = np.random.default_rng([self._seed, index // ROUND, 1])
            number = int(turn.permutation(len(self._scenes))[number])
        scene = self._scene(number)
        samples, _, height, width = scene.images[0].shape
        side = self._side
        n = int(rng.integers(samples))
        drawn = [
            (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)))
            for _ in range(self._candidates)
        ]
        wanted = scene.images[2][n]
        top, left = max(drawn, key=lambda at: _detail(wanted, at, side))
        turned, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        blur = _gaussian(rng.uniform(0, self._soften)) if self._soften else None
        share = rng.uniform() if scene.louder is not None else 0.0
        place = (n, slice(None), slice(top, top + side), slice(left, left + side))
        out = []
        for role, image in enumerate(scene.images):
            patch = image[place]
            if scene.louder is not None:
                patch = patch + share * (scene.louder[role][place] - patch)
            if blur is not None:
                patch = _blurred(patch, blur)
            patch = torch.rot90(patch, turned, (1, 2))
            out.append((patch.flip(2) if mirrored else patch).contiguous())
        if self._noise:
            level = rng.uniform(0, self._noise) / 255
            for n in range(2):
                white = rng.standard_normal(tuple(out[n].shape), np.float32)
                out[n] = out[n] + level * torch.from_numpy(white)
        if scene.sigma is not None:
            low, high = scene.sigma
            out.append(as_float(low + share * (high - low)))
        return tuple(out)

    def _scene(self, number: int) -> Scene:
        return self._recent.get(number, lambda: self._read(number), lambda scene: scene.nbytes)

    def _read(self, number: int) -> Scene:
        name = scene_name(self._scenes, number)
        found = as_scene(self._scenes[number], name, self._configuration)
        height, width = found.images[0].shape[2:]
        check_size(name, height, width, self._side)
        return found


def _detail(image: Tensor, at: tuple[int, int], side: int) -> float:
    """Sum of the squares of differences between neighbours, across and down, of a patch."""
    patch = image[:, at[0] : at[0] + side, at[1] : at[1] + side]
    return sum(float(patch.diff(dim=axis).square().sum()) for axis in (1, 2))


def _gaussian(sigma: float) -> Tensor:
    radius = max(1, round(3 * sigma))
    places = torch.arange(-radius, radius + 1, dtype=torch.float32, device="cpu")
    weights = torch.exp(-0.5 * (places / max(sigma, 1e-3)) ** 2)
    return weights / weights.sum()


def _blurred(patch: Tensor, weights: Tensor) -> Tensor:
    """The patch (C, H, W) convolved with the weights along both axes, mirrored at its borders."""
    reach = min(len(weights) // 2, min(patch.shape[1:]) - 1)
    middle = len(weights) // 2
    weights = weights[middle - reach : middle + reach + 1]
    weights = weights / weights.sum()
    planes = F.pad(patch[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(planes, weights[None, None, None]), weights[None, None, :, None])[:, 0]
