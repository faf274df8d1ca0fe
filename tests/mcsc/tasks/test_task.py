"""What a task is, and the table of tasks."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from mcsc.images.resize import degrade
from mcsc.tasks import TASKS, Task, get_task, synthetic_scenes


def test_six_tasks_and_a_clear_refusal():
    assert list(TASKS) == [
        "depth-sr", "multispectral-sr", "flash-denoise", "multi-exposure", "multi-focus", "medical"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="task must be one of depth-sr, multispectral-sr"):
        get_task("depth")
    with pytest.raises(TypeError, match="task must be a name or a Task, found int"):
        get_task(3)
    with pytest.raises(
        ValueError, match="medical is a fusion; want a restoration, as depth-sr, mul"
    ):
        get_task("medical", "restoration")
    with pytest.raises(ValueError, match="depth-sr is a restoration; want a fusion, as multi-exp"):
        get_task(TASKS["depth-sr"], "fusion")
    assert get_task(TASKS["medical"]) is TASKS["medical"]


def test_degradations_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    image = rng.random((1, 32, 24)).astype(np.float32)
    np.testing.assert_array_equal(get_task("depth-sr").degrade(image), degrade(image, 4))
    flash = get_task("flash-denoise")
    noisy = flash.degrade(np.full((3, 200, 200), 0.5, np.float32), sigma=25, seed=3)
    assert noisy.std() * 255 == pytest.approx(25, rel=0.02)
    assert flash.degrade(np.ones((1, 200, 200))).max() > 1  # not clipped
    np.testing.assert_array_equal(
        flash.degrade(image, sigma=50, seed=1),
        (image + 50 / 255 * np.random.default_rng(1).standard_normal(image.shape)).astype("f4"),
    )
    with pytest.raises(ValueError, match="multi-focus is a fusion without factor or sigma"):
        get_task("multi-focus").degrade(image)


def test_what_could_not_be_a_task_is_refused():
    with pytest.raises(
        ValueError, match="kind of the task x must be 'restoration' or 'fusion', found"
    ):
        Task("x", "X", "denoising", (("a",), ("b",)))
    with pytest.raises(ValueError, match="medical is a fusion: its inputs are not made from a tar"):
        replace(get_task("medical"), factor=4)


def test_measures_are_those_of_the_kind_or_those_that_the_task_names():
    task = get_task("depth-sr")
    assert [m.name for m in task.measures] == ["RMSE", "PSNR", "SSIM"]
    for names in (("PSNR",), ["PSNR"]):
        assert [m.name for m in replace(task, measured_by=names).measures] == ["PSNR"]
        assert replace(task, measured_by=names).measured_by == ("PSNR",)
    assert get_task("medical").measures[0].name == "QABF"


@pytest.mark.parametrize("name", TASKS)
def test_tasks_go_to_other_processes_and_have_synthetic_pairs(name):
    task = pickle.loads(pickle.dumps(get_task(name)))
    assert task == get_task(name)
    pair = task.synthetic_pair(3, (64, 64), 1)
    assert pair.x.shape[1:] == pair.y.shape[1:] == pair.target.shape[1:] == (64, 64)


def test_synthetic_pairs_may_come_from_a_function_or_be_missing():
    asked = []
    pair = get_task("medical").synthetic_pair(0, (40, 50))

    def make(*given):
        asked.append(given)
        return pair

    task = replace(get_task("medical"), synthetic=make)
    assert task.synthetic_pair(2, (40, 50), 7) is pair
    assert asked == [(2, (40, 50), 7)]
    with pytest.raises(ValueError, match="no synthetic scenes go with medical"):
        replace(task, synthetic=None).synthetic_pair(0, (64, 64))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("depth-sr", {"factor": 2}),
        ("depth-sr", {"factor": 3}),
        ("multispectral-sr", {"factor": 6}),
        ("depth-sr", {"factor": None, "sigma": 10.0}),
        ("flash-denoise", {"sigma": 10.0}),
        ("flash-denoise", {"sigma": None, "factor": 2}),
    ],
)
def test_synthetic_pairs_have_the_factor_and_the_noise_of_the_task(name, changes):
    task = get_task(replace(get_task(name), **changes))
    pair = task.synthetic_pair(1, (60, 72), 3)
    if task.sigma is None:
        made = task.degrade(pair.target)
        np.testing.assert_allclose(pair.x, made if name[0] == "f" else np.clip(made, 0, 1))
        assert pair.names[0].startswith("low-resolution ")
    else:
        assert (pair.x - pair.target).std() * 255 == pytest.approx(task.sigma, rel=0.05)
        assert pair.names[0].startswith("noisy ")
    own = get_task(name).synthetic_pair(1, (60, 72), 3)
    np.testing.assert_array_equal(pair.target, own.target)
    np.testing.assert_array_equal(pair.y, own.y)


def test_synthetic_scenes_are_of_any_size_whatever_the_factor():
    task = replace(get_task("depth-sr"), factor=3)
    target, guide = synthetic_scenes(task, 1, (40, 50), 5)[0]()
    assert (target.shape, guide.shape) == ((1, 40, 50), (3, 40, 50))
    whole = task.synthetic_pair(0, (42, 51), 5)
    np.testing.assert_array_equal(target, whole.target[:, :40, :50])
    with pytest.raises(ValueError, match="factor 3 does not divide the shape 40 x 50"):
        task.synthetic_pair(0, (40, 50), 5)
    neither = replace(get_task("depth-sr"), factor=None)
    with pytest.raises(ValueError, match="depth-sr is a restoration without factor or sigma"):
        neither.synthetic_pair(0, (40, 50), 5)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda pair: None, "must return a pair with x, y and target, .*; found None"),
        (lambda pair: pair.target, "found an array of shape"),
        (lambda pair: replace(pair, y="y"), "found with y = 'y'"),
        (lambda pair: replace(pair, y=pair.y.astype(int)), "found with y = an array of .* int64"),
        (
            lambda pair: replace(pair, target=pair.target[:, :30]),
            r"was asked for a pair of 40 x 50, and returned target of shape \(1, 30, 50\)",
        ),
        (lambda pair: replace(pair, y=pair.y[0]), r"returned y of shape \(40, 50\)"),
    ],
)
def test_a_maker_of_pairs_is_looked_at(made, says):
    pair = replace(get_task("depth-sr"), factor=2).synthetic_pair(0, (40, 50))
    task = replace(get_task("depth-sr"), synthetic=lambda *given: made(pair))
    with pytest.raises((TypeError, ValueError), match=says) as caught:
        task.synthetic_pair(0, (40, 50))
    assert str(caught.value).startswith("synthetic of the task depth-sr ")


def test_a_maker_of_pairs_need_not_make_the_input():
    """Scenes of a restoration make it of the target."""
    pair = get_task("depth-sr").synthetic_pair(0, (40, 48))
    small = replace(pair, x=pair.x[:, ::4, ::4])
    task = replace(get_task("depth-sr"), synthetic=lambda *given: small)
    assert task.synthetic_pair(0, (40, 48)) is small
    [scene] = synthetic_scenes(task, 1, (40, 48))
    np.testing.assert_array_equal(scene()[0], pair.target)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"name": ""}, TypeError, "name of a task must be a word, found ''"),
        ({"title": None}, TypeError, "title of the task depth-sr must be a word, found None"),
        ({"roles": ("depth", "rgb")}, TypeError, "roles of the task depth-sr must be two tuples"),
        ({"roles": (("depth",), ())}, TypeError, "roles of the task depth-sr must be two tuples"),
        ({"roles": [["depth"], ["rgb"]]}, TypeError, "roles of the task depth-sr must be two tup"),
        ({"roles": (("a",), ("a",))}, ValueError, "roles of the task depth-sr names 'a' twice"),
        ({"roles": (("a", "b"), ("c", "b"))}, ValueError, "roles .* names 'b' twice"),
        ({"roles": (("a", "a"), ("b",))}, ValueError, "roles .* names 'a' twice"),
        ({"roles": (("a/b",), ("c",))}, ValueError, "'a/b' is no ending of the name of a file"),
        (
            {"synthetic": lambda number: None},
            TypeError,
            "synthetic of the task depth-sr must be a function of number, shape, seed; the functio",
        ),
        ({"synthetic": 3}, TypeError, "synthetic of the task depth-sr must be a word, found 3"),
        (
            {"base": "lwo"},
            ValueError,
            "base of the task depth-sr must be 'none', 'input', 'low', 'guided'",
        ),
        ({"base": "mean"}, ValueError, "base of the task depth-sr must be .* found 'mean'"),
        ({"network_base": "x"}, ValueError, "network_base of the task depth-sr must be"),
        (
            {"base": "injected", "colour_guide": True},
            ValueError,
            "base of the task depth-sr cannot be 'injected' in depth-sr: it is for super-res",
        ),
        (
            {"network_base": "injected", "factor": None, "sigma": 3.0},
            ValueError,
            "network_base of the task depth-sr cannot be 'injected'",
        ),
        ({"brightest_base": 1}, TypeError, "brightest_base of the task depth-sr must be True or"),
        ({"smoothing": 3}, TypeError, r"smoothing of the task depth-sr must be \(radius, edge\)"),
        ({"smoothing": (3, 0)}, ValueError, "smoothing of the task depth-sr must be a finite"),
        ({"strength": 0}, ValueError, "strength of the task depth-sr must be a finite number > 0"),
        ({"lam": -1.0}, ValueError, "lam of the task depth-sr must be a finite number > 0"),
        ({"lam": "0.1"}, ValueError, "lam of the task depth-sr must be a finite number > 0"),
        ({"guide_weight": np.inf}, ValueError, "guide_weight of the task depth-sr must be"),
        ({"factor": 1}, ValueError, "factor of the task depth-sr must be a whole number >= 2"),
        ({"factor": 2.5}, ValueError, "factor of the task depth-sr must be a whole number >= 2"),
        ({"factor": None, "sigma": 0}, ValueError, "sigma of the task depth-sr must be a finite"),
        ({"sigma": 5.0}, ValueError, "depth-sr has a factor and a sigma"),
        ({"all_channels": "yes"}, TypeError, "all_channels of the task depth-sr must be True or"),
        ({"baselines": {"guided-filter": 3}}, TypeError, "baselines of the task depth-sr must map"),
        ({"measured_by": "RMSE"}, TypeError, "measured_by of the task depth-sr must be a tuple of"),
        ({"measured_by": None}, TypeError, "must be a tuple of names, .* found None"),
        ({"measured_by": ("RMSE", 3)}, TypeError, "must be a tuple of names"),
        ({"measured_by": ("RMSE", "RMSE")}, ValueError, "measured_by .* names 'RMSE' twice"),
        ({"base": "injected", "all_channels": True}, ValueError, "base .* cannot be 'injected'"),
    ],
)
def test_fields_that_are_no_such_thing_are_refused(changes, error, says):
    with pytest.raises(error, match=says):
        replace(get_task("depth-sr"), **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"colour_guide": True}, "colour_guide of the task medical: a fusion has no guide"),
        ({"mixed_guide": True}, "mixed_guide of the task medical: a fusion has no guide"),
        ({"roles": (("near",), ("target",))}, "'target' no role of a source"),
    ],
)
def test_what_a_fusion_does_not_have_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        replace(get_task("medical"), **changes)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("medical", {"rule": "chose"}, "rule of the task medical must be one of choose, detail, "),
        ("medical", {"measured_by": ("RMSE",)}, "measured_by of the task medical: RMSE is for a r"),
        ("depth-sr", {"measured_by": ("RSME",)}, "measured_by of the task depth-sr must be one of"),
        (
            "depth-sr",
            {"baselines": {"mean": {}}},
            "baselines of the task depth-sr: mean is for a",
        ),
        ("medical", {"baselines": {"guided-filter": {}}}, "guided-filter is for a restoration"),
        (
            "depth-sr",
            {"baselines": {"input": {}}},
            "input is for other tasks than super",
        ),
        ("flash-denoise", {"baselines": {"bicubic": {}}}, "bicubic is for super-resolution"),
        ("depth-sr", {"baselines": {"guided": {}}}, "baselines of the task depth-sr must be one o"),
        (
            "depth-sr",
            {"baselines": {"guided-filter": {"raduis": 3}}},
            "guided-filter has no setting 'raduis'; it has radius, edge$",
        ),
        ("depth-sr", {"synthetic": "focus"}, "synthetic of the task depth-sr: focus is for a fus"),
        ("medical", {"synthetic": "depth"}, "synthetic of the task medical: depth is for a restor"),
        ("depth-sr", {"synthetic": "dept"}, "synthetic of the task depth-sr must be one of depth,"),
    ],
)
def test_names_that_are_in_no_table_are_refused_before_any_work(name, changes, says):
    task = replace(get_task(name), **changes)
    with pytest.raises(ValueError, match=says):
        get_task(task)


def test_images_are_cropped_to_multiples_of_the_factor():
    images = np.ones((3, 30, 41)), np.ones((1, 30, 41))
    assert [i.shape for i in get_task("depth-sr").cropped(*images)] == [(3, 28, 40), (1, 28, 40)]
    assert [i.shape for i in get_task("medical").cropped(*images)] == [(3, 30, 41), (1, 30, 41)]
