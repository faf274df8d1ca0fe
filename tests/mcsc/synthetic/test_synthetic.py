from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import skimage.data

from mcsc.images import degrade, luma_studio
from mcsc.synthetic import (
    PHOTOGRAPHS,
    TASKS,
    TISSUES,
    Scene,
    exposure_pair,
    flash_pair,
    focus_pair,
    make_anatomy,
    make_scene,
    medical_pair,
    multispectral_pair,
    scenes,
)
from mcsc.synthetic.canvas import flatten, spread
from mcsc.synthetic.lighting import encode, light_field, random_lamp
from mcsc.synthetic.shapes import Outline, random_outline, random_radii
from mcsc.synthetic.textures import power_noise, random_material

SHAPE = (96, 128)
SEEDS = range(4)


@pytest.fixture(scope="module")
def made() -> list[Scene]:
    return [make_scene(SHAPE, seed) for seed in SEEDS]


def gradient(image):
    """Magnitude of the gradient of (C, H, W), (H-1, W-1)."""
    dy = np.diff(image, axis=1)[:, :, 1:]
    dx = np.diff(image, axis=2)[:, 1:]
    return np.sqrt((dy**2 + dx**2).sum(axis=0))


def energy(image):
    """Local energy of fine detail, (H, W)."""
    fine = image - scipy.ndimage.gaussian_filter(image, (0, 1.0, 1.0))
    return scipy.ndimage.uniform_filter((fine**2).sum(axis=0), 9)


def dark(linear):
    """Mean of linear light, for what was encoded."""
    return float((linear**2.2).mean())


# --------------------------------------------------------------------------- scenes
def test_same_seed_same_scene_other_seed_another(made):
    again = make_scene(SHAPE, 1)
    for name in ("colour", "depth", "albedo", "slopes", "material", "object", "gloss"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made[1], name), err_msg=name)
    assert np.abs(made[0].depth - made[1].depth).mean() > 0.02
    assert np.abs(made[0].colour - made[1].colour).mean() > 0.05


def test_shapes_types_and_ranges(made):
    for scene in made:
        assert scene.shape == SHAPE
        assert scene.colour.shape == scene.albedo.shape == (3, *SHAPE)
        assert scene.depth.shape == (1, *SHAPE)
        assert scene.slopes.shape == (2, *SHAPE)
        for name in ("colour", "depth", "albedo", "slopes", "gloss"):
            image = getattr(scene, name)
            assert image.dtype == np.float32, name
            assert np.isfinite(image).all(), name
        for image in (scene.colour, scene.depth, scene.albedo):
            assert 0 <= image.min() < image.max() <= 1
        assert scene.object.max() >= 10


def test_depth_is_piecewise_smooth_with_steps_and_colour_has_texture_that_it_lacks(made):
    for scene in made:
        steps = gradient(scene.depth)
        assert np.median(steps) < 0.02
        assert steps.max() > 0.1
        # Within an object depth does not jump: every step lies on an outline.
        inner = scene.object[1:, 1:] == scene.object[:-1, 1:]
        inner &= scene.object[1:, 1:] == scene.object[1:, :-1]
        assert np.quantile(steps[inner], 0.96) < 0.05
        assert np.quantile(gradient(scene.colour)[inner], 0.9) > 0.01


def test_edges_of_colour_and_depth_agree_only_in_part():
    # Over several scenes, so that a lucky one cannot pass.
    weak = strong = 0
    for seed in range(6):
        scene = make_scene(SHAPE, seed)
        at_steps = gradient(scene.colour)[gradient(scene.depth) > 0.08]
        strong += int((at_steps > 0.15).sum())
        weak += int((at_steps < 0.04).sum())
    assert strong > 2 * weak
    assert weak > 0.01 * strong


def test_statistics_are_those_of_natural_images():
    """Power falls like f^-2 or so, and differences have heavy tails: kurtosis far above 3."""
    slopes, tails = [], []
    for seed in range(4):
        image = luma_studio(make_scene((128, 128), seed).colour)[0].astype(np.float64)
        window = np.hanning(128)[:, None] * np.hanning(128)
        power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
        radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)) * 128
        rings = [power[(radius >= r) & (radius < 1.5 * r)].mean() for r in (4, 6, 9, 13.5, 20, 30)]
        slopes.append(np.polyfit(np.log([4, 6, 9, 13.5, 20, 30]), np.log(rings), 1)[0])
        difference = np.diff(image, axis=1).ravel()
        tails.append((difference**4).mean() / (difference**2).mean() ** 2)
    assert -3.2 < np.mean(slopes) < -1.5
    assert np.median(tails) > 6


def test_photographs_are_used_by_default_and_can_be_left_out(made, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a photograph was opened")

    from mcsc.synthetic import textures

    monkeypatch.setattr(textures, "_photograph", refuse)
    without = make_scene(SHAPE, 0, photographs=False)
    assert np.abs(without.colour - made[0].colour).mean() > 0.01
    with pytest.raises(AssertionError, match="opened"):
        make_scene(SHAPE, 0)


def test_photographs_are_files_of_scikit_image():
    for name in PHOTOGRAPHS:
        assert getattr(skimage.data, name)().ndim in (2, 3)


def test_scene_is_frozen(made):
    with pytest.raises(dataclasses.FrozenInstanceError):
        made[0].depth = None


def test_layers_flatten_to_the_albedo_that_is_seen(made):
    for scene in made:
        total = flatten([layer.albedo for layer in scene.layers], scene.layers)
        np.testing.assert_allclose(total, scene.albedo, atol=1e-5)
        np.testing.assert_array_equal(sum(layer.own.astype(int) for layer in scene.layers), 1)
        assert (scene.layers[0].alpha == 1).all()


def test_odd_and_wide_shapes():
    for shape in ((33, 32), (32, 150)):
        assert make_scene(shape, 2).colour.shape == (3, *shape)
    tall = make_scene((560, 40), 1)  # more rows than any photograph
    assert np.isfinite(tall.colour).all()


# --------------------------------------------------------------------------- shapes and light
@pytest.mark.parametrize(
    ("kind", "area"),
    [("ellipse", np.pi * 40 * 20), ("box", 4 * 40**2 * 0.5 / (1 + 0.5**2)), ("blob", None)],
)
def test_outlines(kind, area):
    corners = np.array([[0.0, 0.1], [0.1, 0.0]])
    outline = Outline(kind, (60.0, 64.0), 40.0, 0.4, 0.5, 0.0, corners, 0.0)
    inside = outline.distance((slice(0, 120), slice(0, 128)))
    covered = np.clip(inside + 0.5, 0, 1)
    if area is not None:
        assert covered.sum() == pytest.approx(area, rel=0.01)
    y, x = np.mgrid[:120, :128]
    assert (np.hypot(y - 60, x - 64)[covered > 0] <= 41).all()
    # A distance: its gradient is one near the curve.
    slope = np.hypot(*np.gradient(inside))[np.abs(inside) < 2]
    assert np.median(slope) == pytest.approx(1, abs=0.1)


def test_polygon_is_that_of_its_corners():
    angles = np.array([-np.pi, -np.pi / 2, 0.0, np.pi / 2])
    outline = Outline(
        "polygon", (40.0, 40.0), 30.0, 0.0, 1.0, 0.0, np.stack([angles, np.full(4, 30.0)], 1), 0.0
    )
    inside = outline.distance((slice(0, 81), slice(0, 81)))
    y, x = np.mgrid[:81, :81] - 40
    np.testing.assert_allclose(inside, (30 - np.abs(x) - np.abs(y)) / np.sqrt(2), atol=1e-4)


def test_hollow_outline_is_a_rim():
    ring = Outline("ellipse", (40.0, 40.0), 30.0, 0.0, 1.0, 0.0, np.zeros((0, 2)), 0.2)
    inside = ring.distance((slice(0, 81), slice(0, 81)))
    assert inside[40, 40] < 0
    assert inside[40, 40 + 27] > 0
    assert inside[40, 40 + 33] < 0


def test_random_outlines_stay_in_their_circle():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:100, :100]
    for _ in range(60):
        outline = random_outline(rng, (50.0, 50.0), 30.0)
        inside = outline.distance((slice(0, 100), slice(0, 100)))
        assert np.isfinite(inside).all()
        assert inside.max() > 0.5
        assert np.hypot(y - 50, x - 50)[inside > 0].max() <= 31, outline.kind


def test_radii_follow_the_power_law():
    rng = np.random.default_rng(0)
    radii = random_radii(rng, 20_000, 2.0, 200.0, 3.0)
    assert radii.min() >= 2
    assert radii.max() <= 200
    # Density r^-3: a quarter is beyond twice the smallest.
    assert (radii > 4).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_power_noise(exponent):
    rng = np.random.default_rng(1)
    noise = power_noise(rng, (128, 128), exponent)
    assert abs(noise.mean()) < 1e-5
    assert noise.std() == pytest.approx(1, rel=1e-5)
    power = np.abs(np.fft.fft2(noise)) ** 2
    radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)) * 128
    low, high = (power[(radius >= r) & (radius < 1.25 * r)].mean() for r in (10, 40))
    assert np.log(low / high) / np.log(4) == pytest.approx(2 * exponent, abs=0.35)


def test_materials_are_reflectances():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(40):
        material = random_material(rng, (32, 40), np.array([0.1, 0.6]))
        kinds.add(material.kind)
        assert material.albedo.shape == (3, 32, 40)
        assert material.albedo.dtype == np.float32
        assert material.albedo.min() >= 0.02 - 1e-6
        assert material.albedo.max() <= 0.95 + 1e-6
        assert material.cut(rng, 7, 9).shape == (3, 7, 9)
    assert kinds == {"photo", "noise", "plain", "stripes", "wood", "spots"}


def test_a_wall_throws_its_shadow_away_from_the_lamp():
    height = np.zeros((60, 60), np.float32)
    height[:, 28:32] = 12
    lamp = dataclasses.replace(
        random_lamp(np.random.default_rng(0)), direction=(0.0, 0.6, 0.8), shadow=1.0, occlusion=0.0
    )
    flat = np.zeros((2, 60, 60), np.float32)
    light, highlights = light_field(height, flat, np.zeros_like(height), lamp)
    # The light comes from the right: 12 pixels high, it shades 9 pixels to the left.
    assert light[0, 30, 22] < light[0, 30, 10] == pytest.approx(light[0, 30, 45])
    assert light[0, 30, 22] == pytest.approx(lamp.sky[0, 0, 0])
    assert not highlights.any()
    # A slope that faces the lamp is brighter.
    flat[1] = -0.5
    facing, _ = light_field(np.zeros_like(height), flat, np.zeros_like(height), lamp)
    assert facing[1, 30, 30] > light[1, 30, 45]


def test_spread_continues_what_is_known():
    values = np.full((1, 40, 40), 3.0, np.float32)
    where = np.zeros((40, 40), bool)
    where[10:20, 10:20] = True
    values[:, ~where] = -9
    np.testing.assert_allclose(spread(values, where), 3.0, rtol=1e-4)


# --------------------------------------------------------------------------- pairs
def test_focus_each_is_sharp_where_the_other_is_not(made):
    for scene in made:
        near, far, target = focus_pair(scene)
        depth = scene.depth[0]
        textured = energy(target) > np.quantile(energy(target), 0.3)
        # Layers are blurred whole, so leave the surroundings of steps out.
        calm = scipy.ndimage.maximum_filter(depth, 9) - scipy.ndimage.minimum_filter(depth, 9) < 0.2
        front = textured & calm & (depth > np.quantile(depth, 0.85))
        back = textured & calm & (depth < np.quantile(depth, 0.25))
        assert front.sum() > 20
        assert back.sum() > 20
        assert energy(near)[front].mean() > 1.5 * energy(far)[front].mean()
        assert energy(far)[back].mean() > 1.5 * energy(near)[back].mean()
        assert energy(target).mean() > max(energy(near).mean(), energy(far).mean())


def test_focus_target_is_the_photograph_up_to_the_rims(made):
    for scene in made:
        near, far, target = focus_pair(scene)
        assert np.abs(target - scene.colour).mean() < 0.01
        for image in (near, far):
            # A lens moves light about; it does not add any.
            assert dark(image) == pytest.approx(dark(target), rel=0.1)


def test_exposures_are_monotone_and_clipped(made):
    for scene in made:
        over, under, target = exposure_pair(scene)
        assert (over >= under).all()
        assert over.mean() > under.mean() + 0.15
        assert (over == 1).mean() > 0.01
        assert (over == 1).mean() > 3 * (under == 1).mean()
        np.testing.assert_allclose(over * 255, np.rint(over * 255), atol=1e-3)
        # Detail of both ends is in the target.
        grey = luma_studio(target)
        assert (grey > 0.9).mean() < 0.1
        assert 0.3 < grey.mean() < 0.7
        lost = over.min(axis=0) == 1
        if lost.sum() > 50:
            assert grey[0][lost].std() > 0.01


def test_flash_falls_off_and_has_another_light(made):
    for scene in made:
        ambient, flash = flash_pair(scene)
        depth = scene.depth[0]
        front, back = depth > np.quantile(depth, 0.8), depth < np.quantile(depth, 0.2)
        albedo = scene.albedo.mean(axis=0)

        def light(image, where, albedo=albedo):
            return float(np.median((image**2.2).mean(axis=0)[where] / albedo[where]))

        gain = light(flash, front) / light(flash, back)
        assert gain > 1.3 * light(ambient, front) / light(ambient, back)
        ratio = np.log((ambient.mean(axis=0) + 0.02) / (flash.mean(axis=0) + 0.02))
        assert ratio.std() > 0.1


def test_band_is_no_mix_of_the_colours(made):
    for scene in made:
        band, colour = multispectral_pair(scene)
        np.testing.assert_array_equal(colour, scene.colour)
        linear = (colour**2.2).reshape(3, -1).T
        rest = band.ravel() - linear @ np.linalg.lstsq(linear, band.ravel(), rcond=None)[0]
        assert 0.001 < rest.var() / band.var() < 1
        # But within one material it nearly is.
        one = scene.material.ravel() == np.bincount(scene.material.ravel()).argmax()
        one &= (band.ravel() < 1) & (colour.max(axis=0).ravel() < 1)
        inner = linear[one] @ np.linalg.lstsq(linear[one], band.ravel()[one], rcond=None)[0]
        assert np.abs(inner - band.ravel()[one]).mean() < 0.01


def test_medical_each_shows_what_the_other_lacks():
    for seed in SEEDS:
        anatomy = make_anatomy((128, 128), seed)
        assert set(np.unique(anatomy.tissue)) >= set(range(6))
        assert anatomy.tissue.max() < len(TISSUES)
        x, y, target = medical_pair(anatomy)
        white = anatomy.tissue == 5
        for number, shown, other in ((7, x[0], y[0]), (8, y[0], x[0])):
            lesion = scipy.ndimage.binary_erosion(anatomy.tissue == number)
            if lesion.sum() < 10:
                continue
            assert abs(shown[lesion].mean() - shown[white].mean()) > 0.1
            assert abs(other[lesion].mean() - other[white].mean()) < 0.1
            assert abs(target[0][lesion].mean() - target[0][white].mean()) > 0.1
        # Elsewhere the target is x without its noise and unevenness, but for the fluid, of y.
        for number, source in ((5, x), (4, x), (3, y)):
            inner = scipy.ndimage.binary_erosion(anatomy.tissue == number)
            assert target[0][inner].mean() == pytest.approx(source[0][inner].mean(), rel=0.15)


@pytest.mark.parametrize(
    ("function", "make"),
    [
        (focus_pair, make_scene),
        (exposure_pair, make_scene),
        (flash_pair, make_scene),
        (multispectral_pair, make_scene),
        (medical_pair, make_anatomy),
    ],
)
def test_pairs_are_repeatable_and_leave_the_scene_alone(function, make):
    source = make((64, 80), 5)
    fields = {
        k: v.copy() for k, v in dataclasses.asdict(source).items() if isinstance(v, np.ndarray)
    }
    first, second = function(source), function(source)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32
        assert a.shape[1:] == (64, 80)
        assert 0 <= a.min() < a.max() <= 1
    for name, value in fields.items():
        np.testing.assert_array_equal(getattr(source, name), value, err_msg=name)


# --------------------------------------------------------------------------- by task
@pytest.mark.parametrize("task", TASKS)
def test_scenes_by_task(task):
    pairs = list(scenes(task, 2, (64, 80), seed=3))
    again = list(scenes(task, 1, (64, 80), seed=3))
    other = next(iter(scenes(task, 1, (64, 80), seed=4)))
    np.testing.assert_array_equal(pairs[0].x, again[0].x)
    assert pairs[0].seed != pairs[1].seed
    assert not np.array_equal(pairs[0].target, other.target)
    channels = {"depth": (1, 3, 1), "multispectral": (1, 3, 1), "medical": (1, 1, 1)}
    for pair in pairs:
        assert pair.task == task
        assert len(pair.names) == 3
        images = (pair.x, pair.y, pair.target)
        assert tuple(len(i) for i in images) == channels.get(task, (3, 3, 3))
        for image in images:
            assert image.dtype == np.float32
            assert image.flags.c_contiguous
            assert image.shape[1:] == (64, 80)
            if task != "flash":
                assert 0 <= image.min() <= image.max() <= 1


def test_input_of_super_resolution_is_the_degraded_target():
    for task in ("depth", "multispectral"):
        pair = next(iter(scenes(task, 1, (64, 64), factor=2)))
        np.testing.assert_array_equal(pair.x, np.clip(degrade(pair.target, 2), 0, 1))


def test_noise_of_flash_has_the_given_deviation():
    pair = next(iter(scenes("flash", 1, (96, 96), sigma=0.1)))
    assert (pair.x - pair.target).std() == pytest.approx(0.1, rel=0.02)
    clean = next(iter(scenes("flash", 1, (96, 96), sigma=0)))
    np.testing.assert_array_equal(clean.x, clean.target)
    np.testing.assert_array_equal(clean.target, pair.target)


# --------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("shape", [(31, 64), (64,), 64, (64, 64, 3), (64.0, 64), (True, 64)])
def test_refused_shape(shape):
    for make in (make_scene, make_anatomy):
        with pytest.raises(ValueError, match="shape must be"):
            make(shape)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_refused_seed(seed):
    for make in (make_scene, make_anatomy):
        with pytest.raises(ValueError, match="seed must be"):
            make((32, 32), seed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "colour"}, "task must be one of depth"),
        ({"count": 0}, "count must be"),
        ({"shape": (16, 64)}, "shape must be"),
        ({"seed": -1}, "seed must be"),
        ({"shape": (64, 66)}, "factor 4 does not divide"),
        ({"factor": 1.5}, "factor must be"),
        ({"sigma": -1}, "sigma must be"),
    ],
)
def test_refused_at_once(changes, message):
    given = {"task": "depth", "count": 1, "shape": (64, 64), "seed": 0} | changes
    with pytest.raises(ValueError, match=message):
        scenes(**given)


def test_photographs_is_yes_or_no():
    with pytest.raises(TypeError, match="photographs must be"):
        make_scene((32, 32), photographs=1)
    with pytest.raises(TypeError, match="photographs must be"):
        scenes("depth", 1, photographs="no")


def test_encode_clips():
    np.testing.assert_allclose(encode(np.float32([-1, 0, 1, 7])), [0, 0, 1, 1])
