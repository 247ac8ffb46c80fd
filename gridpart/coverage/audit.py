"""The audit of any zone layer: what is wrong, where, and what to do.

The zones may come from anywhere. Each check is one function that yields findings; what the
checks are called and say is data, in the catalogue. A check runs only if what it needs was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from gridpart.barriers import Barriers, gather_lines
from gridpart.coverage.catalogue import CATALOGUE, Check, Finding, findings_frame
from gridpart.coverage.communities import check_barriers, check_communities
from gridpart.coverage.door import check_request
from gridpart.coverage.exceptions import check_exceptions
from gridpart.coverage.rules import Band, check_codes, check_rules, check_units
from gridpart.coverage.scene import Scene, build_scene, default_column
from gridpart.coverage.scope import scope_of

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["CATALOGUE", "Check", "audit", "audit_counts", "audit_ok"]

NEIGHBOURS_NAMED = 6


def audit(
    zones: gpd.GeoDataFrame,
    *,
    id: str | None = None,
    boundary: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    units: gpd.GeoDataFrame | None = None,
    unit_id: str | None = None,
    households: str | None = None,
    zone_households: str | None = None,
    low: int | None = None,
    high: int | None = None,
    within: str | None = None,
    code: str | None = None,
    parent: str | None = None,
    exceptions: pd.DataFrame | None = None,
    assignment: str | None = None,
    unit_within: str | None = None,
    barriers: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    crossings: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    barrier_tolerance: float = 1.0,
    crs: Any = None,
    min_area: float = 1.0,
    tolerance: float = 0.001,
) -> gpd.GeoDataFrame:
    """Find every blind spot, overlap and broken rule in a layer of zones.

    Parameters
    ----------
    zones : GeoDataFrame
        Polygons, one row a zone, drawn by whomever. Broken, empty and doubled rows are findings.
    id : str, optional
        Column of zone ids; by default ``grid`` if there is one, else the index.
    boundary : GeoDataFrame or GeoSeries, optional
        The territory the zones shall cover; several features are united. Without it, only
        enclosed holes can be found.
    units : GeoDataFrame, optional
        Basic units (polygons, or points such as buildings).
    unit_id, households : str, optional
        Columns of `units`: ids (default the index) and whole numbers of households (default
        ``households`` if there is one). Where no units are given, `households` may name a column
        of `zones` instead.
    zone_households : str, optional
        Column of `zones` with their number of households, compared with the units' sum, or used
        for the band where there are no units. Default ``households`` if it holds whole numbers.
    low, high : int, optional
        The band: fewest and most households a zone may have. Needs households, of units or zones.
    within : str, optional
        Column of `zones` that names the community; default ``within`` if there is one.
    code : str, optional
        Column of `zones` with grid codes; default ``grid_code`` if any row has one.
    parent : str, optional
        Column of `zones` with the 12-digit parent code (it may be `within`), or one code for all.
    exceptions : DataFrame, optional
        Recorded exceptions: columns ``grid``, ``reason``, ``households``. One that the zones bear
        out makes its finding a note, one that cannot be verified a warning.
    assignment : str, optional
        Column of `units` that names their zone. Households are then summed by it, and units that
        lie elsewhere are findings.
    unit_within : str, optional
        Column of `units` that names their community. A zone with units of several communities,
        or of another than its own column `within` says, crosses a border.
    barriers, crossings : GeoDataFrame or GeoSeries, optional
        Lines that no zone spans, and where it may all the same. What lies across a barrier is no
        neighbour either of which a recorded exception could have made use.
    barrier_tolerance : float, default 1.0
        Metres within which a border lies along a barrier.
    crs : CRS or str, optional
        Projected CRS in metres to measure in; default that of the zones, else their UTM zone.
    min_area : float, default 1.0
        Square metres. Smaller pieces are slivers: one row of a kind, not an error.
    tolerance : float, default 0.001
        Metres. Pieces nowhere wider are rounding, not defects.

    Returns
    -------
    GeoDataFrame
        One row a finding, in the CRS it was measured in, by severity; within one, first what is
        wrong with the zones themselves, then what they hold, by households at stake: ``check``,
        ``severity`` (error, warning, note), ``ids`` (text, parted by ``;``), ``area_m2`` and
        ``length_m`` (outline) of the geometry, ``households``, ``n`` (defects in the row),
        ``bbox`` (text: west south east north), ``message``, ``advice``, ``status``,
        ``advice_chinese``, geometry. ``attrs["scope"]`` is a dict of plain values that says what
        was checked (``checked``, ``topics``) and what was not, and why (``not_checked``), with
        the ``band`` and the numbers of ``zones``, ``units`` and ``households``.

    Raises
    ------
    CRSError
        If a layer has no CRS, or `crs` is no projected CRS in metres.
    InputError
        If there are no zones, a named column is missing, households are not whole numbers, or
        what was given is not enough for a check that was asked for: a band without households, a
        column of units without units.

    Warns
    -----
    GridpartWarning
        When a layer was projected or a boundary mended to measure it.

    See Also
    --------
    audit_ok, audit_counts

    Notes
    -----
    Zones whose edges all match their neighbours' edges cannot overlap, so only the others are
    intersected pairwise: the coverage validity of ``shapely.coverage_invalid_edges`` (JTS
    CoverageValidator). Gaps are the boundary less the union of all zones.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> zones = gpd.GeoDataFrame(
    ...     {"grid": ["A", "B"]},
    ...     geometry=[box(0, 0, 100, 100), box(90, 0, 200, 100)],
    ...     crs="EPSG:4547",
    ... )
    >>> boundary = gpd.GeoSeries([box(0, 0, 220, 100)], crs="EPSG:4547")
    >>> findings = audit(zones, boundary=boundary)
    >>> findings[["check", "ids", "area_m2"]]
         check  ids  area_m2
    0      gap    B   2000.0
    1  overlap  A;B   1000.0
    >>> audit_ok(findings), audit_counts(findings)
    (False, {'gap': 1, 'overlap': 1})
    """
    if units is None and households in zones.columns and zone_households in (None, households):
        households, zone_households = None, households
    band = Band(low, high)
    check_request(
        zones,
        units,
        band,
        zone_columns={
            "id": id, "within": within, "code": code, "zone_households": zone_households,
        },
        unit_columns={
            "unit_id": unit_id, "households": households, "assignment": assignment,
            "unit_within": unit_within,
        },
    )  # fmt: skip
    by_units = units is not None and (households or "households" in units.columns)
    if band != Band() and not by_units:
        # named, so that numbers which cannot be used are an error and not left out
        zone_households = zone_households or "households"
    scene = build_scene(
        zones,
        id=id,
        boundary=boundary,
        units=units,
        unit_id=unit_id,
        households=households,
        zone_households=zone_households,
        assignment=assignment,
        within=within,
        unit_within=unit_within,
        crs=crs,
        min_area=min_area,
        tolerance=tolerance,
    )
    findings = [*_check_rows(scene), *_check_territory(scene)]
    if units is not None:
        findings += check_units(scene)
    findings += check_rules(scene, band)
    findings += check_communities(scene)
    lines = gather_lines(barriers, crossings, None, scene.crs)
    across = None if lines is None else Barriers(lines, barrier_tolerance)
    if across is not None:
        findings += check_barriers(scene, across)
    if exceptions is not None:
        findings += check_exceptions(scene, findings, exceptions, band, across)
    code = code or default_column(zones, "grid_code")
    if code is not None:
        findings += check_codes(scene, code, parent)
    frame = findings_frame(findings, scene.crs)
    frame.attrs["scope"] = scope_of(
        scene,
        band,
        exceptions=exceptions is not None,
        codes=code is not None,
        parents=parent is not None,
        barriers=across is not None,
    )
    return frame


def audit_ok(findings: gpd.GeoDataFrame) -> bool:
    """Whether no finding is an error.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`audit`.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9)], crs="EPSG:4547")
    >>> audit_ok(audit(zones))
    True
    """
    return not (findings["severity"] == "error").any()


def audit_counts(findings: gpd.GeoDataFrame) -> dict[str, int]:
    """Count defects by check, in the order of the catalogue; grouped defects count each.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`audit`.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9)] * 3, crs="EPSG:4547")
    >>> audit_counts(audit(zones))
    {'stacked': 2}
    """
    sums = findings.groupby("check")["n"].sum()
    return {name: int(sums[name]) for name in CATALOGUE if name in sums.index}


# --------------------------------------------------------------------------- rows


def _check_rows(scene: Scene) -> Iterator[Finding]:
    """Run every check of single rows and their ids."""
    yield from _empty_geometry(scene)
    yield from _invalid_geometry(scene)
    yield from _missing_id(scene)
    yield from _duplicate_id(scene)


def _empty_geometry(scene: Scene) -> Iterator[Finding]:
    raw = scene.zones.raw
    for row in np.flatnonzero(shapely.is_missing(raw) | shapely.is_empty(raw)):
        name = scene.zones.ids[row]
        yield Finding("empty_geometry", f"zone {name} has no shape", (name,))


def _invalid_geometry(scene: Scene) -> Iterator[Finding]:
    zones = scene.zones
    present = ~(shapely.is_missing(zones.raw) | shapely.is_empty(zones.raw))
    polygon = np.isin(shapely.get_type_id(zones.raw), (3, 6))
    for row in np.flatnonzero(present & ~(polygon & shapely.is_valid(zones.raw))):
        name, shape = zones.ids[row], zones.raw[row]
        if not zones.finite[row]:
            reason, place = "a coordinate is not a number", None
        elif not polygon[row]:
            reason, place = f"it is a {shape.geom_type}, not a polygon", shape
        else:
            reason, place = _reason(shape)
        yield Finding("invalid_geometry", f"zone {name}: {reason}", (name,), place)


def _reason(shape: Any) -> tuple[str, Any]:
    """Say why a polygon is invalid and where: GEOS ends its reason with ``[x y]``."""
    text = str(shapely.is_valid_reason(shape))
    found = re.fullmatch(r"(.*)\[(\S+) (\S+)\]", text)
    if found is None:
        return text, shapely.point_on_surface(shapely.make_valid(shape))
    return found[1].lower(), shapely.Point(float(found[2]), float(found[3]))


def _missing_id(scene: Scene) -> Iterator[Finding]:
    rows = [row for row, name in enumerate(scene.zones.ids) if not name]
    for row in rows:
        yield Finding("missing_id", f"row {row} has no id", (), scene.zones.polygons[row])


def _duplicate_id(scene: Scene) -> Iterator[Finding]:
    names = pd.Series(scene.zones.ids)
    names = names[names != ""]
    for name, rows in names[names.duplicated(keep=False)].groupby(names).groups.items():
        shape = shapely.union_all(scene.zones.polygons[list(rows)])
        message = f"{len(rows)} zones carry the id {name}"
        yield Finding("duplicate_id", message, (str(name),), shape, n=len(rows) - 1)


# --------------------------------------------------------------------------- territory


def _check_territory(scene: Scene) -> Iterator[Finding]:
    """Run every check of the ground that zones cover."""
    if scene.boundary is not None:
        yield from _gap(scene)
        yield from _spill(scene)
    else:
        yield from _hole(scene)
    yield from _stacked(scene)
    yield from _overlap(scene)
    yield from _overlap_many(scene)
    yield from _multipart(scene)
    yield from _point_contact(scene)


def _gap(scene: Scene) -> Iterator[Finding]:
    yield from _bare_ground(scene, "gap", scene.cover.gaps(scene.boundary))


def _hole(scene: Scene) -> Iterator[Finding]:
    """Enclosed ground; where units are known and none lies there, it may be an enclave."""
    for finding in _bare_ground(scene, "hole", scene.cover.holes()):
        if finding.check == "hole" and len(scene.unit_ids):
            rows = scene.unit_tree.query(finding.geometry, predicate="intersects")
            near = scene.unit_shapes[rows]
            shared = shapely.area(shapely.intersection(near, finding.geometry)).sum()
            if shared < scene.min_area:
                finding.severity = "warning"
                finding.message += "; no unit lies there: an enclave?"
        yield finding


def _bare_ground(scene: Scene, check: str, pieces: Any) -> Iterator[Finding]:
    """Uncovered pieces with their neighbours, those below the smallest area as one row."""
    small = shapely.area(pieces) < scene.min_area
    for piece in pieces[~small]:
        rows, shares = _border_shares(scene, piece)
        name = scene.zones.ids[rows[0]] if len(rows) else ""
        advice = f"assign to zone {name}: shares {shares[0]:.0%} of its border" if name else None
        chinese = f"划入网格{name}：与其共用{shares[0]:.0%}的边界。" if name else None
        where = f" next to zone {name}" if name else ", touching no zone"
        yield Finding(
            check,
            f"{shapely.area(piece):,.2f} m² that no zone covers{where}",
            scene.zones.named(rows[:NEIGHBOURS_NAMED]),
            piece,
            _households_on(scene, piece),
            advice=advice,
            advice_chinese=chinese,
        )
    if small.any():
        near = np.unique(scene.cover.tree.query(pieces[small], "dwithin", scene.tolerance)[1])
        yield Finding(
            "sliver_gap",
            f"slivers that no zone covers, each below {scene.min_area:g} m²: {small.sum()}",
            scene.zones.named(near),
            shapely.MultiPolygon(list(pieces[small])),
            n=int(small.sum()),
        )


def _border_shares(scene: Scene, piece: Any) -> tuple[Any, Any]:
    """Zones along a piece of ground and the part of its outline each has, largest first."""
    rows = np.sort(scene.cover.tree.query(piece, "dwithin", scene.tolerance))
    outline = shapely.boundary(piece)
    near = shapely.buffer(scene.cover.polygons[rows], scene.tolerance)
    length = shapely.length(shapely.intersection(outline, near))
    order = np.argsort(-length, kind="stable")
    order = order[length[order] > 10 * scene.tolerance]
    return rows[order], length[order] / shapely.length(outline)


def _households_on(scene: Scene, piece: Any) -> int | None:
    """Households of the units that belong to no zone and lie on a piece of ground."""
    if scene.unit_households is None:
        return None
    return scene.households_at(scene.lost_on(piece))


def _spill(scene: Scene) -> Iterator[Finding]:
    rows, shapes = scene.cover.spill(scene.boundary)
    small = shapely.area(shapes) < scene.min_area
    for row, shape in zip(rows[~small], shapes[~small], strict=True):
        name = scene.zones.ids[row]
        message = f"zone {name} reaches {shapely.area(shape):,.2f} m² outside the boundary"
        yield Finding("spill", message, (name,), shape)
    if small.any():
        yield Finding(
            "spill",
            f"zones that reach less than {scene.min_area:g} m² outside the boundary: {small.sum()}",
            scene.zones.named(rows[small]),
            shapely.union_all(shapes[small]),
            n=int(small.sum()),
            severity="warning",
        )


def _stacked(scene: Scene) -> Iterator[Finding]:
    for rows in scene.cover.stacks:
        names = scene.zones.named(rows)
        message = f"zones {', '.join(names)} have the same shape"
        yield Finding("stacked", message, names, scene.cover.polygons[rows[0]], n=len(rows) - 1)


def _overlap(scene: Scene) -> Iterator[Finding]:
    """Pairs that share ground, but for stacks, which are told as such."""
    pairs = scene.cover.pairs
    stacked = _stack_of(scene)
    pairs = pairs.select(stacked[pairs.first] != stacked[pairs.second])
    small = pairs.area < scene.min_area
    for a, b, shape in zip(
        pairs.first[~small], pairs.second[~small], pairs.shape[~small], strict=True
    ):
        names = scene.zones.named((a, b))
        message = f"zones {names[0]} and {names[1]} overlap by {shapely.area(shape):,.2f} m²"
        yield Finding("overlap", message, names, shape)
    if small.any():
        rows = np.unique([pairs.first[small], pairs.second[small]])
        yield Finding(
            "overlap",
            f"overlaps of less than {scene.min_area:g} m² each; pairs of zones: {small.sum()}",
            scene.zones.named(rows),
            shapely.union_all(pairs.shape[small]),
            n=int(small.sum()),
            severity="warning",
            advice="snap the vertices of neighbouring zones to each other",
            advice_chinese="将相邻网格的边界顶点对齐。",
        )


def _stack_of(scene: Scene) -> Any:
    """First zone of the stack in which each zone lies; itself where it lies in none."""
    first = np.arange(len(scene.zones))
    for rows in scene.cover.stacks:
        first[rows] = rows[0]
    return first


def _overlap_many(scene: Scene) -> Iterator[Finding]:
    stacked = _stack_of(scene)
    for rows, shape in scene.cover.many(scene.min_area):
        if len(np.unique(stacked[rows])) < 3:
            continue
        names = scene.zones.named(rows)
        message = f"{len(rows)} zones cover the same {shapely.area(shape):,.2f} m²"
        yield Finding("overlap_many", message, names, shape)


def _multipart(scene: Scene) -> Iterator[Finding]:
    for row, parts in scene.cover.parts():
        name = scene.zones.ids[row]
        rest = shapely.union_all(parts[1:])
        speck = shapely.area(rest) < scene.min_area
        area = shapely.area(rest)
        yield Finding(
            "multipart",
            f"zone {name} has {len(parts)} parts; all but the largest have {area:,.2f} m²",
            (name,),
            rest,
            severity="warning" if speck else None,
            rows=(row,),
        )


def _point_contact(scene: Scene) -> Iterator[Finding]:
    pairs, points = scene.cover.point_contacts()
    if len(pairs):
        rows = np.unique(pairs)
        yield Finding(
            "point_contact",
            f"pairs of zones that touch at a point only: {len(pairs)}",
            scene.zones.named(rows),
            shapely.MultiPoint(points),
            n=len(pairs),
        )
