"""`mcsc demo`: what the package does, on images that come with one of its dependencies."""

from __future__ import annotations

from .command import demo

__all__ = ["demo"]
