"""Progress bars on standard error; nothing is imported or printed unless one is shown."""

from __future__ import annotations

import math
import os
import threading
from types import TracebackType
from typing import Any, Self, TextIO

__all__ = ["GapBar", "ProgressBar", "is_terminal"]


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; one that was closed before the program began is None."""
    return stream is not None and not stream.closed and stream.isatty()


class _Display:
    """What all bars of the process are lines of: rich allows one live display at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars = 0
        self._rich: Any = None

    def add(self, title: str, total: float | None) -> Any:
        """Show a new line."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._rich is None:
                self._rich = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TextColumn("{task.fields[state]}"),
                    TimeElapsedColumn(),
                    console=Console(stderr=True),
                    transient=True,
                )
                self._rich.start()
            self._bars += 1
            return self._rich.add_task(title, total=total, state="")

    def update(self, line: Any, **changes: Any) -> None:
        """Show another state of a line."""
        self._rich.update(line, **changes)

    def remove(self, line: Any) -> None:
        """Take a line away; the display goes with the last one."""
        with self._lock:
            self._bars -= 1
            if self._bars:
                self._rich.remove_task(line)
            else:
                self._rich.stop()
                self._rich = None


_display = _Display()


def _after_fork_in_child() -> None:
    global _display
    _display = _Display()  # the thread that draws the parent's is not there


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ProgressBar:
    """A bar of what is done of a total, for a ``with`` statement; bars within bars are more lines.

    Parameters
    ----------
    title : str
        What is being done.
    total : float, optional
        How much there is to do; None: not known yet.
    counted : bool
        Show the numbers beside the bar.
    shown : bool
        False: do nothing at all.

    Examples
    --------
    >>> from mcsc.progress import ProgressBar
    >>> with ProgressBar("scenes", total=3, shown=False) as bar:
    ...     for scene in ("cones", "teddy", "dolls"):
    ...         bar.advance(scene)
    """

    def __init__(
        self, title: str, total: float | None = None, *, counted: bool = True, shown: bool
    ) -> None:
        self._title = title
        self._total = total
        self._counted = counted
        self._shown = shown
        self._done: float = 0
        self._line: Any = None

    def __enter__(self) -> Self:
        if self._shown:
            self._display = _display
            self._line = self._display.add(self._title, self._total)
            self.update(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._line is not None:
            self._display.remove(self._line)
            self._line = None

    def update(
        self, done: float, note: str = "", *, total: float | None = None, title: str | None = None
    ) -> None:
        """Show how far it is, with a note; a new total or title stays."""
        self._done = done
        self._total = self._total if total is None else total
        self._title = self._title if title is None else title
        if self._line is None:
            return
        if self._counted:
            count = f"{done:g}" if self._total is None else f"{done:g}/{self._total:g}"
            note = f"{count}  {note}" if note else count
        self._display.update(
            self._line, completed=done, total=self._total, description=self._title, state=note
        )

    def advance(self, note: str = "") -> None:
        """Show that one more is done."""
        self.update(self._done + 1, note)


class GapBar(ProgressBar):
    """A bar of a solver's gap on its way to `tol`, on a logarithmic scale."""

    def __init__(self, title: str, tol: float, *, shown: bool) -> None:
        super().__init__(title, 1.0, counted=False, shown=shown)
        self._tol = tol
        self._first: float | None = None

    def show(self, gap: float, iteration: int) -> None:
        """Show a new gap."""
        if self._first is None and 0 < gap < math.inf:
            self._first = max(gap, self._tol)
        done = 1.0 if gap <= self._tol else 0.0
        if self._first is not None and self._tol < gap < math.inf:
            span = math.log(self._first / self._tol)
            done = math.log(self._first / gap) / span if span > 0 else 0.0
        self.update(max(done, 0.0), f"gap {gap:.1e} -> {self._tol:.0e}, iteration {iteration}")
