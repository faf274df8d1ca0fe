"""CU-Net, the unrolled network of multi-modal convolutional sparse coding, in PyTorch.

`CUNet` is the network of Deng and Dragotti (doi:10.1109/TPAMI.2020.2984244); it starts from
random filters, from a dictionary (`CUNet.from_dictionary`), from a file (`load`), from the
authors' released weights (`load_official`) or from weights that come along (`pretrained`); `train`
trains it, `accelerate` makes it ready for a GPU, `export_onnx` writes it for other runtimes.

Names are loaded on first use, so that the command line's help does not wait for PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcsc import __version__
from mcsc.lazy import loading

if TYPE_CHECKING:
    from .network.accelerated import Accelerated, accelerate
    from .network.configuration import Configuration
    from .network.cunet import CUNet
    from .network.lcsc import LCSC
    from .onnx import export_onnx
    from .starts.official import load_official
    from .starts.weights import load, pretrained
    from .starts.widened import widened
    from .training.history import TrainingHistory, TrainingProgress
    from .training.recipe import Recipe
    from .training.train import Trained, train

__all__ = [
    "LCSC",
    "Accelerated",
    "CUNet",
    "Configuration",
    "Recipe",
    "Trained",
    "TrainingHistory",
    "TrainingProgress",
    "__version__",
    "accelerate",
    "export_onnx",
    "load",
    "load_official",
    "pretrained",
    "train",
    "widened",
]

_HOME = {
    "network.accelerated": ("Accelerated", "accelerate"),
    "network.configuration": ("Configuration",),
    "network.cunet": ("CUNet",),
    "network.lcsc": ("LCSC",),
    "onnx": ("export_onnx",),
    "starts.official": ("load_official",),
    "starts.weights": ("load", "pretrained"),
    "starts.widened": ("widened",),
    "training.history": ("TrainingHistory", "TrainingProgress"),
    "training.recipe": ("Recipe",),
    "training.train": ("Trained", "train"),
}

__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
