"""Endings of the names of image files: what folders are searched for, and what can be written."""

from __future__ import annotations

__all__ = ["DTYPES", "MANY_BANDS", "PICTURES", "READABLE", "WRITABLE"]

WRITABLE = {
    ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG", ".pfm": "PFM",
    ".exr": "OpenEXR", ".npy": "NPY",
}  # fmt: skip
"""Format by the ending of a name that is to be written."""
MANY_BANDS = (".tif", ".tiff", ".npy")
"""Those of them that hold any number of channels."""
PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")
"""What holds photographs, whose values are shares of white."""
READABLE = (*PICTURES, ".pfm", ".exr", ".npy")
"""What counts as an image in a folder; a file that is named is read whatever its ending is."""
DTYPES = {
    "PNG": ("uint8", "uint16"),
    "JPEG": ("uint8",),
    "TIFF": ("uint8", "uint16", "int16", "float32"),
    "PFM": ("float32",),
    "OpenEXR": ("float32",),
    "NPY": ("uint8", "uint16", "int16", "float32"),
}
"""Samples that each format holds, of those that are written."""
