"""Terms of the penalty that filters of two images keep when more of them share them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsc.coding.shared import shared_filters
from mcsc.tasks import fuse
from mcsc.tasks.shipped import shipped_dictionary
from tests.helpers import make_dictionary


def with_terms(dictionary, **terms):
    return replace(dictionary, metadata={**dictionary.metadata, **terms})


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        ({"mu": [0.1, 0.2, 0.2]}, {"mu": [0.1] + 5 * [0.2]}),
        ({"nonnegative": [True, False, False]}, {"nonnegative": [True] + 5 * [False]}),
        ({"mu": 0.3, "nonnegative": True}, {"mu": 0.3, "nonnegative": True}),
    ],
)
def test_terms_are_those_of_the_groups(terms, wanted, count):
    given = with_terms(make_dictionary(0, channels=(1, 1)), **terms)
    shared, _ = shared_filters(given, count, 0.1)
    first = 0 if count > 1 else 1  # one image has no common part
    expected = {k: v[first : count + 1] if isinstance(v, list) else v for k, v in wanted.items()}
    assert shared.terms == {k: v for k, v in expected.items() if np.any(v)}
    assert len(shared.groups) == count + (count > 1)


def test_terms_that_differ_between_the_images_are_refused():
    given = with_terms(make_dictionary(0, channels=(1, 1)), mu=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"mu of this dictionary is \[0\.1, 0\.2, 0\.3\], and dif"):
        shared_filters(given, 3, 0.1)


def test_three_images_are_fused_with_a_term_for_each_group():
    given = with_terms(shipped_dictionary("multi-focus"), mu=[0.1, 0.2, 0.2])
    images = list(np.random.default_rng(0).random((3, 1, 40, 40), dtype=np.float32))
    assert fuse(images, "multi-focus", dictionary=given, tol=0.2).gap <= 0.2
