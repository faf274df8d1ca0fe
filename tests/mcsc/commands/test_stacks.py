"""`mcsc fuse` on stacks of files: any number, --depth, --align, --crop."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter

from mcsc.images import read_image, write_image
from mcsc.synthetic import make_pair
from tests.helpers import run
from tests.mcsc.alignment.test_motion import homography, view

STRIPS = 10


@pytest.fixture(scope="module")
def sharp():
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.random((3, 48, 60)), (0, 0.8, 0.8))
    return (image - image.min()) / np.ptp(image)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, sharp):
    """Ten photographs, each sharp in a strip of its own."""
    folder = tmp_path_factory.mktemp("stack")
    soft = gaussian_filter(sharp, (0, 2.5, 2.5))
    strip = np.arange(60) * STRIPS // 60
    for m in range(STRIPS):
        write_image(folder / f"{m:02}.png", np.where(strip == m, sharp, soft))
    return sorted(folder.glob("*.png"))


def test_a_stack_of_files_with_its_depth(stack, sharp, tmp_path):
    words = ("--task", "multi-focus", "--tol", 0.1, "-o", tmp_path / "o.png")
    result = run(
        "fuse", *stack, *words, "--depth", tmp_path / "d.png", "--report", tmp_path / "r.html"
    )
    assert result.exit_code == 0, result.stderr
    found = read_image(tmp_path / "o.png").pixels
    soft = gaussian_filter(sharp, (0, 2.5, 2.5))
    assert np.abs(found - sharp).mean() < 0.6 * np.abs(soft - sharp).mean()
    depth = read_image(tmp_path / "d.png")
    assert depth.samples.dtype == np.uint8
    assert depth.samples.shape == (1, 48, 60)
    assert np.abs(depth.samples[0].astype(int) - np.arange(60) * STRIPS // 60).mean() < 1.5
    again = run("fuse", *stack[::-1], *words, "--depth", tmp_path / "back.png")
    assert again.exit_code == 0, again.stderr
    np.testing.assert_array_equal(read_image(tmp_path / "o.png").pixels, found)
    back = read_image(tmp_path / "back.png").samples
    np.testing.assert_array_equal(back, STRIPS - 1 - depth.samples)


def test_what_depth_wants(stack, tmp_path):
    words = ("fuse", *stack[:2], "--task", "multi-focus", "-o", tmp_path / "o.png", "--depth")
    for more, message in (
        ((tmp_path / "d.png", "--method", "mean"), "mean does not choose between sources"),
        ((tmp_path / "d.png", "--rule", "sum"), "want a method and a rule that do, as --method"),
        ((tmp_path / "d.png", "--rule", "sum", "--method", "cunet"), "cunet does not choose"),
        ((tmp_path / "d.jpg",), "want a name that ends in .png or .tif"),
        ((tmp_path / "d.png", "--crop"), "--crop goes with --align"),
    ):
        result = run(*words, *more)
        assert result.exit_code == 2
        assert message in result.stderr


def test_a_stack_from_the_hand(tmp_path):
    paths = []
    for m in range(3):
        image = view(homography((1.5 * (m - 1), 2.0 * (m - 1)), scale=1 + 0.02 * (m - 1)))
        paths.append(tmp_path / f"{m}.png")
        write_image(paths[-1], image[None])
    words = ("fuse", *paths, "--task", "multi-exposure", "--method", "mean", "-o")
    result = run(*words, tmp_path / "o.png", "--align")
    assert result.exit_code == 0, result.stderr
    assert "1.png: the others are aligned to it" in result.stdout
    assert "0.png: moved by" in result.stdout
    still = read_image(paths[1]).pixels
    assert np.abs(read_image(tmp_path / "o.png").pixels - still)[:, 20:-20, 20:-20].mean() < 0.01
    result = run(*words, tmp_path / "c.png", "--align", "--crop")
    assert result.exit_code == 0, result.stderr
    height, width = read_image(tmp_path / "c.png").pixels.shape[1:]
    assert height < 120
    assert width < 160


@pytest.mark.parametrize("kind", ["alpha", "file"])
def test_masks_are_aligned_with_their_frames(tmp_path, kind):
    """A corner of the second frame is transparent, or black in a mask file."""
    first = view()
    second = view(homography((3.0, -2.0)))
    known = np.ones(second.shape, bool)
    known[:40, :50] = False
    write_image(tmp_path / "a.png", first[None])
    broken = np.where(known, second, 1.0)
    samples = np.rint(255 * np.stack([broken] * 3 + [known.astype(float)], -1)).astype(np.uint8)
    if kind == "alpha":
        PIL.Image.fromarray(samples, "RGBA").save(tmp_path / "b.png")
    else:
        write_image(tmp_path / "b.png", broken[None])
        write_image(tmp_path / "m.png", known[None].astype(float))
    word = "alpha" if kind == "alpha" else tmp_path / "m.png"
    result = run(
        "fuse", tmp_path / "a.png", tmp_path / "b.png", "--task", "multi-focus", "--method", "mean",
        "--align", "--mask", f"2={word}", "-o", tmp_path / "o.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "b.png: moved by" in result.stdout
    wrong = np.abs(read_image(tmp_path / "o.png").pixels - first)
    assert wrong[:, 8:36, 8:46].mean() < 0.01  # of the white corner nothing is left
    assert wrong[:, 8:-8, 8:-8].mean() < 0.01


def test_another_aspect_is_refused(tmp_path):
    write_image(tmp_path / "wide.png", view()[None])
    write_image(tmp_path / "tall.png", view().T[None].copy())
    words = ("fuse", tmp_path / "wide.png", tmp_path / "tall.png", "--task", "medical", "--align")
    result = run(*words, "-o", tmp_path / "o.png")
    assert result.exit_code == 2
    assert "which is another aspect ratio" in result.stderr
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_a_registered_guide_is_left_alone(tmp_path, number):
    """A flow would move it, by its own errors, by 2 pixels and more on average."""
    scene = make_pair("depth", number, (128, 160), 3)
    write_image(tmp_path / "x.png", scene.x)
    write_image(tmp_path / "y.png", scene.y)
    words = ("restore", tmp_path / "x.png", tmp_path / "y.png", "--task", "depth-sr", "--method")
    words += ("guided-filter", "-o")
    for name, more in (("a.png", ()), ("b.png", ("--align",))):
        result = run(*words, tmp_path / name, *more)
        assert result.exit_code == 0, result.stderr
    assert "y.png: no motion was found, the image is left as it is" in result.stdout
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("how", [("--align",), ()])
@pytest.mark.parametrize("command", ["fuse", "restore"])
def test_images_of_another_part_of_the_scene_are_refused(tmp_path, command, how):
    whole = skimage.data.coffee()[100:260, 100:420] / 255
    write_image(tmp_path / "a.png", np.moveaxis(whole[:, :200], -1, 0))
    write_image(tmp_path / "b.png", np.moveaxis(whole[:, 90:290], -1, 0))
    task = "multi-focus" if command == "fuse" else "flash-denoise"
    result = run(
        command, tmp_path / "a.png", tmp_path / "b.png", "--task", task, "-o", tmp_path / "o.png",
        *how,
    )  # fmt: skip
    assert result.exit_code == 2
    assert f"{tmp_path / 'b.png'} is displaced against {tmp_path / 'a.png'} by ab" in result.stderr
    assert "+90 columns of 160 x 200 pixels" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "o.png").exists()


def test_images_that_know_different_halves_are_not_taken_for_displaced(tmp_path):
    y, x = np.mgrid[:64, :80] / 80
    image = np.stack([0.2 + 0.5 * y, 0.7 - 0.4 * x, 0.3 + 1.2 * x * y])
    image[:, (y - 0.25) ** 2 + (x - 0.25) ** 2 < 0.02] = 0.9
    image[:, (y > 0.55) & (x > 0.6)] = 0.1
    left = np.zeros((64, 80))
    left[:, :40] = 1
    for name, pixels in (
        ("a.png", image), ("moved.png", np.roll(image, (6, 9), (1, 2))), ("left.png", left),
        ("right.png", 1 - left), ("most.png", 1 - left[:, ::-1] * (y > 0.5)),
    ):  # fmt: skip
        write_image(tmp_path / name, pixels)
    words = ("--task", "multi-focus", "--method", "mean", "-o", tmp_path / "o.png")

    def fused(other, *masks):
        options = [w for m, mask in enumerate(masks) for w in ("--mask", f"{m + 1}={mask}")]
        return run("fuse", tmp_path / "a.png", tmp_path / other, *words, *options)

    left_half, right_half, most = (tmp_path / f"{n}.png" for n in ("left", "right", "most"))
    assert fused("a.png", left_half, right_half).exit_code == 0
    found, whole = read_image(tmp_path / "o.png").pixels, read_image(tmp_path / "a.png").pixels
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert fused("a.png", most, left_half).exit_code == 0
    assert "is shifted against" in fused("moved.png", most, most).stderr
