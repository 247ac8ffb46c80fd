"""Make borders that almost fit fit: explicit, and with an account of what was done.

Everything happens on the corners of all polygons at once, in rounds: corners of borders that do not
match are unified where they are close, edges get the corners that lie on them, coordinates go to
the tolerance grid, and both are done again. Polygons are built anew at the end.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely

from gridpart._geometry.align import (
    insert,
    insert_junctions,
    junctions,
    locate,
    loose_segments,
    rebuild,
)
from gridpart._geometry.distinct import distinct_pairs
from gridpart._geometry.segments import (
    Corners,
    Floats,
    Ints,
    Objects,
    corners_of,
    exact_keys,
    unify,
    unique_points,
)
from gridpart.contiguity import build_contiguity, check_tolerance, is_metric
from gridpart.errors import CRSError, GridpartWarning, InputError, Problem
from gridpart.units.columns import check_frame, check_shapes

if TYPE_CHECKING:
    import geopandas as gpd

EARTH_RADIUS_M = 6_371_000
SNAP_ROUNDS = 30
AREA_DIGITS = 6  # of square metres: what lies behind depends on the order of computing
VALID_ROUNDS = 6
# Points one step of the grid apart are a hair more than the tolerance apart in floating point.
REACH = 1.01


@dataclass(frozen=True, repr=False)
class Repair:
    """What :func:`repair_units` did, and what it could not cure.

    Parameters
    ----------
    vertices_moved : int
        Distinct points that now lie elsewhere, rounding to the grid included.
    largest_move_m : float
        The farthest of these moves.
    junctions_mended : int
        Vertices inserted in an edge that lacked them.
    rings_dropped : int
        Rings that collapsed, such as slivers and holes narrower than the tolerance.
    made_valid : int
        Polygons that were invalid and were made valid, keeping what has area.
    area_before_m2, area_after_m2 : float
        Sum of the areas of the units.
    overlaps : tuple of (name, name, float)
        Pairs of units, by index, that still overlap, with the area in square metres.
    gaps : int
        Places enclosed by units but covered by none.
    gap_m2 : float
        Their area.
    components : int
        Connected parts of the repaired units.
    valid : bool
        Whether every border now matches its neighbour's vertex by vertex, without overlap.
    """

    vertices_moved: int
    largest_move_m: float
    junctions_mended: int
    rings_dropped: int
    made_valid: int
    area_before_m2: float
    area_after_m2: float
    overlaps: tuple[tuple[Hashable, Hashable, float], ...]
    gaps: int
    gap_m2: float
    components: int
    valid: bool

    @property
    def overlap_m2(self) -> float:
        """Sum of the overlapping areas."""
        return math.fsum(area for _, _, area in self.overlaps)

    def __repr__(self) -> str:
        change = self.area_after_m2 - self.area_before_m2
        return (
            f"<Repair: {self.vertices_moved:,} vertices moved by at most "
            f"{self.largest_move_m * 1000:.3g} mm, {self.junctions_mended:,} T-junctions mended, "
            f"{self.made_valid:,} polygons made valid, {self.rings_dropped:,} collapsed rings "
            f"dropped, area {change:+,.3f} m2; left: {len(self.overlaps):,} overlaps "
            f"({self.overlap_m2:,.3f} m2), {self.gaps:,} gaps ({self.gap_m2:,.3f} m2), "
            f"{self.components:,} components; {'one' if self.valid else 'not a'} valid coverage>"
        )


def repair_units(
    units: gpd.GeoDataFrame, *, tolerance: float = 0.001, crs: Any = None
) -> tuple[gpd.GeoDataFrame, Repair]:
    """Snap vertices to a grid so that the borders of neighbours fit; say what was done.

    Parameters
    ----------
    units : GeoDataFrame of n rows
        Polygons or MultiPolygons, invalid ones included. It is not changed.
    tolerance : float, default 0.001
        Metres: the step of the grid, and how close vertices and edges are drawn together.
    crs : CRS or anything pyproj takes, optional
        Projected CRS in metres to work in. By default the units' own if it is one, else their
        UTM zone.

    Returns
    -------
    units : GeoDataFrame of n rows
        Same index, columns and order, in a projected CRS in metres, two-dimensional.
    repair : Repair
        The account. Overlaps and gaps wider than the tolerance are reported there, not cured.

    Raises
    ------
    CRSError
        If the CRS is missing, or `crs` is not a projected one in metres.
    InputError
        If a geometry is missing, empty, not polygonal or not finite, or if a unit would vanish.

    Warns
    -----
    GridpartWarning
        If the units were projected or their Z dropped.

    Notes
    -----
    Rounding alone leaves two nearly equal values apart where they fall on two sides of a rounding
    boundary. So before and after it, corners of borders that do not match are unified with one of
    them that stands for all within the tolerance, chosen by its coordinates, whatever the order
    of rows. A second repair changes nothing.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> cells = [shapely.box(0, 0, 1, 1), shapely.box(1 + 1e-7, 0, 2, 1)]
    >>> units, repair = repair_units(gpd.GeoDataFrame(geometry=cells, crs=4547))
    >>> repair.valid, repair.vertices_moved, repair.components
    (True, 2, 1)
    """
    check_tolerance(tolerance)
    check_frame(units)
    _, problems = check_shapes(units.geometry.to_numpy(), units.index.to_numpy(dtype=object))
    problems = [problem for problem in problems if problem.kind != "invalid_geometry"]
    if problems:
        raise InputError(problems)
    frame, mended = to_metric(units, crs=crs, tolerance=tolerance)
    before = frame.geometry.to_numpy()
    geometries, done = _snap_and_validate(before, units.index.to_numpy(dtype=object), tolerance)
    frame = with_geometries(frame, geometries)
    done = replace(
        done,
        junctions_mended=done.junctions_mended + mended,
        area_before_m2=_area(before),
    )
    return frame, _account(frame, done, tolerance)


def with_geometries(frame: gpd.GeoDataFrame, geometries: Objects) -> gpd.GeoDataFrame:
    """A new frame with other geometries in the same, maybe renamed, column."""
    import geopandas as gpd

    name = frame.active_geometry_name
    column = gpd.GeoSeries(geometries, index=frame.index, crs=frame.crs)
    return frame.assign(**{name: column}).set_geometry(name)


def to_metric(
    frame: gpd.GeoDataFrame, *, crs: Any, tolerance: float
) -> tuple[gpd.GeoDataFrame, int]:
    """Bring a frame into two dimensions and a projected CRS in metres, and say so.

    A straight edge bends when it is projected, so T-junctions are mended before: a vertex in the
    middle of a long edge would come to lie beside it.

    Returns
    -------
    frame : GeoDataFrame
    mended : int
        T-junctions mended on the way.
    """
    target = _target(frame, crs)
    if shapely.has_z(frame.geometry.to_numpy()).any():
        frame = with_geometries(frame, shapely.force_2d(frame.geometry.to_numpy()))
        _warn("the units have heights (Z); they are dropped")
    if target is None:
        return frame, 0
    axis = frame.crs.axis_info[0]
    metres = axis.unit_conversion_factor * (1 if frame.crs.is_projected else EARTH_RADIUS_M)
    geometries, mended = insert_junctions(frame.geometry.to_numpy(), tolerance / metres)
    _warn(
        f"units projected from {frame.crs.name} ({axis.unit_name}) to {target.name} "
        f"({':'.join(target.to_authority() or ('no code',))}) to measure in metres"
    )
    return with_geometries(frame, geometries).to_crs(target), mended


def _target(frame: gpd.GeoDataFrame, crs: Any) -> Any:
    """The CRS to project to, or None to stay."""
    if frame.crs is None:
        raise CRSError(
            "the units have no CRS; say which one the coordinates are in with "
            "units.set_crs('EPSG:...'), in a Shapefile with a .prj file"
        )
    if crs is not None:
        try:
            wanted = pyproj.CRS.from_user_input(crs)
        except pyproj.exceptions.CRSError as error:
            raise CRSError(f"{crs!r} is no CRS that can be understood ({error})") from error
        if not is_metric(wanted):
            raise CRSError(f"{wanted.name!r} is not a projected CRS in metres; choose another")
        return None if wanted == frame.crs else wanted
    if is_metric(frame.crs) or not len(frame):
        return None
    try:
        return frame.estimate_utm_crs()
    except (RuntimeError, ValueError) as error:
        raise CRSError(
            f"no UTM zone fits coordinates like {frame.total_bounds.tolist()} in "
            f"{frame.crs.name}; is the CRS right? Else name a projected one with crs="
        ) from error


def _warn(text: str) -> None:
    warnings.warn(text, GridpartWarning, stacklevel=4)


def overlapping_pairs(geometries: Objects, candidates: Ints) -> tuple[Ints, Floats, Floats]:
    """Pairs of units that share area.

    Parameters
    ----------
    geometries : object array of length n
    candidates : int64 array
        Positions of the units to compare with all; of two that overlap, one is enough.

    Returns
    -------
    pairs : int64 array of shape (k, 2)
        Positions, the lower first.
    area : float array of length k
        Square metres.
    width : float array of length k
        Of the widest part, metres: twice its area by its perimeter.
    """
    if not len(candidates):
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.zeros(0)
    shapes = geometries.copy()
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken])
    at, other = shapely.STRtree(shapes).query(shapes[candidates], predicate="intersects")
    low, high = np.minimum(candidates[at], other), np.maximum(candidates[at], other)
    one, other = distinct_pairs(low[low < high], high[low < high]).T
    parts, pair = shapely.get_parts(
        shapely.intersection(shapes[one], shapes[other]), return_index=True
    )
    parts = shapely.normalize(parts)
    area, length = shapely.area(parts), shapely.length(parts)
    filled = area > 0
    parts, pair, area, length = parts[filled], pair[filled], area[filled], length[filled]
    total, width = np.zeros(len(one)), np.zeros(len(one))
    np.add.at(total, pair, area)
    np.maximum.at(width, pair, 2 * area / length)
    found = total > 0
    pairs = np.column_stack([one, other])[found].astype(np.int64)
    return pairs, total[found], width[found]


# ------------------------------------------------------------------------------------------
# Snapping
# ------------------------------------------------------------------------------------------

_NOTHING_DONE = Repair(0, 0.0, 0, 0, 0, 0.0, 0.0, (), 0, 0.0, 0, False)


def _snap_and_validate(
    geometries: Objects, names: Objects, tolerance: float
) -> tuple[Objects, Repair]:
    """Snap until all polygons are valid: making one valid may set corners off the grid."""
    done = _NOTHING_DONE
    for _ in range(VALID_ROUNDS):
        geometries, done = _snap(geometries, names, tolerance, done)
        broken = np.flatnonzero(~shapely.is_valid(geometries))
        if not len(broken):
            break
        geometries = geometries.copy()
        geometries[broken] = _made_valid(geometries[broken], names[broken], tolerance)
        done = replace(done, made_valid=done.made_valid + len(broken))
    return geometries, done


def _made_valid(geometries: Objects, names: Objects, tolerance: float) -> Objects:
    made = shapely.make_valid(geometries, method="structure", keep_collapsed=False)
    parts, owner = shapely.get_parts(made, return_index=True)
    solid = shapely.area(parts) > 0
    parts, owner = parts[solid], owner[solid]
    _raise_vanished(names, np.bincount(owner, minlength=len(names)) == 0, tolerance)
    result = np.empty(len(names), dtype=object)
    shapely.multipolygons(parts, indices=owner, out=result)
    single = shapely.get_num_geometries(result) == 1
    result[single] = shapely.get_geometry(result[single], 0)
    return result


def _raise_vanished(names: Objects, gone: np.ndarray[Any, Any], tolerance: float) -> None:
    if gone.any():
        text = (
            f"units would vanish, because no part of them is wider than {tolerance:g} m; remove "
            "them, or choose a smaller tolerance"
        )
        raise InputError(Problem("vanished", text, tuple(f"unit {name}" for name in names[gone])))


def _snap(
    geometries: Objects, names: Objects, tolerance: float, done: Repair
) -> tuple[Objects, Repair]:
    corners, origin, before = _align(corners_of(geometries), None, tolerance)
    # Only now: rounding may carry points that were close to cells that touch in a corner.
    corners = corners._replace(xy=_to_grid(corners.xy, tolerance))
    corners, origin, after = _align(corners, origin, tolerance)
    far = np.hypot(*(corners.xy - origin).T)
    keys = exact_keys(origin[far > 0])
    points, _ = unique_points(keys[:, 0], keys[:, 1])
    kept, dropped = _drop_collapsed(corners, names, tolerance)
    return rebuild(geometries, kept, np.arange(len(geometries))), replace(
        done,
        vertices_moved=done.vertices_moved + len(points),
        largest_move_m=max(done.largest_move_m, float(far.max(initial=0))),
        junctions_mended=done.junctions_mended + before + after,
        rings_dropped=done.rings_dropped + dropped,
    )


def _align(
    corners: Corners, origin: Floats | None, tolerance: float
) -> tuple[Corners, Floats, int]:
    """Unify close corners and insert those that lie on edges, until nothing changes.

    Returns
    -------
    corners : Corners
    origin : float array
        Where each corner lay at first.
    mended : int
        Corners inserted.
    """
    origin = corners.xy if origin is None else origin
    mended = 0
    for _ in range(SNAP_ROUNDS):
        loose = loose_segments(corners)
        stands = unify(loose.xy, loose.keys, tolerance * REACH)
        moved = np.flatnonzero(stands != np.arange(len(stands)))
        if len(moved):
            at = locate(loose.keys[moved], corners.xy)
            xy = np.where((at >= 0)[:, None], loose.xy[stands[moved]][at], corners.xy)
            corners = corners._replace(xy=xy)
            continue
        segment, point = junctions(loose, tolerance * REACH, own=True)
        if not len(segment):
            break
        origin = insert(corners._replace(xy=origin), loose, segment, point).xy
        corners = insert(corners, loose, segment, point)
        mended += len(segment)
    return corners, origin, mended


def _to_grid(xy: Floats, tolerance: float) -> Floats:
    """Round to multiples of the tolerance; by division where that gives the nearer decimals."""
    steps = 1 / tolerance
    if abs(steps - round(steps)) < 1e-6 * steps:
        return np.rint(xy * round(steps)) / round(steps) + 0.0
    return np.rint(xy / tolerance) * tolerance + 0.0


def _drop_collapsed(corners: Corners, names: Objects, tolerance: float) -> tuple[Corners, int]:
    """Drop repeated corners, rings without area, and the holes of a shell that goes."""
    fresh = np.ones(len(corners.ring), dtype=bool)
    fresh[1:] = (corners.xy[1:] != corners.xy[:-1]).any(axis=1)
    fresh[1:] |= corners.ring[1:] != corners.ring[:-1]
    xy, ring = corners.xy[fresh], corners.ring[fresh]
    count = len(corners.part_of_ring)
    whole = np.bincount(ring, minlength=count) >= 4  # three corners and the closing one
    shell = np.flatnonzero(np.diff(corners.part_of_ring, prepend=-1))
    whole &= whole[shell][corners.part_of_ring]
    part_whole = whole[shell]
    alive = np.zeros(len(names), dtype=bool)
    alive[corners.unit_of_part[part_whole]] = True
    _raise_vanished(names, ~alive, tolerance)
    stays = whole[ring]
    kept = Corners(
        xy[stays],
        (np.cumsum(whole) - 1)[ring[stays]],
        (np.cumsum(part_whole) - 1)[corners.part_of_ring[whole]],
        corners.unit_of_part[part_whole],
    )
    return kept, int((~whole).sum())


# ------------------------------------------------------------------------------------------
# The account
# ------------------------------------------------------------------------------------------


def _account(frame: gpd.GeoDataFrame, done: Repair, tolerance: float) -> Repair:
    geometries = frame.geometry.to_numpy()
    edges = shapely.coverage_invalid_edges(geometries)
    bad = np.flatnonzero(~shapely.is_empty(edges))
    pairs, area, _ = overlapping_pairs(geometries, bad)
    names = frame.index
    left = tuple(
        (names[one], names[other], round(float(size), AREA_DIGITS))
        for (one, other), size in zip(pairs, area, strict=True)
    )
    gaps = enclosed_gaps(geometries, matched=not len(bad))
    with warnings.catch_warnings():
        # that units overlap is in the account already
        warnings.simplefilter("ignore", GridpartWarning)
        parts = build_contiguity(frame, tolerance=tolerance).components()
    return replace(
        done,
        area_after_m2=_area(geometries),
        overlaps=left,
        gaps=len(gaps),
        gap_m2=round(_area(gaps), AREA_DIGITS),
        components=int(parts.max(initial=-1)) + 1,
        valid=not len(bad),
    )


def _area(geometries: Objects) -> float:
    """Sum of areas, the same in any order of rows."""
    return math.fsum(shapely.area(geometries))


def enclosed_gaps(geometries: Objects, *, matched: bool) -> Objects:
    """Places that are enclosed by polygons but covered by none.

    Parameters
    ----------
    geometries : object array
    matched : bool
        Whether borders match vertex by vertex, which makes the union quick.
    """
    union = shapely.coverage_union_all(geometries) if matched else shapely.union_all(geometries)
    parts = shapely.get_parts(union)
    if not shapely.get_num_interior_rings(parts).any():
        return parts[:0]
    filled = shapely.union_all(shapely.polygons(shapely.get_exterior_ring(parts)))
    gaps = shapely.get_parts(shapely.difference(filled, union))
    # from one corner of each, so that its area is the same to the last digit in any order of rows
    return shapely.normalize(gaps[shapely.area(gaps) > 0])
