r"""Iteratively reweighted l1: large coefficients pay less than the l1 norm asks of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, namespace
from ..backend.base import joint_norm
from ..checks import check_number, check_whole
from ..errors import OutOfMemoryError
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.penalty import Penalty
from ..model.problem import Problem
from ..types import Boundary, Device
from .driver import Callback, deferred_interrupt
from .front import Options, bring_home, problem_on, solve_problem
from .result import Result, warn_unless_converged

__all__ = ["Reweighted", "reweighted"]


@dataclass(frozen=True, eq=False)
class Reweighted:
    """Solutions of a sequence of weighted problems."""

    results: tuple[Result, ...]
    """Result of every round, certified for the lam of its round; the first is that of `solve`."""
    lam: tuple[Array, ...]
    """lam of the last round, an array that broadcasts to (N, K, H, W) for each group."""
    epsilon: float
    """Size of a coefficient whose lam is halved."""

    @property
    def result(self) -> Result:
        """Result of the last round."""
        return self.results[-1]

    @property
    def codes(self) -> Codes:
        """Codes of the last round."""
        return self.result.codes


def reweighted(
    signals: Sequence[Array],
    dictionary: Dictionary,
    lam: Any,
    *,
    rounds: int = 4,
    epsilon: float | None = None,
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
    callback: Callback | None = None,
    progress: bool = False,
) -> Reweighted:
    r"""Solve Eq. 5 repeatedly, with a smaller weight on coefficients that were large before.

    The lam of a coefficient a of the last round is, in the next,

    .. math::

        \lambda \frac{\varepsilon}{|a| + \varepsilon} ,

    so that the penalty of small coefficients stays lam and that of large ones nearly vanishes: they
    are shrunk less, and fewer of them explain as much. In joint groups :math:`|a|` is the l2 norm
    over the groups. This is the majorisation of
    :math:`\lambda \varepsilon \sum \log(|a| + \varepsilon)`, whose value never rises from round to
    round (but for the gap that is left). That function is not convex: what a round certifies is
    the optimum of its own convex problem.

    Parameters
    ----------
    signals, dictionary, lam
        As in `mcsc.solve`.
    rounds : int
        Number of problems that are solved, the first of them with lam as it is given.
    epsilon : float, optional
        Size of a coefficient whose lam is halved, > 0. Default: the median size of the nonzero
        coefficients of the first round.
    method, boundary, tol, masks, mu, nonnegative, joint, device, progress
        As in `mcsc.solve`; all rounds share them.
    init : Result or Codes, optional
        Warm start of the first round; every other round starts from the codes of the one before.
    max_iter : int, optional
        Largest number of iterations in each round.
    callback : callable, optional
        As in `mcsc.solve`; to stop means to stop all rounds.

    Returns
    -------
    Reweighted
        The results of the rounds. Ctrl-C or the callback ends them with the round that was being
        solved; if the first round has no nonzero coefficient, there is no other one.

    Warns
    -----
    ConvergenceWarning
        Once for each round whose gap did not reach `tol`.

    Raises
    ------
    TypeError, ValueError
        `rounds` or `epsilon` make no sense, or what `mcsc.solve` refuses.
    MemoryError
        A lam for each coefficient takes as much memory as all maps; more than is free.
    RuntimeError
        As in `mcsc.solve`.

    References
    ----------
    E. J. Candes, M. B. Wakin, S. P. Boyd, "Enhancing sparsity by reweighted l1 minimization",
    Journal of Fourier Analysis and Applications 14, 2008. doi:10.1007/s00041-008-9045-x

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> x = np.random.default_rng(0).standard_normal((24, 24))
    >>> found = mcsc.reweighted((x,), mcsc.dct_dictionary((1,), 4, 3), 1.0, rounds=3, tol=1e-3)
    >>> [r.converged for r in found.results], found.codes.nnz < found.results[0].codes.nnz
    ([True, True, True], True)
    """
    options = Options(method, tol, max_iter, callback, progress)
    count = check_whole("rounds", rounds)
    size = None if epsilon is None else check_number("epsilon", epsilon)
    problem, moved = problem_on(
        signals, dictionary, lam, masks, boundary, device, mu, nonnegative, joint
    )
    if count > 1:
        _refuse_if_too_large(problem)
    base = problem.penalty.lam
    results: list[Result] = []
    start = init
    with deferred_interrupt() as interrupt:
        for index in range(count):
            result = solve_problem(problem, options, start, title=f", round {index + 1} of {count}")
            warn_unless_converged(result)
            results.append(bring_home(result) if moved else result)
            stopped = interrupt.asked or result.stopped in ("callback", "interrupted")
            if stopped or index + 1 == count or result.codes.nnz == 0:
                break
            size = _median_size(result.codes) if size is None else size
            with problem.on_device():
                weighted = _next_lam(base, result.codes, size, problem.penalty)
            problem = problem.with_lam(weighted)
            start = result
    return Reweighted(tuple(results), problem.penalty.lam, math.inf if size is None else size)


def _next_lam(base: Sequence[Array], codes: Codes, epsilon: float, penalty: Penalty) -> list[Array]:
    """``lam epsilon / (|a| + epsilon)`` of every group, whole."""
    found = []
    joined = [m for m, maps in enumerate(penalty.groups) if maps in penalty.joined]
    norm = joint_norm([codes.present[m].dense() for m in joined]) if joined else None
    for m, (lam, maps) in enumerate(zip(base, codes.present, strict=True)):
        size = maps.dense() if norm is None or m not in joined else norm
        xp = namespace(size)
        out = xp.astype(xp.broadcast_to(lam, maps.shape), size.dtype, copy=True)
        # Neither epsilon nor lam may vanish or overflow in the precision of the codes.
        limits = xp.finfo(size.dtype)
        least = float(limits.smallest_normal)
        epsilon = min(max(epsilon, least), 0.1 * float(limits.max))
        out *= epsilon / (xp.abs(size) + epsilon)
        found.append(xp.maximum(out, xp.asarray(least, dtype=out.dtype)))
    return found


def _median_size(codes: Codes) -> float:
    home = codes.to(np.zeros(0))
    return float(np.median(np.concatenate([np.abs(g.value) for g in home.present])))


def _refuse_if_too_large(problem: Problem) -> None:
    shape = (problem.n_samples, problem.dictionary.n_maps, *problem.shape)
    needed = 2 * math.prod(shape) * problem.itemsize
    available = problem.backend.available_memory()
    if available is not None and needed > available:
        raise OutOfMemoryError(
            f"lam of every coefficient, for {shape[0]}x{shape[1]} maps of {shape[2]}x{shape[3]}, "
            f"needs about {needed / 2**30:.1f} GiB, and {available / 2**30:.1f} GiB are free"
        )
