"""The problem of Eq. 5: values, gradient and bounds against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc import Problem
from tests.helpers import (
    dense_systems,
    explicit_matrix,
    lasso_value,
    make_dictionary,
    make_masks,
    make_problem,
    make_signals,
    stacked,
)

BOUNDARIES = ("zero", "periodic")
MASKS = (None, "binary", "fractional")


def random_codes(problem, seed=0, share=1.0):
    """Codes (N, K, H, W) in the order common, unique, and as Codes; a share is not zero."""
    d = problem.dictionary
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((problem.n_samples, d.n_maps, *problem.shape))
    maps *= rng.random(maps.shape) < share
    ends = np.cumsum([d.n_common, *d.n_unique])
    groups = np.split(maps, ends[:-1], axis=1)
    groups = [g if g.shape[1] else None for g in groups]
    return maps, mcsc.Codes.from_dense(groups[0], groups[1:])


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("channels", [(1, 1), (1, 3), (2,)], ids=str)
@pytest.mark.parametrize("share", [0.05, 1.0])  # nonzeros alone, and the maps
def test_values_are_those_of_the_explicit_matrix(boundary, masks, channels, share):
    problem = make_problem(
        channels=channels, samples=2, shape=(6, 5), masks=masks, boundary=boundary, size=4
    )
    maps, codes = random_codes(problem, share=share)
    assert (codes.nnz < 0.1 * codes.size) == (share < 0.1)
    systems = list(dense_systems(problem))
    objective = sum(lasso_value(*s, a.ravel()) for s, a in zip(systems, maps, strict=True))
    assert isinstance(problem.objective(codes), float)
    assert problem.objective(codes) == pytest.approx(objective, rel=1e-12)

    common, unique = problem.gradient(codes)
    gradient = [-(m.T @ (s - m @ a.ravel())) for (m, s, _), a in zip(systems, maps, strict=True)]
    found = np.concatenate([g for g in (common, *unique) if g is not None], axis=1)
    np.testing.assert_allclose(found.reshape(2, -1), gradient, atol=1e-11)

    largest = max(np.abs(m.T @ s).max() for m, s, _ in systems)
    assert isinstance(problem.lambda_max(), float)
    assert problem.lambda_max() == pytest.approx(largest, rel=1e-12)


def test_evaluated_in_float64_whatever_the_precision():
    single = make_problem(dtype="float32", masks="fractional", shape=(9, 8))
    double = Problem(
        tuple(x.astype("float64") for x in single.signals),
        single.dictionary,
        single.lam,
        tuple(w.astype("float64") for w in single.masks),
    )
    _, codes = random_codes(single)
    assert single.dtype == np.float32
    assert single.objective(codes) == pytest.approx(double.objective(codes), rel=1e-14)
    assert single.gap(codes) == pytest.approx(double.gap(codes), rel=1e-12)
    assert single.lambda_max() == pytest.approx(double.lambda_max(), rel=1e-14)
    assert single.gradient(codes)[0].dtype == np.float32


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("size", [3, 4, (2, 5, 3, 1)], ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (1, 2)], ids=str)
@pytest.mark.parametrize("shape", [(6, 5), (5, 5)], ids=str)
def test_lipschitz(masks, size, channels, shape):
    """Exact without masks: of the image's periodic grid, or of the one padded by s - 1."""
    d = make_dictionary(channels=channels, size=size)
    signals = make_signals(channels=channels, shape=shape)
    weights = make_masks(masks, signals)
    for boundary in BOUNDARIES:
        problem = Problem(signals, d, 1.0, weights, boundary)
        padding = 0 if boundary == "periodic" else d.filter_size - 1
        periodic = explicit_matrix(d, (shape[0] + padding, shape[1] + padding), "periodic")
        largest = max(1.0 if w is None else w.max() for w in weights or (None,))
        assert problem.largest_weight == largest
        wanted = np.linalg.norm(periodic, 2) ** 2 * largest**2
        assert problem.lipschitz == pytest.approx(wanted, rel=1e-10)
        matrix = next(dense_systems(problem))[0]
        assert problem.lipschitz >= np.linalg.norm(matrix, 2) ** 2 * (1 - 1e-12)


def test_lambda_max_of_the_front_is_the_problem_s():
    problem = make_problem(masks="fractional", boundary="periodic")
    found = mcsc.lambda_max(
        problem.signals, problem.dictionary, masks=problem.masks, boundary="periodic"
    )
    assert found == problem.lambda_max()
    assert found != mcsc.lambda_max(problem.signals, problem.dictionary)


def test_stacked_signals_and_shapes():
    x, y = make_signals(channels=(1, 3), shape=(6, 7))
    d = make_dictionary(channels=(1, 3))
    full = Problem((x, y), d, 1.0)
    assert full.shape == (6, 7)
    assert full.n_samples == 1
    assert full.weights is None
    np.testing.assert_array_equal(full.stacked, np.concatenate([x, y], axis=1))
    for signals in ((x[0, 0], y[0]), (x[0], y[0])):
        np.testing.assert_array_equal(Problem(signals, d, 1.0).stacked, full.stacked)
    mixed = Problem((x.astype("float32"), y), d, 1.0)
    assert mixed.dtype == np.float64
    assert Problem((x.astype("float32"), y.astype("float32")), d, 1.0).dtype == np.float32


# ---------------------------------------------------------------------------- lam
@pytest.mark.parametrize(
    ("lam", "wanted"),
    [
        (2, [2.0] * 6),
        (np.float32(0.5), [0.5] * 6),
        (np.array(0.5), [0.5] * 6),
        ((1, 2.0, 3), [1, 1, 1, 2, 2, 3]),
        ([1, 2.0, 3], [1, 1, 1, 2, 2, 3]),
        (np.array([1.0, 2, 3]), [1, 1, 1, 2, 2, 3]),
        ((1, (2, 3), np.array([4.0])), [1, 1, 1, 2, 3, 4]),
        ((np.array([1, 2, 3]), [4.0, 5.0], np.array(6)), [1, 2, 3, 4, 5, 6]),
        (np.array([1.0, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]),
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
    ],
    ids=str,
)
def test_lam_a_group_or_a_map(lam, wanted):
    d = make_dictionary(common=3, unique=(2, 1))
    problem = Problem(make_signals(), d, lam)
    assert problem.lam_maps.dtype == np.float64
    np.testing.assert_array_equal(problem.lam_maps, wanted)


def test_lam_leaves_absent_groups_out():
    d = make_dictionary(common=2, unique=(0, 3))
    np.testing.assert_array_equal(Problem(make_signals(), d, (1.0, 2.0)).lam_maps, [1, 1, 2, 2, 2])


# -------------------------------------------------------------------------- masks
def test_masks_broadcast():
    x, y = make_signals(channels=(1, 3), samples=2)
    d = make_dictionary(channels=(1, 3))
    rng = np.random.default_rng(5)
    plane = rng.random(x.shape[2:])
    full = Problem((x, y), d, 1.0, (None, np.broadcast_to(plane, y.shape)))
    assert full.weights.shape == full.stacked.shape
    np.testing.assert_array_equal(full.weights[:, :1], 1)
    np.testing.assert_array_equal(full.weights[:, 1:], np.broadcast_to(plane, y.shape))
    for shape in ((8, 7), (1, 8, 7), (1, 1, 8, 7)):
        masks = [None, plane.reshape(shape)]
        np.testing.assert_array_equal(Problem((x, y), d, 1.0, masks).weights, full.weights)
    for shape in ((3, 1, 1), (2, 1, 1, 1), (1, 3, 1, 1)):
        weights = rng.random(shape) * np.ones((8, 7))
        found = Problem((x, y), d, 1.0, (None, weights)).weights[:, 1:]
        np.testing.assert_array_equal(found, np.broadcast_to(weights, y.shape))
    assert Problem((x, y), d, 1.0, (None, None)).weights is None


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float64"])
def test_masks_of_any_real_type(dtype):
    problem = make_problem(masks="binary")
    again = Problem(
        problem.signals, problem.dictionary, 1.0, (problem.masks[0].astype(dtype), None)
    )
    assert again.weights.dtype == np.float64
    np.testing.assert_array_equal(again.weights, problem.weights)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unknown_pixels_may_hold_anything(bad):
    x, y = make_signals()
    d = make_dictionary()
    masks = make_masks("binary", (x, y))
    wanted = Problem((np.where(masks[0] > 0, x, 0.0), y), d, 1.0, masks)
    holed = Problem((np.where(masks[0] > 0, x, bad), y), d, 1.0, masks)
    np.testing.assert_array_equal(holed.stacked, wanted.stacked)
    result = mcsc.solve(holed.signals, d, 1.0, masks=masks)
    assert result.converged
    assert np.isfinite(stacked(result.codes)).all()


def test_inputs_are_left_alone():
    problem = make_problem(masks="fractional", channels=(1, 3), lam=(0.1, 0.2, 0.3))
    arrays = [*problem.signals, *problem.masks, *problem.lam]
    before = [np.array(a) for a in arrays]
    maps, codes = random_codes(problem)
    problem.objective(codes), problem.gap(codes), problem.gradient(codes), problem.lipschitz
    problem.stacked[...] = 0.0
    problem.weights[...] = 0.0
    problem.lam_maps[...] = 0.0
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(stacked(codes), maps)


def test_explicit_matrix_by_hand():
    """The oracle itself, once: even size, so the origin is off the centre."""
    bank = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    d = mcsc.Dictionary(unique=(bank,))
    impulse = np.zeros((3, 3))
    impulse[2, 1] = 1
    image = (explicit_matrix(d, (3, 3), "zero") @ impulse.ravel()).reshape(3, 3)
    np.testing.assert_array_equal(image, [[0, 0, 0], [0, 0, 0], [0, 1, 2]])
    image = (explicit_matrix(d, (3, 3), "periodic") @ impulse.ravel()).reshape(3, 3)
    np.testing.assert_array_equal(image, [[0, 3, 4], [0, 0, 0], [0, 1, 2]])


def test_weights_have_the_precision_of_the_problem():
    """Of a float32 image beside a float64 one, the mask is not rounded to float32."""
    x, y = make_signals()
    w = np.random.default_rng(0).random((8, 7))
    problem = mcsc.Problem((x.astype(np.float32), y), make_dictionary(), 1.0, (w, None))
    np.testing.assert_array_equal(problem.weights[0, 0], w)
