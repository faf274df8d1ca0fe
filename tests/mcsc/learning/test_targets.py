"""Target filters: against least squares, and on codes that the solver finds."""

import numpy as np
import pytest

import mcsc
from mcsc.learning import learn_targets
from mcsc.learning.targets import hold_out
from mcsc.learning.windows import Window
from tests import helpers
from tests.mcsc.learning.small import learn


def test_filters_solve_the_ridge_regression():
    signals = helpers.make_signals(shape=(16, 15), samples=2)
    d = helpers.make_dictionary(3, size=3, common=2, unique=2)
    target = np.random.default_rng(5).standard_normal((2, 1, 16, 15))
    lam, ridge = 0.6, 0.05
    fit = learn_targets(signals, target, d, lam, ridge=ridge, window=16, batch_size=2, tol=1e-8)
    found = fit.dictionary
    codes = mcsc.solve(signals, d, lam, tol=1e-8).codes
    maps = np.concatenate([codes.common, codes.unique[0]], axis=1)
    # One column for every tap of every filter: the image that the tap alone would give.
    columns = []
    for k in range(4):
        for tap in range(9):
            bank = np.zeros((1, 1, 9))
            bank[0, 0, tap] = 1
            one = np.stack([helpers.convolve(bank.reshape(1, 1, 3, 3), m[k : k + 1]) for m in maps])
            columns.append(one.ravel())
    a = np.stack(columns, axis=1)
    energy = (maps**2).sum((0, 2, 3)).mean()
    wanted = np.linalg.solve(
        a.T @ a + ridge * energy * np.eye(a.shape[1]), a.T @ target.ravel()
    ).reshape(4, 1, 3, 3)
    np.testing.assert_allclose(found.target_common, wanted[:2], atol=1e-4)
    np.testing.assert_allclose(found.target_unique[0], wanted[2:], atol=1e-4)
    assert found.target_unique[1] is None
    error = target.ravel() - a @ wanted.ravel()
    np.testing.assert_allclose(fit.mse, np.mean(error**2), rtol=1e-5)
    assert fit.target_power == pytest.approx(np.mean(target**2))


def test_fusion_uses_all_groups_and_targets_are_found_again():
    signals, d = helpers.make_sparse_images(count=8)
    rng = np.random.default_rng(1)
    codes = mcsc.solve(signals, d, 0.1, tol=1e-4).codes
    true = mcsc.Dictionary(
        d.common, d.unique, rng.standard_normal(d.common[0].shape),
        tuple(rng.standard_normal(u.shape) for u in d.unique),
    )  # fmt: skip
    target = mcsc.reconstruct(codes, true, "fusion").image
    fit = learn_targets(
        signals, target, d, 0.1, kind="fusion", window=24, batch_size=2, tol=1e-4,
        ridge=(1e-6, 1.0),
    )  # fmt: skip
    assert fit.ridge == 1e-6
    assert fit.ridges == (1e-6, 1.0)
    assert fit.validation_mse[0] < fit.validation_mse[1]
    assert (fit.validation_windows, fit.windows) == (2, 8)
    assert fit.mse < 1e-3 * fit.target_power
    np.testing.assert_allclose(fit.dictionary.target_unique[1], true.target_unique[1], atol=0.1)


def test_learn_with_targets_gives_a_dictionary_that_restores():
    signals, _ = helpers.make_sparse_images(count=8)
    target = 2 * signals[0]
    learned = mcsc.learn(
        signals, target, lam=0.1, n_common=4, n_unique=3, filter_size=5, window=24, passes=4
    )
    test, _ = helpers.make_sparse_images(3, count=2)
    codes = mcsc.solve(test, learned.dictionary, 0.1).codes
    image = mcsc.reconstruct(codes, learned.dictionary).image
    assert np.mean((image - 2 * test[0]) ** 2) < 0.3 * np.mean((2 * test[0]) ** 2)
    assert learned.target_fit.mse < learned.target_fit.target_power


def fit_noise(**options):
    """Targets that signals say nothing of: the strongest ridge leaves the least error."""
    signals, d = helpers.make_sparse_images(count=1, shape=(24, 48))
    target = np.random.default_rng(0).standard_normal((1, 1, 24, 48)).astype(np.float32)
    ridges = (1e-6, 1.0, 1e3)
    return learn_targets(signals, target, d, 0.1, window=24, ridge=ridges, **options)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_ridge_is_chosen_on_windows_held_out_whatever_the_batches(batch_size):
    fit = fit_noise(batch_size=batch_size)
    assert fit.ridge == 1e3
    assert fit.ridges == (1e-6, 1.0, 1e3)
    assert fit.validation_mse[0] > fit.validation_mse[1] > fit.validation_mse[2]
    assert (fit.validation_windows, fit.windows) == (1, 2)


def test_nothing_is_said_to_be_compared_where_nothing_was():
    fit = fit_noise(max_windows=1)
    assert (fit.ridge, fit.ridges, fit.validation_mse) == (1e-6, (), ())
    assert (fit.validation_windows, fit.windows) == (0, 1)


@pytest.mark.parametrize(
    ("images", "each", "held"), [(1, 2, 1), (1, 20, 4), (2, 1, 1), (2, 10, 10), (10, 3, 6)]
)
def test_a_fifth_is_held_out_of_whole_images_where_there_are_several(images, each, held):
    windows = [Window(n, 0, top, 0, 8, 8) for n in range(images) for top in range(each)]
    found = hold_out(windows, np.random.default_rng(0))
    assert found.sum() == held
    parts = [
        {w.scene for w, f in zip(windows, found, strict=True) if f == out} for out in (True, False)
    ]
    assert images == 1 or not parts[0] & parts[1]


def test_signals_without_active_codes_cost_no_dictionary():
    signals, _ = helpers.make_sparse_images()
    with pytest.warns(UserWarning, match="no target filters: no code is active at this lam"):
        learned = learn(signals, signals[0], passes=1, lam=1e6)
    assert learned.target_fit is None
    assert learned.completed
    assert learned.dictionary.n_maps == 10


def test_refusals():
    signals, d = helpers.make_sparse_images()
    with pytest.raises(ValueError, match="ridge must be a finite number > 0"):
        learn_targets(signals, signals[0], d, 0.1, ridge=0)
    with pytest.raises(ValueError, match="give lam"):
        learn_targets(signals, signals[0], d)
    with pytest.raises(ValueError, match="no code is active"):
        learn_targets(signals, signals[0], d, 1e6)
    with pytest.raises(ValueError, match="targets is None"):
        learn_targets(signals, None, d, 0.1)
    with pytest.raises(ValueError, match=r"lam has 2 entries: give one number, one for each group"):
        learn_targets(signals, signals[0], d, (0.1, 0.2))
    with pytest.raises(ValueError, match=r"channels, the dictionary is for \(1, 1\)"):
        learn_targets(signals[:1], signals[0], d, 0.1)
    with pytest.raises(ValueError, match="filters of 5x5 need windows"):
        learn_targets(signals, signals[0], d, 0.1, window=4)
    with pytest.raises(TypeError, match="callback must be callable"):
        learn_targets(signals, signals[0], d, 0.1, callback=3)
    for name, value in (("tol", 0), ("max_iter", 0), ("kind", "x"), ("batch_size", 0)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            learn_targets(signals, signals[0], d, 0.1, **{name: value})
