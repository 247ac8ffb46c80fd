"""Generated towns as graphs, from 300 to 1,000,000 units in seconds, each made by its seed.

    python benchmarks/towns.py [--units 1000] [--seed 1]

A town is the Voronoi diagram of jittered points that lie closer in its core than at its edge.
Neighbours, shared borders and positions come straight from the triangulation; polygons are never
built. One unit in ten is empty (schools, parks, works); the households of the others are
lognormal, more in some quarters than in others, 17.3 a unit on average and 160 at most.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import numpy.typing as npt
from measure import Graph, Ints, Place, components
from scipy.sparse import coo_array
from scipy.spatial import Delaunay

MEAN_LOAD = 17.3
LARGEST_LOAD = 160
EMPTY = 0.1
UNIT_AREA_M2 = 3000.0

Floats = npt.NDArray[np.float64]


def town(n: int, seed: int) -> Place:
    """A town of `n` connected units as one community."""
    generator = np.random.default_rng([n, seed])
    points, inside = _points(n, generator)
    rows, columns, lengths = _borders(points, inside)
    order = _by_strips(points[inside])
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    matrix = coo_array(
        (np.concatenate([lengths, lengths]),
         (place[np.concatenate([rows, columns])], place[np.concatenate([columns, rows])])),
        shape=(n, n),
    ).tocsr()  # fmt: skip
    matrix.sort_indices()
    spots = points[inside][order]
    x, y = np.rint(spots * 1000).astype(np.int64).T
    graph = Graph(
        f"town-{n}-{seed}",
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int64),
        matrix.data.astype(np.int64),
        _households(spots, generator),
        np.ascontiguousarray(x),
        np.ascontiguousarray(y),
    )
    if components(graph, np.zeros(n, np.int64)).any():
        raise ValueError(f"{graph.name} is not connected; take another seed")
    return Place(graph.name, [graph])


def _points(n: int, generator: np.random.Generator) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Positions in metres, of `n` units and of a fringe whose cells only close the town's own."""
    fringe = 3
    side = int(np.ceil(np.sqrt(1.25 * n))) + 2 * fringe
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    own = ((cells >= fringe) & (cells < side - fringe)).all(axis=1)
    # blocks without a unit of their own make their neighbours larger and less regular
    kept = ~own
    kept[generator.permutation(np.flatnonzero(own))[:n]] = True
    spots = cells + generator.uniform(0.05, 0.95, cells.shape)
    spots, inside = spots[kept] / side * 2 - 1, own[kept]
    # a dense core: distances from the middle shrink there and grow at the edge
    far = np.abs(spots).max(axis=1, keepdims=True)
    spots = spots * (0.45 + 0.55 * far)
    extent = np.sqrt(n * UNIT_AREA_M2) / 2
    return (spots + 1) * extent, inside


def _borders(points: Floats, inside: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """Pairs of units that share a border, and its length in mm, from the triangulation's dual."""
    mesh = Delaunay(points)
    centre = _circumcentres(points[mesh.simplices])
    number = np.cumsum(inside) - 1
    rows, columns, lengths = [], [], []
    for corner in range(3):
        # the border of two units is what lies between the centres of the triangles on their edge
        across = mesh.neighbors[:, corner]
        ours = np.flatnonzero(across > np.arange(len(across)))
        a = mesh.simplices[ours, (corner + 1) % 3]
        b = mesh.simplices[ours, (corner + 2) % 3]
        length = np.hypot(*(centre[ours] - centre[across[ours]]).T)
        length = np.rint(length * 1000).astype(np.int64)
        kept = inside[a] & inside[b] & (length > 0)
        rows.append(number[a[kept]])
        columns.append(number[b[kept]])
        lengths.append(length[kept])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(lengths)


def _circumcentres(corners: Floats) -> Floats:
    origin = corners[:, 0]
    b, c = corners[:, 1] - origin, corners[:, 2] - origin
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bb, cc = (b**2).sum(axis=1), (c**2).sum(axis=1)
    x = (c[:, 1] * bb - b[:, 1] * cc) / twice
    y = (b[:, 0] * cc - c[:, 0] * bb) / twice
    return origin + np.column_stack([x, y])


def _by_strips(spots: Floats) -> Ints:
    """An order in which units that follow each other are near, as files of parcels have it."""
    height = np.sqrt(UNIT_AREA_M2) * 8
    strip = (spots[:, 1] // height).astype(np.int64)
    return np.lexsort((np.where(strip % 2, -spots[:, 0], spots[:, 0]), strip))


def _households(spots: Floats, generator: np.random.Generator) -> Ints:
    n = len(spots)
    wave = spots / 700.0
    phase = generator.uniform(0, 2 * np.pi, 2)
    quarter = 1 + 0.4 * np.sin(wave[:, 0] + phase[0]) * np.sin(wave[:, 1] + phase[1])
    load = generator.lognormal(0, 0.85, n) * quarter
    load[generator.random(n) < EMPTY] = 0
    load *= MEAN_LOAD / load.mean()
    # what is above the largest goes back to all, once: the mean stays within a per cent
    load = np.minimum(load * (load.sum() / np.minimum(load, LARGEST_LOAD).sum()), LARGEST_LOAD)
    return np.rint(load).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.perf_counter()
    (graph,) = town(options.units, options.seed).communities
    seconds = time.perf_counter() - start
    degree = np.diff(graph.indptr)
    borders = np.percentile(graph.borders / 1000, [5, 50, 95]).round(1)
    filled = graph.loads[graph.loads > 0]
    print(f"{graph.name}: {len(graph):,} units in {seconds:.1f} s")
    print(f"  neighbours a unit: mean {degree.mean():.2f}, most {degree.max()}")
    print(f"  borders, m: {borders[0]} / {borders[1]} / {borders[2]} (5, 50, 95 %)")
    print(f"  households: {graph.total:,}, mean {graph.loads.mean():.2f}, "
          f"{(graph.loads == 0).mean():.1%} empty, median of the rest {np.median(filled):.0f}, "
          f"largest {graph.loads.max()}")  # fmt: skip
    print(f"  grids wanted: {graph.wanted():,}")


if __name__ == "__main__":
    main()
