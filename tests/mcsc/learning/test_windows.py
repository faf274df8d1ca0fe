"""Windows cover the images."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mcsc.learning.windows import Window, batches, cover, draw, starts


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
    seen = np.zeros((2, 256, 100), dtype=int)
    windows = cover([(2, 256, 100)], 96)
    for w in windows:
        seen[w.sample, w.top : w.top + w.height, w.left : w.left + w.width] += 1
    assert seen.min() == 1
    assert len(windows) == 2 * 3 * 2
    assert {(w.height, w.width) for w in windows} == {(96, 96)}


def test_images_smaller_than_a_window_are_one():
    windows = cover([(1, 40, 50), (1, 40, 130)], 96)
    assert windows == [
        Window(0, 0, 0, 0, 40, 50), Window(1, 0, 0, 0, 40, 96), Window(1, 0, 0, 34, 40, 96)
    ]  # fmt: skip
    assert [len(b) for b in batches(windows, 8)] == [1, 2]


def test_as_many_are_drawn_as_asked_for_in_their_order():
    windows = cover([(1, 100, 100)], 10)
    found = draw(windows, 7, np.random.default_rng(0))
    assert len(set(found)) == 7
    assert found == sorted(found)
    assert draw(windows, None, np.random.default_rng(0)) == windows
