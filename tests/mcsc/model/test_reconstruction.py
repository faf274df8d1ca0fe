"""Images from codes: Eqs. 3 and 4, part by part."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from tests.helpers import (
    code_groups,
    convolve,
    explicit_matrix,
    make_dictionary,
    make_problem,
    solve,
)

SHAPE = (9, 8)


def random_codes(dictionary, samples=2, seed=0):
    rng = np.random.default_rng(seed)

    def maps(k):
        return rng.standard_normal((samples, k, *SHAPE)) if k else None

    return mcsc.Codes.from_dense(maps(dictionary.n_common), [maps(k) for k in dictionary.n_unique])


def synthesis(bank, maps):
    return np.stack([convolve(bank, a) for a in maps])


@pytest.mark.parametrize("task", ["restoration", "fusion"])
@pytest.mark.parametrize(("size", "target"), [(3, 1), (4, 3), ((3, 3, 3, 3, 6, 5, 2), 2)], ids=str)
def test_parts_of_the_target(task, size, target):
    """The target's filters may have channels and sizes of their own."""
    d = make_dictionary(channels=(1, 3), size=size, unique=(2, 1), target=target)
    codes = random_codes(d)
    parts = mcsc.reconstruct(codes, d, task)
    np.testing.assert_allclose(parts.common, synthesis(d.target_common, codes.common), atol=1e-12)
    wanted = [synthesis(g, a) for g, a in zip(d.target_unique, codes.unique, strict=True)]
    if task == "restoration":
        assert parts.unique[1] is None
        wanted[1] = 0.0
    for found, part in zip(parts.unique, wanted, strict=True):
        if found is not None:
            np.testing.assert_allclose(found, part, atol=1e-12)
    assert parts.image.shape == (2, target, *SHAPE)
    np.testing.assert_allclose(parts.image, parts.common + sum(wanted), atol=1e-12)


def test_restoration_is_the_default_and_needs_no_second_part():
    d = make_dictionary(target=1)
    half = mcsc.Dictionary(d.common, d.unique, d.target_common, (d.target_unique[0], None))
    codes = random_codes(d)
    np.testing.assert_array_equal(
        mcsc.reconstruct(codes, half).image, mcsc.reconstruct(codes, d, "restoration").image
    )


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_without_target_filters_the_target_is_the_first_signal(boundary):
    """What the optimum leaves of x is what the objective says."""
    problem = make_problem(channels=(3, 1), shape=SHAPE, size=4, boundary=boundary)
    result = solve(problem, tol=1e-6)
    d, codes = problem.dictionary, result.codes
    parts = mcsc.reconstruct(codes, d, boundary=boundary)
    matrix = explicit_matrix(d, SHAPE, boundary)
    image = (matrix @ codes.stacked(d).ravel()).reshape(1, 4, *SHAPE)[:, :3]
    np.testing.assert_allclose(parts.image, image, atol=1e-12)
    np.testing.assert_allclose(parts.image, parts.common + parts.unique[0], atol=1e-12)
    assert parts.unique[1] is None


@pytest.mark.parametrize(
    ("common", "unique", "channels"), [(3, (0, 2), (1, 1)), (0, 2, (2,)), (2, 0, (1, 1, 1))]
)
def test_absent_groups(common, unique, channels):
    d = make_dictionary(common=common, unique=unique, channels=channels)
    codes = random_codes(d)
    parts = mcsc.reconstruct(codes, d)
    assert (parts.common is None) == (common == 0)
    assert len(parts.unique) == len(channels)
    groups = [banks[0] for banks in code_groups(d)]
    maps = [a for a in (codes.common, *codes.unique) if a is not None]
    wanted = sum(synthesis(g, a) for g, a in zip(groups, maps, strict=True) if g is not None)
    np.testing.assert_allclose(parts.image, wanted, atol=1e-12)


def test_codes_without_unique_maps_may_leave_them_out():
    d = make_dictionary(unique=0)
    maps = np.random.default_rng(0).standard_normal((1, 3, *SHAPE))
    parts = mcsc.reconstruct(mcsc.Codes.from_dense(maps), d)
    np.testing.assert_array_equal(parts.image, parts.common)
    assert parts.unique == (None, None)


def test_precision_is_that_of_the_codes():
    d = make_dictionary(target=1)
    codes = random_codes(d)
    single = mcsc.Codes.from_dense(
        codes.common.astype("float32"), [u.astype("float32") for u in codes.unique]
    )
    found, wanted = mcsc.reconstruct(single, d).image, mcsc.reconstruct(codes, d).image
    assert found.dtype == np.float32
    assert wanted.dtype == np.float64
    np.testing.assert_allclose(found, wanted, atol=2e-5)


# ----------------------------------------------------------------------- refusals
def fitted():
    d = make_dictionary(target=1)
    return d, random_codes(d)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "denoise"}, "task must be 'restoration' or 'fusion', found 'denoise'"),
        ({"boundary": "mirror"}, "boundary must be 'zero' or 'periodic', found 'mirror'"),
    ],
)
def test_refused_options(options, message):
    d, codes = fitted()
    with pytest.raises(ValueError, match=message):
        mcsc.reconstruct(codes, d, **options)


def test_refused_types():
    d, codes = fitted()
    with pytest.raises(TypeError, match=r"codes must be mcsc\.Codes, found ndarray"):
        mcsc.reconstruct(codes.common, d)
    with pytest.raises(TypeError, match=r"dictionary must be an mcsc\.Dictionary, found tuple"):
        mcsc.reconstruct(codes, d.common)


def test_fusion_needs_the_target_s_filters():
    d, codes = fitted()
    with pytest.raises(ValueError, match=r"fusion needs target filters .* the dictionary has none"):
        mcsc.reconstruct(codes, mcsc.Dictionary(d.common, d.unique), "fusion")
    for unique in (None, (d.target_unique[0], None)):
        half = mcsc.Dictionary(d.common, d.unique, d.target_common, unique)
        with pytest.raises(ValueError, match="target filters for every signal's unique codes"):
            mcsc.reconstruct(codes, half, "fusion")


def test_dictionary_without_a_filter_for_these_codes():
    d = make_dictionary(common=0, unique=2)
    half = mcsc.Dictionary(None, d.unique, None, (None, d.unique[1]))
    with pytest.raises(ValueError, match="the dictionary has no target filters for these codes"):
        mcsc.reconstruct(random_codes(d), half)


@pytest.mark.parametrize("other", [{"common": 2}, {"unique": (2, 1)}, {"channels": (1,)}], ids=str)
def test_codes_of_another_dictionary(other):
    d, _ = fitted()
    codes = random_codes(make_dictionary(**other))
    with pytest.raises(ValueError, match=r"codes have \[.*\] maps per group, .* \[3, 2, 2\]"):
        mcsc.reconstruct(codes, d)
    with pytest.raises(ValueError, match="codes have"):
        mcsc.reconstruct(mcsc.Codes.from_dense(None, codes.unique), d)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_target_filters_larger_than_the_image(boundary):
    d = make_dictionary(size=(3, 3, 3, 3, 9, 9, 9), target=1)
    with pytest.raises(ValueError, match=r"target filters .* filters 9x9, image 9x8"):
        mcsc.reconstruct(random_codes(d), d, boundary=boundary)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("size", [3, 4])
def test_parts_of_the_signals(boundary, size):
    problem = make_problem(channels=(1, 3), size=size, shape=SHAPE, boundary=boundary, samples=2)
    d = problem.dictionary
    codes = random_codes(d)
    parts = mcsc.signal_parts(codes, d, boundary=boundary)
    matrix = explicit_matrix(d, SHAPE, boundary)
    maps = np.concatenate([codes.common, *codes.unique], axis=1).reshape(2, -1)
    image = (maps @ matrix.T).reshape(2, 4, *SHAPE)
    np.testing.assert_allclose(np.concatenate([p.image for p in parts], axis=1), image, atol=1e-12)
    for m, part in enumerate(parts):
        np.testing.assert_allclose(part.image, part.common + part.unique[m], atol=1e-14)
        assert part.unique[1 - m] is None


def test_parts_of_a_signal_alone():
    d = make_dictionary(channels=(2,), common=0, unique=(3,))
    codes = random_codes(d)
    (part,) = mcsc.signal_parts(codes, d)
    assert part.common is None
    np.testing.assert_allclose(part.image, synthesis(d.unique[0], codes.unique[0]), atol=1e-12)


def test_what_parts_are_made_of():
    d = make_dictionary()
    codes = random_codes(d)
    for make in (mcsc.reconstruct, mcsc.signal_parts):
        with pytest.raises(TypeError, match=r"codes must be mcsc.Codes, found ndarray"):
            make(np.ones(3), d)
        with pytest.raises(TypeError, match=r"dictionary must be an mcsc.Dictionary, found tuple"):
            make(codes, (d,))
    first, second = (mcsc.reconstruct(codes, d) for _ in range(2))
    assert first == first
    assert first != second  # and not an array of answers
    assert len({first, second}) == 2
