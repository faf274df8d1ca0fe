"""Names of a package that are loaded on first use, so that importing it imports nothing heavy."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["loading"]


def loading(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that has its names from other modules.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of str to sequence of str
        Modules in the package (``"files"``) or beside it (``".values"``), and the names in each.

    Examples
    --------
    >>> from mcsc.lazy import loading
    >>> loading("mcsc.images", {"resize": ("imresize",)})("imresize").__module__
    'mcsc.images.resize'
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f".{modules[name]}", package), name)

    return load
