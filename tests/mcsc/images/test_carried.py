"""Profile, EXIF and resolution through the commands; images of different profiles."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data
import tifffile

from mcsc.images import read_image
from mcsc.images.carried import carried, warn_of_profiles
from tests.helpers import run
from tests.mcsc.images.formats.profiles import grey, srgb, swapped

PHOTO = skimage.data.astronaut()[100:164, 180:244]


def save(path, values, **options):
    PIL.Image.fromarray(values).save(path, **options)
    return path


def test_the_command_line_carries_all_three(tmp_path):
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "Maker", 1
    options = {"icc_profile": swapped(), "exif": exif, "dpi": (300, 300)}
    for name in ("near.jpg", "far.jpg"):
        save(tmp_path / name, PHOTO, quality=95, **options)
    for suffix in ("jpg", "png", "tif"):
        out = tmp_path / f"out.{suffix}"
        words = ("fuse", tmp_path / "near.jpg", tmp_path / "far.jpg", "--task", "multi-focus")
        result = run(*words, "--method", "mean", "-o", out)
        assert result.exit_code == 0, result.stderr
        assert "profile" not in result.stderr
        with PIL.Image.open(out) as made:
            assert made.info["icc_profile"] == swapped()
            assert made.getexif()[271] == "Maker"
            assert [round(float(d)) for d in made.info["dpi"]] == [300, 300]


def test_an_enlarged_map_keeps_its_size_in_inches_and_no_profile_for_colours(tmp_path):
    x = save(tmp_path / "x.png", PHOTO[::4, ::4, 0].copy(), icc_profile=grey(), dpi=(75, 75))
    y = save(tmp_path / "y.png", PHOTO, icc_profile=swapped(), dpi=(300, 300))
    out = tmp_path / "out.png"
    words = ("restore", x, y, "--task", "depth-sr", "--method", "guided-filter", "-o", out)
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert "profile" not in result.stderr  # only structure is taken of the guide
    found = read_image(out).metadata
    assert found.icc == grey()
    assert found.dpi == pytest.approx((300, 300), abs=0.1)


def test_the_profile_of_a_result_is_of_a_source_with_its_channels(tmp_path):
    thermal = read_image(save(tmp_path / "x.png", PHOTO[..., 0].copy(), dpi=(72, 72)))
    photo = read_image(save(tmp_path / "y.png", PHOTO, icc_profile=swapped()))
    found = carried([thermal, photo], np.zeros(PHOTO.shape).transpose(2, 0, 1))
    assert found.icc == swapped()
    assert found.dpi == pytest.approx((72, 72), abs=0.1)
    assert carried([thermal, photo], np.zeros(PHOTO.shape[:2])).icc is None


def test_other_profiles_are_told(tmp_path, recwarn):
    files = {
        "a": save(tmp_path / "a.png", PHOTO, icc_profile=srgb()),
        "b": save(tmp_path / "b.png", PHOTO),
        "c": save(tmp_path / "c.png", PHOTO, icc_profile=swapped()),
        "grey": save(tmp_path / "g.png", PHOTO[..., 0].copy()),
    }
    images = {name: read_image(path) for name, path in files.items()}
    warn_of_profiles([images["grey"], images["a"], images["b"]])
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"a\.png has the colour profile .* has another one of"):
        warn_of_profiles([images["a"], images["c"]])
    with pytest.warns(UserWarning, match=r"b\.png has no colour profile, which counts as sRGB"):
        warn_of_profiles([images["b"], images["c"]])


# ------------------------------------------------------------------------- places on a map
UTM = (1, 1, 0, 3, 1024, 0, 1, 1, 1026, 34737, 7, 0, 3072, 0, 1, 32632)
"""GeoKeys: projected, a citation of seven letters, UTM zone 32."""
GREY = np.ascontiguousarray(PHOTO[..., 0])


def placed(path, values, *, x=5e5, y=5e6, pixel=10.0, keys=UTM, matrix=None, **options):
    if matrix is None:
        tags = [
            (33550, "d", 3, (pixel, pixel, 0.0), True),
            (33922, "d", 6, (0.0, 0.0, 0.0, x, y, 0.0), True),
        ]
    else:
        tags = [(34264, "d", 16, matrix, True)]
    tags += [(34735, "H", len(keys), keys, True), (34737, "s", 0, "UTM 32|", True)]
    tags += options.pop("tags", [])
    tifffile.imwrite(path, values, extratags=tags, photometric="minisblack", **options)
    return path


def corners(path):
    """Where the outer corners of the first and the last pixel lie, by the file's own tags."""
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        matrix = page.tags.valueof(34264)
        rows, columns = page.imagelength, page.imagewidth
        half = 0.5 if page.tags.valueof(34735) == POINTS else 0.0
        found = []
        for j, i in ((0, 0), (columns, rows), (columns, 0)):
            j, i = j - half, i - half
            if matrix is not None:
                a, b, _, c, d, e, _, f = matrix[:8]
                found.append((a * j + b * i + c, d * j + e * i + f))
            else:
                across, down, _ = page.tags.valueof(33550)
                j0, i0, _, x, y, _ = page.tags.valueof(33922)
                found.append((x + across * (j - j0), y - down * (i - i0)))
        return np.array(found)


TURNED = (8.0, 2.0, 0, 5e5, 2.0, -8.0, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1)
POINTS = (*UTM[:3], 4, *UTM[4:], 1025, 0, 1, 2)


@pytest.mark.parametrize(
    "options", [{}, {"matrix": TURNED}, {"keys": POINTS}], ids=["corner", "matrix", "centre"]
)
@pytest.mark.parametrize("bands", [1, 2, 3])
def test_the_place_on_a_map_is_carried_to_tiff_and_enlarged_with_the_image(
    tmp_path, options, bands
):
    tags = [(42113, "s", 0, "-9999", True)]  # holes are filled, so that this is no longer true
    low = np.stack([GREY[::4, ::4].astype("f4") / 255] * bands)
    placed(tmp_path / "x.tif", low, pixel=40.0, tags=tags, **options)
    save(tmp_path / "y.png", PHOTO)
    out = tmp_path / "o.tif"
    words = ("restore", tmp_path / "x.tif", tmp_path / "y.png", "--task", "multispectral-sr")
    done = run(*words, "--method", "guided-filter", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "on the map" not in done.output
    np.testing.assert_allclose(corners(out), corners(tmp_path / "x.tif"), rtol=1e-9)
    with tifffile.TiffFile(out) as tif:
        for page in tif.pages:
            assert page.tags.valueof(34735) == options.get("keys", UTM)
            assert page.tags.valueof(34737) == "UTM 32|"
            assert page.tags.valueof(42113) is None
    if bands == 2:
        return
    done = run(*words, "--method", "guided-filter", "-o", tmp_path / "o.png", "--bit-depth", 8)
    assert done.exit_code == 0, done.stderr
    assert "without its place on the map, which TIFF keeps" in done.stdout


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x": 9e5}, "b.tif lies on the map up to 40000 pixels beside "),
        ({"x": 5e5 + 10}, "b.tif lies on the map up to 1 pixels beside "),
        ({"pixel": 20.0}, "b.tif lies on the map up to 90.5097 pixels beside "),
        ({"keys": (*UTM[:-1], 32633)}, "b.tif has other coordinates on the map than "),
        ({"x": 5e5 + 5}, None),
        ({"x": 5e5 + 5, "y": 5e6 - 5}, None),  # as of Landsat's panchromatic band
        ({"x": 5e5 + 8, "y": 5e6 - 8}, "b.tif lies on the map up to 1.13137 pixels beside "),
        ({"keys": (1, 1, 0, 0)}, None),
        # The geographic system of UTM 32, which some programs write, too.
        ({"keys": (*UTM[:3], 4, *UTM[4:12], 2048, 0, 1, 4326, *UTM[12:])}, None),
        ({"keys": (*UTM[:12], 2048, 0, 1, 4326)}, None),
    ],
)
def test_images_of_other_places_are_refused_unless_they_are_called_registered(
    tmp_path, other, message
):
    a = placed(tmp_path / "a.tif", GREY)
    b = placed(tmp_path / "b.tif", GREY, **other)
    out = tmp_path / "o.tif"
    pair = ("--method", "mean", "-o", out)
    for words in (
        ("fuse", a, b, "--task", "multi-focus", *pair),
        ("restore", a, b, "--task", "flash-denoise", "--no-ghosts", *pair[2:]),
        ("solve", a, b, "--out", tmp_path / "parts"),
        ("fuse", a, b, "--task", "multi-focus", "--blocks", 64, "-o", out),
    ):
        extra = ("--method", "guided-filter") if words[0] == "restore" else ()
        solved = words[0] == "solve" or "--blocks" in words
        if message is None:
            if not solved:
                done = run(*words, *extra, "--overwrite")
                assert done.exit_code == 0, done.stderr
            continue
        done = run(*words, *extra)
        assert done.exit_code == 2
        assert f"{message}{a}: want images of one place; gdalwarp brings" in said(done)
        assert not out.exists()
        if not solved:
            assert "--registered takes them as they are, --align registers them" in said(done)
            done = run(*words, *extra, "--registered")
            assert done.exit_code == 0, done.stderr
            np.testing.assert_allclose(corners(out), corners(a))
            out.unlink()


def said(done):
    return " ".join(done.stderr.split())


def test_a_place_that_is_damaged_or_nowhere_is_none(tmp_path):
    broken = [
        [(33550, "d", 3, (0.0, 10.0, 0.0), True), (33922, "d", 6, (0.0,) * 6, True)],
        [(33550, "d", 3, (np.nan, 10.0, 0.0), True), (33922, "d", 6, (0.0,) * 6, True)],
        [(33550, "s", 0, "ten", True), (33922, "d", 6, (0.0,) * 6, True)],
        [(34264, "d", 4, (1.0, 0.0, 0.0, 1.0), True)],
        [(33922, "d", 12, tuple(map(float, range(12))), True)],
    ]
    for tags in broken:
        tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=tags)
        assert read_image(tmp_path / "a.tif").metadata.place is None
    placed(tmp_path / "a.tif", GREY, tags=[(274, "H", 1, 6, True)])
    assert read_image(tmp_path / "a.tif").metadata.place is None  # it is turned upright


def test_what_is_aligned_tells_of_the_place_that_is_lost(tmp_path):
    names = [placed(tmp_path / f"{n}.tif", GREY, x=5e5 + 1e4 * n) for n in range(3)]
    words = ("--task", "multi-focus", "--method", "mean", "--align", "-o", tmp_path / "o.tif")
    done = run("fuse", *names[:2], *words)
    assert done.exit_code == 0, done.stderr
    np.testing.assert_allclose(corners(tmp_path / "o.tif"), corners(names[0]))
    done = run("fuse", *names, *words, "--overwrite")
    assert "without a place on the map, as it is on another grid than X" in said_out(done)
    assert read_image(tmp_path / "o.tif").metadata.place is None


def said_out(done):
    return " ".join(done.stdout.split())
