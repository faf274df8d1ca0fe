"""Photographs and panoramas that scenes are made of: scikit-image's, and those of a folder."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTypeError, InvalidValueError, Refusal
from ..files import visible_files
from ..images.suffixes import PICTURES
from ..types import Floats
from ..values.masks import mask_of_words
from ..values.ranges import ValueRange, find_range

__all__ = [
    "PHOTOGRAPHS",
    "SOURCES",
    "Library",
    "Photographs",
    "Picture",
    "Source",
    "library",
    "linear",
    "panorama_view",
    "photograph_files",
    "photograph_sources",
]

PHOTOGRAPHS = {
    "astronaut": "public domain",
    "brick": "CC0",
    "camera": "CC0",
    "chelsea": "CC0",
    "coffee": "CC0",
    "coins": "no known copyright restrictions",
    "grass": "CC0",
    "gravel": "CC0",
    "rocket": "public domain",
}
"""Functions of `skimage.data` whose files are part of the scikit-image wheel, and their licences,
as their documentation gives them."""

SOURCES = "SOURCES"
"""File of a folder of photographs that says what they are: see `photograph_sources`."""

Photographs = bool | str | PathLike[str]
"""False: none; True: scikit-image's; a folder: scikit-image's and those in it."""

_PANORAMAS = (".hdr",)
_SMALLEST = 64
_GAMMA = 2.2
_TO_LINEAR = ((np.arange(256) / 255.0) ** _GAMMA).astype(np.float32)
_UNKNOWN = "not stated"
_LISTED = 10
"""Files that a message names."""
_DARKEST = np.float32(1e-4)


@dataclass(frozen=True)
class Source:
    """A photograph that scenes may show, as a model card names it."""

    name: str
    """Name of the file, or of the image in scikit-image."""
    licence: str
    """Licence, or what is known of its copyright."""
    origin: str
    """Who made it, or where it is from."""


@dataclass(frozen=True)
class Picture:
    """A photograph by its name or path, read when it is wanted."""

    name: str
    path: Path | None
    """None: of scikit-image."""

    def levels(self) -> tuple[NDArray[np.uint8], ...]:
        """The photograph, gamma-encoded, (3, H, W), and reduced by 2 and by 4."""
        return _levels(self)

    def radiance(self) -> Floats:
        """Linear light of a panorama, (3, H, W)."""
        return _radiance(self)


@dataclass(frozen=True)
class Library:
    """Photographs at hand."""

    pictures: tuple[Picture, ...]
    panoramas: tuple[Picture, ...]
    """Equirectangular, of true radiance: rows are latitude, columns wrap round."""


def linear(encoded: NDArray[np.uint8]) -> Floats:
    """Linear light of gamma-encoded samples of 8 bits."""
    return _TO_LINEAR[encoded]


def library(photographs: Photographs) -> Library:
    """Find the photographs.

    Parameters
    ----------
    photographs : bool or path
        False: none. True: those of `PHOTOGRAPHS`. A folder: those, and every JPEG, PNG, TIFF, BMP,
        PGM and PPM image in it and in the folders within (colour or grey), and every Radiance
        ``.hdr`` file as an equirectangular panorama of true radiance, twice as wide as high. Files
        and folders whose names begin with a dot are ignored.

    Raises
    ------
    TypeError, ValueError
        It is nothing of that kind, no folder, or holds no photographs; or a file cannot be used:
        the message names all of them. Damage between a good header and a good end of a file is
        seen when the file is first drawn.

    Notes
    -----
    Photographs are gamma-encoded shares of white. What stands for white is found in each file as
    the command line finds it (`mcsc.values.ranges.find_range`): integers fill as many bits as a
    camera has, floats are in [0, 1] or else up to the largest. Nothing is clipped. They are kept in
    8 bits.

    The first call with a folder looks at its files, which takes about 2 ms for a JPEG, a PNG or a
    TIFF of integers. Others are read, which takes 25 ms a megapixel of a panorama.
    """
    if isinstance(photographs, bool):
        return _LIBRARIES[photographs]
    if not isinstance(photographs, str | PathLike):
        raise InvalidTypeError(
            f"photographs must be True, False or a folder, found {photographs!r}"
        )
    return _of_folder(Path(photographs).resolve())


@lru_cache(maxsize=4)
def _of_folder(folder: Path) -> Library:
    if not folder.is_dir():
        raise InvalidValueError(f"photographs: there is no folder {folder}")
    files = photograph_files(folder)
    if not files:
        raise InvalidValueError(
            f"photographs: no images in {folder}: want files {', '.join(PICTURES)} or, of "
            f"panoramas, {', '.join(_PANORAMAS)}"
        )
    faults = {path: fault for path in files if (fault := _fault(path))}
    if faults:
        listed = [f"{p.relative_to(folder)}: {fault}" for p, fault in faults.items()]
        more = [f"and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
        raise InvalidValueError(
            f"photographs: {len(faults)} of the {len(files)} images in {folder} cannot be used; "
            "mend them or take them out of it: " + "; ".join(listed[:_LISTED] + more)
        )
    found = [Picture(path.stem, path) for path in files]
    panoramas = [p for p in found if _is_panorama(p.path)]
    pictures = [p for p in found if not _is_panorama(p.path)]
    return Library((*_LIBRARIES[True].pictures, *pictures), tuple(panoramas))


def photograph_files(folder: Path) -> list[Path]:
    """Photographs and panoramas in a folder and those within, by the endings of their names."""
    endings = (*PICTURES, *_PANORAMAS)
    return [p for p in visible_files(folder, within=True) if p.suffix.lower() in endings]


def _is_panorama(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() in _PANORAMAS


def _fault(path: Path) -> str | None:
    """What is wrong with a file, if its header tells or, where that does not, its pixels."""
    from ..images.files import sure_shape

    try:
        if _is_panorama(path):
            _read_radiance(path)
        elif (shape := sure_shape(path)) is not None:
            _check_shape(path, shape)
        else:
            _read_encoded(path)
    except (Refusal, OSError) as error:
        return str(error).removeprefix(f"{path}: ")
    return None


_LIBRARIES = {
    False: Library((), ()),
    True: Library(tuple(Picture(name, None) for name in PHOTOGRAPHS), ()),
}


def photograph_sources(
    photographs: Photographs, licences: Mapping[str, tuple[str, str]] | None = None
) -> list[Source]:
    """List the photographs that scenes are made of, with their licences, for a model card.

    Parameters
    ----------
    photographs : bool or path
        As in `make_scene`.
    licences : mapping of pattern to (licence, origin), optional
        Licences and origins of the files of the folder; the first pattern (``*`` and ``?``, as in a
        shell) that a file's name matches counts. Default: the folder's file ``SOURCES``, if there
        is one: UTF-8, a line for each pattern: ``pattern | licence | origin``; lines that begin
        with ``#`` are remarks.

    Returns
    -------
    list of Source
        In the order of their names. Files that no pattern matches are "not stated".

    Raises
    ------
    TypeError, ValueError
        As in `make_scene`; or a line of the file is not of that form.
    """
    found = library(photographs)
    table: Mapping[str, tuple[str, str]] = licences or {}
    if licences is None and not isinstance(photographs, bool):
        table = _table(Path(photographs) / SOURCES)
    out = []
    for picture in (*found.pictures, *found.panoramas):
        if picture.path is None:
            out.append(Source(picture.name, PHOTOGRAPHS[picture.name], "scikit-image"))
            continue
        name = picture.path.name
        said = next((v for k, v in table.items() if fnmatch.fnmatchcase(name, k)), None)
        out.append(Source(name, *(said or (_UNKNOWN, _UNKNOWN))))
    return sorted(out, key=lambda s: s.name)


def _table(path: Path) -> dict[str, tuple[str, str]]:
    if not path.is_file():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{path} is not text in UTF-8: {error}") from error
    table = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3 or not all(parts):
            raise InvalidValueError(
                f"{path}, line {number}: want 'pattern | licence | origin', found {line.strip()!r}"
            )
        table[parts[0]] = (parts[1], parts[2])
    return table


@lru_cache(maxsize=64)
def _levels(picture: Picture) -> tuple[NDArray[np.uint8], ...]:
    # Eight bits: in floats a folder of photographs would not fit into memory.
    level = _read(picture)
    levels = [level]
    while len(levels) < 3 and min(level.shape[1:]) >= 2 * _SMALLEST:
        c, h, w = level.shape
        light = linear(level[:, : h // 2 * 2, : w // 2 * 2])
        light = light.reshape(c, h // 2, 2, w // 2, 2).mean(axis=(2, 4))
        level = np.rint(255 * light ** np.float32(1 / _GAMMA)).astype(np.uint8)
        levels.append(level)
    for level in levels:
        level.flags.writeable = False
    return tuple(levels)


def _read(picture: Picture) -> NDArray[np.uint8]:
    if picture.path is None:
        import skimage.data

        found: Any = getattr(skimage.data, picture.name)()
        pixels = found[None] if found.ndim == 2 else found.transpose(2, 0, 1)
    else:
        pixels = _read_encoded(picture.path)
    return np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])), np.uint8)


def _read_encoded(path: Path) -> NDArray[np.uint8]:
    """A photograph in 8 bits, (1 or 3, H, W), from black to white."""
    from ..images.files import read_image

    image = read_image(path)
    _check_shape(path, image.pixels.shape)
    samples = image.samples
    known = np.isfinite(samples).all() and (
        image.nodata is None or mask_of_words(("nodata",), image)[0] is None
    )
    if not known:
        raise InvalidValueError(
            f"{path}: has unknown pixels (NaN, Inf or the value that the file calls unknown); want "
            "a photograph without"
        )
    if samples.dtype == np.uint8 and image.told_white is None:
        return samples
    values = find_range([samples], white=image.told_white)
    # Few values may lie beyond it, which would be clipped.
    low, high = min(values.low, float(samples.min())), max(values.high, float(samples.max()))
    shares = ValueRange(low, high).scaled(samples.astype(np.float32))
    encoded: NDArray[np.uint8] = np.rint(255 * shares).astype(np.uint8)
    return encoded


def _check_shape(path: Path, shape: tuple[int, ...]) -> None:
    channels, height, width = shape
    wanted = "panorama" if _is_panorama(path) else "photograph, grey or colour,"
    if channels not in (1, 3) or min(height, width) < _SMALLEST:
        raise InvalidValueError(
            f"{path}: has {channels} channel{'s' * (channels > 1)} of {height} x {width}; want a "
            f"{wanted} of at least {_SMALLEST} pixels on each side"
        )


@lru_cache(maxsize=8)
def _radiance(picture: Picture) -> Floats:
    assert picture.path is not None
    light = _read_radiance(picture.path)
    light.flags.writeable = False
    return light


def _read_radiance(path: Path) -> Floats:
    from ..images.files import read_image
    from ..images.formats.kinds import kind_of

    if (kind := kind_of(path)) != "Radiance":
        raise InvalidValueError(f"{path}: is {kind}; want a panorama in a Radiance picture")
    light: Floats = read_image(path).pixels
    _check_shape(path, light.shape)
    if light.shape[2] != 2 * light.shape[1]:
        raise InvalidValueError(
            f"{path}: is {light.shape[1]} x {light.shape[2]}; want an equirectangular panorama, "
            "twice as wide as it is high"
        )
    return light


def panorama_view(
    rng: np.random.Generator, picture: Picture, shape: tuple[int, int]
) -> tuple[Floats, float]:
    """Look into a panorama through a pinhole.

    Parameters
    ----------
    rng : Generator
    picture : Picture
        Equirectangular, of true radiance.
    shape : (height, width)
        Height and width of the view, in pixels.

    Returns
    -------
    radiance : array (3, H, W)
        Linear light, its geometric mean 1, nowhere zero.
    focal : float
        Length in pixels.

    Notes
    -----
    The direction is level or nearly so. The view is as wide as the panorama's pixels allow, of
    which each makes 0.6 to 1.1 of its own, but not beyond a right angle: large views are enlarged.
    Interpolation is linear.
    """
    source = picture.radiance()
    _, rows, columns = source.shape
    natural = columns / (2 * math.pi)
    focal = natural * math.exp(rng.uniform(math.log(0.6), math.log(1.1)))
    focal = max(focal, 0.5 * max(shape))
    yaw = rng.uniform(0, 2 * math.pi)
    pitch = float(np.clip(rng.normal(0, 0.25), -0.6, 0.6))
    y = (np.arange(shape[0], dtype=np.float32)[:, None] - 0.5 * (shape[0] - 1)) / focal
    x = (np.arange(shape[1], dtype=np.float32)[None, :] - 0.5 * (shape[1] - 1)) / focal
    if rng.random() < 0.5:
        x = -x
    ahead = np.float32(math.cos(pitch)) - y * np.float32(math.sin(pitch))
    down = y * np.float32(math.cos(pitch)) + np.float32(math.sin(pitch))
    longitude = np.arctan2(x, ahead) + np.float32(yaw)
    latitude = np.arctan2(down, np.hypot(x, ahead))
    column = longitude * np.float32(natural) - np.float32(0.5)
    row = (latitude / np.float32(math.pi) + np.float32(0.5)) * rows - np.float32(0.5)
    row = np.clip(row, 0, rows - 1.001)
    top, left = np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)
    down_share, right_share = row - top, column - left
    left, right = left % columns, (left + 1) % columns
    upper = source[:, top, left] * (1 - right_share) + source[:, top, right] * right_share
    lower = source[:, top + 1, left] * (1 - right_share) + source[:, top + 1, right] * right_share
    radiance = upper * (1 - down_share) + lower * down_share
    middle = np.exp(np.log(radiance.mean(axis=0) + _DARKEST).mean())
    view: Floats = (radiance / middle + _DARKEST).astype(np.float32)
    return view, focal
