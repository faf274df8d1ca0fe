from __future__ import annotations

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import skimage.data

from mcsc.synthetic import (
    PAIR_NAMES,
    PHOTOGRAPHS,
    Source,
    make_pair,
    make_scene,
    photograph_sources,
)
from mcsc.synthetic.photographs import library, panorama_view
from mcsc.synthetic.textures import photograph_piece


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photograph in colour, a grey one in a folder within, a panorama, and what they are."""
    root = tmp_path_factory.mktemp("photographs")
    (root / "grey").mkdir()
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones((200, 1, 3)) * [1.0, 0.5, 0.1]
    PIL.Image.fromarray(ramp.astype(np.uint8)).save(root / "ramp.png")
    noise = rng.integers(0, 255, (100, 120), np.uint8)
    PIL.Image.fromarray(noise).save(root / "grey" / "Noise.JPG", quality=95)
    (root / "panorama.hdr").write_bytes(imagecodecs.rgbe_encode(_panorama(), header=True))
    (root / "notes.txt").write_text("no photograph")
    (root / "SOURCES").write_text("# a remark\n\nramp.* | CC0 1.0 | Ann\n*.hdr | CC BY 4.0 | Bob\n")
    return root


def _panorama():
    """Radiance that tells where one looks: red grows with latitude, blue with longitude."""
    rows, columns = 128, 256
    image = np.ones((rows, columns, 3), np.float32)
    image[:, :, 0] = np.linspace(0.5, 2, rows)[:, None]
    image[:, :, 2] = np.exp2(np.linspace(-1, 1, columns))
    return image


def test_photographs_are_files_of_scikit_image():
    for name in PHOTOGRAPHS:
        assert getattr(skimage.data, name)().ndim in (2, 3)


def test_a_folder_adds_to_those_of_scikit_image(folder):
    assert library(False).pictures == ()
    found = library(folder)
    names = {p.name for p in found.pictures}
    assert names == {*PHOTOGRAPHS, "ramp", "Noise"}
    assert [p.name for p in found.panoramas] == ["panorama"]
    assert library(str(folder)) == found
    (grey,) = (p for p in found.pictures if p.name == "Noise")
    levels = grey.levels()
    assert levels[0].shape == (3, 100, 120)
    np.testing.assert_array_equal(levels[0][0], levels[0][2])
    (ramp,) = (p for p in found.pictures if p.name == "ramp")
    whole, half, *_ = ramp.levels()
    assert half.shape == (3, 100, 150)
    # Means of linear light, not of encoded samples.
    light = (whole[0, :2, :2] / 255.0) ** 2.2
    assert half[0, 0, 0] == round(255 * light.mean() ** (1 / 2.2))


def test_sources_say_what_a_scene_is_made_of(folder):
    sources = {s.name: s for s in photograph_sources(folder)}
    assert sources["ramp.png"] == Source("ramp.png", "CC0 1.0", "Ann")
    assert sources["panorama.hdr"].licence == "CC BY 4.0"
    assert sources["Noise.JPG"].licence == "not stated"
    assert sources["camera"] == Source("camera", "CC0", "scikit-image")
    assert len(photograph_sources(True)) == len(PHOTOGRAPHS)
    assert photograph_sources(False) == []
    # A table given by the caller takes the file's place.
    other = {s.name: s for s in photograph_sources(folder, {"Noise.*": ("MIT", "Eve")})}
    assert other["Noise.JPG"] == Source("Noise.JPG", "MIT", "Eve")
    assert other["ramp.png"].licence == "not stated"


@pytest.mark.parametrize("line", ["ramp.png: CC0", "ramp.png | CC0", "ramp.png | | Ann"])
def test_refused_sources(tmp_path, line):
    PIL.Image.new("RGB", (80, 80)).save(tmp_path / "ramp.png")
    (tmp_path / "SOURCES").write_text(f"# first\n{line}\n")
    with pytest.raises(ValueError, match=r"line 2: want 'pattern \| licence \| origin'"):
        photograph_sources(tmp_path)


def test_refused_folders(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        library(tmp_path / "absent")
    with pytest.raises(ValueError, match="no images in"):
        library(tmp_path)
    PIL.Image.new("RGB", (20, 300)).save(tmp_path / "slip.png")
    (slip,) = (p for p in library(tmp_path).pictures if p.path)
    with pytest.raises(ValueError, match=r"slip\.png.*at least 64 pixels on each side"):
        slip.levels()


def test_a_damaged_panorama_is_named(tmp_path):
    (tmp_path / "broken.hdr").write_bytes(b"#?RADIANCE\n nothing")
    (broken,) = library(tmp_path).panoramas
    with pytest.raises(ValueError, match=r"broken\.hdr: not a Radiance \.hdr file, or damaged"):
        broken.radiance()


def test_views_of_a_panorama_are_those_of_a_pinhole(folder):
    (picture,) = library(folder).panoramas
    source = picture.radiance()
    np.testing.assert_allclose(source, _panorama().transpose(2, 0, 1), rtol=0.04)
    for seed in range(5):
        view, focal = panorama_view(np.random.default_rng(seed), picture, (40, 60))
        assert view.shape == (3, 40, 60)
        assert view.min() > 0
        assert np.exp(np.log(view.mean(axis=0)).mean()) == pytest.approx(1, rel=0.01)
        # Red is linear in latitude: against green, which is one everywhere, that is the angle.
        latitude = (view[0] / view[1] - 0.5) / 1.5 * np.pi
        middle = latitude[:, 30]
        assert middle[-1] - middle[0] == pytest.approx(2 * np.arctan(19.5 / focal), rel=0.05)
        # A row turns by the angle that it sees, or more if the view is up or down.
        turn = np.abs(np.diff(np.log2(view[2] / view[1])[20])) / 2 * 2 * np.pi
        turn = turn[turn < 1].sum()  # but for the seam
        assert 0.9 < turn / (2 * np.arctan(29.5 / focal)) < 1.5


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_pairs_of_a_folder_are_the_same_again(folder, name):
    first, again = (make_pair(name, 3, (64, 80), 5, photographs=folder) for _ in range(2))
    for a, b in zip(
        (first.x, first.y, first.target), (again.x, again.y, again.target), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()
    if name != "medical":
        others = [make_pair(name, n, (64, 80), 5) for n in range(3)]
        pairs = [make_pair(name, n, (64, 80), 5, photographs=folder) for n in range(3)]
        assert any(not np.array_equal(a.y, b.y) for a, b in zip(others, pairs, strict=True))


def test_pieces_of_photographs_go_on_without_seams(folder):
    (ramp,) = (p for p in library(folder).pictures if p.name == "ramp")
    for seed in range(6):
        piece = photograph_piece(np.random.default_rng(seed), ramp, 500, 900)
        assert piece.shape == (3, 500, 900)
        # From black to white and back again.
        assert np.ptp(piece[0]) > 0.9
        assert max(np.abs(np.diff(piece[0], axis=axis)).max() for axis in (0, 1)) < 0.05


def test_a_photographed_scene_shows_the_photograph(folder):
    scene = make_scene((64, 96), 2, photographs=folder, whole=1.0)
    # Encoded once more, and softened: but for the camera's curve and noise it is that.
    linear = np.clip(scene.light, 0, 1)
    assert np.corrcoef((linear ** (1 / 2.2)).ravel(), scene.colour.ravel())[0, 1] > 0.97
    # Depth has few values a sheet, and the sheets are numbered from back to front.
    depths = [scene.depth[0][scene.material == n].mean() for n in np.unique(scene.material)]
    assert len(depths) >= 1
