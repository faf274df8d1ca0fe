"""Synthetic registered pairs with known targets, to learn dictionaries and train networks on.

Made from a seed, without a licence to ask for and without a download: dead-leaves scenes with depth
(:func:`make_scene`), anatomy-like slices (:func:`make_anatomy`), and the pairs of all six tasks
that are taken of them (:func:`scenes`).
"""

from __future__ import annotations

from .anatomy import TISSUES, Anatomy, make_anatomy, medical_pair
from .canvas import Layer
from .depthmaps import depth_pair
from .exposures import exposure_pair
from .flash import flash_pair
from .focus import focus_pair
from .generate import PAIR_NAMES, SyntheticPair, make_pair, scenes
from .photographs import PHOTOGRAPHS, Source, photograph_sources
from .scene import Scene, make_scene
from .spectra import multispectral_pair

__all__ = [
    "PAIR_NAMES",
    "PHOTOGRAPHS",
    "TISSUES",
    "Anatomy",
    "Layer",
    "Scene",
    "Source",
    "SyntheticPair",
    "depth_pair",
    "exposure_pair",
    "flash_pair",
    "focus_pair",
    "make_anatomy",
    "make_pair",
    "make_scene",
    "medical_pair",
    "multispectral_pair",
    "photograph_sources",
    "scenes",
]
