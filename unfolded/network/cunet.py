"""CU-Net: common and unique information splitting network (Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcsc import Dictionary, Parts
from mcsc.errors import InvalidValueError
from mcsc.types import Kind

from ..engines import cpu_inference
from ..engines.steps import NetworkSteps
from . import bridge
from .checks import check_images, check_shapes, check_sigma, check_state
from .configuration import Configuration, Thresholds
from .engine_choice import engine_for, served_by
from .layers import Synthesis
from .refit import CodeTensors, Pairs, refit, target_channels
from .sweep import Sweep, make_modules, sweep_steps
from .tiling import tiled
from .weight_file import WeightFile, write_weights

Sigma = float | Tensor | None


@served_by("cpu_inference")
class CUNet(nn.Module):
    r"""One pass of the paper's alternating strategy, unrolled.

    .. math::

        u & = \mathrm{LCSC}_u(x), \quad v = \mathrm{LCSC}_v(y), \\
        c & = \mathrm{LCSC}_c(x - D_u * u,\; y - D_v * v), \\
        z & = g^c * c + g^u * u \; [+ g^v * v].

    Parameters
    ----------
    channels : (int, int)
        Channels of x and of y.
    out_channels : int
        Channels of z.
    task : {"restoration", "fusion"}
        Which codes the image is made of, Eq. 3 or Eq. 4: the kind of task, as `mcsc.reconstruct`
        takes it, not the name of one.
    filters : int or (int, int, int)
        Number of maps K of each module, or (K_c, K_u, K_v).
    kernel_size : int
        Side s of all filters, odd or even.
    blocks : int
        Number of LCSC blocks J in each module.
    residual : bool
        False removes the residual lines inside the three modules (Table 5's ablation).
    tied : bool
        True lets the blocks of a module share filters and threshold; see `LCSC`.
    sweeps : int
        Number of passes over u, v and c. Each but the first goes on from the codes of the one
        before, with c known; see `unfolded.network.sweep.Sweep`. Two passes have a little more than
        twice the weights of one.
    thresholds : {"scalar", "map"}
        One threshold for each block, as in the authors' code, or one for each map of each block.
    noise_aware : bool
        Whether thresholds are affine in the standard deviation of the noise in x, which is then
        given with the images: one network for noise of any strength.

    Attributes
    ----------
    unique : ModuleList of two LCSC
        UFEM: u from x, v from y (Eqs. 8, 10).
    explained : ModuleList of two Synthesis
        ``D_u``, ``D_v``: what the unique codes explain of x and y. Not shared with the blocks.
    common : LCSC
        CFPM: c from both residuals (Eq. 13).
    again : ModuleList of Sweep
        The further sweeps.
    target_common : Synthesis
        ``gc``.
    target_unique : ModuleList of Synthesis
        ``gu`` (restoration), ``gu`` and ``gv`` (fusion).
    configuration : Configuration
        The arguments.
    metadata : dict
        Information that is kept with the weights, of types that JSON has: after training, the task
        and how images are prepared.

    Notes
    -----
    Every symbol is explained on :doc:`the page of the model </explanations/model>`, and how the
    network follows from it on :doc:`the page of the networks </explanations/networks>`.

    With one channel everywhere and K maps a module there are ``8 K s^2 (J + 1)`` filter weights
    for restoration: Table 7. Images are float tensors of shape (N, C, H, W); PyTorch's own rules
    hold for devices, autocast and gradients.

    In evaluation mode without gradients, large float32 images on a CPU are served by
    `unfolded.engines.cpu_inference`: the same function to rounding, with a fraction of the memory.
    Under ``torch.autocast("cpu", torch.bfloat16)`` it multiplies in bfloat16. A subclass, and a
    network with hooks, parametrisations or layers that were replaced, runs its layers.

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
        task: Kind = "restoration",
        filters: int | tuple[int, int, int] = 64,
        kernel_size: int = 8,
        blocks: int = 4,
        residual: bool = True,
        tied: bool = False,
        sweeps: int = 1,
        thresholds: Thresholds = "scalar",
        noise_aware: bool = False,
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
            sweeps,
            thresholds,
            noise_aware,
        )
        k_common, *k_unique = wanted.filters
        size, z = wanted.kernel_size, wanted.out_channels
        for name, module in make_modules(wanted, goes_on=False).items():
            self.add_module(name, module)
        self.again = nn.ModuleList(Sweep(wanted) for _ in range(wanted.sweeps - 1))
        self.target_common = Synthesis(k_common, z, size)
        parts = k_unique if task == "fusion" else k_unique[:1]
        self.target_unique = nn.ModuleList(Synthesis(k, z, size) for k in parts)

    # ---------------------------------------------------------------- inference
    def forward(self, x: Tensor, y: Tensor, sigma: Sigma = None) -> Tensor:
        """Return the target image z.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            Registered images on a scale from 0 to 1, or their detail, as the network was trained.
        sigma : float or tensor (N,), optional
            Standard deviation of the noise in x, on the same scale, for a network that is
            `noise_aware`, which needs it, and for no other.

        Returns
        -------
        tensor (N, C_z, H, W)
        """
        image, _, _ = self._parts(x, y, sigma)
        return image

    def split(self, x: Tensor, y: Tensor, sigma: Sigma = None) -> Parts:
        """Return the target image and its common and unique parts.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As in `forward`.
        sigma : float or tensor (N,), optional
            As in `forward`.

        Returns
        -------
        mcsc.Parts
            Points 4, 1, (2, 3) of Fig. 2, tensors (N, C_z, H, W) in the dtype of the images.
            ``unique[1]`` is None in restoration, where what is unique to y is discarded.

        Raises
        ------
        TypeError
            x or y is no tensor of the network's floating-point type; sigma is missing, or not for
            this network.
        ValueError
            Channels, batch or image sizes do not fit, or a value is NaN or infinite.
        """
        image, common, unique = self._parts(x, y, sigma)
        return Parts(image, common, (unique[0], unique[1] if len(unique) > 1 else None))

    def _parts(self, x: Tensor, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor, list[Tensor]]:
        level = self.check(x, y, sigma)
        if engine_for(self, x) == "cpu_inference":
            common, unique = cpu_inference.parts(self.steps(level), x, y)
        else:
            c, uv = self._codes(x, y, level)
            common = self.target_common(c).to(x.dtype)
            unique = [g(a).to(x.dtype) for g, a in zip(self.target_unique, uv, strict=False)]
        image = common
        for part in unique:
            image = image + part
        return image, common, unique

    def codes(self, x: Tensor, y: Tensor, sigma: Sigma = None) -> CodeTensors:
        """Return the feature maps ``(c, (u, v))``, each of shape (N, K, H, W).

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As in `forward`.
        sigma : float or tensor (N,), optional
            As in `forward`.
        """
        return self._codes(x, y, self.check(x, y, sigma))

    def tiled(self, x: Tensor, y: Tensor, tile: int = 512, sigma: Sigma = None) -> Tensor:
        """Return z computed on overlapping tiles: memory for one of them, the same result.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As in `forward`.
        tile : int
            Side of the square of output pixels computed at a time. The overlap on each side,
            `unfolded.network.tiling.radius`, is exact and comes on top.
        sigma : float or tensor (N,), optional
            As in `forward`.
        """
        level = self.check(x, y, sigma)
        run = self if level is None else partial(self, sigma=level)
        return tiled(run, self.configuration, x, y, tile)

    def _codes(self, x: Tensor, y: Tensor, level: Tensor | None) -> CodeTensors:
        unique: Any = self.unique
        explained: Any = self.explained
        common: Any = self.common
        # Modules of others take an image and no more.
        more = () if level is None else (level,)
        u, v = unique[0](x, *more), unique[1](y, *more)
        c = common(torch.cat((x - explained[0](u), y - explained[1](v)), dim=1), *more)
        for sweep in self.again:
            u, v, c = sweep(x, y, u, v, c, level)
        return c, (u, v)

    def check(self, x: Tensor, y: Tensor, sigma: Sigma = None) -> Tensor | None:
        """Check that images fit the network; see `split` for the errors.

        Returns
        -------
        tensor (N,) or (1,), or None
            Noise of each sample, or of all, as modules take it.
        """
        # On a GPU, looking at values would have every step wait for the device.
        values = not (self.training and x.is_cuda) if isinstance(x, Tensor) else False
        weight = self.target_common.weight
        check_images(x, y, self.configuration.channels, weight, values=values)
        return check_sigma(sigma, x, noise_aware=self.configuration.noise_aware)

    def steps(self, sigma: Tensor | None = None) -> NetworkSteps:
        """Return the filters and thresholds, for an engine; `sigma` is as `check` returned it."""
        targets: Any = self.target_unique
        return NetworkSteps(
            sweeps=tuple(sweep_steps(sweep, sigma) for sweep in (self, *self.again)),
            target_common=self.target_common.weight,
            target_unique=tuple(layer.weight for layer in targets),
        )

    # ------------------------------------------------------------ making, files
    @classmethod
    def from_dictionary(
        cls,
        dictionary: Dictionary,
        lam: float | Sequence[float],
        *,
        blocks: int = 4,
        task: Kind = "restoration",
        balanced: bool = False,
        pairs: Pairs | None = None,
        ridge: float = 1e-3,
        sweeps: int = 1,
        thresholds: Thresholds = "scalar",
    ) -> CUNet:
        r"""Make a network that does, untrained, what the alternating solver does in some sweeps.

        Its codes are those of ``mcsc.solve((x, y), dictionary, lam, method="alternating",
        max_iter=sweeps, inner_steps=blocks + 1, boundary="zero")``, to rounding.

        Parameters
        ----------
        dictionary : mcsc.Dictionary
            Common and unique filters of two signals. Without target filters the target is x itself
            (``gc = dc``, ``gu = du``), unless `pairs` say what it is.
        lam : float, or one entry per code group, or one number per map
            The lambda of Eq. 5, as `mcsc.solve` takes it. With one threshold per group, maps of a
            group must share theirs.
        blocks : int
            LCSC blocks J: J + 1 ISTA steps.
        task : {"restoration", "fusion"}
            What the target is made of: the kind of task, not the name of one.
        balanced : bool
            Scale codes and filters as `unfolded.network.bridge` says. The images are the same, the
            codes larger by :math:`\sqrt L` of their group.
        pairs : iterable of (x, y, z), optional
            Training images with their targets, tensors (N, C, H, W). The target filters are then
            fitted to the network's own codes by `unfolded.network.refit.refit`.
        ridge : float
            Weight of the penalty in that fit, relative to the mean energy of the codes.
        sweeps, thresholds
            As the arguments of `CUNet`.

        Returns
        -------
        CUNet
            In double precision if a filter bank is, else in single; in evaluation mode.

        Raises
        ------
        TypeError
            `dictionary` is something else, or lam holds no numbers.
        ValueError
            The dictionary is not one of two signals with common and unique filters each, lam is not
            positive or differs within a group, or there is no target for the task.
        """
        pairs = None if pairs is None else list(pairs)
        configuration, state = bridge.weights_of(
            dictionary, lam, blocks=blocks, kind=task,
            out_channels=None if pairs is None else target_channels(pairs), sweeps=sweeps,
            thresholds=thresholds,
        )  # fmt: skip
        net = cls.from_state(configuration, state)
        if pairs is not None:
            refit(net, pairs, ridge=ridge)
        if balanced:
            net.load_state_dict(bridge.balanced(net.state_dict(), dictionary))
        return net if bridge.is_double(dictionary) else net.float()

    @classmethod
    def from_state(cls, configuration: Configuration, state: Mapping[str, Tensor]) -> CUNet:
        """Make a network from its weights.

        Parameters
        ----------
        configuration : Configuration
            Configuration of the network.
        state : mapping of str to tensor
            Names and weights, as ``net.state_dict()`` has them, all of one floating-point type.
            They become the network's own: they are not copied, unless they share memory with each
            other or are of inference mode.

        Returns
        -------
        CUNet
            In the weights' type and in evaluation mode. No random number is drawn.

        Raises
        ------
        TypeError
            `configuration` is none, or `state` no mapping to tensors.
        ValueError
            Weights are missing, left over, of another shape or type, or not finite; the message
            says which.
        """
        check_state(configuration, state)
        # On no device first: a configuration that asks for terabytes must cost nothing to refuse.
        with torch.device("meta"):
            net = cls(**configuration.as_dict())
        check_shapes(state, _shapes_of(net))
        for key, value in state.items():
            if not bool(value.isfinite().all()):
                raise InvalidValueError(f"{key} holds NaN or Inf")
        net.load_state_dict(_apart(state), assign=True)
        return net.requires_grad_().eval()

    def save(self, path: str | Path) -> None:
        """Write weights, configuration and metadata to a safetensors file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            File name; ``.safetensors`` is appended if it is missing.

        Raises
        ------
        TypeError, ValueError
            A weight is NaN or infinite, the metadata hold what JSON cannot, or the weights are not
            those of the configuration, as those of layers that were replaced, parametrised or
            pruned are not.
        """
        write_weights(path, WeightFile(self.configuration, self.metadata, self.plain_state()))

    def plain_state(self) -> dict[str, Tensor]:
        """Return the weights by name, if they are all that the network computes with.

        Returns
        -------
        dict of str to tensor
            As `from_state` takes them.

        Raises
        ------
        ValueError
            They are not those of the configuration: layers were replaced, parametrised or pruned,
            or converted one by one.
        """
        state = self.state_dict()
        try:
            check_state(self.configuration, state)
            with torch.device("meta"):
                check_shapes(state, _shapes_of(CUNet(**self.configuration.as_dict())))
        except InvalidValueError as error:
            raise InvalidValueError(
                f"the network is not as CUNet makes it: {error}; remove parametrisations (prune: "
                "`torch.nn.utils.prune.remove`) and replaced layers first"
            ) from error
        return state

    def extra_repr(self) -> str:
        """Return the configuration for `repr`."""
        return ", ".join(f"{k}={v!r}" for k, v in self.configuration.as_dict().items())


def _shapes_of(net: CUNet) -> dict[str, tuple[int, ...]]:
    return {k: tuple(v.shape) for k, v in net.state_dict().items()}


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that a step can change one by one: a copy of each that shares memory."""
    seen: set[int] = set()
    found = {}
    for key, value in state.items():
        place = value.untyped_storage().data_ptr()
        mode = value.is_inference() and not torch.is_inference_mode_enabled()
        shared = place in seen or mode or not value.is_contiguous()
        found[key] = value.clone(memory_format=torch.contiguous_format) if shared else value
        seen.add(place)
    return found
