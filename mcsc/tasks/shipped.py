"""Dictionaries of files, and those that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from os import PathLike, fspath
from typing import Any

from ..errors import InvalidTypeError, InvalidValueError
from ..model.dictionary import Dictionary

__all__ = ["opened_dictionary", "shipped_dictionaries", "shipped_dictionary"]

_FOLDER = "dictionaries"


def shipped_dictionaries() -> list[str]:
    """Return the names of the dictionaries that come with the package, each the name of a task."""
    folder = files("mcsc").joinpath(_FOLDER)
    return sorted(p.name.removesuffix(".npz") for p in folder.iterdir() if p.name.endswith(".npz"))


def shipped_dictionary(name: str) -> Dictionary:
    """Load a dictionary that comes with the package.

    Parameters
    ----------
    name : str
        Name of a task, such as ``"depth-sr"``.

    Returns
    -------
    Dictionary
        Its metadata say how it was learned and how it is used.

    Raises
    ------
    ValueError
        There is no dictionary of this name; the message lists the names there are.
    """
    if name not in shipped_dictionaries():
        raise InvalidValueError(
            f"no dictionary {name!r} comes with the package; there are "
            f"{', '.join(shipped_dictionaries())}; mcsc learn makes one from scenes"
        )
    with as_file(files("mcsc").joinpath(_FOLDER, f"{name}.npz")) as path:
        return Dictionary.load(path)


def opened_dictionary(given: Any) -> Dictionary:
    """Return a dictionary, or that of a file.

    Raises
    ------
    TypeError
        It is neither a Dictionary nor a path.
    FileNotFoundError, ValueError
        As `Dictionary.load`.
    """
    if isinstance(given, Dictionary):
        return given
    if not isinstance(given, str | PathLike):
        raise InvalidTypeError(
            f"dictionary must be a Dictionary or a path, found {type(given).__name__}"
        )
    return Dictionary.load(fspath(given))
