"""Small versions of the published places: what their numbers promise, against networkx.

In full, on towns of the published size, with a table: ``benchmarks/places.py``.
"""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely

import gridpart as gp
from gridpart.errors import InputError
from gridpart.staffing import assign_posts, beats

LOW, HIGH = 60, 160


@pytest.fixture(scope="module")
def plan():
    """A town in communities of 5 to 24 grids."""
    units = gp.county_town(800, seed=3).units
    return gp.partition(units, id="unit_id", within="community", low=LOW, high=HIGH, effort="fast")


@pytest.fixture(scope="module")
def ground(plan):
    """Grids of one community that share a border, by shapely alone."""
    grids = plan.grids
    graph = nx.Graph()
    for name, home, load in grids[["grid", "within", "households"]].itertuples(index=False):
        graph.add_node(name, within=home, load=int(load))
    shapes, names, homes = (
        grids.geometry.to_numpy(),
        grids["grid"].tolist(),
        grids["within"].tolist(),
    )
    pairs = zip(*shapely.STRtree(shapes).query(shapes, predicate="intersects"), strict=True)
    for a, b in pairs:
        touching = a < b and shapely.length(shapely.intersection(shapes[a], shapes[b])) > 0.002
        if touching and homes[a] == homes[b]:
            graph.add_edge(names[a], names[b])
    return graph


def posts(role, number):
    return pd.DataFrame({"post_id": [f"{role}-{k}" for k in range(number)], "role": role})


def required(staffing, role):
    """Sums of the posts required, filled, vacant and surplus."""
    table = staffing.required
    columns = ["required", "filled", "vacancies", "surplus", "grids_open"]
    return table[table["role"] == role][columns].sum().tolist()


def assert_beats(held, ground, graph_load):
    for post, own in held.items():
        assert nx.is_connected(ground.subgraph(own)), f"{post} is scattered"
    holders = Counter(grid for own in held.values() for grid in own)
    shares = sum(graph_load[g] / holders[g] for own in held.values() for g in own)
    assert shares == pytest.approx(sum(graph_load[g] for g in holders))


def held_by(staffing, role):
    table = staffing.assignment
    table = table[table["role"] == role]
    return {post: own.tolist() for post, own in table.groupby("post_id")["grid"]}


def bottleneck(edges, wanted):
    """The smallest load of the heaviest of so many disjoint pairs."""
    for cap in sorted({load for *_, load in edges}):
        graph = nx.Graph([(a, b) for a, b, load in edges if load <= cap])
        if len(nx.max_weight_matching(graph, maxcardinality=True)) >= wanted:
            return cap
    raise AssertionError("there are no so many pairs")


def pairs(ground):
    load = nx.get_node_attributes(ground, "load")
    return [(a, b, load[a] + load[b]) for a, b in ground.edges]


def test_haibowan_leaders_are_as_many_as_a_matching_needs(plan, ground):
    # as 390 leaders on 435 grids: one grid in ten has no leader of its own
    number = round(len(ground) * 390 / 435)
    doubled = len(ground) - number
    assert len(nx.max_weight_matching(ground, maxcardinality=True)) >= doubled
    standard = gp.load_standard("haibowan")
    staffing = assign_posts(plan, posts("leader", number), team=standard)
    load = nx.get_node_attributes(ground, "load")
    assert_beats(held_by(staffing, "leader"), ground, load)
    assert Counter(staffing.posts["n_grids"]) == {1: number - doubled, 2: doubled}
    assert staffing.vacancies.empty
    assert required(staffing, "leader") == [len(ground), number, doubled, 0, 0]
    best = max(*load.values(), bottleneck(pairs(ground), doubled))
    assert staffing.summary["worst_load"][0] == best


@pytest.mark.parametrize("seed", range(4))
def test_haibowan_leaders_who_sit_take_what_a_matching_allows(plan, ground, seed):
    number = round(len(ground) * 390 / 435)
    names = sorted(ground)
    seats = np.random.default_rng(seed).permutation(len(names))[:number]
    roster = posts("leader", number).assign(grid=[names[k] for k in seats])
    held = set(roster["grid"])
    load = nx.get_node_attributes(ground, "load")
    edges = [
        (bare, leader, load[bare] + load[leader])
        for bare in names
        if bare not in held
        for leader in ground[bare]
        if leader in held
    ]
    led = len(nx.max_weight_matching(nx.Graph([e[:2] for e in edges]), maxcardinality=True))
    staffing = assign_posts(plan, roster, team=gp.load_standard("haibowan"))
    assert_beats(held_by(staffing, "leader"), ground, load)
    assert staffing.posts["n_grids"].max() == 2
    assert staffing.summary["moved"][0] == 0
    assert len(staffing.vacancies) == len(names) - number - led
    if led == len(names) - number:
        best = max(*(load[grid] for grid in held), bottleneck(edges, led))
        assert staffing.summary["worst_load"][0] == best


def test_changde_teams_are_all_surplus_because_only_totals_were_published(plan, ground):
    n = len(ground)
    teams = {"village_cadre": 2 * n, "full_timer": 3 * n, "volunteer": n // 3}
    roster = pd.concat([posts(role, number) for role, number in teams.items()])
    staffing = assign_posts(plan, roster, team=gp.load_standard("changde"))
    load = nx.get_node_attributes(ground, "load")
    for role, number in teams.items():
        assert required(staffing, role) == [0, 0, 0, number, 0]
        held = held_by(staffing, role)
        assert len(held) == number
        assert_beats(held, ground, load)
        assert {g for own in held.values() for g in own} == set(ground)


def test_yumen_workers_share_grids_where_most_households_are(plan, ground):
    # as 1,807 workers on 713 grids
    number = round(len(ground) * 1807 / 713)
    staffing = assign_posts(plan, posts("worker", number), team=gp.load_standard("yumen"))
    assert required(staffing, "worker") == [0, 0, 0, number, 0]
    load = nx.get_node_attributes(ground, "load")
    assert_beats(held_by(staffing, "worker"), ground, load)
    counts = staffing.assignment["grid"].value_counts()
    worst = max(load[g] / counts[g] for g in ground)
    assert staffing.summary["worst_load"][0] == pytest.approx(worst)
    # fewest that any load below the worst would need, grid by grid
    needed = sum(max(1, -(-load[g] // (worst - 1e-6))) for g in ground)
    assert needed > number


def test_zhijiang_officers_serve_a_community_each_and_fewer_must_cross_borders(plan, ground):
    homes = sorted(set(nx.get_node_attributes(ground, "within").values()))
    roster = pd.concat(
        [posts(role, len(homes)).assign(within=homes) for role in ("police", "doctor")]
    )
    staffing = assign_posts(plan, roster, team=gp.load_standard("zhijiang"))
    for role in ("police", "doctor"):
        assert required(staffing, role) == [len(homes), len(homes), 0, 0, 0]
    fewer = len(homes) - 2
    with pytest.raises(InputError, match="every connected set"):
        beats(plan, fewer)
    found = beats(plan, fewer, cross_borders=True)
    assert len(found.beats) == fewer
    assert found.beats["households"].sum() == plan.grids["households"].sum()
    assert found.worst_load >= plan.grids["households"].sum() / fewer
