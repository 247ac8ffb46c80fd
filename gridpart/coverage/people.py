"""Which zone each unit lies in, and by how much: the people an audit counts.

A unit belongs to the zone that holds most of its area. Units inside one zone are settled by a
prepared predicate; only the others are cut exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart._geometry.segments import blocks
from gridpart.coverage.territory import Cover, is_wide, polygonal

__all__ = ["MAJORITY", "Located", "locate", "touching_units"]

Geometries = NDArray[np.object_]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
MAJORITY = 0.5


@dataclass(frozen=True)
class Located:
    """Units in zones.

    Parameters
    ----------
    unit, zone : (k,) array of int
        Positions of a unit and a zone that share ground, sorted by unit, largest share first.
    share : (k,) array of float
        Part of the unit's area that lies in the zone.
    covered : (n,) array of float
        Part of each unit's area that lies in any zone.
    main : (n,) array of int
        The zone with the largest share of each unit; -1 if most of it lies in no zone, or it
        has no shape.
    """

    unit: Integers
    zone: Integers
    share: Floats
    covered: Floats
    main: Integers

    def zones_of(self, unit: int) -> tuple[Integers, Floats]:
        """Zones that share ground with one unit, largest share first, and the shares."""
        start, stop = np.searchsorted(self.unit, [unit, unit + 1])
        return self.zone[start:stop], self.share[start:stop]


def locate(shapes: Geometries, cover: Cover) -> Located:
    """Find the zones of every unit, polygons by area and other shapes by a point.

    Parameters
    ----------
    shapes : (n,) array of geometry
        Valid units in the CRS of the zones; empty where a unit has no shape.
    cover : Cover
        The zones.
    """
    areal = (shapely.get_dimensions(shapes) == 2) & (shapely.area(shapes) > 0)
    points = np.flatnonzero(~areal & ~shapely.is_empty(shapes))
    polygons = np.flatnonzero(areal)
    unit_a, zone_a = _inside_one(shapes, polygons, cover)
    cut = areal.copy()
    cut[unit_a] = False
    rest = np.flatnonzero(cut)
    unit_b, zone_b, share_b = _cut(shapes, rest, cover)
    unit_c, zone_c = _at_points(shapes, points, cover)
    unit = np.concatenate([unit_a, unit_b, unit_c])
    zone = np.concatenate([zone_a, zone_b, zone_c])
    share = np.concatenate([np.ones(len(unit_a)), share_b, np.ones(len(unit_c))])
    order = np.lexsort((zone, -share, unit))
    unit, zone, share = unit[order], zone[order], share[order]
    covered = np.minimum(np.bincount(unit, share, minlength=len(shapes)), 1.0)
    main = np.full(len(shapes), -1, dtype=np.int64)
    first = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]]) if len(unit) else unit
    main[unit[first]] = zone[first]
    located = Located(unit, zone, share, covered, main)
    for row in _in_overlaps(located, cover):
        if not areal[row]:
            continue  # what has no area is covered or not
        zones, _ = located.zones_of(row)
        ground = shapely.intersection(shapes[row], shapely.union_all(cover.polygons[zones]))
        covered[row] = min(shapely.area(ground) / shapely.area(shapes[row]), 1.0)
    main[covered < MAJORITY] = -1
    return located


def _inside_one(shapes: Geometries, rows: Integers, cover: Cover) -> tuple[Integers, Integers]:
    """Units that lie wholly in one zone, and in no other, with that zone."""
    clashing = np.zeros(len(cover.polygons), dtype=bool)
    clashing[cover.pairs.first] = clashing[cover.pairs.second] = True
    fresh = cover.polygons[~shapely.is_prepared(cover.polygons)]
    shapely.prepare(fresh)
    found = [(rows[:0], rows[:0])]
    for block in blocks(len(rows)):
        spots = shapely.point_on_surface(shapes[rows[block]])
        spot, zone = cover.tree.query(spots, predicate="within")
        unit, zone = rows[block][spot], zone.astype(np.int64)
        calm = ~clashing[zone]
        unit, zone = unit[calm], zone[calm]
        whole = shapely.covers(cover.polygons[zone], shapes[unit])
        found.append((unit[whole], zone[whole]))
    shapely.destroy_prepared(fresh)  # they may be the caller's
    units, zones = zip(*found, strict=True)
    return np.concatenate(units), np.concatenate(zones)


def _cut(shapes: Geometries, rows: Integers, cover: Cover) -> tuple[Integers, Integers, Floats]:
    """Cut units along zone lines; leave out what is thinner than the tolerance."""
    unit, zone = cover.tree.query(shapes[rows], predicate="intersects")
    unit, zone = rows[unit], zone.astype(np.int64)
    pieces = polygonal(shapely.intersection(shapes[unit], cover.polygons[zone]))
    area = shapely.area(pieces)
    share = area / np.maximum(shapely.area(shapes[unit]), 1e-300)
    # A piece that is most of its unit is no sliver, however small the unit.
    real = (share > MAJORITY) | ((area > 0) & is_wide(pieces, cover.tolerance))
    return unit[real], zone[real], share[real]


def _at_points(shapes: Geometries, rows: Integers, cover: Cover) -> tuple[Integers, Integers]:
    """Units without area: every zone whose inside holds them, else one on whose border they lie."""
    spots = shapely.point_on_surface(shapes[rows])
    unit, zone = cover.tree.query(spots, predicate="within")
    outside = np.ones(len(rows), dtype=bool)
    outside[unit] = False
    border = np.flatnonzero(outside)
    late, touched = cover.tree.query(spots[border], predicate="intersects")
    late, once = np.unique(late, return_index=True)
    unit = np.concatenate([unit, border[late]])
    zone = np.concatenate([zone, touched[once]])
    return rows[unit], zone.astype(np.int64)


def _in_overlaps(located: Located, cover: Cover) -> Integers:
    """Units with ground in two zones that overlap each other."""
    clashing = np.zeros(len(cover.polygons), dtype=bool)
    clashing[cover.pairs.first] = clashing[cover.pairs.second] = True
    counts = np.bincount(located.unit, clashing[located.zone], minlength=len(located.main))
    whole = np.bincount(located.unit, located.share, minlength=len(located.main))
    return np.flatnonzero((counts >= 2) & (whole > 0)).astype(np.int64)


def touching_units(
    shape: Any, others: Geometries, tree: shapely.STRtree, tolerance: float
) -> Integers:
    """Positions of `others`, ascending, that share a line, not only points, with `shape`."""
    near = shapely.buffer(shape, tolerance)
    rows = np.sort(tree.query(near, predicate="intersects")).astype(np.int64)
    lines = shapely.intersection(shapely.boundary(others[rows]), near)
    return rows[shapely.length(lines) > 10 * tolerance]
