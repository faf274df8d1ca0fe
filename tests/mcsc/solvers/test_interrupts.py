"""Ctrl-C in loops within loops."""

import os
import signal
import sys
import threading

import pytest

import mcsc
from mcsc.solvers.driver import deferred_interrupt
from tests import helpers


def press_ctrl_c(*_):
    os.kill(os.getpid(), signal.SIGINT)


def solve(**options):
    problem = helpers.make_problem()
    return helpers.solve(problem, **options)


def test_first_is_noted_and_second_raises():
    with deferred_interrupt() as interrupt:
        assert not interrupt.asked
        press_ctrl_c()
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_loops_within_share_the_flag():
    with deferred_interrupt() as outer:
        with deferred_interrupt() as inner:
            press_ctrl_c()
        assert inner is outer
        assert outer.asked
        assert signal.getsignal(signal.SIGINT) is outer
    with deferred_interrupt() as fresh:
        assert not fresh.asked


def test_solve_that_converges_all_the_same_tells_the_loop_around_it():
    with deferred_interrupt() as interrupt:
        result = solve(tol=0.5, callback=lambda p: press_ctrl_c() if p.gap <= 0.5 else None)
        assert result.converged
        assert interrupt.asked
        with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
            assert solve(tol=1e-9).stopped == "interrupted"


def test_second_one_within_a_solve_ends_the_loop_around_it():
    seen = []

    def callback(progress):
        seen.append(progress)
        press_ctrl_c()

    with deferred_interrupt():
        press_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            solve(tol=1e-9, callback=callback)
    assert len(seen) == 1


def test_solve_alone_still_returns_what_there_is_after_two():
    def callback(progress):
        press_ctrl_c()
        press_ctrl_c()

    with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
        result = solve(tol=1e-9, callback=callback)
    assert result.stopped == "interrupted"


def test_other_threads_and_handlers_of_the_program_are_left_alone():
    found = []

    def work():
        with deferred_interrupt() as interrupt:
            found.append(interrupt)

    with deferred_interrupt() as outer:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found[0] is not outer
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupt():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("of_ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_a_request_to_end_is_deferred_where_it_is_taken_as_ctrl_c(of_ctrl_c):
    ctrl_c = signal.signal(signal.SIGINT, of_ctrl_c)
    end = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with deferred_interrupt() as interrupt, deferred_interrupt() as inner:
            assert inner is interrupt
            os.kill(os.getpid(), signal.SIGTERM)
            assert interrupt.asked
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is of_ctrl_c
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
            solve(tol=1e-9, callback=lambda _: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        signal.signal(signal.SIGINT, ctrl_c)
        signal.signal(signal.SIGTERM, end)


def test_a_request_to_end_stays_as_it_is_elsewhere():
    before = signal.getsignal(signal.SIGTERM)
    with deferred_interrupt():
        assert signal.getsignal(signal.SIGTERM) is before
