"""The lambda of Eq. 5: a number, one per code group, one per map, or one per coefficient."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace, to_numpy
from ..checks import check_unmasked
from ..errors import InvalidTypeError, InvalidValueError, naming

__all__ = ["lam_arrays", "lam_per_map", "plain_lam", "stored_lam", "weighted_lam"]


def lam_arrays(
    lam: Any, maps: Mapping[str, int], grid: Sequence[int], xp: Any
) -> tuple[Array, ...]:
    """Return lam, however it is given, as one array a group that broadcasts to its codes.

    Parameters
    ----------
    lam : number, sequence or array
        As `mcsc.Problem` takes it.
    maps : mapping of str to int
        Names of the code groups that exist, in their order, and how many maps each has.
    grid : (N, H, W)
        Samples, height and width of the codes.
    xp : namespace
        Array library of the result.

    Returns
    -------
    tuple of arrays
        Arrays of four axes, each of the length that the codes have or of length 1; float64, or the
        given float type where lam differs from coefficient to coefficient (not copied).

    Raises
    ------
    TypeError, ValueError
        As `lam_per_map`, or an array does not broadcast to the codes of its group.
    """
    counts = list(maps.values())
    several = isinstance(lam, Sequence) and not isinstance(lam, str) and len(lam) == len(counts)
    entries = list(lam) if several else [lam]
    if not any(is_array(e) and e.ndim > 1 for e in entries):
        split = np.split(lam_per_map(lam, maps), np.cumsum(counts)[:-1])
        return tuple(xp.asarray(values.reshape(1, -1, 1, 1)) for values in split)
    if several:
        return tuple(
            _spread(name, entry, count, maps, grid, xp)
            for entry, (name, count) in zip(entries, maps.items(), strict=True)
        )
    whole = _spread(None, lam, sum(counts), maps, grid, xp)
    if whole.shape[1] == 1:
        return (whole,) * len(counts)
    ends = np.cumsum([0, *counts])
    return tuple(whole[:, int(a) : int(b), ...] for a, b in pairwise(ends))


def weighted_lam(
    lam: Any, weights: Any, maps: Mapping[str, int], grid: Sequence[int]
) -> list[np.ndarray]:
    """Return lam times a weight for each coefficient, as NumPy arrays that `lam_arrays` takes.

    Parameters
    ----------
    lam : number, sequence or array
        As `lam_per_map` takes it.
    weights : array, sequence of arrays, or mapping of str to array
        One that broadcasts to (N, K, H, W) of all maps; one a group; or by the names of groups,
        those left out weighing one.
    maps, grid
        As in `lam_arrays`.

    Raises
    ------
    TypeError, ValueError
        A weight is not > 0, there is no such group, or an array does not fit.
    """
    if isinstance(weights, Mapping):
        unknown = [name for name in weights if name not in maps]
        if unknown:
            raise InvalidValueError(
                f"weights of lam are for {', '.join(unknown)}: want some of {', '.join(maps)}"
            )
        weights = [weights.get(name, 1.0) for name in maps]
    ends = np.cumsum(list(maps.values()))[:-1]
    each = np.split(lam_per_map(lam, maps), ends)
    with naming("weights of lam"):
        arrays = lam_arrays(weights, maps, grid, np)
    return [
        np.asarray(values).reshape(1, -1, 1, 1) * weight
        for values, weight in zip(each, arrays, strict=True)
    ]


def _spread(
    group: str | None, entry: Any, count: int, maps: Mapping[str, int], grid: Sequence[int], xp: Any
) -> Array:
    """Bring one entry, for so many maps, to four axes in the library of the codes."""
    n, h, w = grid
    if not is_array(entry) or entry.ndim < 2:
        assert group is not None
        return xp.asarray(lam_per_map([entry], {group: count}).reshape(1, -1, 1, 1))
    check_unmasked("lam", entry)
    if not namespace(entry).isdtype(entry.dtype, ("integral", "real floating")):
        raise InvalidTypeError(f"lam must hold numbers, found dtype {entry.dtype}")
    shape = tuple(int(a) for a in entry.shape)
    full = (1,) * (4 - len(shape)) + shape
    codes = (n, count, h, w)
    if len(shape) > 4 or any(a not in (1, b) for a, b in zip(full, codes, strict=True)):
        wanted = f"what broadcasts to the codes, (N, K, H, W) = {codes}"
        if group is None:
            raise InvalidValueError(f"{_message(shape, maps)}, or {wanted}")
        raise InvalidValueError(
            f"lam of group {group} has shape {shape}: give a number, {count} numbers, or {wanted}"
        )
    values = xp.reshape(entry if namespace(entry) is xp else xp.asarray(to_numpy(entry)), full)
    per_map = values.shape[0] == values.shape[2] == values.shape[3] == 1
    if per_map or not xp.isdtype(values.dtype, "real floating"):
        values = xp.astype(values, xp.float64)
    good = xp.isfinite(values) & (values > 0)
    if not bool(xp.all(good)):
        bad = float(values[~good][0])
        raise InvalidValueError(f"lam must be finite and > 0, found {bad:g}")
    return values


def lam_per_map(lam: Any, maps: Mapping[str, int]) -> np.ndarray:
    """Return lam, however it is given, as one number per map.

    Parameters
    ----------
    lam : float, or one entry per code group, or one number per map
        As `mcsc.Problem` takes it, of any real number type.
    maps : mapping of str to int
        Names of the code groups that exist, in their order, and how many maps each has.

    Returns
    -------
    array (K,)
        In float64.

    Raises
    ------
    TypeError
        It holds other things than numbers.
    ValueError
        A number is not > 0, or their count fits neither the groups nor the maps.
    """
    counts = list(maps.values())
    total = sum(counts)
    if isinstance(lam, str | bool) or lam is None:
        raise InvalidTypeError(f"lam must be a number or numbers, found {lam!r}")
    if isinstance(lam, numbers.Real):
        values = np.full(total, _float(lam))
    elif is_array(lam):
        flat = _numbers(lam)
        if flat.ndim == 0 or (flat.ndim == 1 and flat.size == total):
            values = np.broadcast_to(flat, (total,))
        elif flat.ndim == 1 and flat.size == len(counts):
            values = np.repeat(flat, counts)
        else:
            raise InvalidValueError(_message(tuple(lam.shape), maps))
    elif isinstance(lam, Sequence):
        if len(lam) == total and len(lam) != len(counts):
            return lam_per_map(_numbers(lam), maps)
        if len(lam) != len(counts):
            raise InvalidValueError(_message(len(lam), maps))
        parts = []
        for entry, (name, count) in zip(lam, maps.items(), strict=True):
            part = _numbers(entry)
            if part.ndim > 1 or part.size not in (1, count):
                raise InvalidValueError(
                    f"lam of group {name} has shape {part.shape}: give a number or {count} numbers"
                )
            parts.append(np.broadcast_to(part.reshape(-1), (count,)))
        values = np.concatenate(parts)
    else:
        raise InvalidTypeError(f"lam must be a number or numbers, found {type(lam).__name__}")
    if not np.all(np.isfinite(values)) or np.any(values <= 0):
        bad = values[~(np.isfinite(values) & (values > 0))][0]
        raise InvalidValueError(f"lam must be finite and > 0, found {bad:g}")
    return np.array(values)


def plain_lam(lam: Any, maps: Mapping[str, int]) -> float | list[float]:
    """Return lam in JSON's types, as metadata keep it: a number, one per group, or one per map.

    Parameters and errors are those of `lam_per_map`.
    """
    values = lam_per_map(lam, maps)
    if lam.ndim == 0 if is_array(lam) else isinstance(lam, numbers.Real):
        return float(values[0])
    groups = np.split(values, np.cumsum(list(maps.values()))[:-1])
    if all(np.all(g == g[0]) for g in groups):
        return [float(g[0]) for g in groups]
    return [float(v) for v in values]


def stored_lam(metadata: Mapping[str, Any], maps: Mapping[str, int]) -> float | np.ndarray | None:
    """Return the lam that metadata keep, as `mcsc.solve` takes it; None if they keep none.

    An array, of one per group or one per map, where it is more than one number: whichever it is, it
    can be multiplied.

    Raises
    ------
    TypeError, ValueError
        It is not one of the dictionary's groups.
    """
    found = metadata.get("lam")
    if found is None:
        return None
    plain = plain_lam(found, maps)
    return np.array(plain) if isinstance(plain, list) else plain


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number beyond all floats
        return math.inf if number > 0 else -math.inf


def _numbers(entry: Any) -> np.ndarray:
    check_unmasked("lam", entry)
    try:
        found = to_numpy(entry) if is_array(entry) else np.asarray(entry)
    except ValueError as error:  # lists of unequal lengths
        raise InvalidTypeError(f"lam must hold numbers, found {entry!r}") from error
    if found.dtype.kind not in "fiu":
        raise InvalidTypeError(f"lam must hold numbers, found {entry!r}")
    return found.astype(np.float64)


def _message(found: Any, maps: Mapping[str, int]) -> str:
    names = ", ".join(f"{name} ({n} maps)" for name, n in maps.items())
    return f"lam has {found} entries: give one number, one for each group [{names}], or one per map"
