"""Extras that a command cannot do without."""

from __future__ import annotations

from importlib.util import find_spec

from mcsc.errors import MissingExtraError


def need(*packages: str, extra: str) -> None:
    """Refuse to begin without packages of an extra."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        listed = ", ".join(missing[:-1])
        words = f"{listed} and {missing[-1]} are" if listed else f"{missing[0]} is"
        raise MissingExtraError(
            f"{words} not installed: pip install 'mcsc[{extra}]'", name=missing[0]
        )
