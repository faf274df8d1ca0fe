"""Properties that every method has, whatever it does inside."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from tests.helpers import (
    SOLVERS_BY_TIME,
    make_masks,
    make_problem,
    solve,
    solve_unconverged,
    stacked,
)

pytestmark = pytest.mark.parametrize("method", SOLVERS_BY_TIME)

BOUNDARIES = pytest.mark.parametrize("boundary", ["zero", "periodic"])


def assert_close(codes, wanted, atol=2e-3):
    assert np.abs(stacked(wanted)).max() > 0.2
    np.testing.assert_allclose(stacked(codes), stacked(wanted), atol=atol)


@pytest.mark.parametrize(("boundary", "masks"), [("zero", "fractional"), ("periodic", None)])
def test_a_batch_is_as_its_members(method, boundary, masks):
    problem = make_problem(samples=2, channels=(1, 3), boundary=boundary, masks=masks)
    together = solve(problem, method=method, tol=1e-8)
    objective = 0.0
    for n in range(2):
        part = slice(n, n + 1)
        alone = mcsc.solve(
            tuple(x[part] for x in problem.signals),
            problem.dictionary,
            problem.lam,
            masks=None if masks is None else tuple(w[part] for w in problem.masks),
            boundary=boundary,
            method=method,
            tol=1e-8,
        )
        objective += alone.objective
        np.testing.assert_allclose(stacked(together.codes)[part], stacked(alone.codes), atol=2e-3)
    assert together.objective == pytest.approx(objective, rel=1e-7)


def test_shapes_of_the_result(method):
    problem = make_problem(
        samples=2, channels=(1, 3, 1), unique=(2, 0, 1), shape=(6, 9), lam=0.5, dtype="float32"
    )
    result = solve(problem, method=method)
    codes = result.codes
    assert codes.common.shape == (2, 3, 6, 9)
    assert [None if u is None else u.shape for u in codes.unique] == [
        (2, 2, 6, 9),
        None,
        (2, 1, 6, 9),
    ]
    assert codes.common.dtype == np.float32
    assert 0 < codes.nnz < codes.size
    assert codes.nnz == np.count_nonzero(stacked(codes))


def test_permuting_filters_permutes_codes(method):
    problem = make_problem(channels=(1, 2), common=4, unique=(3, 2))
    d = problem.dictionary
    order, unique_order = [2, 0, 3, 1], [1, 2, 0]
    permuted = mcsc.Dictionary(
        tuple(b[order] for b in d.common), (d.unique[0][unique_order], d.unique[1])
    )
    one = solve(problem, method=method, tol=1e-8)
    other = mcsc.solve(problem.signals, permuted, problem.lam, method=method, tol=1e-8)
    wanted = mcsc.Codes.from_dense(
        one.codes.common[:, order],
        (one.codes.unique[0][:, unique_order], one.codes.unique[1]),
    )
    assert_close(other.codes, wanted)
    assert other.objective == pytest.approx(one.objective, rel=1e-7)


def test_swapping_the_signals_swaps_their_codes(method):
    problem = make_problem(channels=(1, 3), lam=(0.4, 0.3, 0.5), masks="binary")
    d, (x, y) = problem.dictionary, problem.signals
    lam = [problem.lam[0], problem.lam[2], problem.lam[1]]
    swapped = mcsc.Dictionary(d.common[::-1], d.unique[::-1])
    one = solve(problem, method=method, tol=1e-8)
    other = mcsc.solve((y, x), swapped, lam, masks=problem.masks[::-1], method=method, tol=1e-8)
    assert_close(other.codes, mcsc.Codes.from_dense(one.codes.common, one.codes.unique[::-1]))


@BOUNDARIES
def test_nothing_is_rescaled(method, boundary):
    """``t x`` and ``t lam`` have the codes ``t a``; ``2 d`` and ``2 lam`` have ``a / 2``."""
    problem = make_problem(boundary=boundary, lam=(0.3, 0.5, 0.4))
    options = {"boundary": boundary, "method": method, "tol": 1e-8}
    one = solve(problem, method=method, tol=1e-8)
    scaled = mcsc.solve(
        tuple(100.0 * x for x in problem.signals),
        problem.dictionary,
        [100.0 * part for part in problem.lam],
        **options,
    )
    np.testing.assert_allclose(stacked(scaled.codes) / 100, stacked(one.codes), atol=2e-3)
    d = problem.dictionary
    larger = mcsc.solve(
        problem.signals,
        mcsc.Dictionary(tuple(2.0 * b for b in d.common), d.unique),
        [2.0 * problem.lam[0], *problem.lam[1:]],
        **options,
    )
    np.testing.assert_allclose(2 * larger.codes.common, one.codes.common, atol=2e-3)
    assert larger.objective == pytest.approx(one.objective, rel=1e-7)


@pytest.mark.parametrize(("boundary", "masks"), [("zero", "fractional"), ("periodic", None)])
def test_lambda_max_is_where_codes_vanish(method, boundary, masks):
    options = {"boundary": boundary, "masks": masks, "channels": (1, 2)}
    for lam in (1.0, 1 + 1e-12, 2.0):
        result = solve(make_problem(lam=lam, **options), method=method, tol=1e-8)
        assert result.converged
        assert result.codes.nnz == 0
        assert not stacked(result.codes).any()
    below = solve(make_problem(lam=0.98, **options), method=method, tol=1e-8)
    assert 0 < below.codes.nnz < 20


@BOUNDARIES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_warm_start_converges_at_once(method, boundary, dtype):
    problem = make_problem(boundary=boundary, dtype=dtype, masks="fractional")
    first = solve(problem, method=method, tol=2e-5)
    for init in (first, first.codes):
        again = solve(problem, method=method, tol=1e-4, init=init)
        assert again.iterations == 0
        assert again.converged
        np.testing.assert_allclose(stacked(again.codes), stacked(first.codes), atol=1e-6)
    assert first.iterations > 0


def test_warm_start_near_the_optimum_is_faster_and_leaves_init_alone(method):
    problem = make_problem(masks="binary", lam=0.4)
    near = solve(make_problem(masks="binary", lam=0.42), method=method, tol=1e-7)
    before = stacked(near.codes).copy()
    cold = solve(problem, method=method, tol=1e-7)
    warm = solve(problem, method=method, tol=1e-7, init=near)
    assert warm.history.objective[0] < cold.history.objective[0]
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6)
    np.testing.assert_array_equal(stacked(near.codes), before)


def test_another_method_s_result_is_a_start(method):
    problem = make_problem(channels=(1, 3))
    other = solve(problem, method="fista", tol=1e-7)
    assert solve(problem, method=method, tol=1e-6, init=other).iterations == 0


def test_inputs_are_never_modified(method):
    for boundary in ("zero", "periodic"):
        problem = make_problem(
            channels=(1, 3), boundary=boundary, masks="fractional", lam=(0.3, 0.4, 0.5)
        )
        d = problem.dictionary
        arrays = [*problem.signals, *problem.masks, *d.common, *d.unique, *problem.lam]
        before = [np.array(a) for a in arrays]
        solve(problem, method=method)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)


def test_zero_signals_have_zero_codes(method):
    problem = make_problem()
    signals = tuple(0 * x for x in problem.signals)
    result = mcsc.solve(signals, problem.dictionary, 0.1, method=method)
    assert (result.objective, result.gap, result.codes.nnz) == (0.0, 0.0, 0)
    assert result.converged


@BOUNDARIES
def test_a_signal_that_is_unknown_everywhere(method, boundary):
    """Its unique codes stay zero, and the other is solved as if it were alone."""
    problem = make_problem(boundary=boundary, channels=(1, 1), common=2, unique=(2, 2))
    (x, y), d = problem.signals, problem.dictionary
    masks = (None, np.zeros(y.shape))
    result = mcsc.solve(
        (x, y * np.nan), d, problem.lam, masks=masks, boundary=boundary, method=method, tol=1e-8
    )
    assert result.codes.unique[1].any() == 0
    alone = mcsc.solve(
        (x,),
        mcsc.Dictionary(d.common[:1], d.unique[:1]),
        problem.lam,
        boundary=boundary,
        method=method,
        tol=1e-8,
    )
    assert result.objective == pytest.approx(alone.objective, rel=1e-6)


@BOUNDARIES
def test_unknown_pixels_do_not_matter(method, boundary):
    problem = make_problem(boundary=boundary)
    (x, y), d = problem.signals, problem.dictionary
    masks = make_masks("binary", (x, y))
    options = {"masks": masks, "boundary": boundary, "method": method, "tol": 1e-5}
    one = mcsc.solve((x, y), d, problem.lam, **options)
    other = mcsc.solve((np.where(masks[0] > 0, x, np.nan), y), d, problem.lam, **options)
    np.testing.assert_array_equal(stacked(one.codes), stacked(other.codes))
    unmasked = mcsc.solve((x, y), d, problem.lam, **(options | {"masks": None}))
    assert unmasked.objective > one.objective * 1.01


def test_history_has_python_numbers_one_an_evaluation(method):
    seen = []
    result = solve_unconverged(
        make_problem(lam=0.05, dtype="float32"),
        method=method,
        tol=1e-12,
        max_iter=90,
        callback=seen.append,
    )
    history = result.history
    assert history.iteration[0] == 0
    assert history.iteration == sorted(set(history.iteration))
    assert history.iteration[-1] == result.iterations <= 90
    for name, kind in (
        ("iteration", int),
        ("seconds", float),
        ("objective", float),
        ("gap", float),
    ):
        values = getattr(history, name)
        assert {type(v) for v in values} == {kind}
        assert values == [getattr(p, name) for p in seen]
        assert len(values) == len(history.iteration) > 1
    assert history.seconds == sorted(history.seconds)
    assert history.seconds[0] > 0
    assert history.seconds[-1] <= result.seconds
    assert result.objective == history.objective[-1]
    assert result.gap == history.gap[-1]
    assert result.dual_bound == pytest.approx(result.objective * (1 - result.gap), rel=1e-12)
    assert {p.method for p in seen} == {method}


def test_bound_never_falls_and_the_gap_is_from_the_best(method):
    result = solve_unconverged(make_problem(lam=0.02), method=method, tol=1e-10, max_iter=200)
    bounds = [
        objective * (1 - gap)
        for objective, gap in zip(result.history.objective, result.history.gap, strict=True)
    ]
    assert len(bounds) > 3
    assert np.diff(bounds).min() >= -1e-9 * bounds[-1]
