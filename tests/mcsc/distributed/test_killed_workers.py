"""SIGKILL of a worker in the middle of the work: the same result as without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import mcsc
from tests.helpers import make_dictionary, make_signals, make_sparse_images
from tests.mcsc.distributed.toys import LEARNING
from tests.paths import ROOT

pytest.importorskip("distributed")

from mcsc.distributed import Scene, map_scenes, solve_blocks
from tests.clusters import local_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here"),
]


@pytest.fixture(scope="module")
def client():
    """Two workers, processes of their own."""
    with local_client(2, processes=True) as client:
        yield client


@contextmanager
def a_worker_killed(client, after=3):
    """Kill a worker once it is working and `after` tasks have begun; make sure that it died."""
    client.wait_for_workers(2)
    pids = client.run(os.getpid)
    killed, seen, stop = [], set(), threading.Event()

    def watch():
        while not stop.is_set():
            for address, keys in client.processing().items():
                seen.update(map(str, keys))
                if keys and len(seen) >= after and address in pids:
                    os.kill(pids[address], signal.SIGKILL)
                    killed.append(pids[address])
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert killed, "the work was over before a worker could be killed"
    with pytest.raises(ProcessLookupError):
        os.kill(killed[0], 0)


def test_blocks(client):
    signals = tuple(x[0] for x in make_signals(1, shape=(60, 64)))
    d = make_dictionary(1, size=4)
    asked = {"lam": 0.3 * mcsc.lambda_max(signals, d), "block": 32, "tol": 1e-4, "client": client}
    straight = solve_blocks(signals, d, **asked)
    with a_worker_killed(client):
        found = solve_blocks(signals, d, **asked)
    assert (found.objective, found.gap) == (straight.objective, straight.gap)
    for one, other in zip(found.codes.present, straight.codes.present, strict=True):
        assert np.array_equal(one.index, other.index)
        assert np.array_equal(one.value, other.value)


def double(source, out):
    time.sleep(0.3)
    with open(source) as file, open(out, "w") as made:
        made.write(2 * file.read())


def test_scenes(client, tmp_path):
    scenes = []
    for number in range(8):
        source = tmp_path / f"in{number}"
        source.write_text(str(number))
        scenes.append(Scene(f"s{number}", (str(source),), tmp_path / f"out{number}"))
    with a_worker_killed(client):
        table = map_scenes(double, scenes, client=client)
    assert [o.status for o in table.outcomes] == ["done"] * 8
    assert [(tmp_path / f"out{n}").read_text() for n in range(8)] == [f"{n}{n}" for n in range(8)]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_learning(client):
    signals, _ = make_sparse_images(1, shape=(32, 32))
    asked = {
        **LEARNING, "client": client,
        "options": mcsc.LearnOptions(batch_size=4, update_steps=2),
    }  # fmt: skip
    straight = mcsc.learn(signals, **asked)
    with a_worker_killed(client):
        found = mcsc.learn(signals, **asked)
    assert found.objective == straight.objective
    groups = zip(found.dictionary.groups, straight.dictionary.groups, strict=True)
    assert all(np.array_equal(a.bank, b.bank) for a, b in groups)


SLOW = """
import sys, time
from pathlib import Path
from mcsc.distributed import Scene, map_scenes

def slow(out):
    time.sleep(0.5)
    out.write_text("x")

if __name__ == "__main__":
    scenes = [Scene(str(k), (), Path(sys.argv[1]) / str(k)) for k in range(400)]
    table = map_scenes(slow, scenes, workers=2)
    print(table.count("done"), table.count("interrupted"), table.count("failed"))
"""


def test_ctrl_c_keeps_what_is_done(tmp_path):
    """A terminal sends it to all processes; workers leave it to the caller."""
    script, out = tmp_path / "slow.py", tmp_path / "out"
    script.write_text(SLOW)
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, script, out], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while len(list(out.glob("[0-9]*"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    done, interrupted, failed = map(int, said.split())
    assert (done + interrupted, failed) == (400, 0)
    assert 3 <= done < 400
    assert done <= len(list(out.glob("[0-9]*"))) < 400
    assert not list(out.glob(".*"))
