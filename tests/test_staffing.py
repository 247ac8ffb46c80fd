"""Staffing against brute force, a MIP, and rosters as they come."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from shapely import box

import gridpart.staffing
from gridpart.errors import InputError
from gridpart.staffing import (
    check_roster,
    households_per_worker,
    read_roster,
    staff_sheets,
    write_staff_workbook,
)
from gridpart.staffing.loads import ANY, apportion, pack


def assign_posts(grids, roster, **options):
    """These tables do not say which grids touch; tests/test_beats.py has some that do."""
    return gridpart.staffing.assign_posts(grids, roster, scattered=True, **options)


def make_grids(households, within=None, **columns):
    n = len(households)
    frame = pd.DataFrame({"grid": [f"g{k}" for k in range(n)], "households": households, **columns})
    return frame if within is None else frame.assign(within=within)


def make_roster(*posts):
    """Posts as (post_id, role, within, grid)."""
    return pd.DataFrame(posts, columns=["post_id", "role", "within", "grid"])


def problems_of(roster, grids):
    with pytest.raises(InputError) as caught:
        check_roster(roster, grids)
    return {problem.kind: problem for problem in caught.value.problems}


# --- the arithmetic ---------------------------------------------------------------------------


def best_makespan(weights, groups, start, homes):
    """Try everything."""
    choices = [[k for k, home in enumerate(homes) if home in (g, ANY)] for g in groups]
    best = None
    for holder in itertools.product(*choices):
        loads = list(start)
        for weight, worker in zip(weights, holder, strict=True):
            loads[worker] += weight
        best = max(loads) if best is None else min(best, max(loads))
    return best


@pytest.mark.parametrize("case", range(200))
def test_packing_equals_the_exact_optimum(case):
    rng = random.Random(case)
    n, m, n_groups = rng.randint(1, 7), rng.randint(1, 4), rng.randint(1, 2)
    top = rng.choice([5, 60, 600])
    weights = [rng.randint(0, top) for _ in range(n)]
    groups = [rng.randrange(n_groups) for _ in range(n)]
    homes = [rng.choice([ANY, *range(n_groups)]) for _ in range(m)]
    homes += [ANY] if rng.random() < 0.5 else list(range(n_groups))
    start = [rng.choice([0, 0, rng.randint(0, top)]) for _ in homes]
    found = pack(weights, groups, start, homes)
    assert found.worst == found.lower_bound == best_makespan(weights, groups, start, homes)
    loads = list(start)
    for item, worker in enumerate(found.holder):
        assert homes[worker] in (groups[item], ANY)
        loads[worker] += weights[item]
    assert max(loads) == found.worst


@pytest.mark.parametrize("seed", range(4))
def test_packing_equals_a_mip(seed):
    rng = np.random.default_rng(seed)
    n, m = 13, 5
    weights = rng.integers(60, 600, n)
    # Columns: item i at worker k, then the makespan.
    once = np.hstack([np.kron(np.eye(n), np.ones(m)), np.zeros((n, 1))])
    under = np.hstack([np.kron(weights, np.eye(m)), -np.ones((m, 1))])
    solved = scipy.optimize.milp(
        np.r_[np.zeros(n * m), 1],
        integrality=np.r_[np.ones(n * m), 0],
        bounds=scipy.optimize.Bounds(0, np.r_[np.ones(n * m), np.inf]),
        constraints=[
            scipy.optimize.LinearConstraint(once, 1, 1),
            scipy.optimize.LinearConstraint(under, -np.inf, 0),
        ],
        options={"mip_rel_gap": 0},
    )
    assert solved.success
    found = pack(weights.tolist(), [0] * n, [0] * m, [ANY] * m)
    assert found.worst == found.lower_bound == round(solved.fun)


@pytest.mark.parametrize(("n", "m"), [(60, 25), (150, 60), (1_000, 300), (4_000, 900)])
def test_large_packings_are_within_two_percent_of_the_bound(n, m):
    rng = random.Random(n)
    weights = [rng.randint(60, 600) for _ in range(n)]
    found = pack(weights, [0] * n, [0] * m, [ANY] * m)
    assert found.lower_bound <= found.worst <= 1.02 * found.lower_bound
    assert found.lower_bound >= sum(weights) / m


@pytest.mark.parametrize("case", range(100))
def test_apportionment_equals_the_exact_optimum(case):
    rng = random.Random(case)
    n, extra = rng.randint(1, 4), rng.randint(0, 6)
    weights = [rng.randint(0, 900) for _ in range(n)]
    held = np.array([rng.randint(1, 3) for _ in range(n)])
    counts = apportion(weights, held, extra)
    assert counts.sum() == held.sum() + extra
    assert (counts >= held).all()
    ways = (w for w in itertools.product(range(extra + 1), repeat=n) if sum(w) == extra)
    best = min(
        max(Fraction(w, int(h) + x) for w, h, x in zip(weights, held, way, strict=True))
        for way in ways
    )
    assert max(Fraction(w, int(c)) for w, c in zip(weights, counts, strict=True)) == best


# --- assignments ------------------------------------------------------------------------------


def exact_role_optimum(grids, roster):
    """Smallest worst load of one role by the documented rules, by trying everything.

    Only for rosters whose posts all serve every grid or stay at one.
    """
    households = dict(zip(grids["grid"], grids["households"], strict=True))
    fixed = roster["grid"].dropna().tolist()
    n_free = int(roster["grid"].isna().sum())
    bare = [grid for grid in households if grid not in fixed]
    if n_free >= len(bare):
        best = None
        for way in itertools.product(range(n_free + 1), repeat=len(households)):
            counts = {g: fixed.count(g) + extra for g, extra in zip(households, way, strict=True)}
            if sum(way) != n_free or 0 in counts.values():
                continue
            worst = max(Fraction(int(households[g]), counts[g]) for g in households)
            best = worst if best is None else min(best, worst)
        return best
    start = [Fraction(int(households[g]), fixed.count(g)) for g in fixed] + [0] * n_free
    weights = [int(households[g]) for g in bare]
    return best_makespan(weights, [0] * len(bare), start, [ANY] * len(start))


@pytest.mark.parametrize("case", range(200))
def test_worst_load_equals_the_exact_optimum(case):
    rng = random.Random(case)
    n = rng.randint(1, 5)
    grids = make_grids([rng.randint(0, 600) for _ in range(n)])
    homes = [rng.choice([None, None, f"g{rng.randrange(n)}"]) for _ in range(rng.randint(1, 5))]
    roster = make_roster(*[(f"p{k}", "leader", None, home) for k, home in enumerate(homes)])
    staffing = assign_posts(grids, roster)
    best = exact_role_optimum(grids, roster)
    row = staffing.summary.iloc[0]
    assert row["worst_load"] == pytest.approx(float(best))
    assert row["gap"] == 0
    assert staffing.posts["load"].max() == pytest.approx(float(best))


@st.composite
def offices(draw):
    """Grids of up to three communities and a roster of two roles, of every kind of post."""
    places = ["北", "east", "W 3"][: draw(st.integers(1, 3))]
    n = draw(st.integers(1, 12))
    within = draw(st.lists(st.sampled_from(places), min_size=n, max_size=n))
    households = draw(st.lists(st.integers(0, 700), min_size=n, max_size=n))
    grids = make_grids(households, within)
    kinds = st.one_of(
        st.none(),
        st.sampled_from(sorted(set(within))).map(lambda place: (place, None)),
        st.integers(0, n - 1).map(lambda k: (None, f"g{k}")),
    )
    posts = draw(st.lists(st.tuples(st.sampled_from(["leader", "医"]), kinds), min_size=1))
    rows = [(f"p{k}", role, *(kind or (None, None))) for k, (role, kind) in enumerate(posts)]
    return grids, make_roster(*rows)


@given(offices())
def test_rules_and_totals_hold(office):
    grids, roster = office
    staffing = assign_posts(grids, roster)
    assignment = staffing.assignment
    assert not assignment.duplicated(["post_id", "grid"]).any()
    place = grids.set_index("grid")["within"]
    known = roster.set_index("post_id")
    assert set(staffing.posts["post_id"]) == set(roster["post_id"])
    for role, rows in assignment.groupby("role"):
        covered = set(rows["grid"])
        bare = staffing.vacancies.query("role == @role")
        assert covered | set(bare["grid"]) == set(grids["grid"])
        assert not covered & set(bare["grid"])
        # Totals: every household of a covered grid is in exactly one load.
        total = grids.loc[grids["grid"].isin(covered), "households"].sum()
        summary = staffing.summary.set_index("role").loc[role]
        assert rows["load"].sum() == pytest.approx(total)
        assert summary["households"] == total
        assert summary["worst_load"] >= summary["lower_bound"] * (1 - 1e-9)
        # A grid is open only where nobody may serve it.
        team = known[known["role"] == role]
        roving = team["within"].isna() & team["grid"].isna()
        served = set(team["within"].dropna()) | {place[g] for g in team["grid"].dropna()}
        assert roving.any() <= bare.empty
        assert not set(bare["within"]) & served
    for post in assignment.itertuples():
        home = known.loc[post.post_id]
        assert pd.isna(home["within"]) or home["within"] == post.within
        if pd.notna(home["grid"]):
            held = set(assignment.loc[assignment["post_id"] == post.post_id, "grid"])
            assert home["grid"] in held
            assert place[home["grid"]] == post.within


@given(offices(), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(office, rng):
    grids, roster = office
    shuffled = [frame.sample(frac=1, random_state=rng.randrange(2**32)) for frame in office]
    one, two = assign_posts(grids, roster), assign_posts(*shuffled)
    for table in ("assignment", "posts", "vacancies", "summary"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(two, table))


def test_inputs_are_not_changed_and_results_are_copies():
    grids = make_grids([300, 200], ["a", "b"])
    roster = make_roster(("２", "leader", "a", None), ("p10", "leader", None, "g1"))
    before = grids.copy(deep=True), roster.copy(deep=True)
    staffing = assign_posts(grids, roster)
    copy = staffing.assignment
    copy["load"] = 0
    assert staffing.assignment["load"].tolist() == [300, 200]
    pd.testing.assert_frame_equal(grids, before[0])
    pd.testing.assert_frame_equal(roster, before[1])
    with pytest.raises(AttributeError):
        staffing.assignment = None


def test_haibowan_leaders_for_more_grids_than_leaders():
    rng = random.Random(0)
    grids = make_grids([rng.randint(200, 400) for _ in range(435)])
    roster = make_roster(*[(f"L{k}", "leader", None, None) for k in range(390)])
    staffing = assign_posts(grids, roster)
    assert staffing.posts["n_grids"].value_counts().to_dict() == {1: 345, 2: 45}
    assert staffing.assignment["grid"].is_unique
    # Three grids hold 600 at least, so nobody has three; then folding the 90 lightest is optimal.
    light = sorted(grids["households"])[:90]
    folded = max(light[k] + light[89 - k] for k in range(45))
    assert folded < 600
    assert staffing.summary["worst_load"][0] == max(folded, grids["households"].max())
    assert staffing.summary["gap"][0] == 0


def test_rovers_go_first_where_posts_are_missing():
    grids = make_grids([900, 100, 50, 40], ["a", "b", "b", "b"])
    roster = make_roster(
        ("a1", "leader", "a", None), ("b1", "leader", "b", None), ("r1", "leader", None, None)
    )
    staffing = assign_posts(grids, roster)
    held = staffing.assignment.groupby("post_id")["grid"].agg(list).to_dict()
    assert held["a1"] == ["g0"]
    assert sorted(len(held[post]) for post in ("b1", "r1")) == [1, 2]
    assert staffing.summary["worst_load"][0] == 900
    two = pd.concat([roster, make_roster(("r2", "leader", None, None))])
    assert assign_posts(grids, two).posts["n_grids"].tolist() == [1, 1, 1, 1]
    three = pd.concat([two, make_roster(("r3", "leader", None, None))])
    assert assign_posts(grids, three).summary["worst_load"][0] == 450


def test_a_community_without_a_post_is_vacant():
    grids = make_grids([300, 200, 150], ["a", "b", "b"], grid_code=["001", "002", "003"])
    staffing = assign_posts(grids, make_roster(("p", "doctor", "a", None)))
    assert staffing.vacancies.values.tolist() == [
        ["doctor", "b", "g1", "002", 200],
        ["doctor", "b", "g2", "003", 150],
    ]
    assert "2 vacancies" in repr(staffing)
    assert "1 post on 1 grid, 300 households per post, worst 300 (optimal)" in repr(staffing)


def test_posts_fixed_at_one_grid_share_it_and_take_others_if_they_must():
    grids = make_grids([300, 100, 120])
    roster = make_roster(("p1", "police", None, "g0"), ("p2", "police", None, "g0"))
    staffing = assign_posts(grids, roster)
    assert sorted(staffing.posts["load"]) == [150 + 100, 150 + 120]
    assert staffing.summary["gap"][0] == 0


def test_capacity_is_reported():
    roster = make_roster(("p1", "police", None, "g0"), ("p2", "police", None, "g1"))
    staffing = assign_posts(make_grids([300, 100]), roster.assign(capacity=["２００", None]))
    assert staffing.posts["over_capacity"].tolist() == [True, False]


def test_geodataframe_with_renamed_geometry_and_missing_codes():
    grids = gpd.GeoDataFrame(
        {"grid": ["g1", "g2"], "grid_code": [None, None], "within": [None, None]},
        geometry=[box(0, 0, 1, 1), box(1, 0, 2, 1)],
        crs="EPSG:32650",
    ).rename_geometry("shape")
    grids["households"] = np.array([300, 200], np.int32)
    staffing = assign_posts(grids, make_roster(("p1", "leader", None, None)))
    assert staffing.posts["load"].tolist() == [500]
    sheets = staff_sheets(staffing, grids)
    assert list(sheets) == ["summary", "by_post", "assignment", "vacancies", "by_grid"]
    assert "shape" not in sheets["by_grid"].columns


def test_no_personal_columns_reach_the_tables(tmp_path):
    grids = make_grids([300], ["a"])
    roster = make_roster(("p1", "leader", None, None)).assign(name="张三", phone="13900000000")
    staffing = assign_posts(grids, roster)
    for table in [*staff_sheets(staffing, grids).values(), staffing.posts]:
        assert "张三" not in table.to_string()
        assert "13900000000" not in table.to_string()


# --- rosters as they come ---------------------------------------------------------------------


def test_every_problem_of_a_roster_at_once():
    grids = make_grids([300, 200], ["东湖", "西湖"])
    roster = make_roster(
        ("a", "leader", "东湖", "g1"),
        (None, "leader", None, None),
        ("a", "leader", "东胡", None),
        ("b", " ", None, "g9"),
    ).assign(capacity=["-1", "many", "", "12.5"])
    roster.index = [10, 11, 12, 13]
    problems = problems_of(roster, grids)
    assert {kind: problem.examples for kind, problem in problems.items()} == {
        "missing_post_id": ("row 11",),
        "duplicate_post_id": ("row 12: 'a', first in row 10",),
        "missing_role": ("row 13: post 'b'",),
        "unknown_grid": ("row 13: 'g9'; did you mean 'g1'?",),
        "unknown_community": ("row 12: '东胡'; did you mean '东湖'?",),
        "contradiction": ("row 10: grid 'g1' lies in '西湖', not in '东湖'",),
        "capacity": ("row 10: '-1'", "row 11: 'many'"),
    }


def test_missing_columns_suggest_the_nearest():
    roster = pd.DataFrame({"pots_id": ["a"], "rol": ["leader"]})
    problem = problems_of(roster, make_grids([1]))["missing_column"]
    with pytest.raises(InputError, match="'post_id'; did you mean 'pots_id'") as caught:
        check_roster(roster, make_grids([1]))
    assert "'role'; did you mean 'rol'" in str(caught.value)
    assert problem.kind == "missing_column"
    with pytest.raises(InputError, match="the columns are: x"):
        check_roster(pd.DataFrame({"x": [1]}), make_grids([1]))


def test_an_empty_roster_and_doubled_columns_are_problems():
    assert "no_posts" in problems_of(make_roster(), make_grids([1]))
    doubled = pd.DataFrame([["a", "b", "c"]], columns=["post_id", "role", "role"])
    assert "duplicate_column" in problems_of(doubled, make_grids([1]))


def test_a_community_in_a_plan_without_any():
    problem = problems_of(make_roster(("a", "leader", "x", None)), make_grids([1]))
    assert "has no communities" in problem["unknown_community"].message


@pytest.mark.parametrize(
    ("grids", "kind"),
    [
        (pd.DataFrame({"grid": ["a"]}), "missing_column"),
        (pd.DataFrame({"grid": ["a", "a"], "households": [1, 2]}), "duplicate_grid"),
        (pd.DataFrame({"grid": ["a", None], "households": [1, 2]}), "missing_grid"),
        (pd.DataFrame({"grid": ["a"], "households": [-1]}), "households"),
        (pd.DataFrame({"grid": ["a"], "households": [0.5]}), "households"),
        (pd.DataFrame({"grid": ["a"], "households": [np.nan]}), "households"),
        (make_grids([1, 2], grid_code=["x", "x"]), "duplicate_code"),
    ],
)
def test_bad_grids(grids, kind):
    assert kind in problems_of(make_roster(("a", "leader", None, None)), grids)


def test_a_csv_with_chinese_headers_in_gbk(tmp_path):
    path = tmp_path / "roster.csv"
    text = (
        "序号,岗位编号,角色,网格编码,电话\n1,００１,网格长,４2０583001001001,139\n2,002,网格长,,\n"
    )
    path.write_text(text, encoding="gb18030")
    roster = read_roster(path)
    assert list(roster.columns) == ["序号", "post_id", "role", "grid", "电话"]
    assert roster.index.tolist() == [2, 3]
    grids = make_grids([300, 200], grid_code=["420583001001001", "420583001001002"])
    held = assign_posts(grids, roster).assignment
    assert held[["post_id", "grid"]].values.tolist() == [["001", "g0"], ["002", "g1"]]


def test_lines_of_the_file_are_named(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("post_id,role,grid\np1,leader,g0\np2,,g0\np1,leader,g7\n")
    problems = problems_of(read_roster(path), make_grids([300]))
    assert problems["missing_role"].examples == ("line 3: post 'p2'",)
    assert problems["duplicate_post_id"].examples == ("line 4: 'p1', first in line 2",)
    assert problems["unknown_grid"].examples[0].startswith("line 4: 'g7'")


def test_an_excel_roster_with_numbers_and_blank_rows(tmp_path):
    path = tmp_path / "roster.xlsx"
    rows = [[1, "网格长", 7], [None, None, None], ["002", "网格长", "8"], [3, "网格长", 9]]
    pd.DataFrame(rows, columns=["编号", "岗位", "网格"]).to_excel(path, index=False)
    grids = make_grids([300, 200]).assign(grid=[7, 8])
    problems = problems_of(read_roster(path), grids)
    assert problems["unknown_grid"].examples == ("line 5: '9'",)
    good = read_roster(path).iloc[:2]
    held = assign_posts(grids, good).assignment
    assert held[["post_id", "grid"]].values.tolist() == [["1", "7"], ["002", "8"]]


TITLED = [
    ["2024年网格员花名册", None, None, None],
    [None, None, None, None],
    ["序号", "岗位编号", "岗位类型*", "社区"],
    [1, "p1", "网格长", "东湖"],
    [None, None, None, None],
    [2, "p1", None, "东胡"],
]


@pytest.mark.parametrize("kind", ["xlsx", "comma", "ragged", "tab", "semicolon", "crlf"])
def test_title_rows_above_the_header_are_passed_over(tmp_path, kind):
    path = tmp_path / f"roster.{'xlsx' if kind == 'xlsx' else 'csv'}"
    separator = {"tab": "\t", "semicolon": ";"}.get(kind, ",")
    end = "\r\n" if kind == "crlf" else "\n"
    lines = [separator.join("" if v is None else str(v) for v in row) for row in TITLED]
    if kind == "ragged":
        lines = [line.rstrip(",") for line in lines]
    if kind == "xlsx":
        pd.DataFrame(TITLED, dtype=object).to_excel(path, index=False, header=False)
    else:
        path.write_bytes(end.join(lines).encode("gb18030"))
    roster = read_roster(path)
    assert list(roster.columns) == ["序号", "post_id", "role", "within"]
    assert roster.index.tolist() == [4, 6]
    problems = problems_of(roster, make_grids([300], ["东湖"]))
    assert problems["duplicate_post_id"].examples == ("line 6: 'p1', first in line 4",)
    assert problems["unknown_community"].examples == ("line 6: '东胡'; did you mean '东湖'?",)


@pytest.mark.parametrize("suffix", ["xlsx", "csv"])
def test_without_a_header_the_nearest_line_and_the_known_names_are_listed(tmp_path, suffix):
    path = tmp_path / f"roster.{suffix}"
    rows = [["2024年花名册", None, None], ["工号", "岗位", "社区"], ["p1", "网格长", "东湖"]]
    frame = pd.DataFrame(rows)
    if suffix == "csv":
        frame.to_csv(path, index=False, header=False)
    else:
        frame.to_excel(path, index=False, header=False)
    with pytest.raises(InputError) as caught:
        read_roster(path)
    message = str(caught.value)
    assert "The nearest is line 2: 工号, 岗位, 社区. There is no column for 'post_id'" in message
    assert "岗位编号, 岗位编码" in message
    assert "'role'" not in message
    assert "within" not in message
    assert "Unnamed" not in message


def test_a_header_below_the_tenth_line_and_an_empty_file(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("title\n" * 10 + "post_id,role\na,leader\n")
    with pytest.raises(InputError, match=r"no header row in the first 10 lines.*line 1: title"):
        read_roster(path)
    path.write_text("\n,,\n")
    with pytest.raises(InputError, match="the table is empty"):
        read_roster(path)
    with pytest.raises(InputError, match="no such file"):
        read_roster(tmp_path / "none.csv")


def test_a_quote_that_is_never_closed_swallows_no_post(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text('post_id,role\na,leader\nb,"leader\nc,leader\n')
    with pytest.raises(InputError, match=r"cannot be read as a table.*line 3"):
        read_roster(path)
    path.write_text('post_id,role,note\na,leader,"two\nlines"\nb,leader,\n')
    assert read_roster(path).index.tolist() == [2, 4]


@pytest.mark.parametrize("suffix", ["xlsx", "csv"])
def test_two_columns_that_mean_the_same_are_both_named(tmp_path, suffix):
    path = tmp_path / f"roster.{suffix}"
    rows = [["岗位编号", "岗位", "岗位编号"], ["p1", "网格长", "p2"]]
    frame = pd.DataFrame(rows)
    if suffix == "csv":
        frame.to_csv(path, index=False, header=False)
    else:
        frame.to_excel(path, index=False, header=False)
    expected = (
        r"line 1, has 2 columns that mean 'post_id': '岗位编号' \(column 1\) and '岗位编号' \("
    )
    with pytest.raises(InputError, match=expected + r"column 3\); keep one"):
        read_roster(path)
    other = pd.DataFrame([["p1", "p2", "leader"]], columns=["post_id", "岗位编码", "role"])
    with pytest.raises(InputError, match=r"'post_id'.*and '岗位编码'"):
        check_roster(other, make_grids([1]))


def test_missing_columns_are_told_with_the_headers_as_they_stand():
    roster = pd.DataFrame({"岗位": ["网格长"], "社区": ["东湖"]})
    with pytest.raises(InputError, match="no column 'post_id'; the columns are: 岗位, 社区 "):
        check_roster(roster, make_grids([1], ["东湖"]))


def test_a_specific_header_wins_over_a_general_one():
    roster = pd.DataFrame({"编号": ["1"], "岗位编号": ["p1"], "角色": ["医"], "Grid Code": ["g0"]})
    checked = check_roster(roster, make_grids([1]))
    assert checked[["post_id", "role", "grid", "编号"]].values.tolist() == [["p1", "医", "g0", "1"]]


def test_the_checked_roster_keeps_its_index_and_resolves_codes():
    grids = make_grids([1, 2], grid_code=["0７", "08"])
    roster = make_roster(("p1", "leader", None, "08"), ("p2", "leader", None, "g0"))
    roster.index = ["x", "y"]
    checked = check_roster(roster, grids)
    assert checked.index.tolist() == ["x", "y"]
    assert checked["grid"].tolist() == ["g1", "g0"]


# --- households per worker --------------------------------------------------------------------


def test_households_per_worker_by_grid_keeps_rows_and_index():
    grids = make_grids([300, 0, 200, 0], ["a", "b", "b", "a"])
    grids.index = ["w", "x", "y", "z"]
    roster = make_roster(("p1", "leader", None, "g0"), ("p2", "doctor", "a", None))
    table = households_per_worker(grids.iloc[::-1], roster)
    assert table.index.tolist() == ["z", "y", "x", "w"]
    assert table["grid"].tolist() == ["g3", "g2", "g1", "g0"]
    assert table["workers"].tolist() == [2, 0, 0, 2]
    assert table["households_per_worker"].tolist()[:2] == [0, np.inf]
    assert np.isnan(table["households_per_worker"].iloc[2])
    assert table["households_per_worker"].iloc[3] == 150


def test_households_per_worker_by_community_and_role():
    grids = make_grids([300, 100, 200], ["a", "a", "b"])
    roster = make_roster(("p1", "leader", None, None), ("p2", "doctor", "a", None))
    staffing = assign_posts(grids, roster)
    by_place = households_per_worker(grids, staffing, by="within")
    assert by_place.values.tolist() == [["a", 400, 2, 200.0], ["b", 200, 1, 200.0]]
    by_role = households_per_worker(grids, staffing, by="role")
    assert by_role.values.tolist() == [["doctor", 600, 1, 600.0], ["leader", 600, 1, 600.0]]
    both = households_per_worker(grids, staffing, by=["within", "role"])
    assert both.values.tolist() == [
        ["a", "doctor", 400, 1, 400.0],
        ["a", "leader", 400, 1, 400.0],
        ["b", "doctor", 200, 0, np.inf],
        ["b", "leader", 200, 1, 200.0],
    ]


@pytest.mark.parametrize("by", ["kind", [], ["grid", "grid"]])
def test_unknown_groupings_are_refused(by):
    roster = make_roster(("p1", "leader", None, None))
    with pytest.raises(InputError, match="by must be"):
        households_per_worker(make_grids([1]), roster, by=by)


def test_a_staffing_of_other_grids_is_refused():
    staffing = assign_posts(make_grids([1]), make_roster(("p1", "leader", None, None)))
    with pytest.raises(InputError, match="'g1'"):
        households_per_worker(make_grids([1, 2]), staffing)
    with pytest.raises(InputError, match="'g1'"):
        staff_sheets(staffing, make_grids([1, 2]))


# --- the workbook -----------------------------------------------------------------------------


def small_office():
    grids = make_grids(
        [300, 200, 100],
        ["summary", "summary", "东湖"],
        grid_code=["042058300100100", "042058300100101", "042058300100102"],
        kind="base",
    )
    roster = make_roster(
        ("=cmd()", "网格长", "summary", None),
        ("007", "网格长", "summary", None),
        ("008", "医", None, None),
    )
    return grids, assign_posts(grids, roster)


def test_sheets_have_subtotals_and_a_total():
    grids, staffing = small_office()
    sheets = staff_sheets(staffing, grids)
    assert list(sheets) == [
        *("summary", "by_post", "assignment", "vacancies", "by_grid"),
        *("summary (2)", "东湖"),
    ]
    assert list(sheets["assignment"].columns) == [
        *("post_id", "role", "grid", "grid_code", "households", "load"),
    ]
    place = sheets["summary (2)"]
    assert place["role"].tolist() == ["医", "医", "subtotal", "网格长", "网格长", "subtotal"]
    assert place["load"].tolist() == [300, 200, 500, 300, 200, 500]
    assert place["households"].tolist()[5] == 500
    empty = sheets["东湖"]
    assert empty["post_id"].tolist() == ["008", "1 post", "vacant", "0 posts"]
    assert empty["households"].tolist() == [100, 100, 100, 100]
    by_grid = sheets["by_grid"]
    assert by_grid["网格长"].tolist()[:2] == ["007", "=cmd()"]
    assert by_grid.iloc[-1][["grid", "households", "workers"]].tolist() == ["total", 600, 3]


def test_by_post_says_what_each_post_holds():
    grids, staffing = small_office()
    table = staff_sheets(staffing, grids)["by_post"]
    assert list(table.columns) == [
        *("post_id", "role", "within", "n_grids", "grids", "households", "load"),
    ]
    codes = ["042058300100100", "042058300100101"]
    assert table.astype(object).where(table.notna(), None).values.tolist() == [
        ["008", "医", "summary; 东湖", 3, "; ".join([*codes, "042058300100102"]), 600, 600.0],
        ["subtotal", "医", "1 post", 3, None, 600, 600.0],
        ["007", "网格长", "summary", 1, codes[0], 300, 300.0],
        ["=cmd()", "网格长", "summary", 1, codes[1], 200, 200.0],
        ["subtotal", "网格长", "2 posts", 2, None, 500, 500.0],
        ["total", None, "3 posts", 3, None, 600, None],
    ]


def test_by_post_marks_who_is_over_capacity_and_counts_shared_grids_once():
    grids = make_grids([300, 100])
    roster = make_roster(*[(p, "police", None, "g0") for p in "ab"], ("q", "police", None, "g1"))
    roster = roster.assign(capacity=["100", "200", None])
    table = staff_sheets(assign_posts(grids, roster), grids)["by_post"]
    assert table["over_capacity"].tolist()[:3] == [True, False, False]
    assert table.iloc[-1][["post_id", "n_grids", "households", "load"]].tolist() == [
        *("total", 2, 400, 400.0),
    ]
    assert len(table) == 4


def test_a_partly_staffed_role_has_one_mean_in_all_sheets():
    grids = make_grids([300, 250, 5000], ["a", "a", "b"])
    staffing = assign_posts(grids, make_roster(("p1", "leader", "a", None)))
    sheets = staff_sheets(staffing, grids)
    summary = sheets["summary"].iloc[0]
    assert summary[["households_covered", "households_open"]].tolist() == [550, 5000]
    ends = sheets["by_grid"].tail(3).set_index("grid")
    assert ends["households"].to_dict() == {
        "grids with a worker": 550,
        "grids without a worker": 5000,
        "total": 5550,
    }
    assert ends["households_per_worker"].dropna().tolist() == [summary["mean_load"]] == [550]
    assert ends["leader"]["total"] == "1 post, 2 grids: 550 households each"


def test_many_communities_share_one_sheet():
    places = [f"c{k}" for k in range(201)]
    grids = make_grids([10] * 201, places)
    roster = make_roster(*[(f"p{k}", "leader", place, None) for k, place in enumerate(places)])
    sheets = staff_sheets(assign_posts(grids, roster), grids)
    assert list(sheets)[5:] == ["by_community"]
    assert len(sheets["by_community"]) == 2 * 201
    assert sheets["by_community"]["within"].nunique() == 201


def test_the_workbook_keeps_codes_and_defuses_formulas(tmp_path):
    grids, staffing = small_office()
    path = tmp_path / "staff.xlsx"
    write_staff_workbook(staffing, grids, path)
    book = load_workbook(path)
    rows = [[cell.value for cell in row] for row in book["assignment"].iter_rows()]
    assert rows[0] == ["post_id", "role", "grid", "grid_code", "households", "load"]
    expected = staffing.assignment.drop(columns="within")
    assert rows[1:] == expected.values.tolist()
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        for cell in itertools.chain(*sheet.iter_rows()):
            assert cell.data_type != "f"
    assert [cell.font.b for cell in book["东湖"]["A"]] == [True, False, True, False, True]
    first = path.read_bytes()
    write_staff_workbook(staffing, grids, path)
    assert path.read_bytes() == first
