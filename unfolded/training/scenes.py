"""What a network is trained on: scenes as it sees them, images and what is to be made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcsc.checks import check_number, check_unmasked
from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.images.sizes import pixels_of
from mcsc.tasks.learning import TaskScenes, TaskSettings
from mcsc.tasks.scenes import Reader, SceneFiles, check_scene
from mcsc.tasks.task import Task
from mcsc.types import Floats

from ..network.configuration import Configuration
from .taught import Taught

Triple = tuple[Floats, Floats, Floats]
"""x, y and what is to be made of them, (N, C, H, W) each."""

_PART = 64


class TaskTriples(Sequence[Triple]):
    """Scenes of a task as a network sees them: x, y and what is to be made, (N, C, H, W).

    Parameters
    ----------
    task : Task
        Degradation and preparation.
    readers : sequence of callables
        One reader for each scene; see `mcsc.tasks.scenes`.
    settings : TaskSettings
        Complete settings of the preparation.
    levels : (float, float), optional
        Two standard deviations of the noise, in grey levels of 255: give each scene with the same
        noise of both strengths, as a network that is `noise_aware` is trained on.
    spread : bool
        With noise of one strength instead, another in each scene, from the lower to the higher: to
        measure on.

    Raises
    ------
    ValueError
        When a scene is read: it is a fusion without a target.
    """

    def __init__(
        self,
        task: Task,
        readers: Sequence[Reader],
        settings: TaskSettings,
        levels: tuple[float, float] | None = None,
        *,
        spread: bool = False,
    ) -> None:
        self._settings, self._levels, self._spread = settings, levels, spread
        self._scenes = TaskScenes(task, readers, settings)
        self._readers = readers
        self._task = task
        self._spans: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: Any) -> Any:
        if self._levels is None:
            made = self._scenes.scene(index)
            return self._triple(made.signals, made.target)
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        images = check_scene(self._readers[index](), self.name(index), self._task.kind)
        return self._with_noise(images, index)

    def pixels(self, index: int) -> int:
        """Return how many pixels a scene has, by its files; 0 if that is not known before."""
        reader = self._readers[index]
        reader = reader.reader if isinstance(reader, Taught) else reader
        if not isinstance(reader, SceneFiles):
            return 0
        return max(pixels_of(reader.x_path), pixels_of(reader.y_path))

    def _with_noise(self, images: tuple[Floats, ...], index: int) -> Any:
        assert self._levels is not None
        low, high = self._levels
        strengths = [low, high]
        if self._spread:
            strengths = [low + (high - low) * (index + 0.5) / len(self)]
        made = []
        for sigma in strengths:
            scenes = TaskScenes(self._task, self._readers, replace(self._settings, sigma=sigma))
            prepared = scenes.make(images, index)
            made.append((*self._triple(prepared.signals, prepared.target), sigma / 255))
        return made[0] if self._spread else tuple(made)

    def name(self, index: int) -> str:
        """Return what to call a scene in a message."""
        return self._scenes.name(index)

    def check(
        self,
        side: int,
        configuration: Configuration,
        network: str = "the network",
        *,
        spans: bool = False,
    ) -> None:
        """Read every scene that is a file: all must be what patches for a network are cut from.

        Of synthetic scenes, which are alike, the first is looked at. `network` is what messages
        call it. With `spans`, `stretched` tells of the scenes.

        Raises
        ------
        ValueError, TypeError
            A file is damaged, images of a scene differ in size or are smaller than a patch, or
            their channels are not the network's. The message names the scene.
        """
        looked = False
        for index, reader in enumerate(self._readers):
            source = reader.reader if isinstance(reader, Taught) else reader
            if not isinstance(source, SceneFiles):
                if looked:
                    continue
                looked = True
            name = self.name(index)
            images = source()
            if spans:
                self._spans[name] = self._scenes.span(images, index)
            if isinstance(reader, Taught):  # whatever is made is as large
                images = (*images[:2], images[0])
            height, width = self._task.cropped(images[0])[0].shape[1:]
            check_size(name, height, width, side)
            # A small part is prepared as the whole would be, in no time.
            part = tuple(image[:, :_PART, :_PART] for image in images)
            try:
                prepared = self._scenes.make(part, index)
                made: Any = self._triple(prepared.signals, prepared.target)
                if self._levels is not None:
                    made = self._with_noise(part, index)
            except InvalidValueError as error:
                raise InvalidValueError(f"{name}: {error}") from error
            as_scene(made, name, configuration, network)

    @property
    def stretched(self) -> str:
        """Which scenes, of those whose spans were looked at, are stretched; often nothing."""
        found = {name: share for name, share in self._spans.items() if share < 1}
        if not found:
            return ""
        low, high = (f"{100 * share:.2g}" for share in (min(found.values()), max(found.values())))
        shares = f"{low} %" if low == high else f"{low} to {high} %"
        if len(found) == 1:
            [name] = found
            return f"{name} spans {shares} of its range, and counts as if it spanned all of it"
        return (
            f"{len(found)} of them span {shares} of their range, and count as if they spanned all "
            "of it"
        )

    def _triple(self, pair: tuple[Floats, ...], target: Floats | None) -> Triple:
        if target is None:
            raise InvalidValueError(
                f"{self._task.name} is learned from scenes whose result is known: want a file "
                "SCENE_target.png with each pair, or synthetic scenes"
            )
        return pair[0], pair[1], target


def scene_name(scenes: Sequence[Any], number: int) -> str:
    """Return what to call a scene in a message."""
    return str(scenes.name(number)) if hasattr(scenes, "name") else f"scene {number}"


def as_float(value: float) -> Tensor:
    """Return a tensor () of float32 on the CPU, whatever the caller's defaults are."""
    return torch.tensor(value, dtype=torch.float32, device="cpu")


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene to train on, as tensors (N, C, H, W) in float32."""

    images: tuple[Tensor, Tensor, Tensor]
    """x, y, z; with noise in two strengths, those with the lower."""
    louder: tuple[Tensor, Tensor, Tensor] | None = None
    """Those with the higher."""
    sigma: tuple[float, float] | None = None
    """Lower and higher noise, on the images' scale."""

    @property
    def nbytes(self) -> int:
        """Bytes of the images."""
        return sum(image.nbytes for image in (*self.images, *(self.louder or ())))

    def alone(self) -> tuple[Tensor, ...]:
        """Return x, y, z and, where there is noise, sigma; of two strengths the lower."""
        return self.images if self.sigma is None else (*self.images, as_float(self.sigma[0])[None])


def as_scene(
    given: Any,
    name: str,
    configuration: Configuration | None = None,
    network: str = "the network",
) -> Scene:
    """Return a scene as `unfolded.train` takes it; `network` is what messages call the network.

    Raises
    ------
    TypeError, ValueError
        As `as_tensors`; or sigma is missing or left over, no number, or the two scenes differ in
        more than their noise.
    """
    if configuration is None or not configuration.noise_aware:
        return Scene(as_tensors(given, name, configuration, network))
    two = isinstance(given, (tuple, list)) and len(given) == 2
    found = []
    for one in given if two else (given,):
        if not isinstance(one, (tuple, list)) or len(one) != 4:
            raise InvalidTypeError(
                f"{name} must be (x, y, z, sigma), or two of them, for a network that is "
                "noise_aware"
            )
        number = one[3].item() if isinstance(one[3], Tensor) and one[3].numel() == 1 else one[3]
        sigma = check_number(f"sigma of {name}", number, zero=True)
        found.append((as_tensors(one[:3], name, configuration, network), sigma))
    (images, low), (louder, high) = found[0], found[-1]
    if not two:
        return Scene(images, None, (low, low))
    if images[0].shape != louder[0].shape or not low < high:
        raise InvalidValueError(
            f"{name} must be one scene with noise of two strengths, the lower first; found sizes "
            f"{tuple(images[0].shape)}, {tuple(louder[0].shape)} and noise {low:g}, {high:g}"
        )
    return Scene(images, louder, (low, high))


def check_size(name: str, height: int, width: int, side: int) -> None:
    """Refuse a scene that is smaller than a patch."""
    if min(height, width) < side:
        raise InvalidValueError(
            f"{name} is {height} x {width}: smaller than patches of {side} x {side}"
        )


def as_tensors(
    triple: Any,
    name: str,
    configuration: Configuration | None = None,
    network: str = "the network",
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
        check_unmasked(f"{word} of {name}", image)
        values = image if isinstance(image, Tensor) else np.asarray(image)
        floats = (
            values.is_floating_point() and values.layout is torch.strided and not values.is_meta
            if isinstance(values, Tensor)
            else np.issubdtype(values.dtype, np.floating)
        )
        if values.ndim not in (3, 4) or not floats:
            raise InvalidTypeError(
                f"{word} of {name} has shape {tuple(values.shape)} and dtype {values.dtype}: want "
                "floats of shape (C, H, W) or (N, C, H, W)"
            )
        if 0 in values.shape:
            raise InvalidValueError(f"{word} of {name} is empty, of shape {tuple(values.shape)}")
        if isinstance(values, Tensor):
            # What made it is not trained.
            tensor = values.detach().to("cpu", torch.float32)
        else:
            with np.errstate(over="ignore"):  # such values are refused
                # A copy, as read-only arrays and other orders of bytes are no tensors.
                tensor = torch.from_numpy(values.astype(np.float32, order="C"))
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
                f"{name} has {found} channels of x, y, z; {network} has {wanted}"
            )
    return x, y, z
