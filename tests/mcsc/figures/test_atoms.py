from __future__ import annotations

import sys

import numpy as np
import PIL.Image
import pytest

import mcsc
from mcsc.figures.atom_groups import atom_use
from mcsc.figures.atoms import atom_figure
from mcsc.figures.drawing import save_figure
from mcsc.figures.mosaics import dictionary_figure
from tests.helpers import make_dictionary

BLUE = (0x00, 0x72, 0xB2)


def make_codes(dictionary, shape=(24, 30), samples=1, seed=0, density=0.02):
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((samples, dictionary.n_maps, *shape))
    maps *= rng.random(maps.shape) < density
    return mcsc.Codes.from_stacked(maps, dictionary)


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


def test_use_is_the_sum_of_magnitudes_in_the_order_of_the_groups():
    dictionary = make_dictionary(common=3, unique=(2, 4))
    codes = make_codes(dictionary, samples=2)
    wanted = np.abs(codes.stacked(dictionary)).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(atom_use(codes, dictionary), wanted)


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
    assert len(atom_figure(make_codes(dictionary), dictionary, top=2).axes) > 0


def test_banks_of_different_sizes(tmp_path):
    dictionary = make_dictionary(common=3, unique=2, size=(3, 6, 4, 5))
    figure = dictionary_figure(dictionary)
    assert "3 of 6 × 6" in " ".join(texts(figure))
    pixels(figure, tmp_path)


@pytest.mark.parametrize(("count", "size"), [(1, 3), (16, 16), (64, 5), (200, 8)])
def test_nothing_leaves_the_figure_or_overlaps(count, size):
    dictionary = make_dictionary(common=count, unique=(count, max(count // 3, 1)), size=size)
    codes = make_codes(dictionary, shape=(40, 40), density=0.05)
    for figure in (
        dictionary_figure(dictionary, atom_use(codes, dictionary)),
        atom_figure(codes, dictionary, top=5),
    ):
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


def test_parts_of_all_atoms_add_up_to_the_signals_parts():
    dictionary = make_dictionary(common=3, unique=(2, 1), size=4)
    codes = make_codes(dictionary, samples=2)
    for boundary in ("zero", "periodic"):
        figure = atom_figure(codes, dictionary, top=3, sample=1, boundary=boundary)
        drawn = [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]
        pictures = [a for a in drawn if a.shape == (24, 30)]
        # Of each common atom both signals, then the unique ones of x, then of y.
        common_x, common_y = sum(pictures[0:6:2]), sum(pictures[1:6:2])
        x, y = mcsc.signal_parts(codes, dictionary, boundary=boundary)
        np.testing.assert_allclose(common_x, x.common[1, 0], atol=1e-12)
        np.testing.assert_allclose(common_y, y.common[1, 0], atol=1e-12)
        np.testing.assert_allclose(sum(pictures[6:8]), x.unique[0][1, 0], atol=1e-12)
        np.testing.assert_allclose(sum(pictures[8:]), y.unique[1][1, 0], atol=1e-12)


def test_atoms_stand_in_the_order_of_their_share(tmp_path):
    dictionary = make_dictionary(common=4, unique=2)
    codes = make_codes(dictionary)
    figure = atom_figure(codes, dictionary, top=3)
    shares = [float(t.split()[0]) for t in texts(figure) if t.endswith("%")]
    assert shares[:3] == sorted(shares[:3], reverse=True)
    assert len(shares) == 3 + 2 + 2
    use = atom_use(codes, dictionary)[:4]
    assert shares[0] == pytest.approx(100 * use.max() / use.sum(), rel=0.05)
    assert pixels(figure, tmp_path).std() > 5


def test_groups_without_codes_are_left_out():
    dictionary = make_dictionary(common=3, unique=2)
    maps = np.zeros((1, 7, 16, 16))
    maps[0, 1, 5, 5] = 1.0
    figure = atom_figure(mcsc.Codes.from_stacked(maps, dictionary), dictionary)
    assert "common to x and y" in texts(figure)
    assert "unique to x" not in texts(figure)


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
    dictionary = make_dictionary()
    codes = make_codes(dictionary)
    with pytest.raises(TypeError, match="dictionary must be"):
        dictionary_figure(np.zeros(3))
    with pytest.raises(TypeError, match="codes must be"):
        atom_figure(np.zeros(3), dictionary)
    with pytest.raises(TypeError, match="dictionary must be"):
        atom_use(codes, None)
    with pytest.raises(ValueError, match="the dictionary has"):
        atom_use(codes, make_dictionary(common=5))
    for top in (0, 17, 1.5):
        with pytest.raises(ValueError, match="top must be"):
            atom_figure(codes, dictionary, top=top)
    with pytest.raises(ValueError, match="sample must be a whole number from 0 to 0"):
        atom_figure(codes, dictionary, sample=1)
    empty = mcsc.Codes.from_stacked(np.zeros((1, 7, 16, 16)), dictionary)
    with pytest.raises(ValueError, match="all zero"):
        atom_figure(empty, dictionary)
