"""Plans that change, through the command line, on real units of Porto."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import gridpart as gp
from gridpart.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and messages of a command."""
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def porto(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coded plan of Porto."""
    folder = tmp_path_factory.mktemp("porto")
    units = gpd.read_file(shared_data("porto_bgri2021/porto_bgri2021.gpkg"), layer="units")
    parishes = sorted(units["parish_id"].unique())
    parents = {name: f"1312990{k:05d}" for k, name in enumerate(parishes, start=1)}
    source = folder / "units.gpkg"
    units.assign(parent=units["parish_id"].map(parents)).to_file(source, layer="units")
    plan = folder / "plan.gpkg"
    for arguments in (
        ("partition", source, "-o", plan, "--id", "unit_id", "--within", "parish_id",
         "--effort", "fast"),
        ("code", plan, "-o", plan, "--parent-col", "parent"),
    ):  # fmt: skip
        assert main([str(argument) for argument in arguments]) == 0
    return plan


@pytest.fixture(scope="module")
def facts(porto: Path) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Units and grids as they stand in the file."""
    return gpd.read_file(porto, layer="units"), gpd.read_file(porto, layer="grids")


def neighbours(units: gpd.GeoDataFrame) -> pd.DataFrame:
    """Pairs of units that share a border, both ways, by intersecting their shapes."""
    a, b = units.sindex.query(units.geometry, predicate="touches")
    lines = shapely.boundary(units.geometry.to_numpy())
    long = shapely.length(shapely.intersection(lines[a], lines[b])) > 0.01
    return pd.DataFrame({"a": a[long], "b": b[long]})


def two_to_merge(units: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> tuple[str, str]:
    """Two grids of a parish that border on each other and fit the band together."""
    loads = grids.set_index("grid")["households"]
    names, parish = units["grid"].to_numpy(), units["parish_id"].to_numpy()
    for a, b in neighbours(units).to_numpy():
        one, two = names[a], names[b]
        if one != two and parish[a] == parish[b] and loads[one] + loads[two] <= 500:
            return str(one), str(two)
    raise AssertionError("no two grids fit together")


def test_split_merge_and_diff(porto, facts, tmp_path, capsys):
    units, grids = facts
    one, two = two_to_merge(units, grids)
    largest = grids.loc[~grids["grid"].isin([one, two])].sort_values("households").iloc[-1]
    out = tmp_path / "edited.gpkg"
    code, said, _ = run(
        capsys, "edit", porto, "-o", out, "--reason", "summer", "split", "--grid",
        largest["grid_code"], "merge", "--grids", f"{one},{two}",
    )  # fmt: skip
    assert code == 0
    assert f"split {largest['grid']} into" in said
    now = gpd.read_file(out, layer="grids")
    fresh = now[~now["grid"].isin(grids["grid"])]
    assert len(fresh) == 3
    for _, grid in fresh.iterrows():  # above all there ever were in the parish
        parent = grid["grid_code"][:12]
        assert grid["grid_code"] > grids.loc[
            grids["grid_code"].str.startswith(parent), "grid_code"
        ].max()  # fmt: skip
    rest = now.merge(grids, on=["grid", "grid_code"], suffixes=("", "_old"))
    assert len(rest) == len(grids) - 3
    assert (rest["households"] == rest["households_old"]).all()
    assert shapely.equals(
        rest.geometry.to_numpy(), gpd.GeoSeries(rest["geometry_old"]).to_numpy()
    ).all()

    map_, table, book = (tmp_path / f"diff.{ending}" for ending in ("png", "json", "xlsx"))
    code, said, _ = run(
        capsys, "diff", porto, out, "--map", map_, "--json", table, "--excel", book, "--layers",
        tmp_path / "diff.gpkg",
    )  # fmt: skip
    assert code == 0
    assert "1 split, 2 merged" in said
    told = json.loads(table.read_text())
    assert told["counts"] == {"U": len(grids) - 3, "S": 1, "M": 2, "X": 0, "new": 0, "retired": 0}
    both = grids.set_index("grid")["households"]
    assert told["households_moved"] == largest["households"] + both[one] + both[two]
    # round trip: the table, applied to the old labels by pandas, gives the new ones
    labels = units.set_index("unit_id")["grid"].copy()
    for row in told["units"]:
        assert labels[row["unit"]] == row["old_grid"]
        labels[row["unit"]] = row["new_grid"]
    assert labels.equals(gpd.read_file(out, layer="units").set_index("unit_id")["grid"])
    assert map_.stat().st_size > 50_000
    sheet = pd.read_excel(book, sheet_name="grids", dtype=str)
    assert set(sheet["new_code"].dropna()) == set(now["grid_code"])
    code, said, _ = run(capsys, "audit", out)
    assert code == 0, said


def test_a_refused_edit_writes_nothing(porto, facts, tmp_path, capsys):
    units, grids = facts
    unit = units.iloc[0]
    largest = grids.sort_values("households").iloc[-1]["grid"]
    there = grids[(grids["within"] != unit["parish_id"]) & (grids["grid"] != largest)]
    other = there["grid"].iloc[0]
    out = tmp_path / "edited.gpkg"
    move = ("move", "--units", unit["unit_id"], "--to", other)
    code, said, error = run(capsys, "edit", porto, "-o", out, *move)
    assert code == 2
    assert f"grid {other} would cross a border of parish_id" in error
    assert "households" in error
    assert "would be in 2 parts" in error
    assert not out.exists()
    code, said, error = run(
        capsys, "edit", porto, "-o", out, "split", "--grid", largest, *move
    )  # fmt: skip
    assert code == 2
    assert "edit 2 of 2 was refused; nothing was written" in error
    assert not out.exists()

    code, said, _ = run(capsys, "edit", porto, "-o", out, "--force", "--reason", "as agreed", *move)
    assert code == 0
    assert "broken:" in said
    exceptions = gpd.read_file(out, layer="exceptions")
    assert set(exceptions["reason"]) == {"by_hand"}
    assert exceptions["advice"].str.contains("as agreed").all()
    code, said, _ = run(capsys, "audit", out)
    assert code == 1  # a border of a community is no matter of taste
    assert "crosses_community" in said


def test_moving_there_and_back_changes_nothing(porto, facts, tmp_path, capsys):
    units, grids = facts
    names, loads = units["grid"].to_numpy(), grids.set_index("grid")["households"]
    ids, parish = units["unit_id"].to_numpy(), units["parish_id"].to_numpy()
    out = tmp_path / "moved.gpkg"
    for a, b in neighbours(units).to_numpy():
        fits = names[a] != names[b] and parish[a] == parish[b]
        if fits and loads[names[b]] + units["households"].iloc[a] <= 500:
            code, said, _ = run(
                capsys, "edit", porto, "-o", out, "move", "--units", ids[a], "--to", names[b]
            )
            if code == 0:
                break
    assert code == 0
    code, said, _ = run(capsys, "diff", porto, out)
    assert "2 complex" in said
    assert f"{units['households'].iloc[a]} of" in said
    back = tmp_path / "back.gpkg"
    code, _, _ = run(capsys, "edit", out, "-o", back, "move", "--units", ids[a], "--to", names[a])
    assert code == 0
    code, said, _ = run(capsys, "diff", porto, back)
    assert "none changed grid" in said
    assert f"{len(grids)} unchanged" in said


def test_staff_and_a_dry_run(porto, facts, tmp_path, capsys):
    units, grids = facts
    one, two = two_to_merge(units, grids)
    roster = tmp_path / "roster.csv"
    posts = pd.DataFrame({"post_id": [f"L{k}" for k in range(len(grids))], "role": "leader",
                          "grid": grids["grid_code"]})  # fmt: skip
    posts.to_csv(roster, index=False)
    holder = dict(zip(grids["grid"], posts["post_id"], strict=True))
    code, said, _ = run(
        capsys, "edit", porto, "--dry-run", "--staff", roster, "merge", "--grids", one, "--grids",
        two,
    )  # fmt: skip
    assert code == 0
    assert "2 posts whose patch changed" in said
    assert f"  {holder[one]}: " in said
    assert f"  {holder[two]}: " in said
    assert "nothing was written" in said
    out = tmp_path / "merged.gpkg"
    assert run(capsys, "edit", porto, "-o", out, "merge", "--grids", f"{one},{two}")[0] == 0
    book, table = tmp_path / "diff.xlsx", tmp_path / "diff.json"
    code, said, _ = run(
        capsys, "diff", porto, out, "--staff", roster, "--excel", book, "--json", table
    )
    assert "2 posts whose patch changed" in said
    assert set(pd.read_excel(book, sheet_name="staff")["post_id"]) == {holder[one], holder[two]}
    added = [row["added"] for row in json.loads(table.read_text())["staff"]]
    assert sorted(map(bool, added)) == [False, True]  # one of the two goes on with the new grid


def test_a_register_and_the_plan_agree(porto, facts, tmp_path, capsys):
    units, grids = facts
    one, two = two_to_merge(units, grids)
    register, out = tmp_path / "codes.sqlite", tmp_path / "edited.gpkg"
    assert run(capsys, "register", "create", "--register", register)[0] == 0
    adopting = ("register", "adopt", porto, "--register", register, "--at", "2021-05-01")
    assert run(capsys, *adopting)[0] == 0
    parent = grids.set_index("grid").loc[one, "grid_code"][:12]
    with gp.open_register(register) as opened:
        (taken,) = opened.issue(parent, at="2021-05-02")  # somebody else was quicker
    code, said, error = run(
        capsys, "edit", porto, "-o", out, "--register", register, "--reason", "one lane",
        "--at", "2025-05-01", "merge", "--grids", f"{one},{two}",
    )  # fmt: skip
    assert code == 0, error
    fresh = gpd.read_file(out, layer="grids").query("grid not in @grids.grid")["grid_code"].item()
    assert fresh > taken
    assert f"code {fresh} issued" in said
    with gp.open_register(register) as opened:
        table = opened.codes().set_index("code")
        assert opened.verify().empty
    assert table.loc[fresh, "reason"] == "one lane"
    old = grids.set_index("grid").loc[[one, two], "grid_code"]
    assert (table.loc[old, "state"] == "retired").all()
    assert (table.loc[old, "successors"] == fresh).all()
    live = set(table.index[table["state"] == "live"]) - {taken}
    assert live == set(gpd.read_file(out, layer="grids")["grid_code"])
    # what is refused leaves the register alone
    largest = grids.sort_values("households").iloc[-1]["grid"]
    code, _, _ = run(
        capsys, "edit", porto, "-o", out, "--register", register, "merge", "--grids",
        f"{largest},{one}",
    )  # fmt: skip
    assert code == 2
    with gp.open_register(register) as opened:
        assert len(opened.codes()) == len(table)


def test_swap_and_parts(porto, facts, capsys):
    units, _ = facts
    names = units["grid"].to_numpy()
    grid = units["grid"].value_counts().index[0]
    own = units.loc[names == grid, "unit_id"].tolist()
    code, said, error = run(
        capsys, "edit", porto, "--dry-run", "--force", "split", "--grid", grid, "--part",
        ",".join(own[:2]), "--part", own[2],
    )  # fmt: skip
    assert code == 0, error
    assert said.startswith(f"split {grid} into ")
    assert said.splitlines()[0].count(",") == 2  # two parts and the rest
    other = units.loc[names != grid, "unit_id"].iloc[0]
    code, said, _ = run(
        capsys, "edit", porto, "--dry-run", "--force", "swap", "--units", own[0], "--with", other
    )
    assert code == 0
    assert said.startswith("exchanged unit ")


def test_words_that_are_wrong(porto, tmp_path, capsys):
    out = tmp_path / "out.gpkg"
    for arguments, told in (
        (("edit", porto, "move", "--units", "1", "--to", "2"), "either -o PLAN.gpkg or --dry-run"),
        (("edit", porto, "-o", out), "Missing command"),
        (("edit", porto, "-o", out, "mvoe", "--units", "1"), "No such command 'mvoe'"),
        (("edit", porto, "-o", porto, "split", "--grid", "x"), "is an input"),
        (("edit", porto, "-o", out, "split", "--grid", "x"), "no grid 'x'"),
        (("edit", porto, "-o", out, "move", "--units", "1", "--to", "x"), "unit 1"),
        (("edit", porto, "-o", out, "--at", "2030-01-01", "split", "--grid", "x"), "--register"),
        (("edit", porto, "-o", out, "move", "--to", "x"), "--units"),
        (("diff", porto, tmp_path / "no.gpkg"), "no such file"),
        (("diff", porto, porto, "--map", tmp_path / "map.gif"), "let the name end in .png"),
        (("diff", porto, porto, "--level", "micro"), "made without other levels"),
    ):
        code, _, error = run(capsys, *arguments)
        assert code == 2, arguments
        assert told in error, error
    assert not out.exists()


def test_help_names_the_edits(capsys):
    code, said, _ = run(capsys, "edit", "--help")
    assert code == 0
    assert all(f"  {verb} " in said for verb in ("move", "split", "merge", "swap"))
    assert "--units" in run(capsys, "edit", "plan.gpkg", "move", "--help")[1]


def test_options_may_stand_before_and_behind_the_plan(porto, facts, tmp_path, capsys):
    _, grids = facts
    largest = grids.sort_values("households").iloc[-1]["grid"]
    for k, arguments in enumerate((
        ("-o", tmp_path / "0.gpkg", "--force", porto),
        (porto, "--force", "--output", tmp_path / "1.gpkg"),
        (f"--output={tmp_path / '2.gpkg'}", porto, "--force"),
    )):  # fmt: skip
        code, _, error = run(capsys, "edit", *arguments, "split", "--grid", largest, "--into", 3)
        assert code == 0, error
        assert len(gpd.read_file(tmp_path / f"{k}.gpkg", layer="grids")) == len(grids) + 2


def test_the_installed_command(porto):
    """As a process of its own: exit codes and streams are those of a shell."""
    command = [sys.executable, "-m", "gridpart", "diff", str(porto), str(porto)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "none changed grid" in done.stdout


def test_independent_plans_are_compared_by_overlap(porto, tmp_path, capsys):
    """The same grids under names that mean nothing to each other."""
    plan = gp.read_plan(porto)
    rng = np.random.default_rng(3)
    names = plan.units["grid"].unique()
    other = dict(zip(names, rng.permutation([f"X{k}" for k in range(len(names))]), strict=True))
    renamed = plan.units.assign(grid=plan.units["grid"].map(other)).drop(columns="grid_code")
    plan.replace(units=renamed, exceptions=plan.exceptions.iloc[:0]).save(tmp_path / "other.gpkg")
    _, said, _ = run(capsys, "diff", porto, tmp_path / "other.gpkg", "--by", "overlap")
    assert "0 of 102,214 changed grid" in said
    _, said, _ = run(capsys, "diff", porto, tmp_path / "other.gpkg")
    assert "294 new, 294 retired" in said


def test_the_examples_of_the_documentation(project_root, tmp_path, monkeypatch, capsys):
    text = (project_root / "docs" / "redraw.md").read_text(encoding="utf-8")
    parts = [part for part in text.split("\n## ") if part.startswith(("# ", "Edits", "Diff"))]
    assert len(parts) == 3
    (tmp_path / "data").symlink_to(project_root / "data")
    monkeypatch.chdir(tmp_path)
    for part in parts:
        for block in part.split("```sh\n")[1:]:
            for line in block.split("```")[0].splitlines():
                code, _, error = run(capsys, *line.split()[1:])
                assert code == 0, f"{line}\n{error}"
    shown = text.split("\n$ gridpart ")[1].split("```")[0].splitlines()
    code, _, error = run(capsys, *shown[0].split())
    assert code == 2
    assert error.splitlines() == shown[1:]
    names: dict[str, object] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert names["history"].log["edit"].tolist() == ["split", "undo", "redo"]
