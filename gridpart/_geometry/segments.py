"""Array kernels that match border segments: rings in, pairs of units and integers out.

Nothing here knows a frame or a CRS. Points are compared as integer keys, either whole micrometres
(:func:`micro_keys`) or the very bits of the coordinates (:func:`exact_keys`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree

from gridpart._geometry.distinct import distinct

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
Numbers = TypeVar("Numbers", Ints, Floats)

CELL_BITS = 6  # 64 x 64 cells
BLOCK = 1 << 13  # segments, or units, that are worked on at a time
POLYGON = 3  # shapely's type id
MICRO = 1e6  # coordinates and lengths are whole micrometres while borders are matched
# No CRS puts a place on earth farther from its origin: the girth of the earth is 4e7 m, a zone
# number in front of an easting makes it 1.2e8. From 1e150 on, squares of distances overflow.
FARTHEST = 1e9


class Segments(NamedTuple):
    """Border segments: two ends as keys that are equal where points are, and whose they are."""

    ax: Ints
    ay: Ints
    bx: Ints
    by: Ints
    unit: Ints

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.unit)

    def take(self, at: Ints | Bools | slice) -> Segments:
        """The segments at some positions."""
        return Segments(*(array[at] for array in self))


class Outline(NamedTuple):
    """Border segments that are read from the corners when they are asked for.

    All of them at once would need several times the memory of the corners, and nobody looks at
    more than a block of them at a time.
    """

    corners: Corners
    keys: Callable[[Floats], Ints]
    start: Ints  # the corner where each starts

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.start)

    def take(self, at: Ints | Bools | slice) -> Segments:
        """The segments at some positions."""
        start = self.start[at]
        points = self.corners.xy.view(np.complex128)[:, 0]  # one look-up for both coordinates
        a, b = (self.keys(points[ends, None].view(np.float64)) for ends in (start, start + 1))
        return Segments(a[:, 0], a[:, 1], b[:, 0], b[:, 1], self.corners.unit_at(start))


class Corners(NamedTuple):
    """Every vertex of every ring, the closing one included; the first ring of a part is its shell.

    `ring` numbers the rings without gaps, `part_of_ring` and `unit_of_part` lead to the unit.
    """

    xy: Floats
    ring: Ints
    part_of_ring: Ints
    unit_of_part: Ints

    @property
    def unit(self) -> Ints:
        """The unit of each corner."""
        return self.unit_of_part[self.part_of_ring][self.ring]

    def unit_at(self, corner: Ints) -> Ints:
        """The unit of some corners."""
        return self.unit_of_part[self.part_of_ring[self.ring[corner]]]


def corners_of(geometries: Objects) -> Corners:
    """Cut polygons into parts, rings and vertices; a Z is left behind."""
    xy = shapely.get_coordinates(geometries)
    parts = np.ones(len(geometries), dtype=np.int64)
    rings = np.ones(len(geometries), dtype=np.int64)
    size = shapely.get_num_coordinates(geometries).astype(np.int64)
    # Most units are one ring, which need not be cut out to know its vertices.
    plain = (shapely.get_type_id(geometries) == POLYGON) & (size > 0)
    plain &= shapely.get_num_interior_rings(geometries) == 0
    other = np.flatnonzero(~plain)
    cut, unit_of_cut = shapely.get_parts(geometries[other], return_index=True)
    ring, part_of_ring = shapely.get_rings(cut, return_index=True)
    parts[other] = np.bincount(unit_of_cut, minlength=len(other))
    rings[other] = np.bincount(unit_of_cut[part_of_ring], minlength=len(other))
    unit_of_part = np.repeat(np.arange(len(geometries), dtype=np.int64), parts)
    unit_of_ring = np.repeat(np.arange(len(geometries), dtype=np.int64), rings)
    size_of_ring = size[unit_of_ring]
    size_of_ring[~plain[unit_of_ring]] = shapely.get_num_coordinates(ring)
    rings_of_part = np.ones(len(unit_of_part), dtype=np.int64)
    rings_of_part[~plain[unit_of_part]] = np.bincount(part_of_ring, minlength=len(cut))
    return Corners(
        xy,
        np.repeat(np.arange(len(unit_of_ring), dtype=np.int64), size_of_ring),
        np.repeat(np.arange(len(unit_of_part), dtype=np.int64), rings_of_part),
        unit_of_part,
    )


def finite(geometries: Objects) -> Bools:
    """Whether all x and y of each geometry are numbers that a place on earth can have.

    Neither NaN, which hides from the bounds, nor infinite, nor farther than `FARTHEST` from the
    origin, whatever the unit: such numbers are garbage, and distances between them overflow.
    """
    result = np.ones(len(geometries), dtype=bool)
    for block in blocks(len(geometries)):
        xy, owner = shapely.get_coordinates(geometries[block], return_index=True)
        near = np.abs(xy) <= FARTHEST  # false for NaN
        result[block.start + owner[~near.all(axis=1)]] = False
    return result


def micro_keys(xy: Floats) -> Ints:
    """Coordinates in whole micrometres."""
    return np.rint(xy * MICRO).astype(np.int64)


def exact_keys(xy: Floats) -> Ints:
    """The bits of the coordinates, equal where the numbers are (0.0 and -0.0 are)."""
    return (xy + 0.0).view(np.int64)


def outline_of(corners: Corners, keys: Callable[[Floats], Ints]) -> Outline:
    """Segments of non-zero length; `keys` turns coordinates into integers."""
    whole = corners.ring[1:] == corners.ring[:-1]
    for block in blocks(len(whole)):
        ends = keys(corners.xy[block.start : block.stop + 1])
        whole[block] &= (ends[1:] != ends[:-1]).any(axis=1)
    return Outline(corners, keys, np.flatnonzero(whole))


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Cut positions into runs, for work whose scratch space should not grow with the data."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def shared_borders(geometries: Objects, tolerance: float) -> tuple[csr_array, Ints, int]:
    """Shared micrometres per pair, unshared ones per unit, crowded pieces of border."""
    n = len(geometries)
    segments = outline_of(corners_of(geometries), micro_keys)
    first = match(segments)
    second = match(node(segments.take(first.loose), tolerance))
    del segments
    left = second.segments.take(second.loose)
    exterior = np.zeros(n, dtype=np.int64)
    np.add.at(exterior, left.unit, _micrometres(left))
    pairs = [np.concatenate(both) for both in zip(first.pairs, second.pairs, strict=True)]
    return _sum_pairs(n, *pairs), exterior, first.crowded + second.crowded


def _sum_pairs(n: int, one: Ints, other: Ints, micrometres: Ints) -> csr_array:
    """Sum the pieces of each pair, in both directions; integers, so in any order."""
    matrix = csr_array(coo_array((micrometres, (one, other)), shape=(n, n), dtype=np.int64))
    matrix.sum_duplicates()
    return csr_array(matrix + matrix.T)


# ------------------------------------------------------------------------------------------
# Kernels: match equal segments
# ------------------------------------------------------------------------------------------


class Matched(NamedTuple):
    segments: Segments | Outline
    loose: Ints  # positions of segments that occur once
    pairs: tuple[Ints, Ints, Ints]  # unit, unit, micrometres
    crowded: int  # segments that belong to three or more units


def match(segments: Segments | Outline) -> Matched:
    """Pair the units of equal segments."""
    order, start = group(segments)
    size = np.diff(np.append(start, len(order)))
    loose = order[start[size == 1]]
    twice = start[size == 2]
    crowd, crowd_other, crowded = _crowds(segments, order, start, size)
    one, other = (
        np.concatenate(both) for both in ((order[twice], crowd), (order[twice + 1], crowd_other))
    )
    none = np.zeros(0, dtype=np.int64)
    pairs = [(none, none, none)]
    for block in blocks(len(one)):
        here, there = segments.take(one[block]), segments.take(other[block]).unit
        apart = here.unit != there  # not two parts of one unit
        pairs.append((here.unit[apart], there[apart], _micrometres(here)[apart]))
    units, others, lengths = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return Matched(segments, loose, (units, others, lengths), crowded)


def _crowds(
    segments: Segments | Outline, order: Ints, start: Ints, size: Ints
) -> tuple[Ints, Ints, int]:
    """Pairs of segments of different units where one segment occurs three times or more."""
    many = np.flatnonzero(size > 2)
    group = np.repeat(many, size[many])
    within = np.arange(len(group)) - np.repeat(np.cumsum(size[many]) - size[many], size[many])
    member = order[start[group] + within]
    unit = segments.take(member).unit
    by_unit = np.lexsort((unit, group))
    member, group, unit = member[by_unit], group[by_unit], unit[by_unit]
    fresh = np.ones(len(member), dtype=bool)
    fresh[1:] = (unit[1:] != unit[:-1]) | (group[1:] != group[:-1])
    member, group = member[fresh], group[fresh]
    one, other = [member[:0]], [member[:0]]
    step = 1
    while (together := group[step:] == group[:-step]).any():
        one.append(member[:-step][together])
        other.append(member[step:][together])
        step += 1
    crowded = int((np.bincount(group) > 2).sum()) if len(group) else 0
    return np.concatenate(one), np.concatenate(other), crowded


def group(segments: Segments | Outline) -> tuple[Ints, Ints]:
    """Order that puts equal segments side by side, and where each group begins."""
    ends = np.empty(segments.size, dtype=np.uint64)
    scale = _scale(segments)
    for block in blocks(segments.size):
        here = segments.take(block)
        hashes = hash_points(here.ax, here.ay) + hash_points(here.bx, here.by)
        # by cell first: what is compared and looked up next then lies near in memory
        ends[block] = (hashes >> np.uint64(2 * CELL_BITS)) | _cells(here, scale)
    order = np.argsort(ends).astype(np.int64, copy=False)
    ends = ends[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = ends[1:] != ends[:-1]
    del ends
    again = np.flatnonzero(~new)
    for block in blocks(len(again)):
        one, other = order[again[block] - 1], order[again[block]]
        if not _equal(segments.take(one), segments.take(other)).all():
            # two unequal segments of one hash: next to never
            return _group_exactly(segments.take(slice(None)))
    return order, np.flatnonzero(new)


def _scale(segments: Segments | Outline) -> tuple[int, int]:
    """Bits to drop from positions so that a sample of them spreads over the cells of a side."""
    if not segments.size:
        return 0, 0
    sample = segments.take(slice(None, None, max(segments.size // 1024, 1)))
    wide, high = (int(np.ptp(ends >> 1)).bit_length() for ends in (sample.ax, sample.ay))
    return max(wide - CELL_BITS, 0), max(high - CELL_BITS, 0)


def _cells(segments: Segments, scale: tuple[int, int]) -> npt.NDArray[np.uint64]:
    """Cell of each segment's middle in the highest bits; far away, cells repeat."""
    x = ((segments.ax >> 1) + (segments.bx >> 1)) >> scale[0]
    y = ((segments.ay >> 1) + (segments.by >> 1)) >> scale[1]
    side = (1 << CELL_BITS) - 1
    cell = ((x & side) << CELL_BITS) | (y & side)
    return cell.view(np.uint64) << np.uint64(64 - 2 * CELL_BITS)


def _equal(one: Segments, other: Segments) -> Bools:
    same = (one.ax == other.ax) & (one.ay == other.ay) & (one.bx == other.bx)
    same &= one.by == other.by
    turned = (one.ax == other.bx) & (one.ay == other.by) & (one.bx == other.ax)
    turned &= one.by == other.ay
    return same | turned


def _group_exactly(segments: Segments) -> tuple[Ints, Ints]:
    turn = (segments.ax > segments.bx) | (
        (segments.ax == segments.bx) & (segments.ay > segments.by)
    )
    columns = [
        np.where(turn, b, a)
        for a, b in (
            (segments.ax, segments.bx),
            (segments.ay, segments.by),
            (segments.bx, segments.ax),
            (segments.by, segments.ay),
        )
    ]
    order = np.lexsort(columns).astype(np.int64, copy=False)
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([column[order[1:]] != column[order[:-1]] for column in columns], axis=0)
    return order, np.flatnonzero(new)


def hash_points(x: Ints, y: Ints) -> npt.NDArray[np.uint64]:
    """Spread points over 64 bits; the finalizer is that of splitmix64 (Steele et al. 2014)."""
    mixed = x.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed += y.view(np.uint64)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _micrometres(segments: Segments) -> Ints:
    length = np.hypot(segments.ax - segments.bx, segments.ay - segments.by)
    return np.rint(length).astype(np.int64)


# ------------------------------------------------------------------------------------------
# Kernels: node what did not match
# ------------------------------------------------------------------------------------------


def node(segments: Segments, tolerance: float) -> Segments:
    """Unify ends within tolerance and cut segments where ends of others lie on them."""
    points, ends = unique_points(
        np.concatenate([segments.ax, segments.bx]), np.concatenate([segments.ay, segments.by])
    )
    xy = points / MICRO
    ends = unify(xy, points, tolerance)[ends]
    start, stop = ends[: len(segments.unit)], ends[len(segments.unit) :]
    kept = start != stop
    start, stop, unit = start[kept], stop[kept], segments.unit[kept]
    segment, point = points_on(xy, start, stop, tolerance)
    start, stop, whole = cut(xy, start, stop, segment, point)
    x, y = points[:, 0], points[:, 1]
    return Segments(x[start], y[start], x[stop], y[stop], unit[whole])


def unique_points(x: Numbers, y: Numbers) -> tuple[Numbers, Ints]:
    """Distinct points in lexicographic order, and which of them each given one is."""
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    which = np.empty(len(order), dtype=np.int64)
    which[order] = np.cumsum(new) - 1
    return np.column_stack([x[new], y[new]]), which


def unify(xy: Floats, keys: Ints, tolerance: float) -> Ints:
    """Choose for each point the one that stands for it: itself, or one within tolerance.

    Those that stand for others are farther than `tolerance` from each other, so a chain of close
    points does not melt into one. Which they are depends on the coordinates alone.

    Parameters
    ----------
    xy : float array of shape (n, 2)
        Distinct points, metres.
    keys : int64 array of shape (n, 2)
        The same as integers; their hash ranks the points.
    tolerance : float
        Metres.

    Returns
    -------
    int64 array of length n
        Positions.

    Notes
    -----
    The maximal independent set of Luby (1986), with priorities from a hash: a few rounds.
    """
    chosen = np.arange(len(xy), dtype=np.int64)
    if len(xy) < 2:
        return chosen
    pairs = cKDTree(xy).query_pairs(tolerance, output_type="ndarray").astype(np.int64)
    if not len(pairs):
        return chosen
    one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
    rank = np.empty(len(xy), dtype=np.int64)
    rank[np.argsort(hash_points(keys[:, 0].copy(), keys[:, 1].copy()), kind="stable")] = chosen
    stands = _independent(len(xy), one, other, rank)
    led = stands[one] & ~stands[other]
    leader, follower = one[led], other[led]
    far = np.hypot(*(xy[leader] - xy[follower]).T)
    order = np.lexsort((rank[leader], far, follower))
    follower, first = np.unique(follower[order], return_index=True)
    chosen[follower] = leader[order][first]
    return chosen


def _independent(n: int, one: Ints, other: Ints, rank: Ints) -> Bools:
    """A maximal set of nodes without an edge among them, lowest ranks first."""
    chosen = np.zeros(n, dtype=bool)
    open_ = np.ones(n, dtype=bool)
    while open_.any():
        live = open_[one] & open_[other]
        one, other = one[live], other[live]
        lowest = np.full(n, n, dtype=np.int64)
        np.minimum.at(lowest, one, rank[other])
        winners = open_ & (rank < lowest)
        chosen |= winners
        open_ &= ~winners
        open_[other[winners[one]]] = False
    return chosen


def points_on(xy: Floats, start: Ints, stop: Ints, tolerance: float) -> tuple[Ints, Ints]:
    """Pairs (segment, point) where an end of another segment lies within a segment.

    Parameters
    ----------
    xy : float array of shape (p, 2)
        Points, metres.
    start, stop : int64 arrays of length s
        The ends of each segment, as positions in `xy`.
    tolerance : float
        How far a point may be from the segment, metres.

    Returns
    -------
    segment, point : int64 arrays of equal length
    """
    used = distinct(np.concatenate([start, stop]))
    if not len(used):
        return used, used
    lines = shapely.linestrings(np.stack([xy[start], xy[stop]], axis=1))
    tree = shapely.STRtree(shapely.points(xy[used]))
    segment, at = tree.query(lines, predicate="dwithin", distance=tolerance)
    point = used[at]
    inner = (point != start[segment]) & (point != stop[segment])
    return segment[inner].astype(np.int64), point[inner]


def cut(xy: Floats, start: Ints, stop: Ints, segment: Ints, point: Ints) -> tuple[Ints, Ints, Ints]:
    """Cut segments at points.

    Returns
    -------
    start, stop, whole : int64 arrays
        The ends of the pieces and the segment each is a piece of, in order along it.
    """
    base, along = xy[start[segment]], xy[stop[segment]] - xy[start[segment]]
    share = ((xy[point] - base) * along).sum(axis=1) / (along**2).sum(axis=1)
    count = len(start)
    whole = np.concatenate([np.arange(count), segment, np.arange(count)])
    where = np.concatenate([np.full(count, -np.inf), share, np.full(count, np.inf)])
    vertex = np.concatenate([start, point, stop])
    order = np.lexsort((vertex, where, whole))
    whole, vertex = whole[order], vertex[order]
    joined = whole[1:] == whole[:-1]
    return vertex[:-1][joined], vertex[1:][joined], whole[:-1][joined]
