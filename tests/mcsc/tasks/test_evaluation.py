"""`evaluate`: tables of methods and scenes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import mcsc
from mcsc.images import write_image
from mcsc.quality.full_reference import rmse
from mcsc.quality.measures import MEASURES, Measure
from mcsc.tasks import (
    SparseCoding,
    evaluate,
    find_method,
    find_scenes,
    fuse,
    get_task,
    synthetic_scenes,
)
from mcsc.tasks.learning import TaskSettings, learn_task
from tests.mcsc.tasks.pairs import pair


@pytest.fixture
def folder(tmp_path):
    for seed in (1, 2):
        scene = pair("depth-sr", seed)
        write_image(tmp_path / f"s{seed}_depth.png", scene.target, bit_depth=16)
        write_image(tmp_path / f"s{seed}_rgb.png", scene.y)
    return tmp_path


def test_evaluation_is_what_the_measures_say(folder, depth, tmp_path):
    task = get_task("depth-sr")
    names = ["bicubic", "guided-filter", "mcsc"]
    seen = []
    found = evaluate(
        folder, task, names, dictionary=depth.dictionary, each=lambda *given: seen.append(given)
    )
    assert len(found.rows) == 6
    assert found.methods() == names
    truth, _ = find_scenes(folder, task)[0].read()
    first = found.rows[0]
    assert (first.scene, first.method) == ("s1", "bicubic")
    expected = rmse(np.clip(task.degrade(truth), 0, 1), truth)
    assert first.measures["RMSE"] == pytest.approx(expected)
    mean = np.mean([r.measures["PSNR"] for r in found.rows if r.method == "mcsc"])
    assert found.mean("mcsc")["PSNR"] == pytest.approx(mean)
    assert [given[0] for given in seen] == found.rows
    np.testing.assert_array_equal(seen[0][4], truth)
    found.write_csv(tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "scene,method,RMSE,PSNR,SSIM,seconds"
    assert len(lines) == 1 + 6 + 3
    found.write_json(tmp_path / "t.json", note="x")
    assert json.loads((tmp_path / "t.json").read_text())["note"] == "x"


def _keeper(images):
    return lambda row, x, y, image, truth: images.append(image)


def test_rules_are_measured():
    scenes = synthetic_scenes(get_task("medical"), 1, (48, 48), seed=3)
    made = {None: [], "detail": [], "sum": []}
    for rule, keep in made.items():
        evaluate(scenes, "medical", ["mean", "mcsc"], rule=rule, each=_keeper(keep))
    for number, same in ((0, True), (1, False)):
        np.testing.assert_array_equal(made[None][number], made["detail"][number])
        assert np.array_equal(made[None][number], made["sum"][number]) == same
    wanted = fuse(scenes[0]()[:2], "medical", rule="sum", value_range=(0, 1)).image
    np.testing.assert_allclose(made["sum"][1], wanted, atol=1e-6)


def test_scenes_may_be_readers_and_methods_may_be_made():
    task = get_task("multi-focus")
    scenes = synthetic_scenes(task, 2, (64, 64), seed=3)
    found = evaluate(scenes, "multi-focus", {"average": find_method("mean", task)})
    assert [(r.scene, r.method) for r in found.rows] == [
        ("synthetic scene 0", "average"), ("synthetic scene 1", "average")
    ]  # fmt: skip
    assert list(found.rows[0].measures) == ["QABF", "MI", "MEF-SSIM", "SF", "EN"]
    with pytest.raises(ValueError, match="dictionary and weights_file are for methods given by t"):
        evaluate(scenes, task, {"average": find_method("mean", task)}, weights_file="w")
    with pytest.raises(ValueError, match="sigma is for denoising, not for multi-focus"):
        evaluate(scenes, task, sigma=25)


def test_what_the_caller_cannot_do_is_no_fault_of_a_scene():
    task, left = get_task("depth-sr"), []

    def each(*_):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        evaluate(
            synthetic_scenes(task, 2, (48, 48)), task, ["bicubic"], each=each,
            skip=lambda *given: left.append(given),
        )  # fmt: skip
    assert not left


def test_noise_is_that_of_the_seed():
    scenes = synthetic_scenes(get_task("flash-denoise"), 1, (32, 32))

    def error(**options):
        (row,) = evaluate(scenes, "flash-denoise", ["input"], **options).rows
        return row.measures["RMSE"]

    assert error(sigma=25) == error(sigma=25) != error(sigma=25, seed=1)
    assert 1.5 < error() / error(sigma=25) < 2.5


def test_json_has_no_infinity(tmp_path):
    """The PSNR of a perfect image is infinite, which JSON has no word for."""
    flat = np.full((1, 32, 32), 0.5, np.float32)
    found = evaluate([lambda: (flat, flat)], "depth-sr", ["bicubic"])
    assert found.rows[0].measures["PSNR"] > 100 or np.isinf(found.rows[0].measures["PSNR"])
    found.rows[0].measures["PSNR"] = np.inf
    found.write_json(tmp_path / "t.json")

    def refuse(word):
        raise AssertionError(word)

    content = json.loads((tmp_path / "t.json").read_text(), parse_constant=refuse)
    assert content["rows"][0]["measures"]["PSNR"] is None
    assert content["mean"]["bicubic"]["PSNR"] is None


def test_an_image_that_is_too_small_is_called_by_its_scene():
    with pytest.raises(ValueError, match="larger than the first image of scene 0: filters 12x12"):
        evaluate([both], "depth-sr", ["mcsc"])


def ints():
    return tuple((255 * image).astype(np.uint8) for image in both())


@pytest.mark.parametrize("shape", [(3, 40, 48), (3, 44, 52), (3, 36, 44)])
def test_a_guide_of_another_size_is_refused(shape):
    """Cut to one size, the images would not show the same."""
    task = get_task("depth-sr")

    def reader():
        return np.zeros((1, 40, 44), "f4"), np.zeros(shape, "f4")

    reader.name = "s7"
    message = f"the second image of s7 is {shape[1]} x {shape[2]}, the first 40 x 44: want regist"
    for flips in (False, True):
        settings = TaskSettings(flips=flips)
        with pytest.raises(ValueError, match=message):
            learn_task(task, [reader], settings, passes=1)
    with pytest.raises(ValueError, match=message):
        evaluate([reader], task, ["bicubic"])
    skipped = []
    evaluate([reader], task, ["bicubic"], skip=lambda name, error: skipped.append(name))
    assert skipped == ["s7"]


def test_a_scene_that_one_method_cannot_take_is_given_to_none():
    dictionary = mcsc.dct_dictionary((4, 1), 8, 4)
    task = get_task("multispectral-sr")
    methods = {"bicubic": find_method("bicubic", task), "own": SparseCoding(task, dictionary)}
    rng = np.random.default_rng(0)
    run = []
    with pytest.raises(ValueError, match="own codes 4 channels of the first image of scene 0, wh"):
        evaluate(
            [lambda: tuple(rng.random((2, 2, 32, 32)))], task, methods,
            each=lambda *given: run.append(given),
        )  # fmt: skip
    assert not run


@pytest.mark.parametrize(
    ("value", "says"),
    [("s", "found 's'"), (None, "found None"), (np.zeros((2, 2)), "found an array of shape")],
)
def test_a_measure_of_others_returns_a_number(value, says):
    task = replace(get_task("depth-sr"), measured_by=("own",))
    scenes = [lambda: (np.zeros((1, 8, 8), "f4"), np.zeros((1, 8, 8), "f4"))]
    message = f"the measure own must return a number; {says}"
    for given, wanted in ((value, None), (np.float32(2), 2.0), (np.array(3.0), 3.0), (4, 4.0)):
        MEASURES.add("own", Measure("own", "restoration", lambda x, z, v=given: v))
        try:
            if wanted is None:
                with pytest.raises(TypeError, match=message):
                    evaluate(scenes, task, ["bicubic"])
            else:
                row = evaluate(scenes, task, ["bicubic"]).rows[0]
                assert row.measures["own"] == wanted
        finally:
            MEASURES.remove("own")


def both():
    return (np.zeros((1, 8, 8), "f4"), np.zeros((1, 8, 8), "f4"))


@pytest.mark.parametrize(
    ("scenes", "methods", "options", "error", "message"),
    [
        ([], ["mean"], {}, ValueError, "scenes is empty: want one at least"),
        ([both()], ["mean"], {}, TypeError, "scenes must hold callables, each of .* found tuple"),
        (both()[0], ["mean"], {}, TypeError, "scenes must be a folder or a sequence .* ndarray"),
        (3, ["mean"], {}, TypeError, "scenes must be a folder or a sequence of .* found int"),
        (["a.png"], ["mean"], {}, TypeError, "scenes must hold callables, each of .* found str"),
        ([both, 3], ["mean"], {}, TypeError, "scenes must hold callables, each of .* found int"),
        ([both], [both], {}, TypeError, "methods must hold names, found the function both: meth"),
        ([both], {3: both}, {}, TypeError, "methods must be named by words, found 3"),
        ([both], ["mean"], {"each": 3}, TypeError, "each must be callable, found 3"),
        ([both], ["mean"], {"skip": "s"}, TypeError, "skip must be callable, found 's'"),
        ([lambda: None], ["mean"], {}, TypeError, "scene 0 must return a tuple .* found None"),
        (
            [lambda: both()[0]],
            ["mean"],
            {},
            TypeError,
            "must return a tuple .* found an array",
        ),
        ([lambda: ("a", "b")], ["mean"], {}, TypeError, "found 'a'; 'b'"),
        ([lambda: both() * 2], ["mean"], {}, TypeError, "tuple of the images of both roles, or of"),
        ([lambda: ints()], ["mean"], {}, TypeError, "NumPy arrays of floats .* dtype uint8"),
        (
            [lambda: (both()[0], both()[0][:, :7])],
            ["mean"],
            {},
            ValueError,
            "the second image of scene 0 is 7 x 8, the first 8 x 8: want registered images of one",
        ),
        ([both], [], {}, ValueError, "methods is empty: want one at least"),
        ([both], {}, {}, ValueError, "methods is empty: want one at least"),
        ([both], 3, {}, TypeError, "methods must be a sequence of names, found int"),
        ([both], "mean", {}, TypeError, "methods must be a sequence of names, as ..mean.."),
        ([both], {"a": "mean"}, {}, TypeError, "methods.'a'. must be a mcsc.tasks.Method, which"),
        ([both], {"a": lambda s: s[0]}, {}, TypeError, "has the attribute options, .* function"),
        ([both], ["mean"], {"seed": "a"}, ValueError, "seed must be a whole number >= 0"),
        ([both], ["mean"], {"tol": 2}, ValueError, "tol must be a finite number > 0 and < 1"),
        ([both], ["mean"], {"device": "x"}, ValueError, "device must be"),
        ([both], ["mean"], {"tol": 1e-4}, ValueError, "none of the methods mean has tol"),
        ([both], ["mean"], {"max_iter": 3}, ValueError, "none of the methods mean has max_iter"),
        ([both], ["mean"], {"device": "cuda"}, ValueError, "none of the methods mean has device"),
        ([both], ["mean"], {"rule": "sum"}, ValueError, "none of the methods mean has rule"),
        ([both], ["mcsc"], {"rule": "most"}, ValueError, "rule must be one of .* found 'most'"),
    ],
)
def test_what_cannot_be_measured_is_refused(scenes, methods, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(scenes, "multi-focus", methods, **options)
