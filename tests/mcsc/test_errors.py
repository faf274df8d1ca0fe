"""Warnings name the line of the user, however deep in the package they come from."""

from __future__ import annotations

import warnings

import pytest

import mcsc
from mcsc.errors import warn_user
from mcsc.synthetic import make_pair
from mcsc.tasks import evaluate, restore


@pytest.fixture(scope="module")
def pair():
    return make_pair("depth", 0, (48, 48))


def line_of(call):
    """What a call warns of must name this file, and the line of the call."""
    with pytest.warns(UserWarning, match=r"\w") as record:
        call()
    assert {w.filename for w in record} == {__file__}
    return {w.lineno for w in record}


def test_warnings_name_the_line_that_led_to_them(pair):
    first = line_of.__code__.co_firstlineno
    bank = mcsc.dct_dictionary((1,), 4, 2)
    calls = (
        lambda: restore(pair.target, pair.y, "depth-sr", method="bicubic"),
        lambda: mcsc.solve((pair.y[:1],), bank, 0.01, method="ista", max_iter=1),
        lambda: mcsc.solve_path((pair.y[:1],), bank, [0.1, 0.01], method="ista", max_iter=1),
    )
    lines = [line_of(call) for call in calls]
    assert all(len(found) == 1 and min(found) > first for found in lines)
    assert len({min(found) for found in lines}) == 3


def test_a_dictionary_for_another_task_is_told_where_it_is_named(pair, tmp_path):
    """From `evaluate`, too, which looks methods up one call deeper."""
    from dataclasses import replace

    bank = replace(mcsc.dct_dictionary((1, 1), 4, 2), metadata={"task": "medical"})
    bank.save(tmp_path / "d.npz")
    path = tmp_path / "d.npz"
    scenes = [lambda: (pair.target, pair.y)]
    line_of(lambda: evaluate(scenes, "depth-sr", ["mcsc"], dictionary=path, tol=0.5))


def test_code_of_nobody_warns_where_it_stands():
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        warn_user("look", RuntimeWarning)
    (told,) = record
    assert (told.category, told.filename) == (RuntimeWarning, __file__)
