"""Images as the baselines take them: what is asked of them, and their arithmetic.

Filters by a guide take images of any number of channels. A way to fuse takes two or more sources,
arrays of floats in [0, 1] of one shape, (H, W) or (C, H, W), and returns an image of that shape and
of the sources' dtype. Choices between sources are made on their full-range lumas and hold for all
channels, so that no colour appears that is in no source. Sums of chosen details may leave [0, 1];
nothing is clipped. The arithmetic is float64.

No way to fuse holds more than one source at a time: the sequence may make an image, or read a file,
when an item is asked for, and is gone through once or twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_count, check_image, check_source, check_sources
from ..errors import InvalidValueError
from ..images.planes import Planes, luma_plane, planes
from ..types import Floats

__all__ = ["Largest", "Sources", "image_and_guide"]


def image_and_guide(image: Any, guide: Any) -> tuple[Planes, Planes]:
    """Both in float64, (C, H, W); refuse what is no image, and two sizes."""
    check_image("image", image)
    check_image("guide", guide)
    if image.shape[-2:] != guide.shape[-2:]:
        raise InvalidValueError(
            f"guide has shape {guide.shape}, image {image.shape}; want one height and width"
        )
    return planes(image), planes(guide)


class Sources:
    """The sources of a fusion, one at a time, in float64, (C, H, W), with their lumas (H, W).

    Parameters
    ----------
    sources : sequence of arrays of floats, shape (H, W) or (C, H, W)
        A list or tuple is checked at once, another sequence as it is gone through.
    channels : tuple of int, optional
        How many there may be.
    luma : bool
        False: lumas are not made; they are None.
    """

    def __init__(
        self,
        sources: Sequence[Floats],
        *,
        channels: tuple[int, ...] | None = (1, 3),
        luma: bool = True,
    ) -> None:
        if isinstance(sources, list | tuple):
            check_sources(sources, channels=channels)
        else:
            check_count(sources)
        self._sources, self._channels, self._luma = sources, channels, luma
        self._shape: tuple[int, ...] | None = None
        self._dtype: Any = None

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[tuple[Planes, Planes]]:
        for index in range(len(self)):
            image = self._sources[index]
            check_source(index, image, self._shape, channels=self._channels)
            self._shape = image.shape
            self._dtype = np.result_type(image, self._dtype or image.dtype)
            y = luma_plane(image) if self._luma else np.empty((0, 0))
            yield planes(image), y

    def result(self, fused: Planes) -> Floats:
        """The fused image (C, H, W) in the shape and dtype of the sources."""
        assert self._shape is not None
        return fused.reshape(self._shape).astype(self._dtype)


class Largest:
    """Which source has the largest importance, pixel by pixel.

    Parameters
    ----------
    last : bool
        Whether the last of several equal values counts, not the first.
    """

    def __init__(self, *, last: bool = False) -> None:
        self._last = last
        self.index: NDArray[np.int32] = np.empty((0, 0), np.int32)
        """Its number, (H, W)."""
        self._importance: Planes | None = None

    def offer(self, number: int, importance: Planes) -> NDArray[np.bool_]:
        """Note where a source is more important than all before it, and return where."""
        if self._importance is None:
            self.index = np.full(importance.shape, number, np.int32)
            self._importance = importance.copy()
            return np.ones(importance.shape, bool)
        better: NDArray[np.bool_] = (np.greater_equal if self._last else np.greater)(
            importance, self._importance
        )
        self.index[better] = number
        np.copyto(self._importance, importance, where=better)
        return better
