"""The exact solvers on a GPU: an iteration, and the time to a certificate."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import mcsc
from mcsc.backend import backend_for
from mcsc.model.peaks import PatchPeaks, SweepPeaks
from mcsc.model.problem import Problem
from mcsc.solvers import SOLVERS
from mcsc.solvers.gpu_cost import bytes_of_an_iteration

from ..common.results import Data, number, table
from .job import Job
from .prepare import Coded, coded_pair

METHODS = ("fista", "admm")
BOUNDARIES = ("periodic", "zero")
FRACTIONS = (0.03, 0.01, 0.003)
"""lam over lambda_max, as in `benchmarks.exact.sparse_coding`."""
TOLS = (1e-2, 1e-3)


def timed(action: Callable[[], Any], wait: Callable[[], Any], least: float = 0.2) -> float:
    """Seconds of an action, from so many in a row that they last `least` seconds."""
    action()
    count = 1
    while True:
        wait()
        started = time.perf_counter()
        for _ in range(count):
            action()
        wait()
        seconds = time.perf_counter() - started
        if seconds >= least:
            return seconds / count
        count = max(2 * count, round(1.2 * count * least / max(seconds, 1e-9)))


def waiter(xp: Any) -> Callable[[], Any]:
    """What waits for the device of a library."""
    return (lambda: xp.cuda.Device().synchronize()) if xp.__name__ == "cupy" else lambda: None


def bandwidth(xp: Any, wait: Callable[[], Any], *, quick: bool) -> float:
    """Bytes a second that a copy on the device reads and writes."""
    a = xp.zeros(2**16 if quick else 2**27, dtype=np.float32)
    b = xp.empty_like(a)
    return float(2 * a.nbytes / timed(lambda: xp.copyto(b, a), wait, 0.02 if quick else 0.2))


def problem_of(pair: Coded, xp: Any, fraction: float, boundary: Any) -> Problem:
    """A problem of a prepared pair, in a library."""
    signals = tuple(xp.asarray(s) for s in pair.signals)
    largest = mcsc.lambda_max(signals, pair.dictionary, boundary=boundary)
    return Problem(signals, pair.dictionary, fraction * largest, None, boundary)


def iterations(job: Job) -> None:
    """Milliseconds of an iteration, against its bytes at the speed of a copy."""
    xp, device = job.arrays()
    wait = waiter(xp)
    copy = bandwidth(xp, wait, quick=job.quick)
    pair = coded_pair(job.prepared, quick=job.quick)
    data: Data = {"device": device, "copy_bytes_per_second": copy, "rows": []}
    for method in METHODS:
        for boundary in BOUNDARIES:
            problem = problem_of(pair, xp, 0.01, boundary)
            solver = SOLVERS[method](problem, None)
            for _ in range(12):  # past the changes of rho at the start; all is compiled
                solver.step()
            seconds = timed(solver.step, wait, 0.02 if job.quick else 0.5)
            certificate = problem.certificate()
            evaluation = timed(
                lambda s=solver, c=certificate: s.evaluate(c), wait, 0.02 if job.quick else 0.2
            )
            moved = bytes_of_an_iteration(problem, method)
            data["rows"].append(
                {
                    "method": method, "boundary": boundary, "milliseconds": 1e3 * seconds,
                    "megabytes": moved / 1e6, "at_copy_speed": 1e3 * moved / copy,
                    "share": moved / copy / seconds, "certificate": 1e3 * evaluation,
                }
            )  # fmt: skip
            data["text"] = _iterations(data)
            job.write(data)
    print(data["text"])


def _iterations(data: Data) -> str:
    heads = (
        "method",
        "boundary",
        "ms",
        "MB",
        "ms at the speed of a copy",
        "share",
        "certificate ms",
    )
    keys = ("milliseconds", "megabytes", "at_copy_speed", "share", "certificate")
    rows = [(r["method"], r["boundary"], *(number(r[k]) for k in keys)) for r in data["rows"]]
    copy = data["copy_bytes_per_second"] / 1e9
    return f"{data['device']}, a copy moves {copy:.0f} GB/s.\n\n" + table(heads, rows)


def solve(job: Job) -> None:
    """Seconds to certified gaps, by each method on the GPU and by the working set on the CPU."""
    xp, device = job.arrays()
    pair = coded_pair(job.prepared, quick=job.quick)
    data: Data = {"device": device, "rows": []}
    cases = [(m, xp) for m in METHODS] + [("working-set", np)]
    for fraction in FRACTIONS[:1] if job.quick else FRACTIONS:
        for method, library in cases:
            signals = tuple(library.asarray(s) for s in pair.signals)
            lam = fraction * mcsc.lambda_max(signals, pair.dictionary, boundary="periodic")
            wait = waiter(library)
            for tol in TOLS:
                _solve(signals, pair, lam, method, 0.5, 5)  # compiled, planned
                wait()
                started = time.perf_counter()
                result = _solve(signals, pair, lam, method, tol, 100 if job.quick else None)
                wait()
                data["rows"].append(
                    {
                        "fraction": fraction, "method": method, "tol": tol,
                        "where": "CPU" if library is np else device, "gap": result.gap,
                        "iterations": result.iterations,
                        "seconds": time.perf_counter() - started,
                    }
                )  # fmt: skip
                data["text"] = _solved(data)
                job.write(data)
                if job.left < 0:
                    print("The time is over.")
                    return
    print(data["text"])


def _solve(signals: Any, pair: Coded, lam: float, method: str, tol: float, most: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
        return mcsc.solve(
            signals, pair.dictionary, lam, method=method, boundary="periodic", tol=tol,
            max_iter=most,
        )  # fmt: skip


def _solved(data: Data) -> str:
    heads = ("lam / lambda_max", "method", "where", "tol", "seconds", "iterations", "gap")
    keys = ("fraction", "method", "where", "tol")
    rows = [
        (*(r[k] for k in keys), number(r["seconds"]), r["iterations"], f"{r['gap']:.1e}")
        for r in data["rows"]
    ]
    return table(heads, rows)


def stages(job: Job) -> Data:
    """Milliseconds and bytes a second of the stages of a sweep and of a certificate.

    The slowest come first. The certificate's looks at the correlations of an image are by patches,
    as it takes them, and by sweeps, as it does where patches are too large.
    """
    xp, device = job.arrays()
    wait = waiter(xp)
    pair = coded_pair(job.prepared, quick=job.quick)
    problem = problem_of(pair, xp, 0.01, "periodic")
    backend = backend_for(problem.stacked)
    if backend.name != "CuPy":
        return {"device": device, "rows": []}
    tile, pairs = problem.operator.slabs[0]  # type: ignore[attr-defined]
    shape = problem.shape
    spectrum = backend.rfft2(problem.stacked, shape)
    maps = backend.analyse_spectra(pairs, spectrum)
    g = backend.irfft2(maps.copy(), shape)
    x = xp.zeros((1, problem.dictionary.n_maps, *shape), problem.dtype)
    previous, beta = xp.zeros_like(x), xp.zeros((), problem.dtype)
    thresholds = xp.asarray(problem.lam_maps, dtype=problem.dtype)
    count = g.nbytes, maps.nbytes, pairs.spectra.nbytes
    actions: dict[str, tuple[Callable[[], Any], int]] = {
        "analyse_spectra": (lambda: backend.analyse_spectra(pairs, spectrum), count[1] + count[2]),
        "irfft2": (lambda: backend.irfft2(maps, shape), count[0] + count[1]),
        "fista_update": (
            lambda: backend.fista_update(x, previous, g, tile, 0.1, thresholds, beta),
            5 * count[0],
        ),
        "rfft2": (lambda: backend.rfft2(g, shape), count[0] + count[1]),
        "synthesise_spectra": (
            lambda: backend.synthesise_spectra(pairs, maps), count[1] + count[2]
        ),
    }  # fmt: skip
    image = problem.stacked.astype(np.float64)
    by_patches = PatchPeaks(problem.dictionary.groups, problem.boundary, problem.penalty)
    by_sweeps = SweepPeaks(problem.exact_operator, problem.penalty, backend)
    images = PatchPeaks.memory(1, shape) + image.nbytes
    actions["look by patches"] = lambda: by_patches.look(image), images
    exact = 2 * (2 * count[1] + count[2] + 2 * count[0])  # in float64
    actions["look by sweeps"] = lambda: by_sweeps.look(image), exact
    rows = []
    for name, (action, moved) in actions.items():
        seconds = timed(action, wait, 0.02 if job.quick else 0.2)
        rows.append({"stage": name, "milliseconds": 1e3 * seconds, "GB/s": moved / seconds / 1e9})
    rows.sort(key=lambda row: -row["milliseconds"])
    return {"device": device, "rows": rows}
