"""Blocks: the optimum and the certificate of the whole image, for any cut of it."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mcsc
from mcsc.errors import Refusal
from tests.helpers import (
    dense_systems,
    make_dictionary,
    make_masks,
    make_problem,
    make_signals,
    stacked,
)

pytest.importorskip("distributed")

import dask.array as da

from mcsc.distributed import solve_blocks
from mcsc.distributed.cover import Cover, edges_of_blocks
from tests.mcsc.distributed.here import solve_here


def whole(problem, tol=1e-8):
    return mcsc.solve(
        problem.signals,
        problem.dictionary,
        problem.lam,
        masks=problem.masks,
        boundary=problem.boundary,
        tol=tol,
    )


def images(problem):
    """Signals and masks without the axis of the batch."""
    masks = problem.masks
    if masks is not None:
        masks = tuple(None if m is None else m[0] for m in masks)
    return tuple(x[0] for x in problem.signals), masks


# ------------------------------------------------------------------------------ the optimum
@pytest.mark.slow
@settings(max_examples=5)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(9, 18), st.integers(9, 18)),
    block=st.tuples(st.integers(5, 12), st.integers(6, 20)),
    boundary=st.sampled_from(["zero", "periodic"]),
    masks=st.sampled_from([None, "binary", "fractional"]),
    channels=st.sampled_from([(1,), (1, 2), (3, 1)]),
    size=st.sampled_from([3, 4]),
)
def test_the_optimum_is_that_of_the_whole(seed, shape, block, boundary, masks, channels, size):
    problem = make_problem(
        seed, channels=channels, shape=shape, masks=masks, boundary=boundary, size=size, lam=0.2
    )
    signals, weights = images(problem)
    found = solve_here(
        signals, problem.dictionary, problem.lam, boundary, block, tol=1e-4, masks=weights
    )
    assert found.converged
    assert found.objective == pytest.approx(whole(problem).objective, rel=1e-4)
    # The sums over blocks are the problem's own numbers, not about them.
    assert found.objective == pytest.approx(problem.objective(found.codes), rel=1e-12)
    assert problem.gap(found.codes) <= 1e-4 * (1 + 1e-9)
    assert found.nonzeros == found.codes.nnz


TERMS = {
    "plain": {},
    "squares": {"mu": (0.3, 0.0, 1.0)},
    "squares alone": {"mu": 0.2},
    "signs": {"nonnegative": True},
    "signs of one group, and squares": {"nonnegative": (True, False, False), "mu": 0.1},
}


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("terms", TERMS)
def test_the_gap_is_that_of_the_whole(boundary, terms):
    # Neither the image nor its blocks end where cells and tiles do.
    given = TERMS[terms]
    problem = make_problem(
        4, shape=(37, 75), boundary=boundary, lam=0.1, channels=(2, 1), masks="binary", **given
    )
    signals, masks = images(problem)
    found = solve_here(
        signals, problem.dictionary, problem.lam, boundary, (20, 41), tol=1e-9, max_sweeps=1,
        masks=masks, **given,
    )  # fmt: skip
    assert found.stopped == "max_iter"
    assert found.gap > 1e-6
    assert found.objective == pytest.approx(problem.objective(found.codes), rel=1e-12)
    # The envelope is made of ratios in float32.
    assert found.gap == pytest.approx(problem.gap(found.codes), rel=1e-6, abs=1e-11)


def test_the_gap_is_that_of_the_formula():
    problem = make_problem(4, shape=(14, 16), lam=0.1, channels=(2, 1))
    signals, _ = images(problem)
    found = solve_here(signals, problem.dictionary, problem.lam, "zero", 8, tol=1e-9, max_sweeps=1)
    # The residual as a dual point, scaled as a whole; what is scaled place by place does better.
    [(matrix, target, lam)] = dense_systems(problem)
    a = stacked(found.codes).ravel()
    r = target - matrix @ a
    limit = 1 / np.max(np.abs(matrix.T @ r) / lam)
    t = np.clip(target @ r / (r @ r), -limit, limit)
    primal = 0.5 * r @ r + lam @ np.abs(a)
    assert found.objective == pytest.approx(primal, rel=1e-12)
    assert found.gap < 1 - (t * target @ r - 0.5 * t**2 * r @ r) / primal


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize(
    "terms",
    [
        {"mu": (0.3, 0.0, 1.0), "nonnegative": (False, True, False)},
        pytest.param(
            {"lam": (0.2, np.random.default_rng(1).uniform(0.1, 0.4, (2, 20, 23)), 0.15)},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"lam": np.random.default_rng(2).uniform(0.1, 0.4, (7, 20, 23)), "mu": 0.1},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"lam": np.random.default_rng(3).uniform(0.1, 0.4, (20, 23)), "nonnegative": True},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["squares and signs", "lam of a group", "lam of all", "lam of a pixel"],
)
def test_every_penalty_has_the_optimum_of_the_whole(boundary, terms):
    problem = make_problem(9, shape=(20, 23), boundary=boundary)
    terms = {"lam": 0.2} | terms
    lam = terms.pop("lam")
    scale = mcsc.lambda_max(problem.signals, problem.dictionary, boundary=boundary)
    lam = [scale * part for part in lam] if isinstance(lam, tuple) else scale * lam
    problem = mcsc.Problem(problem.signals, problem.dictionary, lam, boundary=boundary, **terms)
    wanted = mcsc.solve(
        problem.signals, problem.dictionary, lam, boundary=boundary, tol=1e-7, **terms
    )
    found = solve_here(
        images(problem)[0], problem.dictionary, lam, boundary, (10, 12), tol=1e-5, **terms
    )
    assert found.converged
    assert found.objective == pytest.approx(wanted.objective, rel=1e-5)
    assert found.objective == pytest.approx(problem.objective(found.codes), rel=1e-12)
    assert found.gap == pytest.approx(problem.gap(found.codes), rel=1e-4, abs=1e-12)
    if np.any(terms.get("nonnegative")):
        common = terms["nonnegative"] is True
        assert (found.codes.sparse_common.value >= 0).all() or not common


def test_weights_of_signals_and_filters_of_several_sizes():
    banks = make_dictionary(2, channels=(1, 1), size=[5, 5, 3, 4])
    d = mcsc.Dictionary(banks.common, banks.unique, signal_weights=(1.0, 0.4))
    signals = tuple(x[0] for x in make_signals(3, shape=(31, 38)))
    lam = 0.15 * mcsc.lambda_max(signals, d)
    problem = mcsc.Problem(signals, d, lam)
    found = solve_here(signals, d, lam, "zero", (16, 20), tol=1e-5)
    assert found.objective == pytest.approx(whole(problem).objective, rel=1e-5)
    assert found.objective == pytest.approx(problem.objective(found.codes), rel=1e-12)


@pytest.mark.slow
def test_float32_and_unknown_pixels_that_hold_nan():
    signals = tuple(x[0] for x in make_signals(5, shape=(26, 28), dtype="float32"))
    d = make_dictionary(5, size=4)
    mask = np.ones((26, 28), dtype=np.float32)
    mask[9:17, 5:20] = 0
    signals[0][:, mask == 0] = np.nan
    lam = 0.2 * mcsc.lambda_max(signals, d, masks=(mask, None))
    found = solve_here(signals, d, lam, "zero", 13, tol=1e-5, masks=(mask, None))
    problem = mcsc.Problem(signals, d, lam, (mask, None))
    assert found.objective == pytest.approx(whole(problem, 1e-6).objective, rel=2e-5)
    assert found.codes.dtype == np.float32


@pytest.mark.slow
def test_the_image_of_the_codes_is_that_of_reconstruct():
    d = make_dictionary(6, size=5, target=2)
    signals = tuple(x[0] for x in make_signals(6, shape=(23, 28)))
    found = solve_here(signals, d, 0.2 * mcsc.lambda_max(signals, d), "zero", 14, tol=1e-4)
    for task in ("restoration", "fusion"):
        parts, wanted = found.reconstruct(task), mcsc.reconstruct(found.codes, d, task)
        assert isinstance(parts.image, da.Array)
        np.testing.assert_allclose(parts.image.compute(), wanted.image[0], atol=1e-12)
        np.testing.assert_allclose(parts.common.compute(), wanted.common[0], atol=1e-12)
        for part, other in zip(parts.unique, wanted.unique, strict=True):
            assert (part is None) == (other is None)
            if part is not None:
                np.testing.assert_allclose(part.compute(), other[0], atol=1e-12)


# ---------------------------------------------------------------------------------- the cover
def _refused(edges, size):
    try:
        Cover(*edges, size, "periodic")
    except Refusal as error:
        return "halos do not fit" in str(error)
    return False


@given(
    shape=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    side=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    size=st.integers(1, 8),
    boundary=st.sampled_from(["zero", "periodic"]),
)
def test_colours_cover_the_image_and_fields_of_one_are_disjoint(shape, side, size, boundary):
    sides = [max(s, size) for s in side]
    edges = [edges_of_blocks(n, s, size) for n, s in zip(shape, sides, strict=True)]
    assert all(b - a >= size for e in edges for a, b in pairwise(e))
    narrow = any(len(e) == 2 and e[-1] < 3 * size for e in edges)
    if boundary == "periodic" and narrow and max(map(len, edges)) > 2:
        assume(not _refused(edges, size))
    cover = Cover(*edges, size, boundary)
    seen = np.zeros(shape, dtype=int)
    for colour in cover.colours:
        touched = np.zeros(shape, dtype=int)
        for region in colour:
            for part, count in ((region, seen), (cover.field(region), touched)):
                rows, columns = (
                    np.arange(p.start, p.stop) % n for p, n in zip(part, shape, strict=True)
                )
                np.add.at(count, np.ix_(rows, columns), 1)
        assert touched.max() <= 1
    assert seen.min() >= 1
    blocks = np.zeros(shape, dtype=int)
    for block in cover.blocks:
        blocks[block] += 1
    assert (blocks == 1).all()


# ------------------------------------------------------------------------------- going on
def test_a_second_call_goes_on_and_another_problem_is_refused(tmp_path):
    problem = make_problem(8, shape=(20, 22), lam=0.2)
    signals, _ = images(problem)
    asked = (signals, problem.dictionary, problem.lam, "zero", 12)
    first = solve_here(*asked, tol=1e-9, max_sweeps=1, folder=tmp_path)
    assert not first.converged
    second = solve_here(*asked, tol=1e-4, folder=tmp_path)
    assert second.history.objective[0] == first.objective
    assert second.converged
    third = solve_here(*asked, tol=1e-4, folder=tmp_path)
    assert (third.sweeps, third.objective) == (0, second.objective)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    other = make_dictionary(99)
    for changed, word in (
        ((signals, problem.dictionary, 2 * problem.lam, "zero", 12), "lam"),
        ((signals, problem.dictionary, problem.lam, "periodic", 12), "boundary"),
        ((signals, problem.dictionary, problem.lam, "zero", 8), "blocks"),
        ((signals, other, problem.lam, "zero", 12), "dictionary"),
    ):
        with pytest.raises(ValueError, match=f"another problem: .*{word}"):
            solve_here(*changed, tol=1e-7, folder=tmp_path)
    for changed in ({"mu": 1.0}, {"nonnegative": True}):
        with pytest.raises(ValueError, match=f"another problem: {next(iter(changed))}"):
            solve_here(*asked, tol=1e-7, folder=tmp_path, **changed)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    problem = make_problem(8, shape=(12, 12))
    with pytest.raises(ValueError, match="not empty"):
        solve_here(*images(problem)[:1], problem.dictionary, 1.0, "zero", 6, folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


# -------------------------------------------------------------------------------- refusals
def refused(error, match, signals=None, dictionary=None, **options):
    given = tuple(x[0] for x in make_signals(0, shape=(20, 24))) if signals is None else signals
    with pytest.raises(error, match=match) as caught:
        solve_blocks(given, dictionary or make_dictionary(0, size=4), **({"lam": 0.1} | options))
    assert isinstance(caught.value, Refusal)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused_before_a_cluster_is_started(monkeypatch):
    def started(*args, **options):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr("mcsc.distributed.solve.opened", started)
    x, y = (a[0] for a in make_signals(0, shape=(20, 24)))
    refused(ValueError, "smaller than the filters", block=3)
    refused(ValueError, "block must be a whole number", block=2.5)
    refused(ValueError, "height, width", block=(8, 8, 8))
    refused(ValueError, "halos do not fit", (x[:, :5], y[:, :5]), block=9, boundary="periodic")
    refused(ValueError, "rechunk", (da.from_array(x, (1, 10, 12)), da.from_array(y, (1, 5, 12))))
    refused(ValueError, "different grids", (x, y[:, :-1]))
    refused(
        ValueError, "joint groups cannot be solved in blocks.*'admm'", joint=(False, True, True)
    )
    refused(ValueError, "two groups or more, found common alone", joint=(True, False, False))
    refused(ValueError, "for 2 signals, found 1", (x,))
    refused(ValueError, "2 channels", (np.concatenate([x, x]), y))
    refused(ValueError, "larger than the image", (x[:, :3], y[:, :3]))
    refused(TypeError, "tuple of arrays", x)
    refused(TypeError, "int64.*astype", (x, (255 * y).astype(int)))
    refused(TypeError, "array of Dask, NumPy or zarr", (x, [[1.0]]))
    refused(ValueError, "tol", tol=0)
    refused(ValueError, "max_sweeps", max_sweeps=0)
    refused(ValueError, "boundary", boundary="same")
    refused(ValueError, "for each of the 2 signals", masks=(None,))
    refused(ValueError, r"masks\[0\] has shape", masks=(np.ones((3, 3)), None))
    refused(TypeError, "callback", callback=3)
    refused(ValueError, "mu has 2 entries", mu=(1.0, 2.0))
    refused(TypeError, "nonnegative must be", nonnegative="yes")
    refused(ValueError, "lam must be finite", lam=-1.0)
    refused(ValueError, r"lam has shape \(5, 20, 24\)", lam=np.ones((5, 20, 24)))
    refused(ValueError, r"lam of group common has shape", lam=(np.ones((20, 2)), 1.0, 1.0))
    refused(TypeError, "lam must hold numbers", lam=np.ones((20, 24), dtype=bool))
    refused(
        ValueError, "20 x 24, lam of 10 x 24",
        lam=da.from_array(np.ones((20, 24)), (10, 24)),
    )  # fmt: skip


def test_it_warns_and_says_so_when_sweeps_run_out():
    problem = make_problem(1, shape=(24, 24), lam=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", mcsc.ConvergenceWarning)
        found = solve_here(
            *images(problem)[:1], problem.dictionary, problem.lam, "zero", 9, max_sweeps=1
        )
    assert "max_sweeps = 1" in found.message
    assert make_masks(None, ()) is None
