"""A plan drawn again for units that have changed, with as few households moved as possible."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gridpart._version import __version__
from gridpart.barriers import gather_lines, mark_borders
from gridpart.contiguity import Contiguity
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.partition import borders_of
from gridpart.plan import GRAPH_KEY, Plan
from gridpart.problem import measure, site_numbers
from gridpart.redraw.level import Level, redraw_level
from gridpart.redraw.match import Matched, match_units
from gridpart.redraw.recode import recoded
from gridpart.redraw.shorter import shorten
from gridpart.rules import Rules, check_rules
from gridpart.units import check_units, repair_units

if TYPE_CHECKING:
    import geopandas as gpd
    from libpysal.graph import Graph

    from gridpart.codes import Register

__all__ = ["Redrawn", "redraw", "redrawing"]

KEEP = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class Redrawn:
    """A plan that was drawn again, and what that took.

    Parameters
    ----------
    plan : Plan
        As it is now.
    before : Plan
        As it was.
    matched : Matched
        Where its units come from.
    households_moved : int
        Households of today in another grid than the one their unit was in.
    households_bound : int
        No method could have moved fewer.
    grids_touched : int
        Old and new grids that units left or came to.
    grids_bound : int
        Grids that were out of order, each of which had to be touched.
    """

    plan: Plan
    before: Plan
    matched: Matched
    households_moved: int
    households_bound: int
    grids_touched: int
    grids_bound: int

    def __repr__(self) -> str:
        total = int(self.plan.grids["households"].sum())
        share = self.households_moved / total if total else 0.0
        old, new = set(self.before.grids["grid"]), set(self.plan.grids["grid"])
        return (
            f"<Redrawn: {self.households_moved:,} of {total:,} households moved ({share:.2%}); "
            f"at least {self.households_bound:,} had to\n"
            f"  grids      {self.grids_touched} touched, at least {self.grids_bound} had to be; "
            f"{len(new - old)} new, {len(old - new)} gone\n"
            f"  units      {str(self.matched).strip('<>').removeprefix('Matched: ')}\n"
            f"  in band    {int(self.plan.grids['in_band'].sum())} of {len(new)}, "
            f"{len(self.plan.exceptions)} exceptions>"
        )


def redraw(
    plan: Plan,
    units: gpd.GeoDataFrame,
    *,
    locked: Collection[str] = (),
    pinned: Collection[Any] = (),
    locked_borders: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    keep: float = KEEP,
    register: Register | None = None,
    reason: str = "redrawn",
    at: Any = None,
    repair: bool = False,
    tolerance: float = 0.001,
    graph: Contiguity | Graph | None = None,
) -> Redrawn:
    """Draw a plan again for units as they are now, moving as few households as possible.

    Everything else is read from the plan: its columns, band, barriers, locks and levels. Grids
    that are in order stay exactly as they are.

    Parameters
    ----------
    plan : Plan
        As it was, with or without codes.
    units : GeoDataFrame of n units
        As they are now, with the columns that the plan was made by. Columns of the plan's own
        (``grid`` and so on) are passed over, and marks that are missing are taken from the plan.
    locked : collection of str
        Grids that stay as they are, whatever their households.
    pinned : collection
        Ids of units that stay in their grid.
    locked_borders : GeoDataFrame or GeoSeries, optional
        Lines: units on both sides of a border between grids along them stay where they are.
    keep : float, default 0.5
        Share of its households that a grid must keep to keep its code.
    register : Register, optional
        Where codes are issued and retired. Without one, new serials are above all that the plan
        and those before it ever had.
    reason : str
        What the register says of the change.
    at : datetime or str, optional
        When, for the register.
    repair : bool, default False
        Mend the new units' borders first; see :func:`gridpart.repair_units`.
    tolerance : float, default 0.001
        Metres within which borders are the same.
    graph : Contiguity or libpysal.graph.Graph, optional
        Who touches whom among the units of today, as :func:`gridpart.partition` takes it. It must
        be given for a plan that was drawn on a graph of its own.

    Returns
    -------
    Redrawn

    Raises
    ------
    InputError
        With every problem found: of the units, of locks and pins that name nothing; or if the plan
        was drawn on a graph of its own, and none is given.
    CodeError
        If serials are used up.

    See Also
    --------
    redrawing, match_units

    Notes
    -----
    Around each grid that is outside the band, or no longer connected, a mixed-integer program
    moves the fewest households among it and the grids around it, with more of them until it is
    in order. Then units are exchanged, at no household more, as long as that makes the
    lines shorter. The bound: what a grid has above the band it must give in whole units, what one
    below lacks it must take, or end.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> plan = gp.partition(units, low=200, high=400, n_grids=2)
    >>> units.loc[1, "households"] = 250  # a tower is finished
    >>> result = redraw(plan, units)
    >>> result.plan.grids["households"].tolist(), result.households_moved, result.households_bound
    ([350, 400], 100, 100)
    """
    with redrawing(
        plan, units, locked=locked, pinned=pinned, locked_borders=locked_borders, keep=keep,
        register=register, reason=reason, at=at, repair=repair, tolerance=tolerance, graph=graph,
    ) as result:  # fmt: skip
        return result


@contextmanager
def redrawing(
    plan: Plan,
    units: gpd.GeoDataFrame,
    *,
    locked: Collection[str] = (),
    pinned: Collection[Any] = (),
    locked_borders: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    keep: float = KEEP,
    register: Register | None = None,
    reason: str = "redrawn",
    at: Any = None,
    repair: bool = False,
    tolerance: float = 0.001,
    graph: Contiguity | Graph | None = None,
) -> Iterator[Redrawn]:
    """Draw a plan again, and change the register only if the ``with`` block ends well.

    Save the plan in the block: if that fails, no code was issued and none retired. Parameters and
    errors are those of :func:`redraw`.

    Yields
    ------
    Redrawn
    """
    if not 0 < keep <= 1:
        raise InputError(f"keep must be above 0 and at most 1, got {keep!r}")
    if graph is None and GRAPH_KEY in plan.provenance:
        raise InputError(
            "the plan was drawn on a graph of its own, not on that of the geometries; give the "
            "graph of the units as they are now: graph=, in Python"
        )
    frame = _at_the_door(plan, units, repair=repair, tolerance=tolerance)
    matched = match_units(plan, frame)
    frame = _with_marks(plan, frame)
    problems = check_rules(plan.rules, frame)
    if problems:
        raise InputError(problems)
    borders = _borders(frame, plan, tolerance, graph)
    held = _pinned(plan, frame, matched, pinned, locked_borders, borders)
    drawn, households_bound, grids_bound = _drawn(
        plan, frame, matched, borders, held, _known(plan, locked)
    )
    if graph is not None:
        drawn = drawn.replace(provenance={**drawn.provenance, GRAPH_KEY: "given"})
    home, now = matched.home, drawn.units["grid"]
    away = home.notna() & (home != now)
    touched = {*home[away], *now[away], *now[home.isna()]}
    counts = drawn.units[plan.rules.households]
    with recoded(plan, drawn, matched, keep=keep, register=register, reason=reason, at=at) as coded:
        yield Redrawn(
            coded, plan, matched, int(counts[away].sum()), households_bound, len(touched),
            grids_bound,
        )  # fmt: skip


# --------------------------------------------------------------------------- the door


def _at_the_door(
    plan: Plan, units: gpd.GeoDataFrame, *, repair: bool, tolerance: float
) -> gpd.GeoDataFrame:
    """The new units in the plan's CRS, sound, and without the plan's own columns."""
    own = ("grid", "grid_code", "grid_check", "parent_grid", *(plan.rules.levels or ()))
    own += tuple(f"{level}_code" for level in plan.rules.levels or ())
    units = units.drop(columns=[name for name in own if name in units.columns])
    crs = plan.units.crs
    if repair:
        units, done = repair_units(units, tolerance=tolerance, crs=crs)
        text = str(done).strip("<>").removeprefix("Repair: ")
        warnings.warn(f"repaired: {text}", GridpartWarning, stacklevel=4)
    rules = plan.rules
    return check_units(
        units, households=rules.households, id=rules.id, within=rules.within, crs=crs,
        tolerance=tolerance, overlaps="warn" if repair else "error",
    )  # fmt: skip


def _with_marks(plan: Plan, units: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Units with the marks that the rules name; what the new layer lacks comes from the plan."""
    rules, old = plan.rules, plan.units
    named = (rules.exclusive, rules.keep_whole, rules.locked, rules.workload, *(rules.bounds or ()))
    lacking = [
        name for name in named if name in old.columns and name not in (*units.columns, "area_m2")
    ]
    if not lacking or rules.id is None:
        return units
    before = old.drop_duplicates(rules.id).set_index(old[rules.id].astype(str))[lacking]
    marks = before.reindex(units[rules.id].astype(str)).set_index(units.index)
    return units.assign(**{name: marks[name] for name in lacking})


def _borders(
    units: gpd.GeoDataFrame, plan: Plan, tolerance: float, graph: Contiguity | Graph | None
) -> Contiguity:
    borders = borders_of(units, graph, tolerance)
    if plan.lines is None:
        return borders
    return mark_borders(borders, units, plan.lines, tolerance=plan.rules.barrier_tolerance)


def _known(plan: Plan, locked: Collection[str]) -> frozenset[str]:
    unknown = sorted(set(locked) - set(plan.units["grid"]))
    if unknown:
        text = "locked names no grid of the plan"
        raise InputError(Problem("unknown_grid", text, tuple(f"grid {name}" for name in unknown)))
    return frozenset(locked)


def _pinned(
    plan: Plan,
    units: gpd.GeoDataFrame,
    matched: Matched,
    pinned: Collection[Any],
    lines: gpd.GeoDataFrame | gpd.GeoSeries | None,
    borders: Contiguity,
) -> npt.NDArray[np.bool_]:
    """Units that stay where they are: named ones, and those along locked borders."""
    names = units.index if plan.rules.id is None else pd.Index(units[plan.rules.id].astype(str))
    wanted = [name if plan.rules.id is None else str(name) for name in pinned]
    unknown = tuple(f"unit {name}" for name in wanted if name not in names)
    if unknown:
        raise InputError(Problem("unknown_unit", "pinned names units that there are not", unknown))
    held = np.asarray(names.isin(wanted))
    homeless = held & matched.home.isna().to_numpy()
    if homeless.any():
        bad = tuple(f"unit {name}" for name in names[homeless])
        raise InputError(Problem("new_unit", "a new unit has no grid to be pinned in", bad))
    if lines is not None:
        layer = gather_lines(lines, None, None, units.crs)
        assert layer is not None
        bare = dataclasses.replace(borders, closed=None, cost_mm=None)
        marked = mark_borders(bare, units, layer, tolerance=plan.rules.barrier_tolerance)
        home = matched.home.to_numpy(object)
        along = np.zeros(0, bool) if marked.closed is None else marked.closed
        along = along & (home[marked.rows] != home[marked.indices])
        held[marked.rows[along]] = True
        held &= matched.home.notna().to_numpy()
    return held


# --------------------------------------------------------------------------- the levels


def _drawn(
    plan: Plan,
    units: gpd.GeoDataFrame,
    matched: Matched,
    borders: Contiguity,
    pinned: npt.NDArray[np.bool_],
    locked: frozenset[str],
) -> tuple[Plan, int, int]:
    """The plan without codes, and what had to change at the level of the grids."""
    rules, measured = plan.rules, measure(units)
    decreed = site_numbers(units, rules)
    frame, tables, bounds = units, [], {}
    for name in (*rules.upper_levels, "grid", *rules.lower_levels):
        own = rules if name == "grid" else rules.at_level(name)
        home = matched.home if name == "grid" else matched.areas[name]
        level = Level(
            name, own, home.to_numpy(object), pinned & home.notna().to_numpy(),
            (locked if name == "grid" else frozenset()) | _settled(plan, frame, home, name, own),
            _parted(plan, name),
            decreed if name in rules.upper_levels else None,
        )  # fmt: skip
        drawn = redraw_level(frame, borders, measured, level)
        names = drawn.names
        if name not in rules.upper_levels:  # the levels below would have to follow
            names = shorten(frame, borders, measured, level, names, drawn.exceptions["grid"])
        frame = frame.assign(**{name: names})
        tables.append(drawn.exceptions)
        bounds[name] = (drawn.households_bound, drawn.areas_bound)
    facts = {key: plan.provenance[key] for key in _LASTING if key in plan.provenance}
    new = Plan(
        units=frame,
        rules=rules,
        exceptions=pd.concat(tables, ignore_index=True),
        provenance={**facts, "version": __version__, "redrawn": "yes"},
        _contiguity=borders,
        lines=plan.lines,
    )
    return new, *bounds["grid"]


# What a plan hands on to those that come of it.
_LASTING = (
    "retired_codes", "retired_grids", "retired_codes_below", "edits", "register", "register_scheme",
    "code_scheme", GRAPH_KEY,
)  # fmt: skip


def _settled(
    plan: Plan, units: gpd.GeoDataFrame, home: pd.Series, level: str, rules: Rules
) -> frozenset[str]:
    """Recorded exceptions to which nothing has happened: same units, same households."""
    table = plan.exceptions
    listed = set(table.loc[(table["level"] == level) & (table["missed"] != 0), "grid"])
    if not listed:
        return frozenset()
    before = _holdings(plan.units, plan.units[level], rules, plan.rules.id)
    now = _holdings(units, home, rules, plan.rules.id)
    return frozenset(name for name in listed if before.get(name) == now.get(name))


def _holdings(
    units: gpd.GeoDataFrame, areas: pd.Series, rules: Rules, id: str | None
) -> Mapping[str, frozenset[tuple[Any, int]]]:
    names = units.index if id is None else units[id].astype(str)
    parents = [""] * len(units) if rules.parent is None else units[rules.parent].astype(str)
    pairs = pd.Series(
        list(zip(names, units[rules.households], parents, strict=True)), index=units.index
    )
    return {name: frozenset(rows) for name, rows in pairs.groupby(areas)}


def _parted(plan: Plan, level: str) -> frozenset[str]:
    """Areas that were in several parts by the graph of the old units."""
    graph = plan.contiguity
    names, labels = np.unique(plan.units[level].to_numpy(str), return_inverse=True)
    labels = labels.reshape(-1)
    inside = labels[graph.rows] == labels[graph.indices]
    if graph.closed is not None:
        inside &= ~graph.closed
    n = len(labels)
    matrix = csr_array(
        (np.ones(inside.sum()), (graph.rows[inside], graph.indices[inside])), shape=(n, n)
    )
    part = connected_components(matrix, directed=False)[1]
    _, first = np.unique(part, return_index=True)
    counts = np.bincount(labels[first], minlength=len(names))
    return frozenset(names[counts > 1].tolist())
