"""The operator D: against the explicit matrix, its adjoint, and its tiles."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.backend import backend_for
from mcsc.model.convolution import (
    LARGEST_DIRECT_FILTER,
    DirectOperator,
    FourierOperator,
    adjoint,
    forward,
    make_operator,
)
from tests.helpers import explicit_matrix, make_dictionary

BOUNDARIES = ("zero", "periodic")
NUMPY = backend_for(np.zeros(1))


def direct(groups, shape, boundary, dtype="float64"):
    return DirectOperator(groups, shape, boundary, NUMPY, np.dtype(dtype))


def fourier(groups, shape, boundary, dtype="float64"):
    return FourierOperator(groups, shape, boundary, NUMPY, np.dtype(dtype))


def fourier_in_slabs(groups, shape, boundary, dtype="float64"):
    return FourierOperator(groups, shape, boundary, NUMPY, np.dtype(dtype), slab=2)


OPERATORS = (direct, fourier, fourier_in_slabs)


@pytest.fixture(params=OPERATORS, ids=lambda f: f.__name__)
def operator(request):
    return request.param


# Sizes of the filters of common x, common y, unique x, unique y.
SIZES = [3, 4, 1, (3, 4, 3, 3), (2, 5, 4, 1), (3, 3, 6, 2)]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (1, 3)], ids=str)
def test_operator_is_the_explicit_matrix(operator, boundary, size, channels):
    d = make_dictionary(channels=channels, size=size, common=3, unique=(2, 1))
    shape, n = (7, 6), 2
    matrix = explicit_matrix(d, shape, boundary)
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((n, d.n_maps, *shape))
    signal = rng.standard_normal((n, sum(channels), *shape))
    op = operator(d.groups, shape, boundary)
    image = forward(op, NUMPY, codes)
    assert image.shape == signal.shape
    np.testing.assert_allclose(image.reshape(n, -1), codes.reshape(n, -1) @ matrix.T, atol=1e-12)
    maps = adjoint(op, NUMPY, signal)
    assert maps.shape == codes.shape
    np.testing.assert_allclose(maps.reshape(n, -1), signal.reshape(n, -1) @ matrix, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [3, 4], ids=str)
def test_operator_of_any_library(xp, boundary, size):
    d = make_dictionary(channels=(1, 2), size=size)
    shape = (5, 6)
    matrix = explicit_matrix(d, shape, boundary)
    rng = np.random.default_rng(0)
    codes, signal = rng.standard_normal((1, d.n_maps, *shape)), rng.standard_normal((1, 3, *shape))
    given = xp.asarray(codes)
    backend = backend_for(given)
    op = make_operator(d.groups, shape, boundary, backend, given.dtype, 1)
    image = xp.to_numpy(forward(op, backend, given))
    np.testing.assert_allclose(image.ravel(), matrix @ codes.ravel(), atol=1e-12)
    maps = xp.to_numpy(adjoint(op, backend, xp.asarray(signal)))
    np.testing.assert_allclose(maps.ravel(), matrix.T @ signal.ravel(), atol=1e-12)


def test_tiles_of_the_test_below():
    """So that its shapes stay smaller than a tile, and no multiple of one."""
    d = make_dictionary()
    rows = {shape: direct(d.groups, shape, "zero")._rows for shape in ((5, 6), (70, 33), (4, 1500))}
    assert rows[5, 6] == 5
    assert 1 < rows[70, 33] < 70
    assert 70 % rows[70, 33] != 0
    assert rows[4, 1500] == 1


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(5, 6), (70, 33), (4, 1500), (4, 4)], ids=str)
@pytest.mark.parametrize("size", [1, 3, 4, (2, 4, 3, 1)], ids=str)
@pytest.mark.parametrize("samples", [1, 2])
def test_adjoint(operator, boundary, shape, size, samples):
    """``<D a, r> = <a, D^T r>``."""
    d = make_dictionary(channels=(1, 2), size=size, common=2, unique=(1, 3))
    op = operator(d.groups, shape, boundary)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((samples, d.n_maps, *shape))
    r = rng.standard_normal((samples, 3, *shape))
    left = np.vdot(forward(op, NUMPY, a), r)
    right = np.vdot(a, adjoint(op, NUMPY, r))
    assert left == pytest.approx(right, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(45, 40), (5, 9), (5, 5)], ids=str)
@pytest.mark.parametrize("size", [(3, 5, 4, 1), 5], ids=str)
def test_operators_agree(boundary, shape, size):
    d = make_dictionary(channels=(1, 3), size=size)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((1, d.n_maps, *shape))
    r = rng.standard_normal((1, 4, *shape))
    ops = [make(d.groups, shape, boundary) for make in OPERATORS]
    images = [forward(op, NUMPY, a) for op in ops]
    maps = [adjoint(op, NUMPY, r) for op in ops]
    for image, correlation in zip(images[1:], maps[1:], strict=True):
        np.testing.assert_allclose(image, images[0], atol=1e-11)
        np.testing.assert_allclose(correlation, maps[0], atol=1e-11)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_float32_stays_float32(operator, boundary):
    d = make_dictionary(size=4)
    shape = (20, 31)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((1, d.n_maps, *shape)).astype("float32")
    r = rng.standard_normal((1, 2, *shape)).astype("float32")
    single, double = (operator(d.groups, shape, boundary, t) for t in ("float32", "float64"))
    for image, exact in (
        (forward(single, NUMPY, a), forward(double, NUMPY, a)),
        (adjoint(single, NUMPY, r), adjoint(double, NUMPY, r.astype("float64"))),
    ):
        assert image.dtype == np.float32
        assert exact.dtype == np.float64
        np.testing.assert_allclose(image, exact, atol=2e-5)
        assert np.abs(image - exact).max() > 0


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_sweep_visits_every_code_once_and_adds_up(operator, boundary):
    d = make_dictionary(size=3, common=3, unique=(2, 1))
    shape, n = (70, 33), 2
    op = operator(d.groups, shape, boundary)
    rng = np.random.default_rng(0)
    r = rng.standard_normal((n, 2, *shape))
    visits = np.zeros((n, d.n_maps, *shape))
    correlation = np.zeros_like(visits)

    def update(tile, g):
        tile.of(visits)[...] += 1
        tile.of(correlation)[...] = g
        new = np.ascontiguousarray(g) ** 2
        return new, (new.sum(), float(new.size))

    image, (total, count) = op.sweep(r, update, samples=n)
    assert (visits == 1).all()
    assert count == visits.size
    np.testing.assert_allclose(correlation, adjoint(op, NUMPY, r), atol=1e-12)
    assert total == pytest.approx(np.sum(correlation**2))
    np.testing.assert_allclose(image, forward(op, NUMPY, correlation**2), atol=1e-10)

    image, total = op.sweep(r, lambda tile, g: (None, None), samples=n, synthesise=False)
    assert image is None
    assert total is None


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_sweep_leaves_the_signal_alone(operator, boundary):
    d = make_dictionary(size=2)
    op = operator(d.groups, (6, 5), boundary)
    r = np.random.default_rng(0).standard_normal((1, 2, 6, 5))
    before = r.copy()

    def overwrite(tile, g):
        g = np.ascontiguousarray(g)
        g[...] = 7.0
        return g, None

    op.sweep(r, overwrite, samples=1)
    np.testing.assert_array_equal(r, before)


def test_the_library_and_the_filter_size_choose_the_operator():
    def kind(size, array):
        d = make_dictionary(size=size)
        backend = backend_for(array)
        return type(make_operator(d.groups, (20, 20), "zero", backend, array.dtype, 1))

    strict = pytest.importorskip("array_api_strict").zeros(1)
    assert kind(LARGEST_DIRECT_FILTER, np.zeros(1)) is DirectOperator
    assert kind(LARGEST_DIRECT_FILTER + 1, np.zeros(1)) is FourierOperator
    assert kind(3, strict) is FourierOperator


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_samples_whose_last_strips_are_short(boundary):
    # More samples than parts of work, each of several strips of which the last is shorter: one
    # part holds the end of one sample and the beginning of the next.
    groups = make_dictionary(0, size=4).groups
    shape, rng = (11, 300), np.random.default_rng(0)
    signal = rng.standard_normal((9, 2, *shape))
    together, alone = direct(groups, shape, boundary), direct(groups, shape, boundary)
    together._rows = 4
    maps = adjoint(together, NUMPY, signal)
    expected = np.concatenate([adjoint(alone, NUMPY, s[None]) for s in signal])
    np.testing.assert_allclose(maps, expected, atol=1e-12)
    image = forward(together, NUMPY, maps)
    expected = np.concatenate([forward(alone, NUMPY, m[None]) for m in maps])
    np.testing.assert_allclose(image, expected, atol=1e-11)
