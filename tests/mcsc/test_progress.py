"""The progress bars: on standard error or nowhere, one within another, and what they load."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from mcsc.progress import GapBar, ProgressBar


@pytest.fixture
def terminal(monkeypatch):
    """Let rich draw as if standard error were a wide terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")


def test_a_bar_over_items(capsys, terminal):
    with ProgressBar("scenes", 3, shown=True) as bar:
        for name in ("cones", "teddy", "dolls"):
            bar.advance(name)
    out, err = capsys.readouterr()
    assert out == ""
    assert "scenes" in err
    assert "3/3  dolls" in err


def test_a_bar_of_unknown_length_and_changing_title(capsys, terminal):
    with ProgressBar("reading", shown=True) as bar:
        bar.update(5)
    assert "reading" in (shown := capsys.readouterr().err)
    assert "5/" not in shown
    with ProgressBar("reading", shown=True) as bar:
        bar.update(2, "halfway", total=4, title="writing")
    shown = capsys.readouterr().err
    assert "writing" in shown
    assert "2/4  halfway" in shown


def test_bars_within_bars(capsys, terminal):
    with ProgressBar("outer", 2, shown=True) as outer:
        for _ in range(2):
            with GapBar("inner", 1e-4, shown=True) as inner:
                inner.show(0.5, 1)
                inner.show(5e-5, 2)
            outer.advance()
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert shown.count("inner") >= 2
    with ProgressBar("later", 1, shown=True) as bar:
        bar.advance()
    assert "later" in capsys.readouterr().err


def test_the_display_goes_when_something_is_raised(capsys, terminal):
    with pytest.raises(ZeroDivisionError), ProgressBar("broken", 1, shown=True):
        raise ZeroDivisionError
    with ProgressBar("whole", 1, shown=True) as bar:
        bar.advance()
    assert "broken" not in capsys.readouterr().err.split("whole")[-1]


def test_a_gap_on_a_logarithmic_scale(monkeypatch):
    seen = []
    monkeypatch.setattr(GapBar, "update", lambda self, done, note="": seen.append((done, note)))
    bar = GapBar("solver", 1e-4, shown=False)
    for gap in (math.inf, 1.0, 1e-2, 2.0, 1e-4, 0.0):
        bar.show(gap, 7)
    assert [done for done, _ in seen] == pytest.approx([0.0, 0.0, 0.5, 0.0, 1.0, 1.0])
    assert seen[2][1] == "gap 1.0e-02 -> 1e-04, iteration 7"
    already = GapBar("solver", 1e-4, shown=False)
    already.show(1e-5, 0)
    assert seen[-1][0] == 1.0


def test_nothing_is_printed_or_loaded_unless_shown():
    script = (
        "import sys\n"
        "from mcsc.progress import GapBar, ProgressBar\n"
        "with ProgressBar('a', 2, shown=False) as bar, GapBar('b', 1e-4, shown=False) as gap:\n"
        "    bar.advance(); gap.show(0.5, 1)\n"
        "sys.exit('rich' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
