"""The ground a zone layer covers: gaps, holes, overlaps, spill and parts, as geometry.

Everything here works on an array of valid polygons in a projected CRS in metres. Pieces whose
width is within the tolerance are what floating point and reprojection leave behind between
borders that are meant to be the same; they are not defects. Width is judged by whether anything
is left when a piece shrinks by half the tolerance on each side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridpart._geometry.distinct import distinct, distinct_pairs
from gridpart.coverage.contacts import point_contacts

__all__ = ["Cover", "Overlaps", "groups_of", "polygonal", "true_pieces", "united"]

Geometries = NDArray[np.object_]
Integers = NDArray[np.int64]
# Area (m2) below which an intersection of two zones is what rounding leaves of a shared border.
OVERLAP_NOISE_M2 = 0.001
FINE_GRID_M = 1e-8
# Zones that are united at a time.
BLOCK_ZONES = 1024
EMPTY = shapely.Polygon()


def polygonal(geometries: Any) -> Geometries:
    """Keep only the polygons of each geometry; what has none becomes an empty polygon."""
    geometries = np.asarray(geometries, dtype=object)
    kinds = shapely.get_type_id(geometries)
    result = geometries.copy()
    for row in np.flatnonzero(kinds == 7):
        parts = shapely.get_parts(geometries[row])
        result[row] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    result[~np.isin(shapely.get_type_id(result), (3, 6))] = EMPTY
    return result


def true_pieces(geometry: Any, tolerance: float) -> Geometries:
    """Connected polygons of `geometry` that are wider than `tolerance` somewhere."""
    parts = shapely.get_parts(polygonal(np.atleast_1d(np.asarray(geometry, dtype=object))))
    return parts[is_wide(parts, tolerance)]


def is_wide(parts: Geometries, tolerance: float) -> NDArray[np.bool_]:
    """Whether each polygon is wider than `tolerance` somewhere."""
    area, outline = shapely.area(parts), shapely.length(parts)
    # Twice the area over the outline is the mean width of a thin piece, and never more than the
    # greatest width of any: only the rest needs the costly test.
    wide = 2 * area > tolerance * np.maximum(outline, 1e-300)
    unsure = np.flatnonzero(~wide & (area > 0))
    wide[unsure] = ~shapely.is_empty(shapely.buffer(parts[unsure], -tolerance / 2))
    return wide


def united(polygons: Geometries) -> Any:
    """The ground of zones that match each other exactly, as one geometry.

    Zones are united in blocks that lie together, then the blocks: the borders inside a block are
    gone before the next one is begun, which takes a tenth of the memory and less time.
    """
    polygons = polygons[~shapely.is_empty(polygons)]
    n = len(polygons)
    if not n:
        return EMPTY
    sides = math.isqrt(n // BLOCK_ZONES)
    if sides < 2:
        return shapely.coverage_union_all(polygons)
    west, south, _, _ = shapely.bounds(polygons).T
    strip = np.empty(n, dtype=np.int64)
    strip[np.argsort(west, kind="stable")] = np.arange(n) * sides // n
    blocks = np.array_split(np.lexsort((south, strip)), sides**2)
    return shapely.coverage_union_all([shapely.coverage_union_all(polygons[at]) for at in blocks])


def groups_of(n: int, first: Integers, second: Integers) -> Integers:
    """Label the connected components of the graph on `n` nodes with the given edges."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _grouped(labels: Integers) -> list[Integers]:
    """Positions of each distinct label, ascending, by label."""
    order = np.argsort(labels, kind="stable")
    if not len(order):
        return []
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


@dataclass(frozen=True)
class Overlaps:
    """Pairs of zones that share ground: positions, the shared ground, and its area in m2."""

    first: Integers
    second: Integers
    shape: Geometries
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def select(self, mask: NDArray[np.bool_] | Integers) -> Overlaps:
        """Return the pairs where `mask` is true, or at some positions."""
        return Overlaps(self.first[mask], self.second[mask], self.shape[mask], self.area[mask])


class Cover:
    """Zones as a whole: who may clash with whom, their union, and what is wrong with it.

    Parameters
    ----------
    polygons : (n,) array of valid Polygon or MultiPolygon
        Empty where a zone has no usable shape.
    tolerance : float
        Width in metres up to which a piece is noise.
    overlap_m2 : float
        Area up to which ground that two zones share is noise.
    """

    def __init__(
        self, polygons: Geometries, tolerance: float, overlap_m2: float = OVERLAP_NOISE_M2
    ) -> None:
        self.polygons = polygons
        self.tolerance = tolerance
        self.overlap_m2 = overlap_m2

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Search tree over the polygons."""
        return shapely.STRtree(self.polygons)

    @cached_property
    def suspect(self) -> NDArray[np.bool_]:
        """Zones with an edge that its neighbours' edges do not match exactly.

        Two zones overlap only if at least one of them is suspect, so a clean coverage needs no
        pairwise work. Zones with a T-junction, or a crack within the tolerance, are suspect, too.
        """
        return self._unmatched(self.tolerance)

    def unmatched(self, width: float) -> NDArray[np.bool_]:
        """Zones with an edge that does not match, or beside a crack of at most `width` metres."""
        return self.suspect if width <= self.tolerance else self._unmatched(width)

    def _unmatched(self, width: float) -> NDArray[np.bool_]:
        present = np.flatnonzero(~shapely.is_empty(self.polygons))
        result = np.zeros(len(self.polygons), dtype=bool)
        edges = shapely.coverage_invalid_edges(self.polygons[present], gap_width=width)
        result[present] = ~shapely.is_empty(edges)
        return result

    @cached_property
    def union(self) -> Any:
        """All ground covered by at least one zone."""
        clean = united(self.polygons[~self.suspect])
        if not self.suspect.any():
            return clean
        return shapely.union_all([clean, *self.polygons[self.suspect]])

    @cached_property
    def pairs(self) -> Overlaps:
        """All pairs that share ground beyond noise."""
        rows = np.flatnonzero(self.suspect)
        left, right = self.tree.query(self.polygons[rows], predicate="intersects")
        left = rows[left]
        keep = left != right
        low, high = np.minimum(left, right)[keep], np.maximum(left, right)[keep]
        pairs = distinct_pairs(low.astype(np.int64), high.astype(np.int64))
        first, second = pairs[:, 0], pairs[:, 1]
        shared = polygonal(shapely.intersection(self.polygons[first], self.polygons[second]))
        area = shapely.area(shared)
        real = area > self.overlap_m2
        real[real] = [self._is_wide_somewhere(shape) for shape in shared[real]]
        return Overlaps(first[real], second[real], shared[real], area[real])

    def _is_wide_somewhere(self, shape: Any) -> bool:
        return bool(is_wide(shapely.get_parts(shape), self.tolerance).any())

    @cached_property
    def stacks(self) -> list[Integers]:
        """Groups of zones with the same shape."""
        pairs = self.pairs
        size = np.maximum(
            shapely.area(self.polygons[pairs.first]), shapely.area(self.polygons[pairs.second])
        )
        slack = self.tolerance * shapely.length(pairs.shape)
        same = pairs.select(size - pairs.area <= slack)
        labels = groups_of(len(self.polygons), same.first, same.second)
        rows = distinct(np.concatenate([same.first, same.second]))
        return [rows[here] for here in _grouped(labels[rows])]

    def many(self, least: float) -> Iterator[tuple[Integers, Any]]:
        """Yield the ground of at least `least` m2 that three or more zones share, by zones."""
        pairs = self.pairs
        if len(pairs) < 3:
            return
        tree = shapely.STRtree(pairs.shape)
        left, right = tree.query(pairs.shape, predicate="intersects")
        labels = groups_of(len(pairs), left, right)
        for here in _grouped(labels):
            if len(here) >= 3:
                yield from self._shared_faces(pairs.select(here), least)

    def _shared_faces(self, pairs: Overlaps, least: float) -> Iterator[tuple[Integers, Any]]:
        rows = np.unique(np.concatenate([pairs.first, pairs.second]))
        lines = shapely.union_all(shapely.boundary(pairs.shape))
        faces = shapely.get_parts(shapely.polygonize([lines]))
        points = shapely.point_on_surface(faces)
        inside = shapely.contains(self.polygons[rows][:, None], points[None, :])
        by_zones: dict[tuple[int, ...], list[Any]] = {}
        for face, column in zip(faces, inside.T, strict=True):
            if column.sum() >= 3:
                by_zones.setdefault(tuple(rows[column]), []).append(face)
        for zones, shapes in by_zones.items():
            shape = shapely.union_all(shapes)
            if shapely.area(shape) >= least and self._is_wide_somewhere(shape):
                yield np.array(zones, dtype=np.int64), shape

    def gaps(self, boundary: Any) -> Geometries:
        """Connected pieces of `boundary` that no zone covers."""
        pieces = true_pieces(shapely.difference(boundary, self.union), self.tolerance)
        return self._truly_bare(pieces)

    def _truly_bare(self, pieces: Geometries) -> Geometries:
        """Cut again, on a fine grid, the pieces of which a zone covers the middle all the same.

        Now and then a difference in floating point returns ground that it should have taken away.
        """
        spots = shapely.point_on_surface(pieces)
        wrong = distinct(self.tree.query(spots, predicate="within")[0])
        if not len(wrong):
            return pieces
        kept = np.delete(pieces, wrong)
        again = [
            shapely.difference(
                piece,
                shapely.union_all(self.polygons[np.sort(self.tree.query(piece, "intersects"))]),
                grid_size=FINE_GRID_M,
            )
            for piece in pieces[wrong]
        ]
        return np.concatenate([kept, true_pieces(again, self.tolerance)])

    def holes(self) -> Geometries:
        """Connected pieces of uncovered ground that zones enclose."""
        # A crack of no width between unmatched borders would open a hole to the outside.
        margin = self.tolerance / 2
        shell = shapely.buffer(self.union, margin, join_style="mitre")
        rings = [
            shapely.get_interior_ring(part, k)
            for part in shapely.get_parts(shell)
            for k in range(shapely.get_num_interior_rings(part))
        ]
        if not rings:
            return np.empty(0, dtype=object)
        filled = shapely.buffer(shapely.polygons(rings), margin, join_style="mitre")
        ground = shapely.difference(shapely.union_all(filled), self.union)
        return self._truly_bare(true_pieces(ground, self.tolerance))

    def spill(self, boundary: Any) -> tuple[Integers, Geometries]:
        """Zones that leave `boundary`, and the ground of each outside it."""
        outside = true_pieces(shapely.difference(self.union, boundary), self.tolerance)
        piece, zone = self.tree.query(outside, predicate="intersects")
        shapes = polygonal(shapely.intersection(outside[piece], self.polygons[zone]))
        rows = distinct(zone)
        filled = np.isin(rows, zone[shapely.area(shapes) > 0])
        whole = [
            shapely.union_all(shapes[here])
            for here, real in zip(_grouped(zone), filled, strict=True)
            if real
        ]
        rows = rows[filled]
        wide = np.array([self._is_wide_somewhere(shape) for shape in whole], dtype=bool)
        return rows[wide].astype(np.int64), np.array(whole, dtype=object)[wide]

    def parts(self) -> Iterator[tuple[int, Geometries]]:
        """Yield each zone in several parts, with the parts, the largest first."""
        for row in np.flatnonzero(shapely.get_num_geometries(self.polygons) > 1):
            shape = self._closed(self.polygons[row])
            parts = shapely.get_parts(shape)
            if len(parts) > 1:
                yield int(row), parts[np.argsort(-shapely.area(parts), kind="stable")]

    def _closed(self, shape: Any) -> Any:
        """Join parts along cracks within the tolerance, but not at points."""
        t = self.tolerance / 2
        joined = shapely.buffer(shape, t, join_style="mitre")
        parted = shapely.buffer(joined, -2 * t, join_style="mitre")
        if len(shapely.get_parts(parted)) == len(shapely.get_parts(shape)):
            return shape
        return shapely.buffer(parted, t, join_style="mitre")

    def point_contacts(self) -> tuple[Integers, NDArray[np.float64]]:
        """Pairs of zones that touch at a point only, (k, 2), and one such point each, (k, 2)."""
        pairs, points = point_contacts(self.polygons, self.tolerance)
        doubtful = self.suspect[pairs].any(axis=1)
        keep = np.ones(len(pairs), dtype=bool)
        keep[doubtful] = [self._touch_at_point(a, b) for a, b in pairs[doubtful]]
        return pairs[keep], points[keep]

    def _touch_at_point(self, first: int, second: int) -> bool:
        """Look closely at two zones whose borders do not match vertex by vertex."""
        a, b = self.polygons[first], self.polygons[second]
        line = shapely.intersection(shapely.boundary(a), shapely.buffer(b, self.tolerance))
        return bool(shapely.length(line) <= 10 * self.tolerance)
