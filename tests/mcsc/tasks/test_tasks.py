"""Tasks end to end on small synthetic scenes: degrade, learn, restore, fuse, evaluate."""

import json
from dataclasses import replace

import numpy as np
import pytest

import mcsc
from mcsc.images.files import write_image
from mcsc.images.resize import degrade
from mcsc.quality.full_reference import psnr, rmse
from mcsc.quality.no_reference import qabf
from mcsc.synthetic import scenes
from mcsc.tasks.coding import code
from mcsc.tasks.evaluation import evaluate
from mcsc.tasks.folders import find_scenes
from mcsc.tasks.fusion import fuse
from mcsc.tasks.learning import TaskScenes, TaskSettings, learn_task
from mcsc.tasks.methods import method_names, own_method, resolve_method
from mcsc.tasks.restoration import prepare, restore
from mcsc.tasks.scenes import Recent, flipped, name_of, synthetic_scenes
from mcsc.tasks.task import TASKS, get_task

SMALL = {"n_common": 8, "n_unique": 8, "filter_size": 6, "passes": 2, "window": 48}


def test_what_was_made_lately_is_kept():
    recent, made = Recent(10), []

    def get(key, size=4):
        def make():
            made.append(key)
            return key

        return recent.get(key, make, lambda _: size)

    assert [get(k) for k in "abab"] == list("abab")
    assert made == ["a", "b"]
    get("a")
    get("c")  # b is the oldest now
    get("a")
    assert made == ["a", "b", "c"]
    assert get("huge", 99) == get("huge", 99) == "huge"
    get("b")
    assert made == ["a", "b", "c", "huge", "b"]


def test_synthetic_scenes_can_be_read_in_any_order():
    task = get_task("depth-sr")
    readers = synthetic_scenes(task, 3, (64, 64), seed=1)
    assert name_of(readers[2], 2) == "synthetic scene 2"
    assert name_of(flipped(readers)[5], 0) == "synthetic scene 2"
    pairs = list(scenes("depth", 3, (64, 64), seed=1))
    for n in (2, 0, 1):
        clean, guide = readers[n]()
        np.testing.assert_array_equal(clean, pairs[n].target)
        np.testing.assert_array_equal(guide, pairs[n].y)


def learn_small(name, count=4, **settings):
    task = get_task(name)
    readers = synthetic_scenes(task, count, (64, 64), seed=1)
    return learn_task(task, readers, TaskSettings(**settings), **SMALL)


@pytest.fixture(scope="module")
def depth():
    return learn_small("depth-sr", 6)


@pytest.fixture(scope="module")
def focus():
    return learn_small("multi-focus")


def pair(name, seed=50, shape=(64, 64)):
    task = get_task(name)
    return next(iter(scenes(task.synthetic, 1, shape, seed)))


# ------------------------------------------------------------------------------ degradation
def test_degradations_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    image = rng.random((1, 32, 24)).astype(np.float32)
    np.testing.assert_array_equal(get_task("depth-sr").degrade(image), degrade(image, 4))
    flash = get_task("flash-denoise")
    noisy = flash.degrade(np.full((3, 200, 200), 0.5, np.float32), sigma=25, seed=3)
    assert noisy.std() * 255 == pytest.approx(25, rel=0.02)
    assert flash.degrade(np.ones((1, 200, 200))).max() > 1  # not clipped
    np.testing.assert_array_equal(
        flash.degrade(image, sigma=50, seed=1),
        (image + 50 / 255 * np.random.default_rng(1).standard_normal(image.shape)).astype("f4"),
    )
    with pytest.raises(ValueError, match="multi-focus is a fusion"):
        get_task("multi-focus").degrade(image)


def test_six_tasks_and_a_clear_refusal():
    assert list(TASKS) == [
        "depth-sr", "multispectral-sr", "flash-denoise", "multi-exposure", "multi-focus", "medical"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="task must be one of depth-sr, multispectral-sr"):
        get_task("depth")


# ---------------------------------------------------------------------------------- learning
def test_metadata_say_how_the_dictionary_is_used(depth):
    found = depth.dictionary
    assert found.metadata["task"] == "depth-sr"
    assert found.metadata["base"] == "input"
    assert found.metadata["lam"] == get_task("depth-sr").lam
    assert found.signal_weights == (1.0, 0.3)
    assert found.target_unique[1] is None
    assert depth.target_fit.mse < depth.target_fit.target_power


def test_restoration_beats_bicubic_on_scenes_not_seen(depth):
    task = get_task("depth-sr")
    before, after = [], []
    for seed in (50, 51, 52):
        scene = pair("depth-sr", seed)
        x = task.degrade(scene.target)
        found = restore(x, scene.y, depth.dictionary, task)
        assert found.converged
        assert found.gap <= 1e-3
        np.testing.assert_allclose(found.base + found.common + found.unique, found.image, atol=1e-5)
        # The known image is honoured.
        assert rmse(task.degrade(found.image), x) < 0.5 * rmse(task.degrade(x), x) + 0.05
        before.append(rmse(x, scene.target))
        after.append(rmse(found.image, scene.target))
    assert np.mean(after) < np.mean(before)


def test_scenes_are_prepared_as_the_restoration_prepares_them(depth):
    task = get_task("depth-sr")
    scene = pair("depth-sr")
    settings = TaskSettings().complete(task)
    made = TaskScenes(task, [lambda: (scene.target, scene.y)], settings)
    prepared = prepare(task.degrade(scene.target), scene.y, depth.dictionary, task)
    for a, b in zip(made[0], prepared.signals, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(made.targets[0][0], scene.target - prepared.base, atol=1e-7)


def test_flips_are_the_scenes_turned():
    image = np.arange(3 * 33 * 35, dtype=np.float32).reshape(3, 33, 35)
    found = [r()[0] for r in flipped([lambda: (image, image)])]
    cut = image[:, :32, :32]
    for got, wanted in zip(
        found, (cut, cut[:, ::-1], cut[:, :, ::-1], cut[:, ::-1, ::-1]), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_bands_are_coded_one_by_one_or_jointly():
    task = get_task("multispectral-sr")
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 32, 32)).astype("f4"), rng.random((3, 32, 32)).astype("f4")
    assert restore(x, y, d, task, lam=0.5).image.shape == (5, 32, 32)
    one = restore(x[2:3], y, d, task, lam=0.5, tol=1e-5).image
    many = restore(x, y, d, task, lam=0.5, tol=1e-5).image
    np.testing.assert_allclose(many[2], one[0], atol=2e-3)
    joint = mcsc.dct_dictionary((5, 3), filter_size=4)
    assert restore(x, y, joint, task, lam=0.5).image.shape == (5, 32, 32)
    with pytest.raises(ValueError, match="codes 5 channels of the image to restore, which has 4"):
        restore(x[:4], y, joint, task)
    grey = restore(x, y[:1], d, task, lam=0.5)
    assert grey.image.shape == (5, 32, 32)


def test_noise_level_scales_lam():
    task = get_task("flash-denoise")
    d = replace(mcsc.dct_dictionary((1, 1), filter_size=4), metadata={"lam": 0.4, "sigma": 50})
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 1, 32, 32)).astype("f4")
    assert restore(x, y, d, task, sigma=25).lam == pytest.approx(0.2)
    assert restore(x, y, d, task).lam == pytest.approx(0.4)
    assert restore(x, y, d, task, lam=0.7, sigma=25).lam == 0.7


# ------------------------------------------------------------------------------------ tiles
@pytest.mark.parametrize("name", ["depth-sr", "multi-focus"])
def test_codes_may_come_from_another_solver(name, depth, focus):
    task, scene = get_task(name), pair(name)
    dictionary = (depth if name == "depth-sr" else focus).dictionary
    asked = []

    def solver(signals, *arguments, **options):
        asked.append(signals[0].shape)
        return mcsc.solve(signals, *arguments, method="fista", **options)

    def image(**options):
        if task.kind == "fusion":
            return fuse((scene.x, scene.y), dictionary, task, **options).image
        return restore(scene.x, scene.y, dictionary, task, **options).image

    found = image(solver=solver, tol=1e-3)
    assert asked == [(1, 1, 64, 64)]
    np.testing.assert_allclose(found, image(tol=1e-3), atol=0.02)


def test_tiles_leave_no_seam():
    d = mcsc.dct_dictionary((1, 1), filter_size=5)
    scene = pair("multi-focus", shape=(160, 200))
    signals = tuple(mcsc_detail(i) for i in (scene.x, scene.y))
    whole = code(signals, d, 0.05, "signals", tol=1e-4)
    tiled = code(signals, d, 0.05, "signals", tol=1e-4, tile=100)
    assert whole.tiles == 1
    assert tiled.tiles > 2
    error = np.abs(whole.image - tiled.image)
    assert error.max() < 0.02
    assert error.mean() < 5e-4


@pytest.mark.slow
def test_large_images_have_no_seam_and_need_no_more_memory():
    from mcsc.tasks.shipped import load_pretrained

    task, d = get_task("depth-sr"), load_pretrained("depth-sr")
    scene = pair("depth-sr", shape=(480, 560))
    x = task.degrade(scene.target)
    sizes = []

    def watched(part, *arguments, **options):
        sizes.append(part[0].shape)
        return mcsc.solve(part, *arguments, **options)

    whole = restore(x, scene.y, d, task, tol=1e-4, solver=watched)
    assert len(sizes) == 1
    tiled = restore(x, scene.y, d, task, tol=1e-4, tile=230, solver=watched)
    assert len(sizes) > 9
    assert max(max(shape) for shape in sizes[1:]) <= 232
    error = np.abs(whole.image - tiled.image)[0]
    # Where tiles meet, strong edges have other codes of nearly the same objective.
    assert error.max() < 0.03
    assert error.mean() < 4e-4
    before, after = (rmse(f.image, scene.target) for f in (whole, tiled))
    assert abs(before - after) < 0.01 * before


def test_bands_are_coded_in_groups_that_fit(monkeypatch):
    from mcsc.tasks import coding

    rng = np.random.default_rng(0)
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    signals = tuple(0.1 * rng.standard_normal((5, 1, 32, 32)) for _ in range(2))
    whole = coding.code(signals, d, 0.1, "signals", tol=1e-6)
    monkeypatch.setattr(coding, "_PIXELS", 2 * 32 * 32)
    parts = coding.code(signals, d, 0.1, "signals", tol=1e-6, tile=40)
    np.testing.assert_allclose(parts.image, whole.image, atol=2e-3)
    assert parts.nonzero == pytest.approx(whole.nonzero, rel=0.02)


def mcsc_detail(image):
    from mcsc.images.colour import luma_studio
    from mcsc.images.split import lowpass_split

    return lowpass_split(luma_studio(image)).high[None]


# ----------------------------------------------------------------------------------- fusion
def test_chosen_pixels_come_from_the_sharper_source(focus):
    task = get_task("multi-focus")
    rng = np.random.default_rng(0)
    from scipy.ndimage import gaussian_filter

    sharp = np.clip(gaussian_filter(rng.random((3, 96, 96)), (0, 0.7, 0.7)), 0, 1).astype("f4")
    soft = gaussian_filter(sharp, (0, 3, 3))
    near, far = sharp.copy(), soft.copy()
    near[..., 48:], far[..., 48:] = soft[..., 48:], sharp[..., 48:]
    found = fuse((near, far), focus.dictionary, task, rule="choose")
    assert found.weights[0, :, 12:36].mean() > 0.95
    assert found.weights[1, :, 60:84].mean() > 0.95
    assert psnr(found.image, sharp) > psnr(near, sharp) + 6
    assert qabf(found.image, (near, far)) > qabf((near + far) / 2, (near, far))


def test_the_choice_is_not_misled_by_the_halo_of_a_blurred_edge(focus):
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    rng = np.random.default_rng(0)
    grain = gaussian_filter(rng.standard_normal((2, 96, 96)), (0, 0.8, 0.8))
    behind, front = np.clip(0.3 + 0.2 * grain[0], 0, 1), 0.8 + 0.1 * grain[1]
    object_ = np.zeros((96, 96))
    object_[30:66, 30:66] = 1
    spread = gaussian_filter(object_, 4)
    target = object_ * front + (1 - object_) * behind
    near = object_ * front + (1 - object_) * gaussian_filter(behind, 4)
    far = gaussian_filter(object_ * front, 4) + (1 - spread) * behind
    pair = tuple(np.float32(i[None]) for i in (near, far))
    found = fuse(pair, focus.dictionary, get_task("multi-focus"))
    outside = distance_transform_edt(1 - object_)
    assert found.weights[0][object_ > 0].mean() > 0.99
    assert found.weights[0][(outside > 0) & (outside <= 4)].mean() > 0.78
    assert found.weights[0][outside > 10].mean() < 0.02
    other = resolve_method("decision-map", get_task("multi-focus"))(*pair)
    assert psnr(found.image[0], np.float32(target)) > 1.0 + psnr(other[0], np.float32(target))


def test_weights_of_three_sources_make_the_image(focus):
    task = get_task("multi-focus")
    scene = pair("multi-focus")
    # Each is sharp in a third of its rows.
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(scene.target, (0, 2.5, 2.5))
    sources = [soft.copy() for _ in range(3)]
    for part, source in zip((slice(0, 21), slice(21, 43), slice(43, 64)), sources, strict=True):
        source[:, part] = scene.target[:, part]
    found = fuse(sources, focus.dictionary, task)
    assert found.weights.shape == (3, 64, 64)
    np.testing.assert_allclose(found.weights.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(
        np.einsum("mhw,mchw->chw", found.weights, sources), found.image, atol=1e-5
    )
    for m, rows in enumerate((slice(5, 16), slice(27, 37), slice(48, 59))):
        assert found.weights[m, rows].mean() > 0.7
    assert psnr(found.image, scene.target) > 4 + max(
        psnr(source, scene.target) for source in sources
    )


@pytest.mark.parametrize("rule", ["choose", "detail", "sum"])
def test_equal_sources_come_back(focus, rule):
    task = get_task("medical")
    image = pair("multi-focus").x[:1]
    found = fuse((image, image), focus.dictionary, task, rule=rule, lam=1e-3, tol=1e-4)
    assert psnr(found.image, image) > 32


def test_colour_and_grey_and_three_sources(focus):
    scene = pair("multi-exposure")
    d, task = focus.dictionary, get_task("multi-exposure")
    found = fuse((scene.x, scene.y), d, task, rule="sum")
    assert found.image.shape == scene.x.shape
    assert np.isfinite(found.image).all()
    third = fuse((scene.x, scene.y, scene.target[:1]), d, task, rule="choose")
    assert third.image.shape == scene.x.shape
    with pytest.raises(ValueError, match="rule must be one of choose, detail, sum, targets"):
        fuse((scene.x, scene.y), d, task, rule="max")
    with pytest.raises(ValueError, match=r"sources\[1\] has shape .* want one height and width"):
        fuse((scene.x, scene.y[:, :40]), d, task)
    with pytest.raises(ValueError, match=r"want a dictionary of channels \(1, 1\)"):
        fuse((scene.x, scene.y), mcsc.dct_dictionary((3, 3), filter_size=4), task)
    with pytest.raises(ValueError, match="fusion needs target filters"):
        fuse((scene.x, scene.y), d, task, rule="targets")


# ------------------------------------------------------------------------ folders and tables
@pytest.fixture
def folder(tmp_path):
    for seed in (1, 2):
        scene = pair("depth-sr", seed)
        write_image(tmp_path / f"s{seed}_depth.png", scene.target, bit_depth=16)
        write_image(tmp_path / f"s{seed}_rgb.png", scene.y)
    return tmp_path


@pytest.mark.parametrize("name", ["guided-filter", "joint-bilateral"])
@pytest.mark.parametrize("kind", ["depth-sr", "multispectral-sr", "flash-denoise"])
def test_guided_baselines_are_settled_for_each_task(kind, name):
    task = get_task(kind)
    method = resolve_method(name, task)
    for sigma in (25.0, 75.0) if task.sigma else (None,):
        before, after = [], []
        for seed in (60, 61, 62):
            scene = pair(kind, seed, shape=(96, 96))
            x = task.degrade(scene.target, sigma=sigma, seed=seed)
            before.append(rmse(x, scene.target))
            after.append(rmse(method(x, scene.y, sigma=sigma), scene.target))
        assert np.mean(after) < (0.7 if sigma else 1.0) * np.mean(before)


def test_find_scenes(folder):
    task = get_task("depth-sr")
    assert [s.name for s in find_scenes(folder, task)] == ["s1", "s2"]
    assert [s.name for s in find_scenes(folder, task, ["s2"])] == ["s2"]
    with pytest.raises(ValueError, match="no scene s3; there are s1, s2"):
        find_scenes(folder, task, ["s3"])
    with pytest.raises(ValueError, match="there is no such folder"):
        find_scenes(folder / "x", task)
    with pytest.raises(ValueError, match=r"no images of multi-focus; want files SCENE_near\.png"):
        find_scenes(folder, get_task("multi-focus"))
    (folder / "s2_rgb.png").unlink()
    with pytest.raises(ValueError, match=r"scene s2 has no file s2_rgb\.png"):
        find_scenes(folder, task)


def test_evaluation_is_what_the_measures_say(folder, depth, tmp_path):
    task = get_task("depth-sr")
    files = find_scenes(folder, task)
    methods = {
        "bicubic": resolve_method("bicubic", task),
        "guided-filter": resolve_method("guided-filter", task),
        "mcsc": own_method(task, depth.dictionary),
    }
    found = evaluate(task, files, methods)
    assert len(found.rows) == 6
    truth, _ = files[0].read()
    first = found.rows[0]
    assert (first.scene, first.method) == ("s1", "bicubic")
    expected = rmse(np.clip(task.degrade(truth), 0, 1), truth)
    assert first.measures["RMSE"] == pytest.approx(expected)
    mean = np.mean([r.measures["PSNR"] for r in found.rows if r.method == "mcsc"])
    assert found.mean("mcsc")["PSNR"] == pytest.approx(mean)
    found.write_csv(tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "scene,method,RMSE,PSNR,SSIM,seconds"
    assert len(lines) == 1 + 6 + 3
    found.write_json(tmp_path / "t.json", note="x")
    assert json.loads((tmp_path / "t.json").read_text())["note"] == "x"


def test_methods_by_name():
    assert method_names(get_task("depth-sr"))[:3] == ["bicubic", "guided-filter", "joint-bilateral"]
    assert "exposure-fusion" in method_names(get_task("medical"))
    with pytest.raises(ValueError, match="depth-sr has no method 'mean': want bicubic"):
        resolve_method("mean", get_task("depth-sr"))


@pytest.mark.parametrize("factor", [2, 4])
def test_sharp_images_are_told_from_enlarged_ones(factor):
    from mcsc.images import imresize
    from mcsc.tasks.restoration import is_sharp

    for number in range(3):
        sharp = pair("depth-sr", number).target
        small = imresize(sharp, tuple(n // factor for n in sharp.shape[1:]))
        assert is_sharp(sharp, factor)
        assert not is_sharp(imresize(small, sharp.shape[1:]), factor)
    assert not is_sharp(np.full((1, 16, 16), 0.5), factor)
