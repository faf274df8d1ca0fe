r"""Training on a CPU: an LCSC module and its gradient as matrix products on patches.

The library's convolution is slow where many maps become an image of few channels, and each layer,
threshold and sum reads and writes all maps, forward and backward. Here one function does the whole
module for a sample at a time: per block two products with the patches forward and four backward,
thresholds and sums in one pass each while the sample's maps are in cache.

What is kept for the gradient are the maps :math:`U_0 \ldots U_J` and the images between them, not
what led to them: by its result alone a soft threshold says where it let the gradient through.

Samples are summed in their order, so gradients do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcsc.types import Floats

from .products import (
    analysis_matrix,
    array,
    blank,
    clear_margin,
    crop,
    pad,
    synthesis_matrix,
    synthesis_weight,
)
from .steps import Steps
from .threads import torch_threads


def serves(image: Tensor, *, training: bool) -> bool:
    """Return True if this engine is allowed: in training, float32 on a CPU, with gradients."""
    return (
        training
        and image.device.type == "cpu"
        and image.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def maps(steps: Steps, image: Tensor) -> Tensor:
    """Return the maps (N, K, H, W) of an LCSC module, differentiable once.

    Parameters
    ----------
    steps : Steps
        Regular, float32 on the CPU.
    image : tensor (N, C, H, W)
        x.
    """
    flat = [weight for pair in zip(steps.down, steps.up, strict=True) for weight in pair]
    out: Tensor = _Lcsc.apply(image, steps.thresholds, steps.residual, steps.first, *flat)  # type: ignore[no-untyped-call]
    return out


def synthesise(maps: Tensor, weight: Tensor) -> Tensor:
    """Return the image (N, C, H, W) of maps (N, K, H, W), differentiable once."""
    out: Tensor = _Synthesis.apply(maps, weight)  # type: ignore[no-untyped-call]
    return out


class _Shape:
    """One sample's sizes, and the two ways between its images and patches."""

    def __init__(self, channels: int, height: int, width: int, size: int) -> None:
        self.channels, self.height, self.width, self.size = channels, height, width, size
        self.pixels = height * width

    def gather(self, padded: Floats, out: Floats) -> Floats:
        from mcsc.backend.cpu_kernels import gather_patches

        gather_patches(padded, 0, 0, self.height, self.width, self.size, out)
        return out

    def scatter(self, patches: Floats) -> Floats:
        """The patches' sum as a padded image, zero outside it."""
        from mcsc.backend.cpu_kernels import scatter_patches

        image = blank(patches.shape[0] // self.size**2, self.height, self.width, self.size)
        scatter_patches(patches, self.height, self.width, self.size, 0, 0, image)
        return clear_margin(image, self.size)

    def patches(self) -> Floats:
        return np.empty((self.channels * self.size**2, self.pixels), np.float32)


class _Lcsc(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, thresholds: Tensor, residual: bool, first: Tensor, *flat: Tensor
    ) -> Tensor:
        from . import pointwise_kernels as kernels

        x = array(image)
        n, channels, height, width = x.shape
        filters, _, size, _ = first.shape
        shape = _Shape(channels, height, width, size)
        up = [analysis_matrix(array(w)) for w in (first, *flat[1::2])]
        down = [synthesis_matrix(array(w)) for w in flat[::2]]
        lam = array(thresholds)
        maps = np.empty((len(up), n, filters, shape.pixels), np.float32)
        between = np.empty((len(up), n, channels, height + size - 1, width + size - 1), np.float32)

        def sample(i: int) -> None:
            patches = shape.patches()
            drive, change = np.empty((2, filters, shape.pixels), np.float32)
            between[0, i] = pad(x[i], size)
            np.matmul(up[0], shape.gather(between[0, i], patches), out=drive)
            kernels.threshold(drive.ravel(), lam[0], maps[0, i].ravel())
            for j in range(1, len(up)):
                old, new = maps[j - 1, i], maps[j, i]
                between[j, i] = shape.scatter(np.matmul(down[j - 1], old, out=patches))
                np.matmul(up[j], shape.gather(between[j, i], patches), out=change)
                if residual:
                    kernels.step(old.ravel(), drive.ravel(), change.ravel(), lam[j], new.ravel())
                else:
                    kernels.threshold(change.ravel(), lam[j], new.ravel())

        with torch_threads() as run:
            run(sample, list(range(n)))
        ctx.kept = maps, between, up, down, shape, residual
        ctx.save_for_backward(image, thresholds, first, *flat)  # changed in place: an error
        return torch.from_numpy(maps[-1].reshape(n, filters, height, width))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        from . import pointwise_kernels as kernels

        _ = ctx.saved_tensors
        maps, between, up, down, shape, residual = ctx.kept
        wanted = array(grad)
        n, filters = wanted.shape[:2]
        last = len(up) - 1
        sign = np.float32(-1 if residual else 1)
        for_up = np.zeros((n, *up[0].shape, last + 1), np.float32)
        for_down = np.zeros((n, shape.channels * shape.size**2, filters, max(last, 1)), np.float32)
        for_lam = np.zeros((n, last + 1))
        for_image = (
            np.empty((n, shape.channels, shape.height, shape.width), np.float32)
            if ctx.needs_input_grad[0]
            else None
        )

        def sample(i: int) -> None:
            patches, other = shape.patches(), shape.patches()
            back = np.empty((filters, shape.pixels), np.float32)
            g = wanted[i].reshape(filters, -1).copy()
            drive = np.zeros_like(g)
            for j in range(last, 0, -1):
                # `drive` collects what reaches E_0 x; without residuals nothing does, and what
                # it holds is dropped.
                for_lam[i, j] = -kernels.gate(maps[j, i].ravel(), g.ravel(), drive.ravel())
                shape.gather(between[j, i], patches)
                for_up[i, ..., j] = sign * np.matmul(g, patches.T)
                image = shape.scatter(np.matmul(up[j].T, g, out=other))
                image *= sign
                shape.gather(image, patches)
                for_down[i, ..., j - 1] = np.matmul(patches, maps[j - 1, i].T)
                np.matmul(down[j - 1].T, patches, out=back)
                if residual:
                    g += back
                else:
                    g, back = back, g
            if not residual:
                drive[...] = 0
            for_lam[i, 0] = -kernels.gate(maps[0, i].ravel(), g.ravel(), drive.ravel())
            shape.gather(between[0, i], patches)
            for_up[i, ..., 0] = np.matmul(drive, patches.T)
            if for_image is not None:
                np.matmul(up[0].T, drive, out=other)
                for_image[i] = crop(shape.scatter(other), shape.size)

        with torch_threads() as run:
            run(sample, list(range(n)))
        sums_up, sums_down = for_up.sum(axis=0), for_down.sum(axis=0)
        size = shape.size

        def analysis(j: int) -> Tensor:
            return torch.from_numpy(
                np.ascontiguousarray(sums_up[..., j]).reshape(filters, shape.channels, size, size)
            )

        weights: list[Tensor] = [analysis(0)]
        for j in range(1, last + 1):
            weights.append(torch.from_numpy(synthesis_weight(sums_down[..., j - 1], size)))
            weights.append(analysis(j))
        lam = torch.from_numpy(for_lam.sum(axis=0).astype(np.float32))
        return (
            None if for_image is None else torch.from_numpy(for_image), lam, None, *weights
        )  # fmt: skip


def product_synthesis(maps: Tensor, weight: Tensor) -> Tensor:
    """`reference.synthesise` as matrix products, without gradients."""
    a = array(maps)
    n, filters, height, width = a.shape
    channels, _, size, _ = weight.shape
    shape = _Shape(channels, height, width, size)
    matrix = synthesis_matrix(array(weight))
    out = np.empty((n, channels, height, width), np.float32)

    def sample(i: int) -> None:
        out[i] = crop(shape.scatter(np.matmul(matrix, a[i].reshape(filters, -1))), size)

    with torch_threads() as run:
        run(sample, list(range(n)))
    return torch.from_numpy(out)


def product_gradient(maps: Tensor, image: Tensor, size: int) -> Tensor:
    """`reference.synthesis_gradient` as matrix products."""
    return torch.from_numpy(_synthesis_gradients(array(maps), array(image), size, None)[1])


def _synthesis_gradients(
    maps: Floats, image: Floats, size: int, matrix: Floats | None
) -> tuple[Floats | None, Floats]:
    """Gradients at an image in the maps, if the filters' matrix is given, and in the filters."""
    n, filters, height, width = maps.shape
    shape = _Shape(image.shape[1], height, width, size)
    for_maps = None if matrix is None else np.empty((n, filters, shape.pixels), np.float32)
    for_matrix = np.empty((n, shape.channels * size * size, filters), np.float32)

    def sample(i: int) -> None:
        patches = shape.gather(pad(image[i], size), shape.patches())
        if for_maps is not None:
            np.matmul(matrix.T, patches, out=for_maps[i])  # type: ignore[union-attr]
        np.matmul(patches, maps[i].reshape(filters, -1).T, out=for_matrix[i])

    with torch_threads() as run:
        run(sample, list(range(n)))
    return (
        None if for_maps is None else for_maps.reshape(maps.shape),
        synthesis_weight(for_matrix.sum(axis=0), size),
    )


class _Synthesis(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight)
        return product_synthesis(maps, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        maps, weight = ctx.saved_tensors
        matrix = synthesis_matrix(array(weight))
        for_maps, for_weight = _synthesis_gradients(
            array(maps), array(grad), weight.shape[-1], matrix
        )
        return torch.from_numpy(for_maps), torch.from_numpy(for_weight)
