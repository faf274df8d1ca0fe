"""What a restoration does to a block, with what is around it: before the codes, and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...baselines.injection import MixtureSums, mixture_sums
from ...images.enlarging import back_project, enlarge, taken_twice
from ...images.split import fill_holes
from ...model.dictionary import Dictionary
from ...model.reconstruction import reconstruct, signal_parts
from ...tasks.preparation import Prepared, coarse_guide
from ...tasks.sparse_coding import lam_of_bands, prepare_for_dictionary
from ...tasks.task import Task
from ...types import Floats, Lam, Region
from ...values.forms import ImageForm
from ..result import channels_of_parts
from .local import BlockCodes, Shapes, codes_around

__all__ = ["Bands", "LocalRestoration"]

_Taken: TypeAlias = tuple[Floats, Floats | None, np.ndarray]


@dataclass(frozen=True, eq=False)
class Bands:
    """How the bands of x become problems, and what there will be."""

    count: int
    """Problems: one, or one a band."""
    copies: int
    """How often a band is repeated."""
    signals: Shapes
    """``x0``, ``x1``, ..., ``y``, ``mask0``, ..., ``guide_mask``."""
    made: Shapes
    """Images of the result."""

    def lam(self, chosen: Lam, task: Task) -> Lam:
        """Return lam of each problem."""
        return lam_of_bands(chosen, self.copies, task)


@dataclass(frozen=True, eq=False)
class LocalRestoration:
    """The steps of `mcsc.tasks.restore` that depend on what is near alone."""

    dictionary: Dictionary
    task: Task
    forms: tuple[ImageForm, ImageForm]
    factor: int | None
    """Factor of super-resolution; None for other tasks."""
    ratio: int
    """How many times smaller x is given than y."""
    sigma: float | None
    """Denoising: standard deviation of the noise, in grey levels of 255; None: that of the
    dictionary."""
    mixture: NDArray[np.float64] | None = None
    """Weights of the guide's channels for each band, (C, C'); None: all bands have one guide."""
    sharp: bool = False
    """Whether x, given as large as y, has detail that no enlarged image has: it is reduced first,
    and enlarged again."""

    def guide_name(self, band: int) -> str:
        """Return what the guide of a band is called among the signals."""
        return "y" if self.mixture is None else f"y{band}"

    @property
    def dtype(self) -> Any:
        """Type of all arrays that are made: float64 if x is float64, otherwise float32."""
        return np.dtype(np.float64 if self.forms[0].double else np.float32)

    def bands(self, images: Sequence[Any], known: Sequence[Any]) -> Bands:
        """Tell what will be made of Dask arrays (C, H, W) and their masks.

        Raises
        ------
        ValueError
            Channels do not fit the dictionary.
        """
        side = 2 * self.dictionary.filter_size
        x, y = (np.zeros((len(image), side, side), self.dtype) for image in images)
        mask, guide_mask = (
            None if m is None else np.ones((len(m), side, side), np.float32) for m in known
        )
        like = prepare_for_dictionary(
            x, y, self.dictionary, self.task, mask, guide_mask, self.sigma, self.mixture,
            self._small(x),
        )  # fmt: skip
        own, other = like.masks or (None, None)
        signals: dict[str, tuple[int, Any] | None] = {}
        for n in range(len(like.signals[0])):
            signals[f"x{n}"] = like.signals[0].shape[1], self.dtype
            signals[f"mask{n}"] = None if own is None else (own.shape[1], self.dtype)
            signals[self.guide_name(n)] = like.signals[1].shape[1], self.dtype
        signals["guide_mask"] = None if other is None else (other.shape[1], self.dtype)
        parts = channels_of_parts(self.dictionary, "restoration")
        image = len(images[0]), self.dtype
        made: dict[str, tuple[int, Any] | None] = {"image": image, "base": image}
        made["common"] = None if parts["common"] is None else image
        made["unique"] = None if parts["unique0"] is None else image
        return Bands(len(like.signals[0]), like.copies, signals, made)

    def signals(
        self, parts: Sequence[Any], words: tuple[Any, ...], box: Region
    ) -> dict[str, Floats | None]:
        """Make the signals of a block, (C, h, w) each."""
        [fallback] = words
        prepared, _, _ = self._prepared(parts, fallback)
        x, y = prepared.signals
        own, other = prepared.masks or (None, None)
        found: dict[str, Floats | None] = {}
        found["guide_mask"] = None if other is None else other[0]
        for n in range(len(x)):
            found[f"x{n}"] = x[n]
            found[self.guide_name(n)] = y[n]
            found[f"mask{n}"] = None if own is None else own[n]
        return {name: _cropped(image, box) for name, image in found.items()}

    def restored(
        self, parts: Sequence[Any], words: tuple[Any, ...], box: Region
    ) -> dict[str, Floats | None]:
        """Make a block of the result from the codes around it, in the unit of x."""
        fallback, layers, around = words
        prepared, image, known = self._prepared(parts, fallback)
        base = prepared.base
        answers: dict[str, list[Any]] = {"image": [], "common": [], "unique0": [], "model": []}
        lacking = prepared.known is not None
        for given in layers:
            for name, answer in self._answers(given, around, lacking=lacking).items():
                answers[name].append(answer)

        def of_all(name: str) -> Floats | None:
            found = answers[name]
            if not found or found[0] is None:
                return None
            # Bands that were not reached have no codes.
            found += [np.zeros_like(found[0])] * (len(prepared.signals[0]) - len(found))
            return np.stack(found)

        def as_bands(name: str) -> Floats | None:
            found = of_all(name)
            return None if found is None else prepared.as_bands(found).astype(self.dtype)

        if lacking:
            assert known is not None
            model = of_all("model")
            assert model is not None
            base = prepared.filled_base(known, model)
        detail = as_bands("image")
        assert detail is not None
        made: Floats = base + detail
        if self.factor is not None:
            small = self._small(image)
            assert small is not None
            made = back_project(made, image, small, known)
        form = self.forms[0]
        common, unique = as_bands("common"), as_bands("unique0")
        found = {
            "image": form.restored(made),
            "base": form.restored(made - detail),
            "common": None if common is None else form.restored_part(common),
            "unique": None if unique is None else form.restored_part(unique),
        }
        return {
            name: None if part is None else _cropped(part.astype(self.dtype), box)
            for name, part in found.items()
        }

    def _small(self, image: Floats) -> tuple[int, int] | None:
        """Return the size at which a block of x, (C, h, w) at full size, was known."""
        if self.factor is None:
            return None
        height, width = image.shape[1:]
        return max(1, height // self.factor), max(1, width // self.factor)

    def _answers(
        self, given: BlockCodes, around: Region, *, lacking: bool
    ) -> dict[str, Floats | None]:
        """What the codes of a band give around a block, (C, h, w) each."""
        codes, place = codes_around(given, around)
        made = reconstruct(codes, self.dictionary, "restoration")
        found = {"image": made.image, "common": made.common, "unique0": made.unique[0]}
        if lacking:
            found["model"] = signal_parts(codes, self.dictionary)[0].image
        return {
            name: None if part is None else _cropped(part[0], place) for name, part in found.items()
        }

    def mixture_sums(
        self,
        parts: Sequence[Any],
        fallback: Sequence[np.ndarray],
        box: Region,
        cells: tuple[int, int],
    ) -> MixtureSums:
        """Sum up what the mixture of the guide is made of, for cells in a box of these arrays."""
        taken = self._taken_pair(parts, fallback)
        masks: list[Any] = []
        for signal, known, lost in taken:
            mask = None if known is None else np.broadcast_to(known, signal.shape).copy()
            if mask is not None:
                mask[lost] = 0
            masks.append(mask)
        (image, _, _), (guide, guide_known, _) = taken
        small = self._small(image)
        coarse = guide if small is None else coarse_guide(guide, guide_known, small)
        x, y, mask, guide_mask = (_cropped(part, box) for part in (image, coarse, *masks))
        assert x is not None
        assert y is not None
        return mixture_sums(x, y, mask, guide_mask, cells)

    def sharpness_sums(
        self, parts: Sequence[Any], fallback: Sequence[np.ndarray], box: Region
    ) -> tuple[float, float]:
        """Sum up, in a box, what reducing and enlarging takes from x: see `taken_twice`."""
        assert self.factor is not None
        image, known, _ = _taken(self.forms[0], parts[0], parts[2], fallback[0])
        filled = image if known is None else fill_holes(image, known)
        first, second = (
            float(squares[..., *box].sum(dtype=np.float64))
            for squares in taken_twice(filled, self.factor)
        )
        return first, second

    def _taken_pair(
        self, parts: Sequence[Any], fallback: Sequence[np.ndarray]
    ) -> tuple[_Taken, _Taken]:
        """Return x, at its full size, and y as `_taken` gives them."""
        x, y, mask, guide_mask = parts
        image, known, lost = _taken(self.forms[0], x, mask, fallback[0])
        guide, guide_known, guide_lost = _taken(self.forms[1], y, guide_mask, fallback[1])
        if self.ratio > 1:
            height, width = image.shape[1:]
            image, known = enlarge(image, (height * self.ratio, width * self.ratio), known)
        elif self.sharp:
            small = self._small(image)
            assert small is not None
            reduced, weights = enlarge(image, small, known)
            image, known = enlarge(reduced, (image.shape[1], image.shape[2]), weights)
        return (image, known, lost), (guide.astype(image.dtype), guide_known, guide_lost)

    def _prepared(
        self, parts: Sequence[Any], fallback: Sequence[np.ndarray]
    ) -> tuple[Prepared, Floats, Floats | None]:
        """Return what the model takes, x at its full size, and what of it is known."""
        taken = self._taken_pair(parts, fallback)
        (image, known, lost), (guide, guide_known, guide_lost) = taken
        prepared = prepare_for_dictionary(
            image, guide, self.dictionary, self.task, known, guide_known, self.sigma, self.mixture,
            self._small(image),
        )  # fmt: skip
        own, other = prepared.masks or (None, None)
        if own is not None and lost.any():
            assert known is not None
            own, known = own.copy(), known.copy()
            known[lost] = 0
            if len(own) == 1 and len(lost) > 1:
                own[0, lost] = 0
            else:
                own[lost] = 0
        if other is not None and guide_lost.any():
            other = other.copy()
            # A luma is unknown where a channel is.
            other[:, guide_lost if other.shape[1] == len(guide_lost) else slice(None)] = 0
        masks = None if prepared.masks is None else (own, other)
        return replace(prepared, masks=masks), image, known


def _taken(
    form: ImageForm, image: Any, mask: Any, fallback: np.ndarray
) -> tuple[Floats, Floats | None, np.ndarray]:
    """Return an image in [0, 1], its weights, and the channels that are unknown everywhere here.

    In these channels the fallback stands for every pixel, with a weight of one while the image is
    split.
    """
    if mask is None:
        return form.taken(image), None, np.zeros(len(image), dtype=bool)
    known = np.broadcast_to(np.asarray(mask, np.float32), image.shape).copy()
    lost = np.asarray(~(known > 0).any((1, 2)))
    known[lost] = 1
    if lost.any():
        image = np.where(lost[:, None, None], fallback[:, None, None], image).astype(image.dtype)
    return form.taken(image, known), known, lost


def _cropped(image: Floats | None, box: Region) -> Floats | None:
    return None if image is None else np.ascontiguousarray(image[..., *box])
