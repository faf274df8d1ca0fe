"""Tables that others can add to."""

from __future__ import annotations

import importlib.metadata
import re
import warnings

import pytest

from mcsc.baselines.table import BASELINES, Baseline
from mcsc.checks import what_is
from mcsc.errors import MissingExtraError, UnavailableError
from mcsc.quality.measures import MEASURES, Measure
from mcsc.solvers import SOLVERS, DenseSolver
from mcsc.tables import Table
from mcsc.tasks import METHODS, RULES, TASKS, Rule, Selection, Task
from tests.helpers import run

OURS = {
    "task": TASKS, "method": METHODS, "rule": RULES, "baseline": BASELINES, "measure": MEASURES,
    "solver": SOLVERS,
}  # fmt: skip


def test_entries_come_in_order_and_can_be_taken_out():
    table = Table("thing")
    table.add("b", 2)
    table.add("a", 1)
    assert list(table) == ["b", "a"]
    assert dict(table) == {"b": 2, "a": 1} == table.available()
    assert len(table) == 2
    table.remove("b")
    assert list(table) == ["a"]
    assert "b" not in table
    table.add("b", 3)
    assert table.find("b") == 3


def test_refusals():
    table = Table("thing")
    table.add("a", 1)
    with pytest.raises(ValueError, match="thing must be one of a; found 'c'"):
        table.find("c")
    with pytest.raises(ValueError, match="thing must be one of a; found 'c'"):
        table.remove("c")
    with pytest.raises(ValueError, match="there is a thing a already: remove it first"):
        table.add("a", 2)
    with pytest.raises(ValueError, match="a thing needs a name; found ''"):
        table.add("", 2)
    with pytest.raises(KeyError):
        table["c"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Three entries of another package, one of which is taken and one broken."""
    (tmp_path / "other_table_package.py").write_text("LOADED = []\nLOADED.append(1)\nthing = 7\n")
    (tmp_path / "broken_table_package.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries = [
        importlib.metadata.EntryPoint(name, value, "things")
        for name, value in {
            "z": "broken_table_package:thing",
            "own": "other_table_package:thing",
            "new": "other_table_package:thing",
        }.items()
    ]
    asked = []

    def entry_points(*, group):
        asked.append(group)
        return entries

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return asked


def test_installed_packages_add_entries_which_are_loaded_by_need(installed):
    import sys

    sys.modules.pop("other_table_package", None)
    table = Table("thing", "things")
    assert not installed
    table.add("own", 1)
    assert list(table) == ["own", "new", "z"]
    assert installed == ["things"]
    assert len(table) == 3
    assert "other_table_package" not in sys.modules
    assert table.find("own") == 1
    assert table.find("new") == 7
    with pytest.raises(MissingExtraError, match="the thing z needs no_such_package, which is not"):
        table.find("z")
    with pytest.warns(
        UserWarning, match="the thing z needs no_such_package, which is not installe"
    ):
        assert table.available() == {"own": 1, "new": 7}
    assert table.available() == {"own": 1, "new": 7}  # what is said once is not said again
    table.remove("new")
    assert "new" not in table


def other_task(name="other"):
    return Task(name, "Other", "restoration", (("a",), ("b",)))


def plain(x, y):
    return x


def measured(name):
    return Measure(name, "fusion", plain)


@pytest.mark.parametrize("what", OURS)
@pytest.mark.parametrize("entry", [3, "x", None, object()])
def test_what_is_no_entry_is_refused_when_it_is_added(what, entry):
    with pytest.raises(TypeError, match=f"the {what} bad must be .*; found (3|'x'|None|an object)"):
        OURS[what].add("bad", entry)
    assert "bad" not in OURS[what]


def a_method(x, y):
    return x


a_method.options = frozenset()


class Unfinished(DenseSolver):
    name = "bad"
    max_iter = 3


@pytest.mark.parametrize(
    ("what", "entry", "says"),
    [
        ("task", Task, r"must be a mcsc\.tasks\.Task, as Task\(name, .*; found the class Task"),
        ("rule", plain, r"must be a mcsc\.tasks\.Rule, as Rule\(function, words\); found the func"),
        (
            "baseline",
            plain,
            "must be a mcsc.baselines.table.Baseline, .*; found the function plain",
        ),
        ("measure", plain, "must be a mcsc.quality.measures.Measure, .*; found the function plain"),
        ("method", a_method, "found a method itself: want what returns it, as lambda task, weigh"),
        ("method", lambda task: a_method, "must be a function of task, weights; .*: too many posi"),
        ("solver", Unfinished, "derives from mcsc.solvers.Solver; Unfinished lacks maps, step"),
        ("solver", object, "object lacks codes, due, evaluate"),
        ("solver", plain, "found the function plain"),
    ],
)
def test_what_is_almost_an_entry_is_refused_with_what_it_lacks(what, entry, says):
    with pytest.raises(TypeError, match=says):
        OURS[what].add("bad", entry)


def test_a_solver_that_has_no_name_is_refused_by_that_of_its_class():
    with pytest.raises(TypeError, match=r"the solver Nameless must be .*; Nameless lacks .*name"):
        SOLVERS.register(type("Nameless", (DenseSolver,), {}))


@pytest.mark.parametrize(
    ("what", "entry"), [("task", other_task()), ("measure", measured("other"))]
)
def test_an_entry_has_one_name(what, entry):
    """Its own is that of results, files and other processes."""
    with pytest.raises(ValueError, match=f"the {what} bad calls itself 'other': want one name"):
        OURS[what].add("bad", entry)
    OURS[what].add("other", entry)
    OURS[what].remove("other")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (
            lambda: Baseline("restoration", 3),
            "function of a baseline must be a function of x, y; f",
        ),
        (
            lambda: Baseline("fusion", plain),
            "must be a function of sources; the function plain has",
        ),
        (
            lambda: Baseline("restoration", plain, takes_sigma=True),
            "must be a function of x, y, sigma=; .* unexpected keyword argument 'sigma'",
        ),
        (lambda: Baseline("restoration", plain, 1), "takes_sigma of a baseline must be True or F"),
        (
            lambda: Baseline("restoration", plain, super_resolution="no"),
            "super_resolution of a baseline must be True or False",
        ),
        (lambda: Measure("", "fusion", plain), "name of a measure must be a word, found ''"),
        (lambda: Measure("m", "fusion", None), "function of the measure m must be a function of i"),
        (lambda: Measure("m", "fusion", plain, takes_mask=True), "function of image, sources, mas"),
        (lambda: Measure("m", "fusion", plain, digits="3"), "digits of the measure m must be a wh"),
        (lambda: Rule("sum", "words"), "function of a rule must be a function of coded; found 's"),
        (lambda: Rule(plain, "words"), "function of a rule must be a function of coded; the func"),
        (lambda: Rule(len, ""), "words of a rule must be a word, found ''"),
        (lambda: Rule(len, "words", selection=True), "selection of a rule must be a mcsc.tasks.S"),
        (lambda: Selection(plain, True, 1.0, True), "evidence of a selection must be a function "),
        (
            lambda: Selection(lambda *planes: 0, True, 1.0, True, len),
            "by_answer of a selection must be a function of answer, source",
        ),
    ],
)
def test_entries_that_could_not_be_used_are_refused_when_they_are_made(made, says):
    with pytest.raises((TypeError, ValueError), match=says):
        made()


def test_functions_that_do_not_tell_their_arguments_are_taken():
    assert Measure("largest", "restoration", max).function is max


def test_what_was_found_is_said_in_a_few_words():
    import numpy as np

    assert what_is(np.zeros((2, 3), "f4")) == "an array of shape (2, 3) and dtype float32"
    assert what_is([[1.0] * 999]) == "an object of type list"
    assert what_is((1, 2)) == "(1, 2)"
    assert what_is(Table) == "the class Table"


FAULTY = {
    "mcsc.tasks": {"no-task": "faulty_table_package:thing", "lost": "faulty_table_package:none"},
    "mcsc.methods": {"no-method": "faulty_table_package:thing"},
    "mcsc.rules": {"no-rule": "faulty_table_package:thing"},
    "mcsc.baselines": {"no-baseline": "faulty_table_package:thing"},
    "mcsc.measures": {"no-measure": "refusing_table_package:thing"},
    "mcsc.solvers": {"no-solver": "faulty_table_package:thing"},
}


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """An installed package of which no entry can be used."""
    (tmp_path / "faulty_table_package.py").write_text("thing = 3\n")
    (tmp_path / "refusing_table_package.py").write_text("raise RuntimeError('no\\nlicence')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def entry_points(*, group):
        there = FAULTY.get(group, {}).items()
        return [importlib.metadata.EntryPoint(name, value, group) for name, value in there]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    for table in OURS.values():
        monkeypatch.setattr(table, "_plugins", None)
        monkeypatch.setattr(table, "_told", set())


@pytest.mark.parametrize("what", OURS)
def test_a_faulty_entry_of_another_package_is_refused_by_its_name(faulty, what):
    table = OURS[what]
    words = "must be .* found 3" if what != "measure" else ".* RuntimeError: no licence"
    with pytest.raises((TypeError, UnavailableError), match=f"the {what} no-{what} {words}") as e:
        table.find(f"no-{what}")
    assert "_table_package" in str(e.value)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert f"no-{what}" not in table.available()
    assert any(f"the {what} no-{what}" in str(one.message) for one in told)


def test_no_faulty_entry_takes_other_names_away(faulty, tmp_path):
    import numpy as np

    from mcsc.images import write_image

    rng = np.random.default_rng(0)
    for name, shape in (("x", (8, 8)), ("y", (32, 32)), ("s_depth", (32, 32)), ("s_rgb", (32, 32))):
        write_image(tmp_path / f"{name}.png", rng.random((1, *shape)))
    small = ("restore", tmp_path / "x.png", tmp_path / "y.png", "-o", tmp_path / "o.png", "--task")
    done = run(*small, "depth-sr", "--method", "bicubic")
    assert done.exit_code == 0, done.stderr
    assert "no-" not in done.stderr  # nobody asked for them
    done = run("evaluate", tmp_path, "--task", "depth-sr", "--method", "bicubic")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("the measure no-measure of the package") == 1
    done = run("restore", "--help")
    assert done.exit_code == 0
    assert done.stderr.count("the task no-task must be") == 1
    for words, says in (
        (("no-task",), "the task no-task must be a mcsc.tasks.Task"),
        (("lost",), "the task lost of the package .* AttributeError: module 'faulty_table_pack"),
        (("depth-sr", "--method", "no-method"), "the method no-method must be a function of"),
        (("depth-sr", "--method", "no-baseline"), "the baseline no-baseline must be"),
    ):
        done = run(*small, *words)
        assert done.exit_code == 2
        assert re.search(says, done.stderr), done.stderr


def test_a_class_that_makes_methods_has_the_name_of_the_method():
    class Sharper:
        options = frozenset()

        def __init__(self, task, weights=None):
            self.name = "Sharper 2"

    class Named(Sharper):
        name = "Sharper 3"

    for made in (Sharper, Named):
        METHODS.add("sharper", made)
        assert METHODS.find("sharper") is made
        METHODS.remove("sharper")
