"""Dask's client: found, started or reached, and fed with no more tasks than memory allows."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..backend.limits import usable_cores
from ..checks import check_whole
from ..errors import InvalidTypeError, MissingExtraError, OutOfMemoryError, UnavailableError
from ..solvers.driver import deferred_interrupt

try:
    import dask
    import distributed
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "mcsc.distributed needs Dask: pip install 'mcsc[distributed]'"
    ) from error

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = [
    "FieldTask",
    "Workers",
    "check_scheduler",
    "memory_of_a_task",
    "opened",
    "require_memory",
    "require_seen",
]

T = TypeVar("T")

_CONNECT = 4.0  # seconds; with what comes before and after, an answer within ten


@contextmanager
def opened(
    client: Client | None = None, scheduler: str | None = None, workers: int | None = None
) -> Iterator[Client]:
    """Give the client that was asked for; what is started here is closed again.

    Parameters
    ----------
    client : distributed.Client, optional
        Taken as it is.
    scheduler : str, optional
        Address of a cluster's scheduler, as ``tcp://host:8786``.
    workers : int, optional
        Processes of a local cluster, one task each. Default: the active client, or a process a
        core.

    Raises
    ------
    RuntimeError
        Nobody answers at that address within seconds.
    """
    with ExitStack() as stack:
        if client is not None:
            if not isinstance(client, distributed.Client):
                raise InvalidTypeError(
                    f"client must be a distributed.Client, found {type(client).__name__}"
                )
            yield client
        elif scheduler is not None:
            yield stack.enter_context(_connected(scheduler))
        elif workers is None and (active := _active()) is not None:
            yield active
        else:
            count = usable_cores() if workers is None else check_whole("workers", workers)
            one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
            # A cluster that is left half-started cannot be closed: Ctrl-C waits until it is there.
            with deferred_interrupt() as interrupt:
                cluster = stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=count,
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address=":0",
                        silence_logs=logging.CRITICAL,
                        env=one,
                    )
                )
                own = stack.enter_context(distributed.Client(cluster))
                own.register_plugin(_LeaveCtrlC(), name="mcsc-ctrl-c")
                if interrupt.asked:
                    raise KeyboardInterrupt
            yield own


class _LeaveCtrlC(distributed.WorkerPlugin):  # type: ignore[misc]
    """Let Ctrl-C, which a terminal sends to all processes, be answered by the caller alone."""

    def setup(self, worker: Any) -> None:
        """Begin with a worker, also with one that takes the place of another."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _active() -> Client | None:
    try:
        return distributed.Client.current()
    except ValueError:
        return None


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    # Asked first: a client that finds nobody waits for itself, and says so, when it is removed.
    check_scheduler(address)
    try:
        client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise _nobody(address, error) from error
    with client:
        yield client


def check_scheduler(address: str) -> None:
    """Ask who answers at an address.

    Raises
    ------
    RuntimeError
        Nobody does within seconds, or it is no scheduler of Dask.
    """
    answer: list[Any] = []
    asking = threading.Thread(target=lambda: answer.append(_asked(address)), daemon=True)
    asking.start()
    asking.join(2 * _CONNECT)
    found = answer[0] if answer else "no answer"
    if found is not None:
        raise _nobody(address, found)


def _nobody(address: str, found: Any) -> UnavailableError:
    return UnavailableError(
        f"no Dask scheduler at {address}: {_first_line(found)}; want an address as "
        "tcp://HOST:8786, which `dask scheduler` prints"
    )


def _asked(address: str) -> Any:
    """Ask who answers at an address; returns None if it is a scheduler, else what is wrong."""

    async def asked() -> Any:
        settings = distributed.Security().get_connection_args("client")
        comm = await distributed.comm.connect(address, timeout=_CONNECT, **settings)
        try:
            await comm.write({"op": "identity", "reply": True, "close": True})
            return await comm.read()
        finally:
            comm.abort()

    async def in_time() -> Any:
        # What is no part of Dask may never answer.
        return await asyncio.wait_for(asked(), 1.5 * _CONNECT)

    try:
        answer = asyncio.run(in_time())
    except TimeoutError:
        return "what is there does not answer"
    except OSError as error:
        return f"nobody answers within {_CONNECT:g} s" if "Timed out" in str(error) else error
    except MemoryError:  # first bytes of another protocol, taken for a length
        return "what answers there is not a part of Dask"
    except (TypeError, ValueError, ImportError) as error:
        return error
    who = answer.get("type") if isinstance(answer, dict) else None
    if who == "Scheduler":
        return None
    return f"what answers there is {'a worker' if who == 'Worker' else 'no scheduler'}"


def _first_line(error: Any) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


class FieldTask(NamedTuple):
    """A function of images that are read where it is called."""

    function: Callable[..., Any]
    images: tuple[list[Any], ...]
    """Its arguments: lists of Dask arrays, of which it gets NumPy's, and of None."""


class Workers:
    """Those of a cluster, given no more tasks at a time than memory allows.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def each(
        self, items: Iterable[T], task: Callable[[T], FieldTask]
    ) -> Iterator[tuple[T, Future]]:
        """Do a task for each item, and give them with their futures as they end.

        There are never more than two tasks for each thread of the cluster, so that what they read
        stays within memory however many there are. Those that were not given are cancelled when
        the loop is left.

        Parameters
        ----------
        items : iterable
        task : callable
            Returns what is to be done for an item.
        """
        threads = sum(self._client.nthreads().values())
        queue = iter(items)
        running: dict[Any, tuple[T, Future]] = {}
        ended = distributed.as_completed(loop=self._client.loop)

        def add(item: T) -> None:
            function, images = task(item)
            # Dask looks for arrays in what a delayed function is called with, and only there.
            delayed = dask.delayed(function, pure=False)(*images)
            future = self._client.compute(delayed)
            running[future.key] = item, future
            ended.add(future)

        for item in islice(queue, max(2, 2 * threads)):
            add(item)
        try:
            for future in ended:
                for item in islice(queue, 1):
                    add(item)
                yield running.pop(future.key)
        finally:
            self._client.cancel([future for _, future in running.values()])


def memory_of_a_task(client: Client) -> int | None:
    """Bytes that the smallest worker has for each of its threads; None where none has a limit."""
    found = [
        worker["memory_limit"] // max(worker["nthreads"], 1)
        for worker in client.scheduler_info(n_workers=-1)["workers"].values()
        if worker["memory_limit"]
    ]
    return min(found, default=None)


def _sees(path: str) -> bool:
    return Path(path).exists()


def require_seen(client: Client, folder: Path) -> None:
    """Refuse a folder that a worker does not see."""
    blind = [address for address, sees in client.run(_sees, str(folder)).items() if not sees]
    if blind:
        raise UnavailableError(
            f"the worker {blind[0]} does not see {folder}: name a folder on a file system that all "
            "workers share"
        )


def require_memory(client: Client, needed: int, what: str, advice: str) -> None:
    """Refuse tasks that would not fit into the memory of the workers."""
    there = memory_of_a_task(client)
    if there is not None and needed > there:
        raise OutOfMemoryError(
            f"{what} needs about {needed / 2**30:.2g} GiB, and the workers have "
            f"{there / 2**30:.2g} GiB for each of their threads: {advice}"
        )
