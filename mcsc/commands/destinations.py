"""Where results go: every place is tried before any work, so that none is lost after it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import InvalidValueError
from ..files import check_writable, make_folder

__all__ = ["check_destinations", "overwrite_option"]

F = TypeVar("F", bound=Callable[..., Any])

overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Let the output replace a file that is also an input. (Other files with the name of the "
    "output are replaced anyway. In blocks none is: they want a new name. Of a folder or a table, "
    "scenes whose result exists are skipped.)",
)


def check_destinations(
    files: Mapping[str, Path | None],
    *,
    folders: Mapping[str, Path | None] | None = None,
    inside: Mapping[str, Iterable[str]] | None = None,
    inputs: Iterable[Path | None] = (),
    overwrite: bool = False,
) -> None:
    """Refuse places that could not be written to, or that would be written over by mistake.

    Parameters
    ----------
    files : mapping of str to (path or None)
        Files to write by the options that name them.
    folders : mapping of str to (path or None), optional
        Folders to write to, by the options that name them. They are made, if they are missing, once
        everything else is in order, and taken away when the command ends with nothing in them, as
        it does if the images are refused.
    inside : mapping of str to names, optional
        Files that will be written into the folder of that option.
    inputs : paths
        Files that are read, besides those that the arguments and options of the command at hand
        name: tables, dictionaries, masks.
    overwrite : bool
        A file that is read may be replaced.

    Raises
    ------
    OSError, ValueError
        As `mcsc.files.check_writable` and `mcsc.files.make_folder`; two options name one place; or
        a file that is read would be replaced.
    """
    taken: dict[Path, str] = {}
    named = _named({*files, *(folders or {})})
    read = {path.resolve() for path in (*inputs, *named) if path is not None}
    wanted = [(option, path) for option, path in files.items() if path is not None]
    places = [(option, path) for option, path in (folders or {}).items() if path is not None]
    for option, path in places:
        if path.exists() and not path.is_dir():
            raise InvalidValueError(f"{option} {path} is a file; want a folder")
        wanted += [(option, path / name) for name in (inside or {}).get(option, ())]
    for option, path in [*wanted, *places]:
        place = path.resolve()
        if place in taken:
            raise InvalidValueError(f"{taken[place]} and {option} are both {path}")
        taken[place] = option
        if place in read and not overwrite:
            raise InvalidValueError(
                f"{option} {path} is one of the files that are read: want another name{_else()}"
            )
    for option, path in wanted:
        if path.parent.is_dir() or not any(path.parent == folder for _, folder in places):
            try:
                check_writable(path)
            except (OSError, InvalidValueError) as error:
                raise type(error)(f"{option} {error}") from error
    _remove_if_unused([path for _, path in places])
    for option, path in places:
        try:
            make_folder(path)
        except (OSError, InvalidValueError) as error:
            raise type(error)(f"{option} {error}") from error


def _named(written: set[str]) -> Iterator[Path]:
    """Files that the command at hand is given, but by the options of what it writes."""
    context = click.get_current_context(silent=True)
    for param in [] if context is None else context.command.params:
        value = context.params.get(param.name or "") if context is not None else None
        if value is None or not written.isdisjoint(param.opts):
            continue
        if param.name == "masks":  # words, of which some are names of files
            value = [Path(word) for words in value.values() for word in words]
        for path in value if isinstance(value, list | tuple) else [value]:
            if isinstance(path, Path) and path.is_file():
                yield path


def _else() -> str:
    """What else a user may want, if the command has that option."""
    context = click.get_current_context(silent=True)
    there = context is not None and any(p.name == "overwrite" for p in context.command.params)
    return ", or --overwrite" if there else ""


def _remove_if_unused(folders: Iterable[Path]) -> None:
    """Have folders that are not there yet removed at the end of the command if they are empty."""
    missing = {p for folder in folders for p in (folder, *folder.parents) if not p.exists()}
    context = click.get_current_context(silent=True)
    if context is None or not missing:
        return

    def remove() -> None:
        for folder in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()

    context.call_on_close(remove)
