"""Base classes of solvers: a small state machine, and what its class says about it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from ..backend import Array
from ..model.certificate import Bounds, Certificate
from ..model.codes import Codes
from ..model.convolution import DirectOperator, operator_memory, padded_grid
from ..model.peaks import PatchPeaks
from ..model.problem import Problem
from ..types import Boundary

__all__ = ["DenseSolver", "Solver"]


class Solver(ABC):
    """Base class of solvers: a state, and a `step` that changes it.

    `SOLVERS.register` makes a class known to `mcsc.solve` and to the command line.

    Parameters
    ----------
    problem : Problem
        The problem to solve; `supports` is true for it.
    start : Codes or None
        Codes to start from, for this problem and in its array library; None: zero.
    **options
        Arguments of `mcsc.solve` that are named in `options`, where the caller gave them.

    Attributes
    ----------
    name : str
        Name of the solver, as the argument `method` takes it.
    max_iter : int
        Largest number of iterations, unless the caller gives another one.
    merit : str
        Why "auto" takes it, for messages. Of the solvers that support a problem, "auto" takes the
        one of the least `expense`, and of equals the one registered first.
    libraries : tuple of str, or None
        Names of the backends whose arrays the solver takes; None: all of them.
    joint : bool
        Whether the solver takes problems with joint groups; otherwise they are refused.
    options : frozenset of str
        Names of the arguments of `mcsc.solve` that are for this solver.
    uncertified : bool
        True if the last `evaluate` returned only the bound that zero codes give, because a better
        one was not expected yet. Then the next evaluation is a full one, and so is the last one of
        a run that is stopped.
    """

    name: ClassVar[str]
    max_iter: ClassVar[int]
    merit: ClassVar[str] = "the first that takes these arrays"
    libraries: ClassVar[tuple[str, ...] | None] = None
    joint: ClassVar[bool] = False
    options: ClassVar[frozenset[str]] = frozenset()
    uncertified: bool = False

    @abstractmethod
    def __init__(self, problem: Problem, start: Codes | None) -> None: ...

    @classmethod
    def supports(cls, problem: Problem) -> bool:
        """Whether the solver takes the problem's arrays, and its joint groups if it has any."""
        if problem.penalty.joined and not cls.joint:
            return False
        return cls.libraries is None or problem.backend.name in cls.libraries

    @classmethod
    def reason(cls, problem: Problem) -> str:
        """Why "auto" takes it for a problem, for messages."""
        return cls.merit + (" and joint groups" if problem.penalty.joined else "")

    @classmethod
    def expense(cls, problem: Problem) -> float:
        """Estimated cost of a solution, in a unit that the solvers share; "auto" takes the least.

        Where two cost the same, the one that was registered first is taken. The default is
        infinite: unknown.
        """
        return math.inf

    @classmethod
    @abstractmethod
    def memory(cls, problem: Problem) -> int:
        """Peak bytes on top of the caller's arrays; allocates nothing of an image's size."""

    @abstractmethod
    def step(self) -> None:
        """Do one iteration."""

    @abstractmethod
    def due(self, iteration: int, tol: float) -> bool:
        """Whether to evaluate the certificate now; all should take under 10 % of the run."""

    @abstractmethod
    def evaluate(self, certificate: Certificate) -> Bounds:
        """Evaluate objective and dual value at the codes that `codes` would return."""

    @abstractmethod
    def codes(self) -> Codes:
        """Return the current codes."""


class DenseSolver(Solver):
    """Base class of solvers that hold all maps, (N, K, H, W), as dense arrays.

    Attributes
    ----------
    check_every : int
        Number of iterations from one certificate to the next.
    code_arrays : float
        Number of arrays of all maps that are held at the peak of memory: the state, and the
        thresholded or sparse copy that an evaluation or the result takes.
    """

    check_every: int = 25
    code_arrays: ClassVar[float] = 1.0

    def __init__(self, problem: Problem, start: Codes | None) -> None:
        self.problem = problem
        self.backend = problem.backend

    def first_maps(self, start: Codes | None) -> Array:
        """Return the first codes as a new dense array (N, K, H, W) in the working precision."""
        problem, xp = self.problem, self.backend.xp
        if start is None:
            shape = (problem.n_samples, problem.dictionary.n_maps, *problem.shape)
            return xp.zeros(shape, dtype=problem.dtype)
        return problem.penalty.feasible(xp.astype(start.stacked(problem.dictionary), problem.dtype))

    @abstractmethod
    def maps(self) -> Array:
        """Return the current codes, stacked."""

    def due(self, iteration: int, tol: float) -> bool:
        """Evaluate after every `check_every` iterations."""
        return iteration % self.check_every == 0

    def evaluate(self, certificate: Certificate) -> Bounds:
        """Evaluate the dense codes: one synthesis and one analysis in float64."""
        return certificate.evaluate(self.maps())

    def codes(self) -> Codes:
        """Return the codes, made sparse."""
        return Codes.from_stacked(self.maps(), self.problem.dictionary)

    @classmethod
    def memory(cls, problem: Problem) -> int:
        """Peak bytes on top of the caller's arrays: `code_arrays` of all maps, and images."""
        return cls.memory_on(problem, problem.shape, problem.boundary)

    @classmethod
    def memory_on(cls, problem: Problem, grid: tuple[int, int], boundary: Boundary) -> int:
        """Peak bytes as in `memory`, for maps on another grid."""
        groups, n, item = problem.dictionary.groups, problem.n_samples, problem.itemsize
        backend, channels = problem.backend, sum(problem.dictionary.channels)
        h, w = grid if boundary == "periodic" else padded_grid(grid, problem.dictionary.filter_size)
        codes = cls.code_arrays * n * problem.dictionary.n_maps * grid[0] * grid[1] * item
        whole = bool(problem.penalty.joined)
        held, sweep = operator_memory(groups, n, grid, boundary, backend, item, whole=whole)
        if backend.name == "NumPy":
            exact = DirectOperator.memory(groups, n, problem.shape, 8)
        else:
            also, exact = operator_memory(
                groups, n, problem.shape, problem.boundary, backend, 8, whole=whole,
                analyse=not problem.certifies_by_patches,
            )  # fmt: skip
            held += also if item == 4 else 0
            if problem.certifies_by_patches:
                exact += PatchPeaks.memory(n, problem.shape)
        # Signals in both precisions, residuals and images, about four each.
        images = (4 * 8 + 4 * item) * n * channels * h * w
        gram = 3 * channels * channels * h * w * 8
        return int(codes + held + max(sweep, exact) + images + gram)
