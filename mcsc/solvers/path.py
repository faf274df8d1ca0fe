"""Sequences of problems that differ in lam only."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, is_array, namespace, to_numpy
from ..checks import check_number, check_unmasked
from ..errors import InvalidTypeError, InvalidValueError, naming, warn_user
from ..model.codes import Codes
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..types import Boundary, Device
from .driver import Callback, deferred_interrupt
from .front import Options, bring_home, problem_on, solve_problem
from .result import ConvergenceWarning, Result, warn_unless_converged

_MOST_SOLVES = 60
_SMALLEST = 1e-4  # of lambda_max
_TIGHTEN = 10.0


def solve_path(
    signals: Sequence[Array],
    dictionary: Dictionary,
    lams: Sequence[Any],
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
    callback: Callback | None = None,
    progress: bool = False,
) -> list[Result]:
    """Solve Eq. 5 for a decreasing sequence of lam, each started from the last.

    Parameters
    ----------
    signals, dictionary
        As in `mcsc.solve`.
    lams : sequence of lam
        Each as `mcsc.solve` takes it: a number, one entry per code group, or one number per map; or
        the rows of an array. They decrease: from one to the next no map's grows, and some fall.
    method, boundary, tol, masks, mu, nonnegative, joint, device, progress
        As in `mcsc.solve`.
    init : Result or Codes, optional
        Warm start for the first lam.
    max_iter : int, optional
        Largest number of iterations for each lam.
    callback : callable, optional
        As in `mcsc.solve`; to stop means to stop the whole path.

    Returns
    -------
    list of Result
        In the order of `lams`, each certified on its own. Ctrl-C or the callback ends the list with
        the lam that was being solved.

    Warns
    -----
    ConvergenceWarning
        Once for each lam whose gap did not reach `tol`.

    Raises
    ------
    TypeError, ValueError
        `lams` is empty, does not decrease, or holds something that is not a lam; or what
        `mcsc.solve` refuses.
    MemoryError, RuntimeError
        As in `mcsc.solve`.

    Notes
    -----
    The working-set solver gains most: the support grows along the path, and what is already active
    is not searched again. Signals are checked, stacked and moved to a device once.
    """
    options = Options(method, tol, max_iter, callback, progress)
    values = _several("lams", lams)
    if not values:
        raise InvalidValueError("lams is empty")
    problem, moved = problem_on(
        signals, dictionary, 1.0, masks, boundary, device, mu, nonnegative, joint
    )
    maps = [_lam_maps(problem, index, lam) for index, lam in enumerate(values)]
    for index, (before, after) in enumerate(pairwise(maps), 1):
        if np.any(after > before) or not np.any(after < before):
            raise InvalidValueError(
                "lams must decrease, as a warm start needs the smaller support first: "
                f"lams[{index}] is {values[index]}, after {values[index - 1]}"
            )
    results: list[Result] = []
    start = init
    with deferred_interrupt() as interrupt:
        for lam, each in zip(values, maps, strict=True):
            problem = problem.with_lam(lam)  # from the last, with all that it has computed
            low, high = float(each.min()), float(each.max())
            words = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            result = solve_problem(problem, options, start, title=f", lam {words}")
            warn_unless_converged(result)
            results.append(bring_home(result) if moved else result)
            if interrupt.asked or result.stopped in ("callback", "interrupted"):
                break
            start = result
    return results


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """Result of `solve_discrepancy`: the lam whose residual is as large as the noise."""

    lam: float
    """The lam that was found."""
    result: Result
    """Solution for this lam, with its certificate."""
    residual: float
    """Root mean square of the weighted residual over all known pixels."""
    target: float
    """Root mean square of the residual that the noise's standard deviation asks for."""
    reached: bool
    """True if the residual is within `rtol` of the target."""


def solve_discrepancy(
    signals: Sequence[Array],
    dictionary: Dictionary,
    noise: float | Sequence[float],
    *,
    rtol: float = 0.01,
    method: str = "auto",
    boundary: Boundary = "zero",
    tol: float = 1e-3,
    masks: Sequence[Array | None] | None = None,
    mu: Any = 0.0,
    nonnegative: Any = False,
    joint: Any = False,
    device: Device = "auto",
    init: Result | Codes | None = None,
    max_iter: int | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Discrepancy:
    r"""Choose lam by the discrepancy principle and solve Eq. 5.

    Finds lam with :math:`\sum_m \|w_m (x_m - D_m a(\lambda))\|^2 = \sum_m \sigma_m^2 \|w_m\|^2`:
    what is left unexplained is as large as the noise. The weights w are those of the data term, a
    mask times the dictionary's weight of the signal. The left side grows with lam, from which
    follows a bracketing search along a path of warm starts.

    Parameters
    ----------
    signals, dictionary
        As in `mcsc.solve`.
    noise : float or one for each signal
        Standard deviation of the noise in the signals' unit, > 0.
    rtol : float
        Relative tolerance on the root mean square of the residual, > 0.
    method, boundary, tol, masks, mu, nonnegative, joint, device, progress
        As in `mcsc.solve`.
    init : Result or Codes, optional
        Warm start of the first lam that is tried.
    max_iter : int, optional
        Largest number of iterations for each lam.
    callback : callable, optional
        As in `mcsc.solve`; to stop means to stop the search.

    Returns
    -------
    Discrepancy
        lam, its solution, residual and target, and whether the residual is within `rtol` of the
        target. After Ctrl-C, what was found so far.

    Warns
    -----
    ConvergenceWarning
        The residual did not come within `rtol`, or the solution's gap did not reach `tol`.

    Raises
    ------
    TypeError, ValueError
        `noise` is not > 0; the signals are smaller than the noise, so that every lam leaves less
        than asked for; no lam down to 1e-4 of `lambda_max` leaves so little; masks leave no known
        pixel; or what `mcsc.solve` refuses.
    MemoryError, RuntimeError
        As in `mcsc.solve`.

    Notes
    -----
    A solution of relative gap g leaves a residual that is right to about :math:`\sqrt g`. Where
    that is not accurate enough for `rtol`, or to tell that no lam down to 1e-4 of `lambda_max`
    leaves so little, the search continues with a tenth and a hundredth of `tol`.

    References
    ----------
    V. A. Morozov, "Methods for Solving Incorrectly Posed Problems", Springer, 1984.
    doi:10.1007/978-1-4612-5280-1
    """
    options = Options(method, tol, max_iter, callback, progress)
    check_number("rtol", rtol)
    problem, moved = problem_on(
        signals, dictionary, 1.0, masks, boundary, device, mu, nonnegative, joint
    )
    sigmas = _noise(noise, len(problem.signals))
    with problem.on_device():
        energy, target, known = _energies(problem, sigmas)
    if known == 0:
        raise InvalidValueError("masks leave no known pixel, so that there is no residual")
    if energy <= target:
        raise InvalidValueError(
            f"the signals' root mean square {math.sqrt(energy / known):.3g} is below the noise's "
            f"{math.sqrt(target / known):.3g}: zero codes already leave less than asked for"
        )
    top = problem.lambda_max()
    if top == 0:
        raise InvalidValueError(
            "the codes are zero at every lam, since no filter goes along with the signals"
            + (" in the sign that codes may have" if problem.penalty.signed else "")
            + f": the residual stays at {math.sqrt(energy / known):.3g}; the noise asks for "
            f"{math.sqrt(target / known):.3g}"
        )
    search = _Search(top, energy, target, rtol)
    result: Result | None = None
    finest = tol / _TIGHTEN**2
    with deferred_interrupt() as interrupt:
        for _ in range(_MOST_SOLVES):
            lam = search.lam
            problem = problem.with_lam(lam)
            start = init if result is None else result
            result = solve_problem(problem, options, start, title=f", lam {lam:.3g}")
            left = 2.0 * (result.objective - _penalty(problem, result.codes))
            reached = abs(math.sqrt(max(left, 0.0) / target) - 1.0) <= rtol
            stopped = interrupt.asked or result.stopped in ("callback", "interrupted")
            if reached or stopped:
                break
            if search.narrow(left) and search.lam >= _SMALLEST * search.top:
                continue
            # Solutions of this gap leave residuals that are too vague for rtol, or nothing is
            # known below this lam, where the least residual may be smaller than what is left.
            last = options.tol <= finest
            certain = math.sqrt(max(left, 0.0)) - _doubt(result) > math.sqrt(target)
            smallest = left > target and search.lam < _SMALLEST * search.top
            if smallest and (certain or (last and result.converged)):
                hint = "" if certain else " (a smaller tol may leave less)"
                raise InvalidValueError(
                    f"the residual stays at {math.sqrt(left / known):.3g} down to "
                    f"{lam / search.top:.2g} of lambda_max{hint}, and no lam below {_SMALLEST:g} "
                    f"of it is tried; the noise asks for {math.sqrt(target / known):.3g}"
                )
            if last or not result.converged:
                break
            options = replace(options, tol=options.tol / _TIGHTEN)
            search.reopen(lam)
    assert result is not None
    residual, wanted = math.sqrt(max(left, 0.0) / known), math.sqrt(target / known)
    if reached:
        warn_unless_converged(result)
    else:
        why = f" ({result.message})" if not result.converged else "; a smaller tol may help"
        warn_user(
            f"solve_discrepancy left a residual of {residual:.4g}, not within {rtol:g} of "
            f"{wanted:.4g}{why}",
            ConvergenceWarning,
        )
    return Discrepancy(lam, bring_home(result) if moved else result, residual, wanted, reached)


def _doubt(result: Result) -> float:
    """Return how far the root of a solution's residual energy is from that of the optimum, at most.

    The data term is strongly convex in the residual, with a modulus of 1.
    """
    return math.sqrt(2.0 * max(result.gap, 0.0) * result.objective)


class _Search:
    """A bracket of lam: the energy of the residual is close to a power of it."""

    def __init__(self, top: float, energy: float, target: float, rtol: float) -> None:
        self.top = top
        self._energy, self._target = energy, target
        # The residual changes by less than lam does, both relatively.
        self._narrowest = 0.1 * rtol
        self.reopen(top / 2)

    def reopen(self, lam: float) -> None:
        """Forget what was found; go on from a lam."""
        self.lam = lam
        self._above, self._below = (self.top, self._energy), (0.0, 0.0)  # (lam, its energy)

    def narrow(self, left: float) -> bool:
        """Choose the next lam after this one left so much; False if the bracket should hold it."""
        if left > self._target:
            self._above = (self.lam, left)
        else:
            self._below = (self.lam, left)
        (high, more), (low, less) = self._above, self._below
        if low == 0.0:
            self.lam /= 2
            return True
        ratio = math.log(high / low)
        if ratio < self._narrowest:
            return False
        # Interpolated in logarithms, away from the ends; where rounding left nothing, halfway.
        share = 0.5
        if more > less > 0.0:
            share = math.log(self._target / less) / math.log(more / less)
        self.lam = low * math.exp(ratio * min(max(share, 0.1), 0.9))
        return True


def _several(name: str, given: Any) -> list[Any]:
    """Return the entries of a sequence, or the rows of an array."""
    check_unmasked(name, given)
    values = list(to_numpy(given)) if is_array(given) and given.ndim > 0 else given
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidTypeError(f"{name} must be a sequence of numbers, found {given!r}")
    return list(values)


def _lam_maps(problem: Problem, index: int, lam: Any) -> NDArray[np.float64]:
    """Return one lam of several as one number per map, or refuse it by its place."""
    with naming(f"lams[{index}]"):
        return problem.with_lam(lam).lam_maps


def _noise(noise: Any, signals: int) -> list[float]:
    if is_array(noise) and noise.ndim == 0:
        noise = to_numpy(noise)[()]
    if isinstance(noise, numbers.Real):
        return [check_number("noise", noise)] * signals
    if isinstance(noise, str) or not (is_array(noise) or isinstance(noise, Sequence)):
        raise InvalidTypeError(
            f"noise must be a number, or one for each of the {signals} signals, found {noise!r}"
        )
    sigmas = [check_number(f"noise[{m}]", s) for m, s in enumerate(_several("noise", noise))]
    if len(sigmas) != signals:
        raise InvalidValueError(
            f"noise must be one number, or one for each of the {signals} signals, found {noise!r}"
        )
    return sigmas


def _penalty(problem: Problem, codes: Codes) -> float:
    """Value of the penalty, for a lam that is one number."""
    groups, penalty = problem.dictionary.groups, problem.penalty
    if penalty.joined:
        # Norms over groups need the places of their nonzeros, which move to the host.
        found = []
        for g, maps in zip(groups, codes.to(np.zeros(0)).present, strict=True):
            n, k, i, j, value = maps.coordinates()
            found.append((value.astype(np.float64), n, k + g.maps.start, i, j))
        values, n, k, i, j = map(np.concatenate, zip(*found, strict=True))
        lam, mu = problem.lam_maps[k], penalty.mu[k]
        return float(lam @ penalty.sizes(values, n, k, i, j) + 0.5 * mu @ values**2)
    total = 0.0
    with problem.on_device():
        for g, maps in zip(groups, codes.present, strict=True):
            xp = namespace(maps.value)
            a = xp.astype(maps.value, xp.float64)
            lam, mu = problem.lam_maps[g.maps.start], penalty.mu[g.maps.start]
            total += float(lam * xp.sum(xp.abs(a)) + 0.5 * mu * xp.sum(a * a))
    return total


def _energies(problem: Problem, sigmas: list[float]) -> tuple[float, float, float]:
    """Energy of the weighted signals, of the noise in them, and the sum of squared weights."""
    xp = problem.backend.xp
    s = xp.astype(problem.stacked, xp.float64)
    w = xp.ones_like(s) if problem.weights is None else xp.astype(problem.weights, xp.float64)
    energy = float(xp.sum((w * s) ** 2))
    # The stacked signals carry the dictionary's weights of the signals, and the masks do not.
    d = problem.dictionary
    factors = np.repeat(np.asarray(d.signal_weights or (1.0,) * d.n_signals) ** 2, d.channels)
    variances = np.repeat(np.asarray(sigmas) ** 2, d.channels)
    known = [f * float(xp.sum(w[:, c, ...] ** 2)) for c, f in enumerate(factors)]
    return energy, float(np.dot(known, variances)), float(np.sum(known))
