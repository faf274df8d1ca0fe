"""Peaks on a GPU: products in float32 whose maps are never written; the result is float64's."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.model.peaks import PatchPeaks, SweepPeaks, TilePeaks
from tests.helpers import make_problem

pytestmark = pytest.mark.gpu

# Of several tiles with narrow ones; smaller than a tile; filters as large as the image; no more
# than fours of maps; more maps than a block has threads, channels that start elsewhere.
CASES = {
    "tiles": {"shape": (45, 70), "size": 5, "samples": 2},
    "small": {"shape": (8, 7), "size": 3, "channels": (1, 2), "common": 5, "samples": 3},
    "largest filters": {"shape": (12, 40), "size": 11, "common": 2, "unique": (0, 1)},
    "all of the image": {"shape": (6, 6), "size": 6, "common": 0, "unique": (4, 3)},
    "points": {"shape": (33, 32), "size": 1, "channels": (1,), "common": 0, "unique": 7},
    "many maps": {"shape": (9, 34), "size": 2, "channels": (3, 1), "common": 130, "unique": 70},
}
IMAGES = {
    "noise": lambda x: x,
    "tiny": lambda x: 1e-33 * x,
    "huge": lambda x: 1e120 * x,
    "a far point": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 20, 1e7, 1e-3 * x),
    "flat": np.ones_like,
    "zero": np.zeros_like,
    "one sample zero": lambda x: x * (np.arange(len(x)) > 0).reshape(-1, 1, 1, 1),
}


def on_gpu(problem, lam=None):
    import cupy

    signals = tuple(cupy.asarray(x) for x in problem.signals)
    lam = problem.lam if lam is None else lam
    return mcsc.Problem(signals, problem.dictionary, lam, boundary=problem.boundary)


def peaks_of(problem):
    return PatchPeaks(problem.dictionary.groups, problem.boundary, problem.penalty)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", IMAGES)
def test_largest_ratios_are_those_of_the_cpu(case, boundary, kind):
    import cupy

    given = make_problem(boundary=boundary, **CASES[case])
    lam = np.random.default_rng(3).uniform(0.1, 1.0, given.dictionary.n_maps)
    problem = on_gpu(given, lam)
    given = mcsc.Problem(given.signals, given.dictionary, lam, boundary=boundary)
    assert problem.certifies_by_patches
    image = IMAGES[kind](given.stacked)
    found = peaks_of(problem).look(cupy.asarray(image))
    d = given.dictionary
    wanted = TilePeaks(d.groups, given.shape, boundary, given.backend, given.penalty).look(image)
    np.testing.assert_allclose(found.largest, wanted.largest, rtol=1e-11)
    np.testing.assert_array_equal(found.excess, 0)
    sweeps = SweepPeaks(problem.exact_operator, problem.penalty, problem.backend)
    cells = sweeps.look(cupy.asarray(image)).cells
    np.testing.assert_allclose(found.cells, cells, rtol=1e-4, atol=1e-5 * cells.max())


def without_bound(monkeypatch):
    """As if products in float32 were exact."""
    from mcsc.backend.cuda import peaks as cuda_peaks

    launch = cuda_peaks.launch

    def launch_without(name, dtype, grid, block, arguments, *rest):
        if name == "rough_peaks":
            arguments = (*arguments[:-2], np.float64(0), np.float64(0))
        launch(name, dtype, grid, block, arguments, *rest)

    monkeypatch.setattr(cuda_peaks, "launch", launch_without)


def test_rounding_in_float32_does_not_decide(monkeypatch):
    """Among places whose ratios are as good as equal; without the bound a wrong one is taken."""
    import cupy

    given = make_problem(shape=(40, 40), size=4, samples=6, boundary="periodic")
    image = 1 + 1e-7 * given.stacked
    d = given.dictionary
    looker = TilePeaks(d.groups, given.shape, "periodic", given.backend, given.penalty)
    wanted = looker.look(image).largest
    peaks = peaks_of(on_gpu(given))
    np.testing.assert_allclose(peaks.look(cupy.asarray(image)).largest, wanted, rtol=1e-12)
    without_bound(monkeypatch)
    assert np.any(peaks.look(cupy.asarray(image)).largest < wanted * (1 - 1e-10))


def test_filters_without_a_mean_do_not_see_a_large_one():
    """All correlations are smaller than the bound on rounding, and computed in float64."""
    import cupy

    given = make_problem(shape=(40, 40), size=4, boundary="periodic")
    d = mcsc.dct_dictionary((1, 1), 4, 3)
    problem = on_gpu(mcsc.Problem(given.signals, d, 0.1, boundary="periodic"))
    image = cupy.asarray(1e9 + given.stacked)
    found = peaks_of(problem).look(image)
    wanted = SweepPeaks(problem.exact_operator, problem.penalty, problem.backend).look(image)
    np.testing.assert_allclose(found.largest, wanted.largest, rtol=1e-4)  # float64's own rounding
    np.testing.assert_allclose(found.cells, wanted.cells, rtol=1e-4)


def test_no_map_is_written():
    """A look takes two images of memory, and no array of the size of the codes."""
    import cupy

    problem = on_gpu(make_problem(shape=(64, 60), size=8, common=12, unique=12))
    image = problem.stacked
    peaks = peaks_of(problem)
    peaks.look(image)  # compiles, moves the filters
    sizes = []

    class Sizes(cupy.cuda.MemoryHook):
        name = "Sizes"

        def malloc_postprocess(self, **given):
            sizes.append(given["size"])

    with Sizes():
        peaks.look(image)
    assert sum(sizes) <= PatchPeaks.memory(1, problem.shape)
    assert sum(sizes) < problem.dictionary.n_maps * 64 * 60


def test_what_overflows_is_not_finite():
    import cupy

    problem = on_gpu(make_problem(shape=(40, 33), samples=2))
    for wrong in (np.inf, np.nan):
        image = cupy.asnumpy(problem.stacked)
        image[1, 0, 35, 30:33] = wrong
        found = peaks_of(problem).look(cupy.asarray(image)).largest
        assert np.isfinite(found[0])
        assert not np.isfinite(found[1])


def test_other_penalties_and_filters_are_swept():
    assert not on_gpu(make_problem(shape=(40, 40), size=12)).certifies_by_patches
    assert not on_gpu(make_problem(channels=(9, 1), shape=(40, 40), size=8)).certifies_by_patches
    given = make_problem()
    for terms in ({"mu": 0.1}, {"nonnegative": True}):
        problem = on_gpu(given)
        problem = mcsc.Problem(problem.signals, problem.dictionary, 0.1, **terms)
        assert not problem.certifies_by_patches


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bounds_are_those_of_sweeps_in_float64(boundary, dtype, monkeypatch):
    import cupy

    given = make_problem(
        shape=(20, 40), size=5, samples=2, masks="fractional", boundary=boundary, dtype=dtype
    )
    signals, masks = (tuple(cupy.asarray(x) for x in a) for a in (given.signals, given.masks))
    problem = mcsc.Problem(signals, given.dictionary, given.lam, masks, boundary)
    rng = np.random.default_rng(5)
    shape = (2, given.dictionary.n_maps, 20, 40)
    points = [np.zeros(shape), 0.05 * rng.standard_normal(shape), 3.0 * rng.standard_normal(shape)]
    solution = mcsc.solve(
        signals, given.dictionary, given.lam, masks=masks, boundary=boundary, tol=1e-2
    )
    points.append(cupy.asnumpy(solution.codes.stacked(given.dictionary)))
    certificate = problem.certificate()
    found = [certificate.evaluate(cupy.asarray(p.astype(dtype))) for p in points]
    monkeypatch.setattr(PatchPeaks, "takes", lambda *_: False)
    swept = problem.certificate()
    wanted = [swept.evaluate(cupy.asarray(p.astype(dtype))) for p in points]
    for one, other in zip(found, wanted, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-12)
        assert one.dual == pytest.approx(other.dual, rel=1e-5, abs=1e-9 * other.objective)
    assert found[-1].gap <= 1e-2
