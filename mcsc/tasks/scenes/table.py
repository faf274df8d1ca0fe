"""Tables of scenes: a CSV file with a line for each, its files in columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from ...errors import InvalidValueError
from ...files import check_readable
from ..task import Task

__all__ = ["TableLine", "scene_table"]

_OUT, _NAME, _TARGET = "out", "scene", "target"


class TableLine(NamedTuple):
    """A scene of a table."""

    number: int
    """Number of the line, counted from 1."""
    name: str
    """What its column ``scene`` says, else the name of its first file without the suffix."""
    inputs: tuple[Path, ...]
    """In the order of the columns, or of the roles of the task."""
    target: Path | None
    """What its column ``target`` says, of a fusion."""
    out: str | None
    """What its column ``out`` says."""


def scene_table(path: Path, task: Task | None) -> list[TableLine]:
    """Read a table of scenes.

    Parameters
    ----------
    path : Path
        A CSV file in UTF-8 whose first line names the columns. ``scene`` is the scene's name,
        ``out`` a result to write, and of a fusion ``target`` the wanted image; each may be missing.
        All other columns are input files, from the folder of the table; their last ones may be
        empty.
    task : Task or None
        Task whose roles the columns may name: two inputs that are called by these, or ``x`` and
        ``guide``, may stand in any order; columns of other names are taken in the order in which
        they stand. None: every column but ``scene`` and ``out`` is an input.

    Raises
    ------
    ValueError
        It is no such table, or a line lacks an entry or has too many.
    """
    check_readable(path, "table")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            lines, columns = [(table.line_num, line) for line in table], table.fieldnames
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(f"{path} is not a table in UTF-8: {error}") from error
    names = [str(name) for name in columns or ()]
    fusion = task is not None and task.kind == "fusion"
    special = {_OUT, _NAME, *([_TARGET] if fusion else [])}
    inputs = [name for name in names if name not in special]
    if not inputs or not lines:
        raise InvalidValueError(
            f"{path}: want a line of column names first, such as x,guide,out, and then one line "
            "per scene"
        )
    if len(set(names)) < len(names):
        raise InvalidValueError(f"{path}: two columns have one name: {', '.join(names)}")
    inputs = _in_order(inputs, task)
    found = []
    for number, line in lines:
        values = [line[name] for name in inputs]
        required = [values[0], *(line[name] for name in (_OUT, _NAME) if name in names)]
        if None in line or None in line.values() or not all(required):
            raise InvalidValueError(f"{path}, line {number}: want {len(names)} entries")
        files = tuple(path.parent / value for value in values if value)
        name = line.get(_NAME) or files[0].stem
        if Path(name).name != name:
            raise InvalidValueError(f"{path}, line {number}: {name!r} is not a name for a scene")
        target = line.get(_TARGET) if fusion else None
        found.append(
            TableLine(
                number, name, files,
                path.parent / target if target else None, line.get(_OUT),
            )
        )  # fmt: skip
    return found


def _in_order(inputs: list[str], task: Task | None) -> list[str]:
    """Put the columns of both roles in their order, by what they are called."""
    if task is None or len(inputs) != 2:
        return inputs
    first, second = ({*names, word} for names, word in zip(task.roles, ("x", "guide"), strict=True))
    swapped = inputs[0] in second and inputs[1] in first
    return inputs[::-1] if swapped else inputs
