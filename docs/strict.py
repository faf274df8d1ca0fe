"""What the scripts of the gallery run under, besides Sphinx's own settings."""

from __future__ import annotations

import warnings


def refuse_warnings(settings: object, script: object) -> None:
    """Make a warning that a line of a script leads to an error: Sphinx's `-W` knows of no such."""
    warnings.filterwarnings("error", module="__main__")
