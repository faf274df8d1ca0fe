"""`mcsc evaluate` on workers: one scene a task, all methods on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InvalidValueError
from .run import memory_of

if TYPE_CHECKING:
    from ...tasks.evaluation import Ending, Row
    from ...tasks.scenes import SceneFiles

__all__ = ["evaluate_on_workers"]


def evaluate_on_workers(
    scenes: Sequence[SceneFiles],
    task: str,
    methods: Sequence[str],
    each: Callable[..., None],
    skip: Callable[[str, Exception], None],
    *,
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
            memory=memory_of((scene.x_path, scene.y_path)),
        )
        for number, scene in enumerate(scenes)
    ]

    def done(outcome: Outcome) -> None:
        for row, images in outcome.value or ():
            each(row, *images)

    table = map_scenes(_scores, due, scheduler=scheduler, workers=workers, each=done)
    for outcome in table.failed:
        skip(outcome.name, InvalidValueError(outcome.reason))
    return "interrupted" if table.count("interrupted") else "completed"


def _absolute(scene: SceneFiles) -> SceneFiles:
    """Name files as workers in other folders find them."""

    def named(words: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(Path(word).resolve()) if Path(word).is_file() else word for word in words)

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
) -> list[tuple[Row, tuple[Any, ...]]]:
    """Run all methods on one scene, on a worker."""
    from ...tasks import evaluate

    found: list[tuple[Row, tuple[Any, ...]]] = []

    def note(row: Row, *images: Any) -> None:
        found.append((row, images if pictures else (None,) * len(images)))

    evaluate(
        [scene], task, methods, dictionary=dictionary, weights_file=weights_file, seed=seed,
        each=note, **how,
    )  # fmt: skip
    return found
