"""A progress bar on the logarithm of the gap."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any


class ProgressBar:
    """Shows gap and iteration with rich; nothing is imported or printed unless `shown`."""

    def __init__(self, name: str, tol: float, *, shown: bool) -> None:
        self._name = name
        self._tol = tol
        self._shown = shown
        self._bar: Any = None
        self._task: Any = None
        self._first: float | None = None

    def __enter__(self) -> ProgressBar:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("gap {task.fields[gap]} -> {task.fields[tol]}"),
                TextColumn("iteration {task.fields[iteration]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self._name, total=1.0, gap="-", tol=f"{self._tol:.0e}", iteration=0
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, gap: float, iteration: int) -> None:
        """Show a new gap."""
        if self._bar is None:
            return
        if self._first is None and gap > 0:
            self._first = max(gap, self._tol)
        done = 1.0
        if self._first is not None and gap > self._tol:
            span = math.log(self._first / self._tol)
            done = math.log(self._first / gap) / span if span > 0 else 0.0
        self._bar.update(
            self._task, completed=max(done, 0.0), gap=f"{gap:.1e}", iteration=iteration
        )
