"""What a task is, and the table of tasks: the six of the paper, and what others add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..checks import (
    check_called,
    check_choice,
    check_flags,
    check_number,
    check_whole,
    check_word,
)
from ..errors import InvalidTypeError, InvalidValueError
from ..tables import Table
from ..types import Base, Floats, FusionBase, Ghosts, Kind, RestorationBase
from .fields import check_names, check_pair, check_roles, check_settings, words_of

if TYPE_CHECKING:
    from ..quality.measures import Measure
    from ..synthetic import SyntheticPair
    from ..synthetic.photographs import Photographs

__all__ = [
    "LAM_RELATIVE",
    "STRENGTH",
    "TASKS",
    "PairMaker",
    "Roles",
    "Task",
    "get_task",
]

# The table of tasks is read by the command line's --help: what is heavy is imported by need.

STRENGTH = 5.0
"""Strength of the low-pass split, in squared pixels, where nothing else is said."""
LAM_RELATIVE = 0.02
"""lam of a decomposition, as a share of lambda_max, where nothing else is said."""

Roles: TypeAlias = tuple[str, ...]
PairMaker: TypeAlias = "Callable[[int, tuple[int, int], int], SyntheticPair]"
"""Makes a synthetic pair of its number, (height, width) and a seed."""


@dataclass(frozen=True)
class Task:
    """Everything that distinguishes a task from the others.

    Attributes
    ----------
    name : str
        Name of the task in Python, on the command line, and of its dictionary and weights.
    title : str
        Name for people, in tables and reports.
    kind : {"restoration", "fusion"}
        Whether the target is made by Eq. 3 or by Eq. 4.
    roles : (tuple of str, tuple of str)
        Endings of the file names of x and of y, ``scene_ROLE.png``, the first that exists. In
        restoration the file of x is the clean one: x is made from it by `degrade`.
    synthetic : str, callable, or None
        Synthetic pairs that go with the task: their name in `mcsc.synthetic`, or a `PairMaker`.
        In a restoration x is made of their target by `degrade`.
    factor : int or None
        Super-resolution: how many times smaller the known image is along each axis.
    sigma : float or None
        Denoising: default standard deviation of the noise, in grey levels of 255.
    strength : float
        Strength of the low-pass split of the signals that are coded, in squared pixels.
    base : {"none", "input", "low", "guided", "injected", "mean"}
        What the coded part is added to: nothing, x itself (restoration), a low-pass part (noise is
        not kept), x smoothed by the guided filter, x with the detail of the guide that it lacks, or
        the mean of the sources (fusion); see `mcsc.tasks.preparation`.
    smoothing : (float, float)
        Radius in pixels, and edge, which is the square root of eps, of the guided filter of the
        base "guided"; in denoising both are for noise of one grey level.
    network_base : {"none", "input", "low", "guided", "injected", "mean"} or None
        What the output of a new network is added to; None: as `base`, or as the dictionary says
        that the network is made from.
    lam : float
        Weight of the l1 norm in coding; in denoising it is multiplied by the ratio of the noise to
        `sigma`.
    guide_weight : float
        Weight of y in learning.
    rule : str
        Fusion: how parts become an image, one of `mcsc.tasks.RULES`.
    all_channels, colour_guide : bool
        Learning: whether filters cover all channels of x together, and whether those of the guide
        cover its three colours or only its luma. Dictionaries of fusions code lumas; networks of
        fusions may take all channels.
    mixed_guide : bool
        Restoration: whether the channels of a guide of several are mixed for each band of x where
        models take one of each: `mcsc.baselines.injection`. Otherwise they become their luma.
    display : bool
        Whether values end at black and white, 0 and 1, so that what is beyond is cut off before it
        is measured. Depth does not: its range is that of the known values.
    brightest_base : bool
        Fusion: whether detail is added to the brightest low-pass part of the sources, which suits
        medical images, dark where they show nothing; otherwise it is added to the low-pass part of
        their exposure fusion.
    brighter_first : bool
        Fusion: whether the roles of two sources are those of a brighter and a darker one, in
        whatever order they are given.
    one_unit : bool
        Fusion: whether the sources are in one unit, so that one range of values is that of all. CT
        and MR are not.
    ghosts : {"exposure", "flash"} or None
        What tells the two images apart, where a test can tell from it that they contradict each
        other: see `mcsc.alignment.ghosts.find_ghosts`.
    baselines : mapping of str to mapping
        Settings of baselines (`mcsc.baselines.table.BASELINES`) by their name, where their own
        defaults do not serve the task best.
    measured_by : tuple of str
        Names of the measures (`mcsc.quality.measures.MEASURES`) that count, the first one most;
        empty: all of the task's kind.

    Raises
    ------
    TypeError, ValueError
        A field has a value that is not allowed, or one that does not go with the kind; the message
        names the task and the field.
        Names of rules, measures, baselines and synthetic pairs are looked up when the task is used:
        see `check_names`.
    """

    name: str
    title: str
    kind: Kind
    roles: tuple[Roles, Roles]
    synthetic: str | PairMaker | None = None
    strength: float = STRENGTH
    base: Base = "low"
    smoothing: tuple[float, float] = (3, 0.003)
    network_base: Base | None = None
    lam: float = 0.02
    guide_weight: float = 1.0
    factor: int | None = None
    sigma: float | None = None
    rule: str = "sum"
    all_channels: bool = False
    colour_guide: bool = False
    mixed_guide: bool = False
    display: bool = True
    brightest_base: bool = False
    brighter_first: bool = False
    one_unit: bool = True
    ghosts: Ghosts | None = None
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    measured_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be a task."""
        check_word("name of a task", self.name)
        check_word(self._field("title"), self.title)
        check_word(self._field("rule"), self.rule)
        check_choice(self._field("kind"), self.kind, Kind)
        check_roles(self._field("roles"), self.roles, self.kind)
        if callable(self.synthetic):
            check_called(self._field("synthetic"), self.synthetic, ("number", "shape", "seed"))
        elif self.synthetic is not None:
            check_word(self._field("synthetic"), self.synthetic)
        for name in ("strength", "lam", "guide_weight"):
            check_number(self._field(name), getattr(self, name))
        if not isinstance(self.smoothing, tuple) or len(self.smoothing) != 2:
            raise InvalidTypeError(
                f"{self._field('smoothing')} must be (radius, edge), found {self.smoothing!r}"
            )
        for number in self.smoothing:
            check_number(self._field("smoothing"), number)
        flags = (
            "all_channels", "colour_guide", "mixed_guide", "display", "one_unit",
            "brighter_first", "brightest_base",
        )  # fmt: skip
        check_flags(f"the task {self.name}", **{name: getattr(self, name) for name in flags})
        for name in ("colour_guide", "mixed_guide") if self.kind == "fusion" else ():
            if getattr(self, name):
                raise InvalidValueError(f"{self._field(name)}: a fusion has no guide")
        if self.ghosts is not None:
            check_choice(self._field("ghosts"), self.ghosts, Ghosts)
        self._check_degradation()
        for name in ("base", "network_base"):
            if (base := getattr(self, name)) is not None or name == "base":
                # A network may take a band as all of its channels.
                together = self.all_channels and name == "base"
                self.check_base(self._field(name), base, self.colour_guide, together)
        check_settings(self._field("baselines"), self.baselines)
        measures = words_of(self._field("measured_by"), self.measured_by)
        object.__setattr__(self, "measured_by", measures)

    def _field(self, name: str) -> str:
        return f"{name} of the task {self.name}"

    def _check_degradation(self) -> None:
        if self.factor is not None:
            check_whole(self._field("factor"), self.factor, least=2)
        if self.sigma is not None:
            check_number(self._field("sigma"), self.sigma)
        if self.kind == "fusion" and (self.factor is not None or self.sigma is not None):
            raise InvalidValueError(
                f"{self.name} is a fusion: its inputs are not made from a target, so it has "
                "neither factor nor sigma"
            )
        if self.factor is not None and self.sigma is not None:
            raise InvalidValueError(
                f"{self.name} has a factor and a sigma: an input is made smaller or noisy, not both"
            )

    def check_names(self) -> None:
        """Refuse names of rules, measures, baselines and pairs that are in no table.

        `get_task` does this, so that a misspelt name is found before any work. Tables may get
        entries after the task was made.

        Raises
        ------
        ValueError
            There is no such entry, or it is of the other kind, or a baseline has no such setting.
        """
        check_names(self)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures of images of this task."""
        from ..quality.measures import MEASURES

        if self.measured_by:
            return tuple(MEASURES.find(name) for name in self.measured_by)
        return tuple(m for m in MEASURES.available().values() if m.kind == self.kind)

    def check_sigma(self, sigma: float | None, name: str = "sigma") -> float | None:
        """Return a standard deviation of noise, of 255, as a float; `name` is what to call it.

        Raises
        ------
        ValueError
            The task has no noise, or it is no number above 0.
        """
        if sigma is None:
            return None
        if self.sigma is None:
            raise InvalidValueError(f"{name} is for denoising, not for {self.name}")
        return check_number(name, sigma)

    def check_factor(self, factor: float | None, name: str = "factor") -> None:
        """Refuse a factor of enlargement for a task that enlarges nothing."""
        if factor is not None and self.factor is None:
            raise InvalidValueError(f"{name} is for super-resolution, not for {self.name}")

    def cropped(self, *images: Floats) -> tuple[Floats, ...]:
        """Cut images (C, H, W) of one size at the bottom and on the right to a size for `degrade`.

        For super-resolution, that is a multiple of the factor, as in the authors' scripts; other
        tasks take images of any size.
        """
        factor = self.factor or 1
        height, width = (n - n % factor for n in images[0].shape[-2:])
        return tuple(image[..., :height, :width] for image in images)

    def check_base(
        self, name: str, base: object, colour_guide: bool, all_channels: bool = False
    ) -> None:
        """Refuse, by its name, a base that nothing can be added to, whatever the images are."""
        check_choice(name, base, RestorationBase if self.kind == "restoration" else FusionBase)
        if base == "injected" and (self.factor is None or colour_guide or all_channels):
            raise InvalidValueError(
                f"{name} cannot be 'injected' in {self.name}: it is for super-resolution of bands "
                "one by one, with one channel of guide each"
            )

    def known_shape(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """Return the size at which x was known that `degrade` made; None but in super-resolution.

        Parameters
        ----------
        shape : (height, width)
            Size of the target, which the factor divides.
        """
        if self.factor is None:
            return None
        height, width = shape
        return height // self.factor, width // self.factor

    def degrade(self, target: Floats, *, sigma: float | None = None, seed: int = 0) -> Floats:
        """Make the input x from the clean image, as the authors' released scripts do.

        Super-resolution: bicubic (antialiased) down by the factor and up again. Denoising: white
        Gaussian noise of standard deviation `sigma` (of 255), not clipped, drawn by `seed`. Fusion
        has no degradation: its files are the inputs. NaN is unknown, and stays so.

        Raises
        ------
        ValueError
            The size is not a multiple of the factor, or the task is a fusion.
        """
        if self.factor is not None:
            return _reduced_and_enlarged(target, self.factor)
        if self.sigma is not None:
            level = (self.sigma if sigma is None else sigma) / 255
            noise = np.random.default_rng(seed).standard_normal(target.shape)
            return (target + level * noise).astype(target.dtype)
        raise InvalidValueError(
            f"{self.name} is a {self.kind} without factor or sigma: its inputs are not made from "
            "a target"
        )

    def synthetic_pair(
        self,
        number: int,
        shape: tuple[int, int],
        seed: int = 0,
        photographs: Photographs | None = None,
    ) -> SyntheticPair:
        """Make one of the synthetic pairs that go with the task.

        The arguments are those of `mcsc.synthetic.make_pair`. If `photographs` is None, those that
        come with scikit-image are used, if there are any.

        Raises
        ------
        TypeError
            The task's own maker of pairs makes something else.
        ValueError
            The task has no synthetic pairs, or photographs are given and its pairs show none; or
            the factor does not divide the shape.

        Notes
        -----
        In a restoration x is made of the target with the factor, or the noise, of the task; that of
        the task's own maker is returned as it is, and scenes (`mcsc.tasks.synthetic_scenes`) make
        theirs of the target in any case.
        """
        if self.synthetic is None:
            raise InvalidValueError(f"no synthetic scenes go with {self.name}")
        if photographs is not None and not self.photographed:
            raise InvalidValueError(f"synthetic scenes of {self.name} show no photographs")
        if callable(self.synthetic):
            made = self.synthetic(number, shape, seed)
            check_pair(self._field("synthetic"), made, shape, self.kind)
            return made
        from ..synthetic.generate import NOISY, REDUCED, make_pair

        pair = make_pair(
            self.synthetic, number, shape, seed, factor=self.factor or 1,
            sigma=(self.sigma or 0) / 255, photographs=True if photographs is None else photographs,
        )  # fmt: skip
        reduced, noisy = self.synthetic in REDUCED, self.synthetic in NOISY
        if self.kind == "fusion" or (self.factor and reduced) or (self.sigma and noisy):
            return pair
        x, title = self.degrade(pair.target, seed=pair.seed), pair.names[2]
        titles = (f"{'noisy' if self.sigma else 'low-resolution'} {title}", *pair.names[1:])
        return replace(pair, x=x, names=titles)

    @property
    def stretched(self) -> bool:
        """Whether images that span little of their range are stretched before they are restored.

        Not where they are noisy: there, thresholds are in proportion to the noise.
        """
        return self.kind == "restoration" and self.sigma is None

    @property
    def photographed(self) -> bool:
        """Whether its synthetic pairs are made with photographs."""
        from ..synthetic.generate import PHOTOGRAPHED

        return self.synthetic in PHOTOGRAPHED


def _reduced_and_enlarged(target: Floats, factor: int) -> Floats:
    from ..images.resize import degrade, resize_known

    known = ~np.isnan(target)
    if known.all():
        return degrade(target, factor)
    height, width = target.shape[-2:]
    degrade(np.zeros((height, width), np.float32), factor)  # refuses sizes that do not fit
    small = resize_known(target, known, (height // factor, width // factor))
    enlarged, there = resize_known(*small, (height, width))
    return np.where(there > 0, enlarged, np.nan).astype(target.dtype)


TASKS: Table[Task] = Table(
    "task", group="mcsc.tasks", kind=Task,
    wanted="a mcsc.tasks.Task, as Task(name, title, kind, roles)",
)  # fmt: skip
"""All tasks by name. ``TASKS.add(task.name, task)`` adds one; another package does so by an entry
point of group ``mcsc.tasks`` whose object is the `Task`."""

# Settings of the baselines: those that serve each filter best on scenes that no table is measured
# on. Of flash-denoise they are for noise of one grey level, and grow with it.
for _task in (
    Task(
        "depth-sr", "Depth super-resolution with a photograph", "restoration",
        (("depth",), ("rgb",)), "depth", base="guided", smoothing=(3, 0.003), network_base="input",
        lam=0.04, guide_weight=0.3, factor=4, display=False,
        baselines={
            "guided-filter": {"radius": 3, "edge": 0.003},
            "joint-bilateral": {"space": 2.0, "edge": 0.05},
        },
    ),
    Task(
        "multispectral-sr", "Multispectral super-resolution with a photograph", "restoration",
        (("ms640", "ms"), ("rgb",)), "multispectral", base="injected", network_base="input",
        lam=0.02, guide_weight=0.5, factor=4, mixed_guide=True,
        baselines={
            "guided-filter": {"radius": 8, "edge": 0.01},
            "joint-bilateral": {"space": 5.0, "edge": 0.05},
        },
    ),
    Task(
        "flash-denoise", "Denoising of an ambient photograph with a flash photograph",
        "restoration", (("ambient",), ("flash",)), "flash", strength=120.0, base="guided",
        smoothing=(0.16, 0.0714 / 255), network_base="low", lam=0.5, sigma=50.0, all_channels=True,
        colour_guide=True, ghosts="flash",
        baselines={
            "guided-filter": {"radius": 0.1, "edge": 0.1 / 255},
            "joint-bilateral": {"space": 0.12, "edge": 0.05},
        },
    ),
    Task(
        "multi-exposure", "Fusion of an over- and an under-exposed photograph", "fusion",
        (("over",), ("under",)), "exposure", lam=0.02, rule="detail", brighter_first=True,
        ghosts="exposure",
    ),
    Task(
        "multi-focus", "Fusion of photographs in focus near and far", "fusion",
        (("near",), ("far",)), "focus", lam=0.02, rule="choose", network_base="mean",
    ),
    Task(
        "medical", "Fusion of two kinds of medical images", "fusion",
        (("t1", "t1gad", "ct"), ("t2",)), "medical", lam=0.02, rule="detail", one_unit=False,
        brightest_base=True,
    ),
):  # fmt: skip
    TASKS.add(_task.name, _task)


def get_task(task: str | Task, kind: Kind | None = None) -> Task:
    """Return a task by its name.

    Parameters
    ----------
    task : str or Task
        A name in `TASKS`; a task is returned as it is.
    kind : {"restoration", "fusion"}, optional
        The kind that the task must be of.

    Raises
    ------
    TypeError
        `task` is neither.
    ValueError
        There is no such task (the message lists the names there are), it is of the other kind, or
        it names a rule, a measure, a baseline or a pair that is in no table (`Task.check_names`).
    """
    if not isinstance(task, str | Task):
        raise InvalidTypeError(f"task must be a name or a Task, found {type(task).__name__}")
    found = TASKS.find(task) if isinstance(task, str) else task
    found.check_names()
    if kind is not None and found.kind != kind:
        names = [t.name for t in TASKS.available().values() if t.kind == kind]
        raise InvalidValueError(
            f"{found.name} is a {found.kind}; want a {kind}, as {', '.join(names)}"
        )
    return found
