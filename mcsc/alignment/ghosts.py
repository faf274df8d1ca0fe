"""Where registered photographs of one scene contradict each other: moved things, shadows."""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..errors import InvalidValueError
from ..images.planes import luma_plane, planes
from ..types import Floats, Ghosts

__all__ = ["find_ghosts", "noise_of"]

Map = NDArray[np.bool_]

_PIXELS = 1_000_000
"""Larger images are reduced to about so many: what is looked for has some size."""
_BINS = 64
"""Grey levels at which the relation of two exposures is measured."""
_SURE = 4.0
"""Standard deviations from which on a difference is none of chance."""
_STEP = 1.5 / 255
"""Standard deviation of what 8 bits, and a compression that nobody sees, do to values."""
_CLIPPED = 2 / 255
"""Values as near to black or white may stand for any that are beyond."""
_EDGE = 2
"""Pixels that an edge may lie or be softer beside itself, in images that are registered."""
_WINDOW = 6.0
"""Standard deviation of the windows, pixels, in which detail is compared."""
_CONTRAST = 0.05
"""Detail of a flash photograph that is worth to be looked for in the other one, rms."""
_SHARED = 0.2
"""Share of the guide's contrast that an image should have where the guide has detail."""
_AREA = 64
"""Smallest ghost, pixels."""
_RIM = 4
"""Pixels that a ghost is wider than what is seen of it."""


def find_ghosts(x: Floats, y: Floats, kind: Ghosts, known: Map | None = None) -> Map:
    r"""Find where two registered photographs of one scene cannot both be true.

    Parameters
    ----------
    x, y : array of floats, shape (H, W) or (C, H, W)
        In [0, 1], of one height and width.
    kind : {"exposure", "flash"}
        What else tells the two apart.

        - "exposure": how long the light was let in. Then a value of y is a function of that of x,
          rising and the same all over the picture, but unknown: it is measured in each channel, as
          the median of y for each grey level of x, with its spread. A contradiction is a value
          beyond four spreads of what the values of x within two pixels say, or the same with x and
          y exchanged. Where one is black or white the other may be anything beyond.
        - "flash": y is lit by a flash, which x is not, so that only its detail says something:
          reflectance is seen in both, by contrasts in proportion to the brightness. With cov, var
          and m covariance, variance and mean of lumas in a Gaussian window, a contradiction is

          .. math:: \operatorname{cov}(x, y) + 4 \sigma \sqrt{\operatorname{var}(y) / N}
              < 0.2 \, \frac{m_x}{m_y} \operatorname{var}(y),

          detail of y that x lacks or has the other way round, although its noise sigma, measured
          in x, would let it be seen: things that moved, shadows and highlights of the flash. Detail
          that x has alone is no contradiction: a guide that does not show it does no harm.
    known : array of bool, shape (H, W), optional
        False where one of them is unknown; there is no ghost.

    Returns
    -------
    array of bool, shape (H, W)
        True in a contradiction, and in a rim of some pixels around it.

    Raises
    ------
    ValueError
        There is no such kind, or the two differ in size.

    Notes
    -----
    Images above a million pixels are looked at in a reduced size; the cost is that of some filters
    and, for exposures, of sorting. What is smaller than 64 pixels there is not seen. Things that
    moved in places where one photograph is black or white, or does not differ from what is behind,
    leave no contradiction.

    ``python -m benchmarks.exact.ghosts`` measures it on synthetic pairs with and without a thing
    that moved: between flash and ambient a third to two thirds of its pixels are missed. The
    relation of exposures is the comparagram of S. Mann, "Comparametric equations with practical
    applications in quantigraphic image processing", IEEE Transactions on Image Processing 9(8),
    2000. doi:10.1109/83.855434
    """
    if kind not in ("exposure", "flash"):
        raise InvalidValueError(f"kind must be 'exposure' or 'flash', found {kind!r}")
    first, second = planes(x), planes(y)
    shape = first.shape[1:]
    if second.shape[1:] != shape:
        raise InvalidValueError(f"x is {shape[0]} x {shape[1]}, y has shape {y.shape}")
    step = max(1, math.isqrt((shape[0] * shape[1] - 1) // _PIXELS) + 1)
    there = np.ones(shape, bool) if known is None else np.asarray(known, bool)
    if step > 1:
        first, second = _reduced(first, step), _reduced(second, step)
        there = _reduced(there[None].astype(float), step)[0] == 1
    if not there.any():
        return np.zeros(shape, bool)
    if kind == "flash":
        found = _lacking(first, second, there) & there
    else:
        if len(first) != len(second):
            first, second = luma_plane(first)[None], luma_plane(second)[None]
        seen = np.zeros(there.shape, bool)
        for a, b in zip(first, second, strict=True):
            seen |= _beyond(a, b, there) | _beyond(b, a, there)
        seen &= there
        # Single pixels are noise, and what is one thing is dense.
        dense = scipy.ndimage.uniform_filter(seen.astype(np.float32), 7, mode="nearest") > 0.5
        found = scipy.ndimage.binary_propagation(_large(dense), mask=seen | dense)
    found = _large(found)
    if found.any():
        found = scipy.ndimage.binary_dilation(found, iterations=_RIM)
    if step > 1:
        found = found.repeat(step, 0).repeat(step, 1)
        found = np.pad(found, [(0, max(0, n - m)) for n, m in zip(shape, found.shape, strict=True)],
                       mode="edge")  # fmt: skip
    found = found[: shape[0], : shape[1]]
    return np.asarray(found if known is None else found & np.asarray(known, bool))


def _reduced(image: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Means of squares of `step` pixels; what is left over at the end is cut off."""
    channels, h, w = len(image), image.shape[1] // step, image.shape[2] // step
    cut = image[:, : h * step, : w * step].reshape(channels, h, step, w, step)
    return np.asarray(cut.mean(axis=(2, 4)))


def _large(found: Map) -> Map:
    """Only what is connected over some pixels."""
    labels, count = scipy.ndimage.label(found)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= _AREA)[labels])


# ------------------------------------------------------------------------------------ exposures
def _beyond(x: NDArray[np.float64], y: NDArray[np.float64], there: Map) -> Map:
    """Where y is not what x, to within its neighbours, says."""
    seen, values = x[there], y[there]
    edges = np.unique(np.quantile(seen, np.linspace(0, 1, _BINS + 1)))
    if len(edges) < 4:  # next to nothing is shown
        return np.zeros(x.shape, bool)
    order = np.argsort(seen, kind="stable")
    seen, values = seen[order], values[order]
    starts = np.searchsorted(seen, edges[1:-1], side="right")
    levels, middles, spreads = [], [], []
    for level, value in zip(np.split(seen, starts), np.split(values, starts), strict=True):
        if level.size:
            middle = np.median(value)
            levels.append(np.median(level))
            middles.append(middle)
            spreads.append(1.4826 * np.median(np.abs(value - middle)))
    # A moved thing may be most of a level. What rises through all medians lies between these two.
    low = np.minimum.accumulate(middles[::-1])[::-1]
    high = np.maximum.accumulate(middles)
    spread = scipy.ndimage.maximum_filter1d(spreads, 3, mode="nearest")

    def tolerance(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(_SURE * np.hypot(np.interp(at, levels, spread), _STEP) + _CLIPPED)

    size = 2 * _EDGE + 1
    darkest = scipy.ndimage.minimum_filter(x, size, mode="nearest")
    brightest = scipy.ndimage.maximum_filter(x, size, mode="nearest")
    least = np.interp(darkest, levels, low) - tolerance(darkest)
    most = np.interp(brightest, levels, high) + tolerance(brightest)
    too_dark = (y < least) & (darkest > _CLIPPED)
    too_bright = (y > most) & (brightest < 1 - _CLIPPED)
    return np.asarray(too_dark | too_bright)


# ---------------------------------------------------------------------------------------- flash
def _lacking(first: NDArray[np.float64], second: NDArray[np.float64], there: Map) -> Map:
    """Where the second has detail that the first should show and does not."""
    x, y = luma_plane(first), luma_plane(second)

    def mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(scipy.ndimage.gaussian_filter(image, _WINDOW, mode="reflect", truncate=3))

    m_x, m_y = mean(x), mean(y)
    covariance = mean(x * y) - m_x * m_y
    variance = np.maximum(mean(y * y) - m_y * m_y, 0)
    noise = math.hypot(noise_of(x, there), _STEP)
    doubt = _SURE * noise * np.sqrt(variance / (4 * math.pi * _WINDOW**2))
    expected = _SHARED * variance * np.maximum(m_x, 0) / np.maximum(m_y, _CLIPPED)
    # Next to nothing is shown in black, nor in what is burnt out.
    tells = (m_y > 0.03) & (m_x > 0.03) & (m_x < 0.97) & (variance > _CONTRAST**2)
    return np.asarray(tells & (covariance + doubt < expected))


def noise_of(image: NDArray[np.float64], known: Map | None = None) -> float:
    """Standard deviation of white noise, by what is finest along diagonals.

    Pixels that are not known say nothing: what fills them is smooth.
    """
    finest = np.abs(image[1:, 1:] - image[1:, :-1] - image[:-1, 1:] + image[:-1, :-1])
    if known is not None:
        finest = finest[known[1:, 1:] & known[1:, :-1] & known[:-1, 1:] & known[:-1, :-1]]
    return float(np.median(finest) / 0.6745 / 2) if finest.size else 0.0
