r"""The dictionary update: filters that fit the signals best at fixed codes.

.. math::

    \min_d \tfrac12 \sum_n \| w (s_n - \sum_k d_k * a_{nk}) \|_2^2
    \quad \text{subject to} \quad \|d_k\|_2 \le 1

by accelerated projected gradients (Beck and Teboulle, doi:10.1137/080716542) that start over when
the objective rises (O'Donoghue and Candes, doi:10.1007/s10208-013-9150-3). Each filter has a step
of its own, in proportion to the energy of its codes: rare atoms would otherwise hardly move. A
gradient costs C s s multiplications per nonzero coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..sparse.active_set import ActiveSet
from ..sparse.operator import CodesOperator


class FilterUpdate:
    """The quadratic part for several batches of codes.

    Parameters
    ----------
    batches : sequence of ActiveSet
        Codes with their signals, all of dictionaries of one layout.
    """

    def __init__(self, batches: Sequence[ActiveSet]) -> None:
        self._batches = batches
        channels = batches[0].signal.shape[1]
        self._operators = [CodesOperator(a, a.table.layout, channels) for a in batches]
        maps = batches[0].problem.dictionary.n_maps
        self.energy = np.sum([op.energy(maps) for op in self._operators], axis=0)

    def objective_and_gradient(self, filters: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient of the data term, in float64."""
        value, gradient = 0.0, np.zeros(len(filters))
        for active, op in zip(self._batches, self._operators, strict=True):
            residual = op.image(filters) - active.signal
            weighted = active.weighted(residual)
            inner, outer = active.crop(residual), active.crop(weighted)
            value += 0.5 * float(np.sum(inner * outer, dtype=np.float64))
            gradient += op.transpose(weighted)
        return value, gradient

    def objective(self, filters: np.ndarray) -> float:
        """Value of the data term, in float64."""
        value = 0.0
        for active, op in zip(self._batches, self._operators, strict=True):
            residual = op.image(filters) - active.signal
            inner, outer = active.crop(residual), active.crop(active.weighted(residual))
            value += 0.5 * float(np.sum(inner * outer, dtype=np.float64))
        return value

    def curvature(self, filters: np.ndarray) -> np.ndarray:
        """The Hessian times `filters`."""
        total = np.zeros(len(filters))
        for active, op in zip(self._batches, self._operators, strict=True):
            total += op.transpose(active.weighted(op.image(filters)))
        return total

    def largest_eigenvalue(self, scale: np.ndarray, steps: int = 6) -> float:
        """Largest eigenvalue of the Hessian between two factors `scale`.

        It is found by power iteration, and a margin is added.
        """
        v = np.random.default_rng(0).standard_normal(len(scale)) * (scale > 0)
        found = 0.0
        for _ in range(steps):
            norm = float(np.linalg.norm(v))
            if norm == 0:
                return 1.0
            v = scale * self.curvature(scale * v / norm)
            found = float(np.linalg.norm(v))
        return 1.05 * found or 1.0


def update_filters(
    batches: Sequence[ActiveSet],
    filters: np.ndarray,
    *,
    project: Callable[[np.ndarray], np.ndarray],
    per_filter: Callable[[np.ndarray], np.ndarray],
    steps: int,
) -> np.ndarray:
    """Return filters that fit better, after `steps` accelerated projected gradients.

    Parameters
    ----------
    batches : sequence of ActiveSet
        Codes with their signals.
    filters : array (P,)
        Where to begin, feasible.
    project : callable
        Onto the constraint set, which is a ball and a subspace for each filter.
    per_filter : callable
        Spreads a number per map over its filter.
    steps : int
        Iterations.
    """
    problem = FilterUpdate(batches)
    energy = problem.energy
    used = energy > 0
    # Filters of unused maps stay as they are.
    inverse = np.where(used, 1 / np.sqrt(np.where(used, energy, 1.0)), 0.0)
    scale = per_filter(inverse)
    bound = problem.largest_eigenvalue(scale)
    weight = np.divide(1.0, scale**2, out=np.zeros_like(scale), where=scale > 0)
    x = y = filters
    value_x = np.inf
    t = 1.0
    for _ in range(steps):
        value, gradient = problem.objective_and_gradient(y)
        while True:
            new = project(y - scale**2 * gradient / bound)
            move = new - y
            moved = problem.objective(new)
            # The sufficient decrease of a step 1/bound; power iteration can fall short of it.
            model = value + gradient @ move + 0.5 * bound * float((weight * move) @ move)
            if moved <= model + 1e-6 * abs(value):
                break
            bound *= 1.5
        if moved > value_x:
            if y is x:
                break
            y, t = x, 1.0
            continue
        ahead = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        y = new + (t - 1) / ahead * (new - x)
        x, value_x, t = new, moved, ahead
    return x
