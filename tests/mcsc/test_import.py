"""What `import mcsc` costs: none of the heavy packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "cupy", "matplotlib", "dask", "numba", "skimage", "sklearn", "rich", "PIL")


@pytest.mark.parametrize("used", ["import mcsc", "import mcsc; mcsc.solve; mcsc.Dictionary.load"])
def test_import_loads_nothing_heavy(used):
    script = f"import sys; {used}; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == "[]"


def test_public_names_are_there():
    import mcsc

    assert mcsc.__all__ == sorted(mcsc.__all__, key=lambda name: (name.islower(), name))
    for name in mcsc.__all__:
        assert getattr(mcsc, name) is not None
