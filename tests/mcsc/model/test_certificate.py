"""The certificate: feasible, as tight as it says, and never too optimistic."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.model.certificate import Bounds
from tests.helpers import correlate, dense_optimum, dense_systems, make_problem, solve


def evaluations(problem):
    """At zero, at the solution, near it, and at random codes: (maps, Bounds)."""
    rng = np.random.default_rng(7)
    shape = (problem.n_samples, problem.dictionary.n_maps, *problem.shape)
    solution = solve(problem, method="fista", tol=1e-8).codes.stacked(problem.dictionary)
    certificate = problem.certificate()
    for maps in (
        np.zeros(shape),
        solution,
        0.9 * solution,
        solution + 0.01 * rng.standard_normal(shape),
        0.3 * rng.standard_normal(shape),
        solution + 20.0 * rng.standard_normal(shape),
    ):
        yield maps, certificate.evaluate(maps)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("masks", [None, "fractional"])
@pytest.mark.parametrize(
    "terms",
    [
        {"lam": 0.2},
        {"lam": (0.1, 0.3, 0.2)},
        {"lam": 0.2, "mu": 0.5},
        {"lam": 0.2, "mu": (0.0, 1e-3, 3.0)},
        {"lam": 0.2, "nonnegative": (True, False, True)},
        {"lam": (np.linspace(0.1, 0.3, 42).reshape(7, 6), 0.1, 0.2), "mu": (0.1, 0, 0)},
    ],
    ids=lambda terms: " ".join(terms),
)
def test_dual_value_bounds_the_optimum_from_below(boundary, masks, terms):
    problem = make_problem(
        samples=2, channels=(1, 2), masks=masks, boundary=boundary, shape=(7, 6), **terms
    )
    optimum = dense_optimum(problem)
    values = [e for _, e in evaluations(problem)]
    values[-3:] = [e for e in values[-3:] if np.isfinite(e.objective)]  # of the wrong sign
    assert all(e.dual <= optimum * (1 + 1e-8) for e in values)
    assert all(e.objective >= optimum * (1 - 1e-8) for e in values)
    assert values[1].dual >= optimum * (1 - 1e-7)
    assert len({e.dual for e in values}) == len(values)


@pytest.mark.parametrize("masks", [None, "fractional"])
def test_dual_value_is_the_best_multiple_of_the_residual(masks):
    """With large lam it lies inside the feasible interval, with small lam at an end."""
    clipped = []
    for level in ((0.1, 0.3, 0.2), 2.0):
        problem = make_problem(lam=level, masks=masks, boundary="periodic", size=4)
        clipped += [is_clipped(problem, maps, found) for maps, found in evaluations(problem)]
    assert set(clipped) == {True, False}


def is_clipped(problem, maps, found):
    matrix, target, lam = next(dense_systems(problem))
    a = maps.ravel()
    r = target - matrix @ a
    limit = 1.0 / np.abs(matrix.T @ r / lam).max()
    t = np.linspace(-limit, limit, 20_001)
    dual = t * (target @ r) - 0.5 * t**2 * (r @ r)
    assert found.dual >= dual.max() * (1 - 1e-12)
    assert found.objective == pytest.approx(0.5 * r @ r + np.sum(lam * np.abs(a)), rel=1e-12)
    return np.argmax(dual) in (0, len(t) - 1)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_one_violation_does_not_spoil_the_bound_elsewhere(boundary):
    """At a large image one coefficient is wrong: the gap is that of its neighbourhood."""
    problem = make_problem(shape=(96, 96), lam=0.3, common=2, unique=1, boundary=boundary)
    codes = solve(problem, tol=1e-7).codes.stacked(problem.dictionary)
    codes[0, 0, 20, 60] += 1.0
    found = problem.certificate().evaluate(codes)
    image, _ = problem.certificate().image(codes)
    r = problem.stacked - image
    gradient = problem.gradient(mcsc.Codes.from_stacked(codes, problem.dictionary))
    largest = max(np.abs(g).max() for g in (gradient[0], *gradient[1])) / problem.lam
    scaled = float((problem.stacked * r).sum() / largest - 0.5 * (r * r).sum() / largest**2)
    optimum = solve(problem, tol=1e-7).objective
    assert scaled < found.dual <= optimum
    assert optimum - found.dual < 0.2 * (optimum - scaled)


def test_samples_of_a_batch_are_scaled_independently():
    problem = make_problem(samples=3)
    maps = 0.1 * np.random.default_rng(0).standard_normal(
        (3, problem.dictionary.n_maps, *problem.shape)
    )
    alone = [
        mcsc.Problem(tuple(x[n : n + 1] for x in problem.signals), problem.dictionary, problem.lam)
        .certificate()
        .evaluate(maps[n : n + 1])
        for n in range(3)
    ]
    found = problem.certificate().evaluate(maps)
    assert found.objective == pytest.approx(sum(e.objective for e in alone), rel=1e-12)
    assert found.dual == pytest.approx(sum(e.dual for e in alone), rel=1e-12)


@pytest.mark.parametrize("bright", [slice(0, 5), slice(30, 35), slice(85, 90)], ids=str)
def test_the_largest_correlation_may_lie_in_any_strip(bright):
    """An image of several tiles, by SciPy's correlations."""
    problem = make_problem(shape=(90, 40), common=2, unique=1)
    signals = tuple(0.1 * x for x in problem.signals)
    for x in signals:
        x[..., bright, :] *= 10
    d = problem.dictionary
    problem = mcsc.Problem(signals, d, 1.0)
    correlations = [
        sum(correlate(b, x[0]) for b, x in zip(d.common, signals, strict=True)),
        *(correlate(b, x[0]) for b, x in zip(d.unique, signals, strict=True)),
    ]
    largest = max(np.abs(c).max() for c in correlations)
    assert problem.lambda_max() == pytest.approx(largest, rel=1e-12)
    found = problem.certificate().evaluate(np.zeros((1, d.n_maps, 90, 40)))
    energy = sum(np.sum(x**2) for x in signals)
    assert largest > 1
    # Only what is bright needs to be shrunk: better than any multiple of all of it.
    assert found.dual > energy * (1 / largest - 0.5 / largest**2) * (1 - 1e-12)


def test_gap_is_relative_and_never_negative():
    assert Bounds(4.0, 3.0).gap == 0.25
    assert Bounds(4.0, 4.0 + 1e-12).gap == 0.0
    assert Bounds(0.0, 0.0).gap == 0.0


def test_gap_of_a_problem_is_the_certificate_s():
    problem = make_problem(samples=2)
    result = solve(problem, tol=1e-3)
    assert problem.gap(result.codes) == pytest.approx(
        1
        - problem.certificate().evaluate(result.codes.stacked(problem.dictionary)).dual
        / problem.objective(result.codes),
        abs=1e-12,
    )
    assert problem.gap(result.codes) >= result.gap - 1e-12


@pytest.mark.parametrize("lam", [1.0, 1.3])
def test_zero_is_certified_where_it_is_optimal(lam):
    problem = make_problem(lam=lam, masks="fractional")
    maps = np.zeros((1, problem.dictionary.n_maps, *problem.shape))
    assert problem.certificate().evaluate(maps).gap <= 1e-14


def test_evaluating_leaves_the_codes_alone():
    problem = make_problem()
    maps = np.random.default_rng(0).standard_normal((1, problem.dictionary.n_maps, 8, 7))
    before = maps.copy()
    problem.certificate().evaluate(maps)
    np.testing.assert_array_equal(maps, before)
