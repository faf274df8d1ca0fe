"""Numbers in messages, reports and tables, as people write them."""

from __future__ import annotations

import numpy as np

__all__ = ["percent"]


def percent(share: float, digits: int = 2) -> str:
    """Return a share of 1 in percent, to so many digits, never in powers of ten.

    Examples
    --------
    >>> from mcsc.words import percent
    >>> percent(1.0), percent(0.0318), percent(0.0004), percent(0.4567, 3)
    ('100 %', '3.2 %', '0.04 %', '45.7 %')
    """
    shown = np.format_float_positional(
        100.0 * float(share), precision=digits, fractional=False, trim="-"
    )
    return f"{shown} %"
