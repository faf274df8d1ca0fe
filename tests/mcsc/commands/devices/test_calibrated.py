"""`mcsc restore --calibration`: a raw depth map and a photograph from another place."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

from mcsc.images import read_image, write_image, write_samples
from tests.helpers import run
from tests.mcsc.images.cameras.rooms import rig, room


def camera(one):
    keys = ("width", "height", "fx", "fy", "cx", "cy")
    return {key: getattr(one, key) for key in keys} | {"distortion": list(one.distortion)}


@pytest.fixture
def files(tmp_path):
    raw, photo, truth = room()
    depth = np.round(1000 * raw).astype(np.uint16)
    depth[::7, ::5] = 0
    write_samples(tmp_path / "raw.png", depth)
    write_image(tmp_path / "photo.png", photo)
    found = rig()
    content = {
        "depth": camera(found.depth), "photo": camera(found.photo), "depth_unit": 0.001,
        "rotation": found.rotation.tolist(), "translation": found.translation.tolist(),
    }  # fmt: skip
    (tmp_path / "cameras.json").write_text(json.dumps(content))
    return tmp_path, truth


def restore(folder, *words, raw="raw.png", out="out.png"):
    return run(
        "restore", folder / raw, folder / "photo.png", "--task", "depth-sr", "--calibration",
        folder / "cameras.json", "-o", folder / out, *words,
    )  # fmt: skip


@pytest.mark.slow
def test_a_raw_map_comes_back_in_the_photograph_in_its_unit(files):
    folder, truth = files
    result = restore(folder, "--method", "guided-filter")
    assert result.exit_code == 0, result.stderr
    assert "points of depth" in result.stdout
    made = read_image(folder / "out.png")
    assert made.dtype == np.uint16
    miss = np.abs(made.samples[0] / 1000 - truth)
    assert np.median(miss) < 0.01
    assert (miss > 0.3).mean() < 0.08
    # Metres as floats are the same map, in metres.
    metres = read_image(folder / "raw.png").samples.astype(np.float32) / 1000
    write_samples(folder / "raw.tif", np.where(metres > 0, metres, 0))
    content = json.loads((folder / "cameras.json").read_text()) | {"depth_unit": 1}
    (folder / "cameras.json").write_text(json.dumps(content))
    result = restore(folder, "--method", "guided-filter", raw="raw.tif", out="out.tif")
    assert result.exit_code == 0, result.stderr
    again = read_image(folder / "out.tif")
    assert again.dtype == np.float32
    np.testing.assert_allclose(again.samples[0], made.samples[0] / 1000, atol=0.01)


@pytest.mark.slow
def test_the_exact_masked_solver_restores_it(files):
    folder, truth = files
    result = restore(folder)
    assert result.exit_code == 0, result.stderr
    assert "certified gap" in result.stdout
    miss = read_image(folder / "out.png").samples[0] / 1000 - truth
    assert np.sqrt(np.square(miss).mean()) < 0.15  # interpolation: 0.18


def test_what_does_not_fit_is_told_before_the_work(files):
    folder, _ = files
    content = json.loads((folder / "cameras.json").read_text())

    def refused(message, *words):
        result = restore(folder, *words)
        assert result.exit_code == 2, result.stdout
        assert message in " ".join(result.stderr.split())
        assert not (folder / "out.png").exists()

    refused("--align and --calibration exclude each other", "--align")
    refused("--factor and --calibration exclude each other", "--factor", "4")
    result = run(
        "restore", folder / "photo.png", folder / "photo.png", "--task", "flash-denoise",
        "--calibration", folder / "cameras.json", "-o", folder / "out.png",
    )  # fmt: skip
    assert "--calibration is for super-resolution of depth" in result.stderr
    (folder / "cameras.json").write_text(json.dumps(content | {"rotation": 1}))
    refused("cameras.json: rotation must be 3 rows of 3 numbers")
    content["photo"]["width"] = 640
    (folder / "cameras.json").write_text(json.dumps(content))
    refused("photo.height and photo.width are 240 and 640")
    (folder / "cameras.json").unlink()
    refused("cameras.json: no such file")


def test_the_help_shows_a_whole_file():
    result = run("restore", "--help")
    assert '"depth_unit": 0.001' in " ".join(result.stdout.split())


def test_pages_and_variables_on_the_command_line(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    photo = (room()[1].transpose(1, 2, 0)[:64, :64] * 255).astype(np.uint8)
    PIL.Image.fromarray(photo).save(tmp_path / "y.png")
    small = photo[::4, ::4, 0] / 80.0
    scipy_io.savemat(tmp_path / "x.mat", {"depth": small, "confidence": np.ones((16, 16))})
    words = ("restore", tmp_path / "x.mat", tmp_path / "y.png", "--task", "depth-sr", "--method",
             "guided-filter", "--registered", "-o", tmp_path / "o.tif")  # fmt: skip
    result = run(*words)
    assert result.exit_code == 2
    assert "want the name of one, --variable NAME" in result.stderr
    result = run(*words, "--variable", "depth")
    assert result.exit_code == 0, result.stderr
    stack = np.stack([255 - photo[..., 0], photo[..., 0]])
    write_samples(tmp_path / "s.tif", stack)
    found = run("fuse", tmp_path / "s.tif", tmp_path / "y.png", "--task", "medical", "--method",
                "mean", "--page", "2", "-o", tmp_path / "f.png")  # fmt: skip
    assert found.exit_code == 0, found.stderr
    for option, message in (
        (("--page", "3=1"), "--page is for image 3, there are 2"),
        (("--page", "0"), "'0' is not a page, counted from 1"),
        (("--page", "x"), "'x' is not a page"),
        (("--page", "1=1", "--page", "2"), "given twice for image 1"),
        (("--variable", "2=depth"), "y.png: is PNG, which has no variables or channels by name"),
        (("--page", "2=7"), "has no page 7: there is 1 page, counted from 1"),
    ):
        result = run(*words, "--variable", "1=depth", *option)
        assert result.exit_code == 2, option
        assert message in " ".join(result.stderr.split()), result.stderr
