"""Coding of images of any size: tiles, groups of samples, masks."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.coding.images import code
from mcsc.images import lowpass_split, luma_studio
from mcsc.quality.full_reference import rmse
from mcsc.tasks import SparseCoding, get_task, restore, shipped_dictionary
from tests.mcsc.tasks.pairs import pair


def detail(image):
    return lowpass_split(luma_studio(image)).high[None]


def test_tiles_leave_no_seam():
    d = mcsc.dct_dictionary((1, 1), filter_size=5)
    scene = pair("multi-focus", shape=(160, 200))
    signals = tuple(detail(i) for i in (scene.x, scene.y))
    whole = code(signals, d, 0.05, "signals", tol=1e-4)
    tiled = code(signals, d, 0.05, "signals", tol=1e-4, tile=100)
    assert whole.tiles == 1
    assert tiled.tiles > 2
    error = np.abs(whole.image - tiled.image)
    assert error.max() < 0.02
    assert error.mean() < 5e-4


@pytest.mark.slow
def test_large_images_have_no_seam_and_need_no_more_memory():
    task, d = get_task("depth-sr"), shipped_dictionary("depth-sr")
    scene = pair("depth-sr", shape=(480, 560))
    x = task.degrade(scene.target)
    sizes = []

    def watched(part, *arguments, **options):
        sizes.append(part[0].shape)
        return mcsc.solve(part, *arguments, **options)

    method = SparseCoding(task, d, solver=watched)
    whole = restore(x, scene.y, task, method=method, tol=1e-4)
    assert len(sizes) == 1
    tiled = restore(x, scene.y, task, method=method, tol=1e-4, tile=230)
    assert len(sizes) > 9
    assert max(max(shape) for shape in sizes[1:]) <= 232
    error = np.abs(whole.image - tiled.image)[0]
    # Where tiles meet, strong edges have other codes of nearly the same objective.
    assert error.max() < 0.03
    assert error.mean() < 4e-4
    before, after = (rmse(f.image, scene.target) for f in (whole, tiled))
    assert abs(before - after) < 0.01 * before


def test_bands_are_coded_in_groups_that_fit(monkeypatch):
    from mcsc.coding import images as coding

    rng = np.random.default_rng(0)
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    signals = tuple(0.1 * rng.standard_normal((5, 1, 32, 32)) for _ in range(2))
    whole = coding.code(signals, d, 0.1, "signals", tol=1e-6)
    monkeypatch.setattr(coding, "_PIXELS", 2 * 32 * 32)
    parts = coding.code(signals, d, 0.1, "signals", tol=1e-6, tile=40)
    np.testing.assert_allclose(parts.image, whole.image, atol=2e-3)
    assert parts.nonzero == pytest.approx(whole.nonzero, rel=0.02)
    assert parts.coefficients == whole.coefficients


@pytest.mark.parametrize("samples", [1, 3])
def test_masks_go_with_their_tiles_and_samples(samples, monkeypatch):
    from mcsc.coding import images as coding

    rng = np.random.default_rng(0)
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    x, y = (0.1 * rng.standard_normal((3, 1, 40, 120)) for _ in range(2))
    mask = (rng.random((samples, 1, 40, 120)) > 0.3).astype(float)
    asked = []

    def watched(part, *arguments, masks, **options):
        assert masks[0].shape == (len(part[0]) if samples > 1 else 1, 1, *part[0].shape[2:])
        assert masks[1] is None
        # What the mask hides must not matter: it is replaced by nonsense.
        asked.append(len(part[0]))
        hidden = np.where(masks[0] > 0, part[0], 99.0)
        return mcsc.solve((hidden, part[1]), *arguments, masks=masks, **options)

    monkeypatch.setattr(coding, "_PIXELS", 40 * 120)
    whole = code((x, y), d, 0.1, "signals", masks=(mask, None), tol=1e-4)
    tiled = code((x, y), d, 0.1, "signals", masks=(mask, None), tol=1e-4, tile=40, solver=watched)
    assert asked == [1] * 6
    np.testing.assert_allclose(tiled.image, whole.image, atol=5e-3)


def test_what_did_not_converge_is_told_without_a_warning():
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    signals = tuple(0.1 * np.random.default_rng(0).standard_normal((2, 1, 1, 20, 20)))

    def hasty(*arguments, **options):
        return mcsc.solve(*arguments, **options, method="fista", max_iter=1)

    found = code(signals, d, 0.01, "signals", tol=1e-6, solver=hasty)
    assert not found.converged
    assert found.gap > 1e-6


def test_codes_that_are_nearly_all_zero_are_told():
    rng = np.random.default_rng(0)
    faint = tuple((0.01 * rng.random((1, 1, 40, 40))).astype("f4") for _ in range(2))
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    with pytest.warns(UserWarning, match=r"nearly all codes are zero \(0 of .*is their range"):
        code(faint, d, 0.5, "signals")
