"""Where the borders of two zones nearly match, but not exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gridpart._geometry.distinct import among, distinct
from gridpart._geometry.segments import unique_points
from gridpart.coverage.territory import Cover, groups_of

__all__ = ["NearMisses", "near_misses"]

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
# A vertex that is not farther from another zone's edge lies on it but for rounding.
ON_EDGE_M = 1e-6


@dataclass(frozen=True)
class NearMisses:
    """Places at which two zones nearly share a vertex or an edge.

    Parameters
    ----------
    points : (k, 2) array of float
        One vertex of each place.
    zones : (m,) array of int
        Zones concerned, ascending.
    """

    points: Floats
    zones: Integers


def near_misses(cover: Cover, width: float) -> NearMisses:
    """Find vertices of one zone that are beside a vertex or an edge of another, not on it.

    Parameters
    ----------
    cover : Cover
        The zones.
    width : float
        Metres within which they are beside each other.

    Notes
    -----
    Only zones with an edge that does not match its neighbours exactly can have such vertices. A
    vertex that lies on the middle of another zone's edge is none: the two borders are the same.
    """
    rows = np.flatnonzero(cover.unmatched(width))
    coords, zone = shapely.get_coordinates(cover.polygons[rows], return_index=True)
    if not len(coords):
        return NearMisses(np.empty((0, 2)), np.empty(0, np.int64))
    points, key = unique_points(*coords.T)
    owned = distinct(key * len(rows) + zone)  # vertex, zone
    pairs, zones_a = _beside_vertices(points, owned, len(rows), width)
    lone, zones_b = _beside_edges(cover, rows, points, owned, width, distinct(pairs))
    label = groups_of(len(points), pairs[:, 0], pairs[:, 1])
    missed = distinct(pairs)
    _, first = np.unique(label[missed], return_index=True)
    places = points[np.concatenate([missed[first], lone])]
    return NearMisses(places, rows[distinct(np.concatenate([zones_a, zones_b]))])


def _beside_vertices(
    points: Floats, owned: Integers, n: int, width: float
) -> tuple[Integers, Integers]:
    """Pairs of distinct vertices of two zones, neither of which has both; and those zones."""
    pairs = cKDTree(points).query_pairs(width, output_type="ndarray").astype(np.int64)
    vertex, zone = np.divmod(owned, n)
    start = np.searchsorted(vertex, np.arange(len(points) + 1))
    count = np.diff(start)
    first, second = pairs[:, 0], pairs[:, 1]
    # every owner of the first with every owner of the second
    size = count[first] * count[second]
    pair = np.repeat(np.arange(len(pairs)), size)
    turn = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    a = zone[start[first[pair]] + turn // count[second[pair]]]
    b = zone[start[second[pair]] + turn % count[second[pair]]]
    apart = (a != b) & ~among(second[pair] * n + a, owned) & ~among(first[pair] * n + b, owned)
    return pairs[distinct(pair[apart])], distinct(np.concatenate([a[apart], b[apart]]))


def _beside_edges(
    cover: Cover, rows: Integers, points: Floats, owned: Integers, width: float, told: Integers
) -> tuple[Integers, Integers]:
    """Vertices beside an edge of another zone that has no vertex near; and the two zones."""
    n = len(rows)
    untold = np.ones(len(points), dtype=bool)
    untold[told] = False
    rest = np.flatnonzero(untold)
    rings = shapely.boundary(cover.polygons[rows])
    lines, of_zone = shapely.get_parts(rings, return_index=True)
    coords, of_line = shapely.get_coordinates(lines, return_index=True)
    inner = np.flatnonzero(of_line[1:] == of_line[:-1])
    edges = shapely.linestrings(np.stack([coords[inner], coords[inner + 1]], axis=1))
    spots = shapely.points(points[rest])
    spot, edge = shapely.STRtree(edges).query(spots, predicate="dwithin", distance=width)
    zone = of_zone[of_line[inner[edge]]].astype(np.int64)
    vertex = rest[spot]
    off = shapely.distance(spots[spot], edges[edge]) > ON_EDGE_M
    # another zone's edge; not one of which the zone has the vertex itself
    lonely = off & ~among(vertex * n + zone, owned)
    # on one edge, beside the next: at a corner it is both
    touching = vertex[~off] * n + zone[~off]
    lonely &= ~among(vertex * n + zone, touching)
    vertex, zone = vertex[lonely], zone[lonely]
    owners, owner_zone = np.divmod(owned, n)
    own = owner_zone[among(owners, vertex)]
    return distinct(vertex), distinct(np.concatenate([zone, own]))
