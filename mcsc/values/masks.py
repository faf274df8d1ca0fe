"""Masks: which pixels of an image are unknown, told by an array, by words or by a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, is_array, to_numpy
from ..checks import check_unmasked, nowhere_known
from ..errors import InvalidTypeError, InvalidValueError
from ..images.files import Image, read_image
from ..types import Floats
from .ranges import shortest

__all__ = [
    "MASK_WORDS", "absolute_word", "check_mask", "check_upright", "check_words", "known_by_value",
    "known_image", "mask_of_words", "nodata_of", "read_mask",
]  # fmt: skip

MASK_WORDS = {
    "zeros": "pixels that are 0 in every channel",
    "nan": "pixels that are NaN or Inf",
    "nodata": "values that the file calls unknown (GDAL_NODATA): see `known_by_value`",
    "alpha": "transparent pixels",
}
"""What says which pixels are unknown; besides, a number stands for the pixels of that value, and
anything else is the name of a mask file."""

_LABELS = 0.25
"""Integers whose largest is less than this share of the full scale are labels, not weights."""
_INVERTED = 0.95
"""Share of blank pixels where a mask says known, and of others where it says unknown, from which on
it seems to be inverted."""
_LOSSY = (".jpg", ".jpeg")


def check_mask(name: str, mask: Array, shape: Sequence[int]) -> Floats:
    """Return weights (1, H, W) or (C, H, W) of an image (C, H, W), NumPy, in [0, 1].

    Parameters
    ----------
    name : str
        What messages call the image.
    mask : array
        (H, W), (1, H, W) or (C, H, W): booleans, floats in [0, 1], or integers 0 and 1.
    shape : (C, H, W)
        Shape of the image.

    Raises
    ------
    TypeError
        It is no array of numbers, or a masked array.
    ValueError
        Its shape is another one, it is not within [0, 1], or a channel has no known pixel.
    """
    if not is_array(mask):
        raise InvalidTypeError(f"the mask of {name} must be an array, found {type(mask).__name__}")
    check_unmasked(f"the mask of {name}", mask)
    weights = to_numpy(mask)
    if weights.dtype.kind not in "bfiu":
        raise InvalidTypeError(f"the mask of {name} has dtype {weights.dtype}; want numbers")
    found = weights.shape
    weights = weights.reshape((1,) * (3 - weights.ndim) + found) if weights.ndim < 3 else weights
    if weights.shape[1:] != tuple(shape[1:]) or weights.shape[0] not in (1, shape[0]):
        raise InvalidValueError(
            f"the mask of {name} has shape {found}, {name} {tuple(shape)}: want the same height "
            "and width, and one channel or the same number"
        )
    weights = weights.astype(np.float32)
    if not ((weights >= 0) & (weights <= 1)).all():
        raise InvalidValueError(
            f"the mask of {name} holds values outside [0, 1]: weights are not scaled; for a mask "
            "image write mask > 0"
        )
    if (where := nowhere_known(weights > 0)) is not None:
        raise InvalidValueError(f"the mask of {name} is 0 {where}: no pixel is known")
    return weights


def known_image(
    path: str | Path,
    words: Sequence[str] = (),
    *,
    option: str = "--mask nan",
    page: int | None = None,
    variable: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> tuple[Image, Floats | None]:
    """Read an image file, and what of it is unknown.

    Parameters
    ----------
    path : path
    words : sequence of str
        As in `mask_of_words`. Without any, unknown is what the file itself calls so (GDAL_NODATA).
    option : str
        What says on the command line that NaN and Inf are unknown, for messages.
    page, variable : optional
        As in `mcsc.images.read_image`.
    tell : callable, optional
        Called with what people should know.

    Returns
    -------
    image : Image
    mask : array (1 or C, H, W), or None
        Weights, 0 where it is unknown; None if all is known.

    Raises
    ------
    ValueError
        It cannot be read; it has transparent pixels, NaN or Inf, and nothing says that these are
        unknown; or a mask does not fit.
    """
    image = read_image(path, page=page, variable=variable, keep_alpha=True)
    if image.alpha is not None and "alpha" not in words:
        raise InvalidValueError(
            f"{path} has transparent pixels; if these are unknown, say "
            f"{option.removesuffix('nan')}alpha; otherwise put it on a background"
        )
    if image.note and tell is not None:
        tell(f"{Path(path).name}: {image.note}")
    nodata, by_file = image.nodata, False
    if not words and nodata is not None and not known_by_value(image.samples, nodata).all():
        words, by_file = ("nodata",), True
        if tell is not None:
            value = shortest(nodata, image.samples.dtype)
            tell(f"{Path(path).name}: {value} is unknown, as the file says")
    if not words:
        if not np.isfinite(image.pixels).all():
            raise InvalidValueError(
                f"{path} holds NaN or Inf; if these are unknown pixels, say {option}"
            )
        return image, None
    if by_file and nodata is not None:
        where = nowhere_known(known_by_value(image.samples, nodata))
        if where is not None:
            value = shortest(nodata, image.samples.dtype)
            raise InvalidValueError(
                f"{path} is {value} {where}, which is unknown, as the file says: leave out what "
                f"is empty, or say {option} to take {value} as a measurement"
            )
    mask, said = mask_of_words(words, image)
    if tell is not None:
        for line in said:
            tell(line)
    return image, mask


def check_words(words: Sequence[str]) -> None:
    """Refuse words that say nothing of which pixels are unknown: see `mask_of_words`.

    Raises
    ------
    ValueError
        One is no word of `MASK_WORDS`, no number, and no file.
    """
    for word in words:
        if _is_file(word) and not Path(word).exists():
            close = difflib.get_close_matches(word, MASK_WORDS, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise InvalidValueError(
                f"--mask {word}: no such file; want {', '.join(MASK_WORDS)}, a number or a mask "
                f"file{meant}"
            )


def absolute_word(word: str) -> str:
    """Return a word that says which pixels are unknown as it is understood in any folder."""
    return str(Path(word).resolve()) if _is_file(word) else word


def mask_of_words(words: Sequence[str], image: Image) -> tuple[Floats | None, list[str]]:
    """Return the weights that words give the pixels of an image that was read from a file.

    Parameters
    ----------
    words : sequence of str
        Keys of `MASK_WORDS`, numbers, or names of mask files (see `read_mask`). Of several, a pixel
        is unknown if any of them says so; weights multiply.
    image : Image
        As `mcsc.images.read_image` returns it, with ``keep_alpha=True``.

    Returns
    -------
    mask : array, shape (1, H, W) or (C, H, W), or None
        Weights in [0, 1], 0 where the image is unknown; None if all of it is known.
    said : list of str
        What people should know: how a mask file was understood, numbers that do not occur.

    Raises
    ------
    ValueError
        The file of the image has no transparency or no value for unknown, though these are asked
        for; a mask file cannot be read or does not fit; no pixel is known; or the image holds NaN
        or Inf where it is known.
    """
    check_words(words)
    samples, path = image.samples, image.path
    mask: Floats = np.ones((1, *samples.shape[1:]), np.float32)
    said: list[str] = []
    for word in words:
        if word == "nan":
            part = np.isfinite(samples).all(axis=0, keepdims=True).astype(np.float32)
        elif word == "zeros":
            part = (samples != 0).any(axis=0, keepdims=True).astype(np.float32)
        elif word == "alpha":
            # Fully opaque channels are not kept: then all is known.
            part = np.ones_like(mask) if image.alpha is None else image.alpha
        elif word == "nodata":
            part = _labels(known_by_value(samples, nodata_of(path, image.nodata)))
        elif (number := _number(word)) is not None:
            part = _labels(known_by_value(samples, number))
            if (part > 0).all():
                said.append(f"--mask {word}: no pixel of {path.name} has this value")
        else:
            part, how = read_mask(word, samples, path)
            said += [] if how is None else [how]
        if (where := nowhere_known(part > 0)) is not None:
            # A pixel that is NaN in one band is unknown in all of them.
            lost = nowhere_known(np.isfinite(samples)) if word == "nan" else where
            bands = "" if lost in (None, "everywhere") else f": it is unknown {lost}"
            raise InvalidValueError(f"--mask {word}: no pixel of {path} is known{bands}")
        mask = mask * part
    if (where := nowhere_known(mask > 0)) is not None:
        bands = "" if where == "everywhere" else f": it is unknown {where}"
        listed = " and ".join(words)
        raise InvalidValueError(f"--mask: no pixel of {path} is known to {listed}{bands}")
    wrong = ~np.isfinite(samples) & (mask > 0)
    if wrong.any():
        given = f"--mask {words[0]} says" if len(words) == 1 else "the masks say"
        raise InvalidValueError(
            f"{path} holds NaN or Inf where {given} that it is known; add --mask nan"
        )
    return (None if (mask == 1).all() else mask), said


def read_mask(
    file: str | Path, samples: NDArray[Any], path: str | Path
) -> tuple[Floats, str | None]:
    """Read the weights of an image from a mask file, as people have them.

    Understood are white on black in any depth; 0 and 1, or labels of which 0 is unknown; floats in
    [0, 1]; black and one colour, as of a palette; and grey values between, as weights (in JPEG,
    which blurs them, known is what is nearer to white).

    Parameters
    ----------
    file : path
        File of the mask.
    samples : array, shape (C, H, W)
        Values of the image.
    path : path
        File of the image, for messages.

    Returns
    -------
    mask : array, shape (1, H, W) or (C, H, W)
        Weights in [0, 1].
    how : str or None
        How it was understood, if not as weights of black to white.

    Raises
    ------
    ValueError
        It is of another size, holds other numbers, or seems to be inverted: the image is blank
        where the mask says that it is known, and only there.
    """
    found = read_image(file)
    if found.samples.shape[1:] != samples.shape[1:]:
        raise InvalidValueError(
            f"--mask {file} is {found.samples.shape[1]} x {found.samples.shape[2]}, {path} "
            f"{samples.shape[1]} x {samples.shape[2]}: want the same size"
        )
    mask, how = _weights(found, len(samples))
    if len(mask) not in (1, len(samples)):
        raise InvalidValueError(
            f"--mask {file} has {len(mask)} channels, {path} {len(samples)}: want one, or "
            "the same number"
        )
    blank = (~np.isfinite(samples) | (samples == 0)).all(axis=0)
    known = (mask > 0).all(axis=0)
    check_upright(
        file, path, (known.sum(), known.size - known.sum()),
        ((blank & known).sum(), (blank & ~known).sum()),
    )  # fmt: skip
    return mask, how


def known_by_value(samples: Any, value: float) -> Any:
    """Return where samples are known, by the value of those that are not.

    Bands are known each by itself, as GDAL has it. Only colours, which are three channels of
    unsigned integers of up to 16 bits, are unknown where all three have the value: one that is
    black in its red alone is a colour.

    Parameters
    ----------
    samples : array (C, H, W), of NumPy or Dask
    value : float
        May be NaN. Of float32 samples, the nearest of them is meant.

    Returns
    -------
    array (1 or C, H, W) of the same library, of booleans
    """
    dtype = samples.dtype
    if np.isnan(value):
        known = ~np.isnan(samples)
    else:
        # A value beyond float32 has been read as Inf.
        with np.errstate(over="ignore"):
            known = samples != np.float64(value).astype(dtype if dtype.kind == "f" else np.float64)
    colours = len(samples) == 3 and dtype.kind == "u" and dtype.itemsize <= 2
    return known.any(axis=0, keepdims=True) if colours else known


def nodata_of(path: str | Path, nodata: float | None) -> float:
    """Return the value that a file calls unknown, which --mask nodata asks for.

    Raises
    ------
    ValueError
        It calls none so.
    """
    if nodata is None:
        raise InvalidValueError(
            f"--mask nodata: {path} does not say which value is unknown; want a number, as "
            "--mask -9999"
        )
    return nodata


def check_upright(
    file: str | Path, path: str | Path, pixels: tuple[int, int], blank: tuple[int, int]
) -> None:
    """Refuse a mask that seems to be inverted.

    Parameters
    ----------
    file, path
        Files of the mask and of the image, for messages.
    pixels : (int, int)
        How many pixels the mask says are known, and how many unknown.
    blank : (int, int)
        How many of each are blank in the image.

    Raises
    ------
    ValueError
        The image is blank where the mask says that it is known, and only there.
    """
    (known, unknown), (blank_known, blank_unknown) = pixels, blank
    if (
        known
        and unknown
        and blank_known > _INVERTED * known
        and blank_unknown < (1 - _INVERTED) * unknown
    ):
        raise InvalidValueError(
            f"--mask {file} seems to be inverted: {path} is blank where the mask says that it is "
            "known; want 0 where it is unknown"
        )


def _weights(found: Image, channels: int) -> tuple[Floats, str | None]:
    samples, file = found.samples, found.path
    if not np.isfinite(samples).all() or (samples < 0).any():
        raise InvalidValueError(f"--mask {file} holds NaN, Inf or negative weights")
    if len(samples) > 1:
        colours = np.unique(samples.reshape(len(samples), -1), axis=1)
        if (samples == samples[:1]).all():
            samples = samples[:1]
        elif colours.shape[1] == 2 and not colours[:, 0].any():
            return _labels(np.any(samples, axis=0, keepdims=True)), f"{file}: black is unknown"
    largest = float(samples.max())
    full = found.full_scale
    if full == 1 and samples.dtype.kind != "f":
        full = float(np.iinfo(samples.dtype).max)
    if file.suffix.lower() in _LOSSY:
        return _labels(np.greater(samples, full / 2)), None
    levels = np.unique(samples)
    if samples.dtype.kind == "f" and largest <= 1:
        return samples.astype(np.float32), None
    if len(levels) == 2 and levels[0] == 0 and largest != full:
        return _labels(samples), f"{file}: 0 is unknown, {largest:g} is known"
    if samples.dtype.kind == "f":
        raise InvalidValueError(
            f"--mask {file} holds floats up to {largest:g}; want weights in [0, 1], or 0 and one "
            "other value"
        )
    if largest < _LABELS * full:
        shown = ", ".join(f"{v:g}" for v in levels[:6]) + (", ..." if len(levels) > 6 else "")
        return _labels(samples), f"{file}: labels {shown}: 0 is unknown"
    return (samples / full).astype(np.float32), None


def _labels(samples: Any) -> Floats:
    found: Floats = np.not_equal(samples, 0).astype(np.float32)
    return found


def _is_file(word: str) -> bool:
    return word not in MASK_WORDS and _number(word) is None


def _number(word: str) -> float | None:
    if Path(word).exists():
        return None
    try:
        return float(word)
    except ValueError:
        return None
