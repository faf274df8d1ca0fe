"""Training images: checked once, then read window by window."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend import is_array
from ..errors import InvalidTypeError, InvalidValueError
from ..model.signals import check_filters_fit, check_masks, check_signal, check_signals
from .windows import Window


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of one size, stacked along the batch axis."""

    signals: tuple[np.ndarray, ...]
    """Each (N, C_m, h, w); zero where the weight is."""
    masks: tuple[np.ndarray | None, ...] | None
    """Weights of the signals' shapes; None where all are one."""
    target: np.ndarray | None
    """(N, C_z, h, w)."""


class Cut(NamedTuple):
    """What one window shows."""

    signals: list[np.ndarray]
    """Each (C_m, h, w); zero where the weight is."""
    weights: list[np.ndarray | None]
    """Weights of the pixels, of the signals' shapes and dtypes; None where all are one."""
    target: np.ndarray | None
    """(C_z, h, w)."""


class _Scene(NamedTuple):
    """Views of what was given, each (N, C, H, W); masks are stretched to their signals' shapes."""

    signals: list[np.ndarray]
    masks: list[np.ndarray | None]
    target: np.ndarray | None


class Images:
    """Scenes with their masks and targets, checked once, of which only windows are kept.

    Every scene is read once in the beginning, and again when a window of it is wanted; then only
    that window is masked and copied.

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
        Number of channels of each signal.
    target_channels : int or None
        None where there are no targets.
    fingerprint : int
        CRC-32 of all arrays, by which a checkpoint knows its data.

    Raises
    ------
    TypeError, ValueError
        Something else was given, or scenes differ in channels or precision.
    """

    def __init__(self, signals: Any, masks: Any = None, targets: Any = None) -> None:
        if is_array(signals) or not _is_sequence(signals) or len(signals) == 0:
            raise InvalidTypeError(
                "signals must be a tuple of M arrays, or a sequence of such tuples, one per scene; "
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
        kinds = []
        for index in range(len(self._signals)):
            scene = self._scene(index, look=True)
            n, _, height, width = scene.signals[0].shape
            self.sizes.append((n, height, width))
            kinds.append(
                (
                    tuple(x.shape[1] for x in scene.signals),
                    str(np.result_type(*scene.signals)),
                    None if scene.target is None else scene.target.shape[1],
                )
            )
            if kinds[index] != kinds[0]:
                said = [
                    f"{channels} channels of {dtype}"
                    + ("" if target is None else f", a target of {target}")
                    for channels, dtype, target in (kinds[index], kinds[0])
                ]
                raise InvalidValueError(
                    f"scene {index} has signals of {said[0]}, scene 0 of {said[1]}: scenes may "
                    "differ in size only"
                )
            self._take_fingerprint(scene)
        self.channels, _, self.target_channels = kinds[0]

    @property
    def n_signals(self) -> int:
        """Number of signals M."""
        return len(self.channels)

    def check_size(self, filter_size: int, window: int) -> None:
        """Refuse windows and images that are smaller than the filters."""
        if window < filter_size:
            raise InvalidValueError(
                f"filters of {filter_size}x{filter_size} need windows at least as large: window = "
                f"{window}"
            )
        for index, (_, height, width) in enumerate(self.sizes):
            check_filters_fit(filter_size, (height, width), self._name(index))

    def _name(self, index: int) -> str:
        """What messages call a scene: its name, where a sequence knows it."""
        name = getattr(self._signals, "name", None)
        if callable(name):
            return str(name(index))
        return f"scene {index}" if len(self.sizes) > 1 else "the signals"

    def cut(self, window: Window) -> Cut:
        """Return what a window shows; the rest of its scene is not touched."""
        index, sample, top, left, height, width = window
        scene = self._scene(index)
        part = (sample, slice(None), slice(top, top + height), slice(left, left + width))
        signals: list[np.ndarray] = []
        weights: list[np.ndarray | None] = []
        for x, mask in zip(scene.signals, scene.masks, strict=True):
            weight = None if mask is None else mask[part].astype(x.dtype)
            signals.append(x[part] if weight is None else np.where(weight > 0, x[part], 0))
            weights.append(weight)
        return Cut(signals, weights, None if scene.target is None else scene.target[part])

    def read(self, windows: Sequence[Window]) -> Batch:
        """Return windows of one size as a batch."""
        cuts = [self.cut(window) for window in windows]
        signals: list[np.ndarray] = []
        masks: list[np.ndarray | None] = []
        for m in range(self.n_signals):
            signals.append(np.stack([c.signals[m] for c in cuts]))
            weights = [c.weights[m] for c in cuts]
            if all(w is None for w in weights):
                masks.append(None)
            else:
                one = np.ones_like(signals[m][0])
                masks.append(np.stack([one if w is None else w for w in weights]))
        targets = [c.target for c in cuts if c.target is not None]
        return Batch(
            signals=tuple(signals),
            masks=None if all(mask is None for mask in masks) else tuple(masks),
            target=np.stack(targets) if targets else None,
        )

    # ------------------------------------------------------------------ scenes
    def _scene(self, index: int, *, look: bool = False) -> _Scene:
        """Return views of a scene; with `look` after a look at all its pixels."""
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        where = f"[{index}]" if len(self._signals) > 1 else ""
        signals = check_signals(self._signals[index], label=f"signals{where}")
        target = None
        if self._targets is not None:
            target = check_signal(f"targets{where}", self._targets[index])
            if target.shape[0] != signals[0].shape[0] or target.shape[2:] != signals[0].shape[2:]:
                raise InvalidValueError(
                    f"targets{where} has shape {target.shape}, its signals {signals[0].shape}: "
                    "samples, height and width must be equal"
                )
        for name, array in (("signals", signals[0]), ("targets", target)):
            if array is not None and not isinstance(array, np.ndarray):
                raise InvalidTypeError(
                    f"{name}{where} must be NumPy arrays: dictionaries are learned on the CPU"
                )
        given = None if self._masks is None else self._masks[index]
        if look:
            weights = check_masks(given, signals, label=f"masks{where}") or [None] * len(signals)
            for m, (x, w) in enumerate(zip(signals, weights, strict=True)):
                if not np.isfinite(x if w is None else np.where(w > 0, x, 0)).all():
                    raise InvalidValueError(
                        f"signals{where}[{m}] holds NaN or Inf: give masks with 0 there"
                    )
            if target is not None and not np.isfinite(target).all():
                raise InvalidValueError(f"targets{where} holds NaN or Inf")
        masks = [
            None if mask is None else _stretched(mask, x.shape)
            for mask, x in zip(given or [None] * len(signals), signals, strict=True)
        ]
        self._last = (index, _Scene(signals, masks, target))
        return self._last[1]

    def _take_fingerprint(self, scene: _Scene) -> None:
        for role, arrays in (
            ("signal", scene.signals), ("mask", scene.masks), ("target", [scene.target])
        ):  # fmt: skip
            for array in arrays:
                if array is not None:
                    # What it is and its shape: equal bytes can mean other images.
                    label = f"{role} {array.shape} {array.dtype}".encode()
                    self.fingerprint = zlib.crc32(label, self.fingerprint)
                    self.fingerprint = zlib.crc32(array.tobytes(), self.fingerprint)


def _stretched(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A view of a mask (H, W), (C, H, W) or (N, C, H, W) with its signal's shape."""
    return np.broadcast_to(mask.reshape((1,) * (4 - mask.ndim) + mask.shape), shape)


def _is_sequence(given: Any) -> bool:
    # Classes of others that read scenes need not be registered as a Sequence.
    counted = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    return counted and not isinstance(given, Mapping | str)
