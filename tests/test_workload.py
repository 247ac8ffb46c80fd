"""Workload against sums by hand and networkx; how unequal loads are, by the textbook."""

from __future__ import annotations

import math
import random

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

import gridpart as gp
from gridpart.errors import CRSError, InputError
from gridpart.staffing import assign_posts, gini, lorenz, overloaded, workload


def table_of(households, **columns):
    names = [f"g{k}" for k in range(len(households))]
    return pd.DataFrame({"grid": names, "households": households, **columns})


def units_in_rows(width, height, seed=0, side=40.0):
    draw = random.Random(seed)
    cells = [
        box(x * side, y * side, (x + 1) * side, (y + 1) * side)
        for y in range(height)
        for x in range(width)
    ]
    n = len(cells)
    return gpd.GeoDataFrame(
        {
            "households": [draw.choice([0, draw.randint(1, 30)]) for _ in range(n)],
            "over65": [draw.randint(0, 9) for _ in range(n)],
            "shops": [draw.random() for _ in range(n)],
        },
        geometry=cells,
        crs="EPSG:4547",
    )


@pytest.fixture(scope="module")
def plan():
    units = units_in_rows(10, 8)
    units.index = [f"unit {k}" for k in range(len(units))]
    return gp.partition(units, low=60, high=300, n_grids=6, effort="fast")


counts = st.lists(st.integers(0, 5000), min_size=1, max_size=8)


@given(counts, st.floats(0, 50), st.floats(0.001, 50), st.randoms(use_true_random=False))
def test_terms_are_weighted_columns_and_add_up(households, one, two, draw):
    extra = [draw.uniform(0, 900) for _ in households]
    grids = table_of(households, floats=extra)
    grids.index = draw.sample(range(100, 200), len(households))
    before = grids.copy()
    result = workload(grids, {"households": one, "floats": two})
    pd.testing.assert_frame_equal(grids, before)
    pd.testing.assert_index_equal(result.index, grids.index)
    assert list(result) == [
        "grid", "within", "households", "floats", "load_households", "load_floats", "load"
    ]  # fmt: skip
    for k in range(len(households)):
        row = result.iloc[k]
        assert row["load_households"] == pytest.approx(households[k] * one, abs=6e-4)
        assert row["load_floats"] == pytest.approx(extra[k] * two, abs=6e-4)
        assert row["load"] == pytest.approx(row["load_households"] + row["load_floats"], abs=1e-6)
        assert row["load"] * 1000 == pytest.approx(round(row["load"] * 1000), abs=1e-5)


def test_households_alone_by_default():
    result = workload(table_of([3, 0]))
    assert list(result) == ["grid", "within", "households", "load_households", "load"]
    assert result["load"].tolist() == [3.0, 0.0]


def test_columns_of_units_are_summed(plan):
    result = workload(plan, {"households": 1, "over65": 0.5, "shops": 2})
    pd.testing.assert_index_equal(result.index, plan.grids.index)
    assert result["grid"].tolist() == plan.grids["grid"].tolist()
    units = plan.units
    for _, row in result.iterrows():
        own = units[units["grid"] == row["grid"]]
        assert row["over65"] == own["over65"].sum()
        assert row["shops"] == pytest.approx(own["shops"].sum())
        load = own["households"].sum() + own["over65"].sum() / 2 + 2 * own["shops"].sum()
        assert row["load"] == pytest.approx(load, abs=2e-3)
    assert result["over65"].sum() == units["over65"].sum()
    assert assign_posts(
        plan, pd.DataFrame({"post_id": list("ab"), "role": "x"}), workload=result
    ).posts["load"].sum() == pytest.approx(result["load"].sum())


def spanning(points):
    graph = nx.Graph()
    graph.add_node(0)
    for i in range(len(points)):
        for j in range(i):
            graph.add_edge(i, j, weight=math.dist(points[i], points[j]))
    tree = nx.minimum_spanning_tree(graph)
    return sum(data["weight"] for _, _, data in tree.edges(data=True))


def walking_by_networkx(plan):
    units = plan.units
    lived_in = units[units["households"] > 0]
    points = {
        grid: [(p.x, p.y) for p in own.geometry.representative_point()]
        for grid, own in lived_in.groupby("grid")
    }
    return [spanning(points[g]) if g in points else 0.0 for g in plan.grids["grid"]]


def test_walking_is_the_minimum_spanning_tree(plan):
    result = workload(plan, {"households": 1, "walking_m": 0.1})
    assert result["walking_m"].tolist() == pytest.approx(walking_by_networkx(plan))
    assert result["load_walking_m"].tolist() == pytest.approx(
        (result["walking_m"] * 0.1).tolist(), abs=1e-3
    )


def test_walking_of_many_homes_runs_along_a_triangulation():
    draw = np.random.default_rng(3)
    x, y = np.cumsum(draw.integers(20, 60, (2, 22)), axis=1)
    cells = [box(x[i], y[j], x[i + 1], y[j + 1]) for j in range(21) for i in range(21)]
    units = gpd.GeoDataFrame({"households": [1] * len(cells)}, geometry=cells, crs="EPSG:4547")
    plan = gp.partition(units, low=1, high=1000, n_grids=1, effort="fast")
    found = workload(plan, {"walking_m": 1})["walking_m"].tolist()
    assert found == pytest.approx(walking_by_networkx(plan))


def test_areas_need_no_column(plan):
    grids = plan.grids
    bare = grids[["grid", "households", "geometry"]].rename_geometry("shape")
    weights = {"area_m2": 0.01}
    of_plan, of_layer = workload(plan, weights), workload(bare, weights)
    assert of_layer["area_m2"].tolist() == pytest.approx(of_plan["area_m2"].tolist())
    assert of_layer["area_m2"].sum() == pytest.approx(10 * 8 * 1600)
    own = bare.assign(area_m2=5.0)
    assert workload(own, weights)["area_m2"].eq(5).all(), "a column that is there is taken"
    with pytest.raises(CRSError, match="to_crs"):
        workload(bare.to_crs(4490), weights)
    with pytest.raises(CRSError, match="to_crs"):
        workload(bare.set_crs(None, allow_override=True), weights)
    with pytest.raises(InputError, match="no column 'area_m2'"):
        workload(pd.DataFrame(bare.drop(columns="shape")), weights)


def test_plan_layer_and_table_give_the_same_loads(plan):
    grids = plan.grids.assign(over65=workload(plan, {"over65": 1})["over65"])
    weights = {"households": 1, "over65": 0.25}
    one = workload(plan, weights)
    pd.testing.assert_frame_equal(workload(grids, weights), one)
    plain = pd.DataFrame(grids.drop(columns="geometry"))
    pd.testing.assert_frame_equal(workload(plain, weights), one)
    shuffled = grids.rename_geometry("shape").sample(frac=1, random_state=2)
    back = workload(shuffled, weights)
    pd.testing.assert_index_equal(back.index, shuffled.index)
    pd.testing.assert_frame_equal(back.sort_index(), one.sort_index())


def problems_of(grids, weights=None):
    with pytest.raises(InputError) as caught:
        workload(grids, weights)
    return {problem.kind: problem for problem in caught.value.problems}


def test_every_problem_is_told():
    grids = table_of([1, 2, 3], over65=[1, None, -2], words=["a", 2, "3"], inf=[1, math.inf, 2])
    found = problems_of(grids, {"over65": 1, "ovr65": 1})
    assert found["load_column"].examples == ("grid g1: nan", "grid g2: -2.0")
    assert "'over65'" in found["missing_column"].message, "the nearest is suggested"
    assert problems_of(grids, {"words": 1})["load_column"].examples == ("grid g0: 'a'",)
    assert problems_of(grids, {"inf": 1})["load_column"].examples == ("grid g1: inf",)
    assert "of a plan" in problems_of(grids, {"walking_m": 1})["missing_column"].message
    for weight in (-1, math.nan, math.inf, "2", True, None):
        assert "households" in problems_of(grids, {"households": weight})["weight"].examples[0]
    for weights in ({}, {"households": 0}):
        assert "above 0" in problems_of(grids, weights)["weight"].message
    for name in ("grid", "within", "load"):
        clash = grids.assign(**{name: [1, 2, 3]})
        assert "another name" in problems_of(clash, {name: 1})["reserved_column"].message
    assert "missing_column" in problems_of(grids.drop(columns="households"))
    assert "duplicate_grid" in problems_of(table_of([1, 2]).assign(grid="a"))
    assert "households" in problems_of(table_of([1, -2]))


def test_problems_of_units_are_told(plan):
    assert (
        "units have a column 'over66'" in problems_of(plan, {"over66": 1})["missing_column"].message
    )
    units = units_in_rows(3, 3)
    units["gap"] = [1.0] * 8 + [None]
    holed = gp.partition(units, low=1, high=1000, n_grids=1, effort="fast")
    assert problems_of(holed, {"gap": 1})["load_column"].examples == ("unit 8: nan",)


def test_a_workload_must_be_of_the_same_grids():
    grids = table_of([100, 200])
    roster = pd.DataFrame({"post_id": ["a", "b"], "role": "leader"})

    def assigned(table):
        return assign_posts(grids, roster, workload=table)

    table = workload(grids)
    for wrong in (
        table.iloc[:1],
        pd.concat([table, table.iloc[:1]]),
        table.assign(grid=["g0", "g7"]),
        table.drop(columns="load"),
        table.assign(load=[1, math.nan]),
        table.assign(load=[1, -1]),
    ):
        with pytest.raises(InputError):
            assigned(wrong)
    half = assigned(table.assign(load=table["load"] / 3))
    assert half.posts["load"].tolist() == pytest.approx([100 / 3, 200 / 3], abs=1e-3)


# --- how unequal loads are --------------------------------------------------------------------

some_loads = st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(lambda x: sum(x) > 1e-3)


@given(some_loads)
def test_gini_is_the_mean_difference(loads):
    n, mean = len(loads), math.fsum(loads) / len(loads)
    differences = math.fsum(abs(a - b) for a in loads for b in loads)
    assert gini(loads) == pytest.approx(differences / (2 * n * n * mean), abs=1e-9)
    assert gini(pd.Series(loads) * 3) == pytest.approx(gini(loads), abs=1e-9)


@given(some_loads)
def test_lorenz_curve_is_the_share_of_the_lightest(loads):
    curve = lorenz(loads)
    assert len(curve) == len(loads) + 1
    ordered = sorted(loads)
    for k, (posts, load) in enumerate(curve.itertuples(index=False)):
        assert posts == pytest.approx(k / len(loads))
        assert load == pytest.approx(math.fsum(ordered[:k]) / math.fsum(loads), abs=1e-9)
        assert load <= posts + 1e-9, "the curve hangs below the diagonal"


def test_loads_without_a_curve_are_refused():
    for loads in ([], [0, 0], [1, -1], [1, math.nan], [1, math.inf]):
        with pytest.raises(InputError, match="loads must be numbers"):
            lorenz(loads)
    assert gini([5]) == 0
    assert gini([0] * 99 + [1]) == pytest.approx(0.99)


@pytest.fixture
def two_roles():
    roster = pd.DataFrame(
        {
            "post_id": ["a", "b", "c", "d"],
            "role": ["leader", "leader", "leader", "police"],
            "grid": ["g0", "g0", "g1", None],
            "capacity": [100, 300, None, 50],
        }
    )
    return assign_posts(table_of([400, 150]), roster, scattered=True)


def test_curves_of_a_staffing_are_of_one_role(two_roles):
    with pytest.raises(InputError, match="name one of leader, police"):
        gini(two_roles)
    with pytest.raises(InputError, match="no post has the role 'cook'"):
        gini(two_roles, role="cook")
    assert gini(two_roles, role="leader") == pytest.approx(gini([200, 200, 150]))
    assert gini(two_roles, role="police") == 0


def test_overloaded_posts(two_roles):
    by_capacity = overloaded(two_roles)
    assert by_capacity.values.tolist() == [
        ["d", "police", 2, 550.0, 50.0, 500.0],
        ["a", "leader", 1, 200.0, 100.0, 100.0],
    ]
    assert overloaded(two_roles, 150)["post_id"].tolist() == ["d", "a", "b"]
    assert overloaded(two_roles, 550).empty, "at the limit is not above it"
    plain = assign_posts(table_of([5]), pd.DataFrame({"post_id": ["a"], "role": ["x"]}))
    with pytest.raises(InputError, match="no capacities"):
        overloaded(plain)
    assert plain.posts["load"].tolist() == [5.0]
