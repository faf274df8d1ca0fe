"""The image as a linear function of the filters, against explicit convolution."""

import numpy as np
import pytest

from mcsc.sparse.active_set import ActiveSet
from mcsc.sparse.filters import FilterLayout
from mcsc.sparse.operator import CodesOperator
from mcsc.sparse.tiles import TileGrid
from tests import helpers


@pytest.fixture(params=["zero", "periodic"])
def coded(request):
    problem = helpers.make_problem(
        shape=(17, 14), channels=(1, 2), samples=2, boundary=request.param, lam=0.8
    )
    codes = helpers.solve(problem, tol=1e-6).codes
    grid = TileGrid(problem.n_samples, problem.shape, problem.dictionary.filter_size, 8)
    active = ActiveSet(problem, grid, problem.dtype)
    active.insert_codes(codes)
    return problem, codes, active


def flat(problem):
    return np.concatenate([g.bank.reshape(-1) for g in problem.dictionary.groups])


def test_image_of_the_dictionary_is_the_model(coded):
    problem, codes, active = coded
    operator = CodesOperator(active, active.table.layout, problem.stacked.shape[1])
    image = active.crop(operator.image(flat(problem)))
    residual = problem.stacked - image
    value = 0.5 * np.sum(residual**2) + active.penalty()
    np.testing.assert_allclose(value, problem.objective(codes), rtol=1e-10)


def test_transpose_is_the_adjoint(coded):
    problem, _, active = coded
    operator = CodesOperator(active, active.table.layout, problem.stacked.shape[1])
    rng = np.random.default_rng(0)
    filters = rng.standard_normal(len(flat(problem)))
    image = active.pad(rng.standard_normal(problem.stacked.shape))
    left = np.sum(active.crop(operator.image(filters)) * active.crop(image))
    weighted = image.copy()
    if problem.boundary == "zero":
        weighted = active.pad(active.crop(image))
    np.testing.assert_allclose(left, filters @ operator.transpose(weighted), rtol=1e-10)


def test_target_layout_uses_its_maps_only(coded):
    problem, codes, active = coded
    common = problem.dictionary.groups[0].maps
    used = np.arange(common.start, common.stop)
    size = problem.dictionary.filter_size
    active.keep(np.isin(active.k, used))
    layout = FilterLayout.of_target(problem.dictionary.n_maps, used, 2, size)
    operator = CodesOperator(active, layout, 2)
    bank = np.random.default_rng(1).standard_normal((len(used), 2, size, size))
    image = active.crop(operator.image(bank.reshape(-1)))
    # The zero-boundary oracle; a periodic image agrees away from its edges.
    expected = np.stack([helpers.convolve(bank, c) for c in codes.common])
    inside = (..., slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(image[inside], expected[inside], atol=1e-10)


def test_result_does_not_depend_on_threads(coded, keep_threads):
    import mcsc

    problem, _, active = coded
    operator = CodesOperator(active, active.table.layout, problem.stacked.shape[1])
    image = active.pad(problem.stacked)
    found = []
    for count in (1, 2):
        mcsc.set_num_threads(count)
        found.append(operator.transpose(image))
    np.testing.assert_array_equal(*found)
