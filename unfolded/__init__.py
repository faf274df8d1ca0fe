"""CU-Net, the unrolled network of multi-modal convolutional sparse coding, in PyTorch.

`CUNet` is the network of Deng and Dragotti (doi:10.1109/TPAMI.2020.2984244); it starts from
random filters, from a dictionary (`CUNet.from_dictionary`), from a file (`load`), from the
authors' released weights (`load_official`) or from weights that come along (`pretrained`).
"""

from __future__ import annotations

from mcsc import __version__

from .cunet import CUNet, Split
from .lcsc import LCSC
from .official import load_official
from .weights import load, pretrained

__all__ = [
    "LCSC",
    "CUNet",
    "Split",
    "__version__",
    "load",
    "load_official",
    "pretrained",
]
