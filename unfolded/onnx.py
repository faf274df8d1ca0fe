"""The network as an ONNX model, for images of any size."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from mcsc.errors import MissingExtraError
from mcsc.files import atomic_write

from .network.cunet import CUNet


class _Parts(nn.Module):
    """The network without its checks, which look at values."""

    def __init__(self, net: CUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        c, uv = self.net._codes(x, y)
        layers = self.net.target_unique
        common = self.net.target_common(c)
        unique = [g(a) for g, a in zip(layers, uv[: len(layers)], strict=True)]
        return (sum(unique, common), common, *unique)


def export_onnx(net: CUNet, path: str | Path) -> None:
    """Write an ONNX model with dynamic batch, height and width.

    Parameters
    ----------
    net : CUNet
        The network, on any device.
    path : str or Path
        File name; ``.onnx`` is appended if it is missing. Written whole or not at all.

    Raises
    ------
    ModuleNotFoundError
        The packages onnx and onnxscript are not installed.

    Notes
    -----
    Inputs are ``x`` and ``y``, outputs ``z`` and its parts ``common``, ``unique_x`` (and
    ``unique_y`` for fusion). The configuration is in the model's metadata.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"exporting needs {error.name}: pip install 'mcsc[export]'", name=error.name
        ) from error
    path = Path(path)
    if path.suffix != ".onnx":
        path = path.with_name(path.name + ".onnx")
    weight = net.target_common.weight
    # An odd and an even side: an example that no two sizes are taken for one from.
    x, y = (weight.new_zeros(2, c, 19, 24) for c in net.configuration.channels)
    axes = {0: "n", 2: "height", 3: "width"}
    names = ["z", "common", "unique_x", "unique_y"][: 2 + len(net.target_unique)]
    training = net.training
    # It also logs which operators of torchvision it goes without.
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            _Parts(net).eval(),
            (x, y),
            input_names=["x", "y"],
            output_names=names,
            dynamic_shapes={"x": axes, "y": axes},
            dynamo=True,
            verbose=False,
        )
    log.setLevel(level)
    net.train(training)
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "configuration", json.dumps(net.configuration.as_dict())
    with atomic_write(path) as file:
        file.write(model.SerializeToString())
