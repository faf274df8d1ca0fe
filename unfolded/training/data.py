"""What a network is trained on: scenes of a task, and patches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.tasks.learning import TaskScenes, TaskSettings
from mcsc.tasks.scenes import Reader, Recent, SceneFiles
from mcsc.tasks.task import Task
from mcsc.types import Floats

from ..network.configuration import Configuration

Triple = tuple[Floats, Floats, Floats]

BYTES = 1_000_000_000
"""Prepared scenes that are kept in memory; more of them take turns."""

_PART = 64
_PROBED = 8

ROUND = 8192
"""Patches that are drawn from the scenes in memory before others take their turn."""


class TaskTriples(Sequence[Triple]):
    """Scenes of a task as a network sees them: x, y and what is to be made, (N, C, H, W).

    Parameters
    ----------
    task : Task
        Degradation and preparation.
    readers : sequence of callables
        Of the scenes; see `mcsc.tasks.scenes`.
    settings : TaskSettings
        Of the preparation, complete.

    Raises
    ------
    ValueError
        When a scene is read: it is a fusion without a target.
    """

    def __init__(self, task: Task, readers: Sequence[Reader], settings: TaskSettings) -> None:
        self._scenes = TaskScenes(task, readers, settings)
        self._readers = readers
        self._task = task

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: Any) -> Any:
        return self._triple(*self._scenes.scene(index))

    def name(self, index: int) -> str:
        """Return what to call a scene in a message."""
        return self._scenes.name(index)

    def check(self, side: int, configuration: Configuration) -> None:
        """Read every scene that is a file: all must be what patches for a network are cut from.

        Raises
        ------
        ValueError, TypeError
            A file is damaged, images of a scene differ in size or are smaller than a patch, or
            their channels are not the network's. The message names the scene.
        """
        for index, reader in enumerate(self._readers):
            if not isinstance(reader, SceneFiles):
                continue
            images = reader()
            factor = self._task.factor or 1
            height, width = (n - n % factor for n in images[0].shape[1:])
            _check_size(reader.name, height, width, side)
            # A small part is prepared as the whole would be, in no time.
            part = tuple(image[:, :_PART, :_PART] for image in images)
            try:
                made = self._triple(*self._scenes.make(part, index))
            except ValueError as error:
                raise InvalidValueError(f"{reader.name}: {error}") from error
            as_tensors(made, reader.name, configuration)

    def _triple(self, pair: tuple[Floats, ...], target: Floats | None) -> Triple:
        if target is None:
            raise InvalidValueError(
                f"{self._task.name} is learned from scenes whose result is known: want a file "
                "SCENE_target.png with each pair, or synthetic scenes"
            )
        return pair[0], pair[1], target


class Patches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Square patches of scenes, each turned or mirrored at random: patch i is always the same.

    A scene is read when a patch of it is wanted, and kept. Where not all fit into memory, as many
    as would fit if all were like the largest of some serve for a while, then others.

    Parameters
    ----------
    scenes : sequence of (x, y, z)
        Arrays (N, C, H, W) or (C, H, W).
    side : int
        Of the patches, pixels.
    seed : int
        Of every choice.
    configuration : Configuration, optional
        Scenes must have the channels of such a network.
    memory : int
        Bytes of scenes that are kept.
    soften, noise : float
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
        memory: int = BYTES,
        soften: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        if len(scenes) == 0:
            raise InvalidValueError("scenes is empty: give at least one (x, y, z)")
        self._scenes, self._side, self._seed = scenes, side, seed
        self._configuration, self._soften, self._noise = configuration, soften, noise
        self._recent: Recent[tuple[Tensor, Tensor, Tensor]] = Recent(memory)
        # Which scenes serve must not depend on what was read before: the same for every worker.
        some = range(0, len(scenes), -(-len(scenes) // _PROBED))
        largest = max(_bytes(self.scene(number)) for number in some)
        self._capacity = min(len(scenes), max(1, memory // largest))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([self._seed, index])
        number = int(rng.integers(self._capacity))
        if self._capacity < len(self._scenes):
            turn = np.random.default_rng([self._seed, index // ROUND, 1])
            number = int(turn.permutation(len(self._scenes))[number])
        images = self.scene(number)
        samples, _, height, width = images[0].shape
        side = self._side
        n = int(rng.integers(samples))
        top = int(rng.integers(height - side + 1))
        left = int(rng.integers(width - side + 1))
        turned, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        blur = _gaussian(rng.uniform(0, self._soften)) if self._soften else None
        out = []
        for image in images:
            patch = image[n, :, top : top + side, left : left + side]
            if blur is not None:
                patch = _blurred(patch, blur)
            patch = torch.rot90(patch, turned, (1, 2))
            out.append((patch.flip(2) if mirrored else patch).contiguous())
        if self._noise:
            level = rng.uniform(0, self._noise) / 255
            for n in range(2):
                white = rng.standard_normal(tuple(out[n].shape), np.float32)
                out[n] = out[n] + level * torch.from_numpy(white)
        return out[0], out[1], out[2]

    def scene(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a whole scene, (N, C, H, W) each."""
        return self._recent.get(number, lambda: self._read(number), _bytes)

    def _read(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        name = scene_name(self._scenes, number)
        found = as_tensors(self._scenes[number], name, self._configuration)
        height, width = found[0].shape[2:]
        _check_size(name, height, width, self._side)
        return found


def scene_name(scenes: Sequence[Any], number: int) -> str:
    """Return what to call a scene in a message."""
    return scenes.name(number) if isinstance(scenes, TaskTriples) else f"scene {number}"


def _gaussian(sigma: float) -> Tensor:
    radius = max(1, round(3 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
    return weights / weights.sum()


def _blurred(patch: Tensor, weights: Tensor) -> Tensor:
    """The patch (C, H, W) convolved with the weights along both axes, mirrored at its borders."""
    reach = min(len(weights) // 2, min(patch.shape[1:]) - 1)
    middle = len(weights) // 2
    weights = weights[middle - reach : middle + reach + 1]
    weights = weights / weights.sum()
    planes = F.pad(patch[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(planes, weights[None, None, None]), weights[None, None, :, None])[:, 0]


def _check_size(name: str, height: int, width: int, side: int) -> None:
    if min(height, width) < side:
        raise InvalidValueError(
            f"{name} is {height} x {width}: smaller than patches of {side} x {side}"
        )


def _bytes(triple: tuple[Tensor, Tensor, Tensor]) -> int:
    return sum(t.nbytes for t in triple)


def as_tensors(
    triple: Any, name: str, configuration: Configuration | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x, y, z) as float32 tensors (N, C, H, W).

    Raises
    ------
    TypeError, ValueError
        It is no triple of images of one size, of the channels of the configuration, or a value is
        not finite.
    """
    if not isinstance(triple, (tuple, list)) or len(triple) != 3:
        raise InvalidTypeError(f"{name} must be a triple of images (x, y, z)")
    out = []
    for word, image in zip("xyz", triple, strict=True):
        # A copy: read-only arrays are no tensors.
        tensor = image if isinstance(image, Tensor) else torch.from_numpy(np.array(image))
        if tensor.dim() not in (3, 4) or not tensor.is_floating_point():
            raise InvalidTypeError(
                f"{word} of {name} has shape {tuple(tensor.shape)} and dtype {tensor.dtype}: want "
                "floats of shape (C, H, W) or (N, C, H, W)"
            )
        tensor = tensor.to(torch.float32)
        if not bool(tensor.isfinite().all()):
            raise InvalidValueError(f"{word} of {name} holds NaN or Inf")
        out.append(tensor[None] if tensor.dim() == 3 else tensor)
    x, y, z = out
    if len({(len(t), *t.shape[2:]) for t in out}) != 1:
        shapes = ", ".join(str(tuple(t.shape)) for t in out)
        raise InvalidValueError(f"images of {name} differ in size or number: {shapes}")
    if configuration is not None:
        found = (x.shape[1], y.shape[1], z.shape[1])
        wanted = (*configuration.channels, configuration.out_channels)
        if found != wanted:
            raise InvalidValueError(
                f"{name} has {found} channels of x, y, z; the network has {wanted}"
            )
    return x, y, z
