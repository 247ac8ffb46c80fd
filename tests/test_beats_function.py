"""Beats and workers needed, against everything that could be tried; and who touches whom."""

from __future__ import annotations

import itertools
import math
import random

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import LineString, MultiPolygon, box

import gridpart as gp
from gridpart.errors import CRSError, InputError
from gridpart.staffing import assign_posts, beats, workers_needed, workload

INFINITE = math.inf


def lattice(width, height, households, within=None, side=100.0):
    """Square grids in rows; g0 in the south-west."""
    cells = [
        box(x * side, y * side, (x + 1) * side, (y + 1) * side)
        for y in range(height)
        for x in range(width)
    ]
    names = [f"g{k}" for k in range(len(cells))]
    frame = gpd.GeoDataFrame(
        {"grid": names, "households": households}, geometry=cells, crs="EPSG:4547"
    )
    return frame if within is None else frame.assign(within=within)


def touching(grids, *, across=False):
    """networkx graph of grids that share a border, by shapely's own predicate."""
    graph = nx.Graph()
    graph.add_nodes_from(grids["grid"])
    places = grids["within"].tolist() if "within" in grids else [None] * len(grids)
    rows = list(zip(grids["grid"], grids.geometry, places, strict=True))
    for (a, one, home), (b, other, place) in itertools.combinations(rows, 2):
        if one.intersection(other).length > 0 and (across or home == place):
            graph.add_edge(a, b)
    return graph


def connected_sets(graph, fits):
    """Every connected set of nodes that fits, as frozensets."""
    nodes = list(graph)
    return [
        frozenset(some)
        for size in range(1, len(nodes) + 1)
        for some in itertools.combinations(nodes, size)
        if fits(some) and nx.is_connected(graph.subgraph(some))
    ]


def partitions(nodes, sets):
    """Every way to divide nodes into some of the sets."""
    nodes = frozenset(nodes)
    if not nodes:
        yield []
        return
    first = min(nodes)
    for one in sets:
        if first in one and one <= nodes:
            for rest in partitions(nodes - one, sets):
                yield [one, *rest]


def least_heaviest(graph, loads, max_grids=None):
    """Least heaviest beat for every number of beats of a graph."""
    sets = connected_sets(graph, lambda some: max_grids is None or len(some) <= max_grids)
    best = {}
    for parts in partitions(graph, sets):
        worst = max(sum(loads[g] for g in part) for part in parts)
        best[len(parts)] = min(best.get(len(parts), INFINITE), worst)
    return best


def least_of_communities(grids, n, **options):
    """The same over all ways to give every community some of n beats."""
    loads = dict(zip(grids["grid"], grids["households"], strict=True))
    graph = touching(grids)
    per_place = [
        least_heaviest(graph.subgraph(rows["grid"]), loads, **options)
        for _, rows in grids.groupby("within")
    ]
    found = {0: 0}
    for table in per_place:
        found_ = {}
        for (have, worst), (count, own) in itertools.product(found.items(), table.items()):
            key = have + count
            found_[key] = min(found_.get(key, INFINITE), max(worst, own))
        found = found_
    return found.get(n, INFINITE)


def draw_grids(draw, shapes=((3, 2), (4, 2), (5, 1), (7, 1), (2, 2), (3, 1), (1, 1))):
    width, height = draw.choice(shapes)
    n = width * height
    top = draw.choice([3, 500, 500, 10**9])
    two = draw.random() < 0.5
    within = ["East" if two and k % width >= (width + 1) // 2 else "West" for k in range(n)]
    return lattice(width, height, [draw.randint(0, top) for _ in range(n)], within)


def assert_beats(found, grids, *, across=False):
    graph = touching(grids, across=across)
    table = found.grids
    pd.testing.assert_index_equal(table.index, grids.index)
    assert table["grid"].tolist() == grids["grid"].tolist()
    for beat, rows in table.groupby("beat"):
        assert nx.is_connected(graph.subgraph(rows["grid"])), f"beat {beat} is scattered"
    sums = table.groupby("beat")["load"].agg(["size", "sum"])
    listed = found.beats.set_index("beat")
    assert sums["size"].to_dict() == listed["n_grids"].to_dict()
    assert sums["sum"].to_dict() == listed["load"].to_dict()
    assert found.worst_load == sums["sum"].max()
    assert found.lower_bound <= found.worst_load


# --- beats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_heaviest_beat_equals_brute_force(seed):
    draw = random.Random(seed)
    grids = draw_grids(draw)
    across = draw.random() < 0.3
    limit = draw.choice([None, None, 2, 3])
    graph = touching(grids, across=across)
    n = draw.randint(1, len(grids))
    if across:
        loads = dict(zip(grids["grid"], grids["households"], strict=True))
        best = least_heaviest(graph, loads, max_grids=limit).get(n, INFINITE)
    else:
        best = least_of_communities(grids, n, max_grids=limit)
    if best == INFINITE:
        with pytest.raises(InputError, match="beats are possible"):
            beats(grids, n, max_grids=limit, cross_borders=across)
        return
    found = beats(grids, n, max_grids=limit, cross_borders=across)
    assert_beats(found, grids, across=across)
    assert len(found.beats) == n
    assert found.worst_load == best
    assert found.gap == 0, "and it is proven"
    assert limit is None or found.beats["n_grids"].max() <= limit


@pytest.mark.parametrize("seed", range(60))
def test_a_number_for_every_community_is_kept(seed):
    draw = random.Random(1000 + seed)
    grids = draw_grids(draw)
    limit = draw.choice([None, None, 2])
    loads = dict(zip(grids["grid"], grids["households"], strict=True))
    graph = touching(grids)
    tables = {
        place: least_heaviest(graph.subgraph(rows["grid"]), loads, max_grids=limit)
        for place, rows in grids.groupby("within")
    }
    n = {place: draw.choice(sorted(table)) for place, table in tables.items()}
    found = beats(grids, n, max_grids=limit)
    assert_beats(found, grids)
    assert found.beats.groupby("within").size().to_dict() == n
    heaviest = found.beats.groupby("within")["load"].max()
    assert heaviest.max() == max(tables[place][count] for place, count in n.items())


@pytest.mark.parametrize("n", [1, 2, 5, 17, 18])
def test_the_number_is_exact_where_nothing_can_be_tried_through(n):
    draw = random.Random(n)
    grids = lattice(6, 3, [draw.randint(1, 400) for _ in range(18)])
    found = beats(grids, n)
    assert_beats(found, grids)
    assert len(found.beats) == n


def test_impossible_numbers_are_refused():
    grids = lattice(4, 1, [10, 20, 30, 40], ["W", "W", "E", "E"])
    for n in (0, 1, 5, -3):
        with pytest.raises(InputError, match="from 2 to 4 beats are possible"):
            beats(grids, n)
    for n in (2.5, "3", True, math.nan):
        with pytest.raises(InputError, match="must be a whole number"):
            beats(grids, n)
    with pytest.raises(InputError) as caught:
        beats(grids, {"W": 3, "N": 1})
    assert [problem.kind for problem in caught.value.problems] == [
        "unknown_community",
        "number_of_beats",  # E has no number
        "number_of_beats",  # W has more than grids
    ]
    with pytest.raises(InputError, match="one number"):
        beats(grids, {"W": 1, "E": 1}, cross_borders=True)
    with pytest.raises(InputError, match="max_grids must be at least 1"):
        beats(grids, 2, max_grids=0)
    with pytest.raises(InputError, match="from 2 to 4"):
        beats(lattice(4, 1, [1] * 4), 1, max_grids=2)
    assert len(beats(grids, np.int64(3)).beats) == 3


def test_communities_may_be_numbers():
    grids = lattice(4, 1, [10, 20, 30, 40], [1, 1, 2, 2])
    assert beats(grids, {1: 1, 2: 2}).beats["within"].tolist() == ["1", "2", "2"]


def test_beats_need_to_know_who_touches():
    table = pd.DataFrame(lattice(2, 1, [1, 2]).drop(columns="geometry"))
    with pytest.raises(InputError, match="nothing says which grids touch"):
        beats(table, 1)
    with pytest.raises(InputError, match="nothing says which grids touch"):
        workers_needed(table, 10)


def test_loads_beyond_counting_are_refused():
    with pytest.raises(InputError, match="can be shared"):
        beats(lattice(2, 2, [10**15] * 4), 2)
    grids = lattice(4, 3, [10**9] * 12)
    table = workload(grids, {"households": 0.3})
    assert beats(grids, 4, workload=table).worst_load == 9e8


def test_beats_of_a_workload():
    grids = lattice(4, 1, [10, 20, 30, 40]).assign(shops=[40, 0, 0, 0])
    table = workload(grids, {"households": 0.5, "shops": 1.25})
    found = beats(grids, 2, workload=table.sample(frac=1, random_state=1))
    assert found.grids["beat"].tolist() == ["1", "2", "2", "2"]
    assert found.worst_load == 55.0
    assert found.beats["households"].tolist() == [10, 90]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_changes_no_beat(seed):
    draw = random.Random(seed)
    grids = draw_grids(draw, shapes=[(4, 3)])
    n = draw.randint(2, 8)
    one = beats(grids, n).grids.set_index("grid")["beat"]
    shuffled = grids.sample(frac=1, random_state=seed).rename_geometry("shape")
    shuffled.index = [f"row {k}" for k in range(len(grids))]
    before = shuffled.copy()
    other = beats(shuffled, n).grids
    pd.testing.assert_frame_equal(pd.DataFrame(shuffled), pd.DataFrame(before))
    pd.testing.assert_index_equal(other.index, shuffled.index)
    assert other.set_index("grid")["beat"].to_dict() == one.to_dict()


# --- workers needed ---------------------------------------------------------------------------


def fewest_workers(grids, limit, *, max_grids=None, across=False):
    """Grids above the limit by division; the others by trying every way of making beats."""
    loads = dict(zip(grids["grid"], grids["households"], strict=True))
    heavy = [g for g, load in loads.items() if load > limit]
    graph = touching(grids, across=across)
    graph.remove_nodes_from(heavy)
    sets = connected_sets(
        graph,
        lambda some: (
            (max_grids is None or len(some) <= max_grids) and sum(loads[g] for g in some) <= limit
        ),
    )
    light = sum(
        min(len(parts) for parts in partitions(members, [s for s in sets if s <= members]))
        for members in nx.connected_components(graph)
    )
    return light + sum(-(-loads[g] // limit) for g in heavy)


@pytest.mark.parametrize("seed", range(120))
def test_workers_needed_equal_brute_force(seed):
    draw = random.Random(5000 + seed)
    grids = draw_grids(draw)
    top = max(int(grids["households"].max()), 1)
    limit = max(int(top * draw.choice([0.1, 0.4, 0.7, 1, 1.5, 3])), 1)
    across = draw.random() < 0.3
    max_grids = draw.choice([None, None, 2, 3])
    found = workers_needed(grids, limit, max_grids=max_grids, cross_borders=across)
    best = fewest_workers(grids, limit, max_grids=max_grids, across=across)
    assert found.workers == found.at_least == best
    assert found.proven
    assert found.places["workers"].sum() == best
    assert found.places["grids"].sum() == len(grids)
    assert found.places["load"].sum() == grids["households"].sum()
    alone = workers_needed(grids, limit, one_grid_each=True)
    assert alone.workers == sum(max(-(-load // limit), 1) for load in grids["households"])
    assert alone.proven
    assert alone.workers >= best


def test_limits_at_the_edge():
    grids = lattice(3, 1, [0, 0, 0])
    assert workers_needed(grids, 1).workers == 1, "nobody lives there, somebody serves it"
    assert workers_needed(grids, 1, one_grid_each=True).workers == 3
    grids = lattice(2, 1, [100, 50])
    assert workers_needed(grids, 1e30).workers == 1
    assert workers_needed(grids, 0.5).workers == 300
    assert workers_needed(grids, 100 / 3).workers == 3 + 2
    for limit in (0, -1, math.inf, math.nan, 1e-6):
        with pytest.raises(InputError, match="limit"):
            workers_needed(grids, limit)


def test_workers_needed_are_enough_for_assign_posts():
    draw = random.Random(7)
    for _ in range(10):
        grids = draw_grids(draw)
        limit = max(int(grids["households"].max()), 1)
        needed = workers_needed(grids, limit)
        posts = pd.DataFrame({"post_id": [f"p{k}" for k in range(needed.workers)]})
        staffing = assign_posts(grids, posts.assign(role="leader"))
        assert staffing.summary["worst_load"].item() <= limit


# --- who touches whom -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plan():
    units = lattice(12, 8, [10] * 96, side=50.0).drop(columns="grid")
    return gp.partition(units, low=60, high=140, n_grids=9, effort="fast")


def same_assignment(one, other):
    columns = ["post_id", "grid", "load"]
    pd.testing.assert_frame_equal(one.assignment[columns], other.assignment[columns])


def test_plan_layer_and_table_say_the_same(plan):
    grids = plan.grids
    posts = pd.DataFrame({"post_id": list("abcd"), "role": "leader"})
    graph = touching(grids)
    table = pd.DataFrame(list(graph.edges), columns=["focal", "neighbor"])
    lengths = grids.set_index("grid").geometry
    table["border_m"] = [
        lengths[a].intersection(lengths[b]).length
        for a, b in zip(table["focal"], table["neighbor"], strict=True)
    ]
    of_plan = assign_posts(plan, posts)
    of_layer = assign_posts(grids, posts)
    of_table = assign_posts(grids, posts, neighbours=table)
    twice = pd.concat([table, table.rename(columns={"focal": "neighbor", "neighbor": "focal"})])
    same_assignment(of_plan, of_layer)
    same_assignment(of_plan, of_table)
    same_assignment(of_plan, assign_posts(grids, posts, neighbours=twice))
    for _, rows in of_plan.assignment.groupby("post_id"):
        assert nx.is_connected(graph.subgraph(rows["grid"]))


def test_grids_on_both_sides_of_a_closed_barrier_are_no_beat():
    units = lattice(4, 2, [100] * 8).drop(columns="grid")
    river = gpd.GeoDataFrame(geometry=[LineString([(200, -50), (200, 250)])], crs=units.crs)
    open_plan = gp.partition(units, low=100, high=100)
    plan = gp.partition(units, low=100, high=100, barriers=river)
    assert len(plan.grids) == 8
    assert workers_needed(open_plan, 800).workers == 1
    assert workers_needed(plan, 800).workers == 2
    with pytest.raises(InputError, match="from 2 to 8"):
        beats(plan, 1)
    found = beats(plan, 3)
    west = plan.grids.set_index("grid").geometry.centroid.x < 200
    sides = found.grids.set_index("grid")["beat"].groupby(west).unique()
    assert not set(sides[True]) & set(sides[False])
    one = assign_posts(plan, pd.DataFrame({"post_id": ["a"], "role": "leader"}))
    assert len(one.vacancies) == 4, "one post cannot serve both banks"
    bridge = gpd.GeoDataFrame(geometry=[shapely.Point(200, 50).buffer(30)], crs=units.crs)
    bridged = gp.partition(units, low=100, high=100, barriers=river, crossings=bridge)
    assert workers_needed(bridged, 800).workers == 1


def test_grids_in_several_parts_and_t_junctions():
    cells = [
        MultiPolygon([box(0, 0, 100, 100), box(500, 0, 600, 100)]),  # two parts
        box(400, 0, 500, 50),  # beside its second part, half as high
        box(400, 50, 500, 100),
        box(100, 100, 200, 200),  # touches the first part in a point
    ]
    grids = gpd.GeoDataFrame(
        {"grid": list("abcd"), "households": [10, 20, 30, 40]}, geometry=cells, crs="EPSG:4547"
    )
    assert workers_needed(grids, 1000).workers == 2, "d touches nobody along a line"
    found = beats(grids, 2)
    assert found.grids["beat"].tolist() == ["1", "1", "1", "2"]
    with pytest.raises(InputError, match="from 2 to 4"):
        beats(grids, 1)


def test_tables_of_neighbours_are_checked():
    grids = pd.DataFrame({"grid": ["a", "b"], "grid_code": ["01", "02"], "households": [1, 2]})
    with pytest.raises(InputError, match="no column neighbor"):
        beats(grids, 1, neighbours=pd.DataFrame({"focal": ["a"]}))
    wrong = pd.DataFrame({"focal": ["a", "x"], "neighbor": [None, "b"]})
    with pytest.raises(InputError) as caught:
        beats(grids, 1, neighbours=wrong)
    assert sorted(caught.value.problems[0].examples) == ["row 0: None", "row 1: 'x'"]
    for metres in (math.nan, -5, 0, "far"):
        table = pd.DataFrame({"focal": ["a"], "neighbor": ["b"], "border_m": [metres]})
        with pytest.raises(InputError, match="border_m must be metres above 0"):
            beats(grids, 1, neighbours=table)
    codes = pd.DataFrame({"focal": ["01"], "neighbor": ["02"], "border_m": ["12.5"]})
    assert len(beats(grids, 1, neighbours=codes).beats) == 1
    alone = pd.DataFrame({"focal": ["a"], "neighbor": ["a"]})
    with pytest.raises(InputError, match="from 2 to 2"):
        beats(grids, 1, neighbours=alone)


def test_borders_are_measured_in_metres_only():
    grids = lattice(2, 1, [1, 2])
    with pytest.raises(CRSError):
        beats(grids.set_crs(None, allow_override=True), 1)
    with pytest.raises(CRSError):
        beats(grids.to_crs(4490), 1)
