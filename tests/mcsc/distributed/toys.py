"""Small things to learn."""

from __future__ import annotations

LEARNING = {
    "lam": 0.3, "n_common": 4, "n_unique": 3, "filter_size": 5, "passes": 2, "window": 16,
}  # fmt: skip
"""Settings of `mcsc.learn`, all but its options."""
