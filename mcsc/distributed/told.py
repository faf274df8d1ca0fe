"""What a task says, kept apart from what others say at the same time in threads of their own.

`contextlib.redirect_stdout` and `warnings.catch_warnings` are for a whole process; workers of Dask
have several threads unless they are told otherwise.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["telling"]

_said: ContextVar[list[str] | None] = ContextVar("said", default=None)
"""Warnings of the task of this thread; None: it does none."""


@contextmanager
def telling() -> Iterator[list[str]]:
    """Collect the warnings of what this thread does; it speaks to no terminal meanwhile.

    Standard output is dropped. Standard error is none of a terminal, so that no bars are drawn.

    Yields
    ------
    list of str
        Messages of `UserWarning` and its kinds, each once.
    """
    said: list[str] = []
    token = _said.set(said)
    _process.enter()
    try:
        yield said
    finally:
        _process.leave()
        _said.reset(token)


class _Stream:
    """Standard output or error, but for threads that are told apart."""

    def __init__(self, stream: Any, *, dropped: bool) -> None:
        self._stream, self._dropped = stream, dropped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self._dropped and _said.get() is not None:
            return len(text)
        return int(self._stream.write(text))

    def isatty(self) -> bool:
        return _said.get() is None and bool(self._stream.isatty())


class _Process:
    """What is changed in the process as long as a task runs in any of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks = 0
        self._streams: list[tuple[str, Any, Any]] = []
        self._caught: Any = None

    def enter(self) -> None:
        with self._lock:
            self._tasks += 1
            if self._tasks > 1:
                return
            self._caught = warnings.catch_warnings()
            self._caught.__enter__()
            warnings.simplefilter("always", UserWarning)
            shown = warnings.showwarning

            def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
                said = _said.get()
                if said is None:
                    shown(message, category, *where, **more)
                elif issubclass(category, UserWarning) and str(message) not in said:
                    said.append(str(message))

            warnings.showwarning = show
            for name, dropped in (("stdout", True), ("stderr", False)):
                stream = getattr(sys, name)
                if stream is not None:
                    replaced = _Stream(stream, dropped=dropped)
                    self._streams.append((name, stream, replaced))
                    setattr(sys, name, replaced)

    def leave(self) -> None:
        with self._lock:
            self._tasks -= 1
            if self._tasks:
                return
            self._caught.__exit__(None, None, None)
            while self._streams:
                name, stream, replaced = self._streams.pop()
                # Whoever put another one in its place puts back what was there.
                if getattr(sys, name) is replaced:
                    setattr(sys, name, stream)


_process = _Process()
