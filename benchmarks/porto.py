"""gridpart beside METIS, spopt, scikit-learn and INE's own sections on Porto, in one run.

    python benchmarks/porto.py [--data FOLDER] [--seeds 5] [--limit 600]

Porto's 1,659 census subsections are divided within their 7 parishes into grids of 200-500
households, 294 wanted. Each tool gets the same arrays and one thread; finding the neighbours is
outside the seconds of all. Every plan is checked here: each unit in one grid, households kept,
grids connected. Figures are medians over the seeds; a peer without a lower bound stands twice
where that matters, as it is and after the plain repair that is described in mending.py.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import measure
from measure import Place, Score
from peers import NotAvailableError, Tool, gridpart, metis, plan, spopt_maxp, ward

HEAD = (
    "Tool", "in band", "grids", "connected", "cut, km", "scaled to {wanted}", "CV", "seconds",
)  # fmt: skip
# What recursive METIS is tuned over; the imbalance of every bisection multiplies.
UFACTORS = (1, 10, 30, 50, 70, 100, 140, 200, 300)

KWAY = {"ufactor": 400, "ncuts": 10, "niter": 50}


def tools(limit: float) -> list[Tool]:
    slow = {"needs": "spopt", "limit": limit, "seeds": 1}
    return [
        Tool("gridpart", gridpart),
        Tool("gridpart, balance 0 (shortest borders)", gridpart, {"balance": 0.0}),
        Tool("METIS k-way, ufactor 400, ncuts 10, niter 50", metis, KWAY, "pymetis"),
        Tool("METIS k-way the same + repair", metis, {**KWAY, "mend": True}, "pymetis"),
        Tool("scikit-learn Ward", ward, {"mend": False}, "sklearn"),
        Tool("scikit-learn Ward + repair", ward, {}, "sklearn"),
        Tool("spopt max-p", spopt_maxp, {}, **slow),
        Tool("spopt max-p + repair", spopt_maxp, {"mend": True}, **slow),
    ]


def recursive(ufactor: int, *, mend: bool) -> Tool:
    name = f"METIS recursive, ufactor {ufactor}" + (" + repair" if mend else "")
    options = {"ufactor": ufactor, "recursive": True, "ncuts": 10, "niter": 50, "mend": mend}
    return Tool(name, metis, options, "pymetis")


def runs(tool: Tool, place: Place, seeds: int) -> list[tuple[Score, float]]:
    found = [plan(tool, place, seed) for seed in range(1, min(seeds, tool.seeds) + 1)]
    return [(score, seconds) for score, seconds, _ in found]


def tuned(place: Place, seeds: int) -> list[tuple[Tool, list[tuple[Score, float]]]]:
    """Recursive METIS at the ufactor that leaves fewest outside, then the shortest cut."""
    tried = []
    for ufactor in UFACTORS:
        tool = recursive(ufactor, mend=True)
        found = runs(tool, place, seeds)
        outside = statistics.median(score.outside for score, _ in found)
        cut = statistics.median(score.scaled_km for score, _ in found)
        tried.append((outside, cut, ufactor, tool, found))
    *_, ufactor, tool, found = min(tried, key=lambda one: one[:2])
    plain = recursive(ufactor, mend=False)
    return [(plain, runs(plain, place, seeds)), (tool, found)]


def row(name: str, found: list[tuple[Score, float | None]]) -> list[str]:
    scores = [score for score, _ in found]
    seconds = [spent for _, spent in found if spent is not None]

    def middle(name: str) -> float:
        return statistics.median(getattr(score, name) for score in scores)

    broken = max(score.broken for score in scores)
    return [
        name + (" (1 seed)" if len(found) == 1 and seconds else ""),
        f"{100 * middle('in_band'):.1f} %",
        f"{middle('groups'):.0f}",
        "yes" if broken == 0 else f"no, {broken} broken",
        f"{middle('cut_km'):.1f}",
        f"{middle('scaled_km'):.1f}",
        f"{middle('cv'):.3f}",
        f"{statistics.median(seconds):.2f}" if seconds else "-",
    ]


def show(rows: list[list[str]], head: list[str]) -> str:
    """A table that reads as plain text and as Markdown."""
    widths = [max(len(cells[i]) for cells in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        middle = [cell.rjust(width) for cell, width in rest]
        return "| " + " | ".join([first[0].ljust(first[1]), *middle]) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=measure.DATA, help="folder of the data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=600, help="seconds for max-p")
    options = parser.parse_args()

    place, official = measure.porto(options.data)
    head = [cell.format(wanted=place.wanted()) for cell in HEAD]
    rows = []
    for tool in tools(options.limit):
        try:
            tool(place.communities[0], seed=0)  # compiles, imports, loads: not timed
            rows.append(row(tool.name, runs(tool, place, options.seeds)))
        except (NotAvailableError, TimeoutError, RuntimeError) as failure:
            rows.append([tool.name, str(failure), *[""] * (len(head) - 2)])
    try:
        rows[1:1] = [row(tool.name, found) for tool, found in tuned(place, options.seeds)]
    except NotAvailableError as failure:
        rows.insert(1, ["METIS recursive", str(failure), *[""] * (len(head) - 2)])
    rows.append(row("INE's own sections", [(measure.score(place, official), None)]))
    print(show(rows, head))


if __name__ == "__main__":
    main()
