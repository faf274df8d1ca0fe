"""Reports of the commands that restore, fuse and evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..figures.report import Report, SceneReport, write_report
from ..tasks.evaluation import Evaluation
from ..tasks.fusion import Fused
from ..tasks.restoration import Restored
from ..tasks.task import Task
from ..types import Floats
from .info import versions


def _visible(image: Floats) -> Floats:
    """What a page can show of an image: one or three channels."""
    return image if len(image) in (1, 3) else image[:1]


def _settings(found: Any, task: Task) -> dict[str, object]:
    return {
        "task": task.title,
        "lam": f"{found.lam:.4g}",
        "certified gap": f"{found.gap:.1e}",
        "nonzero coefficients": f"{100 * found.nonzero:.3g} %",
        "seconds": f"{found.seconds:.1f}",
        **versions(),
    }


def report_of_restoration(
    path: Path, task: Task, name: str, x: Floats, y: Floats, found: Restored
) -> None:
    """Write the page of `mcsc restore`."""
    split = {"Point 1, common": found.common, "Point 2, unique": found.unique}
    scene = SceneReport(
        name=name,
        inputs={"x": _visible(x), "guide": _visible(y), "base": _visible(found.base)},
        before=("input", _visible(x)),
        after=("restored", _visible(found.image)),
        split={k: _visible(v) for k, v in split.items() if v is not None},
    )
    write_report(path, Report(task.title, [scene], settings=_settings(found, task)))


def report_of_fusion(
    path: Path, task: Task, names: Sequence[str], sources: Sequence[Floats], found: Fused
) -> None:
    """Write the page of `mcsc fuse`."""
    split = {"Point 1, common": found.common} | {
        f"Point {m + 2}, unique": u for m, u in enumerate(found.unique)
    }
    inputs = dict(zip(names, sources, strict=True)) | {"base": found.base}
    if found.weights is not None:
        inputs["share of the first source"] = found.weights[:1]
    scene = SceneReport(
        name=" + ".join(names),
        inputs=inputs,
        before=(names[0], sources[0]),
        after=("fused", found.image),
        split={k: v for k, v in split.items() if v is not None},
    )
    write_report(path, Report(task.title, [scene], settings=_settings(found, task)))


def report_of_evaluation(
    path: Path, task: Task, result: Evaluation, pictures: Sequence[Any]
) -> None:
    """Write the page of `mcsc evaluate`: a scene each, the last method against the first."""
    scenes = []
    for name in dict.fromkeys(row.scene for row, *_ in pictures):
        mine = [p for p in pictures if p[0].scene == name]
        (first, x, y, before, truth), last = mine[0], mine[-1]
        scenes.append(
            SceneReport(
                name=name,
                inputs={"x": _visible(x), "y": _visible(y)},
                before=(first.method, _visible(before)),
                after=(last[0].method, _visible(last[3])),
                truth=None if truth is None else ("truth", _visible(truth)),
                metrics={p[0].method: p[0].measures for p in mine},
            )
        )
    better: Any = {m.name: "higher" if m.larger_is_better else "lower" for m in task.measures}
    write_report(path, Report(task.title, scenes, better=better, settings=dict(versions())))
