"""A task, a fusion rule, a baseline, a method and a measure from outside, through every door."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mcsc
from mcsc.baselines.table import BASELINES, Baseline
from mcsc.images import degrade, imresize, read_image, write_image
from mcsc.quality.measures import MEASURES, Measure
from mcsc.tasks import (
    METHODS,
    RULES,
    TASKS,
    Blend,
    Rule,
    Task,
    evaluate,
    fuse,
    restore,
    synthetic_scenes,
)
from tests.helpers import run


class Pair:
    """A bright square, seen by a camera for heat and by one for light."""

    def __init__(self, number, shape, seed):
        rng = np.random.default_rng([number, seed])
        top, left = rng.integers(4, 12, 2)
        self.target = np.full((1, *shape), 0.2, np.float32)
        self.target[:, top : top + 16, left : left + 16] = 0.9
        self.y = np.repeat(1 - self.target, 3, axis=0)
        self.x = degrade(self.target, 2)


class Sharper:
    """A method that is a class."""

    name = "sharper"
    options = frozenset({"lam", "known_shape"})

    def __init__(self, task, weights):
        self.strength = 1.0 if weights is None else float(weights)

    def __call__(self, x, y, *, lam, known_shape):
        assert known_shape == (16, 16)
        edges = (1 - y.mean(0, keepdims=True)) - imresize(
            imresize(1 - y.mean(0, keepdims=True), 0.5), 2
        )
        return x + (self.strength if lam is None else lam) * edges


def least(pair):
    """A rule: the darker one."""
    image = np.minimum(*pair.sources)
    return Blend(image, pair.splits[0].low)


@pytest.fixture
def toys():
    thermal = Task(
        "thermal-sr", "Thermal images", "restoration", (("heat",), ("rgb",)), Pair, base="input",
        lam=0.05, factor=2, baselines={"blend": {"share": 0.25}}, measured_by=("MAE", "PSNR"),
    )  # fmt: skip
    added = [
        (TASKS, "thermal-sr", thermal),
        (RULES, "darker", Rule(least, "the darker of the two sources")),
        (BASELINES, "blend", Baseline("restoration", blend, super_resolution=True)),
        (BASELINES, "least", Baseline("fusion", lambda sources: np.minimum.reduce(sources))),
        (METHODS, "sharper", Sharper),
        (MEASURES, "MAE", Measure("MAE", "restoration", error, larger_is_better=False, digits=1)),
    ]
    for table, name, entry in added:
        table.add(name, entry)
    yield thermal
    for table, name, _ in added:
        table.remove(name)
        assert name not in table


def blend(x, y, share=0.5):
    return (1 - share) * x + share * (1 - y.mean(0, keepdims=True))


def error(image, target):
    return 255 * float(np.mean(np.abs(image - target)))


@pytest.fixture
def folder(tmp_path):
    pair = Pair(0, (32, 32), 1)
    write_image(tmp_path / "a_heat.png", pair.target, 16)
    write_image(tmp_path / "a_rgb.png", pair.y)
    write_image(tmp_path / "small.png", imresize(pair.target, 0.5), 16)
    mcsc.dct_dictionary((1, 1), 8, 4).save(tmp_path / "d.npz")
    return tmp_path


def test_in_python(toys, folder):
    pair = Pair(0, (32, 32), 1)
    small = imresize(pair.target, 0.5)
    found = restore(small, pair.y, "thermal-sr", method="blend")
    np.testing.assert_allclose(found.image, blend(pair.x, pair.y, 0.25), atol=1e-6)
    sharp = restore(small, pair.y, toys, method="sharper")
    assert error(sharp.image, pair.target) < 0.2 * error(pair.x, pair.target)
    weaker = restore(small, pair.y, toys, method="sharper", weights_file="0.5", value_range=(-1, 1))
    assert error(weaker.image, pair.target) > error(sharp.image, pair.target)
    own = restore(small, pair.y, toys, dictionary=folder / "d.npz")
    assert own.gap <= 1e-2
    assert own.lam == 0.05
    with pytest.raises(ValueError, match="no dictionary 'thermal-sr' comes with the package"):
        restore(small, pair.y, toys)
    fused = fuse([pair.target, pair.x], "medical", rule="darker")
    np.testing.assert_allclose(fused.image, np.minimum(pair.target, pair.x), atol=1e-6)
    assert fused.rule == "darker"
    by_baseline = fuse([pair.target, pair.x], "medical", method="least")
    np.testing.assert_array_equal(by_baseline.image, fused.image)


def test_in_a_table(toys):
    scenes = synthetic_scenes(toys, 2, (32, 32))
    found = evaluate(scenes, "thermal-sr", ["bicubic", "blend", "sharper"])
    assert found.measures == ("MAE", "PSNR")
    assert found.mean("sharper")["MAE"] < found.mean("blend")["MAE"] < found.mean("bicubic")["MAE"]
    assert list(evaluate([], "depth-sr", ["bicubic"]).measures) == ["RMSE", "PSNR", "SSIM", "MAE"]


def test_on_the_command_line(toys, folder, tmp_path):
    done = run(
        "restore", folder / "small.png", folder / "a_rgb.png", "--task", "thermal-sr", "--method",
        "sharper", "-o", tmp_path / "o.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "16 x 16, enlarged to 32 x 32" in done.stdout
    truth = read_image(folder / "a_heat.png").pixels
    assert error(read_image(tmp_path / "o.png").pixels, truth) < 3
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
        "evaluate", folder, "--task", "thermal-sr", "--method", "blend,sharper", "--json",
        tmp_path / "t.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split("\n")[0].split() == ["scene", "method", "MAE", "PSNR", "seconds"]
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["mean"]["sharper"]["MAE"] < content["mean"]["blend"]["MAE"]


def test_help_lists_what_there_is(toys):
    def words_of(name):  # which are broken at hyphens, too
        return " ".join(run(name, "--help").stdout.split()).replace("- ", "-")

    words = {name: words_of(name) for name in ("restore", "fuse", "evaluate")}
    assert "one of depth-sr, multispectral-sr, flash-denoise, thermal-sr." in words["restore"]
    for name in ("blend", "sharper"):
        assert name in words["restore"]
    assert "least, mcsc" in words["fuse"]
    assert "darker, the darker of the two sources" in words["fuse"]
    assert "thermal-sr" not in words["fuse"]
    for name in ("thermal-sr", "blend", "least", "sharper"):
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
    assert "'darker' is not one of 'choose', 'detail', 'sum', 'targets'" in done.stderr
