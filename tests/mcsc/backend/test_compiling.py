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


def test_kernels_work_where_the_folder_of_the_cache_is_full(tmp_path):
    code = (
        "import errno, warnings\n"
        "from numba.core.caching import IndexDataCacheFile\n"
        "from mcsc.backend.compiling import compiled\n"
        "def full(self, *given): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "IndexDataCacheFile.save = full\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    print([compiled()(f)(3) for f in (lambda x: 2 * x, lambda x: 3 * x)])\n"
        "print([str(one.message) for one in told])\n"
    )
    (tmp_path / "kernels.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "kernels.py"], capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )  # fmt: skip
    values, told = done.stdout.splitlines()
    assert values == "[6, 9]", done.stderr
    assert told.count("compiled kernels cannot be kept in") == 1
    assert "(No space left on device): they are compiled anew" in told


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
