"""Layers in different coordinate reference systems, brought into one to be measured."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from gridpart._geometry.align import multipolygons
from gridpart._geometry.segments import finite
from gridpart.contiguity import is_metric
from gridpart.errors import CRSError, GridpartWarning

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["in_one_crs", "lacks_crs", "located_layers", "measuring_crs", "say"]

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


def located_layers(
    given: dict[str, Any],
) -> tuple[dict[str, gpd.GeoSeries], list[Remark]]:
    """Geometry of the layers that were given, and remarks on those without a CRS.

    A layer that does not say its CRS is taken to be in that of one that does, if the two lie in
    the same place; where nothing tells, it is an error.
    """
    layers = {what: layer.geometry for what, layer in given.items()}
    remarks: list[Remark] = []
    known = [layer for layer in layers.values() if layer.crs is not None]
    for what, layer in layers.items():
        if layer.crs is not None:
            continue
        alike = next((other for other in known if _in_one_place(layer, other)), None)
        if alike is None:
            lacks_crs(what)
        layers[what] = layer.set_crs(alike.crs)
        said = f"{what}: no coordinate reference system; taken to be in {alike.crs.name}"
        remarks.append(("crs_missing", what, said))
    return layers, remarks


def _in_one_place(layer: gpd.GeoSeries, other: gpd.GeoSeries) -> bool:
    """Whether the coordinates of two layers overlap."""
    boxes = []
    for series in (layer, other):
        usable = series[finite(np.array(series, dtype=object)) & ~(series.isna() | series.is_empty)]
        if not len(usable):
            return False
        boxes.append(shapely.box(*usable.total_bounds))
    return bool(shapely.intersects(*boxes))


def lacks_crs(what: str) -> NoReturn:
    """Say what to do about a layer without a CRS."""
    raise CRSError(
        f"{what}: no coordinate reference system; set it, for instance with "
        f"{what}.set_crs('EPSG:4547')"
    )


def measuring_crs(zones: gpd.GeoSeries, crs: Any) -> pyproj.CRS:
    """Choose the CRS to measure in and say so where it is not that of the zones."""
    own = zones.crs
    if crs is not None:
        target = pyproj.CRS.from_user_input(crs)
        if not is_metric(target):
            raise CRSError(f"crs: {target.name} is not a projected CRS in metres")
    elif is_metric(own):
        return own
    else:
        usable = zones[finite(np.asarray(zones, dtype=object))]
        usable = usable[~(usable.isna() | usable.is_empty)]
        if not len(usable):
            return own
        target = usable.estimate_utm_crs()
    if target != own:
        say(f"zones were projected from {own.name} to {target.name} to measure in metres")
    return target


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
    vertices = np.unique(coords, axis=0)
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
