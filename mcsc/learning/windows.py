"""Training images as batches of windows, read when they are needed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend import is_array, namespace
from ..errors import InvalidTypeError, InvalidValueError


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
    """Each (N, C_m, h, w); zero where the mask is."""
    masks: tuple[np.ndarray | None, ...] | None
    """Weights of the signals' shapes; None where all are one."""
    target: np.ndarray | None
    """(N, C_z, h, w)."""


class _Scene(NamedTuple):
    """Views of what was given, each (N, C, H, W); masks stretched to their signals' shapes."""

    signals: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray | None, ...]
    target: np.ndarray | None


class Images:
    """Scenes with their masks and targets, checked once, of which only windows are kept.

    Parameters
    ----------
    signals : tuple of M arrays, or sequence of such tuples
        One batch (N, C_m, H, W) (or one scene of (C_m, H, W) or (H, W)), or scenes of any sizes. A
        sequence may read its items when they are asked for: the last one is kept, no other.
    masks, targets : likewise, or None
        Weights, an entry of which may be None; one array a scene.

    Attributes
    ----------
    sizes : list of (int, int, int)
        Samples, height and width of each scene.
    channels : tuple of M ints
        Of the signals.
    target_channels : int or None
        None where there are no targets.
    dtype : dtype
        Precision of the signals.
    fingerprint : int
        CRC-32 of all arrays, by which a checkpoint knows its data.

    Raises
    ------
    TypeError, ValueError
        What is given is no such thing; every scene is read and looked through once for that.
    """

    def __init__(self, signals: Any, masks: Any = None, targets: Any = None) -> None:
        if is_array(signals) or not _is_sequence(signals) or len(signals) == 0:
            raise InvalidTypeError(
                "signals must be a tuple of M arrays, or a sequence of such tuples, one a scene; "
                f"found {type(signals).__name__}"
                + (" without entries" if _is_sequence(signals) and not is_array(signals) else "")
            )
        single = is_array(signals[0])
        self._signals = [signals] if single else signals
        self._masks = masks if masks is None else [masks] if single else masks
        self._targets = targets if targets is None else [targets] if single else targets
        for name, given in (("masks", self._masks), ("targets", self._targets)):
            if given is None:
                continue
            if not _is_sequence(given):
                raise InvalidTypeError(
                    f"{name} must be a sequence with an entry for each scene, found "
                    f"{type(given).__name__}"
                )
            if len(given) != len(self._signals):
                raise InvalidValueError(
                    f"found {len(given)} {name} for {len(self._signals)} scenes"
                )
        self._last: tuple[int, _Scene] | None = None
        self.sizes: list[tuple[int, int, int]] = []
        self.fingerprint = 0
        for index in range(len(self._signals)):
            scene = self._scene(index)
            self._check_pixels(index, scene)
            self.sizes.append((scene.signals[0].shape[0], *scene.signals[0].shape[2:]))
            channels = tuple(x.shape[1] for x in scene.signals)
            dtype = np.result_type(*scene.signals)
            if index == 0:
                self.channels = channels
                self.target_channels = None if scene.target is None else scene.target.shape[1]
                self.dtype = dtype
            elif channels != self.channels or self.dtype != dtype:
                raise InvalidValueError(
                    f"scene {index} has signals of {channels} channels and {dtype}, scene 0 of "
                    f"{self.channels} channels and {self.dtype}"
                )
            elif scene.target is not None and scene.target.shape[1] != self.target_channels:
                raise InvalidValueError(
                    f"targets[{index}] has {scene.target.shape[1]} channels, targets[0] has "
                    f"{self.target_channels}"
                )
            for role, array in (
                *(("signal", x) for x in scene.signals),
                *(("mask", x) for x in scene.masks if x is not None),
                *(("target", x) for x in (scene.target,) if x is not None),
            ):
                label = f"{role} {array.shape} {array.dtype}".encode()
                self.fingerprint = zlib.crc32(label, self.fingerprint)
                self.fingerprint = zlib.crc32(array.tobytes(), self.fingerprint)

    @property
    def n_signals(self) -> int:
        """Number of signals M."""
        return len(self.channels)

    def check_size(self, filter_size: int, window: int) -> None:
        """Refuse windows and images that are smaller than the filters."""
        smallest = min(min(h, w) for _, h, w in self.sizes)
        if min(smallest, window) < filter_size:
            raise InvalidValueError(
                f"filters of {filter_size}x{filter_size} need windows and images at least as "
                f"large: window = {window}, the smallest image has {smallest} pixels on a side"
            )

    # ----------------------------------------------------------------- reading
    def _scene(self, index: int) -> _Scene:
        """Return a scene, its shapes checked; no pixel is touched."""
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        label = f"signals[{index}]" if len(self._signals) > 1 else "signals"
        scene = _signals(label, self._signals[index])
        masks: tuple[np.ndarray | None, ...] = (None,) * len(scene)
        if self._masks is not None and self._masks[index] is not None:
            masks = _masks(f"masks of scene {index}", self._masks[index], scene)
        target = None
        if self._targets is not None:
            target = _image(f"targets[{index}]", self._targets[index])
            if target.shape[0] != scene[0].shape[0] or target.shape[2:] != scene[0].shape[2:]:
                raise InvalidValueError(
                    f"targets[{index}] has shape {target.shape}, its signals {scene[0].shape}: "
                    "samples, height and width must be equal"
                )
        self._last = (index, _Scene(scene, masks, target))
        return self._last[1]

    def _check_pixels(self, index: int, scene: _Scene) -> None:
        label = f"signals[{index}]" if len(self._signals) > 1 else "signals"
        for m, (x, mask) in enumerate(zip(scene.signals, scene.masks, strict=True)):
            if mask is not None and (not np.isfinite(mask).all() or (mask < 0).any()):
                raise InvalidValueError(
                    f"masks of scene {index}: entry {m} must be finite weights >= 0"
                )
            if not np.isfinite(x if mask is None else np.where(mask > 0, x, 0)).all():
                raise InvalidValueError(f"{label}[{m}] holds NaN or Inf: give masks with 0 there")
        if scene.target is not None and not np.isfinite(scene.target).all():
            raise InvalidValueError(f"targets[{index}] holds NaN or Inf")

    def windows(self, size: int) -> list[Window]:
        """Cover every image with windows of side `size`; of images that are smaller, all.

        Along each axis there are as many windows as it takes, spread evenly: they overlap by as
        little as windows of one size can.
        """
        found = []
        for index, (samples, height, width) in enumerate(self.sizes):
            h, w = min(size, height), min(size, width)
            found += [
                Window(index, sample, top, left, h, w)
                for sample in range(samples)
                for top in starts(height, h)
                for left in starts(width, w)
            ]
        return found

    def cut(self, window: Window) -> tuple[list[np.ndarray], list[np.ndarray | None], Any]:
        """Return signals (zero where the mask is), weights and target of a window, (C, h, w)."""
        index, sample, top, left, height, width = window
        scene = self._scene(index)
        part = (sample, slice(None), slice(top, top + height), slice(left, left + width))
        signals, weights = [], []
        for x, mask in zip(scene.signals, scene.masks, strict=True):
            weight = None if mask is None else mask[part].astype(x.dtype)
            signals.append(x[part] if weight is None else np.where(weight > 0, x[part], 0))
            weights.append(weight)
        return signals, weights, None if scene.target is None else scene.target[part]

    def read(self, windows: Sequence[Window]) -> Batch:
        """Cut windows of one size out of their scenes."""
        cuts = [self.cut(window) for window in windows]
        signals = tuple(np.stack([c[0][m] for c in cuts]) for m in range(self.n_signals))
        masks: list[np.ndarray | None] = []
        for m, x in enumerate(signals):
            found = [c[1][m] for c in cuts]
            known = all(weight is None for weight in found)
            masks.append(
                None if known else np.stack([np.ones_like(x[0]) if w is None else w for w in found])
            )
        return Batch(
            signals,
            None if all(mask is None for mask in masks) else tuple(masks),
            None if self.target_channels is None else np.stack([c[2] for c in cuts]),
        )


def starts(length: int, size: int) -> list[int]:
    """Where windows of `size` pixels begin that cover `length`: the fewest, spread evenly."""
    count = -(-length // size)
    return [round(i * (length - size) / max(count - 1, 1)) for i in range(count)]


def draw(windows: list[Window], most: int | None, rng: np.random.Generator) -> list[Window]:
    """Draw `most` of the windows, in their order; all if there are no more, or None is given."""
    if most is None or len(windows) <= most:
        return windows
    return [windows[i] for i in np.sort(rng.choice(len(windows), most, replace=False))]


def batches(windows: Sequence[Window], size: int) -> list[list[Window]]:
    """Group windows of equal size, in order, into batches of at most `size`."""
    groups: dict[tuple[int, int], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.height, window.width), []).append(window)
    return [g[i : i + size] for g in groups.values() for i in range(0, len(g), size)]


def _signals(label: str, given: Any) -> tuple[np.ndarray, ...]:
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


def _masks(label: str, given: Any, scene: tuple[np.ndarray, ...]) -> tuple[np.ndarray | None, ...]:
    if is_array(given) or not isinstance(given, Sequence) or len(given) != len(scene):
        raise InvalidTypeError(f"{label} must be a tuple with an array or None for each signal")
    out: list[np.ndarray | None] = []
    for m, (mask, x) in enumerate(zip(given, scene, strict=True)):
        if mask is None:
            out.append(None)
            continue
        mask = np.asarray(mask)
        if mask.dtype.kind not in "biuf":
            raise InvalidTypeError(f"{label}: entry {m} has dtype {mask.dtype}, weights are real")
        full = mask.reshape((1,) * (4 - mask.ndim) + mask.shape) if mask.ndim <= 4 else mask
        try:
            out.append(np.broadcast_to(full, x.shape))
        except ValueError:
            raise InvalidValueError(
                f"{label}: entry {m} has shape {mask.shape}, its signal {x.shape}: a mask is "
                "(H, W) or has the signal's shape"
            ) from None
    return tuple(out)


def _is_sequence(given: Any) -> bool:
    # Classes of others that read scenes need not be registered as a Sequence.
    counted = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    return counted and not isinstance(given, Mapping | str)
