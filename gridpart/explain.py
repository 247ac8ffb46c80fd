"""What could not be done, why, which units are to blame, and what would cure it.

One row for every grid outside the band or in several parts. Each reason is a name that stays the
same from version to version; the sentence that goes with it may change.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from gridpart.engine import Effort, Solution
from gridpart.plan import EXCEPTION_COLUMNS
from gridpart.problem import Community, Failure, diameter_m, solve_one
from gridpart.rules import Rules

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy.typing as npt

    from gridpart.engine import Relaxation

    Ints = npt.NDArray[np.int64]
    Objects = npt.NDArray[np.object_]

__all__ = ["Divided", "explain", "find_crossings", "join"]

LISTED_UNITS = 20  # named in a row; more are counted
CROSSINGS_TRIED = 20
PROVEN = (
    "unit_above_band",
    "component_below_band",
    "no_count_fits",
    "pocket",
    "proven_by_search",
    "enclave_attached",
    "exclusive",
    "locked",
)


@dataclass(eq=False)
class Divided:
    """The groups of all communities in one numbering.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
        Group of every unit.
    reasons, relaxations, causes : list
        Of every group, as in :class:`gridpart.engine.Solution`.
    sites : ndarray of int64
        Groups that are exclusive or locked.
    pieces : list of int
        Groups with the same number divide one connected piece between them.
    failures : dict of str to Failure
        Communities that could not be solved.
    attached : dict of int to ndarray of int64
        Units of a group that are cut off from its largest part.
    crossings : dict of int to str
        Which border to open for a group that is too small.
    stopped : bool
        Whether the search was stopped before its end.
    """

    labels: Ints
    reasons: list[str] = field(default_factory=list)
    relaxations: list[tuple[Relaxation, ...]] = field(default_factory=list)
    causes: list[Ints] = field(default_factory=list)
    sites: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    pieces: list[int] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)
    attached: dict[int, Ints] = field(default_factory=dict)
    crossings: dict[int, str] = field(default_factory=dict)
    stopped: bool = False


def join(
    n: int, communities: Sequence[Community], solutions: Sequence[Solution | Failure]
) -> Divided:
    """Put the groups of all communities into one numbering.

    A community that could not be solved becomes one group for every connected part.
    """
    divided = Divided(np.full(n, -1, np.int64))
    sites = []
    for community, solution in zip(communities, solutions, strict=True):
        if isinstance(solution, Failure):
            divided.failures[community.key] = solution
            solution = _one_group_a_part(community)
        first = len(divided.reasons)
        found = np.where(solution.labels < 0, -1, solution.labels + first)
        divided.labels[community.members] = found
        sites.append(np.unique(found[community.sites >= 0]))
        divided.reasons += solution.reasons
        divided.relaxations += solution.relaxations
        divided.causes += [community.members[cause] for cause in solution.causes]
        divided.pieces += (solution.pieces + first).tolist()
        divided.stopped |= solution.stopped
    if sites:
        divided.sites = np.concatenate(sites)
    return divided


def _one_group_a_part(community: Community) -> Solution:
    from gridpart.engine.kernels import group_sums

    # sites are groups of their own whatever happens to the rest
    labels, count = community.parts(community.sites + 1)
    load, _ = group_sums(labels, community.loads[:, 0].copy(), count)
    everything = tuple(np.flatnonzero(labels == group) for group in range(count))
    return Solution(
        labels, load, ("failed",) * count, 0, np.arange(count), ((),) * count, everything
    )


# ---------------------------------------------------------------- rows


def explain(
    units: gpd.GeoDataFrame,
    divided: Divided,
    names: Objects,
    rules: Rules,
    level: str,
    locked: Objects,
) -> pd.DataFrame:
    """List every grid that is outside the band, or in several parts, and why.

    Parameters
    ----------
    units : GeoDataFrame of n units
    divided : Divided
    names : ndarray of object, shape (k,)
        Name of every group.
    rules : Rules
        Of this level.
    level : str
        Its name.
    locked : ndarray of object, shape (n,)
        Name of the grid that each unit is locked in, empty for none.

    Returns
    -------
    DataFrame
        With the columns of ``Plan.exceptions``.
    """
    loads = units[rules.households].to_numpy(np.int64)
    total = np.bincount(divided.labels, loads, names.size).astype(np.int64)
    # a community without households became a grid after the engine had finished
    missing = names.size - len(divided.reasons)
    reasons = [*divided.reasons, *["component_below_band"] * missing]
    outside = (total < rules.low) | (total > rules.high)
    held = np.zeros(names.size, bool)
    held[divided.labels[locked != ""]] = True
    for g in divided.sites:
        reasons[g] = "locked" if held[g] else "exclusive"
    within = np.full(names.size, None, dtype=object)
    if rules.parent is not None:
        within[divided.labels] = units[rules.parent].astype(str).to_numpy()
    called = units.index if rules.id is None else pd.Index(units[rules.id])
    writer = _Writer(units, rules, called, total, within, names, divided, level)
    for g in np.flatnonzero(~outside) if rules.max_diameter_m else ():
        # the engine keeps a little off the limit, because it measures in some directions only
        if reasons[g] not in ("", "failed") and not writer.beyond(int(g)):
            reasons[g] = ""
    # in the band of households, but not in that of another quantity
    elsewhere = [reason not in ("", "exclusive", "locked") for reason in reasons]
    rows = [writer.row(int(g), reasons[g]) for g in np.flatnonzero(outside | np.array(elsewhere))]
    rows += [writer.attached(g, guests) for g, guests in sorted(divided.attached.items())]
    table = pd.DataFrame(rows, columns=list(EXCEPTION_COLUMNS))
    table = table.astype({"households": "int64", "missed": "int64", "proven": bool})
    return table.sort_values(["grid", "reason"], ignore_index=True)


def _beyond(grid: gpd.GeoDataFrame, rules: Rules) -> str:
    """In words, which other bounds the units of a grid do not keep together."""
    found = []
    for name, (low, high) in (rules.bounds or {}).items():
        value = _sum_of(grid, name)
        if value > high:
            found.append(f"{name} {value:,.0f}, above {high:,.0f}")
        elif value < low:
            found.append(f"{name} {value:,.0f}, below {low:,.0f}")
    if rules.max_diameter_m:
        corners = shapely.get_coordinates(shapely.convex_hull(shapely.union_all(grid.geometry)))
        width = max(float(np.hypot(*(corners - corner).T).max()) for corner in corners)
        if width > rules.max_diameter_m:
            found.append(f"{width:,.0f} m across, more than {rules.max_diameter_m:,.0f}")
    return "; ".join(found)


def _sum_of(units: gpd.GeoDataFrame, name: str) -> float:
    """What units have of a bounded quantity."""
    return float(units[name].sum() if name in units.columns else units.area.sum())


@dataclass(eq=False)
class _Writer:
    units: gpd.GeoDataFrame
    rules: Rules
    called: pd.Index
    total: Ints
    within: Objects
    names: Objects
    divided: Divided
    level: str

    def beyond(self, g: int) -> str:
        """In words, which other bounds a grid does not keep."""
        return _beyond(self.units[self.divided.labels == g], self.rules)

    def row(self, g: int, reason: str) -> tuple[Any, ...]:
        load = int(self.total[g])
        missed = max(self.rules.low - load, load - self.rules.high, 0)
        if reason == "exclusive":
            missed = 0  # the band does not apply
        known = g < len(self.divided.causes)
        cause = self.divided.causes[g] if known else np.flatnonzero(self.divided.labels == g)
        relaxations = self.divided.relaxations[g] if known else ()
        relaxation = " or ".join(map(self._cure, relaxations))
        exact = any(map(_is_exact, relaxations))
        certainty = "exact" if exact else "found" if relaxation else ""
        if g in self.divided.crossings:
            crossing = self.divided.crossings[g]
            relaxation = f"{crossing}, or {relaxation}" if relaxation else crossing
            certainty = certainty or "found"
        return (
            self.level, self.names[g], self.within[g], load, missed, reason, reason in PROVEN,
            self._called(cause), relaxation, certainty, self._advice(g, reason, relaxations),
        )  # fmt: skip

    def attached(self, g: int, guests: Ints) -> tuple[Any, ...]:
        load, beyond = int(self.total[g]), self.beyond(g)
        beyond = f" and is beyond its bounds ({beyond})" if beyond else ""
        advice = (
            f"{self._called(guests)}: cut off, attached to the nearest grid of the community, "
            f"which has several parts now{beyond}; accept, or connect by a crossing"
        )
        return (
            self.level, self.names[g], self.within[g], load, 0, "enclave_attached", True,
            self._called(guests), "", "", advice,
        )  # fmt: skip

    def _cure(self, relaxation: Relaxation) -> str:
        """A relaxation in words: from what to what, and what is needed with it."""
        return " and ".join(map(self._change, relaxation.changes))

    def _change(self, change: Relaxation) -> str:
        if change.bound == "widest":
            return f"max_diameter_m {self.rules.max_diameter_m:g} → {diameter_m(change.value)}"
        if change.column == 0:
            return f"{change.bound} {getattr(self.rules, change.bound)} → {change.value}"
        name, band = list((self.rules.bounds or {}).items())[change.column - 1]
        return f"{name} {change.bound} {band[change.bound == 'high']:.15g} → {change.value}"

    def _called(self, positions: Ints) -> str:
        # by name, so that the order of the rows does not show
        names = sorted(self.called[positions], key=_rank)
        listed = ", ".join(map(str, names[:LISTED_UNITS]))
        more = positions.size - LISTED_UNITS
        return f"{listed} and {more} more" if more > 0 else listed

    def _advice(self, g: int, reason: str, relaxations: Sequence[Relaxation]) -> str:
        """Say in one sentence what is the matter and what would cure it."""
        low, high, load = self.rules.low, self.rules.high, int(self.total[g])
        cures = [f"{self._cure(r)} ({'exact' if _is_exact(r) else 'found'})" for r in relaxations]
        if g in self.divided.crossings:
            cures.insert(0, f"{self.divided.crossings[g]} (found)")
        cure = f"; {' or '.join(cures)}" if cures else ""
        if reason == "unit_above_band" and load <= high:
            return f"one unit is beyond a bound by itself ({self.beyond(g)}); divide it{cure}"
        if reason == "failed":
            failure = self.divided.failures[str(self.within[g] or "")]
            return f"the community could not be solved: {failure.error}; please report it"
        if low <= load <= high and reason not in ("exclusive", "locked"):
            counted = f"{self._count(g)}; " if reason == "no_count_fits" else ""
            return (
                f"{counted}{load} households are in the band, but the grid is beyond another bound "
                f"({self.beyond(g)}); widen it, or divide units{cure}"
            )
        miss = f"{low - load} fewer than {low}" if load < low else f"{load - high} more than {high}"
        counted = self._count(g) if reason == "no_count_fits" else ""
        return {
            "unit_above_band": f"one unit holds {load} households, {miss}; staff it by its size, "
            f"or divide the unit{cure}",
            "component_below_band": f"a part of the community that nothing connects holds {load} "
            f"households, {miss}; open a crossing, attach it, or accept it as a small grid{cure}",
            "no_count_fits": f"{counted}; this grid has {load}, {miss}{cure}",
            "pocket": f"lies behind a single unit that cannot take it in: {load} households, "
            f"{miss}; divide that unit{cure}",
            "proven_by_search": f"no division in the band exists: {load} households, {miss}{cure}",
            "not_found": f"no division in the band was found, none is ruled out: {load} "
            f"households, {miss}; try another seed, more effort or a wider band{cure}",
            "exclusive": "an exclusive grid: the band does not apply",
            "locked": f"locked as it is: {load} households, {miss}",
        }[reason]

    def _count(self, g: int) -> str:
        """Why no number of grids fits a connected part, or not the one that was asked for."""
        piece = np.flatnonzero(np.array(self.divided.pieces) == self.divided.pieces[g])
        units = self.units[np.isin(self.divided.labels, piece)]
        own = "households", self.rules.households, (self.rules.low, self.rules.high)
        others = [(name, name, band) for name, band in (self.rules.bounds or {}).items()]
        facts = []
        for at, (name, column, (low, high)) in enumerate((own, *others)):
            total = _sum_of(units, column)
            fewest = math.ceil(total / high) if high else math.inf
            most = total // low if low else math.inf
            amount = f"{total:,.0f} {name}"
            if fewest > most:
                fewer = max(int(most), 1)
                facts = [
                    f"{amount}: too many for {fewer} of {low:g}-{high:g}, too few for {fewer + 1}"
                ]
                break
            if at == 0 or not fewest <= piece.size <= most:
                facts.append(f"{amount}, which fit {_numbers(fewest, most)} grids")
        return f"this part of the community has {', and '.join(facts)} (made {piece.size})"


def _is_exact(relaxation: Relaxation) -> bool:
    return all(change.exact for change in relaxation.changes)


def _numbers(fewest: float, most: float) -> str:
    if most == math.inf:
        return f"at least {fewest:g}"
    return f"{fewest:g}" if fewest == most else f"{fewest:g} to {most:g}"


def _rank(name: Any) -> tuple[bool, float, str]:
    """Numbers before words, numbers by value."""
    is_number = isinstance(name, int | float | np.number)
    return not is_number, float(name) if is_number else 0.0, str(name)


# ---------------------------------------------------------------- crossings that would help


def find_crossings(
    divided: Divided, communities: Sequence[Community], rules: Rules, called: pd.Index
) -> None:
    """For grids too small behind a barrier: a border that, once open, cures them.

    The longest closed border is tried: the community is solved once more, quickly, with it open.
    """
    tried = 0
    for community in communities:
        if not community.closed.any():
            continue
        labels = divided.labels[community.members]
        for g in np.unique(labels):
            small = g < len(divided.reasons) and divided.reasons[g] == "component_below_band"
            if not small or tried == CROSSINGS_TRIED:
                continue
            tried += 1
            found = _crossing(community, labels == g, rules)
            if found is not None:
                a, b = (called[community.members[u]] for u in found)
                divided.crossings[int(g)] = f"open a crossing between {a} and {b}"


def _crossing(
    community: Community, mine: npt.NDArray[np.bool_], rules: Rules
) -> tuple[int, int] | None:
    rows = community.rows
    across = community.closed & mine[rows] & ~mine[community.indices]
    across &= community.sites[community.indices] < 0
    if not across.any():
        return None
    edge = int(np.flatnonzero(across)[community.borders[across].argmax()])
    u, v = int(rows[edge]), int(community.indices[edge])
    opened = community.closed.copy()
    opened[edge] = False
    opened[(rows == v) & (community.indices == u)] = False
    again = solve_one(
        dataclasses.replace(community, closed=opened), rules, None,
        Effort(sweeps=300, starts=1, restarts=10), None, np.zeros(2, np.int64),
    )  # fmt: skip
    if isinstance(again, Failure):
        return None
    cured = all(again.reasons[g] == "" for g in np.unique(again.labels[mine]) if g >= 0)
    return (u, v) if cured else None
