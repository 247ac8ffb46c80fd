"""gridpart beside every peer on generated towns, Porto and Yamaguchi; results are kept.

    python benchmarks/compare.py --sizes 300 1000 3000 --places Porto Yamaguchi --seeds 10
    python benchmarks/compare.py --show
    python benchmarks/compare.py --sizes 100000 --only "gridpart" "METIS ufactor 300" --minutes 30

Each run is one line in benchmarks/results/; what is there already is not run again, so that the
work can be stopped and taken up at any time. A line counts only for the same graph and the same
version of the tool; for gridpart the version includes a digest of the search's source. Seeds are
the outer loop, so that a busy machine slows all tools alike. Ratios are of processor seconds and
of cuts scaled to the number of groups asked for, pair by pair on the same graph.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import math
import statistics
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import measure
import towns
from measure import Place
from peers import SETTINGS, NotAvailableError, Tool, plan, roster
from porto import show

RESULTS = Path(__file__).resolve().parent / "results"
FIRST_SEED = 101
PACKAGES = {"sklearn": "scikit-learn"}
Line = dict[str, Any]


# ---------------------------------------------------------------- results that are kept


def version(tool: Tool) -> str:
    try:
        known = importlib.metadata.version(PACKAGES.get(tool.needs, tool.needs))
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    if tool.needs != "gridpart":
        return known
    from gridpart import engine

    # the modules that decide where borders run; others say what could not be done, and why
    folder = Path(engine.__file__).parent
    names = ("kernels.py", "cooling.py", "run.py", "search.py", "effort.py", "windows.py")
    source = b"".join((folder / name).read_bytes() for name in names)
    return f"{known}+{hashlib.sha256(source).hexdigest()[:8]}"


def digest(place: Place) -> str:
    """What tells one graph from another, so that a changed generator leaves no stale lines."""
    check = 0
    for community in place.communities:
        for array in (community.indptr, community.indices, community.borders, community.loads):
            check = zlib.crc32(array.tobytes(), check)
    return f"{check:08x}"


def file_of(tool: str) -> Path:
    name = "".join(c if c.isalnum() or c == "." else "-" for c in tool.lower())
    return RESULTS / f"{name.replace('---', '-')}.jsonl"


def load(tool: str) -> list[Line]:
    path = file_of(tool)
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def keep(line: Line) -> None:
    RESULTS.mkdir(exist_ok=True)
    with file_of(line["tool"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def drop_stale(tool: Tool) -> None:
    """Forget what another version of the tool did."""
    lines = load(tool.name)
    kept = [line for line in lines if line["version"] == version(tool)]
    if len(kept) < len(lines):
        file_of(tool.name).write_text("".join(json.dumps(line) + "\n" for line in kept))


# ---------------------------------------------------------------- running what is missing


def one_run(tool: Tool, place: Place, seed: int) -> Line:
    line: Line = {
        "tool": tool.name, "place": place.name, "n": len(place), "seed": seed,
        "graph": digest(place), "version": version(tool),
    }  # fmt: skip
    try:
        score, seconds, cpu = plan(tool, place, seed)
    except (TimeoutError, RuntimeError) as failure:
        return {**line, "failed": str(failure)}
    rounded = {key: round(value, 6) for key, value in score.as_dict().items()}
    return {**line, **rounded, "seconds": round(seconds, 4), "cpu": round(cpu, 4)}


class Runner:
    """Runs what is missing until the time is over."""

    def __init__(self, tools: list[Tool], minutes: float) -> None:
        self.tools = tools
        self.end = time.monotonic() + 60 * minutes
        self.ready: set[str] = set()
        self.absent: set[str] = set()
        for tool in tools:
            drop_stale(tool)
        self.done = {
            (tool.name, line["place"], line["seed"], line["graph"])
            for tool in tools
            for line in load(tool.name)
        }

    def run(self, name: str, make: Callable[[], Place], seed: int, rank: int) -> bool:
        """Run every tool on one place; False when the time is over."""
        place = make()
        graph = digest(place)
        for tool in self.tools:
            if tool.name in self.absent or rank >= tool.seeds or len(place) > tool.largest:
                continue
            if (tool.name, name, seed, graph) in self.done:
                continue
            if time.monotonic() > self.end:
                return False
            self._one(tool, place, seed)
        return True

    def _one(self, tool: Tool, place: Place, seed: int) -> None:
        try:
            if tool.name not in self.ready and tool.limit is None:
                plan(tool, towns.town(300, 1), 0)  # imports and compiles, untimed
            self.ready.add(tool.name)
            line = one_run(tool, place, seed)
        except NotAvailableError as reason:
            print(f"{tool.name}: {reason}", flush=True)
            self.absent.add(tool.name)
            return
        keep(line)
        done = line.get("failed") or (
            f"{line['scaled_km']:10.3f} km  cv {line['cv']:.3f}  {line['outside']} outside  "
            f"{line['broken']} broken  {line['cpu']:8.2f} s"
        )
        print(f"{place.name:18} {seed:4}  {tool.name:34} {done}", flush=True)


def real_place(name: str, data: Path) -> Place:
    return measure.porto(data)[0] if name == "Porto" else measure.yamaguchi(data)


def run_missing(options: argparse.Namespace) -> None:
    tools = [
        tool
        for tool in roster(options.limit)
        if not options.only or any(part in tool.name for part in options.only)
    ]
    runner = Runner(tools, options.minutes)
    real = {name: real_place(name, options.data) for name in options.places}
    for rank in range(options.seeds):
        seed = options.first_seed + rank
        for name, place in real.items():
            if not runner.run(name, lambda place=place: place, seed, rank):
                return
        for n in options.sizes:
            make = lambda n=n, seed=seed: towns.town(n, seed)  # noqa: E731
            if not runner.run(f"town-{n}-{seed}", make, seed, rank):
                return


# ---------------------------------------------------------------- the bars


def kind(line: Line) -> str:
    """Lines of the same kind are averaged: towns of one size, or one real place."""
    return f"n = {line['n']:,}" if line["place"].startswith("town") else line["place"]


def results(tool: str) -> dict[tuple[str, int], Line]:
    """Lines of a tool by place and seed; the last one counts."""
    return {(line["place"], line["seed"]): line for line in load(tool)}


def kinds(lines: Iterable[Line]) -> list[str]:
    order = {kind(line): (not line["place"].startswith("town"), line["n"]) for line in lines}
    return sorted(order, key=order.__getitem__)


class Pair:
    """One tool beside another, on the graphs that both have divided."""

    def __init__(self, ours: str, theirs: str, place: str) -> None:
        mine, other = results(ours), results(theirs)
        both = [
            (mine[key], other[key])
            for key in sorted(mine.keys() & other.keys())
            if kind(mine[key]) == place and "failed" not in mine[key] and "failed" not in other[key]
        ]
        self.count = len(both)
        self.ours, self.theirs, self.place = ours, theirs, place
        self.cuts = [a["scaled_km"] / b["scaled_km"] for a, b in both]
        self.times = [a["cpu"] / max(b["cpu"], 1e-4) for a, b in both]
        self.cv = [
            statistics.median(line["cv"] for line in side) for side in zip(*both, strict=True)
        ]

    @property
    def cut(self) -> float:
        return statistics.median(self.cuts)

    @property
    def time(self) -> float:
        return statistics.median(self.times)


METIS = "METIS ufactor 400, ncuts 10"


def bars() -> list[list[str]]:
    """Every bar, where both sides have results."""
    rows = []
    everywhere = kinds(line for line in load(METIS))
    for place in everywhere:
        n = _of_kind(METIS, place)[0]["n"]
        as_fast = 1.0 if n >= 3000 else None
        rows += _bar(
            "default", "gridpart", METIS, place, 0.94, as_fast, worst=0.96, no_less_even=True
        )
        short = 0.93 if place == "Yamaguchi" else 0.92
        rows += _bar("balance=0", "gridpart balance 0", METIS, place, short, as_fast)
        rows += _even(place, 0.15, "METIS ufactor 300, ncuts 10", 0.93, 4.0, "even, CV <= .15")
        better = min(
            ("METIS ufactor 30, ncuts 1", "METIS ufactor 30, ncuts 10"),
            key=lambda name, place=place: _median(name, place, "scaled_km"),
        )
        rows += _even(place, 0.04, better, 0.88, None, "tight, CV <= .04")
        rows += _even(place, 0.04, "METIS recursive 30 + repair", 0.95, None, "tight, CV <= .04")
        rows += _bar("fast", "gridpart fast", "METIS ufactor 300, ncuts 1", place, 0.94,
                     0.5 if n == 100_000 else None)  # fmt: skip
        best = "gridpart best, balance 0"
        if place in ("n = 1,000", "n = 3,000"):
            rows += _bar("best", best, METIS, place, 0.89 if n == 1000 else 0.90, 10.0)
        if place == "n = 300":
            rows += _best_known(best, place)
    return rows


def _of_kind(tool: str, place: str) -> list[Line]:
    return [line for line in results(tool).values() if kind(line) == place and "failed" not in line]


def _median(tool: str, place: str, figure: str) -> float:
    values = [line[figure] for line in _of_kind(tool, place)]
    return statistics.median(values) if values else math.inf


def _even(
    place: str, limit: float, theirs: str, cut: float, seconds: float | None, name: str
) -> list[list[str]]:
    """The bar for settings whose median CV is within the limit.

    Of those run on most graphs the one with the shortest cut that keeps to the time, if any does.
    """
    enough = [ours for ours in SETTINGS if _median(ours, place, "cv") <= limit]
    pairs = [pair for ours in enough if (pair := Pair(ours, theirs, place)).count]
    if not pairs:
        return []
    most = max(pair.count for pair in pairs)
    pairs = [pair for pair in pairs if pair.count == most]
    in_time = [pair for pair in pairs if seconds is None or pair.time <= seconds]
    best = min(in_time or pairs, key=lambda pair: pair.cut)
    return _bar(name, best.ours, theirs, place, cut, seconds)


def _bar(
    name: str,
    ours: str,
    theirs: str,
    place: str,
    cut: float,
    seconds: float | None,
    *,
    worst: float | None = None,
    no_less_even: bool = False,
) -> list[list[str]]:
    pair = Pair(ours, theirs, place)
    if pair.count == 0:
        return []
    reached = [pair.cut <= cut, seconds is None or pair.time <= seconds]
    reached.append(worst is None or max(pair.cuts) <= worst)
    reached.append(not no_less_even or pair.cv[0] <= pair.cv[1])
    reached.append(all(line["outside"] == line["broken"] == 0 for line in _of_kind(ours, place)))
    allowed = f"{cut:.2f}" + (f"/{worst:.2f}" if worst else "")
    return [[
        name, place, ours, theirs, str(pair.count),
        f"{pair.cut:.3f}", f"{max(pair.cuts):.3f}", allowed,
        f"{pair.time:.2f}", "-" if seconds is None else f"{seconds:.1f}",
        f"{pair.cv[0]:.3f}/{pair.cv[1]:.3f}", "yes" if all(reached) else "NO",
    ]]  # fmt: skip


def _best_known(ours: str, place: str) -> list[list[str]]:
    """Distance to the best valid plan that any tool found on the same graph."""
    mine = {key: line for key, line in results(ours).items() if kind(line) == place}
    best: dict[str, float] = {}
    for tool in roster():
        for line in _of_kind(tool.name, place):
            if line["outside"] == line["broken"] == 0 and line["groups"] == line["wanted"]:
                best[line["place"]] = min(best.get(line["place"], math.inf), line["cut_km"])
    ratios = [line["scaled_km"] / best[line["place"]] for line in mine.values()]
    if not ratios:
        return []
    middle = statistics.median(ratios)
    return [[
        "best", place, ours, "best known of any tool", str(len(ratios)), f"{middle:.4f}",
        f"{max(ratios):.4f}", "1.005", "-", "-", "-", "yes" if middle <= 1.005 else "NO",
    ]]  # fmt: skip


def validity() -> list[list[str]]:
    """Plans, and plans with a group outside the band or broken, of every tool."""
    rows = []
    for tool in roster():
        lines = load(tool.name)
        ended = [line for line in lines if "failed" not in line]
        bad = [line for line in ended if line["outside"] or line["broken"]]
        failed = len(lines) - len(ended)
        if lines:
            rows.append([tool.name, str(len(lines)), str(len(bad)), str(failed)])
    return rows


def print_bars() -> None:
    head = ["Bar", "where", "gridpart's", "beside", "graphs", "cut", "worst", "allowed",
            "time", "allowed", "CV", "reached"]  # fmt: skip
    print(show(bars(), head))
    print()
    print(show(validity(), ["Tool", "plans", "not valid", "failed or out of time"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="units of the towns")
    parser.add_argument("--places", nargs="*", default=[], choices=["Porto", "Yamaguchi"])
    parser.add_argument("--data", type=Path, default=measure.DATA)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--only", nargs="*", help="tools whose name holds one of these")
    parser.add_argument("--limit", type=float, default=600, help="seconds for a slow peer")
    parser.add_argument("--minutes", type=float, default=600, help="start nothing after these")
    parser.add_argument("--show", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.show:
        run_missing(options)
    print_bars()


if __name__ == "__main__":
    main()
