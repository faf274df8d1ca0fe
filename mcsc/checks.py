"""What is asked of arguments in more than one room: numbers, arrays, images."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from .errors import InvalidTypeError, InvalidValueError
from .types import Floats

__all__ = [
    "check_callback",
    "check_called",
    "check_choice",
    "check_count",
    "check_flags",
    "check_floats",
    "check_image",
    "check_made",
    "check_number",
    "check_shares",
    "check_source",
    "check_sources",
    "check_tol",
    "check_unmasked",
    "check_whole",
    "check_word",
    "is_number",
    "is_whole",
    "made_number",
    "nowhere_known",
    "what_is",
]

_LONGEST = 80
"""Characters of a value that a message shows; longer ones are called by their kind."""


def is_whole(given: Any) -> bool:
    """Whether something is a whole number, Python's or NumPy's; True and False are none."""
    return isinstance(given, numbers.Integral) and not isinstance(given, bool)


def is_number(given: Any) -> bool:
    """Whether something is a finite real number, Python's or NumPy's; True and False are none."""
    if not isinstance(given, numbers.Real) or isinstance(given, bool):
        return False
    try:
        return math.isfinite(given)
    except OverflowError:  # a whole number beyond all floats
        return False


def nowhere_known(known: Any) -> str | None:
    """Say in which bands of (C, H, W) nothing is known, for messages; None: there is no such band.

    Parameters
    ----------
    known : array, shape (..., H, W)
        Where something is known.
    """
    there = known.any(axis=(-2, -1)).reshape(-1)
    if there.all():
        return None
    numbers = [str(number + 1) for number in np.flatnonzero(~there)]
    if len(numbers) == len(there):
        return "everywhere"
    return f"everywhere in band{'s' * (len(numbers) > 1)} {', '.join(numbers)} of {len(there)}"


def what_is(given: Any) -> str:
    """Say, for messages, what was found where something else is wanted."""
    if getattr(given, "shape", None) is not None and hasattr(given, "dtype"):
        return f"an array of shape {tuple(given.shape)} and dtype {given.dtype}"
    if isinstance(given, type):
        return f"the class {given.__name__}"
    if callable(given) and isinstance(getattr(given, "__name__", None), str):
        return f"the function {given.__name__}"
    words = repr(given)
    plain = len(words) <= _LONGEST and "\n" not in words and " object at 0x" not in words
    return words if plain else f"an object of type {type(given).__name__}"


def check_whole(name: str, given: Any, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number from `least` to `most` as an int."""
    if is_whole(given) and given >= least and (most is None or given <= most):
        return int(given)
    wanted = f">= {least}" if most is None else f"from {least} to {most}"
    raise InvalidValueError(f"{name} must be a whole number {wanted}, found {given!r}")


def check_word(name: str, given: Any) -> None:
    """Refuse what is no text, and an empty one."""
    if not isinstance(given, str) or not given:
        raise InvalidTypeError(f"{name} must be a word, found {given!r}")


def check_flags(of: str, **given: Any) -> None:
    """Refuse what is neither True nor False."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise InvalidTypeError(f"{name} of {of} must be True or False, found {value!r}")


def check_number(name: str, given: Any, *, zero: bool = False) -> float:
    """Return a finite positive number (with ``zero``: or 0) as a float."""
    if is_number(given) and (given > 0 or (zero and given == 0)):
        return float(given)
    raise InvalidValueError(
        f"{name} must be a finite number {'>=' if zero else '>'} 0, found {given!r}"
    )


def check_callback(given: Any) -> None:
    """Refuse what cannot be called; None is no callback."""
    if given is not None and not callable(given):
        raise InvalidTypeError(f"callback must be callable, found {type(given).__name__}")


def check_called(
    name: str, given: Any, arguments: Sequence[str], keywords: Sequence[str] = ()
) -> None:
    """Refuse what cannot be called with so many arguments, and these keywords.

    What a function makes of them is seen when it is called: one of other arguments would fail
    there, after all other work.
    """
    wanted = f"a function of {', '.join([*arguments, *(f'{word}=' for word in keywords)])}"
    if not callable(given):
        raise InvalidTypeError(f"{name} must be {wanted}; found {what_is(given)}")
    try:
        # One that wraps another takes what it takes, not what the other does.
        signature = inspect.signature(given, follow_wrapped=False)
    except (TypeError, ValueError):  # compiled functions may not tell
        return
    try:
        signature.bind(*arguments, **dict.fromkeys(keywords))
    except TypeError as error:
        raise InvalidTypeError(
            f"{name} must be {wanted}; {what_is(given)} has the arguments {signature}: {error}"
        ) from None


def check_tol(given: Any) -> float:
    """Return a relative gap to stop at as a float: a number above 0 and below 1.

    The relative gap of codes that are all zero is at most 1: any larger tol would call them solved.
    """
    if is_number(given) and 0 < given < 1:
        return float(given)
    raise InvalidValueError(f"tol must be a finite number > 0 and < 1, found {given!r}")


def check_choice(name: str, given: Any, literal: Any) -> None:
    """Refuse what is none of the words of a `Literal`, such as `mcsc.types.Boundary`."""
    words = get_args(literal)
    if not (isinstance(given, str) and given in words):
        *others, last = map(repr, words)
        raise InvalidValueError(f"{name} must be {', '.join(others)} or {last}, found {given!r}")


def check_unmasked(name: str, given: Any) -> None:
    """Refuse a masked array of NumPy: what knows no masks would work on what lies under them."""
    if isinstance(given, np.ma.MaskedArray):
        raise InvalidTypeError(
            f"{name} is a masked array, whose mask would be lost here; want a plain array, as its "
            "filled() gives, and the mask where there is an argument for it"
        )


def check_floats(name: str, given: Any) -> None:
    """Refuse what is not a NumPy array of floats, and one whose mask would be lost."""
    check_unmasked(name, given)
    if not (isinstance(given, np.ndarray) and np.issubdtype(given.dtype, np.floating)):
        found = getattr(given, "dtype", type(given).__name__)
        raise InvalidTypeError(f"{name} must be a NumPy array of floats, found {found}")


def made_number(whose: str, what: str, given: Any) -> float:
    """Return what a function of somebody else returned as a float: a number, of any library.

    Raises
    ------
    TypeError
        It is none: the message begins with `whose`.
    """
    if not isinstance(given, str | bytes):
        try:
            return float(given)
        except (TypeError, ValueError):
            pass
    raise InvalidTypeError(f"{whose} must return {what}; found {what_is(given)}")


def check_made(whose: str, what: str, given: Any, shape: Sequence[int | None]) -> None:
    """Refuse what a function of somebody else returned, if it is no such image or plane.

    Parameters
    ----------
    whose : str
        What messages call the function: "the method sharper".
    what : str
        What it should have returned: "the image".
    given : object
        What it returned.
    shape : sequence of (int or None)
        The shape that is wanted; None: any length of that axis, of channels.
    """
    wanted = f"({', '.join('C' if n is None else str(n) for n in shape)})"
    array = isinstance(given, np.ndarray) and given.dtype.kind == "f"
    if not array or isinstance(given, np.ma.MaskedArray):
        masked = "a masked array" if isinstance(given, np.ma.MaskedArray) else what_is(given)
        raise InvalidTypeError(
            f"{whose} must return {what} as a NumPy array of floats of shape {wanted}; found "
            f"{masked}"
        )
    fits = [n is None or n == m for n, m in zip(shape, given.shape, strict=False)]
    if given.ndim != len(shape) or not all(fits) or 0 in given.shape:
        raise InvalidValueError(f"{whose} returned {what} of shape {given.shape}; want {wanted}")
    wrong = int((~np.isfinite(given)).sum())
    if wrong:
        raise InvalidValueError(f"{whose} returned {what} with NaN or Inf ({wrong} values)")


def check_shares(whose: str, weights: Any, index: Any, shape: tuple[int, int, int]) -> None:
    """Refuse weights and an index that are none of so many sources, (M, H, W); None is none.

    Raises
    ------
    TypeError, ValueError
        The message begins with `whose`.
    """
    if weights is not None:
        check_made(whose, "the weights", weights, shape)
    if index is None:
        return
    if not isinstance(index, np.ndarray) or index.dtype.kind not in "iu":
        raise InvalidTypeError(
            f"{whose} must return the index as a NumPy array of integers; found {what_is(index)}"
        )
    if index.shape != shape[1:]:
        raise InvalidValueError(
            f"{whose} returned an index of shape {index.shape}; want {shape[1:]}"
        )
    if index.min() < 0 or index.max() >= shape[0]:
        raise InvalidValueError(
            f"{whose} returned an index from {index.min()} to {index.max()}; there are "
            f"{shape[0]} sources, counted from 0"
        )


def check_image(name: str, image: Any, *, channels: tuple[int, ...] | None = None) -> None:
    """Refuse what is not a finite, non-empty array of floats of shape (H, W) or (C, H, W).

    With `channels`, C must be one of these; (H, W) has one.
    """
    check_floats(name, image)
    if image.ndim not in (2, 3) or image.size == 0:
        raise InvalidValueError(
            f"{name} has shape {image.shape}; want (H, W) or (C, H, W), not empty"
        )
    if channels is not None and (image.shape[0] if image.ndim == 3 else 1) not in channels:
        raise InvalidValueError(
            f"{name} has shape {image.shape}; want {' or '.join(map(str, channels))} channels: "
            "pick one band"
        )
    if not np.isfinite(image).all():
        raise InvalidValueError(f"{name} holds NaN or Inf; fill or mask the unknown pixels first")


def check_sources(
    sources: Any, *, least: int = 2, alike: bool = True, channels: tuple[int, ...] | None = None
) -> list[Floats]:
    """Return the source images as a list; refuse too few, and ones that do not fit together.

    They must be of one shape, or with ``alike=False`` of one height and width; `channels` as in
    :func:`check_image`.
    """
    check_count(sources, least=least)
    for index, image in enumerate(sources):
        check_source(index, image, sources[0].shape, alike=alike, channels=channels)
    return list(sources)


def check_count(sources: Any, *, least: int = 2) -> None:
    """Refuse what is no sequence of images, and too few of them."""
    if isinstance(sources, np.ndarray) or not isinstance(sources, Sequence):
        found = getattr(sources, "shape", None)
        what = type(sources).__name__ if found is None else f"one array of shape {found}"
        raise InvalidTypeError(f"sources must be a tuple or list of images, found {what}")
    if len(sources) < least:
        raise InvalidValueError(f"sources holds {len(sources)} images; want at least {least}")


def check_source(
    index: int,
    image: Any,
    first: tuple[int, ...] | None = None,
    *,
    alike: bool = True,
    channels: tuple[int, ...] | None = None,
) -> None:
    """Refuse a source image that is none, or not of the shape of the `first`.

    `alike` and `channels` as in :func:`check_sources`.
    """
    check_image(f"sources[{index}]", image, channels=channels)
    found, wanted = image.shape, image.shape if first is None else first
    if not alike:
        found, wanted = found[-2:], wanted[-2:]
    if found != wanted:
        raise InvalidValueError(
            f"sources[{index}] has shape {image.shape}, sources[0] {first}; "
            f"want one {'shape' if alike else 'height and width'}"
        )
