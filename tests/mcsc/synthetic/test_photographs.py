from __future__ import annotations

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import skimage.data
import tifffile

from mcsc.synthetic import (
    PAIR_NAMES,
    PHOTOGRAPHS,
    Source,
    make_pair,
    make_scene,
    photograph_sources,
    photographs,
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


def test_sources_in_another_encoding_are_refused(tmp_path):
    PIL.Image.new("RGB", (80, 80)).save(tmp_path / "ramp.png")
    (tmp_path / "SOURCES").write_bytes("ramp.* | CC0 | Jörg".encode("latin-1"))
    with pytest.raises(ValueError, match="SOURCES is not text in UTF-8"):
        photograph_sources(tmp_path)


@pytest.mark.parametrize("line", ["ramp.png: CC0", "ramp.png | CC0", "ramp.png | | Ann"])
def test_refused_sources(tmp_path, line):
    PIL.Image.new("RGB", (80, 80)).save(tmp_path / "ramp.png")
    (tmp_path / "SOURCES").write_text(f"# first\n{line}\n")
    with pytest.raises(ValueError, match=r"line 2: want 'pattern \| licence \| origin'"):
        photograph_sources(tmp_path)


def test_refused_folders(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        library(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"no images in .*: want files \.png, .*\.hdr$"):
        library(tmp_path)


RAMP = np.ones((70, 1, 3), np.float32) * np.linspace(0, 1, 80, dtype=np.float32)[:, None]
UNUSABLE = {
    "empty.png": "is empty",
    "text.jpg": "not an image of a known kind",
    "cut.jpg": "truncated or damaged JPEG",
    "cut.png": "truncated or damaged PNG",
    "cut.tif": "truncated or damaged TIFF",
    "slip.png": "has 3 channels of 300 x 20; want a photograph, grey or colour, of at least 64",
    "within/bands.tif": "has 5 channels of 70 x 80",
    "nan.tif": "has unknown pixels (NaN, Inf or the value that the file calls unknown)",
    "nodata.tif": "has unknown pixels",
    "transparent.png": "has transparent pixels",
    "grey_transparent.PNG": "has transparent pixels",
    "cmyk.jpg": "colour mode CMYK is not supported; convert it to grey or RGB",
    "link.jpg": "no such file; it is a link to nowhere.jpg",
    "broken.hdr": "truncated or damaged Radiance picture: it has no size",
    "cut.hdr": "truncated or damaged Radiance picture",
    "other.hdr": "is PNG; want a panorama in a Radiance picture",
    "low.hdr": "has 3 channels of 20 x 256; want a panorama of at least 64",
    "picture.hdr": "is 128 x 200; want an equirectangular panorama, twice as wide as it is high",
}


@pytest.fixture
def unusable(tmp_path):
    """A folder of two good photographs, and of all that is none."""
    (tmp_path / "within").mkdir()
    levels = (RAMP * 255).astype(np.uint8)
    ramp = PIL.Image.fromarray(levels)
    ramp.save(tmp_path / "a.jpg")
    ramp.save(tmp_path / "b.png")
    ramp.save(tmp_path / "other.png")
    (tmp_path / "other.png").rename(tmp_path / "other.hdr")
    ramp.convert("CMYK").save(tmp_path / "cmyk.jpg")
    tifffile.imwrite(tmp_path / "cut.tif", levels, photometric="rgb")
    panorama = imagecodecs.rgbe_encode(_panorama(), header=True)
    (tmp_path / "low.hdr").write_bytes(imagecodecs.rgbe_encode(_panorama()[:20], header=True))
    part = np.ascontiguousarray(_panorama()[:, :200])
    (tmp_path / "picture.hdr").write_bytes(imagecodecs.rgbe_encode(part, header=True))
    (tmp_path / "broken.hdr").write_bytes(b"#?RADIANCE\n nothing")
    for name, whole in (
        ("cut.jpg", (tmp_path / "a.jpg").read_bytes()),
        ("cut.png", (tmp_path / "b.png").read_bytes()),
        ("cut.tif", (tmp_path / "cut.tif").read_bytes()),
        ("cut.hdr", panorama),
    ):
        (tmp_path / name).write_bytes(whole[: -len(whole) // 4])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no photograph")
    PIL.Image.new("RGB", (20, 300)).save(tmp_path / "slip.png")
    bands = np.zeros((5, 70, 80), np.uint8)
    tifffile.imwrite(tmp_path / "within" / "bands.tif", bands, photometric="minisblack")
    tifffile.imwrite(tmp_path / "nan.tif", np.where(RAMP > 0.9, np.nan, RAMP), photometric="rgb")
    tag = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "nodata.tif", levels, photometric="rgb", extratags=tag)
    half = np.full((70, 80), 128, np.uint8)
    PIL.Image.fromarray(np.dstack([levels, half])).save(tmp_path / "transparent.png")
    grey = PIL.Image.fromarray(np.dstack([levels[..., 0], half]))
    grey.save(tmp_path / "grey_transparent.PNG")
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    return tmp_path


def test_what_is_no_photograph_is_named_before_any_is_drawn(unusable, monkeypatch):
    monkeypatch.setattr(photographs, "_LISTED", 99)
    with pytest.raises(ValueError, match=r"images in .* cannot be used") as refused:
        library(unusable)
    said = str(refused.value)
    assert said.startswith(f"photographs: {len(UNUSABLE)} of the {len(UNUSABLE) + 2} images in ")
    for name, words in UNUSABLE.items():
        assert f"{name}: {words}" in said
    for use in (photograph_sources, lambda f: make_pair("flash", 0, (64, 64), photographs=f)):
        with pytest.raises(ValueError, match=r"cut\.hdr: truncated"):
            use(unusable)


def test_of_many_files_some_are_named(tmp_path):
    for number in range(15):
        (tmp_path / f"{number:02}.jpg").touch()
    with pytest.raises(ValueError, match=r"15 of the 15 .*09\.jpg: is empty;.*; and 5 more$"):
        library(tmp_path)


def test_every_depth_of_samples_ends_at_white(tmp_path):
    """Of 8 bits, of 12 and 16 in 16, of 32, and floats of any unit: all show the same ramp."""
    levels = np.rint(RAMP * 255)
    for name, image in {
        "8.tif": levels.astype(np.uint8),
        "12.tif": np.rint(RAMP * 4095).astype(np.uint16),
        "16.tif": np.rint(RAMP * 65535).astype(np.uint16),
        "32.tif": np.rint(RAMP.astype(float) * (2**32 - 1)).astype(np.uint32),
        "signed.tif": np.rint(RAMP * 4095).astype(np.int16),
        "float.tif": RAMP,
        "halves.tif": RAMP.astype(np.float16),
        "float255.tif": RAMP * 255,
        "bright.tif": RAMP * 1.2,
        "below.tif": RAMP * 1.1 - 0.1,
        "radiance.tif": RAMP * 5000,
    }.items():
        tifffile.imwrite(tmp_path / name, image, photometric="rgb")
    (tmp_path / "deep.PPM").write_bytes(
        b"P6 80 70 65535\n" + np.rint(RAMP * 65535).astype(">u2").tobytes()
    )
    found = [p for p in library(tmp_path).pictures if p.path]
    assert len(found) == 12
    for picture in found:
        whole = picture.levels()[0].transpose(1, 2, 0)
        assert np.abs(whole - levels).max() <= 1, picture.path


def test_photographs_are_found_upright_opaque_and_by_any_ending(tmp_path):
    ramp = PIL.Image.fromarray((RAMP * 255).astype(np.uint8))
    exif = PIL.Image.Exif()
    exif[274] = 6
    ramp.save(tmp_path / "turned.JPEG", quality=95, exif=exif)
    (tmp_path / "one").mkdir()
    ramp.quantize(16).save(tmp_path / "one" / "palette.PNG")
    ramp.putalpha(255)
    ramp.save(tmp_path / "one" / "opaque.png")
    # A link to a folder around it, and one to a folder elsewhere.
    (tmp_path / "one" / "round").symlink_to("..")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    PIL.Image.new("L", (80, 70)).save(outside / "grey.bmp")
    (tmp_path / "two").symlink_to(outside)
    # Notes of other programs.
    (tmp_path / "._turned.JPEG").write_bytes(b"\0\5\x16\7" + bytes(80))
    (tmp_path / ".thumbnails").mkdir()
    PIL.Image.new("L", (80, 70)).save(tmp_path / ".thumbnails" / "turned.png")
    found = {p.path.name: p for p in library(tmp_path).pictures if p.path}
    assert found.keys() == {"turned.JPEG", "palette.PNG", "opaque.png", "grey.bmp"}
    assert {s.name for s in photograph_sources(tmp_path)} >= found.keys()
    assert found["turned.JPEG"].levels()[0].shape == (3, 80, 70)
    opaque = found["opaque.png"].levels()[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(opaque, (RAMP * 255).astype(np.uint8))


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
