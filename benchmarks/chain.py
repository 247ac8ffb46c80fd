"""How time and memory of the whole chain grow with the number of units.

    python benchmarks/chain.py [--sizes 10000 100000 1000000] [--seed 101] [--effort NAME]
        [--jobs N] [--cities FOLDER]

The chain is what a user runs: read a file, check the units, find the borders, divide, dissolve,
code, audit, write the plan. Every size is one generated city, divided into communities of 10,000
to 20,000 units and written to a GeoPackage; the chain then runs in a process of its own that has
gone through a small town before, so that neither imports nor compilation count. With --cities
the files are kept in that folder and found there again, for making a million units takes minutes.

Prints, for every stage, seconds, seconds of the processor, and the most memory that the process
held beyond the input, which is what it holds when the units have been read and the memory that
reading needed for a while has been given back. At the end the slopes between the smallest and the
largest size in logarithms: 1 is linear. Memory is measured where Linux tells it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from porto import show

import gridpart
from gridpart import _io

LARGEST = 20_000  # units in a community
WARM_UP = 1_000  # units of the town that goes through the chain first
LOW, HIGH = 200, 500
# Inside gridpart.partition, in the order of the chain: its own stages, and what each is called.
INNER = {
    "check_units": "check",
    "build_contiguity": "borders",
    "measure": "measure",
    "build_communities": "cut",
    "solve_communities": "divide",
}
STAGES = ("read", *INNER.values(), "name", "dissolve", "code", "audit", "write")


# ------------------------------------------------------------------------------------------
# The city
# ------------------------------------------------------------------------------------------


def make_city(n: int, seed: int, path: Path) -> None:
    """Write a city with the layers units and boundary."""
    town = gridpart.county_town(n, seed=seed)
    centre = town.communities.geometry.centroid
    groups = bisect(centre.x.to_numpy(), centre.y.to_numpy(), town.communities["n_units"])
    codes = [f"429999{1 + group // 20:03d}{1 + group % 20:03d}" for group in groups]
    district = dict(zip(town.communities["community"], codes, strict=True))
    units = town.units.assign(community=town.units["community"].map(district))
    keep = ["unit_id", "community", "households", "population", units.active_geometry_name]
    _io.write_layers(path, {"units": units[keep], "boundary": town.boundary})


def bisect(x: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Number places so that no number has more than `LARGEST` in weight: halves, again halved."""
    x, y, weight = (np.asarray(values) for values in (x, y, weight))
    result = np.zeros(len(x), np.int64)
    stack, count = [np.arange(len(x))], 0
    while stack:
        rows = stack.pop()
        if weight[rows].sum() <= LARGEST:
            result[rows] = count
            count += 1
            continue
        longer = max((x[rows], y[rows]), key=np.ptp)
        rows = rows[np.argsort(longer, kind="stable")]
        along = np.cumsum(weight[rows])
        half = int(np.searchsorted(along, along[-1] / 2))
        stack += [rows[half:], rows[:half]]
    return result


# ------------------------------------------------------------------------------------------
# The chain, in the process of its own
# ------------------------------------------------------------------------------------------


def status_bytes(field: str) -> int:
    """A field of /proc/self/status; 0 where there is none."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Let the peak begin anew, at what the process holds now."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def give_back() -> None:
    """Return to the system what is free, so that free memory does not pass for the input."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


class Clock:
    """Seconds and memory of stages, each once."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        forget_peak()
        start, busy = time.perf_counter(), time.process_time()
        yield
        self.stages[name] = {
            "seconds": time.perf_counter() - start,
            "cpu": time.process_time() - busy,
            "peak": status_bytes("VmHWM"),
            "held": status_bytes("VmRSS"),
        }
        forget_peak()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            with self.stage(name):
                return function(*args, **options)

        return run


@contextmanager
def partition_stages(clock: Clock) -> Iterator[None]:
    """Time the stages of gridpart.partition from within one call; what is left is naming."""
    module = importlib.import_module("gridpart.partition")
    own = {name: getattr(module, name) for name in INNER}
    start, busy = time.perf_counter(), time.process_time()
    try:
        for name, function in own.items():
            setattr(module, name, clock.timed(INNER[name], function))
        yield
    finally:
        for name, function in own.items():
            setattr(module, name, function)
    known = [clock.stages[stage] for stage in INNER.values()]
    clock.stages["name"] = {
        "seconds": time.perf_counter() - start - sum(stage["seconds"] for stage in known),
        "cpu": time.process_time() - busy - sum(stage["cpu"] for stage in known),
        "peak": status_bytes("VmHWM"),  # since the last of the others
        "held": status_bytes("VmRSS"),
    }


def run_chain(city: Path, output: Path, **options: Any) -> dict[str, Any]:
    """Run the chain once and say what it took."""
    from gridpart.coverage import audit_inputs

    clock = Clock()
    give_back()
    base = status_bytes("VmRSS")
    with clock.stage("read"):
        units = gridpart.read_units(city)
        boundary = _io.read_vector(city, layer="boundary")
    give_back()
    input_bytes = status_bytes("VmRSS")
    with partition_stages(clock):
        plan = gridpart.partition(
            units, id="unit_id", within="community", low=LOW, high=HIGH, seed=0, **options
        )
    with clock.stage("dissolve"):
        grids = plan.grids
    with clock.stage("code"):
        plan = gridpart.assign_codes(plan, parent="community")
    with clock.stage("audit"):
        findings = gridpart.audit(plan.grids, boundary=boundary, **audit_inputs(plan))
    with clock.stage("write"):
        plan.save(output)
    return {
        "units": len(units),
        "communities": int(units["community"].nunique()),
        "grids": len(grids),
        "in_band": float(grids["in_band"].mean()),
        "exceptions": len(plan.exceptions),
        "findings": gridpart.audit_counts(findings),
        "ok": bool(gridpart.audit_ok(findings)),
        "input": input_bytes - base,
        "before": input_bytes,
        "file": city.stat().st_size,
        "plan": output.stat().st_size,
        "stages": clock.stages,
    }


def child(city: Path, small: Path, options: dict[str, Any]) -> None:
    """Warm up, run, and print what was measured as one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "plan.gpkg")
        run_chain(small, output, **{**options, "effort": "fast"})
        print(json.dumps(run_chain(city, output, **options)))


# ------------------------------------------------------------------------------------------
# All sizes, and the table
# ------------------------------------------------------------------------------------------


def measure(city: Path, small: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Run the chain in a process of its own."""
    command = [sys.executable, __file__, "--child", str(city), str(small), json.dumps(options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{city.name} failed with exit code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def beyond(run: dict[str, Any], stage: str) -> float:
    """Bytes a unit beyond the input that a stage needed at most."""
    return (run["stages"][stage]["peak"] - run["before"]) / run["units"]


def totals(run: dict[str, Any]) -> dict[str, float]:
    """Seconds, seconds of the processor and peak memory beyond the input of the whole chain."""
    stages = run["stages"]
    return {
        "seconds": sum(stage["seconds"] for stage in stages.values()),
        "cpu": sum(stage["cpu"] for stage in stages.values()),
        "memory": max(stage["peak"] for stage in stages.values()) - run["before"],
    }


def slope(first: float, last: float, span: float) -> str:
    return f"{math.log(last / first) / span:.2f}" if first > 0 and last > 0 else "-"


def report(runs: list[dict[str, Any]]) -> None:
    """Print the table of stages, sizes side by side, and the slopes."""
    head = ["Stage"]
    for run in runs:
        head += [f"{run['units']:,}: s", "of processor", "bytes a unit"]
    smallest, largest = runs[0], runs[-1]
    span = math.log(largest["units"] / smallest["units"]) if len(runs) > 1 else 0.0
    if span:
        head.append("slope")
    rows = []
    for stage in STAGES:
        row = [stage]
        for run in runs:
            taken = run["stages"][stage]
            row += [f"{taken['seconds']:.2f}", f"{taken['cpu']:.2f}", f"{beyond(run, stage):,.0f}"]
        if span:
            ends = (run["stages"][stage]["cpu"] for run in (smallest, largest))
            row.append(slope(*ends, span))
        rows.append(row)
    row = ["all"]
    for run in runs:
        whole = totals(run)
        row += [f"{whole['seconds']:.2f}", f"{whole['cpu']:.2f}"]
        row.append(f"{whole['memory'] / run['units']:,.0f}")
    if span:
        row.append(slope(totals(smallest)["cpu"], totals(largest)["cpu"], span))
    print(show([*rows, row], head))
    for run in runs:
        print(
            f"{run['units']:,} units of {run['input'] / run['units']:,.0f} bytes in "
            f"{run['communities']} communities: {run['grids']:,} grids, "
            f"{100 * run['in_band']:.2f} % in the band, {run['exceptions']} exceptions; audit "
            f"{'passed' if run['ok'] else 'FAILED'} {run['findings']}"
        )
    if span:
        one, other = totals(smallest), totals(largest)
        print(
            "slopes: "
            + ", ".join(f"{what} {slope(one[key], other[key], span)}" for what, key in (
                ("seconds", "seconds"), ("of the processor", "cpu"), ("memory", "memory")
            ))
        )  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        city, small, options = sys.argv[2:]
        warnings.simplefilter("ignore", gridpart.GridpartWarning)
        child(Path(city), Path(small), json.loads(options))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=101, help="of the cities")
    parser.add_argument("--effort", help="how much work the engine spends; its default otherwise")
    parser.add_argument("--jobs", type=int, help="threads; one per processor otherwise")
    parser.add_argument("--cities", type=Path, help="folder in which the cities are kept")
    parser.add_argument("--json", type=Path, help="write the measurements there, too")
    given = parser.parse_args()
    options = {name: value for name in ("effort", "jobs") if (value := getattr(given, name))}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.cities or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs = []
        for n in (WARM_UP, *sorted(given.sizes)):
            city = folder / f"city-{n}-{given.seed}.gpkg"
            if not city.exists():
                make_city(n, given.seed, city)
            if n == WARM_UP:
                small = city
                continue
            runs.append(measure(city, small, options))
            print(f"{n:,} units done", file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps(runs, indent=1))
    report(runs)


if __name__ == "__main__":
    main()
