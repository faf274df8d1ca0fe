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

from tests.docs.test_pages import DOCUMENTED
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


@pytest.mark.parametrize("module", DOCUMENTED)
def test_equations_of_the_reference_have_one_formula_a_line(module):
    r"""A laptop's screen, and more so a phone's, cuts off what stands behind a ``\qquad``."""
    home = importlib.import_module(module)
    words = {name: inspect.getdoc(getattr(home, name)) or "" for name in home.__all__}
    assert [name for name, text in words.items() if "\\qquad\n" in text] == []
