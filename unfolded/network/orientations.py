"""One network in several orientations of its images, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mcsc import Parts

__all__ = ["average_of_orientations"]

# A half turn first: two orientations already cancel what depends on a direction.
_TURNS = (0, 2, 1, 3)


def average_of_orientations(
    answer: Callable[[Tensor, Tensor], Parts], x: Tensor, y: Tensor, orientations: int
) -> Parts:
    """Return the mean of what a network says of images in several orientations.

    Images are turned by quarter turns and, from the fifth orientation on, mirrored; answers are
    turned back. What a network does without regard to direction stays, and errors that depend on it
    average out (the geometric self-ensemble of Lim et al. 2017, doi:10.1109/CVPRW.2017.151). The
    common and the unique parts still add up to the image, since both are averaged.

    Parameters
    ----------
    answer : callable
        Takes images (N, C, H, W), of any height and width, and returns their parts.
    x, y : tensor (N, C, H, W)
        Registered images.
    orientations : {1, 2, 4, 8}
        How many; time is proportional to it, memory is that of one and of the mean.
    """
    if orientations == 1:
        return answer(x, y)
    total: list[Tensor | None] = []
    for number in range(orientations):
        turns, mirrored = _TURNS[number % 4], number >= 4

        def turned(image: Tensor, turns: int = turns, mirrored: bool = mirrored) -> Tensor:
            image = image.flip(-1) if mirrored else image
            return torch.rot90(image, turns, (-2, -1)).contiguous()

        def back(image: Tensor, turns: int = turns, mirrored: bool = mirrored) -> Tensor:
            image = torch.rot90(image, -turns, (-2, -1))
            return image.flip(-1) if mirrored else image

        found = answer(turned(x), turned(y))
        planes = [p if p is None else back(p) for p in (found.image, found.common, *found.unique)]
        total = [
            p if p is None or s is None else s + p
            for s, p in zip(total or [None] * len(planes), planes, strict=True)
        ]
    image, common, *unique = (p if p is None else p / orientations for p in total)
    return Parts(image, common, tuple(unique))
