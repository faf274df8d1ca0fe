"""Training images are checked once, and cut without work on what lies around a window."""

import tracemalloc

import numpy as np
import pytest

import mcsc
from mcsc.learning.images import Images
from mcsc.learning.windows import Window


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
        ((np.full((8, 8), -1.0),), ValueError, r"masks\[0\] must be finite weights >= 0"),
        ((np.full((8, 8), np.nan),), ValueError, r"masks\[0\] must be finite weights >= 0"),
        ((np.ones((8, 7)),), ValueError, r"masks\[0\] has shape \(8, 7\)"),
        ((np.full((8, 8), "a"),), TypeError, r"masks\[0\] has dtype"),
        ((np.full((8, 8), 255, np.uint8),), ValueError, "integers other than 0 and 1"),
        (np.ones((8, 8)), TypeError, "masks must be a tuple with an array or None"),
        ((None, None), ValueError, "found 2 masks for 1 signals"),
        ([(None,)], TypeError, r"masks\[0\] must be an array, found tuple"),
        (3, TypeError, "masks must be a tuple with an array or None"),
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


def test_images_that_are_flat_in_places():
    """Patches of one image without detail, where the other has some, make atoms of one signal."""
    rng = np.random.default_rng(2)
    flat, busy = np.zeros((1, 40, 40)), rng.standard_normal((1, 40, 40))
    flat[:, 30:, 30:] = rng.standard_normal((1, 10, 10))
    learned = mcsc.learn(
        (flat, busy), lam=0.5, n_common=6, n_unique=4, filter_size=5, window=40, passes=2
    )
    assert learned.history.objective[-1] < learned.history.objective[0]
    assert mcsc.solve((flat, busy), learned.dictionary, 0.5, tol=1e-2).converged
