"""Which grids go on after a redraw, and what that means for their names and codes.

Practice with village codes: a retired code stays listed as retired, codes are never used again,
and changed areas get new, higher serials.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw.match import Matched
from gridpart.redraw.serials import Serials, recording, scheme_of

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
    home = matched.home
    today = new.units[new.rules.households]
    told = succession(home, new.units["grid"], matched.households, today, keep)
    serials = Serials(old, scheme_of(old))
    named, names = _named(new, told, serials)
    if register is not None and _differs(old, named, home):
        with recording(old, named, register, reason=reason, at=at, kind="redraw") as entered:
            yield entered
        return
    units = named.units.copy()
    if coded:
        units["grid_code"] = units["grid"].map(serials.code_of).astype(object)
        units = _with_areas(old, units)
    # a grid is numbered in its community, wherever its units come from
    within = dict(zip(new.grids["grid"], new.grids["within"], strict=True))
    beside: dict[Any, list[str]] = {}
    for grid, was in told.kept.items():
        beside.setdefault(within[grid], []).append(was)
    origins = {
        names[grid]: tuple(beside.get(within[grid], sources))
        for grid, sources in told.predecessors.items()
    }
    serials.finish(units, told.ended, origins)
    yield named.replace(units=units, provenance={**named.provenance, **serials.facts()})


def _named(new: Plan, told: Succession, serials: Serials) -> tuple[Plan, dict[str, str]]:
    """The plan with old names for the grids that go on, and new ones for the others."""
    within = dict(zip(new.grids["grid"], new.grids["within"], strict=True))
    names = dict(told.kept)
    for grid in told.predecessors:
        names[grid] = serials.new_name(str(within[grid] or ""))
    table = new.exceptions
    of_grids = table["level"] == "grid"
    renamed = table["grid"].where(~of_grids, table["grid"].map(lambda name: names.get(name, name)))
    plan = new.replace(
        units=new.units.assign(grid=new.units["grid"].map(names)),
        exceptions=table.assign(grid=renamed),
    )
    return plan, names


def _differs(old: Plan, new: Plan, home: pd.Series) -> bool:
    """Whether any grid has other units than before."""
    gone = len(old.units) != int(home.notna().sum())
    return gone or bool((home != new.units["grid"]).any())


def _with_areas(old: Plan, units: Any) -> Any:
    """Units with the codes of areas of lower levels that go on."""
    for level in old.rules.lower_levels:
        column = f"{level}_code"
        if column in old.units.columns:
            codes = old.units.drop_duplicates(level).set_index(level)[column]
            units[column] = units[level].map(codes).astype(object)
    return units
