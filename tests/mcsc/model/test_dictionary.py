"""Filter banks: shapes, norms, bounds, files."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

import mcsc
from mcsc.files import write_npz
from mcsc.model.dictionary import embed
from mcsc.model.spectra import autocorrelation, gram_spectrum, hermitian_norm, wrap
from tests.helpers import explicit_matrix, make_bank, make_dictionary


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_shape_of_the_model():
    d = make_dictionary(channels=(1, 3), common=4, unique=(2, 5), size=(3, 5, 4, 1))
    assert d.n_signals == 2
    assert d.channels == (1, 3)
    assert d.n_common == 4
    assert d.n_unique == (2, 5)
    assert d.n_maps == 11
    assert d.filter_size == 5
    assert [(g.name, g.maps, g.channels) for g in d.groups] == [
        ("common", slice(0, 4), slice(0, 4)),
        ("unique[0]", slice(4, 6), slice(0, 1)),
        ("unique[1]", slice(6, 11), slice(1, 4)),
    ]
    assert "common=((4, 1, 3, 3), (4, 3, 5, 5)), unique=((2, 1, 4, 4), (5, 3, 1, 1))" in repr(d)
    assert "target" not in repr(d)


def test_absent_groups():
    alone = make_dictionary(channels=(2,), common=0, unique=3)
    assert (alone.n_signals, alone.n_common, alone.n_unique, alone.channels) == (1, 0, (3,), (2,))
    shared = make_dictionary(channels=(1, 2, 3), unique=0)
    assert (shared.n_signals, shared.n_unique, shared.channels) == (3, (0, 0, 0), (1, 2, 3))
    assert shared.lipschitz()[1] == (None, None, None)
    half = make_dictionary(channels=(1, 2), unique=(0, 2), common=1)
    assert half.n_unique == (0, 2)
    assert [g.name for g in half.groups] == ["common", "unique[1]"]
    assert half.groups[1].channels == slice(1, 3)
    assert half.lipschitz()[1][0] is None
    neither = mcsc.Dictionary(unique=(None, half.unique[1]), common=half.common)
    assert "unique=(None, (2, 2, 3, 3))" in repr(neither)


@pytest.mark.parametrize(("size", "larger", "at"), [(3, 5, 1), (2, 3, 1), (3, 4, 0), (2, 5, 2)])
def test_embedding_keeps_the_origin(rng, size, larger, at):
    bank = make_bank(rng, 2, 3, size)
    grown = embed(bank, larger)
    assert grown.shape == (2, 3, larger, larger)
    assert at + (size - 1) // 2 == (larger - 1) // 2
    np.testing.assert_array_equal(grown[:, :, at : at + size, at : at + size], bank)
    assert np.count_nonzero(grown) == bank.size


def test_wrapping_adds_what_overlaps():
    np.testing.assert_array_equal(
        wrap(np.arange(1.0, 10.0).reshape(3, 3), (2, 4), 1), [[5, 6, 0, 4], [10, 12, 0, 8]]
    )


# -------------------------------------------------------------------------- norms
def gram_norm(bank, shape):
    return hermitian_norm(gram_spectrum(autocorrelation(bank), shape))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(9, 8), (4, 3)], ids=str)
def test_normal_matrix_in_frequency_is_the_operator_s(rng, channels, shape):
    """On a grid smaller than the autocorrelation, (2s-1)^2, too."""
    bank = make_bank(rng, 2, channels, 3)
    matrix = explicit_matrix(mcsc.Dictionary(unique=(bank,)), shape, "periodic")
    assert gram_norm(bank, shape) == pytest.approx(np.linalg.norm(matrix, 2) ** 2, rel=1e-10)


@pytest.mark.parametrize("size", [3, 4, (3, 5, 2, 1)], ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (1, 3), (2, 2)], ids=str)
def test_lipschitz_bounds_every_image_size_and_boundary(size, channels):
    d = make_dictionary(channels=channels, size=size, common=2, unique=(2, 4))
    common, unique = d.lipschitz()
    groups = [
        (common, mcsc.Dictionary(common=d.common)),
        *((b, mcsc.Dictionary(unique=(u,))) for b, u in zip(unique, d.unique, strict=True)),
    ]
    for bound, group in groups:
        assert isinstance(bound, float)
        for boundary in ("zero", "periodic"):
            for shape in ((5, 5), (6, 9), (8, 7)):
                matrix = explicit_matrix(group, shape, boundary)
                assert np.linalg.norm(matrix, 2) ** 2 <= bound
        assert bound <= 1.05 * supremum(group)


def supremum(dictionary, n=180):
    """Largest squared singular value of the filters' spectra on a fine grid of frequencies."""
    banks = dictionary.common or dictionary.unique
    spectra = np.concatenate([np.fft.rfft2(b, (n, n)) for b in banks], axis=1)
    return np.linalg.norm(np.moveaxis(spectra, (0, 1), (2, 3)), 2, axis=(2, 3)).max() ** 2


def test_lipschitz_of_many_channels_is_looser(rng):
    d = mcsc.Dictionary(unique=(make_bank(rng, 9, 10, 3),))
    exact, bound = supremum(d, 60), d.lipschitz()[1][0]
    assert exact <= bound <= 1.18 * exact


def test_lipschitz_where_the_peak_lies_between_samples():
    """cos^2 of a phase that no grid of 32 s frequencies hits."""
    t = np.arange(8.0)
    wave = np.cos(2 * np.pi * t * (20.5 / 256))[None, None, None, :] * np.eye(8)[3][:, None]
    d = mcsc.Dictionary(unique=(wave,))
    exact = supremum(d, 1024)
    assert gram_norm(wave, (256, 256)) < exact <= d.lipschitz()[1][0] <= 1.02 * exact


def test_filter_norms_and_normalise(rng):
    dc, hc, gc = make_bank(rng, 3, 1, 3), make_bank(rng, 3, 2, 4), make_bank(rng, 3, 2, 5)
    du, gu = make_bank(rng, 2, 1, 3).astype("float32"), make_bank(rng, 2, 2, 3)
    d = mcsc.Dictionary((dc, hc), (du, None), gc, (gu, None))
    atoms = np.sqrt((dc**2).sum((1, 2, 3)) + (hc**2).sum((1, 2, 3)))
    alone = np.sqrt((du.astype("f8") ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(d.filter_norms(), [*atoms, *alone], rtol=1e-14)
    unit = d.normalise()
    np.testing.assert_allclose(unit.filter_norms(), 1, rtol=1e-6)
    for scaled, given in ((unit.common[0], dc), (unit.common[1], hc), (unit.target_common, gc)):
        np.testing.assert_allclose(scaled, given / atoms[:, None, None, None])
    assert unit.unique[0].dtype == np.float32
    assert unit.unique[1] is unit.target_unique[1] is None
    np.testing.assert_allclose(unit.target_unique[0], gu / alone[:, None, None, None])


def banks_of(d):
    groups = (d.common, d.unique, (d.target_common,), d.target_unique)
    return [b for banks in groups for b in banks or () if b is not None]


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_banks_are_copies_of_those_that_were_given(xp, used):
    given = [xp.asarray(b) for b in banks_of(make_dictionary(target=2, unique=(2, 3)))]
    first, second, third, fourth, gc, gu, gv = given
    d = mcsc.Dictionary((first, second), (third, fourth), gc, (gu, gv))
    wanted = [xp.to_numpy(b).copy() for b in given]
    bounds = make_dictionary(target=2, unique=(2, 3)).lipschitz()
    if used:
        d.lipschitz()
    if xp.name != "numpy-readonly":
        for bank in given:
            bank[...] = 7.0
    assert all(np.array_equal(xp.to_numpy(b), w) for b, w in zip(banks_of(d), wanted, strict=True))
    assert d.lipschitz() == bounds


def test_a_solution_is_of_the_filters_that_the_dictionary_shows(rng):
    bank = make_bank(rng, 3, 1, 3)
    d = mcsc.Dictionary(unique=(bank,))
    x = rng.standard_normal((9, 8))
    before = mcsc.solve((x,), d, 0.3)
    bank *= 2
    after = mcsc.solve((x,), d, 0.3)
    assert after.objective == before.objective
    again = mcsc.solve((x,), mcsc.Dictionary(unique=d.unique), 0.3)
    assert again.objective == before.objective


@pytest.mark.parametrize(
    "made",
    [
        lambda d: d,
        lambda d: d.normalise(),
        lambda d: d.astype("float32"),
        lambda d: d.to(np.zeros(0)),
        lambda d: replace(d, signal_weights=(1.0, 2.0)),
        copy.copy,
        copy.deepcopy,
        lambda d: pickle.loads(pickle.dumps(d)),
    ],
    ids=["new", "normalise", "astype", "to", "replace", "copy", "deepcopy", "pickle"],
)
def test_banks_refuse_to_be_written_to(made):
    d = make_dictionary(target=2)
    d.lipschitz()
    found = made(d)
    for bank in (*banks_of(found), *(g.bank for g in found.groups)):
        with pytest.raises(ValueError, match="read-only"):
            bank[...] = 0


def test_banks_are_used_as_given_and_never_written(rng):
    bank = make_bank(rng, 2, 1, 3)
    before = bank.copy()
    d = mcsc.Dictionary(unique=(bank,))
    np.testing.assert_array_equal(d.unique[0], before)
    d.normalise()
    d.lipschitz()
    np.testing.assert_array_equal(bank, before)
    bank += 1  # still the caller's


def test_to_another_library(xp):
    d = make_dictionary(target=2, unique=(2, 2))
    moved = d.to(xp.asarray([0.0]))
    for name in ("common", "unique", "target_unique"):
        for bank, given in zip(getattr(moved, name), getattr(d, name), strict=True):
            np.testing.assert_array_equal(xp.to_numpy(bank), given)
    np.testing.assert_array_equal(xp.to_numpy(moved.target_common), d.target_common)
    assert moved.lipschitz() == d.lipschitz()
    np.testing.assert_allclose(xp.to_numpy(moved.normalise().common[0]), d.common[0], rtol=1e-14)


# -------------------------------------------------------------------------- files
def dictionaries():
    yield make_dictionary(target=3, channels=(1, 2), size=(3, 4, 5, 2, 6, 1, 3))
    yield make_dictionary(common=0, channels=(2,))
    yield make_dictionary(unique=0)
    full = make_dictionary(unique=(0, 2), channels=(1, 1))
    yield mcsc.Dictionary(tuple(b.astype("float32") for b in full.common), full.unique)
    d = make_dictionary(target=1)
    yield mcsc.Dictionary(d.common, d.unique, d.target_common, (d.target_unique[0], None))


def assert_same(one, two):
    for name in ("common", "unique", "target_unique"):
        first, second = getattr(one, name), getattr(two, name)
        assert (first is None) == (second is None)
        for a, b in zip(first or (), second or (), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.target_common, two.target_common)


@pytest.mark.parametrize("index", range(5))
def test_save_and_load_are_bit_equal(tmp_path, index):
    d = list(dictionaries())[index]
    d.save(tmp_path / "d.npz")
    assert_same(mcsc.Dictionary.load(tmp_path / "d.npz"), d)


def test_save_appends_the_suffix_and_takes_strings(tmp_path):
    d = make_dictionary()
    d.save(str(tmp_path / "depth.v2"))
    assert [p.name for p in tmp_path.iterdir()] == ["depth.v2.npz"]
    assert_same(mcsc.Dictionary.load(str(tmp_path / "depth.v2.npz")), d)
    d.save(tmp_path / "LARGE.NPZ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["LARGE.NPZ", "depth.v2.npz"]
    assert_same(mcsc.Dictionary.load(tmp_path / "LARGE.NPZ"), d)


def test_contents_that_make_no_dictionary_are_refused(tmp_path):
    bank = np.ones((1, 1, 2, 2))
    for name, arrays, header, message in (
        ("nan", {"unique_0": bank * np.nan}, {}, "holds NaN"),
        ("flat", {"unique_0": bank[0, 0]}, {}, "has shape"),
        ("integers", {"unique_0": bank.astype(int)}, {}, "dtype int64"),
        ("too few", {"unique_0": bank}, {"n_signals": 2}, "signal 1 has no filters"),
        ("no number", {"unique_0": bank}, {"n_signals": "two"}, "integer"),
        ("empty", {}, {}, "Dictionary has no filters"),
        ("unsaid", {"unique_0": bank}, {"has": {}}, "common"),
    ):
        path = tmp_path / f"{name}.npz"
        has = {"common": False, "unique": True, "target_unique": False}
        write_npz(path, "mcsc.Dictionary", 1, arrays, **({"n_signals": 1, "has": has} | header))
        with pytest.raises(ValueError, match=f"{name}.npz holds no usable dictionary: .*{message}"):
            mcsc.Dictionary.load(path)


# ------------------------------------------------------------------- weights and metadata
def test_weights_of_signals_multiply_the_operator():
    d = make_dictionary(channels=(1, 2), size=4)
    weighted = mcsc.Dictionary(d.common, d.unique, signal_weights=(2.0, 0.5))
    plain = mcsc.Dictionary(
        (2 * d.common[0], 0.5 * d.common[1]), (2 * d.unique[0], 0.5 * d.unique[1])
    )
    for a, b in zip(weighted.groups, plain.groups, strict=True):
        np.testing.assert_array_equal(a.bank, b.bank)
    assert weighted.lipschitz() == plain.lipschitz()
    np.testing.assert_allclose(weighted.normalise().filter_norms(), 1)


def test_weights_and_metadata_survive_a_file(tmp_path):
    d = make_dictionary(channels=(1, 2), size=4)
    metadata = {"lam": 0.1, "names": ["a", "b"]}
    kept = mcsc.Dictionary(d.common, d.unique, signal_weights=(1, 0.3), metadata=metadata)
    metadata["lam"] = 5
    kept.astype("float32").save(tmp_path / "d.npz")
    found = mcsc.Dictionary.load(tmp_path / "d.npz")
    assert found.signal_weights == (1.0, 0.3)
    assert found.metadata == {"lam": 0.1, "names": ["a", "b"]}
    assert found.common[0].dtype == np.float32


@pytest.mark.parametrize(
    ("extra", "error", "words"),
    [
        ({"signal_weights": (1.0,)}, ValueError, "signal_weights has 1 entries for 2 signals"),
        ({"signal_weights": (1.0, -1)}, ValueError, r"signal_weights\[1\] must be a finite"),
        ({"signal_weights": (1.0, "a")}, ValueError, r"signal_weights\[1\] must be"),
        ({"signal_weights": 0.3}, TypeError, "must hold a number for every signal"),
        ({"metadata": {"a": object()}}, TypeError, "metadata must hold what JSON can"),
        ({"metadata": 3}, TypeError, "metadata must hold what JSON can"),
    ],
)
def test_bad_weights_and_metadata(extra, error, words):
    d = make_dictionary(channels=(1, 2), size=4)
    with pytest.raises(error, match=words):
        mcsc.Dictionary(d.common, d.unique, **extra)
