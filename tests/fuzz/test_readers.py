"""Damaged files of every kind are read or refused in one line: a few thousand of them."""

from __future__ import annotations

import pytest

from tests.fuzz.inputs import KINDS, damaged, whole_files
from tests.fuzz.readers import check, run

COUNT = 250


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind):
    found = run(kind, 0, COUNT)
    assert not found.faults, found.faults
    assert found.tried == COUNT
    assert found.refused


@pytest.mark.slow
def test_whole_files_are_read(tmp_path):
    for kind in KINDS:
        seeds = whole_files(kind)
        for seed in seeds:
            assert check(seed, kind, tmp_path) == (True, ""), kind
        assert damaged(kind, seeds, 7) == damaged(kind, seeds, 7)


@pytest.mark.slow
def test_a_fault_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.readers.read", lambda path, kind: 1 / 0)
    whole, fault = check(b"", "png", tmp_path)
    assert not whole
    assert "ZeroDivisionError" in fault
    assert run("npy", 0, 3).faults == []
