"""Rosters as they come: from CSV and Excel, with everything that officers put in them."""

from __future__ import annotations

import datetime
import itertools
import warnings
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from pyproj import Transformer
from shapely import box

from gridpart.errors import GridpartWarning, InputError
from gridpart.staffing import (
    assign_posts,
    check_roster,
    hire,
    read_roster,
    staff_sheets,
    write_staff_workbook,
)
from gridpart.staffing.headers import HEADERS, match_headers, number_in, words_in
from gridpart.staffing.locate import names_in
from gridpart.staffing.workload import workload
from gridpart.standards import load_standard

EAST, NORTH = 500_000.0, 3_390_000.0  # in Hubei, EPSG:4547


def plain_grids():
    return pd.DataFrame(
        {
            "grid": ["g1", "g2", "g3"],
            "grid_code": ["042058300100101", "042058300100102", "042058300100201"],
            "within": ["东湖", "东湖", "西湖"],
            "households": [300, 200, 250],
        }
    )


def map_grids(crs="EPSG:4547"):
    shapes = [box(EAST + 500 * k, NORTH, EAST + 500 * k + 500, NORTH + 500) for k in range(3)]
    frame = gpd.GeoDataFrame(plain_grids(), geometry=shapes, crs="EPSG:4547")
    return frame.to_crs(crs).rename_geometry("shape")


def posts(**columns):
    n = max(len(values) for values in columns.values())
    given = {"post_id": [f"p{k}" for k in range(n)], "role": ["leader"] * n}
    return pd.DataFrame(given | columns, dtype=object)


def problems_of(roster, grids, **options):
    with pytest.raises(InputError) as caught:
        check_roster(roster, grids, **options)
    return {problem.kind: problem for problem in caught.value.problems}


def write_rows(path, rows, merged=()):
    """A sheet of an Excel file, or the same as comma-separated text."""
    if path.suffix == ".csv":
        lines = [",".join("" if v is None else str(v) for v in row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="gb18030")
        return path
    book = Workbook()
    for row in rows:
        book.active.append(row)
    for area in merged:
        book.active.merge_cells(area)
    book.save(path)
    return path


BOTH = pytest.mark.parametrize("suffix", ["csv", "xlsx"])


# --- several grids, fixed grids, skills -------------------------------------------------------


@pytest.mark.parametrize("mark", ["；", ";", "、", ",", "，", "/", "／", " ", "　", "\n", " ; "])
def test_several_grids_in_a_cell(mark):
    roster = posts(grid=[f"g2{mark}042058300100101{mark}g2", None], 固定网格=[None, f"g3{mark}"])
    checked = check_roster(roster, plain_grids())
    assert checked["held"].tolist() == [("g2", "g1"), ()]
    assert checked["grid"].tolist() == ["g2", None]
    assert checked["fixed"].tolist() == [(), ("g3",)]
    assert "held" not in roster.columns


def test_new_columns_are_always_there():
    checked = check_roster(posts(within=["东湖"]), plain_grids())
    assert list(checked.columns) == [
        *("post_id", "role", "within", "grid", "held", "fixed", "skills", "x", "y"),
    ]
    assert checked[["held", "fixed", "skills"]].values.tolist() == [[(), (), ()]]
    assert checked[["x", "y"]].dtypes.tolist() == [np.float64, np.float64]
    assert checked[["x", "y"]].isna().all(axis=None)
    unusable = checked.attrs["unusable"]
    assert list(unusable.columns) == ["line", "post_id", "reason", "text"]
    assert unusable.empty


def test_a_name_may_hold_what_parts_names():
    known = {"东湖 1": 0, "A/1": 1, "A": 2, "g1": 3}
    assert names_in("东湖 1 A/1、A", known) == ["东湖 1", "A/1", "A"]
    assert names_in("东湖 7", known) == ["东湖 7"]
    assert names_in("g1 g7", known) == ["g1", "g7"]
    assert names_in("g7,g8", known) == ["g7", "g8"]
    assert names_in(" / ", known) == names_in("无", known) == names_in(None, known) == []
    assert names_in(7.0, {"7": 0}) == ["7"]


@given(st.lists(st.sampled_from(["g1", "A 1", "A", "1/2", "东湖，一"]), unique=True))
def test_known_names_are_found_whatever_parts_them(names):
    known = dict.fromkeys(["g1", "A 1", "A", "1/2", "东湖，一"], 0)
    assert names_in("；".join(names), known) == names


def test_checking_twice_changes_nothing():
    roster = posts(grid=["g2 g1", "g3"], fixed=["g1；g2", None], skills=["藏语、急救", None])
    roster = roster.assign(x=[EAST, None], y=[NORTH, None], capacity=["1,200", "无"])
    once = check_roster(roster, map_grids())
    pd.testing.assert_frame_equal(check_roster(once, map_grids()), once)
    assert once["capacity"].tolist()[0] == 1200
    assert np.isnan(once["capacity"].tolist()[1])


def test_skills_of_several_columns_are_read_together():
    roster = posts(技能=["急救/消防 电工", "无"], 语言=["藏语；急救", "first aid, 彝语"])
    checked = check_roster(roster, plain_grids())
    assert checked["skills"].tolist() == [("急救", "消防", "电工", "藏语"), ("first aid", "彝语")]


@pytest.mark.parametrize(
    ("cell", "words"),
    [(None, ()), ("—", ()), (("a", " b "), ("a", "b")), ("a\nb", ("a", "b")), ("c c", ("c c",))],
)
def test_words(cell, words):
    assert words_in(cell) == words


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("１２．５", 12.5), ("－3", -3.0), ("1,234,567.5", 1_234_567.5), ("500户", 500.0)],
        *[("1e3", 1000.0), ("112.5°", 112.5), ("12,34", None), ("nan", None), ("inf", None)],
        *[("1e999", None), ("many", None), ("1_000", None), ("", None)],
    ],
)
def test_numbers_in_text(text, number):
    assert number_in(text) == number


# --- headers ----------------------------------------------------------------------------------


def test_no_header_has_two_meanings():
    words = [word for ranks in HEADERS.values() for word in itertools.chain(*ranks)]
    assert len(words) == len(set(words))
    for ours, ranks in HEADERS.items():
        for word in itertools.chain(*ranks):
            partner = {"x": "y", "y": "x", "lon": "lat", "lat": "lon"}.get(ours)
            names = [word] if partner is None else [word, HEADERS[partner][0][0]]
            found = match_headers(names)
            assert found[ours] == [0]
            assert sum(map(len, found.values())) == len(names)


def test_remarks_in_brackets_and_lone_coordinates():
    found = match_headers(["岗位编号（必填）", "岗位 [*]", "经度（度）", "纬度(°)", "x"])
    assert [found[name] for name in ("post_id", "role", "lon", "lat")] == [[0], [1], [2], [3]]
    assert found["x"] == []
    exact = match_headers(["岗位编号", "岗位编号（旧）", "岗位"])
    assert exact["post_id"] == [0]


def test_thirty_columns_of_junk(tmp_path):
    junk = [f"备用{k}" for k in range(15)] + ["备注"] * 5 + [None] * 3 + ["x", "电话", "姓名"]
    header = [*junk[:12], "岗位编号", "岗位", *junk[12:], "固定网格", "特长"]
    row = ["废"] * 12 + ["００７", "网格长"] + ["废"] * (len(junk) - 12) + ["g2，g1", "急救"]
    path = write_rows(tmp_path / "roster.xlsx", [header, row])
    checked = check_roster(read_roster(path), plain_grids())
    assert checked[["post_id", "role"]].values.tolist() == [["007", "网格长"]]
    assert checked["fixed"].tolist() == [("g2", "g1")]
    assert checked["skills"].tolist() == [("急救",)]
    assert checked["备用3"].tolist() == ["废"]
    assert np.isnan(checked["x"].tolist()[0])


def test_text_from_spreadsheets_and_pages(tmp_path):
    path = tmp_path / "roster.csv"
    text = (
        '岗位编号\t岗位\t社区名称\t网格名称\n="007"\t网格长\u200b\t东湖\t\ufeffg1\n\'08\t医\t\t\n'
    )
    for encoding in ("utf-16", "utf-8-sig"):
        path.write_text(text, encoding=encoding)
        checked = check_roster(read_roster(path), plain_grids())
        found = checked[["post_id", "role", "within", "grid"]].values.tolist()
        assert found == [["007", "网格长", "东湖", "g1"], ["08", "医", None, None]]


def test_a_code_that_a_spreadsheet_rounded():
    problem = problems_of(posts(grid=["4.20583E+13"]), plain_grids())["unknown_grid"]
    assert "has rounded this code" in problem.examples[0]


# --- home points ------------------------------------------------------------------------------


def test_home_points_in_metres_and_degrees():
    back = Transformer.from_crs("EPSG:4547", "EPSG:4490", always_xy=True)
    lon, lat = back.transform(EAST + 300, NORTH + 200)
    roster = posts(
        x=[f"{EAST}", None, None, "／"],
        y=[f"{NORTH:,.0f}", None, None, "/"],
        经度=["废", f"{lon:.9f}", None, None],
        纬度=[None, f"{lat:.9f}°", None, "-"],
    )
    checked = check_roster(roster, map_grids())
    expected = [[EAST, NORTH], [EAST + 300, NORTH + 200], [np.nan] * 2, [np.nan] * 2]
    assert np.allclose(checked[["x", "y"]], expected, atol=0.5, equal_nan=True)


def test_home_points_of_another_projection():
    lon, lat = 114.0, 30.63
    grids = map_grids("EPSG:32649")
    checked = check_roster(posts(lon=[lon], lat=[lat]), grids)
    x, y = Transformer.from_crs("EPSG:4326", grids.crs, always_xy=True).transform(lon, lat)
    assert checked[["x", "y"]].values.tolist() == [[pytest.approx(x), pytest.approx(y)]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": ["a1"], "y": ["3"]}, "row 0: x is no number: 'a1'"),
        ({"x": [EAST], "y": [None]}, "row 0: x is given, y is missing"),
        ({"x": [NORTH], "y": [EAST]}, "km from the plan; are x and y exchanged?"),
        ({"x": [EAST], "y": [NORTH + 200_600]}, f"row 0: x 500000, y {NORTH + 200_600:.0f} lies"),
        ({"lon": ["30.6"], "lat": ["114"]}, "lies nowhere in its CRS; are lon and lat exchanged?"),
        ({"lon": ["0"], "lat": ["0"]}, "lon 0, lat 0 lies"),
        ({"lon": ["10"], "lat": ["50"]}, "km from the plan"),
    ],
)
def test_bad_home_points(columns, words):
    problem = problems_of(posts(**columns), map_grids())["home_point"]
    assert words in problem.examples[0]
    assert "at most 200 km from the plan" in problem.message


def test_a_home_point_just_outside_the_plan_is_good():
    checked = check_roster(posts(x=[EAST - 150_000], y=[NORTH + 132_000]), map_grids())
    assert checked["x"].tolist() == [EAST - 150_000]
    far = posts(x=[EAST - 150_000], y=[NORTH + 133_000])
    assert "home_point" in problems_of(far, map_grids())


def test_where_home_points_cannot_be_placed():
    degrees, metres = posts(lon=["114"], lat=["30.6"]), posts(x=["5e5"], y=[NORTH])
    for grids in (plain_grids(), map_grids().set_crs(None, allow_override=True)):
        assert "have no CRS" in problems_of(degrees, grids)["home_point_crs"].message
        assert check_roster(metres, grids)["x"].tolist() == [500_000]
    for roster in (degrees, metres):
        problems = problems_of(roster, map_grids("EPSG:4490"), unusable="skip")
        assert "project them with to_crs" in problems["home_point_crs"].message
    nothing = posts(lon=[None], lat=["/"])
    assert check_roster(nothing, plain_grids())["x"].isna().all()


# --- what is wrong, raised or skipped ---------------------------------------------------------


@dataclass
class Terms:
    name: str
    title: str
    words: tuple[str, ...]


class Rule:
    """As little of a team as rosters need."""

    roles = (Terms("leader", "网格长", ("leader", "网格长")), Terms("doctor", "", ("医生",)))

    def name_of(self, word):
        return next((role.name for role in self.roles if word in role.words), None)


class Bare:
    """A rule that does not list its roles."""

    def name_of(self, word):
        return "leader" if word == "网格长" else None


BAD = pd.DataFrame(
    [
        ["p1", "网格长", "东湖", "g1", "g1 g2", "500"],
        [None, "网格长", None, None, None, None],
        ["p1", "网络长", None, "g9", "g8", None],
        ["p4", None, "东胡", None, None, "-1"],
        ["p5", "医生", "东湖", "g3 g1", "g1、g3", None],
        ["p6", "医生", "西湖", None, "g2", "many"],
        ["p7", "医生", None, None, None, None],
    ],
    columns=["post_id", "role", "within", "grid", "fixed", "capacity"],
    index=pd.Index(range(4, 11), name="line"),
)


def test_every_problem_of_every_row_at_once():
    problems = problems_of(BAD, plain_grids(), team=Rule())
    assert {kind: problem.examples for kind, problem in problems.items()} == {
        "missing_post_id": ("line 5",),
        "duplicate_post_id": ("line 6: 'p1', first in line 4",),
        "missing_role": ("line 7: post 'p4'",),
        "unknown_role": ("line 6: '网络长'; did you mean '网格长'?",),
        "unknown_grid": ("line 6: 'g9'; did you mean 'g3'?",),
        "unknown_fixed_grid": ("line 6: 'g8'; did you mean 'g3'?",),
        "unknown_community": ("line 7: '东胡'; did you mean '东湖'?",),
        "contradiction": (
            "line 8: grid 'g3' lies in '西湖', not in '东湖'",
            "line 8: fixed grid 'g3' lies in '西湖', not in '东湖'",
            "line 9: fixed grid 'g2' lies in '东湖', not in '西湖'",
        ),
        "fixed_contradiction": ("line 8: 'g1' in '东湖', 'g3' in '西湖'",),
        "capacity": ("line 7: '-1'", "line 9: 'many'"),
    }
    assert "which knows leader (网格长), doctor" in problems["unknown_role"].message
    bare = problems_of(BAD.iloc[[2]], plain_grids(), team=Bare())["unknown_role"]
    assert bare.message == "role is not in the rule"


def test_skipped_rows_are_listed_one_problem_a_row():
    before = BAD.copy(deep=True)
    checked = check_roster(BAD, plain_grids(), team=Rule(), unusable="skip")
    pd.testing.assert_frame_equal(BAD, before)
    assert checked.index.tolist() == [4, 10]
    assert checked["role"].tolist() == ["leader", "doctor"]
    assert checked["capacity"].tolist()[0] == 500
    listed = checked.attrs["unusable"]
    raised = problems_of(BAD, plain_grids(), team=Rule())
    assert len(listed) == sum(len(problem.examples) for problem in raised.values())
    assert listed["line"].tolist() == [5, 6, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9]
    assert listed["post_id"].tolist()[:2] == [None, "p1"]
    assert listed.loc[listed["line"] == 7, "reason"].tolist() == [
        *("missing_role", "unknown_community", "capacity"),
    ]
    texts = listed["text"].tolist()
    assert "within is no community of the plan: '东胡'; did you mean '东湖'?" in texts
    assert "post_id is missing" in texts
    assert assign_posts(map_grids(), checked).posts["post_id"].tolist() == ["p7", "p1"]


def test_where_no_row_is_usable_everything_is_raised():
    problems = problems_of(BAD.iloc[1:6], plain_grids(), team=Rule(), unusable="skip")
    assert len(problems) == 9
    with pytest.raises(InputError, match="must be 'raise' or 'skip'"):
        check_roster(BAD, plain_grids(), unusable="drop")


def test_a_person_stays_where_an_unknown_grid_goes():
    """An unknown grid held today costs that grid; one that must be held, or another fault, more."""
    roster = posts(grid=["g1 g9", "g8", "g7", None], fixed=[None, None, "g6", "g9"])
    assert list(problems_of(roster, plain_grids())) == ["unknown_grid", "unknown_fixed_grid"]
    checked = check_roster(roster, plain_grids(), unusable="skip")
    assert checked[["post_id", "held"]].values.tolist() == [["p0", ("g1",)], ["p1", ()]]
    listed = checked.attrs["unusable"].set_index("post_id")
    assert listed["reason"].tolist() == [*["unknown_grid"] * 3, *["unknown_fixed_grid"] * 2]
    gone = pd.DataFrame({"code": ["g7", "g8"]})
    with pytest.warns(GridpartWarning, match="is retired") as told:
        check_roster(roster, plain_grids(), unusable="skip", retired=gone)
    assert "row 1: grid 'g8'" in str(told[0].message)
    assert "g7" not in str(told[0].message)
    kept = listed["text"].str.endswith("; the post goes on without it")
    assert kept.tolist() == [True, True, False, False, False]


def test_retired_grids_stop_nothing():
    gone = pd.DataFrame(
        {
            "code": ["g7", "g8", "g1"],
            "retired": ["2025-06-30T08:00:00Z", None, "2020-01-01"],
            "successors": ["g2;g3", np.nan, None],
        }
    )
    roster = posts(grid=["g7、g1", "g8"], fixed=["g2", "g7"])
    with pytest.warns(GridpartWarning, match="is retired; the post goes on") as told:
        checked = check_roster(roster, plain_grids(), retired=gone)
    assert "row 0: grid 'g7' on 2025-06-30, followed by g2, g3" in str(told[0].message)
    assert "row 1: grid 'g8'\n" in str(told[0].message) + "\n"
    assert "row 1: fixed grid 'g7' on 2025-06-30" in str(told[0].message)
    assert checked[["held", "fixed"]].values.tolist() == [[("g1",), ("g2",)], [(), ()]]
    assert checked.attrs["unusable"]["reason"].tolist() == ["retired_grid"] * 3
    again = check_roster(checked, plain_grids())
    pd.testing.assert_frame_equal(again.attrs["unusable"], checked.attrs["unusable"])
    twice = check_roster(checked.assign(role=["leader", None]), plain_grids(), unusable="skip")
    assert twice.attrs["unusable"]["reason"].tolist()[2:] == ["retired_grid", "missing_role"]
    assert assign_posts(map_grids(), checked).unusable["reason"].tolist() == ["retired_grid"] * 3
    with pytest.warns(GridpartWarning, match="on 2025-06-30, followed by g2, g3"):
        staffing = assign_posts(map_grids(), roster, retired=gone)
    assert staffing.unusable.equals(checked.attrs["unusable"])
    with pytest.raises(InputError, match="retired codes need a column 'code'"):
        check_roster(roster, plain_grids(), retired=gone.rename(columns={"code": "Code"}))


def test_who_lost_a_grid_stays_in_its_community():
    """Its code begins with the community's, be it retired or unknown."""
    grids = plain_grids().assign(within=["0420583001001", "0420583001001", "0420583001002"])
    roster = posts(
        grid=["042058300100109", "042058300100209", "042058300100101 042058300100209", "g9", None],
        fixed=[None, None, None, None, "042058300100209"],
    )
    gone = pd.DataFrame({"code": ["042058300100209"]})
    with pytest.warns(GridpartWarning, match="is retired"):
        checked = check_roster(roster, grids, retired=gone, unusable="skip")
    west, east = "0420583001001", "0420583001002"
    assert checked["within"].tolist() == [west, east, None, None, east]
    assert checked["held"].tolist() == [(), (), ("g1",), (), ()]


def test_attributes_of_the_input_do_not_come_along():
    roster = posts(within=["东湖"])
    roster.attrs = {"unusable": "of another table", "source": "here"}
    assert list(check_roster(roster, plain_grids()).attrs) == ["unusable"]
    assert roster.attrs["source"] == "here"


def test_rows_of_a_checked_roster_can_be_put_together_again():
    checked = check_roster(BAD, plain_grids(), unusable="skip")
    both = pd.concat([checked.iloc[1:], checked.iloc[:1]])
    assert both.index.tolist() == [10, 4]
    listed = checked.attrs["unusable"]
    assert isinstance(listed, pd.DataFrame)
    assert type(listed.iloc[:1]) is pd.DataFrame
    assert both.attrs["unusable"] is listed


TAILED = [
    ["序号", "岗位编号", "岗位", "社区"],
    [1, "p1", "网格长", "东湖"],
    ["序号", "岗位编号", "岗位", "社区"],
    [2, "p2", "网格长", "西湖"],
    [None, "合  计：2人", None, None],
    ["总计", None, None, 2],
    [None, None, None, None],
    [None, "制表人：张三", None, None],
    ["备注：以上岗位均已核实", None, None, None],
]


@BOTH
@pytest.mark.parametrize("unusable", ["raise", "skip"])
def test_sums_remarks_and_repeated_headers_stop_nothing(tmp_path, suffix, unusable):
    path = write_rows(tmp_path / f"roster.{suffix}", TAILED)
    with pytest.warns(GridpartWarning) as told:
        checked = check_roster(read_roster(path), plain_grids(), unusable=unusable)
    assert checked["post_id"].tolist() == ["p1", "p2"]
    said = "\n".join(str(one.message) for one in told)
    assert "a sum, a remark or a signature, not a post" in said
    assert "line 5: '合计'" in said
    assert "line 8: '制表人'" in said
    assert "张三" not in said
    assert "line 3: '岗位编号'" in said
    listed = checked.attrs["unusable"]
    assert listed["line"].tolist() == [3, 5, 6, 8, 9]
    assert listed["reason"].tolist() == ["header_row", *["total_row"] * 4]
    assert listed["post_id"].isna().all()
    assert "张三" not in listed.to_string()


def test_a_total_with_a_role_and_a_post_called_like_one():
    roster = posts(role=["网格长", None], post_id=["合计", "注1"])
    assert list(problems_of(roster, plain_grids())) == ["missing_role"]
    only = pd.DataFrame({"post_id": ["合计"], "role": [None]})
    with pytest.warns(GridpartWarning, match="not a post"):
        problem = problems_of(only, plain_grids())["no_posts"]
    assert "only sums" in problem.message


# --- workbooks --------------------------------------------------------------------------------


def test_merged_cells_are_filled_down_and_said(tmp_path):
    rows = [
        ["网格员花名册", None, None, None],
        [None, None, None, None],
        ["社区", "岗位编号", "岗位", "网格", "电话"],
        ["东湖", "p1", "网格长", "g1", "139"],
        [None, "p2", "网格长", "g2", None],
        [None, None, None, None],
        [None, "p3", "网格长", None],
        ["备注：无", None, None, None],
    ]
    path = write_rows(tmp_path / "roster.xlsx", rows, ["A1:D2", "A4:A5", "E4:E5", "A8:D9"])
    with pytest.warns(GridpartWarning, match="lines 4 to 5, 社区: '东湖'") as told:
        roster = read_roster(path)
    assert len(told) == 1
    assert "lines 4 to 5, 电话" in str(told[0].message)
    assert "花名册" not in str(told[0].message)
    assert "139" not in str(told[0].message)
    assert roster.index.tolist() == [4, 5, 7, 8]
    assert roster["within"].tolist()[:2] == ["东湖", "东湖"]
    assert roster["within"].isna().tolist() == [False, False, True, False]
    with pytest.warns(GridpartWarning, match="line 8: '备注'"):
        checked = check_roster(roster, plain_grids())
    assert checked["within"].tolist() == ["东湖", "东湖", None]


def test_a_header_of_two_merged_lines(tmp_path):
    rows = [
        ["岗位编号", "岗位", "驻地", None],
        [None, None, "经度", "纬度"],
        ["p1", "网格长", 114.001, 30.63],
    ]
    path = write_rows(tmp_path / "roster.xlsx", rows, ["A1:A2", "B1:B2", "C1:D1"])
    roster = read_roster(path)
    assert list(roster.columns) == ["post_id", "role", "lon", "lat"]
    assert roster.index.tolist() == [3]
    assert check_roster(roster, map_grids())["x"].notna().all()


def test_cells_are_read_as_they_are_shown(tmp_path):
    book = Workbook()
    book.active.append(["编号", "岗位", "网格", "入职", "户数上限", "固定网格"])
    day = datetime.datetime(2024, 2, 29)
    book.active.append([7, "网格长", 42058300100101, day, 350.0, 3])
    book.active["A2"].number_format = "000"
    book.active["C2"].number_format = "0" * 15
    book.save(tmp_path / "roster.xlsx")
    roster = read_roster(tmp_path / "roster.xlsx")
    assert roster.iloc[0].tolist() == [
        *("007", "网格长", "042058300100101", "2024-02-29", "350", "3"),
    ]
    grids = plain_grids().assign(grid=[1, 2, 3], within=None)
    checked = check_roster(roster, grids)
    assert checked[["held", "fixed"]].values.tolist() == [[("1",), ("3",)]]


def test_a_sheet_formatted_down_to_its_end(tmp_path):
    book = Workbook()
    book.active.append(["编号", "岗位", "社区"])
    book.active.append(["1", "网格长", "东湖"])
    for far in ("XFD1048576", "A1000000"):
        book.active[far].number_format = "@"
    book.active["C1048575"] = " "
    book.active.merge_cells("C2:C900")
    book.save(tmp_path / "roster.xlsx")
    roster = read_roster(tmp_path / "roster.xlsx")
    assert roster.shape == (1, 3)


def roster_book(path, *sheets):
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_sheet_without_posts_is_named(tmp_path):
    table = [["post_id", "role"], ["p1", "leader"]]
    cover = ("填表说明", [["请逐行填写"], ["谢谢"]])
    path = roster_book(tmp_path / "r.xlsx", cover, ("空", []), ("花名册", table))
    with pytest.warns(GridpartWarning, match="not read: '填表说明', which has no header") as told:
        roster = read_roster(path)
    assert len(told) == 1
    assert roster["post_id"].tolist() == ["p1"]
    assert roster.index.names == ["line"]
    short = ("西湖", [["西湖"], ["编码", "岗位", "网格"], ["p2", "警", "g3"]])
    two = roster_book(tmp_path / "two.xlsx", cover, ("东湖", table), short)
    with pytest.warns(GridpartWarning, match="of a roster; '西湖', whose line 2") as told:
        assert read_roster(two)["post_id"].tolist() == ["p1"]
    assert str(told[0].message).endswith("whose line 2 has no column for 'post_id'")
    only = roster_book(tmp_path / "c.xlsx", ("空", []), cover)
    with pytest.raises(InputError, match="no header row"):
        read_roster(only)
    text = write_rows(tmp_path / "r.csv", table)
    with pytest.raises(InputError, match="only a workbook has sheets"):
        read_roster(text, sheet="东湖")


EAST_SHEET = [
    ["东湖社区网格员", None, None, None],
    ["编号", "岗位", "网格编码", "备注", "备注"],
    ["p1", "网格长", "g1", "a", "b"],
    ["p2", "网格长", "g9"],
    ["合计", None],
]
WEST_SHEET = [["职务", "电话", "岗位编号"], ["网格长", "139", "p3"], ["网格长", None, "p1"]]


def test_a_sheet_for_each_community(tmp_path):
    """They are read together, each by its own header, and its name says where the posts are."""
    path = roster_book(tmp_path / "r.xlsx", ("东湖", EAST_SHEET), ("西湖", WEST_SHEET))
    roster = read_roster(path)
    assert roster.index.names == ["sheet", "line"]
    places = [("东湖", 3), ("东湖", 4), ("东湖", 5), ("西湖", 2), ("西湖", 3)]
    assert roster.index.tolist() == places
    assert roster.columns.tolist() == ["post_id", "role", "grid", "备注", "备注", "电话"]
    assert roster.loc[("东湖", 3)].tolist()[:5] == ["p1", "网格长", "g1", "a", "b"]
    assert roster["电话"].isna().tolist() == [True, True, True, False, True]
    with pytest.warns(GridpartWarning, match="sheet '东湖', line 5: '合计'"):
        problems = problems_of(roster, plain_grids())
    assert {kind: problem.examples for kind, problem in problems.items()} == {
        "duplicate_post_id": ("sheet '西湖', line 3: 'p1', first in sheet '东湖', line 3",),
        "unknown_grid": ("sheet '东湖', line 4: 'g9'; did you mean 'g3'?",),
    }
    assert "name the one that is meant (sheet=, --sheet)" in problems["duplicate_post_id"].message
    with pytest.warns(GridpartWarning, match="合计"):
        staffing = assign_posts(map_grids(), roster, unusable="skip")
    assert staffing.assignment[["post_id", "within"]].values.tolist() == [
        *(["p1", "东湖"], ["p2", "东湖"], ["p3", "西湖"]),
    ]
    left = staffing.unusable
    assert left.columns.tolist() == ["sheet", "line", "post_id", "reason", "text"]
    assert left[["sheet", "line"]].values.tolist() == [["东湖", 4], ["东湖", 5], ["西湖", 3]]
    more = hire(staffing, 1, role="网格长").staffing
    assert len(more.posts) == 4


def test_one_sheet_of_several_keeps_its_name(tmp_path):
    path = roster_book(tmp_path / "r.xlsx", ("东湖", EAST_SHEET), ("西湖", WEST_SHEET))
    roster = read_roster(path, sheet="西湖")
    assert roster.index.tolist() == [("西湖", 2), ("西湖", 3)]
    assert check_roster(roster, plain_grids())["within"].tolist() == ["西湖", "西湖"]
    with pytest.raises(InputError, match="no sheet '南湖'; the file has: 东湖, 西湖"):
        read_roster(path, sheet="南湖")


def test_a_column_says_more_than_the_name_of_a_sheet(tmp_path):
    """Where a sheet names a community in any row, an empty cell stays what it is."""
    own = [["编号", "岗位", "社区"], ["p1", "警", "西湖"], ["p2", "警", None]]
    bare = [["编号", "岗位", "社区"], ["p3", "医", None]]
    path = roster_book(tmp_path / "r.xlsx", ("东湖", own), (" 西湖", bare))
    checked = check_roster(read_roster(path), plain_grids())
    assert checked["within"].tolist() == ["西湖", None, "西湖"]


def test_a_sheet_that_is_nearly_a_community_is_told(tmp_path):
    table = [["编号", "岗位"], ["p1", "网格长"], ["p2", "网格长"]]
    other = [["编号", "岗位", "网格"], ["p3", "警", "g1"]]
    path = roster_book(tmp_path / "r.xlsx", ("东湖社区", table), ("警", other))
    with pytest.warns(GridpartWarning, match="may serve any community") as told:
        checked = check_roster(read_roster(path), plain_grids())
    assert checked["within"].tolist() == [None] * 3
    assert "sheet '东湖社区': 2 posts; did you mean '东湖'?" in str(told[0].message)
    assert "警" not in str(told[0].message)


def test_every_problem_of_every_sheet_at_once(tmp_path):
    wrong = [["编号", "岗位", "角色"], ["p1", "x", "y"]]
    path = roster_book(tmp_path / "r.xlsx", ("甲", wrong), ("乙", wrong))
    with pytest.raises(InputError) as caught:
        read_roster(path)
    told = [problem.message for problem in caught.value.problems]
    assert ["sheet '甲', line 1" in told[0], "sheet '乙', line 1" in told[1]] == [True, True]
    book = Workbook()
    book.active.title = "甲"
    for sheet in (book.active, book.create_sheet("乙")):
        for row in (["社区", "编号", "岗位"], ["东湖", sheet.title, "警"], [None, "2", "警"]):
            sheet.append(row)
        sheet.merge_cells("A2:A3")
    book["乙"]["B3"] = "3"
    book.create_sheet("旧").append(["编号", "岗位"])
    book["旧"].sheet_state = "hidden"
    book.save(path)
    with pytest.warns(GridpartWarning) as notes:
        roster = read_roster(path)
    said = "\n".join(str(note.message) for note in notes)
    assert "sheet '甲', lines 2 to 3, 社区" in said
    assert "sheet '乙', lines 2 to 3, 社区" in said
    assert "hidden, but there are posts on it: '旧'" in said
    assert check_roster(roster, plain_grids())["within"].tolist() == ["东湖"] * 4


@pytest.mark.parametrize("name", ["r.xls", "r.docx"])
def test_other_kinds_of_files_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"x")
    with pytest.raises(InputError, match=r"must be one of .*\.xlsx.*; save it as \.xlsx"):
        read_roster(path)
    fake = tmp_path / "r.xlsx"
    fake.write_bytes(b"not a workbook")
    with pytest.raises(InputError, match="cannot be read as a workbook"):
        read_roster(fake)


TEXTS = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=6
)


@st.composite
def rosters(draw):
    """Posts with every column, as a program would have them."""
    ids = draw(st.lists(TEXTS.map(lambda text: f"P{text}"), min_size=1, max_size=6, unique=True))
    grid = st.lists(st.sampled_from(["g1", "g2"]), unique=True, max_size=2)
    skill = st.lists(st.sampled_from(["急救", "藏语", "first aid"]), unique=True, max_size=3)
    rows = []
    for post in ids:
        x, y = draw(st.tuples(*[st.none() | st.floats(-5e4, 5e4)] * 2))
        rows.append(
            {
                "岗位编号": post,
                "岗位": draw(st.sampled_from(["网格长", "leader", "=1+1"])),
                "社区": draw(st.sampled_from([None, "东湖"])),
                "网格编码": draw(grid),
                "必管网格": draw(grid),
                "技能": draw(skill),
                "户数上限": draw(st.none() | st.integers(0, 10**6)),
                "东坐标": None if None in (x, y) else EAST + x,
                "北坐标": None if None in (x, y) else NORTH + y,
                "电话": draw(st.none() | st.just("０139")),
            }
        )
    return rows


@given(
    rosters(),
    st.sampled_from(["；", ";", "、", ",", "/"]),
    st.integers(0, 3),
    st.booleans(),
)
def test_a_roster_comes_back_from_excel(tmp_path_factory, rows, mark, n_titles, as_text):
    header = list(rows[0])
    lines = [["花名册"]] * n_titles + [header]
    for row in rows:
        cells = [mark.join(cell) if isinstance(cell, list) else cell for cell in row.values()]
        lines.append([repr(c) if as_text and isinstance(c, int | float) else c for c in cells])
        lines.append([None] * len(header))
    book = Workbook()
    for number, line in enumerate(lines, start=1):
        for k, value in enumerate(line, start=1):
            cell = book.active.cell(number, k, value)
            if isinstance(value, str):
                cell.data_type = "s"
    path = tmp_path_factory.mktemp("books") / "roster.xlsx"
    book.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = check_roster(read_roster(path), map_grids())
    assert checked.index.tolist() == [n_titles + 2 + 2 * k for k in range(len(rows))]
    wide = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code).isalnum()}
    for found, row in zip(checked.to_dict("records"), rows, strict=True):
        assert found["post_id"] == row["岗位编号"].translate(wide)
        assert found["role"] == row["岗位"]
        assert found["within"] == row["社区"]
        assert found["held"] == tuple(row["网格编码"])
        assert found["fixed"] == tuple(row["必管网格"])
        assert found["skills"] == tuple(row["技能"])
        limit, x = row["户数上限"], row["东坐标"]
        assert np.isnan(found["capacity"]) if limit is None else found["capacity"] == limit
        assert np.isnan(found["x"]) if x is None else found["x"] == pytest.approx(x, abs=1e-6)
        assert pd.isna(found["电话"]) if row["电话"] is None else found["电话"] == "０139"


# --- what goes out ----------------------------------------------------------------------------


def office(**options):
    """A staffing with everything that a workbook can show."""
    grids = map_grids().assign(needs=["藏语", None, None])
    roster = posts(
        post_id=["=1+1", "007", "008", "X", "合计"],
        role=["网格长", "网格长", "警", "厨师", None],
        grid=["g2", "g1", None, None, None],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GridpartWarning)
        staffing = assign_posts(
            grids, roster, team=load_standard("base"), unusable="skip", **options
        )
    return grids, staffing


def test_the_sheets_of_a_staffing_by_rule():
    grids, staffing = office()
    sheets = staff_sheets(staffing, grids)
    assert list(sheets)[4:] == ["by_grid", "required", "not_used", "unmet_needs", "东湖", "西湖"]
    required = sheets["required"]
    assert required.columns.tolist() == staffing.required.columns.tolist()
    for role, rows in required.iloc[:-1].groupby("role"):
        of_role = staffing.required[staffing.required["role"] == role]
        last = rows.iloc[-1]
        assert last["within"] == "subtotal"
        for name in of_role.columns[2:]:
            assert last[name] == of_role[name].sum()
            assert isinstance(last[name], int | np.integer)
    total = required.iloc[-1]
    assert total["role"] == "total"
    assert total["required"] == staffing.required["required"].sum()
    assert total[["grids", "households", "grids_open"]].isna().all()
    assert sheets["not_used"]["reason"].tolist() == ["unknown_role", "total_row"]
    assert sheets["unmet_needs"]["skill"].tolist() == ["藏语"]
    by_post = sheets["by_post"]
    assert by_post.columns.tolist()[7:] == ["moved"]
    moved = by_post.set_index("post_id")["moved"]
    assert moved["total"] == staffing.posts["moved"].sum()


def test_the_sheet_says_what_was_held_before():
    """By code, and only where it is not what is held now."""
    roster = posts(grid=["g1 g2", "g1", None], within=[None, None, "东湖"])
    staffing = assign_posts(map_grids(), roster, max_moves=1)
    table = staff_sheets(staffing, map_grids())["by_post"].set_index("post_id")
    codes = dict(zip(plain_grids()["grid"], plain_grids()["grid_code"], strict=True))
    held = staffing.assignment.groupby("post_id")["grid"].agg(set)
    assert table.loc["p2", "held_before"] is np.nan or pd.isna(table.loc["p2", "held_before"])
    before = {"p0": {"g1", "g2"}, "p1": {"g1"}}
    changed = {post for post, grids in before.items() if held[post] != grids}
    assert changed
    for post, grids in before.items():
        told = table.loc[post, "held_before"]
        if post in changed:
            assert told.split("; ") == [codes[grid] for grid in sorted(grids)]
        else:
            assert pd.isna(told)


def test_one_household_is_no_households():
    grids = map_grids().assign(households=1)
    staffing = assign_posts(grids, posts(within=["东湖", "西湖", "东湖"]))
    last = staff_sheets(staffing, grids)["by_grid"].iloc[-1]
    assert last["leader"] == "3 posts, 3 grids: 1 household each"


def test_beats_across_borders_come_back_from_the_workbook(tmp_path):
    """Whoever holds grids of two communities is read with both, and stays."""
    grids = map_grids()
    staffing = assign_posts(grids, posts(post_id=["a"]), cross_borders=True)
    write_staff_workbook(staffing, grids, tmp_path / "staff.xlsx")
    with pytest.warns(GridpartWarning, match="total"):
        checked = check_roster(read_roster(tmp_path / "staff.xlsx"), grids)
    assert checked[["within", "held"]].values.tolist() == [["东湖; 西湖", ("g1", "g2", "g3")]]
    again = assign_posts(grids, checked, cross_borders=True)
    assert again.posts["moved"].tolist() == [False]
    pd.testing.assert_frame_equal(again.assignment, staffing.assignment)
    table = staff_sheets(again, grids)["by_post"]
    assert table.columns.tolist()[7:] == ["moved"]


def test_a_post_of_several_communities_needs_a_grid():
    roster = posts(
        within=["东湖、西湖", "东湖；西湖", "东湖 南湖", "/"], grid=[None, "g3", None, None]
    )
    problems = problems_of(roster, plain_grids())
    assert {kind: problem.examples for kind, problem in problems.items()} == {
        "unknown_community": ("row 2: '东湖 南湖'; did you mean '东湖'?",),
        "several_communities": ("row 0: '东湖; 西湖'",),
    }
    crossing = check_roster(roster.drop(index=2), plain_grids(), cross_borders=True)
    assert crossing["within"].tolist() == ["东湖; 西湖", "东湖; 西湖", None]
    contrary = posts(within=["东湖;西湖"], grid=["g1"])
    other = plain_grids().assign(within=["南湖", "东湖", "西湖"])
    told = problems_of(contrary, other)["contradiction"].examples
    assert told == ("row 0: grid 'g1' lies in '南湖', not in '东湖; 西湖'",)


def test_sheets_that_would_be_empty_are_left_out():
    grids = map_grids()
    staffing = assign_posts(grids, posts(within=["东湖", "西湖", "西湖"]))
    sheets = staff_sheets(staffing, grids)
    assert list(sheets)[4:] == ["by_grid", "东湖", "西湖"]
    assert "moved" not in sheets["by_post"]


def test_a_load_that_is_more_than_households_is_not_called_so():
    grids = map_grids().assign(over65=[10, 20, 40])
    asked = workload(grids, {"households": 1, "over65": 0.5})
    _, staffing = office(workload=asked)
    sheets = staff_sheets(staffing, grids)
    terms = sheets["workload"]
    assert terms.columns.tolist()[:2] == ["grid", "grid_code"]
    assert terms["grid"].tolist() == ["g1", "g2", "g3", "total"]
    assert terms["grid_code"].tolist()[:3] == plain_grids()["grid_code"].tolist()
    assert terms["load"].tolist() == [305, 210, 270, 785]
    assert terms["households"].tolist()[3] == 750
    below = [text for text in sheets["by_grid"].iloc[-1] if "each" in str(text)]
    assert below
    assert all("load" in text and "households" not in text for text in below)
    one = staff_sheets(office()[1], grids)["by_grid"].iloc[-1].tolist()
    assert any("households each" in str(text) for text in one)


BOLD = {"subtotal", "total", "grids with a worker", "grids without a worker"}


def test_the_staff_workbook_read_back(tmp_path):
    grids, staffing = office()
    path = tmp_path / "staff.xlsx"
    write_staff_workbook(staffing, grids, path)
    book = load_workbook(path)
    rows = list(book["assignment"].iter_rows(values_only=True))
    assert rows[0] == ("post_id", "role", "grid", "grid_code", "households", "load")
    assert [row[3] for row in rows[1:]] == staffing.assignment["grid_code"].tolist()
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert sheet.print_title_rows == "$1:$1"
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        names = [cell.value for cell in sheet[1]]
        for row in sheet.iter_rows(min_row=2):
            words = [cell.value for cell in row]
            bold = BOLD & {word for word in words if isinstance(word, str)}
            for name, cell in zip(names, row, strict=True):
                assert cell.data_type != "f"
                if name in ("post_id", "grid", "grid_code") and cell.value is not None:
                    assert (cell.data_type, cell.number_format) == ("s", "@")
                if name in ("households", "required") and cell.value is not None:
                    assert cell.number_format.startswith("#,##0")
                assert cell.value is None or bool(cell.font.b) == bool(bold)
    risky = [c for sheet in book for row in sheet.iter_rows() for c in row if c.value == "=1+1"]
    assert len(risky) >= 4
    assert all(cell.quotePrefix for cell in risky)
    width = book["by_grid"].column_dimensions["B"].width
    assert width >= 15
