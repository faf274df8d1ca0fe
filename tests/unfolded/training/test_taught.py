"""Scenes whose targets a method makes."""

from __future__ import annotations

import pickle
import warnings

import numpy as np

from mcsc.synthetic import exposure_pair, make_pair
from mcsc.tasks import fuse, get_task
from tests.mcsc.alignment.test_ghosts import moved, scene
from tests.unfolded.nets import torch  # noqa: F401  (skips where PyTorch is not)
from unfolded.training.taught import taught


def _read():
    pair = make_pair("focus", 0, (48, 48), photographs=False)
    return pair.x, pair.y, np.zeros_like(pair.x)


def _read_with_a_hole():
    x, y, _ = _read()
    x = x.copy()
    x[:, 5:9, 7:12] = np.nan
    return x, y


def test_the_target_is_what_the_method_makes():
    [scene] = taught([_read], get_task("multi-focus"), "mean")
    x, y, target = scene()
    np.testing.assert_array_equal(x, _read()[0])
    np.testing.assert_allclose(target, (x + y) / 2, atol=1e-6)
    assert scene.name == "scene 0"


def test_the_teacher_has_the_rule_that_is_asked_for():
    task = get_task("medical")
    pair = task.synthetic_pair(0, (48, 52), 5)
    made = {}
    for rule in (None, "activity", "sum"):
        target = taught([lambda: (pair.x, pair.y)], task, "mcsc", rule)[0]()[2]
        wanted = fuse([pair.x, pair.y], task, rule=rule, value_range=(0, 1), ghosts=False).image
        np.testing.assert_array_equal(target, wanted)
        made[rule] = target
    assert not np.array_equal(made[None], made["activity"])
    assert not np.array_equal(made["sum"], made["activity"])


def test_other_processes_can_read_it():
    scene = pickle.loads(pickle.dumps(taught([_read], get_task("multi-focus"), "mean")[0]))
    assert scene()[2].shape == (3, 48, 48)


def test_holes_are_filled_from_the_other_source():
    [scene] = taught([_read_with_a_hole], get_task("multi-focus"), "mean")
    x, y, target = scene()
    assert np.isnan(x[:, 5:9, 7:12]).all()
    np.testing.assert_allclose(target[:, 5:9, 7:12], y[:, 5:9, 7:12], atol=1e-3)


def test_the_teacher_sees_sources_as_the_network_does():
    """Contradictions, which are found for a user, are in the sources of the network."""
    over, under = exposure_pair(scene(3))[0], exposure_pair(moved(3)[0])[1]
    task = get_task("multi-exposure")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target = taught([lambda: (over, under)], task, "laplacian")[0]()[2]
        made = fuse([over, under], task, method="laplacian", value_range=(0, 1), ghosts=False).image
    np.testing.assert_array_equal(target, made)
