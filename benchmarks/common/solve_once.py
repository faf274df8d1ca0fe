"""One problem, solved by whichever `mcsc` is first on the path: a program of its own.

``python -P solve_once.py FILE`` reads signals, filters, lam and tolerances from an npz file and
prints what each solve cost, as JSON. It imports the top level of `mcsc` alone, whose names are the
same in every revision, so that revisions can be compared (`benchmarks.exact.revisions`).
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import mcsc


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    return int(found.group(1)) * 1024 if found else 0


def _reset_peak() -> int | None:
    """Hand freed memory back and begin anew with the high-water mark; None where this is not Linux.

    Returns the bytes that are held now.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _resident("VmRSS")


def main(path: str) -> dict[str, Any]:
    """Solve the problem of a file to each of its tolerances, after a small one that compiles."""
    with np.load(path, allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    signals = (held["first"], held["second"])
    dictionary = mcsc.Dictionary(
        common=(held["common_first"], held["common_second"]),
        unique=(held["unique_first"], held["unique_second"]),
    )
    lam, boundary = float(held["lam"]), str(held["boundary"])
    mcsc.set_num_threads(int(held["threads"]))

    def solve(images: Any, tol: float) -> mcsc.Result:
        return mcsc.solve(images, dictionary, lam, boundary=boundary, method="working-set", tol=tol)

    runs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a small problem that does not converge
        small = tuple(np.ascontiguousarray(image[..., :32, :32]) for image in signals)
        solve(small, 1e-6)  # compiles kernels in both precisions
        for tol in held["tols"]:
            before = _reset_peak()
            started, processor = time.perf_counter(), time.process_time()
            result = solve(signals, float(tol))
            runs.append({
                "tol": float(tol), "seconds": time.perf_counter() - started,
                "processor": time.process_time() - processor, "gap": float(result.gap),
                "converged": bool(result.converged),
                "extra": None if before is None else _resident("VmHWM") - before,
            })  # fmt: skip
            del result
    return {"package": str(Path(mcsc.__file__).parent), "runs": runs}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
