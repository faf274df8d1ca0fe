"""CU-Net: common and unique information splitting network (Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mcsc.errors import InvalidTypeError, InvalidValueError

from ..engines import cpu_inference as fast
from .configuration import Configuration
from .layers import Synthesis
from .lcsc import LCSC

Codes = tuple[Tensor, tuple[Tensor, Tensor]]


class Split(NamedTuple):
    """A target image and what it is made of: the Points of Fig. 2.

    Attributes
    ----------
    image : tensor (N, C_z, H, W)
        The target z, sum of the parts (Point 4), Eq. 3 or Eq. 4.
    common : tensor (N, C_z, H, W)
        Common reconstruction ``gc * c`` (Point 1).
    unique : (tensor, tensor or None)
        Unique reconstructions ``gu * u`` and ``gv * v`` (Points 2 and 3); None for y in
        restoration, where what is unique to y is discarded.
    """

    image: Tensor
    common: Tensor
    unique: tuple[Tensor, Tensor | None]


class CUNet(nn.Module):
    r"""One pass of the paper's alternating strategy, unrolled.

    .. math::

        u = \mathrm{LCSC}_u(x), \quad v = \mathrm{LCSC}_v(y), \quad
        c = \mathrm{LCSC}_c(x - D_u * u,\; y - D_v * v), \\
        z = g^c * c + g^u * u \; [+ g^v * v].

    Parameters
    ----------
    channels : (int, int)
        Channels of x and of y.
    out_channels : int
        Channels of z.
    task : {"restoration", "fusion"}
        Eq. 3 or Eq. 4.
    filters : int or (int, int, int)
        Maps K of each module, or (K_c, K_u, K_v).
    kernel_size : int
        Side s of all filters, odd or even.
    blocks : int
        LCSC blocks J a module.
    residual : bool
        False removes the residual lines inside the three modules (Table 5's ablation).
    tied : bool
        True lets the blocks of a module share filters and threshold; see `LCSC`.

    Attributes
    ----------
    unique : ModuleList of two LCSC
        UFEM: u from x, v from y (Eqs. 8, 10).
    explained : ModuleList of two Synthesis
        ``D_u``, ``D_v``: what the unique codes explain of x and y. Not shared with the blocks.
    common : LCSC
        CFPM: c from both residuals (Eq. 13).
    target_common : Synthesis
        ``gc``.
    target_unique : ModuleList of Synthesis
        ``gu`` (restoration), ``gu`` and ``gv`` (fusion).
    configuration : Configuration
        The arguments.
    metadata : dict
        What else is to be kept with the weights, as JSON can hold it: after training, the task and
        how images are prepared (`unfolded.tasks`).

    Notes
    -----
    With one channel everywhere and K maps a module there are ``8 K s^2 (J + 1)`` filter weights
    for restoration: Table 7. Images are float tensors of shape (N, C, H, W); PyTorch's own rules
    hold for devices, autocast and gradients.

    In evaluation mode without gradients, float32 images on a CPU take the path of
    `unfolded.engines.cpu_inference`: the same function to rounding, with a fraction of the memory.
    Under ``torch.autocast("cpu", torch.bfloat16)`` it multiplies in bfloat16.

    References
    ----------
    X. Deng and P. L. Dragotti, "Deep Convolutional Neural Network for Multi-modal Image
    Restoration and Fusion", IEEE TPAMI 43(10), 2021. doi:10.1109/TPAMI.2020.2984244

    Examples
    --------
    >>> import torch
    >>> from unfolded import CUNet
    >>> net = CUNet(channels=(1, 3), filters=8, kernel_size=5, blocks=2).eval()
    >>> depth, colour = torch.rand(1, 1, 20, 30), torch.rand(1, 3, 20, 30)
    >>> with torch.no_grad():
    ...     split = net.split(depth, colour)
    >>> tuple(split.image.shape)
    (1, 1, 20, 30)
    >>> bool((split.common + split.unique[0]).allclose(split.image))
    True
    """

    def __init__(
        self,
        channels: tuple[int, int] = (1, 1),
        out_channels: int = 1,
        task: str = "restoration",
        filters: int | tuple[int, int, int] = 64,
        kernel_size: int = 8,
        blocks: int = 4,
        residual: bool = True,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.metadata: dict[str, Any] = {}
        self.configuration = wanted = Configuration(
            channels,
            out_channels,
            task,
            filters,  # type: ignore[arg-type]
            kernel_size,
            blocks,
            residual,
            tied,
        )
        k_common, *k_unique = wanted.filters
        switches: dict[str, Any] = {"residual": residual, "tied": tied}
        pairs = list(zip(wanted.channels, k_unique, strict=True))
        self.unique = nn.ModuleList(LCSC(m, k, kernel_size, blocks, **switches) for m, k in pairs)
        self.explained = nn.ModuleList(Synthesis(k, m, kernel_size) for m, k in pairs)
        self.common = LCSC(sum(wanted.channels), k_common, kernel_size, blocks, **switches)
        self.target_common = Synthesis(k_common, out_channels, kernel_size)
        parts = k_unique if task == "fusion" else k_unique[:1]
        self.target_unique = nn.ModuleList(Synthesis(k, out_channels, kernel_size) for k in parts)

    # ---------------------------------------------------------------- inference
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the target image z.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            Registered images, on a scale from 0 to 1.

        Returns
        -------
        tensor (N, C_z, H, W)
        """
        return self.split(x, y).image

    def split(self, x: Tensor, y: Tensor) -> Split:
        """Return the target image and its common and unique parts.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As in `forward`.

        Returns
        -------
        Split
            Points 4, 1, (2, 3) of Fig. 2, in the dtype of the images.

        Raises
        ------
        TypeError
            x or y is no tensor of the network's floating-point type.
        ValueError
            Channels, batch or image sizes do not fit, or a value is NaN or infinite.
        """
        self._check(x, y)
        if fast.applies(self, x):
            common, unique = fast.parts(self, x, y)
        else:
            c, uv = self._codes(x, y)
            common = self.target_common(c).to(x.dtype)
            unique = [g(a).to(x.dtype) for g, a in zip(self.target_unique, uv, strict=False)]
        image = common
        for part in unique:
            image = image + part
        return Split(image, common, (unique[0], unique[1] if len(unique) > 1 else None))

    def codes(self, x: Tensor, y: Tensor) -> Codes:
        """Return the feature maps ``(c, (u, v))``, each of shape (N, K, H, W).

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As in `forward`.
        """
        self._check(x, y)
        return self._codes(x, y)

    def tiled(self, x: Tensor, y: Tensor, tile: int = 512) -> Tensor:
        """Return z computed on overlapping tiles: memory for one of them, the same result.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As in `forward`.
        tile : int
            Side of the square of output pixels computed at a time. The overlap on each side,
            `unfolded.network.tiling.radius`, is exact and comes on top.
        """
        from .tiling import tiled

        self._check(x, y)
        return tiled(self, x, y, tile)

    def _codes(self, x: Tensor, y: Tensor) -> Codes:
        u, v = self.unique[0](x), self.unique[1](y)
        left = torch.cat((x - self.explained[0](u), y - self.explained[1](v)), dim=1)
        return self.common(left), (u, v)

    def _check(self, x: Tensor, y: Tensor) -> None:
        weight = self.target_common.weight
        for name, image, wanted in zip("xy", (x, y), self.configuration.channels, strict=True):
            if not isinstance(image, Tensor):
                raise InvalidTypeError(
                    f"{name} must be a torch tensor, found {type(image).__name__}"
                )
            if image.dtype != weight.dtype:
                raise InvalidTypeError(
                    f"{name} has dtype {image.dtype}, the network {weight.dtype}: convert one of "
                    "them (integer images are to be scaled to 0..1)"
                )
            if image.dim() != 4 or image.shape[1] != wanted or 0 in image.shape:
                raise InvalidValueError(
                    f"{name} has shape {tuple(image.shape)}: wanted (N, {wanted}, H, W), as the "
                    f"network has channels={self.configuration.channels}"
                )
            if image.device != weight.device:
                raise InvalidValueError(
                    f"{name} is on {image.device}, the network on {weight.device}"
                )
        if x.shape[0] != y.shape[0] or x.shape[2:] != y.shape[2:]:
            raise InvalidValueError(
                "x and y must be registered images of one size: found shapes "
                f"{tuple(x.shape)} and {tuple(y.shape)}"
            )
        if torch.compiler.is_compiling() or (self.training and x.is_cuda):
            return  # values are not there yet, or looking at them would stall the device
        for name, image in (("x", x), ("y", y)):
            if not bool(image.isfinite().all()):
                raise InvalidValueError(f"{name} holds NaN or Inf")

    # ------------------------------------------------------------ making, files
    @classmethod
    def from_dictionary(
        cls,
        dictionary: Any,
        lam: float | Sequence[float],
        *,
        blocks: int = 4,
        task: str = "restoration",
        balanced: bool = False,
        pairs: Any = None,
        ridge: float = 1e-3,
    ) -> CUNet:
        """Make a network that does, untrained, what the alternating solver does in one sweep.

        See `unfolded.starts.from_dictionary.from_dictionary`, which this is.
        """
        from ..starts.from_dictionary import from_dictionary

        return from_dictionary(
            dictionary, lam, blocks=blocks, task=task, balanced=balanced, pairs=pairs, ridge=ridge
        )

    def save(self, path: str | Path) -> None:
        """Write weights and configuration to a safetensors file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            File name; ``.safetensors`` is appended if it is missing.
        """
        from ..starts.weights import save

        save(self, path)

    def export(self, path: str | Path) -> None:
        """Write the network as an ONNX model for images of any size; see `unfolded.onnx`."""
        from ..onnx import export_onnx

        export_onnx(self, path)

    def extra_repr(self) -> str:
        """Return the configuration for `repr`."""
        return ", ".join(f"{k}={v!r}" for k, v in self.configuration.as_dict().items())
