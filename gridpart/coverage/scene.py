"""The door of the audit: any zone layer, boundary and units, brought into one measuring CRS.

Nothing here judges the zones: a broken, empty or doubled row is kept for the checks to find. Only
what makes measuring impossible (no CRS, no column of that name) is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from gridpart._geometry.align import multipolygons
from gridpart._geometry.segments import finite
from gridpart.contiguity import is_metric
from gridpart.coverage.people import Located, locate
from gridpart.coverage.territory import EMPTY, Cover, polygonal
from gridpart.coverage.texts import Names, Texts, as_text
from gridpart.errors import CRSError, GridpartWarning, InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = [
    "Scene",
    "Zones",
    "as_text",
    "build_scene",
    "column_of",
    "default_column",
    "in_one_crs",
    "unit_fields",
]

Geometries = NDArray[np.object_]
# Edges shorter than this bend by less than half a millimetre when they are reprojected (below 70
# degrees of latitude). A vertex this near to an edge lies on it but for rounding.
LONG_EDGE_M = 100.0
ON_EDGE_M = 1e-7
# Vertices this near to the end of a long edge (share of its length) are that end.
END_SHARE = 1e-5
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class Zones:
    """The zone layer: one entry a row of the caller's frame, in its order.

    Parameters
    ----------
    frame : GeoDataFrame
        The caller's frame; never changed.
    ids : list of str
        Id as text; empty where it is missing.
    raw : (n,) array of geometry or None
        Shapes as drawn, 2-D, in the measuring CRS.
    finite : (n,) array of bool
        Whether every coordinate is a number.
    polygons : (n,) array
        Valid polygons: `raw` mended where broken, empty where nothing can be used.
    """

    frame: gpd.GeoDataFrame
    ids: list[str]
    raw: Geometries
    finite: NDArray[np.bool_]
    polygons: Geometries

    def __len__(self) -> int:
        return len(self.ids)

    def named(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[str, ...]:
        """Ids of several rows."""
        return tuple(self.ids[int(row)] for row in rows)


@dataclass(frozen=True)
class Scene:
    """Everything an audit looks at, in one projected CRS in metres."""

    zones: Zones
    cover: Cover
    crs: Any
    tolerance: float
    min_area: float
    boundary: Any = None
    units: pd.DataFrame | None = None
    unit_ids: Names = field(default_factory=lambda: Names(pd.Index([])))
    unit_shapes: Geometries = field(default_factory=lambda: np.empty(0, dtype=object))
    unit_households: NDArray[np.int64] | None = None
    zone_households: NDArray[np.int64] | None = None
    assigned: Texts | None = None
    own_communities: list[str] | None = None
    unit_communities: Texts | None = None

    @cached_property
    def located(self) -> Located:
        """Zones of every unit."""
        return locate(self.unit_shapes, self.cover)

    @cached_property
    def home(self) -> NDArray[np.int64]:
        """Zone in which each unit counts: the assigned one, else where most of it lies; or -1."""
        if self.assigned is None:
            return self.located.main
        place = {name: row for row, name in reversed(list(enumerate(self.zones.ids)))}
        rows = np.array([place.get(name, -1) for name in self.assigned.names], dtype=np.int64)
        return rows[self.assigned.codes]

    @cached_property
    def counted(self) -> NDArray[np.int64] | None:
        """Households of each zone: the sum of its units, else its own column; None without both."""
        if self.unit_households is None:
            return self.zone_households
        inside = self.home >= 0
        sums = np.zeros(len(self.zones), dtype=np.int64)
        np.add.at(sums, self.home[inside], self.unit_households[inside])
        return sums

    @cached_property
    def communities(self) -> list[str]:
        """Community of each zone: that of most of its units, else the one it names; or empty."""
        named = list(self.own_communities or [""] * len(self.zones))
        if self.unit_communities is None:
            return named
        zones, codes, units = self.unit_communities.counts(self.home)
        # of communities with as many units the first by name: it stands last, and stays
        order = np.lexsort((-codes, units, zones))
        for zone, code in zip(zones[order], codes[order], strict=True):
            named[zone] = self.unit_communities.names[code]
        return named

    @cached_property
    def unit_tree(self) -> shapely.STRtree:
        """Search tree over the units."""
        return shapely.STRtree(self.unit_shapes)

    @cached_property
    def _by_home(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.home, kind="stable")
        return order, np.searchsorted(self.home[order], np.arange(len(self.zones) + 1))

    def units_at(self, zone: int) -> NDArray[np.int64]:
        """Units that count in a zone, in their order."""
        order, start = self._by_home
        return order[start[zone] : start[zone + 1]]

    @cached_property
    def _lost(self) -> tuple[NDArray[np.int64], shapely.STRtree]:
        rows = np.flatnonzero(self.located.main < 0)
        return rows, shapely.STRtree(shapely.point_on_surface(self.unit_shapes[rows]))

    def lost_on(self, ground: Any) -> NDArray[np.int64]:
        """Units that belong to no zone and lie on a piece of ground."""
        rows, spots = self._lost
        return rows[np.sort(spots.query(ground, predicate="contains"))]

    @cached_property
    def shaped(self) -> NDArray[np.bool_]:
        """Whether each unit has a shape."""
        return ~shapely.is_empty(self.unit_shapes)

    def unit_names(self, units: NDArray[np.int64]) -> tuple[str, ...]:
        """Ids of several units."""
        return tuple(self.unit_ids[int(row)] for row in units)

    def households_at(self, units: NDArray[np.int64]) -> int | None:
        """Households of some units, None if they are not counted."""
        if self.unit_households is None:
            return None
        return int(self.unit_households[units].sum())


def column_of(frame: pd.DataFrame, name: str, what: str) -> pd.Series:
    """Return a column, or say which names there are."""
    if name not in frame.columns:
        names = ", ".join(str(column) for column in frame.columns)
        raise InputError(
            Problem("missing_column", f"{what}: no column {name!r}; there are: {names}")
        )
    return frame[name]


def default_column(frame: pd.DataFrame, name: str) -> str | None:
    """Return the usual name of a column if the frame has it and any row is filled."""
    if name in frame.columns and any(as_text(value) for value in frame[name]):
        return name
    return None


def household_counts(frame: pd.DataFrame, name: str, what: str) -> NDArray[np.int64]:
    """Return a column of whole numbers, not negative; anything else is an error that lists it."""
    column = column_of(frame, name, what)
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    bad = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers)))
    if bad.any():
        rows = [f"row {index}: {value}" for index, value in column[bad].items()]
        message = f"{what}: {name!r} must hold whole numbers of households, none missing"
        raise InputError(Problem("bad_households", message, tuple(rows)))
    return numbers.to_numpy().astype(np.int64)


def build_scene(
    zones: gpd.GeoDataFrame,
    *,
    id: str | None,
    boundary: Any,
    units: gpd.GeoDataFrame | None,
    unit_id: str | None,
    households: str | None,
    zone_households: str | None,
    assignment: str | None,
    within: str | None,
    unit_within: str | None,
    crs: Any,
    min_area: float,
    tolerance: float,
) -> Scene:
    """Check that everything can be measured, and bring it together; see `audit`."""
    if not (tolerance > 0 and min_area >= 0):
        raise InputError("tolerance must be above 0 m, and min_area not below 0 m2")
    if not len(zones):
        raise InputError("the zone layer has no rows: there is nothing to audit")
    _need_crs(zones, "zones")
    target = _measuring_crs(zones, crs)
    layers = _layers(zones, boundary, units)
    shapes = dict(zip(layers, in_one_crs(list(layers.values()), target), strict=True))
    for what, layer in layers.items():
        if what != "zones" and layer.crs != target:
            _say(f"{what}: projected from {layer.crs.name} to {target.name} like the zones")
    prepared = _zones(zones, id, shapes["zones"])
    return Scene(
        zones=prepared,
        cover=Cover(prepared.polygons, tolerance),
        crs=target,
        tolerance=tolerance,
        min_area=min_area,
        boundary=None if boundary is None else _boundary(shapes["boundary"]),
        zone_households=_zone_households(zones, zone_households),
        own_communities=_texts(zones, within or default_column(zones, "within"), "zones"),
        **(
            {}
            if units is None
            else unit_fields(units, shapes["units"], unit_id, households, assignment, unit_within)
        ),
    )


def _texts(frame: pd.DataFrame, name: str | None, what: str) -> list[str] | None:
    """Values of a column as text, None without a column."""
    return None if name is None else [as_text(value) for value in column_of(frame, name, what)]


def _repeated_texts(units: pd.DataFrame, name: str | None) -> Texts | None:
    return None if name is None else Texts.of(column_of(units, name, "units"))


def _layers(zones: Any, boundary: Any, units: Any) -> dict[str, gpd.GeoSeries]:
    """Geometry of the layers that were given; each must say its CRS."""
    given = {"zones": zones, "boundary": boundary, "units": units}
    given = {what: layer for what, layer in given.items() if layer is not None}
    for what, layer in given.items():
        _need_crs(layer, what)
    return {what: layer.geometry for what, layer in given.items()}


def _zone_households(zones: pd.DataFrame, name: str | None) -> NDArray[np.int64] | None:
    """Return the zones' own numbers; a column that merely has the usual name may be unusable."""
    if name is not None:
        return household_counts(zones, name, "zones")
    if default_column(zones, "households") is None:
        return None
    try:
        return household_counts(zones, "households", "zones")
    except InputError as error:
        _say(f"the zones' own households were left out of the audit. {error}")
        return None


def _need_crs(frame: Any, what: str) -> None:
    if frame.crs is None:
        raise CRSError(
            f"{what}: no coordinate reference system; set it, for instance with "
            f"{what}.set_crs('EPSG:4547')"
        )


def _measuring_crs(zones: gpd.GeoDataFrame, crs: Any) -> pyproj.CRS:
    """Choose the CRS to measure in and say so where it is not that of the zones."""
    own = zones.crs
    if crs is not None:
        target = pyproj.CRS.from_user_input(crs)
        if not is_metric(target):
            raise CRSError(f"crs: {target.name} is not a projected CRS in metres")
    elif is_metric(own):
        return own
    else:
        usable = zones.geometry[finite(np.asarray(zones.geometry, dtype=object))]
        usable = usable[~(usable.isna() | usable.is_empty)]
        if not len(usable):
            return own
        target = usable.estimate_utm_crs()
    if target != own:
        _say(f"zones were projected from {own.name} to {target.name} to measure in metres")
    return target


def _say(message: str) -> None:
    # from here up: the helper, build_scene, audit, the caller
    warnings.warn(message, GridpartWarning, stacklevel=5)


def _zones(frame: gpd.GeoDataFrame, id: str | None, raw: Geometries) -> Zones:
    if id is None and "grid" in frame.columns:
        id = "grid"
    labels = frame.index if id is None else column_of(frame, id, "zones")
    usable = finite(raw)
    polygons = raw.copy()
    polygons[~usable] = None
    return Zones(frame, [as_text(value) for value in labels], raw, usable, _mended(polygons))


def _mended(shapes: Geometries) -> Geometries:
    """Valid polygons; empty where there is nothing to mend."""
    shapes = shapes.copy()
    shapes[shapely.is_missing(shapes)] = EMPTY
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    return polygonal(shapes)


def _boundary(shapes: Geometries) -> Any:
    """Unite the boundary's features."""
    shapes = shapes[finite(shapes) & ~shapely.is_missing(shapes)]
    broken = int((~shapely.is_valid(shapes)).sum())
    if broken:
        _say(f"{broken} broken shapes of the boundary were mended before measuring")
    united = shapely.union_all(_mended(shapes))
    if united.is_empty:
        raise InputError("boundary: there is no polygon in it")
    return united


def unit_fields(
    units: gpd.GeoDataFrame,
    shapes: Geometries,
    unit_id: str | None,
    households: str | None,
    assignment: str | None,
    unit_within: str | None,
) -> dict[str, Any]:
    """Fields of a scene that tell of units; their shapes are mended in place."""
    if households is None and "households" in units.columns:
        households = "households"
    shapes[~finite(shapes) | shapely.is_missing(shapes)] = EMPTY
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = _mended(shapes[broken])
    labels = units.index if unit_id is None else column_of(units, unit_id, "units")
    return {
        "units": units,
        "unit_ids": Names(labels),
        "unit_shapes": shapes,
        "unit_households": (
            None if households is None else household_counts(units, households, "units")
        ),
        "assigned": _repeated_texts(units, assignment),
        "unit_communities": _repeated_texts(units, unit_within),
    }


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
