"""`restore`: the front door to restoration."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import mcsc
from mcsc.errors import InvalidValueError
from mcsc.images import imresize
from mcsc.quality.full_reference import rmse
from mcsc.tasks import Restoration, SparseCoding, get_task, restore
from tests.helpers import Library
from tests.mcsc.tasks.pairs import pair


def small_pair(shape=(64, 64), factor=4):
    """A small depth map, its guide and the truth."""
    scene = pair("depth-sr", shape=shape)
    small = imresize(scene.target, tuple(int(n / factor) for n in shape))
    return small, scene.y, scene.target


def noise(*shapes):
    """Images without structure, which no task expects."""
    rng = np.random.default_rng(0)
    return tuple(rng.random(shape).astype("f4") for shape in shapes)


# ------------------------------------------------------------------------------------ result
def test_restoration_beats_bicubic_on_scenes_not_seen(depth):
    task = get_task("depth-sr")
    before, after = [], []
    for seed in (50, 51, 52):
        scene = pair("depth-sr", seed)
        x = task.degrade(scene.target)
        found = restore(x, scene.y, task, dictionary=depth.dictionary)
        assert isinstance(found, Restoration)
        assert found.converged
        assert found.gap <= 1e-2
        assert 0 < found.nonzero < 0.1
        assert found.seconds > 0
        assert found.method == "mcsc"
        assert found.lam == depth.dictionary.metadata["lam"]
        np.testing.assert_allclose(found.base + found.common + found.unique, found.image, atol=1e-5)
        # The known image is honoured.
        assert rmse(task.degrade(found.image), x) < 0.5 * rmse(task.degrade(x), x) + 0.05
        before.append(rmse(x, scene.target))
        after.append(rmse(found.image, scene.target))
    assert np.mean(after) < np.mean(before)


def test_a_small_image_is_enlarged_by_what_the_sizes_tell(depth):
    small, guide, target = small_pair()
    found = restore(small, guide, "depth-sr", dictionary=depth.dictionary)
    assert found.image.shape == (1, 64, 64)
    assert found.factor == 4
    enlarged = restore(imresize(small, 4), guide, "depth-sr", dictionary=depth.dictionary)
    np.testing.assert_allclose(found.image, enlarged.image, atol=1e-6)
    by_two = restore(imresize(target, 0.5), guide, "depth-sr", dictionary=depth.dictionary)
    assert by_two.factor == 2
    assert rmse(by_two.image, target) < rmse(found.image, target)
    # Rounded up, as imresize does; x is honoured at its own size.
    odd = restore(small, guide[:, :62, :63], "depth-sr", dictionary=depth.dictionary)
    assert (odd.factor, odd.image.shape) == (4, (1, 62, 63))
    assert rmse(imresize(odd.image, (16, 16)), small) < 2


def test_the_factor_may_be_given(depth):
    small, guide, _ = small_pair()
    d = depth.dictionary
    with pytest.raises(
        ValueError, match="x is 16 x 16, y is 64 x 64: that is not 3 times as large"
    ):
        restore(small, guide, "depth-sr", dictionary=d, factor=3)
    x = imresize(imresize(small, 0.5), (64, 64))
    by_four, by_eight = (restore(x, guide, "depth-sr", dictionary=d, factor=f) for f in (None, 8))
    assert (by_four.factor, by_eight.factor) == (4, 8)
    # An image that was eight times smaller leaves more to be found.
    assert rmse(by_eight.image, x) > 1.05 * rmse(by_four.image, x)
    with pytest.raises(ValueError, match="factor must be a number > 1"):
        restore(x, guide, "depth-sr", dictionary=d, factor=1)


def test_factors_that_are_not_whole(depth):
    scene = pair("depth-sr", shape=(80, 64))
    small = imresize(scene.target, (25, 20))  # 3.2 times
    found = restore(small, scene.y, "depth-sr", dictionary=depth.dictionary)
    assert found.factor == 3.2
    assert found.image.shape == scene.target.shape
    plain = restore(small, scene.y, "depth-sr", method="bicubic")
    assert rmse(found.image, scene.target) < rmse(plain.image, scene.target)
    # Reduced again it is what was given: back-projection knows the size.
    assert rmse(imresize(found.image, (25, 20)), small) < 0.5 * rmse(
        imresize(plain.image, (25, 20)), small
    )
    same = restore(
        imresize(small, (80, 64)), scene.y, "depth-sr", dictionary=depth.dictionary, factor=3.2
    )
    assert same.factor == 3.2
    np.testing.assert_allclose(same.image, found.image, atol=1e-3)


@pytest.mark.parametrize(("factor", "far"), [(2, False), (8, False), (10, True), (1.6, True)])
def test_a_factor_far_from_what_was_learned_is_told(depth, factor, far):
    small, guide, _ = small_pair((80, 80), factor)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        restore(small, guide, "depth-sr", dictionary=depth.dictionary)
    if far:
        (told,) = record
        assert f"x is enlarged {factor:g} times, and the dictionary was learned for 4" in str(
            told.message
        )
        assert told.filename == __file__
    else:
        assert not record


def test_bands_are_coded_one_by_one_or_jointly():
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    x, y = noise((5, 8, 8), (3, 32, 32))
    options = {"task": "multispectral-sr", "lam": 0.5}
    assert restore(x, y, dictionary=d, **options).image.shape == (5, 32, 32)
    one = restore(x[2:3], y, dictionary=d, tol=1e-5, **options).image
    many = restore(x, y, dictionary=d, tol=1e-5, **options).image
    np.testing.assert_allclose(many[2], one[0], atol=2e-3)
    joint = mcsc.dct_dictionary((5, 3), filter_size=4)
    assert restore(x, y, dictionary=joint, **options).image.shape == (5, 32, 32)
    with pytest.raises(ValueError, match="the method mcsc codes 5 channels of x, which has 4"):
        restore(x[:4], y, dictionary=joint, **options)
    assert restore(x, y[:1], dictionary=d, **options).image.shape == (5, 32, 32)


# ------------------------------------------------------------------------------- conventions
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_axes_dtype_and_library_are_those_of_x(xp, dtype, depth):
    small, guide, _ = small_pair((32, 32))
    x, y = xp.asarray(small[0].astype(dtype)), xp.asarray(guide)
    found = restore(x, y, "depth-sr", dictionary=depth.dictionary, tol=1e-4)
    for image in (found.image, found.base, found.common, found.unique):
        assert xp.owns(image)
        assert image.shape == (32, 32)
        assert image.dtype == x.dtype
    wanted = restore(small, guide, "depth-sr", dictionary=depth.dictionary, tol=1e-4)
    np.testing.assert_allclose(xp.to_numpy(found.image), wanted.image[0], atol=5e-3)


def test_a_mask_is_of_the_library_of_x(xp, depth):
    small, guide, _ = small_pair((32, 32))
    known = np.ones((8, 8))
    known[2:4, 3:5] = 0
    x, y, mask = (xp.asarray(i) for i in (np.where(known, small, np.nan), guide, known))
    found = restore(x, y, "depth-sr", dictionary=depth.dictionary, mask=mask)
    assert xp.owns(found.image)
    assert np.isfinite(xp.to_numpy(found.image)).all()


def test_libraries_are_not_mixed():
    small, guide, _ = small_pair((32, 32))
    with pytest.raises(TypeError, match="arrays of different libraries were mixed"):
        restore(small, Library("array_api_strict").asarray(guide), "depth-sr")


def test_any_unit_there_and_back(depth):
    small, guide, _ = small_pair()
    d = depth.dictionary
    plain = restore(small, guide, "depth-sr", dictionary=d, tol=1e-4)
    metres = restore(2 + 6 * small, guide, "depth-sr", dictionary=d, tol=1e-4, value_range=(2, 8))
    np.testing.assert_allclose((metres.image - 2) / 6, plain.image, atol=2e-3)
    np.testing.assert_allclose(metres.common / 6, plain.common, atol=2e-3)
    np.testing.assert_allclose(metres.unique / 6, plain.unique, atol=2e-3)
    np.testing.assert_allclose(metres.base + metres.common + metres.unique, metres.image, atol=1e-5)
    found = restore(2 + 6 * small, guide, "depth-sr", dictionary=d, tol=1e-4)
    assert found.value_range.low == (2 + 6 * small).min()
    assert np.abs(found.image - metres.image).max() < 0.03 * 6


@pytest.mark.parametrize(
    ("dtype", "low", "span"),
    [("float32", 0.5, 0.01), ("float32", 0.5, 5e-4), ("float64", 1e6, 1.0), ("float32", 3, 1e-3)],
)
def test_relief_of_something_far_is_not_lost(dtype, low, span):
    scene = pair("depth-sr")
    small = low + span * imresize(scene.target.astype(float), 0.25)
    found = restore(small.astype(dtype), scene.y, "depth-sr", tol=0.05)
    plain = restore(imresize(scene.target, 0.25), scene.y, "depth-sr", tol=0.05)
    off = np.abs((found.image - low) / span - scene.target).mean()
    assert off < 1.2 * np.abs(plain.image - scene.target).mean() + 0.2 * low / span * 1.2e-7


@pytest.mark.parametrize("method", ["mcsc", "bicubic", "guided-filter", "joint-bilateral"])
def test_little_contrast_of_a_band_or_a_guide_does_not_matter(method):
    scene = pair("multispectral-sr")
    small = imresize(scene.target, 0.25)
    options = {"task": "multispectral-sr", "method": method, "value_range": (0, 1)}
    options |= {"tol": 1e-4} if method == "mcsc" else {}
    whole = (small - small.min()) / np.ptp(small)
    guide = (scene.y - scene.y.min()) / np.ptp(scene.y)
    plain = restore(whole, guide, **options)
    assert plain.stretched == ()
    bands = np.concatenate([whole, 0.04 * whole, 0.3 + 1e-3 * whole, 0.3 * whole])
    found = restore(bands, 0.1 + 0.02 * guide, **options)
    assert found.stretched == (1, 2, 3)
    low, span = (np.array(v)[:, None, None] for v in ([0, 0, 0.3, 0], [1, 0.04, 1e-3, 0.3]))
    for name in ("image", "base") if method == "mcsc" else ("image",):
        again = (getattr(found, name) - low) / span
        np.testing.assert_allclose(again, np.repeat(getattr(plain, name), 4, 0), atol=5e-3)
    if method == "mcsc":
        parts = (found.common + found.unique) / span
        np.testing.assert_allclose(parts[0], (plain.common + plain.unique)[0], atol=5e-3)
        np.testing.assert_allclose(parts, parts[:1].repeat(4, 0), atol=5e-3)


def test_noisy_images_are_not_stretched():
    scene = pair("flash-denoise")
    assert restore(0.1 * scene.x, scene.y, "flash-denoise", sigma=5, tol=0.1).stretched == ()


@pytest.mark.parametrize(("dtype", "value"), [("float32", 2.5), ("uint16", 1500), ("float64", 1e6)])
def test_what_is_flat_gets_no_relief_from_a_guide(dtype, value):
    small = np.full((1, 24, 24), value, dtype)
    found = restore(small, pair("depth-sr").y[:, :96, :96], "depth-sr", tol=0.05)
    np.testing.assert_allclose(found.image, value, rtol=2e-5)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("float32", 0.4, 6.0), ("uint16", 500, 4500), ("int16", -1000, 1000), (">f4", -3, -1)],
)
def test_a_result_is_in_the_unit_and_the_kind_of_what_came_in(dtype, low, high):
    scene = pair("depth-sr", 54)
    truth = low + (high - low) * scene.target
    small = imresize(truth, 0.25).astype(dtype)
    found = restore(small, scene.y, "depth-sr", tol=0.05)
    assert found.image.dtype == np.dtype(dtype)
    assert found.cut == 0
    plain = restore(imresize(scene.target, 0.25), scene.y, "depth-sr", tol=0.05)
    worst = np.abs(plain.image - scene.target).mean() * (high - low)
    assert np.abs(found.image - truth).mean() < 1.2 * worst + (0.5 if high > 10 else 0)
    assert found.common.dtype.kind == "f"


def test_a_masked_array_is_unknown_where_it_is_masked():
    scene = pair("depth-sr")
    small = imresize(scene.target, 0.25)
    hidden = np.zeros(small.shape, bool)
    hidden[:, 4:8, 4:8] = True
    holed = np.where(hidden, 0, small)
    found = restore(np.ma.array(holed, mask=hidden), scene.y, "depth-sr", tol=0.05)
    told = restore(holed, scene.y, "depth-sr", mask=~hidden, tol=0.05)
    np.testing.assert_array_equal(found.image, told.image)


def test_holes_of_the_guide_weigh_nothing():
    scene = pair("depth-sr")
    small = imresize(scene.target, 0.25)
    known = np.ones(scene.y.shape[1:], bool)
    known[20:28, 30:40] = False
    options = {"guide_mask": known, "tol": 0.05}
    found = restore(small, np.where(known, scene.y, np.nan), "depth-sr", **options)
    other = restore(small, np.where(known, scene.y, 0), "depth-sr", **options)
    np.testing.assert_array_equal(found.image, other.image)
    plain = restore(small, scene.y, "depth-sr", tol=0.05)
    assert np.abs(found.image - plain.image).mean() < 0.005
    filled = restore(
        small, np.where(known, scene.y, np.nan), "depth-sr", method="guided-filter",
        guide_mask=known,
    )  # fmt: skip
    assert np.isfinite(filled.image).all()
    with pytest.raises(ValueError, match=r"y holds NaN or Inf .*give a mask that is 0 there"):
        restore(small, np.where(known, scene.y, np.nan), "depth-sr")


def test_the_gpu_is_asked_for_by_the_solver():
    asked = []

    def solver(*arguments, **options):
        asked.append(options["device"])
        return mcsc.solve(*arguments, **options | {"device": "cpu"})

    small, guide, _ = small_pair((32, 32))
    method = SparseCoding(get_task("depth-sr"), solver=solver)
    for device in ("auto", "cpu", "cuda"):
        restore(small, guide, "depth-sr", method=method, device=device, tol=0.3)
    assert asked == ["auto", "cpu", "cuda"]


def test_no_gpu_is_one_clear_error(monkeypatch):
    monkeypatch.setattr("mcsc.backend.select.cupy_or_reason", lambda: (None, "none here"))
    small, guide, _ = small_pair((32, 32))
    with pytest.raises(RuntimeError, match="device='cuda' cannot be used: none here"):
        restore(small, guide, "depth-sr", device="cuda")


# ---------------------------------------------------------------------------------------- lam
def test_noise_level_scales_lam():
    d = replace(mcsc.dct_dictionary((1, 1), filter_size=4), metadata={"lam": 0.4, "sigma": 50})
    x, y = noise((1, 32, 32), (1, 32, 32))

    def lam(**options):
        return restore(x, y, "flash-denoise", dictionary=d, ghosts=False, **options).lam

    assert lam(sigma=25) == pytest.approx(0.2)
    assert lam() == pytest.approx(0.4)
    assert lam(lam=0.7, sigma=25) == 0.7
    assert lam(lam=np.float32(0.5)) == 0.5


def test_lam_may_be_one_a_group_in_metadata_and_as_an_option():
    plain = mcsc.dct_dictionary((1, 1), filter_size=4)
    d = replace(plain, metadata={"lam": [0.4, 0.3, 0.2], "sigma": 50})
    x, y = noise((1, 32, 32), (1, 32, 32))
    found = restore(x, y, "flash-denoise", dictionary=d, sigma=25, ghosts=False)
    assert found.lam == pytest.approx((0.2, 0.15, 0.1))
    lam = np.array([0.2, 0.15, 0.1])
    given = restore(x, y, "flash-denoise", dictionary=plain, sigma=25, lam=lam, ghosts=False)
    assert given.lam == pytest.approx((0.2, 0.15, 0.1))
    np.testing.assert_allclose(given.image, found.image, atol=1e-5)
    with pytest.raises(ValueError, match="lam has 2 entries"):
        restore(x, y, "flash-denoise", dictionary=plain, lam=(0.2, 0.1))
    for lam in ("much", {}, [0.1, "b", 0.2]):
        with pytest.raises(TypeError, match=r"lam must (be a number or|hold) numbers, found"):
            restore(x, y, "flash-denoise", dictionary=plain, lam=lam)


def test_codes_may_come_from_another_solver(depth):
    task = get_task("depth-sr")
    small, guide, _ = small_pair()
    asked = []

    def solver(signals, *arguments, **options):
        asked.append(signals[0].shape)
        return mcsc.solve(signals, *arguments, method="fista", **options)

    method = SparseCoding(task, depth.dictionary, solver=solver)
    found = restore(small, guide, task, method=method, tol=1e-3)
    assert asked == [(1, 1, 64, 64)]
    wanted = restore(small, guide, task, dictionary=depth.dictionary, tol=1e-3)
    np.testing.assert_allclose(found.image, wanted.image, atol=0.02)


def test_a_gap_that_was_not_reached_is_one_warning():
    def hasty(*arguments, **options):
        return mcsc.solve(*arguments, **options, method="fista", max_iter=1)

    task = get_task("depth-sr")
    small, guide, _ = small_pair((32, 32))
    with pytest.warns(mcsc.ConvergenceWarning) as caught:
        found = restore(small, guide, task, method=SparseCoding(task, solver=hasty))
    assert len(caught) == 1
    assert str(caught[0].message).startswith("mcsc did not converge to tol = 0.01, at its")
    assert not found.converged
    assert found.gap > 0.01


# ----------------------------------------------------------------------------------- refusals
def test_a_sharp_image_of_the_size_of_its_guide_is_suspected(depth):
    _, guide, target = small_pair()
    with pytest.warns(UserWarning, match="d.png is as large as c.png and sharper than an image th"):
        restore(target, guide, "depth-sr", dictionary=depth.dictionary, names=("d.png", "c.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restore(
            get_task("depth-sr").degrade(target), guide, "depth-sr", dictionary=depth.dictionary
        )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("task", ["depth-sr", "multispectral-sr"])
def test_an_image_enlarged_by_repeated_pixels_stays_near_what_its_original_gives(task, masked):
    pair = get_task(task).synthetic_pair(3, (96, 96), 1)
    small = imresize(pair.target, (24, 24))
    mask = None
    if masked:
        mask = np.ones((1, 24, 24), np.float32)
        mask[:, 6:10, 9:14] = 0
    repeated, known = (
        None if i is None else np.kron(i, np.ones((4, 4), "f4")) for i in (small, mask)
    )
    of_small = restore(small, pair.y, task, mask=mask)
    with pytest.warns(UserWarning, match="it is reduced to 24 x 24 and enlarged again first"):
        found = restore(repeated, pair.y, task, mask=known)
    error, expected = (rmse(i.image, pair.target) for i in (found, of_small))
    # It is reduced by a filter that is softer than the mean of each block.
    assert error < 2 * expected
    assert np.ptp(found.image) < 1.5 * np.ptp(pair.target)


@pytest.mark.parametrize(
    ("x", "y", "task", "options", "message"),
    [
        ((1, 8, 8), (3, 32, 32), "depth", {}, "task must be one of depth-sr"),
        ((1, 8, 8), (3, 32, 32), "medical", {}, "medical is a fusion; want a restoration"),
        (
            (1, 8, 8),
            (3, 32, 32),
            "depth-sr",
            {"method": "magic"},
            "has no method 'magic': want bic",
        ),
        (
            (1, 64, 64),
            (3, 32, 32),
            "depth-sr",
            {},
            "a.tif is 64 x 64, b.jpg is 32 x 32: want b.jpg",
        ),
        ((1, 8, 9), (3, 32, 32), "depth-sr", {}, "larger by one factor on both axes"),
        (
            (3, 8, 8),
            (3, 32, 32),
            "flash-denoise",
            {},
            "a.tif is 8 x 8, b.jpg is 32 x 32: want regi",
        ),
        (
            (3, 32, 32),
            (3, 32, 32),
            "flash-denoise",
            {"factor": 4},
            "factor is for super-resolution",
        ),
        (
            (1, 8, 8),
            (3, 32, 32),
            "depth-sr",
            {"sigma": 25},
            "sigma is for denoising, not for depth",
        ),
        (
            (3, 32, 32),
            (3, 32, 32),
            "flash-denoise",
            {"sigma": -1},
            "sigma must be a finite number >",
        ),
        ((1, 8, 8), (3, 32, 32), "depth-sr", {"tol": 0}, "tol must be a finite number > 0"),
        (
            (1, 8, 8),
            (3, 32, 32),
            "depth-sr",
            {"value_range": (1, 0)},
            "value_range must be two fin",
        ),
    ],
)
def test_refusals_name_what_is_meant(x, y, task, options, message):
    images = noise(x, y)
    with pytest.raises(ValueError, match=message):
        restore(*images, task, names=("a.tif", "b.jpg"), **options)


def test_images_that_are_none_are_refused_by_name():
    small, guide, _ = small_pair((32, 32))
    names = {"names": ("a.tif", "b.jpg")}
    with pytest.raises(TypeError, match=r"a\.tif has dtype bool: images are arrays of floats"):
        restore(small > 0, guide, "depth-sr", **names)
    with pytest.raises(TypeError, match=r"a\.tif must be an array, found list"):
        restore(small.tolist(), guide, "depth-sr", **names)
    with pytest.raises(TypeError, match=r"b\.jpg must be an array, found str"):
        restore(small, "b.jpg", "depth-sr", **names)
    with pytest.raises(ValueError, match=r"b.jpg holds NaN or Inf \(3072 values\)"):
        restore(small, guide * np.nan, "depth-sr", **names)
    with pytest.raises(ValueError, match=r"a.tif has shape \(1, 1, 8, 8\); want \(H, W\) or"):
        restore(small[None], guide, "depth-sr", **names)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tile": 0}, r"tile must be a whole number >= 1, found 0"),
        ({"tile": "a"}, r"tile must be a whole number >= 1, found 'a'"),
        ({"tol": -1}, r"tol must be a finite number > 0 and < 1, found -1"),
        ({"tol": 1.0}, r"tol must be a finite number > 0 and < 1, found 1.0"),
        ({"device": "gpu"}, r"device must be 'auto', 'cpu' or 'cuda', found 'gpu'"),
        ({"factor": 0}, r"factor must be a finite number > 0, found 0"),
        ({"factor": 1}, r"factor must be a number > 1, found 1"),
    ],
)
def test_options_that_are_no_such_thing_are_refused_before_any_work(option, message):
    scene = pair("depth-sr")
    with pytest.raises(InvalidValueError, match=message):
        restore(scene.x, scene.y, "depth-sr", **option)
