"""Joint groups: the l2 norm over them in the place of the l1 norm."""

from __future__ import annotations

import functools
import pickle
import warnings

import numpy as np
import pytest

import mcsc
from mcsc.solvers import SOLVERS
from tests.helpers import (
    OBJECTIVE_RTOL,
    SOLVER_TOL,
    dense_systems,
    make_bank,
    make_dictionary,
    make_problem,
    make_signals,
    solve,
    stacked,
)

METHODS = [name for name, solver in SOLVERS.items() if solver.joint]
CASES = {
    "two signals": {},
    "everything": {"joint": True, "common": 2},
    "no common codes": {"common": 0, "joint": True, "size": 4},
    "three signals, two joined": {
        "channels": (1, 2, 1), "unique": (2, 3, 2), "joint": (False, True, False, True),
    },
    "batch and masks": {"samples": 3, "masks": "fractional"},
    "elastic net": {"mu": (0.0, 0.4, 0.4), "samples": 2},
    "one sign": {"nonnegative": (False, True, False)},
    "both signs": {"nonnegative": True, "mu": 0.2},
    "lam a place": {"lam": (0.2, *2 * [np.linspace(0.1, 0.4, 56).reshape(8, 7)])},
    "large filters": {"size": 12, "shape": (13, 14)},
}  # fmt: skip


@functools.cache
def case(name, boundary="zero", dtype="float64"):
    return make_problem(
        boundary=boundary, dtype=dtype, **{"joint": (False, True, True)} | CASES[name]
    )


def sets(problem):
    """The joined maps, (sets, groups), and the other maps."""
    joined = np.stack([np.arange(m.start, m.stop) for m in problem.penalty.joined], axis=1)
    return joined, np.setdiff1d(np.arange(problem.dictionary.n_maps), joined)


def spread(problem):
    """lam of every coefficient, of one sample: (K, H, W)."""
    lam = [
        np.broadcast_to(a, (1, len(g.bank), *problem.shape))[0]
        for a, g in zip(problem.penalty.lam, problem.dictionary.groups, strict=True)
    ]
    return np.concatenate(lam)


@pytest.mark.parametrize(
    ("method", "boundary", "name"),
    [("fista", "periodic", name) for name in CASES]
    + [("admm", "zero", name) for name in CASES]
    + [("ista", "zero", "two signals"), ("admm", "periodic", "two signals")],
)
def test_optimality_conditions(method, boundary, name):
    """``|D^T r| <= lam`` as vectors, and ``D^T r = lam a / |a|`` where a is not zero."""
    problem = case(name, boundary)
    result = solve(problem, method=method, tol=1e-8)
    assert result.converged
    assert result.method == method
    joined, alone = sets(problem)
    lam, penalty = spread(problem), problem.penalty
    total = 0.0
    for (matrix, target, _), a in zip(dense_systems(problem), stacked(result.codes), strict=True):
        r = target - matrix @ a.ravel()
        g = (matrix.T @ r).reshape(a.shape)  # squares are rows of the matrix
        signed = penalty.nonnegative[:, None, None]
        assert not np.any(signed & (a < 0))
        g = np.where(signed & (a == 0), np.maximum(g, 0), g)
        norm = np.sqrt((g[joined] ** 2).sum(1))
        size = np.sqrt((a[joined] ** 2).sum(1))
        weight = lam[joined[:, 0]]
        assert (norm <= weight * (1 + 3e-3)).all()
        assert (np.abs(g[alone]) <= lam[alone] * (1 + 3e-3)).all()
        large = np.broadcast_to((size > 0.05)[:, None], a[joined].shape)
        assert large.any()
        ideal = weight[:, None] * a[joined] / np.maximum(size, 1e-300)[:, None]
        np.testing.assert_allclose(g[joined][large], ideal[large], atol=0.01 * weight.max())
        total += 0.5 * float(r @ r) + float((weight * size).sum())
        total += float((lam[alone] * np.abs(a[alone])).sum())
    assert result.objective == pytest.approx(total, rel=1e-9)
    assert problem.objective(result.codes) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_every_gap_holds_what_it_promises(name):
    problem = case(name)
    best = solve(problem, method="fista", tol=1e-9).objective
    for method in ("admm", "fista"):
        result = solve(problem, method=method, tol=1e-6)
        for objective, gap in zip(result.history.objective, result.history.gap, strict=True):
            assert objective * (1 - gap) <= best * (1 + 1e-8)
        again = solve(problem, method=method, tol=1e-5, init=result)
        assert again.iterations == 0


@pytest.mark.parametrize("method", METHODS)
def test_float32(method):
    exact = solve(case("batch and masks"), tol=1e-9).objective
    result = solve(case("batch and masks", dtype="float32"), method=method, tol=5e-5)
    assert result.converged
    assert abs(result.objective - exact) <= OBJECTIVE_RTOL["float32"] * exact


def test_codes_vanish_together():
    free = solve(make_problem(lam=0.4), tol=1e-6).codes.unique
    problem = make_problem(lam=0.4, joint=(False, True, True))
    joint = solve(problem, tol=1e-6, method="fista").codes.unique
    assert ((free[0] != 0) != (free[1] != 0)).any()
    np.testing.assert_array_equal(joint[0] != 0, joint[1] != 0)


@pytest.mark.parametrize("terms", [{}, {"nonnegative": (False, False, True)}, {"mu": 3.0}])
def test_lambda_max_is_where_codes_begin(terms):
    problem = make_problem(lam=1.0, joint=(False, True, True), **terms)
    largest = problem.lambda_max()
    for share, some in ((1.001, False), (0.98, True)):
        result = solve(problem.with_lam(largest * share), tol=1e-6, method="fista")
        assert bool(result.codes.nnz) is some
    found = mcsc.lambda_max(
        problem.signals, problem.dictionary, joint=(False, True, True),
        nonnegative=terms.get("nonnegative", False),
    )  # fmt: skip
    assert found == pytest.approx(largest, rel=1e-12)


@functools.cache
def sporco_reference():
    """SPORCO's ConvBPDNJoint without its l1 term: channels with one dictionary, joined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cbpdn = pytest.importorskip("sporco.admm.cbpdn")
    bank = make_bank(np.random.default_rng(5), 3, 1, 4)
    d = mcsc.Dictionary(unique=(bank, bank, bank)).normalise()
    signals = make_signals(channels=(1, 1, 1), shape=(16, 15))
    lam = 0.15 * mcsc.lambda_max(signals, d, boundary="periodic", joint=True)
    settings = {"MaxMainIter": 500, "RelStopTol": 1e-8, "AutoRho": {"Enabled": False}, "rho": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = cbpdn.ConvBPDNJoint
        solver = kind(
            d.unique[0][:, 0].transpose(1, 2, 0), np.stack([s[0, 0] for s in signals], axis=2),
            0.0, lam, kind.Options(settings), dimK=0,
        )  # fmt: skip
        codes = solver.solve()[:, :, :, 0].transpose(2, 3, 0, 1)  # (C, K, H, W)
    o = (4 - 1) // 2
    codes = np.roll(codes, (o, o), axis=(2, 3)).reshape(1, -1, 16, 15)
    return signals, d, lam, float(solver.getitstat().ObjFun[-1]), codes


@pytest.mark.parametrize("method", METHODS)
def test_sporco_finds_the_same_optimum(method):
    signals, d, lam, objective, codes = sporco_reference()
    problem = mcsc.Problem(signals, d, lam, boundary="periodic", joint=True)
    same = mcsc.Codes.from_stacked(codes, d)
    assert problem.objective(same) == pytest.approx(objective, rel=1e-7)
    result = solve(problem, method=method, tol=1e-8)
    assert result.objective == pytest.approx(objective, rel=OBJECTIVE_RTOL["float64"])
    assert np.abs(stacked(result.codes) - codes).max() <= 0.02 * np.abs(codes).max()


# ------------------------------------------------------------------------- refusals
def test_auto_takes_a_solver_that_can():
    problem = case("two signals")
    result = solve(problem, tol=SOLVER_TOL["float64"])
    assert result.method in METHODS
    assert problem.memory_estimate("auto") > 0


@pytest.mark.parametrize("method", [name for name in SOLVERS if name not in METHODS])
def test_other_methods_refuse(method):
    with pytest.raises(ValueError, match="does not take joint groups: take 'admm' or"):
        solve(case("two signals"), method=method)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"joint": (True, False, False)}, "two groups or more, found common alone"),
        ({"joint": True}, r"equally many maps, found common \(3\), unique\[0\] \(2\)"),
        ({"joint": (False, True, True), "lam": (0.1, 0.1, 0.2)}, "lam must be the same"),
        ({"joint": (False, True, True), "mu": (0.0, 0.0, 1.0)}, "mu must be the same"),
        ({"joint": (True, True)}, "one for each group"),
        ({"joint": 1}, "must be True or False"),
    ],
)
def test_refused(given, wanted):
    with pytest.raises((TypeError, ValueError), match=wanted):
        make_problem(**given)


def test_pickled_problems_keep_it():
    problem = case("two signals")
    assert pickle.loads(pickle.dumps(problem)).penalty.joined == problem.penalty.joined


def test_a_set_counts_once_among_sparse_codes():
    """Values of one place in several groups, some of them missing."""
    d = make_dictionary(common=0, unique=2, channels=(1, 1))
    signals = make_signals(shape=(6, 6))
    u, v = np.zeros((2, 1, 2, 6, 6))
    u[0, 1, 2, 3], v[0, 1, 2, 3], v[0, 0, 2, 3] = 3.0, -4.0, 2.0
    codes = mcsc.Codes.from_dense(None, (u, v))
    values = [mcsc.Problem(signals, d, lam, joint=True).objective(codes) for lam in (1.0, 2.0)]
    assert values[1] - values[0] == pytest.approx(5.0 + 2.0)
