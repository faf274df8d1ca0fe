"""The lambda of Eq. 5 in every form that it can be given in, and as dictionaries keep it."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import mcsc
from mcsc.model.lam import lam_arrays, lam_per_map, plain_lam
from tests import helpers

MAPS = {"common": 2, "unique[0]": 1, "unique[1]": 3}

FORMS = [
    (0.5, 0.5, [0.5] * 6),
    (1, 1.0, [1.0] * 6),
    (np.float32(0.5), 0.5, [0.5] * 6),
    (np.float16(0.5), 0.5, [0.5] * 6),
    (np.int64(2), 2.0, [2.0] * 6),
    (np.array(0.5, dtype=np.float32), 0.5, [0.5] * 6),
    (Fraction(1, 4), 0.25, [0.25] * 6),
    ((1, 2, 3), [1.0, 2.0, 3.0], [1, 1, 2, 3, 3, 3]),
    ([np.float32(1), 2.0, np.array(3)], [1.0, 2.0, 3.0], [1, 1, 2, 3, 3, 3]),
    (np.array([1, 2, 3]), [1.0, 2.0, 3.0], [1, 1, 2, 3, 3, 3]),
    (np.arange(1.0, 7.0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 2, 3, 4, 5, 6]),
    ([1, 2, 3, 4, 5, 6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 2, 3, 4, 5, 6]),
    ((1.0, 2.0, (3, 4, 5)), [1.0, 1.0, 2.0, 3.0, 4.0, 5.0], [1, 1, 2, 3, 4, 5]),
    ((1.0, 2.0, (3, 3, 3)), [1.0, 2.0, 3.0], [1, 1, 2, 3, 3, 3]),
]  # fmt: skip


@pytest.mark.parametrize(("lam", "plain", "per_map"), FORMS)
def test_every_form_is_one_number_a_map_and_has_a_plain_form(lam, plain, per_map):
    np.testing.assert_array_equal(lam_per_map(lam, MAPS), per_map)
    found = plain_lam(lam, MAPS)
    assert found == plain
    assert json.loads(json.dumps(found)) == plain
    assert all(type(v) is float for v in (found if isinstance(found, list) else [found]))
    np.testing.assert_array_equal(lam_per_map(found, MAPS), per_map)


@pytest.mark.parametrize("lam", [form[0] for form in FORMS])
def test_a_dictionary_returns_what_solve_takes(lam, tmp_path):
    d = helpers.make_dictionary(0, common=2, unique=(1, 3))
    maps = {g.name: len(g.bank) for g in d.groups}
    kept = replace(d, metadata={"lam": plain_lam(lam, maps)})
    kept.save(tmp_path / "d")
    found = mcsc.Dictionary.load(tmp_path / "d").lam
    signals = helpers.make_signals()
    first, second = (mcsc.solve(signals, d, x, tol=1e-3).objective for x in (lam, found))
    assert first == second
    # Tasks scale it by the noise, whatever its form.
    assert (mcsc.Problem(signals, d, 2 * found).lam_maps == 2 * lam_per_map(lam, maps)).all()


def test_one_number_a_map_is_float64_however_it_is_given():
    """Kernels of certificates take no other type."""
    grid = (2, 5, 7)
    each = np.full((1, 6, 1, 1), 0.5, np.float32)
    some = [0.5, np.full((1, 1), 0.5, np.float32), np.full((3, 1, 1), 0.5, np.float16)]
    for lam in (each, each[0], some):
        assert {a.dtype for a in lam_arrays(lam, MAPS, grid, np)} == {np.dtype(np.float64)}
    whole = np.full((6, 5, 7), 0.5, np.float32)
    assert {a.dtype for a in lam_arrays(whole, MAPS, grid, np)} == {np.dtype(np.float32)}


def test_a_dictionary_without_lam_says_none():
    assert helpers.make_dictionary(0).lam is None


@pytest.mark.parametrize(
    ("lam", "error"), [("a", TypeError), ([0.1] * 4, ValueError), (-1, ValueError)]
)
def test_what_metadata_should_not_hold_is_refused(lam, error):
    d = replace(helpers.make_dictionary(0), metadata={"lam": lam})
    with pytest.raises(error, match="lam"):
        _ = d.lam
