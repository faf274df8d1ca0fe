r"""The duality gap of Eq. 5, in float64: a bound on the distance to the optimum.

For any codes a with weighted residual :math:`r = w (s - D a)`, every
:math:`\theta = t\,r` with :math:`|D_k^T w \theta| \le \lambda_k` for all k is dual feasible, and

.. math::

    P(a) - \Bigl(\tfrac12 \|w s\|^2 - \tfrac12 \|w s - \theta\|^2\Bigr) \ge P(a) - P(a^\star).

Among the feasible multiples t the one with the largest dual value is taken; the samples of a
batch are scaled independently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..backend import Array, namespace
from ..backend.base import Tile
from .convolution import Operator


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
        ``D`` and its adjoint, float64.
    signal : array (N, C, H, W)
        ``s``, all signals stacked, float64.
    weights : array (N, C, H, W) or None
        ``w``, float64; None: all one.
    lam : array (K,)
        lambda of each map, float64.

    Notes
    -----
    An evaluation costs one synthesis and one analysis in float64, about two iterations of a solver
    that works in float32. The correlations are reduced tile by tile, and never exist whole.
    """

    def __init__(
        self, operator: Operator, signal: Array, weights: Array | None, lam: Array
    ) -> None:
        self._xp = xp = namespace(signal)
        self._operator = operator
        self._signal = signal
        self._weights = weights
        self._lam = xp.reshape(lam, (1, -1, 1, 1))
        self._samples = int(signal.shape[0])

    def _weighted(self, signal: Array) -> Array:
        return signal if self._weights is None else self._weights * signal

    def image(self, maps: Array) -> tuple[Array, float]:
        """Return ``D a``, (N, C, H, W), and ``sum lam |a|``, in float64."""
        xp = self._xp

        def read(tile: Tile, _: None) -> tuple[Array, tuple[Any]]:
            a = xp.astype(tile.of(maps), xp.float64)
            return a, (xp.sum(self._lam[:, tile.maps, ...] * xp.abs(a)),)

        image, (penalty,) = self._operator.sweep(None, read, samples=self._samples)
        return image, float(penalty)

    def weighted_residual(self, image: Array) -> Array:
        """Return ``w^2 (s - image)``; minus the gradient is the adjoint image of it."""
        return self._weighted(self._weighted(self._signal - image))

    def objective(self, image: Array, penalty: float) -> float:
        """Value of Eq. 5 from ``D a`` and ``sum lam |a|``, in float64."""
        r = self._weighted(self._signal - image)
        return 0.5 * float(self._xp.sum(r * r)) + penalty

    def _largest(self, signal: Array, scale: Array) -> Array:
        """Largest ``|D^T signal| / scale`` of each sample, shape (N,)."""
        xp = self._xp
        n = self._samples
        found: list[tuple[slice, Array]] = []  # list.append is atomic: tiles come from threads

        def visit(tile: Tile, g: Array) -> tuple[None, None]:
            ratio = xp.abs(g)
            ratio /= scale[:, tile.maps, ...]
            found.append((tile.samples, xp.max(ratio, axis=(1, 2, 3))))
            return None, None

        self._operator.sweep(signal, visit, samples=n, synthesise=False)
        largest = xp.zeros((n,), dtype=xp.float64)
        for samples, value in found:
            largest[samples] = xp.maximum(largest[samples], value)
        return largest

    def evaluate(self, maps: Array) -> Bounds:
        """Return objective and dual value at codes `maps` (N, K, H, W)."""
        return self.evaluate_image(*self.image(maps))

    def evaluate_image(self, image: Array, penalty: float) -> Bounds:
        """Return objective and dual value from ``D a`` and ``sum lam |a|``, in float64."""
        xp = self._xp
        r = self._weighted(self._signal - image)
        s = self._weighted(self._signal)
        largest = self._largest(self._weighted(r), self._lam)
        energy = xp.sum(r * r, axis=(1, 2, 3))
        cross = xp.sum(s * r, axis=(1, 2, 3))
        tiny = xp.asarray(1e-300, dtype=xp.float64)
        limit = 1.0 / xp.maximum(largest, tiny)
        # t <s, r> - t^2/2 |r|^2 is largest at <s, r>/|r|^2, clipped to the feasible |t| <= limit.
        t = cross / xp.maximum(energy, tiny)
        t = xp.minimum(xp.maximum(t, -limit), limit)
        dual = xp.sum(t * cross - 0.5 * t * t * energy)
        objective = 0.5 * float(xp.sum(energy)) + penalty
        return Bounds(objective, float(dual))

    def largest_correlation(self) -> float:
        """``max |D^T w^2 s|``: lambda_max."""
        xp = self._xp
        ones = xp.ones_like(self._lam)
        signal = self._weighted(self._weighted(self._signal))
        return float(xp.max(self._largest(signal, ones)))
