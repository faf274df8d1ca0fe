"""What commands put on their pages."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from mcsc.commands.inputs import read_given
from mcsc.commands.report import report_of_fusion
from mcsc.images import write_image
from mcsc.tasks.task import get_task


def image(seed, channels=1):
    return np.random.default_rng(seed).random((channels, 20, 24)).astype(np.float32)


def fused(count):
    return SimpleNamespace(
        image=image(9), base=image(8), common=image(7) - 0.5,
        unique=tuple(image(6 - m) - 0.5 for m in range(count)),
        weights=np.full((count, 20, 24), 1 / count), method="mcsc", lam=0.02, gap=1e-3,
        nonzero=0.01, seconds=1.0, ghosts=None,
    )  # fmt: skip


def given(folder):
    """What the command knows of its first image."""
    write_image(folder / "first.png", image(0))
    return read_given(folder / "first.png")


def captions(path):
    return re.findall(r"<figcaption>([^<]*)</figcaption>", path.read_text(encoding="utf-8"))[1:]


def test_sources_of_one_name_are_all_shown(tmp_path):
    path = tmp_path / "a.html"
    sources = [image(0, 3), image(1, 3)]
    report_of_fusion(
        path, get_task("multi-focus"), ["img", "img"], sources, fused(2), given(tmp_path)
    )
    assert captions(path) == [
        "img (1)", "img (2)", "base", "share of img (1)", "share of img (2)", "common part",
        "unique part of img (1)", "unique part of img (2)",
    ]  # fmt: skip
    shown = re.findall(r'<img src="([^"]*)"[^>]*alt="[^"]*: img \(\d\)"', path.read_text("utf-8"))
    assert len(set(shown)) == 2


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "a", "b"]])
def test_three_sources(tmp_path, names):
    path = tmp_path / "a.html"
    sources = [image(k) for k in range(3)]
    report_of_fusion(path, get_task("multi-focus"), names, sources, fused(3), given(tmp_path))
    assert len(set(captions(path))) == len(captions(path)) == 3 + 1 + 3 + 4
    assert captions(path)[-1] == f"unique part of {names[-1]}"
