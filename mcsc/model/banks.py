"""What filter banks must be, alone and together, to make a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, is_array, namespace, native, on_device_of, to_numpy
from ..checks import check_number, check_unmasked
from ..errors import InvalidTypeError, InvalidValueError

__all__ = ["check_analysis", "check_target", "check_weights", "read_only"]

Banks: TypeAlias = tuple[Array | None, ...]
"""One bank (K, C, s, s) for every signal, or None where it has none."""


def check_analysis(common: Any, unique: Any) -> tuple[tuple[Array, ...] | None, Banks | None]:
    """Return copies of the common and unique banks as tuples; refuse them, naming the argument.

    Raises
    ------
    TypeError
        A bank is not a floating-point array.
    ValueError
        A bank is empty, not (K, C, s, s), not finite, holds a filter that is zero (a
        common one: in all signals), or does not fit the others.
    """
    common, unique = _check_banks("common", common), _check_banks("unique", unique)
    if not any(b is not None for b in (*(common or ()), *(unique or ()))):
        raise InvalidValueError("Dictionary has no filters: give common, unique or both")
    if common is not None and any(b is None for b in common):
        raise InvalidValueError("common must hold one bank for every signal; found None in it")
    if common is not None and unique is not None and len(common) != len(unique):
        raise InvalidValueError(
            f"common has {len(common)} banks and unique has {len(unique)}: "
            "both must hold one for every signal"
        )
    if common is not None:
        present = [b for b in common if b is not None]
        _same_filter_count("common", present)
        _refuse_zero_filters("common", *present)
    for m, bank in enumerate(unique or ()):
        if bank is not None:
            _refuse_zero_filters(f"unique[{m}]", bank)
    for m in range(len(common or unique or ())):
        pair = [b[m] for b in (common, unique) if b is not None and b[m] is not None]
        if not pair:
            raise InvalidValueError(f"signal {m} has no filters: common and unique[{m}] are None")
        first, last = (tuple(bank.shape) for bank in (pair[0], pair[-1]))
        if first[1] != last[1]:
            raise InvalidValueError(
                f"channels of signal {m} differ: common[{m}] has shape {first}, unique[{m}] has "
                f"shape {last}; axis 1 is channels"
            )
    return common, unique


def check_target(
    target_common: Any, target_unique: Any, common: Banks | None, unique: Banks | None
) -> tuple[Array | None, Banks | None]:
    """Return copies of the target's banks, which share the others' codes; refuse them likewise."""
    gc, gu = target_common, None
    if gc is not None:
        if common is None or common[0] is None:
            raise InvalidValueError("target_common needs common filters, and common is None")
        gc = _check_bank("target_common", gc)
        if gc.shape[0] != common[0].shape[0]:
            raise InvalidValueError(
                f"target_common has {gc.shape[0]} filters, common has "
                f"{common[0].shape[0]}: they share one code"
            )
    if target_unique is not None:
        gu = _check_banks("target_unique", target_unique) or ()
        if unique is None or len(gu) != len(unique):
            found = 0 if unique is None else len(unique)
            raise InvalidValueError(
                f"target_unique has {len(gu)} banks, unique has {found}: give one for each "
                "(None where the target has no such part)"
            )
        for m, (g, d) in enumerate(zip(gu, unique, strict=True)):
            if g is not None and (d is None or d.shape[0] != g.shape[0]):
                raise InvalidValueError(
                    f"target_unique[{m}] has {g.shape[0]} filters, unique[{m}] has "
                    f"{0 if d is None else d.shape[0]}: they share one code"
                )
    channels = {int(b.shape[1]) for b in (gc, *(gu or ())) if b is not None}
    if len(channels) > 1:
        raise InvalidValueError(f"target filters disagree about the target's channels: {channels}")
    return gc, gu


def check_weights(weights: Any, signals: int) -> tuple[float, ...] | None:
    """Return the weights of the signals as floats > 0, or None."""
    if weights is None:
        return None
    if is_array(weights) and weights.ndim == 1:
        check_unmasked("signal_weights", weights)
        weights = to_numpy(weights).tolist()
    if isinstance(weights, str) or not isinstance(weights, Sequence):
        raise InvalidTypeError(
            f"signal_weights must hold a number for every signal, found {type(weights).__name__}"
        )
    if len(weights) != signals:
        raise InvalidValueError(f"signal_weights has {len(weights)} entries for {signals} signals")
    return tuple(check_number(f"signal_weights[{m}]", w) for m, w in enumerate(weights))


def _same_filter_count(name: str, banks: list[Array]) -> None:
    counts = [int(b.shape[0]) for b in banks]
    if len(set(counts)) > 1:
        raise InvalidValueError(
            f"{name} banks hold {', '.join(map(str, counts))} filters: a common code needs as "
            "many filters in every signal"
        )


def _check_banks(name: str, banks: Any) -> tuple[Array | None, ...] | None:
    if banks is None:
        return None
    if is_array(banks) or not isinstance(banks, Sequence):
        raise InvalidTypeError(
            f"{name} must be a tuple with one filter bank (K, C, s, s) for every signal, "
            f"found {type(banks).__name__}; for one signal write ({name},)"
        )
    if len(banks) == 0:
        raise InvalidValueError(
            f"{name} is an empty tuple: give one bank for every signal, or None"
        )
    return tuple(None if b is None else _check_bank(f"{name}[{m}]", b) for m, b in enumerate(banks))


def _check_bank(name: str, bank: Any) -> Array:
    if not is_array(bank):
        raise InvalidTypeError(f"{name} must be an array, found {type(bank).__name__}")
    check_unmasked(name, bank)
    bank = native(bank)
    xp = namespace(bank)
    shape = tuple(int(n) for n in bank.shape)
    if bank.dtype not in (xp.float32, xp.float64):
        raise InvalidTypeError(f"{name} has dtype {bank.dtype}: filters are float32 or float64")
    if len(shape) != 4 or shape[2] != shape[3]:
        raise InvalidValueError(f"{name} has shape {shape}: filters are (K, C, s, s)")
    if 0 in shape:
        raise InvalidValueError(f"{name} is empty: shape {shape}")
    if not bool(xp.all(xp.isfinite(bank))):
        raise InvalidValueError(f"{name} holds NaN or Inf")
    with on_device_of(bank):
        return read_only(xp.asarray(bank, copy=True))


def read_only(array: Array) -> Array:
    """Return the array, which NumPy no longer lets anybody write to; other libraries cannot."""
    if isinstance(array, np.ndarray):
        array.flags.writeable = False
    return array


def _refuse_zero_filters(name: str, *banks: Array) -> None:
    """Refuse a map that acts on no signal. On some it may: a common code need not show in all."""
    flat = [to_numpy(b).reshape(b.shape[0], -1) for b in banks]
    zero = np.logical_and.reduce([(b == 0).all(axis=1) for b in flat])
    if zero.any():
        raise InvalidValueError(
            f"{name} has a zero filter, number {int(np.argmax(zero))}: its code would be "
            "arbitrary; remove it"
        )
    with np.errstate(over="ignore", under="ignore"):
        squares = np.sum([np.square(b.astype(np.float64)).sum(axis=1) for b in flat], axis=0)
    bad = ~((squares > np.finfo(np.float64).tiny) & np.isfinite(squares))
    if bad.any():
        raise InvalidValueError(
            f"{name} has a filter, number {int(np.argmax(bad))}, whose squares are too small or "
            "too large for float64: scale it"
        )
