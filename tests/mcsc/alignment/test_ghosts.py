"""Contradictions of photographs, on synthetic scenes in which a known thing moved or did not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage

from mcsc.alignment.ghosts import find_ghosts, noise_of
from mcsc.synthetic import exposure_pair, flash_pair, make_scene
from mcsc.synthetic import flash as flash_module

SHAPE = (160, 160)


def scene(number):
    return make_scene(SHAPE, seed=100 + number)


def disc(number):
    rng = np.random.default_rng(number)
    row, column = rng.uniform(50, 110, 2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (y - row) ** 2 + (x - column) ** 2 < 20**2


def moved(number):
    """The scene with something else in a disc, bright where it was dark, and the disc."""
    first, there = scene(number), disc(number)
    return replace(
        first, albedo=np.where(there, 0.05 + 0.8 * (1 - first.albedo), first.albedo)
    ), there


@pytest.fixture(scope="module")
def exposures():
    """Over- and under-exposed, under-exposed after something moved, where."""
    found = []
    for n in range(6):
        over, under, _ = exposure_pair(scene(n))
        changed, there = moved(n)
        found.append((over, under, exposure_pair(changed)[1], there))
    return found


@pytest.fixture(scope="module")
def flashes():
    """Ambient, flash, flash after something moved, where, and flash without shadows."""
    found = []
    lamp = flash_module.Lamp
    for n in range(6):
        ambient, flash = flash_pair(scene(n))
        changed, there = moved(n)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                flash_module, "Lamp", lambda *a, **k: lamp(*a, **k | {"shadow": 0.0, "gloss": 0.0})
            )
            plain = flash_pair(scene(n))[1]
        found.append((ambient, flash, flash_pair(changed)[1], there, plain))
    return found


def seen(before, after, there, step):
    """What moved and can be seen to have."""
    return there & (np.abs(after - before).max(axis=0) > step)


def noisy(image, sigma):
    return image + sigma / 255 * np.random.default_rng(0).standard_normal(image.shape)


def test_still_exposures_do_not_contradict_each_other(exposures):
    for over, under, _, _ in exposures:
        assert not find_ghosts(over, under, "exposure").any()
        assert not find_ghosts(under, over, "exposure").any()
        # The hand, another white balance, another curve.
        tinted = under ** np.array([0.8, 1.0, 1.2])[:, None, None]
        assert not find_ghosts(over, tinted, "exposure").any()
        assert find_ghosts(over, np.roll(under, 1, axis=2), "exposure").mean() < 0.01


def test_what_moved_between_exposures_is_found_and_nothing_else(exposures):
    shares = []
    for over, under, after, there in exposures:
        found = find_ghosts(over, after, "exposure")
        visible = seen(under, after, there, 0.06)
        # Where one is white, the other may show anything beyond.
        visible &= (over < 0.98).all(axis=0)
        if visible.sum() > 100:
            shares.append((found & visible).sum() / visible.sum())
        assert not (found & ~scipy.ndimage.binary_dilation(there, iterations=8)).any()
    assert len(shares) >= 5
    assert np.mean(shares) > 0.7


@pytest.mark.parametrize("sigma", [10, 50])
def test_flash_without_shadows_contradicts_next_to_nothing(flashes, sigma):
    shares = [find_ghosts(noisy(a, sigma), f, "flash").mean() for a, *_, f in flashes]
    assert np.mean(shares) < 0.01
    assert np.median(shares) == 0


def test_things_and_shadows_of_the_flash_are_found(flashes):
    things, shadows = [], []
    for ambient, flash, after, there, plain in flashes:
        before, found = (find_ghosts(noisy(ambient, 15), f, "flash") for f in (flash, after))
        visible = seen(flash, after, there, 0.1)
        if visible.sum() > 200:
            things.append((found & visible & ~before).sum() / visible.sum())
        if before.any():
            shadow = scipy.ndimage.binary_dilation(
                np.abs(flash - plain).max(axis=0) > 0.1, iterations=6
            )
            shadows.append((before & shadow).sum() / before.sum())
    assert np.max(things) > 0.5
    assert np.mean(things) > 0.4
    assert np.mean(shadows) > 0.5


def test_grey_small_flat_and_unknown():
    x = np.linspace(0.1, 0.9, 64 * 64).reshape(64, 64)
    y = x**2
    y[20:40, 20:40] = 0.95
    found = find_ghosts(x, np.stack([y] * 3), "exposure")
    assert found[20:40, 20:40].mean() > 0.9
    assert found.mean() < 0.25
    known = np.ones(x.shape, bool)
    known[18:42, 18:42] = False
    assert not find_ghosts(x, y, "exposure", known).any()
    assert not find_ghosts(x, y, "exposure", np.zeros(x.shape, bool)).any()
    for kind in ("exposure", "flash"):
        assert not find_ghosts(np.full((9, 8), 0.5), np.full((9, 8), 0.2), kind).any()
        assert not find_ghosts(x[:1, :1], y[:1, :1], kind).any()


def test_the_noise_is_that_of_what_is_known():
    """Holes, most of the image, are filled smoothly."""
    image = noisy(np.full((1, 80, 80), 0.5), 15)[0]
    known = np.zeros(image.shape, bool)
    known[:, :20] = True
    filled = np.where(known, image, 0.5)
    assert noise_of(filled) < 1e-6
    assert noise_of(filled, known) == pytest.approx(15 / 255, rel=0.1)
    assert noise_of(filled, np.zeros_like(known)) == 0


def test_large_images_are_looked_at_in_a_reduced_size():
    """In blocks, at the size of the images, which blocks do not divide."""
    rows = np.linspace(0.1, 0.9, 1203)[:, None]
    x = rows + 0.05 * np.sin(np.arange(1501) / 20)
    y = 0.5 * x
    y[400:600, 700:900] = 0.6
    found = find_ghosts(x.astype("f4"), y.astype("f4"), "exposure")
    assert found.shape == x.shape
    assert found[400:600, 700:900].mean() > 0.8
    found[380:620, 680:920] = False
    assert not found.any()


def test_refusals():
    x = np.full((8, 8), 0.5)
    with pytest.raises(ValueError, match="kind must be 'exposure' or 'flash', found 'x'"):
        find_ghosts(x, x, "x")
    with pytest.raises(ValueError, match=r"x is 8 x 8, y has shape \(8, 9\)"):
        find_ghosts(x, np.full((8, 9), 0.5), "flash")
