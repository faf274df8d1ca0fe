"""``pytest --benchmark`` runs on tiny images, and nothing runs without it; no time is looked at."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.common.problems import ROOT
from benchmarks.common.results import load
from benchmarks.networks import speed_table

torch = speed_table.torch


def run(*arguments):
    """Pytest in a process of its own, from the root of the repository."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_flag_prints_and_records_the_table(tmp_path):
    done = run(
        "--benchmark", "--benchmark-quick", "--benchmark-threads", 1,
        f"--benchmark-record={tmp_path}", f"--benchmark-json={tmp_path / 'raw.json'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = load("speed_table", tmp_path)
    table = speed_table.summary(record["data"])
    assert table in done.stdout
    for case in speed_table.CASES:
        assert f"| {case.task} " in table
        assert f"| {case.published:.2f} " in table
    assert record["arguments"] == {
        "device": "cpu", "precision": "float32", "kernels": "auto", "threads": 1, "rounds": 5,
        "quick": True,
    }  # fmt: skip
    kinds = [row["kind"] for row in record["data"]["rows"]]
    assert kinds.count("network") == 6
    assert {"plain", "exact"} < set(kinds)
    raw = json.loads((tmp_path / "raw.json").read_text())
    assert len(raw["benchmarks"]) == len(kinds)


@pytest.mark.slow
def test_nothing_is_measured_without_the_flag():
    done = run("--collect-only", "-q", "benchmarks")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    done = run("--collect-only", "-q", "--benchmark-quick")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--benchmark-quick belongs to --benchmark" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_without_a_device():
    done = run("--benchmark", "--benchmark-device", "cuda")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "finds no CUDA device here" in done.stderr


class Event:
    """Stands for a CUDA event: each is recorded 2.5 milliseconds after the one before."""

    recorded = 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        Event.recorded += 1
        self.number = Event.recorded

    def synchronize(self):
        pass

    def elapsed_time(self, later):
        return 2.5 * (later.number - self.number)


def test_device_clock_counts_milliseconds_between_events(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    clock = speed_table.DeviceClock()
    assert [clock(), clock(), clock()] == pytest.approx([0.0025, 0.005, 0.0075])


def test_networks_are_the_papers():
    setup = speed_table.Setup()
    for case in speed_table.CASES:
        shape = setup.network(case)[0].configuration
        assert shape.channels == (case.channels, case.channels)
        assert (shape.filters, shape.kernel_size, shape.blocks) == ((64, 64, 64), 8, 4)
        assert shape.kind == case.kind
        assert setup.shape(case) == (case.height, case.width)


def test_the_table_of_a_gpu_says_what_computed_and_how_exactly():
    about = {
        "device": "cuda", "device_name": "a GPU", "precision": "tf32", "threads": 2, "rounds": 3,
        "torch": "2", "compiling": 1.0, "filters": 64, "quick": False,
    }  # fmt: skip
    row = {
        "kind": "network", "task": "depth-sr", "width": 1320, "height": 1080, "channels": 1,
        "published": 0.85, "weights": "dictionary", "extra": 2**20, "kernels": "triton",
    }  # fmt: skip
    rows = [row | {"seconds": [0.007, 0.008, 0.011], "error": e} for e in (1e-4, 3e-4)]
    text = speed_table.summary(about | {"rows": rows})
    assert "on a GPU, device events, tf32" in text
    assert "Kernels: triton." in text
    assert "on the whole images: 0.0003." in text
    assert "| 0.00941 " in text  # here / paper, whatever the factor is


@pytest.mark.parametrize("error", [float("nan"), 0.1])
def test_a_wrong_image_is_not_timed(error):
    setup = speed_table.Setup(device="cuda", precision="tf32")
    image = torch.zeros(1, 1, 4, 4)
    assert setup.error(lambda x, y: x + 1e-5, image, image, image) == pytest.approx(1e-5)
    with pytest.raises(AssertionError, match="the network's image is off by"):
        setup.error(lambda x, y: x + error, image, image, image)
