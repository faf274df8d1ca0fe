"""ISTA, FISTA and the alternation, iterate by iterate, against loops in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from tests.helpers import (
    convolve,
    correlate,
    dense_systems,
    make_dictionary,
    make_problem,
    make_signals,
    soft,
    solve_unconverged,
    stacked,
)


def run_for(problem, method, iterations):
    result = solve_unconverged(problem, method=method, tol=1e-14, max_iter=iterations)
    assert result.iterations == iterations
    return stacked(result.codes).ravel()


PROBLEMS = [
    {"boundary": "periodic", "size": 3},
    {"boundary": "zero", "size": 4, "masks": "fractional", "channels": (1, 2)},
]


@pytest.mark.parametrize("options", PROBLEMS, ids=str)
def test_ista(options):
    problem = make_problem(**options, lam=(0.05, 0.1, 0.08))
    matrix, target, lam = next(dense_systems(problem))
    step = 1 / problem.lipschitz
    a = np.zeros(matrix.shape[1])
    for _ in range(25):
        a = soft(a + step * matrix.T @ (target - matrix @ a), step * lam)
    np.testing.assert_allclose(run_for(problem, "ista", 25), a, atol=1e-12)


@pytest.mark.parametrize("options", PROBLEMS, ids=str)
def test_fista_with_restarts(options):
    """Momentum is dropped where it points uphill: ``<p - new, new - x> > 0``."""
    problem = make_problem(**options, lam=(0.2, 0.3, 0.25))
    matrix, target, lam = next(dense_systems(problem))
    step = 1 / problem.lipschitz
    x = previous = np.zeros(matrix.shape[1])
    t, beta, restarts, iterates = 1.0, 0.0, 0, {}
    for iteration in range(1, 101):
        p = x + beta * (x - previous)
        new = soft(p + step * matrix.T @ (target - matrix @ p), step * lam)
        larger = (1 + np.sqrt(1 + 4 * t**2)) / 2
        beta, t, uphill = (t - 1) / larger, larger, (p - new) @ (new - x) > 0
        if uphill:
            beta, t, restarts = 0.0, 1.0, restarts + 1
        previous, x = x, new
        iterates[iteration] = x
    assert restarts >= 1
    for iteration in (1, 2, 3, 15, 100):
        found = run_for(problem, "fista", iteration)
        np.testing.assert_allclose(found, iterates[iteration], atol=1e-9)


# ---------------------------------------------------------------------- alternation
def unrolled(signals, dictionary, lam, steps):
    """One pass of Eqs. 6-13 from zero: u from x, v from y, then c from what they leave."""
    bound, unique_bounds = dictionary.lipschitz()

    def ista(targets, banks, bound):
        a = 0.0 * correlate(banks[0], targets[0])
        for _ in range(steps):
            descent = sum(
                correlate(d, x - convolve(d, a)) for d, x in zip(banks, targets, strict=True)
            )
            a = soft(a + descent / bound, lam / bound)
        return a

    unique = [
        ista([x], [d], b) for x, d, b in zip(signals, dictionary.unique, unique_bounds, strict=True)
    ]
    left = [x - convolve(d, u) for x, d, u in zip(signals, dictionary.unique, unique, strict=True)]
    return ista(left, dictionary.common, bound), unique


@pytest.mark.parametrize("blocks", [0, 1, 4])
@pytest.mark.parametrize("size", [3, 4, (2, 5, 3, 4)], ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (1, 3), (3, 3)], ids=str)
def test_one_pass_of_the_alternation_is_the_unrolled_network(blocks, size, channels):
    """J blocks of CU-Net are J + 1 steps, its first convolution included."""
    d = make_dictionary(channels=channels, size=size)
    signals = make_signals(channels=channels, shape=(10, 9))
    lam = 0.1 * mcsc.lambda_max(signals, d)
    with pytest.warns(mcsc.ConvergenceWarning, match="reached max_iter = 1"):
        result = mcsc.solve(
            signals, d, lam, method="alternating", max_iter=1, inner_steps=blocks + 1
        )
    common, unique = unrolled([x[0] for x in signals], d, lam, blocks + 1)
    np.testing.assert_allclose(result.codes.common[0], common, atol=1e-10)
    for found, wanted in zip(result.codes.unique, unique, strict=True):
        np.testing.assert_allclose(found[0], wanted, atol=1e-10)
    assert np.abs(common).max() > 0.01


def test_a_block_is_left_when_its_image_settles():
    problem = make_problem(channels=(1, 2))
    counts = {}
    for inner_tol in (0.5, 1e-3):
        result = mcsc.solve(
            problem.signals,
            problem.dictionary,
            problem.lam,
            method="alternating",
            inner_tol=inner_tol,
        )
        assert result.converged
        counts[inner_tol] = result.iterations
    assert counts[1e-3] < counts[0.5]


def test_inner_steps_are_not_the_default_s_alone():
    problem = make_problem()
    options = {"method": "alternating", "max_iter": 1}
    objectives = [
        solve_unconverged(problem, **options, inner_steps=n).objective for n in (1, 9, 10, 11)
    ]
    assert objectives == sorted(objectives, reverse=True)
    assert solve_unconverged(problem, **options).objective == objectives[2]


# ------------------------------------------------------------------------- monotony
@pytest.mark.parametrize("method", ["ista", "alternating"])
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("masks", [pytest.param(None, marks=pytest.mark.slow), "fractional"])
def test_the_objective_never_rises(method, boundary, masks):
    """From one iteration to the next, from zero and from a bad start."""
    problem = make_problem(channels=(1, 3), boundary=boundary, masks=masks, lam=0.1, size=4)
    options = {"inner_steps": 1} if method == "alternating" else {}
    far = 5 * np.random.default_rng(0).standard_normal((1, problem.dictionary.n_maps, 8, 7))
    for start in (0 * far, far):
        codes = mcsc.Codes.from_stacked(start, problem.dictionary)
        objectives = [problem.objective(codes)]
        for _ in range(40):
            result = solve_unconverged(
                problem, method=method, init=codes, max_iter=1, tol=1e-14, **options
            )
            codes = result.codes
            objectives.append(result.objective)
        assert np.diff(objectives).max() <= 1e-13 * objectives[0]
        assert objectives[-1] < objectives[0]
