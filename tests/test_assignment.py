"""The audit of a table of units and their grids, of which no zone was drawn."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from shapely import box

import gridpart as gp
from gridpart.cli import main
from gridpart.coverage import assigned_grids
from gridpart.errors import CRSError, GridpartWarning, InputError

CRS = "EPSG:4547"
PARENT = "420583001001"


@pytest.fixture
def units() -> gpd.GeoDataFrame:
    """6 x 6 cells of 100 m with 30 households, from the north-west; four grids of 3 x 3 cells."""
    cells = [
        box(100 * x, 500 - 100 * y, 100 * x + 100, 600 - 100 * y)
        for y in range(6)
        for x in range(6)
    ]
    rows = np.arange(36)
    grid = [f"{PARENT}{1 + (row // 18) * 2 + (row % 6) // 3:03d}" for row in rows]
    names = [f"u{row:02d}" for row in rows]
    table = {"unit": names, "households": 30, "grid": grid, "place": PARENT}
    return gpd.GeoDataFrame(table, geometry=cells, crs=CRS)


def audit(units: pd.DataFrame, **options: object) -> gpd.GeoDataFrame:
    given = {"unit_id": "unit", "low": 200, "high": 500, "unit_within": "place", "parent": "place"}
    return gp.audit_assignment(units, "grid", **(given | options))


def only(findings: gpd.GeoDataFrame) -> pd.Series:
    assert len(findings) == 1, findings[["check", "ids", "message"]].to_string()
    return findings.iloc[0]


def of(units: gpd.GeoDataFrame, *names: str) -> shapely.Geometry:
    return units.geometry[units["unit"].isin(names)].union_all()


def test_a_clean_table_has_no_findings_and_says_what_was_not_looked_at(units) -> None:
    before = units.copy()
    findings = audit(units)
    assert len(findings) == 0
    scope = findings.attrs["scope"]
    assert scope["checked"] == [
        "multipart", "unit_uncovered", "unit_twice", "unit_duplicate", "unit_without_geometry",
        "below_band", "above_band", "crosses_community", "code_malformed", "code_wrong_parent",
        "code_number", "code_serial_order",
    ]  # fmt: skip
    assert scope["not_checked"] == {"drawing": "no polygons of zones were given"}
    assert (scope["zones"], scope["units"], scope["households"]) == (4, 36, 1080)
    assert_geodataframe_equal(units, before)


def test_units_in_no_grid_are_found_together_where_they_touch(units) -> None:
    units.loc[[0, 1, 35], "grid"] = [None, "  ", np.nan]
    findings = audit(units)
    assert list(findings["check"]) == ["unit_uncovered"] * 2
    pair, single = (row for _, row in findings.iterrows())
    assert (pair["ids"], pair["n"], pair["households"]) == ("u00;u01", 2, 60)
    assert pair["geometry"].equals(of(units, "u00", "u01"))
    # the pair has 600 m of outline: 300 m along its own grid, the rest along nobody
    assert pair["advice"] == f"assign to grid {PARENT}001: shares 50% of its border"
    assert "50%" in pair["advice_chinese"]
    assert (single["ids"], single["n"]) == ("u35", 1)
    assert gp.audit_counts(findings) == {"unit_uncovered": 3}


def test_a_grid_outside_the_band_is_the_ground_of_its_units(units) -> None:
    units.loc[0, "households"] = 500
    units.loc[units["grid"].str.endswith("004"), "households"] = 1
    above, below = (row for _, row in audit(units).iterrows())
    assert (above["check"], above["households"]) == ("above_band", 740)
    assert (below["check"], below["households"]) == ("below_band", 9)
    assert below["geometry"].equals(box(300, 0, 600, 300))


def test_a_grid_in_two_parts_goes_to_who_has_most_of_the_border(units) -> None:
    units.loc[28, "grid"] = f"{PARENT}001"  # inside grid 4
    found = only(audit(units))
    assert (found["check"], found["severity"], found["ids"]) == (
        "multipart",
        "error",
        f"{PARENT}001",
    )
    assert found["geometry"].equals(of(units, "u28"))
    assert found["households"] == 30
    assert f"grid {PARENT}004, which has 100% of its border" in found["advice"]


def test_cells_that_touch_at_a_corner_are_not_connected(units) -> None:
    units.loc[21, "grid"] = f"{PARENT}001"  # corner to corner with u14
    assert only(audit(units))["check"] == "multipart"


def test_an_islet_is_a_warning(units) -> None:
    far = units.iloc[[0]].assign(unit="islet").set_geometry([box(9000, 500, 9100, 600)], crs=CRS)
    findings = audit(pd.concat([units, far], ignore_index=True))
    found = only(findings[findings["severity"] != "note"])
    assert (found["check"], found["severity"]) == ("multipart", "warning")
    assert found["message"].endswith("an islet?")


def test_almost_matching_borders_connect_within_the_tolerance(units) -> None:
    units.loc[[2], "geometry"] = box(200.004, 500, 300, 600)
    units.loc[1, "grid"] = f"{PARENT}002"
    units.loc[[8], "grid"] = f"{PARENT}002"
    units.loc[2, "grid"] = f"{PARENT}002"
    assert list(audit(units, tolerance=0.01, low=0, high=None)["check"]) == []


def test_a_unit_listed_twice(units) -> None:
    again = units.iloc[[3, 4]].copy()
    again["grid"] = [f"{PARENT}001", f"{PARENT}002"]
    again["geometry"] = [box(300, 500, 350, 550), box(400, 500, 450, 550)]
    findings = audit(pd.concat([units, again], ignore_index=True), low=None, high=None)
    listed = findings[findings["check"] != "multipart"].set_index("check")
    assert listed.loc["unit_twice", "ids"] == f"u03;{PARENT}001;{PARENT}002"
    assert listed.loc["unit_duplicate", "ids"] == f"u04;{PARENT}002"
    assert (listed["households"] == 30).all()


def test_two_ids_for_one_shape(units) -> None:
    again = units.iloc[[3]].assign(unit="copy")
    with pytest.warns(GridpartWarning, match="overlap"):
        found = only(audit(pd.concat([units, again], ignore_index=True)))
    assert (found["check"], found["ids"]) == ("unit_duplicate", f"u03;copy;{PARENT}002")


def test_grids_across_communities(units) -> None:
    units["town"] = np.where(units.index == 7, "East", "West")
    found = only(audit(units, unit_within="town", parent=PARENT))
    assert (found["check"], found["ids"]) == ("crosses_community", f"{PARENT}001")
    assert found["geometry"].equals(of(units, "u07"))


def test_codes_are_checked_where_the_column_holds_codes(units) -> None:
    units["grid"] = units["grid"].replace({f"{PARENT}004": "420583001001 4"})
    assert only(audit(units))["check"] == "code_malformed"
    found = audit(units, parent="420583001002")
    assert gp.audit_counts(found) == {"code_malformed": 1, "code_wrong_parent": 4}
    named = audit(units.assign(grid=units["grid"].str[-1]))
    assert len(named) == 0
    assert set(named.attrs["scope"]["not_checked"]) == {"table_codes", "parents", "drawing"}


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_codes_that_became_numbers(units, kind: str) -> None:
    units["grid"] = units["grid"].astype("int64").astype(kind)
    findings = audit(units)
    assert gp.audit_counts(findings) == {"code_number": 4}
    assert findings["message"].str.contains("leading zeros are lost").all()


def test_points_cannot_tell_connection(units) -> None:
    units["geometry"] = units.geometry.centroid
    units.loc[28, "grid"] = f"{PARENT}001"
    units.loc[0, "grid"] = None
    found = only(audit(units))
    assert (found["check"], found["ids"], found["geometry"].geom_type) == (
        "unit_uncovered",
        "u00",
        "Point",
    )
    assert "points" in found_scope(audit(units))["connection"]


def found_scope(findings: gpd.GeoDataFrame) -> dict[str, str]:
    return findings.attrs["scope"]["not_checked"]


def test_footprints_that_do_not_touch_cannot_tell_connection_but_a_graph_can(units) -> None:
    graph = gp.build_contiguity(units)
    units["geometry"] = units.geometry.buffer(-10)
    units.loc[28, "grid"] = f"{PARENT}001"
    findings = audit(units)
    assert len(findings) == 0
    assert "connection" in found_scope(findings)
    assert only(audit(units, graph=graph))["check"] == "multipart"
    with pytest.raises(InputError, match="graph must be on the index"):
        audit(units.iloc[1:], graph=graph)


def test_a_plain_table(units) -> None:
    table = pd.DataFrame(units.drop(columns="geometry")).astype(str)
    table.loc[0, "grid"] = None
    found = only(audit(table))
    assert (found["check"], found["ids"], found["geometry"]) == ("unit_uncovered", "u00", None)
    assert "connection" in found_scope(audit(table))


def test_units_without_a_shape_still_count(units) -> None:
    units.loc[[0], "geometry"] = None
    found = only(audit(units))
    assert (found["check"], found["ids"]) == ("unit_without_geometry", "u00")


def test_points_among_polygons_are_said(units) -> None:
    units.loc[[0], "geometry"] = units.geometry[0].centroid
    with pytest.warns(GridpartWarning, match=f"1 units that are no polygons.*{PARENT}001"):
        assert list(audit(units)["check"]) == []


def test_order_of_rows_and_names_of_the_geometry_do_not_matter(units) -> None:
    units.loc[[0, 1, 28], "grid"] = [None, None, f"{PARENT}001"]
    mixed = (
        units.sample(frac=1, random_state=3).rename_geometry("shape").set_index("unit", drop=False)
    )
    columns = ["check", "severity", "households", "n", "bbox", "advice"]
    pd.testing.assert_frame_equal(
        pd.DataFrame(audit(units)[columns]), pd.DataFrame(audit(mixed)[columns])
    )


def test_degrees_are_projected_and_said(units) -> None:
    with pytest.warns(GridpartWarning, match="projected from"):
        findings = audit(units.to_crs(4490))
    assert list(findings["check"]) == []
    assert findings.crs.is_projected


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda u: u.iloc[:0], {}, "there are no units"),
        (lambda u: u.drop(columns="grid"), {}, "no column 'grid'"),
        (lambda u: u.assign(households=-1), {}, "whole numbers"),
        (lambda u: u, {"low": 9, "high": 3}, "band is empty"),
        (lambda u: u, {"parent": "42"}, "no column of the units"),
        (lambda u: u, {"tolerance": 0}, "tolerance"),
        (lambda u: u, {"crs": 4326}, "projected CRS in metres"),
        (lambda u: u.drop(columns="households"), {}, "no households to judge by"),
    ],
)
def test_what_cannot_be_used(units, change, options, words) -> None:
    with pytest.raises(InputError, match=words):
        audit(change(units), **options)


def test_shapes_without_a_crs(units) -> None:
    with pytest.raises(CRSError, match="set_crs"):
        audit(units.set_crs(None, allow_override=True))


def test_the_ground_of_the_grids(units) -> None:
    units.loc[0, "grid"] = None
    grids = assigned_grids(units, "grid")
    assert list(grids["grid"]) == sorted(units["grid"].dropna().unique())
    assert grids.area.tolist() == [80_000, 90_000, 90_000, 90_000]
    assert assigned_grids(units.set_geometry(units.centroid), "grid") is None


def test_faults_thrown_in_at_random_are_all_found(units) -> None:
    rng = np.random.default_rng(11)
    for _ in range(20):
        frame = units.copy()
        lost, away = rng.choice([0, 5, 30, 35], 2, replace=False)
        frame.loc[lost, "grid"] = None
        other = {0: "004", 5: "003", 30: "002", 35: "001"}[int(away)]
        frame.loc[away, "grid"] = PARENT + other
        findings = audit(frame, low=None, high=None)
        assert set(findings["check"]) == {"unit_uncovered", "multipart"}
        by_check = findings.set_index("check")
        assert by_check.loc["unit_uncovered", "ids"] == f"u{lost:02d}"
        assert by_check.loc["multipart", "ids"] == PARENT + other
        assert by_check.loc["multipart", "geometry"].equals(units.geometry[away])


# --------------------------------------------------------------------------- command line


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", ["gpkg", "csv"])
def test_the_command_needs_no_zones(units, tmp_path, suffix: str, capsys) -> None:
    units.loc[0, "grid"] = None
    source = tmp_path / f"units.{suffix}"
    if suffix == "csv":
        units.drop(columns="geometry").to_csv(source, index=False)
    else:
        units.to_file(source)
    out, page, found = tmp_path / "a.json", tmp_path / "a.html", tmp_path / "a.gpkg"
    code = run(
        "audit", "--units", source, "--assignment", "grid", "--unit-id", "unit", "--low", 200,
        "--high", 500, "--unit-within", "place", "--parent", "place", "--json", out, "--html", page,
        "--findings", found,
    )  # fmt: skip
    assert code == 1
    report = json.loads(out.read_text())
    assert report["counts"] == {"unit_uncovered": 1}
    assert [row["ids"] for row in report["findings"]] == ["u00"]
    assert len(list(gpd.list_layers(found)["name"])) == 1
    said = capsys.readouterr().out
    assert "every unit in one grid" in said
    assert ("connection (units do not touch)" in said) == (suffix == "csv")
    assert ("<svg" in page.read_text(encoding="utf-8")) == (suffix == "gpkg")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give ZONES, or --units and --assignment"),
        (["--units", "u.gpkg"], "give ZONES"),
        (["--units", "u.gpkg", "--assignment", "grid", "--id", "x"], "--id: only with ZONES"),
        (["--units", "u.gpkg", "--assignment", "grid", "--code", "c"], "--code: only with ZONES"),
    ],
)
def test_what_the_command_cannot_do_without_zones(arguments, words, capsys) -> None:
    assert run("audit", *arguments) == 2
    assert words in capsys.readouterr().err


def test_an_assignment_beside_zones_is_used(units, tmp_path) -> None:
    zones = units.dissolve("grid").reset_index()[["grid", "geometry"]]
    zones.to_file(tmp_path / "zones.gpkg")
    units.loc[0, "grid"] = f"{PARENT}004"
    units.to_file(tmp_path / "units.gpkg")
    out = tmp_path / "a.json"
    code = run(
        "audit", tmp_path / "zones.gpkg", "--units", tmp_path / "units.gpkg", "--unit-id", "unit",
        "--assignment", "grid", "--json", out,
    )  # fmt: skip
    assert code == 1
    assert json.loads(out.read_text())["counts"]["unit_elsewhere"] == 1
