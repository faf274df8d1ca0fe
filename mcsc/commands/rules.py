"""The option that names a fusion rule."""

from __future__ import annotations

import click

from .options import Listed, ListedOption

__all__ = ["rule_option"]


def _rule_names() -> list[str]:
    from ..fusion.rules import RULES

    return list(RULES)


def _rule_words() -> str:
    from ..fusion.rules import RULES

    return "; ".join(f"{name}, {rule.words}" for name, rule in RULES.available().items())


rule_option = click.option(
    "--rule",
    metavar="RULE",
    cls=ListedOption,
    type=Listed(_rule_names),
    names=_rule_words,
    help="Fusion rule, by which the parts become one image: {names}. What a network (--method "
    "cunet) makes of two sources is the image by the rule sum; by choose and detail it says which "
    "source is taken where.  [default: the dictionary's, or the task's]",
)
