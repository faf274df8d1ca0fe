"""Options that commands share, and the types of their words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
import numpy as np
from click.core import ParameterSource

from ..errors import InvalidTypeError
from ..tasks.protocol import ORIENTATIONS, TOL, Method
from ..types import Device, Lam
from ..values.ranges import ValueRange

F = TypeVar("F", bound=Callable[..., Any])


class Sectioned(click.Command):
    """A command whose --help lists its options under headings.

    Parameters
    ----------
    sections : mapping of str to sequence of str
        Names of parameters by heading, in the order they are listed. The others come last, under
        "Options", where --help is.
    listed : callable, optional
        Returns what stands for ``{listed}`` in the help, read by need.
    """

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Sequence[str]],
        listed: Callable[[], str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections, self.listed = sections, listed
        unknown = {n for names in sections.values() for n in names} - {p.name for p in self.params}
        if unknown:
            raise InvalidTypeError(f"{self.name} has no parameters {', '.join(sorted(unknown))}")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does."""
        text = self.help
        if text is not None and self.listed is not None:
            self.help = text.replace("{listed}", self.listed())
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = text

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


def _tol(default: float) -> Callable[[F], F]:
    return click.option(
        "--tol",
        metavar="NUMBER",
        type=click.FloatRange(min=0, min_open=True, max=1, max_open=True),
        default=default,
        show_default=True,
        help="Certified relative duality gap to stop at.",
    )


tol = _tol(1e-3)
tol_of_images = _tol(TOL)
"""For restored and fused images, which change no more below it."""
device = click.option(
    "--device",
    type=click.Choice(get_args(Device)),
    default="auto",
    show_default=True,
    help="Where to compute: 'cuda' is the GPU. 'auto' computes where the images are, and images "
    "that are read from files are on the CPU.",
)
orientations = click.option(
    "--orientations",
    type=click.Choice([str(n) for n in ORIENTATIONS]),
    default=None,
    callback=lambda ctx, param, given: given and int(given),
    help="For the method cunet: number of orientations (quarter turns, mirrored for 8) in which "
    "the network looks at the images; the results are averaged. The time grows with this number, "
    "and the result is a little better."
    "  [default: 1]",
)
task_dictionary = click.option(
    "--dictionary",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Filters for the method mcsc, as `mcsc learn` wrote them.  [default: the task's, which "
    "come with mcsc]",
)
weights_file = click.option(
    "--weights",
    "weights_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File of weights for a method of another package, such as cunet.  [default: the weights "
    "that come with it]",
)
sigma = click.option(
    "--sigma",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Denoising: standard deviation of the noise, in grey levels of 255.  [default: the "
    "task's]",
)


def max_iter(of: str = "") -> Callable[[F], F]:
    """Return the option --max-iter; `of` says of which problem, where there are several."""
    return click.option(
        "--max-iter",
        metavar="N",
        type=click.IntRange(min=1),
        help=f"Largest number of iterations of the solver{of}.  [default: that of the solver]",
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
        help="Folder to write to. It is made if it does not exist; files in it are replaced.",
    )


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> Lam | None:
    """Callback: a number > 0, or several separated by commas."""
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
    return found[0] if len(found) == 1 else found


def squares(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Callback: a number >= 0, or several separated by commas."""
    if value is None:
        return None
    try:
        found = [float(word) for word in value.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= number < math.inf for number in found):
        raise click.BadParameter(
            f"{value!r} is not a number >= 0, or several separated by commas", ctx, param
        )
    return found[0] if len(found) == 1 else found


def term_options(command: F) -> F:
    """Add --mu and --nonnegative."""
    mu = click.option(
        "--mu",
        metavar="NUMBERS",
        callback=squares,
        help="Weight of half the squares of the codes (the elastic net): one number, or one for "
        "each group, as for --lam.",
    )
    nonnegative = click.option(
        "--nonnegative",
        metavar="GROUPS",
        help="Groups whose codes must not be negative: 'all', or some of common, x, y (x1, x2, ... "
        "of more images) separated by commas.",
    )
    return mu(nonnegative(command))


def chosen_groups(option: str, words: str, names: Mapping[str, str]) -> list[bool]:
    """Say of each group whether an option's words name it.

    Parameters
    ----------
    option : str
        As it is written on the command line.
    words : str
        "all", or names of groups separated by commas.
    names : mapping of str to str
        What the command line calls each group, in their order.
    """
    if words == "all":
        return [True] * len(names)
    wanted = [word.strip() for word in words.split(",")]
    unknown = [word for word in wanted if word not in names.values()]
    if unknown:
        raise click.UsageError(
            f"{option} {words}: there is no group {unknown[0]!r}; want 'all', or some of "
            f"{', '.join(names.values())}"
        )
    return [name in wanted for name in names.values()]


def names_of_groups(groups: Iterable[str], symbols: Sequence[str]) -> dict[str, str]:
    """Return what the command line calls the code groups: unique[0] is x."""
    spoken = {f"unique[{m}]": symbol for m, symbol in enumerate(symbols)}
    return {name: spoken.get(name, name) for name in groups}


PLAIN_RANGES = (None, ValueRange(), ValueRange(0, 255), ValueRange(0, 65535))
"""Those that nobody need be told of."""


def range_words(what: str, values: ValueRange) -> str:
    """Say what is done to values."""
    return f"{what}: values {values.low:.6g} to {values.high:.6g} are worked on as 0 to 1"


def unit_words(what: str, unit: float) -> str:
    """Say what the numbers of a result are, of which `unit` stands for 1 in the source."""
    verb = "are" if what.endswith("s") else "is"
    return f"{what} {verb} in " + ("that unit" if unit == 1 else f"shares of {unit:g}")


def listed_names(
    ctx: click.Context, param: click.Parameter, value: str | tuple[str, ...] | None
) -> list[str] | None:
    """Callback: names separated by commas, in one word or in several; None if it is not given."""
    words = (value,) if isinstance(value, str) else value or ()
    found = []
    for word in words:
        names = [name.strip() for name in word.split(",") if name.strip()]
        if not names:
            raise click.BadParameter(f"{word!r} names nothing", ctx, param)
        found += names
    return found or None


def lam_words(lam: Lam) -> str:
    """Return lam for people."""
    return ", ".join(f"{value:.3g}" for value in ((lam,) if isinstance(lam, float) else lam))


def masks(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[int, tuple[str, ...]]:
    """Callback: ``[N=]WHAT`` as the index of an image, from 0, and what is unknown in it."""
    found: dict[int, tuple[str, ...]] = {}
    for text in value:
        index, word = _numbered(text, ctx, param)
        found[index] = (*found.get(index, ()), word)
    return found


def check_counts(
    masks: Mapping[int, Sequence[str]],
    ranges: Sequence[object],
    count: int,
    parts: Mapping[str, Mapping[int, Any]] | None = None,
) -> None:
    """Refuse masks and parts of images that are not there, and another number of ranges.

    And words of --mask that are none.
    """
    for option, given in (parts or {}).items():
        if given and max(given) >= count:
            raise click.UsageError(f"{option} is for image {max(given) + 1}, there are {count}")
    if masks and max(masks) >= count:
        raise click.UsageError(f"--mask is for image {max(masks) + 1}, there are {count}")
    if len(ranges) not in (0, 1, count):
        raise click.UsageError(
            f"--range is given {len(ranges)} times for {count} images; want it once, or once for "
            "each"
        )
    if masks:
        from ..values.masks import check_words

        for words in masks.values():
            check_words(words)


def numbered(text: str) -> tuple[int, str]:
    """``[N=]WHAT`` as the number of an image, counted from 1, and the rest."""
    parts = re.fullmatch(r"(\d{1,9})=(.+)", text, re.DOTALL)
    return (int(parts[1]), parts[2]) if parts else (1, text)


def _numbered(text: str, ctx: click.Context, param: click.Parameter) -> tuple[int, str]:
    """``[N=]WHAT`` as the index of an image, from 0, and the rest."""
    number, word = numbered(text)
    if number < 1:
        raise click.BadParameter(f"{text!r}: images are counted from 1", ctx, param)
    return number - 1, word


def _once_each(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[int, str]:
    found: dict[int, str] = {}
    for text in value:
        index, word = _numbered(text, ctx, param)
        if index in found:
            raise click.BadParameter(f"given twice for image {index + 1}", ctx, param)
        found[index] = word
    return found


def _pages(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[int, int]:
    found = _once_each(ctx, param, value)
    for word in found.values():
        if not re.fullmatch(r"\d{1,9}", word) or int(word) < 1:
            raise click.BadParameter(f"{word!r} is not a page, counted from 1", ctx, param)
    return {index: int(word) for index, word in found.items()}


def part_options(command: F) -> F:
    """Add --page and --variable: which image of a file that holds several."""
    page = click.option(
        "--page",
        "pages",
        metavar="[N=]PAGE",
        callback=_pages,
        multiple=True,
        help="Page of image N (X if N is left out), counted from 1: one picture of a TIFF file "
        "with several, one slice of a NIfTI volume, one channel of a .npy array.",
    )
    variable = click.option(
        "--variable",
        "variables",
        metavar="[N=]NAME",
        callback=_once_each,
        multiple=True,
        help="Name of the variable of a MATLAB file, or of the channel of an OpenEXR file, that "
        "is image N.  [default: the only one]",
    )
    return page(variable(command))


def mask_option(of: str, numbered: str = "N=") -> Callable[[F], F]:
    """Return the option --mask; `of` says of which images."""
    return click.option(
        "--mask",
        "masks",
        metavar=f"[{numbered}]WHAT",
        callback=masks,
        multiple=True,
        help=f"Unknown pixels of {of}: 'zeros' (0, as a depth camera writes), 'nan' (NaN and "
        "infinite values), 'nodata' (the value that a GeoTIFF file declares), 'alpha' "
        "(transparent pixels), a number (pixels of that value), or a mask file, black where "
        "unknown. Repeat the option for several kinds. Unknown pixels have weight 0 and are "
        "filled.",
    )


def range_option(of: str, *, result: bool = True) -> Callable[[F], F]:
    """Return the option --range; `of` says whose values, `result` whether an image is made."""
    unit = " The result is in the same unit." if result else ""
    return click.option(
        "--range",
        "ranges",
        metavar="LOW HIGH",
        nargs=2,
        type=float,
        multiple=True,
        callback=_ranges,
        help=f"The two values that stand for black and white in {of}, in the unit of the file: "
        f"metres, millimetres, counts.{unit}  [default: 0 255 for 8 bits; otherwise found from "
        "the values]",
    )


def _ranges(
    ctx: click.Context, param: click.Parameter, given: tuple[tuple[float, float], ...]
) -> tuple[ValueRange, ...]:
    for low, high in given:
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise click.BadParameter(
                f"{low:g} {high:g}: want two finite numbers, the first below the second", ctx, param
            )
        if not ValueRange(low, high).fits(np.float32):
            raise click.BadParameter(
                f"{low:g} {high:g}: is too wide a range to compute with", ctx, param
            )
    return tuple(ValueRange(*pair) for pair in given)


def was_given(ctx: click.Context, name: str) -> bool:
    """Whether an option was given, even by its usual value."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_idle(
    ctx: click.Context,
    methods: Mapping[str, Method],
    names: Sequence[str],
) -> None:
    """Refuse options that were given, even by their usual values, and that no method has."""
    for name in names:
        if was_given(ctx, name) and not any(name in method.options for method in methods.values()):
            listed = ", ".join(methods)
            if len(methods) == 1:
                raise click.UsageError(f"the method {listed} has no option {name}")
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for none of these methods: {listed}"
            )
