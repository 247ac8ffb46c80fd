"""The audit of a table that says which grid each unit is in, without any polygon of a zone.

Zones are then nothing but their units: their ground is the union of the units' shapes, and they
hang together where the units touch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart._geometry.segments import finite
from gridpart.barriers import Barriers, gather_lines
from gridpart.codes import Scheme, check_parent, load_scheme
from gridpart.contiguity import Contiguity
from gridpart.coverage.coding import check_codes, check_register, zone_codes
from gridpart.coverage.communities import check_barriers, check_communities
from gridpart.coverage.crs import in_one_crs, lacks_crs, metric_crs
from gridpart.coverage.door import check_request
from gridpart.coverage.exceptions import check_exceptions
from gridpart.coverage.findings import findings_frame
from gridpart.coverage.listing import Parts, check_connection, check_listing
from gridpart.coverage.people import Located
from gridpart.coverage.rules import Band, check_rules
from gridpart.coverage.scene import Scene, Zones, limits_of, unit_fields
from gridpart.coverage.scope import topics_of
from gridpart.coverage.sites import check_order
from gridpart.coverage.staff import check_staff
from gridpart.coverage.territory import EMPTY, Cover, polygonal
from gridpart.coverage.texts import Texts
from gridpart.errors import GridpartWarning, InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["assigned_grids", "audit_assignment"]

Integers = NDArray[np.int64]


def audit_assignment(
    units: gpd.GeoDataFrame | pd.DataFrame,
    assignment: str,
    *,
    unit_id: str | None = None,
    households: str | None = None,
    low: int | None = None,
    high: int | None = None,
    unit_within: str | None = None,
    parent: str | None = None,
    exceptions: pd.DataFrame | None = None,
    barriers: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    crossings: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    barrier_tolerance: float = 1.0,
    compound: str | None = None,
    exclusive: str | None = None,
    levels: Sequence[str] | None = None,
    staff: pd.DataFrame | None = None,
    register: pd.DataFrame | None = None,
    scheme: str | Scheme | None = None,
    graph: Contiguity | None = None,
    crs: Any = None,
    tolerance: float = 0.001,
) -> gpd.GeoDataFrame:
    """Find what is wrong with an assignment of units to grids of which no polygon is drawn.

    Parameters
    ----------
    units : GeoDataFrame or DataFrame
        Basic units: polygons, points such as buildings, or a plain table.
    assignment : str
        Column of `units` that names their grid; a unit without one is a blind spot.
    unit_id, households : str, optional
        Columns of `units`: ids (default the index) and whole numbers of households (default
        ``households`` if there is one).
    low, high : int, optional
        The band: fewest and most households of a grid.
    unit_within : str, optional
        Column of `units` that names their community; no grid may have units of two.
    parent : str, optional
        Column of `units` with the 12-digit parent code of their grid, or one code for all. Used
        where `assignment` holds codes, which it does if at least half of its names are such.
    exceptions : DataFrame, optional
        Recorded exceptions, as of :func:`gridpart.audit`.
    barriers, crossings : GeoDataFrame or GeoSeries, optional
        Lines that no grid spans, and where it may all the same. Only of units that are polygons.
    barrier_tolerance : float, default 1.0
        Metres within which a border lies along a barrier.
    compound, exclusive : str, optional
        Columns of `units`: the compound of each, and a mark on those with a grid of their own.
    levels : sequence of str, optional
        Columns of `units`, the lowest level first: each must nest in the next.
    staff, register : DataFrame, optional
        Posts by grid, and codes ever issued, as of :func:`gridpart.audit`.
    scheme : str, path or Scheme, default "unit-grid"
        What codes are made of; see :func:`gridpart.load_scheme`.
    graph : Contiguity, optional
        Who touches whom; by default :func:`gridpart.build_contiguity` of the polygons.
    crs : CRS or str, optional
        Projected CRS in metres to measure in; default that of the units, else their UTM zone.
    tolerance : float, default 0.001
        Metres within which the borders of units count as the same.

    Returns
    -------
    GeoDataFrame
        Findings as those of :func:`gridpart.audit`; the geometry of each is that of the units
        concerned. ``attrs["scope"]`` says what was checked and what could not be: whether grids
        are in one part cannot be told of points, of a plain table, or of units most of which do
        not touch each other.

    Raises
    ------
    CRSError
        If units with shapes have no CRS, or `crs` is no projected CRS in metres.
    InputError
        If there are no units, a named column is missing, households are not whole numbers up to
        1,000,000,000, the band has nothing to count, `parent` is neither a column nor a code, or
        `graph` is of other units.

    Warns
    -----
    GridpartWarning
        When units were projected to measure them, overlap each other, or leave grids of which
        the connection cannot be told.

    See Also
    --------
    gridpart.audit

    Notes
    -----
    Units that touch at a point only do not hold a grid together. A part on which no other unit
    borders is an islet, and a warning. Units count as a coverage, of which connection can be
    told, if they are in no more pieces than there are grids, and two.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> cells = [box(100 * k, 0, 100 * k + 100, 100) for k in range(4)]
    >>> units = gpd.GeoDataFrame(
    ...     {"grid": ["A", "B", "A", None], "households": 90}, geometry=cells, crs="EPSG:4547"
    ... )
    >>> findings = audit_assignment(units, "grid", low=100, high=500)
    >>> findings[["check", "ids", "advice"]].to_dict("split")["data"]
    ... # doctest: +NORMALIZE_WHITESPACE
    [['multipart', 'A', 'give it to grid B, which has 100% of its border with others'],
     ['unit_uncovered', '3', 'assign to grid A: shares 25% of its border'],
     ['below_band', 'B', 'merge it with a neighbour, or take over units from one']]
    """
    band = Band(low, high)
    check_request(
        units,
        units,
        band,
        zone_columns={},
        unit_columns={
            "unit_id": unit_id, "households": households, "assignment": assignment,
            "unit_within": unit_within, "compound": compound, "exclusive": exclusive,
        },
    )  # fmt: skip
    _check_table(units, parent, graph, tolerance)
    shapes, target = _measured(units, crs)
    fields = unit_fields(units, shapes, unit_id, households, assignment, unit_within)
    scene = _scene(units, fields, target, tolerance, assignment, parent)
    parts = Parts.of(scene, graph)
    rules = load_scheme(scheme or "unit-grid")
    coded = _holds_codes(scene, rules)
    findings = list(check_listing(scene, parts, by_id=unit_id is not None))
    if parts.told:
        findings += check_connection(scene, parts)
    findings += check_rules(scene, band)
    findings += check_communities(scene)
    findings += check_order(scene, band, compound, exclusive, levels)
    across = None
    if parts.rows.size and (lines := gather_lines(barriers, crossings, None, target)) is not None:
        across = Barriers(lines, barrier_tolerance)
        findings += check_barriers(scene, across)
    if exceptions is not None:
        findings += check_exceptions(scene, findings, exceptions, band, across)
    codes = zone_codes(scene, "grid") if coded else None
    if codes is not None:
        own = "parent" if parent is not None and "parent" in scene.zones.frame.columns else parent
        findings += check_codes(scene, "grid", own, rules)
        if register is not None:
            findings += check_register(scene, codes, register, rules)
    if staff is not None:
        findings += check_staff(scene, staff, codes)
    for finding in findings:
        if finding.geometry is not None and finding.geometry.is_empty:
            finding.geometry = None
    frame = findings_frame(findings, target)
    ran = {
        "listing": True,
        "connection": parts.told,
        "band": band != Band(),
        "communities": unit_within is not None,
        "barriers": across is not None,
        "compounds": compound is not None,
        "exclusive": exclusive is not None,
        "levels": levels is not None,
        "register": coded and register is not None,
        "staff": staff is not None,
        "table_codes": coded,
        "parents": coded and parent is not None,
        "drawing": False,
    }
    if exceptions is not None:
        ran["exceptions"] = True
    counted = scene.unit_households
    frame.attrs["scope"] = {
        **topics_of(ran, band),
        "band": None if band == Band() else [low, high],
        "zones": len(scene.zones),
        "units": len(units),
        "households": None if counted is None else int(counted.sum()),
    }
    return frame


def assigned_grids(units: gpd.GeoDataFrame | pd.DataFrame, assignment: str) -> Any:
    """Ground of every grid, as the union of its units; None where the units are no polygons.

    Parameters
    ----------
    units : GeoDataFrame or DataFrame
        Basic units.
    assignment : str
        Column of `units` that names their grid.

    Returns
    -------
    GeoDataFrame or None
        Columns ``grid`` (text) and geometry, by name.
    """
    import geopandas as gpd

    if not isinstance(units, gpd.GeoDataFrame):
        return None
    shapes = _usable(np.array(units.geometry, dtype=object))
    texts = Texts.of(units[assignment])
    names, home = _homes(texts)
    ground = polygonal(_united(shapes, home, len(names)))
    drawn = ~shapely.is_empty(ground)
    if not drawn.any():
        return None
    kept = np.array(names, dtype=object)[drawn]
    return gpd.GeoDataFrame({"grid": kept}, geometry=ground[drawn], crs=units.crs)


# --------------------------------------------------------------------------- the door


def _check_table(
    units: pd.DataFrame, parent: str | None, graph: Contiguity | None, tolerance: float
) -> None:
    problems = []
    if not tolerance > 0:
        problems.append(Problem("tolerance", "tolerance must be above 0 m"))
    if parent is not None and parent not in units.columns:
        reason = check_parent(str(parent))
        if reason is not None:
            message = f"parent {parent!r} is no column of the units, and as a code it {reason}"
            problems.append(Problem("bad_parent", message))
    if graph is not None and not graph.index.equals(units.index):
        problems.append(Problem("ids_differ", "the graph must be on the index of the units"))
    if problems:
        raise InputError(problems)


def _measured(units: pd.DataFrame, crs: Any) -> tuple[NDArray[np.object_], Any]:
    """Shapes of the units in a projected CRS in metres, and that CRS; None for a plain table."""
    import geopandas as gpd

    if not isinstance(units, gpd.GeoDataFrame) or units.geometry.isna().all():
        return np.full(len(units), EMPTY, dtype=object), None
    if units.crs is None:
        lacks_crs("units")
    target = metric_crs(units.geometry, crs, "units")
    if target != units.crs:
        message = f"units were projected from {units.crs.name} to {target.name} to be measured"
        warnings.warn(message, GridpartWarning, stacklevel=3)
    return in_one_crs([units.geometry], target)[0], target


def _usable(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Valid shapes; empty where there is none, or a coordinate is no number of a place on earth."""
    shapes[~finite(shapes) | shapely.is_missing(shapes)] = EMPTY
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken])
    return shapes


# --------------------------------------------------------------------------- the scene


@dataclass(frozen=True)
class _TableScene(Scene):
    """A scene whose zones are nothing but their units."""

    @cached_property
    def located(self) -> Located:
        """Every unit lies in the grid it is assigned to."""
        unit = np.flatnonzero(self.home >= 0)
        whole = (self.home >= 0).astype(np.float64)
        return Located(unit, self.home[unit], np.ones(len(unit)), whole, self.home)


def _homes(assigned: Texts) -> tuple[list[str], Integers]:
    """Names of the grids, and the grid of each unit; -1 where it names none."""
    names = [name for name in assigned.names if name]
    blank = len(assigned.names) - len(names)  # the empty text is the first
    return names, np.maximum(assigned.codes - blank, -1)


def _united(shapes: NDArray[np.object_], home: Integers, n: int) -> NDArray[np.object_]:
    order = np.argsort(home, kind="stable")
    start = np.searchsorted(home[order], np.arange(n + 1))
    ground = np.full(n, EMPTY, dtype=object)
    for grid in range(n):
        ground[grid] = shapely.union_all(shapes[order[start[grid] : start[grid + 1]]])
    return ground


def _scene(
    units: pd.DataFrame,
    fields: dict[str, Any],
    crs: Any,
    tolerance: float,
    assignment: str,
    parent: str | None,
) -> _TableScene:
    import geopandas as gpd

    assigned: Texts = fields["assigned"]
    names, home = _homes(assigned)
    ground = _united(fields["unit_shapes"], home, len(names))
    # codes that are numbers have lost their leading zeros, which the check of codes says
    number = pd.api.types.is_numeric_dtype(units[assignment])
    values: list[Any] = [float(name) for name in names] if number else list(names)
    frame = gpd.GeoDataFrame({"grid": values}, geometry=list(ground), crs=crs)
    if parent is not None and parent in units.columns:
        frame["parent"] = _most_common(Texts.of(units[parent]), home, len(names))
    zones = Zones(frame, names, ground, np.ones(len(names), dtype=bool), ground)
    cover = Cover(polygonal(ground), tolerance)
    return _TableScene(
        zones=zones,
        cover=cover,
        crs=crs,
        tolerance=tolerance,
        min_area=0.0,
        limits=limits_of(0.0, tolerance),
        **fields,
    )


def _most_common(texts: Texts, home: Integers, n: int) -> list[str]:
    """Text that most units of each grid have; of several the first by name; empty without any."""
    result = [""] * n
    grids, codes, counts = texts.counts(home)
    order = np.lexsort((-codes, counts, grids))  # the one to keep stands last
    for grid, code in zip(grids[order], codes[order], strict=True):
        result[grid] = texts.names[code]
    return result


def _holds_codes(scene: Scene, scheme: Scheme) -> bool:
    """Whether at least half of the grids' names are codes, or numbers that were codes once."""
    names = scene.zones.ids
    number = pd.api.types.is_numeric_dtype(scene.zones.frame["grid"])
    widths = [scheme.width(level.name) for level in scheme.levels]
    alike = [scheme.check(_as_code(name, widths) if number else name) for name in names]
    return bool(names) and 2 * sum(reason is None for reason in alike) >= len(names)


def _as_code(name: str, widths: list[int]) -> str:
    """A number with the leading zeros that it may have had as a code."""
    return next(
        (name.zfill(width) for width in sorted(widths) if width - 3 < len(name) <= width), name
    )
