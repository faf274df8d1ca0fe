"""Every method finds the same codes whatever the units of signals, filters and weights are."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

import mcsc
from tests.helpers import make_dictionary, make_signals

METHODS = ["working-set", "admm", "fista", "alternating"]  # ISTA takes the steps of FISTA
TOL = 1e-3
rng = np.random.default_rng(0)
WEIGHTS = rng.random((8, 7)) * (rng.random((8, 7)) > 0.2)
# Signals, filters, weights.
SCALES = [
    (1e-149, 1, 1),
    (1e-17, 1, 1),
    (1e15, 1, 1),
    (1, 1e-10, 1),
    (1, 1e8, 1),
    (1, 1, 1e-7),
    (1, 1, 1e5),
]


@functools.cache
def solve(method, signal=1.0, filters=1.0, weight=1.0, dtype="float64", share=0.3):
    d = make_dictionary()
    x = tuple((signal * s).astype(dtype) for s in make_signals())
    scaled = mcsc.Dictionary(
        tuple(filters * b for b in d.common), tuple(filters * b for b in d.unique)
    )
    masks = ((weight * WEIGHTS).astype(dtype),) * 2
    lam = share * mcsc.lambda_max(x, scaled, masks=masks)
    result = mcsc.solve(x, scaled, lam, masks=masks, method=method, tol=TOL, max_iter=1000)
    assert result.converged, result.message
    return result.objective / (signal * weight) ** 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_scales(method, scales):
    assert solve(method, *scales) == pytest.approx(solve(method), rel=2 * TOL)


@pytest.mark.parametrize("method", ["working-set", "admm", "fista"])
@pytest.mark.parametrize(
    "scales", [(1e-12, 1, 1), (1e16, 1, 1), (1, 1e-10, 1), (1, 1, 1e-7)], ids=str
)
def test_scales_in_float32(method, scales):
    found = solve(method, *scales, dtype="float32")
    assert found == pytest.approx(solve(method), rel=2 * TOL)


@pytest.mark.parametrize("method", ["admm", "fista"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_lam_of_less_precision_than_the_signals(method, dtype):
    """Thresholds are those of the written lam, not what a product in its precision makes of it."""
    x, d = make_signals(), make_dictionary()
    lam = (1.7 * (0.5 + np.random.default_rng(1).random((8, 7)))).astype(dtype)
    given = mcsc.solve(x, d, lam, method=method, tol=1e-9)
    plain = mcsc.solve(x, d, lam.astype(np.float64), method=method, tol=1e-9)
    assert given.converged
    assert given.iterations <= plain.iterations + 25


def test_an_epsilon_that_the_precision_does_not_hold():
    x = tuple(s.astype(np.float32) for s in make_signals())
    d = make_dictionary()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
        for epsilon in (1e-60, 1e300):
            found = mcsc.reweighted(
                x, d, 1.0, epsilon=epsilon, rounds=2, tol=1e-2, max_iter=3, method="fista"
            )
            assert len(found.results) == 2
            assert all(np.all(np.isfinite(lam) & (lam > 0)) for lam in found.lam)
