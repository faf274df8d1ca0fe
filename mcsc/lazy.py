"""What is made on first use, and kept: names of a package, properties, and what is large."""

from __future__ import annotations

import functools
import importlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

__all__ = ["Recent", "cached_property", "loading"]

T = TypeVar("T")
V = TypeVar("V")


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


class Recent(Generic[V]):
    """What was made lately, up to so many bytes, and the last one in any case.

    Parameters
    ----------
    cache_bytes : int
        Most bytes that are kept.
    """

    def __init__(self, cache_bytes: int) -> None:
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """Return what was made for the key, or make it; `size` gives its bytes."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        made = make()
        self._kept[key] = made, size(made)
        self._bytes += self._kept[key][1]
        while self._bytes > self.cache_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][1]
        return made

    def __getstate__(self) -> dict[str, Any]:
        # Another process makes its own.
        return {"cache_bytes": self.cache_bytes, "_kept": OrderedDict(), "_bytes": 0}
