"""The network on a GPU: its own kernels or compiled layers, TF32 or bfloat16 by name.

Nothing here needs a GPU to be imported, and what does not need one to run is tested on a CPU.
"""

from __future__ import annotations

import copy
import math
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mcsc.errors import InvalidTypeError, InvalidValueError, UnavailableError

from ..engines import gpu as fused
from .configuration import Configuration
from .cunet import CUNet
from .tiling import tiled

PRECISIONS = ("float32", "tf32", "bfloat16")
KERNELS = ("auto", "fused", "compiled", "layers")

SMALL = 2**19
"""Pixels up to which a call is launched as one graph: launching its kernels one by one would take
longer than they do."""

# Relative errors (root mean square) that tell kernels that compute something else from rounding.
_WRONG = {"float32": 1e-3, "tf32": 2e-2, "bfloat16": 0.2}


class Accelerated(nn.Module):
    """A network for inference on one device; see `accelerate`, which makes it.

    Attributes
    ----------
    net : CUNet
        A copy, in evaluation mode.
    precision : str
        One of `PRECISIONS`.
    kernels : {"fused", "compiled", "layers"}
        What computes.
    """

    def __init__(self, net: CUNet, precision: str, kernels: str, backend: str) -> None:
        super().__init__()
        self.net = net
        self.precision = precision
        self.kernels = kernels
        run: Callable[[Tensor, Tensor], Tensor] = net
        if kernels == "fused":
            run = fused.Fused(net, precision)
            if self.device.type == "cuda" and not fused.interpreted():
                run = _Graphed(run, self.device)
        elif kernels == "compiled":
            # Images of other sizes shall not compile again.
            run = torch.compile(net, dynamic=True, backend=backend)
        # Not itself an attribute: a module would be the network's second name for its weights.
        self._run: Callable[[Tensor, Tensor], Tensor] = lambda x, y: run(x, y)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.net.target_common.weight.device

    @property
    def configuration(self) -> Configuration:
        """That of the network."""
        return self.net.configuration

    def tiled(self, x: Tensor, y: Tensor, tile: int = 1024) -> Tensor:
        """Return the target image computed on overlapping tiles; see `CUNet.tiled`."""
        self.net._check(x, y)
        return tiled(self, x, y, tile)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the target image of x and y, on the network's device; in float32.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As `CUNet` takes them, on the network's device: nothing is moved.

        Raises
        ------
        TypeError, ValueError
            As `CUNet.split`; or images of more than 2**31 numbers, with a margin, are given to
            fused kernels: use `tiled`.
        """
        self.net._check(x, y)
        kind = self.device.type
        half = self.precision == "bfloat16"
        with (
            torch.inference_mode(),
            _tf32(self.precision == "tf32"),
            torch.autocast(kind, torch.bfloat16, enabled=half and self.kernels != "fused"),
        ):
            return self._run(x, y).float()


def accelerate(
    net: CUNet,
    device: str | torch.device = "cuda",
    *,
    precision: str = "float32",
    kernels: str = "auto",
    backend: str = "inductor",
) -> Accelerated:
    """Return a copy of a network, made ready for fast inference on a device.

    Parameters
    ----------
    net : CUNet
        Left as it is.
    device : str or device
        ``"cuda"``, ``"cuda:1"``, ``"cpu"``.
    precision : {"float32", "tf32", "bfloat16"}
        Of the products: all 24 bits; 11 bits, on the tensor cores of a GPU; or 8 bits. Maps,
        thresholds and sums are in float32 with the first two.
    kernels : {"auto", "fused", "compiled", "layers"}
        The project's own (`unfolded.engines.gpu`; they need Triton, which comes with PyTorch for
        CUDA); PyTorch's layers, compiled by `torch.compile`; or the layers as they are. "auto" is
        fused on a GPU, if those kernels agree with the layers on two small random images,
        compiled if they do not, the layers if they fail or there is no Triton; on a CPU the network
        itself, with the path of `unfolded.engines.cpu_inference`.
    backend : str
        Of `torch.compile`.

    Returns
    -------
    Accelerated
        Call it with x and y on that device. The first call for a size takes a while. Fused kernels
        keep the memory of one call of a small image (up to 2**19 pixels) between calls.

    Raises
    ------
    RuntimeError
        There is no such device here, or fused kernels were asked for where they do not run.
    TypeError
        The network is not in float32.
    ValueError
        There is no such precision, it is "tf32" on another device than a GPU, or there are no such
        kernels.

    Warns
    -----
    RuntimeWarning
        "auto" found that the fused kernels fail or disagree on this GPU.

    Examples
    --------
    >>> import torch
    >>> from unfolded import CUNet, accelerate
    >>> net = accelerate(CUNet(filters=8, kernel_size=5, blocks=2), "cpu")
    >>> tuple(net(torch.rand(1, 1, 20, 30), torch.rand(1, 1, 20, 30)).shape)
    (1, 1, 20, 30)
    """
    for word, value, known in (("precision", precision, PRECISIONS), ("kernels", kernels, KERNELS)):
        if value not in known:
            raise InvalidValueError(f"{word} must be one of {', '.join(known)}; found {value!r}")
    if net.target_common.weight.dtype != torch.float32:
        raise InvalidTypeError(
            f"the network is in {net.target_common.weight.dtype}: call net.float() first"
        )
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UnavailableError(
            f"device {device!r}: PyTorch {torch.__version__} finds no CUDA device here; use "
            "device='cpu'"
        )
    if precision == "tf32" and place.type != "cuda":
        raise InvalidValueError(f"tf32 is of NVIDIA GPUs, the device is {device!r}: use float32")
    if kernels == "fused" and not fused.runs_on(place):
        raise UnavailableError(
            f"device {device!r}: fused kernels need Triton and a GPU; use kernels='compiled' or "
            "'layers'"
        )
    made = copy.deepcopy(net).to(place).eval().requires_grad_(False)
    if kernels == "auto":
        kernels = _choose(made, precision, place)
    if place.type == "cuda" and kernels != "fused":
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Accelerated(made, precision, kernels, backend)


def _choose(net: CUNet, precision: str, place: torch.device) -> str:
    """What "auto" is."""
    # On a GPU torch.compile needs Triton, too.
    if place.type != "cuda" or find_spec("triton") is None:
        return "layers"
    if not fused.runs_on(place):  # it is too old for these kernels
        return "compiled"
    try:
        error = disagreement(net, precision)
    except Exception as failure:  # a compiler's error can be of any kind
        # Where Triton fails, torch.compile may fail with it, and not before the first call.
        problem, instead = f"fail here ({type(failure).__name__}: {failure})", "layers"
    else:
        if error <= _WRONG[precision]:
            return "fused"
        problem, instead = f"are off by {error:.2g} of the layers' result here", "compiled"
    warnings.warn(
        f"the fused kernels {problem}; kernels={instead!r} is used instead",
        RuntimeWarning,
        stacklevel=3,
    )
    return instead


def disagreement(
    net: CUNet,
    precision: str,
    shapes: Sequence[tuple[int, int, int]] = ((1, 48, 160), (2, 45, 131)),
) -> float:
    """Return the fused kernels' relative error (rms) against the layers on random images.

    `shapes` are samples, height and width: kernels for sides that 16 divides are others.
    """
    device = net.target_common.weight.device
    random = torch.Generator().manual_seed(0)
    run = fused.Fused(net, precision)
    worst = 0.0
    for samples, *shape in shapes:
        x, y = (
            torch.rand((samples, c, *shape), generator=random).to(device)
            for c in net.configuration.channels
        )
        with torch.inference_mode(), _tf32(False):
            wanted = net(x, y)
            error = float((run(x, y) - wanted).norm()) / max(float(wanted.norm()), 1e-12)
        worst = max(worst, error) if error == error else math.inf
    return worst


class _Graphed:
    """Calls that launch all kernels at once for small images, as a CUDA graph of the last size."""

    def __init__(self, run: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> None:
        self._run, self._device = run, device
        self._lock = threading.Lock()
        self._key: Any = None
        self._graph: Any = None
        self._images: tuple[Tensor, Tensor] | None = None
        self._out: Tensor | None = None
        self._done: Any = None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if x.shape[0] * x.shape[2] * x.shape[3] > SMALL:
            return self._run(x, y)
        with torch.cuda.device(self._device), self._lock:
            key = tuple(x.shape), tuple(y.shape)
            if key != self._key:
                # The first call of a size compiles; the second is worth recording.
                image = self._run(x, y)
                self._key, self._graph, self._images, self._out = key, None, None, None
                return image
            if self._graph is None:
                self._record(x, y)
            assert self._images is not None
            assert self._out is not None
            # The last call may have been on another stream, and not be over.
            if self._done is not None:
                torch.cuda.current_stream().wait_event(self._done)
            self._images[0].copy_(x)
            self._images[1].copy_(y)
            self._graph.replay()
            image = self._out.clone()
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record()
            return image

    def _record(self, x: Tensor, y: Tensor) -> None:
        images = x.clone(), y.clone()
        graph = torch.cuda.CUDAGraph()
        # A stream of this device: the default one is of the device that recorded first.
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._out = self._run(*images)
        self._graph, self._images = graph, images


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
