"""Many scenes: one task each, whose result its worker writes, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..backend.processes import this_process, worker_threads
from ..checks import check_whole
from ..errors import InvalidTypeError, InvalidValueError
from ..files import write_json
from ..solvers.driver import deferred_interrupt
from .cluster import memory_of_a_task, opened
from .told import telling

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Incomplete", "Outcome", "Scene", "SceneTable", "map_scenes"]

Status: TypeAlias = Literal["done", "skipped", "failed", "interrupted"]


@dataclass(frozen=True)
class Scene:
    """A scene for `map_scenes`: inputs of the function, and the file that it writes."""

    name: str
    """Name in the table; no two scenes may have the same."""
    inputs: tuple[Any, ...]
    """Arguments of the function: arrays, or names of files that all workers see."""
    out: Path | None = None
    """File or folder that is written; None: the result is what the function returns."""
    memory: int = 0
    """Estimate of the bytes of memory that it takes; 0: not known."""


class Incomplete(Exception):
    """Raised by a function of `map_scenes` that could do a part of its scene, which then failed.

    Parameters
    ----------
    reason : str
        What failed, in one line: `Outcome.reason`.
    value : object
        The part that was done: `Outcome.value`.
    """

    def __init__(self, reason: str, value: Any) -> None:
        super().__init__(reason)
        self.value = value


@dataclass(frozen=True)
class Outcome:
    """Result of one scene: done, skipped, failed or interrupted, and why."""

    name: str
    """Name of the scene."""
    status: Status
    """How it ended."""
    reason: str = ""
    """One line: why it failed, or what was warned of."""
    seconds: float = 0.0
    """Time that it took on its worker, in seconds."""
    value: Any = None
    """What the function returned, or the part that it had done when it raised `Incomplete`."""


@dataclass(frozen=True)
class SceneTable:
    """Result of `map_scenes`: the results of all scenes, in their order."""

    outcomes: list[Outcome] = field(default_factory=list)
    """Result of each scene."""
    seconds: float = 0.0
    """Time of the whole call, in seconds."""

    def count(self, status: Status) -> int:
        """Return the number of scenes that ended with this status."""
        return sum(o.status == status for o in self.outcomes)

    @property
    def failed(self) -> list[Outcome]:
        """Results of the scenes that failed."""
        return [o for o in self.outcomes if o.status == "failed"]

    @property
    def complete(self) -> bool:
        """Whether all scenes are done, in this call or before it."""
        return all(o.status in ("done", "skipped") for o in self.outcomes)

    def __str__(self) -> str:
        width = max((len(o.name) for o in self.outcomes), default=0)
        lines = [
            f"{o.name:<{width}}  {o.status}"
            + (f" in {o.seconds:.1f} s" if o.status == "done" else "")
            + (f": {o.reason}" if o.reason else "")
            for o in self.outcomes
        ]
        kinds: tuple[Status, ...] = ("done", "skipped", "failed", "interrupted")
        counts = [f"{self.count(kind)} {kind}" for kind in kinds if self.count(kind)]
        return "\n".join([*lines, f"{', '.join(counts) or 'no scenes'}; {self.seconds:.1f} s"])


def map_scenes(
    function: Callable[..., Any],
    scenes: Sequence[Scene],
    *,
    client: Client | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = False,
    each: Callable[[Outcome], Any] | None = None,
) -> SceneTable:
    """Call a function for every scene, on a Dask cluster.

    A scene whose output is there already is skipped, so that a second call does what is missing. A
    scene that fails fails alone. The output is written under a temporary name beside it and
    renamed by the worker, so that it is there whole or not at all.

    Parameters
    ----------
    function : callable
        Called on a worker with the inputs of a scene and then, if the scene has an output, the path
        to write it to. What it raises is the reason in the table; see `Incomplete`.
    scenes : sequence of Scene
        The scenes; their names must differ, and so must their outputs.
    client : distributed.Client, optional
        Client of the cluster to use. Default: the active client, or a local cluster for this call.
    scheduler : str, optional
        Address of a cluster's scheduler instead.
    workers : int, optional
        Processes of a local cluster for this call. Default: one per core.
    threads : int
        Number of threads of the solvers in each task. ``MCSC_NUM_THREADS`` in the environment of a
        worker has precedence.
    folder : path, optional
        Folder of the outputs, made if it is missing; its file ``settings.json`` notes `settings`.
        One whose outputs are of other settings, or of unknown ones, is refused.
    settings : mapping, optional
        With `folder`, all that the outputs depend on besides their inputs, in JSON's types.
    progress : bool
        Show Dask's bar on standard output.
    each : callable, optional
        Called with the outcome of each scene that a worker took, as they end.

    Returns
    -------
    SceneTable
        One outcome per scene, in their order. After Ctrl-C, scenes that were not done are
        "interrupted"; what is done is kept.

    Raises
    ------
    TypeError, ValueError
        Scenes are something else, or share a name or an output; or the folder holds outputs of
        other settings. Nothing is changed.
    RuntimeError
        Nobody answers at `scheduler`.
    ModuleNotFoundError
        Dask is not installed.

    Notes
    -----
    A worker that dies costs the scenes that it was working on, which others take over; a scene that
    kills four workers fails. Scenes that need more memory than a worker has fail without a try.

    Examples
    --------
    >>> from distributed import Client
    >>> from mcsc.distributed import Scene, map_scenes
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     table = map_scenes(len, [Scene("a", ("xy",)), Scene("b", (3,))], client=client)
    >>> [(o.name, o.status, o.value) for o in table.outcomes]
    [('a', 'done', 2), ('b', 'failed', None)]
    >>> table.failed[0].reason
    "TypeError: object of type 'int' has no len()"
    """
    started = time.perf_counter()
    if not callable(function):
        raise InvalidTypeError(f"function must be callable, found {type(function).__name__}")
    threads = check_whole("threads", threads)
    _check(scenes)
    if folder is not None:
        outputs = [s.out for s in scenes if s.out is not None]
        _check_settings(folder, settings or {}, outputs)
    there = [s.out is not None and s.out.exists() for s in scenes]
    found = {
        s.name: Outcome(s.name, "skipped", "it is there already")
        for s, exists in zip(scenes, there, strict=True)
        if exists
    }
    missing = [s for s in scenes if s.name not in found]
    if missing:
        with opened(client, scheduler, workers) as cluster:
            if folder is not None:
                _note_settings(folder, settings or {})
            room = memory_of_a_task(cluster)
            for scene in missing:
                if room is not None and scene.memory > room:
                    reason = (
                        f"needs about {scene.memory / 2**30:.2g} GiB, workers have "
                        f"{room / 2**30:.2g} GiB for each of their threads"
                    )
                    found[scene.name] = Outcome(scene.name, "failed", reason)
            due = [s for s in missing if s.name not in found]
            found |= _run(cluster, function, due, threads, each, progress=progress)
    return SceneTable([found[s.name] for s in scenes], time.perf_counter() - started)


def _check(scenes: Any) -> None:
    if not isinstance(scenes, Sequence) or not all(isinstance(s, Scene) for s in scenes):
        raise InvalidTypeError("scenes must be a sequence of mcsc.distributed.Scene")
    for what in ("name", "out"):
        seen: set[Any] = set()
        for value in (getattr(s, what) for s in scenes):
            if value is not None and value in seen:
                raise InvalidValueError(f"two scenes have the {what} {value}")
            seen.add(value)


def _run(
    client: Client,
    function: Callable[..., Any],
    scenes: Sequence[Scene],
    threads: int,
    each: Callable[[Outcome], Any] | None,
    *,
    progress: bool,
) -> dict[str, Outcome]:
    """Submit all scenes and wait; whatever happens, no half-written file is left."""
    from distributed import as_completed
    from distributed import progress as bar

    futures = {
        client.submit(_do, function, scene, threads, this_process(), pure=False): scene
        for scene in scenes
    }
    found = {s.name: Outcome(s.name, "interrupted") for s in scenes}
    try:
        with deferred_interrupt() as interrupt:
            if progress and futures:
                # Draws as tasks end, in a thread of its own; the loop below waits.
                bar(list(futures), notebook=False)
            ended: Iterator[Any] = as_completed(list(futures), loop=client.loop)
            for future in ended:
                scene = futures[future]
                found[scene.name] = _outcome(future, scene)
                if each is not None:
                    each(found[scene.name])
                if interrupt.asked:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        client.cancel([f for f, s in futures.items() if found[s.name].status == "interrupted"])
        for scene in scenes:
            if scene.out is not None:
                _sweep_up(scene.out)
                if found[scene.name].status == "interrupted" and scene.out.exists():
                    found[scene.name] = Outcome(scene.name, "done")
    return found


def _outcome(future: Any, scene: Scene) -> Outcome:
    if future.cancelled():
        return Outcome(scene.name, "interrupted")
    error = future.exception()
    if error is None:
        outcome: Outcome = future.result()
        return outcome
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return Outcome(
            scene.name, "failed", "its workers died again and again, perhaps for want of memory"
        )
    return Outcome(scene.name, "failed", _line(error))


def _do(function: Callable[..., Any], scene: Scene, threads: int, caller: str) -> Outcome:
    """Do one scene, on a worker."""
    worker_threads(threads, caller)
    started = time.perf_counter()
    temporary = None
    if scene.out is not None:
        # With its suffix, which tells the format.
        temporary = scene.out.with_name(f".mcsc-{secrets.token_hex(6)}-{scene.out.name}")

    def line(text: str) -> str:
        """Return it in one line, with the name that the output will have."""
        if temporary is not None and scene.out is not None:
            text = text.replace(temporary.name, scene.out.name)
        return " ".join(text.split())

    try:
        if scene.out is not None:
            scene.out.parent.mkdir(parents=True, exist_ok=True)
        with telling() as told:
            value = function(*scene.inputs, *(() if temporary is None else (temporary,)))
        if temporary is not None:
            assert scene.out is not None
            os.replace(temporary, scene.out)
    except Exception as error:
        seconds = time.perf_counter() - started
        part = error.value if isinstance(error, Incomplete) else None
        return Outcome(scene.name, "failed", line(_line(error)), seconds, part)
    finally:
        if temporary is not None:
            _remove(temporary)
    return Outcome(scene.name, "done", line("; ".join(told)), time.perf_counter() - started, value)


def _line(error: BaseException) -> str:
    """What an error says, in one line; the kind of those that nobody meant to be read."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif not isinstance(error, ValueError | Incomplete) or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


def _sweep_up(out: Path) -> None:
    """Remove what dead workers left half-written."""
    pattern = re.compile(r"\.mcsc-[0-9a-f]{12}-" + re.escape(out.name))
    with suppress(OSError):
        for path in out.parent.iterdir():
            if pattern.fullmatch(path.name):
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


# ------------------------------------------------------------------- settings of a folder
def _settings_of(folder: Path) -> Path:
    return folder / "settings.json"


def _plain(settings: Mapping[str, Any]) -> Any:
    """Return settings as they are read back."""
    return json.loads(json.dumps(dict(settings)))


def _check_settings(folder: Path, settings: Mapping[str, Any], outputs: Sequence[Path]) -> None:
    """Refuse a folder whose outputs are of other settings, or of unknown ones."""
    path, wanted = _settings_of(folder), _plain(settings)
    if path.is_file():
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InvalidValueError(f"{path} is damaged") from error
        if found != wanted:
            both = {k: (_value(found, k), _value(wanted, k)) for k in sorted({*found, *wanted})}
            shown = ", ".join(f"{k} ({a}, now {b})" for k, (a, b) in both.items() if a != b)
            raise InvalidValueError(
                f"{folder} holds results of other settings: {shown}; name another folder"
            )
        return
    strange = [p for p in outputs if p.exists()]
    if strange:
        raise InvalidValueError(
            f"{strange[0]} is there, and {folder} does not say with which settings it was made; "
            "name another folder"
        )


def _value(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "not noted"


def _note_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(_settings_of(folder), _plain(settings))
    except OSError as error:
        raise InvalidValueError(f"{folder}: {error.strerror}") from error
