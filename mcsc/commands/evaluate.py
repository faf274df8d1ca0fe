"""`mcsc evaluate`: methods on the scenes of a folder, in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import InvalidValueError
from ..tasks.task import TASKS
from ..types import Device
from . import options


def _method_names() -> str:
    from ..tasks.methods import method_names

    return ", ".join(dict.fromkeys(n for t in TASKS.available().values() for n in method_names(t)))


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="DIR", type=click.Path(path_type=Path), help="The same as DIR.")
@options.task()
@click.option(
    "--method",
    "methods",
    metavar="NAME",
    multiple=True,
    cls=options.ListedOption,
    names=_method_names,
    help="{names}; a task has some of them. Repeat it, or separate names by commas.  [default: the "
    "baselines and mcsc]",
)
@click.option("--scenes", metavar="NAMES", help="These scenes only, separated by commas.")
@options.sigma
@options.seed("Of the noise.")
@click.option(
    "--dictionary",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Of mcsc.  [default: the task's]",
)
@click.option(
    "--weights",
    "weights_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Of a method of another package.  [default: those that come with it]",
)
@options.tol_of_images
@options.device
@click.option(
    "--csv", "csv_path", metavar="FILE", type=click.Path(path_type=Path), help="Write the table."
)
@click.option(
    "--json", "json_path", metavar="FILE", type=click.Path(path_type=Path), help="Write everything."
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write every image that a method makes.",
)
@click.option(
    "--report",
    metavar="FILE.html",
    type=click.Path(path_type=Path),
    help="A page with the pictures, to be opened in a browser.",
)
def evaluate(
    folder: Path | None,
    data: Path | None,
    task_name: str,
    methods: tuple[str, ...],
    scenes: str | None,
    sigma: float | None,
    seed: int,
    dictionary: Path | None,
    weights_file: Path | None,
    tol: float,
    device: Device,
    csv_path: Path | None,
    json_path: Path | None,
    images: Path | None,
    report: Path | None,
) -> None:
    """Measure methods on the scenes in DIR.

    Restoration: the first image of a scene is the truth, the input is made from it; RMSE is of 255,
    over the whole image. Fusion: no truth is needed. Ctrl-C writes the table as far as it is, and
    ends with status 130.

    \b
    mcsc evaluate --task depth-sr photos/ --method bicubic,mcsc
    """  # noqa: D301  (click wants the backspace itself)
    if (folder is None) == (data is None):
        raise click.UsageError("want one folder of scenes")
    from ..images.files import write_image
    from ..tasks import evaluate as run
    from ..tasks import find_scenes, get_task
    from ..tasks.methods import methods_by_name
    from .outputs import make_folder

    task = get_task(task_name)
    path = folder if data is None else data
    assert path is not None
    found = find_scenes(path, task, scenes.split(",") if scenes else None)
    names = [word.strip() for entry in methods for word in entry.split(",")] or None
    chosen = methods_by_name(names, task, dictionary=dictionary, weights_file=weights_file)
    if images is not None:
        make_folder(images)
    for target in (csv_path, json_path, report):
        if target is not None and not target.resolve().parent.is_dir():
            raise InvalidValueError(f"{target}: there is no folder {target.resolve().parent}")
    pictures: list[Any] = []
    width = max(len(n) for n in ("method", *chosen))
    longest = max(len(n) for n in ("scene", "mean", *(s.name for s in found)))
    head = "  ".join(f"{m.name:>9}" for m in task.measures)
    click.echo(f"{'scene':<{longest}}  {'method':<{width}}  {head}  {'seconds':>8}")

    def line(scene: str, method: str, values: dict[str, float], seconds: float) -> None:
        numbers = "  ".join(f"{values[m.name]:>9.{m.digits}f}" for m in task.measures)
        click.echo(f"{scene:<{longest}}  {method:<{width}}  {numbers}  {seconds:>8.2f}")

    def each(row: Any, x: Any, y: Any, image: Any, truth: Any) -> None:
        line(row.scene, row.method, row.measures, row.seconds)
        if images is not None:
            # Of any number of bands.
            suffix = "png" if len(image) in (1, 3) else "tif"
            write_image(images / f"{row.scene}_{row.method}.{suffix}", image, bit_depth=8)
        if report is not None:
            pictures.append((row, x, y, image, truth))

    result = run(found, task, chosen, sigma=sigma, tol=tol, device=device, seed=seed, each=each)
    click.echo()
    for method in result.methods():
        line("mean", method, result.mean(method), result.seconds(method))
    if csv_path is not None:
        result.write_csv(csv_path)
    if json_path is not None:
        from .info import versions

        level = task.sigma if sigma is None else sigma
        result.write_json(json_path, sigma=level, seed=seed, tol=tol, versions=versions())
    if report is not None and pictures:
        from .report import report_of_evaluation

        report_of_evaluation(report, task, result, pictures)
    if result.stopped == "interrupted":
        click.get_current_context().exit(130)
