"""The package as it was in an earlier revision, run in a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from .problems import ROOT

BEFORE = "118c18d"
"""Before the second round of work on solver, scenes and networks."""


def take_out(revision: str, folder: Path) -> None:
    """Lay the package `mcsc` of a revision into a folder.

    Raises
    ------
    SystemExit
        There is no git, or no such revision here.
    """
    try:
        done = subprocess.run(
            ["git", "archive", "--format=tar", revision, "mcsc"], cwd=ROOT, capture_output=True
        )
    except FileNotFoundError:
        raise SystemExit("git is not installed, which has the earlier revision") from None
    if done.returncode:
        raise SystemExit(
            f"revision {revision} is not in this repository's history (a shallow clone has no "
            "history, a source distribution no repository)"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def run(tree: Path, arguments: Sequence[str], kernels: Path) -> str:
    """Run Python with the package of a folder, and return what it prints.

    Parameters
    ----------
    tree : path
        Holds the folder ``mcsc``.
    arguments : sequence of str
        Of Python: a file and its arguments, or ``-c`` and a program.
    kernels : path
        Where compiled kernels are kept, of each tree apart.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MCSC_", "PYTHON"))}
    kept["PYTHONPATH"] = str(tree)
    if tree != ROOT:  # which has its own already
        kept["NUMBA_CACHE_DIR"] = str(kernels / tree.name)
    done = subprocess.run(
        [sys.executable, "-P", *arguments], env=kept, cwd=tree, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout
