from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import scipy.ndimage

from mcsc.images import luma_studio
from mcsc.synthetic import (
    TISSUES,
    Scene,
    depth_pair,
    exposure_pair,
    flash_pair,
    focus_pair,
    make_anatomy,
    make_scene,
    medical_pair,
    multispectral_pair,
)
from mcsc.synthetic.camera import Camera
from mcsc.synthetic.canvas import flatten, spread
from mcsc.synthetic.exposures import bracket
from mcsc.synthetic.lighting import light_field, random_lamp
from mcsc.synthetic.photographs import library
from mcsc.synthetic.shapes import Outline, random_outline, random_radii
from mcsc.synthetic.textures import power_noise, random_material

SHAPE = (240, 320)
SEEDS = range(4)


@pytest.fixture(scope="module")
def made() -> list[Scene]:
    return [make_scene(SHAPE, seed, layered=True, whole=0.5) for seed in SEEDS]


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
    again = make_scene(SHAPE, 1, layered=True, whole=0.5)
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
    assert np.median(tails) > 5


def test_photographs_are_used_by_default_and_can_be_left_out(made, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a photograph was opened")

    from mcsc.synthetic import photographs

    monkeypatch.setattr(photographs, "_levels", refuse)
    without = make_scene(SHAPE, 0, photographs=False)
    assert np.abs(without.colour - made[0].colour).mean() > 0.01
    with pytest.raises(AssertionError, match="opened"):
        make_scene(SHAPE, 0, whole=1.0)
    with pytest.raises(AssertionError, match="opened"):
        make_scene(SHAPE, 1, whole=0.0)  # as a texture


def test_scene_is_frozen(made):
    with pytest.raises(dataclasses.FrozenInstanceError):
        made[0].depth = None


def test_layers_flatten_to_the_light_that_is_seen(made):
    for scene in made:
        total = flatten([layer.albedo for layer in scene.layers], scene.layers) * scene.shade
        np.testing.assert_allclose(total, scene.light, atol=1e-4)
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
    pictures = library(True).pictures
    kinds = set()
    for _ in range(60):
        material = random_material(rng, (32, 40), np.array([0.1, 0.6]), pictures)
        kinds.add(material.kind)
        # Larger than the pattern: it goes on.
        piece = material.cut(rng, 70, 90)
        assert piece.shape == (3, 70, 90)
        assert piece.dtype == np.float32
        assert piece.min() >= 0.02 - 1e-6
        assert piece.max() <= 0.95 + 1e-6
    assert kinds == {"photo", "noise", "plain", "stripes", "wood", "spots"}


def test_a_wall_throws_its_shadow_away_from_the_lamp():
    height = np.zeros((60, 60), np.float32)
    height[:, 28:32] = 12
    lamp = dataclasses.replace(
        random_lamp(np.random.default_rng(0)), direction=(0.0, 0.6, 0.8), shadow=1.0, occlusion=0.0
    )
    flat = np.zeros((2, 60, 60), np.float32)
    light, highlights = light_field(height, flat, np.zeros_like(height), lamp, 60)
    # The light comes from the right: 12 pixels high, it shades 9 pixels to the left.
    assert light[0, 30, 22] < light[0, 30, 10] == pytest.approx(light[0, 30, 45])
    assert light[0, 30, 22] == pytest.approx(lamp.sky[0, 0, 0])
    assert not highlights.any()
    # A slope that faces the lamp is brighter.
    flat[1] = -0.5
    facing, _ = light_field(np.zeros_like(height), flat, np.zeros_like(height), lamp, 60)
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


def test_focus_target_is_no_sharper_than_the_sharper_source(made):
    for scene in made:
        scene = dataclasses.replace(scene, camera=dataclasses.replace(scene.camera, noise=0.0))
        near, far, target = focus_pair(scene)
        best = np.maximum(energy(near), energy(far))
        # Sources may be compressed and are rounded: compare where there is detail.
        detail = best > 1e-4
        assert detail.any()
        assert np.median(energy(target)[detail] / best[detail]) < 1.1
        for image in (near, far):
            # A lens moves light about; it does not add any.
            assert dark(image) == pytest.approx(dark(target), rel=0.1)


def test_focus_wants_layers():
    with pytest.raises(ValueError, match="layered=True"):
        focus_pair(make_scene((40, 40)))


def test_exposures_are_clipped_at_both_ends(made):
    for scene in made:
        over, under, target = exposure_pair(scene)
        assert (over >= under - 0.1).mean() > 0.99
        assert over.mean() > under.mean() + 0.15
        assert (over == 1).mean() > 0.01
        assert (over == 1).mean() > 3 * (under == 1).mean()
        np.testing.assert_allclose(over * 255, np.rint(over * 255), atol=1e-3)
        grey = luma_studio(target)
        assert (grey > 0.9).mean() < 0.2
        assert 0.2 < grey.mean() < 0.7


def test_a_bracket_shows_radiance_in_order():
    radiance = np.exp2(np.linspace(-8, 8, 256, dtype=np.float32))
    radiance = np.broadcast_to(radiance, (3, 64, 256)).copy()
    plain = Camera(softness=0.0, noise=0.0, contrast=0.0)
    for seed in range(6):
        over, under, target = bracket(np.random.default_rng(seed), radiance, plain)
        burnt = [int((image[0, 32] > 0.99).sum()) for image in (under, over)]
        assert burnt[1] > burnt[0] + 20  # two stops at least, of 16 pixels each
        # Where the long exposure is burnt out the target still tells light from light.
        lost = over[0, 32] > 0.99
        assert np.ptp(target[0, 32][lost]) > 0.1
        assert np.ptp(over[0, 32][lost]) < 0.02


def test_flash_falls_off_and_has_another_light():
    ratios = []
    for seed in SEEDS:
        scene = make_scene((60, 240), seed, whole=0.0)
        # A grey wall that recedes from the right to the left, before an ideal camera.
        wall = np.broadcast_to(np.linspace(0, 1, 240, dtype=np.float32), (1, 60, 240))
        scene = dataclasses.replace(
            scene,
            depth=wall,
            albedo=np.full((3, 60, 240), 0.5, np.float32),
            slopes=np.zeros((2, 60, 240), np.float32),
            gloss=np.zeros((60, 240), np.float32),
            camera=Camera(softness=0.0, noise=0.0, contrast=0.0),
        )
        ambient, flash = (np.median(i, axis=(0, 1)) ** 2.2 for i in flash_pair(scene))
        near, far = flash[flash < 0.99][-20:].mean(), flash[:20].mean()
        assert near > 1.3 * far
        ratios.append(np.ptp(np.log(ambient[ambient < 0.99] + 0.01)))
    # The room's light knows nothing of the camera: it is uneven in other ways.
    assert min(ratios) < 0.7 * max(ratios)


def test_band_is_like_red_and_yet_no_mix_of_the_colours(made, monkeypatch):
    """At 640 nm as measured reflectances: correlation 0.91 to 0.97, rest 6 to 17 %."""

    class At640:
        def __init__(self, rng):
            self.rng = rng

        def uniform(self, *bounds):
            drawn = self.rng.uniform(*bounds)
            return 640.0 if bounds == (400.0, 700.0) else drawn

        def __getattr__(self, name):
            return getattr(self.rng, name)

    draw = Scene.rng
    monkeypatch.setattr(Scene, "rng", lambda self, purpose: At640(draw(self, purpose)))
    alike, rests = [], []
    for seed in range(12):
        band, colour = multispectral_pair(make_scene((96, 96), seed, whole=0.5))
        alike.append(np.corrcoef(band.ravel(), colour[0].ravel())[0, 1])
        linear = np.concatenate([colour**2.2, np.ones_like(band)]).reshape(4, -1).T
        rest = band.ravel() - linear @ np.linalg.lstsq(linear, band.ravel(), rcond=None)[0]
        rests.append(rest.std() / band.std())
    assert 0.9 < np.median(alike) < 0.985
    assert 0.04 < np.median(rests) < 0.2


def test_depth_maps_are_of_eight_bits_and_sharper_than_photographs():
    for seed in range(6):
        scene = make_scene(SHAPE, seed, whole=0.0)
        depth, colour = depth_pair(scene)
        assert np.abs(colour - scene.colour).mean() < 0.02
        np.testing.assert_allclose(255 * depth, np.rint(255 * depth), atol=1e-3)
        # The order is that of the true depth, but for a rim a few pixels wide.
        calm = scipy.ndimage.maximum_filter(scene.depth[0], 9)
        calm = calm - scipy.ndimage.minimum_filter(scene.depth[0], 9) < 0.02
        true, measured = scene.depth[0][calm], depth[0][calm]
        order = np.argsort(np.argsort(true)), np.argsort(np.argsort(measured + 1e-6 * true))
        assert np.corrcoef(*order)[0, 1] > 0.9


def test_measured_depth_strays_from_edges_by_a_pixel_or_so():
    strayed = []
    for seed in range(12):
        scene = make_scene((128, 160), seed, whole=0.0)
        depth, _ = depth_pair(scene)
        steps = gradient(scene.depth) > 0.08
        if steps.sum() < 50:
            continue
        away = scipy.ndimage.distance_transform_edt(~steps)
        found = gradient(depth) > 0.06
        if found.sum() > 50:
            strayed.append(np.median(away[found]))
    assert len(strayed) > 3
    assert 0 < np.mean(strayed) < 3


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
        (depth_pair, make_scene),
        (focus_pair, functools.partial(make_scene, layered=True)),
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


def test_railings_stand_before_everything(monkeypatch):
    """Thin near things change the scene where they are, and nowhere else."""
    from mcsc.synthetic import scene as module

    with_railing = 0
    for seed in range(12):
        scene = make_scene((96, 96), seed, photographs=False)
        with monkeypatch.context() as patch:
            patch.setattr(module, "railing", lambda *_: [])
            plain = make_scene((96, 96), seed, photographs=False)
        changed = (scene.depth != plain.depth)[0]
        if not changed.any():
            np.testing.assert_array_equal(scene.colour, plain.colour)
            continue
        with_railing += 1
        assert np.all(scene.depth[0][changed] > plain.depth[0][changed])
        # Thin: no disc of 40 pixels fits into it.
        assert scipy.ndimage.distance_transform_edt(changed).max() < 20
        assert scene.object[changed].min() > plain.object.max()
    assert 0 < with_railing < 8
