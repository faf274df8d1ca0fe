"""Convolutions on a CPU as matrix products on patches: the matrices, the padding, the threads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcsc.backend.threads import single_threaded_blas

Array = np.ndarray
Map = Callable[[Callable[[Any], Any], list[Any]], list[Any]]


def array(tensor: Tensor) -> Array:
    """A tensor as a contiguous array, without a copy if it is contiguous."""
    return np.ascontiguousarray(tensor.detach().numpy())


def analysis_matrix(weight: Array) -> Array:
    """Filters (K, C, s, s) as the matrix (K, C s s) on patches."""
    return weight.reshape(weight.shape[0], -1)


def synthesis_matrix(weight: Array) -> Array:
    """Flipped filters (C, K, s, s) as the matrix (C s s, K) to patches."""
    return np.ascontiguousarray(
        np.moveaxis(weight[:, :, ::-1, ::-1], 1, -1).reshape(-1, weight.shape[1])
    )


def synthesis_weight(matrix: Array, size: int) -> Array:
    """The inverse of `synthesis_matrix`."""
    filters = matrix.reshape(-1, size, size, matrix.shape[1])
    # A copy: flipped filters of one pixel would pass for contiguous, with strides below zero.
    return np.moveaxis(filters, -1, 1)[:, :, ::-1, ::-1].copy()


def blank(channels: int, height: int, width: int, size: int) -> Array:
    """A zero image with s - 1 more rows and columns: room for every pixel's patch."""
    return np.zeros((channels, height + size - 1, width + size - 1), np.float32)


def crop(padded: Array, size: int) -> Array:
    """The image inside a padded one (C, H + s - 1, W + s - 1)."""
    before, after = (size - 1) // 2, size // 2
    return padded[:, before : padded.shape[1] - after, before : padded.shape[2] - after]


def pad(image: Array, size: int) -> Array:
    """The image (C, H, W) with zeros around it, so that every pixel has its patch."""
    out = blank(*image.shape, size)  # type: ignore[call-arg]
    crop(out, size)[...] = image
    return out


def clear_margin(padded: Array, size: int) -> Array:
    """Set what lies outside the image to zero again."""
    before, after = (size - 1) // 2, size // 2
    padded[:, :before] = 0
    padded[:, padded.shape[1] - after :] = 0
    padded[:, :, :before] = 0
    padded[:, :, padded.shape[2] - after :] = 0
    return padded


@contextmanager
def torch_threads(*, keep: bool = False) -> Iterator[Map]:
    """As many threads as PyTorch has, each multiplying on its own.

    With `keep`, the tasks call PyTorch, which then must not start threads of its own in them.
    """
    count = torch.get_num_threads()
    with single_threaded_blas():
        if count == 1:
            yield lambda function, items: [function(item) for item in items]
            return
        if not keep:
            pool = _pool(count)
            yield lambda function, items: list(pool.map(function, items))
            return
        # PyTorch's number of threads belongs to the calling thread, but what it was set to last
        # is what threads that come later begin with: it is put back.
        try:
            with ThreadPoolExecutor(
                count, "unfolded", initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                yield lambda function, items: list(pool.map(function, items))
        finally:
            torch.set_num_threads(count)


@functools.cache
def _pool(count: int) -> ThreadPoolExecutor:
    """Threads that stay: a training step calls for them a dozen times."""
    return ThreadPoolExecutor(count, "unfolded")
