"""Stacks on the grid of their middle frame."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter, zoom

from mcsc.alignment.distant import distant_shift
from mcsc.alignment.stacks import align_stack, misfit
from tests.mcsc.alignment.test_motion import SHAPE, error, homography, view


def breathing(count=5):
    """Frames from the hand, of a lens that breathes, and their motions against the middle one."""
    motions = [
        homography((1.2 * (m - 2), -0.8 * (m - 2)), scale=1 + 0.015 * (m - 2)) for m in range(count)
    ]
    return [view(h).astype(np.float32) for h in motions], motions


class Lazy(Sequence):
    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        return self.frames[index].copy()


@pytest.mark.parametrize("lazy", [False, True])
def test_frames_lie_on_the_middle_one(lazy):
    frames, motions = breathing()
    found = align_stack(Lazy(frames) if lazy else frames)
    assert found.reference == 2
    for motion, matrix in zip(found.motions, motions, strict=True):
        assert error(motion, matrix) < 0.1
    np.testing.assert_array_equal(found[2], frames[2])
    for m in (0, 1, 3, 4):
        mask = found.masks[m]
        assert mask is None or 0.5 < mask.mean() < 1
        seen = np.ones(SHAPE, bool) if mask is None else mask
        assert np.abs(found[m] - frames[2])[seen].mean() < 0.01
        assert np.abs(frames[m] - frames[2])[seen].mean() > 0.02
    assert found.masks[2] is None
    assert "the others are aligned to it" in found.describe(2)
    assert "scaled by" in found.describe(0)


def test_cropped_to_what_all_frames_show():
    frames, _ = breathing()
    found = align_stack(frames, crop=True)
    shapes = {frame.shape for frame in found}
    assert len(shapes) == 1
    height, width = shapes.pop()
    assert 0.7 < height * width / (SHAPE[0] * SHAPE[1]) < 1
    assert list(found.masks) == [None] * 5
    window = found[2]
    assert all(np.abs(frame - window).mean() < 0.01 for frame in found)


def test_a_still_stack_is_left_alone():
    rng = np.random.default_rng(0)
    frames = [view(blur=b) + 0.01 * rng.standard_normal(SHAPE) for b in (0.0, 1.0, 0.5)]
    found = align_stack(frames, crop=True)
    for m, frame in enumerate(frames):
        np.testing.assert_array_equal(found[m], frame)


def test_another_aspect_is_refused():
    frames = [view(), view()[:, :120]]
    with pytest.raises(ValueError, match=r"b is 120 x 160, a is 120 x 120, which is another aspe"):
        align_stack(frames[::-1], names=["a", "b"], reference=0)


def test_another_size_of_one_aspect_is_brought_to_it():
    frames = [view(), view()[::2, ::2].copy(), view()]
    found = align_stack(frames, reference=0)
    assert found[1].shape == SHAPE


def test_what_cannot_be_believed_is_refused():
    far = view(homography((0.0, 42.0)))
    with pytest.raises(ValueError, match="is implausible for images to be aligned"):
        align_stack([view(), far], reference=0)
    large = view(homography(scale=1.3))
    with pytest.raises(ValueError, match="is implausible for frames of one stack"):
        align_stack([view(), large], reference=0)


def test_another_scene_is_left_as_it_is():
    rng = np.random.default_rng(0)
    other = gaussian_filter(rng.random(SHAPE), 1.5)
    with pytest.warns(
        UserWarning, match=r"b has too little in common with a .* \(correlation 0.\d"
    ):
        found = align_stack([view(), other], reference=0, names=["a", "b"])
    np.testing.assert_array_equal(found[1], other)
    assert found.describe(1) == "b: not aligned, and left as it is"


def test_frames_that_do_not_fit_are_named():
    moved = view().copy()
    moved[:, :80] = np.roll(moved[:, :80], 9, axis=0)  # half of what is seen moved by itself
    assert misfit(moved, view()) > 0.3
    with pytest.warns(UserWarning, match=r"b does not fit on a in \d+ % of the places"):
        align_stack([view(), moved], reference=0, names=["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align_stack([view(), view(blur=2.0)], reference=0)


# ----------------------------------------------------------------------------- implausibly far
WIDE = (180, 300)


def cells():
    rng = np.random.default_rng(3)
    points, values = rng.random((70, 2)) * WIDE, rng.random(70)
    y, x = np.mgrid[: WIDE[0], : WIDE[1]][..., None]
    nearest = np.argmin((y - points[:, 0]) ** 2 + (x - points[:, 1]) ** 2, axis=-1)
    return gaussian_filter(values[nearest], 0.7)


SCENES = {
    "photograph": lambda: skimage.data.coffee()[100:280, 100:400, 1] / 255,
    "grain": lambda: gaussian_filter(np.random.default_rng(1).random(WIDE), 1.5) * 3 % 1,
    "cells": cells,
}
LIGHTS = {
    "as it is": lambda image: image,
    "noise": lambda image: image + 0.05 * np.random.default_rng(0).standard_normal(image.shape),
    "defocus": lambda image: gaussian_filter(image, 2.0),
    "exposure": lambda image: np.clip(2.2 * image, 0, 1),
    "negative": lambda image: 1 - image,
    "flash": lambda image: np.clip(
        1.3 * image * np.exp(-8 * (np.linspace(-0.5, 0.5, image.shape[1]) ** 2)), 0, 1
    ),
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("scene", SCENES)
def test_displaced_by_two_fifths_is_refused_whatever_it_shows(scene, light):
    whole = SCENES[scene]()
    width = 200
    still, far = whole[:, :width], LIGHTS[light](whole[:, 80 : 80 + width])
    with pytest.raises(
        ValueError, match=r"b is displaced against a by about \+\d rows and"
    ) as error:
        align_stack([still, far], reference=0, names=["a", "b"])
    found = re.search(r"([+-]\d+) rows and ([+-]\d+) columns of 180 x 200", str(error.value))
    assert abs(int(found[1])) <= 2
    assert abs(int(found[2]) - 80) <= 2
    assert "leave it out, or crop both" in str(error.value)


@pytest.mark.parametrize("light", [*LIGHTS, "far out of focus", "black"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_frame_in_its_place_is_never_moved_nor_refused(scene, light):
    still = SCENES[scene]()
    others = {"far out of focus": lambda image: gaussian_filter(image, 9.0), "black": np.zeros_like}
    frame = ({**LIGHTS, **others}[light])(still)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*too little in common")
        found = align_stack([still, frame], reference=0, names=["a", "b"])
    np.testing.assert_array_equal(found[1], frame)


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_small_shift_is_undone_in_any_light(scene, light):
    whole = SCENES[scene]()
    still, frame = whole[:160, :280], LIGHTS[light](whole[7:167, 10:290])
    motion = align_stack([still, frame], reference=0).motions[1]
    assert np.abs(motion.matrix[:2, 2] - (-10, -7)).max() < 2.0
    assert not motion.is_still


def test_what_repeats_or_shows_nothing_has_no_distant_shift():
    y, x = np.mgrid[: WIDE[0], : WIDE[1]]
    checks = ((y // 16 + x // 16) % 2).astype(float)
    assert distant_shift(checks[:, 80:], checks[:, :-80]) is None
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *WIDE))
    assert distant_shift(noise[0], noise[1]) is None
    assert distant_shift(np.zeros(WIDE), noise[0]) is None
    for a, b in [("photograph", "cells"), ("grain", "cells"), ("photograph", "grain")]:
        assert distant_shift(SCENES[a](), SCENES[b]()) is None


def test_what_is_not_found_is_not_called_still():
    """Larger by half, and aside: nothing that is tried fits, not even to leave it."""
    whole = skimage.data.coffee()[:, :, 1] / 255
    larger = zoom(whole, 1.5, order=1)[150:390, 200:520]
    with pytest.warns(UserWarning, match="b has too little in common with a"):
        align_stack([whole[60:300, 100:420], larger], reference=0, names=["a", "b"])
