"""Whether two images of one scene are registered, and bringing them into register.

Everything is estimated on the strength of the gradient of the grey image, which looks alike where
the grey values do not: in depth and colour, CT and MR, flash and ambient light. The grey image is
the luma of three channels and the mean of any other number of bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_image
from ..errors import InvalidValueError
from ..types import Floats
from .planes import luma_plane, planes
from .resize import imresize

__all__ = [
    "CONFIDENT",
    "DISPLACED",
    "Alignment",
    "Shift",
    "align",
    "displacement",
    "edges",
    "estimate_shift",
    "even",
    "grey",
]

Plane = NDArray[np.float64]

CONFIDENT = 0.2
"""Confidence of :func:`estimate_shift` from which its shift can be relied on."""

DISPLACED = 3.0
"""Pixels from which a shift is more than the parallax and rounding of registered images."""

_SMALLEST = 32
_REACH = 4  # the largest shift that is looked for is one in so many of the size
_LOBE = 5  # pixels around a peak that belong to it
_CHANCE = 6.0  # standard deviations that unrelated noise, of any size tried, does not reach
_WIDE = 8.0
_UPSAMPLING = 20


class Shift(NamedTuple):
    """What :func:`estimate_shift` returns; it unpacks as ``rows, columns, confidence``."""

    rows: float
    """Pixels by which y is to be moved down to lie on x."""
    columns: float
    """Pixels by which y is to be moved to the right to lie on x."""
    confidence: float
    """From 0, any other shift would do as well, to 1; at least `CONFIDENT` is reliable."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """What :func:`align` did."""

    image: Floats
    """The moving image on the grid of the reference; the edge is repeated where it has no data."""
    shift: tuple[float, float]
    """Rows (down) and columns (right) in pixels by which it was moved; 0 if not distinct."""
    flow_magnitude: float
    """Mean length of the optical flow that was applied besides, in pixels; 0 without."""
    description: str
    """All of that in words."""


def estimate_shift(x: Floats, y: Floats) -> Shift:
    r"""Estimate the shift that moves one image onto another, and whether it is distinct.

    With :math:`f = (1 - G_8) * \sqrt{|\nabla G_1 * \cdot|}` of the grey images, :math:`G_\sigma` a
    Gaussian, under Hann windows, the shift is where the correlation coefficient

    .. math::

        c(s) = \frac{\langle f_x,\, f_y(\cdot - s) \rangle}{\|f_x\| \|f_y\|}

    is largest among shifts of up to a quarter of the size; it is refined on what both images show.

    Parameters
    ----------
    x, y : array of floats, shape (H, W) or (C, H, W)
        Two images of one height and width, at least 32 x 32 pixels; they may be of different
        modality, and of different numbers of channels.

    Returns
    -------
    Shift
        ``rows, columns`` to a twentieth of a pixel, and ``confidence``
        :math:`1 - c_2 / c(s)`. The rival :math:`c_2` is the largest value more than 5 rows or
        columns away from the peak, but not less than 6 standard deviations of these values above
        their mean, which is what chance makes. So it is 0 for pictures with nothing in common, and
        low for those that repeat or have only broad structures.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or smaller than 32 x 32, or the sizes differ.

    Notes
    -----
    Cost: about ten FFTs of the size of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from mcsc.images.registration import estimate_shift
    >>> scene = np.random.default_rng(0).random((80, 80)).repeat(4, 0).repeat(4, 1)
    >>> x, y = scene[10:266, 10:266], 1 - scene[13:269, 5:261]
    >>> rows, columns, confidence = estimate_shift(x, y)
    >>> round(rows), round(columns), confidence > 0.2
    (3, -5, True)
    """
    return _estimate(*_features(("x", x), ("y", y)))


def displacement(x: Floats, y: Floats, *, names: tuple[str, str] = ("x", "y")) -> Shift | None:
    """Return the shift of an image against another one if they are visibly not registered.

    Parameters
    ----------
    x, y : array of floats, shape (H, W) or (C, H, W)
        Two images of one scene; where the sizes differ, the smaller one is enlarged to the larger.
    names : (str, str)
        What messages call the two images.

    Returns
    -------
    Shift or None
        As :func:`estimate_shift`, if it is distinct (`CONFIDENT`) and at least `DISPLACED` pixels
        in rows or columns. None: registered, or nothing can be told, as of images below 32 pixels.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite.
    """
    for name, image in zip(names, (x, y), strict=True):
        check_image(name, image)
    height, width = (max(n) for n in zip(x.shape[-2:], y.shape[-2:], strict=True))
    if min(height, width) < _SMALLEST:
        return None
    x, y = (_resized(image, (height, width)) for image in (x, y))
    shift = estimate_shift(x, y)
    distinct = shift.confidence >= CONFIDENT
    return shift if distinct and max(abs(shift.rows), abs(shift.columns)) >= DISPLACED else None


def align(
    moving: Floats,
    reference: Floats,
    *,
    flow: bool = False,
    names: tuple[str, str] = ("moving", "reference"),
) -> Alignment:
    """Register an image to another one of the same scene.

    Parameters
    ----------
    moving : array of floats, shape (H, W) or (C, H, W)
        The image to be moved. If it has another size than `reference`, it is first resized.
    reference : array of floats, shape (H, W) or (C, H, W)
        The image to lie on; it may be of another modality.
    flow : bool
        False: by one shift of the whole image, that of :func:`estimate_shift` if it is distinct
        (`CONFIDENT`), else none. True: by the optical flow, too, that is left after it: for
        parallax and small deformations.
    names : (str, str)
        What messages call the two images.

    Returns
    -------
    Alignment
        ``image`` has the channels and the dtype of `moving` and lies within its range: cubic
        splines are sampled once and clipped.

    Raises
    ------
    TypeError, ValueError
        As :func:`estimate_shift`.

    Notes
    -----
    The flow is scikit-image's iterative Lucas-Kanade, on the same features as the shift. Where
    there is no texture, it is not to be trusted; and a flow moves the pixels of a picture that
    were right, too, by its errors. So register by it only what is visibly out of register.

    References
    ----------
    G. Le Besnerais, F. Champagnat, "Dense optical flow by iterative local window registration",
    ICIP 2005. doi:10.1109/ICIP.2005.1529706
    """
    check_image(names[0], moving)
    check_image(names[1], reference)
    words = ""
    size, shape = moving.shape[-2:], reference.shape[-2:]
    if size != shape:
        words = f"resized from {size[0]} x {size[1]} to {shape[0]} x {shape[1]}, "
        moving = _resized(moving, shape)
    features = _features((names[1], reference), (names[0], moving))
    rows, columns, confidence = _estimate(*features)
    distinct = confidence >= CONFIDENT
    shift = (rows, columns) if distinct else (0.0, 0.0)
    if distinct:
        words += f"moved by {rows:+.2f} rows and {columns:+.2f} columns"
    else:
        words += "not moved, as no shift is distinct"
    words += f" (confidence {confidence:.2f})"
    grid = np.indices(shape, dtype=np.float64)
    grid -= np.reshape(shift, (2, 1, 1))
    magnitude = 0.0
    if flow:
        field = _flow(reference, _sampled(grey(moving), grid))
        lengths = np.hypot(*field)
        magnitude = float(lengths.mean())
        words += (
            f"; then warped by optical flow, {magnitude:.2f} pixels on average and "
            f"{float(lengths.max()):.2f} at most"
        )
        grid += field
    if not flow and shift == (0.0, 0.0):
        return Alignment(moving.copy(), shift, 0.0, words)
    stack = np.stack([_sampled(plane, grid) for plane in planes(moving)])
    image = stack.reshape(moving.shape).astype(moving.dtype)
    return Alignment(image, shift, magnitude, words)


# --------------------------------------------------------------------------- parts
def _features(*images: tuple[str, Any]) -> list[Plane]:
    for name, image in images:
        check_image(name, image)
        if min(image.shape[-2:]) < _SMALLEST:
            raise InvalidValueError(
                f"{name} has shape {image.shape}; want at least {_SMALLEST} x {_SMALLEST} pixels"
            )
    (first, one), (second, two) = images
    if one.shape[-2:] != two.shape[-2:]:
        raise InvalidValueError(
            f"{first} has shape {one.shape}, {second} {two.shape}; want one height and width"
        )
    return [edges(grey(image)) for _, image in images]


def grey(image: Floats) -> Plane:
    """Luma of three channels, and the mean of any other number of them, (H, W)."""
    stack = planes(image)
    return luma_plane(stack) if len(stack) == 3 else np.asarray(stack.mean(axis=0), np.float64)


def _resized(image: Floats, shape: tuple[int, int]) -> Floats:
    return image if image.shape[-2:] == shape else imresize(image, shape)


def _estimate(f: Plane, g: Plane) -> Shift:
    from skimage.registration import phase_cross_correlation

    found, confidence = _peak(f, g)
    if confidence == 0:
        return Shift(0.0, 0.0, 0.0)
    # Windows favour small shifts. Once more on what both show, where the shift that is left is
    # small, unless that says something else.
    f, g = _overlap(f, g, found)
    left, confidence = _peak(f, g)
    found = found[0] + left[0], found[1] + left[1]
    f, g = _overlap(f, g, left)
    fine, _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        _windowed(f), _windowed(g), upsample_factor=_UPSAMPLING, normalization=None
    )
    if np.abs(fine).max() > 1.5:  # another peak, further away than shifts are looked for
        fine = (0.0, 0.0)
    return Shift(float(found[0] + fine[0]), float(found[1] + fine[1]), confidence)


def edges(plane: Plane) -> Plane:
    """Strength of the gradients of a grey image, less its local mean: alike in two modalities."""
    # The root keeps a few strong edges, of a skull or a lamp, from outweighing all others.
    f = np.sqrt(scipy.ndimage.gaussian_gradient_magnitude(plane, 1.0, mode="nearest"))
    return np.asarray(f - scipy.ndimage.gaussian_filter(f, _WIDE), np.float64)


def _windowed(f: Plane) -> Plane:
    """Less its mean, under a Hann window, of norm 1; zero for a constant."""
    height, width = f.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    f = (f - np.average(f, weights=window)) * window
    norm = np.linalg.norm(f)
    # Rounding errors of a constant are no edges.
    return f / norm if norm > 1e-9 * np.sqrt(f.size) else np.zeros_like(f)


def _peak(f: Plane, g: Plane) -> tuple[tuple[int, int], float]:
    """Shift of g in whole pixels with the highest correlation, and its confidence."""
    spectrum = scipy.fft.rfft2(_windowed(f)) * np.conj(scipy.fft.rfft2(_windowed(g)))
    correlation = scipy.fft.irfft2(spectrum, f.shape)
    reach = [n // _REACH for n in f.shape]
    near = np.roll(correlation, reach, axis=(0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    i, j = np.unravel_index(np.argmax(near), near.shape)
    highest = float(near[i, j])
    if highest <= 0:
        return (0, 0), 0.0
    outside = np.ones(near.shape, bool)
    outside[max(i - _LOBE, 0) : i + _LOBE + 1, max(j - _LOBE, 0) : j + _LOBE + 1] = False
    others = near[outside]
    rival = max(float(others.max()), float(others.mean() + _CHANCE * others.std()))
    confidence = max(1 - rival / highest, 0.0)
    return (int(i) - reach[0], int(j) - reach[1]), confidence


def _overlap(f: Plane, g: Plane, shift: tuple[int, int]) -> tuple[Plane, Plane]:
    """The parts of f, and of g moved by the shift, that lie over each other."""
    ours, theirs = [], []
    for n, s in zip(f.shape, shift, strict=True):
        ours.append(slice(max(s, 0), n + min(s, 0)))
        theirs.append(slice(max(-s, 0), n + min(-s, 0)))
    return f[tuple(ours)], g[tuple(theirs)]


def _sampled(plane: Plane, grid: Plane) -> Plane:
    values = scipy.ndimage.map_coordinates(plane, grid, order=3, mode="nearest")
    return np.asarray(np.clip(values, plane.min(), plane.max()), np.float64)


def _flow(reference: Floats, moved: Plane) -> Plane:
    """Where in the moved image each pixel of the reference is found: offsets (2, H, W)."""
    from skimage.registration import optical_flow_ilk

    f, g = (even(edges(plane)) for plane in (grey(reference), moved))
    field = optical_flow_ilk(  # type: ignore[no-untyped-call]
        f, g, radius=10, num_warp=10, gaussian=True, prefilter=True
    )
    return np.asarray(field, np.float64)


def even(f: Plane) -> Plane:
    """Less the local mean and over the local spread, so that two modalities are comparable."""
    mean = scipy.ndimage.gaussian_filter(f, 10.0)
    spread = np.sqrt(scipy.ndimage.gaussian_filter((f - mean) ** 2, 10.0))
    return np.asarray((f - mean) / (spread + 0.1 * spread.mean() + 1e-9), np.float64)
