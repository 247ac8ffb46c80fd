"""Posts that a team asks for and those filled: by hand, and against networkx."""

from __future__ import annotations

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
from gridpart.standards import KINDS, RoleTerms, Team, TeamRule, load_standard


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
    # 45 leaders have a second grid in the same street, 49 further on
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
    assert result["filled"].tolist() == [2, 1, 0, 0, 0, 0]


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
