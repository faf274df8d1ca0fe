"""How a command ends that fails: mistakes in the program, refusals, full disks, odd names."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import mcsc
from mcsc.errors import InvalidValueError, OutOfMemoryError
from mcsc.images import write_image
from mcsc.tasks.methods import METHODS
from tests.helpers import run
from tests.paths import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image of 20 x 24 pixels and a small dictionary."""
    folder = tmp_path_factory.mktemp("images")
    x = 0.2 + 0.1 * np.random.default_rng(0).random((20, 24))
    x[:, 12:] += 0.5
    write_image(folder / "x.png", x)
    mcsc.dct_dictionary((1,), 8, 3).save(folder / "d.npz")
    return folder


def solve(folder, out, image="x.png", debug=False):
    words = ("solve", folder / image, "--dictionary", folder / "d.npz", "--lam-relative", 0.3)
    return run(*(["--debug"] if debug else []), *words, "--out", out)


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


# ------------------------------------------------------------------------- mistakes of ours
@pytest.mark.parametrize(
    "kind", [TypeError, ValueError, RuntimeError, KeyError, IndexError, AssertionError, ImportError]
)
@pytest.mark.parametrize(
    "place",
    ["tasks.decomposition.solve", "commands.inputs.known_image", "commands.outputs.show_table"],
)
def test_a_mistake_keeps_its_traceback_and_asks_for_a_report(
    folder, tmp_path, monkeypatch, kind, place
):
    monkeypatch.setattr(f"mcsc.{place}", raising(kind("of ours")))
    done = solve(folder, tmp_path)
    assert done.exit_code == 1
    *lines, last = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith(kind.__name__)
    assert any("raise error" in line for line in lines)
    assert last == (
        "mcsc: error: this is a mistake in the program. Please report it with the lines above, the "
        "command that you gave, and what 'mcsc info' says."
    )


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("[].pop()", "in the package others_method, which is not of mcsc. Please report it there"),
        ("int.from_bytes(3)", "in the package others_method, which is not of mcsc"),
        ("mcsc.errors.warn_user('a', 'b')", "in the program. Please report it with"),
    ],
)
def test_a_mistake_of_another_package_is_called_that(folder, tmp_path, monkeypatch, body, place):
    (tmp_path / "others_method.py").write_text(
        "import mcsc\nclass Own:\n    options = ()\n    def __call__(self, *images):\n"
        f"        return {body}\ndef make(task, weights):\n    return Own()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "others_method", raising=False)
    entry = importlib.metadata.EntryPoint("own", "others_method:make", "mcsc.methods")
    found = importlib.metadata.EntryPoints([entry])
    monkeypatch.setattr(importlib.metadata, "entry_points", found.select)
    monkeypatch.setattr(METHODS, "_plugins", None)
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    done = run(
        "fuse", folder / "x.png", folder / "x.png", "-o", tmp_path / "o.png", "--task",
        "multi-focus", "--method", "own",
    )  # fmt: skip
    assert done.exit_code == 1, done.stderr
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert f"mcsc: error: this is a mistake {place}" in done.stderr.splitlines()[-1]


def test_a_mistake_while_an_image_is_read_is_not_taken_for_a_damaged_image(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("mcsc.images.files._upright", raising(TypeError("of ours")))
    assert solve(folder, tmp_path).exit_code == 1
    monkeypatch.undo()
    monkeypatch.setattr("PIL.Image.Image.getexif", raising(TypeError("of the decoder")))
    done = solve(folder, tmp_path)
    assert done.exit_code == 2
    assert done.stderr.endswith("x.png: truncated or damaged PNG: of the decoder\n")


# ------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InvalidValueError("two\nlines"), "two lines"),
        (OutOfMemoryError("needs 3 TiB"), "needs 3 TiB"),
        (MemoryError(), "there is too little memory."),
        (MemoryError("Unable to allocate 3 TiB"), "there is too little memory. Unable to allocate"),
        (PermissionError(13, "Permission denied", "a.png"), "a.png: Permission denied"),
        (OSError("of some kind"), "of some kind"),
    ],
)
def test_a_refusal_is_one_line_and_status_2(folder, tmp_path, monkeypatch, error, line):
    monkeypatch.setattr("mcsc.commands.inputs.known_image", raising(error))
    done = solve(folder, tmp_path)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"mcsc: error: {line}")
    assert done.stderr.count("\n") == 1
    done = solve(folder, tmp_path, debug=True)
    assert done.exit_code == 2
    assert done.stderr.startswith("Traceback")
    assert f"\nmcsc: error: {line}" in done.stderr
    assert "mistake" not in done.stderr


def test_debug_shows_where_a_refusal_comes_from(tmp_path):
    done = run("--debug", "solve", tmp_path / "missing.png")
    assert done.exit_code == 2
    assert done.stderr.startswith("Traceback")
    last = done.stderr.splitlines()[-1]
    assert last == f"mcsc: error: {tmp_path / 'missing.png'}: no such file"


# ------------------------------------------------------------------------- names, streams
def test_names_that_are_no_text_are_shown_and_written(folder, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(folder / "x.png", folder / name)
    done = solve(folder, tmp_path / "out", image=name)
    assert done.exit_code == 0
    assert "caf\\udce9" in done.stdout
    found = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert found["signals"][0]["file"] == str(folder / name)
    missing = run("solve", os.fsdecode(b"no\xe9.png"))
    assert missing.exit_code == 2
    assert missing.stderr.endswith("no\\udce9.png: no such file\n")


def program(folder, out, name="x.png", **options):
    command = [sys.executable, "-m", "mcsc.cli", "solve", str(folder / name), "--dictionary"]
    command += [str(folder / "d.npz"), "--lam-relative", "0.3", "--out", str(out)]
    return subprocess.run(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=120, check=False, **options
    )


@pytest.mark.slow
def test_a_terminal_that_cannot_show_a_name(folder, tmp_path):
    shutil.copy(folder / "x.png", folder / "深.png")
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = program(folder, tmp_path / "out", "深.png", stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u6df1" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_output_is_one_line(folder, tmp_path):
    with open("/dev/full", "w") as full:
        done = program(folder, tmp_path / "out", stdout=full)
    assert done.returncode == 2
    assert done.stderr == "mcsc: error: standard output: No space left on device\n"
