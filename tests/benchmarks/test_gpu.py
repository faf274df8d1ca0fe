"""`python -m benchmarks.gpu`: the schedule, the data made beforehand, and a rehearsal of it all.

Under the emulator of a GPU (CONTRIBUTING.md) the tests that are marked ``gpu`` rehearse the parts
of the solvers with CuPy; without one, NumPy stands in.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import mcsc
from benchmarks.gpu import __main__ as program
from benchmarks.gpu import networks, prepare, schedule, solvers
from benchmarks.gpu.job import Job, read_json
from benchmarks.gpu.schedule import PARTS, Part, run_all
from benchmarks.gpu.training import RECIPES
from mcsc.backend.select import cupy_or_reason
from mcsc.solvers.gpu_cost import bytes_of_an_iteration
from mcsc.tasks import TASKS


def job(path, name="", prepared=None, seconds=60.0):
    return Job(path, prepared, True, seconds, name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What --prepare --quick writes."""
    found = tmp_path_factory.mktemp("prepared")
    prepare.prepare(found, quick=True)
    return found


# ------------------------------------------------------------------------------- schedule
def test_a_part_that_fails_or_hangs_costs_itself_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(schedule, "ENDING", 0.2)
    programs = {
        "good": "open(r'{out}/good.json', 'w').write('{{\"text\": \"It works.\"}}'); print('said')",
        "bad": "raise SystemExit(3)",
        # A grandchild must not go on either.
        "long": "import subprocess, sys; subprocess.run([sys.executable, '-c', "
        '\'import time; time.sleep(60); open(r"{out}/late", "w")\'])',
        "last": "print('reached')",
    }
    parts = {
        name: Part("", share, name)
        for name, share in zip(programs, (0.9, 0.9, 0.02, 1), strict=True)
    }

    def command(job, name, seconds):
        return [sys.executable, "-c", programs[name].format(out=tmp_path)]

    assert run_all(job(tmp_path), list(programs), command, parts) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {p["part"]: p["status"] for p in summary["parts"]} == {
        "good": "done", "bad": "failed (exit status 3)", "long": "cut off", "last": "done",
    }  # fmt: skip
    assert (tmp_path / "good.log").read_text() == "said\n"
    assert (tmp_path / "last.log").read_text() == "reached\n"
    text = (tmp_path / "summary.md").read_text()
    assert "It works." in text
    assert "| long | cut off" in text
    assert "last: last; " in capsys.readouterr().out
    assert not (tmp_path / "late").exists()


def test_every_part_is_there():
    assert list(PARTS) == [
        "versions", "tests", "iterations", "solve", "table8", "profile", "steps",
        "training",
    ]  # fmt: skip
    for part in PARTS.values():
        assert callable(part.function())
    assert set(RECIPES) == set(TASKS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--out DIR says where results go"),
        (("--out", "a", "--minutes", "0"), "--minutes must be more than 0"),
        (("--out", "a", "--parts", "tests,speed"), "there is no part speed; there are versions, "),
        (
            ("--out", "a", "--prepared", "nowhere"),
            "nowhere is no folder that --prepare has written",
        ),
    ],
)
def test_refusals(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(words)
    assert message in capsys.readouterr().err


def test_without_a_gpu_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Job, "has_gpu", lambda _: False)
    assert program.main(["--out", str(tmp_path / "out")]) == 2
    assert "neither CuPy nor PyTorch finds a GPU; --quick rehearses" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ----------------------------------------------------------------------------------- data
def test_what_was_prepared_is_read_back(folder, monkeypatch):
    pair = prepare.coded_pair(folder, quick=False)
    assert [s.shape for s in pair.signals] == [(1, 256, 256)] * 2
    assert pair.dictionary.n_maps == 192
    (task,) = prepare.tasks_of(folder)
    scenes = prepare.read_scenes(folder, task)
    assert len(scenes) == 6
    x, y, z = scenes[0]
    assert x.shape[-2:] == y.shape[-2:] == z.shape[-2:] == (128, 128)
    assert x.dtype == np.float32
    assert x.std() > 1e-3
    assert not np.array_equal(x, z)
    monkeypatch.setenv("MCSC_PREPARED", str(folder))
    from benchmarks.common.problems import natural_filters

    bank = natural_filters.__wrapped__(64)
    np.testing.assert_allclose(bank, pair.dictionary.unique[0], atol=1e-12)


def test_scenes_of_all_tasks_are_below_60_mib():
    """By count: what is stored takes 16 bits a number, before it is compressed."""
    from unfolded import pretrained

    room = (prepare.MOST_BYTES - 2**20) / len(TASKS)
    for name in TASKS:
        channels = sum(pretrained(name).configuration.channels) + 1
        count = min(160, int(room / (2 * channels * prepare.SIDE**2)))
        assert count >= 40


# ------------------------------------------------------------------------------- rehearsal
@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("numpy", "iterations"),
        pytest.param("numpy", "solve", marks=pytest.mark.slow),  # it compiles the working set
        pytest.param("cupy", "iterations", marks=pytest.mark.gpu),
        pytest.param("cupy", "solve", marks=pytest.mark.gpu),
    ],
)
def test_the_solvers_parts(tmp_path, folder, library, name):
    if library == "numpy" and cupy_or_reason()[0] is not None:
        pytest.skip("CuPy is here, and is taken")
    getattr(solvers, name)(job(tmp_path, name, folder))
    found = read_json(tmp_path / f"{name}.json")
    if name == "iterations":
        assert [(r["method"], r["boundary"]) for r in found["rows"]] == [
            ("fista", "periodic"), ("fista", "zero"), ("admm", "periodic"), ("admm", "zero"),
        ]  # fmt: skip
        assert all(row["milliseconds"] > 0 for row in found["rows"])
    else:
        rows = found["rows"]
        assert [row["method"] for row in rows] == ["fista"] * 2 + ["admm"] * 2 + ["working-set"] * 2
        assert all(row["gap"] <= row["tol"] or row["iterations"] == 100 for row in rows)
        assert rows[-1]["where"] == "CPU"
    assert "| fista " in found["text"]


@pytest.mark.gpu
def test_the_stages_of_a_sweep(tmp_path, folder):
    found = solvers.stages(job(tmp_path, "profile", folder))
    assert {row["stage"] for row in found["rows"]} == {
        "analyse_spectra", "irfft2", "fista_update", "rfft2", "synthesise_spectra",
        "look by patches", "look by sweeps",
    }  # fmt: skip


def test_the_profile_of_a_network(tmp_path, folder):
    networks.profile(job(tmp_path, "profile", folder))
    found = read_json(tmp_path / "profile.json")
    assert "conv" in found["network"]


@pytest.mark.parametrize(
    ("method", "boundary", "megabytes"),
    [("fista", "periodic", 690), ("fista", "zero", 745), ("admm", "periodic", 640)],
)
def test_bytes_of_an_iteration(method, boundary, megabytes):
    """Of 256 x 256, 2 x 1 channel, 3 x 64 filters; an emulated GPU counts as many, and images."""
    bank = np.random.default_rng(0).standard_normal((64, 1, 8, 8))
    d = mcsc.Dictionary(common=(bank, bank), unique=(bank, bank))
    signals = (np.ones((256, 256), np.float32),) * 2
    problem = mcsc.Problem(signals, d, 1.0, boundary=boundary)
    found = bytes_of_an_iteration(problem, method) / 1e6
    assert found == pytest.approx(megabytes, rel=0.02)


@pytest.mark.slow
def test_the_whole_command_is_rehearsed(tmp_path, folder):
    out = tmp_path / "out"
    words = ["--prepared", str(folder), "--quick", "--minutes", "12", "--out", str(out)]
    assert program.main(words) == 0, (out / "summary.md").read_text()
    summary = json.loads((out / "summary.json").read_text())
    assert [p["part"] for p in summary["parts"]] == list(PARTS)
    (task,) = prepare.tasks_of(folder)
    trained = read_json(out / "training.json")["tasks"][task]
    assert trained["exit_status"] == 0
    assert trained["steps"] > 0
    assert trained["after"] < 1.5 * trained["before"]
    net = mcsc_unfolded().load(out / "weights" / f"{task}.safetensors")
    assert net.configuration == mcsc_unfolded().pretrained(task).configuration
    assert read_json(out / "table8.json")["runs"][0]["seconds"]["medical"] > 0


def mcsc_unfolded():
    """PyTorch is loaded only by who needs it."""
    import unfolded

    return unfolded
