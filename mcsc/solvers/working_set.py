r"""The working-set solver: coordinate descent on the few coefficients that matter.

At the optimum well under 1 % of the coefficients are nonzero. The solver

1. computes all correlations :math:`D^T w^2 r` tile by tile (matrix products; they never exist
   whole) and adds, in every small cell of pixels, the worst violators of
   :math:`|D_k^T w^2 r| \le \lambda_k` to the active set;
2. minimises over the active set: coordinate descent, which costs one s x s patch of the residual
   a coefficient, and, once few coefficients come and go, conjugate gradients on the support;
3. drops what became zero, and repeats until the duality gap is small.

Tiles of one colour have no pixel in common and run on all cores; the result does not depend on
their number. Cost and memory grow with pixels and nonzeros, not with pixels times maps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..backend import get_num_threads
from ..backend.threads import map_in_threads, not_forked_meanwhile, single_threaded_blas
from ..model.certificate import Bounds, Certificate, Envelope
from ..model.codes import Codes
from ..model.peaks import TilePeaks, in_cells
from ..model.problem import Problem
from ..sparse.tiles import TileGrid
from .base import Solver

if TYPE_CHECKING:
    from ..sparse.active_set import ActiveSet


class WorkingSet(Solver):
    """Working-set coordinate descent for NumPy arrays; an iteration is one pass of steps 1 to 3.

    Parameters
    ----------
    problem : Problem
        What to solve.
    start : Codes or None
        Warm start.
    """

    name = "working-set"
    max_iter = 1_000
    # On a CPU no lam was found at which an FFT method arrives first
    # (``benchmarks/exact/crossover.py``, two EPYC cores, 128x128, 3 x 64 filters of 8x8, gap 1e-3,
    # either boundary): at 10 % of lambda_max the working set takes 0.2-0.3 s against 12 s or more,
    # at 0.1 % 8 s against 30 s, and at 0.03 % it is the only one to arrive within 40 s. The support
    # is bounded by the number of pixels and channels, so that with 192 maps it stays below 1.1 %.
    # With 1 to 8 filters a group, where up to half of all coefficients are nonzero, it was the
    # first to arrive too; where no method arrived (0.1 % of lambda_max and less) their gaps were of
    # one size.
    merit = "the fastest on a CPU at every lam that was measured"
    libraries = ("NumPy",)
    # Settings of speed alone; any reach the same optimum.
    tile_side = 32  # pixels; a tile of correlations stays in the cache
    cell = 8  # pixels, of which `most` may bring a new coefficient in one step
    most = 24
    sweeps = 8  # of coordinate descent in one round
    visit = 2  # sweeps of a tile before its neighbours have their turn
    calm = 0.05  # what moved less than this share of the most is passed over in all but the first
    rounds = 5  # of descent and conjugate gradients in one step
    settled = 0.002  # conjugate gradients if in the last visit fewer came or went, of the set
    cg_steps = 25  # twice as many once the whole of a direction could be gone
    target = 0.3  # leave the active set at this share of the violation outside it
    early = 0.2  # no conjugate gradients while more than this share of the set is new
    share = 0.005  # tiles below this share of the worst violation are left alone

    @classmethod
    def memory(cls, problem: Problem) -> int:
        """Peak bytes: images, a tile for each thread, and what natural images make nonzero."""
        d, n, (h, w) = problem.dictionary, problem.n_samples, problem.shape
        s, maps, channels, item = d.filter_size, d.n_maps, sum(d.channels), problem.itemsize
        periodic, masked = problem.boundary == "periodic", problem.weights is not None
        extra = 3 * (s - 1) if periodic else s - 1
        image, padded = n * channels * h * w, n * channels * (h + extra) * (w + extra)
        weighted = masked or not periodic
        # Signals and weights in both precisions, as given and padded, and the residual.
        held = (item + 8) * (1 + masked) * image + item * (2 + weighted) * padded
        threads, patch = get_num_threads(), channels * s * s
        tile = threads * TileGrid(n, (h, w), s, cls.tile_side).largest
        scan = item * (2 * padded + tile * (patch + maps + 6))
        # An image and residuals, and the operator's strips.
        certificate = 8 * ((3 + 2 * masked) * image + padded)
        certificate += TilePeaks.memory(d.groups, n, (h, w))
        # Places, values, and copies while coefficients are merged.
        active = 110 * _expected_support(problem)
        # The largest ratio of every pixel, and what the estimate of the gap is made of.
        places = 36 * n * h * w
        return int(held + max(scan, certificate) + active + places)

    def __init__(self, problem: Problem, start: Codes | None) -> None:
        # Numba, and the kernels that it compiles, are loaded only when they are needed.
        with not_forked_meanwhile():
            from ..sparse.active_set import ActiveSet
            from ..sparse.scan import CorrelationScan

        self._problem = problem
        self._grid = grid = self.make_grid(problem)
        self._active = ActiveSet(problem, grid, problem.dtype)
        if start is not None:
            self._active.insert_codes(start)
        self._residual = self._active.residual()
        self._envelope = Envelope(problem.shape, problem.dictionary.filter_size, problem.boundary)
        self._scan = CorrelationScan(self._active, cell=self.cell, most=self.most)
        self.estimate = np.inf
        self._certified = np.inf
        self._best_estimate = np.inf
        self._stalled = 0
        self._steps = self.cg_steps
        with single_threaded_blas():
            self._look(np.arange(grid.count))

    def make_grid(self, problem: Problem) -> TileGrid:
        """Return the tiles in which coefficients may be active."""
        size = problem.dictionary.filter_size
        return TileGrid(problem.n_samples, problem.shape, size, self.tile_side)

    @property
    def ratio(self) -> float:
        """Largest ``|D_k^T w^2 r| / lam_k`` at the last look, in working precision."""
        return float(self._scan.ratio.max())

    def _look(self, tiles: np.ndarray) -> None:
        """Compute all correlations on some tiles: candidates, violations, estimate of the gap."""
        margin = min(1e-3, 0.1 * min(self.estimate, 1.0))
        self._scan.update(self._active, self._residual, tiles, margin)
        self._cells = in_cells(self._scan.ratio)
        self.estimate = self._estimated_gap()

    def _estimated_gap(self) -> float:
        """The relative duality gap in working precision; the certificate has the last word."""
        active, envelope = self._active, self._envelope
        cells, width = envelope.of(self._cells), self._problem.shape[1]
        residual = active.crop(self._residual)

        def values(rows: slice) -> tuple[float, float]:
            where = rows, slice(0, width)
            t = 1.0 / (1.0 + envelope.interpolated(envelope.around(cells, where), where))
            r, signal = residual[:, :, rows], self._problem.stacked[:, :, rows]
            weights = active.rows_of_weights(rows)
            weighted = r if weights is None else r * weights
            energy = np.einsum("nchw,nchw->nhw", r, weighted)
            cross = np.einsum("nchw,nchw->nhw", signal, weighted)
            return (
                0.5 * float(energy.sum(dtype=np.float64)),
                float((t * (cross - 0.5 * t * energy)).sum()),
            )

        halves, duals = zip(*map_in_threads(values, active.strips), strict=True)
        primal, dual = math.fsum(halves) + active.penalty(), math.fsum(duals)
        if self._problem.bounding.elastic:
            dual -= self._excess(1.0 / (1.0 + envelope.everywhere(cells)))
        return max(primal - dual, 0.0) / primal if primal > 0 else 0.0

    def _excess(self, t: np.ndarray) -> float:
        """What the squares cost the dual value, from the active coefficients."""
        active = self._active
        g = active.correlate(self._residual) * t[active.n, active.i, active.j]
        mu = self._problem.bounding.mu[active.k]
        over = np.where(active.signed[active.k], g, np.abs(g)) - active.lam
        return float((np.maximum(over, 0.0) ** 2 / (2 * np.where(mu > 0, mu, np.inf))).sum())

    # ------------------------------------------------------------------- iteration
    def step(self) -> None:
        """Work on the tiles that violate optimality most; scan them and their neighbours."""
        active, grid, scan = self._active, self._grid, self._scan
        self.uncertified = False
        with single_threaded_blas():
            violation = scan.violation
            tiles = np.flatnonzero(violation >= self.share * violation.max())
            active.prune()
            n, k, i, j = (
                np.concatenate(column)
                for column in zip(*(scan.candidates[t] for t in tiles), strict=True)
            )
            active.insert(n, k, i, j, np.zeros(len(k), dtype=active.dtype))
            part = active.subset(tiles)
            outside, inside = float(scan.outside.max()), float(scan.inside.max())
            target = self.target * max(outside, 0.1 * inside)
            self._minimise(part, target, accelerate=len(k) < self.early * part.size)
            active.take_values(part)
            refined = self._refine_if_stalled()
            # From scratch: rounding of a great many updates would add up.
            self._residual = self._active.residual()
            self._look(np.arange(grid.count) if refined else grid.with_neighbours(tiles))

    def _refine_if_stalled(self) -> bool:
        """Go on in float64 where float32 is the limit; True at the change."""
        improved = self.estimate < 0.8 * self._best_estimate
        self._best_estimate = min(self._best_estimate, self.estimate)
        self._stalled = 0 if improved else self._stalled + 1
        limit = self.estimate < 3e-6 or (self._stalled >= 6 and self.estimate < 1e-3)
        if self._active.dtype != np.float32 or not limit:
            return False
        self._active = self._active.astype(np.float64)
        return True

    def _minimise(self, active: ActiveSet, target: float, *, accelerate: bool) -> None:
        """Minimise over `active`, until its violations are about `target`.

        While coefficients come and go, sweeps of coordinate descent gain more than conjugate
        gradients of the same cost: of those only the shortest step would not change signs, along
        which next to nothing is gained.
        """
        for _ in range(self.rounds):
            worst, changed = self._descend(active)
            if accelerate and changed <= self.settled * active.size:
                if self._accelerate(active, target):
                    break
            elif worst <= target:
                break

    def _descend(self, active: ActiveSet) -> tuple[float, int]:
        """Sweep over all tiles by coordinate descent, some times.

        Returns the largest violation over lam, and how many became zero or nonzero, at the end.
        """
        return active.descend(self._residual, self.visit, self.sweeps // self.visit, self.calm)

    def _try(self, active: ActiveSet, value: np.ndarray, before: float) -> bool:
        """Take these values if the objective falls below what it was."""
        old = active.value
        residual = active.synthesise(old - value, self._residual.copy())
        active.value = value
        if self._objective(active, residual) < before:
            self._residual = residual
            return True
        active.value = old
        return False

    def _accelerate(self, active: ActiveSet, target: float) -> bool:
        """Conjugate gradients on the support with signs fixed, then a projected step.

        Returns True if there is nothing left to gain: no violation is larger than `target`, or the
        direction is no descent any more in this precision.
        """
        sign = np.sign(active.value)
        free = sign != 0
        mu = active.mu[active.k]
        lam = active.lam
        g = active.correlate(self._residual) - mu * active.value
        pull = np.where(active.signed[active.k], g, np.abs(g))
        violation = np.where(free, np.abs(g - lam * sign), pull - lam) / lam
        if float(violation.max(initial=0.0)) <= target:
            return True
        r = np.where(free, g - lam * sign, 0).astype(active.dtype)
        # Scaling by the curvature makes columns of equal norm.
        scale = np.where(free, 1 / (active.curvature + mu), 0).astype(active.dtype)
        image = np.empty_like(self._residual)
        x = active.solve(r, scale, self._steps, 0.3 * target, image)
        length = self._project(active, x, sign)
        # Begun anew, conjugate gradients forget the directions they had.
        self._steps = (2 if length == 1 else 1) * self.cg_steps
        return length == 0

    def _project(self, active: ActiveSet, direction: np.ndarray, sign: np.ndarray) -> float:
        """Go along `direction`, setting to zero what would change its sign, if that descends.

        Returns how far, as a share of `direction`; zero if it does not descend.
        """
        old, before = active.value, self._objective(active, self._residual)
        # Up to the first change of sign the objective is the quadratic that was minimised, so that
        # the shortest of the steps descends for certain.
        crossing = direction * sign < 0
        ratios = np.abs(old[crossing] / direction[crossing])
        first = min(float(ratios.min()) if len(ratios) else 1.0, 1.0)
        for t in (1.0, 0.5, 0.25, 0.1, first):
            value = old + active.dtype.type(max(t, first)) * direction
            value[value * sign <= 0] = 0
            if self._try(active, value, before):
                return max(t, first)
            if t <= first:
                break
        return 0.0

    def _objective(self, active: ActiveSet, residual: np.ndarray) -> float:
        """The objective, but for the penalty of coefficients that are not in `active`."""
        return active.energy(residual) + active.penalty()

    # --------------------------------------------------------------------- results
    def evaluate(self, certificate: Certificate) -> Bounds:
        """Certify the codes: their image is made in float64 from the nonzeros alone."""
        active = self._active
        value = active.value.astype(self._problem.dtype).astype(np.float64)  # what `codes` returns
        image = active.exact_image(value)
        # The bound of theta = 0 is nearly as good, and costs nothing.
        self.uncertified = self.estimate > 0.5 and not self.uncertified
        if self.uncertified:
            return Bounds(certificate.objective(image, active.penalty(value)), 0.0)
        evaluation = certificate.evaluate_image(image, active.penalty(value), self._cells)
        self._certified = evaluation.gap
        return evaluation

    def due(self, iteration: int, tol: float) -> bool:
        """Certify when the estimate promises success, or much less than the last certified gap.

        Not for the latter when success is a few steps away: a certificate costs two scans.
        """
        progress = 10 * tol < self.estimate <= 0.03 * min(self._certified, 1.0)
        return self.estimate <= tol or progress or iteration % 50 == 0

    def codes(self) -> Codes:
        """Return the nonzero coefficients; nothing dense is made."""
        active, groups = self._active, self._problem.dictionary.groups
        h, w = self._problem.shape
        i, j, value = active.i, active.j, active.value.astype(self._problem.dtype)
        keep = value != 0
        parts = {}
        for g in groups:
            mine = keep & (active.k >= g.maps.start) & (active.k < g.maps.stop)
            parts[g.name] = (
                active.n[mine], active.k[mine] - g.maps.start, i[mine], j[mine], value[mine]
            )  # fmt: skip
        return Codes.from_coordinates(
            parts, self._problem.dictionary, (self._problem.n_samples, h, w)
        )


def _expected_support(problem: Problem) -> float:
    """How many coefficients are active on natural images, from one look at the signals.

    0.3 % of all were measured at 1 % of lambda_max, and about as the inverse root of lam; generic
    solutions have no more nonzeros than there are pixels. lambda_max, a correlation with all
    filters, is not computed: it is at most the largest norm of a filter times that of a patch,
    here of those that lie side by side.
    """
    d, s = problem.dictionary, problem.dictionary.filter_size
    blocks = np.lib.stride_tricks.sliding_window_view(problem.stacked, (s, s), axis=(2, 3))
    blocks = blocks[:, :, ::s, ::s]
    energy = float(np.einsum("ncijpq,ncijpq->nij", blocks, blocks).max())
    largest = problem.largest_weight**2 * float(d.filter_norms().max()) * math.sqrt(energy)
    relative = max(1e-12, float(problem.lam_maps.mean()) / max(largest, 1e-300))
    pixels = problem.n_samples * problem.shape[0] * problem.shape[1]
    share = min(max(0.003 * math.sqrt(0.01 / relative), 1e-4), 1.0)
    return pixels * min(share * d.n_maps, sum(d.channels))
