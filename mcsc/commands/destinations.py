"""Where results go: every place is tried before any work, so that none is lost after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    "output are replaced anyway.)",
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
        everything else is in order.
    inside : mapping of str to names, optional
        Files that will be written into the folder of that option.
    inputs : paths
        Files that are read.
    overwrite : bool
        A file that is read may be replaced.

    Raises
    ------
    OSError, ValueError
        As `mcsc.files.check_writable` and `mcsc.files.make_folder`; two options name one place; or
        a file that is read would be replaced.
    """
    taken: dict[Path, str] = {}
    read = {path.resolve() for path in inputs if path is not None}
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
                f"{option} {path} is one of the files that are read: want another name, or "
                "--overwrite"
            )
    for option, path in wanted:
        if path.parent.is_dir() or not any(path.parent == folder for _, folder in places):
            try:
                check_writable(path)
            except (OSError, InvalidValueError) as error:
                raise type(error)(f"{option} {error}") from error
    for option, path in places:
        try:
            make_folder(path)
        except (OSError, InvalidValueError) as error:
            raise type(error)(f"{option} {error}") from error
