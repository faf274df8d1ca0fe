"""Errors that a user can cause: bad input, a missing device or package, too little memory.

Everything that mcsc and unfolded refuse is a `Refusal` besides what Python's users expect (a
ValueError, a TypeError, ...). The command line shows refusals as one line and leaves with status
2; any other exception is a bug, and keeps its traceback.
"""

from __future__ import annotations

__all__ = [
    "InvalidTypeError",
    "InvalidValueError",
    "MissingExtraError",
    "OutOfMemoryError",
    "Refusal",
    "UnavailableError",
]


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
