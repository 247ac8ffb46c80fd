"""What an audit can be given on the command line: every input, its flag, and what cannot work."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import box
from test_cli import PARENT, left_behind, planned, run

import gridpart as gp
from gridpart.cli.audit import audit
from gridpart.cli.inputs import read_register, read_staff
from gridpart.report.sheet import STATUSES


@pytest.fixture
def units() -> gpd.GeoDataFrame:
    """Eight by six squares of 60 households."""
    cells = [
        box(100 * x, 100 * y, 100 * x + 100, 100 * y + 100) for y in range(6) for x in range(8)
    ]
    names = [f"u{k:02d}" for k in range(48)]
    return gpd.GeoDataFrame({"unit": names, "households": 60}, geometry=cells, crs="EPSG:4547")


@pytest.fixture
def source(units, tmp_path) -> Path:
    path = tmp_path / "units.gpkg"
    units.to_file(path, layer="units")
    return path


def test_another_level_of_a_plan_is_audited_and_drawn(source, tmp_path, capsys):
    plan = planned(source, "--level", "micro:60:180")
    micro = gpd.read_file(plan, layer="level_micro")
    assert len(micro) > 8
    assert run("audit", plan, "--level", "micro", "--json", tmp_path / "a.json") == 0
    scope = json.loads((tmp_path / "a.json").read_text())["scope"]
    assert (scope["zones"], scope["band"]) == (len(micro), [60, 180])
    assert run("map", plan, "--level", "micro", "-o", tmp_path / "micro.svg") == 0
    assert run("map", plan, "-o", tmp_path / "grids.svg") == 0
    assert (tmp_path / "micro.svg").stat().st_size > (tmp_path / "grids.svg").stat().st_size
    # an edited level is found out, as edited grids are
    micro.loc[0, "geometry"] = micro.geometry[0].buffer(-20)
    micro.to_file(plan, layer="level_micro")
    assert run("audit", plan, "--level", "micro") == 1
    capsys.readouterr()
    assert run("audit", plan, "--level", "nano") == 2
    assert "no level 'nano'; there are micro" in capsys.readouterr().err
    assert run("audit", plan, "--level", "micro", "--layer", "grids") == 2
    assert "not both" in capsys.readouterr().err
    assert run("map", source, "--level", "micro", "-o", tmp_path / "m.png") == 2
    assert "not a plan" in capsys.readouterr().err


def test_a_plan_without_other_levels_says_so(source, tmp_path, capsys):
    plan = planned(source)
    for call in (["audit", plan], ["map", plan, "-o", tmp_path / "m.png"]):
        assert run(*call, "--level", "micro") == 2
        assert "this plan was made without other levels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tolerance", "few"], "'few' is not a number from 0 up"),
        (["--tolerance", "-1"], "'-1' is not a number from 0 up"),
        (["--tolerance", "inf"], "'inf' is not a number from 0 up"),
        (["--tolerance", "gap="], "'' is not a number from 0 up"),
        (["--tolerance", "gapp=5"], "no check 'gapp'; those that have one: gap (m²)"),
        (["--tolerance", "duplicate_id=5"], "this check has no tolerance; those that have one"),
        (["--tolerance", "=5"], "no check ''"),
        (["--tolerance", "gap=5", "--tolerance", "gap=6"], "gap=6: every check once"),
        (["--tolerance", "0.1", "--tolerance", "0.2"], "every check once"),
        (["--min-area", "nan"], "'nan' is not a number from 0 up"),
        (["--sliver-width", "2"], "--sliver-width needs --fix OUT.gpkg"),
        (["--sliver-width", "wide", "--fix", "f.gpkg"], "'wide' is not a number from 0 up"),
        (["--excluded-layer", "water"], "--excluded-layer needs --excluded FILE"),
        (["--boundary-layer", "city"], "--boundary-layer needs --boundary FILE"),
    ],
)
def test_flags_of_the_audit_that_cannot_work(source, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(source.parent)
    assert run("audit", source, *arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert left_behind(source.parent, source) == []


def test_sizes_of_slivers_and_tolerances_are_the_users(units, tmp_path, capsys):
    units["geometry"] = units.geometry.where(units.index != 9, box(100, 100, 199.5, 200))
    units.to_file(tmp_path / "zones.gpkg")
    out, fixed = tmp_path / "a.json", tmp_path / "fixed.gpkg"

    def counts(*flags: object) -> dict[str, int]:
        run("audit", tmp_path / "zones.gpkg", "--id", "unit", "--json", out, *flags)
        found = json.loads(out.read_text())["counts"]
        return {check: found[check] for check in ("hole", "sliver_gap") if check in found}

    assert counts() == {"hole": 1}  # half a metre wide, 50 m²
    assert counts("--min-area", 60) == {"sliver_gap": 1}
    assert counts("--tolerance", 0.6) == {}
    capsys.readouterr()
    assert counts("--fix", fixed) == {"hole": 1}
    assert "then left: 1 hole" in capsys.readouterr().out
    assert counts("--fix", fixed, "--sliver-width", 0.6) == {"hole": 1}
    assert "hole" not in capsys.readouterr().out.split("then left:")[1]
    assert gpd.read_file(fixed, layer="zones").area.sum() == pytest.approx(480_000)


def test_staff_tables_rosters_and_our_own_workbook(source, tmp_path):
    plan = planned(source)
    roster, book = tmp_path / "roster.csv", tmp_path / "staff.xlsx"
    pd.DataFrame({"post_id": ["01", "02", "03"], "role": "leader"}).to_csv(roster, index=False)
    assert run("staff", plan, "--roster", roster, "-o", book) == 0
    served = read_staff(book)
    assert served.columns.tolist() == ["post_id", "grid"]
    assert sorted(served["grid"]) == sorted(gpd.read_file(plan, layer="grids")["grid"])
    assert set(served["post_id"]) == {"01", "02", "03"}

    plain = tmp_path / "plain.csv"
    plain.write_text("网格编号,人员编号,备注\n007,a,\n008,a,x\n,b,\n", encoding="gb18030")
    assert read_staff(plain).fillna("").to_numpy().tolist() == [
        ["a", "007"], ["a", "008"], ["b", ""],
    ]  # fmt: skip
    titled = tmp_path / "titled.csv"
    titled.write_text("网格员花名册,,\n编号,岗位,网格\n001,网格长,g1\n002,网格长,\n")
    assert read_staff(titled).fillna("").to_numpy().tolist() == [["001", "g1"], ["002", ""]]
    sheets = tmp_path / "sheets.xlsx"
    with pd.ExcelWriter(sheets) as writer:
        for name, post, grid in (("东门社区", "001", "g1"), ("西门社区", "002", "g2")):
            row = {"编号": [post], "岗位": ["网格长"], "网格": [grid]}
            pd.DataFrame(row).to_excel(writer, sheet_name=name, index=False)
    assert read_staff(sheets).to_numpy().tolist() == [["001", "g1"], ["002", "g2"]]

    with pytest.raises(gp.InputError, match="no column says the zone of a post"):
        read_staff(roster)
    plain.write_text("who,where\na,b\n")
    with pytest.raises(gp.InputError, match="no header row"):
        read_staff(plain)


def test_registers_in_two_languages(tmp_path):
    path = tmp_path / "register.csv"
    path.write_text("网格编码,名称,状态\n042058300100100,a,在用\n", encoding="gb18030")
    table = read_register(path)
    assert table.columns.tolist() == ["code", "名称", "state"]
    assert table["code"].tolist() == ["042058300100100"]
    table.rename(columns={"code": "Code"}).to_excel(tmp_path / "register.xlsx", index=False)
    assert read_register(tmp_path / "register.xlsx")["code"].tolist() == ["042058300100100"]
    path.write_text("number,name\n1,a\n")
    with pytest.raises(gp.InputError, match=r"needs a column 'code' .*; there are: number, name"):
        read_register(path)


def test_flags_that_need_zones_say_so_of_a_table(source, capsys):
    table = ["audit", "--units", source, "--assignment", "unit"]
    assert run(*table, "--level", "a", "--within", "b", "--min-area", 4) == 2
    said = capsys.readouterr().err
    for flag in ("--level", "--within", "--min-area"):
        assert flag in said
    assert "only with ZONES" in said


def counts_of(path: Path) -> dict[str, int]:
    return json.loads(path.read_text(encoding="utf-8"))["counts"]


def test_every_input_of_the_audit_has_a_flag(units, tmp_path):
    """One fault for each: a flag that is not handed on finds nothing."""
    zones = units.assign(
        street=["s1"] * 24 + ["s2"] * 24,
        town=["t1"] * 20 + ["t2"] * 28,  # s1 lies in two towns
        code=[f"{PARENT}{k:03d}" for k in range(1, 49)],
    ).drop(index=9)
    units["estate"] = np.where(units["unit"].isin(["u20", "u21"]), "Lotus Court", None)
    units["site"] = np.where(units["unit"] == "u30", "school", None)
    units.loc[30, "geometry"] = box(600, 300, 650, 400)
    units = pd.concat([units, units.iloc[[30]].assign(unit="u30b", site=None)])
    units.loc[units["unit"] == "u30b", "geometry"] = box(650, 300, 700, 400)
    folder = tmp_path / "in"
    folder.mkdir()
    paths = {name: folder / f"{name}.gpkg" for name in ("zones", "units", "water", "wards")}
    zones.to_file(paths["zones"])
    units.to_file(paths["units"])
    hole = gpd.GeoDataFrame(geometry=[box(100, 100, 200, 200)], crs=units.crs)
    hole.to_file(paths["water"], layer="ponds")
    hole.to_file(paths["water"], layer="other")
    halves = [box(0, 0, 350, 600), box(350, 0, 800, 600)]
    wards = gpd.GeoDataFrame({"ward": ["w", "e"]}, geometry=halves, crs=units.crs)
    wards.to_file(paths["wards"])
    codes = zones["code"].drop(index=5)
    states = ["停用" if k == 2 else "在用" for k in range(len(codes))]
    pd.DataFrame({"编码": codes, "状态": states}).to_excel(folder / "register.xlsx", index=False)
    posts = pd.DataFrame({"post_id": "p", "grid": zones["unit"].drop(index=3)})
    posts["post_id"] = [f"p{k}" for k in range(len(posts))]
    posts.to_csv(folder / "staff.csv", index=False)
    out = tmp_path / "a.json"
    call = ["audit", paths["zones"], "--id", "unit", "--json", out]
    of_units = ["--units", paths["units"], "--unit-id", "unit"]

    for flags, check, expected in (
        (["--excluded", paths["water"], "--excluded-layer", "ponds"], "excluded_ground", 1),
        (["--communities", paths["wards"], "--community-id", "ward"], "crosses_community", 6),
        ([*of_units, "--compound", "estate"], "compound_split", 1),
        ([*of_units, "--exclusive", "site"], "exclusive_mixed", 1),
        (["--level-col", "street", "--level-col", "town"], "not_nested", 1),
        (["--code", "code", "--register", folder / "register.xlsx"], "code_retired", 1),
        (["--staff", folder / "staff.csv"], "no_staff", 1),
        (["--tolerance", "hole=20000"], "hole", 0),
        (["--min-area", "20000"], "hole", 0),
        ([], "hole", 1),
    ):
        run(*call, *flags)
        assert counts_of(out).get(check, 0) == expected, (check, counts_of(out))

    # and without zones, of the units alone
    table = ["audit", *of_units, "--assignment", "unit", "--json", out]
    run(*table, "--staff", folder / "staff.csv")
    assert counts_of(out)["no_staff"] == 3  # and of the two units without a zone
    lines = gpd.GeoSeries([shapely.LineString([(0, 150), (800, 150)])], crs=units.crs)
    lines.to_file(folder / "river.gpkg")
    run(*table, "--barriers", folder / "river.gpkg")
    assert "barriers" in json.loads(out.read_text())["scope"]["topics"]


@pytest.fixture
def outputs(tmp_path) -> tuple[Path, list[object]]:
    """A folder with an older output of each kind, and the flags to write them again."""
    folder = tmp_path / "out"
    folder.mkdir()
    names = {"json": "a.json", "html": "a.html", "excel": "a.xlsx", "findings": "a.gpkg"}
    names["fix"] = "fixed.gpkg"
    for name in names.values():
        (folder / name).write_text("older")
    return folder, [part for kind, name in names.items() for part in (f"--{kind}", folder / name)]


@pytest.mark.parametrize(
    ("place", "error", "code"),
    [
        ("gridpart.coverage.fix_zones", RuntimeError("broken"), 70),
        ("gridpart.coverage.fix_zones", gp.InputError("refused"), 2),
        ("gridpart.coverage.fix_text", RuntimeError("broken"), 70),
        ("gridpart.report.write_findings", gp.errors.OutputError("the disk is full"), 2),
        ("gridpart.report.write_audit_html", KeyboardInterrupt(), 130),
        ("gridpart.report.audit_text", RuntimeError("broken"), 70),
    ],
)
def test_outputs_appear_together_or_not_at_all(
    source, outputs, monkeypatch, capsys, place, error, code
):
    def failing(*_: object, **__: object) -> None:
        raise error

    module, _, name = place.rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), name, failing)
    if name == "fix_zones":
        monkeypatch.setattr(gp, name, failing, raising=False)
    folder, flags = outputs
    assert run("audit", source, "--id", "unit", *flags) == code
    assert capsys.readouterr().out == ""
    assert len(list(folder.iterdir())) == 5
    assert all(path.read_text() == "older" for path in folder.iterdir())


def test_outputs_that_are_complete_replace_the_older_ones(source, outputs, monkeypatch, capsys):
    folder, flags = outputs
    assert run("audit", source, "--id", "unit", *flags) == 0
    assert len(list(folder.iterdir())) == 5
    assert not any(path.read_bytes() == b"older" for path in folder.iterdir())
    assert capsys.readouterr().out.count("written to") == 2

    replace = Path.replace

    def held_open(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".xlsx":
            raise PermissionError(13, "held open")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held_open)
    assert run("audit", source, "--id", "unit", *flags) == 2
    said = capsys.readouterr()
    assert "a.xlsx: cannot be replaced; is it open in another program? (held open)" in said.err
    assert f"written before: {folder / 'a.json'}, {folder / 'a.html'}\n" in said.err
    assert len(list(folder.iterdir())) == 5


def test_the_guide_tells_of_every_flag_of_the_audit(project_root):
    guide = (project_root / "docs" / "guide.md").read_text(encoding="utf-8")
    part = guide[guide.index('<a id="audit">') : guide.index('<a id="staff">')]
    flags = {flag for option in audit.params for flag in option.opts if flag.startswith("--")}
    # those of layers are told of together
    flags = {flag for flag in flags if not flag.endswith("-layer")}
    assert {flag for flag in flags if f"{flag} " not in part and f"{flag}`" not in part} == set()
    for name, chinese in STATUSES.items():
        assert f"| `{name}` | {chinese} |" in part
