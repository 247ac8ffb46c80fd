"""What an audit of a whole zone layer takes, beside the coverage check of shapely alone.

    python benchmarks/auditing.py [--sizes 10000 100000 1000000] [--repeats 3] [--seed 7]
        [--errors METRES]

The zones are a clean coverage: bricks of 50 by 50 m whose corners are moved about and whose sides
have up to six bends each, every side drawn alike by both neighbours. The boundary is their union.
`gridpart.audit` runs as a user calls it, with ids and the boundary: every check of rows, ids and
ground, of which `shapely.coverage_invalid_edges` on the same array is one. The two run by turns in
a process of their own for every size, and the middle of the repeats is printed; one million zones
are timed once. Each keeps one processor busy, of whose seconds the ratio is. Bytes are the most
that the process held beyond the zones while it audited, for every vertex of the zones. At the end
the slopes in logarithms: 1 is linear. With --errors every vertex of every zone is off by up to so
much, so that no edge matches another.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from chain import forget_peak, give_back, slope, status_bytes
from porto import show

import gridpart

SIDE_M = 50.0
ORIGIN = (500_000.0, 3_300_000.0)
CRS = "EPSG:4547"
MOST_BENDS = 6
WARM_UP = 1_000
ONCE = 1_000_000  # from here on everything is timed once
GOAL = 4.0
TIMES = ("seconds", "cpu")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


# ------------------------------------------------------------------------------------------
# The zones
# ------------------------------------------------------------------------------------------


def make_zones(n: int, seed: int) -> gpd.GeoDataFrame:
    """At least `n` zones that cover their ground once, each with an id of 15 digits."""
    rows = math.isqrt(n - 1) + 1
    columns = -(-n // rows)
    polygons = bricks(rows, columns, np.random.default_rng(seed))
    ids = [f"429999{1 + k // 999_000:03d}{1 + k // 999 % 1000:03d}{1 + k % 999:03d}"
           for k in range(len(polygons))]  # fmt: skip
    return gpd.GeoDataFrame({"grid": ids}, geometry=polygons, crs=CRS)


def bricks(rows: int, columns: int, random: np.random.Generator) -> npt.NDArray[np.object_]:
    """Polygons of a wall of bricks with bent sides, three of which meet at every corner.

    Corners lie on levels 0 to `rows`, half a brick apart. Sides lie either along a level, from a
    corner to the next, or between two levels.
    """
    width = 2 * columns + 2  # corners of a level
    level, half = np.divmod(np.arange((rows + 1) * width), width)
    corners = np.column_stack([half / 2, level]) + random.uniform(-0.12, 0.12, (len(level), 2))
    along = np.flatnonzero(half < width - 1)
    upward = np.flatnonzero(level < rows)
    start = np.concatenate([along, upward])
    end = np.concatenate([along + 1, upward + width])
    bends, first = bent(corners, start, end, random)
    # where each side stands in `start`
    side_along = np.full(len(level), -1)
    side_along[along] = np.arange(len(along))
    side_upward = len(along) + np.arange(len(upward))
    row, column = np.divmod(np.arange(rows * columns), columns)
    lower = row * width + 2 * column + row % 2  # first corner of each brick
    upper = lower + width
    sides = np.column_stack([
        side_along[lower], side_along[lower + 1], side_upward[lower + 2],
        side_along[upper + 1], side_along[upper], side_upward[lower],
    ])  # fmt: skip
    points = np.concatenate([corners, bends]) * SIDE_M + ORIGIN
    return rings(points, len(corners), start, end, first, sides)


def bent(
    corners: Floats, start: Ints, end: Ints, random: np.random.Generator
) -> tuple[Floats, Ints]:
    """Points on every side between its corners, beside the straight line, and where they begin."""
    count = random.integers(0, MOST_BENDS + 1, len(start))
    first = np.r_[0, np.cumsum(count)]
    side = np.repeat(np.arange(len(start)), count)
    share = (np.arange(len(side)) - first[side] + 1) / (count[side] + 1)
    step = corners[end] - corners[start]
    aside = np.column_stack([-step[:, 1], step[:, 0]])[side]
    swing = random.uniform(-0.08, 0.08, len(side))[:, None]
    return corners[start][side] + share[:, None] * step[side] + swing * aside, first


def rings(
    points: Floats, corners: int, start: Ints, end: Ints, first: Ints, sides: Ints
) -> npt.NDArray[np.object_]:
    """Polygons of six sides each, the last three of them drawn backwards."""
    n = len(sides)
    backward = np.tile([False, False, False, True, True, True], n)
    side = sides.ravel()
    count = np.diff(first)[side] + 1  # its corner and its bends
    offset = np.r_[0, np.cumsum(count)]
    which = np.repeat(np.arange(len(side)), count)
    place = np.arange(offset[-1]) - offset[which]
    own = side[which]
    bend = np.where(backward[which], first[own + 1] - place, first[own] + place - 1)
    corner = np.where(backward[which], end[own], start[own])
    point = np.where(place == 0, corner, corners + bend)
    begins = offset[:-1:6]
    stops = offset[6::6]
    closed = np.insert(point, stops, point[begins])
    lengths = np.r_[0, np.cumsum(stops - begins + 1)]
    result: npt.NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points[closed], (lengths, np.arange(n + 1))
    )
    return result


# ------------------------------------------------------------------------------------------
# One size, in a process of its own
# ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """Seconds, seconds of the processor, and bytes held at most beyond what was held before."""

    seconds: float
    cpu: float
    memory: int


def timed(function: Callable[[], Any]) -> tuple[Taken, Any]:
    """What a call took, and its result."""
    give_back()
    forget_peak()
    before, start, busy = status_bytes("VmRSS"), time.perf_counter(), time.process_time()
    result = function()
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    return Taken(seconds, cpu, status_bytes("VmHWM") - before), result


def middle(takes: list[Taken]) -> dict[str, float]:
    """The medians of repeats."""
    return {
        name: statistics.median(getattr(taken, name) for taken in takes)
        for name in ("seconds", "cpu", "memory")
    }


def shaken(polygons: npt.NDArray[np.object_], errors: float, seed: int) -> Any:
    """The same polygons, the vertices of each moved by themselves."""
    kind, points, (lengths, parts) = shapely.to_ragged_array(polygons)
    moved = points + np.random.default_rng(seed).uniform(-errors, errors, points.shape)
    moved[lengths[1:] - 1] = moved[lengths[:-1]]
    return shapely.from_ragged_array(kind, moved, (lengths, parts))


def run(n: int, seed: int, repeats: int, errors: float) -> dict[str, Any]:
    """Audit one layer and check its coverage, by turns."""
    zones = make_zones(n, seed)
    boundary = gpd.GeoSeries([shapely.coverage_union_all(zones.geometry.to_numpy())], crs=CRS)
    if errors:
        zones = zones.set_geometry(shaken(zones.geometry.to_numpy(), errors, seed), crs=CRS)
    shapes = np.asarray(zones.geometry, dtype=object)
    audits, checks = [], []
    for _ in range(repeats):
        taken, findings = timed(lambda: gridpart.audit(zones, boundary=boundary))
        audits.append(taken)
        if len(findings) and not errors:
            sys.exit(f"a clean layer must have no finding: {gridpart.audit_counts(findings)}")
        taken, edges = timed(lambda: shapely.coverage_invalid_edges(shapes))
        checks.append(taken)
        if not shapely.is_empty(edges).all() and not errors:
            sys.exit("the layer is no valid coverage")
    return {
        "zones": len(zones),
        "vertices": int(shapely.get_num_coordinates(shapes).sum()),
        "audit": middle(audits),
        "check": middle(checks),
    }


def child(n: int, seed: int, repeats: int, errors: float) -> None:
    """Warm up, run, and print what was measured as one line of JSON."""
    run(WARM_UP, seed, 1, errors)
    print(json.dumps(run(n, seed, repeats, errors)))


def measure(n: int, seed: int, repeats: int, errors: float) -> dict[str, Any]:
    numbers = [str(n), str(seed), str(1 if n >= ONCE else repeats), str(errors)]
    command = [sys.executable, __file__, "--child", *numbers]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{n:,} zones failed with exit code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# ------------------------------------------------------------------------------------------
# The table
# ------------------------------------------------------------------------------------------


def report(runs: list[dict[str, Any]], errors: float) -> None:
    head = ["zones", "vertices", "audit, s", "of processor", "check, s", "of processor", "ratio"]
    head += ["bytes a vertex", "of the check"]
    rows = [
        [
            f"{one['zones']:,}",
            f"{one['vertices']:,}",
            *(f"{one[which][key]:.2f}" for which in ("audit", "check") for key in TIMES),
            f"{ratio(one):.2f}",
            *(f"{one[which]['memory'] / one['vertices']:.0f}" for which in ("audit", "check")),
        ]
        for one in runs
    ]
    print(show(rows, head))
    if len(runs) > 1:
        first, last = runs[0], runs[-1]
        span = math.log(last["vertices"] / first["vertices"])
        slopes = {
            "seconds of the processor": ("audit", "cpu"),
            "of the check": ("check", "cpu"),
            "memory of the audit": ("audit", "memory"),
        }
        print("slopes in vertices: " + ", ".join(
            f"{what} {slope(first[which][key], last[which][key], span)}"
            for what, (which, key) in slopes.items()
        ))  # fmt: skip
    if not errors:
        reached = ratio(runs[-1]) <= GOAL
        print(f"goal of at most {GOAL:g} times the check: {'reached' if reached else 'MISSED'}")


def ratio(one: dict[str, Any]) -> float:
    """Seconds of the processor that the audit takes for each of the check."""
    return float(one["audit"]["cpu"] / one["check"]["cpu"])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*map(int, sys.argv[2:5]), float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7, help="of the zones")
    parser.add_argument("--errors", type=float, default=0.0, help="of every vertex, in metres")
    given = parser.parse_args()
    runs = []
    for n in sorted(given.sizes):
        runs.append(measure(n, given.seed, given.repeats, given.errors))
        print(f"{n:,} zones done", file=sys.stderr)
    report(runs, given.errors)


if __name__ == "__main__":
    main()
