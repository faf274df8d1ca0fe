"""`mcsc evaluate` on workers: one scene a task, all methods on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InvalidValueError
from ...files import read_npz, write_npz
from ...values.masks import absolute_word
from .run import memory_of

if TYPE_CHECKING:
    from ...tasks.evaluation import Ending, Row
    from ...tasks.scenes import SceneFiles

__all__ = ["evaluate_on_workers"]

_KIND, _FORMAT = "mcsc.Measures of a scene", 1
_IMAGES = ("x", "y", "image", "truth")

Scores = list[tuple["Row", tuple[Any, ...]]]


def evaluate_on_workers(
    scenes: Sequence[SceneFiles],
    task: str,
    methods: Sequence[str],
    each: Callable[..., None],
    skip: Callable[[str, Exception], None],
    tell: Callable[[str, str], None],
    *,
    out: Path | None,
    settings: Mapping[str, Any],
    scheduler: str | None,
    workers: int | None,
    pictures: bool,
    seed: int,
    dictionary: Path | None,
    weights_file: Path | None,
    **how: Any,
) -> Ending:
    """Run methods on scenes as `mcsc.tasks.evaluate` does; rows are the same, but for their order.

    Parameters
    ----------
    scenes : sequence of SceneFiles
    task : str
    methods : sequence of str
    each, skip : callables
        As `mcsc.tasks.evaluate` takes them; without `pictures` images are None.
    tell : callable
        Called with the name of a scene and what was warned of.
    out : path or None
        Folder in which the rows of each scene are kept; those that are there are not measured
        again.
    settings : mapping
        With `out`, what rows depend on besides the arguments here: see
        `mcsc.distributed.map_scenes`.
    scheduler, workers
        As in `mcsc.distributed.map_scenes`.
    pictures : bool
        Have images come back, too.
    seed, dictionary, weights_file, **how
        As `mcsc.tasks.evaluate` takes them.

    Returns
    -------
    str
        What ended it.
    """
    from ...distributed import Outcome, Scene, map_scenes

    files = [None if path is None else str(path.resolve()) for path in (dictionary, weights_file)]
    due = [
        Scene(
            scene.name,
            (_absolute(scene), task, tuple(methods), seed + number, *files, how, pictures),
            None if out is None else out.resolve() / f"{scene.name}.npz",
            memory_of((scene.x_path, scene.y_path)),
        )
        for number, scene in enumerate(scenes)
    ]
    noted = {
        "task": task, "methods": list(methods), "seed": seed, "dictionary": files[0],
        "weights_file": files[1], "images": pictures, **how, **settings,
    }  # fmt: skip

    def done(outcome: Outcome) -> None:
        for row, images in outcome.value or ():
            each(row, *images)
        if outcome.status == "done" and outcome.reason:
            tell(outcome.name, outcome.reason)

    table = map_scenes(
        _scores, due, scheduler=scheduler, workers=workers, each=done,
        folder=None if out is None else out.resolve(), settings=noted,
    )  # fmt: skip
    for scene, outcome in zip(due, table.outcomes, strict=True):
        if outcome.status == "skipped" and scene.out is not None:
            for row, images in _kept(scene.out):
                each(row, *images)
    for outcome in table.failed:
        skip(outcome.name, InvalidValueError(outcome.reason))
    return "interrupted" if table.count("interrupted") else "completed"


def _absolute(scene: SceneFiles) -> SceneFiles:
    """Name files as workers in other folders find them."""

    def named(words: Sequence[str]) -> tuple[str, ...]:
        return tuple(map(absolute_word, words))

    target = None if scene.target_path is None else scene.target_path.resolve()
    return replace(
        scene, x_path=scene.x_path.resolve(), y_path=scene.y_path.resolve(), target_path=target,
        masks=(named(scene.masks[0]), named(scene.masks[1])),
    )  # fmt: skip


def _scores(
    scene: SceneFiles,
    task: str,
    methods: Sequence[str],
    seed: int,
    dictionary: str | None,
    weights_file: str | None,
    how: dict[str, Any],
    pictures: bool,
    out: Path | None = None,
) -> Scores:
    """Run all methods on one scene, on a worker, and keep what they gave if there is a place."""
    from ...distributed import Incomplete
    from ...tasks import evaluate

    found: Scores = []
    faults: list[str] = []

    def note(row: Row, *images: Any) -> None:
        found.append((row, images if pictures else (None,) * len(images)))

    evaluate(
        [scene], task, methods, dictionary=dictionary, weights_file=weights_file, seed=seed,
        each=note, skip=lambda name, error: faults.append(str(error)), **how,
    )  # fmt: skip
    if faults:
        raise Incomplete(faults[0], found)
    if out is not None:
        arrays = {
            f"{name}{n}": image
            for n, (_, images) in enumerate(found)
            for name, image in zip(_IMAGES, images, strict=True)
            if image is not None
        }
        write_npz(out, _KIND, _FORMAT, arrays, rows=[asdict(row) for row, _ in found])
    return found


def _kept(path: Path) -> Scores:
    """Read what `_scores` wrote."""
    from ...tasks.evaluation import Row

    header, arrays = read_npz(path, _KIND, _FORMAT)
    return [
        (Row(**row), tuple(arrays.get(f"{name}{n}") for name in _IMAGES))
        for n, row in enumerate(header["rows"])
    ]
