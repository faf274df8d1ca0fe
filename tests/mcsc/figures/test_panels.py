from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import PIL.Image
import pytest

from mcsc.figures.drawing import save_figure
from mcsc.figures.panels import decomposition_figure
from mcsc.tasks import SignalParts

TEAL = (0x2A, 0x9D, 0x8F)


def parts(channels=1, shape=(20, 30), label="x, disparity", *, mask=False, **changes):
    rng = np.random.default_rng(channels)
    low, common, unique = rng.random((3, channels, *shape)).astype(np.float32)
    common -= 0.5
    given = {
        "label": label,
        "image": low + common + unique + np.float32(0.01),
        "common": common,
        "unique": unique,
        "low": low,
    }
    if mask:
        known = np.ones((1, *shape), np.float32)
        known[:, :5, :6] = 0
        given["image"] = np.where(known > 0, given["image"], np.nan)
        given["mask"] = known
    return SignalParts(**given | changes)


def pixels(figure, tmp_path):
    save_figure(figure, tmp_path / "figure.png", dpi=60)
    with PIL.Image.open(tmp_path / "figure.png") as picture:
        return np.asarray(picture.convert("RGB"))


def box(figure, index, image):
    """The pixels of the axes with that number."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = figure.axes[index].get_position().extents
    return image[
        round((1 - y1) * height) : round((1 - y0) * height), round(x0 * width) : round(x1 * width)
    ]


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_sum_error_and_rms():
    signal = parts(mask=True)
    np.testing.assert_allclose(
        signal.reconstruction, signal.low + signal.common + signal.unique, rtol=1e-6
    )
    assert np.isfinite(signal.error).all()
    assert (signal.error[:, :5, :6] == 0).all()
    assert signal.rms == pytest.approx(0.01, rel=1e-4)  # over the known pixels, not all
    assert signal.known_pixels.sum() == 20 * 30 - 30


def test_panel_has_a_row_a_signal_and_no_blank_cell(tmp_path):
    figure = decomposition_figure([parts(mask=True), parts(3, label="y, photograph")])
    image = pixels(figure, tmp_path)
    assert image.shape[1] == 600  # ten inches
    row = ["low-pass", "common part", "unique part", "sum of parts", "error, RMS 0.01"]
    assert titles(figure) == ["x, disparity", *row, "y, photograph", *row]
    for index in range(len(figure.axes)):
        assert box(figure, index, image).std() > 5, index
    assert not np.array_equal(*np.array_split(image[: image.shape[0] // 2 * 2], 2))


def test_holes_are_marked_in_signal_and_error_only(tmp_path):
    figure = decomposition_figure([parts(mask=True)])
    image = pixels(figure, tmp_path)
    marked = [(box(figure, i, image) == TEAL).all(axis=2).mean() for i in range(6)]
    assert [m > 0 for m in marked] == [True, False, False, False, False, True]
    assert marked[0] == pytest.approx(30 / 600, abs=0.02)
    assert "unknown: 5 %" in figure.texts[0].get_text()


def test_colour_is_drawn_in_colour(tmp_path):
    image = np.zeros((3, 20, 30), np.float32)
    image[0, :, :15] = 1
    image[2, :, 15:] = 1
    figure = decomposition_figure([parts(3, image=image)])
    drawn = box(figure, 0, pixels(figure, tmp_path))
    assert tuple(drawn[5, 5]) == (255, 0, 0)
    assert tuple(drawn[5, -5]) == (0, 0, 255)


def test_common_and_unique_share_one_scale_around_zero():
    figure = decomposition_figure([parts()])
    common, unique = (figure.axes[i].images[0] for i in (2, 3))
    assert common.get_clim() == unique.get_clim()
    low, high = common.get_clim()
    assert low == -high
    assert high > 0.9  # of the unique part, the larger one


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"low": None}, ["common part", "unique part"]),
        ({"low": None, "common": None}, ["unique part"]),
        ({"unique": None}, ["low-pass", "common part"]),
    ],
)
def test_missing_parts_have_no_column(changes, columns):
    names = titles(decomposition_figure([parts(**changes)]))
    assert names[1:-2] == columns


def test_a_part_that_one_signal_lacks_leaves_its_cell_empty(tmp_path):
    figure = decomposition_figure([parts(), parts(unique=None)])
    assert titles(figure).count("unique part") == 1
    pixels(figure, tmp_path)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_constant_images(value, tmp_path):
    plane = np.full((1, 16, 16), value, np.float32)
    zero = np.zeros_like(plane)
    figure = decomposition_figure(
        [SignalParts("constant", plane, zero, zero, low=plane, mask=None)]
    )
    assert titles(figure)[-1] == "error, RMS 0"
    pixels(figure, tmp_path)


def test_nothing_overlaps(tmp_path):
    label = "x, a_rather_long_name_of_a_file_from_a_camera"
    for shape in ((20, 20), (60, 20), (20, 120)):
        figure = decomposition_figure(
            [parts(shape=shape, label=label, mask=True), parts(shape=shape)]
        )
        figure.draw_without_rendering()
        renderer = figure.canvas.get_renderer()
        boxes = [
            artist.get_window_extent(renderer)
            for ax in figure.axes
            for artist in (ax.title, *ax.texts, *(ax.get_xticklabels() if ax.axison else ()))
            if artist.get_text()
        ]
        boxes += [text.get_window_extent(renderer) for text in figure.texts]
        edge = figure.bbox
        for i, a in enumerate(boxes):
            assert edge.x0 <= a.x0 < a.x1 <= edge.x1, i
            assert edge.y0 <= a.y0 < a.y1 <= edge.y1, i
            assert not any(a.overlaps(b) for b in boxes[:i]), i


@pytest.mark.parametrize("label", ["a$b$c", "a$\\frac$", "caf\udce9", "深度", "new\nline", "$"])
def test_every_name_of_a_file_can_be_drawn(tmp_path, label):
    image = pixels(decomposition_figure([parts(label=label)]), tmp_path)
    assert image.std() > 5


def test_pyplot_is_not_loaded_and_nothing_stays_open(tmp_path):
    loaded = "matplotlib.pyplot" in sys.modules
    figure = decomposition_figure([parts()])
    save_figure(figure, tmp_path / "a.png")
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    gone = weakref.ref(figure)
    del figure
    gc.collect()
    assert gone() is None


def test_refusals():
    with pytest.raises(ValueError, match="signals is empty"):
        decomposition_figure([])
    with pytest.raises(ValueError, match="different grids"):
        decomposition_figure([parts(), parts(shape=(5, 5))])
