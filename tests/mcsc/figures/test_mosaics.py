from __future__ import annotations

import sys

import numpy as np
import PIL.Image
import pytest

import mcsc
from mcsc.figures.drawing import save_figure
from mcsc.figures.mosaics import dictionary_figure
from tests.helpers import make_dictionary

BLUE = (0x00, 0x72, 0xB2)


def pixels(figure, tmp_path, dpi=100):
    save_figure(figure, tmp_path / "figure.png", dpi=dpi)
    with PIL.Image.open(tmp_path / "figure.png") as picture:
        return np.asarray(picture.convert("RGB"))


def texts(figure):
    return [t.get_text() for t in figure.texts]


def mosaics(figure):
    return [ax.images[0].get_array() for ax in figure.axes]


def blue(image):
    return (np.asarray(image)[..., :3] == BLUE).all(axis=-1)


def test_a_mosaic_for_each_group(tmp_path):
    figure = dictionary_figure(make_dictionary(channels=(1, 3), common=20, unique=(7, 9), size=5))
    assert len(figure.axes) == 3
    shown = " / ".join(texts(figure))
    for name in ("common to x and y", "dc | hc", "unique to x", "du", "unique to y", "hv"):
        assert name in shown
    assert "20 of 5 × 5" in shown
    assert "gc" not in shown
    assert "used" not in shown
    assert pixels(figure, tmp_path).shape[1] == 1000


def test_targets_stand_beside_their_filters():
    plain = dictionary_figure(make_dictionary(common=8, unique=4, size=4))
    with_target = dictionary_figure(make_dictionary(common=8, unique=4, size=4, target=1))
    assert "dc | hc | gc" in " ".join(texts(with_target))
    assert "du | gu" in " ".join(texts(with_target))
    assert "hv | gv" in " ".join(texts(with_target))
    assert not np.array_equal(mosaics(plain)[0].shape, mosaics(with_target)[0].shape)


def test_filters_are_drawn_from_dark_over_grey_to_bright():
    dc = np.zeros((1, 1, 4, 4))
    dc[0, 0, 0, 0], dc[0, 0, 0, 1] = 1.0, -1.0
    hc = np.zeros((1, 1, 4, 4))
    hc[0, 0, 3, 3] = 0.5
    image = np.asarray(mosaics(dictionary_figure(mcsc.Dictionary(common=(dc, hc))))[0])
    side = 48
    assert image.shape[:2] == (side, 2 * side + 3)
    assert tuple(image[2, 2]) == (255, 255, 255)
    assert tuple(image[2, 14]) == (0, 0, 0)
    assert tuple(image[30, 30]) == (128, 128, 128)
    # One scale for both: half as strong is half as bright.
    assert tuple(image[46, 2 * side + 1]) == (191, 191, 191)


def test_colour_atoms_are_drawn_in_colour():
    bank = np.zeros((1, 3, 2, 2))
    bank[0, 0] = 1.0
    image = np.asarray(mosaics(dictionary_figure(mcsc.Dictionary(unique=(bank,))))[0])
    assert tuple(image[5, 5]) == (255, 128, 128)


def test_most_used_come_first_and_unused_are_faded():
    bank = np.zeros((3, 1, 2, 2))
    bank[0, 0, 0, 0] = bank[1, 0, 0, 1] = bank[2, 0, 1, 0] = 1.0
    figure = dictionary_figure(mcsc.Dictionary(unique=(bank,)), use=[1.0, 0.0, 4.0])
    image = np.asarray(mosaics(figure)[0])
    step = 48 + 10
    tiles = [image[:48, i * step : i * step + 48] for i in range(3)]
    brightest = [tuple(np.unravel_index(t[..., 0].argmax(), (48, 48))) for t in tiles[:2]]
    assert [(i // 24, j // 24) for i, j in brightest] == [(1, 0), (0, 0)]
    bars = [blue(image[:, i * step : i * step + 48]).sum(axis=1).max() for i in range(3)]
    assert bars == [48, 12, 0]
    assert tiles[2].min() > 200  # faded: mid-grey became pale
    assert "1 unused" in " ".join(texts(figure))


@pytest.mark.parametrize("signals", [1, 3])
def test_other_numbers_of_signals(signals, tmp_path):
    dictionary = make_dictionary(channels=(1,) * signals, common=0 if signals == 1 else 4, unique=3)
    figure = dictionary_figure(dictionary)
    assert len(figure.axes) == (1 if signals == 1 else 4)
    pixels(figure, tmp_path)


def test_banks_of_different_sizes(tmp_path):
    dictionary = make_dictionary(common=3, unique=2, size=(3, 6, 4, 5))
    figure = dictionary_figure(dictionary)
    assert "3 of 6 × 6" in " ".join(texts(figure))
    pixels(figure, tmp_path)


@pytest.mark.parametrize(("count", "size"), [(1, 3), (16, 16), (64, 5), (200, 8)])
def test_nothing_leaves_the_figure_or_overlaps(count, size):
    dictionary = make_dictionary(common=count, unique=(count, max(count // 3, 1)), size=size)
    use = np.random.default_rng(0).random(dictionary.n_maps)
    for figure in (dictionary_figure(dictionary), dictionary_figure(dictionary, use)):
        figure.draw_without_rendering()
        renderer = figure.canvas.get_renderer()
        ticks = [
            t
            for ax in figure.axes
            for t in (ax.get_xticklabels() if ax.axison else ())
            if t.get_text()
        ]
        boxes = [t.get_window_extent(renderer) for t in (*figure.texts, *ticks)]
        boxes += [ax.get_window_extent(renderer) for ax in figure.axes]
        edge = figure.bbox
        for i, a in enumerate(boxes):
            assert edge.x0 - 1 <= a.x0 < a.x1 <= edge.x1 + 1, i
            assert edge.y0 - 1 <= a.y0 < a.y1 <= edge.y1 + 1, i
            for b in boxes[:i]:
                wide = min(a.x1, b.x1) - max(a.x0, b.x0)
                high = min(a.y1, b.y1) - max(a.y0, b.y0)
                assert min(wide, high) < 1, i


def test_pyplot_is_not_loaded():
    loaded = "matplotlib.pyplot" in sys.modules
    dictionary_figure(make_dictionary())
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize(
    "use", [[1.0], [1.0] * 8, [[1.0] * 7], [-1.0] * 7, [np.nan] * 7, "seven", [None] * 7]
)
def test_refused_use(use):
    with pytest.raises(ValueError, match="use "):
        dictionary_figure(make_dictionary(), use)


def test_refusals():
    with pytest.raises(TypeError, match="dictionary must be"):
        dictionary_figure(np.zeros(3))
