"""Any lam that `mcsc.solve` takes is legal in learning, and comes back from what is stored."""

import numpy as np
import pytest

import mcsc
from mcsc.learning import learn_targets
from mcsc.learning.passes import Passes
from tests import helpers
from tests.mcsc.learning.small import banks, learn

FORMS = [
    np.float32(0.25),
    np.array(0.25),
    np.int64(1),
    (0.25, 0.5, 0.5),
    np.array([0.25, 0.5, 0.5]),
    [0.25] * 4 + [0.5] * 6,
    np.linspace(0.2, 0.4, 10),
    (0.25, [0.1, 0.2, 0.3], np.float32(0.5)),
]


@pytest.mark.parametrize("lam", FORMS)
def test_learning_coding_and_fitting_with_any_form(lam, tmp_path):
    signals, _ = helpers.make_sparse_images()
    learned = learn(signals, signals[0], lam=lam, passes=1, checkpoint=tmp_path / "state")
    learned.dictionary.save(tmp_path / "d")
    d = mcsc.Dictionary.load(tmp_path / "d")
    wanted = mcsc.Problem(signals, d, lam).lam_maps
    np.testing.assert_array_equal(mcsc.Problem(signals, d, d.lam).lam_maps, wanted)
    again = learn(signals, signals[0], lam=lam, passes=1, checkpoint=tmp_path / "state")
    for a, b in zip(banks(d), banks(again.dictionary), strict=True):
        np.testing.assert_array_equal(a, b)
    fit = learn_targets(signals, signals[0], d)
    other = learn_targets(signals, signals[0], d, lam)
    assert fit.mse == other.mse


def test_forms_of_one_lam_learn_the_same_and_share_a_checkpoint(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state"
    first = learn(signals, lam=(0.25, 0.5, 0.5), passes=1, checkpoint=path)
    second = learn(signals, lam=np.array([0.25] * 4 + [0.5] * 6), passes=1, checkpoint=path)
    for a, b in zip(banks(first.dictionary), banks(second.dictionary), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.dictionary.metadata == second.dictionary.metadata


def test_target_filters_are_kept_with_the_lam_that_they_are_for():
    signals, d = helpers.make_sparse_images()
    fit = learn_targets(signals, signals[0], d, np.float32(0.5))
    assert fit.dictionary.lam == 0.5


@pytest.mark.parametrize(
    ("lam", "error"),
    [
        (None, TypeError),
        (True, TypeError),
        ("0.1", TypeError),
        (0.1 + 0j, TypeError),
        (np.nan, ValueError),
        (0, ValueError),
        ((), ValueError),
        ((0.1, 0.2), ValueError),
        ((0.1, 0.2, 0), ValueError),
        (np.ones((10, 1)), ValueError),
        (np.ones(11), ValueError),
        ((0.1, "a", 0.2), TypeError),
        ((0.1, [0.2, 0.3], 0.2), ValueError),
    ],
)
def test_others_are_refused_before_the_first_pass(monkeypatch, lam, error):
    monkeypatch.setattr(Passes, "__init__", None)
    signals, d = helpers.make_sparse_images()
    with pytest.raises(error, match="lam"):
        learn(signals, lam=lam)
    if lam is not None:
        with pytest.raises(error, match="lam"):
            learn_targets(signals, signals[0], d, lam)
