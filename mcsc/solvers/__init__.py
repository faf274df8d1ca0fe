"""Solvers of Eq. 5: `mcsc.solve` is the one front door, `SOLVERS` the table that it reads.

A solver from outside derives from `Solver` or `DenseSolver`. A script calls ``SOLVERS.register``, a
package has an entry point of the group ``mcsc.solvers``.
"""

from __future__ import annotations

from ..model.solver_table import SOLVERS
from .admm import Admm
from .alternating import Alternating
from .base import DenseSolver, Solver
from .proximal import Fista, Ista
from .working_set import WorkingSet

__all__ = ["SOLVERS", "DenseSolver", "Solver"]

# In the order of preference: "auto" takes the first that supports a problem's arrays.
_OWN: tuple[type[Solver], ...] = (WorkingSet, Admm, Fista, Alternating, Ista)
for _solver in _OWN:
    SOLVERS.register(_solver)
