"""The rules by which a network's image says what is taken of which source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mcsc.fusion.bases import lumas_of
from mcsc.fusion.rules import RULES, Rule, Selection
from mcsc.images import lowpass_split, luma_studio
from mcsc.quality.full_reference import psnr
from mcsc.tasks import (
    fuse,
    get_task,
)
from tests.unfolded.methods import images, trained
from unfolded import images as images_module
from unfolded.method import CUNetMethod


def test_of_more_than_two_sources_the_sharpest_is_chosen():
    target = get_task("multi-focus").synthetic_pair(0, (64, 64), 5).target
    soft = gaussian_filter(target, (0, 2.5, 2.5))
    sources = []
    for m in range(3):
        frame = soft.copy()
        frame[:, 21 * m : 21 * m + 22] = target[:, 21 * m : 21 * m + 22]
        sources.append(frame)
    found = fuse(sources, "multi-focus", method="cunet")
    assert (found.index == np.minimum(np.arange(64) // 21, 2)[:, None]).mean() > 0.7
    assert psnr(found.image, target) > 3 + max(psnr(s, target) for s in sources)


def test_of_two_sources_the_one_nearer_to_the_answer_is_chosen():
    target = get_task("multi-focus").synthetic_pair(0, (64, 96), 5).target
    soft = gaussian_filter(target, (0, 2.5, 2.5))
    near, far = soft.copy(), soft.copy()
    near[..., :48], far[..., 48:] = target[..., :48], target[..., 48:]
    sources = [near, far]
    found = fuse(sources, "multi-focus", method="cunet")
    assert found.rule == "choose"
    assert (found.index == (np.arange(96) > 47)).mean() > 0.9
    assert found.image.dtype == target.dtype
    shares = found.weights[:, None]
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(found.image, (shares * sources).sum(axis=0), atol=1e-6)
    answer = fuse(sources, "multi-focus", method="cunet", rule="sum")
    assert answer.rule == "sum"
    assert answer.index is answer.weights is None
    assert psnr(found.image, target) > psnr(answer.image, target) > psnr(near, target)
    apart = [
        gaussian_filter(np.abs(luma_studio(s) - luma_studio(answer.image))[0].astype(float), 1)
        for s in sources
    ]
    nearer = gaussian_filter(np.log(apart[1] + 1e-3) - np.log(apart[0] + 1e-3), 2) < 0
    assert (found.index == nearer).mean() > 0.999  # ties of rounding
    back = fuse(sources[::-1], "multi-focus", method="cunet")
    assert (back.index == found.index).mean() < 0.1
    tiled = fuse(sources, "multi-focus", method="cunet", tile=40)
    np.testing.assert_allclose(tiled.image, found.image, atol=1e-5)


@pytest.mark.parametrize("task", ["medical", "multi-exposure"])
def test_the_detail_of_the_source_that_the_answer_follows(task):
    scene = get_task(task).synthetic_pair(1, (96, 96), 5)
    sources = [scene.x, scene.y]
    found = fuse(sources, task, method="cunet", ghosts=False)
    assert found.rule == "detail"
    answer = fuse(sources, task, method="cunet", rule="sum", ghosts=False)
    assert set(np.unique(found.index)) == {0, 1}
    exact = fuse(sources, task, rule="detail", ghosts=False)
    high = [lowpass_split(lumas_of(s), get_task(task).strength).high[0] for s in sources]
    apart = np.abs(high[0] - high[1]) > 0.05
    assert (found.index == exact.index)[apart].mean() > 0.8
    assert psnr(found.image, exact.image) > psnr(answer.image, exact.image) > 25


@pytest.mark.parametrize("base", ["none", "low", "mean"])
@pytest.mark.parametrize("rule", ["choose", "detail", "activity"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_knows_chooses_right(base, rule, channels, monkeypatch):
    """Whatever its answer is added to: brightness must not decide between details."""
    target = get_task("multi-focus").synthetic_pair(0, (64, 96), 5).target
    near, far = (gaussian_filter(target, (0, 2.5, 2.5)) for _ in range(2))
    near[..., :48], far[..., 48:] = target[..., :48], target[..., 48:]
    task = replace(get_task("multi-exposure"), brighter_first=False)
    sources = [near, far]
    if base == "low":  # of another brightness than what detail is added to
        sources = [0.2 + 0.8 * near, 0.8 * far]
    net = trained(task, (channels, channels), channels, base=base, strength=5.0)
    truth = luma_studio(target) if channels == 1 else target
    knows = CUNetMethod(net, task)

    def answer(net, made, *given, **options):
        whole = truth - made.base if base != "low" else 0.8 * lowpass_split(truth, 5.0).high
        return whole, None, (None, None)

    monkeypatch.setattr(images_module, "_answer", answer)
    found = fuse(sources, task, method=knows, rule=rule, value_range=(0, 1), ghosts=False)
    assert (found.index == (np.arange(96) > 47)).mean() > 0.95


def test_rules_of_others_have_their_own_evidence():
    rng = np.random.default_rng(0)
    sources = [rng.random((1, 24, 28)).astype(np.float32) for _ in range(3)]
    darkest = Selection(lambda x, others, codes: -x, unique=False, softened=1.0, pixels=True)
    RULES.add("darkest", Rule(lambda given: None, "the darkest", selection=darkest))
    try:
        for count in (2, 3):
            found = fuse(sources[:count], "medical", method="cunet", rule="darkest")
            np.testing.assert_array_equal(found.index, np.argmin(sources[:count], axis=0)[0])
        with pytest.raises(ValueError, match="tile is not for the rule darkest"):
            fuse(sources[:2], "medical", method="cunet", rule="darkest", tile=20)
    finally:
        RULES.remove("darkest")


def test_grey_sources_stay_grey_with_a_network_of_colours():
    task = get_task("multi-focus")
    method = CUNetMethod(trained(task, (3, 3), 3, base="none"), task)
    for rule in ("sum", "choose"):
        found = fuse(images(channels=(1, 1)), task, method=method, rule=rule)
        assert found.image.shape == (1, 24, 28)


def test_what_is_unknown_is_not_chosen():
    sources = [np.array(i) for i in images(channels=(1, 1))]
    known = np.ones((24, 28), bool)
    known[:, :9] = False
    sources[0][:, ~known] = np.nan
    found = fuse(sources, "multi-focus", method="cunet", masks=[known, None])
    assert (found.index[:, :9] == 1).all()
    assert not found.weights[0, :, :9].any()
    assert np.isfinite(found.image).all()


@pytest.mark.parametrize("count", [2, 3])
def test_rules_of_networks(count):
    sources = images(channels=(1, 1)) + images(1, channels=(1, 1))[: count - 2]
    for task in ("multi-focus", "medical"):
        for rule in ("choose", "detail", "activity", "sum"):
            found = fuse(sources, task, method="cunet", rule=rule)
            assert found.rule == rule
            assert (found.index is None) == (rule == "sum")
    with pytest.raises(
        ValueError, match="choose, detail, activity, sum of the method cunet; found 'tar"
    ):
        fuse(sources, "medical", method="cunet", rule="targets")
    with pytest.raises(ValueError, match=r"rule must be one of .* found 'most'"):
        fuse(sources, "medical", method="cunet", rule="most")


@pytest.mark.parametrize("task", ["medical", "multi-exposure", "multi-focus"])
def test_white_stays_white_beside_grey(task):
    grey = np.ones((1, 40, 40), np.float32)
    for rule, *sources in (
        (None, grey, grey.repeat(3, 0)),
        (None, grey.repeat(3, 0), grey),
        ("sum", grey, grey.repeat(3, 0)),
        ("sum", grey.repeat(3, 0), grey),
    ):
        found = fuse(sources, task, method="cunet", rule=rule).image
        assert found.shape == (3, 40, 40)
        np.testing.assert_allclose(found[:, 12:28, 12:28], 1, atol=0.01)
