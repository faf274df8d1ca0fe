r"""One image that is too large for one machine: blocks, seams between them, a global certificate.

Block coordinate descent on Eq. 5: the codes of a region are optimised with all others fixed, by the
working set. The regions, blocks and the seams between them, have four colours (see `Cover`); those
of one colour do not know of each other, and are coded by whoever is free. A sweep goes through the
colours; after it, objective and dual value are summed over the blocks, in float64.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from ..backend.processes import this_process
from ..checks import check_callback, check_choice, check_number, check_whole
from ..errors import InvalidTypeError, InvalidValueError, warn_user
from ..model.dictionary import Dictionary
from ..model.lam import lam_per_map
from ..model.penalty import Penalty
from ..model.problem import Problem
from ..model.signals import check_filters_fit
from ..model.solver_table import SOLVERS
from ..solvers.result import ConvergenceWarning, Progress
from ..solvers.working_set import WorkingSet
from ..types import Boundary
from .arrays import as_blocks, same_chunks
from .cluster import Workers, opened, require_memory, require_seen
from .cover import Cover, edges_of_blocks
from .layers import Layers
from .result import BlockResult
from .store import CodeStore, ProblemRecord
from .sweeps import Sweeps
from .tasks import Job

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["block_sides", "check_blocks", "solve_blocks"]

_SIDE = 1024  # pixels; a block of two grey images, 3 x 64 filters, takes about 0.4 GB


def solve_blocks(
    signals: Sequence[Any],
    dictionary: Dictionary,
    lam: Any,
    *,
    boundary: Boundary = "zero",
    tol: float = 1e-4,
    masks: Sequence[Any] | None = None,
    mu: Any = 0.0,
    nonnegative: Any = False,
    joint: Any = False,
    block: int | tuple[int, int] | None = None,
    max_sweeps: int = 100,
    client: Client | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    folder: str | Path | None = None,
    callback: Callable[[Progress], Any] | None = None,
    progress: bool = False,
) -> BlockResult:
    r"""Solve Eq. 5 for one image of any size, in blocks, on a Dask cluster.

    The problem, its optimum and its certificate are those of `mcsc.solve`: blocks are not solved
    apart from each other, but with the codes around them fixed, sweep after sweep, until the
    duality gap of the whole image is at most `tol`.

    Parameters
    ----------
    signals : tuple of M arrays, each (H, W) or (C, H, W)
        Images as arrays of Dask, zarr or NumPy (mapped into memory, too), float32 or float64, on
        one grid and in the same chunks. They are read again whenever a block is coded.
    dictionary, boundary, tol, mu, nonnegative
        As in `mcsc.solve`.
    joint : bool, or one per code group
        As in `mcsc.solve`, but no groups can be joined: regions are coded by the working set, which
        changes one coefficient at a time, and has no rule for several that vanish together.
    lam : number, or one entry a code group or a map, or arrays
        As in `mcsc.solve`; with a number for each coefficient as arrays (H, W) or (K, H, W), of the
        kinds that signals may be, in the same chunks: for all groups, or an entry for each.
    masks : tuple of M (array or None), optional
        Weights, as in `mcsc.solve`: (H, W) or (C, H, W).
    block : int or (int, int), optional
        Side of the blocks in pixels, or height and width. Default: the chunks of the first signal
        if they have a sensible size, else 1024. The result does not depend on it, memory and the
        number of sweeps do.
    max_sweeps : int
        Largest number of sweeps.
    client : distributed.Client, optional
        Client of the cluster to use. Default: the active client, or a local cluster for this call.
    scheduler : str, optional
        Address of a cluster's scheduler instead.
    workers : int, optional
        Processes of a local cluster for this call. Default: one per core.
    threads : int
        Number of threads of the solver in each task. ``MCSC_NUM_THREADS`` in the environment of a
        worker has precedence.
    folder : path, optional
        Where the codes are kept, on a file system that all workers see. If it holds codes of the
        same problem, the solver continues from them. Default: a temporary folder of this machine,
        removed with the result.
    callback : callable, optional
        Called with a `Progress` after every sweep; a true value or StopIteration stops.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    BlockResult
        Numbers as in `mcsc.Result`; codes stay in files, block by block, until they are asked for.
        After Ctrl-C, the codes found so far, certified; a second Ctrl-C raises KeyboardInterrupt.

    Warns
    -----
    ConvergenceWarning
        It stopped before the gap reached `tol`.

    Raises
    ------
    TypeError, ValueError
        Bad input, refused before any work: blocks smaller than the filters, halos that do not fit,
        signals in different chunks, a folder of another problem, besides what `mcsc.solve` refuses.
        NaN or Inf in a signal is found when its block is read.
    MemoryError
        A block does not fit into the memory of a worker.
    RuntimeError
        Nobody answers at `scheduler`, or workers do not see `folder`.
    ModuleNotFoundError
        Dask is not installed.

    Notes
    -----
    A sweep computes all correlations once for the blocks, a share of about ``20 s / block`` of them
    again for the seams between blocks, and all of them twice more for the certificate, which is
    that of `mcsc.Problem`. A task takes the memory that a block needs. Workers send each other
    nothing; the bytes that they read and write are in the result's history. If a worker dies, only
    the blocks that it was working on are coded again.

    The result does not depend on the number of workers: within a colour no region sees another,
    and sums go through the blocks in their order.

    Examples
    --------
    >>> import numpy as np, mcsc
    >>> from mcsc.distributed import solve_blocks
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((2, 48, 64))
    >>> bank = lambda: rng.standard_normal((4, 1, 5, 5))
    >>> d = mcsc.Dictionary(common=(bank(), bank()), unique=(bank(), bank())).normalise()
    >>> from distributed import Client
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     found = solve_blocks((x, y), d, lam=0.9, block=24, client=client)
    >>> whole = mcsc.solve((x, y), d, lam=0.9)
    >>> found.converged, bool(abs(found.objective / whole.objective - 1) < 1e-3)
    (True, True)
    """
    started = time.perf_counter()
    check_number("tol", tol)
    check_whole("max_sweeps", max_sweeps)
    threads = check_whole("threads", threads)
    check_callback(callback)
    images, weights, lams, record = prepared(
        signals, dictionary, lam, boundary, masks, block,
        mu=mu, nonnegative=nonnegative, joint=joint,
    )  # fmt: skip
    with ExitStack() as stack:
        cluster = stack.enter_context(opened(client, scheduler, workers))
        _require_memory(cluster, record, lams)
        if folder is None:
            place = dask.config.get("temporary-directory", None)
            made = tempfile.mkdtemp(prefix="mcsc-blocks-", dir=place)
            store = CodeStore(Path(made).resolve(), temporary=True)
        else:
            store = CodeStore(_made(Path(folder)))
        layers = store.begin(record)
        require_seen(cluster, store.folder)
        job = Job(store, threads, this_process())
        sweeps = Sweeps(
            Workers(cluster),
            store,
            record,
            job,
            images,
            weights,
            lams,
            Layers(record.cover, layers),
            tol,
            started,
        )
        result = sweeps.run(max_sweeps, callback, progress=progress)
    if not result.converged:
        warn_user(f"{result.method} {result.message}", ConvergenceWarning)
    return result


# ---------------------------------------------------------------------------- before any work
def check_blocks(
    client: Client,
    signals: Sequence[Any],
    dictionary: Dictionary,
    lam: Any,
    *,
    masks: Any,
    block: int,
    folder: Path | None,
    **terms: Any,
) -> None:
    """Refuse what `solve_blocks` would, before signals are there; arguments as there."""
    _, _, lams, record = prepared(signals, dictionary, lam, "zero", masks, block, **terms)
    _require_memory(client, record, lams)
    if folder is not None:
        CodeStore(_made(folder)).begin(record)


def prepared(
    signals: Any,
    dictionary: Any,
    lam: Any,
    boundary: Boundary,
    masks: Any,
    block: Any,
    *,
    mu: Any = 0.0,
    nonnegative: Any = False,
    joint: Any = False,
) -> tuple[list[Any], list[Any], list[Any], ProblemRecord]:
    """Return images, weights and lams as Dask arrays (C, H, W), and what is to be solved."""
    check_choice("boundary", boundary, Boundary)
    if not isinstance(dictionary, Dictionary):
        raise InvalidTypeError(
            f"dictionary must be an mcsc.Dictionary, found {type(dictionary).__name__}"
        )
    if hasattr(signals, "shape") or not isinstance(signals, Sequence):
        raise InvalidTypeError(
            f"signals must be a tuple of arrays, one for each image, found "
            f"{type(signals).__name__}; for one image write (x,)"
        )
    names = [f"signals[{m}]" for m in range(len(signals))]
    if len(signals) != dictionary.n_signals:
        raise InvalidValueError(
            f"the dictionary is for {dictionary.n_signals} signals, found {len(signals)}"
        )
    size = dictionary.filter_size
    sides = block_sides(block, size)
    chunk = _SIDE if sides is None else max(*sides, size)
    images = [as_blocks(n, x, chunk) for n, x in zip(names, signals, strict=True)]
    shape = images[0].shape[-2:]
    for name, image, channels in zip(names, images, dictionary.channels, strict=True):
        if image.shape[0] != channels:
            raise InvalidValueError(
                f"{name} has {image.shape[0]} channels; the dictionary's filters of that signal "
                f"have {channels}"
            )
        if image.shape[-2:] != shape:
            raise InvalidValueError(
                f"signals lie on different grids: {names[0]} is {shape[0]} x {shape[1]}, {name} is "
                f"{image.shape[-2]} x {image.shape[-1]}"
            )
    check_filters_fit(size, shape)
    same_chunks(names, images)
    weights = _weights(masks, images, chunk)
    if sides is None:
        chunks = [max(c) for c in images[0].chunks[-2:]]
        sides = tuple(c if 4 * size <= c <= 2 * _SIDE else _SIDE for c in chunks)  # type: ignore[assignment]
        assert sides is not None
    rows, columns = (
        edges_of_blocks(length, side, size) for length, side in zip(shape, sides, strict=True)
    )
    maps = {g.name: len(g.bank) for g in dictionary.groups}
    every, lams = _lams(lam, maps, images[0], chunk)
    penalty = Penalty.make(1.0, mu, nonnegative, maps, (1, *shape), np, joint)
    if penalty.joined:
        raise InvalidValueError(
            "joint groups cannot be solved in blocks, which are coded by the working set, one "
            "coefficient at a time: take mcsc.solve, whose methods "
            f"{', '.join(repr(n) for n, s in SOLVERS.loaded() if s.joint)} have room for the whole "
            "image, or leave joint out"
        )
    firsts = [g.maps.start for g in dictionary.groups]
    cover = Cover(rows, columns, size, boundary)
    dtype = np.result_type(*(image.dtype for image in images))
    record = ProblemRecord(
        dictionary, every, cover, str(dtype),
        tuple(penalty.mu[firsts].tolist()), tuple(penalty.nonnegative[firsts].tolist()),
    )  # fmt: skip
    return images, weights, lams, record


def block_sides(block: Any, size: int) -> tuple[int, int] | None:
    """Return height and width of blocks for filters of a size, None if none are given."""
    if block is None:
        return None
    pair = (
        tuple(block) if isinstance(block, Sequence) and not isinstance(block, str) else (block,) * 2
    )
    if len(pair) != 2:
        raise InvalidValueError(f"block must be a side or (height, width), found {block!r}")
    height, width = (check_whole("block", side) for side in pair)
    if min(height, width) < size:
        raise InvalidValueError(f"block = {block!r} is smaller than the filters, {size} x {size}")
    return height, width


def _weights(masks: Any, images: Sequence[Any], chunk: int) -> list[Any]:
    if masks is None:
        return [None] * len(images)
    if hasattr(masks, "shape") or not isinstance(masks, Sequence) or len(masks) != len(images):
        raise InvalidValueError(
            f"masks must be a tuple with an array or None for each of the {len(images)} signals"
        )
    found: list[Any] = []
    for m, (mask, image) in enumerate(zip(masks, images, strict=True)):
        if mask is None:
            found.append(None)
            continue
        weight = as_blocks(f"masks[{m}]", mask, chunk)
        if weight.shape[0] not in (1, image.shape[0]) or weight.shape[-2:] != image.shape[-2:]:
            raise InvalidValueError(
                f"masks[{m}] has shape {weight.shape}, its signal {image.shape}: a mask is (H, W) "
                "or has the signal's shape"
            )
        same_chunks([f"signals[{m}]", f"masks[{m}]"], [image, weight])
        found.append(weight)
    return found


def _lams(
    lam: Any, maps: Mapping[str, int], image: Any, chunk: int
) -> tuple[np.ndarray, list[Any]]:
    """Return lam of each map, 0 where it differs within one; and arrays of it, or None, a group."""
    counts = list(maps.values())

    def wide(entry: Any) -> bool:
        return getattr(entry, "ndim", 0) > 1

    def blocks(entry: Any, name: str, count: int) -> Any:
        if entry.ndim == 4 and entry.shape[0] == 1:
            entry = entry[0]
        found = as_blocks(name, entry, chunk)
        if found.dtype.kind not in "fiu":
            raise InvalidTypeError(f"{name} must hold numbers, found dtype {found.dtype}")
        if found.shape[0] not in (1, count) or found.shape[1:] != image.shape[1:]:
            raise InvalidValueError(
                f"{name} has shape {entry.shape}: give a number, {count} numbers, or what "
                f"broadcasts to the codes, (K, H, W) = {(count, *image.shape[1:])}"
            )
        same_chunks(["signals[0]", name], [image, found])
        return found

    several = isinstance(lam, Sequence) and not isinstance(lam, str) and len(lam) == len(counts)
    if several and any(wide(entry) for entry in lam):
        arrays = [
            blocks(entry, f"lam of group {name}", count) if wide(entry) else None
            for entry, (name, count) in zip(lam, maps.items(), strict=True)
        ]
        # A place is kept for what arrays say.
        lam = [1.0 if wide(entry) else entry for entry in lam]
    elif wide(lam):
        whole = blocks(lam, "lam", sum(counts))
        ends = [0, *accumulate(counts)]
        arrays = [
            whole if whole.shape[0] == 1 else whole[first:last] for first, last in pairwise(ends)
        ]
        lam = 1.0
    else:
        return lam_per_map(lam, maps), [None] * len(counts)
    every = lam_per_map(lam, maps)
    every[np.repeat([a is not None for a in arrays], counts)] = 0
    return every, arrays


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValueError(f"folder {folder}: {error.strerror}") from error
    return folder.resolve()


def _require_memory(client: Client, record: ProblemRecord, lams: Sequence[Any]) -> None:
    """Refuse blocks that a worker cannot hold; estimated for images of noise."""
    height, width = (n + 2 * record.dictionary.filter_size for n in record.cover.largest)
    shape = tuple(
        min(n, whole) for n, whole in zip((height, width), record.cover.shape, strict=True)
    )
    blank = tuple(
        np.broadcast_to(np.zeros((), dtype=record.dtype), (1, c, *shape))
        for c in record.dictionary.channels
    )
    problem = Problem(blank, record.dictionary, np.where(record.lam > 0, record.lam, 1.0))
    # Signals and what is left of them; of a problem of zeros, the estimate counts no codes.
    pixels = math.prod(shape)
    needed = WorkingSet.memory(problem) + pixels * (4 * 8 * sum(record.dictionary.channels) + 150)
    # As they come, and contiguous.
    needed += 2 * pixels * sum(a.shape[0] * a.dtype.itemsize for a in lams if a is not None)
    require_memory(
        client, needed, f"a block of {record.cover.largest[0]} x {record.cover.largest[1]} pixels",
        "take smaller blocks, or workers with more memory",
    )  # fmt: skip
