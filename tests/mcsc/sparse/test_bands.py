"""Bands of tiles on several threads: the results of one thread, to the last digit."""

import os
import subprocess
import sys

import numpy as np
import pytest

import mcsc
from mcsc.sparse import bands
from mcsc.sparse.active_set import ActiveSet
from mcsc.sparse.bands import Bands
from mcsc.sparse.tiles import TileGrid
from tests import helpers

SHAPE, SIZE = (33, 26), 3


@pytest.fixture
def threads(monkeypatch):
    """Set the number of threads, each worth having for one coefficient."""
    before = mcsc.get_num_threads()
    monkeypatch.setattr(bands, "_WORTH_A_THREAD", 1)
    yield mcsc.set_num_threads
    mcsc.set_num_threads(before)


def active_set(boundary, masks=None, side=4):
    problem = helpers.make_problem(
        shape=SHAPE, size=SIZE, channels=(1, 2), samples=2, boundary=boundary, masks=masks, lam=0.3
    )
    grid = TileGrid(2, SHAPE, SIZE, side)
    active = ActiveSet(problem, grid, np.float64)
    rng = np.random.default_rng(0)
    shape = (2, problem.dictionary.n_maps, *SHAPE)
    n, k, i, j = np.unravel_index(rng.permutation(int(np.prod(shape)))[:2000], shape)
    active.insert(n, k, i, j, rng.standard_normal(len(n)))
    return active


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("patience", [1, 100_000])
def test_results_do_not_depend_on_the_number_of_bands(boundary, patience, threads, monkeypatch):
    monkeypatch.setattr(bands, "_PATIENCE", patience)  # with 1, bands are left and taken up again
    found = []
    for count in (1, 2, 3, 7):
        threads(count)
        active = active_set(boundary, "fractional")
        assert active.bands.count == count
        residual = active.residual()
        worst = active.descend(residual, 2, 4, 0.05)
        right = active.correlate(residual)
        image = np.full_like(residual, np.nan)
        step = active.solve(right, 1 / active.curvature, 10, 0.0, image)
        found.append((residual, active.value, np.array(worst), step))
    for other in found[1:]:
        for one, many in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, many)


def objective(active, residual):
    r = active.crop(residual)
    return 0.5 * float(np.vdot(r, active.crop(active.weighted(residual)))) + active.penalty()


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_what_hardly_moves_is_passed_over(boundary):
    """With calm > 0 a second sweep changes some coefficients only, and still gains."""
    fallen, changed = [], []
    for sweeps, calm in ((1, 0.0), (2, 0.3), (2, 0.0)):
        active = active_set(boundary, "fractional", side=64)  # one tile a sample
        residual = active.residual()
        before = objective(active, residual)
        active.descend(residual, sweeps, 1, calm)
        np.testing.assert_allclose(
            active.crop(residual), active.crop(active.residual()), atol=1e-10
        )
        fallen.append(before - objective(active, residual))
        changed.append(active.value.copy())
    one, some, every = changed
    assert 0 < np.mean(some != one) < 0.9 * np.mean(every != one)
    assert 0 < fallen[0] < fallen[1] < fallen[2]


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("some", [False, True])
def test_conjugate_gradients_solve_the_normal_equations(boundary, some, threads):
    threads(3)
    active = active_set(boundary, "fractional")
    active.keep(np.arange(active.size) % 20 == 0)
    if some:
        active = active.subset(np.arange(5, 9))
    mu = np.linspace(0.1, 0.5, len(active.mu))
    active.mu = mu
    free = np.arange(active.size) % 3 > 0
    columns = [active.synthesise(row, np.zeros_like(active.signal)) for row in np.eye(active.size)]
    matrix = np.array([active.correlate(column) for column in columns]) + np.diag(mu[active.k])
    right = np.where(free, np.linspace(-1, 1, active.size), 0)
    scale = np.where(free, 1 / (active.curvature + mu[active.k]), 0)
    image = np.full_like(active.signal, 7.0)
    x = active.solve(right, scale, 500, 1e-13, image)
    assert not x[~free].any()
    # It ends at 1e-8 of the first residual's energy.
    wanted = np.linalg.solve(matrix[free][:, free], right[free])
    np.testing.assert_allclose(x[free], wanted, atol=1e-4)
    goal = 0.3 * np.max(np.abs(right) / active.lam)
    few = active.solve(right, scale, 500, goal, image)
    assert np.max(np.abs(right - matrix @ few)[free] / active.lam[free]) <= goal * (1 + 1e-12)
    # It ended there, but where so few coefficients of some tiles hardly meet.
    assert some or np.max(np.abs(few[free] - wanted)) > 1e-4
    assert not active.solve(right, scale, 500, 1e6, image).any()


def test_bands_share_the_work_and_put_first_what_others_wait_for(threads):
    threads(4)
    grid = TileGrid(1, (64, 64), 3, side=8)
    sizes = np.arange(grid.count)
    seen = []

    def work(band, begin, end, order, neighbours, colour, state, done, patience):
        seen.append((band, order[begin:end]))
        return True

    Bands(grid, np.arange(grid.count), sizes).run(work)
    parts = [tiles for _, tiles in sorted(seen, key=lambda s: s[0])]
    assert sorted(np.concatenate(parts)) == list(range(grid.count))
    shares = [sizes[tiles].sum() / sizes.sum() for tiles in parts]
    assert max(shares) < 0.28
    for tiles in parts:
        alone = np.isin(grid.neighbours[tiles], tiles).all(axis=1)
        for c in range(4):
            ordered = alone[grid.colour[tiles] == c]
            assert list(ordered) == sorted(ordered)


def test_an_error_in_one_band_ends_the_others(threads):
    threads(2)
    grid = TileGrid(1, (64, 64), 3, side=8)

    def work(band, *_):
        if band == 0:
            raise ValueError("of band 0")
        return False  # it waits for band 0

    with pytest.raises(ValueError, match="of band 0"):
        Bands(grid, np.arange(grid.count), np.ones(grid.count)).run(work)


def test_the_blas_that_kernels_call_is_kept_to_one_thread():
    """It is loaded with them, which may be after the limits were looked up for the first time."""
    script = (
        "import mcsc\n"
        "from mcsc.backend.threads import single_threaded_blas\n"
        "with single_threaded_blas():\n"
        "    pass\n"
        "import mcsc.sparse.scan_kernels\n"
        "from threadpoolctl import threadpool_info\n"
        "with single_threaded_blas():\n"
        "    found = [i['num_threads'] for i in threadpool_info() if i['user_api'] == 'blas']\n"
        "print(len(found), max(found))\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        capture_output=True,
        check=True,
    )
    libraries, threads = map(int, done.stdout.split())
    assert libraries >= 1
    assert threads == 1
