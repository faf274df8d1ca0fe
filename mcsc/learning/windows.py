"""Training images as batches of windows, read when they are needed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend import is_array, namespace
from ..errors import InvalidTypeError, InvalidValueError

Scene = tuple[np.ndarray, ...]


class Window(NamedTuple):
    """A part of one image of one scene."""

    scene: int
    sample: int
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of one size, stacked along the batch axis."""

    signals: tuple[np.ndarray, ...]
    """Each (N, C_m, h, w)."""
    masks: tuple[np.ndarray | None, ...] | None
    target: np.ndarray | None
    """(N, C_z, h, w)."""


class Images:
    """Scenes with their masks and targets, checked once, of which only windows are kept.

    Parameters
    ----------
    signals : tuple of M arrays, or sequence of such tuples
        One batch (N, C_m, H, W) (or one scene of (C_m, H, W) or (H, W)), or scenes of any sizes. A
        sequence may read its items when they are asked for: no scene is kept.
    masks, targets : likewise, or None
        Weights, an entry of which may be None; one array a scene.
    """

    def __init__(self, signals: Any, masks: Any = None, targets: Any = None) -> None:
        single = not isinstance(signals, np.ndarray) and len(signals) > 0 and is_array(signals[0])
        if is_array(signals) or len(signals) == 0:
            raise InvalidTypeError(
                "signals must be a tuple of M arrays, or a sequence of such tuples, one a scene; "
                f"found {type(signals).__name__}"
                + ("" if is_array(signals) else " without entries")
            )
        self._signals = [signals] if single else signals
        self._masks = masks if masks is None else [masks] if single else masks
        self._targets = targets if targets is None else [targets] if single else targets
        for name, given in (("masks", self._masks), ("targets", self._targets)):
            if given is not None and len(given) != len(self._signals):
                raise InvalidValueError(
                    f"found {len(given)} {name} for {len(self._signals)} scenes"
                )
        self._last: tuple[int, Any] | None = None
        self.sizes: list[tuple[int, int, int]] = []
        """Samples, height and width of each scene."""
        self.fingerprint = 0
        for index in range(len(self._signals)):
            scene, mask, target = self.scene(index)
            self.sizes.append((scene[0].shape[0], *scene[0].shape[2:]))
            channels = tuple(x.shape[1] for x in scene)
            if index == 0:
                self.channels = channels
                self.target_channels = None if target is None else target.shape[1]
                self.dtype = np.result_type(*scene)
            elif channels != self.channels or self.dtype != np.result_type(*scene):
                raise InvalidValueError(
                    f"scene {index} has signals of {channels} channels and {np.result_type(*scene)}"
                    f", scene 0 of {self.channels} channels and {self.dtype}"
                )
            elif target is not None and target.shape[1] != self.target_channels:
                raise InvalidValueError(
                    f"targets[{index}] has {target.shape[1]} channels, targets[0] has "
                    f"{self.target_channels}"
                )
            for array in (*scene, *(m for m in mask or () if m is not None), target):
                if array is not None:
                    self.fingerprint = zlib.crc32(array.tobytes(), self.fingerprint)

    @property
    def n_signals(self) -> int:
        """Number of signals M."""
        return len(self.channels)

    def scene(self, index: int) -> tuple[Scene, tuple[np.ndarray | None, ...] | None, Any]:
        """Return signals, masks and target of a scene, each (N, C, H, W)."""
        if self._last is not None and self._last[0] == index:
            found: tuple[Scene, Any, Any] = self._last[1]
            return found
        label = f"signals[{index}]" if len(self._signals) > 1 else "signals"
        scene = _signals(label, self._signals[index])
        mask = None
        if self._masks is not None and self._masks[index] is not None:
            mask = _masks(f"masks of scene {index}", self._masks[index], scene)
        for m, x in enumerate(scene):
            known = x if mask is None or mask[m] is None else np.where(mask[m] > 0, x, 0)  # type: ignore[operator]
            if not np.isfinite(known).all():
                raise InvalidValueError(f"{label}[{m}] holds NaN or Inf: give masks with 0 there")
        target = None
        if self._targets is not None:
            target = _image(f"targets[{index}]", self._targets[index])
            if target.shape[0] != scene[0].shape[0] or target.shape[2:] != scene[0].shape[2:]:
                raise InvalidValueError(
                    f"targets[{index}] has shape {target.shape}, its signals {scene[0].shape}: "
                    "samples, height and width must be equal"
                )
            if not np.isfinite(target).all():
                raise InvalidValueError(f"targets[{index}] holds NaN or Inf")
        self._last = (index, (scene, mask, target))
        return scene, mask, target

    def windows(self, size: int) -> list[Window]:
        """Cover every image with windows of about `size`, without overlap."""
        found = []
        for index, (samples, height, width) in enumerate(self.sizes):
            rows, cols = _cuts(height, size), _cuts(width, size)
            for sample in range(samples):
                for top in rows:
                    for left in cols:
                        h, w = min(size, height), min(size, width)
                        found.append(Window(index, sample, top, left, h, w))
        return found

    def read(self, windows: Sequence[Window]) -> Batch:
        """Cut windows of one size out of their scenes."""
        signals: list[list[np.ndarray]] = [[] for _ in range(self.n_signals)]
        masks: list[list[np.ndarray]] = [[] for _ in range(self.n_signals)]
        masked = [False] * self.n_signals
        targets = []
        for index, sample, top, left, height, width in windows:
            scene, mask, target = self.scene(index)
            part = (sample, slice(None), slice(top, top + height), slice(left, left + width))
            for m, x in enumerate(scene):
                weight = None if mask is None else mask[m]
                signals[m].append(x[part] if weight is None else np.where(weight > 0, x, 0)[part])
                masks[m].append(np.ones_like(x[part]) if weight is None else weight[part])
                masked[m] |= weight is not None
            if target is not None:
                targets.append(target[part])
        weights = tuple(
            np.stack(w) if any_ else None for w, any_ in zip(masks, masked, strict=True)
        )
        return Batch(
            tuple(np.stack(x) for x in signals),
            weights if any(masked) else None,
            np.stack(targets) if targets else None,
        )


def _cuts(length: int, size: int) -> list[int]:
    """Where windows begin: as many as fit, spread evenly; what is left over at the end is lost."""
    if length <= size:
        return [0]
    count = length // size
    return [round(i * (length - size) / max(count - 1, 1)) for i in range(count)] or [0]


def batches(windows: Sequence[Window], size: int) -> list[list[Window]]:
    """Group windows of equal size, in order, into batches of at most `size`."""
    groups: dict[tuple[int, int], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.height, window.width), []).append(window)
    return [g[i : i + size] for g in groups.values() for i in range(0, len(g), size)]


def _signals(label: str, given: Any) -> Scene:
    if is_array(given) or not isinstance(given, Sequence) or len(given) == 0:
        raise InvalidTypeError(f"{label} must be a tuple with one array for every signal")
    scene = tuple(_image(f"{label}[{m}]", x) for m, x in enumerate(given))
    for m, x in enumerate(scene):
        if (x.shape[0], *x.shape[2:]) != (scene[0].shape[0], *scene[0].shape[2:]):
            raise InvalidValueError(
                f"{label} lie on different grids: {label}[0] has shape {scene[0].shape}, "
                f"{label}[{m}] has shape {x.shape}"
            )
    return scene


def _image(name: str, given: Any) -> np.ndarray:
    if not is_array(given):
        raise InvalidTypeError(f"{name} must be an array, found {type(given).__name__}")
    namespace(given)
    if not isinstance(given, np.ndarray):
        raise InvalidTypeError(f"{name} must be a NumPy array: dictionaries are learned on the CPU")
    if given.dtype not in (np.float32, np.float64):
        raise InvalidTypeError(f"{name} has dtype {given.dtype}: signals are float32 or float64")
    if given.ndim not in (2, 3, 4) or 0 in given.shape:
        raise InvalidValueError(
            f"{name} has shape {given.shape}: want (H, W), (C, H, W) or (N, C, H, W)"
        )
    return given.reshape((1,) * (4 - given.ndim) + given.shape)


def _masks(label: str, given: Any, scene: Scene) -> tuple[np.ndarray | None, ...]:
    if is_array(given) or not isinstance(given, Sequence) or len(given) != len(scene):
        raise InvalidTypeError(f"{label} must be a tuple with an array or None for each signal")
    out: list[np.ndarray | None] = []
    for m, (mask, x) in enumerate(zip(given, scene, strict=True)):
        if mask is None:
            out.append(None)
            continue
        mask = np.asarray(mask)
        full = mask.reshape((1,) * (4 - mask.ndim) + mask.shape) if mask.ndim <= 4 else mask
        try:
            weight = np.broadcast_to(full, x.shape).astype(x.dtype)
        except ValueError:
            raise InvalidValueError(
                f"{label}: entry {m} has shape {mask.shape}, its signal {x.shape}: a mask is "
                "(H, W) or has the signal's shape"
            ) from None
        if not np.isfinite(weight).all() or (weight < 0).any():
            raise InvalidValueError(f"{label}: entry {m} must be finite weights >= 0")
        out.append(weight)
    return tuple(out)
