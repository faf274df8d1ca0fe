"""Threads: how many, in what order, and that results do not depend on them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl

import mcsc
from mcsc.backend import threads
from mcsc.backend.threads import map_in_threads, single_threaded_blas
from mcsc.solvers import SOLVERS
from tests.helpers import make_problem, solve, solve_unconverged

pytestmark = pytest.mark.usefixtures("keep_threads")


# ----------------------------------------------------------------------- settings
def test_set_and_get():
    for n in (3, 1, 2):
        mcsc.set_num_threads(n)
        assert mcsc.get_num_threads() == n


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None, "2"])
def test_refused_numbers(n):
    before = mcsc.get_num_threads()
    with pytest.raises(ValueError, match=f"must be a whole number >= 1, found {n!r}"):
        mcsc.set_num_threads(n)
    assert mcsc.get_num_threads() == before


def test_environment(monkeypatch):
    def fresh(value):
        monkeypatch.setattr(threads.shared, "threads", None)
        monkeypatch.setenv("MCSC_NUM_THREADS", value)
        return mcsc.get_num_threads()

    assert fresh("5") == 5
    assert fresh("") >= 1
    for value in ("0", "two", "-1", "1.5"):
        with pytest.raises(ValueError, match=f"MCSC_NUM_THREADS must be .* found {value!r}"):
            fresh(value)


# ---------------------------------------------------------------------------- map
@pytest.mark.parametrize("n", [1, 2, 3])
def test_map_keeps_the_order(n):
    mcsc.set_num_threads(n)
    seen = set()
    together = threading.Barrier(n, timeout=60)

    def square(i):
        if i < n:
            together.wait()
        seen.add(threading.get_ident())
        return i * i

    assert map_in_threads(square, range(20)) == [i * i for i in range(20)]
    assert len(seen) == n
    assert map_in_threads(abs, []) == []
    assert map_in_threads(abs, [-3]) == [3]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_map_raises_what_a_task_raised_and_stops(n, error):
    mcsc.set_num_threads(n)
    done = []
    raised = threading.Event()

    def task(i):
        if i == 5:
            raised.set()
            raise error("task five")
        if i > 5:
            raised.wait(60)
        done.append(i)

    with pytest.raises(error, match="task five"):
        map_in_threads(task, range(10_000))
    finished = len(done)
    assert finished < 5_000
    time.sleep(0.01)
    assert len(done) == finished
    # The pool is as good as new.
    assert map_in_threads(abs, [-1, -2, -3]) == [1, 2, 3]


@pytest.mark.parametrize("n", [1, 2])
def test_blas_is_single_threaded_inside_and_put_back(n):
    mcsc.set_num_threads(n)

    def blas():
        return [
            lib["num_threads"]
            for lib in threadpoolctl.threadpool_info()
            if lib["user_api"] == "blas"
        ]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas()
        assert before
        for found in map_in_threads(lambda _: blas(), range(4)):
            assert set(found) == {1}
        assert blas() == before
        with single_threaded_blas(), single_threaded_blas():
            pass
        assert blas() == before
        with pytest.raises(ZeroDivisionError):
            map_in_threads(lambda _: 1 / 0, range(4))
        assert blas() == before


# ------------------------------------------------------------------------ solvers
@pytest.mark.parametrize("method", SOLVERS)
def test_results_do_not_depend_on_the_number_of_threads(method):
    """To rounding, after as many iterations; several strips of rows for each thread."""
    problem = make_problem(shape=(60, 70), common=2, unique=1, masks="binary", lam=0.3)
    found = []
    for n in (1, 2, 3):
        mcsc.set_num_threads(n)
        found.append(solve_unconverged(problem, method=method, tol=1e-13, max_iter=21))
    for other in found[1:]:
        assert other.iterations == found[0].iterations
        np.testing.assert_allclose(other.history.objective, found[0].history.objective, rtol=1e-10)
        for a, b in zip(
            (other.codes.common, *other.codes.unique),
            (found[0].codes.common, *found[0].codes.unique),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_solves_from_several_threads_at_a_time():
    mcsc.set_num_threads(2)
    problems = [make_problem(seed, shape=(40, 50), common=2, unique=1) for seed in range(4)]
    alone = [solve(p, method="fista", tol=1e-6) for p in problems]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: solve(p, method="fista", tol=1e-6), problems))
    for one, other in zip(alone, together, strict=True):
        assert other.objective == pytest.approx(one.objective, rel=1e-12)
        assert other.iterations == one.iterations
        np.testing.assert_allclose(other.codes.common, one.codes.common, atol=1e-10)
