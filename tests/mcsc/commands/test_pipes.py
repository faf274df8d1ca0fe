"""A pipe in the place of a file is refused: to open it is to wait until somebody writes to it."""

from __future__ import annotations

import os
import signal
from inspect import signature

import numpy as np
import pytest
from click.testing import CliRunner

from mcsc.cli import cli
from mcsc.images import write_image

if not hasattr(os, "mkfifo"):
    pytest.skip("this system has no named pipes", allow_module_level=True)

RESTORE = ("restore", "x.png", "y.png", "-o", "o.tif", "--task", "depth-sr")


@pytest.fixture
def pipe(tmp_path, monkeypatch):
    """Returns what makes a pipe of a name; a test that waits for one ends after a while."""

    def waited(number, frame):
        raise AssertionError("it waits for the pipe")

    monkeypatch.chdir(tmp_path)
    write_image("x.png", np.zeros((16, 16), np.float32))
    write_image("y.png", np.zeros((64, 64), np.float32))
    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    yield os.mkfifo
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p.json", (*RESTORE, "--calibration", "p.json")),
        ("p.npz", (*RESTORE, "--dictionary", "p.npz")),
        ("p.png", (*RESTORE, "--mask", "p.png")),
        ("p.png", ("restore", "p.png", "y.png", "-o", "o.tif", "--task", "depth-sr")),
        ("p.nii", ("fuse", "p.nii", "y.png", "-o", "o.tif", "--task", "medical")),
        ("p.npy", ("fuse", "p.npy", "y.npy", "-o", "o.tif", "--task", "medical", "--blocks", "64")),
        ("p.tif", ("fuse", "p.tif", "y.tif", "-o", "o.tif", "--task", "medical", "--blocks", "64")),
        ("p.csv", ("restore", "p.csv", "-o", "out", "--task", "depth-sr")),
        ("p.csv", ("evaluate", "p.csv", "--task", "depth-sr")),
        ("p.csv", ("learn", "p.csv", "--task", "depth-sr", "-o", "q.npz")),
        ("p.npy", ("solve", "x.png", "--lam-weights", "p.npy")),
        ("p.npz", ("solve", "x.png", "--dictionary", "p.npz")),
    ],
)
def test_pipes_are_refused(pipe, name, words):
    pipe(name)
    apart = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    result = CliRunner(**apart).invoke(cli, list(words))
    assert result.exit_code == 2, result.output
    assert f"{name}: is a pipe or a device; want a" in result.stderr
    assert len(result.stderr.splitlines()) == 1
