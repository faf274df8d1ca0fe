"""Images with unknown pixels: weight nothing, are filled, and stain nobody."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.images import fill_holes, imresize
from mcsc.tasks import evaluate, get_task, restore
from mcsc.tasks.learning import learn_task
from tests.mcsc.tasks.pairs import pair


def holed(shape=(64, 64), seed=0):
    """A small depth map with NaN in its holes, where it is known, its guide and the truth."""
    scene = pair("depth-sr", 50 + seed, shape)
    small = imresize(scene.target, tuple(n // 4 for n in shape))
    known = np.random.default_rng(seed).random(small.shape) > 0.06
    known[:, 5:8, 6:10] = False
    return np.where(known, small, np.nan), known, scene.y, scene.target


def enlarged(mask):
    return mask.repeat(4, -2).repeat(4, -1)


def error(image, target, where):
    return 255 * float(np.sqrt(np.mean((image - target)[where] ** 2)))


def test_holes_are_filled_by_the_model_better_than_by_hand(depth):
    gains, outside = [], []
    for seed in range(3):
        x, known, guide, target = holed(seed=seed)
        options = {"task": "depth-sr", "dictionary": depth.dictionary}
        found = restore(x, guide, mask=known, **options)
        assert np.isfinite(found.image).all()
        np.testing.assert_allclose(found.base + found.common + found.unique, found.image, atol=1e-5)
        by_hand = restore(fill_holes(x, known), guide, **options)
        holes = ~enlarged(known)
        gains.append(error(by_hand.image, target, holes) - error(found.image, target, holes))
        outside.append(error(by_hand.image, target, ~holes) - error(found.image, target, ~holes))
    assert np.mean(gains) > 0
    assert np.mean(outside) > 0


@pytest.mark.parametrize("nonsense", [0.0, np.inf, -1e6])
def test_what_a_hole_holds_does_not_matter(nonsense, depth):
    x, known, guide, _ = holed()
    options = {"task": "depth-sr", "dictionary": depth.dictionary, "mask": known}
    found = restore(x, guide, **options)
    other = restore(np.where(known, x, np.float32(nonsense)), guide, **options)
    np.testing.assert_array_equal(other.image, found.image)


def test_far_from_holes_nothing_changes(depth):
    _, _, guide, target = holed((96, 96))
    small = imresize(target, 0.25)
    known = np.ones_like(small)
    known[:, 2:4, 2:4] = 0
    options = {"task": "depth-sr", "dictionary": depth.dictionary, "tol": 1e-4}
    whole, found = restore(small, guide, **options), restore(small, guide, mask=known, **options)
    away = np.abs(whole.image - found.image)[:, 48:, 48:]
    assert away.max() < 2e-3
    assert np.abs(whole.image - found.image)[:, 8:16, 8:16].max() > 0.01


def test_a_mask_that_hides_nothing_changes_nothing(depth):
    _, _, guide, target = holed()
    small = imresize(target, 0.25)
    options = {"task": "depth-sr", "dictionary": depth.dictionary}
    plain = restore(small, guide, **options)
    masked = restore(small, guide, mask=np.ones((16, 16), bool), **options)
    np.testing.assert_array_equal(masked.image, plain.image)


def test_the_mask_of_an_enlarged_image_is_on_its_own_grid(depth):
    x, known, guide, target = holed()
    options = {"task": "depth-sr", "dictionary": depth.dictionary}
    small = restore(x, guide, mask=known, **options)
    filled = imresize(fill_holes(x, known), (64, 64))
    big = restore(filled, guide, mask=enlarged(known), **options)
    holes = ~enlarged(known)
    # What was filled by hand has spread by its enlarging.
    assert error(big.image, target, holes) < 1.3 * error(small.image, target, holes)
    with pytest.raises(ValueError, match=r"the mask of x has shape \(1, 16, 16\), x \(1, 64, 64\)"):
        restore(filled, guide, mask=known, **options)


def test_weights_between_follow_less_what_is_noisy(depth):
    _, _, guide, target = holed()
    rng = np.random.default_rng(1)
    small = imresize(target, 0.25)
    bad = np.zeros(small.shape, bool)
    bad[:, 4:12, 4:12] = True
    noisy = np.where(bad, small + 0.3 * rng.standard_normal(small.shape), small).astype("f4")
    options = {"task": "depth-sr", "dictionary": depth.dictionary}
    plain = restore(noisy, guide, **options)
    found = restore(noisy, guide, mask=np.where(bad, 0.2, 1.0), **options)
    there = enlarged(bad)
    assert error(found.image, target, there) < 0.9 * error(plain.image, target, there)


def test_every_band_may_have_its_own_holes():
    scene = pair("multispectral-sr")
    x = np.concatenate([imresize(scene.target, 0.25)] * 2)
    known = np.random.default_rng(0).random(x.shape) > 0.1
    found = restore(np.where(known, x, np.nan), scene.y, "multispectral-sr", mask=known, tol=0.05)
    for band in range(2):
        alone = restore(
            np.where(known, x, np.nan)[band], scene.y, "multispectral-sr", mask=known[band],
            tol=0.05,
        )  # fmt: skip
        np.testing.assert_allclose(found.image[band], alone.image, atol=0.05)


def test_denoising_fills_holes_too():
    scene = pair("flash-denoise")
    task = get_task("flash-denoise")
    x = task.degrade(scene.target, sigma=25, seed=0)
    known = np.ones((64, 64), bool)
    known[20:26, 30:36] = False
    found = restore(np.where(known, x, np.nan), scene.y, task, mask=known, sigma=25, tol=0.05)
    assert error(found.image, scene.target, np.broadcast_to(~known, x.shape)) < 40
    assert error(found.image, scene.target, np.broadcast_to(known, x.shape)) < 15


def test_unknown_values_without_a_mask_are_refused_with_advice():
    x, known, guide, _ = holed()
    with pytest.raises(ValueError, match=r"NaN or Inf \(\d+ values\): if these .* numpy\.isfinite"):
        restore(x, guide, "depth-sr")
    known[:, 5, 6] = True
    with pytest.raises(ValueError, match=r"x holds NaN or Inf where its mask is not 0 \(1 values"):
        restore(x, guide, "depth-sr", mask=known)
    with pytest.raises(ValueError, match="the mask of x is 0 everywhere"):
        restore(x, guide, "depth-sr", mask=np.zeros_like(known))


def test_a_band_that_is_unknown_everywhere_is_named():
    rng = np.random.default_rng(0)
    task = get_task("multispectral-sr")
    bands, guide = rng.random((3, 48, 48)), rng.random((3, 48, 48))
    bands[1] = np.nan
    where = "everywhere in band 2 of 3"
    with pytest.raises(ValueError, match=f"x holds NaN or Inf .2304 values, {where}"):
        restore(bands, guide, task)
    with pytest.raises(ValueError, match=f"the mask of x is 0 {where}"):
        restore(bands, guide, task, method="bicubic", mask=np.isfinite(bands))
    with pytest.raises(ValueError, match=f"the mask of y is 0 {where}"):
        restore(guide, np.ma.masked_invalid(bands), task, method="bicubic")
    scenes = [lambda: (bands, guide)]
    with pytest.raises(ValueError, match=f"the first image of scene 0 is NaN {where}"):
        evaluate(scenes, task, ["bicubic"])
    with pytest.raises(ValueError, match=f"the first image of scene 0 is NaN {where}"):
        learn_task(task, scenes)


def test_weights_that_would_do_nothing_are_refused():
    x, known, guide, _ = holed()
    weights = np.where(known, 1.0, 0.5)
    with pytest.raises(ValueError, match="takes no mask, and in that of x no pixel is unkn"):
        restore(np.nan_to_num(x), guide, "depth-sr", mask=weights, method="guided-filter")


def test_a_method_without_masks_gets_holes_filled_by_the_model(depth):
    x, known, guide, target = holed()
    with pytest.warns(UserWarning, match=r"guided-filter takes no mask: the unknown .* filled by"):
        found = restore(np.nan_to_num(x), guide, "depth-sr", mask=known, method="guided-filter")
    holes = enlarged(~known)
    assert error(found.image, target, holes) < 2 * error(found.image, target, ~holes) + 5
