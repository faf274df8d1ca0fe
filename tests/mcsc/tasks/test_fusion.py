"""`fuse`: the front door to fusion."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import mcsc
from mcsc.baselines.mean import mean_fusion
from mcsc.quality.full_reference import psnr
from mcsc.tasks import Fusion, SparseCoding, fuse, get_task, sparse_coding
from tests.mcsc.tasks.pairs import pair


def stack(count=3):
    """Views of one scene, each sharp in a share of its rows, and the scene."""
    scene = pair("multi-focus")
    soft = gaussian_filter(scene.target, (0, 2.5, 2.5))
    sources = [soft.copy() for _ in range(count)]
    edges = np.linspace(0, 64, count + 1).astype(int)
    for m, source in enumerate(sources):
        rows = slice(edges[m], edges[m + 1])
        source[:, rows] = scene.target[:, rows]
    return sources, scene.target


# ------------------------------------------------------------------------------------- result
def test_two_sources(focus):
    scene = pair("multi-focus")
    found = fuse([scene.x, scene.y], "multi-focus", dictionary=focus.dictionary)
    assert isinstance(found, Fusion)
    assert (found.method, found.rule) == ("mcsc", "choose")
    assert found.converged
    assert found.gap <= 1e-2
    assert 0 < found.nonzero < 0.1
    assert found.seconds > 0
    assert found.image.shape == scene.x.shape
    assert found.base.shape == found.common.shape == (1, 64, 64)
    assert [u.shape for u in found.unique] == [(1, 64, 64)] * 2
    assert found.weights.shape == (2, 64, 64)


def test_weights_of_three_sources_make_the_image(focus):
    sources, target = stack()
    found = fuse(sources, "multi-focus", dictionary=focus.dictionary)
    assert found.weights.shape == (3, 64, 64)
    np.testing.assert_allclose(found.weights.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(
        np.einsum("mhw,mchw->chw", found.weights, sources), found.image, atol=1e-5
    )
    for m, rows in enumerate((slice(5, 16), slice(27, 37), slice(48, 59))):
        assert found.weights[m, rows].mean() > 0.7
    assert psnr(found.image, target) > 4 + max(psnr(source, target) for source in sources)


def test_more_than_two_sources_are_one_problem(focus):
    """One certificate for all, not the last one of a chain of pairs."""
    results = []

    def solver(signals, *arguments, **options):
        results.append(
            mcsc.solve(signals, *arguments, **options | {"max_iter": 1, "method": "fista"})
        )
        assert len(signals) == 4
        return results[-1]

    task = get_task("multi-focus")
    sources, _ = stack(4)
    method = SparseCoding(task, focus.dictionary, solver=solver)
    with pytest.warns(mcsc.ConvergenceWarning) as caught:
        found = fuse(sources, task, method=method)
    assert len(results) == 1
    assert not found.converged
    assert found.gap == results[0].gap
    assert found.nonzero == pytest.approx(results[0].codes.nnz / results[0].codes.size)
    assert sum("mcsc did not converge" in str(w.message) for w in caught) == 1
    assert len(found.unique) == 4
    assert found.weights.shape == (4, 64, 64)


@pytest.mark.parametrize("task", ["multi-focus", "multi-exposure", "medical"])
@pytest.mark.parametrize("count", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_the_order_of_more_than_two_sources_does_not_matter(task, count):
    sources, _ = stack(count)
    sources = [np.clip(s * np.float32(0.7 + 0.05 * m), 0, 1) for m, s in enumerate(sources)]
    order = np.random.default_rng(1).permutation(count)
    found = fuse(sources, task, tol=0.05)
    other = fuse([sources[m] for m in order], task, tol=0.05)
    np.testing.assert_array_equal(found.image, other.image)
    assert found.gap == other.gap
    for place, m in enumerate(order):
        if found.unique:
            np.testing.assert_array_equal(found.unique[m], other.unique[place])
        if found.weights is not None:
            np.testing.assert_array_equal(found.weights[m], other.weights[place])
    if found.index is not None:
        np.testing.assert_array_equal(found.index, order[other.index])


def test_unique_parts_are_those_of_the_sources_in_their_order(focus):
    sources, _ = stack()
    three = fuse(sources, "multi-focus", dictionary=focus.dictionary)
    assert len(three.unique) == 3
    # Each is active where its source alone is sharp.
    energy = np.array([[np.abs(u[0, rows]).mean() for u in three.unique]
                       for rows in (slice(2, 19), slice(24, 40), slice(45, 62))])  # fmt: skip
    np.testing.assert_array_equal(energy.argmax(axis=1), [0, 1, 2])
    np.testing.assert_array_equal(three.index, three.weights.argmax(axis=0))


# ------------------------------------------------------------------------------------- stacks
class Made(Sequence):
    """Images that are made when they are asked for; how many are alive is counted."""

    def __init__(self, images):
        self.images, self.asked = images, []
        self.made, self.most = [], 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        self.asked.append(number)
        made = self.images[number].copy()
        self.made = [one for one in self.made if one() is not None] + [weakref.ref(made)]
        self.most = max(self.most, len(self.made))
        return made


def test_long_stacks_are_coded_one_by_one(focus):
    results = []

    def solver(signals, *arguments, **options):
        assert len(signals) == 1
        hasty = {"max_iter": 1, "method": "fista"} if len(results) == 4 else {}
        results.append(mcsc.solve(signals, *arguments, **options | hasty))
        return results[-1]

    task = get_task("multi-focus")
    sources, target = stack(10)
    method = SparseCoding(task, focus.dictionary, solver=solver)
    with pytest.warns(mcsc.ConvergenceWarning):
        found = fuse(Made(sources), task, method=method)
    assert len(results) == 10
    assert not found.converged
    assert found.gap == max(r.gap for r in results) == results[4].gap
    assert found.seconds >= sum(r.seconds for r in results)
    assert found.unique == ()
    assert found.common is found.weights is None
    assert found.index.shape == (64, 64)
    assert len(np.unique(found.index)) == 10
    assert psnr(found.image, target) > 3 + max(psnr(source, target) for source in sources)


@pytest.mark.parametrize("task", ["multi-focus", "multi-exposure"])
def test_one_by_one_is_as_good_as_jointly(task, monkeypatch):
    sources, target = stack(5)
    jointly = fuse(sources, task)
    monkeypatch.setattr(sparse_coding, "JOINTLY", 4)
    alone = fuse(sources, task)
    assert alone.unique == (None,) * 5
    assert psnr(alone.image, jointly.image) > 30
    if task == "multi-focus":
        assert psnr(alone.image, target) > psnr(jointly.image, target) - 0.5
        assert (alone.index == jointly.index).mean() > 0.85


def test_methods_hold_one_source_of_a_long_stack():
    """Each asks for one after the other, and the result is that of a list."""
    sources, _ = stack(9)
    for method in ("mean", "laplacian", "wavelet", "decision-map", "exposure-fusion"):
        made = Made(sources)
        found = fuse(made, "multi-focus", method=method)
        np.testing.assert_array_equal(
            found.image, fuse(sources, "multi-focus", method=method).image
        )
        assert len(made.asked) >= 18
        assert made.most <= 2


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("task", ["multi-focus", "multi-exposure"])
def test_a_long_stack_is_not_held_in_memory(task, masked):
    """Nothing keeps an image, by a view of it either, when the next ones are asked for."""
    sources, _ = stack(12)
    masks = [(image > 0.1).any(axis=0) for image in sources]
    made, weights = Made(sources), Made(masks)
    fuse(made, task, masks=weights if masked else None, tol=0.5)
    assert made.most <= 2
    assert weights.most <= 2


def test_a_sum_of_many_parts_is_one_problem_still(focus):
    sources, _ = stack(9)
    found = fuse(sources, "medical", dictionary=focus.dictionary, rule="sum", tol=0.1)
    assert found.rule == "sum"
    assert len(found.unique) == 9


@pytest.mark.parametrize(
    ("rule", "count", "words"),
    [
        (
            "sum",
            9,
            "9 sources of 64 x 64 .* of more than 8, the rules choose, detail, activity take one",
        ),
        ("choose", 3, "3 sources of 64 x 64 .* want smaller images, or blocks"),
    ],
)
def test_sources_that_do_not_fit_into_memory_are_refused(monkeypatch, focus, rule, count, words):
    sources, _ = stack(count)
    asked = []
    estimate = sparse_coding.memory_of_fusion
    monkeypatch.setattr(
        sparse_coding, "memory_of_fusion", lambda *a, **k: asked.append(estimate(*a, **k)) or 10
    )
    options = {"rule": rule, "dictionary": focus.dictionary, "tol": 0.5}
    fuse(sources, "multi-focus", **options)
    monkeypatch.undo()
    [needed] = asked
    assert needed > count * 64 * 64 * 4 * 9
    monkeypatch.setattr(sparse_coding, "available_memory", lambda: needed - 1)
    with pytest.raises(MemoryError, match=words):
        fuse(sources, "multi-focus", **options)
    monkeypatch.setattr(sparse_coding, "available_memory", lambda: needed)
    fuse(sources, "multi-focus", **options)


PEAK = """
import ctypes, gc, re, sys
import numpy as np
from scipy.ndimage import gaussian_filter
import mcsc.tasks.sparse_coding as sparse_coding
from mcsc.tasks import fuse

def held(field):
    found = re.search(rf"^{field}:\\s*(\\d+) kB$", open("/proc/self/status").read(), re.MULTILINE)
    return int(found.group(1)) * 1024

count, side, channels = map(int, sys.argv[1:4])
rng = np.random.default_rng(0)
scene = gaussian_filter(rng.random((channels, side, side)), (0, 6, 6))
scene = (scene - scene.min()) / np.ptp(scene)
sources = [
    (0.8 * scene + 0.1 * gaussian_filter(rng.random(scene.shape), (0, 2, 2))).astype(np.float32)
    for _ in range(count)
]
fuse([s[:, :64, :64] for s in sources], "medical", rule="sum", tol=0.5)  # compiles
estimate, found = sparse_coding.memory_of_fusion, []

def noted(*given):
    # What was freed is handed back, and the high-water mark of the process begins anew.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    found.extend([estimate(*given), held("VmRSS")])
    return found[0]

sparse_coding.memory_of_fusion = noted
fuse(sources, "medical", rule="sum", tol=0.05)
print(found[0] / (held("VmHWM") - found[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize(("count", "side", "channels"), [(3, 1000, 1), (9, 400, 3), (4, 600, 3)])
def test_the_estimate_of_the_memory_is_near_the_measured_peak(count, side, channels):
    words = [sys.executable, "-W", "ignore", "-c", PEAK, *map(str, (count, side, channels))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 0.7 < float(done.stdout) < 1.4, done.stdout


# ---------------------------------------------------------------------------- grey and colour
@pytest.mark.parametrize("method", ["mcsc", "mean", "laplacian", "exposure-fusion"])
@pytest.mark.parametrize("task", ["medical", "multi-exposure", "multi-focus"])
def test_white_stays_white_beside_grey(task, method):
    rng = np.random.default_rng(0)
    grey = np.clip(gaussian_filter(rng.random((1, 48, 48)), (0, 1, 1)), 0, 1).astype("f4")
    grey[:, :, 24:] = 1
    colour = np.repeat(grey, 3, axis=0)
    for sources in ([grey, colour], [colour, grey], [grey[0], colour]):
        found = fuse(sources, task, method=method)
        assert found.image.shape == (3, 48, 48)
        np.testing.assert_allclose(found.image[:, :, 34:], 1, atol=0.01)


def test_a_grey_source_counts_like_three_equal_channels(focus):
    scene = pair("multi-exposure")
    grey = scene.y.mean(0, keepdims=True)
    options = {"dictionary": focus.dictionary, "task": "multi-exposure", "tol": 1e-3}
    mixed = fuse([scene.x, grey], **options)
    repeated = fuse([scene.x, grey.repeat(3, axis=0)], **options)
    np.testing.assert_array_equal(mixed.image, repeated.image)
    assert mixed.image.std(axis=0).max() > 0.05  # colours are kept


def test_colour_and_rules(focus):
    scene = pair("multi-exposure")
    options = {"dictionary": focus.dictionary, "task": "multi-exposure"}
    found = fuse((scene.x, scene.y), rule="sum", **options)
    assert found.image.shape == scene.x.shape
    assert np.isfinite(found.image).all()
    third = fuse((scene.x, scene.y, scene.target[:1]), rule="choose", **options)
    assert third.image.shape == scene.x.shape


# -------------------------------------------------------------------------------- conventions
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_axes_dtype_and_library_are_those_of_the_sources(xp, dtype, focus):
    scene = pair("multi-focus", shape=(40, 44))
    sources = [xp.asarray(i.mean(0).astype(dtype)) for i in (scene.x, scene.y)]
    found = fuse(sources, "multi-focus", dictionary=focus.dictionary)
    for image in (found.image, found.base, found.common, *found.unique):
        assert xp.owns(image)
        assert image.shape == (40, 44)
        assert image.dtype == sources[0].dtype
    assert xp.owns(found.weights)
    assert found.weights.shape == (2, 40, 44)


def test_any_unit_there_and_back(focus):
    scene = pair("medical")
    sources = [scene.x, scene.y]
    options = {"task": "medical", "dictionary": focus.dictionary, "tol": 1e-4}
    plain = fuse(sources, **options)
    counts = fuse([4095 * s for s in sources], value_range=(0, 4095), **options)
    np.testing.assert_allclose(counts.image / 4095, plain.image, atol=2e-3)
    np.testing.assert_allclose(counts.unique[0] / 4095, plain.unique[0], atol=2e-3)
    with pytest.warns(UserWarning, match=r"the median of sources\[1\] is .*"):
        fuse([sources[0], 4095 + sources[1]], "medical", method="mean", value_range=(0, 1))
    with pytest.raises(ValueError, match="value_range holds 3 ranges for 2 sources"):
        fuse(sources, "medical", method="mean", value_range=[(0, 1)] * 3)
    with pytest.raises(ValueError, match="value_range must be two finite numbers"):
        fuse(sources, "medical", method="mean", value_range=[None, (1, 0)])
    with pytest.raises(ValueError, match=r"two finite numbers .* found 5"):
        fuse(sources, "medical", method="mean", value_range=5)


@pytest.mark.parametrize("known", [0, 1])
def test_a_range_may_be_left_to_be_found(known):
    scene = pair("medical")
    counts = [np.rint(4095 * s).astype(np.uint16) for s in (scene.x, scene.y)]
    given = [None, None]
    given[known] = (0, 2000)
    found = fuse(counts, "medical", method="mean", value_range=given)
    wanted = [(0.0, 4095.0), (0.0, 4095.0)]
    wanted[known] = (0.0, 2000.0)
    assert [(r.low, r.high) for r in found.value_ranges] == wanted


def test_twelve_bits_in_sixteen_are_as_good_as_eight():
    scene = pair("multi-focus")
    plain = fuse([scene.x, scene.y], "multi-focus", tol=0.05)
    deep = [np.rint(4095 * s).astype(np.uint16) for s in (scene.x, scene.y)]
    found = fuse(deep, "multi-focus", tol=0.05)
    assert found.image.dtype == np.uint16
    assert found.value_ranges[0].high == found.value_ranges[1].high == 4095
    assert np.abs(found.image / 4095 - plain.image).mean() < 1e-3


@pytest.mark.parametrize("white", [(255, 65535), (65535, 255)])
def test_what_is_brighter_does_not_depend_on_units(white):
    scene = pair("multi-exposure")
    over, under = (
        np.rint(w * np.clip(s, 0, 1)).astype(np.uint8 if w == 255 else np.uint16)
        for w, s in zip(white, (scene.x, scene.y), strict=True)
    )
    seen = []

    def method(sources):
        seen.append([float(s.mean()) for s in sources])
        return sources[0]

    method.options = frozenset()
    for given in ([over, under], [under, over], [over, under, under]):
        fuse(given, "multi-exposure", method=method, ghosts=False)
    assert all(means == sorted(means, reverse=True) for means in seen)


def test_each_kind_of_medical_image_has_its_range_and_the_first_one_gives_the_unit():
    scene = pair("medical")
    plain = fuse([scene.x, scene.y], "medical", method="mean").image
    ct = np.rint(2000 * scene.x - 1000).astype(np.int16)
    found = fuse([ct, scene.y], "medical", method="mean")
    assert found.image.dtype == np.int16
    unit = found.value_ranges[0]
    low, high = float(ct.min()), float(ct.max())
    assert (unit.low, unit.high) == (low, high)
    back = ((scene.x + 0.5) * 1000 - 1000).astype(float)
    assert np.abs(found.image - back).mean() < 1200
    again = fuse([ct, scene.y], "medical", method="mean", value_range=[(-1000, 1000), (0, 1)])
    np.testing.assert_allclose(again.image, 2000 * plain - 1000, atol=1)


def test_what_one_source_lacks_the_others_give():
    scene = pair("multi-focus")
    known = np.ones(scene.x.shape[1:], bool)
    known[:, :6] = False
    frames = [np.where(known, scene.x, np.nan), scene.y]
    whole = fuse([scene.x, scene.y], "multi-focus", tol=0.05)
    for method in ("mcsc", "mean"):
        options = {"tol": 0.05} if method == "mcsc" else {}
        found = fuse(frames, "multi-focus", method=method, masks=(known, None), **options)
        assert np.abs(found.image - scene.y)[:, :, :4].mean() < 0.03
    found = fuse(frames, "multi-focus", masks=(known, None), tol=0.05)
    assert not found.weights[0][:, :6].any()
    assert np.abs(found.image - whole.image)[:, :, 16:].mean() < 0.01
    with pytest.raises(ValueError, match=r"sources\[0\] holds NaN or Inf"):
        fuse(frames, "multi-focus", method="mean")
    with pytest.raises(TypeError, match="masks must be a list or tuple with an array or None for"):
        fuse(frames, "multi-focus", masks=known)
    with pytest.raises(TypeError, match="names must be a sequence of names"):
        fuse(frames, "multi-focus", names="ab")


def test_baselines_take_all_sources_at_once():
    sources, _ = stack()
    found = fuse(sources, "multi-focus", method="mean")
    np.testing.assert_allclose(found.image, mean_fusion(sources), atol=1e-7)
    assert (found.gap, found.nonzero, found.lam, found.rule, found.common) == (None,) * 5
    assert found.unique == (None,) * 3
    assert found.converged
    assert found.seconds >= 0


# ---------------------------------------------------------------------------------- refusals
def test_refusals(focus):
    scene = pair("multi-focus")
    d = focus.dictionary
    images = (scene.x, scene.y)
    for sources, message in (
        ((scene.x, scene.y[:, :40]), r"b is 40 x 64, a is 64 x 64: want registered images of one"),
        ((scene.x, scene.y[:2]), "b has 2 channels; want 1 or 3"),
        ((scene.x * np.nan, scene.y), r"a holds NaN or Inf \(12288 values\)"),
    ):
        with pytest.raises(ValueError, match=message):
            fuse(sources, "multi-focus", dictionary=d, names=("a", "b"))
    with pytest.raises(ValueError, match=r"sources\[1\] is 40 x 64"):
        fuse((scene.x, scene.y[:, :40]), "multi-focus", dictionary=d)
    with pytest.raises(ValueError, match="sources holds 1 images; want at least 2"):
        fuse([scene.x], "multi-focus", dictionary=d)
    with pytest.raises(TypeError, match="sources must be a list or tuple of images, found ndarray"):
        fuse(np.stack(images), "multi-focus", dictionary=d)
    with pytest.raises(ValueError, match="depth-sr is a restoration; want a fusion, as multi-expo"):
        fuse(images, "depth-sr", dictionary=d)
    with pytest.raises(
        ValueError, match="rule must be one of choose, detail, activity, sum, targets; found"
    ):
        fuse(images, "multi-focus", dictionary=d, rule="max")
    with pytest.raises(ValueError, match=r"want a dictionary of channels \(1, 1\)"):
        fuse(images, "multi-focus", dictionary=mcsc.dct_dictionary((3, 3), filter_size=4))
    with pytest.raises(ValueError, match="this one has none; learn them with"):
        fuse(images, "multi-focus", dictionary=d, rule="targets")


def test_lam_one_a_group_in_metadata(focus):
    scene = pair("medical")
    d = replace(focus.dictionary, metadata={"lam": [0.05, 0.03, 0.02]})
    found = fuse((scene.x, scene.y), "medical", dictionary=d)
    assert found.lam == pytest.approx((0.05, 0.03, 0.02))
