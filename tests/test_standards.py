"""Standards and the posts they ask for: by hand, against networkx, and files as they go wrong."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import FrozenInstanceError, fields

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

import gridpart as gp
from gridpart.errors import InputError
from gridpart.staffing import assign_posts, posts_required
from gridpart.standards import (
    KINDS,
    RoleTerms,
    Standard,
    Team,
    TeamRule,
    list_standards,
    load_standard,
)

PLACES = {
    "base": ("", None),
    "changde": ("Changde, Hunan", 2021),
    "haibowan": ("Haibowan, Wuhai, Inner Mongolia", 2022),
    "shulan": ("Shulan, Jilin", 2022),
    "yumen": ("Yumen, Gansu", 2018),
    "zhijiang": ("Zhijiang, Hubei", 2021),
}
GOOD = """
name = "town"
title = "Teams of a town"
sources = ["the town hall"]
[[team.roles]]
name = "leader"
title = "网格长"
[[team.rules]]
role = "leader"
per = "grid"
"""


def make_grids(households, within=None, **columns):
    n = len(households)
    frame = pd.DataFrame({"grid": [f"g{k}" for k in range(n)], "households": households, **columns})
    return frame if within is None else frame.assign(within=within)


def team_of(*rules):
    """A team whose roles are those of the rules."""
    names = dict.fromkeys(rule.role for rule in rules)
    return Team(tuple(RoleTerms(name, f"title of {name}") for name in names), rules)


def held(*rows, role="leader"):
    """Assignment from (post, grid), or (post, role, grid)."""
    rows = [row if len(row) == 3 else (row[0], role, row[1]) for row in rows]
    return pd.DataFrame(rows, columns=["post_id", "role", "grid"])


def columns_of(result, *names):
    return [tuple(row) for row in result[list(names)].itertuples(index=False)]


def faults_of(call, *arguments, **options):
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def written(tmp_path):
    """Write the text of a standard; its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "town.toml"
        path.write_bytes(text.encode(encoding))
        return path

    return write


# ---------------------------------------------------------------- what ships


def test_the_five_places_and_a_base_ship():
    assert list_standards() == tuple(PLACES)


@pytest.mark.parametrize("name", PLACES)
def test_a_shipped_standard_says_what_it_is(name):
    standard = load_standard(name)
    assert standard.name == name
    assert (standard.place, standard.year) == PLACES[name]
    assert standard.title
    assert all(standard.sources)
    assert load_standard(standard) is load_standard(name) is standard
    text = repr(standard)
    for word in (standard.title, *standard.team.names, *standard.sources):
        assert word in text
    if standard.year:
        assert all("Published" in s or "our " in s for s in standard.sources)


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("base", {"leader": "1 per grid", "police": "1 per community",
                  "full_timer": "1 per grid", "part_timer": "welcome, none required"}),
        ("haibowan", {"leader": "1 per grid, at most 2 grids each", "police": "1 per grid",
                      "full_timer": "1 per grid", "part_timer": "welcome, none required"}),
        ("shulan", {"full_timer": "1 per grid", "specialist": "welcome, none required",
                    "part_timer": "welcome, none required"}),
        ("zhijiang", {"police": "1 per community", "lawyer": "1 per community",
                      "doctor": "1 per community", "worker": "welcome, none required",
                      "micro_leader": "welcome, none required"}),
        ("yumen", {"worker": "welcome, none required",
                   "full_timer": "1 per 20 households or part of it",
                   "part_timer": "welcome, none required"}),
        ("changde", {"township_leader": "1 per grid, across communities",
                     "village_cadre": "welcome, none required",
                     "full_timer": "welcome, none required",
                     "volunteer": "welcome, none required",
                     "agency_cadre": "welcome, none required"}),
    ],
)  # fmt: skip
def test_rules_of_the_shipped_teams(name, rules):
    team = load_standard(name).team
    assert {role: "; ".join(map(str, team.rules_of(role))) for role in team.names} == rules


@pytest.mark.parametrize(
    ("name", "word", "role"),
    [
        ("haibowan", "网格长", "leader"),
        ("haibowan", "专职 网格员", "full_timer"),
        ("haibowan", "社区民警", "police"),
        ("shulan", "网格员", "full_timer"),
        ("zhijiang", "家庭医生", "doctor"),
        ("changde", "Village-Cadre", "village_cadre"),
        ("yumen", "网格员", "worker"),
    ],
)
def test_words_that_rosters_use(name, word, role):
    assert load_standard(name).team.name_of(word) == role


# ---------------------------------------------------------------- teams


def test_a_word_is_known_whatever_its_case_blanks_and_width():
    role = RoleTerms("full_timer", "专职网格员A", ("Grid worker",))
    team = Team((role,), (TeamRule("full_timer", "grid"),))
    for word in (
        "full_timer",
        "Full-Timer",
        " FULL  timer ",
        "ＦＵＬＬ＿ｔｉｍｅｒ",
        "full\u3000timer",
    ):
        assert team.name_of(word) == "full_timer"
    assert team.name_of("专职　网格员ａ") == "full_timer"
    assert team.name_of("gridworker") == "full_timer"
    assert [team.name_of(word) for word in ("worker", "", None, 7, float("nan"))] == [None] * 5
    assert team.rules_of("GRID WORKER") == team.rules
    assert "no role 'boss' in the team, which has: full_timer" in faults_of(team.rules_of, "boss")


def test_teams_are_frozen_and_lists_become_tuples():
    rule = TeamRule("leader", "grid", kinds=["base"])
    team = Team([RoleTerms("leader", "网格长", ["boss"])], [rule])
    assert rule.kinds == ("base",)
    assert isinstance(team.roles, tuple)
    assert isinstance(team.roles[0].aliases, tuple)
    assert hash(team) == hash(Team(team.roles, team.rules))
    with pytest.raises(FrozenInstanceError):
        rule.number = 3
    assert repr(team) == "Team of 1 role\n  leader 网格长: 1 per grid, base grids"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"per": "gird"}, "per: is 'gird'; say one of grid, community, households; did you mean"),
        ({"number": -1}, "number: is -1; give a whole number from 0, where 0 means welcome"),
        ({"number": 1.0}, "number: is 1.0"),
        ({"number": True}, "number: is True"),
        ({"per": "households"}, "households: missing; say for how many households"),
        ({"per": "households", "households": 0}, "households: is 0; say for how many"),
        ({"households": 300}, 'households: stands beside per = "grid"; leave it out'),
        ({"kinds": ()}, "kinds: is (); list one or both of base, exclusive"),
        ({"kinds": ("market",)}, "kinds: is ('market',)"),
        ({"kinds": "base"}, "kinds: is 'base'"),
        ({"max_grids": 0}, "max_grids: is 0; give a whole number from 1"),
        ({"cross_borders": "yes"}, "cross_borders: is 'yes'; say true or false"),
        ({"role": " "}, "role: is ' '; name a role of the team"),
    ],
)
def test_a_rule_that_cannot_be_used(options, said):
    assert said in faults_of(TeamRule, **{"role": "leader", "per": "grid"} | options)


def test_a_team_that_does_not_fit():
    leader, doctor = RoleTerms("leader", "网格长"), RoleTerms("doctor", "医", ("网格 长",))
    text = faults_of(Team, (leader, doctor), (TeamRule("boss", "grid"), TeamRule("leader", "grid")))
    assert "roles[2].aliases: '网格 长' stands at roles[1].title already" in text
    assert "rules[1].role: no role 'boss'; the roles are: leader, doctor" in text
    assert "roles[2].name: no rule for 'doctor'; write one, with number = 0" in text
    assert "roles: there is none" in faults_of(Team, (), ())
    assert "name: is 'two words'" in faults_of(RoleTerms, "two words", "x")


# ---------------------------------------------------------------- files


def test_a_file_is_read(written):
    standard = load_standard(written(GOOD))
    assert standard == Standard(
        "town", "Teams of a town", "", None, ("the town hall",),
        Team((RoleTerms("leader", "网格长"),), (TeamRule("leader", "grid"),)),
    )  # fmt: skip
    assert repr(standard).splitlines()[0] == "Standard town: Teams of a town"
    # an editor's mark before the text is no fault
    assert load_standard(str(written("\ufeff" + GOOD))) == standard


def edited(old, new):
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edited('title = "Teams of a town"', ""), "title: missing; write a text"),
        (edited('"Teams of a town"', "7"), "title: is 7; write a text"),
        (edited('sources = ["the town hall"]', ""), "sources: missing; list where the figures"),
        (edited('["the town hall"]', "[]"), "sources: is []; list where"),
        (edited('["the town hall"]', '"the town hall"'), "sources: is 'the town hall'; list"),
        ("year = 'old'\n" + GOOD, "year: is 'old'; write a whole number, or leave"),
        ("place = 3\n" + GOOD, "place: is 3; write a text, or leave"),
        ("titel = 'x'\n" + GOOD, "titel: unknown key; did you mean 'title'?"),
        ("zzz = 1\n" + GOOD, "zzz: unknown key; known are: name, title, place, year, sources,"),
        (GOOD + "kind = ['base']", "team.rules[1].kind: unknown key; did you mean 'kinds'?"),
        (GOOD + "number = -2", "team.rules[1].number: is -2; give a whole number from 0"),
        (GOOD + "kinds = ['school']", "team.rules[1].kinds: is ['school']; list one or both"),
        (edited('per = "grid"', ""), "team.rules[1].per: missing; say one of grid, community"),
        (edited('"grid"', '"households"'), "team.rules[1].households: missing; say for how many"),
        (edited('role = "leader"', 'role = "boss"'), "team.rules[1].role: no role 'boss'; the"),
        (edited('title = "网格长"', ""), "team.roles[1].title: missing; give the official"),
        (edited('title = "网格长"', 'title = "x"\nalias = []'), "team.roles[1].alias: unknown"),
        (edited('title = "网格长"', 'title = "x"\naliases = "y"'), "team.roles[1].aliases: is 'y'"),
        (GOOD.split("[[team")[0], "team: missing; write tables [[team.roles]] and [[team.rules]]"),
        (GOOD.split("[[team")[0] + "team = 4", "team: is 4; write tables"),
        (GOOD.split("[[team")[0] + "[team]\nroles = 4", "team.roles: must be tables; write [[team"),
        (GOOD.split("[[team.rules")[0], "team.roles[1].name: no rule for 'leader'; write one"),
        (GOOD.replace("[[team.rules]]", "[[team.rule]]"), "team.rule: unknown key; did you mean"),
        (
            GOOD + "[[team.roles]]\nname = 'LEADER'\ntitle = 'x'",
            "team.roles[2].name: 'LEADER' stands at team.roles[1].name already",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_key_path(written, text, said):
    path = written(text)
    assert f"standard {path}: {said}" in faults_of(load_standard, path)


def test_all_faults_are_told_together(written):
    text = GOOD + "number = -1\nmax_grids = 0\nkinds = []\n"
    text = edited('title = "Teams of a town"', "") + text.split('per = "grid"')[1]
    text += "households = 5\ncross_borders = 1\n[[team.rules]]\nrole = 'boss'\nper = 'x'\n"
    with pytest.raises(InputError) as caught:
        load_standard(written(text))
    paths = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert paths == [
        "title", "team.rules[1].number", "team.rules[1].households", "team.rules[1].kinds",
        "team.rules[1].max_grids", "team.rules[1].cross_borders", "team.rules[2].per",
        "team.rules[2].role",
    ]  # fmt: skip
    assert len(caught.value.problems) == len(paths)


def test_what_is_no_standard(tmp_path, written):
    text = faults_of(load_standard, "haibowen")
    assert "no standard 'haibowen'; did you mean 'haibowan'?; name one of base, changde," in text
    assert "no standard" in faults_of(load_standard, tmp_path)
    assert "not a TOML file in UTF-8" in faults_of(load_standard, written("name = "))
    assert "not a TOML file in UTF-8" in faults_of(load_standard, written(GOOD, "gb18030"))


# ---------------------------------------------------------------- posts required, by hand


def test_posts_of_each_kind_of_rule():
    grids = make_grids(
        [600, 500, 400, 0, 0], ["East", "East", "West", "West", "North"],
        kind=["base", "base", "base", "exclusive", "base"],
    )  # fmt: skip
    team = team_of(
        TeamRule("leader", "grid", 2),
        TeamRule("guard", "grid", kinds=("exclusive",)),
        TeamRule("police", "community", 2),
        TeamRule("nurse", "community", kinds=("exclusive",)),
        TeamRule("doctor", "households", households=1000),
        TeamRule("cook", "households", 3, households=200),
        TeamRule("helper", "grid", 0),
    )
    result = posts_required(grids, team)
    assert list(result.columns) == ["role", "within", "grids", "households", "required"]
    assert result["role"].tolist() == [name for name in team.names for _ in range(3)]
    assert result["within"].tolist() == ["East", "North", "West"] * 7
    numbers = result.groupby("role", sort=False)["required"].agg(list).to_dict()
    assert numbers == {
        "leader": [4, 2, 4],  # an empty grid has a leader too
        "guard": [0, 0, 1],
        "police": [2, 2, 2],  # and so has a community where nobody lives
        "nurse": [0, 0, 1],
        "doctor": [2, 0, 1],  # 1,100 make two; nobody makes none
        "cook": [18, 0, 6],  # 1,100 / 200 is six parts of three, 400 two
        "helper": [0, 0, 0],
    }
    spoken = result[result["role"] == "guard"]
    assert columns_of(spoken, "grids", "households") == [(0, 0), (0, 0), (1, 0)]
    assert result.dtypes.iloc[2:].eq(np.dtype("int64")).all()


def test_households_are_rounded_up_exactly():
    team = team_of(TeamRule("doctor", "households", households=300))
    for households, posts in ((0, 0), (1, 1), (299, 1), (300, 1), (301, 2), (3 * 10**15, 10**13)):
        assert posts_required(make_grids([households]), team)["required"].item() == posts


def test_rules_of_one_role_add_up():
    grids = make_grids([300, 100, 50], kind=["base", "exclusive", None])
    team = team_of(
        TeamRule("leader", "grid", kinds=("base",)),
        TeamRule("leader", "grid", 3, kinds=("exclusive",)),
        TeamRule("leader", "community"),
    )
    result = posts_required(grids, team)
    assert columns_of(result, "grids", "households", "required") == [(3, 450, 1 + 1 + 3 + 1)]
    assert result["within"].tolist() == [None]
    # without a column every grid is a base grid
    assert posts_required(grids.drop(columns="kind"), team)["required"].item() == 3 + 1


def test_places_stand_in_natural_order_those_without_first():
    grids = make_grids([1, 2, 3, 4], ["P10", "P2", None, "P1"])
    result = posts_required(grids, team_of(TeamRule("a", "grid"), TeamRule("b", "community")))
    assert result["within"].tolist() == [None, "P1", "P2", "P10"] * 2
    assert result["households"].tolist() == [3, 4, 2, 1] * 2
    assert result.index.tolist() == list(range(8))


# ---------------------------------------------------------------- posts filled, by hand


def filled_of(grids, team, rows):
    result = posts_required(grids, team, rows)
    return columns_of(result, "required", "filled", "vacancies", "surplus", "grids_open")


def test_haibowan_has_45_vacancies_and_no_open_grid():
    within = [f"street {k % 7}" for k in range(435)]
    grids = make_grids([200] * 435, within)
    # within its own street each of 45 leaders has a second grid: seven further on
    rows = [(f"p{k}", f"g{k}") for k in range(390)]
    rows += [(f"p{k - 49}", f"g{k}") for k in range(390, 435)]
    result = posts_required(grids, load_standard("haibowan"), held(*rows))
    totals = result.groupby("role", sort=False).sum(numeric_only=True)
    assert totals.loc["leader", "required":].tolist() == [435, 390, 45, 0, 0]
    assert totals.loc["full_timer", "required":].tolist() == [435, 0, 435, 0, 435]
    assert totals.loc["part_timer", "required":].tolist() == [0, 0, 0, 0, 435]


def test_shulan_has_205_workers_beyond_one_per_grid():
    kinds = ["base"] * (167 + 1316) + ["exclusive"] * 172
    grids = make_grids(range(1655), kind=kinds)
    roster = pd.DataFrame({"post_id": range(1860), "role": "网格员"})
    staffing = assign_posts(grids, roster)
    team = load_standard("shulan")
    result = posts_required(grids, team, staffing)
    assert result["role"].tolist() == ["full_timer", "specialist", "part_timer"]
    assert result.loc[0, "grids":].tolist() == [1655, sum(range(1655)), 1655, 1655, 0, 205, 0]
    pd.testing.assert_frame_equal(posts_required(grids, team, staffing.assignment), result)


def test_changde_is_counted_quickly_and_its_totals_hold():
    numbers = {"村干部": 16_584, "辅助": 25_133, "物业": 2_513, "机关干部": 3_333}
    words = [word for word, number in numbers.items() for _ in range(number)]
    grids = make_grids(np.arange(8_047) % 500)
    names = grids["grid"].to_numpy()
    rows = held(*((k, word, names[k % 8_047]) for k, word in enumerate(words)))
    result = posts_required(grids, load_standard("changde"), rows)
    assert result["required"].tolist() == [8_047, 0, 0, 0, 0]
    assert result["surplus"].tolist() == [0, *numbers.values()]
    assert result["surplus"].sum() == 47_563


def test_one_per_grid_counts_a_person_once():
    grids, team = make_grids([300, 200]), team_of(TeamRule("leader", "grid"))
    assert filled_of(grids, team, held(("a", "g0"), ("a", "g1"))) == [(2, 1, 1, 0, 0)]
    assert filled_of(grids, team, held(("a", "g0"), ("a", "g0"))) == [(2, 1, 1, 0, 1)]
    assert filled_of(grids, team, held()) == [(2, 0, 2, 0, 2)]


def test_two_leaders_of_a_grid_do_not_fill_its_neighbours_post():
    grids, team = make_grids([300, 200]), team_of(TeamRule("leader", "grid"))
    assert filled_of(grids, team, held(("a", "g0"), ("b", "g0"))) == [(2, 1, 1, 1, 1)]
    # unless one of them holds that too
    rows = held(("a", "g0"), ("a", "g1"), ("b", "g0"))
    assert filled_of(grids, team, rows) == [(2, 2, 0, 0, 0)]
    two = team_of(TeamRule("leader", "grid", 2))
    assert filled_of(grids, two, held(("a", "g0"), ("b", "g0"))) == [(4, 2, 2, 0, 1)]


def test_a_holder_counts_where_most_of_his_households_are():
    grids = make_grids([300, 100, 150, 0], ["A", "B", "B", "B"])
    team = team_of(TeamRule("doctor", "community"))
    rows = held(("d", "g0"), ("d", "g1"), ("d", "g2"), role="doctor")
    assert filled_of(grids, team, rows) == [(1, 1, 0, 0, 0), (1, 0, 1, 0, 1)]
    grids["households"] = [200, 100, 150, 0]
    assert filled_of(grids, team, rows) == [(1, 0, 1, 0, 0), (1, 1, 0, 0, 1)]
    # of equals the place with more grids, then the first
    grids["households"] = [250, 100, 150, 0]
    assert [row[1] for row in filled_of(grids, team, rows)] == [0, 1]
    grids["households"] = [100, 100, 0, 0]
    rows = held(("d", "g0"), ("d", "g1"), role="doctor")
    assert [row[1] for row in filled_of(grids, team, rows)] == [1, 0]


def test_grids_that_no_rule_speaks_of_make_no_holder():
    grids = make_grids([10, 900], ["A", "B"], kind=["base", "exclusive"])
    team = team_of(TeamRule("leader", "community", kinds=("base",)))
    # the base grid decides where he counts, though the school has more households
    assert filled_of(grids, team, held(("a", "g0"), ("a", "g1"))) == [
        (1, 1, 0, 0, 0),
        (0, 0, 0, 0, 0),
    ]
    assert filled_of(grids, team, held(("a", "g1"))) == [(1, 0, 1, 0, 1), (0, 0, 0, 1, 0)]


def test_rules_of_a_role_share_its_holders():
    grids = make_grids([300, 0], kind=["base", "exclusive"])
    team = team_of(
        TeamRule("leader", "grid", kinds=("exclusive",)),
        TeamRule("leader", "households", households=100, kinds=("base",)),
    )
    rows = [("a", "g0"), ("a", "g1"), ("b", "g1"), ("c", "g1")]
    assert filled_of(grids, team, held(*rows)) == [(4, 2, 2, 1, 0)]
    assert filled_of(grids, team, held(*rows, ("c", "g0"))) == [(4, 3, 1, 0, 0)]


def test_codes_and_aliases_are_understood():
    grids = make_grids([1, 2], grid_code=["001", "002"])
    standard = load_standard("base")
    rows = held((1.0, "网 格 长", "001"), (2, "Leader", "g1"), ("3", "民警", "002"))
    result = posts_required(grids, standard, rows)
    assert result["filled"].tolist() == [2, 1, 0, 0]


def test_a_plan_may_be_given():
    cells = [box(100 * k, 0, 100 * k + 100, 100) for k in range(12)]
    columns = {"households": [100] * 12, "quarter": ["Q10"] * 6 + ["Q9"] * 6}
    units = gpd.GeoDataFrame(columns, geometry=cells, crs="EPSG:4547")
    units["school"] = [False] * 11 + [True]
    plan = gp.partition(units, within="quarter", low=200, high=300, exclusive="school")
    result = gp.posts_required(plan, gp.load_standard("zhijiang"))
    pd.testing.assert_frame_equal(result, posts_required(plan.grids, load_standard("zhijiang")))
    police = result[result["role"] == "police"]
    assert columns_of(police, "within", "households", "required") == [
        ("Q9", 600, 1),
        ("Q10", 600, 1),
    ]
    schools = posts_required(plan, team_of(TeamRule("guard", "grid", kinds=("exclusive",))))
    assert columns_of(schools, "within", "required") == [("Q9", 1), ("Q10", 0)]


def test_neither_input_is_changed_and_the_order_of_rows_does_not_matter():
    grids = make_grids([300, 200, 100, 50], ["A", "A", "B", None], kind=["base"] * 4)
    rows = held(("a", "g0"), ("a", "g2"), ("b", "g0"), ("c", "g3"))
    copies = grids.copy(), rows.copy()
    team = team_of(TeamRule("leader", "grid"), TeamRule("doctor", "community"))
    result = posts_required(grids, team, rows)
    pd.testing.assert_frame_equal(grids, copies[0])
    pd.testing.assert_frame_equal(rows, copies[1])
    again = posts_required(grids.iloc[::-1], team, rows.iloc[[2, 0, 3, 1]])
    pd.testing.assert_frame_equal(again, result)


def test_a_bad_assignment_is_told_with_all_that_is_wrong():
    grids = make_grids([300, 200], ["A", "B"])
    team = team_of(TeamRule("leader", "grid"), TeamRule("doctor", "grid"))
    rows = held(
        ("a", "g0"), ("a", "doctor", "g1"), ("b", "boss", "g0"), ("c", "g7"), (None, "g0"),
        ("d", None, "g0"), ("e", None),
    ).assign(within=["B"] + [None] * 6)  # fmt: skip
    with pytest.raises(InputError) as caught:
        posts_required(grids, team, rows)
    assert {p.kind: p.examples for p in caught.value.problems} == {
        "missing_post_id": ("row 4",),
        "missing_role": ("row 5",),
        "missing_grid": ("row 6",),
        "unknown_grid": ("row 3: 'g7'",),
        "unknown_role": ("row 2: 'boss'",),
        "two_roles": ("row 1: post 'a' is doctor, and leader before",),
        "contradiction": ("row 0: grid 'g0' lies in 'A', not 'B'",),
    }
    assert "the team, which has: leader, doctor" in str(caught.value)
    text = faults_of(posts_required, grids, team, rows.rename(columns={"grid": "Grid_"}))
    assert "the assignment has no column 'grid'; did you mean 'Grid_'?" in text


def test_bad_grids_are_told():
    team = team_of(TeamRule("leader", "grid"))
    text = faults_of(posts_required, make_grids([1, 2], kind=["base", "market"]), team)
    assert "kind of a grid must be base or exclusive" in text
    assert "grid g1: 'market'" in text
    assert "households of a grid must be" in faults_of(posts_required, make_grids([-1]), team)


def test_no_grids_ask_for_nothing():
    grids, team = make_grids([]), team_of(TeamRule("leader", "grid"))
    result = posts_required(grids, team, held())
    assert result.empty
    assert list(result.columns)[-4:] == ["filled", "vacancies", "surplus", "grids_open"]


# ---------------------------------------------------------------- against definitions


@st.composite
def cases(draw):
    """Grids, rules of one role, and (post, grid) pairs."""
    n = draw(st.integers(1, 7))
    places = draw(st.sampled_from([["A"], ["A", "B"], ["A", "B", None]]))
    grids = make_grids(
        draw(st.lists(st.integers(0, 700), min_size=n, max_size=n)),
        draw(st.lists(st.sampled_from(places), min_size=n, max_size=n)),
        kind=draw(st.lists(st.sampled_from(KINDS), min_size=n, max_size=n)),
    )
    rules = []
    for _ in range(draw(st.integers(1, 3))):
        per = draw(st.sampled_from(["grid", "community", "households"]))
        rules.append(
            TeamRule(
                "leader",
                per,
                draw(st.integers(0, 3)),
                households=draw(st.integers(50, 900)) if per == "households" else None,
                kinds=draw(st.sampled_from([KINDS, KINDS[:1], KINDS[1:]])),
            )
        )
    pair = st.tuples(st.integers(0, 6).map("p{}".format), st.integers(0, n - 1).map("g{}".format))
    return grids, tuple(rules), draw(st.lists(pair, max_size=14))


def posts_by_hand(grids, rules):
    """Every post that is asked for: (number, place, grids whose holders fill it)."""
    posts = []
    for rule in rules:
        for place in set(grids["within"]):
            inside = grids[(grids["within"] == place) & grids["kind"].isin(rule.kinds)]
            names = set(inside["grid"])
            if rule.per == "grid":
                posts += [(place, {name}) for name in names for _ in range(rule.number)]
            elif rule.per == "community" and names:
                posts += [(place, names)] * rule.number
            elif rule.per == "households":
                left = int(inside["households"].sum())
                while left > 0:
                    posts += [(place, names)] * rule.number
                    left -= rule.households
    return posts


@given(cases())
def test_required_filled_and_open_as_defined(case):
    grids, rules, pairs = case
    result = posts_required(grids, team_of(*rules), held(*pairs)).set_index("within")
    grids = grids.assign(
        within=[place if isinstance(place, str) else "" for place in grids["within"]]
    )
    posts = posts_by_hand(grids, rules)
    kinds = {kind for rule in rules for kind in rule.kinds}
    homes = homes_by_hand(grids, kinds, pairs)
    assert set(homes) == {post for post, _ in pairs}
    graph = nx.Graph()
    for post, grid in pairs:
        graph.add_edges_from(
            ((post,), k) for k, (place, names) in enumerate(posts)
            if grid in names and place == homes[post]
        )  # fmt: skip
    people = [node for node in graph if isinstance(node, tuple)]
    matched = nx.bipartite.hopcroft_karp_matching(graph, people)
    for place, row in result.iterrows():
        place = place or ""
        assert row["required"] == sum(of == place for of, _ in posts)
        assert row["filled"] == sum(homes[node[0]] == place for node in people if node in matched)
        assert row["filled"] + row["vacancies"] == row["required"]
        assert row["filled"] + row["surplus"] == sum(home == place for home in homes.values())
    spoken = set(grids.loc[grids["kind"].isin(kinds), "grid"])
    assert result["grids_open"].sum() == len(spoken - {grid for _, grid in pairs})
    assert result["grids"].sum() == len(spoken)


def homes_by_hand(grids, kinds, pairs):
    homes = {}
    for post in {post for post, _ in pairs}:
        mine = grids[grids["grid"].isin([grid for who, grid in pairs if who == post])]
        ranks = []
        for place in set(mine["within"]):
            there = mine[mine["within"] == place]
            spoken = there[there["kind"].isin(kinds)]
            rank = [spoken["households"].sum(), len(spoken), there["households"].sum(), len(there)]
            ranks.append(([-value for value in rank], place))
        homes[post] = min(ranks)[1]
    return homes


@given(
    st.lists(st.tuples(st.integers(0, 900), st.sampled_from("ABC")), min_size=1, max_size=30),
    st.integers(0, 4),
    st.integers(1, 1000),
)
def test_totals_of_each_rule(grids, number, size):
    frame = make_grids([households for households, _ in grids], [place for _, place in grids])
    team = team_of(
        TeamRule("a", "grid", number),
        TeamRule("b", "community", number),
        TeamRule("c", "households", number, households=size),
    )
    totals = posts_required(frame, team).groupby("role")["required"].sum()
    communities = frame.groupby("within")["households"].sum()
    assert totals["a"] == number * len(frame)
    assert totals["b"] == number * len(communities)
    least = number * -(-int(communities.sum()) // size)
    assert least <= totals["c"] <= least + number * len(communities)
    whole = posts_required(frame.drop(columns="within"), team).set_index("role")["required"]
    assert whole.tolist() == [number * len(frame), number, least]


# ---------------------------------------------------------------- what the page says


@pytest.fixture
def page(project_root):
    return (project_root / "docs" / "standards.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_pages_own_standard_runs_as_printed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "our-town.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(blocks(page, "python")[0], {})
    assert shown.getvalue() == blocks(page, "text")[0]


def test_the_pages_errors_are_those_of_its_standard_spoilt(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = blocks(page, "toml")[0].replace('per = "grid"\nnumber', 'per = "gird"\nnumber', 1)
    text = text.replace("households = 1000\n", "")
    (tmp_path / "our-town.toml").write_text(text, encoding="utf-8")
    assert faults_of(load_standard, "our-town.toml") + "\n" == blocks(page, "text")[1]


def test_the_page_lists_every_standard_and_every_key(page):
    for name in list_standards():
        assert f"| `{name}` |" in page
    tables = {row.split("|")[1] for row in page.splitlines() if row.startswith("| `")}
    keys = {key for cell in tables for key in re.findall(r"`(\w+)`", cell)}
    for kind in (TeamRule, RoleTerms):
        assert {field.name for field in fields(kind)} <= keys
    assert {"name", "title", "place", "year", "sources"} <= keys
