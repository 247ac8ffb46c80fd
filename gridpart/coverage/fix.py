"""Safe repairs of a zone layer: slivers, borders that nearly match, broken shapes.

What the audit finds is repaired where only one answer is sensible and nobody's home zone changes.
The layer is taken through rounds, each a function of the shapes alone (trim sliver overlaps, snap
vertices, give sliver gaps away), until one changes nothing: so a second repair changes nothing.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from gridpart.coverage.crs import lacks_crs
from gridpart.coverage.door import NO_UNITS
from gridpart.coverage.mend import CHANGES, Bench, Change, make_valid, one_round
from gridpart.coverage.scene import build_scene
from gridpart.coverage.texts import joined
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.units.repair import with_geometries

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["fix_text", "fix_zones"]

Geometries = NDArray[np.object_]
COLUMNS = (
    "change", "status", "ids", "n", "area_m2", "length_m", "households", "message", "geometry",
)  # fmt: skip
ROUNDS = 20


def fix_zones(
    zones: gpd.GeoDataFrame,
    *,
    id: str | None = None,
    boundary: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    units: gpd.GeoDataFrame | None = None,
    unit_id: str | None = None,
    households: str | None = None,
    tolerance: float = 0.001,
    min_area: float = 1.0,
    sliver_width: float = 0.0,
    crs: Any = None,
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Repair what can be repaired safely in a layer of zones, and list every change.

    Vertices that nearly match are snapped; sliver gaps go to the zone with the longest shared
    border; of a sliver overlap one zone keeps the ground: the one whose units stand on it, else
    the one with the longer border there; broken shapes are made valid where that leaves their
    area. Whatever is larger stays as it is, for the audit to find.

    Parameters
    ----------
    zones : GeoDataFrame of n rows
        Polygons, one row a zone. It is not changed.
    id : str, optional
        Column of zone ids; by default ``grid`` if there is one, else the index.
    boundary : GeoDataFrame or GeoSeries, optional
        The territory the zones shall cover. Without it, only enclosed gaps are seen.
    units : GeoDataFrame, optional
        Basic units (polygons or points). No repair may change the zone that any of them lies in.
    unit_id, households : str, optional
        Columns of `units`: ids (default the index) and whole numbers of households (default
        ``households`` if there is one).
    tolerance : float, default 0.001
        Metres within which vertices, and vertices and edges, are drawn together. Pieces nowhere
        wider are no defects.
    min_area : float, default 1.0
        Square metres. A connected gap or overlap is a sliver below it; a broken shape is mended
        only if its area changes by less.
    sliver_width : float, default 0.0
        Metres. A connected gap or overlap nowhere wider is a sliver, too, whatever its area: of
        borders that were drawn apart, one may be hundreds of metres long.
    crs : CRS or str, optional
        Projected CRS in metres to measure in; default that of the zones, else their UTM zone.

    Returns
    -------
    zones : GeoDataFrame of n rows
        Same index, columns, order and CRS. Zones without a change keep their shapes bit by bit.
    changes : GeoDataFrame
        One row a change, in the CRS it was measured in: ``change`` (made_valid, snapped,
        overlap_trimmed, gap_closed), ``status`` (made, refused), ``ids`` (text, parted as those
        of :func:`gridpart.audit`, first the zone whose shape changed), ``n`` (vertices snapped,
        else 1), ``area_m2`` of the ground that changed hands, ``length_m`` (its outline),
        ``households`` that would have changed hands, ``message``, geometry.

    Raises
    ------
    CRSError
        If a layer has no CRS, or `crs` is no projected CRS in metres.
    InputError
        If there are no zones or no rows of units, a named column is missing, or a column of units
        is named without units.

    Warns
    -----
    GridpartWarning
        When a layer was projected to measure it, or heights (Z) were dropped from zones that
        changed.

    See Also
    --------
    audit, repair_units

    Notes
    -----
    The sum of the zones' areas grows by the gaps closed and shrinks by the overlaps trimmed; what
    else it changes, through snapping, is less than `tolerance` times the length of the outlines.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> zones = gpd.GeoDataFrame(
    ...     {"grid": ["A", "B"]},
    ...     geometry=[box(0, 0, 50, 50), box(50.01, 0, 100, 50)],
    ...     crs="EPSG:4547",
    ... )
    >>> boundary = gpd.GeoSeries([box(0, 0, 100, 50)], crs="EPSG:4547")
    >>> fixed, changes = fix_zones(zones, boundary=boundary)
    >>> changes.loc[changes["change"] == "gap_closed", ["ids", "area_m2"]].round(3).values.tolist()
    [['A', 0.5]]
    >>> float(fixed.area.sum())
    5000.0
    """
    if units is None and (unit_id is not None or households is not None):
        raise InputError("unit_id and households name columns of units, but none were given")
    if units is not None and not len(units):
        raise InputError(Problem("no_units", NO_UNITS))
    if not sliver_width >= 0:
        raise InputError(f"sliver_width must not be below 0 m, got {sliver_width!r}")
    if zones.crs is None:
        lacks_crs("zones")
    scene = build_scene(
        zones,
        id=id,
        boundary=boundary,
        units=units,
        unit_id=unit_id,
        households=households,
        zone_households=None,
        assignment=None,
        within=None,
        unit_within=None,
        crs=crs,
        min_area=min_area,
        tolerance=tolerance,
    )
    bench = Bench(scene, sliver_width)
    make_valid(bench)
    for _ in range(ROUNDS):
        if not one_round(bench):
            break
    else:
        warnings.warn(
            f"the repair has not come to rest in {ROUNDS} rounds; repair the result again",
            GridpartWarning,
            stacklevel=2,
        )
    return _result(zones, bench), _changes_frame(bench)


def fix_text(changes: gpd.GeoDataFrame) -> str:
    """Say in a few lines what :func:`fix_zones` did.

    Parameters
    ----------
    changes : GeoDataFrame
        From :func:`fix_zones`.
    """
    lines = []
    for status, head in (("made", "repaired"), ("refused", "not repaired")):
        rows = changes[changes["status"] == status]
        parts = []
        for kind, (one, many) in CHANGES.items():
            here = rows[rows["change"] == kind]
            if len(here):
                area = f" ({here['area_m2'].sum():,.3f} m²)" if kind != "snapped" else ""
                parts.append(f"{len(here):,} {one if len(here) == 1 else many}{area}")
        if parts:
            lines.append(f"{head}: {'; '.join(parts)}")
    lines += [f"  {text}" for text in changes.loc[changes["status"] == "refused", "message"][:5]]
    return "\n".join(lines) or "nothing to repair"


# --------------------------------------------------------------------------- the result


def _result(zones: gpd.GeoDataFrame, bench: Bench) -> gpd.GeoDataFrame:
    """The caller's frame with the shapes that changed, in its own CRS."""
    scene = bench.scene
    original = np.array(zones.geometry, dtype=object)
    rows = np.flatnonzero(bench.editable)
    changed = rows[~shapely.equals_identical(scene.zones.raw[rows], bench.shapes[rows])]
    if not len(changed):
        return with_geometries(zones, original)
    drawn = original[~shapely.is_missing(original)]
    if shapely.has_z(original).any():
        warnings.warn("the zones' heights (Z) are dropped", GridpartWarning, stacklevel=3)
        original = shapely.force_2d(original)
    back = bench.shapes[changed]
    if zones.crs != scene.crs:
        back = _taken_back(back, drawn, zones.crs, scene.crs)
    original[changed] = back
    return with_geometries(zones, original)


def _taken_back(shapes: Geometries, original: Geometries, crs: Any, measured: Any) -> Geometries:
    """Shapes in the caller's CRS; vertices that were there keep their coordinates exactly."""
    own = shapely.get_coordinates(original)
    there = pyproj.Transformer.from_crs(crs, measured, always_xy=True)
    back = pyproj.Transformer.from_crs(measured, crs, always_xy=True)
    moved = np.column_stack(there.transform(own[:, 0], own[:, 1]))
    known = {tuple(at): xy for at, xy in zip(moved.tolist(), own.tolist(), strict=True)}

    def inverse(coords: NDArray[np.float64]) -> NDArray[np.float64]:
        new = np.column_stack(back.transform(coords[:, 0], coords[:, 1]))
        pairs = zip(coords.tolist(), new.tolist(), strict=True)
        return np.array([known.get(tuple(at), xy) for at, xy in pairs]).reshape(-1, 2)

    taken: Geometries = shapely.transform(shapes, inverse)
    return taken


def _changes_frame(bench: Bench) -> gpd.GeoDataFrame:
    """Rows by kind and place, those made before those refused; one row a zone that was snapped."""
    import geopandas as gpd

    order = list(CHANGES)
    changes = [*_merged(bench.made), *bench.refused_for_good, *bench.refused]
    changes.sort(
        key=lambda item: (item.status, order.index(item.change), tuple(item.geometry.bounds))
    )
    ids = bench.scene.zones.ids
    rows = [
        {
            "change": item.change,
            "status": item.status,
            "ids": joined(ids[row] for row in item.rows),
            "n": item.n,
            "area_m2": float(item.area_m2),
            "length_m": float(shapely.length(item.geometry)),
            "households": item.households,
            "message": item.message,
            "geometry": item.geometry,
        }
        for item in changes
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame = frame.astype({"n": "int64", "area_m2": "float64", "length_m": "float64"})
    frame["households"] = frame["households"].astype("Int64")
    shapes = gpd.GeoSeries(list(frame.pop("geometry")), crs=bench.scene.crs)
    return gpd.GeoDataFrame(frame, geometry=shapes, crs=bench.scene.crs)


def _merged(made: list[Change]) -> list[Change]:
    """Snapping takes several rounds: one row for each zone."""
    by_zone: dict[int, list[Change]] = {}
    for item in made:
        if item.change == "snapped":
            by_zone.setdefault(item.rows[0], []).append(item)
    merged = [item for item in made if item.change != "snapped"]
    for row, items in by_zone.items():
        place = shapely.union_all([item.geometry for item in items])
        n = sum(item.n for item in items)
        message = items[0].message.split(":")[0] + f": {n} vertices moved or set"
        area = math.fsum(item.area_m2 for item in items)
        merged.append(Change("snapped", (row,), place, message, n, area))
    return merged
