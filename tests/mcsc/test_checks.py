"""What numbers are, and how they are refused."""

from __future__ import annotations

import functools
import math
import re
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest

from mcsc.checks import (
    check_called,
    check_choice,
    check_image,
    check_number,
    check_whole,
    is_number,
    is_whole,
    made_number,
)
from mcsc.errors import Refusal


@pytest.mark.parametrize("given", [3, np.int8(3), np.uint64(3), np.int64(3)])
def test_whole_numbers_of_any_kind(given):
    assert is_whole(given)
    found = check_whole("n", given)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize("given", [3.0, True, np.True_, "3", None, np.float32(3), np.array([3])])
def test_what_is_no_whole_number(given):
    assert not is_whole(given)
    with pytest.raises(ValueError, match=r"n must be a whole number >= 1, found .+"):
        check_whole("n", given)


@pytest.mark.parametrize(
    ("given", "limits", "wanted"),
    [(0, {}, ">= 1"), (-1, {"least": 0}, ">= 0"), (9, {"least": 2, "most": 8}, "from 2 to 8")],
)
def test_whole_numbers_out_of_range(given, limits, wanted):
    with pytest.raises(Refusal, match=f"n must be a whole number {wanted}, found {given}"):
        check_whole("n", given, **limits)


@pytest.mark.parametrize("given", [2, 2.0, np.float32(2), np.float16(2), np.int32(2), Fraction(2)])
def test_numbers_of_any_kind(given):
    assert is_number(given)
    found = check_number("s", given)
    assert found == 2
    assert type(found) is float


@pytest.mark.parametrize(
    "given", [math.nan, math.inf, -math.inf, True, "2", None, 2j, np.array(2.0), 10**400]
)
def test_what_is_no_number(given):
    assert not is_number(given)
    with pytest.raises(ValueError, match="s must be a finite number >= 0, found"):
        check_number("s", given, zero=True)


def test_zero_is_a_number_where_it_may_be():
    assert check_number("s", 0, zero=True) == 0
    with pytest.raises(ValueError, match="s must be a finite number > 0, found 0"):
        check_number("s", 0)


def test_masks_of_masked_arrays_are_not_lost():
    masked = np.ma.masked_array(np.zeros((3, 4)), False)
    with pytest.raises(TypeError, match=r"x is a masked array, .* filled\(\)"):
        check_image("x", masked)


def test_channels_are_asked_for_before_pixels():
    check_image("x", np.zeros((4, 4)), channels=(1, 3))
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 4\); want 1 or 3 channels: pick"):
        check_image("x", np.full((2, 4, 4), np.nan), channels=(1, 3))


@pytest.mark.parametrize("given", ["c", "", None, 1, ["a"], "ab"])
def test_what_is_no_choice(given):
    check_choice("word", "b", Literal["a", "b"])
    with pytest.raises(
        ValueError, match=f"^word must be 'a' or 'b', found {re.escape(repr(given))}$"
    ):
        check_choice("word", given, Literal["a", "b"])


def test_choices_are_listed():
    with pytest.raises(ValueError, match=r"^word must be 'a', 'b' or 'c', found 'd'$"):
        check_choice("word", "d", Literal["a", "b", "c"])


def test_functions_that_wrap_others_take_their_own_arguments():
    def denoise(x, y, sigma):
        return x

    @functools.wraps(denoise)
    def at_25(x, y):
        return denoise(x, y, 25)

    check_called("own", at_25, ("x", "y"))
    with pytest.raises(TypeError, match="missing a required argument: 'sigma'"):
        check_called("own", denoise, ("x", "y"))


@pytest.mark.parametrize("given", [1, 1.0, np.float32(1), np.array(1.0), True])
def test_numbers_of_any_library_are_taken(given):
    assert made_number("the measure own", "a number", given) == 1.0


@pytest.mark.parametrize("given", ["1", None, np.zeros(2), [1.0]])
def test_what_is_no_number_is_refused(given):
    with pytest.raises(TypeError, match=r"^the measure own must return a number; found "):
        made_number("the measure own", "a number", given)
