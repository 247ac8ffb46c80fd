"""The audit of any zone layer: what is wrong, where, and what to do.

The zones may come from anywhere. Each check is one function that yields findings; what the
checks are called and say is data, in the catalogue. A check runs only if what it needs was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart.barriers import Barriers, gather_lines
from gridpart.codes import load_scheme
from gridpart.coverage.catalogue import CATALOGUE, Check
from gridpart.coverage.coding import check_codes, check_register, zone_codes
from gridpart.coverage.communities import check_barriers, check_communities
from gridpart.coverage.door import check_request
from gridpart.coverage.exceptions import check_exceptions
from gridpart.coverage.findings import findings_frame
from gridpart.coverage.ground import check_ground
from gridpart.coverage.rows import check_rows
from gridpart.coverage.rules import Band, check_rules, check_units
from gridpart.coverage.scene import build_scene, default_column
from gridpart.coverage.scope import scope_of
from gridpart.coverage.sites import check_order, spare_exclusive
from gridpart.coverage.staff import check_staff

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.codes import Scheme

__all__ = ["CATALOGUE", "Check", "audit", "audit_counts", "audit_ok"]


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
    communities: gpd.GeoDataFrame | None = None,
    community_id: str | None = None,
    compound: str | None = None,
    exclusive: str | None = None,
    levels: Sequence[str] | None = None,
    staff: pd.DataFrame | None = None,
    register: pd.DataFrame | None = None,
    scheme: str | Scheme | None = None,
    excluded: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    crs: Any = None,
    min_area: float = 1.0,
    tolerance: float = 0.001,
    tolerances: Mapping[str, float] | None = None,
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
    communities : GeoDataFrame, optional
        Polygons of the level above, none of whose borders a zone may cross.
    community_id : str, optional
        Column of `communities` with their names, as in `within`; default the index.
    compound : str, optional
        Column of `units` that names their compound, if any; one that is not larger than the band
        belongs in one zone.
    exclusive : str, optional
        Column of `units` that marks schools, enterprises and other sites with a zone of their
        own: truth values, words for yes and no, or names of sites.
    levels : sequence of str, optional
        Columns of `zones`, or else of `units`, the lowest level first: each must nest in the next.
    staff : DataFrame, optional
        Columns ``post_id`` and ``grid`` (id or code of a zone), one row a post and a zone of it.
    register : DataFrame, optional
        Codes ever issued: column ``code``, and ``state`` (live or retired, 在用 or 停用).
    scheme : str, path or Scheme, default "unit-grid"
        What codes are made of; see :func:`gridpart.load_scheme`.
    excluded : GeoDataFrame or GeoSeries, optional
        Ground that needs no zone: water, enclaves of another authority.
    crs : CRS or str, optional
        Projected CRS in metres to measure in; default that of the zones, else their UTM zone.
    min_area : float, default 1.0
        Square metres. Smaller pieces are slivers: one row of a kind, not an error.
    tolerance : float, default 0.001
        Metres. Pieces nowhere wider are rounding, not defects.
    tolerances : mapping of str to float, optional
        Sizes from which on single checks count a defect, by check, in the unit that the catalogue
        names: ``{"gap": 5.0, "unit_split": 0.05}``.

    Returns
    -------
    GeoDataFrame
        One row a finding, in the CRS it was measured in, by severity; within one, first what is
        wrong with the zones themselves, then what they hold, by households at stake: ``check``,
        ``severity`` (error, warning, note), ``ids`` (text, parted by ``;``; one inside an id is
        written ``；``), ``area_m2`` and ``length_m`` (outline) of the geometry, ``households``,
        ``n`` (defects in the row), ``bbox`` (text: west south east north), ``message``,
        ``advice``, ``status``, ``advice_chinese``, geometry. ``attrs["scope"]`` is a dict of
        plain values that says what was checked (``checked``, ``topics``) and what was not, and
        why (``not_checked``), with the ``band`` and the numbers of ``zones``, ``units`` and
        ``households``.

    Raises
    ------
    CRSError
        If a layer has no CRS and none in the same place tells it, or `crs` is no projected CRS in
        metres.
    InputError
        If there are no zones or no rows of units, a named column is missing, households are not
        whole numbers up to 1,000,000,000, or what was given is not enough for a check that was
        asked for: a band without households, a column of units without units.

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

    Findings that share a cause are one row, with their number in ``n``: slivers of a kind, slender
    pieces along the boundary's line (five or more, as where a shoreline is drawn twice), units
    that hang together, codes stored as numbers. Some only look wrong: an islet, a hole without a
    unit, ground that `excluded` covers, and large ground without a unit at the rim of a boundary
    that is another one's (``other_scope``).

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
            "unit_within": unit_within, "compound": compound, "exclusive": exclusive,
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
        tolerances=tolerances,
        excluded=excluded,
        areas=communities,
        area_id=community_id,
    )
    findings = [*check_rows(scene), *check_ground(scene)]
    if units is not None:
        findings += check_units(scene)
    findings += check_rules(scene, band)
    findings += check_communities(scene)
    findings += check_order(scene, band, compound, exclusive, levels)
    lines = gather_lines(barriers, crossings, None, scene.crs)
    across = None if lines is None else Barriers(lines, barrier_tolerance)
    if across is not None:
        findings += check_barriers(scene, across)
    if exclusive is not None and exceptions is None:
        spare_exclusive(scene, findings, exclusive)
    if exceptions is not None:
        findings += check_exceptions(scene, findings, exceptions, band, across)
    code = code or default_column(zones, "grid_code")
    codes = None if code is None else zone_codes(scene, code)
    rules = load_scheme(scheme or "unit-grid")
    if code is not None and codes is not None:
        findings += check_codes(scene, code, parent, rules)
        if register is not None:
            findings += check_register(scene, codes, register, rules)
    if staff is not None:
        findings += check_staff(scene, staff, codes)
    frame = findings_frame(findings, scene.crs)
    frame.attrs["scope"] = scope_of(
        scene,
        band,
        {
            "barriers": across is not None,
            "compounds": compound is not None,
            "exclusive": exclusive is not None,
            "levels": levels is not None,
            "exceptions": exceptions is not None,
            "codes": code is not None,
            "parents": code is not None and parent is not None,
            "register": code is not None and register is not None,
            "staff": staff is not None,
        },
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
