"""The network on a GPU: channels-last maps, TF32 or bfloat16 by name, compiled.

Nothing here needs a GPU to be imported, and all of it runs on a CPU too, where it is tested.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .cunet import CUNet

PRECISIONS = ("float32", "tf32", "bfloat16")


class Accelerated(nn.Module):
    """A network for inference on one device; see `accelerate`, which makes it.

    Attributes
    ----------
    net : CUNet
        A copy, in evaluation mode.
    precision : str
        One of `PRECISIONS`.
    """

    def __init__(self, net: CUNet, precision: str, compile: bool, backend: str) -> None:
        super().__init__()
        self.net = net
        self.precision = precision
        self._run: Callable[[Tensor, Tensor], Tensor] = net
        if compile:
            # Images of other sizes shall not compile again.
            self._run = torch.compile(net, dynamic=True, backend=backend)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.net.target_common.weight.device

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the target image of x and y, on the network's device; in float32.

        Parameters
        ----------
        x, y : tensor (N, C_x, H, W), (N, C_y, H, W)
            As `CUNet` takes them, on the network's device: nothing is moved.
        """
        self.net._check(x, y)
        kind = self.device.type
        half = self.precision == "bfloat16"
        with (
            torch.inference_mode(),
            _tf32(self.precision == "tf32"),
            torch.autocast(kind, torch.bfloat16, enabled=half),
        ):
            return self._run(x, y).float()


def accelerate(
    net: CUNet,
    device: str | torch.device = "cuda",
    *,
    precision: str = "float32",
    compile: bool = True,
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
    compile : bool
        Compile by `torch.compile`: thresholds and sums are fused with what is around them, so
        that a block moves its maps through memory fewer times. The first call takes a while.
    backend : str
        Of `torch.compile`.

    Returns
    -------
    Accelerated
        Call it with x and y on that device.

    Raises
    ------
    RuntimeError
        There is no such device here.
    TypeError
        The network is not in float32.
    ValueError
        There is no such precision, or it is "tf32" on another device than a GPU.

    Notes
    -----
    On a CPU without compiling it is the network itself, with the path of `unfolded.fast`.

    Examples
    --------
    >>> import torch
    >>> from unfolded import CUNet, accelerate
    >>> net = accelerate(CUNet(filters=8, kernel_size=5, blocks=2), "cpu", compile=False)
    >>> tuple(net(torch.rand(1, 1, 20, 30), torch.rand(1, 1, 20, 30)).shape)
    (1, 1, 20, 30)
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; found {precision!r}")
    if net.target_common.weight.dtype != torch.float32:
        raise TypeError(
            f"the network is in {net.target_common.weight.dtype}: call net.float() first"
        )
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"device {device!r}: PyTorch {torch.__version__} finds no CUDA device here; use "
            "device='cpu'"
        )
    if precision == "tf32" and place.type != "cuda":
        raise ValueError(f"tf32 is of NVIDIA GPUs, the device is {device!r}: use float32")
    made = copy.deepcopy(net).to(place).eval().requires_grad_(False)
    if place.type == "cuda":
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Accelerated(made, precision, compile, backend)


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
