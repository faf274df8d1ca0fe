"""Errors that a user can cause, and warnings that name the line of the user.

Everything that mcsc and unfolded refuse is a `Refusal` besides what Python's users expect (a
ValueError, a TypeError, ...). The command line shows refusals as one line and leaves with status
2; any other exception is a bug, and keeps its traceback.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = [
    "InvalidTypeError",
    "InvalidValueError",
    "MissingExtraError",
    "OutOfMemoryError",
    "Refusal",
    "UnavailableError",
]

_PACKAGES = ("mcsc", "unfolded")


class Refusal(Exception):
    """Base class: what the caller asked for cannot be done; the message says why."""


class InvalidValueError(Refusal, ValueError):
    """An argument has a value, a shape or a size that does not fit."""


class InvalidTypeError(Refusal, TypeError):
    """An argument has a type or a dtype that does not fit."""


class OutOfMemoryError(Refusal, MemoryError):
    """The computation needs more memory than is free."""


class UnavailableError(Refusal, RuntimeError):
    """A device, a driver or a kernel that was asked for is not there."""


class MissingExtraError(Refusal, ModuleNotFoundError):
    """An optional package is not installed; the message names the extra that brings it."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Put a name, such as a file's, before the message of a value or type that is refused."""
    try:
        yield
    except (InvalidValueError, InvalidTypeError) as error:
        raise type(error)(f"{what}: {error}") from error


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something, naming the line outside of these packages that led to it.

    Parameters
    ----------
    message : str
    category : type of Warning
    """
    level = 2
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of these packages."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _PACKAGES
