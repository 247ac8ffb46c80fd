"""Staff, beats and workers on the command line: from a plan and a roster to a workbook."""

from __future__ import annotations

import geopandas as gpd
import openpyxl
import pandas as pd
import pytest

import gridpart as gp
from gridpart.cli import main


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A coded plan of the sample with a column of people over 65."""
    folder = tmp_path_factory.mktemp("staff")
    units = gp.load_sample()
    units = units.assign(over65=units["households"] // 5)
    made = gp.partition(units, within="community", exclusive="exclusive", low=200, high=500)
    gp.assign_codes(made, parent="community").save(folder / "plan.gpkg")
    return folder / "plan.gpkg"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def sheet(path, name):
    rows = openpyxl.load_workbook(path)[name].iter_rows(values_only=True)
    head = next(rows)
    return pd.DataFrame(rows, columns=head)


def write_roster(folder, grids, **columns):
    """A leader for each grid but three."""
    n = len(grids) - 3
    table = pd.DataFrame({"岗位编号": [f"L{k:02d}" for k in range(n)], "岗位": "网格长", **columns})
    table.to_csv(folder / "roster.csv", index=False)
    return folder / "roster.csv"


def test_questions_get_sheets_of_their_own(plan, tmp_path, capsys):
    grids = gp.read_plan(plan).grids
    roster = write_roster(tmp_path, grids)
    out = tmp_path / "staff.xlsx"
    code = run(
        "staff", plan, "--roster", roster, "-o", out, "--team", "haibowan", "--weight",
        "households", "--weight", "over65=0.5", "--hire", "leader=2", "--leave", "L01",
        "--limit", "450", "--by", "within",
    )  # fmt: skip
    said = capsys.readouterr().out
    assert code == 0, said
    names = openpyxl.load_workbook(out).sheetnames
    assert names[:5] == ["summary", "overloaded", "per_worker", "hire leader", "leave L01"]
    load = sheet(out, "workload")
    load = load[load["grid"].isin(grids["grid"])]
    expected = load["households"].astype(float) + load["load_over65"].astype(float)
    assert load["load"].astype(float).tolist() == pytest.approx(expected.tolist())
    assert len(sheet(out, "hire leader")) == 2
    assert (sheet(out, "overloaded")["over"].astype(float) > 0).all()
    required = sheet(out, "required")
    last = required[required["role"] == "leader"].iloc[-1]  # the subtotal
    assert int(last["required"]) == len(grids)
    assert int(last["filled"]) + int(last["vacancies"]) == len(grids)
    assert int(last["filled"]) + int(last["surplus"]) == len(grids) - 3
    counts = f"leader {len(grids)} {int(last['filled'])} {int(last['vacancies'])}"
    assert counts in " ".join(said.split())
    assert "leave L01" in said


def test_what_a_rule_or_a_roster_forbids_is_told(plan, tmp_path, capsys):
    grids = gp.read_plan(plan).grids
    out = tmp_path / "staff.xlsx"
    roster = write_roster(tmp_path, grids, 网格=["nowhere", *[None] * (len(grids) - 4)])
    assert run("staff", plan, "--roster", roster, "-o", out) == 2
    assert "line 2: 'nowhere'" in capsys.readouterr().err
    assert not out.exists()
    assert run("staff", plan, "--roster", roster, "-o", out, "--skip-unusable") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "of the roster not used" not in said
    assert "1 line used without a grid that the roster has (sheet not_used), such as:" in said
    assert "'nowhere'; the post goes on without it" in said
    assert sheet(out, "not_used")["post_id"].tolist() == ["L00"]
    assert "L00" in sheet(out, "assignment")["post_id"].tolist()
    for wrong, text in [
        (["--team", "nowhere"], "no standard 'nowhere'"),
        (["--weight", "over56"], "did you mean 'over65'?"),
        (["--weight", "over65=many"], "COLUMN=NUMBER"),
        (["--hire", "leader=half"], "ROLE=N"),
        (["--hire", "网格长=0.5"], "whole number"),
        (["--hire", "pilot=1"], "no post has the role 'pilot'"),
        (["--leave", "L99"], "no post 'L99'"),
        (["--max-grids", "0"], "--max-grids"),
    ]:
        made = tmp_path / "other.xlsx"
        assert run("staff", plan, "--roster", roster, "-o", made, "--skip-unusable", *wrong) == 2
        assert text in capsys.readouterr().err
        assert not made.exists()


def test_a_grid_that_is_retired_costs_nobody_his_post(plan, tmp_path, capsys):
    """The plan knows that its codes ended, the register also when, and what came after."""
    where, old, new = (tmp_path / name for name in ("codes.sqlite", "old.gpkg", "new.gpkg"))
    bare = gp.read_plan(plan)
    bare = bare.replace(units=bare.units.drop(columns="grid_code"))
    grids = bare.grids
    far = grids.loc[grids["households"].idxmax(), "grid"]
    with gp.open_register(where, create=True) as register:
        coded = gp.assign_codes(
            bare, parent="community", register=register, at="2024-03-01", reason="first"
        )
        coded.save(old)
        edit = gp.split(coded, far, register=register, at="2025-06-30", reason="too large")
        edit.plan.save(new)
        live = set(edit.plan.grids["grid_code"]) - set(coded.grids["grid_code"])
    [gone] = coded.grids.loc[coded.grids["grid"] == far, "grid_code"]
    roster, out = tmp_path / "roster.csv", tmp_path / "staff.xlsx"
    roster.write_text(f"编号,岗位,网格,固定网格\n1,警,{gone},\n2,警,,{gone}\n3,警,,{min(live)}\n")
    asked = ("staff", new, "--roster", roster, "-o", out)
    assert run(*asked) == 0
    said = capsys.readouterr()
    assert f"line 2: grid '{gone}'" in said.err
    assert f"line 3: fixed grid '{gone}'" in said.err
    assert "2 lines used without a grid" in said.out
    assert set(sheet(out, "assignment")["post_id"]) == {"1", "2", "3"}
    assert sheet(out, "not_used")["reason"].tolist() == ["retired_grid"] * 2
    follow = ", ".join(sorted(live))
    with gp.open_register(where) as register:
        register.codes().drop(columns="geometry").to_csv(tmp_path / "codes.csv", index=False)
    for known in (where, tmp_path / "codes.csv"):
        assert run(*asked, "--register", known) == 0
        said = capsys.readouterr()
        assert f"line 2: grid '{gone}' on 2025-06-30, followed by {follow}" in said.err
        told = sheet(out, "not_used")["text"].tolist()
        assert len(told) == 2
        assert told[0].endswith(f"followed by {follow}; the post goes on without it")
    assert run(*asked, "--register", roster) == 2
    assert "a register needs a column 'code'" in capsys.readouterr().err


def test_beats_and_workers(plan, tmp_path, capsys):
    grids = gp.read_plan(plan).grids
    for kind in ("gpkg", "csv", "xlsx"):
        assert run("beats", plan, "-n", 20, "-o", tmp_path / f"beats.{kind}") == 0
    layer = gpd.read_file(tmp_path / "beats.gpkg", layer="beats")
    assert len(layer) == 20
    assert layer.area.sum() == pytest.approx(grids.area.sum())
    assert layer["households"].sum() == grids["households"].sum()
    table = pd.read_csv(tmp_path / "beats.csv", dtype=str)
    assert sorted(table["grid"]) == sorted(grids["grid"])
    assert table.groupby("beat")["within"].nunique().max() == 1
    assert len(sheet(tmp_path / "beats.xlsx", "beats")) == 20
    for page in openpyxl.load_workbook(tmp_path / "beats.xlsx"):
        assert page.page_setup.orientation == "landscape"
    assert run("beats", plan, "-n", 2, "-o", tmp_path / "few.csv") == 2
    assert "beats are possible, not 2" in capsys.readouterr().err
    assert run("workers", plan, "--limit", 400, "--limit", 1000, "--by-community") == 0
    said = capsys.readouterr().out
    assert said.count("proven") == 2
    total = gp.read_plan(plan).grids["households"].sum()
    assert run("workers", plan, "--limit", total, "--cross-borders") == 0
    assert ": 1 worker (" in capsys.readouterr().out
    assert run("workers", plan, "--limit", -1) == 2


def test_beats_across_borders_are_read_again(plan, tmp_path, capsys):
    """Without leave to cross, posts keep the grids of one community, and are told how to keep all.

    With it nobody moves.
    """
    first, second = tmp_path / "first.xlsx", tmp_path / "second.xlsx"
    roster = tmp_path / "roster.csv"
    roster.write_text("post_id,role\n" + "\n".join(f"p{k},police" for k in range(7)))
    assert run("staff", plan, "--roster", roster, "-o", first, "--cross-borders") == 0
    held = sheet(first, "assignment")
    held = held["grid"].str.split("-").str[0].groupby(held["post_id"]).nunique()
    assert held.max() > 1
    assert capsys.readouterr().err == ""
    again = ("staff", plan, "--roster", first, "-o", second)
    assert run(*again, "--cross-borders") == 0
    pd.testing.assert_frame_equal(sheet(second, "assignment"), sheet(first, "assignment"))
    capsys.readouterr()
    assert run(*again) == 0
    said = capsys.readouterr().err
    assert "grids of several communities today; they keep those of the first" in said
    assert "--cross-borders" in said
    assert f"post '{held.idxmax()}'" in said
    assert len(sheet(second, "vacancies"))
