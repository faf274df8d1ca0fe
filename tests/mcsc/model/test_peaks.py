"""Products in float32 with a bound on their rounding: the result is float64's."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.backend import set_num_threads
from mcsc.model.certificate import Envelope
from mcsc.model.convolution import adjoint
from mcsc.model.peaks import TilePeaks
from tests.helpers import make_problem


def look_of(problem, image):
    d = problem.dictionary
    looker = TilePeaks(d.groups, problem.shape, problem.boundary, problem.backend, problem.penalty)
    return looker.look(image)


def by_all_correlations(problem, image):
    """Largest ratio and excess of each sample, from correlations in float64 that exist whole."""
    g = adjoint(problem.exact_operator, problem.backend, image)
    penalty = problem.penalty
    lam = np.concatenate(
        [
            np.broadcast_to(a, (len(g), s.stop - s.start, *problem.shape))
            for a, s in zip(penalty.lam, penalty.groups, strict=True)
        ],
        axis=1,
    )
    pull = np.where(penalty.nonnegative.reshape(-1, 1, 1), g, np.abs(g))
    mu = penalty.mu.reshape(-1, 1, 1)
    over = np.maximum(pull - lam, 0) ** 2 / np.where(mu > 0, 2 * mu, np.inf)
    ratio = np.where(mu > 0, 0, np.maximum(pull / lam, 0))
    return ratio.max((1, 2, 3)), over.sum((1, 2, 3))


RNG = np.random.default_rng(1)
SHAPE = (45, 70)  # of several tiles, some of them narrow
TERMS = {
    "plain": {},
    "lam a pixel": {"lam": (0.3, RNG.uniform(0.1, 0.6, SHAPE), 0.2)},
    "one group non-negative": {"nonnegative": (True, False, False)},
    "squares": {"mu": (0.0, 0.2, 3.0), "lam": 0.05},
    "only squares": {"mu": 0.1, "lam": 0.05},
}
IMAGES = {
    "noise": lambda x: x,
    "tiny": lambda x: 1e-33 * x,
    "huge": lambda x: 1e120 * x,
    "a far point": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 999, 1e7, 1e-3 * x),
    "flat": np.ones_like,
    "nearly flat": lambda x: 1e6 + x,
    "zero": np.zeros_like,
}


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("kind", IMAGES)
def test_largest_ratio_and_excess_are_those_of_float64(boundary, terms, kind):
    problem = make_problem(shape=SHAPE, samples=2, boundary=boundary, size=5, **TERMS[terms])
    image = IMAGES[kind](problem.stacked)
    found = look_of(problem, image)
    largest, excess = by_all_correlations(problem, image)
    np.testing.assert_allclose(found.largest, largest, rtol=1e-11)
    np.testing.assert_allclose(found.excess, excess, rtol=1e-9)
    assert found.cells.shape == (2, 6, 9)
    if kind == "noise":
        np.testing.assert_allclose(found.cells.max((1, 2)), largest, rtol=1e-4)


def test_filters_without_a_mean_do_not_see_a_large_one():
    """The bound on rounding is larger than all correlations: whole tiles go in float64."""
    problem = make_problem(shape=SHAPE, size=4, boundary="periodic")
    d = mcsc.dct_dictionary((1, 1), 4, 3)
    problem = mcsc.Problem(problem.signals, d, 0.1, boundary="periodic")
    image = 1e5 + problem.stacked
    largest, _ = by_all_correlations(problem, image)
    np.testing.assert_allclose(look_of(problem, image).largest, largest, rtol=1e-9)


def test_little_is_computed_in_float64(monkeypatch):
    """On an ordinary image: else the products in float32 would save nothing."""
    from mcsc.backend import peak_kernels

    counts = []
    count_above = peak_kernels.count_above

    def counted(ratio, threshold):
        counts.append((count_above(ratio, threshold), ratio.size))
        return counts[-1][0]

    monkeypatch.setattr(peak_kernels, "count_above", counted)
    problem = make_problem(shape=SHAPE, size=5)
    counts.clear()
    look_of(problem, problem.stacked)
    assert len(counts) == 6
    assert all(0 < found < 1 + size / 1000 for found, size in counts)


def test_results_do_not_depend_on_threads(keep_threads):
    problem = make_problem(shape=SHAPE, samples=2, size=5, mu=(0.0, 0.1, 0.1), lam=0.05)
    found = []
    for threads in (1, 3):
        set_num_threads(threads)
        found.append(look_of(problem, problem.stacked))
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, three)


def test_what_overflows_is_not_finite():
    problem = make_problem(shape=SHAPE)
    image = problem.stacked.copy()
    image[0, 0, 3, 3] = np.inf
    assert not np.isfinite(look_of(problem, image).largest).any()


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("terms", ["plain", "lam a pixel", "squares"])
def test_parts_of_an_image_see_what_the_whole_sees(boundary, terms):
    problem = make_problem(3, shape=SHAPE, boundary=boundary, **({"lam": 0.3} | TERMS[terms]))
    image = np.random.default_rng(5).standard_normal(problem.stacked.shape)
    d = problem.dictionary
    looker = TilePeaks(d.groups, SHAPE, boundary, problem.backend, problem.penalty)
    whole = looker.look(image)
    cells = np.zeros_like(whole.cells)
    largest, excess = 0.0, 0.0
    # Edges between cells and between tiles, and in the middle of both.
    for top, bottom in ((0, 13), (13, 40), (40, 45)):
        for left, right in ((0, 32), (32, 35), (35, 70)):
            part = looker.look(image, (slice(top, bottom), slice(left, right)))
            i, j = top // 8, left // 8
            there = cells[:, i : i + part.cells.shape[1], j : j + part.cells.shape[2]]
            np.maximum(there, part.cells, out=there)
            largest = max(largest, float(part.largest[0]))
            excess += float(part.excess[0])
    np.testing.assert_allclose(cells, whole.cells, rtol=1e-5, atol=1e-6)
    assert largest == pytest.approx(float(whole.largest[0]), rel=1e-12)
    assert excess == pytest.approx(float(whole.excess[0]), rel=1e-9)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_parts_of_an_envelope_are_those_of_the_whole(boundary):
    shape = (43, 70)
    envelope = Envelope(shape, 5, boundary)
    cells = np.random.default_rng(0).uniform(0, 2, (1, 6, 9))
    shrink = envelope.of(cells)
    whole = envelope.everywhere(shrink)
    starts = ((0, 0), (11, 30)) if boundary == "zero" else ((0, 0), (-3, -6), (11, 30), (40, 66))
    for top, left in starts:
        region = slice(top, top + 20), slice(left, left + 33)
        part = envelope.interpolated(envelope.around(shrink, region), region)
        rows, columns = (np.arange(p.start, p.stop) % n for p, n in zip(region, shape, strict=True))
        np.testing.assert_allclose(part, whole[:, rows[:, None], columns], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_an_envelope_falls_off_from_its_peaks(boundary):
    shape, size = (43, 70), 5
    envelope = Envelope(shape, size, boundary)
    ratios = np.random.default_rng(1).uniform(0, 2, (2, 6, 9))
    ratios[1] = 0  # a sample without violations
    peaks = np.maximum(ratios - 1, 0)
    # By the definition: the largest of what falls off with the distance along each axis from every
    # cell and its neighbours. 8 pixels a cell; 1/e in half a filter.
    fall = np.exp(-8 / (0.5 * size))
    for axis, count in ((1, 6), (2, 9)):
        shifts = [np.take(peaks, np.arange(count) + d, axis, mode="wrap") for d in (-1, 0, 1)]
        if boundary == "zero":
            shifts = [np.take(peaks, np.arange(count) + d, axis, mode="clip") for d in (-1, 0, 1)]
        peaks = np.max(shifts, axis=0)
    found = envelope.of(ratios)
    expected = np.zeros_like(peaks)
    for i in range(6):
        for j in range(9):
            rows, columns = np.abs(np.arange(6) - i), np.abs(np.arange(9) - j)
            if boundary == "periodic":
                rows, columns = np.minimum(rows, 6 - rows), np.minimum(columns, 9 - columns)
            weight = fall ** rows[:, None] * fall ** columns[None, :]
            expected[:, i, j] = (peaks * weight).max((1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not found[1].any()
