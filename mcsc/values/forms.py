"""How images are given, and the way to the model's arrays and back.

The model, its dictionaries and its networks work on NumPy arrays (C, H, W) of float32 or float64
in [0, 1]. Callers have (H, W) too, other units, other dtypes, other array libraries: an `ImageForm`
remembers these of an image and gives results back in the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, backend_for, is_array, to_numpy
from ..checks import nowhere_known
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..types import Device, Floats
from ..words import percent
from .masks import check_mask
from .ranges import Contrast, ValueRange, beyond, find_range, is_much, quantised

__all__ = ["ImageForm", "check_axes", "plain_array"]


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
    contrast: Contrast | None = None
    """What its bands span of the range, where that is little; None: they are taken as they are."""
    cut: list[float] = field(default_factory=list)
    """Shares of the values that `returned` cut off to what the dtype holds."""

    @classmethod
    def of(cls, name: str, image: Array, values: ValueRange | None = None) -> ImageForm:
        """Look at an image and refuse what is none.

        Raises
        ------
        TypeError
            It is no array of floats or integers of NumPy or CuPy.
        ValueError
            Its shape is neither (H, W) nor (C, H, W), or it is empty.
        """
        if not is_array(image):
            raise InvalidTypeError(f"{name} must be an array, found {type(image).__name__}")
        if isinstance(image, np.ma.MaskedArray):
            raise InvalidTypeError(
                f"{name} is a masked array: give its data, and ~numpy.ma.getmaskarray(image) as "
                "the mask"
            )
        backend = backend_for(image)
        if not backend.xp.isdtype(image.dtype, ("real floating", "integral")):
            raise InvalidTypeError(
                f"{name} has dtype {image.dtype}: images are arrays of floats or integers"
            )
        shape = tuple(int(n) for n in image.shape)
        if len(shape) not in (2, 3) or 0 in shape:
            raise InvalidValueError(
                f"{name} has shape {shape}; want (H, W) or (C, H, W), not empty"
            )
        check_axes(name, shape)
        return cls(
            name, len(shape), image.dtype, backend.xp, values or ValueRange(),
            backend.name == "CuPy",
        )  # fmt: skip

    def device(self, asked: Device) -> Device:
        """Where to compute: on the GPU, if "auto" is asked for and the image is there."""
        return "cuda" if asked == "auto" and self.on_gpu else asked

    @property
    def double(self) -> bool:
        """Whether it is worked on in float64; in float32 otherwise."""
        dtype = to_numpy(self.xp.empty((1,), dtype=self.dtype)).dtype
        return dtype == np.float64 or (dtype.kind in "iu" and dtype.itemsize > 2)

    def weights(self, mask: Array, shape: Sequence[int]) -> Floats | None:
        """A mask of the image of this shape, see `check_mask`; None if all of it is known."""
        sizes = (1,) * (3 - self.axes) + tuple(int(n) for n in shape)
        found = check_mask(self.name, mask, sizes)
        return None if (found == 1).all() else found

    def measured(
        self,
        image: Array,
        mask: NDArray[Any] | None = None,
        *,
        display: bool = True,
        doubtful: bool | None = None,
        sigma: float | None = None,
    ) -> ImageForm:
        """The form with the range of the image's known values: see `find_range`."""
        found = _as_channels(to_numpy(image))
        values = find_range(
            [found], [mask], name=self.name, display=display, doubtful=doubtful, sigma=sigma
        )
        return replace(self, values=values)

    def taken(self, image: Array, mask: NDArray[Any] | None = None) -> Floats:
        """The image as the model takes it: NumPy, (C, H, W), in [0, 1]; 0 where the mask is 0.

        Bands of which the form has the contrast are stretched.

        Raises
        ------
        ValueError
            It holds NaN or Inf where it is known.

        Warns
        -----
        UserWarning
            Most values are far from [0, 1].
        """
        found = _as_channels(to_numpy(image))
        finite = np.isfinite(found)
        known = np.broadcast_to(True if mask is None else mask > 0, found.shape)
        wrong = int((known & ~finite).sum())
        if wrong:
            where = "" if mask is None else " where its mask is not 0"
            lost = nowhere_known(finite & known)
            bands = "" if lost in (None, "everywhere") else f", {lost}"
            raise InvalidValueError(
                f"{self.name} holds NaN or Inf{where} ({wrong} values{bands}): if these pixels are "
                "unknown, give a mask that is 0 there, as numpy.isfinite makes one"
            )
        dtype = np.float64 if self.double else np.float32
        work: Floats = np.where(known, found, 0).astype(dtype)
        work = np.where(known, self.values.scaled(work), 0).astype(dtype)
        self._warn_of_another_unit(work[known])
        if self.contrast is not None:
            work = np.where(known, self.contrast.stretched(work), 0).astype(dtype)
        return work

    def stretched(
        self, image: Floats, mask: NDArray[Any] | None = None, *, jointly: bool
    ) -> tuple[ImageForm, Floats]:
        """Stretch bands that span little of the range: see `Contrast`.

        Parameters
        ----------
        image : array (C, H, W)
            As `taken` returned it.
        mask : array (1 or C, H, W), optional
            Weights; where one is 0 the value does not count.
        jointly : bool
            As in `Contrast.of`.

        Returns
        -------
        form : ImageForm
            That by which results come back in the caller's unit nevertheless.
        image : array (C, H, W)
        """
        known = np.broadcast_to(True if mask is None else mask > 0, image.shape)
        contrast = Contrast.of_image(image, known, jointly=jointly)
        if contrast is None:
            return self, image
        out = np.where(known, contrast.stretched(image), 0).astype(image.dtype)
        return replace(self, contrast=contrast), out

    @property
    def stretched_bands(self) -> tuple[int, ...]:
        """Numbers of the bands that are stretched."""
        return () if self.contrast is None else self.contrast.bands

    def restored(self, image: Floats) -> Floats:
        """Bring an image (C, H, W) to the caller's unit, as floats."""
        image = image if self.contrast is None else self.contrast.restored(image)
        return self.values.restored(image)

    def restored_part(self, part: Floats) -> Floats:
        """Bring a part of an image that is added to another one to the caller's unit."""
        part = part if self.contrast is None else self.contrast.restored_part(part)
        return self.values.restored_part(part)

    def returned(self, image: Floats) -> Array:
        """An image (C, H, W) in the caller's form and unit; integers are rounded.

        Warns
        -----
        UserWarning
            More than 1 % of the values are beyond the ends of the integers, or one of them by more
            than a tenth of the range, and were cut off there.
        """
        restored = self._shaped(self.restored(image))
        dtype = self._numpy_dtype
        if dtype.kind not in "iu":
            return self.as_given(restored)
        samples, cut = quantised(restored, dtype)
        self.cut.append(cut)
        furthest = beyond(restored, dtype)
        if is_much(cut, furthest, self.values):
            warn_user(
                f"{percent(cut)} of the values are beyond what {self.dtype} holds, by up to "
                f"{furthest:.3g}, and were cut off: pass {self.name} as floats to keep them"
            )
        return self.as_given(samples)

    def returned_part(self, part: Floats | None) -> Array | None:
        """A part of an image, one of those that it is the sum of, in the caller's unit.

        In the caller's dtype, if those are floats.
        """
        return None if part is None else self.as_floats(self._shaped(self.restored_part(part)))

    def returned_base(self, base: Floats | None) -> Array | None:
        """What the parts are added to, in the caller's unit, as floats."""
        return None if base is None else self.as_floats(self._shaped(self.restored(base)))

    def as_given(self, array: NDArray[Any]) -> Array:
        """An array of the caller's dtype and library."""
        return self.xp.asarray(np.ascontiguousarray(array), dtype=self.dtype)

    def as_floats(self, array: Floats) -> Array:
        """An array of the caller's library, of the caller's dtype if that is one of floats."""
        floats = self._numpy_dtype.kind == "f"
        given = np.ascontiguousarray(array)
        return self.xp.asarray(given, dtype=self.dtype) if floats else self.xp.asarray(given)

    @property
    def _numpy_dtype(self) -> np.dtype[Any]:
        # Other libraries' dtypes are called "library.float32".
        return np.dtype(str(self.dtype).rpartition(".")[2])

    def _shaped(self, image: Floats) -> Floats:
        return image[0] if self.axes == 2 and len(image) == 1 else image

    def _warn_of_another_unit(self, values: Floats) -> None:
        if not values.size:
            return
        middle = float(np.median(values))
        if not -0.5 <= middle <= 1.5:
            shown = float(self.values.restored(np.array(middle)))
            warn_user(
                f"the median of {self.name} is {shown:.4g}, but its values are taken to range from "
                f"{self.values.low:g} to {self.values.high:g}"
            )


def check_axes(name: str, shape: Sequence[int]) -> None:
    """Refuse a shape (H, W, C) of few channels, which as (C, H, W) would be a narrow image."""
    if len(shape) == 3 and shape[2] <= 4 < min(shape[:2]):
        raise InvalidValueError(
            f"{name} has shape {tuple(shape)}; axes are (C, H, W): move the channels to the front, "
            "as numpy.moveaxis(image, -1, 0) does"
        )


def plain_array(name: str, image: Any, mask: Array | None = None) -> tuple[Any, Array | None]:
    """Take a masked array of NumPy apart: its data, and a mask in which 0 is unknown.

    Parameters
    ----------
    name : str
        What messages call the image.
    image : array
        Anything but a masked array is returned as it is.
    mask : array, optional
        Weights that were given besides: unknown is what either says is.

    Returns
    -------
    image, mask
    """
    if not isinstance(image, np.ma.MaskedArray):
        return image, mask
    known = ~np.ma.getmaskarray(image)
    data = np.asarray(image.data)
    if mask is not None:
        given = check_mask(name, mask, (1,) * (3 - data.ndim) + data.shape)
        return data, given * known.reshape((1,) * (3 - known.ndim) + known.shape)
    return data, None if known.all() else known


def _as_channels(image: NDArray[Any]) -> NDArray[Any]:
    return image.reshape(-1, *image.shape[-2:])
