"""Bytes that an iteration must move, each once a kernel, as if caches were perfect.

The tests compare it with what an emulated device counts. A 2-D transform counts as one pass over
its input and one over its output; on a device it is about two of each.
"""

from __future__ import annotations

from mcsc.model.convolution import padded_grid
from mcsc.model.problem import Problem


def bytes_of_an_iteration(problem: Problem, method: str) -> int:
    """Bytes of maps, spectra and filters; images, a hundredth of it, are left out.

    Parameters
    ----------
    problem : Problem
        Of any library.
    method : {"fista", "admm"}
        What iterates: both have one sweep an iteration.
    """
    d = problem.dictionary
    h, w = problem.shape
    grid = (h, w) if problem.boundary == "periodic" else padded_grid((h, w), d.filter_size)
    item, n = problem.itemsize, problem.n_samples
    plane = grid[0] * grid[1] * item
    half = grid[0] * (grid[1] // 2 + 1) * 2 * item
    pairs = sum(g.bank.shape[0] * g.bank.shape[1] for g in d.groups)
    maps = n * d.n_maps
    # Analysis and synthesis read the filters; both read or write the spectra of the maps.
    spectra = 2 * (pairs * half + maps * half)
    transforms = 2 * maps * (plane + half)
    if method == "fista":  # x, previous twice, g read; what goes on is written on the whole grid
        update = maps * (3 * h * w * item + h * w * item + plane)
    else:  # v twice and g twice, on ADMM's own grid
        update = 4 * maps * plane
    return spectra + transforms + update
