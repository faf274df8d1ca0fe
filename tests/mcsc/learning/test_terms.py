"""Learning with codes of one sign and with squares, which the dictionary keeps."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from mcsc.coding.images import code
from mcsc.learning import learn_targets
from tests import helpers
from tests.mcsc.learning.small import learn


def test_a_dictionary_keeps_and_hands_on_its_terms(tmp_path):
    signals, _ = helpers.make_sparse_images()
    terms = {"nonnegative": (True, False, True), "mu": 0.1}
    learned = learn(signals, signals[0], passes=1, **terms)
    learned.dictionary.save(tmp_path / "d")
    d = mcsc.Dictionary.load(tmp_path / "d")
    assert d.terms == {"nonnegative": [True, False, True], "mu": 0.1}
    # The objective of learning is that of the same codes.
    whole = mcsc.solve(signals, d, d.lam, tol=1e-3, **d.terms)
    assert learned.history.objective[-1] == learned.objective
    assert (whole.codes.common >= 0).all()
    assert (whole.codes.unique[0] < 0).any()
    assert (whole.codes.unique[1] >= 0).all()
    # Tasks and target filters code as the dictionary was learned.
    seen = []

    def watched(*arguments, **options):
        result = mcsc.solve(*arguments, **options)
        seen.append(result)
        return result

    code(signals, d, d.lam, "signals", tol=1e-3, solver=watched)
    assert seen[0].objective == pytest.approx(whole.objective, rel=2e-3)
    plain = mcsc.Dictionary(d.common, d.unique, metadata={"lam": d.metadata["lam"]})
    assert plain.terms == {}
    errors = [learn_targets(signals, signals[0], one).mse for one in (d, plain)]
    assert errors[0] != errors[1]


def test_learning_goes_down_with_codes_that_must_not_be_negative():
    signals, _ = helpers.make_sparse_images()
    found = learn(signals, passes=3, nonnegative=True)
    history = found.history.objective
    assert history[-1] < 0.9 * history[0]
    assert found.dictionary.metadata["nonnegative"] is True


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mu": -1}, ValueError, "mu must be a finite number >= 0, found -1"),
        ({"mu": ()}, ValueError, "mu is empty"),
        ({"nonnegative": "yes"}, TypeError, "nonnegative must be True or False"),
        ({"joint": 1}, TypeError, "joint must be True or False"),
        ({"joint": True}, ValueError, "not learned with joint groups: windows are coded by the"),
        ({"joint": (False, True, True)}, ValueError, "learn without joint, then solve with it"),
    ],
    ids=str,
)
def test_refusals(options, error, message):
    with pytest.raises(error, match=message):
        mcsc.LearnOptions(**options)


def test_as_many_as_there_are_groups():
    signals, _ = helpers.make_sparse_images()
    with pytest.raises(ValueError, match=r"mu has 2 entries: give one, or one for each group"):
        learn(signals, passes=1, mu=(0.1, 0.2))
    assert np.float32(0.5) == mcsc.LearnOptions(mu=np.float32(0.5)).mu
    assert mcsc.LearnOptions(joint=(False, np.False_)).joint == (False, False)


@pytest.mark.parametrize("terms", [{"mu": (0.1,)}, {"nonnegative": (True, False)}], ids=str)
def test_terms_of_other_groups_are_refused_before_any_work(tmp_path, terms):
    """Nothing is left behind, as a checkpoint that the mended call would stumble over."""
    signals, _ = helpers.make_sparse_images()
    name = next(iter(terms))
    with pytest.raises(ValueError, match=f"{name} has . entries: give one, or one for each group"):
        learn(signals, checkpoint=tmp_path / "state", **terms)
    assert list(tmp_path.iterdir()) == []
    d = helpers.make_dictionary()
    d = mcsc.Dictionary(d.common, d.unique, metadata={name: list(terms[name])})
    asked = []
    with pytest.raises(ValueError, match=f"{name} has . entries"):
        learn_targets(signals, signals[0], d, 0.3, callback=asked.append)
    assert asked == []
