"""Learning coupled dictionaries and target filters from images."""

from __future__ import annotations

from .history import LearningHistory, LearningProgress
from .learner import Learned, check_learning, learn
from .options import LearnOptions
from .targets import TargetFit, learn_targets

__all__ = [
    "LearnOptions",
    "Learned",
    "LearningHistory",
    "LearningProgress",
    "TargetFit",
    "check_learning",
    "learn",
    "learn_targets",
]
