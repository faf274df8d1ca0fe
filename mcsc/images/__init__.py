"""Images in and out: files, colour, resizing, the low-pass split and sample data.

Names are loaded on first use, so that importing this package imports no image library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import loading

if TYPE_CHECKING:
    from .cameras.calibration import read_calibration
    from .cameras.camera import Camera
    from .cameras.gathering import Gathered, gather
    from .cameras.reprojection import Reprojection, Rig, reproject
    from .colour import luma_full, luma_studio, rgb, ycbcr
    from .files import Image, ImageFileError, read_image, write_image, write_samples
    from .formats.metadata import Metadata
    from .resize import degrade, imresize
    from .samples import Pair, motorcycle
    from .split import LowpassSplit, fill_holes, lowpass_split

__all__ = [
    "Camera",
    "Gathered",
    "Image",
    "ImageFileError",
    "LowpassSplit",
    "Metadata",
    "Pair",
    "Reprojection",
    "Rig",
    "degrade",
    "fill_holes",
    "gather",
    "imresize",
    "lowpass_split",
    "luma_full",
    "luma_studio",
    "motorcycle",
    "read_calibration",
    "read_image",
    "reproject",
    "rgb",
    "write_image",
    "write_samples",
    "ycbcr",
]

_HOME = {
    "cameras.calibration": ("read_calibration",),
    "cameras.camera": ("Camera",),
    "cameras.gathering": ("Gathered", "gather"),
    "cameras.reprojection": ("Reprojection", "Rig", "reproject"),
    "colour": ("luma_full", "luma_studio", "rgb", "ycbcr"),
    "files": ("Image", "ImageFileError", "read_image", "write_image", "write_samples"),
    "formats.metadata": ("Metadata",),
    "resize": ("degrade", "imresize"),
    "samples": ("Pair", "motorcycle"),
    "split": ("LowpassSplit", "fill_holes", "lowpass_split"),
}

__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
