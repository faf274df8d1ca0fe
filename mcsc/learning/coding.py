"""Coding of windows, and their coefficients as what filters are fitted to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..solvers.front import solve
from ..solvers.result import ConvergenceWarning, Result
from ..solvers.working_set import WorkingSet
from ..sparse.active_set import ActiveSet
from ..sparse.tiles import TileGrid
from ..types import Boundary, Device
from .images import Batch


@dataclass(frozen=True)
class Coder:
    """How windows are coded; named as the arguments of `mcsc.solve`."""

    lam: Any
    boundary: Boundary
    tol: float
    max_iter: int | None
    device: Device = "auto"
    mu: Any = 0.0
    nonnegative: Any = False

    def code(self, batch: Batch, dictionary: Dictionary, init: Codes | None = None) -> Result:
        """Solve Eq. 5 for a batch: by the working set, on a GPU by what "auto" takes there."""
        with warnings.catch_warnings():
            # A window that is not certified to tol is no reason to stop learning.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return solve(
                batch.signals,
                dictionary,
                self.lam,
                masks=batch.masks,
                mu=self.mu,
                nonnegative=self.nonnegative,
                method="auto" if self.device == "cuda" else "working-set",
                device=self.device,
                boundary=self.boundary,
                tol=self.tol,
                init=init,
                max_iter=self.max_iter,
            )

    def activate(self, batch: Batch, dictionary: Dictionary, codes: Codes) -> ActiveSet:
        """Return the nonzero coefficients of a batch with its signals."""
        problem = Problem(
            batch.signals, dictionary, self.lam, batch.masks, self.boundary, self.mu,
            self.nonnegative,
        )  # fmt: skip
        grid = TileGrid(
            problem.n_samples, problem.shape, dictionary.filter_size, WorkingSet.tile_side
        )
        active = ActiveSet(problem, grid, problem.dtype)
        active.insert_codes(codes)
        return active
