"""Synthetic registered pairs with known targets, to learn dictionaries and train networks on.

Made from a seed, without a licence to ask for and without a download: dead-leaves scenes with depth
(:func:`make_scene`), anatomy-like slices (:func:`make_anatomy`), and the pairs of all six tasks
that are taken of them (:func:`scenes`).
"""

from __future__ import annotations

from .anatomy import TISSUES, Anatomy, make_anatomy, medical_pair
from .canvas import Layer
from .generate import TASKS, SyntheticPair, make_pair, scenes
from .pairs import exposure_pair, flash_pair, focus_pair, multispectral_pair
from .scene import Scene, make_scene
from .textures import PHOTOGRAPHS

__all__ = [
    "PHOTOGRAPHS",
    "TASKS",
    "TISSUES",
    "Anatomy",
    "Layer",
    "Scene",
    "SyntheticPair",
    "exposure_pair",
    "flash_pair",
    "focus_pair",
    "make_anatomy",
    "make_pair",
    "make_scene",
    "medical_pair",
    "multispectral_pair",
    "scenes",
]
