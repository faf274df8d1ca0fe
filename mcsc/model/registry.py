"""The registry of solvers, from which `method` chooses.

It stands below the solvers, which enter it when `mcsc.solvers` is imported: a problem can ask for
a solver's memory, and the command line for the names, without knowing any of them.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from ..errors import InvalidValueError

__all__ = ["SOLVERS", "SolverClass", "SolverRegistry"]


class SolverClass(Protocol):
    """What the registry knows of a solver's class; `mcsc.solvers.Solver` is the whole contract."""

    name: str
    merit: str
    libraries: tuple[str, ...] | None

    # The argument is a Problem, which imports this module.
    def supports(self, problem: Any, /) -> bool:
        """True if the solver can take a problem's arrays."""
        ...

    def memory(self, problem: Any, /) -> int:
        """Peak bytes on top of the caller's arrays."""
        ...


S = TypeVar("S", bound=SolverClass)


class SolverRegistry:
    """Solvers' classes by their names, in the order of preference."""

    def __init__(self) -> None:
        self._solvers: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What `method` may be besides "auto"."""
        return tuple(self._solvers)

    def register(self, solver: S) -> S:
        """Enter a solver under its `name`, behind all others; returns it, as a decorator does.

        Raises
        ------
        ValueError
            The name is taken.
        """
        known = self._solvers.get(solver.name)
        # A module that is loaded again replaces its own class.
        if solver.name == "auto" or (known is not None and _place(known) != _place(solver)):
            raise InvalidValueError(f"there is a solver named {solver.name!r} already")
        self._solvers[solver.name] = solver
        return solver

    def remove(self, name: str) -> None:
        """Take a solver out again."""
        self[name]
        del self._solvers[name]

    def __getitem__(self, method: str) -> Any:
        """Return the class of that name; ValueError if there is none."""
        if not isinstance(method, str) or method not in self._solvers:
            names = ", ".join(repr(name) for name in ("auto", *self._solvers))
            raise InvalidValueError(f"method must be one of {names}, found {method!r}")
        return self._solvers[method]

    def resolve(self, method: str, problem: Any) -> Any:
        """Return the class of that name; for "auto", the first that supports the problem.

        Raises
        ------
        ValueError
            There is no such method, or it does not take the problem's arrays.
        """
        if method == "auto":
            return next(s for s in self._solvers.values() if s.supports(problem))
        found = self[method]
        if not found.supports(problem):
            raise InvalidValueError(
                f"method={method!r} works on {' and '.join(found.libraries)} arrays, and these are "
                f"{problem.backend.name} arrays: take another method or device"
            )
        return found


def _place(solver: Any) -> tuple[str, str]:
    return solver.__module__, solver.__qualname__


SOLVERS = SolverRegistry()
"""The registry of this process."""
