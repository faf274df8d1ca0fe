"""The network on a GPU: its own kernels or compiled layers, TF32 or bfloat16 by name.

Nothing here needs a GPU to be imported, and what does not need one to run is tested on a CPU.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mcsc.errors import InvalidTypeError, InvalidValueError, UnavailableError, warn_user
from mcsc.model.reconstruction import Parts

from ..engines import gpu, rows
from ..engines.cuda_graphs import Graphed
from ..engines.gpu import Precision
from .configuration import Configuration
from .cunet import CUNet
from .devices import torch_device
from .engine_choice import is_as_written
from .tiling import tiled

Kernels = Literal["auto", "triton", "compiled", "layers"]
"""What computes on a GPU; see `accelerate`."""

# Relative errors (root mean square) that tell kernels that compute something else from rounding.
_WRONG: dict[Precision, float] = {"float32": 1e-3, "tf32": 2e-2, "bfloat16": 0.2}


class Accelerated(nn.Module):
    """A network for inference on one device; see `accelerate`, which makes it.

    Attributes
    ----------
    net : CUNet
        A copy, in evaluation mode. Triton kernels have weights of their own: they do not see what
        is done to it.
    precision : {"float32", "tf32", "bfloat16"}
        Precision of the products.
    kernels : {"triton", "compiled", "layers"}
        Implementation that computes.
    """

    def __init__(self, net: CUNet, precision: Precision, kernels: Kernels, backend: str) -> None:
        super().__init__()
        self.net = net
        self.precision = precision
        self.kernels = kernels
        self._backend = backend
        run: Callable[..., Tensor] = net
        split: Callable[..., Parts] = net.split
        if kernels == "triton":
            run = triton = gpu.TritonNetwork(net.steps(), precision)
            split = partial(_parts_of, triton)
            if self.device.type == "cuda" and not gpu.interpreted():
                run = Graphed(run, self.device)
        elif kernels == "compiled":
            # Images of other sizes shall not compile again.
            run = torch.compile(net, dynamic=True, backend=backend)
            split = torch.compile(net.split, dynamic=True, backend=backend)
        # Not itself an attribute: a module would be the network's second name for its weights.
        self._run: Callable[..., Tensor] = lambda *given: run(*given)
        self._split: Callable[..., Parts] = lambda *given: split(*given)

    def __reduce__(self) -> tuple[Any, ...]:
        # What computes belongs to this network: a copy, or one in another process, makes its own.
        return Accelerated, (self.net, self.precision, self.kernels, self._backend)

    @property
    def device(self) -> torch.device:
        """Device that the network runs on."""
        return self.net.target_common.weight.device

    @property
    def configuration(self) -> Configuration:
        """Configuration of the network."""
        return self.net.configuration

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the network."""
        return self.net.metadata

    def tiled(
        self, x: Tensor, y: Tensor, tile: int = 1024, sigma: float | Tensor | None = None
    ) -> Tensor:
        """Return the target image computed on overlapping tiles; see `CUNet.tiled`."""
        level = self.net.check(x, y, sigma)
        return tiled(partial(self, sigma=level), self.configuration, x, y, tile)

    def forward(self, x: Tensor, y: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Return the target image of x and y, on the network's device; in float32.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As `CUNet` takes them, on the network's device: nothing is moved.
        sigma : float or tensor (N,), optional
            As `CUNet` takes it.

        Raises
        ------
        TypeError, ValueError
            As `CUNet.split`; or images of more than 2**31 numbers, with a margin, are given to
            Triton kernels: use `tiled`.
        """
        with self._arithmetic():
            return self._run(x, y, *self._more(x, y, sigma)).float()

    def split(self, x: Tensor, y: Tensor, sigma: float | Tensor | None = None) -> Parts:
        """Return the target image with its parts, as `CUNet.split` does; images as in `forward`.

        Triton kernels are launched one by one: a graph of calls is kept for `forward` alone.
        """
        with self._arithmetic():
            found = self._split(x, y, *self._more(x, y, sigma))
        common, *unique = (p if p is None else p.float() for p in (found.common, *found.unique))
        return Parts(found.image.float(), common, tuple(unique))

    def _more(self, x: Tensor, y: Tensor, sigma: float | Tensor | None) -> tuple[Tensor, ...]:
        """What is given with checked images: the noise, or all thresholds for it."""
        level = self.net.check(x, y, sigma)
        if level is None:
            return ()
        return self._thresholds(level) if self.kernels == "triton" else (level,)

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        half = self.precision == "bfloat16" and self.kernels != "triton"
        with (
            torch.inference_mode(),
            _tf32(self.precision == "tf32"),
            torch.autocast(self.device.type, torch.bfloat16, enabled=half),
        ):
            yield

    def _thresholds(self, level: Tensor) -> tuple[Tensor, ...]:
        """Thresholds of all modules, in the order in which `gpu.TritonNetwork` takes them."""
        sweeps = self.net.steps(level).sweeps
        return tuple(m.thresholds.detach() for sweep in sweeps for m in sweep.modules)


def _parts_of(run: gpu.TritonNetwork, x: Tensor, y: Tensor, *thresholds: Tensor) -> Parts:
    common, unique = run.parts(x, y, *thresholds)
    return Parts(sum(unique, start=common), common, (*unique, None)[:2])


def accelerate(
    net: CUNet,
    device: str | torch.device = "cuda",
    *,
    precision: Precision = "float32",
    kernels: Kernels = "auto",
    backend: str = "inductor",
) -> Accelerated:
    """Return a copy of a network, made ready for fast inference on a device.

    Parameters
    ----------
    net : CUNet
        The network; it is left as it is.
    device : str or device
        ``"cuda"``, ``"cuda:1"``, ``"cpu"``.
    precision : {"float32", "tf32", "bfloat16"}
        Precision of the products: all 24 bits; 11 bits, on the tensor cores of a GPU; or 8 bits.
        Maps, thresholds and sums are in float32 with the first two.
    kernels : {"auto", "triton", "compiled", "layers"}
        What computes the network: "triton", the kernels of this package (`unfolded.engines.gpu`;
        they need Triton, which comes with PyTorch for CUDA); "compiled", PyTorch's layers, compiled
        by `torch.compile`; or "layers", the layers as they are. On a GPU, "auto" is "triton" if
        those kernels agree with the layers on two small random images, "compiled" if they do not,
        and "layers" if they fail or there is no Triton, or if the network has hooks or is a
        subclass. On a CPU it is the network itself, which `unfolded.engines.cpu_inference` may
        serve.
    backend : str
        Backend of `torch.compile`.

    Returns
    -------
    Accelerated
        Call it with x and y on that device. The first call for a size takes a while. Triton kernels
        keep the memory of one call of a small image (up to 2**19 pixels) between calls.

    Raises
    ------
    RuntimeError
        There is no such device here, or Triton kernels were asked for where they do not run.
    TypeError
        `net` is something else, or not in float32; or Triton kernels were asked for, and it is a
        subclass of `CUNet`, or has hooks, parametrisations or layers that were replaced.
    ValueError
        There is no such precision, it is "tf32" on another device than a GPU, or there are no such
        kernels or no such kind of device.

    Warns
    -----
    RuntimeWarning
        "auto" found that the Triton kernels fail or disagree on this GPU.

    Examples
    --------
    >>> import torch
    >>> from unfolded import CUNet, accelerate
    >>> net = accelerate(CUNet(filters=8, kernel_size=5, blocks=2), "cpu")
    >>> tuple(net(torch.rand(1, 1, 20, 30), torch.rand(1, 1, 20, 30)).shape)
    (1, 1, 20, 30)
    """
    if not isinstance(net, CUNet):
        raise InvalidTypeError(f"net must be a CUNet, found {type(net).__name__}")
    for word, value, type_ in (("precision", precision, Precision), ("kernels", kernels, Kernels)):
        known = get_args(type_)
        if value not in known:
            raise InvalidValueError(f"{word} must be one of {', '.join(known)}; found {value!r}")
    if net.target_common.weight.dtype != torch.float32:
        raise InvalidTypeError(
            f"the network is in {net.target_common.weight.dtype}: call net.float() first"
        )
    place = torch_device(device)
    if precision == "tf32" and place.type != "cuda":
        raise InvalidValueError(f"tf32 needs an NVIDIA GPU, the device is {device!r}: use float32")
    if kernels == "triton":
        if not gpu.runs_on(place):
            raise UnavailableError(
                f"device {device!r}: Triton kernels need Triton and a GPU; use kernels='compiled' "
                "or 'layers'"
            )
        if not _may_be_replaced(net):
            raise InvalidTypeError(
                "Triton kernels compute CUNet itself; this network is a subclass, or has hooks, "
                "parametrisations or layers that were replaced: use kernels='compiled' or 'layers'"
            )
    made = copy.deepcopy(net).to(place).eval().requires_grad_(False)
    if kernels == "auto":
        kernels = choose_kernels(made, precision, place)
    if place.type == "cuda" and kernels != "triton":
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Accelerated(made, precision, kernels, backend)


def _may_be_replaced(net: CUNet) -> bool:
    return is_as_written(net) and net.steps().is_regular()


def choose_kernels(net: CUNet, precision: Precision, place: torch.device) -> Kernels:
    """Return what "auto" is for a network on a device; see `accelerate`."""
    # On a GPU torch.compile needs Triton, too.
    if place.type != "cuda" or find_spec("triton") is None or not _may_be_replaced(net):
        return "layers"
    if not gpu.runs_on(place):  # it is too old for these kernels
        return "compiled"
    try:
        error = disagreement(net, precision)
    except Exception as failure:  # a compiler's error can be of any kind
        # Where Triton fails, torch.compile may fail with it, and not before the first call.
        instead: Kernels = "layers"
        problem = f"fail here ({type(failure).__name__}: {failure})"
    else:
        if error <= _WRONG[precision]:
            return "triton"
        instead = "compiled"
        problem = f"are off by {error:.2g} of the layers' result here"
    warn_user(f"the Triton kernels {problem}; kernels={instead!r} is used instead", RuntimeWarning)
    return instead


def disagreement(
    net: CUNet,
    precision: Precision,
    shapes: Sequence[tuple[int, int, int]] = ((1, 48, 160), (2, 45, 131)),
) -> float:
    """Return the Triton kernels' relative error (rms) against the layers on random images.

    `shapes` are samples, height and width: kernels for sides that 16 divides are others.
    """
    device = net.target_common.weight.device
    random = torch.Generator("cpu").manual_seed(0)
    run = gpu.TritonNetwork(net.steps(), precision)
    worst = 0.0
    for samples, *shape in shapes:
        x, y = (
            rows.floats(samples, c, *shape).uniform_(generator=random).to(device)
            for c in net.configuration.channels
        )
        with torch.inference_mode(), _tf32(False):
            level = x.new_zeros(1) if net.configuration.noise_aware else None
            wanted = net(x, y, level)
            error = float((run(x, y) - wanted).norm()) / max(float(wanted.norm()), 1e-12)
        worst = max(worst, error) if error == error else math.inf
    return worst


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """TF32 in products and convolutions of the calling thread's process, put back afterwards."""
    if not torch.cuda.is_available():
        yield
        return
    found: Any = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = found
