"""A scene in files: its images, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InvalidValueError
from ...images.files import read_image
from ...types import Floats
from ...values.masks import known_image
from ...values.ranges import ValueRange

__all__ = ["SceneFiles"]


@dataclass(frozen=True)
class SceneFiles:
    """The two files of a scene, and of a fusion perhaps its target: a `Reader` of them."""

    name: str
    x_path: Path
    y_path: Path
    target_path: Path | None = None
    masks: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """What is unknown in the images of both roles: words of `mcsc.values.masks.MASK_WORDS`."""
    ranges: tuple[ValueRange | None, ValueRange | None] = (None, None)
    """Values that stand for 0 and 1, in the unit of the files; None: the full scale of integers,
    [0, 1] of floats."""

    def __call__(self) -> tuple[Floats, ...]:
        """Return the images of both roles and, if there is one, the target of a fusion.

        Raises
        ------
        ValueError
            They differ in size.
        """
        x, y = self.read()
        if self.target_path is None:
            return x, y
        target = self._target()
        self._check_sizes(target, x, self.target_path)
        return x, y, target

    def _target(self) -> Floats:
        """Read the target, whose values are those of x."""
        assert self.target_path is not None
        values = self.ranges[0]
        if values is None:
            return self._image(self.target_path, (), None)[0]
        full = read_image(self.x_path).full_scale
        plain = (values.low, values.high) == (0.0, full)
        target, own = self._image(self.target_path, (), None if plain else values)
        if not plain and own != full:
            raise InvalidValueError(
                f"{self.target_path.name}: another kind of file than {self.x_path.name}, so that "
                f"the range {values.low:g} to {values.high:g} cannot be that of both; want both as "
                "integers of as many bits, or both as floats"
            )
        return target

    def read(self) -> tuple[Floats, Floats]:
        """Return the images of both roles, (C, H, W) float32 in [0, 1]; NaN where unknown.

        Raises
        ------
        ValueError
            They differ in size, or hold NaN or Inf that no mask calls unknown.
        """
        x, _ = self._image(self.x_path, self.masks[0], self.ranges[0])
        y, _ = self._image(self.y_path, self.masks[1], self.ranges[1])
        self._check_sizes(y, x, self.y_path)
        return x, y

    def _check_sizes(self, other: Floats, x: Floats, path: Path) -> None:
        if other.shape[1:] != x.shape[1:]:
            raise InvalidValueError(
                f"{path.name} is {other.shape[1]} x {other.shape[2]}, {self.x_path.name} is "
                f"{x.shape[1]} x {x.shape[2]}: images of a scene must have one size"
            )

    def _image(
        self, path: Path, words: Sequence[str], values: ValueRange | None
    ) -> tuple[Floats, float]:
        """Values in [0, 1], and white in the file's own unit."""
        image, mask = known_image(path, words)
        pixels: Floats = image.pixels
        full = image.full_scale
        if values is not None:
            pixels = ValueRange(values.low / full, values.high / full).scaled(pixels)
        known = pixels if mask is None else np.where(mask > 0, pixels, np.nan)
        return known.astype(np.float32), full
