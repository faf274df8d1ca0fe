"""Fused kernels and transforms of every backend against their generic statement."""

from __future__ import annotations

import array_api_compat.numpy
import numpy as np
import pytest

from mcsc.backend import Backend, backend_for
from mcsc.backend.base import Piece, Tile
from tests.helpers import soft

GENERIC = Backend(array_api_compat.numpy)
N, K, H, W = 2, 5, 7, 6
# A thread of a GPU moves 4, 2 or 1 numbers, a block several rows; and rows longer than a block.
WIDE = [(1, 5, 3, 300), (2, 3, 2, 257), (3, 11, 70, 64), (1, 70, 9, 34), (1, 2, 1, 1100)]

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

    def sum_of(self, value):
        """A sum as the library's updates return it."""
        if self.xp.name == "cupy":
            import cupy

            from mcsc.backend.cupy_backend import Partial

            return Partial(cupy.asarray([value - 1.0, 0.5]), cupy.asarray([0.5]))
        return value if self.xp.fused else self.given(value)

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
    pair.compare(found[..., :W], wanted)
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
    pair.compare(found[..., :W], wanted)
    pair.compare(x, x0, "x is the last iterate and stays")
    pair.compare(previous, previous0)
    assert float(uphill) == pytest.approx(float(uphill0), rel=1e-5 if g.dtype == "f4" else 1e-12)
    threshold = np.array(THRESHOLDS)[tile.maps].reshape(1, -1, 1, 1)
    new = soft(point + 0.7 * g0, threshold)
    np.testing.assert_allclose(wanted, new, atol=1e-5)
    assert float(uphill0) == pytest.approx(np.sum((point - new) * (new - tile.of(x0))), rel=1e-4)


def test_images_of_a_certificate(pair):
    lam = np.array([0.1, 0.3, 1.0, 2.0, 50.0]).reshape(1, -1, 1, 1)
    a, a0 = pair.random(N, K, H, W)
    given = pair.xp.asarray(lam)
    found = pair.backend.l1_image(a, given)
    assert pair.xp.to_numpy(found).dtype == np.float64
    np.testing.assert_allclose(
        pair.xp.to_numpy(found), (lam * np.abs(a0.astype(float))).sum(1), rtol=1e-13
    )
    # Cropped from a larger array, as the Fourier operator's are.
    values = pair.rng.standard_normal((N, K, H + 3, W + 2))
    g = pair.xp.asarray(values)[..., :H, :W]
    found = pair.xp.to_numpy(pair.backend.ratio_image(g, given))
    np.testing.assert_allclose(found, (np.abs(values[..., :H, :W]) / lam).max(1), rtol=1e-14)
    values[0, 2, 1, 1] = np.nan
    found = pair.xp.to_numpy(pair.backend.ratio_image(pair.xp.asarray(values), given))
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 1, 1]]


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
    pair.compare(z[..., :W], z0)
    pair.compare(v, v0)
    if sums:
        np.testing.assert_allclose(
            pair.backend.to_floats(terms),
            GENERIC.to_floats(terms0),
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
    values, threshold = [-2.0, -0.5, -0.0, 0.0, 0.5, 2.0, np.nan], pair.given(0.5)
    found = pair.backend.shrink(pair.given(values), threshold)
    pair.compare(found, [-1.5, 0, 0, 0, 0, 1.5, np.nan])


def test_shrink_and_unshrink_maps(pair):
    thresholds = np.array(THRESHOLDS, pair.dtype)
    v, v0 = pair.random(N, K, H, W)
    wanted = soft(v0, thresholds.reshape(1, -1, 1, 1))
    for shape in ((H, W), (5, 4)):
        found = pair.backend.shrink_maps(v, pair.given(thresholds), shape)
        pair.compare(found, wanted[..., : shape[0], : shape[1]])
    sparse = pair.given(wanted)
    pair.backend.unshrink_maps(sparse, pair.given(thresholds))
    pair.compare(pair.backend.shrink_maps(sparse, pair.given(thresholds), (H, W)), wanted)
    np.testing.assert_array_equal(pair.xp.to_numpy(sparse) == 0, wanted == 0)


def test_nothing_hides_a_nan(pair):
    """Every update keeps it: the objective is not finite, and the solver stops and says so."""
    thresholds = pair.given([0.3])

    def at(place):
        values = np.ones((1, 1, 2, 3))
        values[0, 0, 1, 1] = np.nan
        given = pair.given(values), pair.given(np.ones((1, 1, 2, 3)))
        return given if place == "codes" else given[::-1]

    tile = Tile(WHOLE, slice(0, 1), WHOLE)
    for place in ("codes", "correlation"):
        x, g = at(place)
        results = {"ista": pair.backend.ista_update(x, g, tile, 0.5, thresholds)}
        x, g = at(place)
        previous = pair.given(np.zeros((1, 1, 2, 3)))
        beta = pair.given(0.4)
        results["fista"], _ = pair.backend.fista_update(x, previous, g, tile, 0.5, thresholds, beta)
        x, g = at(place)
        results["admm"], _ = pair.backend.admm_update(x, g, tile, thresholds, None, 1.8, sums=False)
        for name, found in results.items():
            nan = np.isnan(pair.xp.to_numpy(found))
            assert nan[0, 0, 1, 1], f"{name}, NaN in the {place}"
            assert nan.sum() == 1
    x, _ = at("codes")
    assert np.isnan(pair.xp.to_numpy(pair.backend.shrink_maps(x, thresholds, (2, 3)))).sum() == 1


@pytest.mark.parametrize("shape", WIDE, ids=str)
@pytest.mark.parametrize("margin", [(0, 0), (3, 14), (0, 2)], ids=str)
def test_wide_rows_many_maps_and_what_lies_around_them(pair, shape, margin):
    """On a GPU the whole grid comes back, zero beyond the image; sums are of the image alone."""
    n, k, h, w = shape
    thresholds = np.abs(pair.rng.standard_normal(k)).astype(pair.dtype)
    tile = Tile(WHOLE, slice(1, k), WHOLE)
    grid = pair.rng.standard_normal((n, k - 1, h + margin[0], w + margin[1])).astype(pair.dtype)
    penalty = np.abs(pair.rng.standard_normal((h, w))).astype(pair.dtype)
    penalty[:, -3:] = np.inf
    step, beta = pair.dtype.type(0.7), pair.dtype.type(0.4)
    (x, x0), (previous, p0), (v, v0), (ista, i0) = (pair.random(*shape) for _ in range(4))
    moved = pair.given(thresholds)

    def cropped():
        return pair.given(grid)[..., :h, :w], grid[..., :h, :w].copy()

    g, g0 = cropped()
    results = [(pair.backend.ista_update(ista, g, tile, 0.7, moved), None)]
    wanted = [(GENERIC.ista_update(i0, g0, tile, step, thresholds), None)]
    g, g0 = cropped()
    results.append(pair.backend.fista_update(x, previous, g, tile, 0.7, moved, pair.given(beta)))
    wanted.append(GENERIC.fista_update(x0, p0, g0, tile, step, thresholds, beta))
    for weights, sums in ((None, True), (penalty, True), (penalty, False)):
        g, g0 = cropped()
        given = None if weights is None else pair.given(weights)
        found, terms = pair.backend.admm_update(v, g, tile, moved, given, 1.8, sums=sums)
        results.append((found, pair.backend.to_floats(terms) if sums else None))
        found, terms = GENERIC.admm_update(v0, g0, tile, thresholds, weights, 1.8, sums=sums)
        wanted.append((found, GENERIC.to_floats(terms) if sums else None))
    for (found, sums), (codes, sums0) in zip(results, wanted, strict=True):
        pair.compare(found[..., :h, :w], codes)
        found = pair.xp.to_numpy(found).copy()
        found[..., :h, :w] = 0
        assert not found.any()
        if sums0 is not None:
            tolerance = 1e-4 if pair.dtype == "f4" else 1e-11
            found, terms = np.asarray(sums, float), np.asarray(sums0, float)
            np.testing.assert_allclose(found, terms, rtol=tolerance, atol=tolerance * x0.size)
    for changed, changed0 in ((ista, i0), (x, x0), (previous, p0), (v, v0)):
        pair.compare(changed, changed0)


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
    again = xp.to_numpy(backend.irfft2(spectrum, shape)) / (shape[0] * shape[1])
    assert again.shape == (2, 3, *shape)
    assert again.dtype == dtype
    np.testing.assert_allclose(again[..., : size[0], : size[1]], values, atol=scale)
    np.testing.assert_array_equal(xp.to_numpy(given), values)


# Of a slab: maps, their channels. Kernels hold the sums of four channels at a time.
PIECES = {
    "one channel": [(5, 0, 1)],
    "three groups": [(4, 0, 3), (3, 0, 1), (13, 1, 3)],
    "many channels": [(2, 0, 6), (9, 2, 5)],
}


@pytest.mark.parametrize("case", PIECES)
@pytest.mark.parametrize("size", [(4, 3), (40, 36)], ids=str)
def test_products_of_spectra(writable_xp, dtype, case, size):
    xp, rng = writable_xp, np.random.default_rng(0)
    kind = np.complex64 if dtype == "f4" else np.complex128

    def spectra(*shape):
        shape = (*shape, *size)
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(kind)

    channels = max(stop for _, _, stop in PIECES[case])
    pieces, rows, blocks, first = [], 0, [], 0
    for maps, start, stop in PIECES[case]:
        pieces.append(Piece(slice(first, first + maps), slice(start, stop), rows))
        bank = spectra(maps, stop - start)
        rows, first = rows + maps * (stop - start), first + maps
        wide = np.zeros((maps, channels, *size), kind)
        wide[:, start:stop] = bank
        blocks.append((bank, wide))
    flat = np.concatenate([bank.reshape(-1, *size) for bank, _ in blocks])
    filters = np.concatenate([wide for _, wide in blocks])
    signal, maps, out = spectra(2, channels), spectra(2, first), spectra(2, channels)
    backend = backend_for(xp.asarray(np.zeros(1, dtype)))
    pairs = backend.pairs(xp.asarray(flat), tuple(pieces), channels)
    tolerance = {"rtol": 1e-5, "atol": 3e-5} if dtype == "f4" else {"rtol": 1e-12, "atol": 1e-12}
    found = backend.analyse_spectra(pairs, xp.asarray(signal))
    wanted = np.einsum("kchw,nchw->nkhw", filters.conj(), signal)
    np.testing.assert_allclose(xp.to_numpy(found), wanted, **tolerance)
    wanted = np.einsum("kchw,nkhw->nchw", filters, maps)
    found = backend.synthesise_spectra(pairs, xp.asarray(maps))
    np.testing.assert_allclose(xp.to_numpy(found), wanted, **tolerance)
    total = backend.synthesise_spectra(pairs, xp.asarray(maps), xp.asarray(out))
    np.testing.assert_allclose(xp.to_numpy(total), out + wanted, **tolerance)


@pytest.mark.parametrize("channels", [1, 3])
def test_matrices_of_frequencies(writable_xp, dtype, channels):
    xp, rng = writable_xp, np.random.default_rng(0)
    kind = np.complex64 if dtype == "f4" else np.complex128
    matrices, spectrum = (
        (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(kind)
        for shape in ((channels, channels, 20, 17), (2, channels, 20, 17))
    )
    backend = backend_for(xp.asarray(np.zeros(1, dtype)))
    found = backend.apply_matrices(xp.asarray(matrices), xp.asarray(spectrum))
    wanted = np.einsum("abhw,nbhw->nahw", matrices, spectrum)
    np.testing.assert_allclose(xp.to_numpy(found), wanted, rtol=1e-5, atol=1e-5)


# -------------------------------------------------------------------------- images
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("moving", [False, True])
def test_weighted_residual(pair, weighted, moving):
    """Images are cropped from the operator's grid, signals and weights are not."""
    h, w = 5, 300
    signal, s = pair.random(2, 3, h, w)
    weights, v = pair.random(2, 3, h, w) if weighted else (None, 1.0)
    (image, i), (previous, p) = (pair.random(2, 3, h + 2, w + 4) for _ in range(2))
    cropped = (slice(None), slice(None), slice(h), slice(w))
    image, i, previous, p = (a[cropped] for a in (image, i, previous, p))
    options = (previous, pair.given(0.4)) if moving else ()
    found = pair.backend.weighted_residual(signal, image, weights, *options)
    pair.compare(found, v**2 * (s - i - (0.4 if moving else 0) * (i - p)))


@pytest.mark.parametrize("uphill", [-1.0, 0.0, 2.0])
def test_momentum(pair, uphill):
    t, beta = pair.backend.momentum(pair.sum_of(uphill), pair.given(3.0))
    new = (1 + np.sqrt(37)) / 2
    pair.compare(t, 1.0 if uphill > 0 else new)
    pair.compare(beta, 0.0 if uphill > 0 else 2 / new)
    assert pair.xp.to_numpy(beta).dtype == pair.dtype


def test_conjugate_gradients_by_their_pieces(pair):
    """With a diagonal matrix in place of F, and its inverse: three steps solve for three values."""
    shape, rho = (1, 2, 35, 80), 0.3
    w, w0 = pair.random(*shape)
    w0 = np.where(w0 > -0.5, np.abs(w0), 0).astype(pair.dtype)
    w = pair.given(w0)
    (signal, s), (image, i), (x, x0) = (pair.random(*shape) for _ in range(3))
    f0 = pair.rng.choice([0.5, 1.0, 2.0], shape).astype(pair.dtype)
    f, backend = pair.given(f0), pair.backend
    r = backend.cg_residual(signal, image, w, x, f * backend.cg_weighted(w, x), rho)
    target = w0 * (s - i)
    matrix = rho + w0 * f0 * w0
    pair.compare(r, target - matrix * x0)
    z, rz = backend.cg_precondition(w, r, f * r)
    pair.compare(z, np.where(w0 > 0, f0 * (target - matrix * x0), 0))
    p, weighted = backend.cg_direction(z, w, rz)
    pair.compare(weighted, w0 * pair.xp.to_numpy(p))
    here = pair.xp.to_numpy
    r0, z0, p0 = (here(a).astype("f8") for a in (r, z, p))
    for _ in range(3):
        q, pq = backend.cg_matrix(p, w, f * weighted, rho)
        q0 = matrix * p0
        a0 = (r0 * z0).sum() / (p0 * q0).sum()
        backend.cg_advance(x, r, p, q, rz, pq)
        x0, r0, before = x0 + a0 * p0, r0 - a0 * q0, (r0 * z0).sum()
        last = p, rz
        z, rz = backend.cg_precondition(w, r, f * r)
        p, weighted = backend.cg_direction(z, w, rz, last)
        z0 = np.where(w0 > 0, f0 * r0, 0)
        p0 = z0 + (r0 * z0).sum() / before * p0
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if pair.dtype == "f4" else {"rtol": 1e-10}
    np.testing.assert_allclose(here(x), x0, **tolerance)
    np.testing.assert_allclose(here(p), p0, **tolerance)
    np.testing.assert_allclose(here(weighted), w0 * p0, **tolerance)
