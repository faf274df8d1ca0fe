"""Read damaged files, thousands a minute: every reader reads them or refuses them in one line.

    python -m tests.fuzz.readers --minutes 10
    python -m tests.fuzz.readers --kinds tif,exr --minutes 1
    python -m tests.fuzz.readers --kinds tif --first 4711 --count 1     # one input again

A crash (of a decoder in C), a hang, any error but a refusal, and more memory than a file of that
size has a right to, end it with status 1 and the number of the input.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from mcsc.errors import Refusal
from tests.fuzz.inputs import KINDS, damaged, whole_files

HANG = 60.0
"""Seconds after which an input hangs; other work may share the processor."""
START = 600.0
"""Seconds that a process may take to import what it needs."""
MEMORY = 600 * 2**20
"""Bytes that any input may take: 64 MiB of samples, as floats, with what decoders hold."""
BATCH = 500


def read(path: Path, kind: str) -> None:
    """Read a file of a kind by what the package reads it with."""
    if kind == "npz":
        import mcsc

        mcsc.Dictionary.load(path)
    elif kind == "safetensors":
        import unfolded

        unfolded.load(path)
    elif kind == "json":
        from mcsc.images import read_calibration

        read_calibration(path)
    else:
        from mcsc.images import read_image

        variable = "depth" if kind.startswith("mat") else None
        read_image(
            path, page=1 if kind in ("nii", "dcm") else None, variable=variable, keep_alpha=True
        )


@dataclass
class Outcome:
    """What became of the inputs of a kind."""

    tried: int = 0
    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def check(content: bytes, kind: str, folder: Path) -> tuple[bool, str]:
    """Read one input: whether it was read, and what is wrong with what happened."""
    path = folder / f"input.{'mat' if kind == 'mat73' else kind}"
    path.write_bytes(content)
    before = _start_peak()
    whole, fault = True, ""
    try:
        read(path, kind)
    except (Refusal, FileNotFoundError) as error:
        whole = False
        if "\n" in str(error) or not str(error):
            fault = f"a message of several lines, or none: {str(error)!r}"
    except BaseException:
        whole, fault = False, traceback.format_exc()
    grown = _peak() - before
    if not fault and grown > MEMORY + 100 * len(content):
        fault = f"{grown / 2**20:.0f} MiB for a file of {len(content)} bytes"
    return whole, fault


def _start_peak() -> int:
    """Forget the highest use of memory so far; return the present one, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _peak()


def _peak() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM")), 0)


def _work(kind: str, first: int, count: int, pipe: Connection) -> None:
    """Try a batch, telling the number of each input before it is tried."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    seeds = whole_files(kind)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            pipe.send(("next", number, ""))
            whole, fault = check(damaged(kind, seeds, number), kind, Path(folder))
            pipe.send(("read" if whole else "refused", number, fault))
    pipe.send(("done", first + count, ""))


def run(kind: str, first: int, count: int) -> Outcome:
    """Try inputs in a process of their own, which they may crash."""
    found, context = Outcome(), multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(kind, first, count, there))
    worker.start()
    there.close()
    number = None
    try:
        while True:
            if not here.poll(START if number is None else HANG):
                found.faults.append(f"{kind} {number}: hangs")
                break
            word, number, fault = here.recv()
            if word == "done":
                break
            if word != "next":
                found.tried += 1
                found.read += word == "read"
                found.refused += word == "refused"
                if fault:
                    found.faults.append(f"{kind} {number}: {fault}")
    except EOFError:
        worker.join()
        found.faults.append(f"{kind} {number}: the process ended with {worker.exitcode}")
    finally:
        worker.kill()
        worker.join()
    return found


def batches(kinds: list[str], first: int) -> Iterator[tuple[str, int]]:
    """Kinds in turn, and the number of the first input of each batch."""
    while True:
        for kind in kinds:
            yield kind, first
        first += BATCH


def main() -> int:
    """Try inputs until the time is over or something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", default="", help="separated by commas; default: all")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--count", type=int, help="inputs of each kind, instead of a time")
    given = parser.parse_args()
    kinds = given.kinds.split(",") if given.kinds else list(KINDS)
    total = {kind: Outcome() for kind in kinds}
    end = time.monotonic() + 60 * given.minutes
    for kind, first in batches(kinds, given.first):
        done = total[kind].tried
        if (given.count is None and time.monotonic() > end) or done == given.count:
            break
        size = BATCH if given.count is None else min(BATCH, given.count - done)
        found = run(kind, first, size)
        for name in ("tried", "read", "refused"):
            setattr(total[kind], name, getattr(total[kind], name) + getattr(found, name))
        total[kind].faults += found.faults
    print(f"{'kind':12} {'tried':>8} {'read':>8} {'refused':>8} {'faults':>8}")
    for kind, one in total.items():
        print(f"{kind:12} {one.tried:8} {one.read:8} {one.refused:8} {len(one.faults):8}")
    for one in total.values():
        for fault in one.faults:
            print("\n" + fault)
    print(f"\n{sum(one.tried for one in total.values())} inputs")
    return int(any(one.faults for one in total.values()))


if __name__ == "__main__":
    sys.exit(main())
