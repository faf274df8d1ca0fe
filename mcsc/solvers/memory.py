"""How much memory a solver will take, and refusal before it does."""

from __future__ import annotations

from ..backend import get_num_threads
from ..errors import InvalidValueError, OutOfMemoryError
from ..model.problem import Problem

# Arrays of codes (all maps, whole) that each method holds at its peak, which is the evaluation
# or the making of the result: the state, and its thresholded or sparse copy.
_CODE_ARRAYS = {"ista": 1.0, "fista": 2.0, "admm": 2.8, "alternating": 1.0}


def estimate(problem: Problem, method: str) -> int:
    """Peak bytes on top of the caller's arrays."""
    from .front import METHODS, choose

    if method == "auto":
        method, _ = choose(problem)
    if method not in METHODS:
        raise InvalidValueError(
            f"method must be one of {', '.join(METHODS)} or auto, found {method!r}"
        )
    if method == "working-set":
        return _working_set(problem)
    item = _bytes(problem)
    h, w = problem.shape
    s = problem.dictionary.filter_size
    padded = (h + s - 1) * (w + s - 1) if problem.boundary == "zero" else h * w
    pixels = padded if method == "admm" else h * w
    n, k = problem.n_samples, problem.dictionary.n_maps
    channels = sum(problem.dictionary.channels)
    codes = _CODE_ARRAYS[method] * n * k * pixels * item
    # Signals in both precisions, residuals and images, about twelve of them.
    signals = 12 * n * channels * padded * 8
    gram = 4 * channels * channels * padded * 8
    filters = 0
    if problem.operator.__class__.__name__ == "FourierOperator":
        pairs = sum(g.bank.shape[0] * g.bank.shape[1] for g in problem.dictionary.groups)
        filters = pairs * padded * (item + 8)
    return int(codes + signals + gram + filters)


def _bytes(problem: Problem) -> int:
    return int(problem.backend.xp.finfo(problem.dtype).bits) // 8


def _working_set(problem: Problem) -> int:
    n, (h, w) = problem.n_samples, problem.shape
    s, k = problem.dictionary.filter_size, problem.dictionary.n_maps
    channels = sum(problem.dictionary.channels)
    # Five images in working precision and eight in float64 while certifying.
    images = n * channels * (h + s) * (w + s) * (5 * _bytes(problem) + 8 * 8)
    # A tile of correlations and patches for each thread.
    tiles = get_num_threads() * (k + 2 * channels * s * s) * 1200 * 8
    # Natural images: 0.3 % of the coefficients are active at 1 % of lambda_max, and about as the
    # inverse root of lam; each with its place, merge copies and vectors of conjugate gradients.
    relative = float(problem.lam_maps.mean()) / max(problem.lambda_max(), 1e-300)
    share = min(max(0.003 * (0.01 / relative) ** 0.5, 1e-4), 1.0)
    active = 100 * share * n * k * h * w
    return int(images + tiles + active)


def refuse_if_too_large(problem: Problem, method: str) -> None:
    """Raise MemoryError, with both numbers, if the estimate exceeds what is available."""
    available = problem.backend.available_memory()
    needed = estimate(problem, method)
    if available is not None and needed > available:
        n, k = problem.n_samples, problem.dictionary.n_maps
        h, w = problem.shape
        raise OutOfMemoryError(
            f"method {method!r} needs about {needed / 2**30:.1f} GiB for {n}x{k} maps of {h}x{w}, "
            f"and {available / 2**30:.1f} GiB are free: solve in tiles, in float32, or use fewer "
            "filters"
        )
