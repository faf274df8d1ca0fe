"""One self-contained HTML page about a restored or fused image, or about many."""

from __future__ import annotations

import base64
import io
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from .._version import __version__
from ..checks import check_image
from ..errors import InvalidTypeError, InvalidValueError
from ..files import atomic_write
from ..images.planes import planes
from ..types import Floats
from .panels import _MAGNITUDE, _SIGNED, _limit, _map, convergence_figure

if TYPE_CHECKING:
    from ..solvers.result import History, Result

__all__ = ["Report", "SceneReport", "run_settings", "write_report"]

Better = Literal["higher", "lower"]

_SLIDER_WIDTH = 1040
_SLIDER_HEIGHT = 640
_CHART_DPI = 160


@dataclass(frozen=True, eq=False)
class SceneReport:
    """What is told about one scene.

    Images are arrays of floats (H, W), (1, H, W) or (3, H, W); what lies beyond [0, 1] is clipped.
    """

    name: str
    """Heading."""
    inputs: Mapping[str, Floats]
    """Label and image each, for example ``{"depth, bicubic x4": x, "photograph": y}``."""
    before: tuple[str, Floats]
    """What the result is held against in the slider: label and image."""
    after: tuple[str, Floats]
    """The result, of the same size."""
    truth: tuple[str, Floats] | None = None
    """The true image; with it the errors of `before` and `after` are shown."""
    split: Mapping[str, Floats] = field(default_factory=dict)
    """Signed images (Points 1 to 3 of Fig. 2): common part, unique parts; any number of channels,
    of which the mean is shown."""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Numbers by method, then by measure: ``{"bicubic": {"RMSE": 4.46, "SSIM": 0.98}, ...}``."""


@dataclass(frozen=True, eq=False)
class Report:
    """What is told in all."""

    title: str
    """Heading, and title of the page."""
    scenes: Sequence[SceneReport]
    """At least one."""
    text: str = ""
    """Introduction, plain text; an empty line begins a new paragraph."""
    better: Mapping[str, Better] = field(default_factory=dict)
    """Whether higher or lower numbers are better, by measure; the best are then marked."""
    convergence: Mapping[str, History] = field(default_factory=dict)
    """Curves for :func:`mcsc.figures.panels.convergence_figure`, by name."""
    tol: float | None = None
    """Drawn as a line there."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What it was made with; see :func:`run_settings`."""


@dataclass(frozen=True)
class _Picture:
    uri: str
    width: int
    height: int


def run_settings(result: Result, *, lam: object, tol: float) -> dict[str, object]:
    """Settings of a run for `Report.settings`: method, lam, tol, gap reached, seconds, versions.

    Parameters
    ----------
    result : Result
        Of `mcsc.solve`.
    lam, tol
        As they were given to it.
    """
    return {
        "method": result.method,
        "lam": lam,
        "tol": tol,
        "gap reached": result.gap,
        "converged": "yes" if result.converged else f"no: {result.stopped}",
        "iterations": result.iterations,
        "seconds": result.seconds,
        "nonzero coefficients": f"{result.codes.nnz} of {result.codes.size}",
        "mcsc": __version__,
        "NumPy": np.__version__,
        "Python": platform.python_version(),
    }


def write_report(path: str | Path, report: Report) -> None:
    """Write a report as one HTML file, whole or not at all.

    Images, styles and the script of the slider are part of the file, and nothing else is loaded:
    it can be mailed, or opened without a network. It follows the reader's choice of a light or dark
    page.

    Parameters
    ----------
    path : path
        An existing file is replaced.
    report : Report

    Raises
    ------
    TypeError
        `report` is something else, or an image is not an array of floats.
    ValueError
        There are no scenes, an image has NaN, Inf or a shape that is no image's, images to be
        compared differ in size, or `better` names neither "higher" nor "lower".
    FileNotFoundError
        The folder of `path` does not exist.
    """
    if not isinstance(report, Report):
        raise InvalidTypeError(f"report must be a Report, found {type(report).__name__}")
    if not report.scenes:
        raise InvalidValueError("report.scenes is empty: nothing to report")
    for measure, direction in report.better.items():
        if direction not in ("higher", "lower"):
            raise InvalidValueError(
                f"report.better[{measure!r}] must be 'higher' or 'lower', found {direction!r}"
            )
    import jinja2

    folder = resources.files(__package__) / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False
    )
    from markupsafe import Markup

    def ours(name: str) -> Markup:
        # Text of the package itself: quotes in it must not be escaped.
        return Markup((folder / name).read_text(encoding="utf-8").strip())

    template = environment.from_string((folder / "report.html.jinja").read_text(encoding="utf-8"))
    page = template.render(
        report=report,
        version=__version__,
        css=ours("report.css"),
        script=ours("report.js"),
        paragraphs=[" ".join(p.split()) for p in report.text.split("\n\n") if p.strip()],
        scenes=[_scene(scene, report.better) for scene in report.scenes],
        summary=_summary(report),
        convergence=_chart(report),
        curves=", ".join(report.convergence),
        settings=[(name, _text(value)) for name, value in report.settings.items()],
    )
    with atomic_write(path) as file:
        file.write((page.strip() + "\n").encode())


def _scene(scene: SceneReport, better: Mapping[str, Better]) -> dict[str, Any]:
    where = f"scene {scene.name!r}: "
    (before_label, before), (after_label, after) = scene.before, scene.after
    shown = {"before": before, "after": after}
    if scene.truth is not None:
        shown["truth"] = scene.truth[1]
    for name, image in shown.items():
        check_image(where + name, image)
        if image.shape[-2:] != after.shape[-2:]:
            raise InvalidValueError(
                f"{where}{name} has shape {image.shape} and after {after.shape}: "
                "want one height and width"
            )
    picture = _picture(where + "after", after)
    out: dict[str, Any] = {
        "name": scene.name,
        "before": _picture(where + "before", before),
        "before_label": before_label,
        "after": picture,
        "after_label": after_label,
        # Small images are enlarged, tall ones kept on the screen.
        "slider_width": round(
            min(_SLIDER_WIDTH, max(_SLIDER_HEIGHT * picture.width / picture.height, 320))
        ),
        "inputs": [(k, _picture(f"{where}inputs[{k!r}]", v)) for k, v in scene.inputs.items()],
        "truth": None,
        "errors": [],
        "split": [],
        "metrics": _table(scene.metrics, better),
    }
    if scene.truth is not None:
        label, truth = scene.truth
        out |= {"truth": _picture(where + "truth", truth), "truth_label": label}
        errors = [
            (name, _difference(where, name, image, truth))
            for name, image in (scene.before, scene.after)
        ]
        limit = _limit(np.stack([error for _, error in errors]))
        out["errors"] = [
            (f"{name}: RMS {_rms(error):.3g}", _mapped(error, _MAGNITUDE, 0.0, limit))
            for name, error in errors
        ]
        out["error_scale"] = _scale(_MAGNITUDE, 0.0, limit, "error")
    if scene.split:
        for name, image in scene.split.items():
            check_image(f"{where}split[{name!r}]", image)
        signed = {k: planes(v).mean(axis=0) for k, v in scene.split.items()}
        limit = _limit(np.concatenate([v.ravel() for v in signed.values()]))
        out["split"] = [(k, _mapped(v, _SIGNED, -limit, limit)) for k, v in signed.items()]
        out["split_scale"] = _scale(_SIGNED, -limit, limit, "part")
    return out


def _difference(where: str, name: str, image: Floats, truth: Floats) -> NDArray[np.float64]:
    """Root mean square of the error over the channels, (H, W)."""
    image, truth = planes(image), planes(truth)
    if image.shape[0] != truth.shape[0]:
        raise InvalidValueError(
            f"{where}{name!r} has {image.shape[0]} channels and the truth {truth.shape[0]}: "
            "their difference is not defined"
        )
    magnitude: NDArray[np.float64] = np.sqrt(np.square(image - truth).mean(axis=0))
    return magnitude


def _rms(error: NDArray[np.float64]) -> float:
    return math.sqrt(float(np.square(error).mean()))


def _picture(name: str, image: Floats) -> _Picture:
    """Embed an image in [0, 1]."""
    check_image(name, image)
    stack = planes(image)
    if len(stack) not in (1, 3):
        raise InvalidValueError(
            f"{name} has shape {image.shape}: pictures have 1 or 3 channels; show bands one by one"
        )
    pixels = np.rint(255 * np.clip(stack, 0, 1)).astype(np.uint8)
    return _embed(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _mapped(plane: Floats, colours: str, low: float, high: float) -> _Picture:
    shade = np.clip((plane - low) / (high - low), 0, 1)
    return _embed(np.asarray(_map(colours)(shade, bytes=True))[..., :3])


def _embed(pixels: NDArray[np.uint8]) -> _Picture:
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", optimize=False)
    return _Picture(_uri(file.getvalue()), pixels.shape[1], pixels.shape[0])


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _scale(colours: str, low: float, high: float, what: str) -> dict[str, Any]:
    """A colour bar: a strip of colours, and the numbers at its ends and middle."""
    strip = _mapped(np.linspace(low, high, 256)[None], colours, low, high)
    ticks = [f"{t:.2g}".replace("-", "−") for t in (low, 0.5 * (low + high), high)]
    return {
        "uri": strip.uri,
        "ticks": ticks,
        "label": f"Colours of the {what}, from {ticks[0]} to {ticks[-1]}",
    }


def _table(
    metrics: Mapping[str, Mapping[str, float]], better: Mapping[str, Better]
) -> dict[str, Any] | None:
    """Rows of methods, columns of measures in the order in which they first occur."""
    measures = list(dict.fromkeys(m for row in metrics.values() for m in row))
    if not measures:
        return None
    best: dict[str, float] = {}
    for measure in measures:
        numbers = [row[measure] for row in metrics.values() if measure in row]
        finite = [float(n) for n in numbers if math.isfinite(n)]
        if measure in better and len(finite) > 1:
            best[measure] = max(finite) if better[measure] == "higher" else min(finite)

    def cell(row: Mapping[str, float], measure: str) -> dict[str, Any]:
        if measure not in row:
            return {"text": "–", "best": False}
        value = float(row[measure])
        return {"text": f"{value:.4g}".replace("-", "−"), "best": value == best.get(measure)}

    arrow = {"higher": " ↑", "lower": " ↓"}
    return {
        "heads": [m + (arrow[better[m]] if m in better else "") for m in measures],
        "rows": [
            {"name": name, "cells": [cell(row, m) for m in measures]}
            for name, row in metrics.items()
        ],
    }


def _summary(report: Report) -> dict[str, Any] | None:
    """Means over the scenes, of what is known of every scene; None for a single scene."""
    if len(report.scenes) < 2:
        return None
    # A mean over other scenes than a neighbour's would be no comparison.
    methods = [
        m for m in report.scenes[0].metrics if all(m in scene.metrics for scene in report.scenes)
    ]
    means: dict[str, dict[str, float]] = {}
    for method in methods:
        rows = [scene.metrics[method] for scene in report.scenes]
        known = [measure for measure in rows[0] if all(measure in row for row in rows)]
        means[method] = {k: float(np.mean([row[k] for row in rows])) for k in known}
    table = _table(means, report.better)
    if table is not None:
        table["caption"] = f"Mean over {len(report.scenes)} scenes"
    return table


def _chart(report: Report) -> _Picture | None:
    if not report.convergence:
        return None
    figure = convergence_figure(report.convergence, report.tol)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_CHART_DPI)
    width, height = figure.canvas.get_width_height()
    return _Picture(_uri(file.getvalue()), width, height)


def _text(value: object) -> str:
    """A setting as text: numbers short, sequences of them separated by commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float | np.floating):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value))
    return str(value)
