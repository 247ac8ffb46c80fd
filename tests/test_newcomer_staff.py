"""What a staffing officer types on the first day: sums in odd cells, options said twice."""

from __future__ import annotations

import math

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
    assert max(map(len, said.splitlines())) <= 100
    assert "None" not in said
    assert run("workers", plan, "--limit", 400, "--by-community") == 0
    assert "None" not in capsys.readouterr().out
