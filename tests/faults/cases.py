"""Clean plans that faults are put into: generated towns that gridpart divides, and Porto.

A :class:`Place` is a plan with everything that is known of it. A :class:`Case` is what an audit is
given of it: the zones, and some of the rest. Cases are cheap to copy, for a fault changes a copy.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

import gridpart as gp
from gridpart.coverage.plans import audit_inputs
from gridpart.errors import GridpartWarning

TOLERANCE = 0.001
MIN_AREA = 1.0
TOUCHING = 1e-6  # metres: zones this near to each other touch
CHORDS = 4  # barriers with a crossing that a clean plan holds


@dataclass(frozen=True)
class Place:
    """A clean plan and all that is known of it.

    Parameters
    ----------
    zones : GeoDataFrame
        Columns ``grid``, ``grid_code``, ``within``, ``kind``, ``households``, index 0 to n - 1.
    units : GeoDataFrame
        Columns ``unit_id``, ``grid``, ``grid_code``, ``community``, ``households``.
    boundary : Polygon
    low, high : int
        The band of the plan.
    exceptions : DataFrame
        What is recorded as outside of it.
    barriers, crossings : list of geometry
    other_crs : tuple of int
        EPSG numbers of other systems that layers of the place may come in.
    """

    name: str
    zones: gpd.GeoDataFrame
    units: gpd.GeoDataFrame
    boundary: Any
    low: int
    high: int
    exceptions: pd.DataFrame
    barriers: list[Any]
    crossings: list[Any]
    other_crs: tuple[int, ...] = (4490, 4546, 3857)

    @cached_property
    def near(self) -> list[set[int]]:
        """Every zone's neighbours and itself, those at a point included."""
        shapes = self.zones.geometry.to_numpy()
        one, other = shapely.STRtree(shapes).query(shapes, "dwithin", distance=TOUCHING)
        sets: list[set[int]] = [set() for _ in shapes]
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            sets[a].add(b)
        return sets

    @cached_property
    def rim(self) -> Any:
        """Outline of the whole."""
        return shapely.boundary(self.boundary)

    @cached_property
    def inner(self) -> set[int]:
        """Zones away from the rim."""
        far = shapely.distance(self.zones.geometry.to_numpy(), self.rim) > 1
        return set(np.flatnonzero(far).tolist())

    @cached_property
    def home(self) -> list[int]:
        """Zone of each unit."""
        row = {name: k for k, name in enumerate(self.zones["grid"])}
        return [row[name] for name in self.units["grid"]]

    @cached_property
    def units_at(self) -> list[list[int]]:
        """Units of each zone."""
        lists: list[list[int]] = [[] for _ in self.zones.index]
        for unit, zone in enumerate(self.home):
            lists[zone].append(unit)
        return lists

    @cached_property
    def unit_tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.units.geometry.to_numpy())

    @cached_property
    def plain(self) -> list[int]:
        """Zones that a fault may hit: of one part, with households, of which no exception tells."""
        simple = shapely.get_type_id(self.zones.geometry.to_numpy()) == 3
        told = self.zones["grid"].isin(set(self.exceptions["grid"]))
        held = (self.zones["households"] >= 4).to_numpy()
        return np.flatnonzero(simple & ~told.to_numpy() & held).tolist()


@dataclass
class Case:
    """What an audit is given of a place. Labels of zones and units are those of the place.

    Parameters
    ----------
    zones, units : DataFrame
        Columns without geometry; `units` may be None.
    shapes, unit_shapes : dict of int to geometry
        By label.
    boundary : geometry or None
    tables, lines : dict
        Keywords of the audit that are tables, and layers of lines.
    options : dict
        Its other keywords.
    crs : dict
        CRS of the layers that are not in that of the place; None for those that say none.
    listed : bool
        Whether the units' table is audited, without any zone being drawn.
    """

    name: str
    place: Place
    zones: pd.DataFrame
    shapes: dict[int, Any]
    boundary: Any = None
    units: pd.DataFrame | None = None
    unit_shapes: dict[int, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    lines: dict[str, list[Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    listed: bool = False
    crs: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Case:
        """A case of its own; shapes are shared, for they are never changed."""
        twin = copy.copy(self)
        vars(twin).pop("audited", None)
        twin.zones, twin.shapes = self.zones.copy(), dict(self.shapes)
        twin.unit_shapes = dict(self.unit_shapes)
        twin.units = None if self.units is None else self.units.copy()
        twin.tables = {name: table.copy() for name, table in self.tables.items()}
        twin.lines = {name: list(lines) for name, lines in self.lines.items()}
        twin.options, twin.crs = dict(self.options), dict(self.crs)
        return twin

    @cached_property
    def audited(self) -> gpd.GeoDataFrame:
        """What the audit finds of it; for a clean case, which is not changed."""
        return self.audit()

    def name_of(self, zone: int) -> str:
        """Id of a zone."""
        return str(self.zones.loc[zone, "grid"])

    def unit_name(self, unit: int) -> str:
        """Id of a unit."""
        assert self.units is not None
        return str(self.units.loc[unit, "unit_id"])

    def audit(self) -> gpd.GeoDataFrame:
        """Run the audit. Warnings of what an input is like are no findings."""
        options: dict[str, Any] = {**self.options, **self.tables}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GridpartWarning)
            if self.units is not None:
                options["units"] = self._layer("units", self.units, self.unit_shapes)
            if self.listed:
                return gp.audit_assignment(**options)
            if self.boundary is not None:
                options["boundary"] = self._in_crs("boundary", gpd.GeoSeries([self.boundary]))
            for name, lines in self.lines.items():
                options[name] = self._in_crs(name, gpd.GeoSeries(lines))
            return gp.audit(self._layer("zones", self.zones, self.shapes), **options)

    def _layer(self, what: str, frame: pd.DataFrame, shapes: dict[int, Any]) -> gpd.GeoDataFrame:
        series = gpd.GeoSeries([shapes[label] for label in frame.index], frame.index)
        return gpd.GeoDataFrame(frame, geometry=self._in_crs(what, series))

    def _in_crs(self, what: str, series: gpd.GeoSeries) -> gpd.GeoSeries:
        own = self.place.zones.crs
        if what not in self.crs:
            return series.set_crs(own)
        other = self.crs[what]
        return series if other is None else series.set_crs(own).to_crs(other)


# --------------------------------------------------------------------------- places


def town_place(n: int = 500, seed: int = 1, *, low: int = 60, high: int = 160) -> Place:
    """A generated town, divided and coded by gridpart."""
    town = gp.county_town(n, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GridpartWarning)
        plan = gp.partition(
            town.units, id="unit_id", within="community", low=low, high=high,
            exclusive="exclusive", keep_whole="compound", barriers=town.river,
            crossings=town.bridges, seed=seed, effort="fast",
        )  # fmt: skip
        plan = gp.assign_codes(plan, parent="community")
    known = audit_inputs(plan)
    place = Place(
        name=f"town of {n} units, seed {seed}",
        zones=plan.grids.reset_index(drop=True),
        units=plan.units.reset_index(drop=True),
        boundary=town.boundary.geometry.iloc[0],
        low=low,
        high=high,
        exceptions=known["exceptions"].reset_index(drop=True),
        barriers=list(known["barriers"].geometry),
        crossings=list(known["crossings"].geometry),
    )
    return _with_chords(place)


def porto_place(path: Path) -> Place:
    """The sections of Porto's census, with invented codes, its parishes as communities."""
    from gridpart._geometry.order import in_rows

    sections, units, parishes = (
        gpd.read_file(path, layer=layer) for layer in ("official_sections", "units", "parishes")
    )
    names = {name: f"{130000 + k:06d}001001" for k, name in enumerate(sorted(set(units.parish_id)))}
    sections["grid"] = sections["section_id"].astype(object)
    sections["within"] = sections["parish_id"].map(names).astype(object)
    sections["kind"] = "base"
    sections["n_units"] = sections["section_id"].map(units["section_id"].value_counts())
    sections["grid_code"] = ""
    sections["grid_code"] = sections["grid_code"].astype(object)
    for name, rows in sections.groupby("within").groups.items():
        spots = sections.geometry[rows].centroid
        order = in_rows(spots.x, spots.y, sections.geometry[rows].area)
        for serial, row in enumerate(np.asarray(rows)[order], start=1):
            sections.loc[row, "grid_code"] = f"{name}{serial:03d}"
    units["grid"] = units["section_id"].astype(object)
    units["grid_code"] = units["grid"].map(sections.set_index("grid")["grid_code"]).astype(object)
    units["community"] = units["parish_id"].map(names).astype(object)
    units["unit_id"] = units["unit_id"].astype(object)
    place = Place(
        name="Porto's sections",
        zones=sections,
        units=units,
        boundary=parishes.union_all(),
        low=100,
        high=700,
        exceptions=pd.DataFrame({"grid": [], "reason": [], "households": []}, dtype=object),
        barriers=[],
        crossings=[],
        other_crs=(4258, 32629, 3857),
    )
    return _with_chords(place)


def chord(shape: Any, rng: np.random.Generator) -> tuple[Any, Any, float]:
    """A line from side to side of a zone, a point of it inside, and by how much it sticks out."""
    centre = shapely.point_on_surface(shape)
    turn = rng.uniform(0, np.pi)
    step = np.array([np.cos(turn), np.sin(turn)]) * 2 * np.sqrt(shape.area + 1) * 5
    at = np.array([centre.x, centre.y])
    inside = shapely.intersection(shapely.LineString([at - step, at + step]), shape)
    run = max(shapely.get_parts(inside), key=lambda part: part.length)
    ends = shapely.get_coordinates(run)
    along = (ends[-1] - ends[0]) / np.hypot(*(ends[-1] - ends[0]))
    out = 0.5
    line = shapely.LineString([ends[0] - along * out, ends[-1] + along * out])
    return line, shapely.line_interpolate_point(run, 0.5, normalized=True), out


def _with_chords(place: Place) -> Place:
    """The same with barriers through some zones and a crossing in each: nothing is wrong there."""
    rng = np.random.default_rng(7)
    lines, spots = list(place.barriers), list(place.crossings)
    for zone in rng.permutation(place.plain)[:CHORDS]:
        line, spot, _ = chord(place.zones.geometry[zone], rng)
        lines.append(line)
        spots.append(spot)
    return dataclasses.replace(place, barriers=lines, crossings=spots)


# --------------------------------------------------------------------------- cases

ZONES = ["grid"]
UNITS = ["unit_id", "households"]
FAR_BOX = shapely.box(9e6, 9e6, 9e6 + 10, 9e6 + 10)


def cases_of(place: Place) -> dict[str, Case]:
    """Every case of a place, by name."""
    place = dataclasses.replace(place, zones=_grouped(place.zones), units=_in_sites(place))
    band = {"low": place.low, "high": place.high}
    register = pd.DataFrame({"code": place.zones["grid_code"], "state": "live"}, dtype=object)
    made = (
        _case(place, "ground", boundary=True),
        _case(place, "edges", boundary=True),
        _case(place, "open"),
        _case(place, "excluded", boundary=True, lines={"excluded": [FAR_BOX]}),
        _case(place, "excluded open", lines={"excluded": [FAR_BOX]}),
        _case(place, "people", boundary=True, units=UNITS),
        _case(place, "assigned", units=[*UNITS, "grid"], assignment="grid"),
        _case(place, "counted", ["grid", "households"], units=UNITS, zone_households="households"),
        _case(place, "band", ["grid", "kind"], units=UNITS,
              tables={"exceptions": place.exceptions}, **band),
        _case(place, "own band", ["grid", "kind", "households", "n_units"],
              tables={"exceptions": place.exceptions}, zone_households="households", **band),
        _case(place, "community", ["grid", "within"], units=[*UNITS, "community"],
              within="within", unit_within="community"),
        _case(place, "areas", ["grid", "within"], within="within", community_id="within",
              tables={"communities": place.zones[["within", "geometry"]].dissolve("within",
                      as_index=False)}),
        _case(place, "barrier", boundary=True,
              lines={"barriers": place.barriers, "crossings": place.crossings}),
        _case(place, "sites", units=[*UNITS, "compound", "site"], compound="compound",
              exclusive="site"),
        _case(place, "marked", units=[*UNITS, "marked"], exclusive="marked"),
        _case(place, "nested", ["grid", "quarter", "within", "street"],
              levels=["quarter", "within", "street"]),
        _case(place, "nested units", units=[*UNITS, "micro", "grid", "community"],
              levels=["micro", "grid", "community"]),
        _case(place, "staffed", ["grid", "grid_code"], tables={"staff": _posts(place)}),
        _case(place, "coded", ["grid", "grid_code", "within"], code="grid_code", parent="within"),
        _case(place, "registered", ["grid", "grid_code"], code="grid_code",
              tables={"register": register}),
        _listed(place, "listed", assignment="grid"),
        _listed(_unexcepted(place), "listed band", assignment="grid", **band),
        _listed(place, "listed codes", assignment="grid_code", parent="community",
                unit_within="community"),
    )  # fmt: skip
    return {case.name: case for case in made}


def _grouped(zones: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Zones with a quarter of four zones below their community, and a street above it."""
    number = zones.groupby("within").cumcount() // 4
    quarter = zones["within"].astype(str) + "-Q" + number.astype(str)
    return zones.assign(quarter=quarter, street=zones["within"].str[:9])


def _in_sites(place: Place) -> gpd.GeoDataFrame:
    """Units with a part of their grid, a walled compound in most grids, a site in the others."""
    units = place.units
    number = units.groupby("grid").cumcount() // 3
    micro = units["grid"].astype(str) + "-M" + number.astype(str)
    compound, site = (np.full(len(units), None, dtype=object) for _ in range(2))
    shapes = units.geometry.to_numpy()
    for zone in place.plain:
        lot = place.units_at[zone]
        if zone % 4 == 0:
            site[lot] = f"site {zone}"
        elif len(lot) > 2:
            shared = shapely.length(shapely.intersection(shapes[lot[0]], shapes[lot]))
            shared[0] = 0
            if shared.max() > 1:
                compound[[lot[0], lot[int(shared.argmax())]]] = f"compound {zone}"
    marked = pd.notna(site)
    return units.assign(micro=micro, compound=compound, site=site, marked=marked)


def _posts(place: Place) -> pd.DataFrame:
    """A post on every zone, by its id or its code, and some on two that border on each other."""
    rows = [
        {"post_id": f"P{zone}", "grid": place.zones[("grid", "grid_code")[zone % 2]][zone]}
        for zone in place.zones.index
    ]
    shapes = place.zones.geometry
    for zone in place.plain[::5]:
        for other in sorted(place.near[zone] - {zone}):
            if shapely.length(shapely.intersection(shapes[zone], shapes[other])) > 1:
                rows += [{"post_id": f"Q{zone}", "grid": place.zones["grid"][z]}
                         for z in (zone, other)]  # fmt: skip
                break
    return pd.DataFrame(rows, dtype=object)


def _case(
    place: Place,
    name: str,
    zones: list[str] = ZONES,
    *,
    boundary: bool = False,
    units: list[str] | None = None,
    tables: dict[str, pd.DataFrame] | None = None,
    lines: dict[str, list[Any]] | None = None,
    **options: Any,
) -> Case:
    """Zones with some columns, and what else is given."""
    if units is not None:
        options |= {"unit_id": "unit_id", "households": "households"}
    return Case(
        name=name,
        place=place,
        zones=_plain(place.zones, zones),
        shapes=dict(enumerate(place.zones.geometry)),
        boundary=place.boundary if boundary else None,
        units=None if units is None else _plain(place.units, units),
        unit_shapes={} if units is None else dict(enumerate(place.units.geometry)),
        tables=tables or {},
        lines=lines or {},
        options={"id": "grid", **options},
    )


def _listed(place: Place, name: str, *, assignment: str, **options: Any) -> Case:
    """The table of units alone."""
    columns = [*UNITS, "grid", "grid_code", "community"]
    return dataclasses.replace(
        _case(place, name, units=columns, assignment=assignment, **options),
        listed=True,
        options={"unit_id": "unit_id", "assignment": assignment, **options},
    )


def _unexcepted(place: Place) -> Place:
    """The same without the units of grids that are recorded as exceptions."""
    told = place.units["grid"].isin(set(place.exceptions["grid"]))
    kept = place.units[~told].reset_index(drop=True)
    return dataclasses.replace(place, units=kept)


def _plain(frame: gpd.GeoDataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns without geometry, texts as plain objects so that any value fits in."""
    kept = pd.DataFrame({name: frame[name].to_numpy() for name in columns})
    for name in columns:
        if not pd.api.types.is_integer_dtype(kept[name]) and name != "marked":
            kept[name] = kept[name].astype(object)
    return kept
