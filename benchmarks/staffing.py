"""Posts on many grids: how far the heaviest load is above what is proven to be the least possible.

    python benchmarks/staffing.py [--seeds 10] [--only NAME] [--bar 0.02]

Grids are those of generated towns, divided by `partition`; a roster of a share of as many posts is
spread over them by `assign_posts`, every post free to come to any community. In the table *gap* is
the heaviest load above the lower bound that `assign_posts` prints, as the median and the largest
of all towns. Every result is checked from the shapes of the grids, with shapely and networkx: a
post's grids hang together and lie in one community unless they may cross, every grid has a
holder, every household is counted once, the heaviest load is what is said and not below the bound.
The exit code is 1 if a check fails or a gap is above the bar.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import geopandas as gpd
import networkx as nx
import pandas as pd
import shapely

import gridpart as gp
from gridpart.staffing import Staffing, assign_posts

SHARES = (0.9, 0.7, 0.4, 0.2, 0.1)
BAR = 0.02


@dataclass(frozen=True)
class Regime:
    """Towns of one kind: how many units, how they are divided, where beats may lie."""

    name: str
    n_units: int
    band: tuple[int, int]
    n_grids: int | None = None
    communities: bool = True
    cross_borders: bool = False


REGIMES = {
    "communities": Regime("communities of 5-40 grids", 2600, (60, 100)),
    "across": Regime("400 grids, beats cross borders", 8600, (200, 300), 400, cross_borders=True),
    "one": Regime("1,000 grids, no communities", 22000, (200, 300), 1000, communities=False),
}


def town_plan(regime: Regime, seed: int) -> gp.Plan:
    """A town of a regime, divided."""
    low, high = regime.band
    return gp.partition(
        gp.county_town(regime.n_units, seed=seed).units, id="unit_id", low=low, high=high,
        within="community" if regime.communities else None, n_grids=regime.n_grids, effort="fast",
    )  # fmt: skip


def posts(role: str, number: int) -> pd.DataFrame:
    """A roster that says nothing but the role."""
    return pd.DataFrame({"post_id": [f"{role}-{k}" for k in range(1, number + 1)], "role": role})


# --------------------------------------------------------------------------- checks


def touching(grids: gpd.GeoDataFrame) -> nx.Graph:
    """Grids that share more than a point of their outlines, by shapely alone."""
    graph = nx.Graph()
    names, homes = grids["grid"].tolist(), grids["within"].tolist()
    loads = grids["households"].tolist()
    for name, home, load in zip(names, homes, loads, strict=True):
        graph.add_node(name, within=home, load=int(load))
    shapes = grids.geometry.to_numpy()
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one, other = one[one < other], other[one < other]
    along = shapely.length(shapely.intersection(shapes[one], shapes[other])) > 0.002
    graph.add_edges_from(
        (names[a], names[b]) for a, b in zip(one[along], other[along], strict=True)
    )
    return graph


def inside(graph: nx.Graph) -> nx.Graph:
    """Only the borders of grids of one community."""
    kept = graph.copy()
    home = nx.get_node_attributes(graph, "within")
    kept.remove_edges_from([(a, b) for a, b in graph.edges if home[a] != home[b]])
    return kept


def check(
    staffing: Staffing,
    graph: nx.Graph,
    *,
    cross_borders: bool = False,
    max_grids: int | None = None,
    vacancies: int = 0,
) -> None:
    """Hold a staffing against its promises; AssertionError names what is broken."""
    ground = graph if cross_borders else inside(graph)
    load = nx.get_node_attributes(graph, "load")
    total = sum(load.values())
    assert set(staffing.assignment["role"]) == set(staffing.summary["role"])
    for row in staffing.summary.to_dict("records"):
        table = staffing.assignment[staffing.assignment["role"] == row["role"]]
        open_ = staffing.vacancies[staffing.vacancies["role"] == row["role"]]["grid"].tolist()
        holders = table["grid"].value_counts()
        held: dict[str, list[str]] = {}
        for post, grid in zip(table["post_id"], table["grid"], strict=True):
            held.setdefault(post, []).append(grid)
        carried = {post: sum(load[g] / holders[g] for g in own) for post, own in held.items()}
        assert len(open_) == vacancies == row["vacancies"], (row["role"], len(open_), vacancies)
        assert sorted([*holders.index, *open_]) == sorted(load), "a grid is lost, or told twice"
        for post, own in held.items():
            assert len(set(own)) == len(own) <= (max_grids or len(own)), (post, own)
            assert nx.is_connected(ground.subgraph(own)), f"{post} is scattered: {own}"
        bare = sum(load[g] for g in open_)
        assert abs(sum(carried.values()) + bare - total) < 1e-6 * total, "households were lost"
        assert abs(table["load"].sum() + bare - total) < 1e-6 * total, "loads do not add up"
        worst = max(carried.values())
        assert abs(worst - row["worst_load"]) < 1e-6 * worst, (worst, row["worst_load"])
        assert row["lower_bound"] <= worst * (1 + 1e-9), "the bound is above what was done"
        assert row["double_duties"] == sum(len(own) - 1 for own in held.values())


# --------------------------------------------------------------------------- the table


def runs(regime: Regime, seeds: int) -> Iterator[dict[str, float]]:
    """One row per town and share of posts."""
    for seed in range(1, seeds + 1):
        plan = town_plan(regime, seed)
        graph = touching(plan.grids)
        fewest = nx.number_connected_components(graph if regime.cross_borders else inside(graph))
        for share in SHARES:
            number = max(round(share * len(graph)), fewest)
            began = time.perf_counter()
            staffing = assign_posts(
                plan, posts("leader", number), cross_borders=regime.cross_borders
            )
            seconds = time.perf_counter() - began
            check(staffing, graph, cross_borders=regime.cross_borders)
            row = staffing.summary.iloc[0]
            yield {
                "seed": seed, "share": share, "grids": len(graph), "posts": number,
                "worst": float(row["worst_load"]), "bound": float(row["lower_bound"]),
                "gap": float(row["gap"]), "seconds": seconds,
            }  # fmt: skip


def main() -> None:
    """Run the regimes and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=sorted(REGIMES))
    parser.add_argument("--bar", type=float, default=BAR, help="largest gap that is allowed")
    parser.add_argument("--verbose", action="store_true", help="a line per town")
    given = parser.parse_args()
    warnings.simplefilter("ignore", gp.GridpartWarning)
    print(
        f"{'towns':<32}{'posts/grids':>12}{'n':>4}{'proven':>8}{'gap':>8}{'largest':>9}"
        f"{'seconds':>9}{'longest':>9}"
    )
    over = 0
    for name, regime in REGIMES.items():
        if given.only not in (None, name):
            continue
        rows = []
        for row in runs(regime, given.seeds):
            rows.append(row)
            if given.verbose:
                print("  ", row, flush=True)
        for share, own in pd.DataFrame(rows).groupby("share", sort=False):
            over += int((own["gap"] > given.bar).sum())
            print(
                f"{regime.name:<32}{share:>12.1f}{len(own):>4}{(own['gap'] == 0).sum():>8}"
                f"{own['gap'].median():>8.2%}{own['gap'].max():>9.2%}"
                f"{statistics.median(own['seconds']):>9.1f}{own['seconds'].max():>9.1f}",
                flush=True,
            )
    print("every result checked: connected, in one community or allowed, households conserved")
    if over:
        sys.exit(f"{over} gaps are above {given.bar:.0%}")


if __name__ == "__main__":
    main()
