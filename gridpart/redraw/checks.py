"""What a hand edit does to the rules of a plan: grid by grid, as it was and as it would be.

Only the grids that an edit touches are looked at. A rule is broken where it becomes worse: a grid
that was outside the band already may come nearer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridpart.rules import lock_names, site_marks

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.plan import Plan
    from gridpart.rules import Rules

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]
    Objects = npt.NDArray[np.object_]

__all__ = ["BROKEN", "STILL", "Effect", "Touched", "as_table", "check_edit", "decreed"]

FINE, BETTER, STILL, BROKEN = "kept", "better", "still outside", "broken"
UNITS_NAMED = 5
APART = "\x1f"  # between a name and its community; stands in neither


class Effect(NamedTuple):
    """What an edit does to one rule in one grid."""

    rule: str
    grid: str
    before: str
    after: str
    verdict: str
    text: str


@dataclass(frozen=True, eq=False)
class Touched:
    """The units of all grids that an edit touches, with their grids before and after.

    Attributes
    ----------
    plan : Plan
        Before the edit.
    rows : ndarray of int64, shape (k,)
        Positions of these units among those of the plan.
    before, after : ndarray of object, shape (k,)
        Names of their grids.
    origins : mapping of str to tuple of str
        Grids that each new grid comes from.
    parent_of : callable
        Parent of a code.
    """

    plan: Plan
    rows: Ints
    before: Objects
    after: Objects
    origins: Mapping[str, tuple[str, ...]]
    parent_of: Callable[[str], str] = str

    @property
    def rules(self) -> Rules:
        """Of the plan."""
        return self.plan.rules

    @cached_property
    def units(self) -> gpd.GeoDataFrame:
        """The units themselves."""
        return self.plan.units.iloc[self.rows]

    @cached_property
    def loads(self) -> Ints:
        """Households."""
        return self.units[self.rules.households].to_numpy(np.int64)

    @cached_property
    def names(self) -> Objects:
        """What the units are called."""
        rules = self.rules
        named = self.units.index if rules.id is None else self.units[rules.id]
        return np.asarray(named.astype(str), dtype=object)

    @cached_property
    def grids(self) -> list[str]:
        """Grids after the edit, in order."""
        return sorted(set(self.after))

    def sources(self, grid: str) -> tuple[str, ...]:
        """The grid itself as it was, or those that a new one comes from."""
        return self.origins.get(grid, (grid,))

    def total(self, values: Ints, labels: Objects, grid: str) -> int:
        """Sum over a grid."""
        return int(values[labels == grid].sum())

    @cached_property
    def edges(self) -> tuple[Ints, Ints, Flags]:
        """Borders between these units: two places each, and whether it is closed."""
        graph = self.plan.contiguity
        place = np.full(graph.n, -1, np.int64)
        place[self.rows] = np.arange(self.rows.size)
        first = graph.indptr[self.rows]
        count = graph.indptr[self.rows + 1] - first
        at = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        one = np.repeat(np.arange(self.rows.size), count)
        two = place[graph.indices[at]]
        once = two > one
        closed = np.zeros(at.size, bool) if graph.closed is None else graph.closed[at]
        return one[once], two[once], closed[once]

    def parts(self, labels: Objects, *, across: bool) -> dict[str, list[Ints]]:
        """Connected parts of every grid as places, that with most households first.

        Parameters
        ----------
        labels : ndarray of object, shape (k,)
        across : bool
            Count closed borders as connections, too.
        """
        one, two, closed = self.edges
        inside = labels[one] == labels[two]
        if not across:
            inside &= ~closed
        k = self.rows.size
        matrix = coo_array((np.ones(inside.sum()), (one[inside], two[inside])), (k, k))
        _, part = connected_components(matrix, directed=False)
        found: dict[str, list[Ints]] = {}
        order = np.argsort(part, kind="stable")
        for own in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
            found.setdefault(str(labels[own[0]]), []).append(own)
        for parts in found.values():
            parts.sort(key=lambda own: (-int(self.loads[own].sum()), -own.size, int(own[0])))
        return found

    @cached_property
    def exclusive(self) -> Objects:
        """Site of every unit that is marked exclusive; empty for the others."""
        keys = np.full(self.rows.size, "", dtype=object)
        column = self.rules.exclusive
        if column is None or column not in self.units.columns:
            return keys
        marked, names = site_marks(self.units[column])
        for u in np.flatnonzero(marked):
            keys[u] = f"{names[u]}{APART}{self.place[u]}" if names[u] else f"unit {self.names[u]}"
        return keys

    @cached_property
    def locked(self) -> Objects:
        """Name of the grid that every unit is locked in; empty for none."""
        column = self.rules.locked
        if column is None or column not in self.units.columns:
            return np.full(self.rows.size, "", dtype=object)
        return np.asarray(lock_names(self.units[column]), dtype=object)

    @cached_property
    def place(self) -> Objects:
        """Community of every unit; empty where there is only one."""
        within = self.rules.within
        if within is None:
            return np.full(self.rows.size, "", dtype=object)
        return np.asarray(self.units[within].astype(str).to_numpy(object))

    def called(self, places: Ints) -> str:
        """Names of some units."""
        names = sorted(self.names[places])
        more = len(names) - UNITS_NAMED
        return ", ".join(names[:UNITS_NAMED]) + (f" and {more} more" if more > 0 else "")


def check_edit(touched: Touched) -> list[Effect]:
    """What an edit does to every rule that the plan has.

    Parameters
    ----------
    touched : Touched

    Returns
    -------
    list of Effect
        In the order of the rules. A broken rule has the verdict ``broken``.
    """
    return [effect for check in CHECKS for effect in check(touched)]


def _households(number: int) -> str:
    return f"{number:,} household" + ("" if number == 1 else "s")


# ---------------------------------------------------------------- band and other bounds


def _check_band(touched: Touched) -> Iterator[Effect]:
    """Households of every grid; those of an exclusive grid, or of one unit, are as they are."""
    rules = touched.rules
    alone = _alone(touched)
    yield from _bounded(touched, "band", touched.loads, (rules.low, rules.high), "", alone)


def _alone(touched: Touched) -> dict[str, str]:
    """Grids to which the band does not apply, and why."""
    free = {}
    for grid in touched.grids:
        loads = touched.loads[touched.after == grid]
        if (loads > 0).sum() == 1 and loads.max() > touched.rules.high:
            free[grid] = "one unit above the band"
        held = decreed(touched, grid)
        if held:
            free[grid] = f"{held}, the band does not apply"
    return free


def decreed(touched: Touched, grid: str) -> str:
    """``exclusive`` or ``locked`` for a grid that is one such site after the edit, else empty."""
    own = touched.after == grid
    for why, keys in (("exclusive", touched.exclusive), ("locked", touched.locked)):
        names = set(keys[own])
        if "" not in names and len(names) == 1:
            return why
    return ""


def _check_bounds(touched: Touched) -> Iterator[Effect]:
    units = touched.units
    for name, band in (touched.rules.bounds or {}).items():
        by_shape = name == "area_m2" and name not in units.columns
        values = shapely.area(units.geometry.to_numpy()) if by_shape else units[name]
        whole = np.rint(np.asarray(values, np.float64)).astype(np.int64)
        yield from _bounded(touched, "bounds", whole, band, f" {name}", {})


def _bounded(
    touched: Touched,
    rule: str,
    values: Ints,
    band: tuple[int, int],
    what: str,
    free: Mapping[str, str],
) -> Iterator[Effect]:
    """A quantity of every grid against its bounds."""
    low, high = band
    counted = what or " households"
    for grid in touched.grids:
        now = touched.total(values, touched.after, grid)
        was = [touched.total(values, touched.before, source) for source in touched.sources(grid)]
        short, over = max(low - now, 0), max(now - high, 0)
        # what one of its sources missed already, it may go on to miss
        worse = short > max(low - min(was), 0) or over > max(max(was) - high, 0)
        before = " + ".join(f"{number:,}" for number in was)
        outside = bool(short or over)
        miss = f"{short:,} fewer than {low:,}" if short else f"{over:,} more than {high:,}"
        text = f"grid {grid} has {now:,}{counted}"
        verdict = FINE
        if outside and grid in free:
            text += f" ({free[grid]})"
        elif outside:
            verdict = BROKEN if worse else STILL
            text = f"grid {grid} would have {now:,}{counted}, {miss}"
        elif any(not low <= number <= high for number in was):
            verdict, text = BETTER, f"{text}, inside {low:,}-{high:,}"
        yield Effect(rule, grid, f"{before}{what}", f"{now:,}{what}", verdict, text)


# ---------------------------------------------------------------- shape


def _check_parts(touched: Touched) -> Iterator[Effect]:
    """Every grid in one part, and none that a barrier divides."""
    whole = [touched.parts(labels, across=True) for labels in (touched.before, touched.after)]
    open_ = [touched.parts(labels, across=False) for labels in (touched.before, touched.after)]
    has_barriers = touched.plan.contiguity.closed is not None
    for grid in touched.grids:
        sources = touched.sources(grid)
        kinds = [("connectivity", whole), *([("barriers", open_)] if has_barriers else [])]
        torn = False
        for rule, (before, after) in kinds:
            was = max(len(before[source]) for source in sources)
            own = after[grid]
            broken = len(own) > was and not torn
            torn |= broken
            text = f"grid {grid} is in one part"
            if len(own) > 1:
                text = f"grid {grid} would be in {len(own)} parts: {_cut_off(touched, own)} "
                text += "lie apart" if rule == "connectivity" else "lie beyond a barrier"
            verdict = BROKEN if broken else FINE if len(own) == 1 else STILL
            yield Effect(rule, grid, _parts(was), _parts(len(own)), verdict, text)


def _units(number: int) -> str:
    return f"{number} unit" + ("" if number == 1 else "s")


def _parts(number: int) -> str:
    return f"{number} part" + ("" if number == 1 else "s")


def _cut_off(touched: Touched, parts: Sequence[Ints]) -> str:
    others = np.concatenate(parts[1:])
    load = _households(int(touched.loads[others].sum()))
    return f"{load} in {_units(others.size)} ({touched.called(others)})"


def _check_width(touched: Touched) -> Iterator[Effect]:
    limit = touched.rules.max_diameter_m
    if limit is None:
        return
    shapes = touched.units.geometry.to_numpy()

    def width(labels: Objects, grid: str) -> float:
        points = shapely.get_coordinates(shapely.convex_hull(shapely.union_all(
            shapely.convex_hull(shapes[labels == grid])
        )))  # fmt: skip
        apart = points[:, None, :] - points[None, :, :]
        return float(np.hypot(apart[..., 0], apart[..., 1]).max(initial=0.0))

    for grid in touched.grids:
        now = width(touched.after, grid)
        was = max(width(touched.before, source) for source in touched.sources(grid))
        verdict = FINE if now <= limit else BROKEN if now > was else STILL
        text = f"grid {grid} is {now:,.0f} m wide"
        if now > limit:
            text = f"grid {grid} would be {now:,.0f} m wide, more than {limit:,.0f} m"
        yield Effect("max_diameter_m", grid, f"{was:,.0f} m", f"{now:,.0f} m", verdict, text)


# ---------------------------------------------------------------- what belongs together


def _check_communities(touched: Touched) -> Iterator[Effect]:
    column = touched.rules.parent
    if column is None:
        return
    keys = touched.units[column].astype(str).to_numpy(object)
    for grid in touched.grids:
        own = touched.after == grid
        there = sorted(set(keys[own]))
        was = max(len(set(keys[touched.before == one])) for one in touched.sources(grid))
        text = f"grid {grid} lies in {column} {there[0]}"
        if len(there) > 1:
            loads = [
                f"{name} ({_households(int(touched.loads[own & (keys == name)].sum()))})"
                for name in there
            ]
            text = f"grid {grid} would cross a border of {column}: {' and '.join(loads)}"
        verdict = FINE if len(there) == 1 else BROKEN if len(there) > was else STILL
        yield Effect("community", grid, f"{was} {column}", ", ".join(there), verdict, text)


def _check_sites(touched: Touched) -> Iterator[Effect]:
    """An exclusive or a locked grid that was exactly its units stays exactly these."""
    for rule, keys in (("exclusive", touched.exclusive), ("locked", touched.locked)):
        for key in sorted(set(keys) - {""}):
            own = keys == key
            was, now = (_exact(labels, own) for labels in (touched.before, touched.after))
            told, load = key.split(APART)[0], _households(int(touched.loads[own].sum()))
            text = f"{rule} {told} of {load} is a grid alone"
            if not now:
                text = (
                    f"{rule} {told} of {load} would no longer be a grid alone: {_why(touched, own)}"
                )
            verdict = FINE if now else BROKEN if was else STILL
            after = ", ".join(sorted(set(touched.after[own])))
            yield Effect(rule, after, _yes(was), _yes(now), verdict, text)


def _exact(labels: Objects, own: Flags) -> bool:
    grids = set(labels[own])
    return len(grids) == 1 and bool((labels == next(iter(grids))).sum() == own.sum())


def _yes(alone: bool) -> str:
    return "alone" if alone else "not alone"


def _why(touched: Touched, own: Flags) -> str:
    grids = sorted(set(touched.after[own]))
    if len(grids) > 1:
        return f"divided between {' and '.join(grids)}"
    others = int(touched.loads[(touched.after == grids[0]) & ~own].sum())
    return f"in grid {grids[0]} with {_households(others)} of others"


def _check_compounds(touched: Touched) -> Iterator[Effect]:
    """A compound that was whole stays whole, unless it is too large for a grid."""
    column = touched.rules.keep_whole
    if column is None:
        return
    names = lock_names(touched.units[column])
    yield from _together(touched, "compound", names, most=touched.rules.high)


def _check_levels(touched: Touched) -> Iterator[Effect]:
    """An area of a level below the grids lies in one of them."""
    for level in touched.rules.lower_levels:
        names = touched.units[level].astype(str).to_numpy(object)
        yield from _together(touched, level, names, most=None)


def _together(touched: Touched, rule: str, names: Objects, most: int | None) -> Iterator[Effect]:
    """Units of one name (and community) are in no more grids than before."""
    keys = np.array([f"{name}{APART}{where}" if name else "" for name, where in zip(
        names, touched.place, strict=True)], dtype=object)  # fmt: skip
    for key in sorted(set(keys) - {""}):
        own = keys == key
        was, now = (sorted(set(labels[own])) for labels in (touched.before, touched.after))
        if len(now) <= len(was) and len(now) == 1:
            continue  # as it should be, and there may be hundreds
        load = int(touched.loads[own].sum())
        too_large = most is not None and load > most
        text = f"{rule} {key.split(APART)[0]} of {_households(load)} would be divided between "
        text += " and ".join(now)
        verdict = BROKEN if len(now) > len(was) and not too_large else STILL
        before = ", ".join(was)
        yield Effect(rule, ", ".join(now), before, ", ".join(now), verdict, text)


def _check_codes(touched: Touched) -> Iterator[Effect]:
    """A new grid that comes from several has codes of one parent before it."""
    units = touched.units
    if "grid_code" not in units.columns:
        return
    codes = pd.Series(units["grid_code"].to_numpy(object), index=touched.before)
    first = codes[~codes.index.duplicated()].dropna()
    for grid, sources in touched.origins.items():
        known = [str(first[source]) for source in sources if source in first.index]
        beginnings = {touched.parent_of(code) for code in known}
        if len(beginnings) > 1:
            listed = " and ".join(known)
            text = f"grid {grid} would come from codes of several parents: {listed}"
            yield Effect("codes", grid, listed, "", BROKEN, text)


CHECKS: tuple[Callable[[Touched], Iterator[Effect]], ...] = (
    _check_band, _check_bounds, _check_parts, _check_width, _check_communities, _check_sites,
    _check_compounds, _check_levels, _check_codes,
)  # fmt: skip


def as_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Effects as a table."""
    columns: dict[str, Any] = {
        name: pd.Series([getattr(effect, name) for effect in effects], dtype=object)
        for name in Effect._fields
    }
    return pd.DataFrame(columns)
