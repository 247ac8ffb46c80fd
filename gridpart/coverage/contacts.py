"""Zones that touch at a point only: vertices that are shared, edges that are not.

Nearly every vertex of a layer is a bend between two zones or a corner of three, each two of which
share an edge that begins there. Those are recognised and left alone, so that only the rest is
compared in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridpart._geometry.distinct import distinct
from gridpart._geometry.segments import Corners, blocks, corners_of

__all__ = ["point_contacts"]

Geometries = NDArray[np.object_]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
# At vertices of more corners than this every two zones are compared in full.
FEW = 3
# Cells are numbered in 64 bits as long as there are no more of them.
MOST_CELLS = 2**62


def point_contacts(polygons: Geometries, tolerance: float) -> tuple[Integers, Floats]:
    """Pairs of polygons that share a vertex but no edge between two vertices.

    Parameters
    ----------
    polygons : (n,) array of Polygon or MultiPolygon
        Any of them may be empty.
    tolerance : float
        Metres; vertices in the same cell of a grid of this width are one.

    Returns
    -------
    pairs : (k, 2) array of int
        Positions, the lower first, in order.
    points : (k, 2) array of float
        A vertex that both have.
    """
    corners = corners_of(polygons)
    if not len(corners.xy):
        return np.empty((0, 2), np.int64), np.empty((0, 2))
    n = len(polygons)
    key = vertex_keys(corners.xy, tolerance)
    rows = np.sort(_doubtful(key, corners))
    _, where, which = np.unique(key[rows], return_index=True, return_inverse=True)
    meeting, at = _pairs_at(which.reshape(-1), corners.unit_at(rows), n)
    pairs, once, which = np.unique(meeting, return_index=True, return_inverse=True)
    beside = _edge_pairs(key, corners, distinct(np.concatenate(np.divmod(pairs, n))), n)
    lone = ~np.isin(pairs, beside, assume_unique=True)
    points = corners.xy[rows[where[at[once[lone]]]]]
    return np.stack(np.divmod(pairs[lone], n), axis=1), points


def vertex_keys(coords: Floats, tolerance: float) -> Integers:
    """Number the cells of a `tolerance` grid that vertices lie in, by x and then y."""
    low = coords.min(axis=0)
    wide, high = np.round((coords.max(axis=0) - low) / tolerance) + 1
    if wide * high > MOST_CELLS:
        cells = np.round((coords - low) / tolerance)
        return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    key = np.empty(len(coords), dtype=np.int64)
    for block in blocks(len(coords)):
        cell = np.round((coords[block] - low) / tolerance).astype(np.int64)
        key[block] = cell[:, 0] * np.int64(high) + cell[:, 1]
    return key


def _doubtful(key: Integers, corners: Corners) -> Integers:
    """Corners at the vertices where two zones may meet without sharing an edge from there."""
    # the last corner of a ring is its first again
    closing = np.append(corners.ring[1:] != corners.ring[:-1], True)
    last = np.zeros(corners.ring[-1] + 1, dtype=np.int64)
    last[corners.ring[closing]] = np.flatnonzero(closing)
    order = np.argsort(key)
    order = order[~closing[order]]
    start = np.flatnonzero(_changes(key, order))
    size = np.diff(np.append(start, len(order)))
    found = [order[:0]]
    for count in range(2, FEW + 1):
        here = start[size == count]
        for block in blocks(len(here)):
            met = order[here[block, None] + np.arange(count)]
            found.append(met[~_all_share_edges(key, corners, last, met)].ravel())
    many = size > FEW
    found.append(order[np.repeat(many, size)])
    return np.concatenate(found)


def _changes(key: Integers, order: Integers) -> NDArray[np.bool_]:
    """Whether each corner of an order has another key than the one before."""
    new = np.ones(len(order), dtype=bool)
    for block in blocks(len(order) - 1):
        here = key[order[block.start : block.stop + 1]]
        new[block.start + 1 : block.stop + 1] = here[1:] != here[:-1]
    return new


def _all_share_edges(
    key: Integers, corners: Corners, last: Integers, met: Integers
) -> NDArray[np.bool_]:
    """Whether each two zones of the corners in a row of `met` share an edge from there."""
    after = key[met + 1]
    first = np.ones(met.shape, dtype=bool)
    inner = met > 0
    ring = corners.ring[met]
    first[inner] = corners.ring[met[inner] - 1] != ring[inner]
    before = key[np.where(first, last[ring], met) - 1]
    unit = corners.unit_of_part[corners.part_of_ring[ring]]
    own = key[met]
    result = ((after != own) & (before != own)).all(axis=1)  # an edge within a cell is none
    for a, b in zip(*np.triu_indices(met.shape[1], 1), strict=True):
        shared = (after[:, a] == before[:, b]) | (before[:, a] == after[:, b])
        shared |= (after[:, a] == after[:, b]) | (before[:, a] == before[:, b])
        result &= shared | (unit[:, a] == unit[:, b])
    return result


def _pairs_at(vertex: Integers, zone: Integers, n: int) -> tuple[Integers, Integers]:
    """Every pair of zones that meet at a vertex, as ``low * n + high``, and the vertex."""
    incidence = distinct(vertex * n + zone)
    vertex, owner = np.divmod(incidence, n)
    start = np.flatnonzero(np.r_[True, vertex[1:] != vertex[:-1]]) if len(vertex) else vertex
    size = np.diff(np.r_[start, len(vertex)])
    pairs, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for count in distinct(size[size > 1]):
        first = start[size == count]
        members = owner[first[:, None] + np.arange(count)]
        a, b = np.triu_indices(int(count), 1)
        pairs.append((members[:, a] * n + members[:, b]).ravel())
        places.append(np.repeat(vertex[first], len(a)))
    return np.concatenate(pairs), np.concatenate(places)


def _edge_pairs(key: Integers, corners: Corners, zones: Integers, n: int) -> Integers:
    """Pairs among some zones that share a whole edge, as ``low * n + high``."""
    chosen = np.zeros(n, dtype=bool)
    chosen[zones] = True
    chosen = chosen[corners.unit_of_part[corners.part_of_ring]]
    start = np.flatnonzero(chosen[corners.ring[:-1]] & (corners.ring[1:] == corners.ring[:-1]))
    names, ends = np.unique(np.stack([key[start], key[start + 1]]), return_inverse=True)
    ends = np.sort(ends.reshape(2, -1), axis=0)
    real = ends[0] != ends[1]
    edge = np.unique((ends[0] * len(names) + ends[1])[real], return_inverse=True)[1]
    return distinct(_pairs_at(edge.reshape(-1), corners.unit_at(start[real]), n)[0])
