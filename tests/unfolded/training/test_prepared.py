"""Scenes that are prepared for a training: what a network would see, in 16 bits, made once."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.errors import InvalidValueError
from mcsc.tasks.learning import TaskSettings
from mcsc.tasks.scenes import synthetic_scenes
from mcsc.tasks.task import get_task
from tests.unfolded.training.scenes import make_scenes
from unfolded.training.prepared import pack, prepare_scenes, unpack
from unfolded.training.scenes import TaskTriples


@pytest.mark.parametrize("sigma", [None, 0.1])
def test_packed_scenes_are_right_to_sixteen_bits(sigma):
    [scene] = make_scenes(1)
    given = scene if sigma is None else (*scene, sigma)
    found = unpack(pack(given, "7_"), "7_")
    assert len(found) == len(given)
    for image, wanted in zip(found[:3], scene, strict=True):
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, wanted, atol=np.ptp(wanted) / 65535)
    assert found[3:] == given[3:]


def test_a_constant_image_stays_one():
    flat = np.full((1, 1, 4, 5), 0.25, np.float32)
    for image in unpack(pack((flat, flat, flat))):
        np.testing.assert_array_equal(image, flat)


@pytest.fixture(scope="module")
def client():
    """The active client of a cluster in this process."""
    pytest.importorskip("distributed")
    from tests.clusters import local_client

    with local_client(active=True) as client:
        yield client


def test_scenes_are_made_once_and_for_one_training(client, tmp_path):
    task = get_task("flash-denoise")
    settings = TaskSettings().complete(task)
    readers = synthetic_scenes(task, 2, (32, 32), seed=3)
    seen = TaskTriples(task, readers, settings, (10.0, 50.0))
    apart = TaskTriples(task, readers, settings, (10.0, 50.0), spread=True)
    parts = {"scene": seen, "held-out": apart}
    made = prepare_scenes(parts, tmp_path / "made", {"seed": 3})
    for name, triples in parts.items():
        assert len(made[name]) == 2
        assert made[name].name(1) == triples.name(1)
    low, high = made["scene"][1]
    wanted = seen[1]
    assert (low[3], high[3]) == (wanted[0][3], wanted[1][3])
    np.testing.assert_allclose(high[0], wanted[1][0], atol=1e-4)
    np.testing.assert_allclose(made["held-out"][0][2], apart[0][2], atol=1e-4)
    files = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "made").iterdir()}
    assert len(files) == 5
    prepare_scenes(parts, tmp_path / "made", {"seed": 3})
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "made").iterdir()} == files
    with pytest.raises(ValueError, match=r"other settings: seed \(3, now 4\)"):
        prepare_scenes(parts, tmp_path / "made", {"seed": 4})


def test_a_scene_that_cannot_be_made_is_named(client, tmp_path):
    def spoiled():
        raise InvalidValueError("s1_rgb.png: truncated")

    task = get_task("depth-sr")
    triples = TaskTriples(task, [spoiled], TaskSettings().complete(task))
    with pytest.raises(ValueError, match=r"scene scene-0 could not .* s1_rgb.png: truncated"):
        prepare_scenes({"scene": triples}, tmp_path / "made", {})
