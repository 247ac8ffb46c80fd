"""Contiguity by matching segments beside libpysal's, in one run.

    python benchmarks/contiguity.py [--units 10000] [--large 100000] [--repeat 5]

Prints the median of several runs in seconds, and checks that both find the same edges.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libpysal
import numpy as np
import shapely
from libpysal.graph import Graph

import gridpart
from gridpart.contiguity import Contiguity, build_contiguity

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from zoo import lattice


def median_seconds(run: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    seconds, result = [], None
    for _ in range(repeat):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def peak_bytes(run: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def generated(count: int) -> Any:
    side = max(1, round(count**0.5))
    return lattice(side, side, bends=2)


def same(ours: Contiguity, theirs: Contiguity) -> str:
    edges = np.array_equal(ours.indptr, theirs.indptr) and np.array_equal(
        ours.indices, theirs.indices
    )
    if not edges:
        return "NO: the edges differ"
    return f"yes, lengths within {np.abs(ours.lengths_mm - theirs.lengths_mm).max()} mm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    print(
        f"gridpart {gridpart.__version__}, libpysal {libpysal.__version__}, "
        f"shapely {shapely.__version__}, numpy {np.__version__}; medians of {options.repeat}"
    )
    units = generated(options.units)
    fast, ours = median_seconds(lambda: build_contiguity(units), options.repeat)
    slow, graph = median_seconds(
        lambda: Graph.build_contiguity(units, rook=True, by_perimeter=True), options.repeat
    )
    print(f"{len(units):>9,} units, {ours.n_edges:,} borders")
    print(f"    gridpart  {fast:8.3f} s")
    print(f"    libpysal  {slow:8.3f} s   {slow / fast:.0f} times as long")
    print(f"    same edges: {same(ours, Contiguity.from_graph(graph, units))}")

    units = generated(options.large)
    vertices = shapely.get_num_coordinates(units.geometry.to_numpy()).sum()
    large, ours = median_seconds(lambda: build_contiguity(units), max(1, options.repeat // 2))
    peak = peak_bytes(lambda: build_contiguity(units))
    print(f"{len(units):>9,} units, {ours.n_edges:,} borders, {vertices:,} vertices")
    print(f"    gridpart  {large:8.3f} s   {large / len(units) * 1e6:.1f} microseconds a unit")
    held = ours.indptr.nbytes + ours.indices.nbytes + ours.lengths_mm.nbytes
    held += ours.exterior_mm.nbytes
    print(
        f"    memory    {held / len(units):.0f} bytes a unit kept, "
        f"{peak / len(units):,.0f} while building ({peak / vertices:.0f} a vertex)"
    )


if __name__ == "__main__":
    main()
