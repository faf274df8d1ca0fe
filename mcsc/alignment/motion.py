"""The motion between two images of one scene: shift, rotation, scale and perspective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from ..checks import check_image
from ..errors import InvalidValueError
from ..images.planes import Planes, planes
from ..images.registration import CONFIDENT, edges, estimate_shift, even, grey
from ..types import Floats

__all__ = ["REACH", "STILL", "Motion", "estimate_motion", "moved"]

STILL = 0.35
"""Pixels, on average, below which a motion is no more than its error, and is not undone."""

_SMALLEST = 32
_FINEST = 700  # pixels of the longer side in which motions are estimated
_COARSEST = 48
_ITERATIONS = 20
_SETTLED = 0.02  # pixels
_ALIKE = 0.7  # correlation of grey values from which on they show the same
_OUTLIER = 2.5  # robust standard deviations
REACH = 0.25
"""Share of the height or of the width: a motion by more is not believed."""
_SCALES = (0.8, 1.25)
_EDGE = 1e-6  # rounding
_COMMON = 0.2  # share of the pixels that both must show
_TELLING = 0.35  # agreement of edges from which on these can be relied on
_NEARLY = 0.8  # of it: as good
_BLOCKS = 8  # along each side, in which a motion is compared with none
_SURE = 3.0  # standard errors


@dataclass(frozen=True, eq=False)
class Motion:
    r"""Where in a moving image the pixels of its reference are found.

    A pixel in column x and row y of the reference is at :math:`(u / w, v / w)`,
    :math:`(u, v, w)^T = H (x, y, 1)^T`.
    """

    matrix: Planes
    """H, (3, 3), with ``H[2, 2] == 1``."""
    shape: tuple[int, int]
    """(H, W) of the reference."""
    correlation: float
    """Correlation of the two images once they are aligned: of their grey values or, where these
    differ, of their edges."""

    @property
    def lengths(self) -> Planes:
        """By how many pixels a grid of 9 x 9 points is moved."""
        return np.asarray(np.hypot(*self._offsets()), np.float64)

    def _offsets(self) -> Planes:
        """Rows and columns by which a grid of 9 x 9 points is moved."""
        rows, columns = (np.linspace(0, n - 1, 9) for n in self.shape)
        x, y = np.meshgrid(columns, rows)
        u, v, w = np.einsum("ij,jhw->ihw", self.matrix, np.stack([x, y, np.ones_like(x)]))
        return np.stack([v / w - y, u / w - x])

    def inside(self) -> NDArray[np.bool_]:
        """Where on the grid of the reference the moving image has data, (H, W)."""
        height, width = self.shape
        y, x = np.mgrid[:height, :width].astype(np.float64)
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in self.matrix)
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = u / w, v / w
        found = (w > 0) & (u >= -_EDGE) & (u <= width - 1 + _EDGE)
        return np.asarray(found & (v >= -_EDGE) & (v <= height - 1 + _EDGE))

    @property
    def scale(self) -> float:
        """How much larger things are in the moving image, in its middle."""
        x, y = (n / 2 for n in reversed(self.shape))
        h = self.matrix
        w = h[2] @ (x, y, 1)
        place = h[:2] @ (x, y, 1) / w
        jacobian = (h[:2, :2] - np.outer(place, h[2, :2])) / w
        return float(np.sqrt(abs(np.linalg.det(jacobian))))

    @property
    def is_still(self) -> bool:
        """Whether there is hardly any."""
        return bool(self.lengths.mean() < STILL)

    @property
    def is_plausible(self) -> bool:
        """Whether frames of one stack may move so far."""
        low, high = _SCALES
        shares = np.abs(self._offsets()) / np.reshape(self.shape, (2, 1, 1))
        return bool(shares.max() <= REACH) and low <= self.scale <= high

    @property
    def words(self) -> str:
        """For people."""
        if self.is_still:
            return f"has hardly moved ({self.lengths.mean():.2f} pixels), and is left as it is"
        x, y = (n / 2 for n in reversed(self.shape))
        u, v, w = self.matrix @ (x, y, 1)
        text = f"moved by {y - v / w:+.1f} rows and {x - u / w:+.1f} columns"
        if abs(self.scale - 1) > 5e-4:
            text += f", scaled by {1 / self.scale:.3f}"
        return f"{text}, up to {self.lengths.max():.1f} pixels (correlation {self.correlation:.2f})"


def estimate_motion(
    moving: Floats,
    reference: Floats,
    *,
    start: Motion | None = None,
    names: tuple[str, str] = ("moving", "reference"),
) -> Motion:
    r"""Estimate the homography that leads from a reference to another image of the scene.

    It maximises the correlation of the grey values or, where these have little in common as those
    of two modalities, of the strength of gradients:

    .. math:: \max_H \frac{\langle f, g \circ H \rangle}{\|f\| \|g \circ H\|},

    both less their means, on what both images show, from coarse to fine. Pixels that fit far worse
    than most count for little: things that move, or are burnt out in one exposure. Grey values that
    are led astray by light and shade, as of a flash, give way to edges where these agree far better
    elsewhere; and a motion that does not fit significantly better than none, block by block, is
    none.

    Parameters
    ----------
    moving, reference : arrays of floats, shape (H, W) or (C, H, W)
        Two images of one height and width, at least 32 x 32 pixels, with any numbers of channels.
    start : Motion, optional
        Where to look first, as the motion of the frame before; besides, no motion and the shift of
        `mcsc.images.registration.estimate_shift` are tried.
    names : (str, str)
        What messages call the images.

    Returns
    -------
    Motion
        To about 0.1 pixel; 0.4 for two modalities.

    Raises
    ------
    TypeError
        An image is not an array of floats.
    ValueError
        An image is not finite or too small, or the sizes differ.

    Notes
    -----
    Estimated on at most 700 pixels of the longer side. On photographs moved by 8 pixels on average,
    with noise and blurred in part, the error is 0.1 pixel; matches of features (scikit-image's ORB
    and SIFT with RANSAC) leave 1 to 3 pixels on these and fail on two modalities, and OpenCV's
    ``findTransformECC``, which maximises the same correlation, is as accurate.

    References
    ----------
    G. D. Evangelidis, E. Z. Psarakis, "Parametric image alignment using enhanced correlation
    coefficient maximization", IEEE TPAMI 30(10), 2008. doi:10.1109/TPAMI.2008.113

    S. Baker, I. Matthews, "Lucas-Kanade 20 years on", IJCV 56(3), 2004 (inverse composition).
    doi:10.1023/B:VISI.0000011205.11775.fd
    """
    for name, image in zip(names[::-1], (reference, moving), strict=True):
        check_image(name, image)
        if min(image.shape[-2:]) < _SMALLEST:
            raise InvalidValueError(
                f"{name} has shape {image.shape}; want at least {_SMALLEST} x {_SMALLEST} pixels"
            )
    if moving.shape[-2:] != reference.shape[-2:]:
        raise InvalidValueError(
            f"{names[0]} has shape {moving.shape}, {names[1]} {reference.shape}; want one height "
            "and width"
        )
    height, width = reference.shape[-2:]
    factor = max(1, -(-max(height, width) // _FINEST))
    f, g = (_reduced(grey(image), factor) for image in (reference, moving))
    scaling = np.diag([factor, factor, 1.0])
    first = np.eye(3) if start is None else np.linalg.inv(scaling) @ start.matrix @ scaling
    starts = _starts(f, g, first)
    matrix, correlation = _aligned(f, g, starts)
    a, b = (even(edges(plane)) for plane in (f, g))
    agreement = _agreement(a, b, matrix)
    if correlation < _ALIKE or agreement < _ALIKE:
        other, _ = _aligned(a, b, starts)
        # Broad light and shade lead grey values astray, defocus leads edges.
        reached = _agreement(a, b, other)
        if correlation < _ALIKE or (reached > _TELLING and agreement < _NEARLY * reached):
            matrix = other
    if not _is_better(f, g, a, b, matrix):
        matrix = np.eye(3)
    # Outliers count here: without them nearly anything fits.
    alike = _agreement(f, g, matrix) >= _ALIKE
    correlation = _fit(f, g, matrix) if alike else _fit(a, b, matrix)
    whole = scaling @ matrix @ np.linalg.inv(scaling)
    return Motion(whole / whole[2, 2], (height, width), correlation)


def moved(image: Floats, motion: Motion) -> tuple[Floats, NDArray[np.bool_]]:
    """Bring an image onto the grid of its reference.

    Parameters
    ----------
    image : array of floats, shape (H, W) or (C, H, W)
    motion : Motion

    Returns
    -------
    image : array
        The warped image, with the shape and dtype of `image`, and within the range of its channels:
        cubic convolution, clipped. Where the reference shows more, the edge is repeated.
    inside : array of bool, (H, W)
        Where it has data.
    """
    stack = planes(image)
    found = np.stack([_warped(plane, motion.matrix, 3) for plane in stack])
    low, high = (end(stack, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
    return np.clip(found, low, high).reshape(image.shape).astype(image.dtype), motion.inside()


def _reduced(plane: Planes, factor: int) -> Planes:
    if factor == 1:
        return plane
    smooth = scipy.ndimage.gaussian_filter(plane, 0.5 * factor)
    return np.asarray(smooth[::factor, ::factor], np.float64)


def _warped(plane: Planes, matrix: Planes, order: int) -> Planes:
    from skimage.transform import ProjectiveTransform, warp

    where = ProjectiveTransform(matrix)  # type: ignore[no-untyped-call]
    found = warp(  # type: ignore[no-untyped-call]
        plane, where, order=order, mode="edge", preserve_range=True,
        clip=False,
    )  # fmt: skip
    return np.asarray(found, np.float64)


def _starts(f: Planes, g: Planes, first: Planes) -> list[Planes]:
    starts = [np.eye(3)] if np.array_equal(first, np.eye(3)) else [first, np.eye(3)]
    if min(f.shape) >= _SMALLEST:
        shift = estimate_shift(f, g)
        if shift.confidence >= CONFIDENT / 2:
            # That moves g; H says where its pixels come from.
            starts.append(np.array([[1, 0, -shift.columns], [0, 1, -shift.rows], [0, 0, 1.0]]))
    return starts


def _aligned(f: Planes, g: Planes, starts: list[Planes]) -> tuple[Planes, float]:
    """H and the correlation that it reaches, from coarse to fine."""
    factors = [1]
    while min(f.shape) / (2 * factors[-1]) >= _COARSEST:
        factors.append(2 * factors[-1])
    matrix, correlation = starts[0], -1.0
    for factor in reversed(factors):
        scaling = np.diag([factor, factor, 1.0])
        a, b = (scipy.ndimage.gaussian_filter(_reduced(p, factor), 1.0) for p in (f, g))
        if factor == factors[-1]:
            tried = [_climbed(a, b, np.linalg.inv(scaling) @ start @ scaling) for start in starts]
            found, correlation = max(tried, key=lambda one: one[1])
        else:
            found, correlation = _climbed(a, b, np.linalg.inv(scaling) @ matrix @ scaling)
        matrix = scaling @ found @ np.linalg.inv(scaling)
    return matrix, correlation


def _climbed(f: Planes, g: Planes, matrix: Planes) -> tuple[Planes, float]:
    """Climb to the maximum of the correlation by inverse composition (Baker and Matthews)."""
    height, width = f.shape
    side = max(height, width) / 2
    # In coordinates of about [-1, 1], so that the eight numbers of H are of one size.
    to_unit = np.array([[1 / side, 0, -width / 2 / side], [0, 1 / side, -height / 2 / side],
                        [0, 0, 1]])  # fmt: skip
    from_unit = np.linalg.inv(to_unit)
    y, x = np.mgrid[:height, :width]
    x, y = (x - width / 2) / side, (y - height / 2) / side
    down, across = (np.asarray(d) * side for d in np.gradient(f))
    along = across * x + down * y
    steepest = (
        np.stack([across * x, across * y, across, down * x, down * y, down, -along * x, -along * y])
        .reshape(8, -1)
        .astype(np.float32)
    )
    reference = f.ravel().astype(np.float32)
    best, best_correlation = matrix, -1.0
    for _ in range(_ITERATIONS):
        inside = Motion(matrix / matrix[2, 2], (height, width), 0.0).inside().ravel()
        if inside.sum() < max(64, _COMMON * inside.size):
            break
        warped = _warped(g, matrix, 1).ravel().astype(np.float32)
        correlation, step = _step(reference, warped, steepest, inside)
        if correlation > best_correlation:
            best, best_correlation = matrix, correlation
        if step is None:
            break
        change = np.eye(3) + np.append(step, 0.0).reshape(3, 3)
        unit = to_unit @ matrix @ from_unit @ np.linalg.inv(change)
        matrix = from_unit @ (unit / unit[2, 2]) @ to_unit
        if not np.isfinite(matrix).all() or np.abs(step).max() * side < _SETTLED:
            break
    return best, best_correlation


def _weighted(
    f: Floats, g: Floats, inside: NDArray[np.bool_]
) -> tuple[float, Floats, Floats] | None:
    """Correlation, what g differs by once it has the contrast of f, and weights; or nothing."""
    weights = inside.astype(np.float32)
    for _ in range(2):  # once for the outliers, once without them
        total = weights.sum()
        a, b = f - (weights @ f) / total, g - (weights @ g) / total
        norms = np.sqrt((weights @ a**2) * (weights @ b**2))
        if not norms > 1e-12:
            return None
        correlation = float((weights * a) @ b / norms)
        rest = b * np.sqrt((weights @ a**2) / (weights @ b**2)) - a
        spread = 1.4826 * float(np.median(np.abs(rest[inside][::7]))) + 1e-12
        weights = inside / (1 + (rest / np.float32(_OUTLIER * spread)) ** 2)
    return correlation, rest, weights


def _step(
    f: Floats, g: Floats, steepest: Floats, inside: NDArray[np.bool_]
) -> tuple[float, Planes | None]:
    """Correlation, and the Gauss-Newton step of the reference towards the moving image."""
    found = _weighted(f, g, inside)
    if found is None:
        return 0.0, None
    correlation, rest, weights = found
    weighted = steepest * weights
    sums, total = weighted.sum(axis=1, dtype=np.float64), float(weights.sum(dtype=np.float64))
    normal = (weighted @ steepest.T).astype(np.float64) - np.outer(sums, sums) / total
    # The rest has no weighted mean to speak of, but for the last weights.
    right = (weighted @ rest).astype(np.float64) - sums * float(weights @ rest) / total
    normal[np.diag_indices(8)] *= 1 + 1e-6
    try:
        return correlation, np.linalg.solve(normal, right)
    except np.linalg.LinAlgError:
        return correlation, None


# ------------------------------------------------------------------------- which one is believed
def _fit(f: Planes, g: Planes, matrix: Planes) -> float:
    """Correlation without outliers on what both show."""
    inside = Motion(matrix, _size(f), 0.0).inside().ravel()
    warped = _warped(g, matrix, 1).ravel().astype(np.float32)
    found = _weighted(f.ravel().astype(np.float32), warped, inside) if inside.any() else None
    return 0.0 if found is None else found[0]


def _size(f: Planes) -> tuple[int, int]:
    return int(f.shape[0]), int(f.shape[1])


def _products(f: Planes, g: Planes, matrix: Planes) -> Planes:
    """What each pixel adds to the correlation of all of what both show; 0 elsewhere."""
    inside = Motion(matrix / matrix[2, 2], _size(f), 0.0).inside()
    if inside.mean() < _COMMON:
        return np.zeros_like(f)
    warped = _warped(g, matrix, 1)
    a, b = (np.where(inside, plane - plane[inside].mean(), 0.0) for plane in (f, warped))
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return np.asarray(a * b / norm if norm > 1e-12 else np.zeros_like(f))


def _agreement(f: Planes, g: Planes, matrix: Planes) -> float:
    """Plain correlation on what both show: what moves by itself is not left out."""
    return float(_products(f, g, matrix).sum())


def _is_better(f: Planes, g: Planes, a: Planes, b: Planes, matrix: Planes) -> bool:
    """Whether a motion fits better than none, in most places and not by chance.

    `f, g` are grey values, `a, b` their edges, and these must not fit worse.
    """
    still = np.eye(3)
    edged = _products(a, b, matrix) - _products(a, b, still)
    if edged.sum() <= 0:
        return False
    grey_values = _products(f, g, matrix) - _products(f, g, still)
    return max(_significance(edged), _significance(grey_values)) > _SURE


def _significance(gains: Planes) -> float:
    """Mean over blocks, in standard errors."""
    blocks = [
        part.sum()
        for rows in np.array_split(gains, _BLOCKS, axis=0)
        for part in np.array_split(rows, _BLOCKS, axis=1)
    ]
    spread = float(np.std(blocks)) / _BLOCKS
    return float(np.mean(blocks)) / (spread + 1e-12)
