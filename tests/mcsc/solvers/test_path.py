"""Paths of lam, and lam from the noise."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from tests.helpers import make_problem


def noisy_problem(sigma, seed=0):
    rng = np.random.default_rng(seed)
    problem = make_problem(shape=(24, 20), common=3, unique=(2, 2))

    def maps(k):
        return rng.standard_normal((1, k, 24, 20)) * (rng.random((1, k, 24, 20)) < 0.05)

    codes = mcsc.Codes.from_dense(maps(3), (maps(2), maps(2)))
    clean = [p.image for p in mcsc.signal_parts(codes, problem.dictionary)]
    return tuple(x + sigma * rng.standard_normal(x.shape) for x in clean), problem.dictionary


def test_a_path_is_its_members():
    problem = make_problem(shape=(12, 10))
    top = problem.lambda_max()
    lams = [0.5 * top, 0.2 * top, 0.05 * top]
    results = mcsc.solve_path(problem.signals, problem.dictionary, lams, tol=1e-8)
    assert [r.converged for r in results] == [True] * 3
    for lam, result in zip(lams, results, strict=True):
        alone = mcsc.solve(problem.signals, problem.dictionary, lam, method="fista", tol=1e-8)
        assert result.objective == pytest.approx(alone.objective, rel=1e-7)


@pytest.mark.parametrize(
    ("lams", "message"),
    [([], "empty"), ([0.1, 0.2], "must decrease"), ([0.2, 0.2], "must decrease")],
)
def test_paths_that_are_refused(lams, message):
    problem = make_problem()
    with pytest.raises(ValueError, match=message):
        mcsc.solve_path(problem.signals, problem.dictionary, lams)


def test_discrepancy_leaves_a_residual_of_the_noise():
    signals, dictionary = noisy_problem(0.1)
    found = mcsc.solve_discrepancy(signals, dictionary, 0.1, rtol=1e-3, tol=1e-6)
    assert found.target == pytest.approx(0.1)
    assert found.residual == pytest.approx(0.1, rel=1.1e-3)
    parts = [np.zeros_like(x) for x in signals]
    problem = mcsc.Problem(tuple(signals), dictionary, found.lam)
    l1 = sum(
        np.abs(c.value).sum() for c in (lambda a: (a[0], *a[1]))(found.result.codes.coordinates())
    )
    energy = 2 * (problem.objective(found.result.codes) - found.lam * l1)
    assert np.sqrt(energy / sum(p.size for p in parts)) == pytest.approx(found.residual, rel=1e-6)


def test_discrepancy_counts_known_pixels_only():
    signals, dictionary = noisy_problem(0.1)
    mask = np.ones((24, 20))
    mask[:, :10] = 0
    found = mcsc.solve_discrepancy(signals, dictionary, (0.1, 0.1), masks=(mask, None))
    assert found.residual == pytest.approx(0.1, rel=0.011)


@pytest.mark.parametrize("noise", [0.0, -1.0, float("nan"), (0.1,), (0.1, 0.1, 0.1)])
def test_noise_that_is_refused(noise):
    signals, dictionary = noisy_problem(0.1)
    with pytest.raises(ValueError, match="noise must be"):
        mcsc.solve_discrepancy(signals, dictionary, noise)


def test_noise_above_the_signals_is_refused():
    signals, dictionary = noisy_problem(0.1)
    with pytest.raises(ValueError, match="below the noise's 50"):
        mcsc.solve_discrepancy(signals, dictionary, 50.0)
