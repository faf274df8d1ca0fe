"""Motions between frames: estimated against known ones, on photographs and two modalities."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import skimage.data

from mcsc.alignment.motion import Motion, estimate_motion, moved

SHAPE = (120, 160)


def homography(shift=(0.0, 0.0), angle=0.0, scale=1.0, tilt=(0.0, 0.0)):
    """Where pixels of the reference are found, about the middle of the picture."""
    a = np.deg2rad(angle)
    turn = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    middle = np.eye(3)
    middle[:2, 2] = SHAPE[1] / 2, SHAPE[0] / 2
    h = np.eye(3)
    h[:2, :2], h[:2, 2], h[2, :2] = turn, shift[::-1], tilt
    found = middle @ h @ np.linalg.inv(middle)
    return found / found[2, 2]


def view(matrix=None, blur=0.0):
    """A photograph through a window of SHAPE, in which what was at p is at H p."""
    photograph = skimage.data.camera()[150:350, 130:370] / 255
    photograph = scipy.ndimage.gaussian_filter(photograph, 0.7 + blur)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    u, v, w = np.einsum(
        "ij,jhw->ihw", np.eye(3) if matrix is None else np.linalg.inv(matrix),
        np.stack([x, y, np.ones_like(x)]),
    )  # fmt: skip
    where = [v / w + 40, u / w + 40]
    return scipy.ndimage.map_coordinates(photograph, where, order=3, mode="nearest")


def error(found, matrix):
    y, x = np.mgrid[: SHAPE[0] : 20, : SHAPE[1] : 20].astype(float)
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    a, b = found.matrix @ points, matrix @ points
    return np.hypot(*(a[:2] / a[2] - b[:2] / b[2])).mean()


@pytest.mark.parametrize(
    "motion",
    [
        {"shift": (3.3, -5.7)},
        {"scale": 1.05},
        {"scale": 0.94, "shift": (-2.0, 4.0)},
        {"angle": 2.0, "shift": (1.5, 1.5)},
        {"tilt": (2e-4, -1e-4), "angle": -1.0, "scale": 1.02, "shift": (4.0, 3.0)},
    ],
)
def test_known_motions_are_found(motion):
    matrix = homography(**motion)
    found = estimate_motion(view(matrix), view())
    assert error(found, matrix) < 0.05
    assert not found.is_still
    assert found.is_plausible
    assert found.scale == pytest.approx(motion.get("scale", 1.0), abs=0.005)
    assert found.correlation > 0.99
    image, inside = moved(view(matrix), found)
    assert np.abs(image - view())[inside].mean() < 0.005
    assert 0.7 < inside.mean() <= 1


def test_frames_of_other_focus_exposure_and_modality():
    matrix = homography((2.5, -3.0), angle=0.8, scale=1.02)
    assert error(estimate_motion(view(matrix, blur=2.0), view()), matrix) < 0.4
    over = np.clip(1.8 * view(matrix), 0, 1) ** 0.6
    assert error(estimate_motion(over, view()), matrix) < 0.3
    negative = np.sqrt(np.clip(1 - view(matrix), 0, 1))
    assert error(estimate_motion(negative, view()), matrix) < 0.5


def test_a_start_leads_further():
    matrix = homography((0.0, 30.0), scale=1.02)
    near = Motion(homography((0.0, 24.0)), SHAPE, 1.0)
    found = estimate_motion(view(matrix), view(), start=near)
    assert error(found, matrix) < 0.1


def test_still_frames_are_called_still():
    rng = np.random.default_rng(0)
    noisy = [view(blur=b) + 0.02 * rng.standard_normal(SHAPE) for b in (0.0, 0.0, 1.5)]
    for frame in noisy[1:]:
        found = estimate_motion(frame, noisy[0])
        assert found.is_still
        assert "left as it is" in found.words
    assert estimate_motion(np.stack([noisy[1]] * 3), noisy[0][None]).is_still


def test_words_say_which_way():
    words = Motion(homography((-2.0, 5.0), scale=1.25), SHAPE, 0.9).words
    assert words.startswith("moved by +2.0 rows and -5.0 columns, scaled by 0.800, up to ")


def test_what_is_too_far_is_not_plausible():
    assert not Motion(homography((0.0, 60.0)), SHAPE, 1.0).is_plausible
    assert not Motion(homography(scale=1.4), SHAPE, 1.0).is_plausible
    assert Motion(homography((5.0, 9.0), scale=1.1), SHAPE, 1.0).is_plausible


@pytest.mark.parametrize(
    ("moving", "message"),
    [
        (np.zeros((120, 159)), "one height and width"),
        (np.full(SHAPE, np.nan), "NaN"),
        (np.zeros((20, 160)), "at least 32 x 32"),
    ],
)
def test_refusals(moving, message):
    with pytest.raises(ValueError, match=message):
        estimate_motion(moving, view())
