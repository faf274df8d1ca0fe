"""What is made on first use: names of a package, so that importing it is cheap, and properties."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["cached_property", "loading"]

T = TypeVar("T")


class cached_property(functools.cached_property[T]):
    """A property that is computed once for each object, without a lock.

    Up to Python 3.11, `functools.cached_property` holds one lock for all objects of a class while
    it computes. A process that is forked meanwhile by another thread inherits that lock held and
    waits for it for ever. Without it, two threads may both compute the value; the last one stays.

    Examples
    --------
    >>> from mcsc.lazy import cached_property
    >>> class Square:
    ...     side = 3
    ...
    ...     @cached_property
    ...     def area(self):
    ...         return self.side**2
    >>> Square().area
    9
    """

    if not TYPE_CHECKING:  # where its type is that of the standard library's

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            cache = instance.__dict__
            if self.attrname not in cache:
                cache[self.attrname] = self.func(instance)
            return cache[self.attrname]


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
