"""Checkpoints of `mcsc.learn`: resumed to the same bits, under one name, others refused."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mcsc
from mcsc.files import read_npz, write_npz
from mcsc.learning.passes import Passes
from tests import helpers
from tests.mcsc.learning.small import SMALL, banks, learn


def same(first, second):
    for a, b in zip(banks(first), banks(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_resume_after_a_stop_ends_bit_equal(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state.npz"
    whole = learn(signals, passes=4)

    def stop(state):
        return state.step == 5  # in the middle of the third pass

    learn(signals, passes=4, checkpoint=path, callback=stop)
    resumed = learn(signals, passes=4, checkpoint=path)
    same(whole.dictionary, resumed.dictionary)
    assert whole.history.objective == resumed.history.objective


@pytest.mark.slow
def test_killed_and_resumed_ends_bit_equal(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        import mcsc
        from tests import helpers
        from tests.mcsc.learning.small import learn
        kill = int(sys.argv[2])
        def callback(state):
            if state.step == kill:
                os.kill(os.getpid(), signal.SIGKILL)
        found = learn(helpers.make_sparse_images()[0], passes=3, checkpoint=sys.argv[1],
                           callback=callback)
        found.dictionary.save(sys.argv[1] + "_done.npz")
        """
    )
    path = str(tmp_path / "state.npz")

    def run(kill):
        return subprocess.run(
            [sys.executable, "-c", script, path, str(kill)], cwd=os.getcwd(), check=False
        ).returncode

    assert run(3) == -signal.SIGKILL
    assert os.path.exists(path)
    assert run(-1) == 0
    done = mcsc.Dictionary.load(path + "_done.npz")
    whole = learn(helpers.make_sparse_images()[0], passes=3).dictionary
    same(done, whole)


def test_checkpoint_of_other_settings_or_data_is_refused(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state.npz"
    learn(signals, passes=2, checkpoint=path)
    with pytest.raises(ValueError, match=r"other settings: lam \(0.3, now 0.4\)"):
        learn(signals, passes=2, checkpoint=path, lam=0.4)
    with pytest.raises(ValueError, match=r"other settings: window \(24, now 23\)"):
        learn(signals, passes=2, checkpoint=path, window=23)
    with pytest.raises(ValueError, match="other settings: data"):
        learn(helpers.make_sparse_images(5)[0], passes=2, checkpoint=path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="damaged"):
        learn(signals, passes=2, checkpoint=path)


def test_checkpoint_of_an_older_version_is_refused(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state.npz"
    learn(signals, passes=1, checkpoint=path)
    header, arrays = read_npz(path, "mcsc.Checkpoint", 9)
    more = {k: v for k, v in header.items() if k in ("settings", "numbers", "grids")}
    write_npz(path, "mcsc.Checkpoint", 1, arrays, **more)
    with pytest.raises(ValueError, match="checkpoint of an older mcsc"):
        learn(signals, passes=1, checkpoint=path)


@pytest.mark.parametrize("name", ["state", "state.npz", "state.v2"])
def test_one_rule_for_the_suffix(tmp_path, name):
    """A checkpoint is found again under the name that it was written with."""
    signals, _ = helpers.make_sparse_images()
    steps = []

    def stop(state):
        return state.step == 3

    learn(signals, passes=3, checkpoint=tmp_path / name, callback=stop)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = learn(
        signals, passes=3, checkpoint=str(tmp_path / name), callback=lambda s: steps.append(s.step)
    )
    assert steps[0] == 4
    same(resumed.dictionary, learn(signals, passes=3).dictionary)
    assert [p.name for p in tmp_path.iterdir()] == [name.removesuffix(".npz") + ".npz"]


def test_what_targets_are_fitted_with_may_change(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state"
    first = learn(signals, signals[0], passes=2, checkpoint=path, ridge=1.0)
    second = learn(signals, signals[0], passes=2, checkpoint=path, ridge=2.0, target_windows=2)
    same(first.dictionary, second.dictionary)
    assert (second.target_fit.ridge, second.target_fit.windows) == (2.0, 2)


@pytest.mark.parametrize("name", ["none/state.npz", "folder.npz"])
def test_a_file_that_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch, name):
    (tmp_path / "folder.npz").mkdir()
    monkeypatch.setattr(Passes, "_batch", never)
    signals, _ = helpers.make_sparse_images()
    with pytest.raises((OSError, ValueError), match=name):
        learn(signals, checkpoint=tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.npz"]


def never(*arguments):
    raise AssertionError("work was done before the refusal")


def test_state_is_written_at_once_when_a_callback_stops(tmp_path):
    """In the middle of a pass, where nothing else writes it."""
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state"
    learned = learn(signals, passes=3, checkpoint=path, callback=lambda s: s.step == 3)
    assert learned.stopped == "callback"
    header, _ = read_npz(path, "mcsc.Checkpoint", 9)
    assert header["numbers"]["step"] == 3
    assert SMALL["lam"] == header["settings"]["lam"]
    assert header["settings"]["task"] == "restoration"  # as files have always called the kind
