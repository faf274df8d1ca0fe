"""Tables of scenes: a CSV file with a line for each, its files in columns."""

from __future__ import annotations

import csv
import io
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
        A CSV file in UTF-8 whose first line names the columns, in capitals or not, separated by
        commas or, as some spreadsheets write them, semicolons or tabs. ``scene`` is the scene's
        name, ``out`` a result to write, and of a fusion ``target`` the wanted image; each may be
        missing. All other columns are input files, from the folder of the table; their last ones
        may be empty. Spaces around entries and empty lines do not count.
    task : Task or None
        Task whose roles the columns may name: two inputs that are called by these, or ``x`` and
        ``guide``, may stand in any order; columns of other names are taken in the order in which
        they stand. None: every column but ``scene`` and ``out`` is an input.

    Raises
    ------
    ValueError
        It is no such table, a line lacks an entry or has too many, or a restoration has other
        inputs than two.
    """
    check_readable(path, "table")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{path} is not a table in UTF-8: {error}") from error
    if "\0" in text:
        raise InvalidValueError(f"{path} is not a table in UTF-8: it holds a zero byte")
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
        read = [(rows.line_num, [entry.strip() for entry in row]) for row in rows]
    except csv.Error as error:
        raise InvalidValueError(f"{path} is not a table: {error}") from error
    filled = [(number, row) for number, row in read if any(row)]
    fusion = task is not None and task.kind == "fusion"
    special = {_OUT, _NAME, *([_TARGET] if fusion else [])}
    names = [_known(name, task, special) for name in filled[0][1]] if filled else []
    while names and not names[-1]:  # of commas at the ends of lines
        names.pop()
    inputs = [name for name in names if name not in special]
    if not inputs or len(filled) < 2:
        raise InvalidValueError(
            f"{path}: want a line of column names first, such as x,guide,out, and then one line "
            "per scene"
        )
    if len(set(names)) < len(names):
        raise InvalidValueError(f"{path}: two columns have one name: {', '.join(names)}")
    if task is not None and not fusion and len(inputs) != 2:
        raise InvalidValueError(
            f"{path} has the columns {', '.join(map(repr, names))}: want x and guide, the two "
            f"images of {task.name}, and no others but {_NAME} and {_OUT}"
        )
    inputs = _in_order(inputs, task)
    found = []
    for number, row in filled[1:]:
        if not any(row[len(names) :]):
            row = row[: len(names)]
        line = dict(zip(names, row, strict=False))
        values = [line.get(name, "") for name in inputs]
        required = [values[0], *(line.get(name) for name in (_OUT, _NAME) if name in names)]
        if len(row) != len(names) or not all(required):
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


def _separator(text: str) -> str:
    """What stands between the columns that the first line names."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return next((mark for mark in ",;\t" if mark in first), ",")


def _known(name: str, task: Task | None, special: set[str]) -> str:
    """A name of a column as it is called here, whatever its capitals."""
    known = {*special, "x", "guide", *(r for roles in (task.roles if task else ()) for r in roles)}
    return name.lower() if name.lower() in known else name


def _in_order(inputs: list[str], task: Task | None) -> list[str]:
    """Put the columns of both roles in their order, by what they are called."""
    if task is None or len(inputs) != 2:
        return inputs
    first, second = ({*names, word} for names, word in zip(task.roles, ("x", "guide"), strict=True))
    swapped = inputs[0] in second and inputs[1] in first
    return inputs[::-1] if swapped else inputs
