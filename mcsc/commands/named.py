"""Options whose words are names out of tables: tasks, solvers, fusion rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..solvers import SOLVERS
from ..tasks.task import TASKS
from ..types import Kind

__all__ = ["Listed", "ListedOption", "rule_names", "rule_option", "solver", "task"]

if TYPE_CHECKING:
    _Name = click.ParamType[str]
else:  # not generic in older versions
    _Name = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])


class Listed(_Name):
    """A name out of a table, which is read when a word is looked at or --help is shown.

    Parameters
    ----------
    names : callable
        Returns the names.
    has : callable, optional
        Whether a word is one of them: entries of other names need not be loaded to tell it.
    """

    name = "name"

    def __init__(
        self, names: Callable[[], Iterable[str]], has: Callable[[str], bool] | None = None
    ) -> None:
        self.names, self.has = names, has

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or refuse it."""
        if self.has is not None and self.has(value):
            return str(value)
        names = list(self.names())
        if value not in names:
            self.fail(f"{value!r} is not one of {', '.join(map(repr, names))}.", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so."""
        return [CompletionItem(n) for n in self.names() if n.startswith(incomplete)]


class ListedOption(click.Option):
    """An option in whose help ``{names}`` stands for the names of a table, read by need.

    Parameters
    ----------
    names : callable
        Returns what is to stand there.
    """

    def __init__(self, *args: Any, names: Callable[[], str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.listed = names

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the words of the option and its help."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        return record[0], record[1].replace("{names}", self.listed())


def task(help: str, kind: Kind | None = None) -> Callable[[F], F]:
    """Return the option --task; `kind` limits what it takes."""

    def names() -> list[str]:
        return [n for n, t in TASKS.available().items() if kind in (None, t.kind)]

    def has(name: str) -> bool:
        return name in TASKS and kind in (None, TASKS.find(name).kind)

    return click.option(
        "--task",
        "task_name",
        metavar="TASK",
        cls=ListedOption,
        type=Listed(names, has),
        names=lambda: ", ".join(names()),
        required=True,
        help=help,
    )


def _solvers() -> list[str]:
    return ["auto", *SOLVERS]


solver = click.option(
    "--method",
    metavar="NAME",
    cls=ListedOption,
    type=Listed(_solvers),
    names=lambda: ", ".join(_solvers()),
    default="auto",
    show_default=True,
    help="Solver: one of {names}; all reach the same optimum, in different times.",
)


def rule_names() -> list[str]:
    """Return the names of all fusion rules."""
    from ..fusion.rules import RULES

    return list(RULES)


def _rule_words() -> str:
    from ..fusion.rules import RULES

    return "; ".join(f"{name}, {rule.words}" for name, rule in RULES.available().items())


rule_option = click.option(
    "--rule",
    metavar="RULE",
    cls=ListedOption,
    type=Listed(rule_names),
    names=_rule_words,
    help="Fusion rule, by which the parts become one image: {names}. What a network (--method "
    "cunet) makes of two sources is the image by the rule sum; by choose, detail and activity it "
    "says which source is taken where.  [default: the dictionary's, or the task's]",
)
