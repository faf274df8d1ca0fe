"""Tables that others can add to."""

from __future__ import annotations

import importlib.metadata

import pytest

from mcsc.errors import MissingExtraError
from mcsc.tables import Table


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
    with pytest.warns(UserWarning, match="the thing z cannot be loaded: the thing z needs no_such"):
        assert table.available() == {"own": 1, "new": 7}
    table.remove("new")
    assert "new" not in table
