"""`mcsc evaluate`: methods on the scenes of a folder, in a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import InvalidValueError
from ..tasks.task import TASKS
from ..types import Device
from ..values.ranges import ValueRange, quantised
from ..words import percent
from . import options
from .batch import check_cluster, cluster_options
from .named import ListedOption, rule_option
from .named import task as task_option
from .sources import files_read


def _method_names() -> str:
    from ..tasks.methods import method_names

    return ", ".join(dict.fromkeys(n for t in TASKS.available().values() for n in method_names(t)))


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@task_option("Task: one of {names}.")
@click.option(
    "--method",
    "methods",
    metavar="NAME",
    multiple=True,
    callback=options.listed_names,
    cls=ListedOption,
    names=_method_names,
    help="Method to measure: {names}; each task has some of them. Repeat the option, or separate "
    "names by commas.  [default: the baselines and mcsc]",
)
@click.option(
    "--scenes",
    metavar="NAMES",
    callback=options.listed_names,
    help="Names of the scenes of DIR to measure, separated by commas.  [default: all]",
)
@options.mask_option("the first image of every scene, or with '2=' of the second", "2=")
@options.range_option(
    "all images or, given twice, in the first and in the second image", result=False
)
@options.sigma
@options.seed("Seed of the noise that is added to the images.")
@options.task_dictionary
@options.weights_file
@options.tol_of_images
@options.max_iter(", for every scene, or tile of a large one")
@options.device
@options.orientations
@rule_option
@click.option(
    "--csv",
    "csv_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="CSV file to write the table to.",
)
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON file to write all measures, settings and versions to.",
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder to which every image that a method makes is written, in 8 bits; depth in 16 bits, "
    "of which black and white are the ends of its range.",
)
@click.option(
    "--report",
    metavar="FILE.html",
    type=click.Path(path_type=Path),
    help="HTML page to write, which shows the images in a browser.",
)
@click.option(
    "--out",
    "-o",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder to keep what was measured of each scene, by worker processes: the same command "
    "measures only what is missing there.",
)
@cluster_options("measure a scene each", "none; with --out one for each core")
@click.pass_context
def evaluate(
    ctx: click.Context,
    folder: Path,
    task_name: str,
    methods: list[str] | None,
    scenes: list[str] | None,
    masks: dict[int, tuple[str, ...]],
    ranges: tuple[ValueRange, ...],
    sigma: float | None,
    seed: int,
    dictionary: Path | None,
    weights_file: Path | None,
    tol: float,
    max_iter: int | None,
    device: Device,
    orientations: int | None,
    rule: str | None,
    csv_path: Path | None,
    json_path: Path | None,
    images: Path | None,
    report: Path | None,
    out: Path | None,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Measure methods on the scenes of a folder or of a table.

    DIR is a folder of scenes, with two images of each, called SCENE_ROLE.EXT with the roles that
    `mcsc learn --help` lists, or a CSV file with the columns x and guide, or with a column for each
    role.
    For a restoration, the first image of a scene is the true image, and the input is made from it;
    the root mean square error (RMSE) is in grey levels of 255 and taken over all known pixels. For
    a fusion, no true image is needed.

    All files are checked before any work. A scene that cannot be read or measured is named and left
    out. Rows are written as they are computed, and those that are there are kept after Ctrl-C.

    \b
    mcsc evaluate --task depth-sr photos/ --mask zeros --csv table.csv
    mcsc evaluate --task depth-sr photos/ --workers 2 --out measured/
    mcsc evaluate --task depth-sr scenes.csv --method bicubic,mcsc

    Exit status: 0 if all scenes were measured, 1 if a scene was left out, 2 if the input was
    refused, 130 if it was interrupted.
    """  # noqa: D301  (click wants the backspace itself)
    from ..images.files import write_samples
    from ..tasks import Evaluation, get_task
    from ..tasks import evaluate as run
    from ..tasks.methods import check_device, check_method_takes, check_rule, methods_by_name
    from ..tasks.scenes import find_scenes, look_at_scenes
    from .destinations import check_destinations

    options.check_counts(masks, ranges, 2)
    task = get_task(task_name)
    task.check_sigma(sigma, "--sigma")
    if task.sigma is None and options.was_given(ctx, "seed"):
        raise click.UsageError(f"--seed is for the noise of denoising: {task.name} has none")
    if report is not None and report.suffix.lower() not in (".html", ".htm"):
        raise InvalidValueError(f"--report {report}: pages are HTML; want a name ending in .html")
    chosen = methods_by_name(methods, task, dictionary=dictionary, weights_file=weights_file)
    options.refuse_idle(ctx, chosen, ("tol", "max_iter", "device", "orientations", "rule"))
    for one in chosen.values():
        check_device(one, device)
        check_rule(one, 2, rule)
    check_cluster(scheduler, workers)
    faults: dict[str, str] = {}
    files = find_scenes(folder, task, scenes, faults=faults)
    count = len(files) + len(faults)
    check_destinations(
        {"--csv": csv_path, "--json": json_path, "--report": report},
        folders={"--images": images, "--out": out},
        inputs=files_read(files),
    )

    def for_methods(*images: Any) -> None:
        for name, one in chosen.items():
            check_method_takes(one, name, task, images[:2])

    found, unreadable = look_at_scenes(
        files, masks=(masks.get(0, ()), masks.get(1, ())), ranges=ranges,
        measured=not task.display, check=for_methods,
    )  # fmt: skip
    faults |= unreadable
    if not found and len(reasons := set(faults.values())) == 1:
        raise InvalidValueError(f"{folder}: {' '.join(reasons.pop().split())}")
    for name, reason in faults.items():
        _left_out(name, reason)
    if not found:
        raise InvalidValueError(f"{folder}: no scene can be read and measured")
    for which, role in (("first", 0), ("second", 1)):
        for values in dict.fromkeys(f.ranges[role] for f in found):
            if values not in options.PLAIN_RANGES:
                click.echo(options.range_words(f"{which} images", values))
    table = Evaluation(task.name, tuple(m.name for m in task.measures))
    pictures: list[Any] = []
    cut_off: dict[str, float] = {}
    width = max(len(n) for n in ("method", *chosen))
    longest = max(len(n) for n in ("scene", "mean", *(s.name for s in found)))
    head = "  ".join(f"{m.name:>9}" for m in task.measures)
    click.echo(f"{'scene':<{longest}}  {'method':<{width}}  {head}  {'seconds':>8}")

    def line(scene: str, method: str, values: dict[str, float], seconds: float) -> None:
        numbers = "  ".join(f"{values[m.name]:>9.{m.digits}f}" for m in task.measures)
        click.echo(f"{scene:<{longest}}  {method:<{width}}  {numbers}  {seconds:>8.2f}")

    def write_tables() -> None:
        if csv_path is not None:
            table.write_csv(csv_path)
        if json_path is not None:
            from .info import versions

            table.write_json(
                json_path,
                sigma=level,
                seed=seed,
                tol=tol,
                max_iter=max_iter,
                orientations=orientations,
                rule=rule,
                versions=versions(),
                left_out=faults,
            )

    def each(row: Any, x: Any, y: Any, image: Any, truth: Any) -> None:
        table.rows.append(row)
        write_tables()
        line(row.scene, row.method, row.measures, row.seconds)
        if images is not None:
            # Of any number of bands. What is measured, not shown, is kept in more steps.
            suffix = "png" if len(image) in (1, 3) else "tif"
            dtype, white = (np.uint8, 255) if task.display else (np.uint16, 65535)
            samples, cut = quantised(image * white, dtype)
            write_samples(images / f"{row.scene}_{row.method}.{suffix}", samples)
            if cut:
                cut_off[f"{row.scene}_{row.method}"] = cut
        if report is not None:
            pictures.append((row, x, y, image, truth))

    def skip(name: str, error: Exception) -> None:
        faults[name] = str(error)
        _left_out(name, faults[name])

    def warn_once(name: str, reason: str) -> None:
        if told.is_new(f"scene {name}: {reason}"):
            _warn(name, reason)

    told = _OncePerKind([f.name for f in found])
    level = task.sigma if sigma is None else sigma
    if scheduler is None and workers is None and out is None:
        with told.shown():
            result = run(
                found, task, chosen, sigma=sigma, tol=tol, max_iter=max_iter, device=device,
                orientations=orientations, rule=rule, seed=seed, each=each, skip=skip,
            )  # fmt: skip
        stopped = result.stopped
    else:
        from .batch.scores import evaluate_on_workers

        stopped = evaluate_on_workers(
            found, task.name, list(chosen), each, skip, warn_once, out=out,
            settings={
                "data": str(folder.resolve()),
                # Of all scenes together; and noise goes by their numbers.
                "ranges": [sorted({v.words for f in found if (v := f.ranges[r])}) for r in (0, 1)],
                "masks": {str(number): list(words) for number, words in masks.items()},
                "scenes": [f.name for f in found] if level is not None else [],
            },
            scheduler=scheduler, workers=workers,
            pictures=images is not None or report is not None, seed=seed, dictionary=dictionary,
            weights_file=weights_file, sigma=sigma, tol=tol, max_iter=max_iter, device=device,
            orientations=orientations, rule=rule,
        )  # fmt: skip
        # Scenes ended in another order.
        order = {f.name: n for n, f in enumerate(found)}
        table.rows.sort(key=lambda row: order[row.scene])
        pictures.sort(key=lambda given: order[given[0].scene])
    told.tell()
    table = replace(table, stopped=stopped)
    click.echo()
    for method in table.methods():
        line("mean", method, table.mean(method), table.seconds(method))
    write_tables()
    if report is not None and pictures:
        from .report import report_of_evaluation

        report_of_evaluation(report, task, table, pictures)
    if cut_off:
        most = max(cut_off, key=cut_off.__getitem__)
        _warn_of(
            f"in {len(cut_off)} of the files in {images} values beyond black or white were cut "
            f"off, in {most} {percent(cut_off[most])} of them"
        )
    if stopped == "interrupted":
        click.echo(f"mcsc: interrupted; {len(table.rows)} rows were done and are kept", err=True)
        ctx.exit(130)
    if faults:
        left = ", ".join(faults)
        click.echo(f"mcsc: {len(faults)} of {count} scenes were left out: {left}", err=True)
        ctx.exit(1)


class _OncePerKind:
    """Shows a warning that comes with every scene once, and counts the others.

    Two are of one kind if they differ in names of scenes and in numbers alone.
    """

    def __init__(self, names: Sequence[str]) -> None:
        # The longest first: of "a" and "ab", the second is not the first and a letter.
        listed = sorted(map(re.escape, names), key=len, reverse=True)
        self._parts = re.compile(rf"(?<!\w)(?:{'|'.join(listed)}|\d[\d.]*(?:e[-+]\d+)?)(?!\w)")
        self._first: dict[str, str] = {}
        self._more: dict[str, int] = {}

    def is_new(self, message: str) -> bool:
        kind = self._parts.sub("*", message)
        if kind not in self._first:
            self._first[kind] = message
            return True
        self._more[kind] = self._more.get(kind, 0) + 1
        return False

    def tell(self) -> None:
        """Say how many were not shown."""
        for kind, more in self._more.items():
            again = "once more" if more == 1 else f"{more} more times"
            _warn_of(f"{again}, of other scenes or methods: {self._first[kind]}")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let only the first warning of a kind through."""
        with warnings.catch_warnings():
            # What Python itself would show once in a process is counted, too.
            warnings.simplefilter("always", UserWarning)
            show = warnings.showwarning

            def counted(message: Any, category: Any, *where: Any, **others: Any) -> None:
                if not issubclass(category, UserWarning) or self.is_new(str(message)):
                    show(message, category, *where, **others)

            warnings.showwarning = counted
            yield


def _left_out(name: str, reason: str) -> None:
    _warn(name, f"is left out: {reason}", "")


def _warn(name: str, reason: str, mark: str = ":") -> None:
    _warn_of(f"scene {name}{mark} {' '.join(reason.split())}")


def _warn_of(words: str) -> None:
    click.echo(f"mcsc: warning: {words}", err=True)
