"""What the gallery's page on extending adds to the tables, through every door."""

from __future__ import annotations

import json
import runpy
from types import SimpleNamespace

import numpy as np
import pytest

import mcsc
from mcsc.baselines.table import BASELINES, Baseline
from mcsc.images import imresize, read_image, write_image
from mcsc.quality.measures import MEASURES
from mcsc.solvers import SOLVERS
from mcsc.tasks import METHODS, RULES, TASKS, evaluate, fuse, restore, synthetic_scenes
from tests.helpers import run
from tests.paths import ROOT

TABLES = (TASKS, RULES, BASELINES, METHODS, MEASURES, SOLVERS)


@pytest.fixture(scope="module")
def written():
    """What the gallery's page defines, and the entries that it adds to the tables."""
    before = [(table, set(table)) for table in TABLES]
    figure = pytest.importorskip("matplotlib.pyplot")
    with figure.rc_context({"backend": "agg"}):
        names = runpy.run_path(str(ROOT / "docs" / "gallery" / "plot_17_extend.py"))
    figure.close("all")
    added = [(table, name, table[name]) for table, own in before for name in set(table) - own]
    for table, name, _ in added:
        table.remove(name)
        assert name not in table
    assert {table.what for table, *_ in added} == {table.what for table in TABLES}
    return SimpleNamespace(**names, added=added)


@pytest.fixture
def page(written):
    """The same, with the entries in the tables while a test runs."""
    least = Baseline("fusion", lambda sources: np.minimum.reduce(sources))
    added = [*written.added, (BASELINES, "least", least)]
    for table, name, entry in added:
        table.add(name, entry)
    yield written
    for table, name, _ in added:
        table.remove(name)


@pytest.fixture
def folder(written, tmp_path):
    pair = written.ThermalPair(0, (32, 32), 1)
    write_image(tmp_path / "a_heat.png", pair.target, 16)
    write_image(tmp_path / "a_rgb.png", pair.y)
    write_image(tmp_path / "small.png", imresize(pair.target, 0.5), 16)
    mcsc.dct_dictionary((1, 1), 8, 4).save(tmp_path / "d.npz")
    return tmp_path


def test_in_python(page, folder):
    pair, task, error = page.ThermalPair(0, (32, 32), 1), TASKS["thermal-sr"], page.mean_error
    small = imresize(pair.target, 0.5)
    found = restore(small, pair.y, "thermal-sr", method="negative")
    np.testing.assert_allclose(found.image, page.negative(pair.x, pair.y, 0.25), atol=1e-6)
    sharp = restore(small, pair.y, task, method="guide-edges")
    assert error(sharp.image, pair.target) < 0.3 * error(pair.x, pair.target)
    options = {"method": "guide-edges", "weights_file": "0.5", "value_range": (-1, 1)}
    weaker = restore(small, pair.y, task, **options)
    assert error(weaker.image, pair.target) > error(sharp.image, pair.target)
    own = restore(small, pair.y, task, dictionary=folder / "d.npz")
    assert own.gap <= 1e-2
    assert own.lam == 0.05
    with pytest.raises(ValueError, match="no dictionary 'thermal-sr' comes with the package"):
        restore(small, pair.y, task)
    fused = fuse([pair.target, pair.x], "medical", rule="darker")
    np.testing.assert_allclose(fused.image, np.minimum(pair.target, pair.x), atol=1e-6)
    assert fused.rule == "darker"
    by_baseline = fuse([pair.target, pair.x], "medical", method="least")
    np.testing.assert_array_equal(by_baseline.image, fused.image)


def test_the_solver_reaches_the_optimum(page):
    found = mcsc.solve(page.signals, page.dictionary, page.lam, method="heavy-ball", tol=2e-3)
    assert found.method == "heavy-ball"
    assert found.gap <= 2e-3
    assert found.objective == pytest.approx(page.result.objective, rel=1e-2)


def test_in_a_table(page):
    scenes = synthetic_scenes(TASKS["thermal-sr"], 2, (32, 32))
    found = evaluate(scenes, "thermal-sr", ["bicubic", "negative", "guide-edges"])
    assert found.measures == ("mean error", "PSNR")
    means = [found.mean(m)["mean error"] for m in ("guide-edges", "negative", "bicubic")]
    assert means == sorted(means)
    measures = [m.name for m in TASKS["depth-sr"].measures]
    assert measures == ["RMSE", "PSNR", "SSIM", "mean error"]


def test_on_the_command_line(page, folder, tmp_path):
    done = run(
        "restore", folder / "small.png", folder / "a_rgb.png", "--task", "thermal-sr", "--method",
        "guide-edges", "-o", tmp_path / "o.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "16 x 16, enlarged 2 times to 32 x 32" in done.stdout
    truth = read_image(folder / "a_heat.png").pixels
    assert page.mean_error(read_image(tmp_path / "o.png").pixels, truth) < 3
    done = run(
        "restore", folder / "small.png", folder / "a_rgb.png", "--task", "thermal-sr",
        "--dictionary", folder / "d.npz", "-o", tmp_path / "own.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    done = run(
        "fuse", folder / "a_heat.png", folder / "a_rgb.png", "--task", "medical", "--rule",
        "darker", "-o", tmp_path / "f.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    done = run(
        "fuse", folder / "a_heat.png", folder / "a_rgb.png", "--task", "medical", "--method",
        "least", "-o", tmp_path / "g.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    np.testing.assert_array_equal(
        read_image(tmp_path / "f.png").pixels, read_image(tmp_path / "g.png").pixels
    )
    done = run(
        "evaluate", folder, "--task", "thermal-sr", "--method", "negative,guide-edges", "--json",
        tmp_path / "t.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split("\n")[0].split()[:4] == ["scene", "method", "mean", "error"]
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["mean"]["guide-edges"]["mean error"] < content["mean"]["negative"]["mean error"]


def test_help_lists_what_there_is(page):
    def words_of(name):  # which are broken at hyphens, too
        return " ".join(run(name, "--help").stdout.split()).replace("- ", "-")

    words = {name: words_of(name) for name in ("restore", "fuse", "evaluate")}
    assert "one of depth-sr, multispectral-sr, flash-denoise, thermal-sr." in words["restore"]
    for name in ("negative", "guide-edges"):
        assert name in words["restore"]
    assert "least, mcsc" in words["fuse"]
    assert "darker, the darker of the two sources" in words["fuse"]
    assert "thermal-sr" not in words["fuse"]
    for name in ("thermal-sr", "negative", "least", "guide-edges"):
        assert name in words["evaluate"]


def test_without_them_they_are_refused(folder, tmp_path):
    done = run(
        "restore", folder / "small.png", folder / "a_rgb.png", "--task", "thermal-sr", "-o",
        tmp_path / "o.png",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "'thermal-sr' is not one of 'depth-sr', 'multispectral-sr'" in done.stderr
    done = run(
        "fuse", folder / "a_heat.png", folder / "a_rgb.png", "--task", "medical", "--rule",
        "darker", "-o", tmp_path / "f.png",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "'darker' is not one of 'choose', 'detail', 'activity', 'sum', 'targets'" in done.stderr
