"""Write docs/benchmarks.md and its pictures from the files in benchmarks/results.

Every figure of the page comes from such a file, and the page says from which machine and commit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common import network_plots, plots
from ..common.problems import ROOT
from ..common.results import RESULTS, Data, load
from ..exact import (
    admm,
    convergence,
    crossover,
    dictionary_learning,
    iterations,
    operators,
    peak_memory,
    peer_settings,
    phases,
    revisions,
    scaling,
    sparse_coding,
    threads,
    warm_starts,
)
from ..networks import (
    ablations,
    cunet_inference,
    growth,
    noise_levels,
    speed_table,
    starts,
    training_choices,
    unrolling,
    yardstick,
)


@dataclass(frozen=True)
class Section:
    """A benchmark's part of the page."""

    name: str
    title: str
    text: str
    summary: Callable[[Data], str]
    figure: Callable[[Data, Path], None] | None = None
    caption: str = ""
    run_by: str = ""
    """The command, where it is not the module of `summary`."""

    @property
    def command(self) -> str:
        """What makes the results."""
        return self.run_by or f"python -m {self.summary.__module__}"


SECTIONS = (
    Section(
        "sparse_coding",
        "Time to a solution",
        "How long until the objective is close to the optimum: the working-set solver against the "
        'faster of SPORCO\'s ADMM and PGM. A ">" marks a lower bound: SPORCO had not arrived when '
        "it was stopped.",
        sparse_coding.summary,
    ),
    Section(
        "convergence",
        "Gap against seconds",
        "All methods on one pair.",
        convergence.summary,
        plots.convergence,
        "Objective above the optimum (left) and certified relative duality gap (right) against "
        "seconds.",
    ),
    Section(
        "iterations",
        "One iteration",
        "The dense methods differ from SPORCO's in how an iteration is computed, not in what it "
        "is. Memory is the peak on top of the loaded problem.",
        iterations.summary,
    ),
    Section(
        "crossover",
        "Small lam",
        "As lam falls the solution fills up, and one would expect methods that touch every "
        "coefficient in every iteration to catch up. Where any method arrived in the time given, "
        "the working set was first.",
        crossover.summary,
        plots.crossover,
        "Seconds to the gap against lam; triangles: not reached in the time given.",
    ),
    Section(
        "scaling",
        "Large images",
        "Work and memory of the working set grow with pixels and nonzeros.",
        scaling.summary,
    ),
    Section(
        "phases",
        "Where the time goes",
        "Seconds of the working set by what it does; what that led to, and what was tried in vain, "
        "stands in [how the working set works](explanations/working_set.md).",
        phases.summary,
    ),
    Section(
        "peak_memory",
        "Memory and its estimate",
        "What a solve needs on top of the loaded problem, and what `Problem.memory_estimate` says "
        "before anything is allocated.",
        peak_memory.summary,
    ),
    Section(
        "threads",
        "Several threads",
        "Bands of the image are worked on at the same time, with the result of one thread to the "
        "last digit. What one thread does alone, as sorting new coefficients into the list, is "
        "counted above.",
        threads.summary,
    ),
    Section(
        "revisions",
        "An earlier revision and today's",
        "The same problems solved by the package of an earlier commit, before conjugate gradients, "
        "certificates and scans worked on several coefficients at once.",
        revisions.summary,
    ),
    Section(
        "warm_starts",
        "Starting from a guess",
        "Whether `init=` saves time, with the codes of CU-Net, which has the dictionary's filters, "
        "or those of a simpler problem. To a gap of 1e-4 none did: a guess has other nonzeros than "
        "the solution, and finding the right ones is what takes the time.",
        warm_starts.summary,
    ),
    Section(
        "dictionary_learning",
        "Dictionary learning",
        "`mcsc.learn` against SPORCO's ConvBPDNDictLearn on the same patches from the same start, "
        "to the same objective. On as few and small patches as in this run, SPORCO is done in "
        "seconds, and mcsc has to code all of them several times, at first with atoms of noise, "
        "whose codes are not sparse: that is why it is less than ten times faster with 32 atoms. "
        "Its time hardly grows with their number, and SPORCO's does. With `--patches 40 --size 96 "
        "--channels 1 --filters 32 --seeds 1 --iterations 100 --epochs 1` the same machine took "
        "4.92 s to the objective at which ConvBPDNDictLearn was after 164 s (33 times), and 3.36 s "
        "to that of OnlineConvBPDNDictLearn after 29.4 s (8.8 times). RoseCDL (T. Moreau and "
        "others; PyTorch) was not compared: `pip install rosecdl` finds no release of it, its code "
        "is on GitHub alone.",
        dictionary_learning.summary,
    ),
    Section(
        "speed_table",
        "CU-Net's seconds an image (Table 8)",
        "The paper's six tasks at its image sizes: its seconds on a GTX 1080 Ti, and here. The "
        "text gives both inputs of a network the same m channels: 1 for depth (in words) and for "
        "multispectral images, which are taken to be restored band by band, 3 for colour "
        "photographs and for the network that medical images go through. Speed does not depend on "
        "the weights.",
        speed_table.summary,
        run_by="pytest --benchmark --benchmark-record",
    ),
    Section(
        "unrolling",
        "Iterative against unfolded",
        "How good an image is after how many seconds, on one scene of each task: exact coding, one "
        "sweep of the paper's alternation, the untrained network, which computes such a sweep, and "
        "the trained network. All but the trained network go through the same restoration or "
        "fusion with the same dictionary, so that their codes are the only difference; how far "
        "their objective (Eq. 5) is above the optimum is what unrolling loses.",
        unrolling.summary,
        network_plots.unrolling,
        "Accuracy against seconds of the whole call. Dots: certified gaps of 0.1, 0.01, 0.001; "
        "hollow: where the time given ended.",
    ),
    Section(
        "cunet_inference",
        "CU-Net against the authors' formulation",
        "The same weights as layers of `conv2d`, in the order of the authors' code.",
        cunet_inference.summary,
    ),
    Section(
        "growth",
        "Growth with pixels and filters",
        "Seconds, and memory at the peak on top of the loaded process, of CU-Net, of its plain "
        "formulation and of exact coding. p is the fitted exponent.",
        growth.summary,
        network_plots.growth,
        "Seconds and memory against pixels and filters.",
    ),
    Section(
        "ablations",
        "The paper's ablations (Tables 5, 6, 7)",
        "Small networks, trained for two minutes: the order may be compared with the paper's, the "
        "figures not. It is the same: residual lines are ahead, more blocks are, by less and less, "
        "and errors fall with the size of the filters up to 6 to 8, which the spread does not tell "
        "apart (the paper: 8), and grow with 9. That takes Muon: with as many steps of Adam, "
        "filters of 8 and 9 and more than three blocks are behind (--optimiser adam).",
        ablations.summary,
        network_plots.ablations,
        "RMSE of the variants.",
    ),
    Section(
        "training_choices",
        "Choices in training",
        "One thing changed at a time, at equal CPU-seconds; a difference is worth no more than its "
        "spread.",
        training_choices.summary,
    ),
    Section(
        "noise_levels",
        "One network for noise of any strength",
        "What it costs that the thresholds of one network follow the noise, instead of a network "
        "for each strength.",
        noise_levels.summary,
    ),
    Section(
        "starts",
        "Dictionary start against Xavier start",
        "CU-Net for depth x4, trained from a dictionary that is learned first, and from random "
        "filters, at a short and at a long budget.",
        starts.summary,
        network_plots.starts,
        "Held-out error against seconds; learning the dictionary counts. Dotted: bicubic. Of "
        "several rates the best.",
    ),
    Section(
        "yardstick",
        "How real the synthetic scenes are",
        "What the authors' weights, trained on photographs, leave of the input's error says how "
        "like photographs scenes are; so do statistics.",
        yardstick.summary,
    ),
    Section(
        "operators",
        "Operators",
        "What decides how D and its adjoint are computed on a CPU.",
        operators.summary,
        plots.operators,
        "One sweep (the adjoint and D of all maps) as matrix products and by FFT; the dotted line "
        "is where mcsc changes over.",
    ),
    Section(
        "admm",
        "ADMM with masks and the zero boundary",
        "There the quadratic step is a system of the size of the signals, solved by a few "
        "conjugate-gradient steps from the last iteration's solution.",
        admm.summary,
    ),
    Section(
        "peer_settings",
        "SPORCO's settings",
        "What was tried so that SPORCO is compared at its best.",
        peer_settings.summary,
    ),
)

INTRODUCTION = """\
<!-- Written by `python -m benchmarks.pages.report` from benchmarks/results: do not edit. -->

# Benchmarks

All figures on this page were measured by the scripts in `benchmarks/` and written
by `python -m benchmarks.pages.report`; the files that they come from are in
`benchmarks/results/`, with machine, versions, threads and commit.

**Problems.** Two registered grey images of a scene, in [0, 1], less their smooth part
(`mcsc.images.lowpass_split`): a focus stack (Lytro), or luma and red of a photograph (Kodak,
Middlebury; without these files, photographs that come with scikit-image). Filters: the 64 of 8x8
that SPORCO ships, learned from photographs, made zero-mean and of unit norm; (D, D)/sqrt(2) in
common and D for each image, 192 maps. float32. lam is a fraction of lambda_max, the least lam whose
solution is zero.

**SPORCO.** [SPORCO](https://github.com/bwohlberg/sporco) (Brendt Wohlberg) solves the same convex
problem when it is given the stacked dictionary with zeros where a filter does not act. Its
objective agrees with ours to 1e-6, which every run checks. It runs in float32 with pyFFTW (planned
beforehand), numexpr where that is faster than NumPy (which each run tries), no statistics, the
same number of threads for FFTs, numexpr and BLAS, ADMM's adaptive rho, the exact Lipschitz constant
and its fastest momentum and step rule. It is a general package: other penalties, constraints,
dictionary updates, any number of dimensions and CUDA, much of which mcsc does not have.

**Clocks.** Wall time; construction counts; compiling, loading and FFT planning do not, and stand
apart. Objectives and certificates are evaluated in float64 with the clock stopped, for SPORCO at
iterations that lie 10 % apart, with interpolation in between, and of ADMM's two variables the
better one counts.
"""

NOT_YET = "*Not measured yet.*"


def page(results: Path, images: Path, docs: Path) -> str:
    """The page's text; draws the pictures."""
    parts = [INTRODUCTION]
    for section in SECTIONS:
        text = [f"## {section.title}", section.text, f"    {section.command}"]
        records = load(section.name, results)
        for record in records:
            about = record["machine"]
            if len(records) > 1:
                text.append(f"### {about['cpu']}, {about['cores']} cores")
            text.append(section.summary(record["data"]))
            if section.figure is not None:
                file = images / f"benchmarks-{section.name}-{about['slug']}.png"
                section.figure(record["data"], file)
                # `docs` and `images` may lie anywhere, but images are expected inside docs.
                text.append(f"![{section.caption}]({file.relative_to(docs).as_posix()})")
                text.append(f"*{section.caption}*")
            text.append(_origin(record))
        if not records:
            text.append(NOT_YET)
        parts.append("\n\n".join(text))
    return "\n\n".join(p.strip() for p in parts) + "\n"


def _origin(record: Data) -> str:
    about, versions = record["machine"], record["versions"]
    packages = ", ".join(f"{name} {v}" for name, v in versions.items() if v != "absent")
    busy = record["load_before"]
    note = f", which was busy with {busy:g} processes a core" if busy > 0.3 else ""
    asked = f"`{record['command']}`: " if "command" in record else ""
    return (
        f"<sub>{asked}{record['date'][:10]}, commit {record['commit']}, {about['cpu']}, "
        f"{about['cores']} cores, {about['memory_gib']:g} GiB{note}; {about['system']}; "
        f"{packages}. Took {record['seconds']:.0f} s.</sub>"
    )


def main(argv: Sequence[str] | None = None) -> Path:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page")
    arguments = parser.parse_args(argv)
    arguments.docs.mkdir(parents=True, exist_ok=True)
    target: Path = arguments.docs / "benchmarks.md"
    text = page(arguments.results, arguments.docs / "images", arguments.docs)
    target.write_text(text, encoding="utf-8")
    print(target)
    return target


if __name__ == "__main__":
    main()
