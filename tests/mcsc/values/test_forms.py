"""How images are given, and the way to the model and back."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from mcsc.values.forms import ImageForm, plain_array
from mcsc.values.masks import check_mask
from mcsc.values.ranges import ValueRange


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5), (3, 6, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_there_and_back(xp, shape, dtype):
    given = xp.asarray(np.random.default_rng(0).random(shape).astype(dtype))
    form = ImageForm.of("x", given)
    taken = form.taken(given)
    assert isinstance(taken, np.ndarray)
    assert taken.shape == ((1, *shape) if len(shape) == 2 else shape)
    assert taken.dtype == dtype
    back = form.returned(taken)
    assert xp.owns(back)
    assert back.dtype == given.dtype
    np.testing.assert_array_equal(xp.to_numpy(back), xp.to_numpy(given))


def test_half_precision_is_worked_on_in_single():
    given = np.random.default_rng(0).random((4, 4)).astype(np.float16)
    form = ImageForm.of("x", given)
    assert form.taken(given).dtype == np.float32
    assert form.returned(form.taken(given)).dtype == np.float16


def test_units():
    metres = np.array([[1.0, 3.0], [5.0, 2.0]])
    form = ImageForm.of("x", metres, ValueRange.of((1, 5)))
    taken = form.taken(metres)
    np.testing.assert_allclose(taken, [[[0, 0.5], [1, 0.25]]])
    np.testing.assert_allclose(form.returned(taken), metres)
    np.testing.assert_allclose(form.returned_part(taken), metres - 1)
    assert form.returned_part(None) is None


@pytest.mark.parametrize(
    "given", [(1,), (1, 1), (2, 1), (0, np.inf), (np.nan, 1), "ab", 3, (1, 2, 3), (None, 1)]
)
def test_refused_ranges(given):
    with pytest.raises(ValueError, match=r"value_range must be two finite numbers \(low, high\)"):
        ValueRange.of(given)


def test_unknown_values_are_looked_at_by_nobody():
    image = np.array([[np.nan, 3.0], [1e30, 2.0]], np.float32)
    mask = np.array([[[0, 1], [0, 0.5]]], np.float32)
    form = ImageForm.of("x", image, ValueRange.of((1, 5)))
    np.testing.assert_allclose(form.taken(image, mask), [[[0, 0.5], [0, 0.25]]])
    with pytest.raises(ValueError, match=r"x holds NaN or Inf \(1 values\): .* numpy.isfinite"):
        form.taken(image)
    image[0, 1] = np.inf
    with pytest.raises(ValueError, match=r"x holds NaN or Inf where its mask is not 0 \(1 values"):
        form.taken(image, mask)


def test_a_given_range_that_cannot_be_meant_is_suspected():
    metres = np.full((4, 4), 2.5)
    with pytest.warns(
        UserWarning, match=r"the median of x is 2.5, but its values are taken to ran"
    ):
        ImageForm.of("x", metres, ValueRange.of((10, 20))).taken(metres)
    ImageForm.of("x", metres, ValueRange.of((1, 5))).taken(metres)
    noisy = 0.6 * np.random.default_rng(0).standard_normal((50, 50))
    ImageForm.of("x", noisy).taken(noisy)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">u2", "uint8", "uint16", "int16", "int32"])
def test_any_dtype_and_byte_order_goes_in_and_comes_back(dtype):
    given = np.arange(5, 65).reshape(1, 6, 10).astype(dtype)
    form = ImageForm.of("x", given).measured(given, display=False)
    taken = form.taken(given)
    assert taken.dtype.isnative
    assert taken.dtype.kind == "f"
    back = form.returned(taken)
    assert back.dtype == given.dtype
    np.testing.assert_allclose(back, given, rtol=1e-6)
    assert form.returned_part(taken).dtype.kind == "f"


def test_integers_are_rounded_and_what_is_cut_off_is_told():
    given = np.array([[[0, 255, 100, 7]]], np.uint8)
    form = ImageForm.of("x", given).measured(given)
    with pytest.warns(UserWarning, match=r"50 % of the values are beyond what uint8 holds"):
        found = form.returned(np.array([[[-0.1, 1.2, 0.4, 0.0196]]]))
    np.testing.assert_array_equal(found, [[[0, 255, 102, 5]]])
    assert form.cut == [0.5]


def test_masked_arrays_are_taken_apart():
    data = np.arange(12.0).reshape(3, 4)
    hidden = np.zeros((3, 4), bool)
    hidden[1, 2] = True
    image, mask = plain_array("x", np.ma.array(data, mask=hidden))
    assert type(image) is np.ndarray
    np.testing.assert_array_equal(mask, ~hidden)
    assert plain_array("x", np.ma.array(data))[1] is None
    also = np.ones((3, 4))
    also[0, 0] = 0
    _, mask = plain_array("x", np.ma.array(data, mask=hidden), also)
    np.testing.assert_array_equal(mask[0] == 0, hidden | (also == 0))
    with pytest.raises(TypeError, match="x is a masked array: give its data"):
        ImageForm.of("x", np.ma.array(data))


def test_refused_images():
    with pytest.raises(TypeError, match=r"a\.png must be an array, found list"):
        ImageForm.of("a.png", [[0.0]])
    for dtype in (bool, complex):
        with pytest.raises(TypeError, match=r"x has dtype .*: images are arrays of floats or int"):
            ImageForm.of("x", np.zeros((4, 4), dtype))
    with pytest.raises(ValueError, match=r"\(60, 80, 3\); axes are \(C, H, W\): move the channels"):
        ImageForm.of("x", np.zeros((60, 80, 3)))
    for shape in ((4,), (1, 1, 4, 4), (0, 4), (3, 0, 4)):
        with pytest.raises(
            ValueError, match=r"x has shape .*; want \(H, W\) or \(C, H, W\), not e"
        ):
            ImageForm.of("x", np.zeros(shape))
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="arrays of torch are not supported: pass NumPy or CuPy"):
        ImageForm.of("x", torch.zeros(4, 4))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.float64])
def test_masks(dtype):
    given = (np.random.default_rng(0).random((6, 5)) > 0.5).astype(dtype)
    found = check_mask("x", given, (3, 6, 5))
    assert found.shape == (1, 6, 5)
    np.testing.assert_array_equal(found[0], given)
    assert check_mask("x", np.stack([given] * 3), (3, 6, 5)).shape == (3, 6, 5)


def test_refused_masks():
    shape = (3, 6, 5)
    with pytest.raises(TypeError, match="the mask of x must be an array, found str"):
        check_mask("x", "zeros", shape)
    with pytest.raises(TypeError, match="the mask of x is a masked array, whose mask would be lo"):
        check_mask("x", np.ma.masked_less(np.ones((6, 5)), 2), shape)
    for wrong in ((5, 6), (2, 6, 5), (6,), (1, 1, 6, 5)):
        with pytest.raises(
            ValueError, match=r"the mask of x has shape .*, x \(3, 6, 5\): want the"
        ):
            check_mask("x", np.ones(wrong), shape)
    for value in (-0.5, 1.5, 255, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"the mask of x holds values outside \[0, 1\]: .*> 0"):
            check_mask("x", np.full((6, 5), value), shape)
    with pytest.raises(ValueError, match="the mask of x is 0 everywhere: no pixel is known"):
        check_mask("x", np.zeros((6, 5)), shape)
    bands = np.ones(shape)
    bands[1] = 0
    with pytest.raises(ValueError, match="the mask of x is 0 everywhere in band 2 of 3: no pixel"):
        check_mask("x", bands, shape)
    bands[2] = 0
    with pytest.raises(ValueError, match="the mask of x is 0 everywhere in bands 2, 3 of 3: no "):
        check_mask("x", bands, shape)
    with pytest.raises(TypeError, match="the mask of x has dtype <U1; want numbers"):
        check_mask("x", np.full((6, 5), "a"), shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("share", "amount", "warned"),
    [(0.005, 0.02, False), (0.005, 0.09, False), (1e-3, 0.12, True), (0.02, 0.02, True)],
)
def test_values_are_cut_off_with_a_warning_if_many_or_far(dtype, sign, share, amount, warned):
    info = np.iinfo(dtype)
    values = ValueRange(info.min, info.max)
    form = ImageForm.of("x", np.zeros((100, 100), dtype), values)
    made = np.full((1, 100, 100), 0.5, np.float32)
    made.reshape(-1)[: round(share * made.size)] = 0.5 + sign * (0.5 + amount)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = form.returned(made)
    assert found.dtype == dtype
    assert form.cut == [pytest.approx(share)]
    assert len(told) == warned
    if warned:
        far = float(re.search(r"by up to (\S+), and", str(told[0].message)).group(1))
        assert far == pytest.approx(amount * (info.max - info.min), rel=0.02)


def test_far_is_measured_by_the_range_that_is_used():
    """A picture of 12 bits in 16 is cut off at 0 alone, which is far in 4095, not in 65535."""
    form = ImageForm.of("x", np.zeros((100, 100), np.uint16), ValueRange(0, 4095))
    made = np.full((1, 100, 100), 0.5, np.float32)
    made[0, 0, 0] = -0.2
    with pytest.warns(UserWarning, match="by up to 819, and were cut off: pass x as floats"):
        form.returned(made)
