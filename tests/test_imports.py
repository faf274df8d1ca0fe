"""The rooms of both packages: imports run downwards only, and nowhere in a circle.

Every import counts: at the top of a module, inside a function, and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.paths import ROOT

# From the ground up; a module may import from its own room and from those before it.
ROOMS = {
    "mcsc": (
        ("_version", "errors", "types"),
        ("checks", "files", "lazy", "progress", "tables", "words"),
        "backend",
        "model",
        "sparse",
        "solvers",
        "learning",
        "images",
        "alignment",
        "values",
        "coding",
        "baselines",
        "fusion",
        "quality",
        "synthetic",
        "tasks",
        "distributed",
        "figures",
        "commands",
        ("cli", "__main__"),
        ("__init__",),
    ),
    "unfolded": (
        "engines",
        "network",
        "starts",
        "training",
        "images",
        ("commands", "method", "onnx"),
        ("__init__",),
    ),
}


def modules() -> dict[str, tuple[bool, ast.Module]]:
    """Name of every module of both packages, whether it is a package, and its tree."""
    found = {}
    for package in ROOMS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found[name] = is_package, ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(name: str, is_package: bool, tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Modules of `known` that a module imports, wherever in it."""
    parent = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = parent[: len(parent) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                target = inner if inner in known else base
                if target in known and target != name:
                    yield target


def edges() -> dict[str, set[str]]:
    found = modules()
    known = set(found)
    return {name: set(imported(name, *found[name], known)) for name in found}


def room(name: str) -> tuple[str, int]:
    """Package and height of a module's room."""
    package, *rest = name.split(".")
    inside = rest[0] if rest else "__init__"
    for height, entry in enumerate(ROOMS[package]):
        if inside == entry or (isinstance(entry, tuple) and inside in entry):
            return package, height
    raise AssertionError(f"{name} is in no room that this test knows")


@pytest.fixture(scope="module")
def graph():
    return edges()


def test_the_graph_is_that_of_this_repository(graph):
    assert "mcsc.model.dictionary" in graph["mcsc.model.problem"]
    assert "mcsc.backend.numpy_backend" in graph["mcsc.backend.select"]  # inside a function
    assert any(target.startswith("mcsc.") for target in graph["unfolded.method"])


def test_imports_run_downwards(graph):
    upwards = []
    for name, targets in graph.items():
        package, height = room(name)
        for target in targets:
            other, depth = room(target)
            if other == package and depth > height:
                upwards.append(f"{name} imports {target}")
    assert not upwards


def test_mcsc_does_not_know_unfolded(graph):
    wrong = [
        f"{name} imports {target}"
        for name, targets in graph.items()
        for target in targets
        if name.startswith("mcsc") and target.startswith("unfolded")
    ]
    assert not wrong
    for path in (ROOT / "mcsc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Import) and any(
                a.name.split(".")[0] == "unfolded" for a in node.names
            )
            assert not named, path


def test_figures_are_for_commands_alone(graph):
    wrong = [
        f"{name} imports {target}"
        for name, targets in graph.items()
        for target in targets
        if target.startswith("mcsc.figures")
        and not name.startswith(("mcsc.figures", "mcsc.commands", "unfolded.commands"))
    ]
    assert not wrong


def test_no_circle(graph):
    """Tarjan's algorithm: every strongly connected component is one module."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in graph[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == name:
                    break
            if len(component) > 1:
                circles.append(sorted(component))

    for name in graph:
        if name not in index:
            visit(name)
    assert not circles


def test_rooms_are_small():
    """At most about 14 modules a folder, none of them above 500 lines."""
    for package in ROOMS:
        for folder in [ROOT / package, *(ROOT / package).rglob("*/")]:
            files = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
            assert len(files) <= 15, f"{folder} holds {len(files)} modules"
            for path in files:
                assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path


def test_nothing_reaches_into_underscored_names_of_other_files():
    """No ``from .x import _y``."""
    wrong = []
    for name, (_, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                wrong += [
                    f"{name}: {node.module}.{a.name}"
                    for a in node.names
                    if a.name.startswith("_") and not a.name.startswith("__")
                    and (node.level or (node.module or "").split(".")[0] in ROOMS)
                    and a.name != "_version"
                ]  # fmt: skip
    assert not wrong
