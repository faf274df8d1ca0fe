"""What a network is made of, apart from its weights."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from mcsc.checks import check_choice, check_whole, is_whole
from mcsc.errors import InvalidTypeError, InvalidValueError
from mcsc.types import Kind

Thresholds = Literal["scalar", "map"]
"""One for all maps, or one for each."""


_MOST = 2**56
"""Numbers of a filter bank."""


@dataclass(frozen=True)
class Configuration:
    """Arguments of a `CUNet`, checked and in one form.

    Attributes
    ----------
    channels : (int, int)
        Channels of x and of y.
    out_channels : int
        Channels of z.
    kind : {"restoration", "fusion"}
        Whether what is unique to y goes into z: the argument `task` of `CUNet`.
    filters : (int, int, int)
        Maps of c, u and v.
    kernel_size : int
        Side s of the filters.
    blocks : int
        Number of LCSC blocks J in each module.
    residual : bool
        False: Table 5's ablation.
    tied : bool
        Blocks of a module share filters and threshold.
    sweeps : int
        Passes over u, v and c.
    thresholds : {"scalar", "map"}
        One threshold for each block, or one for each block and map.
    noise_aware : bool
        Thresholds are affine in the noise of x.
    """

    channels: tuple[int, int]
    out_channels: int
    kind: Kind
    filters: tuple[int, int, int]
    kernel_size: int
    blocks: int
    residual: bool
    tied: bool
    sweeps: int = 1
    thresholds: Thresholds = "scalar"
    noise_aware: bool = False

    def __post_init__(self) -> None:
        filters = (self.filters,) * 3 if is_whole(self.filters) else self.filters
        object.__setattr__(self, "channels", _counts("channels", self.channels, 2, "(C_x, C_y)"))
        object.__setattr__(
            self, "filters", _counts("filters", filters, 3, "one number, or (K_c, K_u, K_v)")
        )
        for name, least in (("out_channels", 1), ("kernel_size", 1), ("blocks", 0), ("sweeps", 1)):
            object.__setattr__(self, name, check_whole(name, getattr(self, name), least=least))
        if self.kind not in get_args(Kind):
            raise InvalidValueError(f"task must be 'restoration' or 'fusion', found {self.kind!r}")
        check_choice("thresholds", self.thresholds, Thresholds)
        check_flags(residual=self.residual, tied=self.tied, noise_aware=self.noise_aware)
        # A claim of a damaged file, as large as it likes.
        most = max(self.filters) * max(sum(self.channels), self.out_channels) * self.kernel_size**2
        if most > _MOST:
            raise InvalidValueError(
                "channels, out_channels, filters and kernel_size make filters of more numbers than "
                f"any memory holds: {most:.2g}"
            )
        if self.sweeps > 1 and not self.residual:
            raise InvalidValueError(
                "a second sweep goes on from the codes of the first: it needs residual=True"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the arguments of `CUNet`, fit for JSON: `kind` is its `task`, also in files."""
        found = asdict(self)
        return {"task" if name == "kind" else name: value for name, value in found.items()}

    @classmethod
    def from_dict(cls, values: Any) -> Configuration:
        """Return the configuration that `as_dict` described, of this version or one before.

        Raises
        ------
        ValueError, TypeError
            A field is missing, unknown or out of range.
        """
        names = ["task" if f.name == "kind" else f.name for f in fields(cls)]
        needed = [name for name, f in zip(names, fields(cls), strict=True) if f.default is MISSING]
        found = sorted(values) if isinstance(values, dict) else values
        if not isinstance(values, dict) or not set(needed) <= values.keys() <= set(names):
            raise InvalidValueError(f"a configuration has {', '.join(names)}; found {found}")
        return cls(kind=values["task"], **{k: v for k, v in values.items() if k != "task"})

    def differences(self, other: Configuration) -> str:
        """Name the fields in which `other` differs, with both values; empty if none."""
        mine, theirs = self.as_dict(), other.as_dict()
        return ", ".join(
            f"{k} {theirs[k]} instead of {v}" for k, v in mine.items() if theirs[k] != v
        )


def _counts(name: str, values: Any, length: int, wanted: str) -> tuple[int, ...]:
    if (
        not isinstance(values, (tuple, list))
        or len(values) != length
        or not all(is_whole(v) and v >= 1 for v in values)
    ):
        raise InvalidValueError(f"{name} must be {wanted}, whole numbers >= 1; found {values!r}")
    return tuple(map(int, values))


def check_flags(**flags: object) -> None:
    """Refuse arguments that are neither True nor False, by their names."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InvalidTypeError(f"{name} must be True or False, found {value!r}")
