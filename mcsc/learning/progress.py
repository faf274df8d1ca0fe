"""A progress bar over batches."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class LearningBar:
    """Shows batches and the objective with rich; nothing is imported unless `shown`."""

    def __init__(self, total: int, done: int, *, shown: bool) -> None:
        self._bar: Any = None
        self._task: Any = None
        if shown:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("learning"),
                BarColumn(),
                TextColumn("batch {task.completed}/{task.total}"),
                TextColumn("objective {task.fields[objective]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, completed=done, objective="-")

    def __enter__(self) -> LearningBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, objective: float) -> None:
        """Show how far it is."""
        if self._bar is not None:
            shown = "-" if objective != objective else f"{objective:.5g}"
            self._bar.update(self._task, completed=done, objective=shown)
