"""Synthetic pairs of a task."""

from __future__ import annotations

from mcsc.tasks import get_task


def pair(name, seed=50, shape=(64, 64)):
    return get_task(name).synthetic_pair(0, shape, seed)
