"""The scan of all correlations, tile by tile, against the explicit matrix."""

import numpy as np
import pytest

import mcsc
from mcsc.sparse.active_set import ActiveSet
from mcsc.sparse.scan import CorrelationScan
from mcsc.sparse.tiles import TileGrid
from tests.helpers import dense_systems, make_problem

# Relative accuracy of a ratio; `CorrelationScan.ratio` is float32 whatever the precision.
RTOL = {"float64": 2e-7, "float32": 2e-5}

# Height, width, size of the filters, side of the tiles: tiles that the image is no multiple of, an
# even filter, one pixel, one row, one column.
SHAPES = [(11, 9, 3, 4), (13, 26, 4, 4), (1, 1, 1, 4), (1, 17, 1, 4), (19, 1, 1, 4), (8, 8, 8, 8)]


def coefficient_lam(problem):
    """lam that differs within a map, (N, K, H, W) for each group."""
    rng = np.random.default_rng(5)
    grid = (problem.n_samples, *problem.shape)
    return tuple(
        0.1 * (0.5 + rng.random((grid[0], len(g.bank), *grid[1:])))
        for g in problem.dictionary.groups
    )


def wanted(problem, active):
    """Ratios of all coefficients, (N, K, H, W), and the dense values of the active set."""
    maps, (h, w) = problem.dictionary.n_maps, problem.shape
    shape = (problem.n_samples, maps, h, w)
    value = np.zeros(shape)
    value[active.n, active.k, active.i, active.j] = active.value
    ratio, lam = np.empty(shape), np.empty(shape)
    for n, (matrix, target, own) in enumerate(dense_systems(problem)):
        rows = len(problem.stacked[n].ravel())  # those of the squares follow
        matrix, target = matrix[:rows], target[:rows]
        ratio[n] = (matrix.T @ (target - matrix @ value[n].ravel())).reshape(shape[1:])
        lam[n] = own.reshape(shape[1:])
    return ratio / lam, problem.penalty.mu[:, None, None] * value / lam, value


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("masks", [None, "fractional"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("terms", ["plain", "lam", "mu and signs"])
def test_a_scan_finds_what_the_explicit_matrix_says(shape, masks, boundary, dtype, terms):
    h, w, size, side = shape
    options = {"mu": (0.0, 0.4, 0.1), "nonnegative": (True, False, True)}
    common = {
        "channels": (1, 2), "shape": (h, w), "size": size, "samples": 2, "dtype": dtype,
        "masks": masks, "boundary": boundary,
    }  # fmt: skip
    problem = make_problem(lam=0.2, **common, **(options if "signs" in terms else {}))
    if terms == "lam":
        problem = make_problem(lam=coefficient_lam(problem), **common)
    grid = TileGrid(2, (h, w), size, side)
    active = ActiveSet(problem, grid, dtype)
    rng = np.random.default_rng(1)
    maps = problem.dictionary.n_maps
    places = rng.permutation(2 * maps * h * w)[: max(3, h * w)]
    n, k, i, j = np.unravel_index(places, (2, maps, h, w))
    value = 0.1 * rng.standard_normal(len(places))
    value[problem.penalty.nonnegative[k]] = np.abs(value[problem.penalty.nonnegative[k]])
    value[::3] = 0  # active, and zero
    active.insert(n, k, i, j, value)

    cell, most, margin = 3, 2, 0.05
    scan = CorrelationScan(active, cell=cell, most=most)
    scan.update(active, active.residual(), np.arange(grid.count), margin)

    ratio, pull, dense = wanted(problem, active)
    is_active = np.zeros(ratio.shape, dtype=bool)
    is_active[active.n, active.k, active.i, active.j] = True
    signed = problem.penalty.nonnegative[None, :, None, None]
    pulled = np.where(is_active, ratio - pull, ratio)
    size_of = np.where(signed, pulled, np.abs(pulled))
    rtol = RTOL[dtype]
    np.testing.assert_allclose(scan.ratio, np.maximum(size_of, 0).max(axis=1), rtol=rtol, atol=rtol)

    outside = np.where(is_active, 0.0, size_of)
    inside = np.where(dense == 0, size_of - 1, np.abs(pulled - np.sign(dense)))
    inside = np.where(is_active, np.maximum(inside, 0), 0)
    found = []
    for tile in range(grid.count):
        sample, top, left, bottom, right = grid.window(tile)
        part = (sample, slice(None), slice(top, bottom), slice(left, right))
        assert scan.outside[tile] == pytest.approx(
            max(outside[part].max(), 0) - 1, rel=rtol, abs=rtol
        )
        assert scan.inside[tile] == pytest.approx(inside[part].max(), rel=rtol, abs=rtol)
        worst = outside[part].max(axis=0)
        expected = []
        for y in range(0, bottom - top, cell):
            for x in range(0, right - left, cell):
                block = worst[y : y + cell, x : x + cell]
                above = np.sort(block[block > 1 + margin])[::-1][:most]
                expected.extend(above)
        got = outside[scan.candidates[tile]]
        np.testing.assert_allclose(np.sort(got), np.sort(expected), rtol=rtol)
        found.append(len(got))
    assert sum(found) > 0 or h * w < 20


def test_a_scan_of_some_tiles_leaves_the_others_alone():
    problem = make_problem(shape=(16, 16), size=3, lam=0.2)
    grid = TileGrid(1, (16, 16), 3, 4)
    active = ActiveSet(problem, grid, np.float64)
    scan = CorrelationScan(active, cell=4, most=2)
    scan.update(active, active.residual(), np.arange(grid.count), 0.01)
    before = scan.ratio.copy(), scan.outside.copy(), list(scan.candidates)
    scan.update(active, 2 * active.residual(), np.array([3, 9]), 0.01)
    changed = np.flatnonzero(scan.outside != before[1])
    np.testing.assert_array_equal(changed, [3, 9])
    for tile in range(grid.count):
        _, top, left, bottom, right = grid.window(tile)
        part = (0, slice(top, bottom), slice(left, right))
        factor = 2 if tile in (3, 9) else 1
        np.testing.assert_allclose(scan.ratio[part], factor * before[0][part], rtol=1e-6)
        if factor == 1:
            assert scan.candidates[tile] is before[2][tile]


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_the_smallest_images_are_solved(shape, boundary):
    rng = np.random.default_rng(0)
    size = min(shape)
    bank = rng.standard_normal((2, 1, size, size))
    d = mcsc.Dictionary(common=(bank, bank), unique=(bank, bank)).normalise()
    signals = tuple(rng.standard_normal((2, *shape)))
    lam = 0.1 * mcsc.lambda_max(signals, d, boundary=boundary)
    ours = mcsc.solve(signals, d, lam, boundary=boundary, method="working-set", tol=1e-9)
    other = mcsc.solve(signals, d, lam, boundary=boundary, method="fista", tol=1e-9)
    assert ours.converged
    assert ours.objective == pytest.approx(other.objective, rel=1e-8)
