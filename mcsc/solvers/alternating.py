r"""The paper's strategy: update u, v and c in turn (Eqs. 6-13), each by ISTA.

With the codes of all other groups fixed, group g solves
:math:`\min_a \tfrac12 \|w(\hat x - D_g a)\|^2 + \lambda |a|_1` for the signal that they leave,
:math:`\hat x = s - \sum_{h \ne g} D_h a_h`, by steps of size ``1 / dictionary.lipschitz()``.
CU-Net is one pass of it, unrolled.
"""

from __future__ import annotations

from dataclasses import replace

from ..backend import Array
from ..backend.base import Shrinkage, Tile
from ..model.codes import Codes
from ..model.convolution import Operator, forward, make_operator
from ..model.dictionary import Group
from ..model.problem import Problem
from ..model.spectra import supremum_memory
from .base import DenseSolver


class Alternating(DenseSolver):
    """Block-wise ISTA: unique codes of each signal first, then the common codes.

    Parameters
    ----------
    problem : Problem
        What to solve.
    start : Codes or None
        First codes; None: zero.
    inner_steps : int, optional
        ISTA steps on a block before the next. By default as many as `inner_tol` takes, or 10.
    inner_tol : float, optional
        Leave a block when its image changes by less than this, relative to its norm.

    Notes
    -----
    The objective never rises, since every ISTA step minimises a majorant. An iteration costs
    ``inner_steps`` sweeps.
    """

    name = "alternating"
    max_iter = 2_000  # sweeps over all blocks
    options = frozenset({"inner_steps", "inner_tol"})

    def __init__(
        self,
        problem: Problem,
        start: Codes | None,
        inner_steps: int | None = None,
        inner_tol: float | None = None,
    ) -> None:
        super().__init__(problem, start)
        if inner_steps is None and inner_tol is None:
            inner_steps = 10
        self._x = self.first_maps(start)
        self._pointwise = problem.pointwise
        self._inner_steps = inner_steps
        self._inner_tol = inner_tol
        self.check_every = max(1, round(self.check_every / (inner_steps or 10)))
        common, unique = problem.dictionary.lipschitz()
        bounds = {"common": common} | {f"unique[{m}]": b for m, b in enumerate(unique)}
        self._blocks: list[tuple[Group, Operator, float, Array | Shrinkage]] = []
        self._images: list[Array] = []
        groups = problem.dictionary.groups
        # The common codes come last: they take what the unique codes leave.
        for g in sorted(groups, key=lambda g: g.name == "common"):
            bound = bounds[g.name]
            assert bound is not None
            step = 1.0 / (bound * (problem.largest_weight**2 or 1.0))
            alone = replace(
                g,
                maps=slice(0, len(g.bank)),
                channels=slice(0, g.channels.stop - g.channels.start),
            )
            operator = make_operator(
                [alone],
                problem.shape,
                problem.boundary,
                problem.backend,
                problem.dtype,
                problem.n_samples,
            )
            # For all maps: thresholds are addressed by a map's place among them.
            thresholds = problem.penalty.shrinkage(step, problem.dtype)
            self._blocks.append((g, operator, step, thresholds))
            self._images.append(forward(operator, self.backend, self._x[:, g.maps, ...]))

    @classmethod
    def memory(cls, problem: Problem) -> int:
        """As the other dense solvers, or what the bounds of `Dictionary.lipschitz` take."""
        bounds = max(supremum_memory(g.bank) for g in problem.dictionary.groups)
        h, w = problem.shape
        codes = problem.n_samples * problem.dictionary.n_maps * h * w * problem.itemsize
        return max(super().memory(problem), codes + bounds)

    def maps(self) -> Array:
        """Return the current codes, stacked."""
        return self._x

    def step(self) -> None:
        """Do one iteration."""
        for block in range(len(self._blocks)):
            self._descend(block)

    def _left_for(self, block: int) -> Array:
        """Signal that the other groups leave, on this group's channels."""
        xp = self.backend.xp
        left = xp.asarray(self.problem.stacked, copy=True)
        for other, (g, _, _, _) in enumerate(self._blocks):
            if other != block:
                left[:, g.channels, ...] -= self._images[other]
        return left[:, self._blocks[block][0].channels, ...]

    def _descend(self, block: int) -> None:
        xp = self.backend.xp
        g, operator, step, thresholds = self._blocks[block]
        target = self._left_for(block)
        weights = self.problem.weights
        if weights is not None:
            weights = weights[:, g.channels, ...]

        def update(tile: Tile, correlation: Array) -> tuple[Array, None]:
            start = g.maps.start
            whole = tile._replace(maps=slice(tile.maps.start + start, tile.maps.stop + start))
            return self._pointwise.ista_update(self._x, correlation, whole, step, thresholds), None

        count = 0
        while self._inner_steps is None or count < self._inner_steps:
            residual = target - self._images[block]
            if weights is not None:
                residual = weights * weights * residual
            image, _ = operator.sweep(residual, update, samples=self.problem.n_samples)
            change = image - self._images[block]
            self._images[block] = image
            count += 1
            if self._inner_tol is not None and float(xp.sum(change * change)) <= (
                self._inner_tol**2 * float(xp.sum(image * image))
            ):
                break
