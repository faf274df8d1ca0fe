"""Values and holes of images: the way to the model's [0, 1] and back, and what is unknown.

Everything that takes images of people goes through here, so that a unit, a dtype, a mask mean the
same to every function and command.
"""

from __future__ import annotations

from .ranges import ValueRange

__all__ = ["ValueRange"]
