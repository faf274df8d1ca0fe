"""Multi-modal convolutional sparse coding: exact, certified, on CPU and GPU.

The problem (Eq. 5 of Deng and Dragotti, doi:10.1109/TPAMI.2020.2984244) codes registered images
of one scene with a common and unique sets of sparse feature maps. `solve` is the front door.
"""

from __future__ import annotations

from ._version import __version__
from .backend import get_num_threads, set_num_threads
from .learning import (
    Learned,
    LearningHistory,
    LearningProgress,
    LearnOptions,
    TargetFit,
    learn,
    learn_targets,
)
from .model.codes import Codes, Coordinates
from .model.dictionary import Dictionary
from .model.problem import Problem, lambda_max
from .model.reconstruction import Parts, reconstruct, signal_parts
from .model.starter import dct_dictionary
from .solvers.front import solve
from .solvers.path import Discrepancy, solve_discrepancy, solve_path
from .solvers.result import ConvergenceWarning, History, Progress, Result
from .solvers.reweighted import Reweighted, reweighted

__all__ = [
    "Codes",
    "ConvergenceWarning",
    "Coordinates",
    "Dictionary",
    "Discrepancy",
    "History",
    "LearnOptions",
    "Learned",
    "LearningHistory",
    "LearningProgress",
    "Parts",
    "Problem",
    "Progress",
    "Result",
    "Reweighted",
    "TargetFit",
    "__version__",
    "dct_dictionary",
    "get_num_threads",
    "lambda_max",
    "learn",
    "learn_targets",
    "reconstruct",
    "reweighted",
    "set_num_threads",
    "signal_parts",
    "solve",
    "solve_discrepancy",
    "solve_path",
]
