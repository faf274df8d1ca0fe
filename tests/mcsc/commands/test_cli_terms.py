"""Terms of the solver on the command line: squares, signs, joint groups, rounds, weights of lam."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mcsc
from mcsc.images import lowpass_split, write_image
from mcsc.images.files import read_image
from tests.helpers import run
from tests.mcsc.commands.test_cli_learn import SMALL

SHAPE = (20, 24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    x, y = 0.2 + 0.1 * np.random.default_rng(0).random((2, *SHAPE))
    x[:, 12:] += 0.5
    y[:, 12:] += 0.3
    y[8:] += 0.2
    write_image(folder / "x.png", x)
    write_image(folder / "y.png", y)
    mcsc.dct_dictionary((1, 1), 8, 3).save(folder / "d.npz")
    return folder


def solve(folder, out, *words):
    paths = [folder / name for name in ("x.png", "y.png")]
    return run(
        "solve", *paths, "--dictionary", folder / "d.npz", "--tol", 1e-4, "--out", out,
        *(words if "--lam" in words else ("--lam-relative", 0.2, *words)),
    )  # fmt: skip


def problem(folder, *arguments, **terms):
    signals = [
        lowpass_split(read_image(folder / name).pixels.astype("f4")).high
        for name in ("x.png", "y.png")
    ]
    return signals, mcsc.Dictionary.load(folder / "d.npz")


def objective(out):
    return json.loads((out / "result.json").read_text())["result"]["objective"]


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        pytest.param(("--mu", "0.3"), {"mu": 0.3}, marks=pytest.mark.slow),
        (("--mu", "0,0.5,0.1"), {"mu": (0, 0.5, 0.1)}),
        (("--nonnegative", "all"), {"nonnegative": True}),
        (("--nonnegative", "common, y"), {"nonnegative": (True, False, True)}),
        pytest.param(("--joint", "x,y"), {"joint": (False, True, True)}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_solve_solves_what_python_does(folder, tmp_path, words, terms):
    done = solve(folder, tmp_path, *words)
    assert done.exit_code == 0, done.output
    signals, d = problem(folder)
    lam = 0.2 * mcsc.lambda_max(signals, d, **{n: v for n, v in terms.items() if n != "mu"})
    assert json.loads((tmp_path / "result.json").read_text())["lam"] == pytest.approx(lam, rel=1e-5)
    here = mcsc.solve(signals, d, lam, tol=1e-4, **terms)
    assert objective(tmp_path) == pytest.approx(here.objective, rel=3e-4)
    plain = mcsc.solve(signals, d, lam, tol=1e-4)
    assert abs(here.objective - plain.objective) > 1e-3 * plain.objective


def test_rounds_shrink_the_nonzeros(folder, tmp_path):
    done = solve(folder, tmp_path, "--rounds", 3)
    assert done.exit_code == 0, done.output
    signals, d = problem(folder)
    lam = 0.2 * mcsc.lambda_max(signals, d)
    here = mcsc.reweighted(signals, d, lam, rounds=3, tol=1e-4)
    assert objective(tmp_path) == pytest.approx(here.result.objective, rel=2e-3)
    assert here.codes.nnz < here.results[0].codes.nnz


RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        pytest.param("w.npy", RNG.uniform(0.5, 2, SHAPE), marks=pytest.mark.slow),
        ("w.npy", RNG.uniform(0.5, 2, (8, 1, 1))),
        ("w.npz", {"common": RNG.uniform(0.5, 2, SHAPE), "y": np.full((8, *SHAPE), 3)}),
    ],
    ids=["pixels", "maps", "groups"],
)
def test_weights_of_lam_come_from_a_file(folder, tmp_path, name, arrays):
    d = mcsc.Dictionary.load(folder / "d.npz")
    counts = [len(g.bank) for g in d.groups]
    if isinstance(arrays, dict):
        np.savez(tmp_path / name, **arrays)
        each = [arrays["common"], np.ones((1, 1)), arrays["y"]]
    else:
        if arrays.ndim == 3:
            arrays = np.resize(arrays, (sum(counts), 1, 1))
        np.save(tmp_path / name, arrays)
        each = np.split(arrays, np.cumsum(counts)[:-1]) if arrays.ndim == 3 else [arrays] * 3
    done = solve(folder, tmp_path / "out", "--lam", "0.05", "--lam-weights", tmp_path / name)
    assert done.exit_code == 0, done.output
    signals, _ = problem(folder)
    here = mcsc.solve(signals, d, [0.05 * np.asarray(w, "f4") for w in each], tol=1e-4)
    assert objective(tmp_path / "out") == pytest.approx(here.objective, rel=3e-4)


# ------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mu", "-1"), "'-1' is not a number >= 0, or several"),
        (("--mu", "1,2"), "mu has 2 entries: give one, or one for each group [common, unique[0]"),
        (("--nonnegative", "z"), "there is no group 'z'; want 'all', or some of common, x, y"),
        (("--joint", "x"), "joint is for two groups or more, found unique[0] alone"),
        (("--joint", "x,y", "--method", "working-set"), "does not take joint groups"),
        (("--rounds", "0"), "0 is not in the range"),
        (("--lam-weights", "missing.npy"), "no file at missing.npy"),
    ],
    ids=str,
)
def test_refused_in_one_line(folder, tmp_path, words, message):
    done = solve(folder, tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.npy", np.zeros(SHAPE), "weights of lam: lam must be finite and > 0, found 0"),
        ("w.npy", np.ones((3, 4)), "or what broadcasts to the codes"),
        ("w.npy", np.ones(5), "holds float64 of shape (5,): want numbers > 0 for all pixels"),
        ("w.npy", np.full(SHAPE, "a"), "holds <U1 of shape (20, 24)"),
        ("w.npy", b"nothing", "is not an array of numbers in a file of NumPy"),
        ("w.npz", {"z": np.ones(SHAPE)}, "holds z: want some of common, x, y"),
        ("w.npz", {"x": np.ones((5, 1, 1))}, "weights of lam: lam of group unique[0] has shape"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:12],
)
def test_weights_that_fit_nothing(folder, tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    done = solve(folder, tmp_path / "out", "--lam-weights", path)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


# ------------------------------------------------------------------------- learning
def test_learn_records_the_terms(tmp_path):
    done = run(
        "learn", "--task", "multi-focus", "--synthetic", 1, "-o", tmp_path / "d", *SMALL[:-3],
        "--no-flips", "--windows", 2, "--passes", 1, "--mu", "0.2", "--nonnegative", "common",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = mcsc.Dictionary.load(tmp_path / "d.npz")
    assert found.terms == {"mu": 0.2, "nonnegative": [True, False, False]}


def test_learn_names_the_groups_that_there_are(tmp_path):
    done = run(
        "learn", "--task", "multi-focus", "--synthetic", 1, "-o", tmp_path / "d", "--common", 0,
        "--nonnegative", "common",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "there is no group 'common'; want 'all', or some of x, y" in done.stderr
