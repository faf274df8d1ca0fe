"""Methods by name: baselines, this model, and what other packages add."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from ..dictionary import Dictionary
from .fusing import (
    decision_map_fusion,
    exposure_fusion,
    laplacian_fusion,
    mean_fusion,
    wavelet_fusion,
)
from .guided import guided_filter, joint_bilateral
from .pretrained import load_pretrained
from .tasks import Floats, Task

__all__ = ["PLUGINS", "Method", "method_names", "resolve_method"]

PLUGINS = "mcsc.methods"
"""Entry-point group: a callable that returns a `Method` for a task's name and a file or None."""


class Method(Protocol):
    """What makes an image of two."""

    def __call__(self, x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        """Return the restored or fused image, (C, H, W)."""
        ...


def _input(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
    return x


def _guided(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
    # More noise, more smoothing.
    level = 0.02 if sigma is None else sigma / 255
    return guided_filter(x, y, eps=level**2)


def _bilateral(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
    return joint_bilateral(x, y)


def _fusion(function: Callable[[Any], Floats]) -> Method:
    def run(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        return function((x, y))

    return run


_RESTORATION: dict[str, Method] = {"guided-filter": _guided, "joint-bilateral": _bilateral}
_FUSION: dict[str, Method] = {
    "mean": _fusion(mean_fusion),
    "laplacian": _fusion(laplacian_fusion),
    "wavelet": _fusion(wavelet_fusion),
    "decision-map": _fusion(decision_map_fusion),
    "exposure-fusion": _fusion(exposure_fusion),
}


def _baselines(task: Task) -> dict[str, Method]:
    if task.kind == "fusion":
        return _FUSION
    return {"bicubic" if task.factor is not None else "input": _input, **_RESTORATION}


@functools.cache
def _plugins() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=PLUGINS)}


def method_names(task: Task) -> list[str]:
    """Names of the methods for a task, baselines first."""
    return [*_baselines(task), "mcsc", *sorted(_plugins())]


def resolve_method(
    name: str, task: Task, file: str | Path | None = None, tol: float = 1e-3
) -> Method:
    """Return a method by its name.

    Parameters
    ----------
    name : str
        One of `method_names`.
    task : Task
        For which.
    file : path, optional
        Dictionary or weights; default: those that come with the package.
    tol : float
        "mcsc": certified relative gap of the codes.

    Raises
    ------
    ValueError
        There is no such method for this task.
    """
    baselines = _baselines(task)
    if name in baselines:
        return baselines[name]
    if name == "mcsc":
        return own_method(task, Dictionary.load(file) if file else load_pretrained(task.name), tol)
    if name in _plugins():
        found: Method = _plugins()[name].load()(task.name, file)
        return found
    raise ValueError(f"{task.name} has no method {name!r}: want {', '.join(method_names(task))}")


def own_method(task: Task, dictionary: Dictionary, tol: float = 1e-3) -> Method:
    """Restoration or fusion by the model, with a dictionary."""
    from .fusion import fuse
    from .restoration import restore

    def run(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        if task.kind == "fusion":
            return fuse((x, y), dictionary, task, tol=tol).image
        return restore(x, y, dictionary, task, sigma=sigma, tol=tol).image

    return run
