"""Reports of the commands that restore, fuse and evaluate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..figures.report import Report, SceneReport, write_report
from ..tasks.evaluation import Evaluation
from ..tasks.fusion import Fusion
from ..tasks.restoration import Restoration
from ..tasks.task import Task
from ..types import Floats
from ..words import percent
from .info import versions
from .inputs import Given
from .options import lam_words

_SHOWN = 8
"""Sources that a page shows."""


def settings_of(
    found: Restoration | Fusion, task: Task, given: Given | None = None
) -> dict[str, object]:
    """What a page says about how an image was made; `given` is the one whose unit it is in."""
    settings: dict[str, object] = {"task": task.title, "method": found.method}
    if given is not None:
        low, high = given.values.low, given.values.high
        settings["values"] = f"{low:.6g} to {high:.6g}, worked on as 0 to 1"
    if given is not None and given.mask is not None:
        share = 1 - float((given.mask > 0).all(axis=0).mean())
        settings["unknown pixels"] = percent(share, 3)
    if found.ghosts is not None:
        share = float(found.ghosts.mean())
        settings["contradictions"] = f"{percent(share)} of the pixels, where one image was kept"
    if isinstance(found, Fusion) and found.rule is not None:
        settings["rule"] = found.rule
    if found.lam is not None:
        settings["lam"] = lam_words(found.lam)
    if found.gap is not None:
        settings["certified gap"] = f"{found.gap:.1e}"
    if found.nonzero is not None:
        settings["nonzero coefficients"] = percent(found.nonzero, 3)
    return settings | {"seconds": f"{found.seconds:.1f}", **versions()}


def report_of_restoration(
    path: Path, task: Task, name: str, x: Floats, y: Floats, found: Restoration, given: Given
) -> None:
    """Write the page of `mcsc restore`."""
    scene = SceneReport(
        name=name,
        inputs=[("input x", _visible(x)), ("guide y", _visible(y))],
        before=("input", _visible(x)),
        after=("restored", _visible(given.shown(found.image))),
        layers=_there([("base", _shown(found.base, given)), _contradictions(found)]),
        split=_there(
            [
                ("common part", _part(found.common, given)),
                ("unique part of x", _part(found.unique, given)),
            ]
        ),
    )
    write_report(path, Report(task.title, [scene], settings=settings_of(found, task, given)))


def report_of_fusion(
    path: Path,
    task: Task,
    names: Sequence[str],
    sources: Sequence[Floats],
    found: Fusion,
    given: Given,
) -> None:
    """Write the page of `mcsc fuse`."""
    count = len(names)
    if count > _SHOWN:  # of a long stack its ends and its middle
        numbers = [0, count // 2, count - 1]
        names, sources = [names[m] for m in numbers], [sources[m] for m in numbers]
    names = _distinct(names)
    layers = _there([("base", _shown(found.base, given)), _contradictions(found)])
    if found.weights is not None:
        layers += [(f"share of {n}", w[None]) for n, w in zip(names, found.weights, strict=True)]
    elif found.index is not None:
        layers.append(("number of the source", found.index[None] / np.float32(max(1, count - 1))))
    parts = [
        (f"unique part of {n}", _part(u, given)) for n, u in zip(names, found.unique, strict=False)
    ]
    scene = SceneReport(
        name=" + ".join(names),
        inputs=[(name, _visible(image)) for name, image in zip(names, sources, strict=True)],
        before=(names[0], _visible(sources[0])),
        after=("fused", _visible(given.shown(found.image))),
        layers=layers,
        split=_there([("common part", _part(found.common, given)), *parts]),
    )
    write_report(path, Report(task.title, [scene], settings=settings_of(found, task, given)))


def report_of_evaluation(
    path: Path, task: Task, result: Evaluation, pictures: Sequence[Any]
) -> None:
    """Write the page of `mcsc evaluate`: a scene each, the last method against the first.

    `pictures` are rows with the images x, y, result and truth (or None).
    """
    roles = ("source x", "source y") if task.kind == "fusion" else ("input x", "guide y")
    scenes = []
    for name in dict.fromkeys(row.scene for row, *_ in pictures):
        mine = [p for p in pictures if p[0].scene == name]
        (first, x, y, before, truth), last = mine[0], mine[-1]
        scenes.append(
            SceneReport(
                name=name,
                inputs=[(roles[0], _visible(x)), (roles[1], _visible(y))],
                before=(first.method, _visible(before)),
                after=(last[0].method, _visible(last[3])),
                truth=None if truth is None else ("truth", _visible(truth)),
                numbers={p[0].method: p[0].measures for p in mine},
            )
        )
    write_report(path, Report(task.title, scenes, measures=task.measures, settings=versions()))


def _contradictions(found: Restoration | Fusion) -> tuple[str, Floats | None]:
    """The map of contradictions, if there are any."""
    if found.ghosts is None or not found.ghosts.any():
        return "contradictions", None
    return "contradictions", found.ghosts[None].astype(np.float32)


def _shown(image: Floats | None, given: Given) -> Floats | None:
    return None if image is None else given.shown(image)


def _part(part: Floats | None, given: Given) -> Floats | None:
    """A part of a sum, in [0, 1]."""
    values = given.value_range
    return None if part is None else part / (values.high - values.low)


def _visible(image: Floats) -> Floats:
    """What a page can show of an image: one or three channels."""
    return image if len(image) in (1, 3) else image[:1]


def _there(images: Sequence[tuple[str, Floats | None]]) -> list[tuple[str, Floats]]:
    return [(label, _visible(image)) for label, image in images if image is not None]


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that occur more than once, as of files in two folders, are numbered."""
    count, seen = Counter(names), Counter[str]()
    out = []
    for name in names:
        seen[name] += 1
        out.append(f"{name} ({seen[name]})" if count[name] > 1 else name)
    return out
