"""Restoration and fusion in blocks: what the tasks make of the whole image."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import mcsc
from mcsc.errors import Refusal
from mcsc.images import imresize
from mcsc.images.split import lowpass_split
from mcsc.synthetic import make_pair
from mcsc.tasks import SparseCoding, fuse, get_task, restore
from tests.helpers import make_dictionary

pytest.importorskip("distributed")

import dask.array as da

from mcsc.distributed import fuse_blocks, open_image, restore_blocks, write_blocks
from mcsc.distributed.images.local import BlockGrid, halo_of_split, made_of_blocks
from mcsc.distributed.images.prepared import LocalRestoration
from mcsc.values.forms import ImageForm
from tests.clusters import local_client

TOL = 0.2
"""Any will do: what is compared is made of the same codes."""


@pytest.fixture(scope="module")
def client():
    """A cluster in this process."""
    with local_client() as client:
        yield client


def few_filters(channels, target, base="low"):
    """A dictionary that is quick to code with."""
    d = make_dictionary(3, channels=channels, size=5, common=4, unique=2, target=target)
    return mcsc.Dictionary(
        d.common, d.unique, target_common=d.target_common, target_unique=d.target_unique,
        metadata={"lam": 0.03, "strength": 3.0, "base": base},
    )  # fmt: skip


def with_codes_of(coded, task, dictionary):
    """The method of the package, but that its codes are those that blocks found."""

    def solver(signals, *given, **options):
        every = [band.codes for band in coded]

        def joined(parts):
            return None if parts[0] is None else np.concatenate(parts)

        unique = zip(*(codes.unique for codes in every), strict=True)
        codes = mcsc.Codes.from_dense(joined([c.common for c in every]), tuple(map(joined, unique)))
        return SimpleNamespace(codes=codes, gap=0.0, converged=True, stopped="converged")

    return SparseCoding(get_task(task), dictionary, solver=solver)


def same(found, wanted, atol):
    for name in ("image", "base", "common", "unique"):
        part, whole = getattr(found, name), getattr(wanted, name)
        assert (part is None) == (whole is None), name
        if part is not None:
            np.testing.assert_allclose(part.compute(), whole, atol=atol, err_msg=name)


# ------------------------------------------------------------------------------- restoration
HOLES = np.ones((40, 66), bool)
HOLES[20:31, 30:44] = False


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("colour", marks=SLOW),
        pytest.param("bands", marks=SLOW),
        "holes",
        pytest.param("bands with weights", marks=SLOW),
        pytest.param("float64", marks=SLOW),
    ],
)
def test_a_restoration_is_that_of_the_whole(case, client):
    pair = make_pair("flash", 0, (40, 66))
    x, y, given = pair.x, pair.y, {}
    d = few_filters((3, 3), 3)
    if case.startswith("bands"):
        d = few_filters((1, 1), 1, "input")
    if case == "holes":
        x = np.where(HOLES, x, np.nan)
        given = {"mask": HOLES, "guide_mask": np.random.default_rng(1).random((40, 66)) > 0.01}
    if case == "bands with weights":
        given = {"mask": np.random.default_rng(2).uniform(0.2, 1, (3, 40, 66)).astype(np.float32)}
    if case == "float64":
        x, y = 100 + 40 * x.astype(np.float64), y.astype(np.float64)
        given = {"value_range": (100, 140)}
    found = restore_blocks(
        x, y, "flash-denoise", dictionary=d, tol=TOL, block=40, client=client, **given
    )
    wanted = restore(
        x, y, "flash-denoise", method=with_codes_of(found.coded, "flash-denoise", d),
        ghosts=False, **given,
    )  # fmt: skip
    assert found.converged
    assert 0 < found.gap <= TOL
    assert found.nonzero > 0
    assert found.value_range == wanted.value_range
    assert found.image.dtype == x.dtype
    assert found.lam == wanted.lam
    same(found, wanted, 1e-5 * float(np.ptp(x[np.isfinite(x)])))


@pytest.mark.parametrize(
    ("enlarged", "masked"),
    [
        (False, True),
        pytest.param(False, False, marks=SLOW),
        pytest.param(True, False, marks=SLOW),
        pytest.param(True, True, marks=SLOW),
    ],
)
def test_a_depth_map_is_that_of_the_whole(enlarged, masked, client):
    pair = make_pair("depth", 0, (32, 64))
    x = (1 + 4 * imresize(pair.target, 0.25)).astype(np.float32)
    if enlarged:
        x = imresize(x, (32, 64))
    mask = None
    if masked:
        mask = np.ones(x.shape[1:], bool)
        mask[3:7, 4:9] = False
        x[:, ~mask] = np.nan
    d, guide = few_filters((1, 1), 1, "input"), pair.y.mean(0)
    found = restore_blocks(
        x, guide, "depth-sr", dictionary=d, mask=mask, factor=4, tol=TOL, block=32, client=client
    )
    wanted = restore(
        x, guide, "depth-sr", mask=mask, factor=4,
        method=with_codes_of(found.coded, "depth-sr", d),
    )  # fmt: skip
    assert found.factor == 4
    same(found, wanted, 1e-4)


@pytest.mark.parametrize("masked", [False, pytest.param(True, marks=SLOW)])
def test_a_sharp_depth_map_is_reduced_first_as_the_whole_is(masked, client):
    pair = make_pair("depth", 0, (64, 96))
    x = np.repeat(np.repeat(imresize(pair.target, 0.25), 4, 1), 4, 2)  # neighbours repeated
    mask = None
    if masked:
        mask = np.ones(x.shape[1:], bool)
        mask[13:27, 14:39] = False
    d, guide = few_filters((1, 1), 1, "input"), pair.y.mean(0)
    given = {"mask": mask, "factor": 4, "value_range": (0, 1)}
    with pytest.warns(UserWarning, match="x is as large as y and sharper .* reduced to 16 x 24"):
        found = restore_blocks(
            x, guide, "depth-sr", dictionary=d, tol=TOL, block=32, client=client, **given
        )
    method = with_codes_of(found.coded, "depth-sr", d)
    with pytest.warns(UserWarning, match="reduced to 16 x 24"):
        wanted = restore(x, guide, "depth-sr", method=method, **given)
    same(found, wanted, 1e-4)


def test_bands_of_little_contrast_are_stretched_by_what_the_whole_spans(client):
    pair = make_pair("multispectral", 0, (32, 64))
    wide = pair.target / pair.target.max()
    x = imresize(np.concatenate([wide, 0.2 + 0.03 * wide]), 0.25)
    mask = np.ones(x.shape[1:], bool)
    mask[2:4, 9:12] = False
    x[:, ~mask] = 0.7
    d, guide = few_filters((1, 1), 1, "input"), 0.2 * pair.y.mean(0)
    given = {"mask": mask, "factor": 4, "value_range": (0, 1)}
    found = restore_blocks(
        x, guide, "multispectral-sr", dictionary=d, tol=TOL, block=32, client=client, **given
    )
    method = with_codes_of(found.coded, "multispectral-sr", d)
    wanted = restore(x, guide, "multispectral-sr", method=method, **given)
    assert found.stretched == wanted.stretched == (1,)
    same(found, wanted, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["input", "injected"])
def test_the_guide_of_each_band_is_mixed_as_in_the_whole(client, base):
    pair = make_pair("multispectral", 0, (44, 60))
    bands = np.concatenate([0.8 * pair.y[:1] + 0.1, pair.y[2:] - 0.2 * pair.y[1:2]])
    x = imresize(bands, 0.25)
    mask, guide_mask = np.ones(x.shape[1:], bool), np.ones(pair.y.shape, bool)
    mask[2:4, 9:12] = guide_mask[1, 36:, :20] = False
    guide = np.where(guide_mask, pair.y, 9)
    given = {
        "mask": mask, "guide_mask": guide_mask, "factor": 4, "value_range": (0, 1),
    }  # fmt: skip
    d = few_filters((1, 1), 1, base)
    found = restore_blocks(
        x, guide, "multispectral-sr", dictionary=d, tol=0.5, block=36, client=client, **given
    )
    method = with_codes_of(found.coded, "multispectral-sr", d)
    same(found, restore(x, guide, "multispectral-sr", method=method, **given), 1e-5)


@pytest.mark.slow
def test_where_nothing_is_known_for_blocks_around(client):
    pair = make_pair("flash", 0, (32, 220))
    mask = np.ones((32, 220), bool)
    mask[:, 60:] = False
    x = np.where(mask, pair.x, np.nan)
    found = restore_blocks(
        x, pair.y, "flash-denoise", dictionary=few_filters((3, 3), 3), tol=0.5, mask=mask,
        block=32, client=client,
    )  # fmt: skip
    image = found.image.compute()
    assert np.isfinite(image).all()
    # Far from all that is known: the mean of the last block with known pixels.
    far = image[:, :, -20:].mean((1, 2))
    np.testing.assert_allclose(far, pair.x[:, :, 32:60].mean((1, 2)), atol=0.1)


def test_a_factor_far_from_the_one_that_was_learned_for_is_told(client):
    pair = make_pair("depth", 0, (32, 64))
    with pytest.warns(UserWarning, match="x is enlarged 16 times, and the dictionary was learned"):
        restore_blocks(
            imresize(pair.target, 1 / 16), pair.y.mean(0), "depth-sr", tol=0.9, client=client,
            dictionary=few_filters((1, 1), 1, "input"),
        )  # fmt: skip


@pytest.mark.parametrize(("channels", "wanted"), [(3, [0, 1, 1]), (1, [0])])
def test_a_channel_of_the_guide_that_is_unknown_around_a_block_loses_no_other(channels, wanted):
    pair = make_pair("flash", 0, (32, 32))
    x, y = pair.x[:1], pair.y
    forms = ImageForm.of("x", x), ImageForm.of("y", y)
    local = LocalRestoration(
        few_filters((1, channels), 1), get_task("flash-denoise"), forms, None, 1, None
    )
    known = np.ones((3, 32, 32), np.float32)
    known[0] = 0
    fallback = np.zeros(1), np.full(3, 0.5)
    found = local.signals([x, y, None, known], (fallback,), (slice(4, 28), slice(0, 32)))
    assert found["guide_mask"].shape == (channels, 24, 32)
    assert found["guide_mask"].mean((1, 2)).tolist() == wanted
    assert "mask0" not in found or found["mask0"] is None


@pytest.mark.slow
def test_it_goes_on_from_its_folder_and_leaves_codes_alone(client, tmp_path):
    pair = make_pair("flash", 0, (40, 50))
    asked = {"dictionary": few_filters((3, 3), 3), "block": 30, "client": client}
    with pytest.warns(mcsc.ConvergenceWarning):
        first = restore_blocks(
            pair.x, pair.y, "flash-denoise", folder=tmp_path, tol=1e-7, max_sweeps=1, **asked
        )
    again = restore_blocks(
        pair.x, pair.y, "flash-denoise", folder=tmp_path, tol=first.gap * 1.01, **asked
    )
    assert again.coded[0].sweeps == 0
    assert [p.name for p in tmp_path.iterdir()] == ["codes-0"]
    with pytest.raises(ValueError, match="another problem: lam"):
        restore_blocks(pair.x, pair.y, "flash-denoise", folder=tmp_path, lam=0.5, **asked)


# ------------------------------------------------------------------------------------ fusion
@pytest.mark.parametrize(
    ("task", "count", "rule"),
    [
        ("multi-focus", 2, None),
        pytest.param("multi-focus", 3, None, marks=SLOW),
        pytest.param("medical", 2, None, marks=SLOW),
        pytest.param("multi-exposure", 2, "choose", marks=SLOW),
    ],
)
def test_a_fusion_is_that_of_the_whole(task, count, rule, client):
    pair = make_pair(
        {"multi-focus": "focus", "medical": "medical"}.get(task, "exposure"), 0, (40, 66)
    )
    sources = [pair.x, pair.y] if count == 2 else [pair.x, pair.y, 0.5 * (pair.x + pair.y)]
    d = few_filters((1, 1), 1)
    found = fuse_blocks(sources, task, dictionary=d, rule=rule, tol=TOL, block=40, client=client)
    wanted = fuse(
        sources, task, rule=rule, method=with_codes_of([found.coded], task, d), ghosts=False
    )
    assert found.rule == wanted.rule
    assert found.value_ranges == wanted.value_ranges
    for part, whole in zip(found.unique, wanted.unique, strict=True):
        np.testing.assert_allclose(part.compute(), whole, atol=1e-5)
    for name in ("image", "base", "common"):
        np.testing.assert_allclose(
            getattr(found, name).compute(), getattr(wanted, name), atol=1e-5, err_msg=name
        )
    assert (found.index is None) == (wanted.index is None)
    if found.index is not None:
        np.testing.assert_array_equal(found.index.compute()[0], wanted.index)


# --------------------------------------------------------------------------------- the steps
@pytest.mark.parametrize("strength", [0.5, 5.0, 40.0])
def test_the_halo_is_enough_for_the_low_pass_split(strength):
    image = np.random.default_rng(0).standard_normal((1, 90, 700))
    whole = lowpass_split(image, strength).low
    grid = BlockGrid((90, 700), 64, halo_of_split(strength))
    made = made_of_blocks(
        grid,
        lambda parts, words, box: {"low": lowpass_split(parts[0], strength).low[:, *box]},
        [(da.from_array(image), 1)],
        lambda number, around: (),
        {"low": (1, float)},
    )
    found = made["low"].compute(scheduler="synchronous")
    np.testing.assert_allclose(found, whole, atol=1e-7)
    np.testing.assert_array_equal(np.abs(found - whole).max() > 0, True)


def test_integers_are_rounded_and_what_is_cut_off_is_counted(client, tmp_path):
    image = da.from_array(np.array([[[-3.0, 0.4], [254.6, 300.0]]]), (1, 1, 2))
    for name in ("a.tif", "a.zarr"):
        assert write_blocks(tmp_path / name, image, dtype="u1", client=client) == 0.5
        found = open_image(tmp_path / name).compute(scheduler="synchronous")
        np.testing.assert_array_equal(found.reshape(2, 2), [[0, 0], [255, 255]])
        assert found.dtype == np.uint8


# ---------------------------------------------------------------------------------- refusals
def refused(error, match, function, *given, **options):
    with pytest.raises(error, match=match) as caught:
        function(*given, **options)
    assert isinstance(caught.value, Refusal)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused_before_a_cluster_is_started(monkeypatch):
    def started(*args, **options):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr("mcsc.distributed.images.coding.opened", started)
    grey = np.zeros((60, 80), np.float32)
    colour = np.zeros((3, 60, 80), np.float32)
    many = np.zeros((4, 60, 80), np.float32)

    def no(error, match, *given, **options):
        refused(error, match, restore_blocks, *given, **options)

    no(ValueError, "restoration", grey, grey, "multi-focus")
    no(ValueError, "registered images of one size", colour, colour[:, :-1], "flash-denoise")
    no(ValueError, "factor is for super-resolution", colour, colour, "flash-denoise", factor=2)
    no(ValueError, "sigma is for denoising", grey[:15, :20], grey, "depth-sr", sigma=3)
    no(ValueError, "factor that divides its sides", grey[:15, :20], grey[:58], "depth-sr")
    no(ValueError, "factor that divides its sides", grey, grey, "depth-sr", factor=7)
    no(ValueError, "the mask of x has shape", colour, colour, "flash-denoise", mask=grey[1:])
    no(TypeError, "array of Dask, NumPy or zarr", [[1.0]], grey, "flash-denoise")
    no(ValueError, "block must be a whole number", colour, colour, "flash-denoise", block=0)
    no(ValueError, "smaller than the filters", colour, colour, "flash-denoise", block=3)
    low = {"names": ("a.tif", "b.tif")}
    no(ValueError, "larger than b.tif", colour[:, :5], colour[:, :5], "flash-denoise", **low)
    no(ValueError, "tol", colour, colour, "flash-denoise", tol=1)
    no(ValueError, "lam must be finite", colour, colour, "flash-denoise", lam=-1.0)

    def neither(error, match, *given, **options):
        refused(error, match, fuse_blocks, *given, **options)

    neither(ValueError, "depends on the whole image.*choose", [grey, grey], "multi-exposure")
    neither(ValueError, "2 to 8 in blocks", [grey], "multi-focus")
    neither(ValueError, "all sources grey, or all in colour", [grey, colour], "medical")
    neither(ValueError, "want 1 or 3", [many, many], "medical")
    neither(ValueError, "one size", [grey, grey[1:]], "medical")
    neither(ValueError, "larger than a.tif", [grey[:5], grey[:5]], "medical", **low)
    neither(TypeError, "list or tuple", colour, "medical")
    neither(ValueError, "rule must be one of", [grey, grey], "medical", rule="best")


def test_what_is_wrong_with_values_is_told_by_name(client):
    pair = make_pair("flash", 0, (40, 50))
    x = pair.x.copy()
    x[0, 30, 30] = np.nan
    asked = {"dictionary": few_filters((3, 3), 3), "client": client, "names": ("a.tif", "b.tif")}
    refused(
        ValueError, "a.tif holds NaN or Inf.*give a mask", restore_blocks, x, pair.y,
        "flash-denoise", **asked,
    )  # fmt: skip
    refused(
        ValueError, r"mask of a.tif holds values outside", restore_blocks, pair.x, pair.y,
        "flash-denoise", mask=np.full((40, 50), 255), **asked,
    )  # fmt: skip
    refused(
        ValueError, r"mask of b.tif is 0 everywhere", restore_blocks, pair.x, pair.y,
        "flash-denoise", guide_mask=np.zeros((40, 50)), **asked,
    )  # fmt: skip


@pytest.mark.parametrize(("task", "masked"), [("depth-sr", True), ("flash-denoise", False)])
def test_the_base_of_the_guided_filter_is_that_of_the_whole(task, masked, client):
    depth = task == "depth-sr"
    # Other noise than the task's: the filter follows it.
    sigma = 20.0
    pair = make_pair("depth" if depth else "flash", 1, (32, 96), sigma=sigma / 255)
    x = imresize(pair.target, 0.25).astype(np.float32) if depth else pair.x
    guide, given, mask = pair.y.mean(0) if depth else pair.y, {}, None
    if masked:
        mask = np.ones(x.shape[1:], bool)
        mask[2:6, 4:9] = False
    if not depth:
        given["sigma"] = sigma
    channels = (1, 1) if depth else (3, 3)
    d = few_filters(channels, channels[0], "guided")
    found = restore_blocks(x, guide, task, dictionary=d, mask=mask, tol=TOL, block=48,
                           client=client, **given)  # fmt: skip
    wanted = restore(
        x, guide, task, mask=mask, method=with_codes_of(found.coded, task, d), ghosts=False, **given
    )
    same(found, wanted, 1e-4)
