"""The imaging tasks: restoration and fusion of registered images, measured and taken apart.

Names are loaded on first use, so that importing this package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import loading

if TYPE_CHECKING:
    from ..fusion.rules import RULES, Blend, CodedSources, Rule, Selection
    from ..values import ValueRange
    from .decomposition import Decomposition, SignalParts, decompose
    from .evaluation import Evaluation, evaluate
    from .fusion import Fusion, fuse
    from .methods import METHODS, find_method, method_names
    from .protocol import Method, MethodResult
    from .restoration import Restoration, restore
    from .scenes import find_scenes, synthetic_scenes
    from .shipped import shipped_dictionaries, shipped_dictionary
    from .sparse_coding import SparseCoding
    from .task import TASKS, Task, get_task
    from .volumes import VolumeFusion, fuse_volumes

__all__ = [
    "METHODS",
    "RULES",
    "TASKS",
    "Blend",
    "CodedSources",
    "Decomposition",
    "Evaluation",
    "Fusion",
    "Method",
    "MethodResult",
    "Restoration",
    "Rule",
    "Selection",
    "SignalParts",
    "SparseCoding",
    "Task",
    "ValueRange",
    "VolumeFusion",
    "decompose",
    "evaluate",
    "find_method",
    "find_scenes",
    "fuse",
    "fuse_volumes",
    "get_task",
    "method_names",
    "restore",
    "shipped_dictionaries",
    "shipped_dictionary",
    "synthetic_scenes",
]

_HOME = {
    ".fusion.rules": ("RULES", "Blend", "CodedSources", "Rule", "Selection"),
    ".values": ("ValueRange",),
    "decomposition": ("Decomposition", "SignalParts", "decompose"),
    "evaluation": ("Evaluation", "evaluate"),
    "fusion": ("Fusion", "fuse"),
    "methods": ("METHODS", "find_method", "method_names"),
    "protocol": ("Method", "MethodResult"),
    "restoration": ("Restoration", "restore"),
    "scenes": ("find_scenes", "synthetic_scenes"),
    "shipped": ("shipped_dictionaries", "shipped_dictionary"),
    "sparse_coding": ("SparseCoding",),
    "task": ("TASKS", "Task", "get_task"),
    "volumes": ("VolumeFusion", "fuse_volumes"),
}

__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
