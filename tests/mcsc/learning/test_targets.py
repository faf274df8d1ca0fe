"""Target filters: against least squares, and on codes that the solver finds."""

import numpy as np
import pytest

import mcsc
from mcsc.learning import learn_targets
from tests import helpers


def test_filters_solve_the_ridge_regression():
    signals = helpers.make_signals(shape=(16, 15), samples=2)
    d = helpers.make_dictionary(3, size=3, common=2, unique=2)
    target = np.random.default_rng(5).standard_normal((2, 1, 16, 15))
    lam, ridge = 0.6, 0.05
    found, fit = learn_targets(
        signals, target, d, lam, ridge=ridge, window=16, batch_size=2, tol=1e-8
    )
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
    found, fit = learn_targets(
        signals, target, d, 0.1, task="fusion", window=24, batch_size=2, tol=1e-4,
        ridge=(1e-6, 1.0),
    )  # fmt: skip
    assert fit.ridge == 1e-6
    assert len(fit.validation_mse) == 2
    assert fit.mse < 1e-3 * fit.target_power
    np.testing.assert_allclose(found.target_unique[1], true.target_unique[1], atol=0.1)


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


def test_refusals():
    signals, d = helpers.make_sparse_images()
    with pytest.raises(ValueError, match="ridge must be finite and > 0"):
        learn_targets(signals, signals[0], d, 0.1, ridge=0)
    with pytest.raises(ValueError, match="give lam"):
        learn_targets(signals, signals[0], d)
    with pytest.raises(ValueError, match="no code is active"):
        learn_targets(signals, signals[0], d, 1e6)
    with pytest.raises(ValueError, match="targets is None"):
        learn_targets(signals, None, d, 0.1)
