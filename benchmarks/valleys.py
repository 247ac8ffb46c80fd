"""Small communities of a real place with forests: gridpart beside METIS, runs combined or not.

    python benchmarks/valleys.py [--units 300 1000] [--places 10]

Connected surroundings of so many basic unit blocks, around blocks drawn by lot, are cut out of
Yamaguchi. There a few forests without households have borders a hundred times as long as those of
town blocks, and which grid has them decides about the others. Beside METIS k-way (ufactor 400,
ncuts 10, niter 50), on the same graphs, in one run; cuts are scaled to the number of grids that
was asked for. *Not combined* is the default effort with as many sweeps in two long runs, of which
the better is kept.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
from dataclasses import replace
from pathlib import Path

import measure
import numpy as np
import peers
from measure import DATA, Graph, Place, score
from porto import show
from scipy.sparse import csr_array

from gridpart.engine import EFFORTS, warm_up

NOT_COMBINED = replace(EFFORTS["default"], starts=2, small_sweeps=12_000, combinations=0)
WAYS = {
    "default": {},
    "default, not combined": {"effort": NOT_COMBINED},
    "balance 0": {"balance": 0.0},
    "balance 0, not combined": {"balance": 0.0, "effort": NOT_COMBINED},
    "best, balance 0": {"balance": 0.0, "effort": "best"},
}


def surroundings(whole: Graph, n: int, seed: int) -> Graph:
    """The n units that are reached first from one drawn by lot, nearest first."""
    centre = int(np.random.default_rng([n, seed]).integers(len(whole)))
    distance = np.hypot(whole.x - whole.x[centre], whole.y - whole.y[centre])
    waiting, seen, reached = [(0.0, centre)], {centre}, []
    while waiting and len(reached) < n:
        _, unit = heapq.heappop(waiting)
        reached.append(unit)
        for other in whole.indices[whole.indptr[unit] : whole.indptr[unit + 1]].tolist():
            if other not in seen:
                seen.add(other)
                heapq.heappush(waiting, (float(distance[other]), other))
    members = np.sort(reached)
    matrix = csr_array((whole.borders, whole.indices, whole.indptr))[members][:, members].tocsr()
    matrix.sort_indices()
    return Graph(
        f"Yamaguchi-{n}-{seed}", matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
        matrix.data, whole.loads[members], whole.x[members], whole.y[members],
    )  # fmt: skip


def rows(whole: Graph, n: int, count: int) -> list[list[str]]:
    """A line for every way: medians over the surroundings, and the worst of them."""
    graphs = [surroundings(whole, n, seed) for seed in range(count)]
    theirs = [
        peers.metis(graph, seed=seed, ufactor=400, ncuts=10, niter=50)
        for seed, graph in enumerate(graphs)
    ]
    table = []
    for name, options in WAYS.items():
        cuts, evenness, times, outside = [], [], [], 0
        for seed, (graph, their) in enumerate(zip(graphs, theirs, strict=True)):
            mine = peers.gridpart(graph, seed=seed, **options)
            own, other = (
                score(Place(graph.name, [graph]), [found.labels]) for found in (mine, their)
            )
            cuts.append(own.scaled_km / other.scaled_km)
            evenness.append(own.cv / other.cv)
            times.append(mine.cpu / their.cpu)
            outside += own.outside + own.broken
        table.append([
            f"{n:,}", name, f"{statistics.median(cuts):.3f}", f"{max(cuts):.3f}",
            f"{statistics.median(evenness):.2f}", f"{statistics.median(times):.1f}", str(outside),
        ])  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--places", type=int, default=10)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    warm_up()
    whole = measure.yamaguchi(options.data).communities[0]
    table = [row for n in options.units for row in rows(whole, n, options.places)]
    heads = [
        "units", "gridpart", "cut beside METIS", "worst", "CV beside its", "times its time",
        "outside or broken",
    ]  # fmt: skip
    print(show(table, heads))


if __name__ == "__main__":
    main()
