"""Extras that a command cannot do without."""

from __future__ import annotations

from importlib.util import find_spec

from mcsc.errors import MissingExtraError


def need(*packages: str, extra: str) -> None:
    """Refuse to begin without packages of an extra."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{' and '.join(missing)} not installed: pip install 'mcsc[{extra}]'", name=missing[0]
        )
