"""`decompose`: images taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mcsc
from mcsc.images import lowpass_split, motorcycle
from mcsc.tasks import decompose


def images(shape=(20, 24)):
    rng = np.random.default_rng(0)
    x, y = 0.2 + 0.1 * rng.random((2, 1, *shape))
    x[:, :, 12:] += 0.5
    y[:, :, 12:] += 0.3
    return x, y


@pytest.mark.parametrize("strength", [5.0, None])
def test_parts_are_those_of_the_solver(strength):
    x, y = images()
    d = mcsc.dct_dictionary((1, 1), 8, 3)
    told = []
    found = decompose(
        (x, y[0]), d, lam_relative=0.3, strength=strength, announce=lambda *t: told.append(t)
    )
    detail = [i if strength is None else lowpass_split(i, strength).high for i in (x, y)]
    largest = mcsc.lambda_max(detail, d)
    assert told == [(found.lam, found.lambda_max)]
    assert found.lambda_max == pytest.approx(largest)
    assert found.lam == pytest.approx(0.3 * largest)
    assert found.result.gap <= 1e-3
    assert not found.interrupted
    for m, (part, image) in enumerate(zip(found.parts, (x, y), strict=True)):
        own = mcsc.signal_parts(found.result.codes, d)[m]
        np.testing.assert_array_equal(part.common, own.common[0])
        np.testing.assert_array_equal(part.unique, own.unique[m][0])
        assert (part.low is None) == (strength is None)
        np.testing.assert_allclose(part.error, image - part.reconstruction, atol=1e-12)
        assert part.label == "xy"[m]


def test_holes_are_filled_and_labels_are_kept():
    pair = motorcycle(size=(140, 500, 48, 48))
    unknown = np.where(pair.mask > 0, pair.x, np.nan)
    found = decompose(
        (unknown, pair.y), masks=(pair.mask, None), lam=(0.3, 0.2, 0.1), labels=("disparity", "p")
    )
    assert found.lam == (0.3, 0.2, 0.1)
    part = found.parts[0]
    assert np.isfinite(part.reconstruction).all()
    assert part.label == "disparity"
    assert not part.error[:, pair.mask[0] == 0].any()
    np.testing.assert_array_equal(part.known_pixels, pair.mask[0] > 0)


def test_one_image_and_many():
    x, y = images()
    one = decompose([x], mcsc.dct_dictionary((1,), 8, 3), lam_relative=0.5)
    assert one.parts[0].common is None
    three = decompose([x, y, x], mcsc.dct_dictionary((1, 1, 1), 8, 2), lam_relative=0.5)
    assert [p.label for p in three.parts] == ["x1", "x2", "x3"]


def test_an_image_smaller_than_the_filters_is_named():
    x, y = images((7, 24))
    message = "^filters are larger than photo: filters 8x8, image 7x24$"
    with pytest.raises(ValueError, match=message):
        decompose((x, y), labels=("photo", "depth"))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_dictionary_of_a_file(tmp_path, kind):
    d = mcsc.dct_dictionary((1, 1), 8, 3)
    d.save(tmp_path / "d.npz")
    found = decompose(images(), kind(tmp_path / "d.npz"), lam_relative=0.5)
    assert found.result.objective == decompose(images(), d, lam_relative=0.5).result.objective


@pytest.mark.parametrize("given", [3, b"d.npz", ["d.npz"], np.ones((2, 1, 3, 3))])
def test_what_is_no_dictionary_is_refused(given):
    with pytest.raises(TypeError, match="dictionary must be a Dictionary or a path, found"):
        decompose(images(), given)


def test_a_file_that_holds_no_dictionary_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"d\.npz"):
        decompose(images(), "d.npz")
    (tmp_path / "d.npz").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"d\.npz"):
        decompose(images(), tmp_path / "d.npz")


def test_refusals():
    x, y = images()
    with pytest.raises(
        ValueError, match="the images hold no detail that the dictionary could code"
    ):
        decompose([np.full((1, 20, 24), 0.5), np.zeros((1, 20, 24))])
    with pytest.raises(ValueError, match="b holds NaN or Inf"):
        decompose([x, y * np.nan], labels=("a", "b"))
    with pytest.raises(ValueError, match="the mask of x is 0 everywhere"):
        decompose([x, y], masks=(np.zeros((20, 24)), None))
    with pytest.raises(TypeError, match="x has dtype bool"):
        decompose([x > 0, y])
    with pytest.raises(TypeError, match="lam must be a number"):
        decompose([x, y], lam="much")
    with pytest.raises(ValueError, match="signals lie on different grids"):
        decompose([x, y[:, :10]], strength=None)


def test_parts_are_in_the_unit_of_their_image():
    x, y = images()
    plain = decompose([x, y], lam_relative=0.2)
    found = decompose([2 + 5 * x, y], lam_relative=0.2)
    values = found.value_ranges[0]
    np.testing.assert_allclose([values.low, values.high], [0, 2 + 5 * x.max()])
    np.testing.assert_allclose(found.parts[0].image, 2 + 5 * x, rtol=1e-5)
    assert found.parts[0].rms < 0.6 * 5
    given = decompose([2 + 5 * x, y], lam_relative=0.2, value_ranges=[(2, 7), None])
    sums = [d.parts[0].reconstruction for d in (given, plain)]
    np.testing.assert_allclose(sums[0], 2 + 5 * sums[1], atol=0.02)
    without = decompose([2 + 5 * x, y], lam_relative=0.2, strength=None)
    assert without.parts[0].rms < 3
    with pytest.warns(UserWarning, match="the detail of y is .* times as strong as that of x"):
        decompose([0.001 * x, y], lam_relative=0.2)
