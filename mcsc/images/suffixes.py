"""Endings of the names of image files: what folders are searched for, and what can be written."""

from __future__ import annotations

__all__ = ["MANY_BANDS", "READABLE", "WRITABLE"]

WRITABLE = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Format by the ending of a name that is to be written."""
MANY_BANDS = (".tif", ".tiff")
"""Those of them that hold any number of channels."""
READABLE = (*WRITABLE, ".bmp")
"""What counts as an image in a folder; a file that is named is read whatever its ending is."""
