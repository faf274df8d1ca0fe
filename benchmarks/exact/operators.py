"""What the operator D is made of: real FFTs by three libraries, and direct products against FFTs.

(a) Forward and inverse real FFT of all maps, batched, float32: SciPy (BSD-3-Clause, what mcsc
uses), ducc0 (GPL-2.0-or-later) and pyFFTW (BSD-3-Clause, around FFTW, GPL-2.0-or-later). The last
two are not dependencies: they are measured if they are installed.

(b) One sweep, D^T and D of all maps, as matrix products on patches (`DirectOperator`) and in the
Fourier domain (`FourierOperator`), over filter sizes and image sizes: where they cross is
`mcsc.model.convolution.LARGEST_DIRECT_FILTER`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.fft

import mcsc
from mcsc.backend import backend_for
from mcsc.model.convolution import LARGEST_DIRECT_FILTER, DirectOperator, FourierOperator

from ..common.problems import FILTERS, QUICK_FILTERS
from ..common.results import Data, command, number, table

FILTER_SIZES = (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24)
IMAGE_SIZES = (128, 256, 512)
SLOW = 2.0  # seconds of all runs
SLAB = 16  # maps at a time, as `make_operator` has it on NumPy


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, nargs="+", default=IMAGE_SIZES, help="image sides")
    parser.add_argument("--filters", type=int, nargs="+", default=FILTER_SIZES, help="sizes s")
    parser.add_argument("--repeats", type=int, default=7, help="runs, whose median counts")


def measure(arguments: argparse.Namespace) -> Data:
    sizes, filters, repeats = tuple(arguments.size), tuple(arguments.filters), arguments.repeats
    maps = FILTERS
    if arguments.quick:
        sizes, filters, repeats, maps = (32,), (5, 8), 1, QUICK_FILTERS
    before = mcsc.get_num_threads()
    mcsc.set_num_threads(arguments.threads)
    try:
        transforms = [
            {"grid": grid, **_transforms(3 * maps, grid, arguments.threads, repeats)}
            for size in sizes
            for grid in (size, int(scipy.fft.next_fast_len(size + 7, real=True)))
        ]
        sweeps = []
        for size in sizes:
            for s in filters:
                sweeps += _sweeps(maps, s, size, repeats)
            print(f"{size}x{size}: {_crossover(sweeps, size)}", flush=True)
    finally:
        mcsc.set_num_threads(before)
    return {
        "maps": 3 * maps, "threads": arguments.threads, "in_use": LARGEST_DIRECT_FILTER,
        "transforms": transforms, "sweeps": sweeps,
    }  # fmt: skip


def _median(function: Callable[[], Any], repeats: int) -> float:
    """Median seconds after a first run; of three runs at least, but no more where they are slow."""
    function()
    seconds: list[float] = []
    while len(seconds) < repeats and not (len(seconds) >= 3 and sum(seconds) > SLOW):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def _transforms(maps: int, side: int, threads: int, repeats: int) -> Data:
    """Seconds of forward and inverse together, by library; None where it is not installed."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((maps, side, side)).astype(np.float32)

    def by_scipy() -> None:
        spectrum = scipy.fft.rfft2(images, workers=threads)
        scipy.fft.irfft2(spectrum, s=(side, side), workers=threads)

    found: Data = {"SciPy": _median(by_scipy, repeats), "ducc0": None, "pyFFTW": None}
    try:
        import ducc0
    except ImportError:
        pass
    else:
        spectra = np.empty((maps, side, side // 2 + 1), np.complex64)
        back = np.empty_like(images)

        def by_ducc() -> None:
            ducc0.fft.r2c(images, axes=(1, 2), nthreads=threads, out=spectra)
            ducc0.fft.c2r(
                spectra, axes=(1, 2), nthreads=threads, lastsize=side, forward=False, inorm=2,
                out=back,
            )  # fmt: skip

        found["ducc0"] = _median(by_ducc, repeats)
    try:
        import pyfftw
    except ImportError:
        pass
    else:
        a = pyfftw.empty_aligned((maps, side, side), "float32")
        b = pyfftw.empty_aligned((maps, side, side // 2 + 1), "complex64")
        options: Any = {"axes": (1, 2), "threads": threads, "flags": ("FFTW_MEASURE",)}
        forward = pyfftw.FFTW(a, b, **options)
        options["flags"] = ("FFTW_MEASURE", "FFTW_DESTROY_INPUT")
        inverse = pyfftw.FFTW(b, a, direction="FFTW_BACKWARD", **options)
        a[:] = images

        def by_fftw() -> None:
            forward.execute()
            inverse.execute()
            a[:] = images  # FFTW does not normalise: values must not grow without end

        found["pyFFTW"] = _median(by_fftw, repeats)
    return found


def _dictionary(maps: int, size: int) -> mcsc.Dictionary:
    rng = np.random.default_rng(size)
    dc, hc, du, hv = rng.standard_normal((4, maps, 1, size, size))
    return mcsc.Dictionary(common=(dc, hc), unique=(du, hv)).normalise()


def _sweeps(maps: int, s: int, side: int, repeats: int) -> list[Data]:
    d = _dictionary(maps, s)
    backend = backend_for(np.zeros(1))
    signal = np.random.default_rng(0).standard_normal((1, 2, side, side)).astype(np.float32)

    def seconds(operator: Any) -> float:
        return _median(
            lambda: operator.sweep(signal, lambda tile, g: (g, None), samples=1), repeats
        )

    shared = (d.groups, (side, side))
    rows = []
    direct = seconds(DirectOperator(*shared, "zero", backend, np.float32))
    for boundary in ("periodic", "zero"):
        fourier = seconds(FourierOperator(*shared, boundary, backend, np.float32, slab=SLAB))
        rows.append(
            {"image": side, "filter": s, "boundary": boundary, "direct": direct, "fourier": fourier}
        )
    return rows


def _crossover(sweeps: list[Data], image: int) -> str:
    """The largest filter for which the direct product is the faster one, by boundary."""
    parts = []
    for boundary in dict.fromkeys(r["boundary"] for r in sweeps):
        mine = [r for r in sweeps if r["image"] == image and r["boundary"] == boundary]
        faster = [r["filter"] for r in mine if r["direct"] <= r["fourier"]]
        parts.append(f"{boundary}: direct up to s = {max(faster, default=0)}")
    return ", ".join(parts)


def summary(data: Data) -> str:
    rows = [
        [f"{t['grid']}x{t['grid']}"]
        + [number(None if t[k] is None else 1e3 * t[k]) for k in ("SciPy", "ducc0", "pyFFTW")]
        for t in data["transforms"]
    ]
    text = [
        f"Real FFT and its inverse of {data['maps']} maps, float32, {data['threads']} threads, "
        "milliseconds (ducc0 and pyFFTW's FFTW are under the GPL, and no dependencies):",
        table(["grid", "SciPy", "ducc0", "pyFFTW"], rows),
        f"One sweep of {data['maps']} maps, milliseconds; mcsc takes the direct product up to "
        f"s = {data['in_use']}:",
    ]
    images = list(dict.fromkeys(r["image"] for r in data["sweeps"]))
    boundaries = list(dict.fromkeys(r["boundary"] for r in data["sweeps"]))
    by = {(r["image"], r["filter"], r["boundary"]): r for r in data["sweeps"]}
    rows = []
    for s in sorted({r["filter"] for r in data["sweeps"]}):
        row: list[Any] = [s]
        for image in images:
            row.append(number(1e3 * by[image, s, boundaries[0]]["direct"]))
            row += [number(1e3 * by[image, s, b]["fourier"]) for b in boundaries]
        rows.append(row)
    headers = ["s"]
    for image in images:
        headers += [f"{image}: direct", *(f"FFT, {b}" for b in boundaries)]
    text.append(table(headers, rows))
    text += [f"- {image}x{image}: {_crossover(data['sweeps'], image)}" for image in images]
    return "\n\n".join(text[:4]) + "\n\n" + "\n".join(text[4:])


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.operators", __doc__ or "", argv, add_options, measure, summary)


if __name__ == "__main__":
    main()
