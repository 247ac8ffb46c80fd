"""The command line as other programs see it: files, exit codes, words on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pytest
import shapely
from shapely import box

import gridpart as gp
from gridpart import _io
from gridpart.cli import main

PARENT = "420583001001"


@pytest.fixture
def units() -> gpd.GeoDataFrame:
    cells = [
        box(100 * x, 100 * y, 100 * x + 100, 100 * y + 100) for y in range(6) for x in range(8)
    ]
    names = [f"u{i:02d}" for i in range(48)]
    return gpd.GeoDataFrame({"unit": names, "households": 60}, geometry=cells, crs="EPSG:4547")


@pytest.fixture
def source(units, tmp_path) -> Path:
    path = tmp_path / "units.gpkg"
    units.to_file(path, layer="units")
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def planned(source: Path, *more: object) -> Path:
    path = source.parent / "plan.gpkg"
    assert run("partition", source, "-o", path, "--id", "unit", *more) == 0
    return path


def left_behind(folder: Path, *known: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path not in known)


# ---------------------------------------------------------------- the main job


def test_partition_code_audit_staff_and_map(source, capsys):
    folder = source.parent
    plan = planned(source)
    said = capsys.readouterr()
    assert "in band     8 of 8 (200-500)" in said.out
    assert said.err == ""  # quiet in a pipe
    assert run("code", plan, "-o", plan, "--parent-code", PARENT) == 0

    grids = gpd.read_file(plan, layer="grids")
    assert grids["households"].between(200, 500).all()
    assert sorted(grids["grid_code"]) == [f"{PARENT}{i:03d}" for i in range(1, 9)]
    facts = dict(_io.read_attributes(plan, layer="provenance").itertuples(index=False))
    assert facts["input_sha256"] == _io.file_sha256(source)
    expected = {"households": "households", "id": "unit", "within": "", "low": "200",
                "high": "500", "target": "", "seed": "0"}  # fmt: skip
    assert expected.items() <= facts.items()

    out, page, found = folder / "a.json", folder / "a.html", folder / "a.gpkg"
    assert run("audit", plan, "--json", out, "--html", page, "--findings", found) == 0
    report = json.loads(out.read_text())
    assert set(report) == {"schema_version", "ok", "counts", "crs", "scope", "findings"}
    assert (report["schema_version"], report["ok"]) == (2, True)
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")

    roster = folder / "roster.csv"
    posts = [{"post_id": f"p{i}", "role": "full_timer"} for i in range(8)]
    posts.append({"post_id": "q", "role": "police"})
    pd.DataFrame(posts).to_csv(roster, index=False)
    assert run("staff", plan, "--roster", roster, "-o", folder / "staff.xlsx") == 0
    sheet = openpyxl.load_workbook(folder / "staff.xlsx")["assignment"]
    header, *rows = sheet.iter_rows(values_only=True)
    assert header == ("post_id", "role", "grid", "grid_code", "households", "load")
    assert {row[3] for row in rows if row[3]} == set(grids["grid_code"])

    for suffix in ("png", "pdf", "svg"):
        assert run("map", plan, "-o", folder / f"map.{suffix}") == 0
        assert (folder / f"map.{suffix}").stat().st_size > 5_000


def test_uncoded_plans_are_staffed_too(source, tmp_path):
    plan = planned(source)
    roster = tmp_path / "roster.csv"
    roster.write_text("post_id,role\na,leader\nb,leader\n")
    assert run("staff", plan, "--roster", roster, "-o", tmp_path / "staff.xlsx") == 0


def test_same_input_and_seed_same_plan(source, tmp_path):
    tables = []
    for jobs in (1, 3):
        path = tmp_path / f"plan{jobs}.gpkg"
        assert run("partition", source, "-o", path, "--jobs", jobs, "--seed", 5) == 0
        tables.append(gpd.read_file(path, layer="units"))
    pd.testing.assert_frame_equal(*tables)


def test_every_option_of_the_engine_has_a_flag(units, tmp_path):
    units.assign(age=5).to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(
        tmp_path / "units.gpkg", "--n-grids", 9, "--balance", 0.9, "--workload", "age",
        "--bound", "age:0:40", "--bound", "area_m2:0:90000", "--effort", "fast",
    )  # fmt: skip
    grids = gpd.read_file(plan, layer="grids")
    assert len(grids) == 9
    assert grids["n_units"].max() <= 8
    facts = dict(_io.read_attributes(plan, layer="provenance").itertuples(index=False))
    assert facts["n_grids"] == "9"
    assert facts["bounds"] == '{"age": [0, 40], "area_m2": [0, 90000]}'


def test_recorded_exceptions_are_notes_to_the_audit(units, tmp_path, capsys):
    units.loc[0, "households"] = 900
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg")
    capsys.readouterr()
    assert run("audit", plan, "--json", tmp_path / "a.json") == 0
    report = json.loads((tmp_path / "a.json").read_text())
    (row,) = (row for row in report["findings"] if row["check"] == "above_band")
    assert row["severity"] == "note"
    assert report["ok"] is True


def test_exclusive_grids_are_notes_to_the_audit(units, tmp_path):
    units["site"] = np.where(units["unit"] == "u20", "school", "")
    units.loc[20, "households"] = 0
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg", "--exclusive", "site")
    assert run("audit", plan, "--json", tmp_path / "a.json") == 0
    report = json.loads((tmp_path / "a.json").read_text())
    (row,) = (row for row in report["findings"] if row["check"] == "below_band")
    assert row["severity"] == "note"


def test_an_edited_plan_is_found_out(source, tmp_path):
    plan = planned(source)
    grids = gpd.read_file(plan, layer="grids")
    grids.loc[0, "geometry"] = grids.geometry[0].buffer(-20)
    grids.to_file(plan, layer="grids")
    assert run("audit", plan, "--json", tmp_path / "a.json") == 1
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["ok"] is False
    edited = gpd.read_file(plan, layer="units")["grid"] == grids["grid"][0]
    assert 4 <= report["counts"]["unit_partly_uncovered"] <= edited.sum()


def test_audit_of_somebody_elses_zones(units, tmp_path):
    zones = units.iloc[1:].rename(columns={"unit": "zone"})
    zones.to_file(tmp_path / "zones.geojson")
    units.dissolve().to_file(tmp_path / "city.shp")
    units.to_file(tmp_path / "units.gpkg")
    code = run(
        "audit", tmp_path / "zones.geojson", "--id", "zone", "--boundary", tmp_path / "city.shp",
        "--units", tmp_path / "units.gpkg", "--households", "households",
        "--low", 10, "--high", 100, "--json", tmp_path / "a.json",
    )  # fmt: skip
    assert code == 1
    counts = json.loads((tmp_path / "a.json").read_text())["counts"]
    assert counts["gap"] == 1
    assert counts["unit_uncovered"] == 1


# ---------------------------------------------------------------- files as they come


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "parquet"])
def test_formats(units, tmp_path, suffix):
    path = tmp_path / f"units.{suffix}"
    frame = units.rename(columns={"households": "hh"})
    frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
    crs = ["--crs", "EPSG:4547"] if suffix == "geojson" else []
    out = tmp_path / "plan.gpkg"
    assert run("partition", path, "-o", out, "--households", "hh", *crs) == 0
    assert gpd.read_file(out, layer="grids")["in_band"].all()


@pytest.mark.parametrize("codepage", [None, "UTF-8", "nonsense"])
def test_shapefiles_in_gbk_with_no_codepage_or_a_wrong_one(units, tmp_path, codepage):
    frame = units.rename(columns={"households": "户数"}).assign(社区="枝江路社区")
    path = tmp_path / "units.shp"
    frame.to_file(path, encoding="GBK")
    path.with_suffix(".cpg").unlink()
    if codepage:
        path.with_suffix(".cpg").write_text(codepage)
    out = tmp_path / "plan.gpkg"
    assert run("partition", path, "-o", out, "--households", "户数", "--within", "社区") == 0
    assert gpd.read_file(out, layer="grids")["within"].unique().tolist() == ["枝江路社区"]


def test_a_shapefile_in_utf8_stays_so(units, tmp_path):
    path = tmp_path / "units.shp"
    units.assign(name="馬场东街").to_file(path, encoding="UTF-8")
    path.with_suffix(".cpg").unlink()
    assert _io.read_vector(path)["name"].unique().tolist() == ["馬场东街"]


def test_degrees_feet_and_heights_are_said(units, tmp_path, capsys):
    for name, frame, words in (
        ("degrees", units.to_crs("EPSG:4490"), "projected"),
        ("feet", units.to_crs("EPSG:2249"), "projected"),
        ("heights", units.set_geometry(shapely.force_3d(units.geometry.to_numpy())), "Z"),
    ):
        path = tmp_path / f"{name}.gpkg"
        frame.to_file(path)
        repair = [] if name == "heights" else ["--repair"]
        assert run("partition", path, "-o", tmp_path / "plan.gpkg", *repair) == 0
        assert words in capsys.readouterr().err
        plan = gpd.read_file(tmp_path / "plan.gpkg", layer="grids")
        assert plan.crs.is_projected
        assert not plan.has_z.any()


# ---------------------------------------------------------------- input that cannot be used


def broken(units: gpd.GeoDataFrame, kind: str) -> gpd.GeoDataFrame:
    units = units.copy()
    if kind == "missing":
        units["households"] = units["households"].astype(float).where(units.index != 3)
    elif kind == "negative":
        units.loc[3, "households"] = -4
    elif kind == "fractional":
        units["households"] = units["households"] + 0.25
    elif kind == "words":
        units["households"] = "sixty"
    elif kind == "duplicate":
        units.loc[3, "unit"] = "u02"
    elif kind == "empty":
        units.loc[3, "geometry"] = shapely.Polygon()
    elif kind == "null":
        units.loc[3, "geometry"] = None
    elif kind == "bow tie":
        units.loc[3, "geometry"] = shapely.Polygon([(300, 0), (400, 100), (400, 0), (300, 100)])
    elif kind == "line":
        units.loc[3, "geometry"] = shapely.LineString([(300, 0), (400, 0)])
    elif kind == "overlap":
        units.loc[3, "geometry"] = box(290, 0, 400, 100)
    elif kind == "no CRS":
        units = units.set_crs(None, allow_override=True)
    elif kind == "no rows":
        units = units.iloc[:0]
    elif kind == "near misses":
        units.loc[3, "geometry"] = box(300.0004, 0, 400, 100)
    return units


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", ["u03"]),
        ("negative", ["u03: -4"]),
        ("fractional", ["u00: 60.25", "and 43 more"]),
        ("words", ["sixty"]),
        ("duplicate", ["u02"]),
        ("empty", ["u03", "empty"]),
        ("null", ["u03"]),
        ("bow tie", ["u03", "Self-intersection"]),
        ("line", ["u03", "LineString"]),
        ("overlap", ["u02", "u03", "overlap"]),
        ("no CRS", ["CRS"]),
        ("no rows", ["no"]),
        ("near misses", ["--repair"]),
    ],
)
def test_units_that_cannot_be_used(units, tmp_path, capsys, kind, words):
    source, out = tmp_path / "units.gpkg", tmp_path / "plan.gpkg"
    broken(units, kind).to_file(source, layer="units")
    out.write_text("an older plan")
    assert run("partition", source, "-o", out, "--id", "unit") == 2
    err = capsys.readouterr().err
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert out.read_text() == "an older plan"
    assert left_behind(tmp_path, source, out) == []


def test_all_problems_together_and_the_nearest_column(units, tmp_path, capsys):
    frame = broken(broken(units, "duplicate"), "overlap").rename(
        columns={"households": "Household"}
    )
    frame.to_file(tmp_path / "units.gpkg")
    out = tmp_path / "plan.gpkg"
    assert run("partition", tmp_path / "units.gpkg", "-o", out, "--id", "unit") == 2
    err = capsys.readouterr().err
    assert "'Household'" in err
    assert "u02" in err
    assert "overlap" in err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["partition", "nowhere.gpkg", "-o", "p.gpkg"], "nowhere.gpkg: no such file"),
        (["partition", "text.gpkg", "-o", "p.gpkg"], "text.gpkg: not a vector file"),
        (["partition", "units.gpkg", "-o", "p.gpkg", "--layer", "x"], "no layer 'x'"),
        (["partition", "units.gpkg", "-o", "p.shp"], "p.shp: let the name end in .gpkg"),
        (["partition", "units.gpkg", "-o", "no/p.gpkg"], "the folder no does not exist"),
        (["partition", "units.gpkg", "-o", "p.gpkg", "--low", "9", "--high", "3"], "low=9, high=3"),
        (["partition", "units.gpkg", "-o", "p.gpkg", "--low", "few"], "not a valid integer"),
        (["partition", "units.gpkg"], "Missing option"),
        (["partition", "units.gpkg", "-o", "p.gpkg", "--bound", "age:5"], "say NAME:LOW:HIGH"),
        (["partition", "two.gpkg", "-o", "p.gpkg"], "choose a layer; the file has: a, b"),
        (["code", "units.gpkg", "-o", "p.gpkg", "--parent-code", PARENT], "not a plan"),
        (["code", "units.gpkg", "-o", "p.gpkg"], "either --parent-code or --parent-col"),
        (["audit", "two.gpkg"], "choose a layer with --layer: a, b"),
        (["audit", "units.gpkg", "--boundary", "nowhere.gpkg"], "nowhere.gpkg: no such file"),
        (["map", "units.gpkg", "-o", "m.png"], "not a plan"),
        (["staff", "units.gpkg", "--roster", "r.csv", "-o", "s.xlsx"], "not a plan"),
        (["nonsense"], "No such command"),
    ],
)
def test_calls_that_cannot_work(units, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    units.to_file("units.gpkg", layer="units")
    units.to_file("two.gpkg", layer="a")
    units.to_file("two.gpkg", layer="b")
    Path("text.gpkg").write_text("this is no GeoPackage")
    before = left_behind(tmp_path)
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert left_behind(tmp_path) == before


def test_parent_columns_and_codes_out_of_form(source, tmp_path, capsys):
    plan = planned(source)
    before = plan.read_bytes()
    assert run("code", plan, "-o", plan, "--parent-col", "nope") == 2
    assert "no column 'nope'; they have: unit, households, grid" in capsys.readouterr().err
    assert run("code", plan, "-o", plan, "--parent-code", "12") == 2
    assert "must be 12 digits" in capsys.readouterr().err
    assert plan.read_bytes() == before


# ---------------------------------------------------------------- when things go wrong


def test_a_file_that_another_program_holds_open(source, tmp_path, monkeypatch, capsys):
    def held(self: Path, target: Path) -> None:
        raise PermissionError(13, "The process cannot access the file", str(target))

    monkeypatch.setattr(Path, "replace", held)
    assert run("partition", source, "-o", tmp_path / "plan.gpkg") == 2
    assert "is it open in another program?" in capsys.readouterr().err
    assert left_behind(tmp_path, source) == []


def test_interruption_leaves_nothing(source, tmp_path, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["gridpart.partition"], "solve_communities", interrupted)
    assert run("partition", source, "-o", tmp_path / "plan.gpkg") == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert left_behind(tmp_path, source) == []


def test_our_own_errors_have_their_own_code(source, tmp_path, monkeypatch, capsys):
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(sys.modules["gridpart.partition"], "build_communities", fails)
    assert run("partition", source, "-o", tmp_path / "plan.gpkg") == 70
    assert "please report it" in capsys.readouterr().err
    assert left_behind(tmp_path, source) == []


def test_failure_in_the_middle_of_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write_half() -> None:
        with _io.writing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert path.read_text() == "old"
    assert left_behind(tmp_path, path) == []


def test_help_and_version_from_the_installed_command():
    command = [sys.executable, "-m", "gridpart"]
    said = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for name in ("partition", "code", "audit", "staff", "map", "demo"):
        assert name in said.stdout
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("gridpart, version ")


def test_the_function_is_not_hidden_by_the_room_of_the_same_name():
    code = "import gridpart.partition, gridpart as gp; gp.partition.__call__; gp.Plan"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_demo(tmp_path, capsys):
    assert run("demo", "-o", tmp_path / "demo") == 0
    said = capsys.readouterr().out
    for name in ("plan.gpkg", "map.png", "audit.html", "audit.json", "staff.xlsx"):
        assert str(tmp_path / "demo" / name) in said
        assert (tmp_path / "demo" / name).stat().st_size > 0
    assert json.loads((tmp_path / "demo" / "audit.json").read_text())["ok"] is True


def test_pockets_are_confirmed_by_the_audit(units, tmp_path):
    row = units.iloc[:4].assign(households=[150, 250, 120, 130])
    row.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg", "--high", 300)
    exceptions = gpd.read_file(plan, layer="exceptions")
    assert exceptions["reason"].tolist() == ["pocket"]
    assert run("audit", plan, "--json", tmp_path / "a.json") == 0
    report = json.loads((tmp_path / "a.json").read_text())
    (found,) = (row for row in report["findings"] if row["check"] == "below_band")
    assert found["severity"] == "note"
    assert "together they have 400 households" in found["message"]


@pytest.mark.parametrize("reason", ["pocket", "exclusive", "unit_above_band"])
def test_exceptions_that_are_not_true_stay_errors(units, reason):
    zones = units.iloc[:4].assign(grid=list("abcd"), households=[150, 150, 220, 230], kind="base")
    recorded = pd.DataFrame({"grid": ["a"], "reason": reason, "households": 150})
    found = gp.audit(zones, units=zones, low=200, high=300, exceptions=recorded)
    assert (found[found["check"] == "below_band"]["severity"] == "error").all()


def test_a_plan_held_against_other_units(source, units, tmp_path):
    plan = planned(source)
    finer = units.assign(hh=30, unit=units["unit"] + "x").drop(columns="households")
    finer.to_file(tmp_path / "finer.gpkg")
    code = run("audit", plan, "--units", tmp_path / "finer.gpkg", "--households", "hh",
               "--json", tmp_path / "a.json")  # fmt: skip
    counts = json.loads((tmp_path / "a.json").read_text())["counts"]
    assert code == 1
    assert counts["households_differ"] == 8


def test_an_output_never_replaces_an_input(source, tmp_path, capsys):
    plan = planned(source)
    roster = tmp_path / "roster.xlsx"
    pd.DataFrame({"post_id": ["a"], "role": ["leader"]}).to_excel(roster, index=False)
    before = {path: path.read_bytes() for path in (source, plan, roster)}
    for call in (
        ["partition", source, "-o", source],
        ["audit", plan, "--findings", plan],
        ["staff", plan, "--roster", roster, "-o", roster],
    ):
        assert run(*call) == 2
        assert "is an input, and would be replaced" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_all_outputs_are_looked_at_before_the_first_is_written(source, tmp_path, capsys):
    plan = planned(source)
    assert run("audit", plan, "--json", tmp_path / "a.json", "--html", tmp_path / "no/a.html") == 2
    assert not (tmp_path / "a.json").exists()
    assert run("audit", plan, "--json", tmp_path / "a.txt") == 2
    assert "let the name end in .json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("yes", "no"), [(1, 0), ("1", "0"), ("是", "否"), ("Y", "N"), ("TRUE", "false")]
)
def test_exclusive_columns_of_words_and_numbers(units, tmp_path, yes, no):
    units["site"] = [yes if name in ("u20", "u21") else no for name in units["unit"]]
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg", "--exclusive", "site")
    kinds = gpd.read_file(plan, layer="grids")["kind"].value_counts()
    assert kinds["exclusive"] == 2
    assert kinds["base"] == 8


def test_columns_that_a_geopackage_calls_its_own(units, tmp_path, capsys):
    units["fid"] = [f"f{i}" for i in range(len(units))]
    units["geom"] = "a"
    units["GRID"] = "old"
    source = tmp_path / "units.geojson"
    units.to_file(source)
    plan = tmp_path / "plan.gpkg"
    assert run("partition", source, "-o", plan, "--crs", "EPSG:4547", "--id", "fid") == 0
    assert "a column GRID already" in capsys.readouterr().err
    made = gpd.read_file(plan, layer="units")
    assert sorted(made["fid"]) == sorted(units["fid"])
    assert set(made["geom"]) == {"a"}
    assert run("audit", plan) == 0
    both = units.drop(columns=["fid", "geom", "GRID"]).assign(Households=1)
    both.to_file(source)
    assert run("partition", source, "-o", plan) == 2
    assert "'households' and 'Households' differ only in case" in capsys.readouterr().err


def test_overlaps_that_repair_leaves_do_not_stop_the_plan(units, tmp_path, capsys):
    units.loc[3, "geometry"] = shapely.Polygon([(290, -5), (400, 0), (400, 100), (285, 110)])
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg", "--repair")
    assert "overlap" in capsys.readouterr().err
    grids = gpd.read_file(plan, layer="grids")
    assert grids.is_valid.all()
    assert grids["households"].sum() == units["households"].sum()
    assert run("audit", plan) == 1


def test_damaged_plans_are_told(source, tmp_path, capsys):
    import sqlite3

    plan = planned(source)
    with sqlite3.connect(plan) as file:
        file.execute("update provenance set value = 'abc' where key = 'low'")
    assert run("audit", plan) == 2
    assert "its layer provenance is damaged" in capsys.readouterr().err
    with sqlite3.connect(plan) as file:
        file.execute("drop table exceptions")
        file.execute("delete from gpkg_contents where table_name = 'exceptions'")
    assert run("audit", plan) == 2
    assert "not a plan; it has no layer exceptions" in capsys.readouterr().err


def test_a_grid_over_a_community_border_is_an_error(units, tmp_path):
    units["ward"] = np.where(units.geometry.centroid.x < 400, "420583001001", "420583001002")
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg", "--within", "ward")
    assert run("code", plan, "-o", plan, "--parent-col", "ward") == 0
    assert run("audit", plan) == 0
    grids = gpd.read_file(plan, layer="grids")
    east, west = (grids.index[grids["within"].str.endswith(end)][0] for end in ("2", "1"))
    grids.loc[east, "grid_code"] = grids.loc[west, "grid_code"][:12] + "999"
    grids.to_file(plan, layer="grids")
    assert run("audit", plan, "--json", tmp_path / "a.json") == 1
    assert json.loads((tmp_path / "a.json").read_text())["counts"]["code_wrong_parent"] == 1


def test_maps_of_one_community_and_of_boundaries_in_files_of_many_layers(units, tmp_path, capsys):
    units["ward"] = np.where(units.geometry.centroid.x < 400, "east", "west")
    source = tmp_path / "units.gpkg"
    units.to_file(source, layer="units")
    units.dissolve().to_file(source, layer="rim")
    plan = planned(source, "--within", "ward")
    picture = tmp_path / "map.png"
    rim = ["--boundary", source, "--boundary-layer", "rim"]
    assert run("map", plan, "-o", picture, "--within", "west", *rim) == 0
    assert picture.stat().st_size > 5_000
    assert run("map", plan, "-o", picture, "--boundary", source) == 2
    assert "choose a layer with --boundary-layer: units, rim" in capsys.readouterr().err
    assert run("map", plan, "-o", picture, "--within", "north") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_many_communities_under_one_code_are_noted(units, tmp_path, capsys):
    units["ward"] = np.where(units.geometry.centroid.x < 400, "a", "b")
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = planned(tmp_path / "units.gpkg", "--within", "ward")
    assert run("code", plan, "-o", plan, "--parent-code", PARENT) == 0
    assert "2 communities share the parent" in capsys.readouterr().err
