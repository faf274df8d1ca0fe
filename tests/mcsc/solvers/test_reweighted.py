"""Iteratively reweighted l1: what a round is, and that its surrogate never rises."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest

import mcsc
from tests.helpers import make_dictionary, make_problem, make_signals, stacked


def surrogate(problem, codes, lam, epsilon):
    """``1/2|s - D a|^2 + lam eps sum log(1 + |a|/eps)``, which the rounds majorise."""
    a = stacked(codes)
    misfit = problem.objective(codes) - np.sum(
        problem.lam_maps.reshape(-1, 1, 1) * np.abs(a), dtype=np.float64
    )
    return misfit + lam * epsilon * np.sum(np.log1p(np.abs(a) / epsilon))


@pytest.mark.parametrize("method", ["working-set", "fista"])
def test_the_surrogate_never_rises_and_codes_get_fewer(method):
    problem = make_problem(samples=2, lam=0.1)
    lam = float(problem.lam)
    found = mcsc.reweighted(
        problem.signals, problem.dictionary, lam, rounds=5, tol=1e-9, method=method
    )
    assert len(found.results) == 5
    assert all(r.converged for r in found.results)
    values = [surrogate(problem, r.codes, lam, found.epsilon) for r in found.results]
    assert all(b <= a * (1 + 1e-8) for a, b in pairwise(values))
    assert values[-1] < 0.99 * values[0]
    assert found.codes.nnz < found.results[0].codes.nnz
    assert found.result is found.results[-1]


def test_each_round_is_the_problem_that_it_says():
    signals, d = make_signals(), make_dictionary(0)
    options = {"tol": 1e-8, "boundary": "periodic", "mu": 0.1, "nonnegative": True}
    found = mcsc.reweighted(signals, d, 0.5, rounds=2, epsilon=0.3, **options)
    first = mcsc.solve(signals, d, 0.5, **options)
    assert found.results[0].objective == pytest.approx(first.objective, rel=1e-7)
    lam = [0.5 * 0.3 / (np.abs(g.dense()) + 0.3) for g in found.results[0].codes.present]
    for one, wanted in zip(found.lam, lam, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-12)
    again = mcsc.solve(signals, d, lam, **options)
    assert found.result.objective == pytest.approx(again.objective, rel=1e-7)
    assert (stacked(found.codes) >= 0).all()


def test_weights_multiply_the_lam_that_was_given():
    signals, d = make_signals(dtype="float32"), make_dictionary(0)
    lam = np.random.default_rng(0).uniform(0.3, 0.6, (8, 7)).astype("float32")
    found = mcsc.reweighted(signals, d, lam, rounds=2, tol=1e-4)
    for one, maps in zip(found.lam, found.results[0].codes.present, strict=True):
        zero = maps.dense() == 0
        np.testing.assert_array_equal(one[zero], np.broadcast_to(lam, maps.shape)[zero])
        assert (one <= lam).all()
        assert one.dtype == np.float32


def test_every_library(xp):
    signals = tuple(xp.asarray(x) for x in make_signals())
    d = make_dictionary(0)
    found = mcsc.reweighted(signals, d, 0.6, rounds=2, tol=1e-5)
    here = mcsc.reweighted(make_signals(), d, 0.6, rounds=2, tol=1e-5, epsilon=found.epsilon)
    assert all(xp.owns(lam) for lam in found.lam)
    assert found.result.objective == pytest.approx(here.result.objective, rel=1e-4)


def test_the_callback_ends_all_rounds():
    signals, d = make_signals(), make_dictionary(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
        found = mcsc.reweighted(signals, d, 0.2, callback=lambda state: True, tol=1e-12)
    assert [r.stopped for r in found.results] == ["callback"]


def test_nothing_to_weigh_is_one_round():
    signals, d = make_signals(), make_dictionary(0)
    found = mcsc.reweighted(signals, d, 2 * mcsc.lambda_max(signals, d), rounds=4)
    assert len(found.results) == 1
    assert found.codes.nnz == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds must be a whole number >= 1, found 0"),
        ({"rounds": 2.5}, "rounds must be a whole number"),
        ({"epsilon": 0}, "epsilon must be a finite number > 0, found 0"),
        ({"method": "newton"}, "method must be one of"),
    ],
    ids=str,
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        mcsc.reweighted(make_signals(), make_dictionary(0), 0.5, **options)


def test_weights_of_all_coefficients_must_fit_into_memory(monkeypatch):
    from mcsc.backend.numpy_backend import NumpyBackend

    monkeypatch.setattr(NumpyBackend, "available_memory", lambda self: 100)
    with pytest.raises(MemoryError, match=r"lam of every coefficient, for 1x\d maps of 8x7, needs"):
        mcsc.reweighted(make_signals(), make_dictionary(0), 0.5)


def test_joint_groups_share_their_weights():
    signals, d = make_signals(), make_dictionary(0)
    joint = (False, True, True)
    found = mcsc.reweighted(signals, d, 0.5, rounds=2, epsilon=0.3, joint=joint, method="fista")
    c, u, v = (g.dense() for g in found.results[0].codes.present)
    sizes = (np.abs(c), np.hypot(u, v), np.hypot(u, v))
    for lam, size in zip(found.lam, sizes, strict=True):
        np.testing.assert_allclose(lam, 0.5 * 0.3 / (size + 0.3), rtol=1e-12)
