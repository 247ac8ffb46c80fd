"""Who goes and nobody can take over: what is vacant then, and why."""

from __future__ import annotations

import openpyxl
import pandas as pd
import pytest
from test_beats_function import lattice
from test_hiring import apart, assert_agrees, holdings, roster

import gridpart as gp
from gridpart.cli import main
from gridpart.staffing import assign_posts, hire, leave


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
