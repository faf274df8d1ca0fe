"""Methods by name: baselines, this model, and what other packages add."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from ..baselines.bilateral import joint_bilateral
from ..baselines.decision_map import decision_map_fusion
from ..baselines.exposure import exposure_fusion
from ..baselines.guided import guided_filter
from ..baselines.mean import mean_fusion
from ..baselines.pyramids import laplacian_fusion
from ..baselines.wavelets import wavelet_fusion
from ..errors import InvalidValueError
from ..model.dictionary import Dictionary
from ..types import Floats
from .shipped import load_pretrained
from .task import Task

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


# Settings that serve each filter best, by task, on scenes that no table is measured on: radius and
# square root of eps, standard deviations in space and range. In flash-denoise all but the last are
# for noise of one grey level and grow with it.
_GUIDED = {"depth-sr": (3, 0.003), "multispectral-sr": (8, 0.01), "flash-denoise": (0.1, 0.1 / 255)}
_BILATERAL = {
    "depth-sr": (2.0, 0.05),
    "multispectral-sr": (5.0, 0.05),
    "flash-denoise": (0.12, 0.05),
}


def _guided(task: Task) -> Method:
    def run(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        radius, edge = _GUIDED[task.name]
        if task.sigma is not None:
            level = task.sigma if sigma is None else sigma
            radius, edge = max(1, round(radius * level)), edge * level
        return guided_filter(x, y, radius=int(radius), eps=edge**2)

    return run


def _bilateral(task: Task) -> Method:
    def run(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        space, edge = _BILATERAL[task.name]
        if task.sigma is not None:
            space = max(1.0, space * (task.sigma if sigma is None else sigma))
        return joint_bilateral(x, y, sigma_space=space, sigma_range=edge)

    return run


def _fusion(function: Callable[[Any], Floats]) -> Method:
    def run(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        return function((x, y))

    return run


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
    return {
        "bicubic" if task.factor is not None else "input": _input,
        "guided-filter": _guided(task),
        "joint-bilateral": _bilateral(task),
    }


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
        try:
            found: Method = _plugins()[name].load()(task.name, file)
        except ModuleNotFoundError as error:
            raise InvalidValueError(
                f"the method {name} needs {error.name}, which is not installed: see the extras of "
                "the package, as in pip install 'mcsc[unfolded]'"
            ) from error
        return found
    raise InvalidValueError(
        f"{task.name} has no method {name!r}: want {', '.join(method_names(task))}"
    )


def own_method(task: Task, dictionary: Dictionary, tol: float = 1e-3) -> Method:
    """Restoration or fusion by the model, with a dictionary."""
    from .fusion import fuse
    from .restoration import restore

    def run(x: Floats, y: Floats, *, sigma: float | None = None) -> Floats:
        if task.kind == "fusion":
            return fuse((x, y), dictionary, task, tol=tol).image
        return restore(x, y, dictionary, task, sigma=sigma, tol=tol).image

    return run
