"""The table of solvers, from which `method` chooses.

It stands below the solvers, which enter it when `mcsc.solvers` is imported: a problem can ask for
a solver's memory, and the command line for the names, without knowing any of them.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeVar

from ..errors import InvalidTypeError, InvalidValueError
from ..tables import Table

__all__ = ["SOLVERS", "SolverClass", "SolverTable"]


class SolverClass(Protocol):
    """What the table knows of a solver's class; `mcsc.solvers.Solver` is the whole contract."""

    name: str
    merit: str
    libraries: tuple[str, ...] | None
    joint: bool

    # The argument is a Problem, which imports this module.
    def supports(self, problem: Any, /) -> bool:
        """True if the solver can take a problem's arrays."""
        ...

    def expense(self, problem: Any, /) -> float:
        """What a solution costs; infinite where that is not known."""
        ...

    def memory(self, problem: Any, /) -> int:
        """Peak bytes on top of the caller's arrays."""
        ...


S = TypeVar("S", bound=SolverClass)

_ASKED_OF_A_CLASS = ("name", "max_iter", "merit", "libraries", "joint", "options")
_CALLED = ("supports", "expense", "memory", "step", "due", "evaluate", "codes")


class SolverTable(Table[Any]):
    """Solvers' classes by their names, in the order of preference.

    An installed package adds a class by an entry point of the group ``mcsc.solvers``, named as the
    class is.
    """

    def __init__(self) -> None:
        super().__init__(
            "solver", group="mcsc.solvers", kind=type,
            wanted="a class that derives from mcsc.solvers.Solver",
        )  # fmt: skip

    def register(self, solver: S) -> S:
        """Add a solver under its `name`, behind all others; returns it, as a decorator does.

        Raises
        ------
        TypeError
            It is no class of a solver, or lacks something of one; the message says what.
        ValueError
            The name is taken.
        """
        own = getattr(solver, "name", getattr(solver, "__name__", type(solver).__name__))
        self.add(own, solver)
        return solver

    def check(self, name: str, entry: Any) -> None:
        """Refuse what is no class of a solver, and one that lacks something."""
        if name == "auto":
            raise InvalidValueError("a solver cannot be named 'auto', which chooses among them")
        if isinstance(entry, type):
            lacking = [w for w in _ASKED_OF_A_CLASS if not hasattr(entry, w)]
            lacking += [w for w in _CALLED if not callable(getattr(entry, w, None))]
            lacking += [w for w in getattr(entry, "__abstractmethods__", ()) if w not in lacking]
            if lacking:
                raise InvalidTypeError(
                    f"the solver {name} must be {self.wanted}; {entry.__name__} lacks "
                    f"{', '.join(sorted(lacking))}"
                )
        super().check(name, entry)

    def find(self, name: str) -> Any:
        """Return the class of that name; refuse one that is not there, listing those that are."""
        if not isinstance(name, str) or name not in self:
            names = ", ".join(map(repr, ("auto", *self)))
            raise InvalidValueError(f"method must be one of {names}, found {name!r}")
        return self[name]

    def resolve(self, method: str, problem: Any) -> Any:
        """Return the class of that name; for "auto", of those that support the problem one.

        That is the one of the least `expense`, or the first where that one does not know it.

        Raises
        ------
        ValueError
            There is no such method, or it does not take the problem's arrays.
        """
        if method == "auto":
            able = (s for _, s in self.loaded() if s.supports(problem))
            best = next(able)
            least = best.expense(problem)
            # Where the first does not know its cost, others need not be loaded.
            for solver in able if math.isfinite(least) else ():
                if (cost := solver.expense(problem)) < least:
                    best, least = solver, cost
            return best
        found = self.find(method)
        if not found.supports(problem):
            if problem.penalty.joined and not found.joint:
                others = [
                    repr(s.name)
                    for s in self.available().values()
                    if s.joint and s.supports(problem)
                ]
                raise InvalidValueError(
                    f"method={method!r} does not take joint groups: take {' or '.join(others)}"
                )
            raise InvalidValueError(
                f"method={method!r} works on {' and '.join(found.libraries)} arrays, and these are "
                f"{problem.backend.name} arrays: take another method or device"
            )
        return found


SOLVERS = SolverTable()
"""The table of this process."""
