"""The words of the reference: every field is described, and in phrases that stand by themselves."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
import textwrap

import pytest

from tests.docs.test_pages import DOCUMENTED, listed
from tests.paths import ROOT

SOURCES = [p for package in ("mcsc", "unfolded") for p in sorted((ROOT / package).rglob("*.py"))]


def records(module):
    """Public classes that hold fields, with the names of these."""
    for name in importlib.import_module(module).__all__:
        entry = getattr(importlib.import_module(module), name)
        if inspect.isclass(entry):
            names = (
                [f.name for f in dataclasses.fields(entry)]
                if dataclasses.is_dataclass(entry)
                else list(getattr(entry, "_fields", ()))
            )
            yield entry, [n for n in names if not n.startswith("_")]


def described(record):
    """Names that a docstring below them describes, or a section of the class's own."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0].body
    for field, words in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(words, ast.Expr)
            and isinstance(words.value, ast.Constant)
        ):
            yield field.target.id
    for line in inspect.getdoc(record).splitlines():
        if listed := re.match(r"(\w+(?:, \w+)*) : ", line):
            yield from listed[1].split(", ")


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_field_of_a_result_is_described(module):
    lacking = {r.__name__: set(names) - set(described(r)) for r, names in records(module)}
    assert {name: fields for name, fields in lacking.items() if fields} == {}


def docstrings(path):
    """All strings that stand by themselves, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, inspect.cleandoc(str(node.value.value))


def test_no_docstring_begins_in_the_middle_of_a_phrase():
    """As in "Of the arithmetic." or "As of the network.": the noun is what a reader wants."""
    begins = re.compile(r"\A(?:Of|As of) |(?:^|\n)\w[^\n]* :[^\n]*\n +(?:Of|As of) ")
    assert begins.search("Of Adam.")
    assert begins.search("rate : float\n    Of Adam.")
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, words in docstrings(path)
        if begins.search(words)
    ]
    assert found == []


@pytest.mark.parametrize(
    "name",
    ["mcsc.solve", "mcsc.learn", "mcsc.Problem", "mcsc.Dictionary", "mcsc.tasks.restore",
     "mcsc.tasks.fuse", "unfolded.CUNet"],
)  # fmt: skip
def test_docstrings_with_symbols_lead_to_the_page_that_explains_them(name):
    module, _, entry = name.rpartition(".")
    words = inspect.getdoc(getattr(importlib.import_module(module), entry))
    assert re.search(r":doc:`[^<]+</explanations/model>`", words)
    assert (ROOT / "docs" / "explanations" / "model.md").is_file()


@pytest.mark.parametrize("module", sorted(listed()))
def test_equations_of_the_reference_have_one_formula_a_line(module):
    r"""A laptop's screen, and more so a phone's, cuts off what stands behind a ``\qquad``."""
    home = importlib.import_module(module)
    words = {name: inspect.getdoc(getattr(home, name)) or "" for name in home.__all__}
    assert [name for name, text in words.items() if re.search(r"\\q?quad\n", text)] == []


def section(words, title):
    """Lines of a section of a docstring in numpydoc's form."""
    lines = words.splitlines()
    for at, (line, rule) in enumerate(itertools.pairwise(lines)):
        if line == title and set(rule) == {"-"}:
            rest = lines[at + 2 :]
            ends = [n for n, bar in enumerate(rest[1:]) if bar and set(bar) == {"-"}]
            return rest[: ends[0]] if ends else rest
    return []


def callables(module):
    """Public functions and classes of a module, and the methods that these define."""
    home = importlib.import_module(module)
    for name in home.__all__:
        entry = getattr(home, name)
        if callable(entry) and inspect.getdoc(entry):
            yield f"{module}.{name}", entry
        if inspect.isclass(entry):
            for method, member in vars(entry).items():
                function = getattr(member, "__func__", member)
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{module}.{name}.{method}", function


def entries(lines):
    """Names of each entry of a section, and whether words follow them."""
    for line, following in itertools.zip_longest(lines, lines[1:], fillvalue=""):
        if re.match(r"\*{0,2}\w", line):
            names = [n.strip() for n in line.split(" : ")[0].split(",")]
            yield names, following.startswith("    ")


REFERENCE = sorted(listed())


@pytest.mark.parametrize("module", REFERENCE)
def test_parameters_are_described(module):
    """All that a signature has where a docstring lists any, and each with words of its own."""
    lacking = []
    for name, entry in callables(module):
        given = list(entries(section(inspect.getdoc(entry) or "", "Parameters")))
        lacking += [f"{name}: {', '.join(names)}: no words" for names, words in given if not words]
        if given and not getattr(entry, "_is_protocol", False):
            known = {n for names, _ in given for n in names}
            there = set(inspect.signature(entry).parameters) - {"self", "cls"}
            lacking += [f"{name}: {n} lacks" for n in there - {n.strip("*") for n in known}]
            # Keywords may be those of subclasses.
            lacking += [f"{name}: there is no {n}" for n in known - there if "*" not in n]
    assert lacking == []


@pytest.mark.parametrize("module", REFERENCE)
def test_references_are_no_lists(module):
    """An initial at the start of a paragraph of one line is the number of an item to docutils."""
    pattern = re.compile(r"(?:\A|\n\n)[A-Z]\. [^\n]*(?:\n\n|\Z)")
    assert pattern.search("E. J. Candes, doi:1")
    assert not pattern.search("E. J. Candes,\ndoi:1")
    found = [
        name
        for name, entry in callables(module)
        if pattern.search("\n".join(section(inspect.getdoc(entry) or "", "References")).strip())
    ]
    assert found == []
