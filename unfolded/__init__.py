"""CU-Net, the unrolled network of multi-modal convolutional sparse coding, in PyTorch.

The room is laid; the network moves in with a later version.
"""

from __future__ import annotations

from mcsc import __version__

__all__ = ["__version__"]
