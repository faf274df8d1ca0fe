"""Windows cover the images, and are cut without work on the rest of them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcsc.learning.windows import Images, Window, batches, draw, starts


@given(st.integers(1, 400), st.integers(1, 100))
def test_the_fewest_windows_cover_an_axis_evenly(length, size):
    size = min(size, length)
    found = starts(length, size)
    seen = np.zeros(length, dtype=int)
    for start in found:
        assert 0 <= start <= length - size
        seen[start : start + size] += 1
    assert seen.all()
    assert len(found) == -(-length // size)
    steps = np.diff(found)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_windows_of_96_see_all_of_256_pixels():
    images = Images((np.zeros((2, 1, 256, 100)), np.zeros((2, 3, 256, 100))))
    seen = np.zeros((2, 256, 100), dtype=int)
    windows = images.windows(96)
    for w in windows:
        seen[w.sample, w.top : w.top + w.height, w.left : w.left + w.width] += 1
    assert seen.min() == 1
    assert len(windows) == 2 * 3 * 2
    assert {(w.height, w.width) for w in windows} == {(96, 96)}


def test_images_smaller_than_a_window_are_one():
    images = Images([(np.zeros((40, 50)),), (np.zeros((40, 130)),)])
    assert images.windows(96) == [
        Window(0, 0, 0, 0, 40, 50), Window(1, 0, 0, 0, 40, 96), Window(1, 0, 0, 34, 40, 96)
    ]  # fmt: skip
    assert [len(b) for b in batches(images.windows(96), 8)] == [1, 2]


def test_as_many_are_drawn_as_asked_for_in_their_order():
    images = Images((np.zeros((100, 100)),))
    windows = images.windows(10)
    found = draw(windows, 7, np.random.default_rng(0))
    assert len(set(found)) == 7
    assert found == sorted(found)
    assert draw(windows, None, np.random.default_rng(0)) == windows


def read_one_window(scenes, size, masked):
    """Peak of the memory that reading a window of each scene allocates, after the checks."""
    rng = np.random.default_rng(0)
    signals = [(rng.random((size, size)), rng.random((size, size))) for _ in range(scenes)]
    masks = [(rng.random((size, size)) > 0.5, None) for _ in range(scenes)] if masked else None
    images = Images(signals, masks)
    windows = [Window(n, 0, 5, 7, 16, 16) for n in range(scenes)]
    tracemalloc.start()
    batch = images.read(windows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for n in range(scenes):
        part = (slice(5, 21), slice(7, 23))
        x = signals[n][0][part]
        np.testing.assert_array_equal(
            batch.signals[0][n, 0], np.where(masks[n][0][part], x, 0) if masked else x
        )
        np.testing.assert_array_equal(batch.signals[1][n, 0], signals[n][1][part])
        if masked:
            np.testing.assert_array_equal(batch.masks[0][n, 0], masks[n][0][part])
    assert batch.masks is None or batch.masks[1] is None
    return peak


@pytest.mark.parametrize("scenes", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_reading_a_window_does_not_touch_the_rest_of_a_scene(scenes, masked):
    size = 512
    assert read_one_window(scenes, size, masked) < size * size  # bytes; a scene has eight times it


@pytest.mark.parametrize(
    ("masks", "error", "words"),
    [
        ((np.full((8, 8), -1.0),), ValueError, "entry 0 must be finite weights >= 0"),
        ((np.full((8, 8), np.nan),), ValueError, "entry 0 must be finite weights >= 0"),
        ((np.ones((8, 7)),), ValueError, r"entry 0 has shape \(8, 7\)"),
        ((np.full((8, 8), "a"),), TypeError, "entry 0 has dtype"),
        (np.ones((8, 8)), TypeError, "must be a tuple with an array or None"),
        ([(None,), (None,)], TypeError, "must be a tuple with an array or None"),
        (3, TypeError, "must be a tuple with an array or None"),
    ],
)
def test_bad_masks_are_refused(masks, error, words):
    with pytest.raises(error, match=words):
        Images((np.zeros((8, 8)),), masks)


def test_scenes_and_what_goes_with_them_are_counted():
    scenes = [(np.zeros((8, 8)),)] * 3
    with pytest.raises(ValueError, match="found 2 masks for 3 scenes"):
        Images(scenes, [None, None])
    with pytest.raises(TypeError, match="targets must be a sequence with an entry for each scene"):
        Images(scenes, None, 3.0)


def test_other_pixels_have_another_fingerprint():
    x = np.zeros((8, 8))
    mask = np.ones((8, 8))
    found = {
        Images(signals, masks, targets).fingerprint
        for signals, masks, targets in (
            ((x,), None, None), ((x + 1,), None, None), ((x,), (mask,), None),
            ((x,), (2 * mask,), None), ((x,), None, x), ((x,), None, x + 1),
        )
    }  # fmt: skip
    assert len(found) == 6
