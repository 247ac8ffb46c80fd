"""What a staffing officer types on the first day: sums in odd cells, options said twice."""

from __future__ import annotations

import math

import openpyxl
import pandas as pd
import pytest

import gridpart as gp
from gridpart.cli import main
from gridpart.errors import GridpartWarning, InputError


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A small coded plan without communities."""
    path = tmp_path_factory.mktemp("newcomer") / "plan.gpkg"
    units = gp.county_town(n_units=300, seed=1).units
    gp.assign_codes(gp.partition(units), parent="429999001001").save(path)
    return path


@pytest.fixture
def grids():
    """Two grids of one community, with codes that differ in the last digits."""
    return pd.DataFrame(
        {
            "grid": ["g1", "g2"],
            "grid_code": ["429999001001001", "429999100200001"],
            "within": ["429999001001", "429999100200"],
            "households": [300, 200],
        }
    )


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_a_sum_beside_counts_is_no_post(grids):
    """A serial number column says 小计; the count stands where post or role should."""
    roster = pd.DataFrame(
        {
            "序号": ["1", "2", "小计", "合 计", None],
            "编号": ["007", "008", None, "2", None],
            "社区": ["429999001001", None, None, None, "总计"],
            "职务": ["网格长", "网格长", "2", None, None],
        }
    )
    with pytest.warns(GridpartWarning, match="a sum, a remark or a signature"):
        staffing = gp.assign_posts(grids, roster, scattered=True)
    assert sorted(staffing.posts["post_id"]) == ["007", "008"]
    assert staffing.unusable["reason"].tolist() == ["total_row"] * 3


@pytest.mark.parametrize(
    ("post", "role", "first"),
    [("7", "1", "备注"), ("7", "网格长", "合计"), (None, "网格长", "小计")],
)
def test_what_may_be_a_post_is_never_taken_for_a_sum(grids, post, role, first):
    roster = pd.DataFrame({"序号": [first], "编号": [post], "职务": [role], "说明": ["合计3户"]})
    if post is None:
        with pytest.raises(InputError, match="post_id is missing"):
            gp.assign_posts(grids, roster, scattered=True)
    else:
        assert gp.assign_posts(grids, roster, scattered=True).posts["post_id"].tolist() == [post]


def test_a_code_is_suggested_only_where_a_digit_slipped(grids):
    roster = pd.DataFrame(
        {
            "post_id": ["a", "b"],
            "role": "leader",
            "grid": ["429999001001002", "429999001009999"],
        }
    )
    with pytest.raises(InputError) as caught:
        gp.assign_posts(grids, roster, scattered=True)
    near, far = caught.value.problems[0].examples
    assert "did you mean '429999001001001'" in near
    assert "did you mean" not in far


@pytest.mark.parametrize("limit", [-5, math.nan, math.inf])
def test_a_limit_is_a_load(grids, limit):
    roster = pd.DataFrame({"post_id": ["a"], "role": "leader", "within": "429999001001"})
    staffing = gp.assign_posts(grids, roster, scattered=True)
    with pytest.raises(InputError, match="limit must be a load from 0"):
        gp.overloaded(staffing, limit)
    assert gp.overloaded(staffing, 0)["over"].tolist() == [300.0]


def test_what_is_said_twice_is_refused(plan, tmp_path, capsys):
    roster, out = tmp_path / "roster.csv", tmp_path / "staff.xlsx"
    roster.write_text("post_id,role\na,leader\nb,leader\n")
    for twice in (
        ("--weight", "households", "--weight", "households=2"),
        ("--hire", "leader=1", "--hire", "leader"),
    ):
        assert run("staff", plan, "--roster", roster, "-o", out, *twice) == 2
        assert "was given before; say it once" in capsys.readouterr().err
        assert not out.exists()


def test_the_terminal_says_what_an_officer_can_read(plan, tmp_path, capsys):
    """Grids in short, a dash where there is nothing, numbers with commas, one of every reason."""
    roster, out = tmp_path / "roster.csv", tmp_path / "staff.xlsx"
    roster.write_text("编号,职务,容量\na,网格长,-1\nb,网格长,-2\nc,\nd,民警\n", encoding="gbk")
    code = run(
        "staff", plan, "--roster", roster, "-o", out, "--skip-unusable", "--by", "within",
        "--hire", "民警",
    )  # fmt: skip
    said = capsys.readouterr().out
    assert code == 0, said
    total = gp.read_plan(plan).grids["households"].sum()
    assert f" {total:,} " in said.split("per_worker:")[1]
    assert "3 lines of the roster not used" in said
    assert "line 2 and 1 more: capacity must be" in said
    assert "line 4: role is missing" in said
    # but for the path of the workbook, which is as long as it is
    told = [line for line in said.splitlines() if not line.startswith("workbook written")]
    assert max(map(len, told)) <= 100
    assert "None" not in said
    assert run("workers", plan, "--limit", 400, "--by-community") == 0
    assert "None" not in capsys.readouterr().out


# ---------------------------------------------------------------- the plan over the years


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """A plan of grids and micro-grids in a register, and its units after a tower was built."""
    folder = tmp_path_factory.mktemp("years")
    units = gp.county_town(n_units=300, seed=1).units
    units.to_file(folder / "units.gpkg")
    made = gp.partition(
        units, id="unit_id", within="community", exclusive="exclusive", levels={"micro": (30, 90)}
    )
    made.save(folder / "plan.gpkg")
    where = ("--register", folder / "codes.sqlite")
    assert run("register", "create", *where, "--scheme", "micro-grid") == 0
    coded = folder / "coded.gpkg"
    assert run("code", folder / "plan.gpkg", "-o", coded, "--parent-col", "community", *where) == 0
    full = made.grids[made.grids["in_band"]]
    top = full.loc[full["households"].idxmax(), "grid"]
    tower = made.units.index[made.units["grid"] == top][0]
    units["households"] += 300 * (units.index == tower)
    units.to_file(folder / "later.gpkg")
    return folder


def test_a_redraw_tells_codes_and_only_new_exceptions(years, capsys):
    coded, later, new = years / "coded.gpkg", years / "later.gpkg", years / "new.gpkg"
    where = ("--register", years / "codes.sqlite")
    assert run("redraw", coded, "--units", later, "--dry-run", *where) == 0
    dry = capsys.readouterr().out
    assert run("redraw", coded, "--units", later, "-o", new, *where) == 0
    said = capsys.readouterr().out
    before, after = gp.read_plan(coded), gp.read_plan(new)
    codes = [
        set(plan.units["grid_code"]) | set(plan.units["micro_code"]) for plan in (before, after)
    ]
    fresh, gone = codes[1] - codes[0], codes[0] - codes[1]
    assert fresh
    assert f"codes      {len(fresh)} new ({min(fresh)}" in said
    assert f"{len(gone)} retired" in said
    assert f"codes      {len(fresh)} new, " in dry
    known = set(zip(before.exceptions["grid"], before.exceptions["reason"], strict=True))
    told = [line.strip().split(": ") for line in said.splitlines() if line.count(": ") == 2]
    stood = [row for row in told if (row[0], row[1]) in known]
    assert known
    assert not stood
    assert run("redraw", new, "--units", later, "--dry-run", *where) == 0
    again = capsys.readouterr().out
    assert "codes      0 new, 0 retired\n" in again
    assert (
        f"  {len(after.exceptions)} in the layer exceptions, all of which stood before\n" in again
    )


def test_grids_without_a_code_are_told_by_their_name(years, capsys):
    """An uncoded plan beside a coded one: no line may speak of None."""
    assert run("diff", years / "coded.gpkg", years / "plan.gpkg") == 0
    capsys.readouterr()
    bare = years / "bare.gpkg"
    units = gp.read_plan(years / "plan.gpkg").units[["unit_id", "households", "geometry"]]
    gp.partition(units, id="unit_id").save(bare)
    for by in ("code", "name", "overlap"):
        code = run("diff", years / "coded.gpkg", bare, "--by", by)
        said = capsys.readouterr()
        if code == 0:
            assert "None" not in said.out
        else:
            assert by == "code", said.err


def test_degrees_in_a_register_of_metres_are_told(years, capsys):
    where = ("--register", years / "codes.sqlite")
    grid = gp.read_plan(years / "coded.gpkg").grids.iloc[:1].representative_point()
    point, turned = grid.iloc[0], grid.to_crs("EPSG:4490").iloc[0]
    assert run("register", "at", point.x, point.y, *where) == 0
    said = capsys.readouterr()
    assert "4299990010" in said.out
    assert not said.err
    assert run("register", "at", turned.x, turned.y, *where) == 0
    said = capsys.readouterr()
    assert said.out == "none\n"
    assert "--crs EPSG:4490" in said.err
    assert run("register", "at", turned.x, turned.y, *where, "--crs", "EPSG:4490") == 0
    assert "4299990010" in capsys.readouterr().out


def test_a_team_by_its_name_alone_is_refused(grids):
    """A name is not a rule yet: the message says how it becomes one."""
    roster = pd.DataFrame({"post_id": ["a"], "role": "leader"})
    with pytest.raises(InputError, match=r"such as load_standard\('base'\)"):
        gp.assign_posts(grids, roster, scattered=True, team="base")


def test_blanks_inside_a_chinese_word_make_no_other_role(grids):
    roster = pd.DataFrame({"post_id": ["a", "b"], "role": ["网 格　长 ", "网格长"]})
    staffing = gp.assign_posts(grids, roster, scattered=True)
    assert staffing.summary["role"].tolist() == ["网格长"]
    apart = pd.DataFrame({"post_id": ["a", "b"], "role": ["grid leader", "gridleader"]})
    assert len(gp.assign_posts(grids, apart, scattered=True).summary) == 2


def test_the_sheet_of_a_roster_is_named_on_the_command_line(plan, tmp_path, capsys):
    roster, out = tmp_path / "roster.xlsx", tmp_path / "staff.xlsx"
    with pd.ExcelWriter(roster) as book:
        for name, posts in {"甲": ["a"], "乙": ["b", "c"]}.items():
            table = pd.DataFrame({"编号": posts, "岗位": "网格长"})
            table.to_excel(book, sheet_name=name, index=False)
    assert run("staff", plan, "--roster", roster, "-o", out) == 0
    assert "Staffing: 3 posts " in capsys.readouterr().out
    assert run("staff", plan, "--roster", roster, "--sheet", "乙", "-o", out) == 0
    said = capsys.readouterr()
    assert not said.err
    assert "Staffing: 2 posts " in said.out
    assert run("staff", plan, "--roster", roster, "--sheet", "丙", "-o", out) == 2
    assert "no sheet '丙'; the file has: 甲, 乙" in capsys.readouterr().err


def test_the_workbook_of_last_year_is_a_roster(plan, tmp_path, capsys):
    """Who held what is read from by_post, without its sums, whatever other sheets there are."""
    roster, old, new = (tmp_path / name for name in ("roster.csv", "old.xlsx", "new.xlsx"))
    rows = [f"{role}{k},{role}" for role, n in (("leader", 6), ("police", 2)) for k in range(n)]
    roster.write_text("\n".join(["post_id,role", *rows]))
    asked = ("--limit", 1, "--hire", "leader")
    assert run("staff", plan, "--roster", roster, "-o", old, *asked) == 0
    assert run("staff", plan, "--roster", old, "-o", new) == 0
    assert "Staffing: 8 posts in 2 roles" in capsys.readouterr().out
    first, second = (pd.read_excel(path, "assignment", dtype=str) for path in (old, new))
    pd.testing.assert_frame_equal(first, second)
    left = pd.read_excel(new, "not_used", dtype=str)
    assert left["reason"].tolist() == ["total_row"] * 3


def test_community_sheets_bear_name_and_code(tmp_path, monkeypatch):
    """What an officer looks for is the name; the printed page is headed by both."""
    units = gp.load_sample()
    long = units["community"].min()
    names = units["community_name"].where(units["community"] != long, "河/湖" * 9)
    plan = gp.partition(
        units.assign(community_name=names), within="community", exclusive="exclusive"
    )
    roster = pd.DataFrame({"post_id": ["a"], "role": "police"})
    staffing = gp.assign_posts(plan, roster, cross_borders=True)
    gp.write_staff_workbook(staffing, plan, tmp_path / "staff.xlsx")
    sheets = openpyxl.load_workbook(tmp_path / "staff.xlsx").sheetnames
    known = units.drop_duplicates("community").set_index("community")["community_name"]
    own = {name.split(" ")[1]: name.split(" ")[0] for name in sheets if " " in name}
    assert own == known.to_dict() | {long: "河_湖" * 6}
    assert max(map(len, sheets)) <= 31
    bare = gp.staffing.staff_sheets(staffing, plan.grids)
    assert set(known.index) <= set(bare)
    monkeypatch.setattr("gridpart.staffing.sheets.MOST_COMMUNITY_SHEETS", 2)
    many = gp.staffing.staff_sheets(staffing, plan)
    called = known.to_dict() | {long: "河/湖" * 9}
    for title in ("by_community", "by_grid"):
        rows = many[title].dropna(subset="within")
        assert dict(zip(rows["within"], rows["within_name"], strict=True)) == called
    row = many["by_post"].iloc[0]
    assert row["within_name"] == "; ".join(called[code] for code in row["within"].split("; "))
    assert "; " in row["within_name"]
    assert "within_name" not in many["assignment"]
    bare = gp.staffing.staff_sheets(staffing, plan.grids)
    assert not any("within_name" in table for table in bare.values())


def test_micro_grids_lie_in_a_grid_by_its_code(tmp_path):
    """At this level `within` is a grid: by its id or its code."""
    units = gp.county_town(n_units=300, seed=1).units
    made = gp.partition(units, id="unit_id", levels={"micro": (30, 90)})
    plan = gp.assign_codes(made, parent="429999001001")
    micro = plan.at_level("micro")
    row = plan.grids.iloc[0]
    roster = pd.DataFrame(
        {"post_id": ["a", "b"], "role": "leader", "within": [row["grid_code"], row["grid"]]}
    )
    checked = gp.check_roster(roster, micro)
    assert checked["within"].tolist() == [row["grid"]] * 2
    staffing = gp.assign_posts(micro, roster)
    assert set(staffing.assignment["within"]) == {row["grid"]}
    with pytest.raises(InputError, match="within is no community"):
        gp.check_roster(roster, plan)


def test_who_moves_is_told_with_where_from(tmp_path, capsys):
    units = gp.county_town(n_units=300, seed=1).units
    large = gp.assign_codes(gp.partition(units, n_grids=5), parent="429999001001")
    plan, roster, out = (tmp_path / name for name in ("plan.gpkg", "roster.csv", "staff.xlsx"))
    large.save(plan)
    grids = large.grids.sort_values("households")
    light, heavy = grids["grid"].iloc[0], grids["grid_code"].iloc[-1]
    rows = [f"p{k},leader,{grid}" for k, grid in enumerate(grids["grid"].iloc[:-1])]
    roster.write_text("\n".join(["post_id,role,grid", *rows, f"z,leader,{light}"]))
    assert run("staff", plan, "--roster", roster, "-o", out, "--moves", 1) == 0
    said = capsys.readouterr().out.split("moved:")[1].split("workbook")[0].split()
    by_post = pd.read_excel(out, "by_post", dtype=str).set_index("post_id")
    moved = by_post[by_post["moved"] == "yes"]
    assert len(moved) == 1
    first = grids.set_index("grid").loc[light, "grid_code"]
    assert said == [
        *("post_id", "role", "held_before", "grids"),
        *(moved.index[0], "leader", first, heavy),
    ]
    assert moved["held_before"].tolist() == [first]


def test_communities_are_known_by_their_other_names(tmp_path, capsys):
    """The plan was made by codes of communities, the roster has their names."""
    units = gp.load_sample()
    made = gp.partition(units, within="community", exclusive="exclusive")
    made.save(tmp_path / "plan.gpkg")
    names = units.drop_duplicates("community").set_index("community")["community_name"]
    roster = tmp_path / "roster.csv"
    rows = "".join(f"{k},网格长,{name}\n" for k, name in enumerate(names))
    roster.write_text("岗位编号,职务,所属社区\n" + rows, encoding="utf-8")
    out = tmp_path / "staff.xlsx"
    assert run("staff", tmp_path / "plan.gpkg", "--roster", roster, "-o", out) == 0
    held = gp.assign_posts(gp.read_plan(tmp_path / "plan.gpkg"), gp.read_roster(roster)).assignment
    for code, number in zip(names.index, range(len(names)), strict=True):
        assert set(held.loc[held["post_id"] == str(number), "within"]) == {code}
    roster.write_text("岗位编号,职务,所属社区\n1,网格长,没有社区\n", encoding="utf-8")
    assert run("staff", tmp_path / "plan.gpkg", "--roster", roster, "-o", out) == 2
    assert "within is no community of the plan" in capsys.readouterr().err
