from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from mcsc import History
from mcsc.figures.convergence import convergence_figure
from mcsc.figures.drawing import save_figure


def pixels(figure, tmp_path):
    save_figure(figure, tmp_path / "figure.png", dpi=60)
    with PIL.Image.open(tmp_path / "figure.png") as picture:
        return np.asarray(picture.convert("RGB"))


def history(*gaps):
    n = range(len(gaps))
    return History(list(n), [0.5 * i + 0.1 for i in n], [1.0 for _ in n], list(gaps))


def test_curves_and_tolerance_are_drawn(tmp_path):
    figure = convergence_figure({"ista": history(1, 0.1, 0.01), "admm": history(1, 1e-3)}, 1e-2)
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["ista", "admm", "tol = 0.01"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1, 0.1, 0.01])
    image = pixels(figure, tmp_path)
    assert image.shape == (216, 360, 3)
    blue = (image == (0x00, 0x72, 0xB2)).all(axis=2)
    assert blue.sum() > 50


def test_gap_of_zero_is_a_triangle_below_the_others(tmp_path):
    figure = convergence_figure({"working-set": history(1, 0.1, 0)}, 1e-3, log_seconds=True)
    curve, triangle = figure.axes[0].lines[:2]
    assert triangle.get_marker() == "v"
    assert triangle.get_ydata() == [curve.get_ydata()[-1]] == [1e-4]
    assert figure.axes[0].get_xscale() == "log"
    pixels(figure, tmp_path)


def test_a_single_evaluation(tmp_path):
    pixels(convergence_figure({"admm": history(0)}), tmp_path)


def test_a_failed_drawing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = convergence_figure({"admm": history(1)})

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(MemoryError):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_refusals():
    with pytest.raises(ValueError, match="histories is empty"):
        convergence_figure({})
