"""What a solver is: a small state machine, and what its class says about it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from ..backend import Array
from ..model.certificate import Bounds, Certificate
from ..model.codes import Codes
from ..model.convolution import DirectOperator, operator_memory, padded_grid
from ..model.problem import Problem
from ..types import Boundary

__all__ = ["DenseSolver", "Solver"]


class Solver(ABC):
    """A state machine: `step` iterates, the rest looks at the state.

    `SOLVERS.register` makes `mcsc.solve` and the command line know a class.

    Parameters
    ----------
    problem : Problem
        What to solve; `supports` has said yes to it.
    start : Codes or None
        First codes, of this problem and in its array library; None: zero.
    **options
        Those of the arguments of `mcsc.solve` that `options` names, where they were given.

    Attributes
    ----------
    name : str
        What `method` calls it.
    max_iter : int
        Iterations at most, unless the caller says otherwise.
    merit : str
        Why "auto" takes it: of the solvers that support a problem the one of the least `expense`,
        or else the first registered.
    libraries : tuple of str, or None
        Names of the backends whose arrays it takes; None: all.
    joint : bool
        Whether it takes problems with joint groups; otherwise they are refused.
    options : frozenset of str
        Arguments of `mcsc.solve` that are for this solver.
    uncertified : bool
        True if the last `evaluate` left it at the bound that zero codes give, since better ones
        were not expected; the next does the work. So is the last one of a run that is stopped.
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
        """True if it takes the problem's arrays, and its joint groups if there are any."""
        if problem.penalty.joined and not cls.joint:
            return False
        return cls.libraries is None or problem.backend.name in cls.libraries

    @classmethod
    def expense(cls, problem: Problem) -> float:
        """What a solution costs, in any unit that solvers share; "auto" takes the least.

        Where two cost the same, as those do that do not know theirs (infinite), the one that was
        registered first is taken.
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
        """True if a certificate is worth its cost now; all of them stay under 10 % of the run."""

    @abstractmethod
    def evaluate(self, certificate: Certificate) -> Bounds:
        """Evaluate objective and dual value at the codes that `codes` would return."""

    @abstractmethod
    def codes(self) -> Codes:
        """Return the current codes."""


class DenseSolver(Solver):
    """What the solvers share that hold all maps, (N, K, H, W), as dense arrays.

    Attributes
    ----------
    check_every : int
        Iterations from one certificate to the next.
    code_arrays : float
        Arrays of all maps that are held at the peak, which is the evaluation or the making of the
        result: the state, and its thresholded or sparse copy.
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
        """The same for maps on a grid of their own."""
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
                groups, n, problem.shape, problem.boundary, backend, 8, whole=whole
            )
            held += also if item == 4 else 0
        # Signals in both precisions, residuals and images, about four each.
        images = (4 * 8 + 4 * item) * n * channels * h * w
        gram = 3 * channels * channels * h * w * 8
        return int(codes + held + max(sweep, exact) + images + gram)
