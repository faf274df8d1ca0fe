"""One body for every array library: NumPy, read-only NumPy, the standard's own, CuPy."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import mcsc
from mcsc.solvers import SOLVERS
from tests.helpers import (
    OBJECTIVE_RTOL,
    SOLVER_TOL,
    SOLVERS_BY_TIME,
    dense_optimum,
    make_problem,
)

CASES = {
    "plain": {"dtype": "float32"},
    "channels": {"channels": (1, 3), "size": 4, "boundary": "periodic"},
    "masks": {"masks": "fractional", "samples": 2, "dtype": "float32"},
    "absent groups": {"channels": (1, 2, 1), "unique": (2, 0, 1), "masks": "binary"},
    "terms": {
        "lam": (np.linspace(0.3, 0.6, 30).reshape(6, 5), 0.5, np.full((2, 2, 6, 5), 0.4)),
        "mu": (0.2, 0.0, 0.0), "nonnegative": (False, True, False), "samples": 2,
        "masks": "fractional",
    },
}  # fmt: skip


@functools.cache
def case(name):
    """A problem that is solved soon, since the standard's own library is slow."""
    problem = make_problem(**({"shape": (6, 5), "lam": 0.5} | CASES[name]))
    return problem, dense_optimum(problem)


def moved(problem, xp):
    """The problem with all of its arrays in a library: banks and lam too."""
    d = problem.dictionary
    banks = [
        None if group is None else tuple(None if b is None else xp.asarray(b) for b in group)
        for group in (d.common, d.unique)
    ]
    masks = problem.masks and tuple(None if w is None else xp.asarray(w) for w in problem.masks)
    lam = xp.asarray(problem.lam_maps)
    if not problem.penalty.per_map:
        lam = [xp.asarray(part) for part in problem.penalty.lam]
    signals = tuple(xp.asarray(x) for x in problem.signals)
    return signals, mcsc.Dictionary(*banks), lam, masks


@pytest.mark.parametrize("method", SOLVERS_BY_TIME)
@pytest.mark.parametrize("name", CASES)
def test_every_library_gives_the_optimum_in_its_own_arrays(xp, method, name):
    problem, optimum = case(name)
    dtype = problem.dtype.name
    signals, d, lam, masks = moved(problem, xp)
    options = {"boundary": problem.boundary, "masks": masks, "tol": SOLVER_TOL[dtype]}
    options |= {"mu": problem.mu, "nonnegative": problem.nonnegative}
    if method == "working-set" and not xp.fused:
        with pytest.raises(ValueError, match="method='working-set' works on NumPy arrays"):
            mcsc.solve(signals, d, lam, method=method, **options)
        return
    result = mcsc.solve(signals, d, lam, method=method, **options)
    assert result.converged
    assert abs(result.objective - optimum) <= OBJECTIVE_RTOL[dtype] * optimum
    for group in result.codes.coordinates()[1]:
        assert group is None or xp.owns(group.value)
    value = problem.objective(result.codes.to(problem.stacked))
    assert result.objective == pytest.approx(value, rel=1e-9)
    for found in (result.codes.common, *result.codes.unique):
        assert found is None or (xp.owns(found) and found.dtype == signals[0].dtype)
    parts = mcsc.reconstruct(result.codes, d, boundary=problem.boundary)
    assert xp.owns(parts.image)
    assert parts.image.shape == signals[0].shape
    again = mcsc.solve(signals, d, lam, method=method, init=result, **(options | {"tol": 1e-3}))
    assert again.iterations == 0


def test_values_are_the_same_in_every_library(xp):
    problem = make_problem(channels=(1, 3), masks="fractional", samples=2, size=4)
    signals, d, lam, masks = moved(problem, xp)
    moved_problem = mcsc.Problem(signals, d, lam, masks)
    assert moved_problem.lambda_max() == pytest.approx(problem.lambda_max(), rel=1e-12)
    assert moved_problem.lipschitz == pytest.approx(problem.lipschitz, rel=1e-12)
    assert d.lipschitz() == problem.dictionary.lipschitz()
    assert mcsc.lambda_max(signals, d, masks=masks) == moved_problem.lambda_max()
    np.testing.assert_array_equal(moved_problem.lam_maps, problem.lam_maps)
    np.testing.assert_array_equal(xp.to_numpy(moved_problem.stacked), problem.stacked)
    np.testing.assert_array_equal(xp.to_numpy(moved_problem.weights), problem.weights)


def test_a_numpy_dictionary_serves_every_library(xp):
    """Filters are converted, which costs little; signals never are."""
    problem = make_problem()
    signals = tuple(xp.asarray(x) for x in problem.signals)
    found = mcsc.lambda_max(signals, problem.dictionary)
    assert found == pytest.approx(problem.lambda_max(), rel=1e-12)


def test_inputs_are_the_same_afterwards(xp):
    problem = make_problem(masks="fractional", channels=(1, 2), lam=0.6, shape=(6, 5))
    signals, d, lam, masks = moved(problem, xp)
    arrays = [*signals, *masks, *d.common, *d.unique, lam]
    before = [xp.to_numpy(a).copy() for a in arrays]
    for method in SOLVERS:
        if method != "working-set" or xp.fused:
            mcsc.solve(signals, d, lam, masks=masks, method=method, tol=1e-2)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(array), copy)
