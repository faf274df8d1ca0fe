"""Filters laid one after the other in a vector, as the kernels on sparse codes read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.dictionary import Dictionary


@dataclass(frozen=True, eq=False)
class FilterLayout:
    """Where each map's filter lies in a vector of filters, and which channels it acts on."""

    first: np.ndarray
    """Index of the filter's first entry, (K,)."""
    channel: np.ndarray
    """First channel that it acts on, (K,)."""
    channels: np.ndarray
    """Number of channels, (K,)."""
    length: int
    """Length of the whole vector."""

    @classmethod
    def of_dictionary(cls, dictionary: Dictionary) -> FilterLayout:
        """That of a dictionary's own filters: each has its group's channels only."""
        s = dictionary.filter_size
        groups = dictionary.groups
        counts = [len(g.bank) for g in groups]
        channel = np.repeat([g.channels.start for g in groups], counts)
        channels = np.repeat([g.channels.stop - g.channels.start for g in groups], counts)
        ends = np.cumsum(channels * s * s)
        return cls(ends - channels * s * s, channel, channels, int(ends[-1]))

    @classmethod
    def of_target(cls, maps: int, used: np.ndarray, channels: int, size: int) -> FilterLayout:
        """That of target filters for the maps in `used`; all act on every channel."""
        length = channels * size * size
        first = np.zeros(maps, dtype=np.int64)
        first[used] = np.arange(len(used)) * length
        return cls(first, np.zeros_like(first), np.full(maps, channels), len(used) * length)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a kernel needs to find a filter."""
        return self.first, self.channel, self.channels


class FilterTable:
    """A dictionary's filters in one precision, with their squared norms."""

    def __init__(self, dictionary: Dictionary, dtype: Any) -> None:
        self.layout = FilterLayout.of_dictionary(dictionary)
        self.filters = np.concatenate([g.bank.reshape(-1) for g in dictionary.groups]).astype(dtype)
        self.norms = (dictionary.filter_norms() ** 2).astype(dtype)

    @property
    def arguments(self) -> tuple[np.ndarray, ...]:
        """What every kernel takes."""
        return self.filters, *self.layout.arrays
