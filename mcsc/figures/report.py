"""One self-contained HTML page about a restored or fused image, or about many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..checks import check_image
from ..errors import InvalidTypeError, InvalidValueError
from ..files import write_text
from ..images.planes import Planes, planes
from ..quality.measures import Measure
from ..types import Floats
from ..words import percent
from .drawing import MAGNITUDE, SIGNED, UNKNOWN, largest_magnitude
from .report_pictures import colour_scale, mapped_picture, picture
from .report_tables import Numbers, mean_table, table

__all__ = ["Report", "SceneReport", "write_report"]

_SLIDER_WIDTH = 1040
_SLIDER_HEIGHT = 640


@dataclass(frozen=True, eq=False)
class SceneReport:
    """What is told about one scene.

    Images are arrays of floats (H, W), (1, H, W) or (3, H, W); what lies beyond [0, 1] is clipped.
    """

    name: str
    """Heading."""
    inputs: Sequence[tuple[str, Floats]]
    """Label and image each, for example ``[("depth, bicubic ×4", x), ("photograph", y)]``."""
    before: tuple[str, Floats]
    """What the result is held against in the slider: label and image."""
    after: tuple[str, Floats]
    """The result, of the same size."""
    truth: tuple[str, Floats] | None = None
    """The true image; with it the errors of `before` and `after` are shown."""
    known: NDArray[np.bool_] | None = None
    """False where the truth is unknown, (H, W): these pixels count in no error."""
    layers: Sequence[tuple[str, Floats]] = ()
    """Label and image each of what the result is made of beside the split: base, shares."""
    split: Sequence[tuple[str, Floats]] = ()
    """Signed images (Points 1 to 3 of Fig. 2), label and image each: common part, unique parts; any
    number of channels, of which the mean is shown."""
    numbers: Numbers = field(default_factory=dict)
    """By method, then by measure: ``{"bicubic": {"RMSE": 4.46, "SSIM": 0.98}, ...}``."""


@dataclass(frozen=True, eq=False)
class Report:
    """What is told in all."""

    title: str
    """Heading, and title of the page."""
    scenes: Sequence[SceneReport]
    """At least one."""
    text: str = ""
    """Introduction, plain text; an empty line begins a new paragraph."""
    measures: Sequence[Measure] = ()
    """Columns of the tables."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What it was made with, by name."""


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
        There are no scenes, an image has NaN, Inf or a shape that is no image's, or images to be
        compared differ in size.
    FileNotFoundError
        The folder of `path` does not exist.
    """
    if not isinstance(report, Report):
        raise InvalidTypeError(f"report must be a Report, found {type(report).__name__}")
    if not report.scenes:
        raise InvalidValueError("report.scenes is empty: nothing to report")
    import jinja2
    from markupsafe import Markup

    folder = resources.files(__package__) / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False
    )

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
        scenes=[_scene(scene, report.measures) for scene in report.scenes],
        summary=mean_table([scene.numbers for scene in report.scenes], report.measures),
        settings=[(name, _text(value)) for name, value in report.settings.items()],
        unknown_colour=UNKNOWN,
    )
    write_text(path, page.strip() + "\n")


def _scene(scene: SceneReport, measures: Sequence[Measure]) -> dict[str, Any]:
    where = f"scene {scene.name!r}: "
    _check_sizes(where, scene)
    (before_label, before), (after_label, after) = scene.before, scene.after
    drawn = picture(where + "after", after)
    out: dict[str, Any] = {
        "name": scene.name,
        "before": picture(where + "before", before),
        "before_label": before_label,
        "after": drawn,
        "after_label": after_label,
        # Small images are enlarged, tall ones kept on the screen.
        "slider_width": round(
            min(_SLIDER_WIDTH, max(_SLIDER_HEIGHT * drawn.width / drawn.height, 320))
        ),
        "inputs": [(k, picture(f"{where}inputs {k!r}", v)) for k, v in scene.inputs],
        "layers": [(k, picture(f"{where}layers {k!r}", v)) for k, v in scene.layers],
        "truth": None,
        "errors": [],
        "split": [],
        "numbers": table(scene.numbers, measures),
    }
    if scene.truth is not None:
        out |= {"truth": picture(where + "truth", scene.truth[1]), "truth_label": scene.truth[0]}
        out |= _errors(where, scene, scene.truth[1])
    if scene.split:
        for name, image in scene.split:
            check_image(f"{where}split {name!r}", image)
        signed = [(name, planes(image).mean(axis=0)) for name, image in scene.split]
        limit = largest_magnitude(*(plane for _, plane in signed))
        out["split"] = [(k, mapped_picture(v, SIGNED, -limit, limit)) for k, v in signed]
        out["split_scale"] = colour_scale(SIGNED, -limit, limit, "parts")
    return out


def _check_sizes(where: str, scene: SceneReport) -> None:
    shown: dict[str, Any] = {"before": scene.before[1], "after": scene.after[1]}
    if scene.truth is not None:
        shown["truth"] = scene.truth[1]
    for name, image in shown.items():
        check_image(where + name, image)
        if image.shape[-2:] != scene.after[1].shape[-2:]:
            raise InvalidValueError(
                f"{where}{name} has shape {image.shape} and after {scene.after[1].shape}: "
                "want one height and width"
            )
    if scene.known is not None and scene.known.shape != scene.after[1].shape[-2:]:
        raise InvalidValueError(
            f"{where}known has shape {scene.known.shape} and after {scene.after[1].shape}: want "
            "one height and width"
        )


def _errors(where: str, scene: SceneReport, truth: Floats) -> dict[str, Any]:
    """Errors before and after on one scale, in grey levels of 255."""
    pairs = [
        (name, _error(where, name, image, truth)) for name, image in (scene.before, scene.after)
    ]
    known = np.ones(truth.shape[-2:], bool) if scene.known is None else scene.known
    limit = largest_magnitude(*(error[known] for _, error in pairs))
    drawn = []
    for name, error in pairs:
        rms = np.sqrt(np.mean(error[known] ** 2)) if known.any() else 0.0
        shown = mapped_picture(error, MAGNITUDE, 0.0, limit, known)
        drawn.append((f"{name}: RMS {rms:.2f} of 255", shown))
    return {
        "errors": drawn,
        "error_scale": colour_scale(MAGNITUDE, 0.0, limit, "error"),
        "unknown": "" if known.all() else percent(1 - known.mean()),
    }


def _error(where: str, name: str, image: Floats, truth: Floats) -> Planes:
    """Root mean square of the error over the channels, (H, W)."""
    stack, true = planes(image), planes(truth)
    if len(stack) != len(true):
        raise InvalidValueError(
            f"{where}{name!r} has {len(stack)} channels and the truth {len(true)}: "
            "their difference is not defined"
        )
    return np.asarray(255 * np.sqrt(np.square(stack - true).mean(axis=0)), np.float64)


def _text(value: object) -> str:
    """A setting as text: numbers short, sequences of them separated by commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float | np.floating):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value))
    return str(value)
