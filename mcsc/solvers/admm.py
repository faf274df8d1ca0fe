r"""ADMM with the quadratic step in closed form.

Splitting ``a = y`` of :math:`\tfrac12\|s - D a\|^2 + \lambda |y|_1` gives the quadratic step

.. math::

    a = z + D^T (\rho I + D D^T)^{-1} (s - D z), \qquad z = y - u ,

by the matrix inversion lemma. In the Fourier domain :math:`D D^T` is one Hermitian (C, C) matrix a
frequency, C the number of all channels: only C-channel images are ever transformed for it,
however many maps there are. Relaxation, threshold and dual update act on ``v = y + u`` alone, since
``y = S(v, lam/rho)`` and ``u = v - y``: one array of codes is the whole state, and an iteration is
one sweep of the operator.

With masks or the zero boundary the weights W enter,
``a = z + D^T W (rho I + W D D^T W)^{-1} W (s - D z)``,
and the matrix is not diagonal in frequency. The codes then live on the periodic grid padded by
s - 1, where an infinite threshold forces them to zero off the image, and the system, still one of C
channels only, is solved by a few conjugate-gradient steps with the unweighted inverse as
preconditioner, warm-started from the last iteration. Against splitting the data term as well
(mask decoupling, F. Heide et al., doi:10.1109/CVPR.2015.7299149) this keeps one rho instead of two;
``benchmarks/exact/admm.py`` compares them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..backend import Array
from ..backend.base import Tile
from ..model.codes import Codes
from ..model.convolution import make_operator, padded_grid
from ..model.problem import Problem
from ..model.spectra import gram_spectrum
from .base import DenseSolver
from .gpu_cost import MERIT, seconds_of_an_iteration


class RhoPolicy:
    """Residual balancing: keeps relative primal and dual residuals of one size.

    The residuals are relative to the size of what they compare, so that the rule does not depend
    on the scale of the data (B. Wohlberg, arXiv:1704.06209). Changes become rarer, which keeps
    ADMM's convergence guarantee.
    """

    def __init__(self, first: int = 5, growth: float = 1.25, limit: float = 4.0) -> None:
        self._next = first
        self._gap = float(first)
        self._growth = growth
        self._limit = limit

    def due(self, iteration: int) -> bool:
        """True if the iteration about to be done must report its sums."""
        return iteration >= self._next

    def factor(self, iteration: int, primal: float, dual: float) -> float:
        """Return what to multiply rho by (1: leave it)."""
        self._gap *= self._growth
        self._next = iteration + max(1, round(self._gap))
        if not (primal > 0 and dual > 0):
            return 1.0
        ratio = float(np.sqrt(primal / dual))
        ratio = min(max(ratio, 1 / self._limit), self._limit)
        return ratio if ratio > 1.2 or ratio < 1 / 1.2 else 1.0


class Admm(DenseSolver):
    """ADMM of Eq. 5: over-relaxed, rho adapted, mask decoupling where it is needed.

    An iteration costs one sweep of the operator and transforms of C channels; the state is one
    array of codes. On the zero boundary or with masks the grid is padded by s - 1.

    Attributes
    ----------
    grid : (int, int)
        Height and width that it works on.
    rho : float
        Weight of the constraint in the augmented Lagrangian, at present; of the objective over the
        square of the largest weight.
    """

    name = "admm"
    max_iter = 5_000
    joint = True
    code_arrays = 2.8
    alpha = 1.8
    inner_steps = 8
    iterations_saved: ClassVar[float] = 4.0
    """Iterations of FISTA for one of ADMM, to a gap of 1 % at 1 % of lambda_max: 3.6 to 5.1 on two
    pairs of photographs at both boundaries, 1.2 to 2.6 at 10 %."""

    def __init__(self, problem: Problem, start: Codes | None) -> None:
        super().__init__(problem, start)
        backend, xp = problem.backend, problem.backend.xp
        self._n = problem.n_samples
        self._iteration = 0
        self._rho_policy = RhoPolicy()
        h, w = problem.shape
        self.grid = _grid(problem)
        if self.grid == (h, w):
            self._operator = problem.operator
        else:
            self._operator = make_operator(
                problem.dictionary.groups,
                self.grid,
                "periodic",
                backend,
                problem.dtype,
                problem.n_samples,
                whole=bool(problem.penalty.joined),
            )
        self._gram = gram_spectrum(problem.gram_kernel, self.grid)
        self._complex = xp.complex64 if problem.dtype == xp.float32 else xp.complex128
        # Over the number of pixels: see `Backend.irfft2`.
        self._pixels = self.grid[0] * self.grid[1]
        self._gram_product = xp.asarray(self._gram / self._pixels, dtype=self._complex)
        # Off the image an infinite factor multiplies thresholds, whatever they are.
        self._codes_penalty = problem.penalty.extended(self.grid)
        self._pointwise = problem.pointwise
        self._signal = self._embed(problem.stacked)
        self._penalty = None
        if self.grid != (h, w):
            inside = np.full(self.grid, np.inf)
            inside[:h, :w] = 1.0
            self._penalty = xp.asarray(inside, dtype=problem.dtype)
        self._weights = None
        # The preconditioner is that of weights of one: they are divided by the largest, and the
        # penalty by its square, which scales the objective and leaves the optimum where it is.
        largest = problem.largest_weight or 1.0
        self._scale = largest**2
        if problem.boundary == "zero" or problem.weights is not None:
            ones = xp.ones((1, 1, h, w), dtype=problem.dtype)
            weights = ones if problem.weights is None else problem.weights / largest
            self._weights = self._embed(xp.broadcast_to(weights, problem.stacked.shape))
        self._solution = xp.zeros_like(self._signal)
        self._set_rho(self._first_rho())
        self._v = self._embed(self.first_maps(start))
        self._warm_start()

    @classmethod
    def reason(cls, problem: Problem) -> str:
        """On a GPU: that it is the least in `expense`."""
        return MERIT if problem.backend.name == "CuPy" else super().reason(problem)

    @classmethod
    def expense(cls, problem: Problem) -> float:
        """On a GPU: of an iteration, whose launches count where images are small."""
        if problem.backend.name != "CuPy":
            return super().expense(problem)
        plain = problem.boundary == "periodic" and problem.weights is None
        return seconds_of_an_iteration(problem, cls.name, 0 if plain else cls.inner_steps)

    @classmethod
    def memory(cls, problem: Problem) -> int:
        """As the other dense solvers, with the maps on ADMM's own periodic grid."""
        return cls.memory_on(problem, _grid(problem), "periodic")

    def _first_rho(self) -> float:
        """Guess that does not depend on the scale of data or filters; the policy corrects it."""
        relative = float(np.mean(self.problem.lam_maps)) / max(self.problem.lambda_max(), 1e-300)
        energy = float(np.mean(self.problem.dictionary.filter_norms() ** 2))
        return 150.0 * min(relative, 1.0) * energy

    def _warm_start(self) -> None:
        """Make ``S(v) = start``: u = lam/rho sign(start), the multiplier of a nonzero code."""
        self._pointwise.unshrink_maps(self._v, self._thresholds)
        self._z_image = self._rescale(1.0)

    def _embed(self, array: Array) -> Array:
        xp = self.backend.xp
        h, w = self.problem.shape
        if self.grid == (h, w):
            return xp.asarray(array, copy=True)
        out = xp.zeros((*array.shape[:-2], *self.grid), dtype=array.dtype)
        out[..., :h, :w] = array
        return out

    def maps(self) -> Array:
        """Return ``y``, cropped to the image."""
        return self._pointwise.shrink_maps(self._v, self._thresholds, self.problem.shape)

    # ----------------------------------------------------------------- rho
    def _set_rho(self, rho: float) -> None:
        """Thresholds, and the inverse of ``rho I + D D^H`` at every frequency, for this rho."""
        xp = self.backend.xp
        self.rho = rho
        step = 1.0 / (rho * self._scale)
        self._thresholds = self._codes_penalty.shrinkage(step, self.problem.dtype)
        inverse = _hermitian_inverse(self._gram, rho) / self._pixels
        self._inverse = xp.asarray(inverse, dtype=self._complex)

    def _rescale(self, ratio: float) -> Array:
        """Multiply u by `ratio`; return the image of ``z = y - u``."""

        def update(tile: Tile, _: None) -> tuple[Array, None]:
            z = self._pointwise.admm_rescale(self._v, tile, self._thresholds, self._penalty, ratio)
            return z, None

        return self._operator.sweep(None, update, samples=self._n)[0]

    def _change_rho(self, factor: float) -> None:
        # u is the multiplier over rho, and the multiplier stays.
        self._z_image = self._rescale(1.0 / factor)
        self._set_rho(self.rho * factor)

    def _filtered(self, matrices: Array, signal: Array) -> Array:
        """Multiply the (C, C) matrix of each frequency, over the pixels, with the channels."""
        backend = self.backend
        spectrum = backend.apply_matrices(matrices, backend.rfft2(signal, self.grid))
        return backend.irfft2(spectrum, self.grid)

    # ---------------------------------------------------------------- iteration
    def _correction(self) -> Array:
        """Signal whose adjoint image corrects z: ``W (rho I + W D D^T W)^{-1} W (s - D z)``."""
        w = self._weights
        if w is None:
            residual = self.backend.weighted_residual(self._signal, self._z_image, None)
            return self._filtered(self._inverse, residual)
        self._conjugate_gradients(w, self._solution)
        return self.backend.cg_weighted(w, self._solution)

    def _conjugate_gradients(self, w: Array, x: Array) -> None:
        # A fixed number of steps with scalars left on the device: a GPU is never waited for, and
        # the warm start makes the error vanish as the iteration converges.
        backend, rho = self.backend, self.rho
        filtered = self._filtered(self._gram_product, backend.cg_weighted(w, x))
        r = backend.cg_residual(self._signal, self._z_image, w, x, filtered, rho)
        z, rz = backend.cg_precondition(w, r, self._filtered(self._inverse, r))
        p, weighted = backend.cg_direction(z, w, rz)
        for step in range(self.inner_steps):
            q, pq = backend.cg_matrix(p, w, self._filtered(self._gram_product, weighted), rho)
            backend.cg_advance(x, r, p, q, rz, pq)
            if step + 1 < self.inner_steps:
                last = p, rz
                z, rz = backend.cg_precondition(w, r, self._filtered(self._inverse, r))
                p, weighted = backend.cg_direction(z, w, rz, last)

    def step(self) -> None:
        """Do one iteration."""
        pointwise = self._pointwise
        due = self._rho_policy.due(self._iteration)

        def update(tile: Tile, g: Array) -> tuple[Array, tuple[Any, ...] | None]:
            return pointwise.admm_update(
                self._v, g, tile, self._thresholds, self._penalty, self.alpha, sums=due
            )

        self._z_image, sums = self._operator.sweep(self._correction(), update, samples=self._n)
        self._iteration += 1
        if due:
            primal, dual, free, sparse, scaled = pointwise.to_floats(sums)
            factor = self._rho_policy.factor(
                self._iteration,
                float(np.sqrt(primal / max(free, sparse, 1e-300))),
                float(np.sqrt(dual / max(scaled, 1e-300))),
            )
            if factor != 1.0:
                self._change_rho(factor)


def _grid(problem: Problem) -> tuple[int, int]:
    """Where the codes live: on the image, or with the zero boundary padded by s - 1."""
    if problem.boundary == "periodic":
        return problem.shape
    return padded_grid(problem.shape, problem.dictionary.filter_size)


def _hermitian_inverse(gram: np.ndarray, shift: float) -> np.ndarray:
    """Inverse of ``shift I + gram`` at every frequency, (C, C, H, W)."""
    channels = gram.shape[0]
    inverse: np.ndarray
    if channels == 1:
        inverse = 1.0 / (shift + gram.real) + 0j
    elif channels == 2:
        a, d, b = gram[0, 0].real + shift, gram[1, 1].real + shift, gram[0, 1]
        det = a * d - np.abs(b) ** 2
        inverse = np.stack([np.stack([d + 0j, -b]), np.stack([-b.conj(), a + 0j])]) / det
    else:
        matrices = np.moveaxis(gram, (0, 1), (-2, -1)) + shift * np.eye(channels)
        inverse = np.moveaxis(np.linalg.inv(matrices), (-2, -1), (0, 1))
    return inverse
