from __future__ import annotations

import numpy as np
import pytest

from mcsc.figures.restorations import restoration_figure


def image(seed, channels=1, shape=(20, 30)):
    return np.random.default_rng(seed).random((channels, *shape)).astype(np.float32)


def figure(known=None, channels=3):
    truth = image(0)
    return restoration_figure(
        ("bicubic, ×4", truth + np.float32(0.1)),
        ("restored", truth + np.float32(0.02)),
        ("photograph", image(1, channels)),
        image(2) - 0.5,
        image(3) - 0.5,
        truth,
        known,
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_and_errors_in_grey_levels(channels):
    drawn = figure(channels=channels)
    titles = [ax.get_title() for ax in drawn.axes if ax.get_title()]
    assert titles == [
        "bicubic, ×4", "restored", "photograph", "truth",
        "error of bicubic, RMS 25.50 of 255", "error of restored, RMS 5.10 of 255",
        "common part", "unique part of x",
    ]  # fmt: skip
    ticks = [[t.get_text() for t in ax.get_xticklabels()] for ax in drawn.axes if ax.axison]
    assert ticks[0] == ["0", "26"]
    assert not drawn.texts


def test_unknown_pixels_count_in_no_error_and_are_told():
    known = np.ones((20, 30), bool)
    known[:5] = False
    drawn = figure(known)
    assert drawn.texts[0].get_text() == "■ unknown: 25 %"
    errors = [ax.images[0].get_array() for ax in drawn.axes if "error" in ax.get_title()]
    for error in errors:
        np.testing.assert_array_equal(np.ma.getmaskarray(error), ~known)


def test_nothing_overlaps():
    known = np.ones((20, 30), bool)
    known[:5] = False
    drawn = figure(known)
    drawn.draw_without_rendering()
    renderer = drawn.canvas.get_renderer()
    ticks = [t for ax in drawn.axes if ax.axison for t in ax.get_xticklabels()]
    words = [*drawn.texts, *ticks, *(ax.title for ax in drawn.axes if ax.get_title())]
    boxes = [w.get_window_extent(renderer) for w in words if w.get_text()]
    edge = drawn.bbox
    for i, a in enumerate(boxes):
        assert edge.x0 <= a.x0 < a.x1 <= edge.x1, words[i]
        assert edge.y0 <= a.y0 < a.y1 <= edge.y1, words[i]
        assert not any(a.overlaps(b) for b in boxes[:i]), words[i]
