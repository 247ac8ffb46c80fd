"""The audit: every kind of fault is injected into a clean coverage and must be found there."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from shapely import affinity, box

from gridpart.coverage import CATALOGUE, audit, audit_counts, audit_ok
from gridpart.coverage.scope import TOPICS
from gridpart.errors import CRSError, GridpartWarning, InputError

CRS = "EPSG:4547"
SIDE = 100.0
PARENT = "420583001001"


def irregular(side: int = 6, seed: int = 1) -> gpd.GeoDataFrame:
    """`side` x `side` cells with shaken corners, edges matched, outer border straight."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0))
    corners = np.stack([x, y], axis=-1) * SIDE
    corners[1:-1, 1:-1] += rng.uniform(-0.3, 0.3, (side - 1, side - 1, 2)) * SIDE
    cells = [
        shapely.Polygon(
            [corners[r, c], corners[r, c + 1], corners[r + 1, c + 1], corners[r + 1, c]]
        )
        for r in range(side)
        for c in range(side)
    ]
    names = [f"Z{k:02d}" for k in range(side * side)]
    shapes = [affinity.translate(cell, 500_000, 3_300_000) for cell in cells]
    return gpd.GeoDataFrame({"name": names}, geometry=shapes, crs=CRS)


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    return irregular()


@pytest.fixture
def boundary(zones: gpd.GeoDataFrame) -> gpd.GeoSeries:
    return gpd.GeoSeries([zones.union_all()], crs=CRS)


def replaced(zones: gpd.GeoDataFrame, row: int, shape: object) -> gpd.GeoDataFrame:
    shapes = np.asarray(zones.geometry, dtype=object).copy()
    shapes[row] = shape
    return gpd.GeoDataFrame(zones.drop(columns="geometry"), geometry=list(shapes), crs=zones.crs)


def only(findings: gpd.GeoDataFrame, check: str) -> pd.Series:
    """The one finding of a check."""
    rows = findings[findings["check"] == check]
    assert len(rows) == 1, findings[["check", "ids", "message"]].to_string()
    return rows.iloc[0]


def ids(finding: pd.Series) -> set[str]:
    return set(finding["ids"].split(";")) - {""}


def defects(findings: gpd.GeoDataFrame) -> set[str]:
    """Checks that found something, notes aside."""
    return set(findings.loc[findings["severity"] != "note", "check"])


# --------------------------------------------------------------------------- clean layers


def test_a_clean_coverage_has_point_contacts_only(zones, boundary) -> None:
    units = zones.assign(households=300)
    before = zones.copy()
    findings = audit(
        zones, id="name", boundary=boundary, units=units, unit_id="name", low=200, high=500
    )
    # 25 inner corners with four cells each: two pairs that touch at the corner only
    assert audit_counts(findings) == {"point_contact": 50}
    assert audit_ok(findings)
    assert findings.crs == zones.crs
    assert_geodataframe_equal(zones, before)


def test_findings_have_the_promised_columns_even_when_there_are_none() -> None:
    zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9)], crs=CRS)
    findings = audit(zones)
    columns = (
        "check severity ids area_m2 length_m households n bbox message advice status advice_chinese"
    )
    assert list(findings.columns) == [*columns.split(), "geometry"]
    assert len(findings) == 0
    assert audit_ok(findings)
    assert audit_counts(findings) == {}


def test_t_junctions_and_last_digits_are_no_defects(boundary) -> None:
    west, south, east, north = boundary.total_bounds
    middle = (west + east) / 2 + 1 / 3
    cells = [
        box(west, south, middle, north),
        box(middle + 1e-9, south, east, (south + north) / 2 + 1 / 7),
        box(middle, (south + north) / 2 + 1 / 7 - 1e-9, east, north),
    ]
    findings = audit(gpd.GeoDataFrame(geometry=cells, crs=CRS), boundary=boundary)
    assert list(findings["check"]) == ["misaligned"]
    assert only(findings, "misaligned")["severity"] == "note"


@pytest.mark.parametrize("length", [0.001, 0.02, 0.3])
def test_t_junctions_in_degrees_survive_projection(length: float) -> None:
    cells = [
        box(111, 30, 111 + length, 30 + length),
        box(111, 30 + length, 111 + length / 3, 30 + 2 * length),
        box(111 + length / 3, 30 + length, 111 + length, 30 + 2 * length),
    ]
    zones = gpd.GeoDataFrame(geometry=cells, crs="EPSG:4490")
    boundary = gpd.GeoSeries([box(111, 30, 111 + length, 30 + 2 * length)], crs="EPSG:4490")
    with pytest.warns(GridpartWarning, match="projected from"):
        findings = audit(zones, boundary=boundary)
    assert list(findings["check"]) == []


def test_a_renamed_geometry_column_and_any_index_work(zones, boundary) -> None:
    renamed = zones.rename_geometry("shape").set_index("name")
    shape = box(*boundary.total_bounds)
    findings = audit(renamed.drop(index="Z14"), boundary=gpd.GeoSeries([shape], crs=CRS))
    assert only(findings, "gap")["area_m2"] == pytest.approx(zones.area[14])


# --------------------------------------------------------------------------- territory


def test_a_missing_zone_is_a_gap_with_its_neighbours(zones, boundary) -> None:
    units = zones.assign(households=7)
    findings = audit(
        zones.drop(index=14), id="name", boundary=boundary, units=units, unit_id="name"
    )
    gap = only(findings, "gap")
    assert gap["area_m2"] == pytest.approx(zones.area[14])
    assert gap["geometry"].equals(zones.geometry[14])
    assert ids(gap) == {"Z08", "Z13", "Z15", "Z20"}
    assert gap["households"] == 7
    assert gap["advice"].startswith("assign to zone Z")
    assert "of its border" in gap["advice"]
    assert ids(only(findings, "unit_uncovered")) == {"Z14"}
    assert not audit_ok(findings)


def test_without_a_boundary_an_enclosed_gap_is_a_hole(zones) -> None:
    findings = audit(zones.drop(index=14), id="name")
    hole = only(findings, "hole")
    assert hole["area_m2"] == pytest.approx(zones.area[14])
    assert hole["severity"] == "error"
    assert defects(findings) == {"hole"}


def test_a_hole_that_no_unit_shares_may_be_an_enclave(zones) -> None:
    rest = zones.drop(index=14)
    findings = audit(rest, id="name", units=rest.assign(households=1), unit_id="name")
    assert only(findings, "hole")["severity"] == "warning"
    assert audit_ok(findings)


def test_a_hole_behind_a_crack_of_no_width_is_found() -> None:
    zones = gpd.GeoDataFrame(
        geometry=[
            box(0, 0, 30, 10),
            box(0, 20, 30, 30),
            box(0, 10 + 1e-7, 10, 20 - 1e-7),
            box(20, 10 + 1e-7, 30, 20 - 1e-7),
        ],
        crs=CRS,
    )
    hole = only(audit(zones), "hole")
    assert hole["area_m2"] == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("width", [0.0011, 0.01, 1.0, 30.0])
def test_a_strip_between_zones_is_a_gap_or_a_sliver(zones, boundary, width: float) -> None:
    west, south, east, north = boundary.total_bounds
    halves = [box(west, south, west + 300, north), box(west + 300 + width, south, east, north)]
    findings = audit(gpd.GeoDataFrame(geometry=halves, crs=CRS), boundary=boundary)
    area = width * (north - south)
    finding = only(findings, "gap" if area >= 1 else "sliver_gap")
    assert finding["area_m2"] == pytest.approx(area, rel=1e-5)
    assert ids(finding) == {"0", "1"}
    assert finding["severity"] == ("error" if area >= 1 else "warning")


def test_an_overlap_names_its_pair_and_its_place(zones, boundary) -> None:
    grown = zones.geometry[14].union(
        box(*zones.geometry[15].bounds)
        .intersection(zones.geometry[15].buffer(-5))
        .union(zones.geometry[14])
        .convex_hull
    )
    grown = grown.intersection(zones.geometry[14].union(zones.geometry[15]))
    faulty = replaced(zones, 14, grown)
    findings = audit(faulty, id="name", boundary=boundary)
    overlap = only(findings, "overlap")
    assert ids(overlap) == {"Z14", "Z15"}
    expected = grown.intersection(zones.geometry[15])
    assert overlap["area_m2"] == pytest.approx(expected.area)
    assert overlap["geometry"].symmetric_difference(expected).area < 1e-6
    assert "overlap_many" not in set(findings["check"])


def test_overlaps_equal_brute_force_on_shaken_zones() -> None:
    rng = np.random.default_rng(5)
    zones = irregular(8)
    shapes = [affinity.translate(s, *rng.normal(0, 2, 2)) for s in zones.geometry]
    shapes[9] = shapely.box(*shapes[20].buffer(-20).bounds)  # wholly inside others
    zones = gpd.GeoDataFrame(zones[["name"]], geometry=shapes, crs=CRS)
    findings = audit(zones, id="name", min_area=0.002)
    found = findings[(findings["check"] == "overlap") & (findings["n"] == 1)]
    expected = {}
    for a in range(len(shapes)):
        for b in range(a):
            area = shapes[a].intersection(shapes[b]).area
            if area >= 0.002:
                expected[f"{zones['name'][b]};{zones['name'][a]}"] = area
    assert set(found["ids"]) == set(expected)
    for name, area in zip(found["ids"], found["area_m2"], strict=True):
        assert area == pytest.approx(expected[name])


def test_small_overlaps_are_one_warning_that_counts_each(zones) -> None:
    shapes = np.asarray(zones.geometry, dtype=object).copy()
    for row in (7, 28):
        x, y = shapely.get_coordinates(shapes[row])[2]
        shapes[row] = shapely.union(shapes[row], box(x - 0.2, y - 0.2, x + 0.2, y + 0.2))
    zones = gpd.GeoDataFrame(zones[["name"]], geometry=shapes, crs=CRS)
    findings = audit(zones, id="name")
    overlap = only(findings, "overlap")
    assert overlap["severity"] == "warning"
    assert overlap["n"] == 6 == audit_counts(findings)["overlap"]
    assert {"Z07", "Z28"} < ids(overlap)
    assert audit_ok(findings)


def test_ground_of_many_zones_names_them_all() -> None:
    zones = gpd.GeoDataFrame(
        {"name": list("abcd")},
        geometry=[box(0, 0, 20, 20), box(10, 0, 30, 20), box(10, 10, 40, 30), box(90, 0, 99, 9)],
        crs=CRS,
    )
    findings = audit(zones, id="name")
    many = only(findings, "overlap_many")
    assert ids(many) == {"a", "b", "c"}
    assert many["geometry"].equals(box(10, 10, 20, 20))
    assert audit_counts(findings) == {"overlap": 3, "overlap_many": 1}


def test_spill_is_told_by_zone(zones, boundary) -> None:
    west, south, *_ = boundary.total_bounds
    faulty = replaced(zones, 0, zones.geometry[0].union(box(west - 20, south, west, south + 50)))
    findings = audit(faulty, id="name", boundary=boundary)
    spill = only(findings, "spill")
    assert ids(spill) == {"Z00"}
    assert spill["area_m2"] == pytest.approx(1000)
    assert [float(v) for v in spill["bbox"].split()] == pytest.approx(
        [west - 20, south, west, south + 50]
    )
    assert defects(findings) == {"spill"}


def test_a_zone_far_outside_is_spill(zones, boundary) -> None:
    faulty = replaced(zones, 0, affinity.translate(zones.geometry[0], -9_000, 0))
    findings = audit(faulty, id="name", boundary=boundary)
    assert only(findings, "spill")["area_m2"] == pytest.approx(zones.area[0])
    assert only(findings, "gap")["area_m2"] == pytest.approx(zones.area[0])


@pytest.mark.parametrize("shape", [None, shapely.Polygon(), shapely.MultiPolygon()])
def test_a_zone_without_shape_is_a_finding(zones, shape: object) -> None:
    findings = audit(replaced(zones, 3, shape), id="name")
    finding = only(findings, "empty_geometry")
    assert ids(finding) == {"Z03"}
    assert finding["bbox"] == ""
    assert finding["geometry"] is None


def test_a_bow_tie_is_located_and_mended_for_the_other_checks(zones, boundary) -> None:
    a, b, c, d = shapely.get_coordinates(zones.geometry[14])[:4]
    findings = audit(
        replaced(zones, 14, shapely.Polygon([a, b, d, c])), id="name", boundary=boundary
    )
    finding = only(findings, "invalid_geometry")
    assert ids(finding) == {"Z14"}
    assert "self-intersection" in finding["message"]
    assert zones.geometry[14].contains(finding["geometry"])
    assert {"gap", "multipart"} <= set(findings["check"])


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("LINESTRING (500000 3300000, 500050 3300050)", "LineString"),
        ("POINT (500010 3300010)", "Point"),
        ("POLYGON ((0 0, inf 0, 1 1, 0 0))", "not a number"),
        ("POLYGON ((0 0, nan 0, 1 1, 0 0))", "not a number"),
    ],
)
def test_what_is_no_polygon_is_a_finding(zones, shape: str, words: str) -> None:
    with np.errstate(invalid="ignore"):
        zones = replaced(zones, 3, shapely.from_wkt(shape))
    finding = only(audit(zones, id="name"), "invalid_geometry")
    assert words in finding["message"]
    assert ids(finding) == {"Z03"}


def test_a_collection_is_used_as_far_as_it_is_polygons(zones, boundary) -> None:
    mixed = shapely.GeometryCollection([zones.geometry[3], shapely.Point(0, 0)])
    findings = audit(replaced(zones, 3, mixed), id="name", boundary=boundary)
    assert defects(findings) == {"invalid_geometry"}


def test_duplicate_and_missing_ids_are_findings(zones) -> None:
    zones["name"] = zones["name"].astype(object)
    zones.loc[[4, 9], "name"] = "Z02"
    zones.loc[5, "name"] = None
    findings = audit(zones, id="name")
    finding = only(findings, "duplicate_id")
    assert ids(finding) == {"Z02"}
    assert finding["n"] == 2
    assert finding["area_m2"] == pytest.approx(zones.area[[2, 4, 9]].sum())
    assert only(findings, "missing_id")["geometry"].equals(zones.geometry[5])


def test_stacked_zones_are_told_once(zones, boundary) -> None:
    faulty = pd.concat([zones, zones.iloc[[7, 7]].assign(name=["twin", "third"])])
    findings = audit(faulty, id="name", boundary=boundary)
    stacked = only(findings, "stacked")
    assert ids(stacked) == {"Z07", "twin", "third"}
    assert stacked["n"] == 2
    assert defects(findings) == {"stacked"}


def test_a_zone_in_two_parts_shows_the_smaller(zones, boundary) -> None:
    shape = zones.geometry[0].union(zones.geometry[20])
    faulty = replaced(zones, 0, shape).drop(index=20)
    findings = audit(faulty, id="name", boundary=boundary)
    finding = only(findings, "multipart")
    smaller = min(zones.geometry[0], zones.geometry[20], key=lambda part: part.area)
    assert ids(finding) == {"Z00"}
    assert finding["geometry"].equals(smaller)
    assert defects(findings) == {"multipart"}


def test_parts_that_touch_at_a_point_are_parts_but_not_those_along_a_crack() -> None:
    corner = shapely.MultiPolygon([box(0, 0, 10, 10), box(10, 10, 20, 20)])
    crack = shapely.MultiPolygon([box(50, 0, 60, 10), box(60 + 1e-6, 0, 70, 10)])
    zones = gpd.GeoDataFrame({"name": ["corner", "crack"]}, geometry=[corner, crack], crs=CRS)
    assert ids(only(audit(zones, id="name"), "multipart")) == {"corner"}


# --------------------------------------------------------------------------- units


def quarters(zones: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Each zone cut into four units through the middles of its sides."""
    shapes = []
    for shape in zones.geometry:
        p = shapely.get_coordinates(shape)[:4]
        m = (p + np.roll(p, -1, axis=0)) / 2
        c = p.mean(axis=0)
        shapes += [shapely.Polygon([p[k], m[k], c, m[k - 1]]) for k in range(4)]
    names = [f"U{k:03d}" for k in range(len(shapes))]
    return gpd.GeoDataFrame({"unit": names, "households": 80}, geometry=shapes, crs=zones.crs)


def test_units_that_make_zones_up_are_clean_in_spite_of_t_junctions(zones, boundary) -> None:
    findings = audit(
        zones.assign(households=320),
        id="name",
        boundary=boundary,
        units=quarters(zones),
        unit_id="unit",
        low=200,
        high=500,
    )
    assert defects(findings) == set()


def test_a_split_unit_tells_its_shares(zones) -> None:
    units = zones.assign(households=9)
    x = zones.geometry[14].centroid.x
    west, _, _, north = zones.total_bounds
    part = zones.geometry[14].intersection(box(west, 0, x, north))
    faulty = replaced(zones, 14, zones.geometry[14].difference(part))
    faulty = replaced(faulty, 13, zones.geometry[13].union(part))
    finding = only(audit(faulty, id="name", units=units, unit_id="name"), "unit_split")
    assert ids(finding) == {"Z14", "Z13"}
    smaller = min(part.area, zones.area[14] - part.area)
    assert finding["area_m2"] == pytest.approx(smaller)
    assert f"{smaller / zones.area[14]:.1%}" in finding["message"]


def test_a_unit_of_two_zones_is_told_twice(zones) -> None:
    units = zones.assign(households=9)
    faulty = replaced(zones, 13, zones.geometry[13].union(zones.geometry[14]))
    findings = audit(faulty, id="name", units=units, unit_id="name")
    finding = only(findings, "unit_twice")
    assert ids(finding) == {"Z13", "Z14"}
    assert finding["households"] == 9
    assert "unit_split" not in set(findings["check"])
    assert only(findings, "overlap")["area_m2"] == pytest.approx(zones.area[14])


def test_a_unit_partly_bare_is_a_warning(zones) -> None:
    half = zones.geometry[14].intersection(zones.geometry[14].buffer(-3))
    findings = audit(replaced(zones, 14, half), id="name", units=zones, unit_id="name")
    finding = only(findings, "unit_partly_uncovered")
    assert ids(finding) == {"Z14"}
    assert finding["area_m2"] == pytest.approx(zones.area[14] - half.area)


def test_points_count_as_units(zones) -> None:
    spots = gpd.GeoDataFrame(
        {"households": [5, 6, 7]},
        geometry=[zones.geometry[0].centroid, zones.geometry[1].centroid, shapely.Point(0, 0)],
        crs=CRS,
    )
    own = [5, 5, *[0] * 34]
    findings = audit(zones.assign(own=own), id="name", units=spots, zone_households="own")
    assert ids(only(findings, "unit_uncovered")) == {"2"}
    assert ids(only(findings, "households_differ")) == {"Z01"}


def test_units_without_shape_are_told(zones) -> None:
    units = replaced(zones.assign(households=3), 5, None)
    finding = only(audit(zones, id="name", units=units, unit_id="name"), "unit_without_geometry")
    assert ids(finding) == {"Z05"}
    assert finding["households"] == 3


def test_an_assignment_is_held_against_the_ground(zones) -> None:
    units = quarters(zones)
    units["zone"] = np.repeat(zones["name"].to_numpy(), 4)
    units.loc[1, "zone"] = "Z09"
    units.loc[2, "zone"] = "nowhere"
    findings = audit(
        zones.assign(own=320), id="name", units=units, unit_id="unit", assignment="zone",
        zone_households="own",
    )  # fmt: skip
    assert ids(only(findings, "unit_elsewhere")) == {"U001", "Z00", "Z09"}
    assert ids(only(findings, "unit_unknown_zone")) == {"U002"}
    differ = findings[findings["check"] == "households_differ"].set_index("ids")["households"]
    assert differ.to_dict() == {"Z00": 160, "Z09": 80}


# --------------------------------------------------------------------------- band, exceptions


def banded(zones: gpd.GeoDataFrame, **changes: int) -> gpd.GeoDataFrame:
    units = zones.assign(households=300)
    for name, households in changes.items():
        units.loc[units["name"] == name, "households"] = households
    return units


def judged(zones, units, exceptions: list[tuple[str, str, int]], **options) -> gpd.GeoDataFrame:
    table = pd.DataFrame(exceptions, columns=["grid", "reason", "households"])
    return audit(
        zones, id="name", units=units, unit_id="name", low=200, high=500, exceptions=table,
        **options,
    )  # fmt: skip


def test_zones_out_of_the_band_are_errors(zones) -> None:
    findings = audit(zones, id="name", units=banded(zones, Z03=199, Z04=501), low=200, high=500)
    assert ids(only(findings, "below_band")) == {"Z03"}
    assert only(findings, "above_band")["households"] == 501
    assert not audit_ok(findings)
    own = banded(zones, Z03=199, Z04=501).rename(columns={"households": "own"})
    same = audit(own, id="name", zone_households="own", low=200, high=500)
    assert audit_counts(same) == audit_counts(findings)


@pytest.mark.parametrize(
    ("record", "severity", "words"),
    [
        (("Z04", "unit_above_band", 600), "note", "one unit above the band"),
        (("Z04", "unit_above_band", 610), "error", "counted were 600"),
        (("Z04", "component_below_band", 600), "error", "does not explain"),
        (("Z04", "because", 600), "error", "not known"),
        (("Z04", "not_found", 600), "warning", "nothing is proven"),
        (("Z04", "pocket", 600), "warning", "cannot repeat"),
    ],
)
def test_an_exception_counts_as_far_as_it_is_true(zones, record, severity, words) -> None:
    finding = only(judged(zones, banded(zones, Z04=600), [record]), "above_band")
    assert finding["severity"] == severity
    assert words in finding["message"]


def test_a_zone_of_several_units_is_no_unit_above_the_band(zones) -> None:
    units = quarters(zones).rename(columns={"unit": "name"})
    units.loc[units.index[:4], "households"] = 150
    finding = only(judged(zones, units, [("Z00", "unit_above_band", 600)]), "above_band")
    assert finding["severity"] == "error"


@pytest.mark.parametrize("with_units", [True, False])
def test_a_component_below_the_band_must_stand_alone(zones, with_units: bool) -> None:
    islet = gpd.GeoDataFrame({"name": ["islet"]}, geometry=[box(0, 0, 9, 9)], crs=CRS)
    together = pd.concat([zones, islet], ignore_index=True)
    units = banded(together, islet=20, Z07=30)
    records = [("islet", "component_below_band", 20), ("Z07", "component_below_band", 30)]
    if with_units:
        findings = judged(together, units, records)
    else:
        table = pd.DataFrame(records, columns=["grid", "reason", "households"])
        findings = audit(units, id="name", low=200, high=500, exceptions=table)
    severity = findings[findings["check"] == "below_band"].set_index("ids")["severity"]
    assert severity.to_dict() == {"islet": "note", "Z07": "error"}


def test_a_community_of_its_own_is_a_component(zones) -> None:
    zones["within"] = np.where(zones["name"] == "Z07", "B", "A")
    records = [("Z07", "component_below_band", 30)]
    findings = judged(zones, banded(zones, Z07=30), records)
    assert only(findings, "below_band")["severity"] == "note"


def test_no_count_fits_is_arithmetic() -> None:
    zones = gpd.GeoDataFrame({"name": ["a"]}, geometry=[box(0, 0, 9, 9)], crs=CRS)
    table = pd.DataFrame({"grid": ["a"], "reason": ["no_count_fits"], "households": [350]})
    options = {"id": "name", "zone_households": "own", "exceptions": table}
    true = audit(zones.assign(own=350), low=200, high=300, **options)
    assert only(true, "above_band")["severity"] == "note"
    false = audit(zones.assign(own=350), low=100, high=300, **options)
    assert only(false, "above_band")["severity"] == "warning"


@pytest.mark.parametrize(("inside", "severity"), [(0, "note"), (4, "note"), (250, "error")])
def test_an_attached_enclave_holds_too_few_for_a_zone(zones, inside: int, severity: str) -> None:
    small = affinity.scale(zones.geometry[20], 0.2, 0.2)
    faulty = replaced(zones, 0, zones.geometry[0].union(small))
    faulty = replaced(faulty, 20, zones.geometry[20].difference(small))
    units = pd.concat(
        [
            replaced(banded(zones), 20, zones.geometry[20].difference(small)),
            gpd.GeoDataFrame({"name": ["e"], "households": inside}, geometry=[small], crs=CRS),
        ]
    )
    record = [("Z00", "enclave_attached", 300 + inside)]
    finding = only(judged(faulty, units, record), "multipart")
    assert finding["severity"] == severity


def test_records_without_ground_are_told(zones) -> None:
    records = [("Z01", "unit_above_band", 300), ("Z99", "not_found", 10)]
    findings = judged(zones, banded(zones), records)
    rows = findings[findings["check"] == "exception_unfounded"]
    assert set(rows["ids"]) == {"Z01", "Z99"}
    assert audit_ok(findings)


def test_false_records_of_neighbours_do_not_set_a_small_zone_apart(zones) -> None:
    names = [name for name in zones["name"] if name != "Z07"]
    records = [("Z07", "component_below_band", 30), *((name, "exclusive", 300) for name in names)]
    units = banded(zones, Z07=30)
    unknown = only(judged(zones, units, records), "below_band")
    assert unknown["severity"] == "warning"
    assert "cannot be told" in unknown["message"]
    false = only(judged(zones.assign(kind="base"), units, records), "below_band")
    assert false["severity"] == "error"
    records = [
        ("Z07", "component_below_band", 30), *((name, "unit_above_band", 300) for name in names)
    ]  # fmt: skip
    assert only(judged(zones, units, records), "below_band")["severity"] == "error"


def test_zones_marked_exclusive_set_a_small_zone_apart_without_a_record(zones) -> None:
    kind = np.where(zones["name"] == "Z07", "base", "exclusive")
    records = [("Z07", "component_below_band", 30)]
    finding = only(judged(zones.assign(kind=kind), banded(zones, Z07=30), records), "below_band")
    assert finding["severity"] == "note"


def test_the_communities_of_units_bound_a_component_too(zones) -> None:
    records = [("Z07", "component_below_band", 30)]
    units = banded(zones, Z07=30)
    units["shequ"] = np.where(zones["name"] == "Z07", "B", "A")
    findings = judged(zones, units, records, unit_within="shequ")
    assert only(findings, "below_band")["severity"] == "note"
    assert only(judged(zones, units, records), "below_band")["severity"] == "error"


def test_an_accepted_exception_says_so_in_both_languages(zones) -> None:
    islet = gpd.GeoDataFrame({"name": ["islet"]}, geometry=[box(0, 0, 9, 9)], crs=CRS)
    together = pd.concat([zones, islet], ignore_index=True)
    units = banded(together, islet=20, Z07=30, Z04=600)
    records = [("islet", "component_below_band", 20), ("Z04", "not_found", 600)]
    findings = judged(together, units, records)
    rows = findings[findings["check"].isin(["below_band", "above_band"])].set_index("ids")
    assert rows.loc["islet", "advice"] == "nothing to do"
    assert "无需整改" in rows.loc["islet", "advice_chinese"]
    assert "核实" in rows.loc["Z04", "advice_chinese"]
    assert rows.loc["Z07", "advice_chinese"] == CATALOGUE["below_band"].advice_chinese


# --------------------------------------------------------------------------- communities


def in_halves(zones: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Four units a zone; the three western columns of zones are one community."""
    units = quarters(zones)
    units["zone"] = np.repeat(zones["name"].to_numpy(), 4)
    units["shequ"] = np.where(np.arange(len(units)) // 4 % 6 < 3, "西社区", "东社区")
    return units


def test_a_plan_that_keeps_to_its_communities_is_clean(zones, boundary) -> None:
    units = in_halves(zones)
    zones["within"] = units["shequ"].to_numpy()[::4]
    options = {"id": "name", "boundary": boundary, "unit_id": "unit", "unit_within": "shequ"}
    assert defects(audit(zones, units=units, **options)) == set()
    assert defects(audit(zones, units=units, assignment="zone", **options)) == set()


@pytest.mark.parametrize("assignment", [None, "zone"])
def test_a_zone_across_a_community_border_is_found(zones, boundary, assignment) -> None:
    units = in_halves(zones)
    faulty = replaced(zones, 8, zones.geometry[8].union(zones.geometry[9])).drop(index=9)
    units["zone"] = units["zone"].replace("Z09", "Z08")
    options = {"id": "name", "unit_id": "unit", "unit_within": "shequ", "assignment": assignment}
    findings = audit(faulty, boundary=boundary, units=units, **options)
    finding = only(findings, "crosses_community")
    assert ids(finding) == {"Z08"}
    assert "东社区 (4 units), 西社区 (4 units)" in finding["message"]
    assert finding["area_m2"] == pytest.approx(zones.area[8], abs=0.01)
    assert finding["households"] == 320
    assert defects(findings) == {"crosses_community"}
    assert not audit_ok(findings)
    # the community that the zone names is at home, and the rest of it is marked
    faulty["quarter"] = "西社区"
    faulty.loc[faulty.index % 6 >= 3, "quarter"] = "东社区"
    finding = only(audit(faulty, units=units, within="quarter", **options), "crosses_community")
    assert finding["area_m2"] == pytest.approx(zones.area[9], abs=0.01)


def test_a_zone_drawn_across_a_border_is_found_whatever_its_units_are_assigned_to(zones) -> None:
    units = in_halves(zones)
    taken = units.geometry[36:38].union_all()  # two of the four units of Z09
    drawn = replaced(zones, 8, zones.geometry[8].union(taken))
    drawn = replaced(drawn, 9, zones.geometry[9].difference(taken))
    findings = audit(
        drawn, id="name", units=units, unit_id="unit", assignment="zone", unit_within="shequ"
    )
    finding = only(findings, "crosses_community")
    assert ids(finding) == {"Z08"}
    assert finding["geometry"].equals(taken)
    assert finding["households"] == 160
    assert audit_counts(findings)["unit_elsewhere"] == 2


def test_a_zone_that_names_another_community_is_found(zones) -> None:
    units = in_halves(zones)
    zones["within"] = units["shequ"].to_numpy()[::4].astype(object)
    zones.loc[8, "within"] = "东社区"
    zones.loc[14, "within"] = None
    finding = only(
        audit(zones, id="name", units=units, unit_id="unit", unit_within="shequ"),
        "crosses_community",
    )
    assert ids(finding) == {"Z08"}
    assert finding["message"] == "zone Z08 is said to lie in 东社区, but its units belong to 西社区"


def test_units_without_a_community_cross_no_border(zones) -> None:
    units = in_halves(zones)
    units["shequ"] = units["shequ"].astype(object)
    units.loc[[0, 5], "shequ"] = None
    findings = audit(zones, id="name", units=units, unit_id="unit", unit_within="shequ")
    assert defects(findings) == set()


# --------------------------------------------------------------------------- codes


@pytest.fixture
def coded(zones: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    # cells come from the south: serials run from the north
    zones["grid_code"] = [f"{PARENT}{6 * (5 - k // 6) + k % 6 + 1:03d}" for k in range(len(zones))]
    zones["grid_code"] = zones["grid_code"].astype(object)
    return zones


def test_good_codes_are_clean(coded) -> None:
    assert defects(audit(coded, id="name", parent=PARENT)) == set()


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("code_missing", None),
        ("code_duplicate", f"{PARENT}001"),
        ("code_malformed", f"{PARENT}0x"),
        ("code_number", 420583001001034),
        ("code_wrong_parent", "420583001002004"),
    ],
)
def test_bad_codes_are_found(coded, check: str, value: object) -> None:
    coded.loc[3, "grid_code"] = value
    coded["parent"] = PARENT
    findings = audit(coded, id="name", parent="parent")
    finding = only(findings, check)
    assert "Z03" in ids(finding)
    assert defects(findings) - {"code_wrong_parent"} <= {check}


def test_the_community_of_a_zone_can_be_its_parent_code(coded) -> None:
    coded["within"] = PARENT
    assert defects(audit(coded, id="name", parent="within")) == set()
    coded.loc[5, "within"] = "420583001002"
    finding = only(audit(coded, id="name", parent="within"), "code_wrong_parent")
    assert ids(finding) == {"Z05"}


# --------------------------------------------------------------------------- scope, order


def test_the_scope_tells_what_was_not_looked_for(zones, boundary) -> None:
    bare = audit(zones, id="name").attrs["scope"]
    assert {"hole", "overlap", "duplicate_id"} <= set(bare["checked"])
    assert not {"gap", "spill", "unit_split", "below_band"} & set(bare["checked"])
    assert "no boundary was given" in bare["not_checked"]["territory"]
    assert {"units", "band", "communities", "codes"} <= set(bare["not_checked"])
    assert (bare["band"], bare["zones"], bare["units"]) == (None, 36, None)
    full = audit(
        zones.assign(grid_code=[f"{PARENT}{k + 1:03d}" for k in range(36)], own=320), id="name",
        boundary=boundary, units=in_halves(zones), unit_id="unit", zone_households="own",
        unit_within="shequ", assignment="zone", low=200, high=500, parent=PARENT,
        exceptions=pd.DataFrame({"grid": [], "reason": [], "households": []}),
    ).attrs["scope"]  # fmt: skip
    assert full["not_checked"] == {}
    # only a table of units is searched for units that are listed twice; what not every place has
    # was not given
    special = ("excluded", "barriers", "compounds", "exclusive", "levels", "staff", "register")
    without = {check for topic in special for check in TOPICS[topic].checks}
    assert set(full["checked"]) == set(CATALOGUE) - without - {"hole", "unit_duplicate"}
    assert (full["band"], full["units"], full["households"]) == ([200, 500], 144, 36 * 320)
    half = audit(zones.assign(own=1), zone_households="own", high=5).attrs["scope"]
    assert "above_band" in half["checked"]
    assert "below_band" not in half["checked"]
    assert half["band"] == [None, 5]


def test_every_check_belongs_to_a_topic() -> None:
    assert {check for topic in TOPICS.values() for check in topic.checks} == set(CATALOGUE)


def test_the_scope_is_plain_and_survives_tables(zones, tmp_path) -> None:
    findings = audit(zones.drop(index=14), id="name")
    scope = findings.attrs["scope"]
    assert json.loads(json.dumps(scope)) == scope
    both = pd.concat([findings, findings.iloc[:1]])
    assert len(both) == len(findings) + 1
    assert audit_counts(both)["hole"] == 2
    findings.to_parquet(tmp_path / "findings.parquet")
    findings.to_file(tmp_path / "findings.gpkg")
    assert findings[findings["check"] == "hole"].to_crs(4490).attrs["scope"] == scope


def test_gaps_come_before_a_crowded_unit_that_a_line_shaves(zones, boundary) -> None:
    units = zones.assign(households=[9_000] * 30 + [40] * 6)
    shave = zones.geometry[14].intersection(zones.geometry[13].buffer(4))
    faulty = replaced(zones, 14, zones.geometry[14].difference(shave))
    faulty = replaced(faulty, 13, zones.geometry[13].union(shave))
    half = zones.geometry[20].intersection(zones.geometry[21].buffer(45))
    faulty = replaced(faulty, 20, zones.geometry[20].difference(half))
    faulty = replaced(faulty, 21, zones.geometry[21].union(half))
    corner = box(*zones.geometry[35].bounds).buffer(-20)
    faulty = replaced(faulty, 35, zones.geometry[35].difference(corner))
    units = units.drop(index=35)
    findings = audit(faulty, id="name", boundary=boundary, units=units, unit_id="name", high=9_000)
    errors = findings[findings["severity"] == "error"]
    # ground first though nobody lives there, then the unit of which the larger part is cut off
    assert list(errors["check"])[:1] == ["gap"]
    splits = errors[errors["check"] == "unit_split"]
    assert [row.split(";")[0] for row in splits["ids"]] == ["Z20", "Z14"]
    assert set(splits["households"]) == {9_000}


# --------------------------------------------------------------------------- door


def test_what_cannot_be_checked_as_asked_is_an_error(zones) -> None:
    with pytest.raises(InputError) as caught:
        audit(zones, low=200, high=500, unit_id="u", assignment="z", unit_within="w", code="kode")
    kinds = [problem.kind for problem in caught.value.problems]
    assert sorted(kinds) == [
        "band_without_households", "missing_column", "needs_units", "needs_units", "needs_units"
    ]  # fmt: skip
    with pytest.raises(
        InputError, match=r"band 200-500 .* no households .* leave low and high out"
    ):
        audit(zones, units=zones, low=200, high=500)
    with pytest.raises(InputError, match=r"(?s)low must be .* got 'x'.*high must be .* got -1"):
        audit(zones, units=zones.assign(households=1), low="x", high=-1)
    with pytest.raises(InputError, match="households 'hh' names a column of units, but no units"):
        audit(zones, households="hh")
    with pytest.raises(InputError, match=r"(?s)units: no column 'b'.*units: no column 'a'"):
        audit(zones, units=zones, unit_within="a", assignment="b")
    with pytest.raises(InputError, match="whole numbers"):
        audit(zones.assign(households=1.5), low=200)


def test_households_may_name_a_column_of_the_zones_where_there_are_no_units(zones) -> None:
    own = banded(zones, Z03=199).rename(columns={"households": "HH"})
    findings = audit(own, id="name", households="HH", low=200, high=500)
    assert ids(only(findings, "below_band")) == {"Z03"}
    assert findings.attrs["scope"]["households"] == own["HH"].sum()


# --------------------------------------------------------------------------- measuring


def test_what_cannot_be_measured_is_an_error(zones) -> None:
    bare = gpd.GeoDataFrame(zones[["name"]], geometry=np.asarray(zones.geometry))
    with pytest.raises(CRSError, match="set_crs"):
        audit(bare)
    with pytest.raises(CRSError, match="boundary"):
        audit(zones, boundary=bare.translate(9e5))
    with pytest.raises(CRSError, match="not a projected CRS in metres"):
        audit(zones, crs="EPSG:4490")
    with pytest.raises(InputError, match="no rows"):
        audit(zones.iloc[:0])
    with pytest.raises(InputError, match="no column 'grid_id'; there are: name, geometry"):
        audit(zones, id="grid_id")
    with pytest.raises(InputError, match=r"(?s)whole numbers.*row 3: -2"):
        audit(zones, units=banded(zones, Z03=-2))
    with pytest.raises(InputError, match="band is empty"):
        audit(zones, low=5, high=4)
    with pytest.raises(InputError, match="no polygon"):
        audit(zones, boundary=gpd.GeoSeries([shapely.Point(0, 0)], crs=CRS))


def test_degrees_and_other_systems_are_projected_and_said(zones, boundary) -> None:
    degrees = zones.to_crs(4490)
    with pytest.warns(GridpartWarning) as said:
        findings = audit(degrees, id="name", boundary=boundary, crs=CRS)
    assert "zones were projected from" in str(said[0].message)
    assert defects(findings) == set()
    with pytest.warns(GridpartWarning, match="boundary: projected from"):
        other = audit(zones, id="name", boundary=boundary.to_crs(32649))
    assert defects(other) == set()


def test_several_boundary_features_are_united(zones) -> None:
    findings = audit(zones, id="name", boundary=zones.iloc[::-1])
    assert defects(findings) == set()


def test_every_check_is_described_in_two_languages() -> None:
    for name, check in CATALOGUE.items():
        assert check.id == name
        assert check.severity in ("error", "warning", "note")
        assert check.english.endswith(".")
        assert check.chinese.endswith("。")
        assert check.advice
        assert check.advice_chinese.endswith("。")


def test_ten_thousand_clean_zones_take_seconds() -> None:
    import time

    zones = irregular(100)
    boundary = gpd.GeoSeries([box(*zones.total_bounds)], crs=CRS)
    start = time.perf_counter()
    findings = audit(zones, boundary=boundary, units=zones)
    assert time.perf_counter() - start < 10
    assert defects(findings) == set()


# --------------------------------------------------------------------------- real plans


def test_portos_sections_are_clean_against_its_parishes(shared_data) -> None:
    path = shared_data("porto_bgri2021") / "porto_bgri2021.gpkg"
    layers = ("official_sections", "units", "parishes")
    sections, units, parishes = (gpd.read_file(path, layer=layer) for layer in layers)
    findings = audit(
        sections, id="section_id", boundary=parishes, units=units, unit_id="unit_id", low=200,
        high=500,
    )  # fmt: skip
    # 55 of the 243 official sections are outside 200-500 households
    assert audit_counts(findings) == {"point_contact": 62, "below_band": 5, "above_band": 50}


@pytest.mark.parametrize(
    "layer",
    ["wards_precincts_2010", "wards_precincts_2022", "fire_engine_districts", "police_sectors"],
)
@pytest.mark.filterwarnings("ignore::gridpart.errors.GridpartWarning")
def test_cambridge_shows_the_measured_defects(shared_data, layer: str) -> None:
    folder = shared_data("cambridge_plans_with_errors")
    measured = pd.read_csv(folder / "measured_defects.csv", index_col="plan").loc[layer]
    zones, city, blocks = (
        gpd.read_file(folder / "cambridge.gpkg", layer=name)
        for name in (layer, "city_boundary", "blocks2000_pop")
    )
    findings = audit(
        zones, boundary=city, units=blocks, unit_id="STFID", households="POP_LAB", crs=26986
    )
    counts = audit_counts(findings)
    area = findings.groupby("check")["area_m2"].sum()
    assert counts.get("gap", 0) == measured.gap_polys_gt1m2
    assert area["gap"] + area.get("sliver_gap", 0) == pytest.approx(measured.gap_m2, abs=1)
    assert area.get("overlap", 0) == pytest.approx(measured.overlap_m2, abs=0.1)
    # Five measured pairs of wards share 0.001-0.005 m2 along 250-1,900 m of border: they are
    # less than 0.1 mm wide, which the default tolerance of 1 mm takes for rounding.
    thin = 5 if layer == "wards_precincts_2010" else 0
    assert counts.get("overlap", 0) + thin == measured.overlap_pairs
    exact = audit(zones, crs=26986, tolerance=1e-6)
    assert audit_counts(exact).get("overlap", 0) == measured.overlap_pairs
    assert counts.get("unit_uncovered", 0) == measured.units_uncovered
    assert counts["unit_partly_uncovered"] == measured.units_partly_uncovered_gt1pct
    assert counts.get("multipart", 0) == measured.multipart_zones
    # Spill is told by zone: ground outside that two zones share counts for both.
    outside = findings.loc[findings["check"] == "spill"].union_all().area
    assert outside == pytest.approx(measured.outside_m2, rel=0.001, abs=0.4)


@pytest.mark.filterwarnings("ignore::gridpart.errors.GridpartWarning")
def test_yamaguchis_raw_blocks_are_no_plan_with_faults(shared_data) -> None:
    path = shared_data("yamaguchi_basic_units_2020") / "yamaguchi_r2kb35203.gpkg"
    blocks = gpd.read_file(path, layer="units_raw_jgd2000")
    assert defects(audit(blocks, id="unit_id")) == set()


def test_a_point_in_an_overlap_of_two_zones_is_covered() -> None:
    zones = gpd.GeoDataFrame(
        {"z": ["a", "b"]}, geometry=[box(0, 0, 60, 50), box(40, 0, 100, 50)], crs="EPSG:4547"
    )
    units = gpd.GeoDataFrame({"households": [7]}, geometry=[shapely.Point(50, 25)], crs="EPSG:4547")
    counts = audit_counts(audit(zones, id="z", units=units))
    assert counts["overlap"] == 1
    assert "unit_uncovered" not in counts
