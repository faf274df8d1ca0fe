"""OpenEXR: floats of 16 or 32 bits, colours of a high dynamic range, depth, channels by name."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtraError
from .base import ImageFileError, Request, Samples, check_size, decoding, pick

__all__ = ["read_exr", "require_openexr", "write_exr"]


def require_openexr(path: Path) -> Any:
    """Return the package OpenEXR, or say how to get it."""
    try:
        import OpenEXR
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path}: OpenEXR files need the package OpenEXR: install mcsc[exr]"
        ) from error
    return OpenEXR


def read_exr(request: Request) -> Samples:
    """Read colours (R, G, B), the one channel there is, or the channel that is asked for.

    The picture is the data window.
    """
    path = request.path
    exr = require_openexr(path)
    with decoding(path, "OpenEXR file"):
        header = exr.File(str(path), separate_channels=True, header_only=True)
        count = len(header.parts)
    index = pick(request, count, "part") or 0
    if count > 1 and request.page is None:
        raise ImageFileError(f"{path}: holds {count} parts: want one of them, as a page")
    with decoding(path, "OpenEXR file"):
        window = np.asarray(header.parts[index].header["dataWindow"], np.int64)
        width, height = (int(n) for n in window[1] - window[0] + 1)
        there = {c.name: c for c in header.parts[index].header["channels"]}
    kind = str(header.parts[index].header.get("type", ""))
    if "deep" in kind.lower():
        raise ImageFileError(f"{path}: is a deep OpenEXR image; want a flat one")
    names, alpha = _choose(request, there)
    for name in (*names, *alpha):
        if (there[name].xSampling, there[name].ySampling) != (1, 1):
            raise ImageFileError(
                f"{path}: its channel {name} is of lower resolution; save it as R, G, B"
            )
    # All parts and channels are read at once.
    check_size(path, "OpenEXR file", (len(there) * count, height, width), 4, packing=40_000)
    with decoding(path, "OpenEXR file"):
        parts = exr.File(str(path), separate_channels=True).parts
        if len(parts) != count:  # one that is damaged is left out
            raise ValueError("its pixels cannot be decoded")
        part = parts[index]
        pixels = [np.asarray(part.channels[name].pixels) for name in (*names, *alpha)]
        values = np.stack(pixels[: len(names)])
        if values.shape[1:] != (height, width):
            raise ValueError(f"it holds {values.shape[1:]} samples")
    opaque = None
    if alpha and not (pixels[-1] == 1).all():
        opaque = np.clip(pixels[-1].astype(np.float32), 0, 1)[None]
        if len(names) == 3:  # colours are multiplied by their opacity in this format
            values = np.where(opaque > 0, values / np.maximum(opaque, 1e-6), 0)
    return Samples(values, 32, alpha=opaque)


def _choose(request: Request, there: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Channels of the image, and of its opacity."""
    path, asked = request.path, request.variable
    listed = ", ".join(list(there)[:20])
    if asked is not None:
        names = [f"{asked}.{c}" for c in "RGB"] if f"{asked}.R" in there else [asked]
        if not set(names) <= set(there):
            raise ImageFileError(f"{path}: has no channel {asked}; it holds {listed}")
        return names, []
    if set("RGB") <= set(there):
        return list("RGB"), ["A"] if "A" in there else []
    rest = [name for name in there if name != "A"]
    if len(rest) == 1:
        return rest, ["A"] if "A" in there else []
    raise ImageFileError(f"{path}: holds the channels {listed}: say which by its name")


def write_exr(path: Path, values: NDArray[np.float32]) -> bytes:
    """The content of a file of floats of 32 bits: R, G, B; or Y, one channel.

    `path` is for messages. The package writes to names of files only, so a temporary one is used.
    """
    exr = require_openexr(path)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    names = ["Y"] if len(values) == 1 else list("RGB")
    channels = {
        name: np.ascontiguousarray(plane) for name, plane in zip(names, values, strict=True)
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "image.exr"
        exr.File(header, channels).write(str(place))
        return place.read_bytes()
