"""Random small problems, found by hypothesis, against the explicit matrix."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mcsc.backend import backend_for
from mcsc.model.convolution import DirectOperator, FourierOperator, adjoint, forward
from mcsc.solvers import SOLVERS
from tests.helpers import (
    OBJECTIVE_RTOL,
    SOLVER_TOL,
    dense_optimum,
    explicit_matrix,
    make_dictionary,
    make_problem,
    solve,
)

NUMPY = backend_for(np.zeros(1))


@st.composite
def models(draw, largest=7):
    """Shape of an image, and what `make_dictionary` takes for it."""
    shape = draw(st.tuples(*[st.integers(2, largest)] * 2))
    channels = tuple(draw(st.lists(st.integers(1, 2), min_size=1, max_size=3)))
    common = draw(st.integers(0, 2))
    least = 0 if common else 1
    unique = tuple(draw(st.integers(least, 2)) for _ in channels)
    sizes = [draw(st.integers(1, min(shape))) for _ in range(2 * len(channels))]
    return shape, {"channels": channels, "common": common, "unique": unique, "size": sizes}


seeds = st.integers(0, 2**16)
boundaries = st.sampled_from(["zero", "periodic"])


@given(model=models(), seed=seeds, boundary=boundaries, samples=st.integers(1, 2))
def test_operators_are_the_explicit_matrix(model, seed, boundary, samples):
    shape, options = model
    d = make_dictionary(seed, **options)
    matrix = explicit_matrix(d, shape, boundary)
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((samples, d.n_maps, *shape))
    r = rng.standard_normal((samples, sum(d.channels), *shape))
    for kind in (DirectOperator, FourierOperator):
        op = kind(d.groups, shape, boundary, NUMPY, np.dtype("f8"))
        image = forward(op, NUMPY, a).reshape(samples, -1)
        np.testing.assert_allclose(image, a.reshape(samples, -1) @ matrix.T, atol=1e-11)
        maps = adjoint(op, NUMPY, r).reshape(samples, -1)
        np.testing.assert_allclose(maps, r.reshape(samples, -1) @ matrix, atol=1e-11)


@given(
    model=models(largest=6),
    seed=seeds,
    boundary=boundaries,
    samples=st.integers(1, 2),
    masks=st.sampled_from([None, "binary", "fractional"]),
    lam=st.floats(0.25, 1.2),
    method=st.sampled_from(sorted(SOLVERS)),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_solutions_are_optimal(model, seed, boundary, samples, masks, lam, method, dtype):
    shape, options = model
    problem = make_problem(
        seed,
        shape=shape,
        samples=samples,
        boundary=boundary,
        masks=masks,
        lam=lam,
        dtype=dtype,
        **options,
    )
    optimum = dense_optimum(problem)
    result = solve(problem, method=method, tol=SOLVER_TOL[dtype])
    assert result.converged
    assert abs(result.objective - optimum) <= OBJECTIVE_RTOL[dtype] * optimum
    assert result.dual_bound <= optimum * (1 + 1e-8)
    if lam >= 1:
        assert result.codes.nnz == 0
