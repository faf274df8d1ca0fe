"""What a fusion does to a block, with what is around it: before the codes, and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...coding.images import CodedImages, Made, images_of_codes
from ...fusion.bases import lumas_of
from ...fusion.rules import CodedSources, Rule
from ...images.split import lowpass_split
from ...model.dictionary import Dictionary
from ...types import Floats, Region
from ...values.forms import ImageForm
from ...values.ranges import ValueRange
from ..result import channels_of_parts
from .local import BlockCodes, Shapes, codes_around

__all__ = ["LocalFusion"]


@dataclass(frozen=True, eq=False)
class LocalFusion:
    """The steps of `mcsc.tasks.fuse` that depend on what is near alone."""

    dictionary: Dictionary
    rule: Rule
    called: str
    """Name of the rule."""
    forms: tuple[ImageForm, ...]
    """Forms of the sources, in the order of the signals."""
    values: ValueRange
    """Unit of the result."""
    strength: float
    brightest: bool
    order: tuple[int, ...]
    """Numbers of the sources, as they were given, in the order of the signals."""

    @property
    def dtype(self) -> Any:
        """Type of all arrays that are made: float64 if any source is, otherwise float32."""
        return np.dtype(np.float64 if any(form.double for form in self.forms) else np.float32)

    @property
    def _targets(self) -> Made:
        return "fusion" if self.rule.targets else "signals"

    def made(self, channels: int) -> Shapes:
        """Tell what will be made of sources of so many channels."""
        if self.rule.targets:
            parts = channels_of_parts(self.dictionary, "fusion")
            there = [name for name, count in parts.items() if count is not None]
        else:
            unique = self.dictionary.unique or ()
            there = [f"unique{m}" for m, bank in enumerate(unique) if bank is not None]
            there += ["common"] if self.dictionary.common is not None else []
        made: dict[str, tuple[int, Any] | None] = {
            "image": (channels, self.dtype), "base": (1, self.dtype),
            "index": None if self.rule.selection is None else (1, np.int32),
        }  # fmt: skip
        names = ["common", *(f"unique{m}" for m in range(len(self.forms)))]
        return made | {name: (1, self.dtype) if name in there else None for name in names}

    def signals(
        self, parts: Sequence[Any], words: tuple[Any, ...], box: Region
    ) -> dict[str, Floats]:
        """Make the signals of a block, (1, h, w) each: the detail of the lumas."""
        found = {}
        for m, image in enumerate(self._taken(parts)):
            high = lowpass_split(lumas_of(image), self.strength).high
            found[f"x{m}"] = np.ascontiguousarray(high[:, *box])
        return found

    def fused(self, parts: Sequence[Any], words: tuple[Any, ...], box: Region) -> dict[str, Any]:
        """Make a block of the result from the codes around it, in the unit of the first source."""
        given, around = words
        images = tuple(self._taken(parts))
        lumas = tuple(lumas_of(image) for image in images)
        splits = tuple(lowpass_split(luma, self.strength) for luma in lumas)
        coded = self._coded(given, around)
        blend = self.rule.blend(
            self.called,
            CodedSources(images, lumas, splits, coded, self.strength, self.brightest),
        )
        found: dict[str, Any] = {
            "image": self.values.restored(blend.image), "base": self.values.restored(blend.base),
            "common": _part(self.values, coded.common),
        }  # fmt: skip
        for m, number in enumerate(self.order):
            found[f"unique{number}"] = _part(self.values, coded.unique[m])
        cropped: dict[str, Any] = {
            name: None if part is None else np.ascontiguousarray(part[:, *box], dtype=self.dtype)
            for name, part in found.items()
        }
        if blend.index is not None:
            cropped["index"] = np.asarray(self.order, np.int32)[blend.index[box]][None]
        return cropped

    def _taken(self, parts: Sequence[Any]) -> list[Floats]:
        return [
            form.taken(image).astype(self.dtype, copy=False)
            for form, image in zip(self.forms, parts, strict=True)
        ]

    def _coded(self, given: BlockCodes, around: Region) -> CodedImages:
        codes, (rows, columns) = codes_around(given, around)
        images = {
            name: None if image is None else image[..., rows, columns].astype(self.dtype)
            for name, image in images_of_codes(
                codes, self.dictionary, self._targets, models=True
            ).items()
        }
        return CodedImages.of(images, len(self.forms))


def _part(values: ValueRange, part: Floats | None) -> Floats | None:
    return None if part is None else values.restored_part(part[0])
