"""Redrawing a plan after shocks: households moved beside the bound and beside a fresh partition.

    python benchmarks/redrawing.py [--data FOLDER] [--shocks 100] [--seed 1]

Porto's 1,659 census subsections are divided within their 7 parishes into grids of 200-500
households. Then come shocks of five kinds in turn, each on the same plan: a tower of 300
households is added; 5 % of the units are counted again (-40 % to +60 %); three neighbouring units
are cleared; a unit is re-parcelled into two with new ids; a stretch of a parish border moves over a
few units. After each the plan is drawn again, and checked here with networkx: every unit in one
grid, grids connected, in the band or listed with a reason, untouched grids the same to the bit,
codes of untouched grids kept, new codes above all that were ever issued. Beside it stands what
partitioning afresh moves, its grids matched to the old ones so that as few households as possible
count (the best assignment, by scipy).
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import shapely
from scipy.optimize import linear_sum_assignment

import gridpart as gp
from gridpart.redraw import Redrawn, redraw

LOW, HIGH = 200, 500
Shock = tuple[str, gpd.GeoDataFrame]


def shocks(units: gpd.GeoDataFrame, count: int, seed: int) -> Iterator[Shock]:
    """Units after a change; the kinds take turns."""
    kinds = (tower, recount, clearing, parcelling, border)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield kind.__name__, kind(units.copy(), np.random.default_rng([seed, number]))


def tower(units: gpd.GeoDataFrame, rng: np.random.Generator) -> gpd.GeoDataFrame:
    """A tower of 300 households is finished."""
    units.loc[units.index[rng.integers(len(units))], "households"] += 300
    return units


def recount(units: gpd.GeoDataFrame, rng: np.random.Generator) -> gpd.GeoDataFrame:
    """5 % of the units are counted again."""
    rows = rng.choice(units.index, len(units) // 20, replace=False)
    factor = rng.uniform(0.6, 1.6, len(rows))
    units.loc[rows, "households"] = np.rint(units.loc[rows, "households"] * factor).astype(int)
    return units


def clearing(units: gpd.GeoDataFrame, rng: np.random.Generator) -> gpd.GeoDataFrame:
    """Three units next to each other are cleared."""
    inhabited = units[units["households"] > 0]
    first = inhabited.geometry.iloc[rng.integers(len(inhabited))].centroid
    near = inhabited.distance(first).nsmallest(3).index
    units.loc[near, "households"] = 0
    return units


def parcelling(units: gpd.GeoDataFrame, rng: np.random.Generator) -> gpd.GeoDataFrame:
    """The largest of some units is cut in two, with new ids."""
    some = rng.choice(units.index, 5, replace=False)
    row = units.loc[some].area.idxmax()
    shape = units.geometry[row]
    west, south, east, north = shape.bounds
    middle = (west + east) / 2
    halves = [
        shapely.intersection(shape, shapely.box(west - 1, south - 1, middle, north + 1)),
        shapely.intersection(shape, shapely.box(middle, south - 1, east + 1, north + 1)),
    ]
    if any(half.geom_type != "Polygon" for half in halves):
        return tower(units, rng)  # a shape that is not cut into two by one line
    new = units.loc[[row, row]].copy()
    new["unit_id"] = [f"{units.loc[row, 'unit_id']}{half}" for half in "ab"]
    new["households"] = [units.loc[row, "households"] + 120, 80]
    new = new.set_geometry(gpd.GeoSeries(halves, index=new.index, crs=units.crs))
    return pd.concat([units.drop(index=row), new], ignore_index=True)


def border(units: gpd.GeoDataFrame, rng: np.random.Generator) -> gpd.GeoDataFrame:
    """Three units next to a parish border go to the other parish."""
    first, second = shapely.STRtree(units.geometry).query(units.geometry, "touches")
    parish = units["parish_id"].to_numpy()
    along = np.flatnonzero(parish[first] != parish[second])
    edge = along[rng.integers(len(along))]
    here, there = parish[first[edge]], parish[second[edge]]
    own = np.unique(first[along][(parish[first[along]] == here)])
    own = own[np.isin(own, first[along][parish[second[along]] == there])]
    spots = units.geometry.iloc[own].centroid
    near = spots.distance(units.geometry.iloc[first[edge]].centroid).nsmallest(3).index
    units.loc[near, "parish_id"] = there
    return units


# --------------------------------------------------------------------------- checks


def check(plan: gp.Plan, result: Redrawn) -> None:
    """Hold a redrawn plan against its promises, without gridpart's own checks."""
    new = result.plan
    units = new.units
    assert units["grid"].notna().all()
    graph = nx.Graph()
    graph.add_nodes_from(range(len(units)))
    edges = new.contiguity
    graph.add_edges_from(zip(edges.rows.tolist(), edges.indices.tolist(), strict=True))
    listed = set(new.exceptions["grid"])
    held = units.groupby("grid")["households"].sum()
    for name, rows in units.groupby("grid").indices.items():
        assert nx.is_connected(graph.subgraph(rows.tolist())) or name in listed, name
        assert LOW <= held[name] <= HIGH or name in listed, (name, held[name])
        assert len(set(units["parish_id"].iloc[rows])) == 1, name
    home, now = result.matched.home, units["grid"]
    touched = {*home[home != now].dropna(), *now[home != now]}
    before, after = plan.grids.set_index("grid"), new.grids.set_index("grid")
    same_ids = set(plan.units["unit_id"]) == set(units["unit_id"])
    for name in set(before.index) - touched:
        assert after.loc[name, "grid_code"] == before.loc[name, "grid_code"], name
        if same_ids:
            assert shapely.equals_identical(
                shapely.normalize(after.geometry[name]), shapely.normalize(before.geometry[name])
            ), name
    fresh = set(after["grid_code"]) - set(before["grid_code"])
    for code in fresh:
        beside = [c for c in before["grid_code"] if c[:12] == code[:12]]
        assert all(code > other for other in beside), code


def moved_afresh(home: pd.Series, units: gpd.GeoDataFrame) -> int:
    """Households that a fresh partition moves, its grids called by the best assignment."""
    fresh = gp.partition(units, id="unit_id", within="parish_id")
    table = pd.crosstab(home, fresh.units["grid"], units["households"], aggfunc="sum").fillna(0)
    rows, columns = linear_sum_assignment(-table.to_numpy())
    stay = table.to_numpy()[rows, columns].sum()
    return int(units.loc[home.notna(), "households"].sum() - stay)


def main() -> None:
    """Run the shocks and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/porto_bgri2021"))
    parser.add_argument("--shocks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore", gp.GridpartWarning)
    units = gpd.read_file(given.data / "porto_bgri2021.gpkg", layer="units")
    parishes = {
        name: f"13120000{k:04d}" for k, name in enumerate(sorted(set(units["parish_id"])), 1)
    }
    units["code"] = units["parish_id"].map(parishes)
    plan = gp.assign_codes(gp.partition(units, id="unit_id", within="parish_id"), parent="code")
    rows = []
    for kind, changed in shocks(units, given.shocks, given.seed):
        began = time.perf_counter()
        result = redraw(plan, changed)
        seconds = time.perf_counter() - began
        check(plan, result)
        afresh = moved_afresh(result.matched.home, result.plan.units)
        rows.append(
            {
                "kind": kind, "moved": result.households_moved, "bound": result.households_bound,
                "afresh": afresh, "touched": result.grids_touched, "least": result.grids_bound,
                "exceptions": len(result.plan.exceptions), "seconds": seconds,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    print(f"Porto, {len(units):,} units, {len(plan.grids)} grids, {len(table)} shocks, all checked")
    print(
        f"{'shock':<12}{'n':>4}{'moved':>8}{'bound':>8}{'ratio':>8}{'afresh':>9}{'touched':>9}"
        f"{'least':>7}{'exceptions':>12}{'seconds':>9}{'longest':>9}"
    )
    for kind, own in [*table.groupby("kind", sort=False), ("all", table)]:
        ratio = own["moved"].sum() / max(own["bound"].sum(), 1)
        print(
            f"{kind:<12}{len(own):>4}{own['moved'].mean():>8.0f}{own['bound'].mean():>8.0f}"
            f"{ratio:>8.2f}{own['afresh'].mean():>9,.0f}{own['touched'].mean():>9.1f}"
            f"{own['least'].mean():>7.1f}{own['exceptions'].sum():>12}"
            f"{statistics.median(own['seconds']):>9.2f}{own['seconds'].max():>9.1f}"
        )


if __name__ == "__main__":
    main()
