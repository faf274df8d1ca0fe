"""Types that more than one room speaks of."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

# NumPy's and CuPy's arrays have no common static type.
Array: TypeAlias = Any
Floats: TypeAlias = NDArray[np.floating[Any]]

RestorationBase: TypeAlias = Literal["none", "input", "low", "guided", "injected"]
"""What the answer of a model is added to: nothing, x, x's low-pass part, or x as the guided filter
smooths it."""
FusionBase: TypeAlias = Literal["none", "low", "mean"]
"""What the coded part of a fusion is added to: nothing, a low-pass part of the sources, or their
mean."""
Base: TypeAlias = Literal[RestorationBase, FusionBase]
"""What the coded part is added to in any task."""
Boundary: TypeAlias = Literal["zero", "periodic"]
"""What the codes are outside of the image: zero, or the other side of it."""
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
"""Where arrays are worked on; "auto": where they are."""
Ghosts: TypeAlias = Literal["exposure", "flash"]
"""What tells two photographs of a scene apart besides what moved in it."""
Kind: TypeAlias = Literal["restoration", "fusion"]
"""What a target is made of: Eq. 3 or Eq. 4."""
Region: TypeAlias = tuple[slice, slice]
"""Rows and columns of an image, with a start and a stop."""
Lam: TypeAlias = float | tuple[float, ...]
"""Weight of the l1 norm, or one for each group of codes."""
