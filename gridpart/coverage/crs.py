"""Layers in different coordinate reference systems, brought into one to be measured."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from gridpart._geometry.align import multipolygons
from gridpart._geometry.segments import finite, unique_points
from gridpart.contiguity import is_metric
from gridpart.errors import CRSError, GridpartWarning

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["in_one_crs", "lacks_crs", "located_layers", "measuring_crs", "metric_crs", "say"]

Geometries = NDArray[np.object_]
# A check, the layer it is about, and what was found.
Remark = tuple[str, str, str]
# Edges shorter than this bend by less than half a millimetre when they are reprojected (below 70
# degrees of latitude). A vertex this near to an edge lies on it but for rounding.
LONG_EDGE_M = 100.0
ON_EDGE_M = 1e-7
# Vertices this near to the end of a long edge (share of its length) are that end.
END_SHARE = 1e-5
METRES_PER_DEGREE = 111_320.0
# Farthest west, south, east and north that degrees go.
MOST_DEGREES = (180.0, 90.0, 180.0, 90.0)


def located_layers(
    given: dict[str, Any],
) -> tuple[dict[str, gpd.GeoSeries], list[Remark]]:
    """Geometry of the layers that were given, and remarks on those without a CRS.

    A layer that does not say its CRS is taken to be in that of one that does, if its coordinates
    are plausible there; where nothing tells, it is an error.
    """
    layers = {what: layer.geometry for what, layer in given.items()}
    remarks: list[Remark] = []
    known = {what: layer for what, layer in layers.items() if layer.crs is not None}
    for what, layer in layers.items():
        if layer.crs is not None:
            continue
        alike = next((other for other in known.values() if _is_at_home(layer, other)), None)
        if alike is None:
            lacks_crs(what, _elsewhere(layer, known))
        layers[what] = layer.set_crs(alike.crs)
        said = f"{what}: no coordinate reference system; taken to be in {alike.crs.name}"
        remarks.append(("crs_missing", what, said))
    return layers, remarks


def _is_at_home(layer: gpd.GeoSeries, other: gpd.GeoSeries) -> bool:
    """Whether coordinates without a CRS are plausible in that of another layer.

    They are if they lie where the other's do: inside its bounds, enlarged by its own extent on
    every side. Metres counted from a corner of the town would overlap degrees near 0, too.
    """
    bounds, home = _bounds(layer), _bounds(other)
    if bounds is None or home is None:
        return False
    if other.crs.is_geographic and not bool(_in_degrees(bounds[None])[0]):
        return False
    margin = (home[2:] - home[:2]).max()
    low, high = home[:2] - margin, home[2:] + margin
    return bool((bounds[:2] >= low).all() and (bounds[2:] <= high).all())


def _bounds(layer: gpd.GeoSeries) -> NDArray[np.float64] | None:
    """West, south, east and north of the shapes that can be used; None without any."""
    usable = _usable(layer)
    return np.asarray(shapely.total_bounds(usable)) if len(usable) else None


def _usable(layer: gpd.GeoSeries) -> Geometries:
    """Shapes of a layer that have coordinates."""
    shapes = np.asarray(layer, dtype=object)
    kept: Geometries = shapes[
        finite(shapes) & ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    ]
    return kept


def _in_degrees(bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each box (rows of west, south, east, north) is one of longitudes and latitudes."""
    return np.all(np.abs(bounds) <= MOST_DEGREES, axis=1)


def _elsewhere(layer: gpd.GeoSeries, known: dict[str, gpd.GeoSeries]) -> str:
    """Why the CRS of no other layer was taken."""
    if not known or _bounds(layer) is None:
        return ""
    others = ", ".join(f"{what} ({other.crs.name})" for what, other in known.items())
    return f"; its coordinates, {_extent(layer)}, do not lie where those of {others} do"


def _extent(layer: gpd.GeoSeries) -> str:
    """Bounds in words, of a layer that has any."""
    west, south, east, north = shapely.bounds(_usable(layer)).T
    return f"{west.min():g} to {east.max():g} and {south.min():g} to {north.max():g}"


def lacks_crs(what: str, why: str = "") -> NoReturn:
    """Say what to do about a layer without a CRS."""
    raise CRSError(
        f"{what}: no coordinate reference system{why}; set it, for instance with "
        f"{what}.set_crs('EPSG:4547')"
    )


def measuring_crs(zones: gpd.GeoSeries, crs: Any) -> pyproj.CRS:
    """Choose the CRS to measure in and say so where it is not that of the zones."""
    own = zones.crs
    target = metric_crs(zones, crs, "zones")
    if target != own:
        say(f"zones were projected from {own.name} to {target.name} to measure in metres")
    return target


def metric_crs(layer: gpd.GeoSeries, crs: Any, what: str) -> pyproj.CRS:
    """CRS to measure a layer in: the one asked for, else its own, else its UTM zone.

    Raises
    ------
    CRSError
        If the one asked for is not projected in metres, or no UTM zone has such coordinates.
    """
    import geopandas as gpd

    if crs is not None:
        target = pyproj.CRS.from_user_input(crs)
        if not is_metric(target):
            raise CRSError(f"crs: {target.name} is not a projected CRS in metres")
        return target
    if is_metric(layer.crs):
        return layer.crs
    shapes = _usable(layer)
    if not len(shapes):
        return layer.crs
    if layer.crs.is_geographic:
        # rows that are nowhere on earth, which the audit lists, have no say in it
        shapes = shapes[_in_degrees(shapely.bounds(shapes))]
    wrong = CRSError(
        f"{what}: no UTM zone has coordinates such as {_extent(layer)} in {layer.crs.name}; is "
        f"this their CRS? Set the right one, for instance with {what}.set_crs('EPSG:4547', "
        "allow_override=True), or name one to measure in with crs="
    )
    if not len(shapes):
        raise wrong
    try:
        return gpd.GeoSeries(shapes, crs=layer.crs).estimate_utm_crs()
    except (RuntimeError, ValueError) as error:
        raise wrong from error


def say(message: str) -> None:
    """Warn whoever called the audit."""
    # from here up: the helper, build_scene, audit, the caller
    warnings.warn(message, GridpartWarning, stacklevel=5)


def in_one_crs(layers: list[gpd.GeoSeries], target: Any) -> list[Geometries]:
    """Shapes of every layer without Z, in the target CRS; what is not finite stays as it is."""
    shapes = [_flat(layer) for layer in layers]
    for crs in {layer.crs for layer in layers}:
        if crs != target:
            same = [k for k, layer in enumerate(layers) if layer.crs == crs]
            moved = _reprojected([shapes[k] for k in same], crs, target)
            for k, result in zip(same, moved, strict=True):
                shapes[k] = result
    return shapes


def _flat(layer: gpd.GeoSeries) -> Geometries:
    """An array of the shapes without Z; those that have none are not copied."""
    shapes = np.array(layer, dtype=object)
    high = shapely.get_coordinate_dimension(shapes) > 2
    shapes[high] = shapely.force_2d(shapes[high])
    return shapes


def _reprojected(layers: list[Geometries], source: pyproj.CRS, target: Any) -> list[Geometries]:
    """Move vertices from one CRS to another, after setting those that T-junctions lack.

    A straight edge in one CRS is a curve in another. Where a vertex lies on the middle of a
    neighbour's edge, moving the vertices alone would open a sliver between the two.
    """
    unit = METRES_PER_DEGREE if source.is_geographic else source.axis_info[0].unit_conversion_factor
    everything = np.concatenate(layers)
    rows = np.flatnonzero(finite(everything) & ~shapely.is_missing(everything))
    polygons = rows[
        np.isin(shapely.get_type_id(everything[rows]), (3, 6)) & ~shapely.is_empty(everything[rows])
    ]
    if len(polygons):
        everything[polygons] = _noded(everything[polygons], LONG_EDGE_M / unit, ON_EDGE_M / unit)
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)

    def project(coords: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(coords[:, 0], coords[:, 1]))

    everything[rows] = shapely.transform(everything[rows], project)
    return np.split(everything, np.cumsum([len(layer) for layer in layers])[:-1])


def _noded(polygons: Geometries, long: float, on_edge: float) -> Geometries:
    """Insert into edges longer than `long` the vertices on their middle; no shape gets invalid."""
    kind, coords, offsets = shapely.to_ragged_array(polygons)
    inner = np.ones(len(coords), dtype=bool)
    inner[offsets[0][1:] - 1] = False
    start = np.flatnonzero(inner)
    step = coords[start + 1] - coords[start]
    far = np.hypot(step[:, 0], step[:, 1]) > long
    start, step = start[far], step[far]
    if not len(start):
        return polygons
    vertices, _ = unique_points(*coords.T)
    lines = shapely.linestrings(np.stack([coords[start], coords[start + 1]], axis=1))
    tree = shapely.STRtree(np.asarray(shapely.points(vertices)))
    edge, vertex = tree.query(lines, predicate="dwithin", distance=on_edge)
    at = vertices[vertex]
    along = ((at - coords[start[edge]]) * step[edge]).sum(axis=1) / (step[edge] ** 2).sum(axis=1)
    middle = (along > END_SHARE) & (along < 1 - END_SHARE)
    edge, at, along = edge[middle], at[middle], along[middle]
    if not len(edge):
        return polygons
    order = np.lexsort((along, edge))
    before, at = start[edge[order]], at[order]
    rings = offsets[0] + np.searchsorted(before, offsets[0], side="left")
    points = np.insert(coords, before + 1, at, axis=0)
    result = _polygons(kind, points, (rings, *offsets[1:]))
    spoilt = ~shapely.is_valid(result)
    result[spoilt] = polygons[spoilt]
    return result


def _polygons(kind: Any, points: NDArray[np.float64], offsets: tuple[Any, ...]) -> Geometries:
    """Make polygons of points by the offsets of shapely's ragged arrays."""
    if kind == shapely.GeometryType.POLYGON:
        polygons: Geometries = shapely.from_ragged_array(kind, points, offsets)
        return polygons
    ring, part, unit = (np.repeat(np.arange(len(at) - 1), np.diff(at)) for at in offsets)
    return multipolygons(points, ring, part, unit)
