r"""ISTA and FISTA on all codes at once.

One step of size :math:`1/L` (Eqs. 8, 10 and 13 with exact filters, all groups together):

.. math::

    a \leftarrow S_{\lambda/L}\bigl(p + \tfrac1L D^T w^2 (s - D p)\bigr), \qquad
    p = a + \beta\,(a - a_{\mathrm{old}}),

with :math:`\beta = 0` for ISTA and Nesterov's sequence for FISTA; S is the proximal
map of the whole penalty.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..backend.base import Tile
from ..model.codes import Codes
from ..model.convolution import forward
from ..model.problem import Problem
from .admm import Admm
from .base import DenseSolver
from .gpu_cost import MERIT, seconds_of_an_iteration


class _Proximal(DenseSolver):
    def __init__(self, problem: Problem, start: Codes | None) -> None:
        super().__init__(problem, start)
        self._operator = problem.operator
        self._pointwise = problem.pointwise
        # Filters may all vanish on an image's grid of frequencies, or every weight be zero. What
        # rounding leaves of them then is small beside the filters, whatever their scale is.
        norms = problem.dictionary.filter_norms()
        least = 1e-12 * float(norms @ norms) * problem.largest_weight**2
        self._step = 1.0 / (max(problem.lipschitz, least) or 1.0)
        self._thresholds = problem.penalty.shrinkage(self._step, problem.dtype)
        self._x = self.first_maps(start)
        self._image = forward(self._operator, self.backend, self._x)

    def maps(self) -> Array:
        """Return the current codes, stacked."""
        return self._x


class Ista(_Proximal):
    """Iterative shrinkage-thresholding; the objective never rises. One sweep an iteration."""

    name = "ista"
    max_iter = 20_000
    joint = True

    def step(self) -> None:
        """Do one iteration."""

        def update(tile: Tile, g: Array) -> tuple[Array, None]:
            return self._pointwise.ista_update(self._x, g, tile, self._step, self._thresholds), None

        p = self.problem
        residual = self.backend.weighted_residual(p.stacked, self._image, p.weights)
        self._image, _ = self._operator.sweep(residual, update, samples=p.n_samples)


class Fista(_Proximal):
    """FISTA with adaptive restart. One sweep an iteration, two arrays of codes.

    References
    ----------
    A. Beck and M. Teboulle, doi:10.1137/080716542; restart by the gradient scheme of
    B. O'Donoghue and E. Candes, doi:10.1007/s10208-013-9150-3.
    """

    name = "fista"
    max_iter = 10_000
    joint = True
    code_arrays = 2.0

    @classmethod
    def reason(cls, problem: Problem) -> str:
        """On a GPU: that it is the least in `expense`."""
        return MERIT if problem.backend.name == "CuPy" else super().reason(problem)

    @classmethod
    def expense(cls, problem: Problem) -> float:
        """On a GPU: `Admm.iterations_saved` iterations where ADMM takes one."""
        if problem.backend.name != "CuPy":
            return super().expense(problem)
        return Admm.iterations_saved * seconds_of_an_iteration(problem, cls.name)

    def __init__(self, problem: Problem, start: Codes | None) -> None:
        super().__init__(problem, start)
        xp = self.backend.xp
        self._previous = xp.asarray(self._x, copy=True)
        self._previous_image = self._image
        # Kept as 0-d arrays: on a GPU no step waits for the restart test.
        self._t: Any = xp.ones((), dtype=problem.dtype)
        self._beta: Any = xp.zeros((), dtype=problem.dtype)

    def step(self) -> None:
        """Do one iteration."""
        p, beta = self.problem, self._beta

        def update(tile: Tile, g: Array) -> tuple[Array, tuple[Any]]:
            new, uphill = self._pointwise.fista_update(
                self._x, self._previous, g, tile, self._step, self._thresholds, beta
            )
            return new, (uphill,)

        residual = self.backend.weighted_residual(
            p.stacked, self._image, p.weights, self._previous_image, beta
        )
        image, (uphill,) = self._operator.sweep(residual, update, samples=p.n_samples)
        self._x, self._previous = self._previous, self._x
        self._previous_image, self._image = self._image, image
        self._t, self._beta = self._pointwise.momentum(uphill, self._t)
