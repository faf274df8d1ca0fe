"""``pytest --benchmark``: the benchmarks of ``benchmarks/`` instead of the tests, and Table 8.

The flag is pytest's own way in; what is underneath is pytest-benchmark, whose options
(``--benchmark-json`` and so on) hold. Without it no benchmark is collected.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores: one thread each, set before NumPy and PyTorch are loaded.
    # Tests of threads say how many they want.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MCSC_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag and its options."""
    group = parser.getgroup("mcsc", "benchmarks of this repository")
    group.addoption(
        "--benchmark", action="store_true", help="run the benchmarks and print Table 8 of the paper"
    )
    group.addoption(
        "--benchmark-device", choices=("cpu", "cuda"), help="where networks run (cpu); with cuda, "
        "device events are the clock",
    )  # fmt: skip
    group.addoption(
        "--benchmark-arithmetic",
        choices=("float32", "tf32", "bfloat16"),
        help="of the networks' products on a GPU (float32)",
    )
    group.addoption(
        "--benchmark-kernels",
        choices=("auto", "triton", "compiled", "layers"),
        help="of the networks on a GPU, as unfolded.accelerate takes them (auto)",
    )
    group.addoption("--benchmark-threads", type=int, metavar="N", help="threads (all cores)")
    group.addoption(
        "--benchmark-quick", action="store_true", help="tiny images, one round: does it work?"
    )
    # With "=": before this file is read, pytest takes a word on its own for a place to look in.
    group.addoption(
        "--benchmark-record", type=Path, nargs="?", const=BENCHMARKS / "results", metavar="DIR",
        help="write the table as <machine>/speed_table.json into benchmarks/results, or into DIR",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Turn to the benchmarks if they are asked for; refuse what cannot be measured."""
    option = config.option
    ours = (
        "benchmark_device", "benchmark_arithmetic", "benchmark_kernels", "benchmark_threads",
        "benchmark_quick", "benchmark_record",
    )  # fmt: skip
    if not option.benchmark:
        given = [name for name in ours if getattr(option, name)]
        if given:
            raise pytest.UsageError(f"--{given[0].replace('_', '-')} belongs to --benchmark")
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("--benchmark needs pytest-benchmark: pip install '.[test]'")
    if option.benchmark_threads is not None and option.benchmark_threads < 1:
        raise pytest.UsageError(
            f"--benchmark-threads must be at least 1, found {option.benchmark_threads}"
        )
    if option.benchmark_arithmetic not in (None, "float32") and option.benchmark_device != "cuda":
        raise pytest.UsageError("--benchmark-arithmetic is for --benchmark-device cuda")
    if option.benchmark_kernels is not None and option.benchmark_device != "cuda":
        raise pytest.UsageError("--benchmark-kernels is for --benchmark-device cuda")
    if option.benchmark_device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError(
                f"--benchmark-device cuda: PyTorch {torch.__version__} finds no CUDA device here"
            )
    if config.args_source is not config.ArgsSource.ARGS:
        config.args[:] = [str(BENCHMARKS)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave benchmarks out of every run that does not ask for them."""
    if not config.option.benchmark and BENCHMARKS in (collection_path, *collection_path.parents):
        return True
    return None
