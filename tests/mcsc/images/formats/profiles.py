"""Colour profiles for the tests."""

from __future__ import annotations

import functools
import io
import struct

import PIL.ImageCms


@functools.cache
def srgb():
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


def swapped():
    """sRGB in which red and green have changed places: a profile that is easily seen."""
    icc = bytearray(srgb())
    count = struct.unpack(">I", icc[128:132])[0]
    tags = {bytes(icc[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    icc[red + 4 : red + 12], icc[green + 4 : green + 12] = (
        icc[green + 4 : green + 12],
        icc[red + 4 : red + 12],
    )
    return bytes(icc)


def grey():
    """A profile whose header says that it is for grey values."""
    icc = bytearray(srgb())
    icc[16:20] = b"GRAY"
    return bytes(icc)


def described(icc):
    return PIL.ImageCms.getProfileDescription(PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc)))
