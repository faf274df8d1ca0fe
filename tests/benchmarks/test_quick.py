"""Every benchmark runs once on a tiny problem, so that none rots; no time is looked at."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import mcsc
from benchmarks.common import history, problems
from benchmarks.common.results import command_line, load, machine_slug, number, table
from benchmarks.common.timing import Schedule, Stop, Trace
from benchmarks.networks import yardstick
from benchmarks.pages import report, tasks_page
from mcsc.synthetic import scenes
from mcsc.tasks.task import get_task

MODULES = {s.name: s.summary.__module__ for s in report.SECTIONS if not s.run_by}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_quick(name, results, capsys, keep_threads):
    pytest.importorskip("numexpr")
    module = importlib.import_module(MODULES[name])
    data = module.main(["--quick", "--threads", "1", "--out", str(results)])
    (record,) = load(name, results)
    # What is printed can be made again from the file alone.
    assert module.summary(record["data"]) in capsys.readouterr().out
    assert record["data"].keys() == data.keys()
    assert record["arguments"]["quick"]
    assert record["versions"]["mcsc"] == mcsc.__version__


def test_a_result_tells_its_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = problems.ROOT.parent / "shared" / "pictures"
    asked = ["--quick", "--out", "results", "--tasks", "depth-sr", "--photographs", str(folder)]
    asked += ["--also", "depth-sr", "two words", str(tmp_path / "worlds")]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks.yardstick")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out")
    yardstick.add_options(parser)
    # Neither what is the default, nor where the folders lie on this machine.
    assert command_line(parser, parser.parse_args(asked)) == (
        "python -m benchmarks.networks.yardstick --quick --tasks depth-sr "
        "--photographs ../shared/pictures --also depth-sr 'two words' worlds"
    )


def test_an_earlier_revision_is_run_in_its_place(tmp_path):
    try:
        history.take_out("HEAD", tmp_path / "earlier")
    except SystemExit as error:
        pytest.skip(str(error))
    printed = history.run(
        tmp_path / "earlier", ["-c", "import mcsc; print(mcsc.__file__)"], tmp_path / "kernels"
    )
    assert Path(printed.strip()) == tmp_path / "earlier" / "mcsc" / "__init__.py"
    with pytest.raises(SystemExit, match="no-such-revision is not in this repository's history"):
        history.take_out("no-such-revision", tmp_path / "other")


def test_scenes_of_an_earlier_revision(tmp_path):
    # Today's package in the place of an earlier one: the scenes are those made here.
    task = get_task("depth-sr")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "mcsc").symlink_to(problems.ROOT / "mcsc")
    (target, guide), _ = yardstick.scenes_of(tree, task, 2, 64, 5)
    pair = next(iter(scenes("depth", 2, (64, 64), 5)))
    np.testing.assert_array_equal(target, pair.target)
    np.testing.assert_array_equal(guide, pair.y)


def test_quick_ghosts(tmp_path, capsys):
    module = importlib.import_module("benchmarks.exact.ghosts")
    data = module.main(["--quick", "--out", str(tmp_path)])
    (record,) = load("ghosts", tmp_path)
    assert module.summary(record["data"]) in capsys.readouterr().out
    assert [(row["kind"], row["noise"]) for row in data["rows"]] == [
        ("exposure", 0), ("flash", 5), ("flash", 15), ("flash", 50)
    ]  # fmt: skip
    assert all(0 <= row["false"] <= row["false_most"] <= 1 for row in data["rows"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["blocks", "many_scenes"])
def test_quick_on_workers(name, tmp_path, capsys):
    pytest.importorskip("distributed")
    module = importlib.import_module(f"benchmarks.exact.{name}")
    data = module.main(["--quick", "--out", str(tmp_path)])
    (record,) = load(name, tmp_path)
    assert module.summary(record["data"]) in capsys.readouterr().out
    assert record["data"].keys() == data.keys()


@pytest.mark.slow
def test_page(results, tmp_path):
    measured = [name for name in MODULES if load(name, results)]
    text = report.main(["--results", str(results), "--docs", str(tmp_path)]).read_text()
    for section in report.SECTIONS:
        assert f"## {section.title}\n" in text
    assert text.count(report.NOT_YET) == len(report.SECTIONS) - len(measured)
    for name in measured:
        (record,) = load(name, results)
        assert record["commit"] in text
    for picture in (tmp_path / "images").glob("*.png"):
        assert f"](images/{picture.name})" in text


def test_page_of_the_tasks_is_what_the_results_say():
    assert (problems.ROOT / "docs" / "tasks.md").read_text() == tasks_page.page()


def test_help_writes_no_page(tmp_path, capsys):
    page = problems.ROOT / "docs" / "tasks.md"
    before = page.stat()
    with pytest.raises(SystemExit) as left:
        tasks_page.main(["--help"])
    assert left.value.code == 0
    assert "python -m benchmarks.pages.tasks_page [-h] [--out OUT]" in capsys.readouterr().out
    assert page.stat() == before
    written = tasks_page.main(["--out", str(tmp_path / "page.md")])
    assert written.read_text() == page.read_text()


@pytest.mark.slow
def test_sporco_solves_the_same_problem():
    pytest.importorskip("numexpr")
    peers = pytest.importorskip("benchmarks.common.peers")
    small = problems.setting("coffee", 32, filters=4)
    x, y = (a.astype(np.float64) for a in small.signals)
    problem = problems.from_signals("coffee", (x, y), filters=4).problem(0.1)
    assert peers.check_objectives(problem) < 1e-9


@pytest.mark.parametrize("name", problems.BUNDLED_PAIRS)
def test_bundled_pairs(name):
    x, y = problems.pictures(name)
    assert x.shape == y.shape
    assert x.ndim == 3
    assert x.dtype == np.float32
    assert 0 <= x.min() < x.max() <= 1


def test_crop_mirrors_what_is_too_small():
    image = np.arange(6.0).reshape(1, 2, 3)
    np.testing.assert_array_equal(problems.crop(image, (2, 1))[0], [[1.0], [4.0]])
    assert problems.crop(image, (5, 7)).shape == (1, 5, 7)


def test_trace_keeps_the_best_and_interpolates():
    trace = Trace("method")
    for i, objective in enumerate([10.0, 12.0, 6.0], start=1):
        trace.add(i, float(i), objective, 5.0)
    assert trace.objective == [10.0, 10.0, 6.0]
    assert trace.gap[-1] == pytest.approx(1 / 6)
    assert trace.seconds_to(8.0) == 3.0
    assert trace.seconds_to(8.0, interpolate=True) == 2.5
    assert trace.seconds_to(1.0) is None
    assert Stop(objective=6.0).reached(trace)
    assert not Stop(objective=5.9, gap=0.1).reached(trace)


def test_schedule_grows():
    schedule = Schedule(1.5)
    assert [i for i in range(1, 20) if schedule.due(i)] == [1, 2, 3, 4, 6, 9, 14]


def test_tables_and_numbers():
    assert table(["a", "b"], [[1, "xx"]]) == "| a | b  |\n|---|----|\n| 1 | xx |"
    shown = [number(v) for v in (None, 0, 0.01234, 1.0, 12.34, 123.4, 12345.6, 1e-5)]
    assert shown == ["–", "0.00", "0.0123", "1.00", "12.3", "123", "12346", "1e-05"]


def test_slug_has_no_odd_characters():
    assert set(machine_slug()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert json.dumps(machine_slug())
