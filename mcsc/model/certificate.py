r"""The duality gap of Eq. 5, in float64: a bound on the distance to the optimum.

With weighted residual :math:`r = w (s - D a)`, every :math:`\theta` gives the bound

.. math::

    P(a^\star) \ge \langle w s, \theta\rangle - \tfrac12 \|\theta\|^2
    - \sum_{\mu_k > 0} \sum_p \frac{(|D_k^T w \theta| - \lambda_k)_+^2}{2 \mu_k}
    \qquad \text{if } |D_k^T w \theta| \le \lambda_k \text{ for all } k \text{ with } \mu_k = 0

(for non-negative codes without the absolute values; of joint groups the length of the vector of
their correlations counts). At the optimum :math:`\theta = r` makes it
tight. Elsewhere r violates the constraint at some places; there it is shrunk by a smooth factor
(`Envelope`), and what that leaves is scaled by the best feasible number, for each sample
of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, Backend, to_numpy
from ..backend.base import Tile
from ..lazy import cached_property
from ..types import Boundary, Region
from .convolution import Operator
from .peaks import CELL, Look, Peaks
from .penalty import Penalty


@dataclass(frozen=True)
class Bounds:
    """Objective and dual value at one point."""

    objective: float
    dual: float

    @property
    def gap(self) -> float:
        """Relative duality gap, see `relative_gap`."""
        return relative_gap(self.objective, self.dual)


def relative_gap(objective: float, dual: float) -> float:
    """``(objective - dual) / objective``; 0 where both are 0, infinite where one is not finite."""
    if not (math.isfinite(objective) and math.isfinite(dual)):
        return math.inf
    return max(objective - dual, 0.0) / objective if objective > 0 else 0.0


_LEAST_OBJECTIVE = 1e-299
"""Below it the squares in an objective have underflowed, wholly or to a few digits."""

_REACH = 0.5  # of an envelope, in filters: at this distance it has fallen to 1/e


class Envelope:
    r"""How much to shrink a dual point, from place to place, so that it becomes feasible.

    A residual r violates :math:`|D_k^T w r| \le \lambda_k` at a few places only. Scaling all of it
    by the largest violation would give away what the rest of the image proves; here it is divided
    by :math:`1 + e`, with e a smooth envelope of the violations that falls off from each within the
    size of a filter. What little may still be violated is scaled away globally afterwards, so that
    the result is feasible whatever e is.

    Parameters
    ----------
    shape : (H, W)
        Height and width of the images.
    filter_size : int
    boundary : {"zero", "periodic"}
    """

    def __init__(self, shape: tuple[int, int], filter_size: int, boundary: Boundary) -> None:
        self._shape = shape
        self._periodic = boundary == "periodic"
        self._fall = float(np.exp(-CELL / (_REACH * filter_size)))
        # A violation is one of all pixels under a filter: the cell's neighbours are as much to
        # blame.
        self._around = max(1, round(filter_size / (2 * CELL)))

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Return the envelope of cells' largest ratios (N, H', W'), on those cells, >= 0."""
        e = np.maximum(np.nan_to_num(cells.astype(np.float64), nan=0.0, posinf=1e300) - 1.0, 0.0)
        if not e.any():
            return e
        for axis in (1, 2):
            e = self._dilated(np.moveaxis(e, axis, 0), self._around)
            e = np.moveaxis(e, 0, axis)
        # Twice: what comes round a corner.
        for axis in (1, 2, 1, 2):
            e = np.moveaxis(self._decayed(np.moveaxis(e, axis, 0)), 0, axis)
        return e

    def _dilated(self, e: np.ndarray, steps: int) -> np.ndarray:
        for _ in range(steps):
            wide = np.pad(e, ((1, 1), (0, 0), (0, 0)), mode="wrap" if self._periodic else "edge")
            e = np.maximum(np.maximum(wide[:-2], wide[2:]), e)
        return e

    def _decayed(self, e: np.ndarray) -> np.ndarray:
        """Return ``max_j e[j] fall^|i - j|`` along the first axis."""
        count = len(e)
        turns = np.concatenate([e, e]) if self._periodic else e
        # Of logarithms the fall is a slope, along which the largest is carried in one sweep.
        with np.errstate(divide="ignore"):
            height = np.log(turns)
        slope = (np.arange(len(turns)) * np.log(self._fall)).reshape(-1, 1, 1)
        onwards = np.maximum.accumulate(height - slope, axis=0) + slope
        back = np.maximum.accumulate((height + slope)[::-1], axis=0)[::-1] - slope
        if self._periodic:  # what came once round, from either side
            return np.asarray(np.maximum(e, np.exp(np.maximum(onwards[count:], back[:count]))))
        return np.asarray(np.maximum(e, np.exp(np.maximum(onwards, back))))

    def around(self, e: np.ndarray, region: Region) -> np.ndarray:
        """Return those cells of an envelope (N, H', W') between which a region lies.

        On a periodic image the region may leave it on any side.
        """
        for axis, part in enumerate(region):
            e = np.take(e, self._interpolation(part, axis)[0], axis + 1)
        return e

    def interpolated(self, around: np.ndarray, region: Region) -> np.ndarray:
        """Return the envelope at every pixel of a region (N, h, w), from what is `around` it."""
        (_, low, high, share), (_, left, right, part) = (
            self._interpolation(part, axis) for axis, part in enumerate(region)
        )
        e = around[:, :, left] * (1 - part) + around[:, :, right] * part
        share = share[:, None]
        return np.asarray(e[:, low] * (1 - share) + e[:, high] * share)

    def everywhere(self, e: np.ndarray) -> np.ndarray:
        """Return an envelope (N, H', W') at every pixel, (N, H, W)."""
        return self.interpolated(e, self._whole)

    @cached_property
    def _whole(self) -> Region:
        return slice(0, self._shape[0]), slice(0, self._shape[1])

    def _interpolation(self, part: slice, axis: int) -> tuple[np.ndarray, ...]:
        """Between which cells the pixels of a part of an axis lie.

        Returns
        -------
        cells : array of int
            Those that the part needs.
        low, high : arrays of int (length of the part,)
            Places in `cells` of the one before and of the one after each pixel.
        share : array (length of the part,)
            Weight of `high`; that of `low` is the rest.
        """
        length = self._shape[axis]
        count = -(-length // CELL)
        place = (np.arange(part.start, part.stop) % length + 0.5) / CELL - 0.5
        first = np.floor(place).astype(int)
        ends = np.stack([first, first + 1])
        ends = ends % count if self._periodic else np.clip(ends, 0, count - 1)
        cells, found = np.unique(ends, return_inverse=True)
        low, high = found.reshape(ends.shape)
        return cells, low, high, place - first


def dual_value(
    penalty: Penalty, energy: np.ndarray, cross: np.ndarray, largest: np.ndarray, excess: np.ndarray
) -> np.ndarray:
    r"""Dual value at the best feasible multiple of a point :math:`\theta`.

    Parameters
    ----------
    penalty : Penalty
        Whether there are squares and signs.
    energy, cross : arrays
        :math:`\|\theta\|^2` and :math:`\langle w s, \theta\rangle`.
    largest, excess : arrays
        As in `mcsc.model.peaks.Look`.

    Returns
    -------
    array
        Not finite where numbers overflow.
    """
    with np.errstate(all="ignore"):  # what overflows is not finite, and says so in the end
        limit = 1.0 / np.maximum(largest, 1e-300)
        if penalty.elastic:
            # Below one, a multiple t makes the square's part at most t^2 as large.
            limit = np.minimum(limit, 1.0)
            energy = energy + 2.0 * excess
        least = 0.0 if penalty.elastic or penalty.signed else -limit
        # t <s, theta> - t^2/2 |theta|^2 is largest at <s, theta>/|theta|^2, clipped.
        t = np.clip(cross / np.maximum(energy, 1e-300), least, limit)
        return np.asarray(t * cross - 0.5 * t * t * energy)


class Certificate:
    """Evaluates objective and dual value of one problem in float64.

    `Problem.certificate` makes it.

    Parameters
    ----------
    operator : Operator
        ``D``, float64.
    signal : array (N, C, H, W)
        ``s``, all signals stacked, float64.
    weights : array (N, C, H, W) or None
        ``w``, float64; None: all one.
    penalty : Penalty
        lam, mu and signs.
    bounding : Penalty
        That of the dual value: `Penalty.bounding`.
    peaks : Peaks
        What looks at the correlations of a dual point.
    envelope : Envelope
        By which one is made feasible.
    backend : Backend
        Backend of the arrays.

    Notes
    -----
    An evaluation costs one synthesis and two analyses, of which none is ever held whole: a first
    look finds the violations, a second one proves what is left of them. A solver that knows the
    violations saves the first.
    """

    def __init__(
        self,
        operator: Operator,
        signal: Array,
        weights: Array | None,
        penalty: Penalty,
        bounding: Penalty,
        peaks: Peaks,
        envelope: Envelope,
        backend: Backend,
    ) -> None:
        self._xp = backend.xp
        self._backend = backend
        self._operator = operator
        self._signal = signal
        self._weights = weights
        self._penalty = penalty
        self._bounding = bounding
        self._peaks = peaks
        self._envelope = envelope
        self._samples = int(signal.shape[0])

    def _weighted(self, signal: Array) -> Array:
        return signal if self._weights is None else self._weights * signal

    def image(self, maps: Array) -> tuple[Array, float]:
        """Return ``D a``, (N, C, H, W), and the penalty of a, in float64."""
        xp = self._xp

        def read(tile: Tile, _: None) -> tuple[Array, tuple[Any]]:
            given = tile.of(maps)
            a = xp.astype(given, xp.float64)
            if self._penalty.plain:
                return a, (xp.sum(self._backend.l1_image(given, self._penalty.on(tile))),)
            return a, (self._penalty.value(a, tile),)

        image, (penalty,) = self._operator.sweep(None, read, samples=self._samples)
        return image, float(penalty)

    def weighted_residual(self, image: Array) -> Array:
        """Return ``w^2 (s - image)``; minus the gradient is the adjoint image of it."""
        return self._weighted(self._weighted(self._signal - image))

    def objective(self, image: Array, penalty: float) -> float:
        """Value of Eq. 5 from ``D a`` and the penalty of a, in float64; NaN if it underflows."""
        return self._objective_of(self._weighted(self._signal - image), penalty)

    def _objective_of(self, residual: Array, penalty: float) -> float:
        objective = 0.5 * float(self._xp.sum(residual * residual)) + penalty
        return math.nan if objective < _LEAST_OBJECTIVE and self._has_codes else objective

    @cached_property
    def _has_codes(self) -> bool:
        """Whether codes are not zero at the optimum: of an objective near 0 it cannot be told."""
        signal = self._weighted(self._signal)
        return bool(self._xp.any(signal != 0)) and self.largest_correlation() > 1.0

    def evaluate(self, maps: Array) -> Bounds:
        """Return objective and dual value at codes `maps` (N, K, H, W)."""
        return self.evaluate_image(*self.image(maps))

    def evaluate_image(
        self, image: Array, penalty: float, cells: np.ndarray | None = None
    ) -> Bounds:
        """Return objective and dual value from ``D a`` and the penalty of a, in float64.

        An objective that underflows is NaN, unless zero codes are the optimum.

        Parameters
        ----------
        image : array (N, C, H, W)
            ``D a``.
        penalty : float
            Value of the penalty at a.
        cells : array (N, H', W'), optional
            Largest ratio of a correlation to lam in every cell (`mcsc.model.peaks.CELL`), at the
            residual of a; to few digits, since they only say where to shrink. None: to be found.
        """
        xp = self._xp
        r = self._weighted(self._signal - image)
        objective = self._objective_of(r, penalty)
        dual = np.full(self._samples, -np.inf)
        if cells is None:
            look = self._peaks.look(self._weighted(r))
            cells = look.cells
            dual = self._dual(r, look)
        shrink = self._envelope.of(cells)
        if shrink.any() or not np.isfinite(dual).all():
            factor = xp.asarray(1.0 + self._envelope.everywhere(shrink))
            theta = r / factor[:, None, ...]
            dual = np.maximum(dual, self._dual(theta, self._peaks.look(self._weighted(theta))))
        return Bounds(objective, float(dual.sum()))

    def _dual(self, theta: Array, look: Look) -> np.ndarray:
        """Dual value at the best feasible multiple of `theta`, of each sample, (N,)."""
        xp = self._xp
        energy = to_numpy(xp.sum(theta * theta, axis=(1, 2, 3)))
        cross = to_numpy(xp.sum(self._weighted(self._signal) * theta, axis=(1, 2, 3)))
        return dual_value(self._bounding, energy, cross, look.largest, look.excess)

    def largest_correlation(self) -> float:
        """Largest ratio of ``D^T w^2 s`` to lam: with a lam of one, lambda_max."""
        signal = self._weighted(self._weighted(self._signal))
        return float(self._peaks.look(signal).largest.max())
