"""What a part knows: where results go, what was prepared, how long it may take."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcsc.backend.select import cupy_or_reason
from mcsc.files import atomic_write

from ..common.results import Data


@dataclass(frozen=True)
class Job:
    """One run of a part, or of all."""

    out: Path
    prepared: Path | None
    quick: bool
    seconds: float
    name: str = ""
    started: float = field(default_factory=time.monotonic)

    def named(self, name: str) -> Job:
        """The same for a part of this name."""
        return replace(self, name=name)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.started)

    def write(self, data: Data) -> None:
        """Write what has been found so far; the file is whole at any time."""
        write_json(self.out / f"{self.name.replace(':', '-')}.json", data)

    def has_gpu(self) -> bool:
        """True if CuPy or PyTorch can use one."""
        import torch

        return cupy_or_reason()[0] is not None or torch.cuda.is_available()

    def arrays(self) -> tuple[Any, str]:
        """The library of the solvers' arrays, CuPy or for a rehearsal NumPy, and its device."""
        cupy, _ = cupy_or_reason()
        if cupy is None:
            return np, "CPU (a rehearsal)"
        return cupy, cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()

    def torch_device(self) -> str:
        """Where networks run."""
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def write_json(path: Path, data: Data) -> None:
    """Write a JSON file in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write((json.dumps(data, indent=1, default=float) + "\n").encode())


def read_json(path: Path) -> Data | None:
    """Read one that may not be there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
