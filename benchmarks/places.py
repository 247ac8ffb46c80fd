"""The five published places: do their numbers of people and grids work out, and how well.

    python benchmarks/places.py [--seed 1] [--only PLACE]

Only numbers were published, so the grids are those of generated towns, divided by `partition` into
exactly the published number. The posts required, filled, vacant and surplus of every place are
compared with the published totals; what can be proven is proven here a second time, with networkx:
whether 390 leaders can lead 435 grids at two neighbouring grids each is a question of a maximum
matching, free or with 390 leaders who are there already. Where posts are fewer than grids, two ways
in which it is done by hand stand beside `assign_posts`:

* sort and deal: grids sorted by households and dealt to the list of posts, there and back again;
* list order: the first grids of the list have a post each, the rest go to the posts from the
  first on; posts that are there already keep their grids.

The exit code is 1 if a total differs, a result fails its checks (see `staffing.py`), or a number
that is promised to be exact is not what networkx finds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
from staffing import check, inside, posts, touching

import gridpart as gp
from gridpart.errors import InputError
from gridpart.staffing import Staffing, assign_posts, beats, gini

Held = Mapping[str, list[str]]
SEATINGS = 10  # ways in which Haibowan's leaders may sit already
CHANGDE = {"village_cadre": 16_584, "full_timer": 25_133, "volunteer": 2_513,
           "agency_cadre": 3_333}  # fmt: skip
COUNTS = ("required", "filled", "vacancies", "surplus", "grids_open")
HEAD = (
    f"  {'':<34}{'worst':>7}{'Gini':>7}{'double duties':>15}{'scattered':>11}{'moves':>7}"
    f"{'seconds':>9}"
)


# --------------------------------------------------------------------------- grids


def exactly(units: gpd.GeoDataFrame, n_grids: int, **rules: Any) -> gp.Plan:
    """A plan with so many grids; units too large for a grid add some, so it is asked again."""
    asked = n_grids
    for _ in range(10):
        plan = gp.partition(units, id="unit_id", n_grids=asked, effort="fast", **rules)
        if len(plan.grids) == n_grids:
            return plan
        asked += n_grids - len(plan.grids)
    raise AssertionError(f"no plan of {n_grids} grids")


def urban(units: gpd.GeoDataFrame) -> pd.Series:
    """Residents' committees have numbers below 200, villagers' committees the others."""
    return units["community"].str[9:].astype(int) < 200


# --------------------------------------------------------------------------- as it is done by hand


def sort_and_deal(graph: nx.Graph, roster: list[str]) -> Held:
    """Grids by households to the list of posts, there and back again."""
    load = nx.get_node_attributes(graph, "load")
    order = sorted(load, key=lambda grid: (-load[grid], grid))
    turns = [*roster, *reversed(roster)]
    held: dict[str, list[str]] = {post: [] for post in roster}
    for k, grid in enumerate(order):
        held[turns[k % len(turns)]].append(grid)
    return held


def list_order(graph: nx.Graph, roster: list[str], today: Mapping[str, str]) -> Held:
    """A grid for each post that has none, then the rest to the posts from the first on."""
    taken = set(today.values())
    rest = [grid for grid in graph if grid not in taken]
    held = {post: [today[post]] if post in today else [rest.pop(0)] for post in roster}
    for k, grid in enumerate(rest):
        held[roster[k % len(roster)]].append(grid)
    return held


def of_role(staffing: Staffing, role: str) -> Held:
    """What each post of a role holds."""
    table = staffing.assignment
    table = table[table["role"] == role]
    return {post: own.tolist() for post, own in table.groupby("post_id")["grid"]}


def show(
    name: str, held: Held, graph: nx.Graph, today: Mapping[str, str], seconds: float | None
) -> None:
    """One line of the comparison."""
    load = nx.get_node_attributes(graph, "load")
    holders = Counter(grid for own in held.values() for grid in own)
    carried = [sum(load[g] / holders[g] for g in own) for own in held.values()]
    several = [own for own in held.values() if len(own) > 1]
    apart = sum(not nx.is_connected(graph.subgraph(own)) for own in several)
    moves = sum(grid not in held.get(post, ()) for post, grid in today.items())
    print(
        f"  {name:<34}{max(carried):>7,.0f}{gini(carried):>7.3f}"
        f"{sum(len(own) - 1 for own in several):>15,}{apart / len(held):>11.1%}"
        f"{(f'{moves:,}' if today else '-'):>7}"
        f"{(f'{seconds:.1f}' if seconds is not None else '-'):>9}"
    )


def by_hand(graph: nx.Graph, roster: list[str], today: Mapping[str, str]) -> None:
    """The two ways of doing it by hand."""
    print(HEAD)
    for name, way in (
        ("sort and deal", lambda: sort_and_deal(graph, roster)),
        ("one each, the rest by list order", lambda: list_order(graph, roster, today)),
    ):
        began = time.perf_counter()
        held = way()
        show(name, held, graph, today, time.perf_counter() - began)


def published(staffing: Staffing, role: str, **expected: int) -> None:
    """Compare the sums of the posts required with what was published."""
    table = staffing.required
    assert table is not None
    sums = table[table["role"] == role][list(COUNTS)].sum()
    told = ", ".join(f"{name} {sums[name]:,}" for name in COUNTS)
    print(f"  {role}: {told}")
    for name, value in expected.items():
        assert sums[name] == value, (role, name, int(sums[name]), value)


def timed(call: Callable[[], Staffing]) -> tuple[Staffing, float]:
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


# --------------------------------------------------------------------------- Haibowan


def bottleneck(edges: list[tuple[str, str, int]], wanted: int) -> int:
    """The smallest cap under which so many pairs can be matched, by halves."""
    caps = sorted({load for *_, load in edges})
    low, high = 0, len(caps) - 1
    while low < high:
        middle = (low + high) // 2
        graph = nx.Graph([(a, b) for a, b, load in edges if load <= caps[middle]])
        if len(nx.max_weight_matching(graph, maxcardinality=True)) >= wanted:
            high = middle
        else:
            low = middle + 1
    return caps[low]


def pairs_of(ground: nx.Graph) -> list[tuple[str, str, int]]:
    """Neighbours in one community, and what both carry together."""
    load = nx.get_node_attributes(ground, "load")
    return [(a, b, load[a] + load[b]) for a, b in ground.edges]


def haibowan(seed: int) -> None:
    """435 grids, 390 leaders with two at most, 404 full-timers."""
    standard = gp.load_standard("haibowan")
    units = gp.county_town(8200, seed=seed).units
    plan = exactly(units, 435, within="community", low=200, high=350)
    graph = touching(plan.grids)
    ground = inside(graph)
    heaviest = max(nx.get_node_attributes(graph, "load").values())
    print(f"Haibowan: {len(graph)} grids in {plan.grids['within'].nunique()} communities, "
          f"heaviest {heaviest}")  # fmt: skip

    # leaders may come to any grid: 45 pairs of neighbours are a matching of 45
    matching = len(nx.max_weight_matching(ground, maxcardinality=True))
    print(f"  pairs of neighbours in one community: {matching} at most, 45 are needed")
    assert matching >= 45, "390 leaders cannot lead these grids"
    best = max(heaviest, bottleneck(pairs_of(ground), 45))
    roster = pd.concat([posts("leader", 390), posts("full_timer", 404)])
    staffing, seconds = timed(lambda: assign_posts(plan, roster, team=standard))
    check(staffing, graph)
    published(staffing, "leader", required=435, filled=390, vacancies=45, surplus=0, grids_open=0)
    published(
        staffing, "full_timer", required=435, filled=404, vacancies=31, surplus=0, grids_open=0
    )
    doubles = Counter(staffing.posts.query("role == 'leader'")["n_grids"])
    assert doubles == {1: 345, 2: 45}, doubles
    worst = staffing.summary.set_index("role")["worst_load"]["leader"]
    print(f"  45 leaders have a second grid next to their first; heaviest {worst:,.0f}, "
          f"least possible {best:,} (matching)")  # fmt: skip
    assert worst == best, (worst, best)
    ids = posts("leader", 390)["post_id"].tolist()
    by_hand(ground, ids, {})
    show("gridpart", of_role(staffing, "leader"), ground, {}, seconds)
    short = []
    for number in range(SEATINGS):
        rng = np.random.default_rng([seed, number])
        short += seated(plan, ground, standard, rng, full=not number)
    assert not short, f"left open and led at most, of 45: {short}"


def seated(
    plan: gp.Plan, ground: nx.Graph, standard: Any, rng: np.random.Generator, *, full: bool
) -> list[tuple[int, int]]:
    """390 leaders are there already; the 45 bare grids go to neighbours, one each."""
    load = nx.get_node_attributes(ground, "load")
    names = sorted(ground)
    roster = posts("leader", 390)
    roster["grid"] = [names[k] for k in rng.permutation(len(names))[:390]]
    today = dict(zip(roster["post_id"], roster["grid"], strict=True))
    held = set(today.values())
    bare = [grid for grid in names if grid not in held]
    edges = [
        (grid, leader, load[grid] + load[leader])
        for grid in bare for leader in ground[grid] if leader in held
    ]  # fmt: skip
    possible = len(nx.max_weight_matching(nx.Graph([e[:2] for e in edges]), maxcardinality=True))
    alone = max(load[grid] for grid in held)
    best = max(alone, bottleneck(edges, possible))
    staffing, seconds = timed(lambda: assign_posts(plan, roster, team=standard))
    row = staffing.summary.iloc[0]
    print(
        f"  leaders seated: {possible} of 45 bare grids can be led by a neighbour; left open "
        f"{row['vacancies']}, heaviest {row['worst_load']:,.0f}, least possible {best:,}, "
        f"{seconds:.1f} s"
    )
    check(staffing, ground, max_grids=2, vacancies=int(row["vacancies"]))
    assert row["moved"] == 0, "somebody lost a grid"
    if possible == 45:
        assert row["worst_load"] == best, (row["worst_load"], best)
    if full:
        ids = roster["post_id"].tolist()
        by_hand(ground, ids, today)
        show("gridpart", of_role(staffing, "leader"), ground, today, seconds)
    return [] if row["vacancies"] == 45 - possible else [(int(row["vacancies"]), possible)]


# --------------------------------------------------------------------------- Changde


def changde(seed: int) -> None:
    """Four teams of 47,563 on 8,047 grids."""
    units = gp.county_town(70_000, seed=seed).units
    plan = exactly(units, 8_047, within="community", low=60, high=160)
    graph = touching(plan.grids)
    ground = inside(graph)
    print(f"Changde: {len(graph):,} grids in {plan.grids['within'].nunique()} communities")
    roster = pd.concat([posts(role, number) for role, number in CHANGDE.items()])
    assert len(roster) == 47_563
    standard = gp.load_standard("changde")
    staffing, seconds = timed(lambda: assign_posts(plan, roster, team=standard))
    busy = f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"  {len(roster):,} posts in {seconds:.1f} s, {busy}")
    check(staffing, graph)
    for role, number in CHANGDE.items():
        published(staffing, role, required=0, filled=0, vacancies=0, surplus=number, grids_open=0)
    for row in staffing.summary.to_dict("records"):
        print(f"  {row['role']}: worst {row['worst_load']:,.1f}, bound {row['lower_bound']:,.1f}, "
              f"gap {row['gap']:.2%}")  # fmt: skip
    for role in ("volunteer", "agency_cadre"):
        print(f"  {CHANGDE[role]:,} posts, {role}:")
        by_hand(ground, posts(role, CHANGDE[role])["post_id"].tolist(), {})
        show("gridpart", of_role(staffing, role), ground, {}, None)


# --------------------------------------------------------------------------- Shulan


def shulan_grids(seed: int) -> gpd.GeoDataFrame:
    """167 urban, 1,316 rural and 172 exclusive grids, divided by kind and put together."""
    units = gp.county_town(44_000, seed=seed).units
    sites = units.index[units["kind"].isin(["school", "market", "factory"])]
    public = units.index[(units["kind"] == "public") & ~urban(units)]
    rng = np.random.default_rng(seed)
    chosen = [*sites, *rng.permutation(public)][:172]
    town, country = units.drop(index=chosen), units.loc[chosen]
    frames = [country.rename(columns={"unit_id": "grid", "community": "within"})]
    frames[0] = frames[0].assign(kind="exclusive")
    wanted = ((True, 167, 300, 500), (False, 1_316, 20, 200))
    for is_urban, number, low, high in wanted:
        part = town[urban(town) == is_urban]
        part = part[part["community"].isin(_first(part, number * (low + high) // 2))]
        grids = exactly(part, number, within="community", low=low, high=high).grids
        grids["grid"] = ("u" if is_urban else "r") + grids["grid"].astype(str)
        frames.append(grids)
    columns = ["grid", "within", "kind", "households", "geometry"]
    return pd.concat([frame[columns] for frame in frames], ignore_index=True)


def _first(units: gpd.GeoDataFrame, households: int) -> set[str]:
    """Communities in order of their codes until they have so many households."""
    sums = units.groupby("community")["households"].sum().cumsum()
    return set(sums.index[: int((sums < households).sum()) + 1])


def shulan(seed: int) -> None:
    """1,860 workers on 1,655 grids of three kinds."""
    grids = shulan_grids(seed)
    graph = touching(grids)
    kinds = Counter(grids["grid"].str[0].where(grids["kind"] == "base", "e"))
    assert kinds == {"u": 167, "r": 1_316, "e": 172}, kinds
    print(f"Shulan: {len(graph):,} grids, 167 urban, 1,316 rural, 172 exclusive")
    roster = posts("full_timer", 1_860)
    standard = gp.load_standard("shulan")
    staffing, seconds = timed(lambda: assign_posts(grids, roster, team=standard))
    check(staffing, graph)
    published(
        staffing, "full_timer", required=1_655, filled=1_655, vacancies=0, surplus=205, grids_open=0
    )
    row = staffing.summary.iloc[0]
    print(f"  worst {row['worst_load']:,.1f}, gap {row['gap']:.2%}, {seconds:.1f} s")


# --------------------------------------------------------------------------- Yumen


def yumen(seed: int) -> None:
    """20, 127 and 713 nested grids; 1,807 workers, all on the third level."""
    units = gp.county_town(5_000, seed=seed).units
    total = int(units["households"].sum())
    second = exactly(units, 127, low=total // 250, high=total // 60)
    units["second"] = second.units["grid"].to_numpy()
    areas = second.grids[["grid", "households", "geometry"]].rename(columns={"grid": "unit_id"})
    first = exactly(areas, 20, low=total // 40, high=total // 10)
    plan = exactly(units, 713, within="second", low=total // 1_400, high=total // 350)
    graph = touching(plan.grids)
    for name, level in (("second", second), ("first", first)):
        known = touching(level.grids.assign(within=None))
        assert known.number_of_nodes() == {"second": 127, "first": 20}[name]
    of_first = first.units.set_index("unit_id")["grid"]
    assert plan.grids["within"].map(of_first).notna().all(), "a grid is in no first-level grid"
    assert plan.grids["within"].map(of_first).nunique() == 20
    print(f"Yumen: 20 first-level, 127 second-level and {len(graph)} third-level grids, nested")
    roster = posts("worker", 1_807)
    standard = gp.load_standard("yumen")
    staffing, seconds = timed(lambda: assign_posts(plan, roster, team=standard))
    check(staffing, graph)
    published(staffing, "worker", required=0, filled=0, vacancies=0, surplus=1_807, grids_open=0)
    row = staffing.summary.iloc[0]
    print(f"  worst {row['worst_load']:,.1f}, gap {row['gap']:.2%}, {seconds:.1f} s")


# --------------------------------------------------------------------------- Zhijiang


def zhijiang(seed: int) -> None:
    """A police officer, a lawyer and a doctor for every grid, shared."""
    units = gp.county_town(4_100, seed=seed).units
    communities = exactly(units, 15, low=1_800, high=4_500)
    units["home"] = communities.units["grid"].to_numpy()
    plan = exactly(units, 183, within="home", low=150, high=350)
    graph = touching(plan.grids)
    homes = sorted(set(plan.grids["within"]))
    print(f"Zhijiang: {len(graph)} grids in {len(homes)} communities, "
          f"{units['households'].sum() / 15:,.0f} households each")  # fmt: skip
    roles = ("police", "lawyer", "doctor")
    roster = pd.concat([posts(role, 15).assign(within=homes) for role in roles])
    staffing, seconds = timed(lambda: assign_posts(plan, roster, team=gp.load_standard("zhijiang")))
    check(staffing, graph)
    for role in roles:
        published(staffing, role, required=15, filled=15, vacancies=0, surplus=0, grids_open=0)
    row = staffing.summary.iloc[0]
    print(f"  worst {row['worst_load']:,.0f}, gap {row['gap']:.2%}, {seconds:.1f} s")
    try:
        beats(plan, 6)
    except InputError as error:
        print(f"  6 officers: refused, {error}")
    else:
        raise AssertionError("6 beats in 15 communities without crossing borders")
    began = time.perf_counter()
    found = beats(plan, 6, cross_borders=True)
    seconds = time.perf_counter() - began
    held = {beat: own.tolist() for beat, own in found.grids.groupby("beat")["grid"]}
    assert len(held) == 6
    assert sorted(g for own in held.values() for g in own) == sorted(graph)
    assert all(nx.is_connected(graph.subgraph(own)) for own in held.values())
    print(f"  across communities: worst {found.worst_load:,.0f}, gap {found.gap:.2%}")
    by_hand(graph, [f"police-{k}" for k in range(1, 7)], {})
    show("gridpart", held, graph, {}, seconds)


PLACES = {
    "haibowan": haibowan, "changde": changde, "shulan": shulan, "yumen": yumen,
    "zhijiang": zhijiang,
}  # fmt: skip


def main() -> None:
    """Work out the places one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(PLACES))
    given = parser.parse_args()
    warnings.simplefilter("ignore", gp.GridpartWarning)
    wrong = []
    for name, place in PLACES.items():
        if given.only not in (None, name):
            continue
        try:
            place(given.seed)
        except AssertionError as error:
            wrong.append(name)
            print(f"  WRONG: {error}")
    if wrong:
        sys.exit(f"not as promised: {', '.join(wrong)}")
    print("every total is the published one, every result checked")


if __name__ == "__main__":
    main()
