"""Time to a given accuracy: the working set against the faster of SPORCO's ADMM and PGM.

For several real pairs and lam at 3 %, 1 % and 0.3 % of lambda_max: seconds until the objective is
within 1 % and 0.1 % of the optimum. The optimum is the lower bound that a solution certified to
1e-6 proves. What counts here is construction and iterations, after a warm-up; objectives are
evaluated in float64 with the clock stopped, after every step of ours and at iterations of theirs
that lie 10 % apart, between which their time is interpolated. SPORCO stops at a cap; where it has
not arrived by then, the ratio is a lower bound and has a ">".

The last committed results stand beside these, so that a regression shows: seconds of the same
problem on the same kind of machine, and ratios to SPORCO whatever the machine.

Also: seconds of `mcsc.solve` to a certified gap of 1e-4 against those of 3 iterations of SPORCO's
ADMM. With --plot `benchmarks.exact.convergence` follows: gap against seconds of all methods.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common import peers, timing
from ..common.problems import (
    BUNDLED_PAIRS,
    FILTERS,
    QUICK_FILTERS,
    QUICK_SIZE,
    Setting,
    pair_names,
    setting,
)
from ..common.results import Data, command, committed, machine_slug, number, table
from ..common.timing import Judge, Stop, Trace
from . import convergence

WANTED = {0.03: 200.0, 0.01: 120.0, 0.003: 60.0}
"""Ratio that is wanted, by lam over lambda_max."""
ACCURACIES = (0.01, 0.001)
CERTIFIED_AT = 0.01
ITERATIONS_OF_PEER = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=256, help="side of the images")
    parser.add_argument("--pairs", type=int, default=4, help="how many image pairs")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours, whose median counts")
    parser.add_argument(
        "--cap",
        type=float,
        default=150.0,
        help="seconds after which SPORCO is stopped; it gets at least 1.25 times what shows the "
        "wanted ratio",
    )
    parser.add_argument("--longest", type=float, default=600.0, help="and never more than this")
    parser.add_argument(
        "--peers",
        nargs="+",
        default=peers.PEERS,
        choices=peers.PEERS,
        help="ADMM alone takes half the time; it was ahead of PGM wherever both arrived",
    )
    parser.add_argument(
        "--plot", action="store_true", help="afterwards run `benchmarks.exact.convergence`, too"
    )


def measure(arguments: argparse.Namespace) -> Data:
    size, filters, repeats = arguments.size, FILTERS, arguments.repeats
    names: tuple[str, ...] = pair_names(arguments.pairs)
    fractions: tuple[float, ...] = tuple(WANTED)
    cap, longest = arguments.cap, arguments.longest
    if arguments.quick:
        size, filters, repeats, cap, longest = QUICK_SIZE, QUICK_FILTERS, 1, 0.5, 0.5
        names, fractions = BUNDLED_PAIRS[2:3], (0.03, CERTIFIED_AT)
    data: Data = {
        "size": size, "filters": filters, "threads": arguments.threads, "cap": cap,
        "peers": list(arguments.peers), "cases": [], "certified": [],
        "earlier": _earlier(size, filters, arguments.threads),
    }  # fmt: skip
    data["compile_seconds"] = None if arguments.quick else timing.compile_seconds()
    with peers.equal_threads(arguments.threads):
        timing.warm_up(("working-set",))
        peers.check_agreement(names[0])
        try:
            for name in names:
                s = setting(name, size, filters=filters)
                peers.warm_up(s.problem(0.01))
                data["numexpr"] = peers.uses_numexpr()
                for fraction in fractions:
                    case = _compare(s, fraction, repeats, cap, longest, arguments.peers)
                    data["cases"].append(case)
                    if fraction == CERTIFIED_AT:
                        data["certified"].append(_certify(s, case, repeats))
                    print(_progress(case), flush=True)
        except KeyboardInterrupt:
            print("Interrupted: what was measured is kept.")
    return data


def _earlier(size: int, filters: int, threads: int) -> Data | None:
    """What is compared of the last committed run; None without one of these problems."""
    run = committed("sparse_coding")
    if run is None or (run["data"]["size"], run["data"]["filters"]) != (size, filters):
        return None
    same = run["machine"]["slug"] == machine_slug() and run["data"]["threads"] == threads
    return {
        "commit": run["commit"],
        "machine": run["machine"]["slug"],
        "same_machine": same,
        "cases": [
            {key: c[key] for key in ("pair", "fraction", "own_seconds", "ratio")}
            for c in run["data"]["cases"]
        ],
    }


def _compare(
    s: Setting, fraction: float, repeats: int, cap: float, longest: float, rivals: Sequence[str]
) -> Data:
    reference = s.solve(fraction, tol=1e-6)
    optimum = reference.dual_bound
    goal = optimum * (1 + min(ACCURACIES))
    judge = Judge(s.problem(fraction))

    def make_problem() -> Any:
        return s.problem(fraction)

    own = [
        timing.trace_own("working-set", make_problem, judge, Stop(seconds=longest, objective=goal))
        for _ in range(repeats)
    ]
    own_seconds = {str(a): _median(own, optimum * (1 + a)) for a in ACCURACIES}
    slowest = own_seconds[str(min(ACCURACIES))] or longest
    limit = min(max(cap, 1.25 * WANTED[fraction] * slowest), longest)
    traces: list[Trace] = []
    for peer in rivals:
        traces.append(
            peers.trace_peer(peer, make_problem, judge, Stop(seconds=limit, objective=goal))
        )
        # A slower one need not be followed further.
        limit = min(limit, traces[-1].seconds[-1])
    peer_seconds = {
        t.name: {
            str(a): t.seconds_to(optimum * (1 + a), interpolate=True) for a in ACCURACIES
        }
        for t in traces
    }  # fmt: skip
    return {
        "pair": s.name,
        "fraction": fraction,
        "optimum": optimum,
        "optimum_gap": reference.gap,
        "nonzero": reference.codes.nnz / reference.codes.size,
        "own_seconds": own_seconds,
        "own_range": {
            str(a): [t.seconds_to(optimum * (1 + a)) for t in own] for a in ACCURACIES
        },
        "peer_seconds": peer_seconds,
        "ratio": {
            str(a): _ratio(own_seconds[str(a)], traces, optimum * (1 + a)) for a in ACCURACIES
        },
        "traces": [t.as_dict() for t in (own[0], *traces)],
        "seconds_of_iterations": {
            t.name: t.every_iteration[ITERATIONS_OF_PEER - 1]
            for t in traces
            if len(t.every_iteration) >= ITERATIONS_OF_PEER
        },
    }  # fmt: skip


def _median(traces: list[Trace], level: float) -> float | None:
    found = [t.seconds_to(level) for t in traces]
    return None if None in found else float(np.median(found))  # type: ignore[arg-type]


def _ratio(own: float | None, traces: list[Trace], level: float) -> Data | None:
    """Of the faster peer's time to ours; a bound if none of them arrived."""
    if own is None:
        return None
    reached = [t.seconds_to(level, interpolate=True) for t in traces]
    arrived = [seconds for seconds in reached if seconds is not None]
    # Every peer that did not arrive was followed at least as long as the one that did.
    longest = min(arrived) if arrived else min(t.seconds[-1] for t in traces)
    return {"value": longest / own, "bound": not arrived}


def _certify(s: Setting, case: Data, repeats: int) -> Data:
    runs = [s.solve(CERTIFIED_AT, method="working-set", tol=1e-4) for _ in range(repeats)]
    return {
        "pair": s.name,
        "seconds": float(np.median([r.seconds for r in runs])),
        "range": [r.seconds for r in runs],
        "gap": max(r.gap for r in runs),
        "converged": all(r.converged for r in runs),
        "peer_iterations": ITERATIONS_OF_PEER,
        "peer_seconds": case["seconds_of_iterations"].get("SPORCO ADMM"),
    }


# ----------------------------------------------------------------------------------- tables
def _show(ratio: Data | None) -> str:
    if ratio is None:
        return "–"
    return (">" if ratio["bound"] else "") + number(ratio["value"], 2)


def _progress(case: Data) -> str:
    parts = [f"{case['pair']}, lam {100 * case['fraction']:g} %"]
    for accuracy in ACCURACIES:
        seconds = number(case["own_seconds"][str(accuracy)])
        ratio = _show(case["ratio"][str(accuracy)])
        parts.append(f"{100 * accuracy:g} % in {seconds} s, {ratio} times faster")
    return ": ".join([parts[0], "; ".join(parts[1:])])


def _spread(ratios: list[Data]) -> str:
    """Median, least and largest; a bound among them makes the median a bound where it matters."""
    ordered = sorted(ratios, key=lambda r: (r["value"], r["bound"]))
    values = [r["value"] for r in ordered]
    middle = float(np.median(values))
    below = [r for r in ordered if r["value"] <= middle]
    bound = any(r["bound"] for r in below)
    return (
        f"{'>' if bound else ''}{number(middle, 2)} "
        f"({_show(ordered[0])}–{'>' if any(r['bound'] for r in ordered) else ''}"
        f"{number(values[-1], 2)})"
    )


def summary(data: Data) -> str:
    text = []
    rows = []
    cases = data["cases"]
    for fraction in sorted({c["fraction"] for c in cases}, reverse=True):
        mine = [c for c in cases if c["fraction"] == fraction]
        row = [
            f"{100 * fraction:g} %",
            f"{number(100 * float(np.median([c['nonzero'] for c in mine])), 2)} %",
        ]
        for accuracy in map(str, ACCURACIES):
            own = [c["own_seconds"][accuracy] for c in mine if c["own_seconds"][accuracy]]
            ratios = [c["ratio"][accuracy] for c in mine if c["ratio"][accuracy]]
            row += [number(float(np.median(own))) if own else "–"]
            row += [_spread(ratios) if ratios else "–"]
        rows.append([*row, f"≥ {WANTED[fraction]:g}"])
    if rows:
        headers = [
            "lam / lambda_max", "nonzero", "1 %: seconds", "times faster", "0.1 %: seconds",
            "times faster", "target",
        ]  # fmt: skip
        names = sorted({c["pair"] for c in cases})
        only_admm = data.get("peers") == ["SPORCO ADMM"]
        text.append(
            f"Median (least–largest) over {', '.join(names)}: "
            f"{data['size']}x{data['size']}, 2 x 1 channel, 3 x {data['filters']} filters of 8x8, "
            f"float32, periodic, {data['threads']} threads"
            + ("; SPORCO's ADMM alone was run" if only_admm else "")
            + ".\n\n"
            + table(headers, rows)
        )
        text.append(_detail(cases))
        if data.get("earlier"):
            text.append(_against(data["earlier"], cases))
    certified = data["certified"]
    if certified:
        rows = [
            [
                c["pair"],
                number(c["seconds"]) + ("" if c["converged"] else " (not reached)"),
                number(c["peer_seconds"]),
            ]
            for c in certified
        ]
        count = certified[0].get("peer_iterations", 20)  # as it was before the entry was written
        headers = ["pair", "gap 1e-4 certified, s", f"{count} SPORCO iterations, s"]
        text.append(f"`mcsc.solve` at {100 * CERTIFIED_AT:g} %:\n\n" + table(headers, rows))
    if data.get("compile_seconds"):
        first = data["compile_seconds"]
        text.append(
            "Not in these times: the first call in a process compiles or loads the kernels, "
            f"{number(first['empty cache'], 2)} s with an empty cache, "
            f"{number(first['full cache'], 2)} s later."
        )
    return "\n\n".join(text)


def _against(earlier: Data, cases: list[Data]) -> str:
    """Then and now, of the cases that both runs have."""
    before = {(c["pair"], c["fraction"]): c for c in earlier["cases"]}
    rows = []
    for case in cases:
        old = before.get((case["pair"], case["fraction"]))
        if old is None:
            continue
        row = [case["pair"], f"{100 * case['fraction']:g} %"]
        for accuracy in map(str, ACCURACIES):
            then, now = old["own_seconds"].get(accuracy), case["own_seconds"][accuracy]
            if earlier["same_machine"]:
                row += [number(then), number(now)]
                row += [number(then / now, 2) if then and now else "–"]
            row += [_show(old["ratio"].get(accuracy)), _show(case["ratio"][accuracy])]
        rows.append(row)
    if not rows:
        return ""
    headers = ["pair", "lam"]
    for level in ACCURACIES:
        to = f"{100 * level:g} %"
        if earlier["same_machine"]:
            headers += [f"{to}: s then", "s now", "times faster"]
        headers += [f"{to}: SPORCO's time over ours, then", "now"]
    where = "" if earlier["same_machine"] else f" on {earlier['machine']}, where seconds differ"
    return f"Against commit {earlier['commit']}{where}:\n\n" + table(headers, rows)


def _detail(cases: list[Data]) -> str:
    rows = []
    for c in cases:
        row = [c["pair"], f"{100 * c['fraction']:g} %"]
        for accuracy in map(str, ACCURACIES):
            row.append(number(c["own_seconds"][accuracy]))
            last = {t["name"]: t for t in c["traces"]}
            for peer in peers.PEERS:
                if peer not in last:
                    row.append("–")
                    continue
                seconds = c["peer_seconds"][peer][accuracy]
                if seconds:
                    row.append(number(seconds))
                    continue
                above = 100 * (last[peer]["objective"][-1] / c["optimum"] - 1)
                row.append(f">{number(last[peer]['seconds'][-1])} ({number(above, 2)} %)")
        rows.append(row)
    headers = ["pair", "lam"]
    for level in ACCURACIES:
        headers += [
            f"mcsc to {100 * level:g} %",
            *(p.removeprefix("SPORCO ") for p in peers.PEERS),
        ]
    return (
        "Each pair, seconds; in brackets how far above the optimum SPORCO was when it was "
        "stopped:\n\n" + table(headers, rows)
    )


def main(argv: Sequence[str] | None = None) -> Data:
    """Run from the command line."""
    return command("exact.sparse_coding", __doc__ or "", argv, add_options, measure, summary, _plot)


def _plot(arguments: argparse.Namespace) -> None:
    if not arguments.plot:
        return
    asked = ["--threads", str(arguments.threads), "--size", str(arguments.size)]
    asked += ["--cap", str(arguments.cap)]
    asked += ["--quick"] if arguments.quick else []
    asked += ["--out", str(arguments.out)] if arguments.out is not None else []
    convergence.main(asked)


if __name__ == "__main__":
    main()
