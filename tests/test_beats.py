"""Posts with several grids: beats that hold together, against everything that could be tried."""

from __future__ import annotations

import itertools
import random

import geopandas as gpd
import networkx as nx
import pandas as pd
import pytest
from shapely import box

from gridpart.errors import InputError
from gridpart.staffing import assign_posts

INFINITE = float("inf")


def lattice(width, height, households, within=None, **columns):
    """Square grids in rows; g0 in the south-west."""
    cells = [box(x, y, x + 1, y + 1) for y in range(height) for x in range(width)]
    frame = gpd.GeoDataFrame(
        {"grid": [f"g{k}" for k in range(len(cells))], "households": households, **columns},
        geometry=cells,
        crs="EPSG:4547",
    )
    frame["geometry"] = frame.geometry.scale(100, 100, origin=(0, 0))
    return frame if within is None else frame.assign(within=within)


def touching(grids, *, across=False):
    """networkx graph of the grids that share a border, by shapely's own predicate."""
    graph = nx.Graph()
    graph.add_nodes_from(grids["grid"])
    homes = grids.get("within", [None] * len(grids))
    rows = list(zip(grids["grid"], grids.geometry, homes, strict=True))
    for (a, one, home), (b, other, place) in itertools.combinations(rows, 2):
        if one.intersection(other).length > 0 and (across or home == place):
            graph.add_edge(a, b)
    return graph


def roster(*posts):
    """Posts as (post_id, within, grid)."""
    frame = pd.DataFrame(posts, columns=["post_id", "within", "grid"])
    return frame.assign(role="leader")


def assert_beats(staffing, grids, **options):
    """Every post's grids touch each other and lie in one community; loads add up."""
    graph = touching(grids, **options)
    table = staffing.assignment
    for post, rows in table.groupby("post_id"):
        assert nx.is_connected(graph.subgraph(rows["grid"])), f"{post} is scattered"
    named = {*table["grid"], *staffing.vacancies["grid"]}
    assert named == set(grids["grid"])
    covered = table.drop_duplicates("grid")["households"].sum()
    assert table["load"].sum() == pytest.approx(covered)


# --- the oracle -------------------------------------------------------------------------------


def least_beats(loads, graph, seeds, free):
    """Least heaviest load of one place, by trying every way; seeds are the grids of posts."""
    held = {g: sum(seed == g for seed in seeds) for g in set(seeds)}
    bare = [g for g in loads if g not in held]
    if free >= len(bare):
        return least_shares(loads, held, free)
    workers = [*seeds, *[None] * free]
    best = INFINITE
    for choice in itertools.product(range(len(workers)), repeat=len(bare)):
        sets = [
            {g for g, k in zip(bare, choice, strict=True) if k == w} for w in range(len(workers))
        ]
        total = [
            sum(loads[g] for g in own) + (loads[seed] / held[seed] if seed is not None else 0)
            for own, seed in zip(sets, workers, strict=True)
        ]
        if max(total) >= best:
            continue
        whole = [own | ({seed} - {None}) for own, seed in zip(sets, workers, strict=True)]
        if all(not own or nx.is_connected(graph.subgraph(own)) for own in whole):
            best = max(total)
    return best


def least_shares(loads, held, free):
    """With a post for every grid: the least heaviest share."""
    grids = list(loads)
    best = INFINITE
    for extra in itertools.product(range(free + 1), repeat=len(grids)):
        counts = [held.get(g, 0) + more for g, more in zip(grids, extra, strict=True)]
        if sum(extra) == free and min(counts) > 0:
            best = min(best, max(loads[g] / n for g, n in zip(grids, counts, strict=True)))
    return best


def least_of_all(grids, posts):
    """Least heaviest load over all ways to send the posts without a home to a community.

    With a post for every grid nobody holds two; without, nobody comes second to a grid that way.
    """
    places = sorted(set(grids["within"]))
    loads = dict(zip(grids["grid"], grids["households"], strict=True))
    home = dict(zip(grids["grid"], grids["within"], strict=True))
    graph = touching(grids)
    rovers = sum(within is None and grid is None for _, within, grid in posts)
    seeds, own, bare = {}, {}, {}
    for place in places:
        seeds[place] = [grid for _, _, grid in posts if grid is not None and home[grid] == place]
        own[place] = sum(within == place and grid is None for _, within, grid in posts)
        bare[place] = sum(home[g] == place for g in loads) - len(set(seeds[place]))
    plenty = sum(max(bare[place] - own[place], 0) for place in places) <= rovers
    best = INFINITE
    for sent in itertools.product(places, repeat=rovers):
        free = {place: own[place] + sent.count(place) for place in places}
        if plenty and any(free[place] < bare[place] for place in places):
            continue
        if not plenty and any(free[place] > max(bare[place], own[place]) for place in places):
            continue
        worst = 0
        for place in places:
            here = {g: load for g, load in loads.items() if home[g] == place}
            worst = max(worst, least_beats(here, graph, seeds[place], free[place]))
        best = min(best, worst)
    return best


def small_case(seed):
    """A few grids in one or two communities, and a few posts."""
    draw = random.Random(seed)
    width, height = draw.choice([(3, 2), (4, 2), (3, 1), (5, 1), (7, 1), (2, 2)])
    n = width * height
    communities = draw.choice([1, 2])
    within = ["East" if communities == 2 and k % width >= width // 2 else "West" for k in range(n)]
    grids = lattice(width, height, [draw.randint(0, 500) for _ in range(n)], within)
    posts = []
    for k in range(draw.randint(1, 4)):
        kind = draw.random()
        place = draw.choice(sorted(set(within)))
        grid = draw.choice(grids.loc[grids["within"] == place, "grid"].tolist())
        bound = (None, None) if kind < 0.5 else (place, None) if kind < 0.8 else (None, grid)
        posts.append((f"p{k}", *bound))
    return grids, posts


@pytest.mark.parametrize("seed", range(200))
def test_worst_load_equals_the_exact_optimum(seed):
    grids, posts = small_case(seed)
    best = least_of_all(grids, posts)
    staffing = assign_posts(grids, roster(*posts))
    assert_beats(staffing, grids)
    if best == INFINITE:
        assert len(staffing.vacancies), "too few posts for every connected set of grids"
        return
    assert not len(staffing.vacancies)
    [summary] = staffing.summary.to_dict("records")
    assert summary["worst_load"] == pytest.approx(best)
    assert summary["gap"] == 0, "and it says so"


@pytest.mark.parametrize("seed", range(40))
def test_with_two_grids_at_most_as_few_stay_open_as_a_matching_allows(seed):
    """Some grids have a leader who stays; each of the others needs a neighbour's second hand."""
    draw = random.Random(seed)
    n = 12
    grids = lattice(4, 3, [draw.randint(100, 500) for _ in range(n)])
    seated = draw.sample(grids["grid"].tolist(), draw.randint(5, 9))
    staffing = assign_posts(grids, roster(*((f"p{g}", None, g) for g in seated)), max_grids=2)
    assert_beats(staffing, grids)
    pairs = nx.Graph()
    for a, b in touching(grids).edges:
        if (a in seated) != (b in seated):
            pairs.add_edge(a, b)
    matching = nx.max_weight_matching(pairs, maxcardinality=True)
    assert len(staffing.vacancies) == n - len(seated) - len(matching)
    assert staffing.posts["n_grids"].max() <= 2


def test_nobody_comes_second_to_a_grid_while_another_has_no_post_of_its_own():
    town = lattice(2, 1, [400, 400], ["U"] * 2)
    country = lattice(3, 1, [50, 50, 50], ["R"] * 3)
    country["geometry"] = country.geometry.translate(0, 1000)
    country["grid"] = ["r0", "r1", "r2"]
    grids = pd.concat([town, country], ignore_index=True)
    for posts, double, worst in [(4, 1, 400), (5, 0, 400), (7, 0, 200)]:
        leaders = roster(*((f"p{k}", None, None) for k in range(posts)))
        [summary] = assign_posts(grids, leaders).summary.to_dict("records")
        assert (summary["double_duties"], summary["worst_load"]) == (double, worst)
        assert summary["gap"] == 0
    # where that is allowed, two posts share the country's grids and three or four the town's
    free = assign_posts(grids, roster(*((f"p{k}", None, None) for k in range(5))), free_beats=True)
    assert free.summary["worst_load"].tolist() == [200]


def test_fixed_grids_of_two_communities_where_borders_may_be_crossed():
    grids = lattice(4, 1, [100, 200, 300, 400], ["A", "A", "B", "B"])
    leaders = pd.DataFrame({"post_id": ["p", "q"], "role": "leader", "fixed": ["g1; g2", None]})
    with pytest.raises(InputError, match="lie in several communities"):
        assign_posts(grids, leaders)
    staffing = assign_posts(grids, leaders, cross_borders=True)
    held = staffing.assignment.groupby("post_id")["grid"].agg(set)
    assert {"g1", "g2"} <= held["p"]
    # q takes one end and p the other: the lighter one, or p would have 900
    assert held["q"] == {"g3"}
    assert staffing.summary["worst_load"].tolist() == [600]
