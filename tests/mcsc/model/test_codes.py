"""Codes: dense and sparse faces of the same maps."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import mcsc
from mcsc.files import write_npz
from tests.helpers import make_dictionary


def sparse_maps(seed, shape, dtype="float64"):
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal(shape)
    return np.where(np.abs(maps) > 1.2, maps, 0.0).astype(dtype)


@pytest.fixture
def dense():
    """Common maps, unique maps of the first signal, none of the second, those of the third."""
    return sparse_maps(0, (2, 3, 5, 4)), (
        sparse_maps(1, (2, 2, 5, 4)),
        None,
        sparse_maps(2, (2, 4, 5, 4)),
    )


@pytest.fixture
def codes(dense):
    return mcsc.Codes.from_dense(*dense)


def assert_same(codes, common, unique):
    assert len(codes.unique) == len(unique)
    for found, wanted in zip((codes.common, *codes.unique), (common, *unique), strict=True):
        assert (found is None) == (wanted is None)
        if wanted is not None:
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_round_trip(dense, dtype):
    common, unique = (
        dense[0].astype(dtype),
        tuple(None if u is None else u.astype(dtype) for u in dense[1]),
    )
    codes = mcsc.Codes.from_dense(common, unique)
    assert_same(codes, common, unique)
    assert codes.dtype == np.dtype(dtype)
    assert codes.common is codes.common


def test_counts(codes, dense):
    counts = [0 if g is None else np.count_nonzero(g) for g in (dense[0], *dense[1])]
    assert codes.nnz == sum(counts)
    assert codes.nnz_common == counts[0]
    assert codes.nnz_unique == tuple(counts[1:])
    assert codes.size == 2 * 5 * 4 * (3 + 2 + 4)
    assert codes.grid == (2, 5, 4)
    assert repr(codes) == (
        f"Codes(2x9 maps of 5x4, {codes.nnz} nonzero, {100 * codes.nnz / codes.size:.3g} %)"
    )


def test_coordinates_are_the_nonzeros(codes, dense):
    common, unique = codes.coordinates()
    assert unique[1] is None
    for found, maps in zip((common, *unique), (dense[0], *dense[1]), strict=True):
        if maps is None:
            continue
        places = np.nonzero(maps)
        np.testing.assert_array_equal(found.value, maps[places])
        named = (found.sample, found.map, found.row, found.column)
        np.testing.assert_array_equal(named, places)


def test_coordinates_in_any_library(xp):
    maps = sparse_maps(3, (2, 3, 4, 5))
    codes = mcsc.Codes.from_dense(unique=(xp.asarray(maps),))
    assert codes.nnz == np.count_nonzero(maps)
    found = codes.coordinates()[1][0]
    np.testing.assert_array_equal([xp.to_numpy(c) for c in found[:4]], np.nonzero(maps))
    np.testing.assert_array_equal(xp.to_numpy(found.value), maps[np.nonzero(maps)])


def test_codes_own_their_memory(dense):
    common = dense[0].copy()
    codes = mcsc.Codes.from_dense(common)
    common[...] = 7.0
    codes.coordinates()[0].value[...] = 5.0
    np.testing.assert_array_equal(codes.common, dense[0])
    assert codes.unique == ()


@pytest.mark.parametrize(
    "made",
    [lambda c: c, copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))],
    ids=["new", "copy", "deepcopy", "pickle"],
)
def test_dense_maps_refuse_to_be_written_to(codes, dense, made):
    assert codes.common.any()  # made, and kept
    found = made(codes)
    for maps in (found.common, *found.unique):
        if maps is not None:
            with pytest.raises(ValueError, match="read-only"):
                maps[...] = 0
    assert_same(found, *dense)
    changed = found.common.copy()
    changed[0, 0, 0, 0] = 5.0
    other = mcsc.Codes.from_dense(changed, found.unique)
    assert other.common[0, 0, 0, 0] == 5.0
    assert len(pickle.dumps(codes)) < len(pickle.dumps((codes, codes.common, codes.unique)))


def test_stacked_in_the_dictionary_s_order():
    d = make_dictionary(channels=(1, 1), common=2, unique=(1, 3))
    maps = sparse_maps(4, (2, 6, 5, 4))
    codes = mcsc.Codes.from_stacked(maps, d)
    assert_same(codes, maps[:, :2], (maps[:, 2:3], maps[:, 3:]))
    np.testing.assert_array_equal(codes.stacked(d), maps)
    half = make_dictionary(channels=(1, 1), common=2, unique=(0, 4))
    assert_same(mcsc.Codes.from_stacked(maps, half), maps[:, :2], (None, maps[:, 2:]))


# -------------------------------------------------------------------------- files
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_save_and_load_are_bit_equal(tmp_path, dense, dtype):
    common, unique = dense
    for number, groups in enumerate(
        ((common, unique), (None, unique), (common, ()), (0 * common, unique))
    ):
        groups = [
            None if groups[0] is None else groups[0].astype(dtype),
            tuple(None if u is None else u.astype(dtype) for u in groups[1]),
        ]
        codes = mcsc.Codes.from_dense(*groups)
        codes.save(tmp_path / f"{number}.npz")
        loaded = mcsc.Codes.load(tmp_path / f"{number}.npz")
        assert_same(loaded, *groups)
        assert loaded.nnz == codes.nnz


GOOD = {"common_index": np.array([1, 5, 7]), "common_value": np.array([1.0, 2.0, 3.0])}


@pytest.mark.parametrize(
    ("arrays", "shapes"),
    [
        ({"common_index": np.array([1, 5, 8])}, {}),
        ({"common_index": np.array([-1, 5, 7])}, {}),
        ({"common_index": np.array([5, 1, 7])}, {}),
        ({"common_index": np.array([1, 1, 7])}, {}),
        ({"common_index": np.array([1, 5])}, {}),
        ({"common_index": np.array([1.0, 5.0, 7.0])}, {}),
        ({"common_index": np.array([[1, 5, 7]]), "common_value": np.ones((1, 3))}, {}),
        ({"common_value": np.array([1.0, np.nan, 3.0])}, {}),
        ({"common_value": np.array([1, 2, 3])}, {}),
        ({}, {"common": [2, 2, 2]}),
        ({}, {"common": [1, 1, 2, -4]}),
        ({}, {"common": None}),
        ({}, {"common": [1, 1, 2, 4], "unique_0": [1, 1, 2, 4]}),
        (
            {"unique_0_index": np.array([0]), "unique_0_value": np.array([1.0])},
            {"common": [1, 1, 2, 4], "unique_0": [1, 1, 4, 2]},
        ),
        ({}, {"unique_0": [1, 1, 2, 4]}),
    ],
)
def test_contents_that_make_no_codes_are_refused(tmp_path, arrays, shapes):
    path = tmp_path / "codes.npz"
    write_npz(path, "mcsc.Codes", 1, GOOD, shapes={"common": [1, 1, 2, 4]})
    assert mcsc.Codes.load(path).nnz == 3
    shapes = shapes or {"common": [1, 1, 2, 4]}
    write_npz(path, "mcsc.Codes", 1, GOOD | arrays, shapes=shapes)
    with pytest.raises(ValueError, match=r"codes.npz holds no usable codes"):
        mcsc.Codes.load(path)


# ----------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("common", "unique", "error", "message"),
    [
        (None, (), ValueError, "codes have no maps: give common, unique or both"),
        (None, (None, None), ValueError, "codes have no maps"),
        (np.zeros((3, 4, 4)), (), ValueError, r"common has shape \(3, 4, 4\): codes are \(N, K"),
        (None, (np.zeros((0, 2, 4, 4)),), ValueError, r"unique\[0\] has shape \(0, 2, 4, 4\)"),
        ([[1.0]], (), TypeError, "common must be an array .* found list"),
        (np.zeros((1, 1, 2, 2), int), (), TypeError, "common has dtype int64: codes are float32"),
        (np.full((1, 1, 2, 2), np.nan), (), ValueError, "common holds NaN or Inf"),
        (
            np.zeros((1, 2, 4, 4)),
            (None, np.zeros((1, 2, 4, 5))),
            ValueError,
            r"different grids: \(1, 2, 4, 4\), \(1, 2, 4, 5\)",
        ),
        (np.zeros((1, 2, 4, 4)), (np.zeros((2, 2, 4, 4)),), ValueError, "different grids"),
    ],
)
def test_refused_dense_codes(common, unique, error, message):
    with pytest.raises(error, match=message):
        mcsc.Codes.from_dense(common, unique)


def test_mixed_libraries_are_refused():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"mixed \(array_api_strict, numpy\)"):
        mcsc.Codes.from_dense(np.zeros((1, 1, 2, 2)), (strict.zeros((1, 1, 2, 2)),))


def test_groups_that_are_no_tuple():
    maps = np.ones((1, 2, 3, 3))
    assert mcsc.Codes.from_dense(maps, None).unique == ()
    for given, found in ((maps, "ndarray"), ("ab", "str"), (3, "int")):
        with pytest.raises(TypeError, match=f"unique must be a tuple .* found {found}; for one"):
            mcsc.Codes.from_dense(None, given)
    with pytest.raises(TypeError, match="common is a masked array"):
        mcsc.Codes.from_dense(np.ma.array(maps))
