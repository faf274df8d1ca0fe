"""Parts of a photograph that measures are tested on."""

from __future__ import annotations

import numpy as np
import skimage.data


def photograph(top=100, left=200, shape=(23, 20)):
    return skimage.data.camera()[top : top + shape[0], left : left + shape[1]] / 255


def sources(count=2, shape=(23, 20)):
    """Parts of one photograph under gains and offsets, one of them saturated."""
    x = photograph(shape=shape)
    return [x, np.clip(3 * x - 0.4, 0, 1), 0.7 * photograph(left=203, shape=shape)][:count]
