"""Long work of tasks can be watched, limited and stopped, and keeps what it has."""

from __future__ import annotations

import signal

import numpy as np
import pytest

import mcsc
from mcsc.coding.images import code
from mcsc.images import lowpass_split, luma_studio
from mcsc.tasks import SparseCoding, decompose, evaluate, fuse, get_task, restore, synthetic_scenes
from tests.mcsc.tasks.pairs import pair

TASK = get_task("depth-sr")


def scene():
    made = pair("depth-sr")
    return TASK.degrade(made.target), made.y


def ctrl_c(*_):
    signal.raise_signal(signal.SIGINT)


def raising(error):
    def fail(*_):
        raise error

    return fail


# ---------------------------------------------------------------------------------- one image
def test_a_callback_sees_the_gap_fall(depth):
    seen = []
    found = restore(*scene(), TASK, dictionary=depth.dictionary, callback=seen.append)
    assert found.converged
    assert found.stopped == "converged"
    assert seen[-1].gap == found.gap
    assert seen[0].gap > seen[-1].gap


@pytest.mark.parametrize(
    ("callback", "stopped"),
    [
        (lambda state: True, "callback"),
        (raising(StopIteration), "callback"),
        (raising(KeyboardInterrupt), "interrupted"),
        (ctrl_c, "interrupted"),
    ],
    ids=["true", "StopIteration", "KeyboardInterrupt", "SIGINT"],
)
@pytest.mark.parametrize("kind", ["restoration", "fusion", "decomposition"])
def test_stopped_it_returns_what_there_is(kind, callback, stopped, depth, focus):
    options = {"tol": 1e-6, "callback": callback}
    x, y = scene()
    work = {
        "restoration": lambda: restore(x, y, TASK, dictionary=depth.dictionary, **options),
        "fusion": lambda: fuse([y, y], "multi-focus", dictionary=focus.dictionary, **options),
        "decomposition": lambda: decompose((x, y), **options).result,
    }[kind]
    with pytest.warns(mcsc.ConvergenceWarning, match="stopped by the call|interrupted"):
        found = work()
    if kind == "restoration":
        assert np.isfinite(found.image).all()
        assert found.image.shape == x.shape
    if kind == "fusion":
        np.testing.assert_allclose(found.weights.sum(0), 1, atol=1e-6)
    assert found.stopped == stopped
    assert not found.converged
    assert 1e-6 < found.gap <= 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_at_once(depth):
    def twice(state):
        ctrl_c()
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        restore(*scene(), TASK, dictionary=depth.dictionary, tol=1e-6, callback=twice)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_iterations_at_most(depth):
    with pytest.warns(mcsc.ConvergenceWarning, match="1e-09, at its most iterations: the certifi"):
        found = restore(*scene(), TASK, dictionary=depth.dictionary, tol=1e-9, max_iter=1)
    assert found.stopped == "max_iter"
    with pytest.raises(ValueError, match="max_iter must be a whole number >= 1, found 0"):
        restore(*scene(), TASK, dictionary=depth.dictionary, max_iter=0)


def test_what_has_no_solver_takes_neither(depth):
    x, y = scene()
    for option, value in (("max_iter", 5), ("callback", print)):
        with pytest.raises(ValueError, match=f"guided-filter has no option {option}"):
            restore(x, y, TASK, method="guided-filter", **{option: value})
    assert restore(x, y, TASK, method="guided-filter").stopped is None
    for use in (
        lambda: restore(x, y, TASK, callback=3),
        lambda: fuse([x, x], "medical", callback=3),
        lambda: evaluate([], TASK, callback=3),
    ):
        with pytest.raises(TypeError, match="callback must be callable, found int"):
            use()


# -------------------------------------------------------------------------------------- tiles
def signals(shape=(120, 90)):
    made = pair("multi-focus", shape=shape)
    return tuple(lowpass_split(luma_studio(i)).high[None] for i in (made.x, made.y))


@pytest.mark.parametrize("how", ["callback", "between"])
def test_tiles_that_were_not_reached_have_no_codes(how):
    """Stopped in the second tile, or between the first and the second."""
    d, tiles = mcsc.dct_dictionary((1, 1), filter_size=4), []

    def solver(part, *arguments, **options):
        tiles.append(part[0].shape)
        result = mcsc.solve(part, *arguments, **options)
        if how == "between":
            ctrl_c()
        return result

    callback = (lambda state: len(tiles) == 2) if how == "callback" else None
    options = {"tol": 1e-2, "tile": 72, "solver": solver}
    found = code(signals(), d, 0.02, "signals", callback=callback, **options)
    assert found.stopped == ("callback" if how == "callback" else "interrupted")
    assert len(tiles) == (2 if how == "callback" else 1)
    assert found.tiles == 4
    assert not found.converged
    assert found.gap == 1
    assert np.abs(found.image[..., :20, :20]).max() > 0.01
    assert not found.image[..., -20:, -20:].any()
    # The last tile's Ctrl-C comes too late to lose anything.
    one = code(signals((40, 40)), d, 0.02, "signals", tol=1e-2, solver=solver)
    assert one.converged


def test_a_bar_of_the_tiles(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    d = mcsc.dct_dictionary((1, 1), filter_size=4)
    code(signals(), d, 0.02, "signals", tile=72, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "4/4" in err
    code(signals((40, 40)), d, 0.02, "signals", progress=True)
    assert "tiles" not in capsys.readouterr().err


# -------------------------------------------------------------------------------------- tables
@pytest.fixture(scope="module")
def scenes():
    return synthetic_scenes(TASK, 2, (64, 64), seed=3)


def test_a_table_after_ctrl_c_has_the_rows_that_were_done(scenes):
    done = []

    def each(row, *_):
        done.append(row)
        if len(done) == 3:
            ctrl_c()

    found = evaluate(scenes, TASK, ["bicubic", "guided-filter"], each=each)
    assert found.stopped == "interrupted"
    assert found.rows == done
    assert [r.method for r in done] == ["bicubic", "guided-filter", "bicubic"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    done.clear()
    whole = evaluate(scenes, TASK, ["bicubic"], each=lambda *_: ctrl_c() if done else None)
    assert whole.stopped == "completed"


@pytest.mark.parametrize("way", ["callback", "interrupted"])
def test_a_run_that_was_stopped_is_not_measured(scenes, way, depth):
    method = SparseCoding(TASK, depth.dictionary)
    stop = ctrl_c if way == "interrupted" else lambda state: True
    with pytest.warns(mcsc.ConvergenceWarning):
        found = evaluate(
            scenes, TASK, {"bicubic": bicubic(), "mcsc": method}, tol=1e-6, callback=stop
        )
    assert found.stopped == way
    assert [(r.scene, r.method) for r in found.rows] == [("synthetic scene 0", "bicubic")]


def bicubic():
    def method(x, y):
        return x

    method.options = frozenset()
    return method


def test_iterations_and_bars_of_a_table(scenes, depth, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    method = SparseCoding(TASK, depth.dictionary)
    with pytest.warns(mcsc.ConvergenceWarning, match="at its most iterations"):
        found = evaluate(
            scenes[:1], TASK, {"input": bicubic(), "mcsc": method}, tol=1e-9, max_iter=1,
            progress=True,
        )  # fmt: skip
    assert found.stopped == "completed"
    assert len(found.rows) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2  synthetic scene 0, mcsc" in err
    assert "working-set" in err


def test_sources_of_a_stack_are_kept_as_far_as_they_were_coded(focus):
    scene = pair("multi-focus")
    sources = [scene.x] + [scene.y * np.float32(1 - 0.01 * m) for m in range(9)]
    results = []

    def solver(*arguments, **options):
        results.append(mcsc.solve(*arguments, **options))
        if len(results) == 3:
            ctrl_c()
        return results[-1]

    method = SparseCoding(get_task("multi-focus"), focus.dictionary, solver=solver)
    with pytest.warns(mcsc.ConvergenceWarning, match="interrupted"):
        found = fuse(sources, "multi-focus", method=method)
    assert len(results) == 3
    assert found.stopped == "interrupted"
    assert found.gap == 1
    assert len(np.unique(found.index)) <= 3
    assert found.image.shape == scene.x.shape
