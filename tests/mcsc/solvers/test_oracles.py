"""Every method against other implementations: SPORCO, scikit-learn's Lasso, dense matrices."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

import mcsc
from mcsc.solvers import SOLVERS
from tests.helpers import (
    OBJECTIVE_RTOL,
    SOLVER_TOL,
    SOLVERS_BY_TIME,
    code_groups,
    dense_optimum,
    dense_systems,
    make_problem,
    solve,
    stacked,
)

RNG = np.random.default_rng(3)
EACH = (RNG.uniform(0.1, 0.5, (3, 3, 8, 7)), 0.2, RNG.uniform(0.1, 0.4, (8, 7)))
"""lam of every coefficient, of every coefficient of a map, and of every pixel."""

CASES = {
    "two signals": {},
    "even filters": {"size": 4},
    "filters of many sizes": {"size": (2, 5, 3, 4), "shape": (9, 6)},
    "one and three channels": {"channels": (1, 3)},
    "one signal, unique only": {"channels": (2,), "common": 0, "unique": 4},
    "one signal, both": {"channels": (1,)},
    "three signals": {"channels": (1, 2, 1), "common": 2, "unique": (1, 0, 2)},
    "common only": {"channels": (1, 1), "unique": 0, "common": 4},
    "nothing in common": {"common": 0},
    "lam a group": {"lam": (0.1, 0.3, 0.2)},
    "lam a map": {"lam": ((0.1, 0.2, 0.4), 0.15, (0.3, 0.2))},
    "batch": {"samples": 3},
    "binary mask": {"masks": "binary", "channels": (1, 3)},
    "fractional weights": {"masks": "fractional", "samples": 2, "size": 4},
    "image as large as a filter": {"shape": (4, 5), "size": 4},
    "lam a coefficient": {"lam": EACH, "samples": 3},
    "non-negative": {"nonnegative": True},
    "one group non-negative": {"nonnegative": (False, True, False), "channels": (1, 3)},
    "elastic net": {"mu": 0.5, "samples": 2},
    "elastic net of one group": {"mu": (0.0, 2.0, 0.0), "masks": "fractional"},
    "a small square": {"mu": 1e-4},
    "all terms": {
        "lam": EACH, "samples": 3, "nonnegative": (True, False, False), "mu": (0.3, 0.0, 1.0),
        "masks": "fractional",
    },
}  # fmt: skip


@functools.cache
def case(name, boundary, dtype="float64"):
    """A problem and its least objective."""
    problem = make_problem(boundary=boundary, dtype=dtype, **CASES[name])
    return problem, dense_optimum(problem)


@pytest.mark.parametrize("method", SOLVERS_BY_TIME)
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("name", CASES)
def test_least_objective(method, boundary, name):
    """And at every entry of the history, gap and bound hold what they promise."""
    problem, optimum = case(name, boundary)
    result = solve(problem, method=method, tol=SOLVER_TOL["float64"])
    assert result.converged
    assert result.method == method
    assert abs(result.objective - optimum) <= OBJECTIVE_RTOL["float64"] * optimum
    assert result.dual_bound <= optimum * (1 + 1e-8)
    for objective, gap in zip(result.history.objective, result.history.gap, strict=True):
        assert objective - optimum <= gap * objective + 1e-8 * optimum
    # The objective that is reported is the one of the codes that are returned.
    value = sum(
        0.5 * np.sum((s - m @ a.ravel()) ** 2) + np.sum(lam * np.abs(a.ravel()))
        for (m, s, lam), a in zip(dense_systems(problem), stacked(result.codes), strict=True)
    )
    assert result.objective == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("name", ["one and three channels", "fractional weights"])
def test_least_objective_in_float32(method, boundary, name):
    problem, optimum = case(name, boundary, "float32")
    result = solve(problem, method=method, tol=SOLVER_TOL["float32"])
    assert result.converged
    assert result.codes.dtype == np.float32
    assert abs(result.objective - optimum) <= OBJECTIVE_RTOL["float32"] * optimum


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_optimality_conditions(method, boundary):
    """``|D^T r| <= lam``, and ``D^T r = lam sign(a)`` where a is not zero."""
    problem, _ = case("one and three channels", boundary)
    result = solve(problem, method=method, tol=1e-11)
    matrix, target, lam = next(dense_systems(problem))
    a = stacked(result.codes).ravel()
    correlation = matrix.T @ (target - matrix @ a)
    assert np.abs(correlation / lam).max() <= 1 + 1e-4
    large = np.abs(a) > 1e-3
    assert large.sum() > 20
    np.testing.assert_allclose(correlation[large], (lam * np.sign(a))[large], rtol=1e-4)


# --------------------------------------------------------------------------- SPORCO
SPORCO_TERMS = {
    "plain": {},
    "weights": {
        "lam": (RNG.uniform(0.1, 0.3, (3, 16, 15)), RNG.uniform(0.1, 0.3, (2, 16, 15)), 0.2)
    },
    "non-negative": {"nonnegative": True},
    "elastic net": {"mu": 0.4},
}


@functools.cache
def sporco_reference(channels, size, terms="plain"):
    """A problem, SPORCO's objective, and its codes moved to our origin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cbpdn = pytest.importorskip("sporco.admm.cbpdn")
    problem = make_problem(
        **{"channels": channels, "size": size, "shape": (16, 15), "boundary": "periodic"}
        | {"lam": 0.15}
        | SPORCO_TERMS[terms]
    )
    d = problem.dictionary
    filters = np.zeros((size, size, sum(channels), d.n_maps))
    first = 0
    for banks in code_groups(d):
        maps = next(len(b) for b in banks if b is not None)
        for m, bank in enumerate(banks):
            if bank is not None:
                c = sum(channels[:m])
                block = filters[:, :, c : c + channels[m], first : first + maps]
                block[...] = bank.transpose(2, 3, 1, 0)
        first += maps
    signal = problem.stacked[0].transpose(1, 2, 0)
    # Its filters begin at the pixel, ours are centred: c[i - p + o] = X[i - p].
    o = (size - 1) // 2
    every = [
        np.broadcast_to(a, (1, len(g.bank), 16, 15))
        for a, g in zip(problem.penalty.lam, d.groups, strict=True)
    ]
    weights = np.roll(np.concatenate(every, axis=1)[0], (-o, -o), axis=(1, 2)).transpose(1, 2, 0)
    lam = float(weights.mean())
    # Its adapted rho can stall above the optimum; a fixed one gets there.
    settings = {"MaxMainIter": 300, "RelStopTol": 1e-8, "AutoRho": {"Enabled": False}, "rho": 1.0}
    settings |= {"L1Weight": weights.reshape(16, 15, 1, 1, -1) / lam}
    settings |= {"NonNegCoef": bool(problem.penalty.signed)}
    mu = float(problem.penalty.mu[0])
    kind = cbpdn.ConvElasticNet if mu else cbpdn.ConvBPDN
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        terms = (filters, signal, lam, *((mu,) if mu else ()))
        solver = kind(*terms, kind.Options(settings), dimK=0)
        codes = solver.solve().reshape(16, 15, d.n_maps).transpose(2, 0, 1)
    objective = float(solver.getitstat().ObjFun[-1])
    return problem, objective, np.roll(codes, (o, o), axis=(1, 2))


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("channels", [(1, 1), (1, 3)], ids=str)
def test_sporco_s_objective_is_ours(channels, size):
    problem, objective, codes = sporco_reference(channels, size)
    ours = problem.objective(mcsc.Codes.from_stacked(codes[None], problem.dictionary))
    assert ours == pytest.approx(objective, rel=1e-7)


@pytest.mark.parametrize("terms", [name for name in SPORCO_TERMS if name != "plain"])
def test_sporco_s_objective_with_every_term_is_ours(terms):
    problem, objective, codes = sporco_reference((1, 1), 4, terms)
    ours = problem.objective(mcsc.Codes.from_stacked(codes[None], problem.dictionary))
    assert ours == pytest.approx(objective, rel=1e-7)


@pytest.mark.parametrize("method", SOLVERS_BY_TIME)
@pytest.mark.parametrize(
    ("channels", "size", "terms"),
    [((1, 1), 3, "plain"), ((1, 1), 4, "plain"), ((1, 3), 3, "plain"), ((1, 3), 4, "plain")]
    + [((1, 1), 4, name) for name in SPORCO_TERMS if name != "plain"],
    ids=str,
)
def test_sporco_finds_the_same_optimum(method, channels, size, terms):
    problem, objective, codes = sporco_reference(channels, size, terms)
    result = solve(problem, method=method, tol=1e-8)
    assert result.objective == pytest.approx(objective, rel=OBJECTIVE_RTOL["float64"])
    found = stacked(result.codes)[0]
    assert np.abs(found - codes).max() <= 0.02 * np.abs(codes).max()
