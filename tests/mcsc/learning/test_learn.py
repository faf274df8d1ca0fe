"""`mcsc.learn`: constraints, descent, recovery, determinism, checkpoints, refusals."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mcsc
from mcsc.learning.atoms import Layout
from tests import helpers

OPTIONS = {
    "lam": 0.3,
    "n_common": 4,
    "n_unique": 3,
    "filter_size": 5,
    "window": 24,
    "batch_size": 2,
    "seed": 3,
}


def banks(dictionary):
    return [g.bank for g in dictionary.groups]


def test_objective_falls_and_atoms_keep_the_constraint():
    signals, _ = helpers.make_sparse_images()
    learned = mcsc.learn(signals, passes=5, **OPTIONS)
    h = learned.history
    assert h.objective[-1] < 0.9 * h.objective[0]
    assert len(h.seconds) == len(h.objective) == len(h.nonzero) == len(h.replaced) == 6
    assert learned.dictionary.filter_norms().max() <= 1 + 1e-12
    assert learned.completed
    assert learned.objective == h.objective[-1]
    assert learned.use.shape == (10,)


def test_objective_is_that_of_the_dictionary():
    signals, _ = helpers.make_sparse_images()
    learned = mcsc.learn(signals, passes=2, tol=1e-5, **OPTIONS)
    result = mcsc.solve(signals, learned.dictionary, OPTIONS["lam"], tol=1e-6)
    np.testing.assert_allclose(learned.objective, result.objective, rtol=2e-5)


def test_learned_filters_beat_the_start_on_images_not_seen():
    signals, _ = helpers.make_sparse_images(0, count=8)
    test, _ = helpers.make_sparse_images(1, count=2)
    start = helpers.make_dictionary(99, size=5, common=4, unique=3)
    learned = mcsc.learn(signals, passes=10, init=start, **OPTIONS)
    value = [mcsc.solve(test, d, OPTIONS["lam"]).objective for d in (start, learned.dictionary)]
    assert value[1] < 0.85 * value[0]


def test_true_filters_are_nearly_a_fixed_point():
    signals, true = helpers.make_sparse_images(count=6)
    options = OPTIONS | {"lam": 0.05}
    learned = mcsc.learn(signals, passes=3, init=true, tol=1e-4, **options)
    for found, wanted in zip(banks(learned.dictionary), banks(true), strict=True):
        cosine = (found * wanted).sum((1, 2, 3)) / np.sqrt(
            (found**2).sum((1, 2, 3)) * (wanted**2).sum((1, 2, 3))
        )
        assert cosine.min() > 0.99


def test_same_seed_same_bits_other_seed_other_filters():
    signals, _ = helpers.make_sparse_images()
    first, second = (mcsc.learn(signals, passes=2, **OPTIONS) for _ in range(2))
    other = mcsc.learn(signals, passes=2, **(OPTIONS | {"seed": 4}))
    for a, b, c in zip(*(banks(x.dictionary) for x in (first, second, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("init", ["patches", "dct"])
def test_zero_mean_and_sizes(init):
    signals, _ = helpers.make_sparse_images()
    options = OPTIONS | {"filter_size": (3, 6)}
    learned = mcsc.learn(signals, passes=2, zero_mean=True, init=init, **options)
    for bank in banks(learned.dictionary):
        np.testing.assert_allclose(bank.mean((2, 3)), 0, atol=1e-12)
        half = -(-len(bank) // 2)
        # 3x3 around the origin of 6x6: rows and columns 1 to 3.
        outside = np.ones((6, 6), dtype=bool)
        outside[1:4, 1:4] = False
        assert not bank[:half, :, outside].any()
        assert bank[half:, :, outside].any(axis=(1, 2)).all()


def test_signal_weights_are_recorded_and_used():
    signals, _ = helpers.make_sparse_images()
    learned = mcsc.learn(signals, passes=2, signal_weights=(1.0, 0.25), **OPTIONS)
    d = learned.dictionary
    assert d.signal_weights == (1.0, 0.25)
    weighted = (signals[0], (0.25 * signals[1]).astype(np.float32))
    plain = mcsc.Dictionary((d.common[0], 0.25 * d.common[1]), (d.unique[0], 0.25 * d.unique[1]))
    a = mcsc.solve(signals, d, 0.3, tol=1e-6)
    b = mcsc.solve(weighted, plain, 0.3, tol=1e-6)
    np.testing.assert_allclose(a.objective, b.objective, rtol=1e-5)
    # The model is that of the signals, not of the weighted ones.
    model = mcsc.signal_parts(a.codes, d)[1].image
    np.testing.assert_allclose(0.25 * model, mcsc.signal_parts(b.codes, plain)[1].image, atol=1e-3)


def test_scenes_of_different_sizes_and_lazily():
    class Scenes:
        def __init__(self):
            self.read = []

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if not 0 <= index < 3:
                raise IndexError(index)
            self.read.append(index)
            rng = np.random.default_rng(index)
            shape = (20 + 5 * index, 31)
            return tuple(rng.standard_normal((1, *shape)).astype(np.float32) for _ in range(2))

    scenes = Scenes()
    learned = mcsc.learn(scenes, passes=2, **OPTIONS)
    assert set(scenes.read) == {0, 1, 2}
    assert learned.dictionary.n_maps == 10


def test_masks_keep_unknown_pixels_out():
    signals, _ = helpers.make_sparse_images()
    mask = np.ones(signals[0].shape, dtype=bool)
    mask[:, :, 8:14, 6:12] = False
    spoiled = signals[0].copy()
    spoiled[~mask] = np.nan
    options = OPTIONS | {"init": "dct", "passes": 2}
    a = mcsc.learn((spoiled, signals[1]), masks=(mask, None), **options)
    spoiled[~mask] = 1e3
    b = mcsc.learn((spoiled, signals[1]), masks=(mask, None), **options)
    for first, second in zip(banks(a.dictionary), banks(b.dictionary), strict=True):
        np.testing.assert_array_equal(first, second)


def test_dead_atoms_are_replaced():
    signals, true = helpers.make_sparse_images()
    banks_ = [b.copy() for b in true.common]
    checker = np.indices((5, 5)).sum(0) % 2 * 2.0 - 1  # of the highest frequency: never used
    for b in banks_:
        b[0] = checker / 10
    smooth = [mcsc_smooth(s) for s in signals]
    start = mcsc.Dictionary(tuple(banks_), true.unique).normalise()
    learned = mcsc.learn(tuple(smooth), passes=3, init=start, **(OPTIONS | {"lam": 0.2}))
    assert sum(learned.history.replaced) >= 1


def mcsc_smooth(signal):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(signal, (0, 0, 2, 2))


def test_callback_stops_and_leaves_a_valid_dictionary():
    signals, _ = helpers.make_sparse_images()
    seen = []

    def stop(state):
        seen.append(state)
        return len(seen) == 3

    learned = mcsc.learn(signals, passes=5, callback=stop, **OPTIONS)
    assert not learned.completed
    assert [s.step for s in seen] == [1, 2, 3]
    assert learned.dictionary.filter_norms().max() <= 1 + 1e-12


def test_interrupt_during_an_update_keeps_what_was_learned(monkeypatch):
    from mcsc.learning import passes

    signals, _ = helpers.make_sparse_images()
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return update(*arguments)

    update = passes.update_filters
    monkeypatch.setattr(passes, "update_filters", interrupted)
    learned = mcsc.learn(signals, passes=5, **OPTIONS)
    assert not learned.completed
    assert len(calls) == 3
    assert learned.history.objective[-1] < learned.history.objective[0]


def test_single_signal_and_no_common():
    signals, _ = helpers.make_sparse_images()
    options = OPTIONS | {"n_common": 0}
    learned = mcsc.learn((signals[0],), passes=2, **options)
    assert learned.dictionary.common is None
    assert learned.dictionary.n_unique == (3,)


# ------------------------------------------------------------------------- checkpoints
def test_resume_after_a_stop_ends_bit_equal(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state.npz"
    whole = mcsc.learn(signals, passes=4, **OPTIONS)

    def stop(state):
        return state.step == 5  # in the middle of the third pass

    mcsc.learn(signals, passes=4, checkpoint=path, callback=stop, **OPTIONS)
    resumed = mcsc.learn(signals, passes=4, checkpoint=path, **OPTIONS)
    for a, b in zip(banks(whole.dictionary), banks(resumed.dictionary), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.history.objective == resumed.history.objective


def test_killed_and_resumed_ends_bit_equal(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        import mcsc
        from tests import helpers
        from tests.mcsc.learning.test_learn import OPTIONS
        kill = int(sys.argv[2])
        def callback(state):
            if state.step == kill:
                os.kill(os.getpid(), signal.SIGKILL)
        found = mcsc.learn(helpers.make_sparse_images()[0], passes=3, checkpoint=sys.argv[1],
                           callback=callback, **OPTIONS)
        found.dictionary.save(sys.argv[1] + "_done.npz")
        """
    )
    path = str(tmp_path / "state.npz")

    def run(kill):
        return subprocess.run(
            [sys.executable, "-c", script, path, str(kill)], cwd=os.getcwd(), check=False
        ).returncode

    assert run(3) == -signal.SIGKILL
    assert os.path.exists(path)
    assert run(-1) == 0
    done = mcsc.Dictionary.load(path + "_done.npz")
    whole = mcsc.learn(helpers.make_sparse_images()[0], passes=3, **OPTIONS).dictionary
    for a, b in zip(banks(done), banks(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_of_other_settings_or_data_is_refused(tmp_path):
    signals, _ = helpers.make_sparse_images()
    path = tmp_path / "state.npz"
    mcsc.learn(signals, passes=2, checkpoint=path, **OPTIONS)
    with pytest.raises(ValueError, match=r"other settings: lam \(0.3, now 0.4\)"):
        mcsc.learn(signals, passes=2, checkpoint=path, **(OPTIONS | {"lam": 0.4}))
    with pytest.raises(ValueError, match="other settings: data"):
        mcsc.learn(helpers.make_sparse_images(5)[0], passes=2, checkpoint=path, **OPTIONS)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="damaged"):
        mcsc.learn(signals, passes=2, checkpoint=path, **OPTIONS)


# --------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"lam": 0.0}, ValueError, "lam must be finite and > 0, found 0.0"),
        ({"lam": "a"}, ValueError, "lam must be finite"),
        ({"n_common": -1}, ValueError, "n_common must be a whole number >= 0"),
        ({"n_unique": (1,)}, ValueError, "n_unique has 1 entries for 2 signals"),
        ({"n_common": 0, "n_unique": (0, 2)}, ValueError, "leave a signal without filters"),
        ({"filter_size": 1}, ValueError, "filter_size must be a whole number >= 2"),
        ({"filter_size": ()}, ValueError, "filter_size is empty"),
        ({"filter_size": 30}, ValueError, "need windows and images at least as large"),
        ({"signal_weights": (1.0,)}, ValueError, "signal_weights has 1 entries for 2 signals"),
        ({"signal_weights": (1.0, 0.0)}, ValueError, "signal_weights must be finite and > 0"),
        ({"task": "x"}, ValueError, "task must be"),
        ({"passes": 0}, ValueError, "passes must be a whole number >= 1"),
        ({"boundary": "same"}, ValueError, "boundary must be"),
        ({"init": "random"}, ValueError, "init must be 'patches', 'dct' or a Dictionary"),
        ({"init": helpers.make_dictionary(0)}, ValueError, "init has banks"),
        ({"tol": 0}, ValueError, "tol must be finite and > 0"),
        ({"ridge": 0}, ValueError, "ridge must be finite and > 0"),
        ({"relaxation": 0}, ValueError, "relaxation must be finite and > 0"),
        ({"memory": 0}, ValueError, "memory must be a whole number >= 1"),
        ({"callback": 3}, TypeError, "callback must be callable"),
        ({"masks": (np.ones((3, 3)), None)}, ValueError, "a mask is"),
        ({"targets": np.zeros((4, 1, 9, 9), np.float32)}, ValueError, "must be equal"),
    ],
)
def test_refusals(changes, error, words):
    signals, _ = helpers.make_sparse_images()
    with pytest.raises(error, match=words):
        mcsc.learn(signals, **(OPTIONS | changes))


@pytest.mark.parametrize(
    ("signals", "error", "words"),
    [
        (np.zeros((2, 24, 24)), TypeError, "signals must be a tuple of M arrays"),
        ((), TypeError, "signals must be a tuple of M arrays"),
        ((np.zeros((24, 24), np.uint8),), TypeError, r"signals\[0\] has dtype uint8"),
        ((np.zeros((24, 24)), np.zeros((24, 25))), ValueError, "different grids"),
        ((np.full((24, 24), np.nan),), ValueError, "NaN or Inf"),
        ([(np.zeros((24, 24)),), (np.zeros((2, 24, 24)),)], ValueError, "scene 1 has signals"),
    ],
)
def test_bad_signals_are_refused(signals, error, words):
    options = OPTIONS | {"n_common": 0}
    with pytest.raises(error, match=words):
        mcsc.learn(signals, **options)


def test_projection_is_the_nearest_point():
    rng = np.random.default_rng(0)
    layout = Layout((1, 1), 2, (2, 2), (3, 5), None, True)
    flat = rng.standard_normal(layout.edges[-1])
    found = layout.project(flat)
    np.testing.assert_allclose(layout.project(found), found, atol=1e-14)
    # Variational inequality of the projection onto a convex set.
    for _ in range(20):
        other = layout.project(rng.standard_normal(len(flat)))
        assert (flat - found) @ (other - found) <= 1e-10
