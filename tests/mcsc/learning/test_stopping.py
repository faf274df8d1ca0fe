"""Ctrl-C, a true value of the callback and StopIteration: one contract in every stage."""

import os
import signal

import numpy as np
import pytest

import mcsc
from mcsc.files import read_npz
from mcsc.learning import learn_targets, passes
from mcsc.learning.coding import Coder
from mcsc.learning.regression import TargetRegression
from mcsc.solvers.working_set import WorkingSet
from tests import helpers
from tests.mcsc.learning.small import banks, learn


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    assert before is signal.default_int_handler
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def signals():
    return helpers.make_sparse_images()[0]


def at_call(monkeypatch, owner, name, number, act):
    """Do something within one call of a function; returns the list of calls."""
    original = getattr(owner, name)
    calls = []

    def wrapped(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            act()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapped)
    return calls


def interrupted_steps(path):
    return read_npz(path, "mcsc.Checkpoint", 9)[0]["numbers"]["step"]


# Within what Ctrl-C comes, and how many batches are then done: the one that was being coded is
# not, unless it was certified all the same.
PLACES = [
    (WorkingSet, "step", 4),
    (WorkingSet, "evaluate", 5),
    (Coder, "code", 3),
    (Coder, "activate", 3),
    (passes, "update_filters", 3),
]


@pytest.mark.parametrize(("owner", "name", "number"), PLACES)
def test_ctrl_c_is_never_lost_wherever_it_comes(
    signals, tmp_path, monkeypatch, owner, name, number
):
    whole = learn(signals, passes=4)
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        at_call(patch, owner, name, number, press_ctrl_c)
        learned = learn(signals, signals[0], passes=4, checkpoint=path)
    assert learned.stopped == "interrupted"
    assert not learned.completed
    assert learned.target_fit is None
    assert np.isnan(learned.objective)
    done = interrupted_steps(path)
    assert 0 <= done <= 4
    assert learned.dictionary.metadata["learned"]["passes"] == done / 2
    assert len(learned.history.objective) == done // 2
    # What there is can be used, and gone on from.
    mcsc.solve(signals, learned.dictionary, 0.3, tol=0.1)
    resumed = learn(signals, signals[0], passes=4, checkpoint=path)
    for a, b in zip(banks(whole.dictionary), banks(resumed.dictionary), strict=True):
        np.testing.assert_array_equal(a, b)


def test_ctrl_c_in_a_batch_that_is_certified_all_the_same(signals, monkeypatch):
    """The solver says that it converged; the Ctrl-C is not forgotten."""
    original = WorkingSet.evaluate

    def evaluate(self, certificate):
        found = original(self, certificate)
        if found.gap <= 1e-2:
            press_ctrl_c()
        return found

    monkeypatch.setattr(WorkingSet, "evaluate", evaluate)
    learned = learn(signals, passes=3)
    assert learned.stopped == "interrupted"
    assert learned.dictionary.metadata["learned"]["passes"] == 0.5


@pytest.mark.parametrize(("owner", "name", "number"), PLACES)
def test_second_ctrl_c_raises_at_once(signals, tmp_path, monkeypatch, owner, name, number):
    def twice():
        press_ctrl_c()
        press_ctrl_c()
        raise AssertionError("it went on")

    calls = at_call(monkeypatch, owner, name, number, twice)
    with pytest.raises(KeyboardInterrupt):
        learn(signals, passes=4, checkpoint=tmp_path / "state")
    assert len(calls) == number


def test_ctrl_c_in_the_last_coding_leaves_out_the_rest(signals, monkeypatch):
    calls = at_call(monkeypatch, Coder, "code", 5, press_ctrl_c)
    learned = learn(signals, signals[0], passes=2)
    assert learned.stopped == "interrupted"
    assert len(calls) == 5
    assert len(learned.history.objective) == 2
    assert learned.target_fit is None
    assert learned.use.shape == (10,)
    assert learned.use.any()


@pytest.mark.parametrize("number", [1, 3])
def test_ctrl_c_in_the_fit_of_targets(signals, monkeypatch, number):
    calls = at_call(monkeypatch, TargetRegression, "fit", number, press_ctrl_c)
    learned = learn(signals, signals[0], passes=1, ridge=(0.1, 1.0))
    assert learned.stopped == "interrupted"
    assert len(calls) == number
    assert learned.target_fit is None
    assert learned.dictionary.target_common is None
    assert learned.objective == learned.history.objective[-1]


def stop_by(way, stage, step):
    def callback(state):
        if (state.stage, state.step) != (stage, step):
            return None
        if way == "true":
            return 1
        if way == "StopIteration":
            raise StopIteration
        if way == "KeyboardInterrupt":
            raise KeyboardInterrupt
        return press_ctrl_c()

    return callback


WAYS = {
    "true": "callback",
    "StopIteration": "callback",
    "KeyboardInterrupt": "interrupted",
    "Ctrl-C": "interrupted",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("stage", "step", "coded"),
    [("passes", 3, 3), ("passes", 4, 4), ("coding", 1, 5), ("coding", 2, 6), ("targets", 2, 8)],
)
def test_callback_stops_after_its_step(signals, monkeypatch, way, stage, step, coded):
    calls = at_call(monkeypatch, Coder, "code", -1, None)
    learned = learn(signals, signals[0], passes=2, callback=stop_by(way, stage, step))
    assert learned.stopped == WAYS[way]
    assert len(calls) == coded
    assert learned.target_fit is None
    assert learned.dictionary.filter_norms().max() <= 1 + 1e-12


def test_asking_to_stop_when_all_is_done_changes_nothing(signals):
    learned = learn(signals, passes=1, callback=lambda s: s.stage == "coding" and s.step == s.steps)
    assert learned.completed
    fit = learn(signals, signals[0], passes=1, ridge=1, callback=lambda s: s.step == 3)
    assert fit.completed
    assert fit.target_fit.completed


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", [1, 2, 3])
def test_learn_targets_stops_likewise(signals, way, step):
    d = helpers.make_sparse_images()[1]
    options = {"window": 24, "batch_size": 2, "ridge": (0.1, 1.0)}
    fit = learn_targets(
        signals, signals[0], d, 0.3, callback=stop_by(way, "targets", step), **options
    )
    assert fit.stopped == WAYS[way]
    assert fit.dictionary is d
    assert fit.ridge is None
    assert np.isnan(fit.mse)
    seen = []
    whole = learn_targets(signals, signals[0], d, 0.3, callback=seen.append, **options)
    assert whole.completed
    assert [s.step for s in seen] == list(range(1, seen[0].steps + 1))


def test_errors_of_a_callback_are_its_own(signals):
    def broken(state):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        learn(signals, callback=broken)
