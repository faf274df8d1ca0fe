"""What is the working-set solver's own; `test_methods` and the oracles hold it to the others."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import skimage.data

import mcsc
from mcsc.backend import set_num_threads
from mcsc.images.split import lowpass_split
from mcsc.solvers.working_set import WorkingSet
from mcsc.sparse.active_set import ActiveSet
from mcsc.sparse.tiles import TileGrid
from tests.helpers import explicit_matrix, make_problem, stacked


def photograph(shape, dtype="float32"):
    """High-pass parts of two channels of a photograph: shared and own structure."""
    image = np.asarray(skimage.data.astronaut(), dtype=dtype)[50:, 150:] / 255
    h, w = shape
    red, blue = (lowpass_split(np.ascontiguousarray(image[:h, :w, c])).high for c in (0, 2))
    return red, blue


@pytest.fixture(scope="module")
def natural():
    """A real pair that spans several tiles, of odd size, and a dictionary for it."""
    dictionary = mcsc.dct_dictionary((1, 1), filter_size=6)
    return photograph((83, 101)), dictionary


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("masked", [False, True])
def test_agrees_with_fista_on_a_photograph(natural, boundary, masked):
    signals, dictionary = natural
    signals = tuple(x.astype("float64") for x in signals)
    masks = None
    if masked:
        rng = np.random.default_rng(1)
        masks = ((rng.random((83, 101)) > 0.3).astype("float64"), None)
    lam = 0.3 * mcsc.lambda_max(signals, dictionary, boundary=boundary, masks=masks)
    options = {"boundary": boundary, "masks": masks}
    mine = mcsc.solve(signals, dictionary, lam, method="working-set", tol=1e-7, **options)
    other = mcsc.solve(signals, dictionary, lam, method="fista", tol=1e-3, **options)
    assert mine.converged
    assert mine.codes.nnz > 50
    assert mine.objective <= other.objective * (1 + 1e-7)
    assert mine.objective >= other.dual_bound * (1 - 1e-7)


@pytest.mark.parametrize("tol", [1e-4, 1e-6])
def test_float32_reaches_the_tolerance_by_refining(natural, tol):
    signals, dictionary = natural
    lam = 0.05 * mcsc.lambda_max(signals, dictionary)
    result = mcsc.solve(signals, dictionary, lam, method="working-set", tol=tol)
    assert result.converged
    assert result.gap <= tol
    assert result.codes.dtype == np.float32
    exact = mcsc.Problem(tuple(x.astype("float64") for x in signals), dictionary, lam)
    assert exact.gap(result.codes) <= 1.01 * tol


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_result_does_not_depend_on_the_number_of_threads(natural, boundary, keep_threads):
    signals, dictionary = natural
    lam = 0.05 * mcsc.lambda_max(signals, dictionary)
    results = []
    for threads in (1, 2, 5):
        set_num_threads(threads)
        results.append(
            mcsc.solve(signals, dictionary, lam, boundary=boundary, method="working-set")
        )
    first = results[0]
    for other in results[1:]:
        assert other.iterations == first.iterations
        np.testing.assert_allclose(stacked(other.codes), stacked(first.codes), atol=1e-6)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_nearly_all_coefficients_active(boundary):
    rng = np.random.default_rng(0)
    bank = 0.05 * rng.standard_normal((1, 1, 5, 5))
    bank[0, 0, 2, 2] = 1.0  # close to the identity: every pixel needs its own coefficient
    dictionary = mcsc.Dictionary(unique=(bank,))
    x = rng.standard_normal((70, 33))
    options = {"lam": 1e-3, "boundary": boundary, "tol": 1e-6}
    mine = mcsc.solve((x,), dictionary, method="working-set", **options)
    assert mine.codes.nnz > 0.95 * mine.codes.size
    other = mcsc.solve((x,), dictionary, method="fista", **options)
    assert mine.objective == pytest.approx(other.objective, rel=2e-6)


def test_a_tiny_lam_terminates(natural):
    (x, y), dictionary = natural
    x, y = x[:24, :24].copy(), y[:24, :24].copy()
    lam = 1e-3 * mcsc.lambda_max((x, y), dictionary)
    result = mcsc.solve((x, y), dictionary, lam, method="working-set", tol=1e-2)
    assert result.converged


def test_no_known_pixel_gives_zero_codes():
    problem = make_problem(masks="binary")
    masks = tuple(np.zeros_like(x) for x in problem.signals)
    result = mcsc.solve(
        problem.signals, problem.dictionary, problem.lam, masks=masks, method="working-set"
    )
    assert result.converged
    assert result.codes.nnz == 0
    assert result.objective == 0.0


def test_pixels_without_weight_carry_no_codes():
    problem = make_problem(shape=(30, 30), channels=(1,), common=0, unique=(3,), lam=0.1)
    mask = np.ones((30, 30))
    mask[:, 15:] = 0
    result = mcsc.solve(
        problem.signals, problem.dictionary, 0.1, masks=(mask,), method="working-set", tol=1e-8
    )
    columns = np.nonzero(result.codes.unique[0])[3]
    assert columns.max() <= 15  # a 3 x 3 filter reaches one pixel


def test_stopping_early_leaves_a_certified_point(natural):
    signals, dictionary = natural
    lam = 0.02 * mcsc.lambda_max(signals, dictionary)
    with pytest.warns(mcsc.ConvergenceWarning, match="stopped by the callback"):
        result = mcsc.solve(
            signals,
            dictionary,
            lam,
            method="working-set",
            tol=1e-6,
            callback=lambda progress: progress.iteration > 0,
        )
    problem = mcsc.Problem(signals, dictionary, lam)
    assert not result.converged
    assert result.iterations > 0
    assert problem.objective(result.codes) == pytest.approx(result.objective, rel=1e-9)
    best = mcsc.solve(signals, dictionary, lam, method="working-set", tol=1e-6)
    assert result.objective * result.gap >= result.objective - best.objective > 0


def test_warm_start_saves_work(natural):
    signals, dictionary = natural
    top = mcsc.lambda_max(signals, dictionary)
    near = mcsc.solve(signals, dictionary, 0.021 * top, method="working-set")
    cold = mcsc.solve(signals, dictionary, 0.02 * top, method="working-set")
    warm = mcsc.solve(signals, dictionary, 0.02 * top, method="working-set", init=near)
    assert warm.iterations < cold.iterations
    assert warm.objective == pytest.approx(cold.objective, rel=2e-4)


def test_memory_does_not_hold_the_maps():
    x = np.zeros((1024, 1024), dtype="float32")
    x[::7, ::5] = 1.0
    dictionary = mcsc.dct_dictionary((1, 1), filter_size=8)
    problem = mcsc.Problem((x, x), dictionary, 0.1)
    dense = 4 * dictionary.n_maps * x.size
    assert problem.memory_estimate("working-set") < dense / 2
    assert problem.memory_estimate("fista") > 2 * dense


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("size", [3, 4, 8])
def test_sparse_operators_against_the_explicit_matrix(boundary, size):
    problem = make_problem(
        shape=(11, 9), size=size, channels=(1, 2), boundary=boundary, masks="fractional"
    )
    grid = TileGrid(1, problem.shape, size, side=4)
    active = ActiveSet(problem, grid, np.float64)
    maps = problem.dictionary.n_maps
    rng = np.random.default_rng(3)
    every = rng.permutation(maps * 99)[: maps * 40]
    k, i, j = np.unravel_index(every, (maps, 11, 9))
    values = rng.standard_normal(len(every))
    active.insert(np.zeros_like(k), k, i, j, values)
    codes = np.zeros((maps, 11, 9))
    codes[k, i, j] = values
    matrix = explicit_matrix(problem.dictionary, problem.shape, boundary)
    image = active.crop(active.synthesise(active.value, np.zeros_like(active.signal)))
    np.testing.assert_allclose(image.ravel(), matrix @ codes.ravel(), atol=1e-12)
    weights = problem.weights.ravel()
    assert np.any((weights > 0) & (weights < 1))
    wanted = matrix.T @ (weights**2 * (problem.stacked.ravel() - matrix @ codes.ravel()))
    got = active.correlate(active.residual())
    at = active.k * 99 + active.i * 9 + active.j
    np.testing.assert_allclose(got, wanted[at], atol=1e-12)
    curvature = ((weights[:, None] * matrix) ** 2).sum(axis=0)
    np.testing.assert_allclose(active.curvature, curvature[at], rtol=1e-12)
    # A sweep keeps the residual up, and descends.
    residual = active.residual()
    before = 0.5 * float((residual**2 * active.weights).sum()) + active.penalty()
    active.descend(residual, 2)
    np.testing.assert_allclose(active.crop(residual), active.crop(active.residual()), atol=1e-10)
    after = active.crop(residual)
    weighted = active.crop(active.weighted(residual))
    assert 0.5 * float((after * weighted).sum()) + active.penalty() < before


@pytest.mark.parametrize("shape", [(40, 40), (130, 70), (64, 200)])
@pytest.mark.parametrize("size", [3, 12])
def test_tiles_of_one_colour_share_no_pixel(shape, size):
    grid = TileGrid(2, shape, size, side=16)
    covered = np.zeros((2, *shape), dtype=int)
    for colour in grid.colours:
        touched = np.zeros((2, *shape), dtype=int)
        for tile in colour:
            n, top, left, bottom, right = grid.window(int(tile))
            covered[n, top:bottom, left:right] += 1
            rows = np.arange(top, bottom + size - 1) % shape[0]
            cols = np.arange(left, right + size - 1) % shape[1]
            if len(rows) <= shape[0] and len(cols) <= shape[1]:
                touched[n][np.ix_(rows, cols)] += 1
        assert touched.max() <= 1
    assert (covered == 1).all()


def test_neighbours_cross_the_edges():
    grid = TileGrid(1, (64, 96), 3, side=16)
    assert (grid.rows, grid.cols) == (4, 6)
    around = grid.with_neighbours(np.array([0]))
    assert set(around) == {0, 1, 5, 6, 7, 11, 18, 19, 23}


def test_estimate_is_close_to_the_certificate(natural):
    signals, dictionary = natural
    problem = mcsc.Problem(signals, dictionary, 0.05 * mcsc.lambda_max(signals, dictionary))
    solver = WorkingSet(problem, None)
    for _ in range(4):
        solver.step()
    gap = solver.evaluate(problem.certificate()).gap
    assert solver.estimate == pytest.approx(gap, rel=1e-2)


@pytest.mark.slow
def test_kernels_come_from_the_disk_the_second_time(tmp_path):
    """A closure that Numba cannot recognise again would be compiled anew by every process."""
    script = (
        "import numpy as np, mcsc\n"
        "from mcsc.backend import sparse_kernels\n"
        "from mcsc.sparse import band_kernels, scan_kernels\n"
        "d = mcsc.dct_dictionary((1,), filter_size=3)\n"
        "x = np.random.default_rng(0).standard_normal((9, 9))\n"
        "mcsc.solve((x,), d, 0.5, method='working-set')\n"
        "found = [sparse_kernels.measure, sparse_kernels.correlate, scan_kernels.look]\n"
        "found += [band_kernels.descend, band_kernels.add, band_kernels.conjugate_gradients]\n"
        "print(sum(sum(kernel.stats.cache_misses.values()) for kernel in found))\n"
    )
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    misses = [
        int(
            subprocess.run(
                [sys.executable, "-c", script], env=environment, capture_output=True, check=True
            ).stdout
        )
        for _ in range(2)
    ]
    assert misses[0] > 0
    assert misses[1] == 0
