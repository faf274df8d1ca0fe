"""The pairs of all tasks, by name and number; and what all generators refuse."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.images import degrade
from mcsc.synthetic import (
    PAIR_NAMES,
    make_anatomy,
    make_scene,
    scenes,
)
from mcsc.synthetic.camera import encode


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_scenes_by_name(name):
    pairs = list(scenes(name, 2, (64, 80), seed=3))
    again = list(scenes(name, 1, (64, 80), seed=3))
    other = next(iter(scenes(name, 1, (64, 80), seed=4)))
    np.testing.assert_array_equal(pairs[0].x, again[0].x)
    assert pairs[0].seed != pairs[1].seed
    assert not np.array_equal(pairs[0].target, other.target)
    channels = {"depth": (1, 3, 1), "multispectral": (1, 3, 1), "medical": (1, 1, 1)}
    for pair in pairs:
        assert pair.name == name
        assert len(pair.names) == 3
        images = (pair.x, pair.y, pair.target)
        assert tuple(len(i) for i in images) == channels.get(name, (3, 3, 3))
        for image in images:
            assert image.dtype == np.float32
            assert image.flags.c_contiguous
            assert image.shape[1:] == (64, 80)
            if name != "flash":
                assert 0 <= image.min() <= image.max() <= 1


def test_input_of_super_resolution_is_the_degraded_target():
    for name in ("depth", "multispectral"):
        pair = next(iter(scenes(name, 1, (64, 64), factor=2)))
        np.testing.assert_array_equal(pair.x, np.clip(degrade(pair.target, 2), 0, 1))


def test_noise_of_flash_has_the_given_deviation():
    pair = next(iter(scenes("flash", 1, (96, 96), sigma=0.1)))
    assert (pair.x - pair.target).std() == pytest.approx(0.1, rel=0.02)
    clean = next(iter(scenes("flash", 1, (96, 96), sigma=0)))
    np.testing.assert_array_equal(clean.x, clean.target)
    np.testing.assert_array_equal(clean.target, pair.target)


# --------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("shape", [(31, 64), (64,), 64, (64, 64, 3), (64.0, 64), (True, 64)])
def test_refused_shape(shape):
    for make in (make_scene, make_anatomy):
        with pytest.raises(ValueError, match="shape must be"):
            make(shape)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_refused_seed(seed):
    for make in (make_scene, make_anatomy):
        with pytest.raises(ValueError, match="seed must be"):
            make((32, 32), seed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "colour"}, "name must be one of depth"),
        ({"count": 0}, "count must be"),
        ({"shape": (16, 64)}, "shape must be"),
        ({"seed": -1}, "seed must be"),
        ({"shape": (64, 66)}, "factor 4 does not divide"),
        ({"factor": 1.5}, "factor must be"),
        ({"sigma": -1}, "sigma must be"),
    ],
)
def test_refused_at_once(changes, message):
    given = {"name": "depth", "count": 1, "shape": (64, 64), "seed": 0} | changes
    with pytest.raises(ValueError, match=message):
        scenes(**given)


def test_photographs_are_yes_no_or_a_folder():
    with pytest.raises(TypeError, match="photographs must be"):
        make_scene((32, 32), photographs=1)
    with pytest.raises(ValueError, match="there is no folder"):
        scenes("depth", 1, photographs="no")


def test_encode_clips():
    np.testing.assert_allclose(encode(np.float32([-1, 0, 1, 7])), [0, 0, 1, 1])
