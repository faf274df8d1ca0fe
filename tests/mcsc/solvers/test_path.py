"""Paths of lam, and lam from the noise."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest

import mcsc
from mcsc.solvers import path
from tests.helpers import make_problem


def noisy_problem(sigma, seed=0):
    rng = np.random.default_rng(seed)
    problem = make_problem(shape=(24, 20), common=3, unique=(2, 2))

    def maps(k):
        return rng.standard_normal((1, k, 24, 20)) * (rng.random((1, k, 24, 20)) < 0.05)

    codes = mcsc.Codes.from_dense(maps(3), (maps(2), maps(2)))
    clean = [p.image for p in mcsc.signal_parts(codes, problem.dictionary)]
    return tuple(x + sigma * rng.standard_normal(x.shape) for x in clean), problem.dictionary


def test_a_path_is_its_members():
    problem = make_problem(shape=(12, 10))
    top = problem.lambda_max()
    lams = [0.5 * top, 0.2 * top, 0.05 * top]
    results = mcsc.solve_path(problem.signals, problem.dictionary, lams, tol=1e-8)
    assert [r.converged for r in results] == [True] * 3
    for lam, result in zip(lams, results, strict=True):
        alone = mcsc.solve(problem.signals, problem.dictionary, lam, method="fista", tol=1e-8)
        assert result.objective == pytest.approx(alone.objective, rel=1e-7)


def test_groups_are_joined_along_a_path():
    problem = make_problem(shape=(12, 10), joint=(False, True, True), mu=0.1)
    top = problem.lambda_max()
    lams = [0.5 * top, 0.1 * top]
    joint = {"joint": (False, True, True), "mu": 0.1}
    results = mcsc.solve_path(problem.signals, problem.dictionary, lams, tol=1e-8, **joint)
    for lam, result in zip(lams, results, strict=True):
        assert result.method != "working-set"
        assert problem.with_lam(lam).gap(result.codes) <= 1e-8
    with pytest.raises(ValueError, match=r"lams\[1\]: lam must be the same for the joint groups"):
        mcsc.solve_path(
            problem.signals, problem.dictionary, [1.0, (0.5, 0.5, 0.4)], tol=1e-8, **joint
        )


@pytest.mark.parametrize(
    ("lams", "error", "message"),
    [
        ([], ValueError, "lams is empty"),
        ([0.1, 0.2], ValueError, "must decrease"),
        ([0.2, 0.2], ValueError, "must decrease"),
        ([0.2, 0.0], ValueError, r"lams\[1\]: lam must be finite and > 0, found 0"),
        ([float("nan")], ValueError, r"lams\[0\]: lam must be finite and > 0, found nan"),
        (["0.1"], TypeError, r"lams\[0\]: lam must be a number or numbers, found '0.1'"),
        ([0.2, [0.1, 0.1]], ValueError, r"lams\[1\]: lam has 2 entries: give one number"),
        ([[0.2] * 3, [0.1, 0.3, 0.1]], ValueError, r"must decrease.* lams\[1\] is .0.1, 0.3, 0.1"),
        ([[0.2] * 3, 0.2], ValueError, r"must decrease"),
        (None, TypeError, "lams must be a sequence of numbers, found None"),
        (0.1, TypeError, "lams must be a sequence of numbers, found 0.1"),
        ("0.1", TypeError, "lams must be a sequence of numbers, found '0.1'"),
    ],
)
def test_paths_that_are_refused(lams, error, message):
    problem = make_problem()
    with pytest.raises(error, match=message):
        mcsc.solve_path(problem.signals, problem.dictionary, lams)


@pytest.mark.parametrize("kind", [np.array, tuple, lambda v: [np.float32(x) for x in v]])
def test_lams_of_any_kind(kind):
    problem = make_problem()
    results = mcsc.solve_path(problem.signals, problem.dictionary, kind([3.0, 2.0]), tol=1e-3)
    assert [r.converged for r in results] == [True, True]


def test_a_path_with_one_lam_a_group():
    problem = make_problem(shape=(12, 10))
    top = problem.lambda_max()
    lams = [0.5 * top, [0.5 * top, 0.2 * top, 0.5 * top], [0.3 * top, 0.1 * top, 0.4 * top]]
    results = mcsc.solve_path(problem.signals, problem.dictionary, lams, tol=1e-8)
    for lam, result in zip(lams, results, strict=True):
        alone = mcsc.solve(problem.signals, problem.dictionary, lam, method="fista", tol=1e-8)
        assert result.objective == pytest.approx(alone.objective, rel=1e-7)
    rows = np.array(lams[1:])
    again = mcsc.solve_path(problem.signals, problem.dictionary, rows, tol=1e-8)
    assert again[1].objective == pytest.approx(results[2].objective, rel=1e-7)


# ------------------------------------------------ what long work has in common with `solve`
def hard():
    """A problem that takes many iterations at either lam, and its lams."""
    problem = make_problem(shape=(16, 15), common=4, unique=4)
    top = problem.lambda_max()
    return problem, [0.05 * top, 0.02 * top, 0.01 * top]


@pytest.mark.parametrize("how", ["true", "StopIteration"])
def test_a_callback_stops_the_whole_path(how):
    problem, lams = hard()
    seen = []

    def callback(progress):
        seen.append(progress)
        if progress.iteration >= 25:
            if how == "true":
                return True
            raise StopIteration
        return None

    with pytest.warns(mcsc.ConvergenceWarning, match="stopped by the callback"):
        results = mcsc.solve_path(
            problem.signals, problem.dictionary, lams, method="ista", tol=1e-9, callback=callback
        )
    assert [r.stopped for r in results] == ["callback"]
    assert all(isinstance(p, mcsc.Progress) for p in seen)


@pytest.mark.parametrize("by", ["signal", "exception"])
def test_ctrl_c_ends_a_path_with_what_there_is(by):
    problem, lams = hard()
    calls = []

    def callback(progress):
        calls.append(progress)
        if len(calls) == 3:
            if by == "exception":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
        results = mcsc.solve_path(
            problem.signals, problem.dictionary, lams, method="ista", tol=1e-9, callback=callback
        )
    assert [r.stopped for r in results] == ["interrupted"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_a_path_at_once():
    problem, lams = hard()

    def callback(progress):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        mcsc.solve_path(problem.signals, problem.dictionary, lams, callback=callback, tol=1e-12)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_max_iter_and_the_warning_are_for_each_lam():
    problem, lams = hard()
    with pytest.warns(mcsc.ConvergenceWarning) as record:
        results = mcsc.solve_path(
            problem.signals, problem.dictionary, lams, method="ista", tol=1e-9, max_iter=4
        )
    assert [r.iterations for r in results] == [4, 4, 4]
    assert len(record) == 3
    assert {w.filename for w in record} == {__file__}


def test_a_path_from_a_start(monkeypatch):
    problem, lams = hard()
    whole = mcsc.solve_path(problem.signals, problem.dictionary, lams[:2], tol=1e-6)
    again = mcsc.solve_path(problem.signals, problem.dictionary, lams[1:2], init=whole[1], tol=1e-5)
    assert again[0].iterations == 0
    half = mcsc.solve_path(
        problem.signals, problem.dictionary, lams[1:2], init=whole[0].codes, tol=1e-6
    )
    assert half[0].objective == pytest.approx(whole[1].objective, rel=1e-5)


def test_a_bar_for_each_lam(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    problem = make_problem()
    mcsc.solve_path(problem.signals, problem.dictionary, [3.0, 2.0], progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "working-set, lam 3" in err
    assert "working-set, lam 2" in err


def test_what_does_not_depend_on_lam_is_computed_once(monkeypatch):
    problem, lams = hard()
    made = []
    plain = mcsc.Problem.__post_init__

    def count(self):
        made.append(self)
        plain(self)

    monkeypatch.setattr(mcsc.Problem, "__post_init__", count)
    mcsc.solve_path(problem.signals, problem.dictionary, lams, tol=1e-2)
    assert len(made) == 1
    problem = made[0]
    assert problem.operator
    other = problem.with_lam([1.0, 2.0, 3.0])
    assert other.stacked is problem.stacked
    assert other.operator is problem.operator
    assert set(other.lam_maps) == {1.0, 2.0, 3.0}
    assert len(set(problem.lam_maps)) == 1
    with pytest.raises(ValueError, match="lam must be finite and > 0, found -1"):
        problem.with_lam(-1.0)


# ------------------------------------------------------------------------- discrepancy


def test_discrepancy_leaves_a_residual_of_the_noise():
    signals, dictionary = noisy_problem(0.1)
    found = mcsc.solve_discrepancy(signals, dictionary, 0.1, rtol=1e-3, tol=1e-6)
    assert found.target == pytest.approx(0.1)
    assert found.residual == pytest.approx(0.1, rel=1.1e-3)
    parts = [np.zeros_like(x) for x in signals]
    problem = mcsc.Problem(tuple(signals), dictionary, found.lam)
    l1 = sum(
        np.abs(c.value).sum() for c in (lambda a: (a[0], *a[1]))(found.result.codes.coordinates())
    )
    energy = 2 * (problem.objective(found.result.codes) - found.lam * l1)
    assert np.sqrt(energy / sum(p.size for p in parts)) == pytest.approx(found.residual, rel=1e-6)


def test_discrepancy_with_joint_groups_leaves_a_residual_of_the_noise():
    """The residual is what the parts of the codes leave, whatever the penalty is."""
    signals, dictionary = noisy_problem(0.1)
    joint = {"joint": (False, True, True), "mu": 0.05}
    found = mcsc.solve_discrepancy(signals, dictionary, 0.1, rtol=2e-3, tol=1e-6, **joint)
    assert found.reached
    parts = mcsc.signal_parts(found.result.codes, dictionary)
    left = [x - part.image for x, part in zip(signals, parts, strict=True)]
    assert np.sqrt(np.mean(np.square(left))) == pytest.approx(found.residual, rel=1e-6)
    problem = mcsc.Problem(tuple(signals), dictionary, found.lam, **joint)
    assert problem.gap(found.result.codes) <= 1e-6


def test_discrepancy_counts_known_pixels_only():
    signals, dictionary = noisy_problem(0.1)
    mask = np.ones((24, 20))
    mask[:, :10] = 0
    found = mcsc.solve_discrepancy(signals, dictionary, (0.1, 0.1), masks=(mask, None))
    assert found.residual == pytest.approx(0.1, rel=0.011)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 3.0), (1.0, 4.0)])
def test_residual_and_target_both_carry_the_signals_weights(weights, masked):
    """Equal weights change nothing; the weighted root mean square is the noise's."""
    signals, dictionary = noisy_problem(0.1)
    weighted = replace(dictionary, signal_weights=weights)
    masks = None
    if masked:
        masks = (np.random.default_rng(3).random((24, 20)), None)
    options = {"rtol": 2e-3, "tol": 1e-6, "masks": masks}
    found = mcsc.solve_discrepancy(signals, weighted, 0.1, **options)
    assert found.target == pytest.approx(0.1, rel=1e-12)
    assert found.reached
    parts = mcsc.signal_parts(found.result.codes, weighted)
    square, known = 0.0, 0.0
    for m, (x, part, w) in enumerate(zip(signals, parts, weights, strict=True)):
        mask = (
            np.ones(x.shape) if masks is None or masks[m] is None else masks[m] + np.zeros(x.shape)
        )
        square += np.sum((w * mask * (x - part.image)) ** 2)
        known += np.sum((w * mask) ** 2)
    assert np.sqrt(square / known) == pytest.approx(found.residual, rel=1e-6)
    assert found.residual == pytest.approx(0.1, rel=2.1e-3)
    if weights == (3.0, 3.0):
        plain = mcsc.solve_discrepancy(signals, dictionary, 0.1, **options)
        assert found.lam == pytest.approx(9 * plain.lam, rel=1e-2)  # of the weighted data term


def test_noise_of_each_signal_counts_with_its_weight():
    signals, dictionary = noisy_problem(0.1)
    weighted = replace(dictionary, signal_weights=(1.0, 2.0))
    found = mcsc.solve_discrepancy(signals, weighted, (0.05, 0.1), rtol=0.01)
    assert found.target == pytest.approx(np.sqrt((0.05**2 + 4 * 0.1**2) / 5), rel=1e-12)
    assert found.reached


def test_discrepancy_that_is_not_reached_says_so():
    """With a gap this loose the residual of a lam is too vague for this rtol."""
    signals, dictionary = noisy_problem(0.1)
    options = {"method": "ista", "tol": 0.5, "rtol": 1e-9}
    with pytest.warns(
        mcsc.ConvergenceWarning, match=r"not within 1e-09 of 0\.1; .*tol may"
    ) as record:
        found = mcsc.solve_discrepancy(signals, dictionary, 0.1, **options)
    assert len(record) == 1
    assert record[0].filename == __file__
    assert not found.reached
    assert found.result.converged


def test_discrepancy_stops_at_the_callback_s_word():
    signals, dictionary = noisy_problem(0.1)
    seen = []

    def callback(progress):
        seen.append(progress)
        return len(seen) == 4

    options = {"method": "ista", "tol": 1e-9, "callback": callback}
    message = r"left a residual of .* \(not converged \(stopped by the callback\)"
    with pytest.warns(mcsc.ConvergenceWarning, match=message):
        found = mcsc.solve_discrepancy(signals, dictionary, 0.1, **options)
    assert len(seen) == 4
    assert found.result.stopped == "callback"
    assert not found.reached


def test_discrepancy_after_ctrl_c():
    signals, dictionary = noisy_problem(0.1)

    def callback(progress):
        if progress.iteration:
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
        found = mcsc.solve_discrepancy(
            signals, dictionary, 0.1, method="ista", tol=1e-9, callback=callback
        )
    assert found.result.stopped == "interrupted"
    assert not found.reached


def test_discrepancy_with_few_iterations_warns_once():
    signals, dictionary = noisy_problem(0.1)
    with pytest.warns(mcsc.ConvergenceWarning, match="reached max_iter = 2") as record:
        found = mcsc.solve_discrepancy(
            signals, dictionary, 0.1, method="ista", tol=1e-9, max_iter=2, rtol=0.2
        )
    assert len(record) == 1
    assert found.result.iterations == 2


def test_discrepancy_from_a_start():
    signals, dictionary = noisy_problem(0.1)
    first = mcsc.solve_discrepancy(signals, dictionary, 0.1, tol=1e-5)
    again = mcsc.solve_discrepancy(signals, dictionary, 0.1, tol=1e-5, init=first.result)
    assert again.lam == pytest.approx(first.lam, rel=1e-2)
    with pytest.raises(TypeError, match="init must be a Result or Codes, found Discrepancy"):
        mcsc.solve_discrepancy(signals, dictionary, 0.1, init=first)


@pytest.mark.parametrize(
    ("noise", "error"),
    [
        *((value, ValueError) for value in (0.0, -1.0, float("nan"), (0.1,), (0.1, 0.1, 0.1))),
        *((value, ValueError) for value in (True, (0.1, 0.0), (0.1, None))),
        *((value, TypeError) for value in (None, "0.1", {0: 0.1})),
    ],
    ids=str,
)
def test_noise_that_is_refused(noise, error):
    signals, dictionary = noisy_problem(0.1)
    with pytest.raises(error, match=r"noise(\[[0-9]\])? must be"):
        mcsc.solve_discrepancy(signals, dictionary, noise)


@pytest.mark.parametrize("rtol", [0.0, -1, None, "0.1", float("nan")])
def test_rtol_that_is_refused(rtol):
    signals, dictionary = noisy_problem(0.1)
    with pytest.raises(ValueError, match="rtol must be a finite number > 0, found"):
        mcsc.solve_discrepancy(signals, dictionary, 0.1, rtol=rtol)


@pytest.mark.parametrize("search", [mcsc.solve_path, mcsc.solve_discrepancy])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "newton"}, "method must be one of"),
        ({"device": "gpu"}, "device must be"),
        ({"boundary": "mirror"}, "boundary must be"),
        ({"tol": 0}, "tol must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"callback": 3}, "callback must be"),
        ({"init": 3}, "init must be"),
    ],
    ids=str,
)
def test_options_mean_what_they_mean_to_solve(search, options, message):
    signals, dictionary = noisy_problem(0.1)
    argument = [0.1] if search is mcsc.solve_path else 0.1
    with pytest.raises((TypeError, ValueError), match=message):
        search(signals, dictionary, argument, **options)


@pytest.mark.parametrize("search", [mcsc.solve_path, mcsc.solve_discrepancy])
@pytest.mark.parametrize("signals", [None, 3.0])
def test_signals_are_checked(search, signals):
    argument = [0.1] if search is mcsc.solve_path else 0.1
    with pytest.raises(TypeError, match="signals must be a tuple of arrays"):
        search(signals, make_problem().dictionary, argument)


def test_noise_above_the_signals_is_refused():
    signals, dictionary = noisy_problem(0.1)
    with pytest.raises(ValueError, match="below the noise's 50"):
        mcsc.solve_discrepancy(signals, dictionary, 50.0)


def impulse_problem():
    """Signals that filters with an impulse among them explain as closely as is wanted."""
    rng = np.random.default_rng(0)
    signals = tuple(rng.standard_normal((2, 20, 20)))
    impulse = np.zeros((1, 1, 4, 4))
    impulse[0, 0, 1, 1] = 1
    common = tuple(rng.standard_normal((3, 1, 4, 4)) for _ in range(2))
    unique = tuple(
        np.concatenate([impulse, rng.standard_normal((3, 1, 4, 4))[:2]]) for _ in range(2)
    )
    return signals, mcsc.Dictionary(common, unique).normalise()


@pytest.mark.parametrize(("noise", "tol"), [(6e-4, 1e-3), (3e-3, 1e-2)])
def test_a_little_noise_is_found_where_the_gap_of_tol_leaves_more(noise, tol):
    """At the least lam, what is left is known to the gap only: it is tightened first."""
    signals, d = impulse_problem()
    found = mcsc.solve_discrepancy(signals, d, noise, tol=tol)
    assert found.reached
    parts = mcsc.signal_parts(found.result.codes, d)
    left = [x - part.image for x, part in zip(signals, parts, strict=True)]
    assert np.sqrt(np.mean(np.square(left))) == pytest.approx(noise, rel=0.011)


def test_noise_that_no_lam_leaves_is_refused_with_the_least_lam_that_is_tried():
    signals, d = impulse_problem()
    with pytest.raises(ValueError, match=r"down to 0\.00012 of lambda_max, .* below 0\.0001 of it"):
        mcsc.solve_discrepancy(signals, d, 1e-5)


def test_noise_that_is_certainly_out_of_reach_is_refused_without_a_smaller_gap(monkeypatch):
    """Filters that explain nothing but smooth signals leave the rest at every lam."""
    rng = np.random.default_rng(0)
    d = mcsc.Dictionary(unique=(np.ones((1, 1, 4, 4)),)).normalise()
    tried = []
    solve = path.solve_problem
    monkeypatch.setattr(
        path, "solve_problem", lambda p, o, *a, **k: tried.append(o.tol) or solve(p, o, *a, **k)
    )
    with pytest.raises(ValueError, match="the residual stays at"):
        mcsc.solve_discrepancy((rng.standard_normal((12, 12)),), d, 0.01)
    assert len(set(tried)) == 1


def test_masks_without_a_known_pixel():
    signals, d = noisy_problem(0.1)
    with pytest.raises(ValueError, match="masks leave no known pixel"):
        mcsc.solve_discrepancy(signals, d, 0.1, masks=(np.zeros((24, 20)),) * 2)


def test_signals_that_no_code_can_explain():
    """Codes of the wrong sign stay zero at every lam: it is the model that does not fit."""
    x = -np.abs(np.random.default_rng(0).standard_normal((12, 12)))
    d = mcsc.Dictionary(unique=(np.ones((1, 1, 3, 3)),))
    assert mcsc.lambda_max((x,), d, nonnegative=True) == 0
    message = "codes are zero at every lam, .* in the sign that codes may have: the residual stays"
    with pytest.raises(ValueError, match=message):
        mcsc.solve_discrepancy((x,), d, 0.1, nonnegative=True)


def test_forms_of_noise():
    signals, d = noisy_problem(0.1)
    plain = mcsc.solve_discrepancy(signals, d, 0.1, rtol=0.2)
    for noise in (np.array(0.1), np.array([0.1, 0.1]), [0.1, 0.1]):
        assert mcsc.solve_discrepancy(signals, d, noise, rtol=0.2).lam == plain.lam
    assert plain != replace(plain)
    for noise in ("0.1", None, {0.1}):
        with pytest.raises(TypeError, match="noise must be a number, or one for each of the 2 si"):
            mcsc.solve_discrepancy(signals, d, noise)
    with pytest.raises(TypeError, match="noise is a masked array"):
        mcsc.solve_discrepancy(signals, d, np.ma.array([0.1, 0.2]))
    with pytest.raises(TypeError, match="lams is a masked array"):
        mcsc.solve_path(signals, d, np.ma.array([0.2, 0.1]))
