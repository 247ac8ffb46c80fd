"""The door: read units, check everything about them at once, describe them.

What passes :func:`check_units` has a household count that is a whole number, valid polygons in a
CRS in metres, and borders that fit each other vertex by vertex; every later room relies on it.
What does not pass is said in one :class:`~gridpart.errors.InputError`, every kind of problem with
the offending units and values. Borders that almost fit are the business of
:func:`repair_units`, which is never run unasked.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import shapely

from gridpart import _io
from gridpart._geometry.align import mend_junctions, misaligned_in
from gridpart._geometry.segments import Floats, Ints, Objects, finite
from gridpart.contiguity import check_tolerance
from gridpart.errors import CRSError, GridpartWarning, InputError, Problem
from gridpart.units.columns import (
    check_frame,
    check_households,
    check_ids,
    check_shapes,
    check_within,
    examples,
    missing_columns,
    unit_names,
)
from gridpart.units.repair import (
    Repair,
    overlapping_pairs,
    repair_units,
    to_metric,
    with_geometries,
)

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Repair", "check_units", "describe_units", "read_units", "repair_units"]

UNITS_LAYER = "units"


def read_units(path: _io.PathLike, *, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read units from a GeoPackage, GeoParquet, GeoJSON, Shapefile or any file GDAL reads.

    Parameters
    ----------
    path : str or path
        The file.
    layer : str, optional
        Which layer. Not needed where the file has one, or has one that is called ``units``.

    Returns
    -------
    GeoDataFrame
        As it stands in the file: nothing is checked or changed yet.

    Raises
    ------
    InputError
        If the file or the layer cannot be read, or a layer must be chosen; it lists them.

    Examples
    --------
    >>> read_units("nowhere.gpkg")
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: nowhere.gpkg: no such file
    """
    suffix = str(path).lower().rpartition(".")[2]
    if layer is None and f".{suffix}" not in _io.PARQUET_SUFFIXES:
        layers = _io.list_layers(path)
        if len(layers) > 1 and UNITS_LAYER in layers:
            layer = UNITS_LAYER
    return _io.read_vector(path, layer=layer)


def check_units(
    units: gpd.GeoDataFrame,
    *,
    households: str = "households",
    id: str | None = None,
    within: str | None = None,
    crs: Any = None,
    tolerance: float = 0.001,
    overlaps: Literal["error", "warn"] = "error",
) -> gpd.GeoDataFrame:
    """Check units at the door; report every problem together, or return them ready for use.

    Parameters
    ----------
    units : GeoDataFrame of n rows
        One row per unit. It is not changed.
    households : str, default "households"
        Column with the number of households of each unit: whole numbers, 0 or more.
    id : str, optional
        Column with the unit's own name, unique and complete. Without it units are called by
        their index.
    within : str, optional
        Column with the community that each unit belongs to, complete.
    crs : CRS or anything pyproj takes, optional
        Projected CRS in metres to measure in. By default the units' own if it is one, else
        their UTM zone.
    tolerance : float, default 0.001
        Metres. A vertex this close to a neighbour's edge lies on it; vertices this close to one
        another that are not identical are an error, for :func:`repair_units` to cure.
    overlaps : {"error", "warn"}, default "error"
        What to do about units that overlap, and about borders that do not fit although no
        vertex is near another.

    Returns
    -------
    GeoDataFrame of n rows
        Same index, columns and order; geometry two-dimensional and in a projected CRS in
        metres, with the vertex of every T-junction inserted in the edge that lacked it;
        households as ``int64``.

    Raises
    ------
    CRSError
        If the CRS is missing, or `crs` is not a projected one in metres.
    InputError
        With every problem found, as `problems`.

    Warns
    -----
    GridpartWarning
        For each thing done: projected, Z dropped, T-junctions mended, overlaps left.

    Notes
    -----
    The index must be unique, because plans, tables and graphs are joined on it. Coordinates in
    GCJ-02, as web maps of China use it, cannot be told from WGS 84 by looking at them: convert
    them first, for they are off by some hundred metres and by up to 1 % in area.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> cells = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]
    >>> units = gpd.GeoDataFrame({"households": [30.0, 0.0]}, geometry=cells, crs="EPSG:4547")
    >>> check_units(units).households.tolist()
    [30, 0]
    >>> check_units(units.assign(households=[30, -2]), id="name")
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: no column 'name' for the ids; the columns are: households, geometry
    households must not be negative
        unit 1: -2
    """
    check_tolerance(tolerance)
    if overlaps not in ("error", "warn"):
        raise InputError(f"overlaps must be 'error' or 'warn', got {overlaps!r}")
    check_frame(units)
    names = unit_names(units, id)
    problems = missing_columns(units, {"households": households, "ids": id, "communities": within})
    counts, found = check_households(units, households, names)
    problems += found + check_ids(units, id) + check_within(units, within, names)
    sound, found = check_shapes(units.geometry.to_numpy(), names)
    problems += found
    try:
        frame, before = to_metric(units[sound], crs=crs, tolerance=tolerance)
    except CRSError as error:
        raise CRSError([*error.problems, *problems]) from error
    result = _check_borders(frame, names[sound], tolerance)
    problems += result.problems
    mended = before + result.mended
    if overlaps == "error":
        problems += result.overlaps
    if problems:
        raise InputError(problems)
    for problem in result.overlaps:
        _warn(str(problem))
    if mended:
        _warn(
            f"{mended} T-junctions mended: the vertex of one unit was inserted in the edge "
            "of its neighbour"
        )
    return with_geometries(frame.assign(**{households: counts}), result.geometries)


def describe_units(
    units: gpd.GeoDataFrame,
    *,
    households: str = "households",
    within: str | None = None,
    low: int | None = None,
    high: int | None = None,
) -> pd.DataFrame:
    """Describe each community: how many units and households, and how many grids can be made.

    Parameters
    ----------
    units : GeoDataFrame
        As :func:`check_units` returns them.
    households : str, default "households"
        Column with the household counts.
    within : str, optional
        Column with the community; without it all units are one, called ``all``.
    low, high : int, optional
        The band of households per grid; both or neither.

    Returns
    -------
    DataFrame
        One row per community, in order of its name: ``units``, ``households``,
        ``empty_units``, ``largest_unit`` (households), ``area_m2``; with a band also
        ``fewest_grids`` = ceil(households / high) and ``most_grids`` = floor(households / low).
        Where fewest exceeds most, no division can be in the band.

    Raises
    ------
    InputError
        If a column is missing or the band is not ``1 <= low <= high``.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> cells = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]
    >>> units = gpd.GeoDataFrame({"households": [350, 0]}, geometry=cells, crs=4547)
    >>> describe_units(units, low=200, high=300).T["all"].to_dict()
    {'units': 2.0, 'households': 350.0, 'empty_units': 1.0, 'largest_unit': 350.0, 'area_m2': 2.0,
     'fewest_grids': 2.0, 'most_grids': 1.0}
    """
    check_frame(units)
    problems = missing_columns(units, {"households": households, "communities": within})
    if (low is None) != (high is None) or (low is not None and not 1 <= low <= (high or 0)):
        problems.append(Problem("band", f"the band must be 1 <= low <= high, got {low} to {high}"))
    if problems:
        raise InputError(problems)
    community: Any = units[within].to_numpy() if within is not None else np.full(len(units), "all")
    load = units[households].to_numpy()
    table = pd.DataFrame({"load": load, "empty": load == 0, "area": units.geometry.area.to_numpy()})
    groups = table.groupby(community, sort=True)
    described = pd.DataFrame(
        {
            "units": groups.size(),
            "households": groups["load"].sum(),
            "empty_units": groups["empty"].sum(),
            "largest_unit": groups["load"].max(),
            "area_m2": groups["area"].sum(),
        }
    )
    if low is not None and high is not None:
        described["fewest_grids"] = -(-described["households"] // high)
        described["most_grids"] = described["households"] // low
    return described.rename_axis(within)


def _warn(text: str) -> None:
    warnings.warn(text, GridpartWarning, stacklevel=3)


class _Borders(NamedTuple):
    geometries: Objects
    mended: int
    problems: list[Problem]
    overlaps: list[Problem]


def _check_borders(frame: gpd.GeoDataFrame, names: Objects, tolerance: float) -> _Borders:
    """Mend T-junctions, then look for near misses and overlaps."""
    geometries = frame.geometry.to_numpy()
    outside = ~finite(geometries)
    if outside.any():
        text = f"coordinates lie where {frame.crs.name!r} is not defined; is the CRS right?"
        return _Borders(geometries, 0, [Problem("outside_crs", text, examples(names, outside))], [])
    geometries, mended, loose = mend_junctions(geometries, tolerance)
    misaligned = misaligned_in(loose, tolerance)
    problems = []
    if misaligned.n_near:
        problems.append(
            Problem(
                "misaligned",
                f"vertices of neighbours are closer than {tolerance:g} m but not identical, so "
                "borders do not fit; run repair_units (--repair), which snaps them",
                _pairs(names, misaligned.near_units, misaligned.near_gap, "{:.2g} m apart"),
                misaligned.n_near,
            )
        )
    return _Borders(
        geometries,
        mended,
        problems,
        _overlap_problems(geometries, names, tolerance, bool(problems)),
    )


def _overlap_problems(
    geometries: Objects, names: Objects, tolerance: float, misaligned: bool
) -> list[Problem]:
    edges = shapely.coverage_invalid_edges(geometries)
    bad = np.flatnonzero(~shapely.is_empty(edges))
    pairs, area, width = overlapping_pairs(geometries, bad)
    real = width > tolerance
    problems = []
    if real.any():
        problems.append(
            Problem(
                "overlap",
                "units overlap; redraw them, or repair the rest (repair_units, --repair) and "
                "go on with them as they are",
                _pairs(names, pairs[real], area[real], "{:,.3f} m2"),
            )
        )
    unexplained = bad[~np.isin(bad, pairs[real])]
    if len(unexplained) and not misaligned:
        problems.append(
            Problem(
                "unmatched_edges",
                "borders do not fit those of their neighbours; run repair_units (--repair)",
                tuple(f"unit {name}" for name in names[unexplained]),
            )
        )
    return problems


def _pairs(names: Objects, pairs: Ints, values: Floats, form: str) -> tuple[str, ...]:
    return tuple(
        f"units {names[one]} and {names[other]}: " + form.format(value)
        for (one, other), value in zip(pairs, values, strict=True)
    )
