"""Small dictionaries that were learned for tasks, once for all tests."""

from __future__ import annotations

import pytest

from mcsc.tasks import get_task, synthetic_scenes
from mcsc.tasks.learning import TaskSettings, learn_task

SMALL = {"n_common": 8, "n_unique": 8, "filter_size": 6, "passes": 2, "window": 48}


def learn_small(name, count=4, **settings):
    task = get_task(name)
    readers = synthetic_scenes(task, count, (64, 64), seed=1)
    return learn_task(task, readers, TaskSettings(**settings), **SMALL)


@pytest.fixture(scope="session")
def depth():
    return learn_small("depth-sr", 6)


@pytest.fixture(scope="session")
def focus():
    return learn_small("multi-focus")
