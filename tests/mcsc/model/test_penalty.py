"""The penalty: every form of lam, squares and signs, against arrays of all coefficients."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.backend.base import Tile
from tests.helpers import dense_systems, make_dictionary, make_problem, make_signals

RNG = np.random.default_rng(5)
GRID = (2, 8, 7)
# Two common maps, one unique one of x, three of y.
FORMS = {
    "a number": 0.5,
    "one a map": (0.5, 0.2, (0.1, 0.2, 0.3)),
    "a pixel": RNG.uniform(0.1, 1, (8, 7)),
    "a row": (RNG.uniform(0.1, 1, (8, 1)), 0.3, RNG.uniform(0.1, 1, (3, 1, 7))),
    "a sample": RNG.uniform(0.1, 1, (2, 1, 1, 1)),
    "one for all maps": RNG.uniform(0.1, 1, (6, 8, 7)),
    "each": (
        RNG.uniform(0.1, 1, (2, 2, 8, 7)),
        RNG.uniform(0.1, 1, (1, 8, 7)),
        np.float32(RNG.uniform(0.1, 1, (2, 3, 8, 7))),
    ),
    "whole numbers": (np.full((8, 7), 2), 1, 1),
}


def problem_of(lam, **options):
    signals = make_signals(samples=2)
    return mcsc.Problem(signals, make_dictionary(0, common=2, unique=(1, 3)), lam, **options)


def whole(lam):
    """lam of all coefficients (2, 6, 8, 7), by plain broadcasting."""
    if isinstance(lam, np.ndarray | float):
        return np.broadcast_to(lam, (2, 6, 8, 7))
    parts = []
    for part, count in zip(lam, (2, 1, 3), strict=True):
        part = np.asarray(part)
        part = part.reshape(-1, 1, 1) if part.ndim == 1 else part
        parts.append(np.broadcast_to(part, (2, count, 8, 7)))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("lam", FORMS.values(), ids=FORMS)
def test_every_form_gives_lam_of_each_coefficient(lam):
    penalty, wanted = problem_of(lam).penalty, whole(lam)
    n, k, i, j = (a.ravel() for a in np.indices(wanted.shape))
    np.testing.assert_array_equal(penalty.at(n, k, i, j), wanted.ravel())
    for samples, maps, rows in [
        (slice(0, 2), slice(0, 6), slice(0, 8)),
        (slice(1, 2), slice(1, 5), slice(2, 5)),
        (slice(None), slice(3, 4), slice(None)),
    ]:
        part = wanted[samples, maps, rows]
        found = np.broadcast_to(penalty.on(Tile(samples, maps, rows)), part.shape)
        np.testing.assert_array_equal(found, part)
    np.testing.assert_allclose(penalty.lam_maps, wanted.mean((0, 2, 3)), rtol=1e-6)
    assert penalty.per_map <= (wanted == wanted[:1, :, :1, :1]).all()
    assert problem_of((0.5, 0.2, (0.1, 0.2, 0.3))).penalty.per_map


@pytest.mark.parametrize("lam", FORMS.values(), ids=FORMS)
def test_value_of_codes(lam):
    problem = problem_of(lam, mu=(0.0, 2.0, 0.5), nonnegative=(False, True, False))
    a = RNG.standard_normal((2, 6, 8, 7)) * (RNG.random((2, 6, 8, 7)) < 0.1)
    a[:, 2] = np.abs(a[:, 2])
    codes = mcsc.Codes.from_stacked(a, problem.dictionary)
    mu = np.repeat((0.0, 2.0, 0.5), (2, 1, 3)).reshape(6, 1, 1)
    wanted = np.sum(whole(lam) * np.abs(a)) + 0.5 * np.sum(mu * a**2)
    systems = zip(dense_systems(problem), a, strict=True)
    misfit = sum(0.5 * np.sum((s - m @ one.ravel()) ** 2) for (m, s, _), one in systems)
    square = 0.5 * np.sum(mu * a**2)
    assert problem.objective(codes) == pytest.approx(misfit - square + wanted, rel=1e-12)
    a[0, 2, 0, 0] = -1.0
    broken = mcsc.Codes.from_stacked(a, problem.dictionary)
    assert problem.objective(broken) == np.inf
    assert problem.gap(broken) == np.inf


@pytest.mark.parametrize(
    ("lam", "message"),
    [
        (np.ones((8, 6)), r"lam has \(8, 6\) entries: .* or what broadcasts to the codes, \(N, K"),
        (np.ones((1, 2, 6, 8, 7)), r"lam has \(1, 2, 6, 8, 7\) entries"),
        (np.ones((5, 8, 7)), r"lam has \(5, 8, 7\) entries"),
        ((1, np.ones((2, 8, 7)), 1), r"lam of group unique\[0\] has shape \(2, 8, 7\): .* \(2, 1,"),
        (np.zeros((8, 7)), "lam must be finite and > 0, found 0$"),
        ((1, np.full((8, 7), np.inf), 1), "lam must be finite and > 0, found inf"),
        ((1, np.ones((8, 7)), (1, 2)), r"lam of group unique\[1\] has shape \(2,\)"),
    ],
    ids=str,
)  # fmt: skip
def test_arrays_that_do_not_fit(lam, message):
    with pytest.raises(ValueError, match=message):
        problem_of(lam)


def test_an_array_must_hold_numbers():
    with pytest.raises(TypeError, match="lam must hold numbers, found dtype bool"):
        problem_of(np.ones((8, 7), dtype=bool))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mu": -1}, ValueError, "mu must be a finite number >= 0, found -1"),
        ({"mu": np.nan}, TypeError, "mu must be a number, or one for each group"),
        ({"mu": "1"}, TypeError, "mu must be a number, or one for each group, found '1'"),
        ({"mu": (1, 2)}, ValueError, r"mu has 2 entries: give one, .* \[common, unique\[0\], uni"),
        ({"nonnegative": 1}, TypeError, "nonnegative must be True or False, .* found 1"),
        ({"nonnegative": (True, 0, 1)}, TypeError, "nonnegative must be True or False"),
        ({"nonnegative": (True,)}, ValueError, "nonnegative has 1 entries"),
    ],
    ids=str,
)
@pytest.mark.parametrize("door", [mcsc.solve, mcsc.Problem], ids=["solve", "Problem"])
def test_squares_and_signs_that_make_no_sense(door, options, error, message):
    signals = make_signals()
    with pytest.raises(error, match=message):
        door(signals, make_dictionary(0, common=2, unique=(1, 3)), 1.0, **options)


def test_lambda_max_of_codes_that_must_not_be_negative():
    problem = make_problem(seed=2)
    d, signals = problem.dictionary, problem.signals
    matrix, target, _ = next(dense_systems(problem))
    pull = (matrix.T @ target).reshape(d.n_maps, -1)
    one_sided = mcsc.lambda_max(signals, d, nonnegative=True)
    assert one_sided == pytest.approx(pull.max(), rel=1e-12)
    assert mcsc.lambda_max(signals, d) == pytest.approx(np.abs(pull).max(), rel=1e-12)
    mixed = mcsc.lambda_max(signals, d, nonnegative=(True, False, False))
    wanted = max(pull[: d.n_common].max(), np.abs(pull[d.n_common :]).max())
    assert mixed == pytest.approx(wanted, rel=1e-12)
    result = mcsc.solve(signals, d, 1.0001 * one_sided, nonnegative=True)
    assert result.converged
    assert result.codes.nnz == 0
