"""Which values stand for 0 and 1."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from mcsc.values.masks import known_by_value
from mcsc.values.ranges import Contrast, ValueRange, find_range, quantised, shortest


def plane(values, dtype):
    return np.asarray(values, dtype)[None]


RAMP = np.linspace(0, 1, 900).reshape(30, 30)


@pytest.mark.parametrize(
    ("image", "display", "wanted"),
    [
        (plane(255 * RAMP, "u1"), True, (0, 255)),
        (plane(20 + 10 * RAMP, "u1"), False, (0, 255)),
        (plane(65535 * RAMP, "u2"), True, (0, 65535)),
        (plane(3000 * RAMP, "u2"), True, (0, 4095)),
        (plane(900 * RAMP, "u2"), True, (0, 1023)),
        (plane(500 + 4000 * RAMP, "u2"), False, (500, 4500)),
        (plane(-1000 + 3000 * RAMP, "i2"), True, (-1000, 2000)),
        (plane(-1000 + 3000 * RAMP, "i2"), False, (-1000, 2000)),
        (plane(3000 * RAMP, "i2"), True, (0, 4095)),
        (plane(RAMP, "f4"), True, (0, 1)),
        (plane(RAMP, "f4"), False, (0, 1)),
        (plane(1.2 * RAMP - 0.1, "f4"), False, (0, 1)),
        (plane(0.5 + 5 * RAMP, "f8"), False, (0.5, 5.5)),
        (plane(0.5 + 5 * RAMP, "f8"), True, (0, 5.5)),
        (plane(100 * RAMP, ">f4"), True, (0, 100)),
        (plane(0.5 + 0.01 * RAMP, "f4"), False, (0, 1)),
        (plane(0.2 + 0.3 * RAMP, "f4"), False, (0, 1)),
        (plane(0.2 + 0.2 * RAMP, "f4"), True, (0, 1)),
        (plane(1e6 + RAMP, "f4"), False, (1e6, 1e6 + 1)),
        (plane(1e6 + 1e-3 * RAMP, "f8"), False, (1e6, 1e6 + 1e-3)),
        (plane(4_000_000 + 3 * RAMP, "u4"), False, (4_000_000, 4_000_003)),
        (plane(np.full((4, 4), 2.5), "f4"), False, (2.5, 2.5025)),
        (plane(np.full((4, 4), -2.5), "f4"), False, (-2.5, -2.4975)),
        (plane(np.full((4, 4), 0.5), "f4"), False, (0, 1)),
        (plane(np.full((4, 4), 1000), "u2"), False, (1000, 1001)),
        (plane(np.zeros((4, 4)), "u2"), False, (0, 1)),
    ],
)
def test_the_range_goes_with_the_kind(image, display, wanted):
    found = find_range([image], display=display)
    np.testing.assert_allclose(found.low, wanted[0], rtol=1e-6)
    np.testing.assert_allclose(found.high - found.low, wanted[1] - wanted[0], rtol=1e-3)
    scaled = found.scaled(image.astype(float))
    assert -0.51 <= scaled.min() <= scaled.max() <= 1.51
    np.testing.assert_allclose(found.restored(scaled), image, rtol=1e-6, atol=1e-9)


def test_what_a_file_says_and_noise_count():
    dark = plane(900 * RAMP, "u2")
    assert find_range([dark], white=10000) == ValueRange(0, 10000)
    assert find_range([dark], white=10000, display=False) == ValueRange(0, 900)
    few = plane(70 * RAMP, "u1")
    for display in (True, False):
        assert find_range([few], white=100, display=display) == ValueRange(0, 100)
    noisy = plane(RAMP + 0.4 * np.random.default_rng(0).standard_normal((30, 30)), "f4")
    assert find_range([noisy], sigma=100).is_plain
    assert not find_range([noisy], sigma=1).is_plain


def test_images_of_one_unit_have_one_range():
    dark, bright = plane(900 * RAMP, "u2"), plane(3000 * RAMP, "u2")
    assert find_range([dark, bright]) == ValueRange(0, 4095)


def test_what_is_unknown_does_not_count():
    metres = plane(0.5 + 5 * RAMP, "f4")
    metres[0, 0, :4] = np.nan, np.inf, -9999, 1e6
    known = np.ones((1, 30, 30))
    known[0, 0, :4] = 0
    found = find_range([metres], [known], display=False)
    assert 0.5 <= found.low < found.high <= 5.5


@pytest.mark.parametrize(
    ("values", "dtype", "stranger"),
    [
        (500 + 4000 * RAMP, "u2", 0),
        (60 + 100 * RAMP, "u1", 0),
        (100 + 50 * RAMP, "f4", -9999),
        (500 + 4000 * RAMP, "u2", 65535),
    ],
)
def test_values_for_unknown_are_suspected(values, dtype, stranger):
    image = plane(values, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_range([image], display=False)
    image[0, 4:9, 4:9] = stranger
    said = (
        rf"values of x are {stranger}, the others .*mask them .* by --mask {stranger or 'zeros'}\)"
    )
    with pytest.warns(UserWarning, match=said):
        find_range([image], display=False, name="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_range([image], display=True)
        find_range([image], [(image != stranger).astype("f4")], display=False)


def test_a_few_values_that_stretch_the_range_are_told():
    image = plane(1 + 2 * np.linspace(0, 1, 10000).reshape(100, 100), "f4")
    image[0, 0, :3] = 90, 95, 100
    with pytest.warns(UserWarning, match=r"but for a few from 1.0006 to 100, which stre"):
        find_range([image], display=False, name="x")


def test_bands_that_span_little_are_stretched():
    low, high = np.array([0.0, 0.2, 0.5, 0.3]), np.array([0.9, 0.25, 0.5, 0.3003])
    found = Contrast.of(low, high, np.float32, jointly=False)
    image = np.stack([np.linspace(a, b, 12).reshape(3, 4) for a, b in zip(low, high, strict=True)])
    wide = found.stretched(image)
    np.testing.assert_array_equal(wide[0], image[0])
    for band in wide[[1, 3]]:
        np.testing.assert_allclose([band.min(), band.max()], [0, 1], atol=1e-9)
    assert (wide[2] == 0).all()  # a constant has nothing to stretch
    np.testing.assert_allclose(found.restored(wide), image, rtol=1e-12)
    np.testing.assert_allclose(found.restored_part(wide) + found.low, image, rtol=1e-12)
    assert Contrast.of(low, high, np.float32, jointly=True) is None
    assert Contrast.of(low[:1], high[:1], np.float32, jointly=False) is None
    together = Contrast.of(low[1:3], high[1:3], np.float32, jointly=True)
    np.testing.assert_allclose(together.stretched(image[1:3])[:, 0, 0], [0, 1], atol=1e-9)


def test_integers_are_rounded_and_cut_values_counted():
    samples, cut = quantised(np.array([-3.0, -0.4, 1.5, 2.5, 255.4, 300]), np.uint8)
    np.testing.assert_array_equal(samples, [0, 0, 2, 2, 255, 255])
    assert cut == pytest.approx(2 / 6)
    assert quantised(np.array([-1000.0, 3000.2]), np.int16)[1] == 0


@pytest.mark.parametrize("given", ["12", (1, 2, 3), 5, (2, 1), (0, np.nan), (1, 1)])
def test_no_ranges(given):
    with pytest.raises(ValueError, match=r"value_range must be two finite numbers \(low, high\)"):
        ValueRange.of(given)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_values_beyond_an_end_stay_at_that_end(dtype):
    info = np.iinfo(dtype)
    samples, cut = quantised(np.array([-1e30, 0.0, float(info.max), 1e30]), np.dtype(dtype))
    step = 2 ** max(0, info.bits - 53)  # of floats near the largest number of 64 bits
    assert [int(v) for v in samples[:2]] == [info.min, 0]
    assert all(info.max - step <= int(v) <= info.max for v in samples[2:])
    assert cut == 0.5


LOWEST = float(np.finfo(np.float32).min)


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (-9999, "f4", "-9999"),
        (-9999, "i2", "-9999"),
        (4294967295, "u4", "4294967295"),
        (-9223372036854775808, "i8", "-9223372036854775808"),
        (-32768.123, "f8", "-32768.123"),
        (0.1, "f4", "0.1"),
        (1234567.5, "f4", "1.2345675e+06"),
        (LOWEST, "f4", "-3.4028235e+38"),
        (LOWEST, ">f4", "-3.4028235e+38"),
        (np.finfo(np.float64).min, "f8", "-1.7976931348623157e+308"),
        (np.nan, "f4", "nan"),
        (-np.inf, "f8", "-inf"),
    ],
)
def test_the_shortest_words_are_read_as_the_value(value, dtype, words):
    found = shortest(value, dtype)
    assert found == words
    np.testing.assert_array_equal(np.dtype(dtype).type(float(found)), np.dtype(dtype).type(value))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-9999, "f4"), (4294967295, "u4"), (-32768.123, "f4"), (-32768.123, "f8"), (65535, "u2")],
)
def test_the_value_that_a_warning_names_masks_the_pixels(value, dtype):
    image = plane(1 + RAMP, dtype)
    image[0, 3:6] = value
    with pytest.warns(UserWarning, match="mask them") as told:
        find_range([image], display=False)
    words = re.search(r"--mask (\S+)\)", str(told[0].message)).group(1)
    wanted = np.ones((1, 30, 30), bool)
    wanted[0, 3:6] = False
    np.testing.assert_array_equal(known_by_value(image, float(words)), wanted)


@pytest.mark.parametrize("display", [False, True])
@pytest.mark.parametrize(
    ("value", "dtype", "work"),
    [
        (LOWEST, "f4", "float32"),
        (-LOWEST, "f4", "float32"),
        (1e38, "f4", "float32"),
        (np.finfo(np.float64).min, "f8", "float64"),
    ],
)
def test_values_that_cannot_be_computed_with_are_refused(value, dtype, work, display):
    image = plane(1 + 5 * RAMP, dtype)
    mask = np.ones((1, 30, 30))
    image[0, 3:6], mask[0, 3:6] = value, 0
    with pytest.raises(ValueError, match=f"too large to compute with in {work}: if these") as told:
        find_range([image], display=display)
    assert f"--mask {shortest(value, dtype)})" in str(told.value)
    assert find_range([image], [mask], display=display).high == pytest.approx(6)


def test_ranges_that_cannot_be_computed_with_are_refused():
    wide = ValueRange(LOWEST, -LOWEST)
    with pytest.raises(ValueError, match="too wide a range to compute with in float32"):
        wide.scaled(plane(RAMP, "f4"))
    assert np.isfinite(wide.restored(wide.scaled(plane(RAMP, "f8")))).all()
    large = ValueRange(-1e37, 1e37)
    assert np.isfinite(large.restored(1.5 * large.scaled(plane(RAMP, "f4")))).all()
