"""How images are given, and the way to the model's [0, 1] and back.

The model, its dictionaries and its networks work on NumPy arrays (C, H, W) of float32 or float64
in [0, 1]. Callers have (H, W) too, other units, other dtypes, other array libraries: an `ImageForm`
remembers these of an image and gives results back in the same form.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, backend_for, is_array, to_numpy
from ..errors import InvalidTypeError, InvalidValueError
from ..types import Device, Floats

__all__ = ["ImageForm", "ValueRange", "check_mask"]


@dataclass(frozen=True)
class ValueRange:
    """Values that stand for 0 and 1, in the unit of the caller."""

    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, given: ValueRange | Sequence[float] | None) -> ValueRange:
        """Return a checked range; None is [0, 1].

        Raises
        ------
        ValueError
            It is not two finite numbers, the first below the second.
        """
        if given is None:
            return cls()
        if isinstance(given, ValueRange):
            given = (given.low, given.high)
        try:
            low, high = (float(value) for value in given)
        except (TypeError, ValueError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InvalidValueError(
                f"value_range must be two finite numbers (low, high), low < high; found {given!r}"
            )
        return cls(low, high)

    def scaled(self, image: Floats) -> Floats:
        """Bring values of the caller to [0, 1]."""
        return image if self == ValueRange() else (image - self.low) / (self.high - self.low)

    def restored(self, image: Floats) -> Floats:
        """Bring values in [0, 1] back to the unit of the caller."""
        return image if self == ValueRange() else self.low + (self.high - self.low) * image

    def restored_part(self, part: Floats) -> Floats:
        """The same for a part of an image that is added to another one."""
        return part if self == ValueRange() else (self.high - self.low) * part


@dataclass(frozen=True, eq=False)
class ImageForm:
    """Axes, dtype, array library and range of an image."""

    name: str
    """What messages call the image."""
    axes: int
    """2 for (H, W), 3 for (C, H, W)."""
    dtype: Any
    xp: Any
    """Namespace of the array library."""
    values: ValueRange
    on_gpu: bool = False

    @classmethod
    def of(cls, name: str, image: Array, values: ValueRange | None = None) -> ImageForm:
        """Look at an image and refuse what is none.

        Raises
        ------
        TypeError
            It is no array of floats of NumPy or CuPy.
        ValueError
            Its shape is neither (H, W) nor (C, H, W), or it is empty.
        """
        if not is_array(image):
            raise InvalidTypeError(f"{name} must be an array, found {type(image).__name__}")
        backend = backend_for(image)
        if not backend.xp.isdtype(image.dtype, "real floating"):
            raise InvalidTypeError(
                f"{name} has dtype {image.dtype}: images are arrays of floats; "
                "mcsc.images.read_image scales integers to [0, 1]"
            )
        shape = tuple(int(n) for n in image.shape)
        if len(shape) not in (2, 3) or 0 in shape:
            raise InvalidValueError(
                f"{name} has shape {shape}; want (H, W) or (C, H, W), not empty"
            )
        return cls(
            name, len(shape), image.dtype, backend.xp, values or ValueRange(),
            backend.name == "CuPy",
        )  # fmt: skip

    def device(self, asked: Device) -> Device:
        """Where to compute: on the GPU, if "auto" is asked for and the image is there."""
        return "cuda" if asked == "auto" and self.on_gpu else asked

    def weights(self, mask: Array, shape: Sequence[int]) -> Floats | None:
        """A mask of the image of this shape, see `check_mask`; None if all of it is known."""
        sizes = (1,) * (3 - self.axes) + tuple(int(n) for n in shape)
        found = check_mask(self.name, mask, sizes)
        return None if (found == 1).all() else found

    def taken(self, image: Array, mask: NDArray[Any] | None = None) -> Floats:
        """The image as the model takes it: NumPy, (C, H, W), in [0, 1]; 0 where the mask is 0.

        Raises
        ------
        ValueError
            It holds NaN or Inf where it is known.

        Warns
        -----
        UserWarning
            Most values are far from [0, 1].
        """
        found = to_numpy(image)
        found = found.reshape(-1, *found.shape[-2:])
        finite = np.isfinite(found)
        known = np.broadcast_to(True if mask is None else mask > 0, found.shape)
        wrong = int((known & ~finite).sum())
        if wrong:
            where = "" if mask is None else " where its mask is not 0"
            raise InvalidValueError(
                f"{self.name} holds NaN or Inf{where} ({wrong} values): if these pixels are "
                "unknown, give a mask that is 0 there, as numpy.isfinite makes one"
            )
        work = found.astype(np.float64 if found.dtype == np.float64 else np.float32)
        work = self.values.scaled(np.where(known, work, self.values.low).astype(work.dtype))
        self._warn_of_another_unit(work[known])
        return work.astype(found.dtype if found.dtype == np.float64 else np.float32)

    def returned(self, image: Floats) -> Array:
        """An image (C, H, W) in the caller's form and unit."""
        return self.as_given(self._shaped(self.values.restored(image)))

    def returned_part(self, part: Floats | None) -> Array | None:
        """A part of an image, one of those that it is the sum of, in the caller's form and unit."""
        return (
            None if part is None else self.as_given(self._shaped(self.values.restored_part(part)))
        )

    def as_given(self, array: Floats) -> Array:
        """An array of the caller's dtype and library."""
        return self.xp.asarray(np.ascontiguousarray(array), dtype=self.dtype)

    def _shaped(self, image: Floats) -> Floats:
        return image[0] if self.axes == 2 and len(image) == 1 else image

    def _warn_of_another_unit(self, values: Floats) -> None:
        if not values.size:
            return
        middle = float(np.median(values))
        if not -0.5 <= middle <= 1.5:
            shown = float(self.values.restored(np.array(middle)))
            warnings.warn(
                f"the median of {self.name} is {shown:.4g}, but its values are taken to range from "
                f"{self.values.low:g} to {self.values.high:g}: give value_range=(low, high)",
                stacklevel=4,
            )


def check_mask(name: str, mask: Array, shape: Sequence[int]) -> Floats:
    """Return weights (1, H, W) or (C, H, W) of an image (C, H, W), NumPy, in [0, 1].

    Parameters
    ----------
    name : str
        What messages call the image.
    mask : array
        (H, W), (1, H, W) or (C, H, W): booleans, floats in [0, 1], or integers 0 and 1.
    shape : (C, H, W)
        Of the image.

    Raises
    ------
    TypeError
        It is no array of numbers.
    ValueError
        Its shape is another one, it is not within [0, 1], or a channel has no known pixel.
    """
    if not is_array(mask):
        raise InvalidTypeError(f"the mask of {name} must be an array, found {type(mask).__name__}")
    weights = to_numpy(mask)
    if weights.dtype.kind not in "bfiu":
        raise InvalidTypeError(f"the mask of {name} has dtype {weights.dtype}; want numbers")
    found = weights.shape
    weights = weights.reshape((1,) * (3 - weights.ndim) + found) if weights.ndim < 3 else weights
    if weights.shape[1:] != tuple(shape[1:]) or weights.shape[0] not in (1, shape[0]):
        raise InvalidValueError(
            f"the mask of {name} has shape {found}, {name} {tuple(shape)}: want the same height "
            "and width, and one channel or as many"
        )
    weights = weights.astype(np.float32)
    if not ((weights >= 0) & (weights <= 1)).all():
        raise InvalidValueError(
            f"the mask of {name} holds values outside [0, 1]: weights are not scaled; for a mask "
            "image write mask > 0"
        )
    if not (weights > 0).any(axis=(1, 2)).all():
        raise InvalidValueError(f"the mask of {name} is 0 everywhere: no pixel is known")
    return weights
