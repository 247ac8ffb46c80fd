"""Checks that need a column or a table of their own, what only looks wrong, and shared causes."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import box

import gridpart as gp
from gridpart.codes.adopting import STATES
from gridpart.coverage import CATALOGUE, audit, audit_counts, audit_inputs, audit_ok
from gridpart.errors import InputError

CRS = "EPSG:4547"
PARENT = "420583001001"


def lattice(nx: int = 6, ny: int = 4, size: float = 100.0) -> gpd.GeoDataFrame:
    """Cells in rows from the north-west, named Z00, Z01, ..., every corner a vertex of all."""
    cells = [
        box(size * x, size * (ny - 1 - y), size * (x + 1), size * (ny - y))
        for y in range(ny)
        for x in range(nx)
    ]
    names = [f"Z{k:02d}" for k in range(nx * ny)]
    codes = [f"{PARENT}{k + 1:03d}" for k in range(nx * ny)]
    table = {"grid": names, "grid_code": pd.array(codes, dtype=object)}
    return gpd.GeoDataFrame(table, geometry=cells, crs=CRS)


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    return lattice()


@pytest.fixture
def units(zones) -> gpd.GeoDataFrame:
    """A west and an east half of every zone, 150 households each."""
    rows = []
    for name, cell in zip(zones["grid"], zones.geometry, strict=True):
        west, south, east, north = cell.bounds
        middle = (west + east) / 2
        for half, part in (("w", (west, middle)), ("e", (middle, east))):
            rows.append((name + half, name, box(part[0], south, part[1], north)))
    unit, home, shapes = zip(*rows, strict=True)
    table = {"unit": unit, "home": home, "households": 150}
    return gpd.GeoDataFrame(table, geometry=list(shapes), crs=CRS)


def told(findings: gpd.GeoDataFrame) -> dict[str, int]:
    """Defects by check, but for the contacts at the corners of a lattice."""
    counts = audit_counts(findings)
    counts.pop("point_contact", None)
    return counts


def only(findings: gpd.GeoDataFrame, check: str) -> pd.Series:
    rows = findings[findings["check"] == check]
    assert len(rows) == 1, findings[["check", "ids", "message"]].to_string()
    return rows.iloc[0]


def extent(zones: gpd.GeoDataFrame) -> gpd.GeoSeries:
    return gpd.GeoSeries([box(*zones.total_bounds)], crs=zones.crs)


# --------------------------------------------------------------------------- compounds, sites


def test_a_compound_belongs_in_one_zone(zones, units) -> None:
    units["estate"] = None
    units.loc[units["unit"].isin(["Z00w", "Z00e", "Z01w"]), "estate"] = "Lotus"
    units.loc[units["unit"].isin(["Z09w", "Z09e"]), "estate"] = "Pine"
    found = only(
        audit(zones, units=units, unit_id="unit", compound="estate", low=200, high=500),
        "compound_split",
    )
    assert (found["ids"], found["severity"]) == ("Lotus;Z00;Z01", "error")
    assert (found["households"], found["area_m2"]) == (150, 5000)
    assert "zone Z00 holds 67% of it" in found["advice"]


@pytest.mark.parametrize(
    ("members", "high", "why"),
    [
        (["Z00w", "Z00e", "Z01w"], 400, "larger than a zone may be"),
        (["Z00w", "Z03w"], 500, "do not touch"),
    ],
)
def test_a_compound_that_cannot_be_whole_is_a_note(zones, units, members, high, why) -> None:
    units["estate"] = np.where(units["unit"].isin(members), "Lotus", "")
    findings = audit(zones, units=units, unit_id="unit", compound="estate", high=high)
    found = only(findings, "compound_split")
    assert found["severity"] == "note"
    assert why in found["message"]
    assert audit_ok(findings)


def test_a_compound_ends_at_its_community_and_before_an_exclusive_site(zones, units) -> None:
    units["estate"] = np.where(units["home"].isin(["Z00", "Z01"]), "Lotus", "")
    units["place"] = np.where(units["home"] == "Z00", "A", "B")
    given = {"units": units, "unit_id": "unit", "compound": "estate", "unit_within": "place"}
    assert told(audit(zones, **given)) == {}
    units["place"] = "A"
    assert told(audit(zones, **given)) == {"compound_split": 1}
    units["school"] = units["home"] == "Z01"
    assert told(audit(zones, exclusive="school", **given)) == {}


def test_exclusive_sites_are_alone(zones, units) -> None:
    units["site"] = ""
    units.loc[units["home"] == "Z05", "site"] = "school 5"  # its own zone
    units.loc[units["unit"].isin(["Z07w", "Z08w", "Z08e"]), "site"] = "mill"
    findings = audit(zones, units=units, unit_id="unit", exclusive="site")
    lost = only(findings, "exclusive_mixed")  # half of zone Z07 is the mill's
    assert lost["ids"] == "Z07;mill;Z07e"
    assert told(findings) == {"exclusive_mixed": 1}
    merged = zones.assign(grid=zones["grid"].replace({"Z04": "Z05", "Z03": "Z05"}))
    merged = merged.dissolve("grid", as_index=False)
    gone = only(audit(merged, units=units, unit_id="unit", exclusive="site"), "exclusive_missing")
    assert (gone["ids"], gone["households"]) == ("school 5;Z05", 300)
    bare = audit(zones.drop(index=8), units=units, unit_id="unit", exclusive="site")
    assert "lies in no zone" in only(bare, "exclusive_missing")["message"]


def test_a_mere_yes_marks_the_units_of_a_zone(zones, units) -> None:
    units["own"] = units["unit"].isin(["Z05w", "Z05e", "Z07w"])
    findings = audit(zones, units=units, unit_id="unit", exclusive="own")
    assert told(findings) == {"exclusive_mixed": 1}


def test_the_band_does_not_apply_to_a_zone_that_is_an_exclusive_site(zones, units) -> None:
    units.loc[units["home"] == "Z05", "households"] = 0
    units["own"] = units["home"] == "Z05"
    given = {"units": units, "unit_id": "unit", "low": 200, "high": 500}
    assert only(audit(zones, **given), "below_band")["severity"] == "error"
    found = only(audit(zones, exclusive="own", **given), "below_band")
    assert found["severity"] == "note"


# --------------------------------------------------------------------------- levels, communities


def test_levels_nest(zones, units) -> None:
    zones["quarter"] = np.where(zones.index < 12, "north", "south")
    zones["street"] = "main"
    assert told(audit(zones, levels=["grid", "quarter", "street"])) == {}
    zones.loc[3, "street"] = "side"
    found = only(audit(zones, levels=["grid", "quarter", "street"]), "not_nested")
    assert found["ids"] == "north;main;side"
    assert found["geometry"].equals(zones.geometry[3])
    units["block"] = units["unit"].where(units["unit"] != "Z03w", "Z02w")
    found = only(audit(zones, units=units, levels=["block", "home"]), "not_nested")
    assert (found["ids"], found["households"]) == ("Z02w;Z02;Z03", 150)
    with pytest.raises(InputError, match="no column stret; they have: grid"):
        audit(zones, levels=["quarter", "stret"])
    with pytest.raises(InputError, match="two columns or more"):
        audit(zones, levels=["quarter"])


def test_a_plan_with_levels_is_audited_through_all_of_them(zones, units) -> None:
    plan = gp.partition(
        units.drop(columns="home"), id="unit", low=300, high=600, levels={"quarter": (900, 2400)}
    )
    given = audit_inputs(plan)
    assert given["levels"] == ["grid", "quarter"]
    assert told(audit(plan.grids, **given)) == {}
    worse = plan.units.copy()
    one = worse.index[worse["grid"] == worse["grid"].iloc[0]][0]
    other = worse.loc[worse["quarter"] != worse["quarter"].loc[one], "quarter"].iloc[0]
    worse.loc[one, "quarter"] = other
    assert "not_nested" in told(audit(plan.grids, **{**given, "units": worse}))


def test_zones_keep_inside_polygons_of_communities(zones) -> None:
    areas = gpd.GeoDataFrame(
        {"name": ["west", "east"]}, geometry=[box(0, 0, 300, 400), box(300, 0, 600, 400)], crs=CRS
    )
    given = {"communities": areas, "community_id": "name"}
    zones["within"] = np.where(zones.index % 6 < 3, "west", "east")
    assert told(audit(zones, **given)) == {}
    wrong = zones.copy()
    wrong.loc[0, "within"] = "east"
    assert only(audit(wrong, **given), "crosses_community")["ids"] == "Z00"
    shifted = zones.copy()
    shifted.loc[[2, 3], "geometry"] = [box(200, 300, 320, 400), box(320, 300, 400, 400)]
    found = only(audit(shifted, **given), "crosses_community")
    assert (found["ids"], found["area_m2"]) == ("Z02", 2000)
    assert told(audit(shifted, **given, tolerances={"crosses_community": 3000})) == {}
    with pytest.raises(InputError, match="communities: no column 'nom'"):
        audit(zones, communities=areas, community_id="nom")


# --------------------------------------------------------------------------- staff


def test_staff(zones) -> None:
    posts = pd.DataFrame(
        {
            "post_id": [f"P{k:02d}" for k in range(24)] + ["P00", "P03", "X1", "X2"],
            "grid": [*zones["grid"], "Z01", "Z23", "Z99", None],
        }
    )
    findings = audit(zones, staff=posts)
    assert told(findings) == {"post_unknown_zone": 2, "post_scattered": 1}
    assert only(findings, "post_scattered")["ids"] == "P03;Z03;Z23"
    unknown = findings[findings["check"] == "post_unknown_zone"]
    assert dict(zip(unknown["ids"], unknown["severity"], strict=True)) == {
        "X1;Z99": "error",
        "X2": "warning",
    }
    by_code = pd.DataFrame({"post_id": range(23), "grid": zones["grid_code"].iloc[1:]})
    found = only(audit(zones, staff=by_code), "no_staff")
    assert found["ids"] == "Z00"
    with pytest.raises(InputError, match="staff: no column 'post_id'"):
        audit(zones, staff=by_code.rename(columns={"post_id": "post"}))


def test_zones_that_touch_at_a_corner_do_not_make_a_beat(zones) -> None:
    posts = pd.DataFrame({"post_id": ["P"] * 24, "grid": zones["grid"]})
    assert told(audit(zones, staff=posts)) == {}
    posts = pd.DataFrame(
        {"post_id": ["A", "A", *"B" * 22], "grid": ["Z00", "Z07", *zones["grid"].drop([0, 7])]}
    )
    assert told(audit(zones, staff=posts)) == {"post_scattered": 1}


# --------------------------------------------------------------------------- codes


def test_serials_out_of_order_are_a_note(zones) -> None:
    codes = zones["grid_code"].copy()
    zones.loc[[1, 20], "grid_code"] = [codes[20], codes[1]]
    findings = audit(zones)
    assert only(findings, "code_serial_order")["ids"] == "Z01;Z20"
    assert audit_ok(findings)
    # a grid that was split keeps the order of the others: its new serial is the only one astray
    split = lattice()
    split.loc[4, "grid_code"] = f"{PARENT}025"
    assert only(audit(split), "code_serial_order")["ids"] == "Z04"


def test_all_codes_as_numbers_are_one_finding(zones) -> None:
    zones["grid_code"] = zones["grid_code"].astype("int64")
    found = only(audit(zones), "code_number")
    assert found["n"] == 24


def test_codes_against_a_register(zones) -> None:
    register = pd.DataFrame(
        {"code": [*zones["grid_code"].iloc[1:], f"{PARENT}900", "420583001002001"]}
    )
    register["state"] = "live"
    register.loc[4, "state"] = "停用"
    findings = audit(zones, register=register)
    assert told(findings) == {"code_retired": 1, "code_unregistered": 1, "code_unused": 1}
    assert only(findings, "code_retired")["ids"] == "Z05"
    assert only(findings, "code_unregistered")["ids"] == "Z00"
    # codes of other communities are not missed
    assert only(findings, "code_unused")["ids"] == f"{PARENT}900"
    # the words of the register itself, each of which it adopts
    register["state"] = [*STATES][: len(register)] + ["live"] * (len(register) - len(STATES))
    assert STATES.keys() == set(register["state"])
    listed = audit(zones, register=register)
    retired = [k for k, word in enumerate(register["state"]) if STATES[word] == "retired"]
    assert audit_counts(listed)["code_retired"] == len(retired) == 6
    assert set(listed[listed["check"] == "code_retired"]["ids"]) == {
        f"Z{k + 1:02d}" for k in retired
    }
    register.loc[2, "state"] = "perhaps"
    with pytest.raises(InputError, match=r"(?s)a state must be one of.*'perhaps'"):
        audit(zones, register=register)


# --------------------------------------------------------------------------- what only looks wrong


def test_ground_that_needs_no_zone(zones) -> None:
    lake = zones.iloc[[8]].copy()
    rest = zones.drop(index=8)
    boundary = extent(zones)
    assert told(audit(rest, boundary=boundary)) == {"gap": 1}
    findings = audit(rest, boundary=boundary, excluded=lake)
    assert told(findings) == {"excluded_ground": 1}
    assert audit_ok(findings)
    assert told(audit(rest, excluded=lake)) == {"excluded_ground": 1}
    # a lake that is smaller than the hole leaves a gap
    small = gpd.GeoSeries(lake.geometry.buffer(-20, join_style="mitre"), crs=CRS)
    findings = audit(rest, boundary=boundary, excluded=small)
    assert told(findings) == {"gap": 1, "excluded_ground": 1}
    assert only(findings, "gap")["area_m2"] == pytest.approx(100**2 - 60**2)


def test_a_boundary_of_another_scope(zones, units) -> None:
    boundary = gpd.GeoSeries([box(0, 0, 1200, 400)], crs=CRS)
    findings = audit(zones, boundary=boundary, units=units, unit_id="unit")
    found = only(findings, "other_scope")
    assert (found["severity"], found["area_m2"]) == ("warning", 600 * 400)
    assert told(findings) == {"other_scope": 1}
    # without units nothing tells that nobody lives there
    assert only(audit(zones, boundary=boundary), "other_scope")["severity"] == "error"
    # where somebody does, it is a blind spot
    more = pd.concat([units, units.assign(geometry=units.translate(600))], ignore_index=True)
    findings = audit(zones, boundary=boundary, units=more)
    assert told(findings) == {"gap": 1, "unit_uncovered": 48}
    assert only(findings, "gap")["households"] == 48 * 150
    assert len(findings[findings["check"] == "unit_uncovered"]) == 1
    assert told(audit(zones, boundary=boundary, tolerances={"other_scope": 0.6})) == {"gap": 1}


def test_a_shoreline_drawn_twice_is_one_finding_of_a_kind(zones, units) -> None:
    x = np.arange(0, 601, 5)
    shore = np.column_stack([x, 3 * np.sin(x / 8)])
    boundary = gpd.GeoSeries([shapely.Polygon([*shore, (600, 400), (0, 400)])], crs=CRS)
    findings = audit(zones, boundary=boundary, units=units, unit_id="unit")
    rows = findings[findings["check"].isin(["gap", "spill"])]
    assert sorted(rows["check"]) == ["gap", "spill"]
    assert (rows["severity"] == "warning").all()
    assert audit_counts(findings)["gap"] == 12
    # of one side alone, or without units, it is no line drawn twice
    findings = audit(zones, boundary=boundary)
    assert set(findings.loc[findings["check"].isin(["gap", "spill"]), "severity"]) == {"error"}
    findings = audit(zones, boundary=boundary, units=units, unit_id="unit")
    outside = box(*zones.total_bounds).difference(boundary.iloc[0])
    assert rows.set_index("check")["area_m2"]["spill"] == pytest.approx(outside.area)
    # somebody lives in one of the gaps
    hut = gpd.GeoDataFrame(
        {"unit": ["hut"], "households": [2]}, geometry=[box(89, -2.5, 90, -2)], crs=CRS
    )
    findings = audit(
        zones, boundary=boundary, units=pd.concat([units, hut], ignore_index=True), unit_id="unit"
    )
    gap = only(findings, "gap")
    assert (gap["severity"], gap["households"]) == ("error", 2)
    assert only(findings, "unit_uncovered")["ids"] == "hut"


def test_an_islet_is_a_warning_and_a_severed_part_an_error(zones) -> None:
    islet = shapely.union(zones.geometry[5], box(700, 300, 750, 350))
    zones.loc[[5], "geometry"] = islet
    boundary = gpd.GeoSeries([zones.union_all()], crs=CRS)
    for given in ({}, {"boundary": boundary}):
        found = only(audit(zones, **given), "multipart")
        assert found["severity"] == "warning"
        assert "islet" in found["message"]
    # the ground between belongs to the territory and has no zone
    wide = gpd.GeoSeries([box(0, 0, 800, 400)], crs=CRS)
    assert only(audit(zones, boundary=wide), "multipart")["severity"] == "error"
    swapped = lattice()
    swapped.loc[[0, 9], "geometry"] = [
        shapely.union(swapped.geometry[0], box(300, 200, 350, 300)),
        box(350, 200, 400, 300),
    ]
    assert only(audit(swapped), "multipart")["severity"] == "error"


# --------------------------------------------------------------------------- borders, CRS, sizes


def test_borders_that_nearly_match(zones) -> None:
    assert told(audit(zones)) == {}
    near = zones.copy()
    near.loc[[7], "geometry"] = shapely.transform(near.geometry[7], lambda xy: xy + 4e-4)
    found = only(audit(near), "misaligned")
    # three of its corners are beside the corners of its neighbours, as is the fourth
    assert (found["n"], found["severity"]) == (4, "note")
    assert {"Z07", "Z08", "Z01"} <= set(found["ids"].split(";"))
    assert shapely.distance(found["geometry"], shapely.Point(200, 300)) < 1e-3
    assert told(audit(near, tolerances={"misaligned": 1e-5})) == {}


def test_a_vertex_beside_an_edge_is_misaligned_and_one_on_it_is_not() -> None:
    def pair(offset: float) -> gpd.GeoDataFrame:
        bent = shapely.Polygon([(0, 0), (100, 0), (100 + offset, 40), (100, 100), (0, 100)])
        return gpd.GeoDataFrame(geometry=[bent, box(100, 0, 200, 100)], crs=CRS)

    assert told(audit(pair(0))) == {}
    assert told(audit(pair(5e-4))) == {"misaligned": 1}
    assert told(audit(pair(-5e-4))) == {"misaligned": 1}


def test_every_size_can_be_set(zones, units) -> None:
    boundary = extent(zones)
    notch = zones.copy()
    notch.loc[[0], "geometry"] = shapely.difference(notch.geometry[0], box(40, 340, 42, 342))
    assert told(audit(notch, boundary=boundary)) == {"gap": 1}
    assert told(audit(notch, boundary=boundary, tolerances={"gap": 5.0})) == {"sliver_gap": 1}
    none = {"gap": 5.0, "sliver_gap": 3.0}
    assert told(audit(notch, boundary=boundary, tolerances=none)) == {}
    moved = zones.copy()
    moved.loc[[0, 1], "geometry"] = [box(0, 300, 103, 400), box(103, 300, 200, 400)]
    split = audit(moved, units=units, unit_id="unit")
    assert told(split) == {"unit_split": 1}
    allowed = audit(moved, units=units, unit_id="unit", tolerances={"unit_split": 0.1})
    assert allowed["severity"].tolist().count("error") == 0
    with pytest.raises(InputError, match=r"(?s)'gapp' has none.*gap, .*hole must be a number"):
        audit(zones, tolerances={"gapp": 1.0, "hole": -1})


# --------------------------------------------------------------------------- tables


def test_a_table_without_zones_takes_the_same_tables(zones, units) -> None:
    units["code"] = units["home"].map(dict(zip(zones["grid"], zones["grid_code"], strict=True)))
    units["estate"] = np.where(units["unit"].isin(["Z00e", "Z01w"]), "Lotus", "")
    units["site"] = units["unit"].isin(["Z05w"])
    units["street"] = "main"
    river = gpd.GeoSeries([shapely.LineString([(150, -10), (150, 410)])], crs=CRS)
    register = pd.DataFrame({"code": zones["grid_code"].iloc[:-1], "state": "live"})
    staff = pd.DataFrame({"post_id": ["A"] * 23, "grid": zones["grid_code"].iloc[:-1]})
    exceptions = pd.DataFrame(
        {"grid": [f"{PARENT}024"], "reason": ["component_below_band"], "households": [300]}
    )
    findings = gp.audit_assignment(
        units, "code", unit_id="unit", low=200, high=500, compound="estate", exclusive="site",
        levels=["code", "street"], barriers=river, register=register, staff=staff,
        exceptions=exceptions,
    )  # fmt: skip
    assert told(findings) == {
        "across_barrier": 4, "exception_unfounded": 1, "compound_split": 1, "exclusive_mixed": 1,
        "no_staff": 1, "code_unregistered": 1,
    }  # fmt: skip
    assert {"barriers", "compounds", "register", "staff"} <= set(findings.attrs["scope"]["topics"])


def test_a_part_hardly_wider_than_the_tolerance_is_a_part() -> None:
    shape = shapely.MultiPolygon([box(0, 0, 9, 9), box(20, 0, 20.0018, 0.006)])
    found = only(audit(gpd.GeoDataFrame(geometry=[shape], crs=CRS)), "multipart")
    assert found["severity"] == "warning"


def test_enclosed_slivers_hardly_wider_than_the_tolerance_are_found(zones) -> None:
    zones.loc[[8], "geometry"] = box(200 + 0.0013, 200, 300, 300)
    assert told(audit(zones)) == {"sliver_gap": 1}
    assert told(audit(zones, boundary=extent(zones))) == {"sliver_gap": 1}


# --------------------------------------------------------------------------- documentation


def test_the_list_of_checks_says_what_the_catalogue_says() -> None:
    lines = (Path(__file__).parents[1] / "docs" / "checks.md").read_text("utf-8").splitlines()
    listed = {}
    for line in lines:
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            listed[cells[0].strip("`")] = cells[1:]
    assert set(listed) == set(CATALOGUE)
    for name, check in CATALOGUE.items():
        size = "" if check.tolerance is None else f"{check.tolerance:g} {check.unit}"
        assert listed[name] == [
            check.severity, size.replace("m2", "m²"), check.english, check.chinese, check.advice,
            check.advice_chinese,
        ]  # fmt: skip
