"""Which grids go on after a redraw, and what that means for their names and codes.

Practice with village codes: a retired code stays listed as retired, codes are never used again,
and changed areas get new, higher serials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart.codes.assign import CHANGE_KEY
from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw.match import Matched
from gridpart.redraw.parents import Parents
from gridpart.redraw.recording import recording
from gridpart.redraw.serials import Serials, scheme_of

if TYPE_CHECKING:
    from gridpart.codes import Register

__all__ = ["Succession", "recoded", "succession"]


@dataclass(frozen=True, eq=False)
class Succession:
    """Which grids go on, which end, and what comes of what.

    Parameters
    ----------
    kept : dict of str to str
        Old grid of each new grid that goes on under its code.
    ended : list of str
        Old grids that do not go on.
    predecessors : dict of str to list of str
        Of each new grid that gets a new code: the old grids it takes households or ground from.
    """

    kept: dict[str, str]
    ended: list[str]
    predecessors: dict[str, list[str]]


def succession(
    home: pd.Series, now: pd.Series, before: pd.Series, today: pd.Series, keep: float
) -> Succession:
    """Tell which old grids go on.

    Parameters
    ----------
    home, now : Series of length n
        Old grid (missing for none) and new grid of every unit; a new grid that may be an old one
        has its name.
    before, today : Series of length n
        Households that each unit had, and has.
    keep : float
        Share of its households that an old grid must keep to go on.

    Notes
    -----
    A grid goes on if the new grid of its name has at least the share `keep` of the households that
    its units had, or of those that they have (of its units, where it has none). It does not if it
    is merged: if the new grid also has that share of an old grid that is no more.
    """
    former, present = _shares(home, now, before), _shares(home, now, today)
    stay = {
        grid
        for grid in set(home.dropna()) & set(now)
        if max(former.get((grid, grid), 0.0), present.get((grid, grid), 0.0)) >= keep
    }
    swallowed = {
        new for (old, new), share in former.items() if share >= keep and old != new
        and old not in stay
    }  # fmt: skip
    kept = {grid: grid for grid in sorted(stay - swallowed)}
    sources: dict[str, list[str]] = {}
    for (old, new), share in sorted(present.items()):
        if share > 0:
            sources.setdefault(new, []).append(old)
    return Succession(
        kept,
        [grid for grid in sorted(set(home.dropna())) if grid not in kept],
        {grid: sources.get(grid, []) for grid in sorted(set(now)) if grid not in kept},
    )


def _shares(home: pd.Series, now: pd.Series, households: pd.Series) -> dict[tuple[str, str], float]:
    """Share of each old grid that each new one has: of households, or of units without any."""
    table = pd.DataFrame({"old": home, "new": now, "weight": households.to_numpy(float)})
    table = table[table["old"].notna()]
    empty = table.groupby("old")["weight"].transform("sum") == 0
    table.loc[empty, "weight"] = 1.0
    shared = table.groupby(["old", "new"], sort=True)["weight"].sum()
    shares = shared / shared.groupby(level="old").transform("sum")
    return {(str(old), str(new)): float(share) for (old, new), share in shares.items()}


@contextmanager
def recoded(
    old: Plan,
    new: Plan,
    matched: Matched,
    *,
    keep: float,
    register: Register | None,
    reason: str,
    at: Any = None,
) -> Iterator[Plan]:
    """Give the grids of a redrawn plan their names and codes, if the ``with`` block ends well.

    Parameters
    ----------
    old, new : Plan
    matched : Matched
        Where the units of the new plan come from.
    keep : float
        See :func:`succession`.
    register : Register, optional
        Where codes are issued and retired. Without one, serials go on above the highest that the
        plan and its forebears ever had.
    reason : str
    at : datetime or str, optional

    Yields
    ------
    Plan
        The new plan; a grid that goes on has its old name and code, another has new ones.
    """
    coded = "grid_code" in old.units.columns and bool(old.units["grid_code"].notna().any())
    if register is not None and not coded:
        raise InputError("the plan has no codes yet: issue them with assign_codes first")
    today = new.units[new.rules.households]
    told = succession(matched.home, new.units["grid"], matched.households, today, keep)
    serials = Serials(old, scheme_of(old))
    named, names = _named(new, told, serials)
    for level in new.rules.lower_levels:
        named = _with_areas(named, level, matched, keep, serials)
    if register is not None:
        with recording(
            old, named, register, reason=reason, at=at, kind="redraw", empty=True
        ) as entered:
            yield entered
        return
    units = named.units.copy()
    origins = {names[grid]: tuple(sources) for grid, sources in told.predecessors.items()}
    parents = None
    if serials.scheme is not None:
        parents = Parents(old, serials.scheme, serials.code_of, named, told.kept)
    serials.finish(units, told.ended, origins, parents)
    yield named.replace(
        units=units, provenance={**named.provenance, **_register_facts(old), **serials.facts()}
    )


def _register_facts(old: Plan) -> dict[str, str]:
    """What a plan says of its register goes on, also where a change passes that by."""
    return {CHANGE_KEY: old.provenance[CHANGE_KEY]} if CHANGE_KEY in old.provenance else {}


def _named(new: Plan, told: Succession, serials: Serials) -> tuple[Plan, dict[str, str]]:
    """The plan with old names for the grids that go on, and new ones for the others."""
    within = dict(zip(new.grids["grid"], new.grids["within"], strict=True))
    names = dict(told.kept)
    for grid in told.predecessors:
        names[grid] = serials.new_name(str(within[grid] or ""))
    return _renamed(new, "grid", names), names


def _renamed(plan: Plan, level: str, names: Mapping[str, str]) -> Plan:
    """The plan with other names for the areas of a level, in its exceptions, too."""
    table = plan.exceptions
    order = [*plan.rules.upper_levels, "grid", *plan.rules.lower_levels]
    below = order[order.index(level) + 1 :][:1]
    renamed = table["grid"].where(
        table["level"] != level, table["grid"].map(lambda name: names.get(name, name))
    )
    within = table["within"].where(
        ~table["level"].isin(below), table["within"].map(lambda name: names.get(name, name))
    )
    return plan.replace(
        units=plan.units.assign(**{level: plan.units[level].map(dict(names))}),
        exceptions=table.assign(grid=renamed, within=within),
    )


def _with_areas(plan: Plan, level: str, matched: Matched, keep: float, serials: Serials) -> Plan:
    """The plan with old names for the areas of a lower level that go on, as grids do."""
    units = plan.units
    home, today = matched.areas[level], units[plan.rules.households]
    told = succession(home, units[level], matched.households, today, keep)
    lies_in = dict(zip(units[level], units["grid"], strict=True))
    names = dict(told.kept)
    for area in told.predecessors:
        names[area] = serials.new_name(str(lies_in[area]))
    return _renamed(plan, level, names)
