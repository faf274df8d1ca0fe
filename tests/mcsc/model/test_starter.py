from __future__ import annotations

import itertools

import numpy as np
import pytest

import mcsc
from mcsc.model.starter import dct_bank, dct_dictionary


@pytest.mark.parametrize(("size", "atoms"), [(8, None), (8, 6), (8, 16), (5, 5), (3, 2), (2, None)])
def test_bank_is_zero_mean_and_of_unit_norm(size, atoms):
    bank = dct_bank(size, atoms)
    n = atoms or (size + 1 if size > 2 else 2)
    assert bank.shape == (n * n - 1, 1, size, size)
    assert bank.dtype == np.float64
    np.testing.assert_allclose(bank.mean(axis=(1, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(np.sum(bank**2, axis=(1, 2, 3)), 1, rtol=1e-12)


def test_as_many_frequencies_as_pixels_is_the_orthonormal_dct():
    flat = dct_bank(6, 6).reshape(35, 36)
    np.testing.assert_allclose(flat @ flat.T, np.eye(35), atol=1e-12)


def test_the_default_is_overcomplete_and_without_repetition():
    flat = dct_bank().reshape(80, 64)
    assert np.linalg.matrix_rank(flat) == 63  # all patches without a mean
    likeness = np.abs(flat @ flat.T) - np.eye(80)
    assert likeness.max() < 0.9


def test_frequencies_rise():
    bank = dct_bank(8, 8)
    crossings = np.abs(np.diff(np.sign(bank[:, 0]), axis=1)).sum(axis=(1, 2)) / 16
    crossings += np.abs(np.diff(np.sign(bank[:, 0]), axis=2)).sum(axis=(1, 2)) / 16
    assert (np.diff(crossings) >= 0).all()


def test_two_grey_signals_share_every_atom_with_each_sign():
    bank = dct_bank(4, 3)
    d = dct_dictionary((1, 1), 4, 3)
    dc, hc = d.common
    for number, atom in enumerate(bank):
        for sign in (1, -1):
            pair = np.stack([atom, sign * atom]) / np.sqrt(2)
            found = np.abs(np.stack([dc, hc], axis=1) - pair).max(axis=(1, 2, 3, 4)) < 1e-12
            assert found.sum() == 1, (number, sign)
    assert d.n_common == 2 * len(bank)
    for du in d.unique:
        np.testing.assert_array_equal(du, bank)


@pytest.mark.parametrize(
    "channels", [(1,), (3,), (1, 1), (1, 3), (3, 3), (31, 3), (1, 1, 1), (2,) * 5]
)
def test_atoms_have_unit_norm_and_no_mean(channels):
    d = dct_dictionary(channels, 4, 3)
    assert d.channels == channels
    np.testing.assert_allclose(d.filter_norms(), 1, rtol=1e-12)
    for group in d.groups:
        np.testing.assert_allclose(group.bank.mean(axis=(2, 3)), 0, atol=1e-14)


def test_no_two_atoms_are_the_same():
    for group in dct_dictionary((3, 3), 4).groups:
        flat = group.bank.reshape(len(group.bank), -1)
        assert (np.abs(flat @ flat.T) - np.eye(len(flat))).max() < 0.95


def test_colour_is_coded_along_the_mean_and_two_opponents():
    d = dct_dictionary((1, 3))
    (unique,) = d.unique[1:]
    assert d.n_unique == (80, 108)
    np.testing.assert_allclose(unique[:80], np.repeat(dct_bank(), 3, axis=1) / np.sqrt(3))
    np.testing.assert_allclose(unique[80:].sum(axis=1), 0, atol=1e-14)  # opponents: no luma
    assert np.linalg.matrix_rank(unique[80:].transpose(0, 2, 3, 1).reshape(-1, 3)) == 2
    # A signal with one channel has no opponent, so that only the mean is shared.
    assert d.n_common == 160
    dc, hc = (np.abs(bank).max(axis=(1, 2, 3)) for bank in d.common)
    np.testing.assert_allclose(dc, hc)  # the same contrast in every channel
    assert dct_dictionary((3, 3)).n_common == 2 * 108


def test_signs_of_three_and_of_many():
    bank = len(dct_bank(4, 3))
    d = dct_dictionary((1, 1, 1), 4, 3)
    assert d.n_common == 4 * bank
    signs = {
        tuple(np.sign((np.stack(d.common, 1) * d.common[0][:, None])[k].sum((1, 2, 3))))
        for k in range(d.n_common)
    }
    assert signs == {(1.0, *s) for s in itertools.product((1.0, -1.0), repeat=2)}
    assert dct_dictionary((1,) * 5, 4, 3).n_common == bank
    assert dct_dictionary((1,) * 4, 4, 3, both_signs=True).n_common == 8 * bank
    assert dct_dictionary((1, 1), 4, 3, both_signs=False).n_common == bank


def test_an_edge_of_either_polarity_is_common():
    image = np.full((16, 16), -0.5)
    image[:, 8:] = 0.5
    d = mcsc.dct_dictionary((1, 1), 4, 3)
    for sign in (1, -1):
        result = mcsc.solve((image, sign * image), d, lam=0.1, method="fista")
        assert result.codes.nnz_unique == (0, 0)
        assert result.codes.nnz_common > 0


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"filter_size": 1},
            ValueError,
            "filter_size must be a whole number from 2 to 1024, found 1",
        ),
        ({"filter_size": 8.0}, ValueError, "filter_size must be a whole number .*, found 8.0"),
        ({"filter_size": True}, ValueError, "filter_size must be a whole number .*, found True"),
        ({"atoms_per_axis": 17}, ValueError, "atoms_per_axis must be .* from 2 to 16, found 17"),
        ({"atoms_per_axis": 1}, ValueError, "atoms_per_axis must be a whole number from 2"),
        ({"filter_size": 2, "atoms_per_axis": 3}, ValueError, "the same atom twice"),
        ({"channels": 3}, TypeError, r"channels must hold .* found 3; .* write \(1, 1\)"),
        ({"channels": "11"}, TypeError, "channels must hold"),
        ({"channels": ()}, ValueError, "channels is empty"),
        ({"channels": (1, 0)}, ValueError, r"channels\[1\] must be a whole number from 1"),
        ({"channels": (1, None)}, ValueError, r"channels\[1\] must be a whole number"),
        ({"both_signs": 1}, TypeError, "both_signs must be True, False or None, found 1"),
    ],
)
def test_refusals(arguments, kind, message):
    with pytest.raises(kind, match=message):
        dct_dictionary(**arguments)
