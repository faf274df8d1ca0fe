"""Options that commands share, and the types of their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import InvalidTypeError
from ..solvers.front import METHODS

F = TypeVar("F", bound=Callable[..., Any])

LAM_RELATIVE = 0.02
STRENGTH = 5.0


class Sectioned(click.Command):
    """A command whose --help lists its options under headings.

    Parameters
    ----------
    sections : mapping of str to sequence of str
        Names of parameters by heading, in the order they are listed. The others come last, under
        "Options", where --help is.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        unknown = {n for names in sections.values() for n in names} - {p.name for p in self.params}
        if unknown:
            raise InvalidTypeError(f"{self.name} has no parameters {', '.join(sorted(unknown))}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        found = {p.name: p.get_help_record(ctx) for p in options}
        headings = [(title, [found.pop(name) for name in n]) for title, n in self.sections.items()]
        for title, records in [*headings, ("Options", list(found.values()))]:
            shown = [record for record in records if record is not None]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)


method = click.option(
    "--method",
    type=click.Choice(["auto", *METHODS]),
    default="auto",
    show_default=True,
    help="Solver; all reach the same optimum, in different times.",
)
tol = click.option(
    "--tol",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Certified relative duality gap to stop at.",
)


sigma = click.option(
    "--sigma",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="flash-denoise: standard deviation of the noise, of 255.  [default: 50]",
)


def seed(of: str) -> Callable[[F], F]:
    """Return the option --seed; `of` says of what."""
    return click.option(
        "--seed",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help=of,
    )


def out(default: str) -> Callable[[F], F]:
    """Return the option --out."""
    return click.option(
        "--out",
        metavar="DIR",
        type=click.Path(path_type=Path),
        default=Path(default),
        show_default=True,
        help="Folder for what is written; made if it is missing. Files in it are replaced.",
    )


def numbers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Callback: numbers > 0 separated by commas."""
    if value is None:
        return None
    try:
        found = tuple(float(word) for word in value.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < number < float("inf") for number in found):
        raise click.BadParameter(
            f"{value!r} is not a number > 0, or several separated by commas", ctx, param
        )
    return found


def masks(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[int, str]:
    """Callback: ``[N=]WHAT`` as the index of an image, from 0, and what is unknown in it."""
    found: dict[int, str] = {}
    for text in value:
        parts = re.fullmatch(r"(\d{1,9})=(.+)", text, re.DOTALL)
        number, word = (int(parts[1]), parts[2]) if parts else (1, text)
        if number < 1:
            raise click.BadParameter(f"{text!r}: images are counted from 1", ctx, param)
        if number - 1 in found:
            raise click.BadParameter(f"two masks for image {number}", ctx, param)
        found[number - 1] = word
    return found
