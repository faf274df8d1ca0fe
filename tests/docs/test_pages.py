"""The pages of docs: public names have entries, their code runs, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT

DOCS = ROOT / "docs"
GALLERY = sorted((DOCS / "gallery").glob("plot_*.py"))
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
DOCUMENTED = [
    "mcsc", "mcsc.tasks", "mcsc.images", "mcsc.synthetic", "mcsc.errors", "mcsc.tables",
    "mcsc.solvers", "mcsc.backend", "mcsc.baselines.table", "mcsc.quality.measures",
    "mcsc.distributed", "unfolded",
]  # fmt: skip


def listed():
    """Names in the lists of the reference, by module."""
    found: dict[str, set[str]] = {}
    for page in sorted((DOCS / "reference").glob("*.rst")):
        module = ""
        for line in page.read_text().splitlines():
            if new := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = new[1]
            elif name := re.fullmatch(r"(?:   |\.\. py:data:: )(\w+)", line):
                found.setdefault(module, set()).add(name[1])
    return found


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_public_name_is_in_the_reference(module):
    names = {n for n in importlib.import_module(module).__all__ if not n.startswith("__")}
    known = listed()[module]
    assert names - known == set()


def test_the_reference_lists_no_name_that_is_not_there():
    for module, names in listed().items():
        if module:
            there = set(importlib.import_module(module).__all__)
            assert names <= there, (module, names - there)


def test_data_have_words_of_their_own():
    """Sphinx would describe the class of a table or a tuple, not what it holds."""
    for page in sorted((DOCS / "reference").glob("*.rst")):
        module, lines = "", page.read_text().splitlines()
        for line, following in itertools.zip_longest(lines, lines[2:], fillvalue=""):
            if new := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = new[1]
            elif name := re.fullmatch(r"   (\w+)", line):
                assert callable(getattr(importlib.import_module(module), name[1])), name[1]
            elif line.startswith(".. py:data:: "):
                assert re.match(r"   [A-Z]\w+ ", following), line


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_the_code_of_a_page_runs(page, tmp_path):
    """All blocks in their order, in a process of its own, as a reader would paste them."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page)))
    done = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_within_the_site_lead_somewhere(page):
    text = re.sub(r"^```\w+\n.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" in target:
            continue
        made = re.match(r"(?:\.\./)*auto_gallery/(\w+)\.rst", target)
        if made:
            assert made[1] == "index" or (DOCS / "gallery" / f"{made[1]}.py").is_file(), target
        else:
            assert (page.parent / target).resolve().is_file(), target


@pytest.mark.parametrize("page", GALLERY, ids=lambda p: p.stem)
def test_a_page_of_the_gallery_ends_with_what_its_run_made(page):
    """Its last cell prints a number or draws a figure."""
    last = ast.parse(page.read_text().split("# %%")[-1])
    calls = {ast.unparse(n.func).split(".")[-1] for n in ast.walk(last) if isinstance(n, ast.Call)}
    assert calls & {"print", "imshow", "plot", "semilogy", "bar"}
    assert len(GALLERY) >= 18


SITE = {
    "index.html": '<a href="b.html#here">b</a> <img src="made/p.png"> <a href="https://x.org">x</a>',
    "b.html": '<h1 id="here">B</h1> <a href="#here">up</a> <a href="#">menu</a>',
    "made/p.png": "",
    "made/c.html": '<a href="../b.html#here">b</a> <a href="p.png">p</a>',
    "_static/macros.html": '<script src="{{ made }}"></script>',
}


@pytest.mark.parametrize(
    ("page", "link", "why"),
    [
        ("", "", ""),
        ("index.html", '<a href="c.html">', "index.html: c.html: there is no such file"),
        ("made/c.html", '<a href="../b.html#there">',
         "made/c.html: ../b.html#there: there is no such anchor"),
        ("b.html", '<a href="#there">', "b.html: #there: there is no such anchor"),
        ("b.html", '<img srcset="q.png 2x">', "b.html: q.png: there is no such file"),
    ],
)  # fmt: skip
def test_links_of_the_built_site_are_checked(page, link, why, tmp_path):
    for name, text in SITE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + (link if name == page else ""))
    done = subprocess.run(
        [sys.executable, DOCS / "links.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ([why] if why else [])
    assert done.returncode == bool(why)


def test_every_answer_has_lines_that_run():
    """Each question, in bold at the start of a line, is followed by code before the next one."""
    text = (DOCS / "answers.md").read_text()
    asked = re.split(r"^\*\*(?=[^*]+\*\*)", text, flags=re.MULTILINE)[1:]
    assert len(asked) >= 28
    assert [a.split("**")[0] for a in asked if "```python\n" not in a] == []
