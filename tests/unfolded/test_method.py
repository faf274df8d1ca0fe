"""CU-Net as a method of `mcsc.tasks`."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc import Parts
from mcsc.baselines.exposure import exposure_fusion
from mcsc.images import imresize, luma_studio, motorcycle, ycbcr
from mcsc.images.resize import resize_known
from mcsc.quality.full_reference import rmse
from mcsc.tasks import (
    TASKS,
    evaluate,
    find_method,
    find_scenes,
    fuse,
    get_task,
    method_names,
    restore,
    shipped_dictionary,
)
from mcsc.tasks.preparation import prepare_fusion, prepare_restoration
from mcsc.tasks.sparse_coding import prepare_for_dictionary
from tests.helpers import make_dictionary, run
from tests.mcsc.tasks.pairs import pair
from tests.paths import SHARED
from tests.unfolded.methods import detail, images, trained
from tests.unfolded.nets import torch, unfolded
from unfolded import CUNet, load
from unfolded import method as method_module
from unfolded.images import prepare_for_network
from unfolded.method import CUNetMethod

RESTORATIONS = [t for t in TASKS.values() if t.kind == "restoration"]


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    net = unfolded.CUNet.from_dictionary(make_dictionary(0, size=4), 0.1, blocks=1)
    net.metadata = {"base": "none"}
    net.save(path)
    return path


# ---------------------------------------------------------------------------- by the front door
@pytest.mark.parametrize("name", TASKS)
def test_the_weights_that_come_along_serve_every_task(name):
    task = get_task(name)
    assert "cunet" in method_names(task)
    scene = task.synthetic_pair(0, (48, 48), 5)
    if task.kind == "fusion":
        found = fuse([scene.x, scene.y], name, method="cunet")
        parts = [found.base, found.common, *found.unique]
    else:
        small = imresize(scene.target, (12, 12)) if task.factor else scene.x
        found = restore(small, scene.y, name, method="cunet")
        parts = [found.base, found.common, found.unique]
        np.testing.assert_allclose(sum(parts), found.image, atol=1e-5)
    assert found.method == "cunet"
    assert found.image.shape == scene.target.shape
    assert all(part is not None for part in parts)
    assert (found.gap, found.nonzero, found.lam) == (None, None, None)
    assert found.converged


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_any_precision_restore(precision, tmp_path):
    scene = get_task("depth-sr").synthetic_pair(1, (48, 48), 3)
    small = imresize(scene.target, (12, 12))
    path = tmp_path / "net.safetensors"
    net = unfolded.pretrained("depth-sr")
    metadata = net.metadata
    net = net.to(precision)
    net.metadata = metadata
    net.save(path)
    found = restore(small, scene.y, "depth-sr", method="cunet", weights_file=path)
    wanted = restore(small, scene.y, "depth-sr", method="cunet")
    assert found.image.dtype == np.float32
    np.testing.assert_allclose(found.image, wanted.image, atol=0.05)


def test_bands_one_by_one_with_the_luma_of_the_guide(weights):
    rng = np.random.default_rng(0)
    x, y = imresize(rng.random((4, 5, 4)), 4), rng.random((3, 20, 16))
    found = restore(x, y, "multispectral-sr", method="cunet", weights_file=weights)
    net = unfolded.load(weights)
    with torch.no_grad():
        wanted = net(torch.from_numpy(x[2:3])[None], torch.from_numpy(luma_studio(y))[None])
    np.testing.assert_allclose(found.image[2], wanted[0, 0].numpy(), atol=1e-12)
    assert found.common.shape == (4, 20, 16)
    found = restore(x, y[:2], "multispectral-sr", method="cunet", weights_file=weights)
    mean = y[:2].mean(axis=0, keepdims=True)
    wanted = restore(x, mean, "multispectral-sr", method="cunet", weights_file=weights)
    np.testing.assert_allclose(found.image, wanted.image, atol=1e-12)


@pytest.mark.parametrize("name", ["multi-focus", "multi-exposure", "medical"])
def test_more_than_two_sources_in_any_order(name):
    channels = (1, 1) if name == "medical" else (3, 3)
    sources = [images(seed, channels=channels)[0] for seed in range(4)]
    found = fuse(sources, name, method="cunet")
    other = fuse([sources[m] for m in (3, 1, 0, 2)], name, method="cunet")
    np.testing.assert_array_equal(found.image, other.image)
    if name != "medical":
        np.testing.assert_array_equal(found.index, np.array([3, 1, 0, 2])[other.index])
    with pytest.raises(ValueError, match="tile is for two sources of the method cunet, found 4"):
        fuse(sources, name, method="cunet", tile=64)


def test_other_kind_and_missing_weights_are_refused(weights, tmp_path):
    with pytest.raises(ValueError, match="a network for restoration, multi-focus is a fusion"):
        find_method("cunet", get_task("multi-focus"), weights_file=weights)
    with pytest.raises(FileNotFoundError, match="missing"):
        find_method("cunet", get_task("depth-sr"), weights_file=tmp_path / "missing.safetensors")


def test_what_the_network_does_not_have_is_refused_in_one_line(tmp_path):
    scene = get_task("depth-sr").synthetic_pair(0, (32, 32), 5)
    small = imresize(scene.target, 0.25)

    def refused(message, x=small, **options):
        with pytest.raises(ValueError, match=message) as caught:
            restore(x, scene.y, "depth-sr", method="cunet", **options)
        assert "\n" not in str(caught.value)

    refused("the method cunet has no option lam; it has device, orientations, tile", lam=0.1)
    refused("the method cunet has no option tol; it has device, orientations, tile", tol=1e-3)
    refused("the method cunet takes no dictionary", dictionary=shipped_dictionary("depth-sr"))
    half = imresize(scene.target, 0.5)
    refused("cunet enlarges 4 times, x is 2 times smaller than its guide", half)
    # Nor are its holes filled first.
    known = half > np.median(half)
    refused("cunet enlarges 4 times", np.where(known, half, np.nan), mask=known)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="device='cuda' cannot be used: PyTorch finds no CU"):
            restore(small, scene.y, "depth-sr", method="cunet", device="cuda")


def test_weights_that_do_not_say_what_they_are_for_are_told(tmp_path):
    path = tmp_path / "net.safetensors"
    unfolded.CUNet.from_dictionary(make_dictionary(0, size=4), 0.1, blocks=1).save(path)
    with pytest.warns(UserWarning, match="net.safetensors does not say what it was trained for"):
        find_method("cunet", get_task("depth-sr"), weights_file=path)
    assert unfolded.load(tmp_path / "net").configuration == unfolded.load(path).configuration


def test_holes_are_filled_by_the_model_before_the_network_sees_them():
    scene = get_task("depth-sr").synthetic_pair(0, (48, 48), 5)
    small = imresize(scene.target, 0.25)
    known = np.ones(small.shape[1:], bool)
    known[4:7, 5:8] = False
    with pytest.warns(UserWarning, match=r"cunet takes no mask: the unknown pixels of x .* filled"):
        found = restore(
            np.where(known, small, np.nan), scene.y, "depth-sr", method="cunet", mask=known
        )
    plain = restore(small, scene.y, "depth-sr", method="cunet")
    assert np.abs(found.image - plain.image).mean() < 0.03


@pytest.mark.filterwarnings("ignore:.* takes no mask")
def test_with_holes_at_edges_of_depth_a_network_is_still_ahead_of_bicubic():
    scene = motorcycle(size=(100, 300, 96, 96))
    small, known = resize_known(scene.x, scene.mask, (24, 24))
    errors = {}
    for method in ("bicubic", "mcsc", "cunet"):
        found = restore(small, scene.guide_rgb, "depth-sr", method=method, mask=known)
        errors[method] = rmse(found.image, scene.x, mask=scene.mask[0])
    assert errors["cunet"] < 0.7 * errors["bicubic"]
    assert errors["cunet"] < errors["mcsc"]


def test_on_a_gpu_the_network_runs_as_it_is_accelerated(monkeypatch):
    """Without one: what is asked for, once, and that its images are taken."""
    asked = []

    def stand_in(net, device):
        asked.append(device)
        return unfolded.accelerate(net, "cpu", kernels="layers")

    monkeypatch.setattr(method_module, "accelerate", stand_in)
    monkeypatch.setattr(method_module, "torch_device", lambda device: torch.device(device))
    for name, channels in (("depth-sr", (1, 1)), ("multi-focus", (1, 1))):
        task, asked[:] = get_task(name), []
        net = trained(task, channels, base="none")
        method = CUNetMethod(net, task)
        pair = images(channels=(1, 1))
        given = (pair,) if task.kind == "fusion" else pair
        options = {} if task.kind == "fusion" else {"known_shape": (6, 7)}
        wanted = method(*given, **options)
        for tile in (None, 16):
            found = method(*given, device="cuda", tile=tile, **options)
            np.testing.assert_allclose(found.image, wanted.image, atol=1e-5)
            assert (found.common is None) == (tile is not None)
        assert asked == ["cuda"]
        assert next(net.parameters()).device.type == "cpu"


def test_on_the_command_line(tmp_path):
    from mcsc.images import read_image, write_image

    scene = get_task("depth-sr").synthetic_pair(0, (64, 64), 5)
    write_image(tmp_path / "small.png", imresize(scene.target, 0.25), 16)
    write_image(tmp_path / "rgb.png", scene.y)
    words = ("restore", tmp_path / "small.png", tmp_path / "rgb.png", "--task", "depth-sr")
    words += ("--method", "cunet", "-o", tmp_path / "o.png")
    done = run(*words, "--parts", tmp_path / "parts", "--report", tmp_path / "r.html")
    assert done.exit_code == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [
        "1_common.tif", "2_unique_x.tif", "base.tif"
    ]  # fmt: skip
    wanted = restore(
        read_image(tmp_path / "small.png").samples, read_image(tmp_path / "rgb.png").samples,
        "depth-sr", method="cunet",
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "o.png").samples, wanted.image)
    done = run(*words, "--lam", 1)
    assert done.exit_code == 2
    has = "it has device, orientations, tile"
    assert done.stderr == f"mcsc: error: the method cunet has no option lam; {has}\n"
    done = run(*words, "--orientations", 2, "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert (read_image(tmp_path / "o.png").samples != wanted.image).any()
    done = run(*words, "--orientations", 2, "--overwrite", "--method", "bicubic")
    assert done.exit_code == 2
    assert "the method bicubic has no option orientations" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "official_weights").is_dir(), reason="no folder of the authors' weights"
)
def test_authors_weights_give_the_known_error():
    task = get_task("depth-sr")
    (scene,) = find_scenes(SHARED / "data" / "depth_sr", task, ["ambush"])
    z, y = scene.read()
    weights = SHARED / "official_weights" / "depth_ks9.pth"
    found = restore(task.degrade(z), y, task, method="cunet", weights_file=weights)
    assert rmse(np.clip(found.image, 0, 1), z) == pytest.approx(2.59, abs=0.02)


# --------------------------------------------------------------------- what the network sees
def test_restoration_adds_to_the_base_and_honours_the_known_image():
    task = get_task("depth-sr")
    net = trained(task, base="input", strength=2.0)
    truth, guide = images(channels=(1, 3))
    x = task.degrade(truth)
    found = restore(x, guide, task, method=CUNetMethod(net, task)).image
    made = prepare_restoration(x, guide, (1, 1), strength=2.0, base="input")
    plain = x + detail(net, made)
    assert found.dtype == np.float32
    again, before = task.degrade(found), task.degrade(plain)
    assert np.abs(again - x).max() < 0.3 * np.abs(before - x).max()


def test_authors_weights_see_the_images_themselves():
    task = get_task("flash-denoise")
    net = trained(task, (3, 3), 3)
    x, y = images()
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)[None], torch.from_numpy(y)[None])[0]
    found = restore(x, y, task, method=CUNetMethod(net, task), sigma=50.0, ghosts=False)
    np.testing.assert_allclose(found.image, wanted, atol=1e-6)


def test_noise_of_another_level_is_scaled_to_the_one_trained_for():
    task = get_task("flash-denoise")
    method = CUNetMethod(trained(task, (3, 3), 3, base="none", sigma=50.0), task)
    x, y = images()
    half = restore(x / 2, y / 2, task, method=method, sigma=25.0, ghosts=False)
    whole = restore(x, y, task, method=method, sigma=50.0, ghosts=False)
    np.testing.assert_allclose(half.image, whole.image / 2, atol=1e-5)
    np.testing.assert_allclose(half.common, whole.common / 2, atol=1e-5)
    untold = restore(x, y, task, method=method, ghosts=False)
    np.testing.assert_array_equal(untold.image, whole.image)


def test_little_contrast_of_a_band_does_not_matter():
    scene = pair("multispectral-sr")
    small = imresize(scene.target, 0.25)
    plain, dark = (
        restore(s * small, scene.y, "multispectral-sr", method="cunet", value_range=(0, 1))
        for s in (1 / np.ptp(small), 0.02 / np.ptp(small))
    )
    assert dark.stretched == (0,)
    np.testing.assert_allclose(dark.image / 0.02, plain.image, atol=5e-3)


def test_fused_luma_keeps_the_colours():
    task = get_task("multi-focus")
    net = trained(task, base="mean", strength=5.0)
    method = CUNetMethod(net, task)
    x, y = images()
    found = fuse([x, y], task, method=method, rule="sum").image
    made = prepare_fusion(x, y, (1, 1), strength=5.0, base="mean")
    np.testing.assert_allclose(made.base, (luma_studio(x) + luma_studio(y)) / 2, atol=1e-6)
    np.testing.assert_allclose(luma_studio(found), made.base + detail(net, made), atol=1e-4)
    np.testing.assert_allclose(ycbcr(found)[1:], ycbcr(exposure_fusion((x, y)))[1:], atol=1e-5)
    grey = fuse([luma_studio(x), luma_studio(y)], task, method=method)
    assert grey.image.shape == (1, 24, 28)


def test_tiles_give_the_same_image():
    task = get_task("medical")
    method = CUNetMethod(trained(task, base="low", strength=5.0), task)
    sources = images(channels=(1, 1))
    tiled, whole = (fuse(sources, task, method=method, tile=tile) for tile in (9, None))
    np.testing.assert_allclose(tiled.image, whole.image, atol=1e-6)
    assert tiled.common is None
    assert tiled.unique == (None, None)


def turned(image, turns, mirrored):
    return np.rot90(image[..., ::-1] if mirrored else image, turns, (-2, -1))


@pytest.mark.parametrize(
    ("orientations", "alike"), [(2, [(2, 0)]), (4, [(1, 0), (2, 0)]), (8, [(3, 0), (0, 1), (1, 1)])]
)
def test_orientations_make_a_network_without_direction(orientations, alike):
    """Images that are turned or mirrored give the same image, turned or mirrored."""
    task = get_task("flash-denoise")
    method = CUNetMethod(trained(task, (3, 3), 3, base="none", sigma=50.0), task)
    x, y = images()

    def image(x, y, orientations=orientations, **options):
        how = {"method": method, "orientations": orientations, "ghosts": False, **options}
        return restore(x, y, task, **how).image

    whole = image(x, y)
    for how in alike:
        found = image(*(np.ascontiguousarray(turned(i, *how)) for i in (x, y)))
        np.testing.assert_allclose(found, turned(whole, *how), atol=2e-6)
    np.testing.assert_allclose(image(x, y, tile=9), whole, atol=2e-6)
    single = image(x, y, None)
    np.testing.assert_array_equal(single, image(x, y, 1))
    assert np.abs(single - whole).max() > 1e-4
    assert np.abs(image(turned(x, 1, 0), turned(y, 1, 0), 1) - turned(single, 1, 0)).max() > 1e-4


@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_orientations_add_up_to_the_image(count):
    task = get_task("multi-focus")
    method = CUNetMethod(trained(task, base="low", strength=5.0), task)
    sources = images(channels=(1, 1)) + images(channels=(1, 1))[: count - 2]
    found = fuse(sources, task, method=method, orientations=8, rule="sum")
    assert np.isfinite(found.image).all()
    if count == 2:
        parts = found.base + found.common + found.unique[0] + found.unique[1]
        np.testing.assert_allclose(found.image, parts, atol=1e-5)
        mirrored = [turned(s, 0, 1) for s in sources]
        again = fuse(mirrored, task, method=method, orientations=8, rule="sum")
        np.testing.assert_allclose(again.common, turned(found.common, 0, 1), atol=1e-5)


def test_a_number_of_orientations_is_checked(tmp_path):
    sources = images(channels=(1, 1))
    for wrong, message in ((3, "one of 1, 2, 4, 8; found 3"), (0, ">= 1"), (2.0, "whole number")):
        with pytest.raises((ValueError, TypeError), match=message):
            fuse(sources, "medical", method="cunet", orientations=wrong)
    with pytest.raises(ValueError, match="the method mcsc has no option orientations"):
        fuse(sources, "medical", orientations=8)
    with pytest.raises(ValueError, match="none of the methods mean has orientations"):
        evaluate([lambda: sources], "medical", ["mean"], orientations=2)


def test_small_tiles_that_make_much_work_are_told():
    task = get_task("medical")
    method = CUNetMethod(trained(task, base="low", strength=5.0), task)
    sources = images(channels=(1, 1))
    with pytest.warns(
        UserWarning, match=r"tiles of 4 pixels take \d+ times the work of the whole"
    ) as w:
        fuse(sources, task, method=method, tile=4)
    assert w[0].filename == __file__


def test_metadata_travel_with_the_weights(tmp_path):
    net = trained(get_task("depth-sr"), base="input", strength=2.0, data="nothing")
    net.save(tmp_path / "net.safetensors")
    assert load(tmp_path / "net.safetensors").metadata == net.metadata


@pytest.mark.parametrize("task", RESTORATIONS, ids=lambda t: t.name)
def test_network_of_a_dictionary_sees_what_the_solver_sees(task):
    d = shipped_dictionary(task.name)
    first, second = (3, 3) if task.all_channels else (1, 3)
    x, y = images(channels=(first, second))
    net = CUNet.from_dictionary(d, 0.05, blocks=2)
    net.metadata = {"base": d.metadata["base"], "strength": d.metadata["strength"]}
    small = task.known_shape(x.shape[1:])
    made = prepare_for_network(net, task, x, y, known_shape=small)
    wanted = prepare_for_dictionary(x, y, d, task, known_shape=small)
    for a, b in zip((*made.signals, made.base), (*wanted.signals, wanted.base), strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------- contrast


@pytest.mark.parametrize("overshoot", [5.0, 1e6])
def test_a_network_that_diverges_is_given_less_contrast(monkeypatch, overshoot):
    task = get_task("flash-denoise")
    net = trained(task, base="none")

    def split(self, x, y, sigma=None):
        return Parts(x**2 + (overshoot if x.abs().max() > 0.6 else 0), x, (x, x))

    monkeypatch.setattr(CUNet, "split", split)
    x, y = images(channels=(1, 1))
    with pytest.warns(UserWarning, match="diverged on the contrast .* given 1/2 of it"):
        found = CUNetMethod(net, task)(x, y)
    made = prepare_for_network(net, task, x, y)
    wanted = made.base + 2 * (0.5 * made.signals[0][0]) ** 2
    np.testing.assert_allclose(found.image, wanted, atol=1e-6)
    CUNetMethod(net, task)(0.5 * x, y)  # no warning: it is in proportion


def test_what_is_tiny_has_not_diverged(monkeypatch):
    """A flat image, whose signals are rounding: the network sees it once, and nothing is said."""
    task = get_task("multi-exposure")
    net = trained(task, base="low")
    seen = []

    def split(self, x, y, sigma=None):
        seen.append(float(x.abs().max()))
        return Parts(torch.full_like(x, 0.004), x, (x, x))

    monkeypatch.setattr(CUNet, "split", split)
    flat = np.full((1, 16, 16), 0.3, np.float32)
    CUNetMethod(net, task)([flat, flat])
    assert len(seen) == 1
    assert seen[0] < 1e-6


@pytest.mark.filterwarnings("ignore:the network diverged")
@pytest.mark.parametrize("dark", [False, True])
def test_thin_things_before_a_far_wall_stay_in_proportion(dark):
    """Of full contrast, as a near post before a far wall: more than networks are trained on."""
    x = np.zeros((1, 48, 48))
    rows = np.arange(48)
    x[0, rows, (rows // 3 + 20) % 48] = x[0, rows, (rows // 2 + 5) % 48] = 1.0
    x = 1 - x if dark else x
    y = np.repeat(np.kron(x, np.ones((1, 4, 4))), 3, axis=0)
    image = restore(x, y, "depth-sr", method="cunet", value_range=(0, 1)).image
    assert np.abs(image - 0.5).max() < 2
