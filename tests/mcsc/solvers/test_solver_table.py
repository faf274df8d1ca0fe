"""The table of solvers: one from outside is used through the front door, and is gone again."""

from __future__ import annotations

import importlib.metadata
import json

import numpy as np
import pytest

import mcsc
from mcsc.images import write_image
from mcsc.model.convolution import adjoint, forward
from mcsc.model.solver_table import SolverTable
from mcsc.solvers import SOLVERS, DenseSolver
from mcsc.solvers.proximal import Fista
from tests.helpers import dense_optimum, make_problem, run, soft, solve


class Toy(DenseSolver):
    """Proximal gradients in ten lines."""

    name = "toy"
    max_iter = 3_000
    code_arrays = 4.0  # the state, its gradient, and temporaries

    def __init__(self, problem, start):
        super().__init__(problem, start)
        self._a = self.first_maps(start)
        self._step = 1.0 / problem.lipschitz
        self._threshold = self._step * problem.lam_maps.reshape(-1, 1, 1)

    def maps(self):
        return self._a

    def step(self):
        p, w = self.problem, 1.0 if self.problem.weights is None else self.problem.weights
        residual = w * w * (p.stacked - forward(p.operator, p.backend, self._a))
        ascent = self._a + self._step * adjoint(p.operator, p.backend, residual)
        self._a = soft(ascent, self._threshold)


@pytest.fixture
def toy():
    """The toy in the table while a test runs."""
    yield SOLVERS.register(Toy)
    SOLVERS.remove("toy")


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_a_solver_from_outside(toy, boundary):
    problem = make_problem(boundary=boundary, masks="fractional", samples=2)
    seen = []
    result = solve(problem, method="toy", tol=1e-6, callback=seen.append)
    assert result.converged
    assert result.gap <= 1e-6
    assert result.method == "toy"
    assert {p.method for p in seen} == {"toy"}
    assert result.objective == pytest.approx(dense_optimum(problem), rel=2e-6)
    again = solve(problem, method="toy", tol=1e-6, init=result)
    assert again.iterations == 0
    path = mcsc.solve_path(problem.signals, problem.dictionary, [3.0, 2.0], method="toy")
    assert [r.method for r in path] == ["toy", "toy"]


def test_its_limit_of_iterations_is_its_own(toy, monkeypatch):
    monkeypatch.setattr(Toy, "max_iter", 2)
    with pytest.warns(mcsc.ConvergenceWarning, match="toy not converged .reached max_iter = 2"):
        solve(make_problem(), method="toy", tol=1e-9)


def test_its_memory_is_estimated_and_refused(toy, monkeypatch):
    from mcsc.backend.numpy_backend import NumpyBackend

    problem = make_problem()
    maps = problem.dictionary.n_maps * 8 * 7 * 8
    assert problem.memory_estimate("toy") - problem.memory_estimate("ista") == 3 * maps
    monkeypatch.setattr(NumpyBackend, "available_memory", lambda self: 1)
    with pytest.raises(MemoryError, match="method 'toy' needs about"):
        solve(problem, method="toy")


def test_a_library_that_it_does_not_take_is_refused(toy, monkeypatch):
    monkeypatch.setattr(Toy, "libraries", ("CuPy",))
    problem = make_problem()
    message = "method='toy' works on CuPy arrays, and these are NumPy arrays"
    with pytest.raises(ValueError, match=message):
        solve(problem, method="toy")
    with pytest.raises(ValueError, match=message):
        problem.memory_estimate("toy")


def test_options_of_its_own(toy, monkeypatch):
    with pytest.raises(ValueError, match="inner_steps is for method='alternating', not for 'toy'"):
        solve(make_problem(), method="toy", inner_steps=3)
    given = {}

    class Optional(Toy):
        name = "optional"
        options = frozenset({"inner_steps"})

        def __init__(self, problem, start, inner_steps=7):
            super().__init__(problem, start)
            given["inner_steps"] = inner_steps

    SOLVERS.register(Optional)
    try:
        solve(make_problem(), method="optional", tol=1e-2)
        assert given.pop("inner_steps") == 7
        solve(make_problem(), method="optional", tol=1e-2, inner_steps=3)
        assert given.pop("inner_steps") == 3
        with pytest.raises(ValueError, match="for method='alternating' or 'optional', not for"):
            solve(make_problem(), method="fista", inner_steps=3)
    finally:
        SOLVERS.remove("optional")


def test_it_is_gone_again():
    assert "toy" not in SOLVERS
    message = "method must be one of 'auto', 'working-set', .*, found 'toy'"
    problem = make_problem()
    for use in (
        lambda: solve(problem, method="toy"),
        lambda: problem.memory_estimate("toy"),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    with pytest.raises(ValueError, match=r"solver must be one of .*; found 'toy'"):
        SOLVERS.remove("toy")


def test_auto_takes_the_first_that_supports_the_arrays(toy, monkeypatch):
    problem = make_problem()
    assert SOLVERS.resolve("auto", problem).name == "working-set"
    strict = pytest.importorskip("array_api_strict")
    signals = tuple(strict.asarray(x) for x in problem.signals)
    other = mcsc.Problem(signals, problem.dictionary, problem.lam)
    assert SOLVERS.resolve("auto", other).name == "admm"
    assert other.memory_estimate("auto") == other.memory_estimate("admm")
    assert problem.memory_estimate("auto") == problem.memory_estimate("working-set")


def test_names_are_taken_once(toy):
    class Other(Toy):
        pass

    with pytest.raises(ValueError, match="there is a solver toy already"):
        SOLVERS.register(Other)
    Other.name = "auto"
    with pytest.raises(ValueError, match="a solver cannot be named 'auto'"):
        SOLVERS.register(Other)


def test_the_command_line_takes_its_methods_from_the_table(tmp_path):
    """Also one that is added when the command line is there already."""
    images = [tmp_path / name for name in ("x.png", "y.png")]
    for seed, path in enumerate(images):
        write_image(path, np.random.default_rng(seed).random((1, 16, 16)))
    words = ("solve", *images, "--out", tmp_path / "out", "--tol", 0.5, "--no-codes")
    done = run(*words, "--method", "toy")
    assert done.exit_code == 2
    assert "'toy' is not one of 'auto', 'working-set'" in done.stderr

    @SOLVERS.register
    class Later(Fista):
        name = "toy"

    try:
        assert ", toy; all reach the same optimum" in " ".join(
            run("solve", "--help").stdout.split()
        )
        done = run(*words, "--method", "toy")
    finally:
        SOLVERS.remove("toy")
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "out" / "result.json").read_text())["result"]["method"] == "toy"


def test_a_table_of_its_own_is_empty():
    table = SolverTable()
    assert len(table) == 0
    with pytest.raises(ValueError, match="method must be one of 'auto', found 'ista'"):
        table.find("ista")


def test_shipped_solvers_say_what_they_are():
    assert tuple(SOLVERS) == ("working-set", "admm", "fista", "alternating", "ista")
    for name in SOLVERS:
        solver = SOLVERS[name]
        assert solver.name == name
        assert solver.max_iter >= 1_000
        assert solver.__doc__
    assert np.all([SOLVERS[n].supports(make_problem()) for n in SOLVERS])


def test_an_installed_package_adds_a_solver(monkeypatch):
    """By an entry point, which is looked for when nothing of our own serves."""
    places = {"fista-of-others": "mcsc.solvers.proximal:Fista", "auto": "mcsc.solvers:DenseSolver"}
    entries = [importlib.metadata.EntryPoint(n, v, "mcsc.solvers") for n, v in places.items()]
    entries.append(importlib.metadata.EntryPoint("toy", f"{__name__}:Toy", "mcsc.solvers"))
    asked = []

    def entry_points(*, group):
        asked.append(group)
        return entries

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    table = SolverTable()
    table.register(Fista)
    assert table.resolve("auto", make_problem()) is Fista
    assert not asked
    assert list(table) == ["fista", "auto", "fista-of-others", "toy"]
    assert asked == ["mcsc.solvers"]
    assert table.find("toy").name == "toy"
    with pytest.raises(ValueError, match="fista-of-others calls itself 'fista': want one name"):
        table.find("fista-of-others")
    with pytest.raises(ValueError, match="a solver cannot be named 'auto'"):
        table.find("auto")
