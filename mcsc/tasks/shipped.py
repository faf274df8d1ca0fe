"""Dictionaries that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from ..errors import InvalidValueError
from ..model.dictionary import Dictionary

__all__ = ["available", "load_pretrained"]

_FOLDER = "dictionaries"


def available() -> list[str]:
    """Names of the dictionaries there are: those of tasks."""
    folder = files("mcsc").joinpath(_FOLDER)
    return sorted(p.name.removesuffix(".npz") for p in folder.iterdir() if p.name.endswith(".npz"))


def load_pretrained(name: str) -> Dictionary:
    """Load a dictionary that comes with the package.

    Parameters
    ----------
    name : str
        Of a task, as ``"depth-sr"``.

    Returns
    -------
    Dictionary
        Its metadata say how it was learned and how it is used.

    Raises
    ------
    ValueError
        There is none of this name; the message lists those there are.
    """
    if name not in available():
        raise InvalidValueError(
            f"no dictionary {name!r} comes with the package; there are {', '.join(available())}"
        )
    with as_file(files("mcsc").joinpath(_FOLDER, f"{name}.npz")) as path:
        return Dictionary.load(path)
