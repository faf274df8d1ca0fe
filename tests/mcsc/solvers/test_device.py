"""``device="cuda"`` with NumPy signals: moved once, the nonzeros come back, any start is taken.

Without a GPU the library of the array API standard stands in for CuPy: it refuses to be mixed.
"""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.model import sparse_maps
from mcsc.solvers import front
from tests.conftest import CUPY
from tests.helpers import Library, make_problem, solve

OPTIONS = {"device": "cuda", "method": "fista"}


@pytest.fixture(params=["array_api_strict", CUPY])
def cuda(request, monkeypatch):
    """The library on the other side, and a list of the shapes that were moved there."""
    library = Library(request.param)
    moves = []
    if request.param != "cupy":
        pytest.importorskip("array_api_strict")
        own = type(library.asarray([0.0]))

        def move(array):
            moves.append(array.shape)
            return array if isinstance(array, own) else library.asarray(array)

        monkeypatch.setattr(front, "move_to_cuda", move)
    return library, moves


@pytest.fixture
def brought(monkeypatch):
    """Shapes of the arrays that leave a library for NumPy."""
    shapes = []
    plain = sparse_maps.to_numpy

    def record(array):
        shapes.append(array.shape)
        return plain(array)

    monkeypatch.setattr(sparse_maps, "to_numpy", record)
    return shapes


@pytest.fixture(scope="module")
def problem():
    return make_problem(shape=(7, 6), masks="fractional", lam=0.5)


def arguments(problem):
    return (problem.signals, problem.dictionary, problem.lam), {"masks": problem.masks} | OPTIONS


def test_the_result_is_that_of_the_cpu_in_numpy(problem, cuda, brought):
    _, moves = cuda
    given, options = arguments(problem)
    result = mcsc.solve(*given, **options)
    found = (result.codes.common, *result.codes.unique)
    assert all(isinstance(maps, np.ndarray) for maps in found)
    assert result.objective == pytest.approx(solve(problem, method="fista").objective, rel=1e-9)
    assert moves in ([], [x.shape for x in (*problem.signals, *problem.masks)])
    assert len(brought) in (0, 6)  # indices and values of three groups; in CuPy's case elsewhere
    assert sum(np.prod(shape) for shape in brought) in (0, 2 * result.codes.nnz)


@pytest.mark.parametrize("side", ["host", "device"])
@pytest.mark.parametrize("form", ["codes", "result"])
def test_a_start_from_either_side(problem, cuda, side, form):
    library, _ = cuda
    given, options = arguments(problem)
    first = mcsc.solve(*given, **options)
    if side == "device":
        like = library.asarray([0.0])
        first = front.replace(first, codes=first.codes.to(like))
        assert library.owns(first.codes.sparse_common.value)
    start = first if form == "result" else first.codes
    for where in ("cuda", "auto"):
        again = mcsc.solve(*given, **(options | {"device": where}), init=start)
        assert again.iterations == 0
        assert isinstance(again.codes.common, np.ndarray)


def test_a_path(problem, cuda):
    _, moves = cuda
    (signals, dictionary, lam), options = arguments(problem)
    lams = [1.5 * lam, lam]
    results = mcsc.solve_path(signals, dictionary, lams, **options)
    assert [isinstance(r.codes.common, np.ndarray) for r in results] == [True, True]
    assert len(moves) in (0, 4)  # two signals with their masks, once
    alone = mcsc.solve_path(signals, dictionary, lams, **(options | {"device": "cpu"}))
    for one, other in zip(results, alone, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-4)
    further = mcsc.solve_path(signals, dictionary, [lam], init=results[-1], **options)
    assert further[0].iterations == 0


def test_discrepancy(problem, cuda):
    (signals, dictionary, _), options = arguments(problem)
    found = mcsc.solve_discrepancy(signals, dictionary, 0.7, **options)
    assert found.reached
    assert isinstance(found.result.codes.common, np.ndarray)
    assert found.residual == pytest.approx(0.7, rel=0.011)


def test_what_is_moved_is_refused_as_ever(problem, cuda):
    (signals, dictionary, lam), options = arguments(problem)
    with pytest.raises(TypeError, match="init must be a Result or Codes, found ndarray"):
        mcsc.solve(signals, dictionary, lam, init=np.zeros(3), **options)
    other = mcsc.Codes.from_dense(np.ones((1, 3, 5, 5)), (np.ones((1, 2, 5, 5)),) * 2)
    with pytest.raises(ValueError, match=r"codes lie on a grid .N, H, W. = .1, 5, 5., the signals"):
        mcsc.solve(signals, dictionary, lam, init=other, **options)
    with pytest.raises(ValueError, match="'working-set' works on NumPy arrays, and these are"):
        mcsc.solve(signals, dictionary, lam, **(options | {"method": "working-set"}))


@pytest.fixture
def second():
    """The second of several devices, while the first is the current one."""
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device; the emulator has more with EMULATOR_DEVICES=2")
    return cupy, cupy.cuda.Device(1)


def on(place, arrays):
    cupy, device = place
    with device:
        return tuple(cupy.asarray(a) for a in arrays)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["fista", "admm", "alternating"])
def test_arrays_of_a_device_that_is_not_the_current_one(problem, second, method):
    cupy, device = second
    signals, masks = on(second, problem.signals), on(second, problem.masks)
    options = {"masks": masks, "method": method, "tol": 1e-6}
    result = mcsc.solve(signals, problem.dictionary, problem.lam, **options)
    wanted = solve(problem, method=method, tol=1e-6)
    assert result.objective == pytest.approx(wanted.objective, rel=1e-5)
    parts = mcsc.reconstruct(result.codes, problem.dictionary)
    maps = (result.codes.common, result.codes.coordinates()[0].row, parts.image)
    assert all(array.device == device for array in maps)
    moved = mcsc.Problem(signals, problem.dictionary, problem.lam, masks)
    assert moved.lambda_max() == pytest.approx(problem.lambda_max())
    assert moved.objective(result.codes) == pytest.approx(result.objective)
    assert moved.gap(result.codes) <= 1e-6
    assert moved.gradient(result.codes)[0].device == device
    # A start lies on another device, or on none.
    for start in (result.codes.to(np.zeros(0)), result.codes.to(cupy.zeros(1))):
        options = {"masks": masks, "method": method, "tol": 1e-4, "init": start}
        again = mcsc.solve(signals, problem.dictionary, problem.lam, **options)
        assert (again.iterations, again.codes.common.device) == (0, device)
    assert cupy.cuda.Device().id == 0


@pytest.mark.gpu
def test_devices_are_not_mixed(problem, second):
    cupy, _ = second
    x, y = problem.signals
    with pytest.raises(ValueError, match=r"different devices were mixed \(cuda:0, cuda:1\): move"):
        mcsc.solve((cupy.asarray(x), *on(second, [y])), problem.dictionary, problem.lam)
