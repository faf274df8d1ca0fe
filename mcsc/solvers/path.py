"""Sequences of problems that differ in lam only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import Array
from ..errors import InvalidValueError
from ..model.dictionary import Dictionary
from ..model.problem import Problem
from ..types import Boundary
from .front import solve
from .result import Result


def solve_path(
    signals: Sequence[Array],
    dictionary: Dictionary,
    lams: Sequence[float],
    *,
    method: str = "auto",
    boundary: Boundary = "zero",
    tol: float = 1e-4,
    masks: Sequence[Array | None] | None = None,
    device: str = "auto",
    progress: bool = False,
) -> list[Result]:
    """Solve Eq. 5 for a decreasing sequence of lam, each started from the last.

    Parameters
    ----------
    signals, dictionary, method, boundary, tol, masks, device, progress
        As in `mcsc.solve`.
    lams : sequence of float
        Decreasing and > 0.

    Returns
    -------
    list of Result
        In the order of `lams`, each certified on its own.

    Raises
    ------
    ValueError
        `lams` is empty or does not decrease.

    Notes
    -----
    The working-set solver gains most: the support grows along the path, and what is already active
    is not searched again.
    """
    values = [float(lam) for lam in lams]
    if not values:
        raise InvalidValueError("lams is empty")
    if any(b >= a for a, b in pairwise(values)):
        raise InvalidValueError("lams must decrease: a warm start needs the smaller support first")
    results: list[Result] = []
    for lam in values:
        results.append(
            solve(
                signals,
                dictionary,
                lam,
                method=method,
                boundary=boundary,
                tol=tol,
                masks=masks,
                device=device,
                init=results[-1] if results else None,
                progress=progress,
            )
        )
    return results


@dataclass(frozen=True)
class Discrepancy:
    """A lam that leaves a residual of the noise's size."""

    lam: float
    result: Result
    residual: float
    """Root mean square of the weighted residual over all known pixels."""
    target: float
    """What the noise standard deviation asks for."""


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
    device: str = "auto",
) -> Discrepancy:
    r"""Choose lam by the discrepancy principle and solve Eq. 5.

    Finds lam with :math:`\sum_m \|w_m (x_m - D_m a(\lambda))\|^2 = \sum_m \sigma_m^2 \|w_m\|^2`:
    what is left unexplained is as large as the noise. The left side grows with lam, from which
    follows a bracketing search along a path of warm starts.

    Parameters
    ----------
    signals, dictionary, method, boundary, tol, masks, device
        As in `mcsc.solve`.
    noise : float or one for each signal
        Standard deviation of the noise in the signals' unit, > 0.
    rtol : float
        Relative tolerance on the residual.

    Returns
    -------
    Discrepancy
        lam, the solution there, residual and target.

    Raises
    ------
    ValueError
        `noise` is not > 0; the signals are smaller than the noise, so that every lam leaves less
        than asked for; or no lam down to 1e-4 of `lambda_max` leaves so little.

    References
    ----------
    V. A. Morozov, Methods for Solving Incorrectly Posed Problems, 1984.
    """
    problem = Problem(tuple(signals), dictionary, 1.0, _masks(masks), boundary)
    sigmas = [noise] * len(problem.signals) if isinstance(noise, (int, float)) else list(noise)
    if len(sigmas) != len(problem.signals) or not all(0 < s < math.inf for s in sigmas):
        raise InvalidValueError(
            f"noise must be one number > 0, or one for each signal, found {noise!r}"
        )
    energy, target, known = _energies(problem, [float(s) for s in sigmas])
    if energy <= target:
        raise InvalidValueError(
            f"the signals' root mean square {math.sqrt(energy / known):.3g} is below the noise's "
            f"{math.sqrt(target / known):.3g}: zero codes already leave less than asked for"
        )
    top = problem.lambda_max()
    result: Result | None = None
    above, below = (top, energy), (0.0, 0.0)  # (lam, energy of the residual)
    lam = top / 2
    for _ in range(60):
        result = solve(
            signals,
            dictionary,
            lam,
            method=method,
            boundary=boundary,
            tol=tol,
            masks=masks,
            device=device,
            init=result,
        )
        left = 2.0 * (result.objective - lam * _l1(result))
        if abs(math.sqrt(left / target) - 1.0) <= rtol:
            break
        if left > target:
            above = (lam, left)
        else:
            below = (lam, left)
        if below[0] == 0.0:
            lam /= 2
            if lam < 1e-4 * top:
                raise InvalidValueError(
                    f"the residual stays at {math.sqrt(left / known):.3g} however small lam is; "
                    f"the noise asks for {math.sqrt(target / known):.3g}"
                )
        else:
            # The energy is close to a power of lam: interpolate in logarithms, away from the ends.
            slope = math.log(above[1] / below[1]) / math.log(above[0] / below[0])
            share = math.log(target / below[1]) / slope / math.log(above[0] / below[0])
            share = min(max(share, 0.1), 0.9)
            lam = below[0] * (above[0] / below[0]) ** share
    assert result is not None
    return Discrepancy(lam, result, math.sqrt(left / known), math.sqrt(target / known))


def _masks(masks: Sequence[Array | None] | None) -> Any:
    return masks if masks is None else tuple(masks)


def _l1(result: Result) -> float:
    common, unique = result.codes.coordinates()
    total = 0.0
    for c in (common, *unique):
        if c is not None:
            total += float(abs(c.value.astype(np.float64)).sum())
    return total


def _energies(problem: Problem, sigmas: list[float]) -> tuple[float, float, float]:
    """Energy of the weighted signals, of the noise in them, and the number of known values."""
    xp = problem.backend.xp
    s = xp.astype(problem.stacked, xp.float64)
    w = xp.ones_like(s) if problem.weights is None else xp.astype(problem.weights, xp.float64)
    energy = float(xp.sum((w * s) ** 2))
    channels = np.repeat(np.asarray(sigmas) ** 2, problem.dictionary.channels)
    square = w * w
    target = sum(float(xp.sum(square[:, c, ...])) * v for c, v in enumerate(channels))
    return energy, target, float(xp.sum(square))
