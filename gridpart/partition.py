"""Units → `Plan`, with an explanation of what could not be done."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gridpart._geometry.order import in_rows
from gridpart._version import __version__
from gridpart.barriers import gather_lines, mark_borders
from gridpart.contiguity import Contiguity, build_contiguity
from gridpart.engine import EFFORTS, Effort
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.explain import Divided, explain, find_crossings, join
from gridpart.plan import GRAPH_KEY, Plan
from gridpart.problem import (
    Community,
    Measured,
    attach_enclaves,
    build_communities,
    measure,
    site_numbers,
    solve_communities,
)
from gridpart.rules import Rules, check_rules, lock_names
from gridpart.units import check_units, repair_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas as gpd
    import numpy.typing as npt
    from libpysal.graph import Graph

    Lines: TypeAlias = gpd.GeoDataFrame | gpd.GeoSeries
    Objects = npt.NDArray[np.object_]
    Ints = npt.NDArray[np.int64]

__all__ = ["partition"]

PLAN_COLUMNS = ("grid", "grid_code")  # of the units, which a plan writes itself


def partition(
    units: gpd.GeoDataFrame,
    *,
    households: str = "households",
    id: str | None = None,
    within: str | None = None,
    low: int = 200,
    high: int = 500,
    target: int | None = None,
    exclusive: str | None = None,
    seed: int = 0,
    jobs: int | None = None,
    crs: Any = None,
    repair: bool = False,
    tolerance: float = 0.001,
    n_grids: int | str | Mapping[str, int] | None = None,
    balance: float = 0.5,
    headroom: float = 0.0,
    workload: str | None = None,
    bounds: Mapping[str, tuple[int, int]] | None = None,
    max_diameter_m: float | None = None,
    keep_whole: str | None = None,
    locked: str | None = None,
    enclaves: Literal["keep", "attach"] = "keep",
    levels: Mapping[str, tuple[int, int]] | None = None,
    barriers: Lines | None = None,
    crossings: Lines | None = None,
    border_costs: gpd.GeoDataFrame | None = None,
    barrier_tolerance: float = 1.0,
    graph: Contiguity | Graph | None = None,
    effort: str | float | Effort = "default",
    time_limit: float | None = None,
) -> Plan:
    """Divide units into connected grids whose households lie in a band, borders short.

    Every unit is in exactly one grid, empty units included; a grid never crosses the border of
    its community. A grid that cannot be brought into the band is listed in ``plan.exceptions``
    with the reason.

    Parameters
    ----------
    units : GeoDataFrame of n rows
        Polygons that do not overlap. It is not changed. A geographic CRS, or one not in metres,
        is projected, and this is said.
    households : str, default "households"
        Column with whole numbers, 0 or more.
    id : str, optional
        Column with the unit's own name; without it units are called by their index.
    within : str, optional
        Column with the community of every unit. Without it all units are one community.
    low, high : int, default 200 and 500
        The band: fewest and most households of a grid.
    target : int, optional
        Households a grid should have on average, in the band; by default its middle.
    exclusive : str, optional
        Column that marks units which are grids of their own whatever their households, such as
        schools: truth values (every marked unit is a grid), or names (the units of a community
        with the same name are one grid).
    seed : int, default 0
        Same units, rules and seed, same plan, whatever the order of rows and the number of jobs.
    jobs : int, optional
        Threads; by default one per processor.
    crs : CRS or anything pyproj takes, optional
        Projected CRS in metres to measure in.
    repair : bool, default False
        Snap borders that almost fit, see :func:`gridpart.repair_units`; what was done, and what
        could not be cured, is said.
    tolerance : float, default 0.001
        Metres within which vertices count as the same.
    n_grids : int, {"fewest", "most"} or mapping of str to int, optional
        The number of grids instead of a `target`, exclusive ones not counted: a total, shared
        among communities by households, or as near to that as all of them can be divided; or a
        number for each community that is named.
    balance : float, default 0.5
        From 0, shortest borders, to 1, most even grids.
    headroom : float, default 0
        Keep grids, where that is possible, so far inside the band that they stay in it when
        their households grow or fall by this share: 0.1 for a tenth, below 1.
    workload : str, optional
        Column with whole numbers to be evened out instead of households.
    bounds : mapping of str to (int, int), optional
        Bands of other columns of whole numbers, such as ``{"over65": (0, 150)}``; ``area_m2`` is
        measured if there is no such column. They may begin at 0.
    max_diameter_m : float, optional
        Greatest distance between two points of a grid, metres. (Kept to within half a per cent
        below: no grid is larger, but some that would be allowed are not made.)
    keep_whole : str, optional
        Column with the compound (walled estate) of every unit, empty for none. Units of one
        compound that touch stay in one grid; a compound that is too much for one grid is divided
        into grids of its own.
    locked : str, optional
        Column with the name of the grid that a unit is locked in, empty for none. These units are
        that grid, no more and no fewer, and it keeps the name.
    enclaves : {"keep", "attach"}, default "keep"
        A part of a community that nothing connects, with too few households for a grid, stays a
        grid of its own, or goes with the nearest grid that has room. One without households
        always goes with the nearest.
    levels : mapping of str to (int, int), optional
        Bands of other levels by name, such as ``{"micro": (30, 40)}`` below the grids or
        ``{"quarter": (2500, 3500)}`` above them. Levels nest, the largest first; each becomes a
        column of ``plan.units``, and ``plan.at_level(name)`` is its plan.
    barriers, crossings : GeoDataFrame or GeoSeries, optional
        Lines or areas that no grid spans (rivers, railways), and where it may all the same
        (bridges, gates). A border of two units is closed if at least half of it lies along a
        barrier and no crossing reaches it.
    border_costs : GeoDataFrame, optional
        Lines with a column ``cost``: a border along them counts that many times its length, from
        0 (grids may well end there) to 1000.
    barrier_tolerance : float, default 1
        Metres within which a border lies along a line.
    graph : Contiguity or libpysal.graph.Graph, optional
        Who touches whom, if not by the geometries; on the index of the units.
    effort : {"fast", "default", "best"}, float or gridpart.engine.Effort
        How much work to spend, or for about how many seconds to go on; then the plan depends on
        how fast the machine is.
    time_limit : float, optional
        Seconds after which the best plan so far is finished and returned; the first Ctrl-C does
        the same. A warning says so.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        With every problem of the units and of the rules.
    CRSError
        If the CRS is missing.

    Warns
    -----
    GridpartWarning
        For everything done to the input: projected, repaired, Z dropped; if the search was
        stopped; and for every community that could not be solved, which does not lose the others.

    Notes
    -----
    Method: weighted bisection by coordinates, annealing by moves of single units over borders,
    then repair by merging neighbours and splitting them along random spanning trees (compare
    DeFord, Duchin and Solomon, *Recombination*, 2021). A unit above the band is a grid of its
    own. A connected part of a community with too few households stays a grid of its own; one with
    none joins the nearest grid of its community.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> plan = partition(units, low=200, high=300, target=300)
    >>> plan.grids[["grid", "households", "in_band"]].to_string(index=False).splitlines()[1:]
    ['G001         300     True', 'G002         300     True']
    """
    rules = Rules(
        households=households, id=id, within=within, low=low, high=high, target=target,
        seed=seed, exclusive=exclusive, n_grids=n_grids, balance=balance, workload=workload,
        bounds=bounds, headroom=headroom, max_diameter_m=max_diameter_m, keep_whole=keep_whole,
        locked=locked, enclaves=enclaves, levels=levels, barrier_tolerance=barrier_tolerance,
        effort=effort if isinstance(effort, str) else repr(effort),
    )  # fmt: skip
    units, rules = _free_names(units, rules)
    problems = [*check_rules(rules, units), *_check_spending(jobs, effort, time_limit)]
    if problems:
        raise InputError(problems)
    if rules.low / (1 - rules.headroom) > rules.high / (1 + rules.headroom):
        warnings.warn(
            f"no number of households in {low}-{high} has a headroom of {headroom}: there is none",
            GridpartWarning,
            stacklevel=2,
        )
    checked = _at_the_door(units, rules, crs=crs, repair=repair, tolerance=tolerance)
    lines = gather_lines(barriers, crossings, border_costs, checked.crs)
    borders = borders_of(checked, graph, tolerance)
    if graph is not None:
        _say_isolates(borders)
    if lines is not None:
        borders = mark_borders(borders, checked, lines, tolerance=barrier_tolerance)
    measured = measure(checked)
    if isinstance(effort, int | float):
        effort = effort / (1 + len(levels or ()))  # each level takes its share of the seconds
    spend = _Spend(jobs, effort, None if time_limit is None else time.monotonic() + time_limit)
    frame, tables, stopped = checked, [], False
    decreed = site_numbers(checked, rules)
    for level in (*rules.upper_levels, "grid", *rules.lower_levels):
        own = rules if level == "grid" else rules.at_level(level)
        together = decreed if level in rules.upper_levels else None
        names, table, early = _divide(frame, borders, measured, own, level, spend, together)
        frame = frame.assign(**{level: names})
        if together is not None:
            _check_nesting(frame, level, together)
        if early and not stopped:  # the levels still to come are only finished
            stopped, spend = True, replace(spend, end=time.monotonic())
        tables.append(table)
    if stopped:
        warnings.warn(
            "the search was stopped before its end; the plan is the best so far",
            GridpartWarning,
            stacklevel=2,
        )
    facts = {"version": __version__, **({"stopped": "yes"} if stopped else {})}
    if graph is not None:
        facts[GRAPH_KEY] = "given"
    return Plan(
        units=frame,
        rules=rules,
        exceptions=pd.concat(tables, ignore_index=True),
        provenance=facts,
        _contiguity=borders,
        lines=lines,
    )


@dataclass(frozen=True)
class _Spend:
    """How much work the caller allows."""

    jobs: int | None
    effort: str | float | Effort
    end: float | None

    def left(self) -> float | None:
        return None if self.end is None else max(self.end - time.monotonic(), 0.0)


def borders_of(
    units: gpd.GeoDataFrame, graph: Contiguity | Graph | None, tolerance: float
) -> Contiguity:
    """The caller's graph, or that of the geometries."""
    if graph is None:
        return build_contiguity(units, tolerance=tolerance)
    if hasattr(graph, "adjacency"):  # libpysal's, which need not be installed
        return Contiguity.from_graph(graph, units)
    if not isinstance(graph, Contiguity):
        kind = type(graph).__name__
        raise InputError(f"graph must be a Contiguity or a libpysal Graph, got {kind}")
    if not graph.index.equals(units.index):
        raise InputError("the graph must be on the index of the units, in the same order")
    return graph


def _say_isolates(borders: Contiguity) -> None:
    """Units that touch nobody are grids of their own: in a caller's graph most likely a mistake."""
    alone = borders.index[np.diff(borders.indptr) == 0]
    if len(alone):
        listed = ", ".join(map(str, alone[:5])) + (" ..." if len(alone) > 5 else "")
        warnings.warn(
            f"{len(alone)} units have no neighbour in the graph ({listed})",
            GridpartWarning,
            stacklevel=3,
        )


def _divide(
    units: gpd.GeoDataFrame,
    borders: Contiguity,
    measured: Measured,
    rules: Rules,
    level: str,
    spend: _Spend,
    together: Ints | None,
) -> tuple[Objects, pd.DataFrame, bool]:
    """Divide the areas of one level; names by unit, exceptions, and whether it was stopped."""
    communities = build_communities(units, borders, rules, measured, together)
    _check_counts(communities, rules)
    solutions = solve_communities(
        communities, rules, jobs=spend.jobs, effort=spend.effort, time_limit=spend.left()
    )
    divided = join(len(units), communities, solutions)
    for key, failure in divided.failures.items():
        warnings.warn(
            f"{f'community {key}' if key else 'the units'} could not be solved and stayed whole: "
            f"{failure.error}\n{failure.details}",
            GridpartWarning,
            stacklevel=3,
        )
    attach_enclaves(units, communities, divided.labels, divided.sites)
    _tell_of_other_counts(communities, divided, rules)
    order = np.empty(len(units), np.int64)
    order[np.concatenate([community.members for community in communities])] = np.arange(len(units))
    divided.attached = _parts_cut_off(divided, borders, units[rules.households].to_numpy(), order)
    called = units.index if rules.id is None else pd.Index(units[rules.id])
    find_crossings(divided, communities, rules, called)
    locked = np.full(len(units), "", dtype=object)
    if rules.locked is not None:
        locked = lock_names(units[rules.locked])
    names = _names(units, divided.labels, measured, rules.parent, level, locked)
    return (
        names[divided.labels],
        explain(units, divided, names, rules, level, locked),
        (divided.stopped),
    )


def _check_nesting(units: gpd.GeoDataFrame, level: str, decreed: Ints) -> None:
    """An exclusive or locked grid is not divided by a level above it."""
    held = decreed >= 0
    pairs = pd.DataFrame({"site": decreed[held], "area": units[level].to_numpy()[held]})
    sites = pairs.drop_duplicates()["site"]
    bad = np.isin(decreed, sites[sites.duplicated()])
    if bad.any():
        raise InputError(
            Problem(
                "levels",
                f"a locked or exclusive grid is too large for one area of level {level!r}; widen "
                "the band of the level",
                tuple(f"unit {name}" for name in units.index[bad]),
            )
        )


def _tell_of_other_counts(communities: Sequence[Community], divided: Divided, rules: Rules) -> None:
    """Warn where there are more or fewer grids than were asked for, sites not counted."""

    def made(of: Sequence[Community]) -> int:
        labels = np.unique(divided.labels[np.concatenate([one.members for one in of])])
        return int((~np.isin(labels, divided.sites)).sum())

    others = []
    if isinstance(rules.n_grids, int | np.integer):
        others.append((made(communities), int(rules.n_grids), ""))
    elif isinstance(rules.n_grids, Mapping):
        others += [
            (made([one]), rules.n_grids[one.key], f" in community {one.key}")
            for one in communities
            if one.key in rules.n_grids
        ]
    told = [
        f"{found} instead of {asked}{where}" for found, asked, where in others if found != asked
    ]
    if told:
        warnings.warn(
            f"another number of grids than n_grids asks for: {', '.join(told)}; a part below the "
            "band stays one grid, a unit above it is a grid of its own, and no grid is smaller "
            "than a unit or a compound that stays whole",
            GridpartWarning,
            stacklevel=4,
        )


def _parts_cut_off(
    divided: Divided, borders: Contiguity, loads: Ints, order: Ints
) -> dict[int, Ints]:
    """Units of each group that nothing connects to the part of it with the most households.

    Of equal parts that with the first unit in `order` is the largest.
    """
    rows, indices = borders.rows, borders.indices
    inside = divided.labels[rows] == divided.labels[indices]
    if borders.closed is not None:
        inside &= ~borders.closed
    n = len(divided.labels)
    matrix = csr_array((np.ones(inside.sum()), (rows[inside], indices[inside])), shape=(n, n))
    count, part = connected_components(matrix, directed=False)
    first = np.unique(part, return_index=True)[1]
    group = divided.labels[first]
    several = np.flatnonzero(np.bincount(group) > 1)
    several = np.setdiff1d(several, divided.sites)
    if not several.size:
        return {}
    weight = np.bincount(part, loads, count) + np.bincount(part, minlength=count) / (n + 1)
    earliest = np.full(count, n)
    np.minimum.at(earliest, part, order)
    cut_off = {}
    for g in several:
        own = np.flatnonzero(group == g)
        own = own[np.argsort(earliest[own])]
        others = own[own != own[weight[own].argmax()]]
        cut_off[int(g)] = np.flatnonzero(np.isin(part, others))
    return cut_off


def _check_spending(
    jobs: int | None, effort: str | float | Effort, time_limit: float | None
) -> list[Problem]:
    problems = []
    if jobs is not None and not (isinstance(jobs, int | np.integer) and jobs >= 1):
        problems.append(Problem("jobs", f"jobs must be a number, at least 1, got {jobs!r}"))
    if not isinstance(effort, Effort) and effort not in EFFORTS and not _is_some_seconds(effort):
        known = ", ".join(EFFORTS)
        text = f"effort must be one of {known}, or more than 0 seconds, got {effort!r}"
        problems.append(Problem("effort", text))
    if time_limit is not None and not _is_some_seconds(time_limit):
        text = f"time_limit must be more than 0 seconds, got {time_limit!r}"
        problems.append(Problem("time_limit", text))
    return problems


def _is_some_seconds(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and bool(0 < value < math.inf)


def _check_counts(communities: Sequence[Community], rules: Rules) -> None:
    """A number of grids must reach for every community, and name only communities there are."""
    if isinstance(rules.n_grids, Mapping):
        unknown = sorted(set(rules.n_grids) - {community.key for community in communities})
        if unknown:
            raise InputError(f"n_grids names no community of the units: {', '.join(unknown)}")
        for community in communities:
            _check_reach(rules.n_grids.get(community.key, 1), [community])
    elif isinstance(rules.n_grids, int | np.integer):
        inhabited = sum(community.households > 0 for community in communities)
        if rules.n_grids < inhabited:
            raise InputError(
                f"{rules.n_grids} grids are fewer than the {inhabited} communities with households"
            )
        _check_reach(int(rules.n_grids), communities)


def _check_reach(wanted: int, communities: Sequence[Community]) -> None:
    """No grid is smaller than a unit."""
    units = sum(int((community.sites < 0).sum()) for community in communities)
    if wanted > max(units, 1):
        where = communities[0].key if len(communities) == 1 else ""
        raise InputError(
            f"n_grids: {wanted} grids are more than the {units} units"
            + (f" of community {where}" if where else "")
        )


def _free_names(units: gpd.GeoDataFrame, rules: Rules) -> tuple[gpd.GeoDataFrame, Rules]:
    """Units whose own columns grid and grid_code, where the rules name them, are called otherwise.

    So a plan's units can be planned again, with its grids locked, or divided further.
    """
    columns = [str(column) for column in getattr(units, "columns", [])]
    single = ("households", "id", "within", "exclusive", "keep_whole", "locked", "workload")
    wanted = {getattr(rules, name) for name in single} & set(columns)
    renamed = {
        name: f"{name}_before"
        for name in wanted
        if name.lower() in PLAN_COLUMNS and f"{name}_before" not in columns
    }
    if not renamed:
        return units, rules
    listed = ", ".join(f"{old} is called {new}" for old, new in sorted(renamed.items()))
    warnings.warn(
        f"of the units' columns {listed} now, because the plan has its own",
        GridpartWarning,
        stacklevel=3,
    )
    changes = {name: renamed.get(getattr(rules, name), getattr(rules, name)) for name in single}
    return units.rename(columns=renamed), dataclasses.replace(rules, **changes)


def _at_the_door(
    units: gpd.GeoDataFrame, rules: Rules, *, crs: Any, repair: bool, tolerance: float
) -> gpd.GeoDataFrame:
    if repair:
        units, done = repair_units(units, tolerance=tolerance, crs=crs)
        warnings.warn(
            f"repaired: {str(done).strip('<>').removeprefix('Repair: ')}",
            GridpartWarning,
            stacklevel=3,
        )
    # files know no case: a column GRID would stand in the way of grid
    taken = [str(name) for name in units.columns if str(name).lower() in PLAN_COLUMNS]
    if taken:
        warnings.warn(
            f"the units have a column {' and '.join(taken)} already; the plan's own replaces it",
            GridpartWarning,
            stacklevel=3,
        )
        units = units.drop(columns=taken)
    return check_units(
        units, households=rules.households, id=rules.id, within=rules.within, crs=crs,
        tolerance=tolerance, overlaps="warn" if repair else "error",
    )  # fmt: skip


def _names(
    units: gpd.GeoDataFrame,
    labels: Ints,
    measured: Measured,
    within: str | None,
    level: str,
    locked: Objects,
) -> Objects:
    """Name of every grid: its community and its place in rows from the north-west."""
    count = int(labels.max(initial=-1)) + 1
    total = np.bincount(labels, measured.area, count)
    x = np.bincount(labels, measured.area * measured.x, count) / total
    y = np.bincount(labels, measured.area * measured.y, count) / total
    keys = np.full(count, "", dtype=object)
    if within is not None:
        keys[labels] = units[within].astype(str).to_numpy()
    names = np.full(count, "", dtype=object)
    names[labels[locked != ""]] = locked[locked != ""]
    taken = set(names)
    order = np.argsort(keys, kind="stable")
    for own in np.split(order, np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1):
        if not own.size:
            continue
        key, width = keys[own[0]], max(3, len(str(own.size)))
        start = f"{key}-" if key else level[:1].upper()
        serials = itertools.count(1)
        for grid in own[in_rows(x[own], y[own], total[own])]:
            while not names[grid]:
                name = f"{start}{next(serials):0{width}d}"
                names[grid] = "" if name in taken else name
    return names
