"""The network as an ONNX model, for images of any size."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcsc.errors import InvalidTypeError, MissingExtraError
from mcsc.files import atomic_write, check_writable

from .network.cunet import CUNet
from .network.modes import evaluating


class _Parts(nn.Module):
    """What the model gives: plain tensors."""

    def __init__(self, net: CUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, y: Tensor, sigma: Tensor | None = None) -> tuple[Tensor, ...]:
        parts = self.net.split(x, y, sigma)
        return (parts.image, parts.common, *(u for u in parts.unique if u is not None))


def export_onnx(net: CUNet, path: str | Path) -> None:
    """Write an ONNX model with dynamic batch, height and width.

    Parameters
    ----------
    net : CUNet
        The network, on any device; left as it is.
    path : str or Path
        File name; ``.onnx`` is appended if it is missing. Written whole or not at all.

    Raises
    ------
    TypeError
        `net` is something else, or in bfloat16.
    ModuleNotFoundError
        The packages onnx and onnxscript are not installed.
    OSError, ValueError
        As `mcsc.files.check_writable`, before any work.

    Notes
    -----
    Inputs are ``x`` and ``y``, outputs ``z`` and its parts ``common``, ``unique_x`` (and
    ``unique_y`` for fusion). A network that is `noise_aware` has the input ``sigma``, too, one
    number a sample. The configuration is in the model's metadata. The model does not check its
    inputs. onnxruntime runs models in single and half precision; of one in double precision it
    lacks the convolutions, on CPUs at least.
    """
    if not isinstance(net, CUNet):
        raise InvalidTypeError(f"net must be a CUNet, found {type(net).__name__}")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"exporting needs {error.name}: pip install 'mcsc[export]'", name=error.name
        ) from error
    if net.target_common.weight.dtype == torch.bfloat16:
        raise InvalidTypeError(
            "the network is in torch.bfloat16, in which the model's convolutions are not defined: "
            "call net.float() first"
        )
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        path = path.with_name(path.name + ".onnx")
    check_writable(path)
    with evaluating(net), _quiet(), torch.no_grad():
        model = _model(net)
    entry = model.metadata_props.add()
    entry.key, entry.value = "configuration", json.dumps(net.configuration.as_dict())
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def _model(net: CUNet) -> Any:
    weight = net.target_common.weight
    # An odd and an even side: an example that no two sizes are taken for one from.
    inputs = {
        name: weight.new_zeros(2, c, 19, 24)
        for name, c in zip("xy", net.configuration.channels, strict=True)
    }
    axes: dict[str, Any] = {name: {0: "n", 2: "height", 3: "width"} for name in inputs}
    if net.configuration.noise_aware:
        inputs["sigma"], axes["sigma"] = weight.new_zeros(2), {0: "n"}
    names = ["z", "common", "unique_x", "unique_y"][: 2 + len(net.target_unique)]
    program = torch.onnx.export(
        _Parts(net).eval(),
        tuple(inputs.values()),
        input_names=list(inputs),
        output_names=names,
        dynamic_shapes=axes,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own deprecations, and the operators of torchvision it goes without."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
