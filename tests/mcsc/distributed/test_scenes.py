"""Many scenes: each done alone, skipped if it is there, listed if it failed."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from mcsc.errors import InvalidValueError

pytest.importorskip("distributed")

from mcsc.distributed import Scene, map_scenes
from mcsc.distributed.told import telling
from tests.clusters import local_client


@pytest.fixture(scope="module")
def client():
    """A cluster in this process."""
    with local_client(threads=2) as client:
        yield client


def write(text, out):
    if text == "bad":
        raise InvalidValueError("it is\nbad")
    if text == "half":
        out.write_text("hal")
        raise OSError(28, "No space left on device", str(out))
    if text == "warn":
        warnings.warn("not quite", UserWarning, stacklevel=1)
    out.write_text(text)
    return len(text)


def scenes_of(folder, *texts):
    return [Scene(f"{n}-{t}", (t,), folder / f"{n}.txt") for n, t in enumerate(texts)]


def test_a_scene_that_fails_fails_alone_and_a_second_call_does_what_is_missing(client, tmp_path):
    scenes = scenes_of(tmp_path, "a", "bad", "half", "warn")
    table = map_scenes(write, scenes, client=client)
    assert [o.status for o in table.outcomes] == ["done", "failed", "failed", "done"]
    assert [o.value for o in table.outcomes] == [1, None, None, 4]
    assert table.outcomes[1].reason == "it is bad"
    assert "No space left" in table.outcomes[2].reason
    assert table.outcomes[3].reason == "not quite"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.txt", "3.txt"]
    assert not table.complete
    before = (tmp_path / "0.txt").stat().st_mtime_ns
    again = map_scenes(write, scenes_of(tmp_path, "a", "b", "c", "warn"), client=client)
    assert [o.status for o in again.outcomes] == ["skipped", "done", "done", "skipped"]
    assert (tmp_path / "0.txt").stat().st_mtime_ns == before
    assert again.complete
    assert "2 done, 2 skipped" in str(again)


def test_a_folder_is_renamed_whole(client, tmp_path):
    def fill(text, out):
        out.mkdir()
        (out / "a.txt").write_text(text)

    table = map_scenes(fill, [Scene("a", ("x",), tmp_path / "a")], client=client)
    assert table.complete
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "a.txt").read_text() == "x"


def test_scenes_too_large_for_the_workers_fail_without_a_try(client, tmp_path):
    scenes = [Scene("a", ("x",), tmp_path / "a"), Scene("b", ("x",), tmp_path / "b", 2**60)]
    table = map_scenes(write, scenes, client=client)
    assert [o.status for o in table.outcomes] == ["done", "failed"]
    assert "GiB" in table.outcomes[1].reason


def test_leftovers_of_dead_workers_are_removed(client, tmp_path):
    (tmp_path / ".mcsc-0123456789ab-0.txt").write_text("hal")
    (tmp_path / ".mcsc-0123456789ab-other.txt").write_text("mine")
    map_scenes(write, scenes_of(tmp_path, "a"), client=client)
    assert sorted(os.listdir(tmp_path)) == [".mcsc-0123456789ab-other.txt", "0.txt"]


@pytest.mark.parametrize(
    ("scenes", "match"),
    [
        ([Scene("a", ()), Scene("a", ())], "two scenes have the name a"),
        ([Scene("a", (), Path("o")), Scene("b", (), Path("o"))], "two scenes have the out o"),
        (["a"], "sequence of"),
    ],
)
def test_scenes_that_are_none_are_refused(scenes, match):
    with pytest.raises((TypeError, ValueError), match=match):
        map_scenes(write, scenes)


def test_a_folder_keeps_its_settings(client, tmp_path):
    folder = tmp_path / "out"
    scenes = [Scene("a", ("x",), folder / "deep" / "a.txt")]
    asked = {"client": client, "folder": folder}
    assert map_scenes(write, scenes, settings={"tol": 1}, **asked).count("done") == 1
    assert map_scenes(write, scenes, settings={"tol": 1}, **asked).count("skipped") == 1
    with pytest.raises(ValueError, match=r"other settings: tol \(1, now 2\)"):
        map_scenes(write, scenes, settings={"tol": 2}, **asked)
    with pytest.raises(ValueError, match=r"other settings: rule \(not noted, now None\); name"):
        map_scenes(write, scenes, settings={"tol": 1, "rule": None}, **asked)
    assert json.loads((folder / "settings.json").read_text()) == {"tol": 1}
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="does not say"):
        map_scenes(
            write, [Scene("a", ("y",), strange / "a.txt")], folder=strange, client=client,
            settings={},
        )  # fmt: skip
    assert os.listdir(strange) == ["a.txt"]
    assert (strange / "a.txt").read_text() == "x"


def test_nothing_is_noted_where_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr("mcsc.distributed.cluster._CONNECT", 0.5)
    folder = tmp_path / "out"
    with pytest.raises(RuntimeError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9: nobody"):
        map_scenes(
            write, [Scene("a", ("x",), folder / "a.txt")], folder=folder, settings={},
            scheduler="tcp://127.0.0.1:9",
        )  # fmt: skip
    assert not folder.exists()


def speak(mine, out):
    print("to nobody")
    for _ in range(20):
        warnings.warn(f"of {mine} in {out.name}", UserWarning, stacklevel=1)
        time.sleep(0.005)
    out.write_text(str(sys.stderr.isatty()))


def test_each_scene_is_told_its_own_warnings(client, tmp_path, capsys):
    """Workers of several threads do scenes side by side."""
    scenes = [Scene(name, (name,), tmp_path / f"{name}.txt") for name in "abcd"]
    before = sys.stdout, sys.stderr, warnings.showwarning
    table = map_scenes(speak, scenes, client=client)
    assert [o.reason for o in table.outcomes] == [f"of {name} in {name}.txt" for name in "abcd"]
    assert capsys.readouterr().out == ""
    assert (sys.stdout, sys.stderr, warnings.showwarning) == before


def test_others_speak_while_a_task_does_not(capsys):
    with telling() as said:
        thread = threading.Thread(target=print, args=("aloud",))
        thread.start()
        thread.join()
        print("to nobody")
        warnings.warn("once", UserWarning, stacklevel=1)
        warnings.warn("once", UserWarning, stacklevel=1)
    assert said == ["once"]
    assert capsys.readouterr().out == "aloud\n"
