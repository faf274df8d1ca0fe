"""Super-resolution's geometry: how many times an image is enlarged, and staying true to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import check_number
from ..errors import InvalidValueError
from ..types import Floats
from .resize import imresize, resize_known

__all__ = [
    "back_project", "check_factor", "enlarge", "find_factor", "is_sharp", "seems_sharp",
    "taken_twice",
]  # fmt: skip

_STEPS_BACK = 4
_STEPS_TO_KNOWN = 16
"""Until all that enlarging can have made is found: of its finest waves the last 2 % are not."""
_LEAST = 1.1
"""Below, an image is cut rather than reduced."""


def find_factor(
    small: tuple[int, int],
    large: tuple[int, int],
    *,
    factor: float | None = None,
    usual: int | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> float:
    """Tell how many times smaller an image is than another one of the same view.

    Parameters
    ----------
    small, large : (height, width)
        In pixels.
    factor : float, optional
        Take this one, if the sizes allow it; above 1, whole or not.
    usual : int, optional
        To be preferred where the sizes allow several.
    names : (str, str)
        What messages call the two images.

    Returns
    -------
    int or float
        1 for equal sizes; otherwise the whole factor f for which the small size is the large one
        over f, rounded up as by MATLAB's ``imresize`` and :func:`mcsc.images.imresize`; if there is
        none, rounded down; if there is none, anyhow. If no whole factor does, that one of at least
        1.1 by which both sides are enlarged, to half a pixel of the small image.

    Raises
    ------
    ValueError
        There is no such factor, the small image is the larger one, or `factor` does not fit.
    """
    if small == large:
        return 1
    sizes = f"{names[0]} is {small[0]} x {small[1]}, {names[1]} is {large[0]} x {large[1]}"
    if factor is not None:
        factor = check_factor(factor)
        if not _allowed(small, large, factor):
            raise InvalidValueError(f"{sizes}: that is not {factor:g} times as large")
        return factor
    largest = max(n // m for m, n in zip(small, large, strict=True)) + 1
    rules: tuple[Callable[[int], bool], ...] = (
        lambda f: small == tuple(-(-n // f) for n in large),
        lambda f: small == tuple(n // f for n in large),
        lambda f: _allowed(small, large, f),
    )
    for rule in rules:
        fits = [f for f in range(2, largest + 1) if rule(f)]
        if fits:
            ratio = math.sqrt(large[0] * large[1] / (small[0] * small[1]))
            return (
                usual
                if usual is not None and usual in fits
                else min(fits, key=lambda f: abs(f - ratio))
            )
    pairs = list(zip(small, large, strict=True))
    least = max(n / (m + 0.5) for m, n in pairs)
    most = min(n / (m - 0.5) for m, n in pairs)
    if least < most and most > _LEAST:
        ratio = math.sqrt(large[0] * large[1] / (small[0] * small[1]))
        return round(min(max(ratio, least, _LEAST), most), 4)
    raise InvalidValueError(
        f"{sizes}: want {names[1]} as large, or larger by one factor on both axes"
    )


def check_factor(factor: Any) -> float:
    """Return a factor, whole if it is; refuse what is no number above 1."""
    found = check_number("factor", factor)
    if found <= 1:
        raise InvalidValueError(f"factor must be a number > 1, found {factor!r}")
    return int(found) if found == int(found) else found


def enlarge(
    image: Floats, shape: tuple[int, int], mask: Floats | None = None
) -> tuple[Floats, Floats | None]:
    """Enlarge an image, and the weights of its pixels, to a shape: bicubic.

    Parameters
    ----------
    image : array of floats, shape (C, H, W)
    shape : (height, width)
    mask : array, shape (C, H, W) or (1, H, W), optional
        Weights, 0 where a pixel is unknown: see :func:`mcsc.images.resize.resize_known`.

    Returns
    -------
    image : array (C, height, width)
    mask : array (C, height, width) or None
    """
    if mask is None:
        return imresize(image, shape), None
    return resize_known(image, mask, shape)


def back_project(
    image: Floats, x: Floats, small: tuple[int, int], mask: Floats | None = None
) -> Floats:
    r"""Make an image z give the known x when it is reduced and enlarged, as four steps do nearly.

    Iterative back-projection,

    .. math:: z \leftarrow z + w \, (\hat x - U R z),

    with R reducing to the known size and U enlarging again; both leave unknown pixels out. Of x
    only that is asked for which enlarging can have made,

    .. math:: \hat x \leftarrow \hat x + w \, U R (x - \hat x)

    from 0. Nothing gives back what else is in it, such as noise, rounding to whole grey levels or
    the borders of what filled its holes, and every step would add it once more.

    Parameters
    ----------
    image : array of floats, shape (C, H, W)
        z.
    x : array of floats, shape (C, H, W)
        The known image, enlarged.
    small : (height, width)
        Size at which x was known.
    mask : array, shape (C, H, W) or (1, H, W), optional
        w, weights of x in [0, 1]. Where they are 0, z stays as it is.

    Returns
    -------
    array (C, H, W)

    Notes
    -----
    Cost: x is reduced and enlarged 16 times, z four times.

    References
    ----------
    M. Irani, S. Peleg, "Improving resolution by image registration", CVGIP: Graphical Models and
    Image Processing 53(3), 1991. doi:10.1016/1049-9652(91)90045-L
    """
    shape = x.shape[-2:]

    def again(z: Floats) -> Floats:
        if mask is None:
            return imresize(imresize(z, small), shape)
        return resize_known(*resize_known(z, mask, small), shape)[0]

    known: Any = 1.0
    if mask is not None:
        reduced = resize_known(x, mask, small)
        known = np.where(resize_known(*reduced, shape)[1] > 0, mask, 0).astype(image.dtype)
        x = np.where(known > 0, x, 0).astype(image.dtype)
    made = np.zeros_like(x)
    for _ in range(_STEPS_TO_KNOWN):
        made = made + known * again(x - made)
    for _ in range(_STEPS_BACK):
        image = image + known * (made - again(image))
    return image


def is_sharp(x: Floats, factor: float) -> bool:
    """Return True if an image (C, H, W) has detail that one enlarged by the factor cannot have.

    Reducing and enlarging an enlarged image takes about 1.5 times as much from it the first time as
    the second time; from a sharp one about four times or more (measured on depth maps and bands;
    neighbours repeated instead of interpolated count as sharp).
    """
    first, second = (float(squares.sum()) for squares in taken_twice(x, factor))
    return seems_sharp(first, second)


def taken_twice(x: Floats, factor: float) -> tuple[Floats, Floats]:
    """Return the squares of what reducing and enlarging takes from an image (C, H, W).

    The first time, and the second time: `seems_sharp` tells from their sums.
    """
    height, width = x.shape[-2:]
    small = max(1, int(height / factor)), max(1, int(width / factor))
    once = imresize(imresize(x, small), (height, width))
    twice = imresize(imresize(once, small), (height, width))
    first, second = np.square(x - once), np.square(once - twice)
    return first, second


def seems_sharp(first: float, second: float) -> bool:
    """Tell sharp images from enlarged ones: see `is_sharp`."""
    return first > 2.5**2 * second


def _allowed(small: tuple[int, int], large: tuple[int, int], factor: float) -> bool:
    return all(abs(n - factor * m) < factor for m, n in zip(small, large, strict=True))
