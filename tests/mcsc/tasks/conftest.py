"""Small dictionaries that were learned for tasks, once for all tests."""

from __future__ import annotations

import pytest

from mcsc.learning import LearnOptions
from mcsc.tasks import get_task, synthetic_scenes
from mcsc.tasks.learning import TaskSettings, learn_task

SMALL = {"n_common": 8, "n_unique": 8, "filter_size": 6, "passes": 2, "window": 48}


def learn_small(name, count, *, targets):
    task = get_task(name)
    readers = synthetic_scenes(task, count, (64, 64), seed=1)
    options = LearnOptions(max_windows=16, target_windows=16 if targets else None)
    return learn_task(task, readers, TaskSettings(flips=False), options=options, **SMALL)


@pytest.fixture(scope="session")
def depth():
    return learn_small("depth-sr", 6, targets=True)


@pytest.fixture(scope="session")
def focus():
    return learn_small("multi-focus", 4, targets=False)
