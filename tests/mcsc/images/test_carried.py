"""Profile, EXIF and resolution through the commands; images of different profiles."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data

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
