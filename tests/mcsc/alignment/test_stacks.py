"""Stacks on the grid of their middle frame."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

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
    with pytest.raises(ValueError, match="is implausible for frames of one stack"):
        align_stack([view(), far], reference=0)


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
