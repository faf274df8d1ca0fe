"""Solves in processes that were forked or spawned, also by joblib: none hangs.

Each script is a program of its own with a limit of time, after which all of its processes are
killed: a hang is a failure, not the end of the tests.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import mcsc

HEAD = """
import sys
import numpy as np, mcsc
from mcsc.backend import threads

mcsc.set_num_threads(2)
d = mcsc.dct_dictionary((1, 1), 4, 3)

def job(seed, method="auto"):
    x, y = np.random.default_rng(seed).standard_normal((2, 70, 70)).astype("float32")
    return mcsc.solve((x, y), d, 2.0, tol=1e-2, method=method).objective

def blas():
    import threadpoolctl
    return [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
"""
TIMEOUT = 300  # seconds; a script takes 2 to 5 on a machine that does nothing else


def succeeds(tmp_path, body):
    """Run a script to its end; it must print "done" last, within the limit."""
    script = tmp_path / "script.py"
    script.write_text(HEAD + textwrap.dedent(body))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", script], start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        pytest.fail(f"a process hangs: nothing came back within {TIMEOUT} seconds")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, output
    assert output.splitlines()[-1:] == ["done"], output


def test_properties_are_kept_without_a_lock_that_a_child_would_wait_for():
    """See `mcsc.lazy.cached_property`: it hangs too seldom for the tests below to tell."""
    root = Path(mcsc.__file__).parents[1]
    files = [f for package in ("mcsc", "unfolded") for f in (root / package).rglob("*.py")]
    assert len(files) > 200
    locked = re.compile(r"functools import .*cached_property|@functools\.cached_property")
    assert [f.name for f in files if locked.search(f.read_text(encoding="utf-8"))] == []


needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here"
)


@needs_fork
@pytest.mark.parametrize("method", ["auto", "fista"])
def test_fork_after_a_solve(tmp_path, method):
    body = f"""
        import multiprocessing
        if __name__ == "__main__":
            alone = [job(i, "{method}") for i in range(3)]
            assert threads.shared.pool is not None
            with multiprocessing.get_context("fork").Pool(2) as pool:
                found = pool.starmap(job, [(i, "{method}") for i in range(3)])
            assert found == alone, (found, alone)
            assert alone == [job(i, "{method}") for i in range(3)]
            print("done")
    """
    succeeds(tmp_path, body)


@pytest.mark.slow
@needs_fork
def test_fork_before_a_solve(tmp_path):
    body = """
        import multiprocessing
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                found = pool.map(job, range(3))
            assert found == [job(i) for i in range(3)]
            print("done")
    """
    succeeds(tmp_path, body)


@needs_fork
def test_fork_while_another_thread_solves(tmp_path):
    """Locks may be held, tasks half done, and BLAS at one thread: the child has none of it."""
    body = """
        import multiprocessing, threading, threadpoolctl
        def in_child(pipe):
            pipe.send((job(0), mcsc.get_num_threads(), blas()))
        if __name__ == "__main__":
            threadpoolctl.threadpool_limits(2, user_api="blas")
            alone, before = job(0), blas()
            stop = threading.Event()
            def busy():
                while not stop.is_set():
                    job(1)
            others = [threading.Thread(target=busy) for _ in range(2)]
            for other in others: other.start()
            context = multiprocessing.get_context("fork")
            try:
                for _ in range(8):
                    mine, its = context.Pipe()
                    child = context.Process(target=in_child, args=(its,), daemon=True)
                    child.start()
                    assert mine.poll(200), "a child hangs"
                    found, count, pools = mine.recv()
                    child.join()
                    assert (found, count, pools) == (alone, 2, before), (found, count, pools)
            finally:
                stop.set()
            for other in others: other.join()
            assert blas() == before
            print("done")
    """
    succeeds(tmp_path, body)


@pytest.mark.slow
@needs_fork
def test_fork_during_the_first_solve(tmp_path):
    """Another thread may import or compile what the child needs, or compute what is cached."""
    body = """
        import multiprocessing, threading, time
        def in_child(pipe):
            pipe.send(job(0))
        if __name__ == "__main__":
            other = threading.Thread(target=job, args=(1,))
            other.start()
            context, children = multiprocessing.get_context("fork"), []
            while not children or other.is_alive() and len(children) < 12:
                mine, its = context.Pipe()
                child = context.Process(target=in_child, args=(its,))
                child.start()
                children.append((child, mine))
                time.sleep(0.1)
            found = [mine.poll(200) and mine.recv() for _, mine in children]
            assert found == [job(0)] * len(found), found
            print("done")
    """
    succeeds(tmp_path, body)


@needs_fork
def test_fork_inside_of_a_limit_of_blas(tmp_path):
    """The child has all of BLAS at once, and leaving the parent's frames takes nothing from it."""
    body = """
        import os, threadpoolctl
        alone = job(0)  # loads all libraries
        threadpoolctl.threadpool_limits(2, user_api="blas")
        before = blas()
        with threads.single_threaded_blas():
            assert set(blas()) == {1}
            child = os.fork()
            if child == 0:
                assert blas() == before
        if child == 0:
            assert blas() == before
            assert job(0) == alone
            with threads.single_threaded_blas():
                assert set(blas()) == {1}
            os._exit(0 if blas() == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert blas() == before
        print("done")
    """
    succeeds(tmp_path, body)


@needs_fork
def test_fork_while_the_lock_is_held(tmp_path):
    """By the thread that forks (in a signal's handler), or by another one, which lets go."""
    body = """
        import os, threading, time
        def forked():
            child = os.fork()
            if child == 0:
                os._exit(0 if job(0) == alone else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        alone = job(0)
        with threads.shared.lock:
            forked()
        held = threading.Event()
        def hold():
            with threads.shared.lock:
                held.set()
                time.sleep(0.2)
        other = threading.Thread(target=hold)
        other.start()
        held.wait()
        forked()
        other.join()
        assert job(0) == alone
        print("done")
    """
    succeeds(tmp_path, body)


@needs_fork
def test_fork_under_a_progress_bar(tmp_path):
    body = """
        import multiprocessing
        from mcsc.progress import ProgressBar
        def shown(seed):
            with ProgressBar("a child", 1, shown=True) as bar:
                bar.advance()
            return seed
        if __name__ == "__main__":
            with ProgressBar("parent", 2, shown=True) as bar:
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    assert pool.map(shown, range(2)) == [0, 1]
                bar.advance()
            print()
            print("done")
    """
    succeeds(tmp_path, body)


@pytest.mark.slow
def test_spawn(tmp_path):
    body = """
        import multiprocessing
        if __name__ == "__main__":
            alone = [job(i) for i in range(2)]
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                assert pool.map(job, range(2)) == alone
            print("done")
    """
    succeeds(tmp_path, body)


@pytest.mark.parametrize(
    "backend",
    [pytest.param("loky", marks=pytest.mark.slow), "multiprocessing", "threading"],
)
def test_joblib(tmp_path, backend):
    pytest.importorskip("joblib")
    body = f"""
        from joblib import Parallel, delayed
        if __name__ == "__main__":
            alone = [job(i) for i in range(3)]
            assert Parallel(2, backend="{backend}")(delayed(job)(i) for i in range(3)) == alone
            print("done")
    """
    succeeds(tmp_path, body)
