"""Stopping: by the gap, the iterations, the callback, Ctrl-C; and what is said then."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import mcsc
from mcsc.solvers import SOLVERS
from tests.helpers import make_problem, solve, solve_unconverged

TIGHT = {"tol": 1e-15, "max_iter": 10**9}


@pytest.fixture(params=SOLVERS)
def method(request):
    return request.param


@pytest.fixture(scope="module")
def problem():
    """Far from solved after a few evaluations, by any method."""
    return make_problem(lam=0.02, shape=(12, 11), common=4, unique=4)


@functools.cache
def reference(problem):
    return solve_unconverged(problem, method="fista", tol=1e-6).objective


def assert_valid(problem, result, why):
    """What there is, with a certificate that holds."""
    assert not result.converged
    assert why in result.message
    assert result.gap > 1e-15
    assert result.history.iteration[-1] == result.iterations
    assert problem.objective(result.codes) == pytest.approx(result.objective, rel=1e-12)
    assert problem.gap(result.codes) >= result.gap - 1e-12
    assert result.dual_bound <= reference(problem)


def stop_at(evaluation, how):
    """A callback that does something at an evaluation."""
    count = iter(range(10**6))

    def callback(progress):
        return how() if next(count) == evaluation else None

    return callback


def raises(error):
    def callback():
        raise error

    return callback


# ----------------------------------------------------------------------- ordinary ends
def test_converged_says_so(problem, method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = solve(make_problem(), method=method, tol=1e-3)
    assert result.converged
    assert result.gap <= 1e-3
    assert result.message.startswith("converged: certified relative gap ")
    assert result.message.endswith("<= tol = 0.001")
    assert 0 < result.seconds < 60


@pytest.mark.parametrize("count", [1, 3])
def test_max_iter(problem, method, count):
    message = rf"^{method} not converged \(reached max_iter = {count}\): certified relative gap .*"
    with pytest.warns(mcsc.ConvergenceWarning, match=message) as record:
        result = solve(problem, method=method, tol=1e-15, max_iter=count)
    assert len(record) == 1
    assert result.iterations == count
    assert_valid(problem, result, f"reached max_iter = {count}")


def test_the_warning_points_at_the_caller(problem):
    with pytest.warns(mcsc.ConvergenceWarning) as record:
        mcsc.solve(problem.signals, problem.dictionary, problem.lam, max_iter=1, method="ista")
    assert record[0].filename == __file__


def test_max_iter_between_two_evaluations(problem):
    result = solve_unconverged(problem, method="fista", tol=1e-15, max_iter=33)
    assert result.history.iteration == [0, 25, 33]


# --------------------------------------------------------------------------- callback
@pytest.mark.parametrize("evaluation", [0, 2])
@pytest.mark.parametrize("stop", [lambda: True, lambda: "yes", raises(StopIteration)])
def test_callback_stops(problem, method, evaluation, stop):
    with pytest.warns(mcsc.ConvergenceWarning, match=r"\(stopped by the callback\)"):
        result = solve(problem, method=method, callback=stop_at(evaluation, stop), **TIGHT)
    assert len(result.history.iteration) == evaluation + 1
    assert_valid(problem, result, "stopped by the callback")


@pytest.mark.parametrize("answer", [None, False, 0, ""])
def test_callback_that_does_not_stop(answer):
    result = solve(make_problem(), method="fista", callback=lambda progress: answer)
    assert result.converged


def test_callback_sees_progress(method):
    seen = []
    result = solve(make_problem(), method=method, callback=seen.append)
    assert all(isinstance(p, mcsc.Progress) for p in seen)
    assert [p.iteration for p in seen] == result.history.iteration
    assert seen[-1].gap <= 1e-4


def test_callback_that_stops_a_converged_solver_takes_nothing_from_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = solve(make_problem(), callback=lambda progress: progress.gap <= 1e-4, tol=1e-4)
    assert result.converged


def test_other_exceptions_are_the_caller_s(problem, method):
    with pytest.raises(ZeroDivisionError):
        solve(problem, method=method, callback=lambda progress: 1 / 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ----------------------------------------------------------------------------- Ctrl-C
@pytest.mark.parametrize("evaluation", [0, 2])
@pytest.mark.parametrize(
    "interrupt",
    [
        raises(KeyboardInterrupt),
        lambda: signal.raise_signal(signal.SIGINT),
        lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)] and None,
    ],
    ids=["exception", "signal", "two signals"],
)
def test_interrupt_in_the_callback_keeps_what_was_computed(problem, method, evaluation, interrupt):
    with pytest.warns(mcsc.ConvergenceWarning, match=r"not converged \(interrupted\)"):
        result = solve(problem, method=method, callback=stop_at(evaluation, interrupt), **TIGHT)
    assert len(result.history.iteration) == evaluation + 1
    assert_valid(problem, result, "interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_while_iterating(problem, method):
    """From a timer, wherever the solver is."""
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    started = threading.Event()

    def callback(progress):
        if not started.is_set() and progress.iteration > 0:
            started.set()
            timer.start()

    with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
        result = solve(problem, method=method, callback=callback, tol=1e-300, max_iter=10**9)
    timer.join()
    assert result.iterations > 0
    assert_valid(problem, result, "interrupted")


def test_a_handler_of_the_program_s_own_stays_in_force(problem):
    caught = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    try:
        solve_unconverged(
            problem,
            method="fista",
            callback=stop_at(1, lambda: signal.raise_signal(signal.SIGINT)),
            max_iter=100,
            tol=1e-15,
        )
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert caught == [signal.SIGINT]


def test_outside_the_main_thread(problem):
    results = []

    def work():
        callback = stop_at(1, raises(KeyboardInterrupt))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
            results.append(solve(problem, method="fista", callback=callback, **TIGHT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert_valid(problem, results[0], "interrupted")


SCRIPT = """
import json, sys, warnings
import numpy as np, mcsc
rng = np.random.default_rng(0)
x, y = rng.standard_normal((2, 64, 64))
d = mcsc.Dictionary(tuple(rng.standard_normal((2, 8, 1, 5, 5))), None).normalise()
warnings.simplefilter("always")
def ready(progress):
    print("evaluated", flush=True)
with warnings.catch_warnings(record=True) as caught:
    r = mcsc.solve((x, y), d, 1e-3, method=sys.argv[1], tol=1e-300, max_iter=10**9, callback=ready)
problem = mcsc.Problem((x, y), d, 1e-3)
print(json.dumps([
    r.converged, r.message, r.gap, r.objective, problem.objective(r.codes),
    [w.category.__name__ for w in caught],
]))
"""


def test_ctrl_c_in_a_program_of_its_own():
    command = [sys.executable, "-c", SCRIPT, "fista"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "evaluated\n"
        assert process.stdout.readline() == "evaluated\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    converged, message, gap, objective, again, caught = json.loads(output.splitlines()[-1])
    assert not converged
    assert "interrupted" in message
    assert 0 < gap < 1
    assert again == pytest.approx(objective, rel=1e-12)
    assert caught == ["ConvergenceWarning"]


# --------------------------------------------------------------------------- progress
@pytest.mark.parametrize("shown", [False, True])
def test_progress_goes_to_standard_error_or_nowhere(capsys, shown, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    solve(make_problem(), method="fista", progress=shown)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("fista" in err) == shown
    assert ("1e-04" in err) == shown


def test_no_certificate_is_claimed_where_numbers_overflow(method):
    problem = make_problem()
    d = problem.dictionary
    maps = 1e308 * np.sign(np.random.default_rng(0).standard_normal((1, d.n_maps, 8, 7)))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = mcsc.solve(
            problem.signals,
            d,
            1.0,
            method=method,
            max_iter=3,
            init=mcsc.Codes.from_stacked(maps, d),
        )
    assert not result.converged
    assert "()" not in result.message


@pytest.mark.parametrize("scale", [1e-155, 1e-165, 1e-200, 1e-300])
def test_no_certificate_is_claimed_where_numbers_underflow(method, scale):
    problem = make_problem()
    signals = tuple(scale * x for x in problem.signals)
    with pytest.warns(mcsc.ConvergenceWarning, match="underflow: scale the signals"):
        result = mcsc.solve(signals, problem.dictionary, 0.1 * scale, method=method)
    assert not result.converged
    assert result.gap == np.inf
    assert np.isnan(result.objective)
    small = mcsc.Problem(signals, problem.dictionary, 0.1 * scale)
    assert small.gap(result.codes) == np.inf


@pytest.mark.parametrize("scale", [0.0, 1e-165, 1e-300])
def test_zero_codes_are_certified_where_they_are_the_optimum(method, scale):
    """Whatever underflows: of a black image, or of one that is black but for what rounding left."""
    problem = make_problem()
    signals = tuple(scale * x for x in problem.signals)
    result = mcsc.solve(signals, problem.dictionary, 0.1, method=method)
    assert result.converged
    assert result.gap == 0.0
    assert result.codes.nnz == 0
    assert result.objective == 0.0
