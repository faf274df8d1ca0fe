"""The pages of docs: public names have entries, their code runs, links lead somewhere."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT

DOCS = ROOT / "docs"
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
