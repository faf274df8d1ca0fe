"""The front door: options that are refused, the choice of a method, memory."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import mcsc
from mcsc.solvers import SOLVERS
from mcsc.solvers.front import Options
from tests.helpers import make_problem, solve


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "newton"}, ValueError, "method must be one of 'auto', .*, found 'newton'"),
        ({"method": None}, ValueError, "method must be one of .* found None"),
        ({"method": ["fista"]}, ValueError, r"method must be one of .* found \['fista'\]"),
        ({"boundary": "mirror"}, ValueError, "boundary must be 'zero' or 'periodic', found 'mir"),
        ({"device": "gpu"}, ValueError, "device must be 'auto', 'cpu' or 'cuda', found 'gpu'"),
        ({"tol": 0}, ValueError, "tol must be a finite number > 0 and < 1, found 0"),
        ({"tol": -1e-3}, ValueError, "tol must be a finite number > 0 and < 1, found -0.001"),
        ({"tol": np.nan}, ValueError, "tol must be a finite number > 0 and < 1, found nan"),
        ({"tol": np.inf}, ValueError, "tol must be a finite number > 0 and < 1, found inf"),
        ({"tol": "1e-4"}, ValueError, "tol must be a finite number > 0 and < 1, found '1e-4'"),
        ({"tol": None}, ValueError, "tol must be a finite number > 0 and < 1, found None"),
        ({"tol": True}, ValueError, "tol must be a finite number > 0 and < 1, found True"),
        ({"max_iter": 0}, ValueError, "max_iter must be a whole number >= 1, found 0"),
        ({"max_iter": 2.0}, ValueError, r"max_iter must be a whole number >= 1, found 2\.0"),
        ({"max_iter": True}, ValueError, "max_iter must be a whole number >= 1, found True"),
        ({"inner_steps": 0}, ValueError, "inner_steps must be a whole number >= 1, found 0"),
        ({"inner_tol": 0.0}, ValueError, r"inner_tol must be between 0 and 1, found 0\.0"),
        ({"inner_tol": 1.0}, ValueError, r"inner_tol must be between 0 and 1, found 1\.0"),
        ({"inner_tol": "small"}, (TypeError, ValueError), "inner_tol must be .*, found 'small'"),
        ({"callback": 3}, TypeError, "callback must be callable, found int"),
        ({"init": 3}, TypeError, "init must be a Result or Codes, found int"),
        ({"init": np.zeros((1, 7, 8, 7))}, TypeError, "init must be a Result or Codes, found nda"),
    ],
    ids=str,
)
def test_refused_options(options, error, message):
    problem = make_problem()
    if not {"method", "boundary"} & set(options):
        options = {"method": "alternating"} | options
    with pytest.raises(error, match=message):
        mcsc.solve(problem.signals, problem.dictionary, problem.lam, **options)


@pytest.mark.parametrize("method", ["auto", *(m for m in SOLVERS if m != "alternating")])
@pytest.mark.parametrize("option", [{"inner_steps": 3}, {"inner_tol": 0.1}], ids=str)
def test_options_of_the_alternation_are_its_own(method, option):
    message = f"^{next(iter(option))} is for method='alternating', not for "
    with pytest.raises(ValueError, match=message):
        solve(make_problem(), method=method, **option)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
@pytest.mark.parametrize("signals", [None, 3.0])
def test_signals_are_checked_whatever_the_device(device, signals):
    with pytest.raises(TypeError, match="signals must be a tuple of arrays"):
        mcsc.solve(signals, make_problem().dictionary, 1.0, device=device)


def test_device_cpu_takes_numpy_as_it_is():
    problem = make_problem()
    assert solve(problem, device="cpu").objective == solve(problem).objective


# ----------------------------------------------------------------------------- auto
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("masks", [None, "binary"])
@pytest.mark.parametrize(
    "library", ["numpy", pytest.param("array_api_strict", marks=pytest.mark.slow)]
)
def test_auto_says_what_it_took_and_why(boundary, masks, library):
    problem = make_problem(boundary=boundary, masks=masks)
    if library == "array_api_strict":
        strict = pytest.importorskip(library)
        given = [strict.asarray(x) for x in problem.signals]
        weights = problem.masks and [w if w is None else strict.asarray(w) for w in problem.masks]
        problem = mcsc.Problem(given, problem.dictionary, problem.lam, weights, boundary)
    result = solve(problem, tol=1e-2)
    assert result.converged
    assert result.method in SOLVERS
    assert f"; method 'auto' took '{result.method}': " in result.message
    assert "auto" not in solve(problem, method=result.method, tol=1e-2).message


@pytest.mark.parametrize("library", ["numpy", "array_api_strict"])
@pytest.mark.parametrize("joint", [False, True])
def test_auto_says_what_is_true_of_the_device(library, joint):
    """The choice without a GPU owes nothing to what is counted for one."""
    problem = make_problem(unique=(2, 2))
    xp = np if library == "numpy" else pytest.importorskip(library)
    groups = (False, True, True) if joint else False
    signals = tuple(xp.asarray(x) for x in problem.signals)
    result = mcsc.solve(signals, problem.dictionary, 1.0, joint=groups, tol=1e-2)
    _, _, why = result.message.partition("; method 'auto' took ")
    wanted = "'working-set': the fastest on a CPU at every lam that was measured"
    if library != "numpy" or joint:
        wanted = "'admm': the first that takes these arrays" + " and joint groups" * joint
    assert why == wanted


class OnGpu:
    """As much of CuPy's backend as the choice of a method looks at."""

    name, xp = "CuPy", np


@pytest.mark.parametrize(
    ("side", "boundary", "masked", "wanted"),
    [
        (48, "periodic", False, "admm"),
        (48, "zero", False, "fista"),
        (48, "periodic", True, "fista"),
        (256, "zero", False, "admm"),
        (256, "periodic", False, "admm"),
    ],
)
def test_on_a_gpu_auto_takes_the_least_of_what_is_counted(side, boundary, masked, wanted):
    """Small images are bound by launches, of which ADMM has a hundred more where it has weights."""
    bank = np.random.default_rng(0).standard_normal((64, 1, 8, 8))
    d = mcsc.Dictionary(common=(bank, bank), unique=(bank, bank))
    signals = (np.ones((side, side), np.float32),) * 2
    masks = (np.eye(side, dtype=np.float32), None) if masked else None
    problem = mcsc.Problem(signals, d, 1.0, masks, boundary)
    problem.__dict__["backend"] = OnGpu()
    chosen, note = Options().solver(problem)
    assert chosen.name == wanted
    other = {"admm": "fista", "fista": "admm"}[wanted]
    assert f"'auto' took '{wanted}': on a GPU the least bytes and launches, by count, " in note
    assert re.search(rf" \('{other}': [1-9]\.\d times it\)$", note)


def test_results_hold_plain_numbers():
    """NumPy's numbers are taken, and JSON can write what comes back; results are told apart."""
    problem = make_problem()
    first, second = (
        solve(problem, tol=np.float32(1e-3), max_iter=np.int64(500), method="fista")
        for _ in range(2)
    )
    assert first.converged is True
    assert json.loads(json.dumps([first.converged, first.iterations, first.gap]))[0] is True
    assert first == first
    assert first != second
    assert len({first, second}) == 2
