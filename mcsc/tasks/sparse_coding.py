"""The method of this package: restoration and fusion by the model (Eqs. 3 to 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ..errors import InvalidValueError
from ..images.colour import ycbcr
from ..images.enlarging import back_project
from ..images.split import lowpass_split
from ..model.dictionary import Dictionary
from ..model.lam import plain_lam
from ..solvers.driver import deferred_interrupt
from ..solvers.front import solve
from ..solvers.result import Stop
from ..types import Base, Floats, Lam
from .coding import Coded, CodingOptions, SolverFunction, code
from .preparation import Prepared, prepare_restoration
from .protocol import MethodResult
from .rules import RULES, Blend, CodedPair, Rule
from .shipped import shipped_dictionary
from .task import Task

__all__ = ["SparseCoding", "checked_lam", "lam_of", "prepare_for_dictionary"]

_CODING = frozenset({"lam", *CodingOptions.__annotations__})


class SparseCoding:
    """The model with a dictionary, as a `Method`.

    Parameters
    ----------
    task : Task
        Preprocessing; what the dictionary's metadata say has precedence.
    dictionary : Dictionary, optional
        As `mcsc.learn` or ``mcsc learn`` made it for the task. Default: the one that comes with
        the package. For a fusion, of two signals of one channel.
    solver : callable
        What makes the codes, called as `mcsc.solve` is: another method, or an approximation.

    Raises
    ------
    ValueError
        No dictionary comes with the task, or this one is not for two images.
    """

    name = "mcsc"

    def __init__(
        self, task: Task, dictionary: Dictionary | None = None, *, solver: SolverFunction = solve
    ) -> None:
        self.task = task
        self.dictionary = shipped_dictionary(task.name) if dictionary is None else dictionary
        self.solver = solver
        fusion = task.kind == "fusion"
        if fusion and self.dictionary.channels != (1, 1):
            raise InvalidValueError(
                "fusion codes the lumas of two images: want a dictionary of channels (1, 1), found "
                f"{self.dictionary.channels}"
            )
        if self.dictionary.n_signals != 2:
            raise InvalidValueError(
                "restoration needs a dictionary of 2 signals, this one has "
                f"{self.dictionary.n_signals}"
            )
        self.options = _CODING | (
            {"rule"} if fusion else {"mask", "guide_mask", "known_shape", "sigma"}
        )

    def __call__(self, *images: Floats, **options: Any) -> MethodResult:
        """Restore or fuse; see `Method`."""
        if self.task.kind == "fusion":
            return self.fuse(images, **options)
        return self.restore(*images, **options)

    def restore(
        self,
        x: Floats,
        y: Floats,
        *,
        mask: Floats | None = None,
        guide_mask: Floats | None = None,
        known_shape: tuple[int, int] | None = None,
        sigma: float | None = None,
        lam: Any = None,
        **how: Unpack[CodingOptions],
    ) -> MethodResult:
        """Restore x with the guide y; arguments as in `Method`.

        Notes
        -----
        Unknown pixels weigh nothing in the codes. What fills them is the low-pass part and the
        detail that the codes give.

        A super-resolved image z must give the known x when it is reduced and enlarged again. The
        model does not know that; afterwards it is back-projected
        (`mcsc.images.enlarging.back_project`). What that adds goes to the base.
        """
        prepared = prepare_for_dictionary(x, y, self.dictionary, self.task, mask, guide_mask)
        chosen = self._lam(lam, sigma)
        base = prepared.base
        # With the base "input" target filters make what x lacks; x itself is missing in holes.
        lacking = mask is not None and _base(self.dictionary, self.task) == "input"
        coded = code(
            prepared.signals, self.dictionary, chosen, "restoration", masks=prepared.masks,
            models=lacking, solver=self.solver, **how,
        )  # fmt: skip
        if lacking:
            assert mask is not None
            base = base + (1 - mask) * coded.models[0].reshape(base.shape)

        def as_bands(part: Floats | None) -> Floats | None:
            return None if part is None else part.reshape(base.shape).astype(x.dtype)

        detail = coded.image.reshape(base.shape)
        image: Floats = base + detail
        if known_shape is not None:
            image = back_project(image, x, known_shape, mask)
        return MethodResult(
            image=image.astype(x.dtype),
            base=(image - detail).astype(x.dtype),
            common=as_bands(coded.common),
            unique=(as_bands(coded.unique[0]),),
            lam=chosen,
            gap=coded.gap,
            nonzero=coded.nonzero,
            converged=coded.converged,
            stopped=coded.stopped,
        )

    def fuse(
        self,
        sources: Sequence[Floats],
        *,
        rule: str | None = None,
        lam: Any = None,
        **how: Unpack[CodingOptions],
    ) -> MethodResult:
        """Fuse sources, all of 1 or of 3 channels; arguments as in `Method`.

        Notes
        -----
        The detail of the sources' lumas is coded jointly, and the rule makes an image of it. More
        than two sources are fused one after the other, the result so far being one of the pair.
        The weights are those of all sources nevertheless, as the shares multiply. Stopped on the
        way, those that were not reached have no share in the image.
        """
        name = rule or str(self.dictionary.metadata.get("rule", self.task.rule))
        applied = RULES.find(name)
        chosen = self._lam(lam)
        fused, dtype = sources[0], sources[0].dtype
        weights: Floats | None = np.ones((1, *fused.shape[1:]))
        unique: list[Floats | None] = []
        every: list[Coded] = []
        stopped: Stop = "converged"
        with deferred_interrupt() as interrupt:
            for image in sources[1:]:
                coded, blend = self._fuse_pair((fused, image), applied, chosen, how)
                every.append(coded)
                alone = [None if u is None else u[0] for u in coded.unique]
                unique += alone[1:] if unique else alone
                fused = blend.image.astype(dtype)
                if blend.weights is None or weights is None:
                    weights = None
                else:
                    weights = np.concatenate([weights * blend.weights[:1], blend.weights[1:]])
                if not coded.converged and stopped == "converged":
                    stopped = coded.stopped
                left = len(sources) - 1 - len(every)
                if coded.stopped in ("callback", "interrupted"):
                    stopped = coded.stopped
                    break
                if interrupt.asked and left:
                    stopped = "interrupted"
                    break
        unique += [None] * left
        if weights is not None and left:  # of sources that were not reached
            weights = np.concatenate([weights, np.zeros((left, *weights.shape[1:]))])
        return MethodResult(
            image=fused,
            base=blend.base.astype(dtype),
            common=None if coded.common is None else coded.common[0],
            unique=tuple(unique),
            weights=weights,
            rule=name,
            lam=chosen,
            gap=max(c.gap for c in every),
            nonzero=sum(c.nonzeros for c in every) / sum(c.coefficients for c in every),
            converged=stopped == "converged",
            stopped=stopped,
        )

    def _lam(self, given: Any, sigma: float | None = None) -> Lam:
        if given is None:
            return lam_of(self.dictionary, self.task, sigma)
        return checked_lam(given, self.dictionary)

    def _fuse_pair(
        self, pair: tuple[Floats, Floats], rule: Rule, lam: Lam, how: CodingOptions
    ) -> tuple[Coded, Blend]:
        first, second = (ycbcr(i)[:1] if len(i) == 3 else i for i in pair)
        strength = float(self.dictionary.metadata.get("strength", self.task.strength))
        splits = (lowpass_split(first, strength), lowpass_split(second, strength))
        coded = code(
            (splits[0].high[None], splits[1].high[None]), self.dictionary, lam,
            "fusion" if rule.targets else "signals", models=True, solver=self.solver, **how,
        )  # fmt: skip
        return coded, rule.function(CodedPair(pair, (first, second), splits, coded, strength))


def prepare_for_dictionary(
    x: Floats,
    y: Floats,
    dictionary: Dictionary,
    task: Task,
    mask: Floats | None = None,
    guide_mask: Floats | None = None,
) -> Prepared:
    """Make the signals of a dictionary, as its metadata say: see `prepare_restoration`.

    Raises
    ------
    ValueError
        Channels do not fit the dictionary, or the images differ in size.
    """
    first, second = dictionary.channels
    return prepare_restoration(
        x,
        y,
        (first, second),
        strength=float(dictionary.metadata.get("strength", task.strength)),
        base=_base(dictionary, task),
        mask=mask,
        guide_mask=guide_mask,
    )


def lam_of(dictionary: Dictionary, task: Task, sigma: float | None = None) -> Lam:
    """Return the lam that a dictionary was learned with, or the task's.

    Parameters
    ----------
    dictionary : Dictionary
        Its metadata may hold ``lam``, a number or one a group, and ``sigma``.
    task : Task
    sigma : float, optional
        Denoising: standard deviation of the noise, of 255; lam goes with it.
    """
    found = dictionary.lam
    if found is None:
        found = task.lam
    if task.sigma is not None and sigma is not None:
        found = found * (sigma / float(dictionary.metadata.get("sigma") or task.sigma))
    return checked_lam(found, dictionary)


def checked_lam(lam: Any, dictionary: Dictionary) -> Lam:
    """Return lam as a number or a tuple of numbers of Python.

    Raises
    ------
    TypeError, ValueError
        It does not fit the dictionary: see `mcsc.Problem`.
    """
    found = plain_lam(lam, {g.name: len(g.bank) for g in dictionary.groups})
    return tuple(found) if isinstance(found, list) else found


def _base(dictionary: Dictionary, task: Task) -> Base:
    base: Base = dictionary.metadata.get("base", task.base)
    banks = (dictionary.target_common, *(dictionary.target_unique or ()))
    if base == "input" and all(bank is None for bank in banks):
        # Target filters make what x lacks. Without them the codes make x's own detail, which is in
        # x already: it would be added twice.
        return "low"
    return base
