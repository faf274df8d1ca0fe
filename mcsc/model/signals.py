"""What signals and their masks must be: one array for each image, on one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, is_array, namespace, native
from ..checks import check_unmasked
from ..errors import InvalidTypeError, InvalidValueError

__all__ = ["check_filters_fit", "check_masks", "check_signal", "check_signals", "stack_signals"]


def check_filters_fit(
    side: int, shape: Sequence[int], name: str = "the image", *, filters: str = "filters"
) -> None:
    """Refuse an image that is smaller than filters of so many pixels a side.

    Parameters
    ----------
    side : int
    shape : (height, width)
        Size of the image.
    name, filters : str
        What the message calls the image and the filters.

    Raises
    ------
    ValueError
        The image is smaller.
    """
    height, width = shape
    if side > min(height, width):
        raise InvalidValueError(
            f"{filters} are larger than {name}: filters {side}x{side}, image {height}x{width}"
        )


def check_signal(name: str, given: Any) -> Array:
    """Return one signal, given as (H, W), (C, H, W) or (N, C, H, W), as a view (N, C, H, W).

    Raises
    ------
    TypeError
        It is not an array of float32 or float64, or a masked array.
    ValueError
        It has another number of axes, or an empty one.
    """
    if not is_array(given):
        raise InvalidTypeError(
            f"{name} must be a NumPy or CuPy array, found {type(given).__name__}"
        )
    if isinstance(given, np.ma.MaskedArray):
        raise InvalidTypeError(
            f"{name} is a masked array: give its data, and ~numpy.ma.getmaskarray({name}) as its "
            "mask"
        )
    given = native(given)
    xp = namespace(given)
    if given.dtype not in (xp.float32, xp.float64):
        raise InvalidTypeError(
            f"{name} has dtype {given.dtype}: signals are float32 or float64; "
            "mcsc.images.read_image scales integer images to [0, 1]"
        )
    shape = tuple(int(n) for n in given.shape)
    if given.ndim not in (2, 3, 4):
        raise InvalidValueError(
            f"{name} has shape {shape}: a signal is (H, W), (C, H, W) or (N, C, H, W)"
        )
    if 0 in shape:
        raise InvalidValueError(f"{name} is empty: shape {shape}")
    return xp.reshape(given, (1,) * (4 - given.ndim) + shape)


def check_signals(
    signals: Any, channels: Sequence[int] | None = None, *, label: str = "signals"
) -> list[Array]:
    """Return the signals of one scene, each (N, C, H, W), of one library and on one grid.

    Parameters
    ----------
    signals : tuple of M arrays
        As in `mcsc.solve`. Values are not looked at: unknown pixels may hold NaN.
    channels : sequence of M ints, optional
        What a dictionary wants. None: any number of signals with any channels.
    label : str
        What messages call them.

    Raises
    ------
    TypeError, ValueError
        They are something else; the message says what was found and what is wanted.
    """
    if is_array(signals) or isinstance(signals, str) or not isinstance(signals, Sequence):
        raise InvalidTypeError(
            f"{label} must be a tuple of arrays, one for each image, found "
            f"{type(signals).__name__}; for one image write (x,)"
        )
    if channels is not None and len(signals) != len(channels):
        raise InvalidValueError(
            f"the dictionary is for {len(channels)} signals, found {len(signals)}"
        )
    if not signals:
        raise InvalidValueError(f"{label} is empty: give one array for each image")
    arrays = []
    for m, given in enumerate(signals):
        x = check_signal(f"{label}[{m}]", given)
        if channels is not None and x.shape[1] != channels[m]:
            shape = tuple(int(n) for n in given.shape)
            hint = ""
            if len(shape) == 3 and shape[2] == channels[m]:
                hint = "; axes are (C, H, W): move the channels to the front"
            raise InvalidValueError(
                f"{label}[{m}] has shape {shape}, so {int(x.shape[1])} channels; the dictionary's "
                f"filters of that signal have {channels[m]}{hint}"
            )
        arrays.append(x)
    namespace(*arrays)
    for m, x in enumerate(arrays[1:], start=1):
        if x.shape[2:] != arrays[0].shape[2:] or x.shape[0] != arrays[0].shape[0]:
            raise InvalidValueError(
                f"{label} lie on different grids: {label}[0] has shape "
                f"{tuple(signals[0].shape)}, {label}[{m}] has shape {tuple(signals[m].shape)}"
            )
    return arrays


def check_masks(
    masks: Any, signals: Sequence[Array], *, label: str = "masks"
) -> list[Array | None] | None:
    """Return the weights of one scene, each None or an array (n, c, H, W) in the signals' dtype.

    Parameters
    ----------
    masks : tuple of M (array or None), or None
        As in `mcsc.solve`: (H, W), or with the signal's own axes, of which n and c may be one.
    signals : sequence of M arrays (N, C, H, W)
        What they belong to.
    label : str
        What messages call them.

    Raises
    ------
    TypeError, ValueError
        They are something else, or weights are negative, not finite, or integers other than 0, 1.
    """
    if masks is None:
        return None
    if is_array(masks) or not isinstance(masks, Sequence):
        raise InvalidTypeError(
            f"{label} must be a tuple with an array or None for each signal, found "
            f"{type(masks).__name__}"
        )
    if len(masks) != len(signals):
        raise InvalidValueError(f"found {len(masks)} {label} for {len(signals)} signals")
    dtype = namespace(*signals).result_type(*signals)
    return [
        None if mask is None else _check_mask(f"{label}[{m}]", mask, x, dtype)
        for m, (mask, x) in enumerate(zip(masks, signals, strict=True))
    ]


def _check_mask(name: str, mask: Any, x: Array, dtype: Any) -> Array:
    if not is_array(mask):
        raise InvalidTypeError(f"{name} must be an array, found {type(mask).__name__}")
    check_unmasked(name, mask)
    mask = native(mask)
    xp = namespace(mask, x)
    if not xp.isdtype(mask.dtype, ("bool", "integral", "real floating")):
        raise InvalidTypeError(f"{name} has dtype {mask.dtype}: weights are real numbers")
    shape = tuple(int(n) for n in mask.shape)
    full = (1,) * (4 - len(shape)) + shape
    fits = len(shape) in (2, 3, 4) and all(
        a in (1, int(b)) for a, b in zip(full[:2], x.shape[:2], strict=True)
    )
    if not fits or full[2:] != tuple(x.shape[2:]):
        raise InvalidValueError(
            f"{name} has shape {shape}, its signal has shape {tuple(x.shape)}: a mask is "
            "(H, W) or has the signal's shape"
        )
    if xp.isdtype(mask.dtype, "integral") and bool(xp.any((mask != 0) & (mask != 1))):
        raise InvalidValueError(
            f"{name} holds integers other than 0 and 1: weights are not scaled; for a mask "
            "image write mask > 0"
        )
    with np.errstate(over="ignore"):  # what overflows is refused below
        weight = xp.astype(xp.reshape(mask, full), dtype)
    finite = not xp.isdtype(mask.dtype, "real floating") or bool(xp.all(xp.isfinite(mask)))
    if not finite or bool(xp.any(weight < 0)):
        raise InvalidValueError(f"{name} must be finite weights >= 0")
    most = math.sqrt(float(xp.finfo(dtype).max))
    if bool(xp.any(weight > most)):
        raise InvalidValueError(
            f"{name} holds weights above {most:.2g}, whose squares {dtype} cannot hold"
        )
    return weight


def stack_signals(
    signals: Sequence[Array],
    masks: Sequence[Array | None] | None,
    factors: Sequence[float] | None,
    dtype: Any,
) -> tuple[Array, Array | None]:
    """Return signals and weights stacked along channels, (N, C, H, W).

    Parameters
    ----------
    signals, masks : sequence of M arrays
        As `check_signals` and `check_masks` return them.
    factors : sequence of M floats, optional
        What each signal is multiplied by.
    dtype : dtype
        Type of both results.

    Returns
    -------
    stacked : array
        Zero where the weight is zero.
    weights : array or None
        None where all are one.

    Raises
    ------
    ValueError
        A signal holds NaN or Inf where its weight is not zero, or values so large that the sum of
        their squares overflows.
    """
    xp = namespace(*signals)
    n, _, h, w = signals[0].shape
    shape = (n, sum(x.shape[1] for x in signals), h, w)
    stacked = xp.empty(shape, dtype=dtype)
    weights = None
    if masks is not None and any(mask is not None for mask in masks):
        weights = xp.ones(shape, dtype=dtype)
    first = 0
    for m, x in enumerate(signals):
        part = (slice(None), slice(first, first + x.shape[1]), slice(None), slice(None))
        first += x.shape[1]
        mask = None if masks is None else masks[m]
        if mask is not None:
            assert weights is not None
            weights[part] = xp.broadcast_to(xp.astype(mask, dtype), x.shape)
            x = xp.where(mask > 0, x, xp.zeros((), dtype=x.dtype))
        if not bool(xp.all(xp.isfinite(x))):
            raise InvalidValueError(
                f"signals[{m}] holds NaN or Inf: replace them, or give masks with 0 there"
            )
        x = xp.astype(x, dtype)
        with np.errstate(over="ignore"):  # what overflows is refused
            if factors is not None:
                x = x * xp.asarray(factors[m], dtype=dtype)
            known = x if mask is None else x * xp.astype(mask, dtype)
        largest = float(xp.max(xp.abs(known)))
        if largest > math.sqrt(float(xp.finfo(dtype).max) / math.prod(shape)):
            raise InvalidValueError(
                f"signals[{m}] holds values up to {largest:.2g}, times their weights: {dtype} "
                "cannot hold the sum of their squares; scale the signals"
            )
        stacked[part] = x
    return stacked, weights
