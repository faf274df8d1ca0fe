"""What a task is, and the table of tasks."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from mcsc.images.resize import degrade
from mcsc.tasks import TASKS, Task, get_task


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
    assert [m.name for m in replace(task, measured_by=("PSNR",)).measures] == ["PSNR"]
    assert get_task("medical").measures[0].name == "QABF"
    with pytest.raises(ValueError, match="measure must be one of RMSE"):
        _ = replace(task, measured_by=("DB",)).measures


@pytest.mark.parametrize("name", TASKS)
def test_tasks_go_to_other_processes_and_have_synthetic_pairs(name):
    task = pickle.loads(pickle.dumps(get_task(name)))
    assert task == get_task(name)
    pair = task.synthetic_pair(3, (64, 64), 1)
    assert pair.x.shape[1:] == pair.y.shape[1:] == pair.target.shape[1:] == (64, 64)


def test_synthetic_pairs_may_come_from_a_function_or_be_missing():
    asked = []
    task = replace(get_task("medical"), synthetic=lambda *given: asked.append(given))
    task.synthetic_pair(2, (40, 50), 7)
    assert asked == [(2, (40, 50), 7)]
    with pytest.raises(ValueError, match="no synthetic scenes go with medical"):
        replace(task, synthetic=None).synthetic_pair(0, (64, 64))
