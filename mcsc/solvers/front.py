"""`solve`: the one front door."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backend import Array, is_array, move_to_cuda
from ..checks import check_callback, check_choice, check_tol, check_whole, is_number
from ..errors import InvalidTypeError, InvalidValueError, OutOfMemoryError
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..model.solver_table import SOLVERS
from ..types import Boundary, Device
from .base import Solver
from .driver import Callback, run
from .result import Result, warn_unless_converged


@dataclass(frozen=True)
class Options:
    """How to solve, checked; the fields are arguments of `solve`."""

    method: str = "auto"
    tol: float = 1e-4
    max_iter: int | None = None
    callback: Callback | None = None
    progress: bool = False
    inner_steps: int | None = None
    inner_tol: float | None = None

    def __post_init__(self) -> None:
        if self.method != "auto":
            self._refuse_options_of_others(SOLVERS.find(self.method))
        object.__setattr__(self, "tol", check_tol(self.tol))
        for name in ("max_iter", "inner_steps"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_whole(name, getattr(self, name)))
        share = self.inner_tol
        if share is not None and not (is_number(share) and 0 < share < 1):
            raise InvalidValueError(f"inner_tol must be between 0 and 1, found {share!r}")
        check_callback(self.callback)

    def _own(self) -> dict[str, Any]:
        """The given ones of the options that only some solvers have."""
        named = {"inner_steps": self.inner_steps, "inner_tol": self.inner_tol}
        return {name: value for name, value in named.items() if value is not None}

    def _refuse_options_of_others(self, solver: type[Solver]) -> None:
        for name in self._own():
            if name not in solver.options:
                owners = [n for n, s in SOLVERS.available().items() if name in s.options]
                raise InvalidValueError(
                    f"{name} is for method={' or '.join(map(repr, owners))}, "
                    f"not for {solver.name!r}"
                )

    def solver(self, problem: Problem) -> tuple[type[Solver], str]:
        """Return the class of the solver, and a note if it was chosen here."""
        found: type[Solver] = SOLVERS.resolve(self.method, problem)
        self._refuse_options_of_others(found)
        if self.method != "auto":
            return found, ""
        why = found.reason(problem) + _beside(found, problem)
        return found, f"; method 'auto' took {found.name!r}: {why}"

    def make(self, solver: type[Solver], problem: Problem, start: Codes | None) -> Solver:
        """Return the solver at its start."""
        return solver(problem, start, **self._own())


def problem_on(
    signals: Any,
    dictionary: Any,
    lam: Any,
    masks: Any,
    boundary: Boundary,
    device: Device,
    mu: Any = 0.0,
    nonnegative: Any = False,
    joint: Any = False,
) -> tuple[Problem, bool]:
    """Return the problem on the device that was asked for, and whether its arrays were moved.

    What is no array is left to `Problem` to refuse, which also brings lam to where the signals are.
    """
    check_choice("device", device, Device)

    def each(arrays: Any) -> Any:
        if is_array(arrays) or not isinstance(arrays, Sequence):
            return arrays
        return tuple(move_to_cuda(a) if is_array(a) else a for a in arrays)

    given = [a for a in signals if is_array(a)] if isinstance(signals, Sequence) else []
    on_gpu = any(type(a).__module__.startswith("cupy") for a in given)
    if device == "cpu" and on_gpu:
        raise InvalidValueError(
            "device='cpu' was asked for, but signals are CuPy arrays: use .get() first"
        )
    moved = device == "cuda" and bool(given)
    if moved:
        signals, masks = each(signals), each(masks)
    problem = Problem(signals, dictionary, lam, masks, boundary, mu, nonnegative, joint)
    return problem, moved and not on_gpu


def solve_problem(
    problem: Problem,
    options: Options,
    init: Result | Codes | None = None,
    *,
    started: float | None = None,
    title: str = "",
) -> Result:
    """Solve a problem where its arrays are; nothing is said if it does not converge."""
    started = time.perf_counter() if started is None else started
    chosen, note = options.solver(problem)
    with problem.on_device():
        _refuse_if_too_large(problem, chosen)
        return run(
            problem,
            options.make(chosen, problem, _start(problem, init)),
            started=started,
            tol=options.tol,
            max_iter=chosen.max_iter if options.max_iter is None else options.max_iter,
            callback=options.callback,
            progress=options.progress,
            title=f"{chosen.name}{title}",
            note=note,
        )


def bring_home(result: Result) -> Result:
    """Return a result with its codes as NumPy arrays; the nonzeros move, no map is made dense."""
    return replace(result, codes=result.codes.to(np.zeros(0)))


def solve(
    signals: Sequence[Array],
    dictionary: Dictionary,
    lam: Any,
    *,
    method: str = "auto",
    boundary: Boundary = "zero",
    tol: float = 1e-4,
    masks: Sequence[Array | None] | None = None,
    mu: Any = 0.0,
    nonnegative: Any = False,
    joint: Any = False,
    device: Device = "auto",
    init: Result | Codes | None = None,
    max_iter: int | None = None,
    inner_steps: int | None = None,
    inner_tol: float | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Result:
    r"""Solve multi-modal convolutional sparse coding (Eq. 5) to a certified duality gap.

    .. math::

        \min_{c,u,v} \; & \tfrac12 \|x - d^c*c - d^u*u\|_2^2 \\
        & + \tfrac12 \|y - h^c*c - h^v*v\|_2^2 \\
        & + \lambda (\|c\|_1 + \|u\|_1 + \|v\|_1) \\
        & + \tfrac{\mu}{2} (\|c\|_2^2 + \|u\|_2^2 + \|v\|_2^2)

    Parameters
    ----------
    signals : tuple of M arrays
        Images ``(x, y, ...)``, each (H, W), (C, H, W) or (N, C, H, W), float32 or float64, in NumPy
        or CuPy. Their precision is the working precision.
    dictionary : Dictionary
        Filters for M signals of those channels.
    lam : float, or one entry per code group, one number per map, or one per coefficient
        Weight of the l1 norm, > 0. An entry of a group is a number, a 1-D array with a number for
        each map, or an array that broadcasts to the group's codes (N, K, H, W); see `Problem`.
        Nothing is rescaled.
    method : {"auto", "working-set", "admm", "fista", "alternating", "ista"}
        All reach the same optimum. "auto" takes the working set for NumPy arrays, and for
        CuPy arrays ADMM or, of small images, FISTA (see Notes); the result says which and why.
        `mcsc.solvers.SOLVERS` holds them, and those that others have registered.
    boundary : {"zero", "periodic"}
        Codes are zero outside the image ("same" convolution), or circular.
    tol : float
        Stop when the certified relative duality gap is at most this, between 0 and 1. It is
        evaluated in float64. In float32 the FFT methods reach about 1e-5; the working set goes on
        in float64 where it must, and reaches 1e-6.
    masks : tuple of M (array or None), optional
        Weights w >= 0 in ``1/2 ||w (x - ...)||^2``; 0 marks unknown pixels.
    mu : float, or one per code group
        Weight of half the squares of the codes, >= 0: the elastic net. Zero leaves it out.
    nonnegative : bool, or one per code group
        Whether codes must not be negative.
    joint : bool, or one per code group
        Groups whose codes vanish together: at each place and for each number of a map, lam weighs
        the l2 norm over these groups instead of each absolute value. They have equally many maps,
        and the same lam and mu. Only the methods "admm", "fista" and "ista" can do this; "auto"
        takes one of them.
    device : {"auto", "cpu", "cuda"}
        "cuda" moves NumPy arrays to the GPU once, and the nonzero codes back.
    init : Result or Codes, optional
        Warm start: codes on the same grid, for the same dictionary. If they are of another array
        library, their nonzeros are moved. Negative coefficients are left out where codes must not
        be negative.
    max_iter : int, optional
        Largest number of iterations (for "alternating", of sweeps over all blocks).
    inner_steps : int, optional
        "alternating" only: number of ISTA steps on one block of codes before the next one (10,
        unless `inner_tol` is given).
    inner_tol : float, optional
        "alternating" only: leave a block when its image changes by less than this, relatively.
    callback : callable, optional
        Called with a `Progress` at every evaluation; a true value or StopIteration stops.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Result
        Codes, objective, certified gap, history. After Ctrl-C, the codes found so far.

    Warns
    -----
    ConvergenceWarning
        The solver stopped before the gap reached `tol`; the message says why.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work.
    MemoryError
        The estimate of `Problem.memory_estimate` exceeds the memory that is free.
    RuntimeError
        ``device="cuda"`` without CuPy or a usable driver.

    Notes
    -----
    Every symbol is explained, with its name in the code, on :doc:`the page of the model
    </explanations/model>`; what the gap proves, on :doc:`a page of its own </explanations/gap>`.

    An iteration of an FFT method computes ``D^T`` and ``D`` of all maps once: ``4 s^2`` flops for
    each pixel and pair (map, channel) on a CPU, two FFTs per map on a GPU. The certificate costs
    about two iterations and is evaluated every 25. An iteration of the working set computes ``D^T``
    where the residual changed, and descends on the few coefficients that are not zero.

    The first call of the working set compiles its kernels for a filter size and a precision, a few
    seconds; later processes read them from disk (Numba's cache).

    "auto" takes the working set on a CPU because it was the first to a gap of 1e-3 at every lam
    from 10 % to 0.01 % of lambda_max at which any method arrived, and with dense solutions too;
    there is no crossover to FFT methods (``benchmarks/exact/crossover.py``,
    ``docs/benchmarks.md``). On a GPU, which has not been measured yet, it compares what is counted,
    bytes and launches of an iteration (`mcsc.solvers.gpu_cost`), times the iterations that a method
    is expected to take: ADMM is taken, except for small images with masks or at the zero boundary,
    where an iteration of it has a hundred launches more.

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((2, 32, 32))
    >>> bank = lambda: rng.standard_normal((4, 1, 5, 5))
    >>> d = mcsc.Dictionary(common=(bank(), bank()), unique=(bank(), bank())).normalise()
    >>> result = mcsc.solve((x, y), d, lam=0.5)
    >>> result.converged, result.codes.common.shape
    (True, (1, 4, 32, 32))
    """
    started = time.perf_counter()
    options = Options(method, tol, max_iter, callback, progress, inner_steps, inner_tol)
    problem, moved = problem_on(
        signals, dictionary, lam, masks, boundary, device, mu, nonnegative, joint
    )
    result = solve_problem(problem, options, init, started=started)
    warn_unless_converged(result)
    return bring_home(result) if moved else result


def _beside(chosen: type[Solver], problem: Problem) -> str:
    """How many times as much the next best would cost, where costs are known."""
    least = chosen.expense(problem)
    if not math.isfinite(least):
        return ""
    costs = {
        solver.name: solver.expense(problem)
        for _, solver in SOLVERS.loaded()
        if solver is not chosen and solver.supports(problem)
    }
    name = min(costs, key=costs.__getitem__, default="")
    if not name or not math.isfinite(costs[name]):
        return ""
    return f" ({name!r}: {costs[name] / least:.1f} times it)"


def _start(problem: Problem, init: Result | Codes | None) -> Codes | None:
    if init is None:
        return None
    codes = init.codes if isinstance(init, Result) else init
    if not isinstance(codes, Codes):
        raise InvalidTypeError(f"init must be a Result or Codes, found {type(init).__name__}")
    codes = codes.to(problem.stacked)
    problem.check_codes(codes)
    return codes


def _refuse_if_too_large(problem: Problem, solver: type[Solver]) -> None:
    """Raise MemoryError, with both numbers, if the estimate exceeds what is available."""
    available = problem.backend.available_memory()
    needed = solver.memory(problem)
    if available is not None and needed > available:
        n, k = problem.n_samples, problem.dictionary.n_maps
        h, w = problem.shape
        raise OutOfMemoryError(
            f"method {solver.name!r} needs about {needed / 2**30:.1f} GiB for {n}x{k} maps of "
            f"{h}x{w}, and {available / 2**30:.1f} GiB are free: solve in tiles, in float32, or "
            "use fewer filters"
        )
