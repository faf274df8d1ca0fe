"""Problems that are refused before any work, each with a message that says what was found."""

from __future__ import annotations

import types
from dataclasses import replace

import numpy as np
import pytest

import mcsc
from tests.helpers import make_dictionary, make_problem, make_signals


@pytest.fixture
def given():
    """Signals of one and three channels, 8 x 7, and a dictionary that fits."""
    return [make_signals(channels=(1, 3)), make_dictionary(channels=(1, 3))]


def refuses(error, message, signals, dictionary, lam=1.0, **options):
    """Both doors refuse: the problem's and the solver's."""
    for door in (mcsc.Problem, mcsc.solve):
        with pytest.raises(error, match=message):
            door(signals, dictionary, lam, **options)


# ------------------------------------------------------------------------ signals
@pytest.mark.parametrize(
    "dtype", ["uint8", "int64", "float16", "complex64", "bool", "longdouble", "object"]
)
def test_dtypes_of_signals(given, dtype):
    (x, y), d = given
    message = (
        rf"signals\[1\] has dtype {np.dtype(dtype)}: signals are float32 or float64; "
        r"mcsc\.images\.read_image scales integer images"
    )
    refuses(TypeError, message, (x, y.astype(dtype)), d)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_of_signals(given, bad):
    (x, y), d = given
    y[0, 1, 2, 3] = bad
    message = r"signals\[1\] holds NaN or Inf: replace them, or give masks with 0 there"
    refuses(ValueError, message, (x, y), d)
    elsewhere = np.ones((8, 7))
    elsewhere[0, 0] = 0
    refuses(ValueError, message, (x, y), d, masks=(None, elsewhere))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7,), r"has shape \(7,\): a signal is \(H, W\), \(C, H, W\) or \(N, C, H, W\)"),
        ((1, 1, 3, 8, 7), r"has shape \(1, 1, 3, 8, 7\): a signal is"),
        ((3, 0, 7), r"is empty: shape \(3, 0, 7\)"),
        ((8, 7), r"has shape \(8, 7\), so 1 channels; the dictionary's filters .* have 3$"),
        ((2, 8, 7), r"has shape \(2, 8, 7\), so 2 channels; .* have 3$"),
        (
            (8, 7, 3),
            r"has shape \(8, 7, 3\), so 8 channels; .* have 3; axes are \(C, H, W\): move",
        ),
    ],
)
def test_shapes_of_a_signal(given, shape, message):
    (x, _), d = given
    refuses(ValueError, r"signals\[1\] " + message, (x, np.zeros(shape)), d)


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 9, 7), (2, 3, 8, 7)], ids=str)
def test_grids_of_signals(given, shape):
    (x, _), d = given
    message = r"different grids: signals\[0\] has shape \(1, 1, 8, 7\), signals\[1\] has shape "
    refuses(ValueError, message, (x, np.zeros(shape)), d)


@pytest.mark.parametrize(
    ("signals", "error", "message"),
    [
        (np.zeros((2, 8, 7)), TypeError, r"signals must be a tuple .* ndarray; .* write \(x,\)"),
        (None, TypeError, "signals must be a tuple of arrays, .* found NoneType"),
        ({0: 1}, TypeError, "signals must be a tuple of arrays, .* found dict"),
        ((np.zeros((8, 7)),), ValueError, "the dictionary is for 2 signals, found 1"),
        ((np.zeros((8, 7)),) * 3, ValueError, "the dictionary is for 2 signals, found 3"),
        ((), ValueError, "the dictionary is for 2 signals, found 0"),
        (([[1.0]], [[1.0]]), TypeError, r"signals\[0\] must be a NumPy or CuPy array, found list"),
        ("ab", TypeError, "signals must be a tuple of arrays, .* found str"),
    ],
)
def test_what_signals_are(given, signals, error, message):
    refuses(error, message, signals, given[1])


def test_what_a_dictionary_is(given):
    signals, d = given
    message = r"dictionary must be an mcsc\.Dictionary, found "
    refuses(TypeError, message + "NoneType", signals, None)
    refuses(TypeError, message + "tuple", signals, d.common)


def test_filters_larger_than_the_image():
    signals = make_signals(shape=(9, 5))
    d = make_dictionary(size=(3, 3, 3, 6))
    message = "filters are larger than the image: filters 6x6, image 9x5"
    refuses(ValueError, message, signals, d)
    refuses(ValueError, message, signals, d, boundary="periodic")
    assert mcsc.Problem(signals, make_dictionary(size=5), 1.0).shape == (9, 5)


@pytest.mark.parametrize("boundary", ["mirror", None, "Zero"])
def test_boundary(given, boundary):
    message = f"boundary must be 'zero' or 'periodic', found {boundary!r}"
    refuses(ValueError, message, *given, boundary=boundary)
    with pytest.raises(ValueError, match=message):
        mcsc.lambda_max(*given, boundary=boundary)


# ---------------------------------------------------------------------- libraries
def test_mixed_libraries(given):
    strict = pytest.importorskip("array_api_strict")
    (x, y), d = given
    message = r"arrays of different libraries were mixed \(array_api_strict, numpy\)"
    refuses(TypeError, message, (x, strict.asarray(y)), d)
    refuses(TypeError, message, (x, y), d, masks=(strict.ones((8, 7)), None))


class Foreign:
    """An array of a library that follows the standard and is not supported, as torch's are."""

    __module__ = "foreign.arrays"

    def __init__(self, values):
        self.values = values
        self.shape, self.ndim, self.dtype = values.shape, values.ndim, values.dtype

    def __array_namespace__(self, api_version=None):
        return types.SimpleNamespace(
            __name__="foreign.arrays",
            float32=np.float32,
            float64=np.float64,
            reshape=lambda x, shape: Foreign(x.values.reshape(shape)),
        )


def test_unsupported_libraries(given):
    signals, d = given
    foreign = tuple(Foreign(x) for x in signals)
    refuses(TypeError, "arrays of foreign are not supported: pass NumPy or CuPy arrays", foreign, d)


# ---------------------------------------------------------------------------- lam
@pytest.mark.parametrize(
    ("lam", "found"),
    [
        (0, "0"),
        (-1.5, "-1.5"),
        (np.nan, "nan"),
        (np.inf, "inf"),
        (np.array(-1.0), "-1"),
        ((1, 1, 0), "0"),
        ((1, (1, -2), 1), "-2"),
        (10**400, "inf"),
        (np.array([1, np.nan, 1]), "nan"),
    ],
    ids=str,
)
def test_values_of_lam(given, lam, found):
    refuses(ValueError, f"lam must be finite and > 0, found {found}$", *given, lam)


GROUPS = r"common \(3 maps\), unique\[0\] \(2 maps\), unique\[1\] \(2 maps\)"


@pytest.mark.parametrize(
    ("lam", "message"),
    [
        ((1, 2), rf"lam has 2 entries: .* one for each group \[{GROUPS}\], or one per map"),
        ((), r"lam has 0 entries"),
        (np.ones(4), r"lam has \(4,\) entries"),
        (np.ones((3, 1)), r"lam has \(3, 1\) entries"),
        ((1, (1, 2, 3), 1), r"lam of group unique\[0\] has shape \(3,\): give .* or 2 numbers"),
        ((np.ones((1, 3)), 1, 1), r"lam of group common has shape \(1, 3\)"),
    ],
    ids=str,
)
def test_lengths_of_lam(given, lam, message):
    refuses(ValueError, message, *given, lam)


@pytest.mark.parametrize(
    ("lam", "message"),
    [
        ("0.1", "lam must be a number or numbers, found '0.1'"),
        (None, "lam must be a number or numbers, found None"),
        (True, "lam must be a number or numbers, found True"),
        ({1: 2}, "lam must be a number or numbers, found dict"),
        (1j, "lam must be a number or numbers, found complex"),
        (np.array(1j), "lam must hold numbers, found array"),
        (np.array([True, True, True]), "lam must hold numbers, found array"),
        (("a", 1, 1), "lam must hold numbers, found 'a'"),
        ((1, None, 1), "lam must hold numbers, found None"),
        ((1, [1, [2]], 1), "lam must hold numbers"),
        (np.ma.ones(3), "lam is a masked array, whose mask would be lost here"),
        (np.ma.ones((8, 7)), "lam is a masked array"),
        ((1, np.ma.ones(2), 1), "lam is a masked array"),
    ],
    ids=str,
)
def test_types_of_lam(given, lam, message):
    refuses(TypeError, message, *given, lam)


# -------------------------------------------------------------------------- masks
def mask(value):
    out = np.ones((8, 7))
    out[3, 4] = value
    return out


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        (np.ones((8, 7)), TypeError, "masks must be a tuple with an array or None .* ndarray"),
        (3, TypeError, "masks must be a tuple with an array or None .* found int"),
        ((mask(1),), ValueError, "found 1 masks for 2 signals"),
        ((None, [[1.0]]), TypeError, r"masks\[1\] must be an array, found list"),
        ((None, mask(1) + 0j), TypeError, r"masks\[1\] has dtype complex128: weights are real"),
        ((None, mask(1).astype(str)), TypeError, r"masks\[1\] has dtype .*: weights are real"),
        ((None, mask(-0.1)), ValueError, r"masks\[1\] must be finite weights >= 0"),
        ((None, mask(np.nan)), ValueError, r"masks\[1\] must be finite weights >= 0"),
        ((None, mask(np.inf)), ValueError, r"masks\[1\] must be finite weights >= 0"),
        (
            (None, np.ones((7, 8))),
            ValueError,
            r"masks\[1\] has shape \(7, 8\), its signal has shape \(1, 3, 8, 7\): a mask is",
        ),
        ((np.ones((3, 8, 7)), None), ValueError, r"masks\[0\] has shape \(3, 8, 7\)"),
        ((None, np.ones((2, 3, 8, 7))), ValueError, r"masks\[1\] has shape \(2, 3, 8, 7\)"),
        ((None, np.ones(7)), ValueError, r"masks\[1\] has shape \(7,\)"),
        ((None, np.ones((1, 1))), ValueError, r"masks\[1\] has shape \(1, 1\)"),
        ((None, np.ma.ones((8, 7))), TypeError, r"masks\[1\] is a masked array"),
        ((None, mask(1e200)), ValueError, r"masks\[1\] holds weights above 1.3e\+154, whose squ"),
    ],
)
def test_masks(given, masks, error, message):
    refuses(error, message, *given, masks=masks)


# -------------------------------------------------------------------------- codes
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"shape": (9, 7)}, r"codes lie on a grid \(N, H, W\) = \(1, 9, 7\), .* on \(1, 8, 7\)"),
        ({"samples": 2}, r"codes lie on a grid \(N, H, W\) = \(2, 8, 7\)"),
        ({"common": 4}, r"codes have \[4, 2, 2\] maps per group, the dictionary has \[3, 2, 2\]"),
        ({"unique": (2, 1)}, r"codes have \[3, 2, 1\] maps per group"),
        ({"common": 0}, r"codes have \[0, 2, 2\] maps per group"),
        ({"unique": 0}, r"codes have \[3, 0, 0\] maps per group"),
    ],
    ids=str,
)
def test_codes_of_another_problem(given, other, message):
    signals, d = given
    options = {"shape": (8, 7), "samples": 1} | {k: other[k] for k in other if k in SHAPES}
    foreign = make_dictionary(channels=(1, 3), **{k: other[k] for k in other if k not in SHAPES})
    codes = mcsc.Codes.from_stacked(
        np.zeros((options["samples"], foreign.n_maps, *options["shape"])), foreign
    )
    problem = mcsc.Problem(signals, d, 1.0)
    for method in (problem.objective, problem.gap, problem.gradient):
        with pytest.raises(ValueError, match=message):
            method(codes)
    with pytest.raises(ValueError, match=message):
        mcsc.solve(signals, d, 1.0, init=codes)


SHAPES = ("shape", "samples")


def test_codes_without_the_unique_maps(given):
    signals, d = given
    codes = mcsc.Codes.from_dense(np.zeros((1, 3, 8, 7)))
    refuses = pytest.raises(
        ValueError, match=r"codes have \[3, 0, 0\] maps per group, .* \[3, 2, 2\]"
    )
    with refuses:
        mcsc.Problem(signals, d, 1.0).objective(codes)
    shared = mcsc.Dictionary(d.common)
    assert mcsc.Problem(signals, shared, 1.0).objective(codes) > 0


def test_codes_of_another_library(given):
    strict = pytest.importorskip("array_api_strict")
    signals, d = given
    codes = mcsc.Codes.from_dense(
        strict.zeros((1, 3, 8, 7)), [strict.zeros((1, 2, 8, 7)) for _ in range(2)]
    )
    with pytest.raises(TypeError, match="different libraries were mixed"):
        mcsc.Problem(signals, d, 1.0).objective(codes)


def test_memory_estimate_of_an_unknown_method(given):
    with pytest.raises(ValueError, match=r"method must be one of .*, found 'newton'"):
        mcsc.Problem(*given, 1.0).memory_estimate("newton")


def test_a_mask_image_of_0_and_255_is_refused():
    problem = make_problem()
    mask = np.zeros(problem.shape, dtype=np.uint8)
    mask[1] = 255
    with pytest.raises(
        ValueError, match=r"masks\[0\] holds integers other than 0 and 1: .* mask > 0"
    ):
        mcsc.Problem(problem.signals, problem.dictionary, 1.0, (mask, None))
    mcsc.Problem(problem.signals, problem.dictionary, 1.0, ((mask > 0).astype(np.uint8), None))


def test_weights_that_the_signals_cannot_hold():
    x = make_signals(channels=(1, 3), dtype="float32")
    for value in (1e20, 1e300):
        message = r"masks\[1\] holds weights above 1.8e\+19, whose squares float32 cannot hold"
        refuses(ValueError, message, x, make_dictionary(channels=(1, 3)), masks=(None, mask(value)))


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("float32", 1e19), ("float32", 1e37), ("float64", 1e154), ("float64", 1e300)],
)
def test_signals_whose_squares_overflow(dtype, scale, number):
    x = list(make_signals(dtype="float32"))
    x = [s.astype(dtype) for s in x]
    x[number] = x[number] * np.asarray(scale, dtype)
    message = rf"signals\[{number}\] holds values up to .*: {dtype} cannot hold the sum of their sq"
    refuses(ValueError, message, x, make_dictionary())


def test_signals_whose_squares_overflow_by_their_weights():
    x = make_signals(dtype="float32")
    message = r"signals\[1\] holds values up to .*, times their weights: float32 cannot hold"
    heavy = np.full(x[1].shape[-2:], 1e19, "float32")
    refuses(ValueError, message, x, make_dictionary(), masks=(None, heavy))
    d = replace(make_dictionary(), signal_weights=(1.0, 1e30))
    refuses(ValueError, message, x, d)


@pytest.mark.parametrize("name", ["mu", "nonnegative", "joint"])
def test_masked_arrays_of_terms(given, name):
    value = np.ma.array([0, 0, 0], dtype=float if name == "mu" else bool)
    refuses(TypeError, f"{name} is a masked array", *given, **{name: value})


def test_what_codes_are(given):
    signals, d = given
    problem = mcsc.Problem(signals, d, 1.0)
    result = mcsc.solve(signals, d, 1.0)
    for evaluate in (problem.objective, problem.gap, problem.gradient):
        with pytest.raises(TypeError, match=r"codes must be mcsc.Codes, found Result"):
            evaluate(result)
