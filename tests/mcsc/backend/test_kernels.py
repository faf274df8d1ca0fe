"""Fused kernels and transforms of every backend against their generic statement."""

from __future__ import annotations

import array_api_compat.numpy
import numpy as np
import pytest

from mcsc.backend import Backend, backend_for
from mcsc.backend.base import Tile
from tests.helpers import soft

GENERIC = Backend(array_api_compat.numpy)
N, K, H, W = 2, 5, 7, 6

WHOLE = slice(None)
TILES = {
    "whole": Tile(WHOLE, slice(0, K), WHOLE),
    "slab": Tile(WHOLE, slice(1, 4), WHOLE),
    "strip": Tile(slice(1, 2), slice(0, K), slice(2, 5)),
    "corner": Tile(slice(0, 1), slice(3, 5), slice(4, 7)),
}
RTOL = {"float32": 3e-6, "float64": 1e-14}


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture(params=TILES)
def tile(request, writable_xp):
    if writable_xp.name == "cupy" and request.param in ("strip", "corner"):
        pytest.skip("on a GPU a tile is a slab of maps")
    return TILES[request.param]


class Pair:
    """Backend and arrays of a library, and the same for the generic one on NumPy."""

    def __init__(self, xp, dtype, seed=0):
        self.xp, self.dtype = xp, dtype
        self.backend = backend_for(xp.asarray(np.zeros(1, dtype)))
        self.rng = np.random.default_rng(seed)

    def random(self, *shape):
        values = self.rng.standard_normal(shape).astype(self.dtype)
        return self.given(values), values.copy()

    def given(self, values):
        return self.xp.asarray(np.asarray(values, dtype=self.dtype))

    def compare(self, found, wanted, message=""):
        np.testing.assert_allclose(
            self.xp.to_numpy(found),
            wanted,
            rtol=RTOL[self.dtype.name],
            atol=10 * RTOL[self.dtype.name],
            err_msg=message,
        )


@pytest.fixture
def pair(writable_xp, dtype):
    return Pair(writable_xp, dtype)


def tile_of(pair, tile):
    """A correlation on the tile: cropped from a larger array, as the Fourier operator's is."""
    shape = tile.of(np.empty((N, K, H, W))).shape
    values = pair.rng.standard_normal((*shape[:3], W + 2)).astype(pair.dtype)
    given = pair.given(values)[..., :W]
    return given, values[..., :W].copy()


THRESHOLDS = [0.0, 0.3, 1.0, 2.0, 50.0]


def test_ista_update(pair, tile):
    x, x0 = pair.random(N, K, H, W)
    g, g0 = tile_of(pair, tile)
    before = x0.copy()
    found = pair.backend.ista_update(x, g, tile, 0.7, pair.given(THRESHOLDS))
    wanted = GENERIC.ista_update(x0, g0, tile, pair.dtype.type(0.7), np.array(THRESHOLDS, g0.dtype))
    pair.compare(found, wanted)
    pair.compare(x, x0)
    assert found.dtype == g.dtype
    inside = np.zeros(x0.shape, bool)
    tile.of(inside)[...] = True
    np.testing.assert_array_equal(pair.xp.to_numpy(x)[~inside], before[~inside])
    # And the statement itself, by the formula.
    threshold = np.array(THRESHOLDS)[tile.maps].reshape(1, -1, 1, 1)
    np.testing.assert_allclose(wanted, soft(tile.of(before) + 0.7 * g0, threshold), atol=1e-5)


def test_fista_update(pair, tile):
    x, x0 = pair.random(N, K, H, W)
    previous, previous0 = pair.random(N, K, H, W)
    g, g0 = tile_of(pair, tile)
    step, beta = pair.dtype.type(0.7), pair.dtype.type(0.4)
    point = tile.of(x0) + 0.4 * (tile.of(x0) - tile.of(previous0))
    found, uphill = pair.backend.fista_update(
        x, previous, g, tile, 0.7, pair.given(THRESHOLDS), pair.given(0.4)
    )
    wanted, uphill0 = GENERIC.fista_update(
        x0, previous0, g0, tile, step, np.array(THRESHOLDS, g0.dtype), beta
    )
    pair.compare(found, wanted)
    pair.compare(x, x0, "x is the last iterate and stays")
    pair.compare(previous, previous0)
    assert float(uphill) == pytest.approx(float(uphill0), rel=1e-5 if g.dtype == "f4" else 1e-12)
    threshold = np.array(THRESHOLDS)[tile.maps].reshape(1, -1, 1, 1)
    new = soft(point + 0.7 * g0, threshold)
    np.testing.assert_allclose(wanted, new, atol=1e-5)
    assert float(uphill0) == pytest.approx(np.sum((point - new) * (new - tile.of(x0))), rel=1e-4)


def penalties(kind):
    if kind is None:
        return None
    penalty = np.ones((H, W))
    penalty[5:] = penalty[:, 4:] = np.inf
    penalty[0, 0] = 0.5
    return penalty


@pytest.mark.parametrize("penalty", [None, "infinite"])
@pytest.mark.parametrize("sums", [False, True])
def test_admm_update(pair, tile, penalty, sums):
    thresholds = np.array([0.1, 0.3, 1.0, 2.0, 50.0], pair.dtype)
    penalty = penalties(penalty)
    penalty0 = None if penalty is None else penalty.astype(pair.dtype)
    v, v0 = pair.random(N, K, H, W)
    g, g0 = tile_of(pair, tile)
    before = tile.of(v0).copy()
    z, terms = pair.backend.admm_update(
        v,
        g,
        tile,
        pair.given(thresholds),
        None if penalty is None else pair.given(penalty),
        1.8,
        sums=sums,
    )
    z0, terms0 = GENERIC.admm_update(v0, g0, tile, thresholds, penalty0, 1.8, sums=True)
    pair.compare(z, z0)
    pair.compare(v, v0)
    if sums:
        np.testing.assert_allclose(
            [float(t) for t in terms],
            [float(t) for t in terms0],
            rtol=1e-5 if pair.dtype == "f4" else 1e-12,
        )
    # The statement by the formulas of over-relaxed ADMM.
    t = thresholds[tile.maps].reshape(1, -1, 1, 1) * np.ones((H, W))[tile.rows]
    if penalty is not None:
        t = t * penalty[tile.rows]
    y = soft(before, t)
    u = before - y
    a = y - u + g0
    mixed = 1.8 * a + (1 - 1.8) * y
    y_new = soft(mixed + u, t)
    u_new = u + mixed - y_new
    np.testing.assert_allclose(z0, y_new - u_new, atol=2e-5)
    if penalty is not None:
        assert not y_new[..., np.isinf(penalty[tile.rows])].any()
    wanted = [np.sum(q**2) for q in (a - y_new, y_new - y, a, y_new, u_new)]
    np.testing.assert_allclose([float(q) for q in terms0], wanted, rtol=1e-4)


@pytest.mark.parametrize("penalty", [None, "infinite"])
def test_admm_rescale(pair, tile, penalty):
    thresholds = np.array([0.1, 0.3, 1.0, 2.0, 50.0], pair.dtype)
    penalty = penalties(penalty)
    v, v0 = pair.random(N, K, H, W)
    z = pair.backend.admm_rescale(
        v,
        tile,
        pair.given(thresholds),
        None if penalty is None else pair.given(penalty),
        0.25,
    )
    t = thresholds[tile.maps].reshape(1, -1, 1, 1) * np.ones((H, W))[tile.rows]
    if penalty is not None:
        t = t * penalty[tile.rows]
    y = soft(tile.of(v0), t)
    u = 0.25 * (tile.of(v0) - y)
    pair.compare(z, y - u)
    tile.of(v0)[...] = y + u
    pair.compare(v, v0)


def test_shrink(pair):
    values, threshold = [-2.0, -0.5, -0.0, 0.0, 0.5, 2.0], pair.given(0.5)
    found = pair.backend.shrink(pair.given(values), threshold)
    pair.compare(found, [-1.5, 0, 0, 0, 0, 1.5])


# ---------------------------------------------------------------------- transforms
@pytest.mark.parametrize("shape", [(7, 6), (8, 9), (7, 10), (1, 1)], ids=str)
def test_real_transforms(xp, dtype, shape):
    """Padding and its inverse, odd and even; read-only input is read only."""
    size = (min(7, shape[0]), min(6, shape[1]))
    values = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(dtype)
    given = xp.asarray(values)
    backend = backend_for(given)
    spectrum = backend.rfft2(given, shape)
    wanted = np.fft.rfft2(values.astype("f8"), s=shape)
    scale = 1e-5 if dtype == "f4" else 1e-13
    np.testing.assert_allclose(xp.to_numpy(spectrum), wanted, atol=10 * scale)
    again = xp.to_numpy(backend.irfft2(spectrum, shape))
    assert again.shape == (2, 3, *shape)
    assert again.dtype == dtype
    np.testing.assert_allclose(again[..., : size[0], : size[1]], values, atol=scale)
    np.testing.assert_array_equal(xp.to_numpy(given), values)


@pytest.mark.parametrize("channels", [1, 3])
def test_products_of_spectra(writable_xp, dtype, channels):
    xp, rng = writable_xp, np.random.default_rng(0)
    kind = np.complex64 if dtype == "f4" else np.complex128

    def spectra(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(kind)

    filters, signal = spectra(5, channels, 4, 3), spectra(2, channels, 4, 3)
    maps, out = spectra(2, 5, 4, 3), spectra(2, channels, 4, 3)
    backend = backend_for(xp.asarray(np.zeros(1, dtype)))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == "f4" else {"rtol": 1e-12}
    found = backend.analyse_spectra(xp.asarray(filters), xp.asarray(signal))
    wanted = np.einsum("kchw,nchw->nkhw", filters.conj(), signal)
    np.testing.assert_allclose(xp.to_numpy(found), wanted, **tolerance)
    total = xp.asarray(out)
    backend.synthesise_spectra(xp.asarray(filters), xp.asarray(maps), total)
    wanted = out + np.einsum("kchw,nkhw->nchw", filters, maps)
    np.testing.assert_allclose(xp.to_numpy(total), wanted, **tolerance)
