"""Networks by what people call them: a name or a file."""

from __future__ import annotations

from pathlib import Path

from ..network.cunet import CUNet
from .official import load_official
from .weights import load, pretrained, shipped


def open_weights(name: str | Path) -> CUNet:
    """Return the network of a file, or of weights that come with the package.

    Parameters
    ----------
    name : str or path
        A name of `unfolded.pretrained`; the authors' ``.pth``; or what `CUNet.save` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        There are no such weights, or the file is damaged or of another kind.
    """
    if str(name) in shipped():
        return pretrained(str(name))
    suffix = Path(name).suffix.lower()
    if suffix == ".pth":
        return load_official(name)
    if not suffix:
        return pretrained(str(name))  # says which names there are
    return load(name)
