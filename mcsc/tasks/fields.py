"""What the fields of a task may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ..checks import is_number, what_is
from ..errors import InvalidTypeError, InvalidValueError
from ..types import Kind

__all__ = ["check_names", "check_pair", "check_roles", "check_settings", "words_of"]


def check_roles(what: str, roles: object, kind: Kind) -> None:
    """Refuse what does not tell the files of x and of y."""
    both = isinstance(roles, tuple) and len(roles) == 2
    if not both or not all(
        isinstance(role, tuple) and role and all(isinstance(n, str) and n for n in role)
        for role in cast("tuple[object, ...]", roles)
    ):
        raise InvalidTypeError(
            f"{what} must be two tuples of endings of file names, as (('depth',), ('rgb',)); "
            f"found {roles!r}"
        )
    names = [name for role in cast("tuple[tuple[str, ...], ...]", roles) for name in role]
    _refuse_twice(what, names)
    for name in names:
        if "/" in name or "\\" in name:
            raise InvalidValueError(f"{what}: {name!r} is no ending of the name of a file")
    if kind == "fusion" and "target" in names:
        raise InvalidValueError(
            f"{what}: SCENE_target is the image that is to be made, 'target' no role of a source"
        )


def words_of(what: str, given: object) -> tuple[str, ...]:
    """Return words as a tuple; refuse what are none, and a word that stands there twice."""
    listed = isinstance(given, tuple | list)
    if not listed or not all(isinstance(n, str) and n for n in cast("tuple[object]", given)):
        raise InvalidTypeError(
            f"{what} must be a tuple of names, as ('PSNR',) of one; found {what_is(given)}"
        )
    found = tuple(cast("tuple[str, ...]", given))
    _refuse_twice(what, found)
    return found


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InvalidValueError(f"{what} names {twice[0]!r} twice")


def check_settings(what: str, baselines: object) -> None:
    """Refuse what are no settings of baselines."""
    if not isinstance(baselines, Mapping) or not all(
        isinstance(settings, Mapping) and all(is_number(v) for v in settings.values())
        for settings in baselines.values()
    ):
        raise InvalidTypeError(
            f"{what} must map names to mappings of numbers, as "
            f"{{'guided-filter': {{'radius': 3}}}}; found {baselines!r}"
        )


def _require(what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise InvalidValueError(f"{what} must be one of {', '.join(names)}; found {name!r}")


def check_names(task: Any) -> None:
    """Refuse names, in the fields of a `Task`, that are in no table: see `Task.check_names`."""
    from ..baselines.table import BASELINES
    from ..quality.measures import MEASURES
    from ..synthetic.generate import NOISY, PAIR_NAMES, REDUCED

    def field(name: str) -> str:
        return f"{name} of the task {task.name}"

    if task.kind == "fusion":
        from ..fusion.rules import RULES

        _require(field("rule"), task.rule, RULES)
    for name in task.measured_by:
        _require(field("measured_by"), name, MEASURES)
        if MEASURES[name].kind != task.kind:
            raise InvalidValueError(
                f"{field('measured_by')}: {name} is for a {MEASURES[name].kind}"
            )
    for name, settings in task.baselines.items():
        _require(field("baselines"), name, BASELINES)
        baseline = BASELINES[name]
        if not baseline.serves(task.kind, task.factor):
            kind = f"a {baseline.kind}"
            if baseline.kind == task.kind:
                kind = f"{'' if baseline.super_resolution else 'other tasks than '}super-resolution"
            raise InvalidValueError(f"{field('baselines')}: {name} is for {kind}")
        has = baseline.settings
        for setting in settings:
            if has is not None and setting not in has:
                raise InvalidValueError(
                    f"{field('baselines')}: {name} has no setting {setting!r}; it has "
                    f"{', '.join(has) or 'none'}"
                )
    if isinstance(task.synthetic, str):
        _require(field("synthetic"), task.synthetic, PAIR_NAMES)
        of = "restoration" if task.synthetic in REDUCED + NOISY else "fusion"
        if of != task.kind:
            raise InvalidValueError(f"{field('synthetic')}: {task.synthetic} is for a {of}")


def check_pair(what: str, made: Any, shape: tuple[int, int], kind: Kind) -> None:
    """Refuse what is no synthetic pair of that height and width, made by what `what` names.

    Of a restoration x is not looked at: scenes make it of the target.
    """
    for name in ("y", "target") if kind == "restoration" else ("x", "y", "target"):
        image = getattr(made, name, None)
        if not isinstance(image, np.ndarray) or image.dtype.kind != "f":
            found = f"with {name} = {what_is(image)}" if hasattr(made, name) else what_is(made)
            raise InvalidTypeError(
                f"{what} must return a pair with x, y and target, arrays of floats (C, H, W), as "
                f"mcsc.synthetic.SyntheticPair has them; found {found}"
            )
        if image.ndim != 3 or image.shape[1:] != tuple(shape):
            raise InvalidValueError(
                f"{what} was asked for a pair of {shape[0]} x {shape[1]}, and returned {name} of "
                f"shape {image.shape}; want (C, {shape[0]}, {shape[1]})"
            )
