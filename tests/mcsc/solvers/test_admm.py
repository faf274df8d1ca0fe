"""ADMM, iterate by iterate, against dense linear algebra, changes of rho included."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.solvers.admm import Admm, RhoPolicy
from tests.helpers import explicit_matrix, make_problem, soft

PROBLEMS = {
    "one channel": {"boundary": "periodic", "channels": (1,)},
    "two channels": {"boundary": "periodic", "size": 4},
    "four channels": {"boundary": "periodic", "channels": (1, 3)},
    "weights": {"boundary": "periodic", "masks": "fractional"},
    "zero boundary": {"boundary": "zero", "size": 4},
    "zero boundary and mask": {"boundary": "zero", "masks": "binary"},
}


def padded_system(problem, grid):
    """Weighted matrix, signal and lam on a periodic grid; lam is infinite off the image.

    Of the objective over the square of the largest weight, as ADMM takes it.
    """
    h, w = problem.shape
    matrix = explicit_matrix(problem.dictionary, grid, "periodic")
    inside = np.zeros(grid, bool)
    inside[:h, :w] = True
    channels, maps = problem.stacked.shape[1], problem.dictionary.n_maps
    weights, signal = np.zeros((channels, *grid)), np.zeros((channels, *grid))
    weights[:, :h, :w] = 1.0 if problem.weights is None else problem.weights[0]
    signal[:, :h, :w] = problem.stacked[0]
    lam = np.where(inside, problem.lam_maps.reshape(maps, 1, 1), np.inf) / weights.max() ** 2
    weights = weights.ravel() / weights.max()
    return weights[:, None] * matrix, weights * signal.ravel(), lam.ravel()


@pytest.mark.parametrize("name", PROBLEMS)
def test_iterates_are_those_of_the_dense_method(name, monkeypatch):
    """With the inner system solved to rounding, where it is not closed-form already."""
    monkeypatch.setattr(Admm, "inner_steps", 60)
    problem = make_problem(lam=0.1, shape=(7, 6), **PROBLEMS[name])
    start = np.zeros((1, problem.dictionary.n_maps, *problem.shape))
    start[:, :, 2, 3] = 0.5
    solver = Admm(problem, mcsc.Codes.from_stacked(start, problem.dictionary))
    matrix, target, lam = padded_system(problem, solver.grid)
    h, w = problem.shape

    def cropped(y):
        return y.reshape(-1, *solver.grid)[:, :h, :w]

    rho = solver.rho
    y = np.zeros((problem.dictionary.n_maps, *solver.grid))
    y[:, :h, :w] = start[0]
    y = y.ravel()
    np.testing.assert_allclose(solver.maps()[0], cropped(y), atol=1e-12)
    u = np.where(y == 0, 0.0, lam / rho) * np.sign(y)
    rhos = [rho]
    for _ in range(40):
        normal = matrix.T @ matrix + rho * np.eye(len(y))
        a = np.linalg.solve(normal, matrix.T @ target + rho * (y - u))
        mixed = solver.alpha * a + (1 - solver.alpha) * y
        y = soft(mixed + u, lam / rho)
        u = u + mixed - y
        solver.step()
        np.testing.assert_allclose(solver.maps()[0], cropped(y), atol=1e-7)
        if solver.rho != rho:
            # The multiplier rho u stays.
            u = u * rho / solver.rho
            rho = solver.rho
            rhos.append(rho)
    assert len(rhos) > 1


def test_rho_balances_relative_residuals():
    policy = RhoPolicy(first=5)
    assert [policy.due(i) for i in (0, 4, 5)] == [False, False, True]
    assert policy.factor(6, 4.0, 1.0) == pytest.approx(2.0)
    assert policy.factor(20, 1.0, 4.0) == pytest.approx(0.5)
    assert policy.factor(40, 1e6, 1.0) == 4.0
    assert policy.factor(60, 1.0, 1e6) == 0.25
    for primal, dual in ((1.1, 1.0), (1.0, 1.1), (0.0, 1.0), (1.0, 0.0)):
        assert policy.factor(80, primal, dual) == 1.0


def test_rho_changes_ever_more_rarely():
    policy = RhoPolicy()
    due = []
    for iteration in range(400):
        if policy.due(iteration):
            policy.factor(iteration + 1, 1.0, 1.0)
            due.append(iteration)
    steps = np.diff(due)
    assert 3 < len(due) < 20
    assert (np.diff(steps) >= 0).all()
    assert steps[-1] > 5 * steps[0]
