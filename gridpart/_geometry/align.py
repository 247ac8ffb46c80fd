"""Places where borders almost fit: near-miss vertices and T-junctions; and how to mend these.

Works on arrays of polygons in any unit of length; what a place means for the caller is decided in
``units`` and ``coverage``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from gridpart._geometry.distinct import among, distinct
from gridpart._geometry.segments import (
    Bools,
    Corners,
    Floats,
    Ints,
    Objects,
    blocks,
    corners_of,
    exact_keys,
    group,
    hash_points,
    outline_of,
    points_on,
    unique_points,
)

MENDING_ROUNDS = 4
MULTIPOLYGON = 6


@dataclass(frozen=True, eq=False, repr=False)
class Misaligned:
    """Where the borders of a coverage almost fit.

    Parameters
    ----------
    near_xy : float array of shape (k, 2, 2)
        Pairs of vertices of different units, closer than the tolerance but not identical.
    near_units : int64 array of shape (k, 2)
        A unit that each of the two belongs to, by position.
    near_gap : float array of length k
        How far the two are apart.
    junction_xy : float array of shape (m, 2)
        T-junctions: vertices in the middle of an edge that lacks them.
    junction_units : int64 array of shape (m, 2)
        The unit whose edge it is, and one that owns the vertex, by position.
    """

    near_xy: Floats
    near_units: Ints
    near_gap: Floats
    junction_xy: Floats
    junction_units: Ints

    @property
    def n_near(self) -> int:
        """Number of near-miss pairs."""
        return len(self.near_gap)

    @property
    def n_junctions(self) -> int:
        """Number of T-junctions."""
        return len(self.junction_xy)

    def __repr__(self) -> str:
        return f"<Misaligned: {self.n_near} near-miss vertices, {self.n_junctions} T-junctions>"


def find_misaligned(geometries: Objects, *, tolerance: float = 0.001) -> Misaligned:
    """Report the places where the borders of a coverage almost fit.

    Parameters
    ----------
    geometries : object array of length n
        Polygons or MultiPolygons, none missing or empty.
    tolerance : float, default 0.001
        In the unit of the coordinates. Vertices count as a near miss up to this distance, a
        vertex as lying on an edge within it.

    Returns
    -------
    Misaligned
        Sorted by place, so independent of the order of rows.

    Notes
    -----
    Coordinates are compared bit by bit. Only segments that no other unit repeats exactly are
    looked at, so a clean coverage costs one sort.

    Examples
    --------
    >>> import shapely, numpy as np
    >>> tall, low, high = shapely.box(0, 0, 1, 2), shapely.box(1, 0, 2, 1), shapely.box(1, 1, 2, 2)
    >>> find_misaligned(np.array([tall, low, high]))
    <Misaligned: 0 near-miss vertices, 1 T-junctions>
    """
    return misaligned_in(loose_segments(corners_of(geometries)), tolerance)


def misaligned_in(loose: Loose, tolerance: float) -> Misaligned:
    """Report the places among segments that no other equals, see `find_misaligned`."""
    one, other = near_pairs(loose, tolerance)
    segment, point = junctions(loose, tolerance)
    xy = loose.xy
    order = np.lexsort((xy[other, 1], xy[other, 0], xy[one, 1], xy[one, 0]))
    one, other = one[order], other[order]
    order = np.lexsort((loose.unit[segment], xy[point, 1], xy[point, 0]))
    segment, point = segment[order], point[order]
    return Misaligned(
        near_xy=np.stack([xy[one], xy[other]], axis=1),
        near_units=np.column_stack([loose.owner[one], loose.owner[other]]),
        near_gap=np.hypot(*(xy[one] - xy[other]).T),
        junction_xy=xy[point],
        junction_units=np.column_stack([loose.unit[segment], loose.owner[point]]),
    )


def insert_junctions(geometries: Objects, tolerance: float) -> tuple[Objects, int]:
    """Insert the vertex of each T-junction in the edge that lacks it.

    Returns
    -------
    geometries : object array
        New where an edge got a vertex, the same objects elsewhere. Edges move by less than
        `tolerance`.
    count : int
        Vertices inserted.
    """
    geometries, count, _ = mend_junctions(geometries, tolerance)
    return geometries, count


def mend_junctions(geometries: Objects, tolerance: float) -> tuple[Objects, int, Loose]:
    """Insert junctions as `insert_junctions` does; also what is loose after that."""
    total = 0
    for turn in range(MENDING_ROUNDS + 1):
        corners = corners_of(geometries)
        loose = loose_segments(corners)
        if turn == MENDING_ROUNDS:
            break
        segment, point = junctions(loose, tolerance)
        if not len(segment):
            break
        mended = insert(corners, loose, segment, point)
        changed = distinct(loose.unit[segment])
        geometries = rebuild(geometries, mended, changed)
        total += len(segment)
    return geometries, total, loose


class Loose(NamedTuple):
    """Segments that occur once, and the points where they end."""

    corner: Ints  # where each segment starts
    start: Ints  # its ends, as positions in xy
    stop: Ints
    unit: Ints
    xy: Floats  # the points
    keys: Ints
    owners: csr_array  # points x units: which units have a corner there
    owner: Ints  # the lowest of them

    def owned(self, point: Ints, unit: Ints) -> Bools:
        """Whether each unit has a corner at each point."""
        width = np.int64(self.owners.shape[1])
        rows = np.repeat(np.arange(len(self.xy)), np.diff(self.owners.indptr))
        return among(point * width + unit, rows * width + self.owners.indices)


def loose_segments(corners: Corners) -> Loose:
    """Find the segments that no other equals, with the points where they end."""
    segments = outline_of(corners, exact_keys)
    order, first = group(segments)
    single = order[first[np.diff(np.append(first, len(order))) == 1]]
    single.sort()
    del order, first
    left, corner = segments.take(single), segments.start[single]
    del segments
    points, ends = unique_points(
        np.concatenate([left.ax, left.bx]), np.concatenate([left.ay, left.by])
    )
    start, stop = ends[: len(single)], ends[len(single) :]
    xy = np.empty((len(points), 2))
    xy[start], xy[stop] = corners.xy[corner], corners.xy[corner + 1]
    owners = _owners(corners, points)
    owner = owners.indices[owners.indptr[:-1]].astype(np.int64)
    return Loose(corner, start, stop, left.unit, xy, points, owners, owner)


def _owners(corners: Corners, points: Ints) -> csr_array:
    at = locate(points, corners.xy)
    known = np.flatnonzero(at >= 0)
    unit = corners.unit_at(known)
    shape = (len(points), int(corners.unit_of_part.max(initial=0)) + 1)
    owners = csr_array((np.ones(len(known), dtype=np.int64), (at[known], unit)), shape=shape)
    owners.sum_duplicates()
    owners.data[:] = 1
    return owners


def locate(points: Ints, xy: Floats) -> Ints:
    """Position of each of many coordinates among distinct points, or -1."""
    if not len(points):
        return np.full(len(xy), -1, dtype=np.int64)
    mine = hash_points(points[:, 0], points[:, 1])
    order = np.argsort(mine)
    mine = mine[order]
    if (mine[1:] == mine[:-1]).any():  # two points of one hash: next to never
        return _locate_exactly(points, exact_keys(xy))
    result = np.empty(len(xy), dtype=np.int64)
    for block in blocks(len(xy)):
        keys = exact_keys(xy[block])
        theirs = hash_points(keys[:, 0], keys[:, 1])
        at = order[np.minimum(np.searchsorted(mine, theirs), len(mine) - 1)]
        result[block] = np.where((points[at] == keys).all(axis=1), at, -1)
    return result


def _locate_exactly(points: Ints, keys: Ints) -> Ints:
    both = np.concatenate([points, keys])
    distinct, which = unique_points(both[:, 0], both[:, 1])
    position = np.full(len(distinct), -1, dtype=np.int64)
    position[which[: len(points)]] = np.arange(len(points))
    return position[which[len(points) :]]


def near_pairs(loose: Loose, tolerance: float) -> tuple[Ints, Ints]:
    """Pairs of points within tolerance that no unit has both of."""
    if len(loose.xy) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    pairs = cKDTree(loose.xy).query_pairs(tolerance, output_type="ndarray").astype(np.int64)
    common = (loose.owners[pairs[:, 0]] * loose.owners[pairs[:, 1]]).sum(axis=1)
    one, other = pairs[common == 0].T
    turn = (loose.xy[one, 0] > loose.xy[other, 0]) | (
        (loose.xy[one, 0] == loose.xy[other, 0]) & (loose.xy[one, 1] > loose.xy[other, 1])
    )
    return np.where(turn, other, one), np.where(turn, one, other)


def junctions(loose: Loose, tolerance: float, *, own: bool = False) -> tuple[Ints, Ints]:
    """Pairs (segment, point) of points inside an edge; `own` admits corners of the same unit."""
    segment, point = points_on(loose.xy, loose.start, loose.stop, tolerance)
    kept = np.ones(len(segment), dtype=bool)
    for end in (loose.start, loose.stop):
        kept &= np.hypot(*(loose.xy[point] - loose.xy[end[segment]]).T) > tolerance
    if not own:
        kept &= ~loose.owned(point, loose.unit[segment])
    return segment[kept], point[kept]


def insert(corners: Corners, loose: Loose, segment: Ints, point: Ints) -> Corners:
    """Insert points in segments, in order along each."""
    base = loose.xy[loose.start[segment]]
    along = loose.xy[loose.stop[segment]] - base
    share = ((loose.xy[point] - base) * along).sum(axis=1) / (along**2).sum(axis=1)
    order = np.lexsort((share, segment))
    after = loose.corner[segment[order]] + 1
    return corners._replace(
        xy=np.insert(corners.xy, after, loose.xy[point[order]], axis=0),
        ring=np.insert(corners.ring, after, corners.ring[after - 1]),
    )


def rebuild(geometries: Objects, corners: Corners, units: Ints) -> Objects:
    """Make the polygons of some units anew from corners; a Polygon of one part stays one."""
    chosen = np.zeros(len(geometries), dtype=bool)
    chosen[units] = True
    part_chosen = chosen[corners.unit_of_part]
    ring_chosen = part_chosen[corners.part_of_ring]
    made = multipolygons(
        corners.xy[ring_chosen[corners.ring]],
        corners.ring[ring_chosen[corners.ring]],
        corners.part_of_ring[ring_chosen],
        corners.unit_of_part[part_chosen],
    )
    per_unit = np.bincount(corners.unit_of_part, minlength=len(geometries))[chosen]
    single = (per_unit == 1) & (shapely.get_type_id(geometries[chosen]) != MULTIPOLYGON)
    made[single] = shapely.get_geometry(made[single], 0)
    result = geometries.copy()
    result[chosen] = made
    return result


def multipolygons(xy: Floats, ring: Ints, part_of_ring: Ints, unit_of_part: Ints) -> Objects:
    """Make MultiPolygons of corners; the first ring of a part is its shell.

    The numbers of rings, parts and units ascend and may have gaps. Does what
    ``shapely.from_ragged_array`` does, which for MultiPolygons of several parts writes outside
    its memory in shapely 2.1.
    """

    def dense(numbers: Ints) -> Ints:
        return np.unique(numbers, return_inverse=True)[1].astype(np.int64)

    rings = shapely.linearrings(xy, indices=dense(ring))
    parts = shapely.polygons(rings, indices=dense(part_of_ring))
    return np.asarray(shapely.multipolygons(parts, indices=dense(unit_of_part)))
