"""The second half of `mcsc demo`: super-resolution of the disparity map."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from ...figures.drawing import save_figure
from ...figures.report import Report, SceneReport, write_report
from ...figures.restorations import restoration_figure
from ...images.files import write_image
from ...images.resize import imresize
from ...images.samples import Pair
from ...images.split import fill_nearest
from ...quality.measures import MEASURES
from ...tasks import get_task, restore
from ..report import settings_of


def show_restoration(out: Path, pair: Pair, tol: float) -> bool:
    """Reduce the disparity by 4, restore it with the photograph, and write what came out.

    Errors are over the measured pixels; holes are filled from the nearest one beforehand, because
    the reduction mixes neighbours.

    Returns
    -------
    bool
        Whether the codes are certified to `tol`.
    """
    task = get_task("depth-sr")
    truth, guide, mask = task.cropped(fill_nearest(pair.x, pair.mask), pair.guide_rgb, pair.mask)
    known = mask[0] > 0
    x = task.degrade(truth)
    height, width = truth.shape[1:]
    # What a user would have: the small map, and the photograph.
    write_image(out / "small.png", imresize(truth, (height // 4, width // 4)), bit_depth=16)
    write_image(out / "photograph.png", guide, bit_depth=8)
    found = restore(x, guide, task, tol=tol)
    assert found.common is not None
    assert found.unique is not None

    measures = [MEASURES["RMSE"], MEASURES["PSNR"]]

    def numbers(image: Any) -> dict[str, float]:
        return {m.name: m.function(image[..., known], truth[..., known]) for m in measures}

    table = {"bicubic": numbers(x), "mcsc": numbers(found.image)}
    save_figure(
        restoration_figure(
            ("bicubic, ×4", x), ("restored", found.image), ("photograph", guide), found.common,
            found.unique, truth, known,
        ),
        out / "restoration.png",
    )  # fmt: skip
    scene = SceneReport(
        name="Motorcycle",
        inputs=[("disparity, reduced by 4 and enlarged again", x), ("photograph", guide)],
        before=("bicubic", x),
        after=("restored", found.image),
        truth=("measured, holes filled", truth),
        known=known,
        split=[("common part", found.common), ("unique part of x", found.unique)],
        numbers=table,
    )
    text = (
        "The measured disparity was reduced by 4 along each axis and enlarged again (bicubic); "
        "the model restored it with the photograph as guide. RMSE is in grey levels of 255, over "
        f"the measured pixels. {pair.description}"
    )
    settings = settings_of(found, task)
    write_report(out / "report.html", Report(task.title, [scene], text, measures, settings))
    before, after = table["bicubic"]["RMSE"], table["mcsc"]["RMSE"]
    change = f"{100 * abs(1 - after / before):.0f} % {'less' if after < before else 'more'}"
    click.echo(
        "\n"
        + click.wrap_text(
            "Reduced by 4 and restored with the photograph, the disparity has a root mean square "
            f"error of {after:.2f} grey levels of 255: {change} than the {before:.2f} of bicubic "
            f"interpolation. This took {found.seconds:.1f} seconds."
        )
    )
    click.echo(f"\nWritten to {out}:\n  restoration.png  report.html  small.png  photograph.png")
    words = ["mcsc", "restore", str(out / "small.png"), str(out / "photograph.png")]
    words += ["--task", task.name, "-o", str(out / "restored.png")]
    click.echo(f"\nThe same can be computed from these files:\n  {shlex.join(words)}")
    return found.converged
