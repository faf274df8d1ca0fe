"""Terms beyond one lam a map: what is theirs alone, beside the oracles of every method."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

import mcsc
from mcsc.backend import set_num_threads
from mcsc.images.split import lowpass_split
from mcsc.solvers import SOLVERS
from tests.helpers import SOLVERS_BY_TIME, make_problem, solve, stacked


@pytest.mark.parametrize("method", SOLVERS_BY_TIME)
def test_codes_that_must_not_be_negative_are_not(method):
    problem = make_problem(lam=0.1, nonnegative=(False, True, False), samples=2)
    free = make_problem(lam=0.1, samples=2)
    # Negative codes of another problem are a start nevertheless.
    init = solve(free, tol=1e-3)
    result = solve(problem, method=method, tol=1e-6, init=init)
    common, unique = result.codes.common, result.codes.unique
    assert (unique[0] >= 0).all()
    assert (common < 0).any()
    assert (unique[1] < 0).any()
    assert result.objective > solve(free, tol=1e-6).objective * 1.001


@pytest.mark.parametrize("method", SOLVERS)
def test_a_start_at_the_optimum_needs_no_iteration(method):
    problem = make_problem(
        lam=(np.full((3, 8, 7), 0.2), 0.1, 0.3), mu=0.5, nonnegative=(True, False, False)
    )
    result = solve(problem, method=method, tol=1e-7)
    assert result.converged
    again = solve(problem, method=method, tol=1e-6, init=result)
    assert again.iterations == 0


def test_a_larger_square_makes_codes_smaller_and_more():
    results = [solve(make_problem(lam=0.2, mu=mu), tol=1e-8) for mu in (0.0, 0.5, 5.0)]
    sizes = [np.abs(stacked(r.codes)).max() for r in results]
    assert sizes[0] > sizes[1] > sizes[2]
    assert results[2].codes.nnz > results[0].codes.nnz


@pytest.mark.parametrize("mu", [1e-12, (0.0, 1e-20, 1e-300)])
@pytest.mark.parametrize("method", SOLVERS_BY_TIME)
def test_a_square_however_small_is_certified(method, mu):
    free = solve(make_problem(lam=0.2), tol=1e-6)
    problem = make_problem(lam=0.2, mu=mu)
    result = solve(problem, method=method, tol=1e-5, max_iter=5000)
    assert result.converged
    assert problem.gap(result.codes) == pytest.approx(result.gap, abs=1e-9)
    np.testing.assert_allclose(result.objective, free.objective, rtol=2e-5)


@pytest.fixture(scope="module")
def picture():
    image = np.asarray(skimage.data.astronaut(), dtype="float32")[50:133, 150:251] / 255
    x, y = (lowpass_split(np.ascontiguousarray(image[..., c])).high for c in (0, 2))
    return (x, y), mcsc.dct_dictionary((1, 1), filter_size=6)


def lam_of(shape):
    return np.broadcast_to(np.linspace(0.02, 0.08, shape[1], dtype="float32"), shape)


@pytest.mark.slow
def test_agrees_with_fista_on_a_photograph(picture):
    """Several tiles, of which every one has its own lam."""
    signals, d = picture
    lam, options = lam_of(signals[0].shape), {"mu": (0.1, 0.0, 0.0)}
    ours = mcsc.solve(signals, d, lam, tol=1e-5, method="working-set", **options)
    other = mcsc.solve(signals, d, lam, tol=1e-4, method="fista", **options)
    assert ours.converged
    assert other.converged
    assert ours.objective <= other.objective * (1 + 1e-6)
    assert other.objective <= ours.objective * (1 + 1e-4)


def test_results_do_not_depend_on_threads(picture, keep_threads):
    signals, d = picture
    lam = lam_of(signals[0].shape)
    found = []
    for threads in (1, 3):
        set_num_threads(threads)
        result = mcsc.solve(signals, d, lam, tol=1e-2, nonnegative=True, mu=0.01)
        found.append(result)
    assert found[0].objective == found[1].objective
    assert found[0].gap == found[1].gap
    np.testing.assert_array_equal(stacked(found[0].codes), stacked(found[1].codes))


def test_paths_and_discrepancy_take_the_terms():
    problem = make_problem(lam=0.5)
    signals, d, lam = problem.signals, problem.dictionary, float(problem.lam)
    options = {"mu": 0.3, "nonnegative": True, "tol": 1e-7}
    first, last = mcsc.solve_path(signals, d, (lam, 0.5 * lam), **options)
    alone = mcsc.solve(signals, d, 0.5 * lam, **options)
    assert last.objective == pytest.approx(alone.objective, rel=1e-6)
    assert (stacked(first.codes) >= 0).all()
    noise = 0.6 * float(np.sqrt(np.mean([np.mean(x**2) for x in signals])))
    found = mcsc.solve_discrepancy(signals, d, noise, mu=0.3, rtol=0.02)
    parts = mcsc.signal_parts(found.result.codes, d)
    left = [np.mean((p.image - x) ** 2) for p, x in zip(parts, signals, strict=True)]
    assert np.sqrt(np.mean(left)) == pytest.approx(found.residual, rel=1e-3)
    assert found.reached


def test_impulses_are_a_group_of_their_own():
    """Salt and pepper on one of two pictures: a filter of one pixel takes it up."""
    rng = np.random.default_rng(0)
    image = np.asarray(skimage.data.astronaut(), dtype="float32")[60:124, 190:254] / 255
    x, y = (lowpass_split(np.ascontiguousarray(image[..., c])).high for c in (0, 2))
    hit = rng.random(x.shape) < 0.05
    noisy = np.where(hit, rng.choice(np.float32([-0.8, 0.8]), x.shape), x)
    cosines = mcsc.dct_dictionary((1, 1), filter_size=6)
    point = np.zeros((1, 1, 6, 6))
    point[0, 0, 2, 2] = 1
    d = mcsc.Dictionary(cosines.common, (point, cosines.unique[1]))
    result = mcsc.solve((noisy, y), d, 0.1, tol=1e-2)
    assert result.converged
    impulses = result.codes.unique[0][0, 0]
    assert (impulses != 0)[hit].mean() > 0.9
    assert (impulses != 0)[~hit].mean() < 0.03
    cleaned = mcsc.signal_parts(result.codes, d)[0].common[0, 0]
    rmse = [float(np.sqrt(np.mean((a - x) ** 2))) for a in (noisy, cleaned)]
    assert rmse[1] < 0.2 * rmse[0]
