"""What there is, and whether it works."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

from mcsc.backend.select import cupy_or_reason
from mcsc.commands.info import versions as package_versions

from ..common.problems import ROOT
from ..common.results import commit, machine
from .job import Job


def versions(job: Job) -> None:
    """Device, driver, packages."""
    import torch

    cupy, why = cupy_or_reason()
    found = {"commit": commit(), "machine": machine(), "versions": package_versions()}
    found["torch"] = f"{torch.__version__}, CUDA {torch.version.cuda}"
    found["cupy"] = why if cupy is None else f"{cupy.__version__}"
    smi = subprocess.run(
        ["sh", "-c", "nvidia-smi; nvidia-smi -q -d CLOCK"], capture_output=True, text=True
    )
    found["nvidia_smi"] = smi.stdout
    devices = []
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            p = torch.cuda.get_device_properties(number)
            devices.append(
                f"{p.name}, {p.total_memory / 2**30:.0f} GiB, sm_{p.major}{p.minor}, "
                f"{p.multi_processor_count} multiprocessors"
            )
    found["devices"] = devices
    found["text"] = (
        f"{'; '.join(devices) or 'PyTorch finds no CUDA device'}. CuPy: {found['cupy']}. "
        f"PyTorch: {found['torch']}."
    )
    job.write(found)
    print(found["text"])


def _parallel() -> list[str]:
    """Words for pytest: some processes share the GPU, where pytest-xdist is there."""
    return ["-n", "4"] if find_spec("xdist") else ["-p", "no:xdist"]


def tests(job: Job) -> None:
    """``pytest -m gpu``; the log has all of it, and what was said last is written as it comes."""
    where = ["tests/mcsc/backend/test_select.py"] if job.quick else ["tests"]
    words = ["-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *_parallel(), *where]
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
        job.write({"text": f"so far: {last}"})
    code = process.wait()
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", last)}
    job.write({"exit_status": code, "counts": counts, "text": last})
    if code not in (0, 5):  # 5: no test was selected
        raise SystemExit(code)
