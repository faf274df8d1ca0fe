r"""The working-set solver: coordinate descent on the few coefficients that matter.

At the optimum well under 1 % of the coefficients are nonzero. The solver

1. computes all correlations :math:`D^T w^2 r` tile by tile (matrix products; they never exist
   whole) and adds, in every small cell of pixels, the worst violators of
   :math:`|D_k^T w^2 r| \le \lambda_k` to the active set;
2. minimises over the active set: coordinate descent, which costs one s x s patch of the residual
   a coefficient, then conjugate gradients on the current support and signs;
3. drops what became zero, and repeats until the duality gap is small.

Tiles of one colour have no pixel in common and run on all cores; the result does not depend on
their number. Cost and memory grow with pixels and nonzeros, not with pixels times maps.
"""

from __future__ import annotations

import numpy as np

from ..backend import get_num_threads
from ..backend.cpu_kernels import gather_patches
from ..backend.sparse_kernels import pick, scan
from ..backend.threads import map_in_threads, single_threaded_blas
from ..model.certificate import Certificate, Evaluation
from ..model.codes import Codes
from ..model.convolution import DirectOperator
from ..model.problem import Problem
from ..sparse.active_set import ActiveSet, TileGrid


class WorkingSet:
    """Working-set coordinate descent for NumPy arrays; an iteration is one pass of steps 1 to 3.

    Parameters
    ----------
    problem : Problem
        What to solve.
    start : Codes or None
        Warm start.
    """

    name = "working-set"
    # Settings of speed alone; any reach the same optimum.
    tile_side = 32  # pixels; a tile of correlations stays in the cache
    cell = 8  # pixels, of which `most` may bring a new coefficient in one step
    most = 24
    sweeps = 4  # of coordinate descent in a visit to a tile
    rounds = 4  # of descent and conjugate gradients in one step
    cg_steps = 25
    target = 0.3  # leave the active set at this share of the violation outside it
    early = 0.1  # no conjugate gradients while more than this share of the set is new
    share = 0.005  # tiles below this share of the worst violation are left alone

    def __init__(self, problem: Problem, start: Codes | None) -> None:
        self._problem = problem
        grid = TileGrid(
            problem.n_samples, problem.shape, problem.dictionary.filter_size, self.tile_side
        )
        self._grid = grid
        self._use(ActiveSet(problem, grid, problem.dtype))
        if start is not None:
            self._active.insert_codes(start)
        self._residual = self._active.residual()
        nothing = tuple(np.zeros(0, dtype=np.int32) for _ in range(4))
        self._candidates = [nothing] * grid.count
        self._ratio = np.zeros(grid.count)
        self._violation = np.zeros(grid.count)
        self.estimate = np.inf
        self._certified = np.inf
        self._best_estimate = np.inf
        self._stalled = 0
        with single_threaded_blas():
            self._scan(np.arange(grid.count))

    def _use(self, active: ActiveSet) -> None:
        self._active = active
        problem = self._problem
        operator = DirectOperator(
            problem.dictionary.groups,
            problem.shape,
            problem.boundary,
            problem.backend,
            active.dtype,
        )
        self._pad = operator.pad
        self._matrices = operator.matrices

    # -------------------------------------------------------------- the full gradient
    def _scan(self, tiles: np.ndarray) -> None:
        """Compute all correlations on some tiles: candidates, violations, estimate of the gap."""
        problem, active, grid = self._problem, self._active, self._grid
        padded = self._pad(active.crop(active.weighted(self._residual)))
        size = problem.dictionary.filter_size
        maps = problem.dictionary.n_maps
        dtype = active.dtype
        largest = int(np.prod([np.diff(e).max() for e in grid.edges]))
        threshold = dtype.type(1.0 + min(1e-3, 0.1 * min(self.estimate, 1.0)))
        rows_of, columns_of = active.i, active.j

        def work(part: np.ndarray) -> None:
            # One set of buffers a task: fresh megabyte arrays for every tile would page-fault.
            patches = np.empty(padded.shape[1] * size * size * largest, dtype)
            block = np.empty(maps * largest, dtype)
            best = np.empty(largest, dtype)
            best_map = np.empty(largest, dtype=np.int32)
            pixels = np.empty(largest, dtype=np.int64)
            chosen = np.empty(largest, dtype=np.int32)
            for tile in part:
                n, top, left, bottom, right = grid.window(int(tile))
                rows, cols = bottom - top, right - left
                area = rows * cols
                view = patches[: padded.shape[1] * size * size * area].reshape(-1, area)
                gather_patches(padded[n], top, left, rows, cols, size, view)
                g = block[: maps * area].reshape(maps, area)
                for m, _, patch_rows, matrix in self._matrices:
                    np.matmul(matrix, view[patch_rows], out=g[m])
                a, b = active.bounds[tile], active.bounds[tile + 1]
                place = (rows_of[a:b] - top) * np.int64(cols) + (columns_of[a:b] - left)
                ratio, violation = scan(
                    g, active.table.lam, active.k[a:b], place, active.value[a:b],
                    best[:area], best_map[:area],
                )  # fmt: skip
                inactive = float(best[:area].max())
                count = pick(
                    best[:area], best_map[:area], cols, self.cell, self.most, threshold,
                    pixels, chosen,
                )  # fmt: skip
                i, j = np.divmod(pixels[:count], cols)
                sample = np.full(count, n, dtype=np.int32)
                self._candidates[tile] = (sample, chosen[:count].copy(), i + top, j + left)
                self._ratio[tile] = max(ratio, inactive)
                self._violation[tile] = max(violation, inactive - 1.0)

        map_in_threads(work, np.array_split(tiles, min(len(tiles), 4 * get_num_threads())))
        self.estimate = self._estimated_gap()

    def _estimated_gap(self) -> float:
        """The relative duality gap in working precision; the certificate has the last word."""
        ratio = self._ratio.reshape(self._problem.n_samples, -1).max(axis=1)
        active, axes = self._active, (1, 2, 3)
        r = active.crop(self._residual).astype(np.float64)
        weighted = active.crop(active.weighted(self._residual)).astype(np.float64)
        s = self._problem.stacked.astype(np.float64)
        energy, cross = (r * weighted).sum(axes), (s * weighted).sum(axes)
        t = np.clip(cross / np.maximum(energy, 1e-300), None, 1.0 / np.maximum(ratio, 1e-300))
        primal = 0.5 * float(energy.sum()) + self._active.penalty()
        dual = float((t * cross - 0.5 * t * t * energy).sum())
        return max(primal - dual, 0.0) / primal if primal > 0 else 0.0

    # ------------------------------------------------------------------- iteration
    def step(self) -> None:
        """Work on the tiles that violate optimality most; scan them and their neighbours."""
        active, grid = self._active, self._grid
        with single_threaded_blas():
            worst = float(self._violation.max())
            tiles = np.flatnonzero(self._violation >= self.share * worst)
            active.prune()
            n, k, i, j = (
                np.concatenate(column)
                for column in zip(*(self._candidates[t] for t in tiles), strict=True)
            )
            active.insert(n, k, i, j, np.zeros(len(k), dtype=active.dtype))
            part = active.subset(tiles)
            self._minimise(part, self.target * worst, accelerate=len(k) < self.early * part.size)
            active.take_values(part)
            refined = self._refine_if_stalled()
            # From scratch: rounding of a great many updates would add up.
            self._residual = self._active.residual()
            self._scan(np.arange(grid.count) if refined else grid.with_neighbours(tiles))

    def _refine_if_stalled(self) -> bool:
        """Go on in float64 where float32 is the limit; True at the change."""
        improved = self.estimate < 0.8 * self._best_estimate
        self._best_estimate = min(self._best_estimate, self.estimate)
        self._stalled = 0 if improved else self._stalled + 1
        limit = self.estimate < 3e-6 or (self._stalled >= 6 and self.estimate < 1e-3)
        if self._active.dtype != np.float32 or not limit:
            return False
        self._use(self._active.astype(np.float64))
        return True

    def _minimise(self, active: ActiveSet, target: float, *, accelerate: bool) -> None:
        """Minimise over `active`, until its violations are about `target`."""
        for _ in range(self.rounds):
            worst = active.descend(self._residual, self.sweeps)
            if worst <= target:
                break
            if accelerate:
                self._accelerate(active)

    def _accelerate(self, active: ActiveSet) -> None:
        """Conjugate gradients on the support with signs fixed, then a projected step."""
        real = active.dtype.type
        sign = np.sign(active.value)
        free = sign != 0
        lam = active.table.lam[active.k]
        r = np.where(free, active.correlate(self._residual) - lam * sign, 0).astype(active.dtype)
        # Scaling by the curvature makes columns of equal norm.
        scale = np.where(free, 1 / active.curvature, 0).astype(active.dtype)
        x = np.zeros_like(r)
        p = scale * r
        rz = first = float(np.dot(r, p))
        image = np.zeros_like(self._residual)
        for _ in range(self.cg_steps):
            if rz <= 1e-6 * first:
                break
            active.clear(image)
            active.synthesise(p, image)
            q = np.where(free, active.correlate(image), 0)
            curvature = float(np.dot(p, q))
            if curvature <= 0:
                break
            step = real(rz / curvature)
            x += step * p
            r -= step * q
            z = scale * r
            rz, previous = float(np.dot(r, z)), rz
            p = z + real(rz / previous) * p
        self._project(active, x, sign)

    def _project(self, active: ActiveSet, direction: np.ndarray, sign: np.ndarray) -> None:
        """Go along `direction`, setting to zero what would change its sign, if that descends."""
        old = active.value
        before = self._objective(active, self._residual)
        # Up to the first change of sign the objective is the quadratic that was minimised, so that
        # the shortest of the steps descends for certain.
        crossing = direction * sign < 0
        ratios = np.abs(old[crossing] / direction[crossing])
        first = min(float(ratios.min()) if len(ratios) else 1.0, 1.0)
        for t in (1.0, 0.5, 0.25, 0.1, first):
            value = old + active.dtype.type(max(t, first)) * direction
            value[value * sign <= 0] = 0
            residual = active.synthesise(old - value, self._residual.copy())
            active.value = value
            if self._objective(active, residual) < before:
                self._residual = residual
                return
            if t <= first:
                break
        active.value = old

    def _objective(self, active: ActiveSet, residual: np.ndarray) -> float:
        """The objective, but for the penalty of coefficients that are not in `active`."""
        weighted = active.crop(active.weighted(residual))
        return 0.5 * float(np.vdot(active.crop(residual), weighted)) + active.penalty()

    # --------------------------------------------------------------------- results
    def evaluate(self, certificate: Certificate) -> Evaluation:
        """Certify the codes: their image is made in float64 from the nonzeros alone."""
        value = self._active.value.astype(self._problem.dtype)  # what `codes` returns
        exact = self._active.astype(np.float64)
        exact.value = value.astype(np.float64)
        image = exact.synthesise(exact.value, np.zeros_like(exact.signal))
        evaluation = certificate.evaluate_image(exact.crop(image), exact.penalty())
        self._certified = evaluation.gap
        return evaluation

    def due(self, iteration: int, tol: float) -> bool:
        """Certify when the estimate promises success, or a tenth of the last certified gap."""
        return self.estimate <= tol or self.estimate <= 0.1 * self._certified or iteration % 50 == 0

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
