r"""The duality gap of Eq. 5, in float64: a bound on the distance to the optimum.

With weighted residual :math:`r = w (s - D a)`, every :math:`\theta` gives the bound

.. math::

    P(a^\star) \ge \langle w s, \theta\rangle - \tfrac12 \|\theta\|^2
    - \sum_{\mu_k > 0} \sum_p \frac{(|D_k^T w \theta| - \lambda_k)_+^2}{2 \mu_k}
    \qquad \text{if } |D_k^T w \theta| \le \lambda_k \text{ for all } k \text{ with } \mu_k = 0

(for non-negative codes without the absolute values). At the optimum :math:`\theta = r` makes it
tight. Elsewhere r violates the constraint at some places; there it is shrunk by a smooth factor
(`mcsc.model.envelope`), and what that leaves is scaled by the best feasible number, for each sample
of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, namespace, to_numpy
from ..backend.base import Tile
from .convolution import Operator
from .envelope import Envelope
from .peaks import Look, Peaks
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
    """``(objective - dual) / objective``; 0 where both are 0, infinite where numbers overflowed."""
    if not (math.isfinite(objective) and math.isfinite(dual)):
        return math.inf
    return max(objective - dual, 0.0) / objective if objective > 0 else 0.0


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
    peaks : Peaks
        What looks at the correlations of a dual point.
    envelope : Envelope
        By which one is made feasible.

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
        peaks: Peaks,
        envelope: Envelope,
    ) -> None:
        self._xp = namespace(signal)
        self._operator = operator
        self._signal = signal
        self._weights = weights
        self._penalty = penalty
        self._peaks = peaks
        self._envelope = envelope
        self._samples = int(signal.shape[0])

    def _weighted(self, signal: Array) -> Array:
        return signal if self._weights is None else self._weights * signal

    def image(self, maps: Array) -> tuple[Array, float]:
        """Return ``D a``, (N, C, H, W), and the penalty of a, in float64."""
        xp = self._xp

        def read(tile: Tile, _: None) -> tuple[Array, tuple[Any]]:
            a = xp.astype(tile.of(maps), xp.float64)
            return a, (self._penalty.value(a, tile),)

        image, (penalty,) = self._operator.sweep(None, read, samples=self._samples)
        return image, float(penalty)

    def weighted_residual(self, image: Array) -> Array:
        """Return ``w^2 (s - image)``; minus the gradient is the adjoint image of it."""
        return self._weighted(self._weighted(self._signal - image))

    def objective(self, image: Array, penalty: float) -> float:
        """Value of Eq. 5 from ``D a`` and the penalty of a, in float64."""
        r = self._weighted(self._signal - image)
        return 0.5 * float(self._xp.sum(r * r)) + penalty

    def evaluate(self, maps: Array) -> Bounds:
        """Return objective and dual value at codes `maps` (N, K, H, W)."""
        return self.evaluate_image(*self.image(maps))

    def evaluate_image(
        self, image: Array, penalty: float, cells: np.ndarray | None = None
    ) -> Bounds:
        """Return objective and dual value from ``D a`` and the penalty of a, in float64.

        Parameters
        ----------
        image : array (N, C, H, W)
            ``D a``.
        penalty : float
            Of a.
        cells : array (N, H', W'), optional
            Largest ratio of a correlation to lam in every cell (`mcsc.model.envelope.CELL`), at the
            residual of a; to few digits, since they only say where to shrink. None: to be found.
        """
        xp = self._xp
        r = self._weighted(self._signal - image)
        objective = 0.5 * float(xp.sum(r * r)) + penalty
        dual = np.full(self._samples, -np.inf)
        if cells is None:
            look = self._peaks.look(self._weighted(r))
            cells = look.cells
            dual = self._dual(r, look)
        shrink = self._envelope.of(cells)
        if shrink.any() or not np.isfinite(dual).all():
            rows = xp.asarray(self._envelope.rows)
            columns = xp.asarray(self._envelope.columns)
            factor = 1.0 + rows @ xp.asarray(shrink) @ columns.T
            theta = r / factor[:, None, ...]
            dual = np.maximum(dual, self._dual(theta, self._peaks.look(self._weighted(theta))))
        return Bounds(objective, float(dual.sum()))

    def _dual(self, theta: Array, look: Look) -> np.ndarray:
        """Dual value at the best feasible multiple of `theta`, of each sample, (N,)."""
        xp = self._xp
        energy = to_numpy(xp.sum(theta * theta, axis=(1, 2, 3)))
        cross = to_numpy(xp.sum(self._weighted(self._signal) * theta, axis=(1, 2, 3)))
        with np.errstate(all="ignore"):  # what overflows is not finite, and says so in the end
            limit = 1.0 / np.maximum(look.largest, 1e-300)
            if self._penalty.elastic:
                # Below one, a multiple t makes the square's part at most t^2 as large.
                limit = np.minimum(limit, 1.0)
                energy = energy + 2.0 * look.excess
            least = 0.0 if self._penalty.elastic or self._penalty.signed else -limit
            # t <s, theta> - t^2/2 |theta|^2 is largest at <s, theta>/|theta|^2, clipped.
            t = np.clip(cross / np.maximum(energy, 1e-300), least, limit)
            return np.asarray(t * cross - 0.5 * t * t * energy)

    def largest_correlation(self) -> float:
        """Largest ratio of ``D^T w^2 s`` to lam: with a lam of one, lambda_max."""
        signal = self._weighted(self._weighted(self._signal))
        return float(self._peaks.look(signal).largest.max())
