"""Who comes where: capacity, skills, who stays, and the way, against all permutations."""

from __future__ import annotations

import itertools
import math
import random
import time
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box
from test_beats_function import lattice

from gridpart.errors import InputError
from gridpart.staffing import assign_posts, check_roster
from gridpart.standards import load_standard

SKILLS = ("fire", "sign", "first aid")


def cost_of(grids, posts, order):
    """Capacities exceeded, skills missed, posts that move, metres: in that order of weight."""
    over = unmet = moved = 0
    metres = 0.0
    for k, g in enumerate(order):
        grid, post = grids.iloc[g], posts.iloc[k]
        over += not math.isnan(post["capacity"]) and grid["households"] > post["capacity"]
        unmet += len(set(filter(None, grid["needs"].split(";"))) - set(post["skills"].split(";")))
        moved += post["grid"] is not None and post["grid"] != grid["grid"]
        if not math.isnan(post["x"]):
            centre = grid["geometry"].representative_point()
            metres += math.hypot(post["x"] - centre.x, post["y"] - centre.y)
    return over, unmet, moved, metres


@st.composite
def pools(draw):
    """As many posts as grids, on a line of grids, so that everybody gets one."""
    n = draw(st.integers(1, 5))
    rng = random.Random(draw(st.integers(0, 10**6)))
    grids = lattice(n, 1, [rng.randint(1, 9) * 100 for _ in range(n)])
    grids["needs"] = [";".join(rng.sample(SKILLS, rng.choice([0, 0, 1, 2]))) for _ in range(n)]
    posts = pd.DataFrame(
        {
            "post_id": [f"p{k}" for k in range(n)],
            "role": "leader",
            "grid": [None] * n,
            "capacity": [rng.choice([math.nan, 100.0 * rng.randint(1, 9)]) for _ in range(n)],
            "skills": [";".join(rng.sample(SKILLS, rng.choice([0, 1, 2]))) for _ in range(n)],
            "x": [rng.choice([math.nan, rng.uniform(-200, 700)]) for _ in range(n)],
        }
    )
    posts["y"] = [math.nan if math.isnan(x) else rng.uniform(-200, 300) for x in posts["x"]]
    return grids, posts


@given(pools())
def test_matching_equals_the_best_permutation(pool):
    grids, posts = pool
    staffing = assign_posts(grids, posts)
    where = staffing.assignment.set_index("post_id")["grid"]
    names = grids["grid"].tolist()
    found = cost_of(grids, posts, [names.index(where[post]) for post in posts["post_id"]])
    best = min(cost_of(grids, posts, order) for order in itertools.permutations(range(len(grids))))
    assert found[:3] == best[:3]
    assert found[3] == pytest.approx(best[3], abs=0.02), "millimetres are whole"
    assert staffing.posts["over_capacity"].sum() == best[0]
    unmet = staffing.unmet_needs
    assert (0 if unmet is None else len(unmet)) == best[1]


def test_one_who_may_move_comes_back_if_that_is_all_the_same():
    grids = lattice(3, 1, [100, 100, 100])
    posts = pd.DataFrame({"post_id": list("abc"), "role": "x", "grid": ["g2", "g1", "g0"]})
    for moves in range(4):
        staffing = assign_posts(grids, posts, max_moves=moves)
        assert not staffing.posts["moved"].any()
        assert staffing.assignment["grid"].tolist() == ["g2", "g1", "g0"]


def test_ties_keep_the_order_of_names():
    grids = lattice(4, 1, [100] * 4)
    grids["grid"] = ["g10", "g2", "g1", "g9"]
    posts = pd.DataFrame({"post_id": ["p10", "p9", "p1", "p2"], "role": "x"})
    pairs = assign_posts(grids, posts).assignment[["post_id", "grid"]].values.tolist()
    assert pairs == [["p1", "g1"], ["p2", "g2"], ["p9", "g9"], ["p10", "g10"]]
    same = posts.assign(capacity=500, skills="fire", x=50.0, y=5000.0)
    centred = grids.assign(needs="fire")
    assert len(assign_posts(centred, same).assignment) == 4


def test_skills_of_a_beat_are_those_of_all_its_grids():
    grids = lattice(4, 1, [100] * 4).assign(needs=["", "fire", "", "sign"])
    posts = pd.DataFrame({"post_id": ["a", "b"], "role": "x", "skills": ["sign", "fire;sign"]})
    staffing = assign_posts(grids, posts)
    assert staffing.assignment["post_id"].tolist() == ["a", "a", "b", "b"]
    assert staffing.assignment["grid"].tolist() == ["g2", "g3", "g0", "g1"]
    assert staffing.unmet_needs.empty
    assert list(staffing.unmet_needs) == ["grid", "grid_code", "within", "skill"]
    without = assign_posts(grids, posts.assign(skills=""))
    assert without.unmet_needs[["grid", "skill"]].values.tolist() == [
        ["g1", "fire"],
        ["g3", "sign"],
    ]


# --- the order of rows ------------------------------------------------------------------------


def case_with_everything(seed):
    rng = random.Random(seed)
    width, height = rng.choice([(3, 2), (4, 2), (3, 3), (5, 1)])
    n = width * height
    within = ["East" if k % width >= width // 2 else "West" for k in range(n)]
    grids = lattice(width, height, [rng.randint(0, 500) for _ in range(n)], within)
    grids["needs"] = [rng.choice(["", "fire"]) for _ in range(n)]
    names = grids["grid"].tolist()
    rows = []
    for k in range(rng.randint(2, n + 3)):
        kind = rng.random()
        held = ";".join(rng.sample(names, rng.choice([1, 1, 2]))) if kind < 0.3 else None
        home = rng.choice(["East", "West"]) if 0.3 <= kind < 0.6 else None
        rows.append(
            {
                "post_id": f"p{k}",
                "role": rng.choice(["leader", "leader", "police"]),
                "within": home,
                "grid": held,
                "fixed": rng.choice(names) if kind > 0.9 else None,
                "skills": rng.choice(["", "fire"]),
                "capacity": rng.choice([math.nan, 300.0]),
                "x": rng.uniform(0, 500),
                "y": rng.uniform(0, 300),
            }
        )
    options = rng.choice([{}, {"max_moves": 2}, {"free_beats": True}, {"cross_borders": True}])
    options = options | rng.choice([{}, {"max_grids": 3}])
    return grids, pd.DataFrame(rows), options


@pytest.mark.filterwarnings("ignore:posts hold grids of several communities")
@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 100))
def test_rows_may_stand_in_any_order(seed, shuffle):
    grids, posts, options = case_with_everything(seed)
    one = assign_posts(grids, posts, **options)
    mixed = grids.sample(frac=1, random_state=shuffle).rename_geometry("shape")
    mixed.index = [f"row {k}" for k in range(len(mixed))]
    columns = [*posts.columns][::-1]
    other = assign_posts(mixed, posts.sample(frac=1, random_state=shuffle + 1)[columns], **options)
    for name in ("assignment", "posts", "vacancies", "summary"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


@pytest.mark.filterwarnings("ignore:posts hold grids of several communities")
@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_whatever_the_case_the_tables_keep_their_promises(seed):
    grids, posts, options = case_with_everything(seed)
    staffing = assign_posts(grids, posts, **options)
    table = staffing.assignment
    checked = check_roster(posts, grids).set_index("post_id")
    for post, fixed in checked["fixed"].items():
        assert set(fixed) <= set(table.loc[table["post_id"] == post, "grid"])
    for post, home in checked["within"].items():
        if home is not None and not options.get("cross_borders"):
            assert set(table.loc[table["post_id"] == post, "within"]) <= {home}
    if not options.get("cross_borders"):
        places = table.groupby("post_id")["within"].nunique()
        assert places.le(1).all()
    limit = options.get("max_grids")
    if limit is not None:
        allowed = [
            max(limit, len({*held, *fixed}))
            for held, fixed in zip(checked["held"], checked["fixed"], strict=True)
        ]
        sizes = staffing.posts.set_index("post_id")["n_grids"].reindex(checked.index)
        assert (sizes <= allowed).all()
    for _, row in staffing.summary.iterrows():
        own = table[table["role"] == row["role"]]
        shares = own.groupby("grid")["load"].sum()
        assert shares.sum() == pytest.approx(row["households"])
        assert row["worst_load"] == pytest.approx(own.groupby("post_id")["load"].sum().max())
        assert 0 <= row["lower_bound"] <= row["worst_load"] * (1 + 1e-12)
        assert row["moved"] <= max(options.get("max_moves", 0), 0)
        assert row["grids"] + row["vacancies"] == len(grids)


# --- awkward cases ----------------------------------------------------------------------------


def test_a_fixed_grid_that_another_post_holds_is_shared():
    grids = lattice(2, 1, [100, 300])
    posts = pd.DataFrame(
        {"post_id": ["a", "b"], "role": "x", "grid": ["g0", None], "fixed": [None, "g0"]}
    )
    found = assign_posts(grids, posts)
    held = found.assignment.groupby("grid")["post_id"].agg(list).to_dict()
    assert held["g0"] == ["a", "b"]
    assert len(held["g1"]) == 1
    assert found.posts["load"].max() == 350


def test_two_posts_on_one_grid_and_bare_grids_beside_it():
    grids = lattice(3, 1, [100, 400, 90])
    posts = pd.DataFrame({"post_id": ["a", "b"], "role": "x", "grid": ["g1", "g1"]})
    found = assign_posts(grids, posts)
    assert sorted(found.posts["load"]) == [290, 300]
    assert found.summary["gap"].item() == 0


@pytest.mark.parametrize("held", ["g0;g4", "g0;g2;g4"])
def test_current_grids_need_not_touch(held):
    grids = lattice(5, 1, [10, 20, 30, 40, 50])
    posts = pd.DataFrame({"post_id": ["a", "b"], "role": "x", "grid": [held, None]})
    found = assign_posts(grids, posts).assignment.groupby("post_id")["grid"].agg(set)
    assert set(held.split(";")) <= found["a"]
    assert found["a"] | found["b"] == set(grids["grid"])


def test_one_grid_and_one_post():
    for households in (0, 1, 10**9):
        staffing = assign_posts(
            lattice(1, 1, [households]), pd.DataFrame({"post_id": ["a"], "role": ["x"]})
        )
        assert staffing.posts["load"].tolist() == [households]
        assert staffing.summary["gap"].item() == 0


def test_huge_loads_and_many_holders_are_counted_exactly():
    grids = lattice(4, 3, [10**9] * 12)
    staffing = assign_posts(grids, pd.DataFrame({"post_id": list("abcde"), "role": "x"}))
    assert staffing.summary["worst_load"].item() == 3e9
    assert staffing.summary["gap"].item() == 0
    primes = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]
    grids = lattice(17, 1, [400] * 17)
    now = [f"g{k}" for k, prime in enumerate(primes) for _ in range(prime)]
    posts = pd.DataFrame({"post_id": [f"p{k}" for k in range(len(now))], "role": "x", "grid": now})
    staffing = assign_posts(grids, posts)
    assert staffing.vacancies.empty
    assert staffing.summary["worst_load"].item() == pytest.approx(800 + 400 / 47)
    staffing = assign_posts(grids, posts, free_beats=True)
    assert staffing.summary["worst_load"].item() == pytest.approx(800 + 400 / 47)


def test_a_role_without_any_grid_or_post():
    team = load_standard("haibowan").team
    grids = lattice(2, 1, [100, 200]).assign(kind="base")
    role = team.roles[0].name
    role_of_exclusive = replace(
        team, rules=tuple(replace(rule, kinds=("exclusive",)) for rule in team.rules)
    )
    posts = pd.DataFrame({"post_id": ["a", "b"], "role": [role, role]})
    assert len(assign_posts(grids, posts, team=team).assignment) == 2
    nothing = assign_posts(grids, posts, team=role_of_exclusive)
    assert nothing.assignment.empty
    assert nothing.vacancies.empty
    assert nothing.posts["n_grids"].tolist() == [0, 0]
    assert nothing.summary["worst_load"].item() == 0
    with pytest.raises(InputError):
        assign_posts(grids, posts.assign(role="dragon tamer"), team=team)
    assert not np.isnan(nothing.summary["gap"].item())


def test_many_holders_of_one_grid_take_no_time():
    grids = lattice(6, 1, [300, 300, 300, 300, 300, 300])
    now = [f"g{k % 4}" for k in range(400)]
    posts = pd.DataFrame({"post_id": [f"p{k}" for k in range(400)], "role": "x", "grid": now})
    started = time.perf_counter()
    staffing = assign_posts(grids, posts)
    assert time.perf_counter() - started < 5
    assert staffing.vacancies.empty
    assert staffing.posts["n_grids"].gt(0).all(), "nobody is forgotten"
    assert staffing.summary["worst_load"].item() == 603, "only the last of them touches both"


def test_the_way_from_home_is_told_in_metres():
    grids = gpd.GeoDataFrame(
        {"grid": ["a", "b"], "households": [300, 200]},
        geometry=[box(0, 0, 100, 100), box(100, 0, 200, 100)],
        crs="EPSG:4547",
    )
    roster = pd.DataFrame(
        {"post_id": ["p", "q"], "role": "leader", "x": [150.0, np.nan], "y": [150.0, np.nan]}
    )
    posts = assign_posts(grids, roster).posts.set_index("post_id")
    # p lives north of b, and gets it although a comes first
    assert posts.loc["p", "travel_m"] == pytest.approx(100.0)
    assert np.isnan(posts.loc["q", "travel_m"])
