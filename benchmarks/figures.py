"""The table and the two figures of docs/benchmarks.md, from the results that compare.py kept.

    python benchmarks/figures.py [--docs docs]

Writes `benchmarks-seconds.svg` (cut against seconds) and `benchmarks-evenness.svg` (cut against
the CV of households) and puts the table between the markers in `benchmarks.md`.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from compare import METIS, kind, kinds, load, results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from peers import BALANCES, at_balance, roster
from porto import show

DOCS = Path(__file__).resolve().parents[1] / "docs"
MARKS = ("<!-- comparison -->", "<!-- end of comparison -->")
PICTURES = """![Cut against seconds](benchmarks-seconds.svg)

![Cut against evenness](benchmarks-evenness.svg)

Hollow marks are tools that left a grid broken or outside the band."""
OURS = "#b5371b"
# families of peers: a colour and a marker each, in the order of the legend
FAMILIES = {
    "METIS ufactor": ("#20558a", "o"),
    "METIS recursive": ("#4f95cc", "s"),
    "KaHIP": ("#2f7f5f", "D"),
    "Ward": ("#8a6d1f", "^"),
    "GerryChain": ("#7a4b94", "P"),
    "pygeoda": ("#777777", "v"),
    "spopt": ("#a9a9a9", "<"),
}
PANELS = ("n = 1,000", "n = 3,000", "n = 10,000", "n = 100,000", "Porto", "Yamaguchi")


class Point:
    """Medians of one tool at one place, its cut as a multiple of METIS's on the same graphs."""

    def __init__(self, tool: str, place: str) -> None:
        beside = results(METIS)
        self.lines = [
            (line, beside[key])
            for key, line in results(tool).items()
            if key in beside and kind(line) == place and "failed" not in line
        ]
        self.tool = tool

    def __bool__(self) -> bool:
        return bool(self.lines)

    def median(self, figure: str) -> float:
        return statistics.median(line[figure] for line, _ in self.lines)

    @property
    def cut(self) -> float:
        return statistics.median(a["scaled_km"] / b["scaled_km"] for a, b in self.lines)

    @property
    def in_band(self) -> float:
        groups = sum(line["groups"] for line, _ in self.lines)
        return 1 - sum(line["outside"] for line, _ in self.lines) / groups

    @property
    def broken(self) -> int:
        return sum(line["broken"] for line, _ in self.lines)


def family(tool: str) -> tuple[str, str]:
    return next(style for name, style in FAMILIES.items() if tool.startswith(name))


def places() -> list[str]:
    there = kinds(load(METIS))
    return [place for place in PANELS if place in there]


def table() -> str:
    """One row a tool; per place: in band / cut beside METIS / CV / seconds."""
    columns = kinds(load(METIS))
    rows = []
    for tool in roster():
        points = [Point(tool.name, place) for place in columns]
        if any(points):
            rows.append([tool.name, *(cell(point) for point in points)])
    return show(rows, ["Tool", *columns])


def cell(point: Point) -> str:
    if not point:
        return "-"
    share = f"{100 * point.in_band:.1f}".removesuffix(".0")
    if share == "100" and point.in_band < 1:
        share = "99.9"
    broken = f", {point.broken} broken" if point.broken else ""
    seconds = point.median("cpu")
    digits = 2 if seconds < 1 else 1 if seconds < 10 else 0
    return f"{share} %{broken} / {point.cut:.3f} / {point.median('cv'):.2f} / {seconds:.{digits}f}"


def figure(measure: str, label: str, *, log: bool) -> Figure:
    columns = places()
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    drawing = Figure(figsize=(4.2 * across, 3.4 * down + 0.9), layout="constrained")
    axes = drawing.subplots(down, across, squeeze=False)
    for place, ax in zip(columns, axes.flat, strict=False):
        panel(ax, place, measure, log=log)
        ax.set_xlabel(label)
    for ax in axes.flat[len(columns) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("cut beside METIS k-way")
    entries = {}
    for ax in drawing.axes:
        handles, names = ax.get_legend_handles_labels()
        entries.update(zip(names, handles, strict=True))
    drawing.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=2 * across,
        frameon=False,
        fontsize=9,
    )
    return drawing


def panel(ax: Axes, place: str, measure: str, *, log: bool) -> None:
    for tool in roster():
        point = Point(tool.name, place)
        if tool.needs == "gridpart" or not point:
            continue
        colour, marker = family(tool.name)
        name = next(name for name in FAMILIES if tool.name.startswith(name))
        # a hollow mark is a tool that left a grid broken or outside the band
        whole = point.in_band == 1 and point.broken == 0
        ax.scatter(
            point.median(measure), point.cut, s=34, marker=marker, edgecolors=colour,
            facecolors=colour if whole else "none", label=name if whole else None, zorder=2,
        )  # fmt: skip
    own(ax, place, measure)
    ax.axhline(1, color="#cccccc", linewidth=0.8, zorder=0)
    ax.set_title(place)
    ax.spines[["top", "right"]].set_visible(False)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())


def own(ax: Axes, place: str, measure: str) -> None:
    """gridpart's efforts as one line, its balances as another."""
    efforts = ["gridpart fast", "gridpart", "gridpart best"]
    balances = [at_balance(b) for b in BALANCES]
    names = efforts if measure == "cpu" else balances
    points = [point for point in (Point(name, place) for name in names) if point]
    if not points:
        points = [point for point in [Point("gridpart", place)] if point]
    spots = sorted((point.median(measure), point.cut) for point in points)
    if spots:
        ax.plot(*zip(*spots, strict=True), "-o", color=OURS, markersize=5, label="gridpart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    if not places():
        sys.exit("there are no results yet; run benchmarks/compare.py first")
    matplotlib.rcParams["svg.hashsalt"] = "gridpart"
    for name, measure, label, log in (
        ("seconds", "cpu", "seconds of one processor", True),
        ("evenness", "cv", "CV of households a grid", False),
    ):
        path = options.docs / f"benchmarks-{name}.svg"
        figure(measure, label, log=log).savefig(path, metadata={"Date": None})
        print(path)
    page = options.docs / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{MARKS[0]}.*{MARKS[1]}", re.DOTALL)
    if not pattern.search(text):
        sys.exit(f"{page} has no place for the table: {MARKS[0]} ... {MARKS[1]}")
    text = pattern.sub(lambda _: "\n\n".join([MARKS[0], table(), PICTURES, MARKS[1]]), text)
    page.write_text(text, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
