"""Options of `learn`, checked before any work."""

from __future__ import annotations

import json
import math
import numbers
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InvalidTypeError, InvalidValueError
from ..model.convolution import BOUNDARIES
from ..model.dictionary import Dictionary
from ..types import Boundary
from .atoms import Layout


@dataclass(frozen=True)
class Options:
    """Named as the arguments of `learn`."""

    lam: Any
    n_common: int
    n_unique: int | tuple[int, ...]
    filter_size: tuple[int, ...]
    signal_weights: tuple[float, ...] | None
    task: str
    passes: int
    batch_size: int
    window: int
    max_windows: int | None
    update_steps: int
    relaxation: float
    memory: int
    boundary: Boundary
    tol: float
    seed: int
    init: str

    def layout(self, channels: tuple[int, ...], zero_mean: bool) -> Layout:
        """The filters that these options ask for."""
        counts = self.unique_counts(len(channels))
        if self.signal_weights is not None and len(self.signal_weights) != len(channels):
            raise InvalidValueError(
                f"signal_weights has {len(self.signal_weights)} entries for {len(channels)} signals"
            )
        if self.n_common == 0 and min(counts) == 0:
            raise InvalidValueError(
                f"n_common = 0 and n_unique = {counts} leave a signal without filters"
            )
        return Layout(
            channels, self.n_common, counts, self.filter_size, self.signal_weights, zero_mean
        )

    def unique_counts(self, signals: int) -> tuple[int, ...]:
        """Unique maps of each signal."""
        if isinstance(self.n_unique, int):
            return (self.n_unique,) * signals
        if len(self.n_unique) != signals:
            raise InvalidValueError(
                f"n_unique has {len(self.n_unique)} entries for {signals} signals"
            )
        return self.n_unique

    def settings(self, channels: tuple[int, ...]) -> dict[str, Any]:
        """What a checkpoint must agree with, in JSON's types."""
        counts = {"n_unique": self.unique_counts(len(channels)), "channels": channels}
        found: dict[str, Any] = json.loads(json.dumps(self.__dict__ | counts))
        return found


def check_options(
    lam: Any,
    n_common: Any,
    n_unique: Any,
    filter_size: Any,
    signal_weights: Any,
    task: Any,
    passes: Any,
    batch_size: Any,
    window: Any,
    max_windows: Any,
    update_steps: Any,
    relaxation: Any,
    memory: Any,
    init: Any,
    boundary: Any,
    tol: Any,
    seed: Any,
    callback: Any,
) -> Options:
    """Refuse what makes no sense; return the rest in plain types."""
    lams = lam if isinstance(lam, Sequence) and not isinstance(lam, str) else (lam,)
    for value in lams:
        _positive("lam", value)
    _whole("n_common", n_common, 0)
    unique = n_unique if isinstance(n_unique, Sequence) else (n_unique,)
    for value in unique:
        _whole("n_unique", value, 0)
    sizes = filter_size if isinstance(filter_size, Sequence) else (filter_size,)
    if len(sizes) == 0:
        raise InvalidValueError("filter_size is empty")
    for value in sizes:
        _whole("filter_size", value, 2)
    if signal_weights is not None:
        if isinstance(signal_weights, str) or not isinstance(signal_weights, Sequence):
            raise InvalidTypeError(
                "signal_weights must hold a number for every signal, found "
                f"{type(signal_weights).__name__}"
            )
        for value in signal_weights:
            _positive("signal_weights", value)
    if task not in ("restoration", "fusion"):
        raise InvalidValueError(f"task must be 'restoration' or 'fusion', found {task!r}")
    if boundary not in BOUNDARIES:
        raise InvalidValueError(f"boundary must be 'zero' or 'periodic', found {boundary!r}")
    for name, value, least in (
        ("passes", passes, 1),
        ("batch_size", batch_size, 1),
        ("window", window, 4),
        ("update_steps", update_steps, 1),
        ("memory", memory, 1),
        ("seed", seed, 0),
    ):
        _whole(name, value, least)
    if max_windows is not None:
        _whole("max_windows", max_windows, 1)
    if not isinstance(init, Dictionary) and init not in ("patches", "dct"):
        raise InvalidValueError(f"init must be 'patches', 'dct' or a Dictionary, found {init!r}")
    _positive("tol", tol)
    _positive("relaxation", relaxation)
    if callback is not None and not callable(callback):
        raise InvalidTypeError(f"callback must be callable, found {type(callback).__name__}")
    return Options(
        lam=float(lam) if isinstance(lam, numbers.Real) else tuple(float(v) for v in lams),
        n_common=int(n_common),
        n_unique=int(n_unique)
        if isinstance(n_unique, numbers.Integral)
        else tuple(map(int, unique)),
        filter_size=tuple(sorted(int(s) for s in sizes)),
        signal_weights=None if signal_weights is None else tuple(map(float, signal_weights)),
        task=task,
        passes=int(passes),
        batch_size=int(batch_size),
        window=int(window),
        max_windows=None if max_windows is None else int(max_windows),
        update_steps=int(update_steps),
        relaxation=float(relaxation),
        memory=int(memory),
        boundary=boundary,
        tol=float(tol),
        seed=int(seed),
        init=_digest(init) if isinstance(init, Dictionary) else init,
    )


def _digest(dictionary: Dictionary) -> str:
    total = 0
    for g in dictionary.groups:
        total = zlib.crc32(np.asarray(g.bank).tobytes(), total)
    return f"dictionary {total:08x}"


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise InvalidValueError(f"{name} must be a whole number >= {least}, found {value!r}")


def _positive(name: str, value: Any) -> None:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise InvalidValueError(f"{name} must be finite and > 0, found {value!r}")
