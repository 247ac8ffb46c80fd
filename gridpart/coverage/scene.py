"""The door of the audit: any zone layer, boundary and units, brought into one measuring CRS.

Nothing here judges the zones: a broken, empty or doubled row is kept for the checks to find. Only
what makes measuring impossible (no CRS, no column of that name) is an error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart._geometry.segments import finite
from gridpart.coverage.catalogue import CATALOGUE, settable
from gridpart.coverage.crs import in_one_crs, located_layers, measuring_crs, say
from gridpart.coverage.people import Located, locate
from gridpart.coverage.territory import EMPTY, Cover, polygonal
from gridpart.coverage.texts import Names, Texts, as_text
from gridpart.errors import InputError, Problem
from gridpart.units.columns import MOST_HOUSEHOLDS

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = [
    "Areas",
    "Scene",
    "Zones",
    "as_text",
    "build_scene",
    "column_of",
    "default_column",
    "limits_of",
    "unit_fields",
]

Geometries = NDArray[np.object_]


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
        Whether every coordinate is a number that a place on earth can have.
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

    @cached_property
    def sound(self) -> NDArray[np.bool_]:
        """Whether each zone is a valid polygon as drawn: what was mended is another object."""
        return np.fromiter(map(operator.is_, self.raw, self.polygons), np.bool_, len(self))

    def named(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[str, ...]:
        """Ids of several rows."""
        return tuple(self.ids[int(row)] for row in rows)


@dataclass(frozen=True)
class Areas:
    """Areas of the level above the zones: names and valid polygons."""

    names: list[str]
    polygons: Geometries


@dataclass(frozen=True)
class Scene:
    """Everything an audit looks at, in one projected CRS in metres.

    `limits` holds the size from which on a defect counts, by check; `crs_remarks` the check, the
    layer and the sentence of what was odd about coordinate reference systems.
    """

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
    excluded: Any = None
    areas: Areas | None = None
    crs_remarks: tuple[tuple[str, str, str], ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def gaps(self) -> Geometries:
        """Connected pieces of the boundary that no zone covers."""
        return self.cover.gaps(self.boundary)

    @cached_property
    def spills(self) -> tuple[NDArray[np.int64], Geometries]:
        """Zones that leave the boundary, and the ground of each outside it."""
        return self.cover.spill(self.boundary)

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
    try:
        numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    except OverflowError:  # an integer of Python's may have any number of digits
        short = column.map(lambda v: 1e300 if isinstance(v, int) and v > MOST_HOUSEHOLDS else v)
        numbers = pd.to_numeric(short, errors="coerce").astype("float64")
    bad = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers)))
    # so many that sums would overflow, too
    huge = ~bad & (numbers > MOST_HOUSEHOLDS)
    said = {
        "bad_households": (f"{name!r} must hold whole numbers of households, none missing", bad),
        "huge_households": (f"{name!r} must hold at most {MOST_HOUSEHOLDS:,} households", huge),
    }
    problems = [
        Problem(kind, f"{what}: {text}", tuple(f"row {i}: {v}" for i, v in column[rows].items()))
        for kind, (text, rows) in said.items()
        if rows.any()
    ]
    if problems:
        raise InputError(problems)
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
    excluded: Any = None,
    areas: gpd.GeoDataFrame | None = None,
    area_id: str | None = None,
    tolerances: Mapping[str, float] | None = None,
) -> Scene:
    """Check that everything can be measured, and bring it together; see `audit`."""
    if not (tolerance > 0 and min_area >= 0):
        raise InputError("tolerance must be above 0 m, and min_area not below 0 m2")
    limits = limits_of(min_area, tolerance, tolerances or {})
    if not len(zones):
        raise InputError("the zone layer has no rows: there is nothing to audit")
    given = {
        "zones": zones, "boundary": boundary, "units": units, "excluded": excluded,
        "communities": areas,
    }  # fmt: skip
    layers, remarks = located_layers(
        {what: layer for what, layer in given.items() if layer is not None}
    )
    target = measuring_crs(layers["zones"], crs)
    shapes = dict(zip(layers, in_one_crs(list(layers.values()), target), strict=True))
    for what, layer in layers.items():
        if what != "zones" and layer.crs != target:
            say(f"{what}: projected from {layer.crs.name} to {target.name} like the zones")
        if layer.crs != layers["zones"].crs:
            said = f"{what}: {layer.crs.name}, the zones {layers['zones'].crs.name}"
            remarks.append(("crs_differs", what, said))
    prepared = _zones(zones, id, shapes["zones"])
    return Scene(
        zones=prepared,
        cover=Cover(prepared.polygons, tolerance, limits["overlap"]),
        crs=target,
        tolerance=tolerance,
        min_area=min_area,
        boundary=None if boundary is None else _boundary(shapes["boundary"]),
        zone_households=_zone_households(zones, zone_households),
        own_communities=_texts(zones, within or default_column(zones, "within"), "zones"),
        excluded=None if excluded is None else shapely.union_all(_mended_of(shapes["excluded"])),
        areas=None if areas is None else _areas(areas, area_id, shapes["communities"]),
        crs_remarks=tuple(remarks),
        limits=limits,
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


def limits_of(
    min_area: float, tolerance: float, own: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Size from which on each check counts a defect, in the unit of the check.

    Parameters
    ----------
    min_area, tolerance : float
        What stands in for the catalogue's defaults of 1 m2 and 1 mm.
    own : mapping of str to float, optional
        Sizes of single checks.

    Raises
    ------
    InputError
        For checks that do not exist or measure nothing, and sizes that are no numbers.
    """
    own = own or {}
    problems = []
    for name, value in own.items():
        if name not in settable():
            text = f"tolerances: {name!r} has none; those that have: {', '.join(settable())}"
            problems.append(Problem("bad_tolerance", text))
        elif not (isinstance(value, Real) and 0 <= value < math.inf):
            text = f"tolerances: {name} must be a number, not below 0, got {value!r}"
            problems.append(Problem("bad_tolerance", text))
    if problems:
        raise InputError(problems)
    general = {("m2", 1.0): min_area, ("m", 0.001): tolerance}
    limits = {
        check.id: general.get((check.unit, check.tolerance), check.tolerance)
        for check in CATALOGUE.values()
        if check.tolerance is not None
    }
    return {**limits, **{name: float(value) for name, value in own.items()}}


def _areas(frame: gpd.GeoDataFrame, name: str | None, shapes: Geometries) -> Areas:
    """Communities by name; the rows of one are united."""
    labels = frame.index if name is None else column_of(frame, name, "communities")
    texts = Texts.of(pd.Series(labels))
    polygons = _mended_of(shapes)
    whole = [shapely.union_all(polygons[texts.codes == k]) for k in range(len(texts.names))]
    return Areas(texts.names, np.array(whole, dtype=object))


def _zone_households(zones: pd.DataFrame, name: str | None) -> NDArray[np.int64] | None:
    """Return the zones' own numbers; a column that merely has the usual name may be unusable."""
    if name is not None:
        return household_counts(zones, name, "zones")
    if default_column(zones, "households") is None:
        return None
    try:
        return household_counts(zones, "households", "zones")
    except InputError as error:
        say(f"the zones' own households were left out of the audit. {error}")
        return None


def _zones(frame: gpd.GeoDataFrame, id: str | None, raw: Geometries) -> Zones:
    if id is None and "grid" in frame.columns:
        id = "grid"
    labels = frame.index if id is None else column_of(frame, id, "zones")
    usable = finite(raw)
    polygons = raw.copy()
    polygons[~usable] = None
    return Zones(frame, [as_text(value) for value in labels], raw, usable, _mended(polygons))


def _mended_of(shapes: Geometries) -> Geometries:
    """Valid polygons of those shapes that can be used."""
    return _mended(shapes[finite(shapes) & ~shapely.is_missing(shapes)])


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
        say(f"{broken} broken shapes of the boundary were mended before measuring")
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
