"""Units → `Plan`, with an explanation of what could not be done."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from gridpart._geometry.order import in_rows
from gridpart._version import __version__
from gridpart.contiguity import build_contiguity
from gridpart.engine import EFFORTS
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.plan import EXCEPTION_COLUMNS, Plan, Rules
from gridpart.problem import Community, attach_enclaves, build_communities, solve_communities
from gridpart.units import check_units, repair_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas as gpd
    import numpy.typing as npt

    from gridpart.engine import Effort, Solution

    Ints = npt.NDArray[np.int64]

__all__ = ["partition"]


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
    workload: str | None = None,
    bounds: Mapping[str, tuple[int, int]] | None = None,
    effort: str | Effort = "default",
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
        among communities by households; or a number for each community that is named.
    balance : float, default 0.5
        From 0, shortest borders, to 1, most even grids.
    workload : str, optional
        Column with whole numbers to be evened out instead of households.
    bounds : mapping of str to (int, int), optional
        Bands of other columns of whole numbers, such as ``{"over65": (0, 150)}``; ``area_m2`` is
        measured if there is no such column. They may begin at 0.
    effort : {"fast", "default", "best"} or gridpart.engine.Effort
        How much work to spend.

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
        For everything done to the input: projected, repaired, Z dropped.

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
        bounds=bounds, effort=effort if isinstance(effort, str) else repr(effort),
    )  # fmt: skip
    _check_rules(rules, units, jobs, effort)
    checked = _at_the_door(units, rules, crs=crs, repair=repair, tolerance=tolerance)
    graph = build_contiguity(checked, tolerance=tolerance)
    communities = build_communities(checked, graph, rules)
    _check_counts(communities, rules)
    solutions = solve_communities(communities, rules, jobs=jobs, effort=effort)
    labels, reasons, pieces, exclusive_grids = _join(len(checked), communities, solutions)
    attached = attach_enclaves(checked, communities, labels, exclusive_grids)
    names = _names(checked, labels, within)
    return Plan(
        units=checked.assign(grid=names[labels]),
        rules=rules,
        exceptions=_exceptions(
            checked, labels, names, reasons, pieces, exclusive_grids, attached, rules
        ),
        provenance={"version": __version__},
        _contiguity=graph,
    )


def _check_rules(
    rules: Rules, units: gpd.GeoDataFrame, jobs: int | None, effort: str | Effort
) -> None:
    """Report everything that is wrong with the options together."""
    problems = []
    for name in ("low", "high", "target", "seed"):
        value = getattr(rules, name)
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not (whole or (name == "target" and value is None)):
            problems.append(Problem(name, f"{name} must be a whole number, got {value!r}"))
    if not problems:
        if not 1 <= rules.low <= rules.high:
            text = f"the band must satisfy 1 <= low <= high, got low={rules.low}, high={rules.high}"
            problems.append(Problem("band", text))
        elif rules.target is not None and not rules.low <= rules.target <= rules.high:
            text = f"target {rules.target} lies outside the band {rules.low}-{rules.high}"
            problems.append(Problem("target", text))
        if rules.seed < 0:
            problems.append(Problem("seed", f"seed must not be negative, got {rules.seed}"))
    if jobs is not None and jobs < 1:
        problems.append(Problem("jobs", f"jobs must be at least 1, got {jobs}"))
    if not 0 <= rules.balance <= 1:
        problems.append(Problem("balance", f"balance must be from 0 to 1, got {rules.balance}"))
    if isinstance(effort, str) and effort not in EFFORTS:
        known = ", ".join(EFFORTS)
        problems.append(Problem("effort", f"effort must be one of {known}, got {effort!r}"))
    if isinstance(rules.n_grids, str) and rules.n_grids not in ("fewest", "most"):
        text = f"n_grids must be a number, 'fewest' or 'most', got {rules.n_grids!r}"
        problems.append(Problem("n_grids", text))
    problems += _check_columns(rules, units)
    if problems:
        raise InputError(problems)


def _check_columns(rules: Rules, units: gpd.GeoDataFrame) -> list[Problem]:
    """Columns that rules name besides those that the door checks."""
    problems = []
    columns = [str(column) for column in getattr(units, "columns", [])]
    measured = [name for name in rules.bounds or () if name != "area_m2" or name in columns]
    counted = [name for name in (rules.workload, *measured) if name is not None]
    wanted = {**dict.fromkeys(counted, "of whole numbers")}
    if rules.exclusive is not None:
        wanted[rules.exclusive] = "to mark exclusive units"
    for name, use in wanted.items():
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(Problem("missing_column", f"no column {name!r} {use}{hint}"))
        elif name in counted:
            values = pd.to_numeric(units[name], errors="coerce").to_numpy(np.float64)
            wrong = ~(np.isfinite(values) & (values >= 0) & (values == np.rint(values)))
            bad = tuple(f"unit {u}: {v}" for u, v in units[name][wrong].items())
            if bad:
                text = f"column {name!r} must hold whole numbers, 0 or more"
                problems.append(Problem("not_whole", text, bad))
    for name, (low, high) in (rules.bounds or {}).items():
        if not 0 <= low <= high:
            text = f"the bounds of {name!r} must satisfy 0 <= low <= high, got {low} to {high}"
            problems.append(Problem("bounds", text))
    return problems


def _check_counts(communities: Sequence[Community], rules: Rules) -> None:
    """A number of grids must reach for every community, and name only communities there are."""
    if isinstance(rules.n_grids, Mapping):
        unknown = sorted(set(rules.n_grids) - {community.key for community in communities})
        if unknown:
            raise InputError(f"n_grids names no community of the units: {', '.join(unknown)}")
    elif isinstance(rules.n_grids, int):
        inhabited = sum(community.households > 0 for community in communities)
        if rules.n_grids < inhabited:
            raise InputError(
                f"{rules.n_grids} grids are fewer than the {inhabited} communities with households"
            )


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
    taken = [str(name) for name in units.columns if str(name).lower() in ("grid", "grid_code")]
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


def _join(
    n: int, communities: Sequence[Community], solutions: Sequence[Solution]
) -> tuple[Ints, list[str], list[int], Ints]:
    """Put the groups of all communities into one numbering.

    Returns the label of every unit, the reason and the piece of every group, and the groups that
    are exclusive.
    """
    labels = np.full(n, -1, np.int64)
    reasons: list[str] = []
    pieces: list[int] = []
    exclusive: list[Ints] = []
    for community, solution in zip(communities, solutions, strict=True):
        found = np.where(solution.labels < 0, -1, solution.labels + len(reasons))
        labels[community.members] = found
        exclusive.append(np.unique(found[community.sites >= 0]))
        pieces += (solution.pieces + len(reasons)).tolist()
        reasons += solution.reasons
    sites = np.concatenate(exclusive) if exclusive else np.zeros(0, np.int64)
    return labels, reasons, pieces, sites


def _names(units: gpd.GeoDataFrame, labels: Ints, within: str | None) -> npt.NDArray[np.object_]:
    """Name of every grid: its community and its place in rows from the north-west."""
    count = int(labels.max(initial=-1)) + 1
    area = shapely.area(units.geometry.to_numpy())
    centre = shapely.centroid(units.geometry.to_numpy())
    total = np.bincount(labels, area, count)
    x = np.bincount(labels, area * shapely.get_x(centre), count) / total
    y = np.bincount(labels, area * shapely.get_y(centre), count) / total
    keys = np.full(count, "", dtype=object)
    if within is not None:
        keys[labels] = units[within].astype(str).to_numpy()
    names = np.empty(count, dtype=object)
    for key in pd.unique(keys):
        own = np.flatnonzero(keys == key)
        order = own[in_rows(x[own], y[own], total[own])]
        width = max(3, len(str(order.size)))
        for serial, grid in enumerate(order, start=1):
            names[grid] = f"{key}-{serial:0{width}d}" if key else f"G{serial:0{width}d}"
    return names


def _exceptions(
    units: gpd.GeoDataFrame,
    labels: Ints,
    names: npt.NDArray[np.object_],
    reasons: list[str],
    pieces: list[int],
    exclusive: Ints,
    attached: Ints,
    rules: Rules,
) -> pd.DataFrame:
    """List every grid that is outside the band, or in several parts, and why."""
    loads = units[rules.households].to_numpy(np.int64)
    total = np.bincount(labels, loads, names.size).astype(np.int64)
    # a community without households became a grid after the engine had finished
    why = dict(enumerate(reasons + ["component_below_band"] * (names.size - len(reasons))))
    outside = (total < rules.low) | (total > rules.high)
    why.update({int(g): "exclusive" for g in exclusive})
    # in the band of households, but not in that of another quantity
    broken = np.array([why[g] not in ("", "exclusive") for g in range(names.size)])
    within = np.full(names.size, None, dtype=object)
    if rules.within is not None:
        within[labels] = units[rules.within].astype(str).to_numpy()
    pieces = [*pieces, *range(len(pieces), names.size)]
    of_piece: dict[int, tuple[int, int]] = {}
    for g, piece in enumerate(pieces):
        households, count = of_piece.get(piece, (0, 0))
        of_piece[piece] = (households + int(total[g]), count + 1)
    unit_name = units.index if rules.id is None else pd.Index(units[rules.id])
    rows = [
        (names[g], within[g], total[g], why[int(g)], why[int(g)] != "not_found",
         _advice(why[int(g)], int(total[g]), rules, of_piece[pieces[g]]))
        for g in np.flatnonzero(outside | broken)
    ]  # fmt: skip
    for g in np.unique(labels[attached]):
        guests = attached[labels[attached] == g]
        listed = ", ".join(str(unit_name[u]) for u in guests[:5])
        more = f" and {guests.size - 5} more" if guests.size > 5 else ""
        advice = (
            f"{listed}{more}: cut off, without households, attached to the nearest grid of the "
            "community; accept, or connect by a crossing"
        )
        rows.append((names[g], within[g], total[g], "enclave_attached", True, advice))
    table = pd.DataFrame(rows, columns=list(EXCEPTION_COLUMNS))
    table = table.astype({"households": "int64", "proven": bool})
    return table.sort_values(["grid", "reason"], ignore_index=True)


def _advice(reason: str, load: int, rules: Rules, piece: tuple[int, int]) -> str:
    """Say in one sentence what would cure a grid outside the band."""
    low, high = rules.low, rules.high
    if low <= load <= high and reason != "exclusive":
        others = ", ".join(rules.bounds or ())
        return f"{load} households are in the band, but the bounds of {others} are not kept"
    miss = f"{low - load} fewer than {low}" if load < low else f"{load - high} more than {high}"
    bound = f"low {low} → {load}" if load < low else f"high {high} → {load}"
    return {
        "unit_above_band": f"one unit holds {load} households, {miss}; staff it by its size, "
        "or divide the unit",
        "component_below_band": f"a part of the community that nothing connects holds {load} "
        f"households, {miss}; open a crossing, or accept it as a small grid",
        "no_count_fits": _advice_count(load, rules, *piece),
        "pocket": f"lies behind a single unit that cannot take it in: {load} households, {miss}; "
        f"divide that unit, or {bound}",
        "proven_by_search": f"every division was tried: {load} households, {miss}; {bound}",
        "not_found": f"no division in the band was found, none is ruled out: {load} households, "
        f"{miss}; try another seed or a wider band",
        "exclusive": "an exclusive grid: the band does not apply",
    }[reason]


def _advice_count(load: int, rules: Rules, households: int, grids: int) -> str:
    """The least changes of the band with which some number of grids fits a connected part."""
    low, high = rules.low, rules.high
    fewer = max(households // low, 1)
    raised = f"high {high} → {max(-(-households // fewer), high)}"
    lowered = f"low {low} → {min(households // (fewer + 1), low)}"
    return (
        f"this part of the community has {households} households: too many for {fewer} of "
        f"{low}-{high}, too few for {fewer + 1}; {raised} or {lowered} is the least that can cure "
        f"it (made {grids}, {load} in this one)"
    )
