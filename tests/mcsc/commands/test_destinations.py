"""Places to write to are tried before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcsc.commands.destinations import check_destinations
from mcsc.files import check_writable, make_folder
from mcsc.images import imresize, read_image, write_image
from tests.helpers import run
from tests.mcsc.tasks.pairs import pair


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene = pair("depth-sr", 54)
    write_image("s.png", imresize(scene.target, 0.25))
    write_image("a.png", scene.y)
    Path("dir.png").mkdir()
    Path("file").write_text("x")
    return tmp_path


RESTORE = "restore s.png a.png --task depth-sr --method bicubic -o"
MODEL = "restore s.png a.png --task depth-sr -o"


@pytest.mark.parametrize(
    "words",
    [
        "solve s.png none.png --out new",
        "solve s.png a.png --out new/deep",
        f"{MODEL} o.png --parts new/deep".replace("a.png", "none.png"),
    ],
)
def test_a_refusal_leaves_no_folder_behind(folder, words):
    assert run(*words.split()).exit_code == 2
    assert not Path("new").exists()
    Path("new").mkdir()  # what was there stays
    assert run(*words.split()).exit_code == 2
    assert list(Path().glob("new/**/*")) == []
    assert Path("new").is_dir()


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (f"{RESTORE} m.png --mask m.png", True),
        (f"{RESTORE} m.png --mask zeros --mask 2=m.png", True),
        ("fuse a.png a.png --task multi-focus -o o.png --depth m.png --mask 2=m.png", True),
        ("evaluate t.csv --task depth-sr --method bicubic --csv t.csv", False),
        ("evaluate t.csv --task depth-sr --method bicubic --json ./t.csv", False),
        ("solve new/panel.png --out new", False),
        ("solve a.png --mask new/panel.png --out new", False),
        ("learn t.csv --task depth-sr -o o.npz --figure m.png --mask m.png", False),
        ("learn t.csv --task depth-sr -o o.npz --figure a.png", False),
        ("learn --synthetic 2 --photographs . --task depth-sr -o o.npz --figure m.png", False),
    ],
)
def test_what_else_is_read_is_not_replaced_either(folder, words, more):
    Path("new").mkdir()
    write_image("m.png", np.ones((8, 8)))
    write_image("new/panel.png", np.ones((8, 8)))
    Path("t.csv").write_text("x,guide\na.png,a.png\n")
    kept = [(p, p.read_bytes()) for p in map(Path, ("m.png", "a.png", "t.csv", "new/panel.png"))]
    found = run(*words.split())
    assert found.exit_code == 2
    assert "is one of the files that are read: want another name" in found.stderr
    # Where there is no such option, nobody is sent to look for it.
    assert ("--overwrite" in found.stderr) == more
    assert all(path.read_bytes() == content for path, content in kept)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{RESTORE} dir.png", "--out dir.png: cannot be written: it is a folder"),
        (f"{RESTORE} none/o.png", "--out none/o.png: cannot be written: there is no folder"),
        (f"{RESTORE} s.png", "--out s.png is one of the files that are read: want another name, o"),
        (f"{RESTORE} o.png --report none/r.html", "--report none/r.html: cannot be written"),
        (f"{RESTORE} o.png --report r.pdf", "pages are HTML; want a name ending in .html"),
        (f"{MODEL} o.png --parts file", "--parts file is a file; want a folder"),
        (f"{MODEL} o.png --parts o.png", "--out and --parts are both o.png"),
        ("fuse a.png a.png --task multi-focus --method mean -o a.png", "--out a.png is one of the"),
        ("solve s.png --out file", "--out file is a file; want a folder"),
        ("learn --task depth-sr --synthetic 1 -o none/d.npz", "none/d.npz: cannot be written"),
        (
            "learn --task depth-sr --synthetic 1 -o d.npz --checkpoint d.npz",
            "--out and --checkpoint are both d.npz",
        ),
        (
            "learn --task depth-sr --synthetic 1 -o d.npz --figure none/f.png",
            "--figure none/f.png: cannot be written",
        ),
        ("export depth-sr -o none/m.onnx", "--out none/m.onnx: cannot be written"),
        ("train --task depth-sr --synthetic 1 -o none/w.safetensors", "none/w.safetensors: cannot"),
    ],
)
def test_refused_before_any_work(folder, words, message):
    before = sorted(folder.iterdir())
    done = run(*words.split())
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_file_that_is_read_is_replaced_if_asked_for(folder):
    done = run(*RESTORE.split(), "s.png", "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert read_image("s.png").pixels.shape == (1, 64, 64)


def test_links_are_followed_and_seen_through(folder):
    Path("store").mkdir()
    Path("store/o.png").write_text("old")
    Path("link.png").symlink_to("store/o.png")
    done = run(*RESTORE.split(), "link.png")
    assert done.exit_code == 0, done.stderr
    assert Path("link.png").is_symlink()
    assert read_image("store/o.png").pixels.shape == (1, 64, 64)
    Path("same.png").symlink_to("s.png")
    done = run(*RESTORE.split(), "same.png")
    assert done.exit_code == 2
    assert "--out same.png is one of the files that are read" in done.stderr


def test_a_file_in_a_folder_of_results_counts(folder):
    Path("out").mkdir()
    Path("out/panel.png").mkdir()
    done = run("solve", "a.png", "--grey", "--out", "out")
    assert done.exit_code == 2
    assert "--out out/panel.png: cannot be written: it is a folder" in done.stderr
    write_image("out/x_sum.tif", np.full((1, 40, 40), 0.5, "f4"), 32)
    Path("out/panel.png").rmdir()
    done = run("solve", "out/x_sum.tif", "--out", "out")
    assert "--out out/x_sum.tif is one of the files that are read" in done.stderr


def test_folders_are_made_only_when_all_else_is_well(folder):
    with pytest.raises(FileNotFoundError, match=r"--out none/o.png: cannot be written"):
        check_destinations({"--out": Path("none/o.png")}, folders={"--parts": Path("new")})
    assert not Path("new").exists()
    check_destinations({"--out": Path("new/o.png")}, folders={"--parts": Path("new")})
    assert Path("new").is_dir()
    assert not list(Path("new").iterdir())
    with pytest.raises(NotADirectoryError, match="file: is a file; want a folder"):
        make_folder("file")


def test_a_place_that_refuses_is_noticed_whatever_its_rights_say(folder, monkeypatch):
    def full(*given, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match=r"o.png: cannot be written: No space left on device"):
        check_writable("o.png")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("of_ctrl_c", ["default_int_handler", "SIG_IGN"])
def test_a_request_to_end_is_taken_as_ctrl_c(of_ctrl_c):
    """A shell has Ctrl-C ignored in what its script starts in the background."""
    code = (
        "import os, signal, sys, click\n"
        f"signal.signal(signal.SIGINT, signal.{of_ctrl_c})\n"
        "from mcsc.cli import cli\n"
        "@cli.command()\n"
        "def wait():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    import time; time.sleep(30)\n"
        "cli.main(['wait'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr.strip() == "mcsc: interrupted"
