"""What an iteration costs on a GPU, by count: bytes that it moves, and launches.

Bytes are those of maps, spectra and filters, each once a kernel, as if caches were perfect; images
are a hundredth of it. A 2-D transform counts as one pass over its input and one over its output; on
a device it is about two of each. ``benchmarks/gpu`` sets them against a device's time.
"""

from __future__ import annotations

from ..model.convolution import maps_at_a_time, padded_grid
from ..model.problem import Problem

__all__ = ["bytes_of_an_iteration", "seconds_of_an_iteration"]

# Of the order of what data sheets of the last years say, and launch latencies that are usual: only
# the ratio of two methods is used.
_BYTES_A_SECOND = 2e12
_SECONDS_A_LAUNCH = 4e-6
# Kernels of ADMM's conjugate gradients, a transform counted as two.
_LAUNCHES_OF_A_STEP, _LAUNCHES_AROUND = 14, 12


MERIT = "on a GPU the least bytes and launches, by count, times the iterations expected"
"""Why "auto" takes a method that is weighed by `seconds_of_an_iteration`."""


def bytes_of_an_iteration(problem: Problem, method: str) -> int:
    """Return the bytes that an iteration moves.

    Parameters
    ----------
    problem : Problem
        A problem with arrays of any library.
    method : {"fista", "admm"}
        What iterates: both have one sweep of the operator an iteration.
    """
    d = problem.dictionary
    h, w = problem.shape
    grid = _grid(problem)
    item, maps = problem.itemsize, problem.n_samples * problem.dictionary.n_maps
    plane = grid[0] * grid[1] * item
    half = grid[0] * (grid[1] // 2 + 1) * 2 * item
    pairs = sum(g.bank.shape[0] * g.bank.shape[1] for g in d.groups)
    # Analysis and synthesis read the filters; one writes and one reads the spectra of the maps.
    spectra = 2 * (pairs + maps) * half
    transforms = 2 * maps * (plane + half)
    if method == "fista":  # three arrays read on the image, one written there and one on the grid
        return int(spectra + transforms + maps * (4 * h * w * item + plane))
    return int(spectra + transforms + 4 * maps * plane)  # two read and written, on ADMM's grid


def seconds_of_an_iteration(problem: Problem, method: str, inner_steps: int = 0) -> float:
    """Return about how long an iteration takes; `inner_steps` are those of conjugate gradients."""
    d = problem.dictionary
    slab = maps_at_a_time(
        problem.backend, problem.n_samples, problem.shape, problem.boundary, d.filter_size,
        problem.itemsize,
    )  # fmt: skip
    slabs = -(-d.n_maps // (slab or d.n_maps))
    launches = 7 * slabs + 7
    if inner_steps:
        launches += _LAUNCHES_OF_A_STEP * inner_steps + _LAUNCHES_AROUND
    moved = bytes_of_an_iteration(problem, method)
    return moved / _BYTES_A_SECOND + launches * _SECONDS_A_LAUNCH


def _grid(problem: Problem) -> tuple[int, int]:
    if problem.boundary == "periodic":
        return problem.shape
    return padded_grid(problem.shape, problem.dictionary.filter_size)
