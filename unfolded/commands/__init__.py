"""`mcsc train` and `mcsc export`, which this package adds to the command line of `mcsc`."""

from __future__ import annotations

from .export_command import export
from .train_command import train

__all__ = ["export", "train"]
