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


@pytest.mark.parametrize("package", ["mcsc.images", "mcsc.tasks", "unfolded"])
def test_names_are_loaded_on_first_use(package):
    script = (
        f"import sys, {package} as package; before = set(sys.modules)\n"
        "assert set(package.__all__) <= set(dir(package))\n"
        "assert not set(sys.modules) - before\n"
        "for name in package.__all__:\n"
        "    assert getattr(package, name) is not None, name\n"
        "try:\n"
        "    package.nothing\n"
        "except AttributeError as error:\n"
        f"    assert str(error) == \"module '{package}' has no attribute 'nothing'\", error\n"
        "    print('done')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout == "done\n"
