"""`mcsc learn`: stopping and going on, names of files, refusals before any work."""

import os
import signal
from typing import get_args

import numpy as np
import pytest

import mcsc
from mcsc.commands.learn import Init
from mcsc.images.files import write_image
from mcsc.learning.coding import Coder
from mcsc.synthetic import scenes
from mcsc.tasks.task import TASKS
from tests.helpers import run

SMALL = (
    "--common", "4", "--unique", "4", "--filter-size", "5", "--passes", "2", "--windows", "12",
    "--target-windows", "10", "--no-flips",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two scenes of depth, of a size that windows do not divide."""
    found = tmp_path_factory.mktemp("scenes")
    for number, pair in enumerate(scenes("depth", 2, (112, 128), 5)):
        write_image(found / f"s{number}_depth.png", pair.target, bit_depth=16)
        write_image(found / f"s{number}_rgb.png", pair.y)
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ctrl_c_at(monkeypatch, number, times=1):
    """Press Ctrl-C within a batch."""
    original, calls = Coder.code, []

    def code(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    monkeypatch.setattr(Coder, "code", code)


def names(path):
    return sorted(p.name for p in path.iterdir())


def learn(folder, *words):
    return run("learn", "--task", "depth-sr", folder, "-o", "d", *SMALL, *words)


def test_ctrl_c_before_the_first_step_leaves_the_filters_of_before(folder, here, monkeypatch):
    (here / "d.npz").write_bytes(b"learned in many hours")
    ctrl_c_at(monkeypatch, 1)
    result = learn(folder, "--figure", "d.png")
    assert result.exit_code == 130
    assert result.stderr == "mcsc: interrupted before the first step; d.npz is not written\n"
    assert names(here) == ["d.npz"]
    assert (here / "d.npz").read_bytes() == b"learned in many hours"


@pytest.mark.parametrize(
    ("number", "passes"),
    [
        (2, 1),
        pytest.param(3, 2, marks=pytest.mark.slow),
        pytest.param(4, 2, marks=pytest.mark.slow),
    ],
    ids=["in a pass", "in the last coding", "in the fit of targets"],
)
def test_ctrl_c_writes_what_there_is_and_says_so(folder, here, monkeypatch, number, passes):
    with monkeypatch.context() as patch:
        ctrl_c_at(patch, number)
        result = learn(folder, "--checkpoint", "state")
    assert result.exit_code == 130
    assert result.stderr == (
        f"mcsc: interrupted after {passes} of 2 passes; d.npz holds the filters as they were then"
        ", but no target filters; the same command goes on from state.npz\n"
    )
    assert names(here) == ["d.npz", "state.npz"]
    found = mcsc.Dictionary.load("d.npz")
    assert found.metadata["task"] == "depth-sr"
    assert found.metadata["learned"]["passes"] == passes
    assert found.target_common is None
    again = learn(folder, "--checkpoint", "state.npz")
    assert again.exit_code == 0, again.stderr
    assert "d.npz: 12 maps, objective" in again.stdout
    assert "the best of 4 on" in again.stdout
    whole = mcsc.Dictionary.load("d.npz")
    assert learn(folder).exit_code == 0
    for a, b in zip(mcsc.Dictionary.load("d.npz").groups, whole.groups, strict=True):
        np.testing.assert_array_equal(a.bank, b.bank)


def test_without_a_checkpoint_it_says_how_to_keep_the_state(folder, here, monkeypatch):
    ctrl_c_at(monkeypatch, 2)
    result = learn(folder)
    assert result.exit_code == 130
    assert "interrupted after 1 of 2 passes" in result.stderr
    assert "--checkpoint FILE.npz would have kept the state, to go on from" in result.stderr
    assert names(here) == ["d.npz"]


def test_second_ctrl_c_leaves_at_once(folder, here, monkeypatch):
    ctrl_c_at(monkeypatch, 3, times=2)
    result = learn(folder)
    assert result.exit_code == 130
    assert result.stderr.strip() == "mcsc: interrupted"
    assert names(here) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "none/d.npz"), "there is no folder"),
        (("-o", "."), "is not the name of a file"),
        (("-o", "d", "--checkpoint", "none/state"), "there is no folder"),
        (("-o", "d", "--checkpoint", "taken.npz"), "is a folder"),
        (("-o", "d", "--checkpoint", "other.npz"), "other.npz is not a checkpoint file written by"),
        (("-o", "d", "--figure", "none/f.png"), "there is no folder"),
        (("-o", "d", "--figure", "f.pdf"), "want a name ending in .png"),
        (("-o", "d", "--sigma", "5"), "--sigma is for denoising, not for depth-sr"),
        (("-o", "d", "--filter-size", "1"), "'1' is not a whole number >= 2"),
        (("-o", "d", "--filter-size", "8,x"), "'8,x' is not a whole number >= 2"),
        (("-o", "d", "--filter-size", "97"), "filters of 97x97 need windows at least as large"),
        (("-o", "d", "--common", "0", "--unique", "0"), "leave a signal without filters"),
        (("-o", "d", "--lam", "0"), "'0' is not a number > 0, or several separated by commas"),
        (("-o", "d", "--init", "random"), "'random' is not one of 'patches', 'dct'"),
        (("-o", "d", "--scenes", "s7"), "no scene s7"),
        (("-o", "d", "--task", "medical", "--target-windows", "3"), "is for restorations"),
    ],
)
def test_refusals_come_before_any_work(folder, here, monkeypatch, words, message):
    monkeypatch.setattr(Coder, "code", None)
    (here / "taken.npz").mkdir()
    mcsc.dct_dictionary((1, 1)).save("other")
    task = () if "--task" in words else ("--task", "depth-sr")
    result = run("learn", folder, *task, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert names(here) == ["other.npz", "taken.npz"]


def test_help_takes_tasks_and_choices_from_the_tables():
    text = run("learn", "--help").stdout
    for task in TASKS.values():
        (line,) = (row for row in text.splitlines() if row.strip().startswith(f"{task.name} "))
        assert all(word in line for role in task.roles for word in role)
    assert f"[{'|'.join(get_args(Init))}]" in text


def test_one_lam_a_group(tmp_path):
    done = run(
        "learn", "--task", "depth-sr", "--synthetic", 1, "--lam", "0.2,0.1,0.3", "--filter-size", 4,
        "--common", 2, "--unique", 2, "--passes", 1, "--windows", 2, "-o", tmp_path / "d.npz",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert list(mcsc.Dictionary.load(tmp_path / "d.npz").lam) == [0.2, 0.1, 0.3]


@pytest.mark.parametrize("count", [None, 3])
def test_the_iterations_of_a_batch_can_be_limited(tmp_path, monkeypatch, count):
    original, seen = Coder.code, []

    def code(coder, *arguments, **options):
        seen.append(coder.max_iter)
        return original(coder, *arguments, **options)

    monkeypatch.setattr(Coder, "code", code)
    done = run(
        "learn", "--task", "multi-focus", "--synthetic", 1, "--filter-size", 4, "--common", 2,
        "--unique", 2, "--passes", 1, "--windows", 2, "-o", tmp_path / "d.npz",
        *(() if count is None else ("--max-iter", count)),
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert set(seen) == {count}
