"""Kernels where there is no place for their cache."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest

from mcsc.backend import compiling
from mcsc.backend.compiling import compiled


def test_kernels_work_where_they_cannot_be_kept(monkeypatch):
    whole = compiling.njit

    def without_a_place(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available for file 'x'")
        return whole(**options)

    monkeypatch.setattr(compiling, "njit", without_a_place)
    monkeypatch.setattr(compiling, "_told", [])
    with pytest.warns(RuntimeWarning, match="no folder in which compiled kernels could be kept"):
        double = compiled()(lambda value: 2 * value)
    assert double(3) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled()(lambda value: 3 * value)(3) == 9


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(**options):
        raise RuntimeError("something else")

    monkeypatch.setattr(compiling, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        compiled()(lambda value: value)


def test_without_compilation_there_is_one_line():
    code = (
        "import numpy as np, mcsc\n"
        "try: mcsc.solve((np.eye(16),), mcsc.dct_dictionary((1,)), 0.1)\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == (
        "NUMBA_DISABLE_JIT is set, but the kernels of mcsc work compiled only: unset it"
    ), done.stderr
