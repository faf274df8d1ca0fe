"""Learning with workers: the same for any number of them, and from a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

import mcsc
from tests.helpers import make_sparse_images
from tests.mcsc.distributed.toys import LEARNING

pytest.importorskip("distributed")

from tests.clusters import local_client

SETTINGS = {
    **LEARNING, "options": mcsc.LearnOptions(batch_size=4, update_steps=4, target_windows=4),
}  # fmt: skip


@pytest.fixture(scope="module")
def clusters():
    """Clients of clusters of one and of three workers in this process."""
    with local_client() as one, local_client(3) as three:
        yield [one, three]


def same(one, other):
    groups = zip(one.dictionary.groups, other.dictionary.groups, strict=True)
    assert all(np.array_equal(a.bank, b.bank) for a, b in groups)
    assert one.objective == other.objective
    assert one.history.objective == other.history.objective
    assert np.array_equal(one.use, other.use)


def test_the_result_does_not_depend_on_the_workers(clusters):
    signals, _ = make_sparse_images(1, shape=(16, 24))
    one, three = (mcsc.learn(signals, signals[0], client=c, **SETTINGS) for c in clusters)
    same(one, three)
    assert np.array_equal(one.dictionary.target_common, three.dictionary.target_common)
    alone = mcsc.learn(signals, signals[0], **SETTINGS)
    assert one.objective == pytest.approx(alone.objective, rel=0.05)


@pytest.mark.slow
def test_a_checkpoint_resumes_to_the_same_bits(clusters, tmp_path):
    signals, _ = make_sparse_images(2, shape=(16, 24))
    straight = mcsc.learn(signals, client=clusters[1], **SETTINGS)
    file = tmp_path / "state.npz"
    stopped = mcsc.learn(
        signals, client=clusters[1], checkpoint=file, callback=lambda p: p.step == 3, **SETTINGS
    )
    assert stopped.stopped == "callback"
    same(straight, mcsc.learn(signals, client=clusters[0], checkpoint=file, **SETTINGS))
    with pytest.raises(ValueError, match="coded"):
        mcsc.learn(signals, checkpoint=file, **SETTINGS)


@pytest.mark.slow
def test_masks_go_with_their_windows(clusters):
    signals, _ = make_sparse_images(3, shape=(16, 24))
    mask = np.ones(signals[0].shape[2:], dtype=signals[0].dtype)
    mask[3:9, 4:20] = 0
    spoiled = signals[0].copy()
    spoiled[:, :, mask == 0] = 100
    clean, other = (
        mcsc.learn((x, signals[1]), masks=(mask, None), client=clusters[0], **SETTINGS)
        for x in (signals[0], spoiled)
    )
    same(clean, other)


def test_what_is_no_client_is_refused():
    signals, _ = make_sparse_images(1, shape=(16, 16))
    with pytest.raises(TypeError, match=r"distributed\.Client, found str"):
        mcsc.learn(signals, client="tcp://host", **SETTINGS)
