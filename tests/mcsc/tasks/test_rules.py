"""Fusion rules: how parts become an image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from mcsc.errors import Refusal
from mcsc.quality.full_reference import psnr
from mcsc.quality.no_reference import qabf
from mcsc.tasks import RULES, Blend, Rule, Selection, fuse
from tests.mcsc.tasks.pairs import pair


def test_the_table():
    assert list(RULES) == ["choose", "detail", "activity", "sum", "targets"]
    assert all(rule.words for rule in RULES.values())


def test_chosen_pixels_come_from_the_sharper_source(focus):
    rng = np.random.default_rng(0)
    sharp = np.clip(gaussian_filter(rng.random((3, 96, 96)), (0, 0.7, 0.7)), 0, 1).astype("f4")
    soft = gaussian_filter(sharp, (0, 3, 3))
    near, far = sharp.copy(), soft.copy()
    near[..., 48:], far[..., 48:] = soft[..., 48:], sharp[..., 48:]
    found = fuse((near, far), "multi-focus", dictionary=focus.dictionary, rule="choose")
    assert found.weights[0, :, 12:36].mean() > 0.95
    assert found.weights[1, :, 60:84].mean() > 0.95
    assert psnr(found.image, sharp) > psnr(near, sharp) + 6
    assert qabf(found.image, (near, far)) > qabf((near + far) / 2, (near, far))


def test_the_choice_is_not_misled_by_the_halo_of_a_blurred_edge(focus):
    rng = np.random.default_rng(0)
    grain = gaussian_filter(rng.standard_normal((2, 96, 96)), (0, 0.8, 0.8))
    behind, front = np.clip(0.3 + 0.2 * grain[0], 0, 1), 0.8 + 0.1 * grain[1]
    object_ = np.zeros((96, 96))
    object_[30:66, 30:66] = 1
    spread = gaussian_filter(object_, 4)
    target = object_ * front + (1 - object_) * behind
    near = object_ * front + (1 - object_) * gaussian_filter(behind, 4)
    far = gaussian_filter(object_ * front, 4) + (1 - spread) * behind
    sources = tuple(np.float32(i) for i in (near, far))
    found = fuse(sources, "multi-focus", dictionary=focus.dictionary)
    outside = distance_transform_edt(1 - object_)
    assert found.weights[0][object_ > 0].mean() > 0.99
    assert found.weights[0][(outside > 0) & (outside <= 4)].mean() > 0.78
    assert found.weights[0][outside > 10].mean() < 0.02
    other = fuse(sources, "multi-focus", method="decision-map")
    assert psnr(found.image, np.float32(target)) > 1 + psnr(other.image, np.float32(target))


@pytest.mark.parametrize("rule", ["choose", "detail", "activity", "sum"])
def test_equal_sources_come_back(focus, rule):
    image = pair("multi-focus").x[:1, :40, :40]
    found = fuse(
        (image, image), "medical", dictionary=focus.dictionary, rule=rule, lam=1e-3, tol=1e-2
    )
    assert found.rule == rule
    assert psnr(found.image, image) > 32


def test_detail_is_of_the_stronger_edges():
    selection = RULES.find("detail").selection
    across = np.broadcast_to(np.arange(96.0), (48, 96))
    slow, fast = 0.1 * np.sin(across / 6), 0.06 * np.sin(across / 1.2)
    none = np.zeros_like(slow)
    stronger = selection.evidence(none, none, fast) > selection.evidence(none, none, slow)
    assert np.abs(slow).mean() > np.abs(fast).mean()
    assert stronger[:, 4:-4].all()
    active = [RULES.find("activity").selection.evidence(none, none, made) for made in (slow, fast)]
    assert active[0].mean() > 1.5 * active[1].mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_faint_answer_chooses_the_source_that_it_follows(channels):
    selection = RULES.find("detail").selection
    rng = np.random.default_rng(0)
    strong, weak = gaussian_filter(rng.standard_normal((2, channels, 64, 64)), (0, 0, 1, 1))
    answer, weak = np.float32(0.3 * strong), np.float32(0.2 * weak)
    strong = np.float32(strong)
    # Nearer to the answer is the other one, as a whole.
    assert np.abs(answer - weak).mean() < np.abs(answer - strong).mean()
    chosen = selection.by_answer(answer, strong) > selection.by_answer(answer, weak)
    assert chosen.mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 1, 40), (3, 30, 1), (1, 1, 1)])
def test_edges_of_images_of_one_row_or_column(shape):
    selection = RULES.find("detail").selection
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    assert np.isfinite(selection.by_answer(image, image)).all()
    assert np.isfinite(selection.evidence(image[0], image[0], image[0])).all()


def fused_by(rule, focus, **options):
    """Two sources, or more, fused by a rule that is in the table meanwhile."""
    images = [pair("multi-focus").x[:1, :32, :32], pair("multi-focus").y[:1, :32, :32]]
    RULES.add("own", rule)
    try:
        return fuse(images, "medical", dictionary=focus.dictionary, rule="own", tol=0.5, **options)
    finally:
        RULES.remove("own")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda image, low: image, r"must return a mcsc.tasks.Blend, .*; found an array of shape"),
        (
            lambda image, low: None,
            r"must return a mcsc.tasks.Blend, as Blend\(image, base.* None",
        ),
        (lambda image, low: (image, low), "must return a mcsc.tasks.Blend, .* type tuple"),
        (lambda image, low: Blend(None, low), r"must return the image as a NumPy array of .* None"),
        (lambda image, low: Blend(image, None), "must return the base as a NumPy array of .* None"),
        (
            lambda image, low: Blend(image[0], low),
            r"returned the image of shape \(32, 32\); want",
        ),
        (
            lambda image, low: Blend(image, low[..., 1:]),
            r"returned the base of shape .* want",
        ),
        (lambda image, low: Blend(image * np.inf, low), "returned the image with NaN or Inf"),
        (
            lambda image, low: Blend(image, low, image),
            r"returned the weights of shape .* want",
        ),
        (
            lambda image, low: Blend(image, low, index=np.full((32, 32), -1)),
            "returned an index from -1 to -1; there are 2 sources, counted from 0",
        ),
    ],
)
def test_what_a_rule_of_others_returns_is_looked_at(focus, made, message):
    rule = Rule(lambda given: made(given.sources[0], given.splits[0].low), "of others")
    with pytest.raises((TypeError, ValueError), match=f"^the rule own {message}") as caught:
        fused_by(rule, focus)
    assert isinstance(caught.value, Refusal)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda luma: None, r"must return an image as a NumPy array of floats of shape \(32, 32\)"),
        (lambda luma: luma[1:], r"returned an image of shape \(31, 32\); want \(32, 32\)"),
        (lambda luma: luma * np.nan, "returned an image with NaN or Inf"),
    ],
)
def test_evidence_of_others_is_looked_at(made, message):
    chosen = Selection(
        lambda luma, others, model: made(luma), True, 1.0, True,
        by_answer=lambda answer, source: made(answer[0]),
    )  # fmt: skip
    plane = np.ones((32, 32))
    with pytest.raises((TypeError, ValueError), match=f"^evidence of a selection {message}"):
        chosen.judged(plane, plane, plane)
    with pytest.raises((TypeError, ValueError), match=f"^by_answer of a selection {message}"):
        chosen.answered(plane[None], plane[None])
