"""Recipes: the paper's, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from unfolded import Recipe


def test_the_paper_s_recipe_is_the_default():
    recipe = Recipe()
    assert (recipe.epochs, recipe.patches_per_epoch, recipe.patch, recipe.batch_size) == (
        200,
        150_000,
        64,
        64,
    )
    assert recipe.steps_per_epoch() == 2344
    assert recipe.factor(0, 10) == 1
    assert recipe.factor(499, 10) == 1
    assert recipe.factor(500, 10) == pytest.approx(0.9)
    assert recipe.factor(1999, 10) == pytest.approx(0.9**3)


def test_cosine_rises_and_falls():
    recipe = Recipe(epochs=10, schedule="cosine")
    factors = [recipe.factor(step, 100) for step in range(1001)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1, abs=1e-3)
    assert factors[500] == pytest.approx(0.5, abs=1e-3)
    assert factors[1000] == pytest.approx(0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number >= 1, found 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number > 0, found 0.0"),
        ({"noise": float("inf")}, "noise must be a finite number >= 0, found inf"),
        ({"learning_rate": True}, "learning_rate must be a finite number > 0, found True"),
        ({"soften": -1.0}, "soften must be a finite number >= 0, found -1.0"),
        ({"clip_norm": -1.0}, "clip_norm must be a finite number > 0, found -1.0"),
        ({"average": 1.0}, "average must be below 1, found 1.0"),
        ({"average": -0.1}, "average must be a finite number >= 0, found -0.1"),
        ({"squared_from": 1.5}, "squared_from must be at most 1, found 1.5"),
        ({"loss": "contrast", "patch": 2}, "takes gradients of 3 x 3 pixels; found patch=2"),
        ({"loss": "huber"}, "loss must be one of mse, l1, charbonnier, contrast; found 'huber'"),
        ({"warm_up": -1}, "warm_up must be a whole number >= 0, found -1"),
        ({"optimiser": "sgd"}, "optimiser must be one of adam, muon, scaled-muon; found 'sgd'"),
        ({"candidates": 0}, "candidates must be a whole number >= 1, found 0"),
        ({"schedule": "linear"}, "schedule must be one of paper, cosine; found 'linear'"),
    ],
)
def test_refused_recipes(options, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**options)


def test_numbers_of_numpy_become_python_s():
    """They are compared with those of a checkpoint, and written into it."""
    recipe = Recipe(epochs=np.int64(3), learning_rate=np.float32(0.5), clip_norm=np.float64(2))
    assert [type(v) for v in (recipe.epochs, recipe.learning_rate, recipe.clip_norm)] == [
        int, float, float,
    ]  # fmt: skip
