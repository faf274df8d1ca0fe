"""Batches by number: what a step sees is a function of the step alone, so a run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from .patches import Patches

Triples = Sequence[tuple[Tensor, ...]]


class _Scenes(Dataset[tuple[Tensor, ...]]):
    """Whole scenes, to measure on."""

    def __init__(self, triples: Triples) -> None:
        self._triples = triples

    def __len__(self) -> int:
        return len(self._triples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self._triples[index]


class _Steps(Sampler[list[int]]):
    """Numbers of the patches of each step, from the trainer's step to the end of its round."""

    def __init__(self, trainer: Any, batch_size: int, per_epoch: int) -> None:
        self._trainer, self._batch, self._per_epoch = trainer, batch_size, per_epoch

    def __len__(self) -> int:
        return self._per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        first = self._trainer.global_step
        last = (first // self._per_epoch + 1) * self._per_epoch
        ranks, rank = self._trainer.world_size, self._trainer.global_rank
        for step in range(first, last):
            start = (step * ranks + rank) * self._batch
            yield list(range(start, start + self._batch))


class _Loader(DataLoader[tuple[Tensor, ...]]):
    """A loader that can be resumed: its place is the trainer's step, so it has no state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


# Loaders draw seeds for their workers, which draw nothing: not from the caller's generator.


def patch_loader(
    patches: Patches, trainer: Any, batch_size: int, per_epoch: int, workers: int
) -> DataLoader[tuple[Tensor, ...]]:
    """Return the loader of a trainer's batches of patches."""
    return _Loader(
        patches,
        batch_sampler=_Steps(trainer, batch_size, per_epoch),
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=torch.Generator(),
    )


def scene_loader(scenes: Triples) -> DataLoader[tuple[Tensor, ...]]:
    """Return the loader of whole scenes."""
    return DataLoader(_Scenes(scenes), batch_size=None, generator=torch.Generator())
