"""The wheel and the sdist: what is in them, and that they work in an empty environment."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

from mcsc.tasks import TASKS
from tests.paths import ROOT

pytestmark = pytest.mark.slow


def run(*words, **options):
    done = subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def test_what_is_in_the_wheel(built):
    names = zipfile.ZipFile(built[0]).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"mcsc", "unfolded"}
    assert "mcsc/py.typed" in names
    for task in TASKS:
        assert f"mcsc/dictionaries/{task}.npz" in names
        assert f"unfolded/weights_data/{task}.safetensors" in names
        assert f"unfolded/weights_data/{task}.md" in names  # its model card
    assert any(name.endswith(".cu") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".nbi", ".nbc"))]


def test_the_page_of_a_package_index_leads_nowhere_in_vain(built):
    """Pictures and links of the README that are paths show nothing there."""
    wheel = zipfile.ZipFile(built[0])
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    shown = wheel.read(name).decode()
    assert "Description-Content-Type: text/markdown" in shown
    assert "# mcsc\n\nTake registered images" in shown
    text = re.sub(r"```.*?```", "", shown, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []
    assert "()" not in text
    assert "`mcsc demo` draws" not in text  # the caption of the picture


def test_what_is_in_the_sdist(built):
    with tarfile.open(built[1]) as file:
        names = {name.split("/", 1)[-1] for name in file.getnames()}
    for needed in (
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "Makefile",
        "docs/conf.py",
        "tests/paths.py",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith((".ci", ".venv", "docs/_build"))]


@pytest.mark.parametrize("which", [0, 1], ids=["wheel", "sdist"])
def test_the_demo_in_an_empty_environment(built, which, tmp_path):
    if which:  # it is to make the same wheel: what is installed differs in nothing
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, built[1])
        made = zipfile.ZipFile(next(tmp_path.glob("*.whl")))
        wanted = zipfile.ZipFile(built[0])
        assert sorted(made.namelist()) == sorted(wanted.namelist())
        return
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--constraint", ROOT / "constraints.txt", built[0])
    said = run(
        python, "-m", "mcsc", "demo", "--out", tmp_path / "out", "--size", "64", "64", cwd=tmp_path
    )
    assert "converged" in said
    assert (tmp_path / "out" / "report.html").is_file()
    missing = subprocess.run(
        [str(python), "-m", "mcsc", "train", "--task", "depth-sr", "--synthetic", "1", "-o",
         "w.safetensors"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert missing.returncode == 2
    assert "pip install" in missing.stderr
    assert "Traceback" not in missing.stderr
