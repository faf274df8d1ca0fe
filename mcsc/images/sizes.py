"""How large an image is, by what its first bytes say: to estimate memory before any is taken."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BYTES_OF_A_PIXEL", "pixels_of"]

BYTES_OF_A_PIXEL = 100
"""About what a pixel of a scene takes where it is read, split, registered and put together."""


def pixels_of(path: Path) -> int:
    """Return the number of pixels of an image in a file; 0 if its first bytes say nothing."""
    from PIL import Image

    if not path.is_file():  # a pipe, say, is refused where it is read
        return 0
    try:
        with Image.open(path) as image:
            return int(image.width * image.height)
    except Exception:  # a damaged file is refused where it is read
        return _pixels_of_tiff(path)


def _pixels_of_tiff(path: Path) -> int:
    """The same number for a TIFF file of samples of any kind; Pillow knows only some kinds."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 0
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            return int(page.imagewidth * page.imagelength)
    except Exception:
        return 0
