"""What only looks wrong, and findings that share a cause.

Ground that needs no zone, a boundary of another scope, and a line that the boundary and the zones
follow in different drawings (a shoreline, a generalised border) would else fill pages.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart.coverage.scene import Scene
from gridpart.coverage.territory import polygonal, true_pieces

__all__ = ["MANY", "along_the_rim", "beyond_scope", "drawn_twice", "without_excluded"]

Geometries = NDArray[np.object_]
Bools = NDArray[np.bool_]
# From this many findings of one cause on they make one row.
MANY = 5
SEVERAL = 3  # zones along a line that is drawn twice
# Mean width of a piece, as a share of the side of a mean zone, up to which it is slender.
SLENDER = 0.05
# Part of the outline of a piece from which on it lies along the rim.
RIM_SHARE = 0.1
# Mean zones that a piece has to be as large as, to be what a plan leaves out on purpose.
LARGE_ZONES = 5


def mean_zone_m2(scene: Scene) -> float:
    """Mean area of the zones that have a shape."""
    area = shapely.area(scene.cover.polygons)
    return float(area[area > 0].mean()) if (area > 0).any() else 0.0


def without_excluded(scene: Scene, pieces: Geometries) -> tuple[Geometries, Geometries]:
    """Uncovered pieces that need a zone, and those that need none."""
    if scene.excluded is None or not len(pieces):
        return pieces, pieces[:0]
    needed = shapely.difference(pieces, scene.excluded)
    free = polygonal(shapely.intersection(pieces, scene.excluded))
    free = shapely.get_parts(free)
    free = free[shapely.area(free) >= scene.limits["excluded_ground"]]
    return true_pieces(needed, scene.tolerance), free


def beyond_scope(scene: Scene, pieces: Geometries) -> Bools:
    """Uncovered pieces that a plan may leave out on purpose.

    Together they are a large share of the boundary, each is as large as several zones, reaches
    the rim, and holds no unit.
    """
    area = shapely.area(pieces)
    large = area >= LARGE_ZONES * mean_zone_m2(scene)
    rows = np.flatnonzero(large)
    large[rows] = shapely.intersects(pieces[rows], shapely.boundary(scene.boundary))
    for row in np.flatnonzero(large):
        large[row] = not len(scene.lost_on(pieces[row]))
    if area[large].sum() < scene.limits["other_scope"] * shapely.area(scene.boundary):
        large[:] = False
    return large


def drawn_twice(scene: Scene) -> bool:
    """Whether zones and boundary follow the same line in two drawings, and no unit tells otherwise.

    The lines then cross each other again and again: slender ground is left out on one side, and
    spilt on the other.
    """
    if not len(scene.unit_ids):
        return False
    spilt = shapely.get_parts(scene.spills[1])
    left_out, spilt = (pieces[along_the_rim(scene, pieces)] for pieces in (scene.gaps, spilt))
    if min(len(left_out), len(spilt)) < MANY:
        return False
    # one zone that was moved has slivers on both sides, too: a line concerns several
    tree, outline = scene.cover.tree, shapely.boundary(scene.boundary)
    width = SLENDER * np.sqrt(mean_zone_m2(scene))
    several = min(SEVERAL, len(tree.query(outline, "dwithin", width)) // 2)
    return len(scene.spills[0][along_the_rim(scene, scene.spills[1])]) >= several


def along_the_rim(scene: Scene, pieces: Geometries) -> Bools:
    """Slender pieces, of uncovered or of spilt ground, that lie along the boundary's line."""
    if scene.boundary is None or not len(pieces):
        return np.zeros(len(pieces), dtype=bool)
    length = np.maximum(shapely.length(pieces), 1e-300)
    slender = 2 * shapely.area(pieces) / length <= SLENDER * np.sqrt(mean_zone_m2(scene))
    rows = np.flatnonzero(slender)
    rim = shapely.buffer(shapely.boundary(pieces[rows]), scene.tolerance)
    outline = shapely.boundary(scene.boundary)
    shapely.prepare(outline)
    shared = shapely.length(shapely.intersection(rim, outline))
    slender[rows] = shared >= RIM_SHARE * length[rows]
    return slender
