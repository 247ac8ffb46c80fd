"""What an edit means by its words: units, grids, and the parts of a grid to be split."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart._geometry.order import in_rows
from gridpart.contiguity import Contiguity
from gridpart.engine import Effort
from gridpart.errors import InputError, Problem
from gridpart.plan import Plan, main_parent
from gridpart.problem import Failure, attach_enclaves, build_communities, measure, solve_one

if TYPE_CHECKING:
    import geopandas as gpd

    Ints = npt.NDArray[np.int64]
    Objects = npt.NDArray[np.object_]

__all__ = [
    "called", "community_of", "found_groups", "given_groups", "grid_of", "in_order", "labels_of",
    "places_of", "told",
]  # fmt: skip


def labels_of(plan: Plan) -> Objects:
    """Grid of every unit."""
    return np.asarray(plan.units["grid"].to_numpy(object))


def called(plan: Plan, place: int) -> str:
    """Name of a unit."""
    units = plan.units
    return str(units.index[place] if plan.rules.id is None else units[plan.rules.id].iloc[place])


def told(plan: Plan, places: Ints) -> str:
    """Some units in words, with their households."""
    names = [called(plan, place) for place in places[:5]]
    more = f" and {places.size - 5} more" if places.size > 5 else ""
    load = int(plan.units[plan.rules.households].to_numpy()[places].sum())
    word = "unit" if places.size == 1 else "units"
    return f"{word} {', '.join(names)}{more} ({load:,} households)"


def places_of(plan: Plan, units: Any) -> Ints:
    """Positions of units by their ids, or by these as text."""
    single = isinstance(units, str) or not isinstance(units, Iterable)
    wanted = [units] if single else list(units)
    if not wanted:
        raise InputError("no unit is named")
    names = plan.units.index if plan.rules.id is None else pd.Index(plan.units[plan.rules.id])
    if not names.is_unique:
        raise InputError("units must have names of their own: plan with a column of ids (id=)")
    found = np.asarray(names.get_indexer(pd.Index(wanted, dtype=object)), np.int64)
    if (found < 0).any():
        texts = names.astype(str)
        found = np.asarray(texts.get_indexer([str(name) for name in wanted]), np.int64)
    bad = [str(name) for name, place in zip(wanted, found, strict=True) if place < 0]
    if bad:
        known = [str(name) for name in names[:100_000]] if len(bad) <= 5 else []
        told = tuple(f"unit {name}{near(name, known)}" for name in bad)
        raise InputError(Problem("unknown_unit", "there are no such units in the plan", told))
    if np.unique(found).size < found.size:
        raise InputError("a unit is named twice")
    return found


def near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def grid_of(plan: Plan, grid: str) -> str:
    """Name of a grid, from its name or its code."""
    labels = plan.units["grid"]
    names = pd.unique(labels)
    if grid in names:
        return str(grid)
    known = [str(name) for name in names]
    if "grid_code" in plan.units.columns:
        coded = labels[(plan.units["grid_code"] == str(grid)).to_numpy()]
        if len(coded):
            return str(coded.iloc[0])
        known += [str(code) for code in plan.units["grid_code"].dropna().unique()]
    raise InputError(f"no grid {grid!r} in the plan{near(str(grid), known)}")


def community_of(plan: Plan, own: Ints) -> str:
    """Community of most of the households of some units."""
    parent = main_parent(plan.units.iloc[own], plan.rules)
    return "" if parent is None else str(parent)


def in_order(units: gpd.GeoDataFrame, part: Ints) -> list[int]:
    """Parts in rows from the north-west."""
    measured, count = measure(units), int(part.max()) + 1
    area = np.bincount(part, measured.area, count)
    x, y = (np.bincount(part, measured.area * axis, count) / area for axis in measured[:2])
    return [int(number) for number in in_rows(x, y, area)]


def given_groups(plan: Plan, name: str, own: Ints, groups: Iterable[Iterable[Hashable]]) -> Ints:
    """Number of the group of every unit of a grid."""
    part = np.full(len(plan.units), -1, np.int64)
    count = 0
    for group in groups:
        places = places_of(plan, group)
        twice = places[part[places] >= 0]
        if twice.size:
            raise InputError(f"unit {called(plan, int(twice[0]))} is in two groups")
        alien = np.setdiff1d(places, own)
        if alien.size:
            told = tuple(f"unit {called(plan, int(place))}" for place in alien)
            raise InputError(Problem("other_grid", f"units are not in grid {name}", told))
        part[places] = count
        count += 1
    rest = own[part[own] < 0]
    part[rest] = count
    count += bool(rest.size)
    if count < 2:
        raise InputError(f"a grid is split into two groups or more, got {count} for {name}")
    return part[own]


def found_groups(plan: Plan, name: str, own: Ints, into: int) -> Ints:
    """Groups that the engine finds for the units of one grid."""
    if not 2 <= into <= own.size:
        raise InputError(
            f"grid {name} of {own.size} units is split into 2 to {own.size}, got {into}"
        )
    units = plan.units.iloc[own]
    loads = units[plan.rules.households].to_numpy(np.int64)
    even = int(loads.sum()) // into
    rules = dataclasses.replace(
        plan.rules, within=None, levels=None, exclusive=None, locked=None, n_grids=into,
        target=min(max(even, plan.rules.low), plan.rules.high),
    )  # fmt: skip
    together = None
    if plan.rules.lower_levels:  # an area of a lower level is not divided
        together = pd.factorize(units[plan.rules.lower_levels[0]])[0].astype(np.int64)
    graph = part_of(plan.contiguity, own, units.index)
    (community,) = build_communities(units, graph, rules, measure(units), together)
    control = np.zeros(2, np.int64)
    found = solve_one(community, rules, into, Effort.of("default"), None, control)
    if isinstance(found, Failure):
        raise InputError(f"grid {name} could not be split: {found.error}")
    labels = np.full(own.size, -1, np.int64)
    labels[community.members] = found.labels
    attach_enclaves(units, [community], labels, np.zeros(0, np.int64))
    count = np.unique(labels).size
    if count != into:
        raise InputError(
            f"grid {name} could not be split into {into} connected grids, only into {count}; give "
            "the groups yourself"
        )
    return labels


def part_of(graph: Contiguity, own: Ints, index: pd.Index) -> Contiguity:
    """The graph of some of the units."""
    place = np.full(graph.n, -1, np.int64)
    place[own] = np.arange(own.size)
    first, count = graph.indptr[own], np.diff(graph.indptr)[own]
    at = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    row = np.repeat(np.arange(own.size), count)
    inside = place[graph.indices[at]] >= 0
    at, row = at[inside], row[inside]
    indptr = np.append(0, np.cumsum(np.bincount(row, minlength=own.size))).astype(np.int64)
    return Contiguity(
        index, indptr, place[graph.indices[at]].astype(np.int32), graph.lengths_mm[at],
        graph.exterior_mm[own], None if graph.closed is None else graph.closed[at],
        None if graph.cost_mm is None else graph.cost_mm[at],
    )  # fmt: skip
