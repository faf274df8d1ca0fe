"""Fixtures of ``pytest --benchmark``, and the table at its end."""

from __future__ import annotations

import shlex
import time

import pytest

from ..common.results import Data, busy, save
from . import speed_table

ROWS = pytest.StashKey[list[Data]]()
ABOUT = pytest.StashKey[Data]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Measure by the device's events where the device is a GPU."""
    # Where nothing comes with the package for a test, that is no skip to tell of.
    empty = [item for item in items if "[NOTSET]" in item.name]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]
    networks = [item for item in items if item.get_closest_marker("network")]
    if networks and config.option.benchmark_device == "cuda":
        clock = speed_table.DeviceClock()
        for item in networks:
            item.add_marker(pytest.mark.benchmark(timer=clock))


@pytest.fixture(scope="session")
def setup(request: pytest.FixtureRequest):
    """Threads, device, sizes; everything compiled and loaded."""
    option = request.config.option
    chosen = speed_table.Setup(
        device=option.benchmark_device or "cpu",
        precision=option.benchmark_arithmetic or "float32",
        kernels=option.benchmark_kernels or "auto",
        threads=option.benchmark_threads,
        rounds=option.benchmark_min_rounds,
        quick=option.benchmark_quick,
    )
    load, started = busy(), time.perf_counter()
    with chosen.ready() as compiling:
        about = {"load": load, "started": started, "setup": chosen, "compiling": compiling}
        request.config.stash[ABOUT] = about
        request.config.stash[ROWS] = []
        yield chosen


@pytest.fixture
def record(request: pytest.FixtureRequest, benchmark):
    """Keep the seconds of a benchmark for the table, with what else there is to say of it."""

    def keep(**about: object) -> None:
        if benchmark.stats is not None:  # None with --benchmark-disable
            benchmark.extra_info.update(about)
            rows = request.config.stash[ROWS]
            rows.append({**about, "seconds": list(benchmark.stats.stats.data)})

    return keep


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, after pytest-benchmark's own; write it where that is asked for."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    about = config.stash[ABOUT]
    data = speed_table.as_read_back(about["setup"].describe(about["compiling"]), rows)
    terminalreporter.section("Table 8: seconds an image")
    terminalreporter.write_line(speed_table.summary(data))
    out = config.option.benchmark_record
    if out is not None:
        setup = about["setup"]
        arguments = {
            "device": setup.device, "precision": setup.precision, "kernels": setup.kernels,
            "threads": setup.threads, "rounds": setup.rounds, "quick": setup.quick,
        }  # fmt: skip
        seconds = time.perf_counter() - about["started"]
        asked = shlex.join(["pytest", *config.invocation_params.args])
        path = save(
            "speed_table", arguments, data, command=asked, seconds=seconds, load=about["load"],
            out=out,
        )  # fmt: skip
        terminalreporter.write_line(f"\n{path}")
