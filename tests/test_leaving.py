"""One worker less: against everything that could be tried; what is vacant then, and why."""

from __future__ import annotations

import itertools
import math
import random

import networkx as nx
import openpyxl
import pandas as pd
import pytest
from test_beats_function import lattice, touching
from test_hiring import apart, assert_agrees, draw_case, holdings, loads_from, roster

import gridpart as gp
from gridpart.cli import main
from gridpart.staffing import assign_posts, hire, leave

INFINITE = math.inf


def two_communities():
    return lattice(4, 1, [10, 100, 500, 0], ["W", "W", "E", "E"])


def reasons(change):
    steps = change.steps
    open_ = steps[steps["to"].isna()]
    vacant = change.staffing.vacancies
    assert set(open_["grid"]) <= set(vacant["grid"])
    sizes = dict(zip(vacant["grid"], vacant["households"], strict=True))
    assert open_["households"].tolist() == [sizes[grid] for grid in open_["grid"]]
    assert (steps["reason"].isna() == steps["to"].notna()).all()
    return dict(zip(open_["grid"], open_["reason"], strict=True))


def test_the_last_of_a_role_leaves_its_grids_vacant():
    grids = two_communities()
    cooks = roster(("x", None, None), ("y", None, None)).assign(role="cook")
    before = assign_posts(grids, pd.concat([roster(("a", None, "g0;g1")), cooks]))
    change = leave(before, "a")
    assert reasons(change) == dict.fromkeys(["g0", "g1"], "there is no other leader")
    assert (change.worst_before, change.worst_after) == (110, 0)
    after = change.staffing
    assert after.vacancies["grid"].tolist() == ["g0", "g1", "g2", "g3"], "E was open before"
    assert after.posts["post_id"].tolist() == ["x", "y"]
    assert set(after.assignment["post_id"]) == {"x", "y"}
    row = after.summary.set_index("role").loc["leader"]
    names = ["posts", "grids", "vacancies", "mean_load", "worst_load", "lower_bound", "gap"]
    assert row[names].tolist() == [0, 0, 4, 0, 0, 0, 0]
    for name in ("assignment", "posts", "summary"):
        one, other = getattr(before, name), getattr(after, name)
        pd.testing.assert_frame_equal(
            one[one["role"] == "cook"].reset_index(drop=True),
            other[other["role"] == "cook"].reset_index(drop=True),
        )
    assert "leader: 0 posts on 0 grids" in repr(after)
    assert before.posts["post_id"].tolist() == ["x", "y", "a"], "what was there is not changed"


def test_a_role_without_posts_can_be_asked_about(tmp_path):
    grids = two_communities()
    gone = leave(assign_posts(grids, roster(("a", "W", None))), "a").staffing
    again = hire(gone, 2, role="leader")
    assert again.steps["grids"].tolist() == ["g2; g3", "g0; g1"]
    assert again.staffing.vacancies.empty
    assert_agrees(again.staffing, grids)
    gp.write_staff_workbook(gone, grids, tmp_path / "staff.xlsx")
    book = openpyxl.load_workbook(tmp_path / "staff.xlsx")
    assert book["vacancies"].max_row >= 5


def test_the_last_of_a_community_leaves_its_grids_vacant():
    grids = two_communities()
    before = assign_posts(grids, roster(("a", "W", None), ("b", "E", None)))
    change = leave(before, "a")
    assert reasons(change) == dict.fromkeys(["g0", "g1"], "no other leader serves W")
    assert holdings(change.staffing) == {"b": {"g2", "g3"}}
    assert_agrees(change.staffing, grids)


def test_why_nobody_takes_over_is_said():
    grids = two_communities()
    four = roster(*[(post, None, f"g{k}") for k, post in enumerate("abcd")])
    assert reasons(leave(assign_posts(grids, four, max_grids=1), "a")) == {
        "g0": "those who touch it have 1 grid, the most allowed"
    }
    west = roster(("a", None, "g0"), ("b", None, "g1"))
    assert reasons(leave(assign_posts(apart(1, 2), west), "a")) == {
        "g0": "no other leader touches it"
    }
    named = apart(1, 2).assign(within="W")
    assert reasons(leave(assign_posts(named, west), "a")) == {
        "g0": "no other leader of W touches it"
    }
    idle = pd.concat([west.iloc[:1], roster(("b", "V", None))])
    places = apart(1, 0, 2).assign(within=["W", "W", "V"])
    assert reasons(leave(assign_posts(places, idle, cross_borders=True), "b")) == {
        "g2": "no other leader touches it"
    }
    across = assign_posts(grids, four.iloc[:2], cross_borders=True, max_grids=2)
    taken = leave(across, "b")
    assert reasons(taken) == {"g2": "those who touch it have 2 grids, the most allowed"}
    assert taken.steps["to"].dropna().tolist() == ["a"]


@pytest.mark.parametrize("team", [None, "base"])
def test_the_workbook_is_written_when_the_only_one_goes(tmp_path, capsys, team):
    gp.partition(gp.load_sample(), within="community", low=200, high=500).save(
        tmp_path / "plan.gpkg"
    )
    grids = gp.read_plan(tmp_path / "plan.gpkg").grids
    posts = pd.DataFrame({"post_id": ["P1", "L1"], "role": ["police", "leader"]})
    posts["grid"] = [";".join(grids.loc[grids["within"] == grids["within"][0], "grid"]), None]
    posts.to_csv(tmp_path / "roster.csv", index=False)
    out = tmp_path / "staff.xlsx"
    team = [] if team is None else ["--team", team]
    code = main([
        "staff", str(tmp_path / "plan.gpkg"), "--roster", str(tmp_path / "roster.csv"),
        "-o", str(out), *team, "--leave", "P1",
    ])  # fmt: skip
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "there is no other police" in said.out
    rows = list(openpyxl.load_workbook(out)["leave P1"].values)
    head = rows[0]
    held = grids[grids["within"] == grids["within"][0]]
    assert {row[head.index("grid")] for row in rows[1:]} == set(held["grid"])
    assert sum(row[head.index("households")] for row in rows[1:]) == held["households"].sum()
    assert {row[head.index("reason")] for row in rows[1:]} == {"there is no other police"}


def best_takers(held, left, graph, loads, places, max_grids, *, across):
    """Least heaviest taker of all ways to hand over the grids that can be; by brute force."""
    now = {
        post: sum(loads[g] / sum(g in other for other in held.values()) for g in own)
        for post, own in held.items()
    }
    reach = set()
    for piece in nx.connected_components(graph.subgraph(left)):
        near = {v for g in piece for v in graph[g]} - piece
        if any(own & near and (max_grids is None or len(own) < max_grids) for own in held.values()):
            reach |= piece
    reach = sorted(reach)
    best = (len(left) + 1, INFINITE)
    for takers in itertools.product([*held, None], repeat=len(reach)):
        given = dict(zip(reach, takers, strict=True))
        worst = 0.0
        for post, own in held.items():
            taken = {g for g, k in given.items() if k == post}
            if not taken:
                continue
            whole = graph.subgraph(own | taken)
            fits = max_grids is None or len(own | taken) <= max_grids
            parts = nx.number_connected_components(whole)
            if not own or not fits or parts > nx.number_connected_components(graph.subgraph(own)):
                worst = INFINITE
                break
            if any(not (c & own) for c in nx.connected_components(whole)):
                worst = INFINITE
                break
            worst = max(worst, now[post] + sum(loads[g] for g in taken))
        if worst < INFINITE:
            best = min(best, (len(left) - sum(k is not None for k in takers), worst))
    return best


@pytest.mark.parametrize("seed", range(120))
def test_heaviest_taker_is_the_least_possible(seed):
    draw = random.Random(9000 + seed)
    grids, posts = draw_case(draw, kept=0.7)
    if len(posts) == 1:
        posts = pd.concat([posts, roster(("p9", None, None))], ignore_index=True)
    across = draw.random() < 0.3
    limit = draw.choice([None, None, None, 3])
    before = assign_posts(grids, posts, cross_borders=across, max_grids=limit)
    held = holdings(before)
    gone = max(held, key=lambda post: (len(held[post]), post))
    change = leave(before, gone)
    after = holdings(change.staffing)
    assert_agrees(change.staffing, grids)
    graph = touching(grids, across=across)
    loads = dict(zip(grids["grid"], grids["households"], strict=True))
    others = {post: own for post, own in held.items() if post != gone}
    left = {g for g in held[gone] if not any(g in own for own in others.values())}
    assert set(after) == set(others)
    for post, own in others.items():
        assert own <= after[post] <= own | left, "only the leaver's grids change hands"
    assert set(change.steps["grid"]) == left
    takers = change.steps.dropna(subset=["to"])
    best_open, best = best_takers(others, left, graph, loads, None, limit, across=across)
    assert len(left) - len(takers) >= best_open
    if limit is None:
        assert len(left) - len(takers) == best_open
    if len(left) - len(takers) == best_open and limit is None:
        assert takers["load_after"].max() == pytest.approx(best) or not len(takers)
    for own in after.values():
        assert not own or nx.is_connected(graph.subgraph(own))
        assert limit is None or len(own) <= limit
    loads_after = loads_from(after, grids)
    assert takers["load_after"].tolist() == pytest.approx([loads_after[k] for k in takers["to"]])
    assert change.worst_after == pytest.approx(max(loads_after.values()))


def test_a_limit_holds_for_all_that_a_post_takes():
    grids = lattice(3, 2, [10] * 6)
    # b holds the corners of the upper row, a the grid between them, c, d and e the lower row
    posts = roster(
        ("a", None, "g4"), ("b", None, "g3;g5"), ("c", None, "g0;g1"), ("d", None, "g2;g1")
    )
    staffing = assign_posts(grids, posts, max_grids=2)
    change = leave(staffing, "b")
    assert len(holdings(change.staffing)["a"]) == 2, "not three"
    assert len(change.staffing.vacancies) == 1


def test_several_pieces_are_shared_out_together():
    grids = lattice(5, 1, [100, 30, 50, 30, 200])
    posts = roster(("a", None, "g0"), ("b", None, "g1;g3"), ("c", None, "g2"), ("d", None, "g4"))
    change = leave(assign_posts(grids, posts), "b")
    assert change.steps[["grid", "to"]].values.tolist() == [["g1", "c"], ["g3", "c"]]


def test_shared_grids_stay_and_what_nobody_touches_is_open():
    grids = apart(100, 200)
    shared = assign_posts(grids, roster(("a", None, "g0"), ("b", None, "g0"), ("c", None, "g1")))
    change = leave(shared, "a")
    assert change.steps.empty
    assert change.staffing.vacancies.empty
    assert change.worst_after == 200
    change = leave(shared, "c")
    assert change.steps["to"].isna().tolist() == [True]
    assert change.staffing.vacancies["grid"].tolist() == ["g1"]
    again = hire(change.staffing, 1, role="leader")
    assert again.steps["grids"].tolist() == ["g1"]
    assert again.staffing.vacancies.empty
    assert leave(hire(shared, 1, role="leader").staffing, "new 1").staffing.vacancies.empty
