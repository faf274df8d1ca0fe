"""What `learn` can be told, checked before any work."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ..backend import is_array
from ..checks import check_choice, check_number, check_tol, check_whole
from ..errors import InvalidTypeError, InvalidValueError
from ..model.dictionary import Dictionary
from ..model.lam import lam_per_map, plain_lam
from ..model.penalty import check_terms
from ..types import Boundary, Device, Kind
from .atoms import Layout

Init: TypeAlias = Literal["patches", "dct"]
"""First filters: patches of the images, or cosines."""

RIDGES = (1e-2, 1e-1, 1.0, 10.0)
"""Those that are compared if none is given."""


@dataclass(frozen=True)
class LearnOptions:
    """Options of `mcsc.learn` that are rarely changed.

    Numbers may be of any real type; they are kept as Python numbers.

    Attributes
    ----------
    kind : {"restoration", "fusion"}
        Which codes the target is made of (Eq. 3 or Eq. 4): the `task` of `mcsc.reconstruct`.
    signal_weights : sequence of M floats, optional
        Weights w_m of the signals, recorded in the dictionary, so that coding uses the same.
    zero_mean : bool
        Constrain every filter to zero mean in every channel.
    boundary : {"zero", "periodic"}
        Boundary of the windows, as in `mcsc.solve`.
    mu : float, or one per code group
        Weight of half the squares of the codes, as in `mcsc.solve`.
    nonnegative : bool, or one per code group
        Whether codes must not be negative, as in `mcsc.solve`.
    joint : bool, or one per code group
        As in `mcsc.solve`, but no groups can be joined: windows are coded by the working set, which
        changes one coefficient at a time, and has no rule for several that vanish together. The
        methods that have one take ten times as long and more. The penalty does not enter the update
        of the filters: learn without joint, then solve with it.
    init : {"patches", "dct"} or Dictionary
        First filters: patches of the images, cosines, or those of a dictionary with the same number
        of filters in each group.
    batch_size : int
        Number of windows that are coded between two updates of the filters.
    max_windows : int, optional
        Largest number of windows that are used; they are drawn at random.
    max_iter : int, optional
        Largest number of iterations of the solver for each batch, as in `mcsc.solve`.
    update_steps : int
        Number of accelerated gradient steps in an update of the filters.
    update_pixels : int
        Largest number of pixels that an update of the filters is fitted to: the windows of the
        last batch, and those of earlier batches as long as they fit in. The codes of earlier
        batches keep the filters close to what they were.
    relaxation : float
        Over-relaxation: factor by which each update of the filters is lengthened, since codes
        follow the filters only slowly and the next update would go the same way again. 1: no
        over-relaxation.
    target_windows : int, optional
        Largest number of windows that target filters are fitted to. Default: `max_windows`.
    ridge : float or sequence of float, optional
        Regularisation of the target filters, relative to the mean energy of a map's codes. Several
        are compared on windows held out from the fit; see `learn_targets`. Default: 0.01, 0.1, 1
        and 10.
    device : {"auto", "cpu", "cuda"}
        Where windows are coded: "cuda" moves a batch there and its nonzeros back, the rest stays on
        the CPU. Learning can be continued from a checkpoint on either.

    Raises
    ------
    TypeError, ValueError
        A value is out of its range or of a wrong type; the message names it.
    """

    kind: Kind = "restoration"
    signal_weights: Sequence[float] | None = None
    zero_mean: bool = False
    boundary: Boundary = "zero"
    mu: float | Sequence[float] = 0.0
    nonnegative: bool | Sequence[bool] = False
    joint: bool | Sequence[bool] = False
    init: Init | Dictionary = "patches"
    batch_size: int = 8
    max_windows: int | None = None
    max_iter: int | None = None
    update_steps: int = 15
    update_pixels: int = 80_000
    relaxation: float = 2.0
    target_windows: int | None = None
    ridge: float | Sequence[float] | None = None
    device: Device = "auto"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, Kind)
        check_choice("boundary", self.boundary, Boundary)
        check_choice("device", self.device, Device)
        if not isinstance(self.zero_mean, bool | np.bool_):
            raise InvalidTypeError(f"zero_mean must be True or False, found {self.zero_mean!r}")
        known = isinstance(self.init, str) and self.init in get_args(Init)
        if not known and not isinstance(self.init, Dictionary):
            raise InvalidValueError(
                f"init must be 'patches', 'dct' or a Dictionary, found {self.init!r}"
            )
        plain: dict[str, Any] = {"zero_mean": bool(self.zero_mean)}
        for name in ("batch_size", "update_steps", "update_pixels"):
            plain[name] = check_whole(name, getattr(self, name))
        for name in ("max_windows", "max_iter", "target_windows"):
            value = getattr(self, name)
            plain[name] = None if value is None else check_whole(name, value)
        several = is_many(self.mu)
        squares = tuple(check_number("mu", m, zero=True) for m in each("mu", self.mu))
        plain["mu"] = squares if several else squares[0]
        for name in ("nonnegative", "joint"):
            given = getattr(self, name)
            chosen = each(name, given)
            if not all(isinstance(one, bool | np.bool_) for one in chosen):
                raise InvalidTypeError(
                    f"{name} must be True or False, or one of them for each group, found {given!r}"
                )
            plain[name] = tuple(map(bool, chosen)) if is_many(given) else bool(chosen[0])
        if any(each("joint", plain["joint"])):
            raise InvalidValueError(
                "dictionaries are not learned with joint groups: windows are coded by the working "
                "set, one coefficient at a time; learn without joint, then solve with it"
            )
        plain["relaxation"] = check_number("relaxation", self.relaxation)
        if self.signal_weights is not None and not is_many(self.signal_weights):
            raise InvalidTypeError(
                f"signal_weights must hold a number for every signal, found {self.signal_weights!r}"
            )
        for name in ("signal_weights", "ridge"):
            value = getattr(self, name)
            if value is not None:
                plain[name] = tuple(check_number(name, v) for v in each(name, value))
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def ridges(self) -> tuple[float, ...]:
        """All ridges that are to be compared."""
        return RIDGES if self.ridge is None else tuple(self.ridge)  # type: ignore[arg-type]


# What only the target filters depend on, where codes are computed, and what is always refused: a
# checkpoint of the passes goes with any.
_NOT_RECORDED = ("target_windows", "ridge", "device", "joint")


@dataclass(frozen=True)
class Settings:
    """All that the passes depend on but the images; named as the arguments of `learn`."""

    lam: Any
    n_common: int
    n_unique: Any
    filter_size: Any
    passes: int
    window: int
    tol: float
    seed: int
    options: LearnOptions

    def __post_init__(self) -> None:
        if not isinstance(self.options, LearnOptions):
            raise InvalidTypeError(
                f"options must be a LearnOptions, found {type(self.options).__name__}"
            )
        unique = tuple(check_whole("n_unique", k, least=0) for k in each("n_unique", self.n_unique))
        sizes = each("filter_size", self.filter_size)
        plain = {
            "n_common": check_whole("n_common", self.n_common, least=0),
            "n_unique": unique if is_many(self.n_unique) else unique[0],
            "filter_size": tuple(sorted(check_whole("filter_size", s, least=2) for s in sizes)),
            "passes": check_whole("passes", self.passes),
            "window": check_whole("window", self.window, least=4),
            "tol": check_tol(self.tol),
            "seed": check_whole("seed", self.seed, least=0),
        }
        if not is_many(self.lam):
            lam_per_map(self.lam, {"all codes": 1})
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def for_channels(self, channels: tuple[int, ...]) -> Settings:
        """Return them for signals of these channels: one n_unique a signal, lam in JSON's types.

        Raises
        ------
        ValueError
            The numbers of signals do not fit, or those of groups.
        """
        count, weights = len(channels), self.options.signal_weights
        unique = self.n_unique if is_many(self.n_unique) else (self.n_unique,) * count
        for name, found in (("n_unique", unique), ("signal_weights", weights)):
            if found is not None and len(found) != count:
                raise InvalidValueError(f"{name} has {len(found)} entries for {count} signals")
        if self.n_common == 0 and min(unique) == 0:
            raise InvalidValueError(
                f"n_common = 0 and n_unique = {unique} leave a signal without filters"
            )
        complete = replace(self, n_unique=unique)
        maps = complete.layout(channels).maps
        check_terms(self.options.mu, self.options.nonnegative, maps)
        return replace(complete, lam=plain_lam(self.lam, maps))

    def layout(self, channels: tuple[int, ...]) -> Layout:
        """Return the filters that complete settings ask for."""
        options = self.options
        weights = options.signal_weights
        return Layout(
            channels=channels,
            n_common=self.n_common,
            n_unique=self.n_unique,
            sizes=self.filter_size,
            signal_weights=None if weights is None else tuple(weights),
            zero_mean=options.zero_mean,
        )

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with and metadata keep, in JSON's types."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "options"}
        for f in fields(self.options):
            if f.name not in _NOT_RECORDED:
                # The kind is called task in files, as in `mcsc.reconstruct`.
                own["task" if f.name == "kind" else f.name] = getattr(self.options, f.name)
        if isinstance(own["init"], Dictionary):
            own["init"] = _digest(own["init"])
        found: dict[str, Any] = json.loads(json.dumps(own))
        return found


def is_many(given: Any) -> bool:
    """Whether an argument that may be one number or several holds several."""
    if is_array(given):
        return bool(given.ndim > 0)
    return isinstance(given, Sequence) and not isinstance(given, str)


def each(name: str, given: Any) -> tuple[Any, ...]:
    """Return the entries of an argument that may be one number or several; refuse none."""
    if not is_many(given):
        return (given,)
    if len(given) == 0:
        raise InvalidValueError(f"{name} is empty")
    return tuple(given)


def _digest(dictionary: Dictionary) -> str:
    total = 0
    for g in dictionary.groups:
        total = zlib.crc32(np.asarray(g.bank).tobytes(), total)
    return f"dictionary {total:08x}"
