"""Which engine serves a call: the one place where the network meets `unfolded.engines`.

An engine computes what the classes of this package say, from their tensors alone. So it may serve
a module only if that is exactly what these classes made it: no subclass with another `forward`, no
hook, no parametrisation, no layer that was replaced or patched. All else runs its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..engines import cpu_inference, reference, training
from ..engines.transforms import dispatched, transformed

Engine = Literal["reference", "cpu_inference", "training"]
"""Modules of `unfolded.engines`; that for GPUs is chosen by `unfolded.accelerate`."""

_M = TypeVar("_M", bound=type[nn.Module])

_SERVES = {"cpu_inference": cpu_inference.serves, "training": training.serves}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class _Written:
    """A class as its file has it."""

    functions: dict[str, Any]
    engines: tuple[Engine, ...]


_written: dict[type[nn.Module], _Written] = {
    nn.ModuleList: _Written({"forward": nn.ModuleList.forward}, ())
}


class Described(Protocol):
    """The steps of a module; see `unfolded.engines.steps`."""

    def takes(self, image: Tensor) -> bool:
        """Return True if an engine can take an image."""
        ...


class Servable(Protocol):
    """A module that engines know."""

    training: bool

    def steps(self) -> Described:
        """Return the tensors that it computes with."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Return the module and all inside it."""
        ...


def served_by(*engines: Engine) -> Callable[[_M], _M]:
    """Class decorator: engines compute what this class does as it is written, and which of them."""

    def register(cls: _M) -> _M:
        functions = {name: f for name, f in vars(cls).items() if callable(f)}
        _written[cls] = _Written(functions, engines)
        return cls

    return register


def engine_for(module: Servable, image: Tensor) -> Engine:
    """Return the engine that serves a module for an image (or for maps)."""
    written = _written.get(type(module))  # type: ignore[arg-type]
    usual = (
        type(image) in (Tensor, nn.Parameter)
        and image.dim() == 4
        and image.numel() > 0
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and not transformed()
        and not dispatched()
    )
    if written is None or not usual:
        return "reference"
    for engine in written.engines:
        if _SERVES[engine](image, training=module.training) and is_as_written(module):
            return engine if module.steps().takes(image) else "reference"
    return "reference"


def is_as_written(module: Servable) -> bool:
    """Return True if a module and all inside it do what their classes say, and no more."""
    if nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return False
    return all(_is_as_written(m) for m in module.modules())


def _is_as_written(module: nn.Module) -> bool:
    written = _written.get(type(module))
    return (
        written is not None
        and not any(getattr(module, name) for name in _HOOKS)
        and not any(name in vars(module) for name in written.functions)
        and all(getattr(type(module), name) is f for name, f in written.functions.items())
        # Not tensors that stand in for parameters, as with `torch.func.functional_call`.
        and all(type(p) is nn.Parameter for p in module.parameters(recurse=False))
    )


Product = Callable[[Tensor, Tensor], Tensor]
Gradient = Callable[[Tensor, Tensor, int], Tensor]


def synthesis_for(weight: Tensor) -> tuple[Product, Gradient]:
    """Return `synthesise` and its adjoint in the filters for filters like these, without gradients.

    See `unfolded.engines.reference` for their arguments.
    """
    if weight.device.type == "cpu" and weight.dtype == torch.float32:
        return training.product_synthesis, training.product_gradient
    return reference.synthesise, reference.synthesis_gradient
