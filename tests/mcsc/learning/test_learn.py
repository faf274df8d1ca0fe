"""`mcsc.learn`: constraints, descent, recovery, determinism, refusals."""

import sys

import numpy as np
import pytest

import mcsc
from mcsc.errors import Refusal
from mcsc.learning import learner, watch
from mcsc.learning.atoms import Layout
from mcsc.learning.images import Images
from mcsc.learning.options import Settings
from mcsc.learning.passes import Passes
from mcsc.solvers import front
from tests import helpers
from tests.mcsc.learning.small import SMALL, banks, learn


def test_objective_falls_and_atoms_keep_the_constraint():
    signals, _ = helpers.make_sparse_images()
    learned = learn(signals, passes=5)
    h = learned.history
    assert h.objective[-1] < 0.9 * h.objective[0]
    assert len(h.seconds) == len(h.objective) == len(h.nonzero) == len(h.replaced) == 6
    assert learned.dictionary.filter_norms().max() <= 1 + 1e-12
    assert learned.completed
    assert learned.objective == h.objective[-1]
    assert learned.use.shape == (10,)


def test_objective_is_that_of_the_dictionary():
    signals, _ = helpers.make_sparse_images()
    learned = learn(signals, passes=2, tol=1e-5)
    result = mcsc.solve(signals, learned.dictionary, SMALL["lam"], tol=1e-6)
    np.testing.assert_allclose(learned.objective, result.objective, rtol=2e-5)


@pytest.mark.slow
def test_learned_filters_beat_the_start_on_images_not_seen():
    signals, _ = helpers.make_sparse_images(0, count=8)
    test, _ = helpers.make_sparse_images(1, count=2)
    start = helpers.make_dictionary(99, size=5, common=4, unique=3)
    learned = learn(signals, passes=10, init=start)
    value = [mcsc.solve(test, d, SMALL["lam"]).objective for d in (start, learned.dictionary)]
    assert value[1] < 0.85 * value[0]


def test_true_filters_are_nearly_a_fixed_point():
    signals, true = helpers.make_sparse_images(count=6)
    learned = learn(signals, passes=3, init=true, tol=1e-4, lam=0.05)
    for found, wanted in zip(banks(learned.dictionary), banks(true), strict=True):
        cosine = (found * wanted).sum((1, 2, 3)) / np.sqrt(
            (found**2).sum((1, 2, 3)) * (wanted**2).sum((1, 2, 3))
        )
        assert cosine.min() > 0.99


def test_same_seed_same_bits_other_seed_other_filters():
    signals, _ = helpers.make_sparse_images()
    first, second = (learn(signals, passes=2) for _ in range(2))
    other = learn(signals, passes=2, seed=4)
    for a, b, c in zip(*(banks(x.dictionary) for x in (first, second, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("init", ["patches", "dct"])
def test_zero_mean_and_sizes(init):
    signals, _ = helpers.make_sparse_images()
    learned = learn(signals, passes=2, zero_mean=True, init=init, filter_size=(3, 6))
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
    learned = learn(signals, passes=2, signal_weights=(1.0, 0.25))
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
    learned = learn(scenes, passes=2)
    assert set(scenes.read) == {0, 1, 2}
    assert learned.dictionary.n_maps == 10


def test_masks_keep_unknown_pixels_out():
    signals, _ = helpers.make_sparse_images()
    mask = np.ones(signals[0].shape, dtype=bool)
    mask[:, :, 8:14, 6:12] = False
    spoiled = signals[0].copy()
    spoiled[~mask] = np.nan
    options = {"init": "dct", "passes": 2}
    a = learn((spoiled, signals[1]), masks=(mask, None), **options)
    spoiled[~mask] = 1e3
    b = learn((spoiled, signals[1]), masks=(mask, None), **options)
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
    learned = learn(tuple(smooth), passes=3, init=start, lam=0.2)
    assert sum(learned.history.replaced) >= 1


def test_patches_of_which_the_constraint_leaves_nothing_replace_no_atom():
    settings = Settings(
        lam=0.3, n_common=0, n_unique=2, filter_size=(2, 6), passes=2, window=24, tol=0.1, seed=0,
        options=mcsc.LearnOptions(),
    ).for_channels((1,))  # fmt: skip
    images = Images((np.random.default_rng(0).random((24, 24)),))
    state = Passes(images, settings.layout((1,)), settings)
    small, large = state.layout.banks(state.filters)[0].copy()
    hollow = np.ones((1, 6, 6))
    hollow[:, 2:4, 2:4] = 0  # where the small filter lies
    state._worst = [(2.0, hollow), (1.0, hollow)]
    assert state._replace_dead() == 1
    found = state.layout.banks(state.filters)[0]
    np.testing.assert_array_equal(found[0], small)
    assert not np.array_equal(found[1], large)
    assert state.layout.dictionary(state.filters).n_maps == 2


def mcsc_smooth(signal):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(signal, (0, 0, 2, 2))


def test_options_are_kept_as_plain_numbers():
    options = mcsc.LearnOptions(
        batch_size=np.int64(3),
        relaxation=np.float32(0.5),
        ridge=np.array([1, 2]),
        signal_weights=[np.float64(1), 2],
        zero_mean=np.bool_(True),
    )
    assert options == mcsc.LearnOptions(
        batch_size=3, relaxation=0.5, ridge=(1.0, 2.0), signal_weights=(1.0, 2.0), zero_mean=True
    )
    assert [type(v) for v in (options.batch_size, options.relaxation)] == [int, float]
    assert [type(v) for v in (*options.ridge, *options.signal_weights)] == [float] * 4
    assert options.zero_mean is True


def test_max_iter_ends_the_coding_of_a_batch():
    signals, _ = helpers.make_sparse_images()
    short = learn(signals, passes=1, tol=1e-4, max_iter=1, init="dct")
    long = learn(signals, passes=1, tol=1e-4, init="dct")
    assert short.history.objective[0] > 1.001 * long.history.objective[0]


def test_callback_sees_every_step_of_every_stage():
    signals, _ = helpers.make_sparse_images()
    seen = []
    learn(signals, signals[0], passes=2, ridge=0.1, callback=seen.append)
    assert [(s.stage, s.step, s.steps) for s in seen] == [
        *(("passes", n, 4) for n in (1, 2, 3, 4)),
        *(("coding", n, 2) for n in (1, 2)),
        *(("targets", n, 3) for n in (1, 2, 3)),
    ]
    assert np.isnan(seen[0].objective)
    assert seen[3].objective == seen[5].objective > 0
    assert sorted(s.seconds for s in seen) == [s.seconds for s in seen]


def test_progress_bar_shows_the_stages(monkeypatch):
    shown = []

    class Bar(watch.ProgressBar):
        def update(self, done, note="", *, total=None, title=None):
            shown.append((self._shown, title, done, total, note.split(" ")[0]))

    monkeypatch.setattr(watch, "ProgressBar", Bar)
    signals, _ = helpers.make_sparse_images()
    learn(signals, signals[0], passes=1, ridge=1, progress=False, window=12, batch_size=16)
    learn(signals, signals[0], passes=1, ridge=1, progress=True, window=12, batch_size=16)
    stages = [
        ("learning", 1, 1, "objective"), ("coding with the final filters", 1, 1, "objective"),
        ("fitting target filters", 1, 2, ""), ("fitting target filters", 2, 2, ""),
    ]  # fmt: skip
    seen = [entry for entry in shown if entry[1]]
    assert seen == [(wanted, *stage) for wanted in (False, True) for stage in stages]


def test_single_signal_and_no_common():
    signals, _ = helpers.make_sparse_images()
    learned = learn((signals[0],), passes=2, n_common=0)
    assert learned.dictionary.common is None
    assert learned.dictionary.n_unique == (3,)


# --------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"lam": 0.0}, ValueError, "lam must be finite and > 0, found 0"),
        ({"lam": "a"}, TypeError, "lam must be a number or numbers, found 'a'"),
        ({"lam": (0.1, 0.2)}, ValueError, r"one for each group \[common \(4 maps\), unique"),
        ({"lam": (0.1, 0.2, -1.0)}, ValueError, "lam must be finite and > 0, found -1"),
        ({"n_common": -1}, ValueError, "n_common must be a whole number >= 0"),
        ({"n_unique": (1,)}, ValueError, "n_unique has 1 entries for 2 signals"),
        ({"n_common": 0, "n_unique": (0, 2)}, ValueError, "leave a signal without filters"),
        ({"filter_size": 1}, ValueError, "filter_size must be a whole number >= 2"),
        ({"filter_size": ()}, ValueError, "filter_size is empty"),
        ({"filter_size": 30}, ValueError, "filters of 30x30 need windows at least as large"),
        ({"filter_size": 30, "window": 40}, ValueError, "filters are larger than the signals: fil"),
        ({"signal_weights": (1.0,)}, ValueError, "signal_weights has 1 entries for 2 signals"),
        ({"signal_weights": (1.0, 0.0)}, ValueError, "signal_weights must be a finite number > 0"),
        ({"kind": "x"}, ValueError, "kind must be"),
        ({"passes": 0}, ValueError, "passes must be a whole number >= 1"),
        ({"boundary": "same"}, ValueError, "boundary must be 'zero' or 'periodic', found 'same'"),
        ({"max_windows": 0}, ValueError, "max_windows must be a whole number >= 1"),
        ({"target_windows": 1.5}, ValueError, "target_windows must be a whole number >= 1"),
        ({"max_iter": 0}, ValueError, "max_iter must be a whole number >= 1"),
        ({"zero_mean": 1}, TypeError, "zero_mean must be True or False, found 1"),
        ({"signal_weights": 2.0}, TypeError, "signal_weights must hold a number for every"),
        ({"ridge": ()}, ValueError, "ridge is empty"),
        ({"init": "random"}, ValueError, "init must be 'patches', 'dct' or a Dictionary"),
        ({"init": helpers.make_dictionary(0)}, ValueError, "init has banks"),
        ({"tol": 0}, ValueError, "tol must be a finite number > 0"),
        ({"ridge": 0}, ValueError, "ridge must be a finite number > 0"),
        ({"relaxation": 0}, ValueError, "relaxation must be a finite number > 0"),
        ({"update_pixels": 0}, ValueError, "update_pixels must be a whole number >= 1"),
        ({"callback": 3}, TypeError, "callback must be callable"),
        ({"masks": (np.ones((3, 3)), None)}, ValueError, "a mask is"),
        ({"targets": np.zeros((4, 1, 9, 9), np.float32)}, ValueError, "must be equal"),
    ],
)
def test_refusals(monkeypatch, changes, error, words):
    monkeypatch.setattr(Passes, "run", never)
    signals, _ = helpers.make_sparse_images()
    with pytest.raises(error, match=words) as refused:
        learn(signals, **changes)
    assert isinstance(refused.value, Refusal)


def test_options_of_another_type_are_refused():
    with pytest.raises(TypeError, match="options must be a LearnOptions, found dict"):
        mcsc.learn(helpers.make_sparse_images()[0], lam=0.3, options={"init": "dct"})


def never(*arguments):
    raise AssertionError("work was done before the refusal")


@pytest.mark.parametrize(
    ("signals", "error", "words"),
    [
        (np.zeros((2, 24, 24)), TypeError, "signals must be a tuple of M arrays"),
        ((), TypeError, "signals must be a tuple of M arrays"),
        ({"x": np.zeros((24, 24))}, TypeError, "found dict"),
        ((x for x in ()), TypeError, "found generator"),
        ((np.zeros((24, 24), np.uint8),), TypeError, r"signals\[0\] has dtype uint8"),
        ((np.zeros((24, 24)), np.zeros((24, 25))), ValueError, "different grids"),
        ((np.full((24, 24), np.nan),), ValueError, "NaN or Inf"),
        ([(np.zeros((24, 24)),), (np.zeros((2, 24, 24)),)], ValueError, "scene 1 has signals"),
    ],
)
def test_bad_signals_are_refused(signals, error, words):
    with pytest.raises(error, match=words):
        learn(signals, n_common=0)


def test_projection_is_the_nearest_point():
    rng = np.random.default_rng(0)
    layout = Layout(
        channels=(1, 1), n_common=2, n_unique=(2, 2), sizes=(3, 5), signal_weights=None,
        zero_mean=True,
    )  # fmt: skip
    flat = rng.standard_normal(layout.edges[-1])
    found = layout.project(flat)
    np.testing.assert_allclose(layout.project(found), found, atol=1e-14)
    # Variational inequality of the projection onto a convex set.
    for _ in range(20):
        other = layout.project(rng.standard_normal(len(flat)))
        assert (flat - found) @ (other - found) <= 1e-10


@pytest.mark.slow
def test_windows_are_coded_where_they_are_asked_to_be(monkeypatch):
    """Without a GPU the standard's library is the other side: it takes no NumPy arrays."""
    strict = pytest.importorskip("array_api_strict")
    moved = []

    def move(array):
        moved.append(array.shape)
        return strict.asarray(array)

    monkeypatch.setattr(front, "move_to_cuda", move)
    monkeypatch.setattr(learner, "require_cuda", lambda: None)
    signals, _ = helpers.make_sparse_images(count=2, shape=(10, 10), dtype="float64")
    settings = {"passes": 1, "window": 10, "filter_size": 3, "n_common": 2, "n_unique": 2}
    here = learn(signals, signals[0], **settings, tol=1e-6)
    assert moved == []
    there = learn(signals, signals[0], **settings, tol=1e-6, device="cuda")
    assert len(moved) >= 4  # two signals of a batch, coded for filters and for targets
    assert there.objective == pytest.approx(here.objective, rel=1e-4)
    assert isinstance(there.dictionary.target_common, np.ndarray)


def test_learning_on_a_gpu_that_is_not_there_is_refused_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    signals, _ = helpers.make_sparse_images()
    with pytest.raises(RuntimeError, match="device='cuda' cannot be used: CuPy is not installed"):
        learn(signals, device="cuda", callback=pytest.fail)
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or 'cuda', found 'gpu'"):
        learn(signals, device="gpu")
    done = helpers.run(
        "learn", "--task", "depth-sr", "--synthetic", 1, "-o", "d", "--device", "cuda"
    )
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "device='cuda' cannot be used" in done.stderr


def test_a_lam_at_which_nothing_is_learned_is_told():
    signals, _ = helpers.make_sparse_images()
    with pytest.warns(UserWarning, match="nothing was learned: with lam = 1e.09 all codes") as w:
        learned = learn(signals, passes=1, lam=1e9)
    assert w[0].filename.endswith("small.py")
    assert not any(learned.history.nonzero)


@pytest.mark.parametrize("init", ["patches", "dct"])
def test_filters_do_not_depend_on_the_unit(init):
    signals, _ = helpers.make_sparse_images(dtype="float64", count=2)
    plain = learn(signals, passes=1, init=init)
    scaled = learn(tuple(1e-20 * s for s in signals), passes=1, init=init, lam=1e-20 * SMALL["lam"])
    for a, b in zip(banks(scaled.dictionary), banks(plain.dictionary), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
