"""Convolutions on a CPU as matrix products on patches: the matrices and the padding."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mcsc.types import Floats

from .steps import margins


def array(tensor: Tensor) -> Floats:
    """A tensor as a contiguous array, without a copy if it is contiguous."""
    return np.ascontiguousarray(tensor.detach().numpy())


def analysis_matrix(weight: Floats) -> Floats:
    """Filters (K, C, s, s) as the matrix (K, C s s) on patches."""
    return weight.reshape(weight.shape[0], -1)


def synthesis_matrix(weight: Floats) -> Floats:
    """Flipped filters (C, K, s, s) as the matrix (C s s, K) to patches."""
    return np.ascontiguousarray(
        np.moveaxis(weight[:, :, ::-1, ::-1], 1, -1).reshape(-1, weight.shape[1])
    )


def synthesis_weight(matrix: Floats, size: int) -> Floats:
    """The inverse of `synthesis_matrix`."""
    filters = matrix.reshape(-1, size, size, matrix.shape[1])
    # A copy: flipped filters of one pixel would pass for contiguous, with strides below zero.
    return np.moveaxis(filters, -1, 1)[:, :, ::-1, ::-1].copy()


def blank(channels: int, height: int, width: int, size: int) -> Floats:
    """A zero image with s - 1 more rows and columns: room for every pixel's patch."""
    return np.zeros((channels, height + size - 1, width + size - 1), np.float32)


def crop(padded: Floats, size: int) -> Floats:
    """The image inside a padded one (C, H + s - 1, W + s - 1)."""
    before, after = margins(size)
    return padded[:, before : padded.shape[1] - after, before : padded.shape[2] - after]


def pad(image: Floats, size: int) -> Floats:
    """The image (C, H, W) with zeros around it, so that every pixel has its patch."""
    out = blank(*image.shape, size)  # type: ignore[call-arg]
    crop(out, size)[...] = image
    return out


def clear_margin(padded: Floats, size: int) -> Floats:
    """Set what lies outside the image to zero again."""
    before, after = margins(size)
    padded[:, :before] = 0
    padded[:, padded.shape[1] - after :] = 0
    padded[:, :, :before] = 0
    padded[:, :, padded.shape[2] - after :] = 0
    return padded
