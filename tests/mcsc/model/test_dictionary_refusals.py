"""Dictionaries that are refused, each with a message that says what was found."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc


def bank(count=2, channels=1, size=3, dtype="float64"):
    return np.random.default_rng(0).standard_normal((count, channels, size, size)).astype(dtype)


def holed(value):
    d = bank()
    d[1, 0, 2, 1] = value
    return d


def with_zero_filter():
    d = bank(3)
    d[1] = 0
    return d


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "complex128", "bool", "longdouble"])
def test_dtypes(dtype):
    message = f"has dtype {np.dtype(dtype)}: filters are float32 or float64"
    with pytest.raises(TypeError, match=rf"common\[1\] {message}"):
        mcsc.Dictionary(common=(bank(), np.ones((2, 1, 3, 3), dtype)))
    with pytest.raises(TypeError, match=f"target_common {message}"):
        mcsc.Dictionary(common=(bank(),), target_common=np.ones((2, 1, 3, 3), dtype))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (bank()[0], ValueError, r"has shape \(1, 3, 3\): filters are \(K, C, s, s\)"),
        (bank()[..., :2], ValueError, r"has shape \(2, 1, 3, 2\): filters are \(K, C, s, s\)"),
        (bank(0), ValueError, r"is empty: shape \(0, 1, 3, 3\)"),
        (bank(channels=0), ValueError, r"is empty: shape \(2, 0, 3, 3\)"),
        (bank(size=0), ValueError, r"is empty: shape \(2, 1, 0, 0\)"),
        (holed(np.nan), ValueError, "holds NaN or Inf"),
        (holed(-np.inf), ValueError, "holds NaN or Inf"),
        ([[1.0]], TypeError, "must be an array, found list"),
        ("bank", TypeError, "must be an array, found str"),
    ],
)
def test_banks(given, error, message):
    with pytest.raises(error, match=rf"common\[0\] {message}"):
        mcsc.Dictionary(common=(given, bank()))
    with pytest.raises(error, match=rf"unique\[1\] {message}"):
        mcsc.Dictionary(unique=(None, given))


def test_zero_filters():
    message = "has a zero filter, number 1: its code would be arbitrary; remove it"
    with pytest.raises(ValueError, match=rf"common {message}"):
        mcsc.Dictionary(common=(with_zero_filter(), with_zero_filter()))
    with pytest.raises(ValueError, match=rf"unique\[1\] {message}"):
        mcsc.Dictionary(unique=(None, with_zero_filter()))


def test_zero_filters_of_the_target_are_meant():
    """An atom may have no part in the target."""
    d = mcsc.Dictionary((bank(),), (bank(),), 0 * bank(), (0 * bank(),))
    assert not d.target_common.any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Dictionary has no filters: give common, unique or both"),
        ({"unique": (None, None)}, "Dictionary has no filters"),
        ({"common": ()}, "common is an empty tuple: give one bank for every signal, or None"),
        ({"common": (bank(), None)}, "common must hold one bank for every signal; found None"),
        ({"common": (bank(), bank()), "unique": (bank(),)}, "common has 2 banks and unique has 1"),
        ({"common": (bank(2), bank(3))}, "common banks hold 2, 3 filters: a common code needs"),
        ({"unique": (bank(), None)}, r"signal 1 has no filters: common and unique\[1\] are None"),
        (
            {"common": (bank(), bank()), "unique": (bank(), bank(channels=3))},
            r"channels of signal 1 differ: common\[1\] has shape \(2, 1, 3, 3\), "
            r"unique\[1\] has shape \(2, 3, 3, 3\); axis 1 is channels",
        ),
        ({"unique": (bank(),), "target_common": bank()}, "target_common needs common filters"),
        (
            {"common": (bank(2),), "target_common": bank(3)},
            "target_common has 3 filters, common has 2: they share one code",
        ),
        (
            {"common": (bank(),), "target_unique": (bank(),)},
            "target_unique has 1 banks, unique has 0: give one for each",
        ),
        (
            {"unique": (bank(), bank()), "target_unique": (bank(),)},
            "target_unique has 1 banks, unique has 2",
        ),
        (
            {"unique": (bank(2), bank(3)), "target_unique": (bank(2), bank(2))},
            r"target_unique\[1\] has 2 filters, unique\[1\] has 3: they share one code",
        ),
        (
            {
                "common": (bank(), bank()),
                "unique": (bank(), None),
                "target_unique": (bank(), bank()),
            },
            r"target_unique\[1\] has 2 filters, unique\[1\] has 0",
        ),
        (
            {
                "common": (bank(),),
                "unique": (bank(),),
                "target_common": bank(channels=1),
                "target_unique": (bank(channels=3),),
            },
            r"target filters disagree about the target's channels: \{1, 3\}",
        ),
        (
            {"common": (bank(),), "target_common": holed(np.nan)},
            "target_common holds NaN or Inf",
        ),
        (
            {"unique": (bank(),), "target_unique": (bank()[0],)},
            r"target_unique\[0\] has shape \(1, 3, 3\)",
        ),
    ],
)
def test_banks_that_do_not_fit(given, message):
    with pytest.raises(ValueError, match=message):
        mcsc.Dictionary(**given)


@pytest.mark.parametrize("name", ["common", "unique"])
@pytest.mark.parametrize(("given", "found"), [(bank(), "ndarray"), (3, "int"), ({}, "dict")])
def test_banks_come_in_tuples(name, given, found):
    message = rf"{name} must be a tuple .* found {found}; for one signal write \({name},\)"
    with pytest.raises(TypeError, match=message):
        mcsc.Dictionary(**{name: given})


def test_mixed_libraries():
    strict = pytest.importorskip("array_api_strict")
    other = strict.asarray(bank())
    for given in (
        {"common": (bank(), other)},
        {"common": (bank(),), "unique": (other,)},
        {"common": (bank(),), "target_common": other},
    ):
        with pytest.raises(TypeError, match=r"different libraries were mixed \(array_api_strict, "):
            mcsc.Dictionary(**given)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize(
    "method",
    ["working-set", "admm", "fista", pytest.param("alternating", marks=pytest.mark.slow)],
)
def test_a_common_filter_may_be_zero_in_some_signals(method, boundary):
    """Such a map is a unique one of the other signal, and gives the same optimum."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1, 12, 10))
    h, v = rng.standard_normal((2, 1, 1, 3, 3))
    shared = mcsc.Dictionary((0 * h, h), (v, None))
    apart = mcsc.Dictionary(None, (v, h))
    one, other = (
        mcsc.solve((x, y), d, 0.3, method=method, boundary=boundary, tol=1e-6, max_iter=20_000)
        for d in (shared, apart)
    )
    assert one.objective == pytest.approx(other.objective, rel=3e-6)
    with pytest.raises(ValueError, match="common has a zero filter, number 0"):
        mcsc.Dictionary((0 * h, 0 * h), (v, None))


def test_masked_arrays():
    with pytest.raises(TypeError, match=r"unique\[0\] is a masked array"):
        mcsc.Dictionary(unique=(np.ma.array(bank()),))


def test_filters_whose_squares_float64_does_not_hold():
    for scale in (1e-170, 1e170):
        given = bank(3)
        given[1] *= scale
        with pytest.raises(ValueError, match="unique\\[0\\] has a filter, number 1, whose squares"):
            mcsc.Dictionary(unique=(given,))
        # A common filter may be small in one signal.
        if scale < 1:
            mcsc.Dictionary(common=(bank(3), given))


def test_signal_weights_of_arrays():
    banks = (bank(), bank())
    given = np.array([1, 2.5], np.float32)
    assert mcsc.Dictionary(unique=banks, signal_weights=given).signal_weights == (1.0, 2.5)
    with pytest.raises(ValueError, match=r"signal_weights\[1\] must be a finite number > 0"):
        mcsc.Dictionary(unique=banks, signal_weights=np.array([1.0, np.nan]))
    with pytest.raises(TypeError, match="signal_weights must hold a number for every signal"):
        mcsc.Dictionary(unique=banks, signal_weights=np.ones((2, 1)))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_other_byte_order(dtype):
    """Filters and codes from files of another machine are those of this one."""
    swapped = np.dtype(dtype).newbyteorder()
    d = mcsc.Dictionary(unique=(bank(dtype=swapped),))
    assert d.unique[0].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(d.unique[0], bank(dtype=dtype))
    maps = np.random.default_rng(1).standard_normal((1, 2, 5, 6)).astype(dtype)
    codes = mcsc.Codes.from_dense(None, (maps.astype(swapped),))
    assert codes.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(codes.unique[0], maps)
